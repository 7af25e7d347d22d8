/*
 * The periodic timer: 100 ticks a second of the platform's clock (time), armed through the
 * firmware.
 */
#include "riscv.h"

#include <arch/arch.h>

#define TICKS_PER_SECOND 100
#define DEFAULT_HZ 10000000 /* where the device tree does not say */

static uint64_t timebase_hz = DEFAULT_HZ;
static uint64_t ticks_between = DEFAULT_HZ / TICKS_PER_SECOND;

void riscv_timer_set_frequency(uint64_t hz)
{
    if (hz < TICKS_PER_SECOND)
        return;
    timebase_hz = hz;
    ticks_between = hz / TICKS_PER_SECOND;
}

uint64_t riscv_timer_hz(void)
{
    return timebase_hz;
}

void arch_timer_start(void)
{
    struct cpu *cpu = cpu_this();
    cpu->arch.timer_next = riscv_time() + ticks_between;
    riscv_sbi_set_timer(cpu->arch.timer_next);
    riscv_set_csr(sie, 1 << RISCV_INTERRUPT_TIMER);
}

/* Arm the next tick: on time if possible, else from now on, without making up for what was missed.
 */
void riscv_timer_tick(struct cpu *cpu)
{
    uint64_t now = riscv_time();
    cpu->arch.timer_next += ticks_between;
    if (cpu->arch.timer_next <= now)
        cpu->arch.timer_next = now + ticks_between;
    riscv_sbi_set_timer(cpu->arch.timer_next);
}

uint64_t arch_time_ns(void)
{
    /* Whole seconds and the rest apart: neither product overflows. */
    uint64_t time = riscv_time(), seconds = time / timebase_hz;
    return seconds * 1000000000 + (time - seconds * timebase_hz) * 1000000000 / timebase_hz;
}

/* The clock counts instructions, which have no frequency. */
uint64_t arch_clock_hz(void)
{
    return 0;
}

/* The seed CSR is the firmware's; what it gives comes in the device tree. */
bool arch_random(uint64_t *out)
{
    (void)out;
    return false;
}
