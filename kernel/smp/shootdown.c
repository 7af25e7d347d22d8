/*
 * TLB shootdown: the kernel's side of qy/tlb.h. No CPU uses an older translation of a space once
 * shootdown() returns (EXACT, REVOKED).
 *
 * A CPU that waits, here or for any lock (qy_port_relax), answers, so two CPUs that ask each other
 * both go on; and it answers what is asked of all, a flush of the kernel's half or a halt.
 */
#include <arch/arch.h>
#include <kernel/kernel_flush.h>
#include <kernel/panic.h>
#include <kernel/shootdown.h>
#include <kernel/space.h>
#include <kernel/trace.h>

static struct qy_tlb_cpu *cpu_tlb(unsigned index)
{
    return &cpu_at(index)->tlb;
}

static void interrupt(struct qy_tlb_cpu *tlb)
{
    arch_ipi(cpu_at(tlb->index));
}

/* Fences between CPUs are needed before shootdown_init. */
static struct qy_tlb_ops ops = {
    .load = arch_tlb_load,
    .flush_pages = arch_tlb_flush_pages,
    .flush_tag = arch_tlb_flush_tag,
    .interrupt = interrupt,
    .cpu = cpu_tlb,
};
struct qy_tlb kernel_tlb = {.ops = &ops};

void shootdown_init(paddr_t kernel_root)
{
    ops.fence_code = arch_fence_code;
    qy_tlb_init(&kernel_tlb, &ops, kernel_root, arch_tlb_tags());
}

void shootdown_answer(struct cpu *cpu)
{
    if (panic_in_progress())
        panic_halt();
    kernel_flush_answer(cpu);
    if (qy_tlb_answer(&kernel_tlb, &cpu->tlb))
        QY_COUNT(cpu->stats.shootdowns, 1);
}

void shootdown(struct space *space, struct qy_tlb_gather *gather)
{
    uint64_t address = gather->count ? gather->ranges[0].start : 0;
    unsigned pages = gather->pages;
    uint64_t begun = qy_traces(1ull << QY_TRACE_SHOOTDOWN) ? arch_clock() : 0;
    unsigned asked = qy_tlb_shootdown(&kernel_tlb, &cpu_this()->tlb, gather);
    if (asked)
        QY_TRACE(SHOOTDOWN, space->object.untyped->object.id, space->object.id, address, pages,
                 asked, arch_clock() - begun);
}

/* An answer to anything that was asked of it since is a barrier: its operations are atomic. */
void qy_port_fence_cpu(unsigned index)
{
    struct cpu *cpu = cpu_at(index);
    atomic_thread_fence(memory_order_seq_cst);
    if (cpu != cpu_this())
        qy_tlb_fence_cpu(&kernel_tlb, &cpu->tlb);
}
