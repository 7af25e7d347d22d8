/*
 * Starting further CPUs: INIT, then two start-up interrupts to a page below 1 MiB (Intel SDM volume
 * 3A, 8.4.4).
 */
#include "x86.h"

#include <arch/arch.h>
#include <kernel/entry.h>
#include <lib/string.h>

extern char trampoline_start[], trampoline_end[];
_Noreturn void x86_cpu_started(struct cpu *cpu);

uint64_t arch_trampoline_limit(void)
{
    return 0x100000;
}

/* Reset a CPU: it waits for a start-up interrupt. */
static void send_init(const struct cpu *cpu)
{
    x86_apic_send(cpu->hardware_id, 0xc500);     /* level, assert */
    if (!x86_features.x2apic)                    /* which has no such command */
        x86_apic_send(cpu->hardware_id, 0x8500); /* level, de-assert */
}

enum qy_error arch_cpu_start(struct cpu *cpu, paddr_t trampoline, paddr_t root)
{
    if (cpu->hardware_id > 254 && !x86_features.x2apic)
        return QY_UNSUPPORTED;
    uint8_t *page = qy_port_ram(trampoline);
    uint64_t data[] = {root.raw, cpu->stack_top, (uint64_t)cpu, cpu->hardware_id & 0xff};
    volatile uint32_t *whom = (volatile uint32_t *)(page + X86_TRAMPOLINE_DATA + 24);
    memcpy(page, trampoline_start, (size_t)(trampoline_end - trampoline_start));
    memcpy(page + X86_TRAMPOLINE_DATA, data, sizeof(data));
    atomic_thread_fence(memory_order_seq_cst);

    send_init(cpu);
    x86_pit_wait(10000);
    for (int i = 0; i < 2 && !atomic_load(&cpu->online); i++) {
        x86_apic_send(cpu->hardware_id, 0x600 | (uint32_t)(trampoline.raw >> 12));
        x86_pit_wait(200);
    }
    for (int i = 0; i < 200 && !atomic_load(&cpu->online); i++)
        x86_pit_wait(10000);
    if (atomic_load(&cpu->online))
        return QY_OK;
    /* One that is merely late must not come: its area and its stack get other uses. */
    *whom = UINT32_MAX;
    send_init(cpu);
    x86_pit_wait(10000);
    return QY_UNSUPPORTED;
}

_Noreturn void x86_cpu_started(struct cpu *cpu)
{
    arch_protect();
    arch_cpu_init(cpu);
    cpu_main(cpu);
}
