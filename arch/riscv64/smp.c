/*
 * CPUs: setting one up, starting further harts (SBI HSM), interrupting them.
 */
#include "riscv.h"

#include <arch/arch.h>
#include <kernel/entry.h>

#define START_SECONDS 10

extern char kernel_text_start[];

void arch_cpu_init(struct cpu *cpu)
{
    __asm__ volatile("mv tp, %0" : : "r"(cpu) : "memory");
    cpu->arch.plic_context = riscv_plic_context(cpu->hardware_id);
    riscv_write_csr(sscratch, 0);
    riscv_write_csr(stvec, (uint64_t)riscv_trap_vector);
    riscv_clear_csr(sip, 1 << RISCV_INTERRUPT_SOFTWARE);
    riscv_write_csr(sie, 1 << RISCV_INTERRUPT_SOFTWARE | 1 << RISCV_INTERRUPT_EXTERNAL);
}

uint64_t arch_trampoline_limit(void)
{
    return 0;
}

/* One hart at a time. The start block lies in the CPU's own area. */
enum qy_error arch_cpu_start(struct cpu *cpu, paddr_t trampoline, paddr_t root)
{
    (void)trampoline;
    struct riscv_start *start = (struct riscv_start *)cpu->arch.start;
    struct qy_pt pt = {arch_pt_format(), root};
    paddr_t argument;
    if (qy_pt_translate(&pt, vaddr((uint64_t)start), &argument, NULL, NULL) != QY_OK)
        return QY_UNSUPPORTED;
    start->satp = (uint64_t)RISCV_SATP_SV48 << RISCV_SATP_MODE_SHIFT | root.raw >> QY_PAGE_SHIFT;
    start->cpu = (uint64_t)cpu;
    start->stack_top = cpu->stack_top;
    start->entry = (uint64_t)riscv_secondary_virtual;
    start->hart = cpu->hardware_id;
    riscv_start_now = argument.raw;
    atomic_thread_fence(memory_order_seq_cst);

    uint64_t entry =
        (uint64_t)riscv_secondary_entry - (uint64_t)kernel_text_start + arch_image_base.raw;
    bool given_up = !riscv_sbi_hart_start(cpu->hardware_id, entry, argument.raw);
    uint64_t begin = riscv_time();
    while (!given_up && !atomic_load(&cpu->online)) {
        given_up = riscv_time() - begin > riscv_timer_hz() * START_SECONDS;
        arch_relax();
    }
    if (given_up) {
        riscv_start_now = 0;
        start->hart = UINT64_MAX;
        return QY_UNSUPPORTED;
    }
    return QY_OK;
}

_Noreturn void riscv_secondary(struct cpu *cpu)
{
    arch_protect();
    riscv_mmu_probe_hart();
    arch_cpu_init(cpu);
    riscv_plic_open(cpu);
    cpu_main(cpu);
}

void arch_ipi(struct cpu *cpu)
{
    riscv_sbi_send_ipi(cpu->hardware_id);
}
