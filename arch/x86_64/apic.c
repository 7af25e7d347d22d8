/*
 * The local APIC: timer, interrupts between CPUs; and the PIT, which tells how fast both clocks
 * run.
 *
 * References: Intel SDM volume 3A, chapter 10 (APIC), Intel 8254 data sheet (PIT).
 */
#include "x86.h"

#include <arch/arch.h>
#include <kernel/print.h>
#include <platform/topology.h>

#define APIC_MSR 0x800 /* x2APIC mode: the first register's MSR */
#define APIC_BASE_X2 (1u << 10)
#define APIC_BASE_ENABLE (1u << 11)
#define APIC_ID 0x20
#define APIC_TASK_PRIORITY 0x80
#define APIC_EOI 0xb0
#define APIC_SPURIOUS 0xf0
#define APIC_ICR_LOW 0x300
#define APIC_ICR_HIGH 0x310
#define APIC_TIMER 0x320
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_CURRENT 0x390
#define APIC_TIMER_DIVIDE 0x3e0

#define TIMER_HZ 100
#define PIT_HZ 1193182

static uint32_t timer_ticks; /* of the APIC per interrupt */
static uint64_t tsc_hz, tsc_start;

/*
 * A CPU that has x2APIC mode uses it: it has 32-bit ids, and where firmware has turned it on there
 * may be no way back. Its registers are MSRs then, and nothing answers in memory.
 */
static uint32_t reg_read(unsigned offset)
{
    if (x86_features.x2apic)
        return (uint32_t)x86_read_msr(APIC_MSR + (offset >> 4));
    return *(volatile uint32_t *)(kernel_base.devices + offset);
}

static void reg_write(unsigned offset, uint32_t value)
{
    if (x86_features.x2apic)
        x86_write_msr(APIC_MSR + (offset >> 4), value);
    else
        *(volatile uint32_t *)(kernel_base.devices + offset) = value;
}

enum qy_error arch_map_devices(struct qy_pt *pt, const struct qy_topology *topology,
                               const struct qy_pt_tables *tables)
{
    enum qy_error error =
        qy_pt_map_range(pt, vaddr(kernel_base.devices), topology->local_apic, QY_PAGE_BYTES, 1,
                        QY_PT_READ | QY_PT_WRITE | QY_PT_UNCACHED | QY_PT_GLOBAL, tables);
    return error == QY_OK ? x86_ioapic_map(pt, topology, tables) : error;
}

uint32_t x86_apic_id(void)
{
    return x86_features.x2apic ? reg_read(APIC_ID) : reg_read(APIC_ID) >> 24;
}

void x86_apic_init(uint32_t *id)
{
    /* The two bits are set one after the other: there is no way from off to x2APIC mode at once. */
    x86_write_msr(X86_MSR_APIC_BASE, x86_read_msr(X86_MSR_APIC_BASE) | APIC_BASE_ENABLE);
    if (x86_features.x2apic)
        x86_write_msr(X86_MSR_APIC_BASE, x86_read_msr(X86_MSR_APIC_BASE) | APIC_BASE_X2);
    *id = x86_apic_id();
    reg_write(APIC_TASK_PRIORITY, 0);
    reg_write(APIC_SPURIOUS, 0x100 | X86_VECTOR_SPURIOUS);
}

void x86_apic_end_of_interrupt(void)
{
    reg_write(APIC_EOI, 0);
}

void x86_apic_send(uint32_t id, uint32_t command)
{
    if (x86_features.x2apic) {
        /* The write does not wait for earlier stores, which the other CPU is to see (10.12.3). */
        __asm__ volatile("mfence; lfence" ::: "memory");
        x86_write_msr(APIC_MSR + (APIC_ICR_LOW >> 4), (uint64_t)id << 32 | command);
        return;
    }
    reg_write(APIC_ICR_HIGH, id << 24);
    reg_write(APIC_ICR_LOW, command);
    while (reg_read(APIC_ICR_LOW) & 1 << 12)
        arch_relax();
}

void arch_ipi(struct cpu *cpu)
{
    x86_apic_send(cpu->hardware_id, X86_VECTOR_IPI);
}

/* More ticks of the TSC than any CPU makes in a microsecond. */
#define TSC_PER_MICROSECOND_MAX 10000ull

/*
 * One shot of channel 2, whose output can be read back without an interrupt. Where the PIT is absent
 * (port 0x61 reads all ones) or does not count (its clock is gated), the TSC waits: longer, never
 * shorter.
 */
void x86_pit_wait(unsigned microseconds)
{
    bool absent = x86_in8(0x61) == 0xff;
    while (microseconds) {
        uint64_t begin = arch_clock();
        unsigned part = microseconds < 50000 ? microseconds : 50000;
        unsigned count = (unsigned)((uint64_t)part * PIT_HZ / 1000000);
        x86_out8(0x61, (uint8_t)((x86_in8(0x61) & ~2u) | 1));
        x86_out8(0x43, 0xb0);
        x86_out8(0x42, (uint8_t)count);
        x86_out8(0x42, (uint8_t)(count >> 8));
        while ((absent || !(x86_in8(0x61) & 0x20)) &&
               arch_clock() - begin < part * TSC_PER_MICROSECOND_MAX)
            arch_relax();
        microseconds -= part;
    }
}

/* How fast the APIC's timer and the TSC run, against the PIT. */
static void calibrate(void)
{
    reg_write(APIC_TIMER_DIVIDE, 3); /* by 16 */
    reg_write(APIC_TIMER, 1 << 16);  /* masked */
    reg_write(APIC_TIMER_INITIAL, 0xffffffff);
    uint64_t clock = arch_clock();
    x86_pit_wait(10000);
    tsc_start = clock;
    tsc_hz = (arch_clock() - clock) * 100;
    timer_ticks = (0xffffffff - reg_read(APIC_TIMER_CURRENT)) / (TIMER_HZ / 100);
    reg_write(APIC_TIMER_INITIAL, 0);
}

uint64_t arch_clock_hz(void)
{
    return tsc_hz;
}

uint64_t arch_time_ns(void)
{
    if (tsc_hz == 0)
        return 0;
    /* Whole seconds and the rest apart: neither product overflows. */
    uint64_t time = arch_clock() - tsc_start, seconds = time / tsc_hz;
    return seconds * 1000000000 + (time - seconds * tsc_hz) * 1000000000 / tsc_hz;
}

/* The boot CPU comes here first and measures; the clocks of all CPUs run alike. */
void arch_timer_start(void)
{
    if (timer_ticks == 0)
        calibrate();
    reg_write(APIC_TIMER_DIVIDE, 3);
    reg_write(APIC_TIMER, X86_VECTOR_TIMER | 1 << 17); /* periodic */
    reg_write(APIC_TIMER_INITIAL, timer_ticks ? timer_ticks : 1000000);
}
