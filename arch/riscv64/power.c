/*
 * Switching the machine off. The firmware's call cannot pass an exit status; an emulator's test
 * finisher (sifive,test) can, so it comes first where the device tree names one.
 */
#include "riscv.h"

#include <arch/arch.h>

#define FINISHER_PASS 0x5555
#define FINISHER_FAIL 0x3333

static volatile uint32_t *finisher;

void riscv_finisher_set(volatile uint32_t *registers)
{
    finisher = registers;
}

/* The emulator may go on for a moment after the write. */
static void wait_a_moment(void)
{
    uint64_t start = riscv_time();
    while (riscv_time() - start < 10000000)
        arch_relax();
}

_Noreturn void arch_power_off(unsigned code)
{
    if (finisher) {
        *finisher = code ? (code & 0xffff) << 16 | FINISHER_FAIL : FINISHER_PASS;
        wait_a_moment();
    }
    riscv_sbi_shutdown(code != 0);
    for (;;)
        __asm__ volatile("wfi");
}
