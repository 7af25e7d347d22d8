/*
 * TLB shootdown: no CPU uses an older translation of a space once shootdown() returns (EXACT,
 * REVOKED).
 *
 *     asker                                     asked
 *     clears entries                            loads a space: active = space; fence; load root
 *     fence
 *     reads each CPU's active
 *     ticket = ++asked->shootdown_wanted
 *     interrupts it                             handles: wanted = shootdown_wanted; flush;
 *     waits until asked->shootdown_done >=      done = wanted
 *     ticket, answering others meanwhile
 *
 * The two fences make sure that a CPU either is seen as active or reads the new entries; one that
 * is leaving the space counts until it has loaded other tables (cpu_has_space). A CPU that waits,
 * here or for any lock (qy_port_relax), answers, so two CPUs that ask each other both go on. A
 * request is "everything that is not global": all CPUs' requests fold into one counter, and nothing
 * is queued that could overflow. Kernel mappings do not change after boot. Cost: one interrupt for
 * each CPU that has the space loaded.
 */
#include <arch/arch.h>
#include <kernel/kernel_flush.h>
#include <kernel/panic.h>
#include <kernel/shootdown.h>
#include <kernel/trace.h>

/* Answer whatever has been asked of this CPU so far. */
void shootdown_answer(struct cpu *cpu)
{
    uint64_t wanted = atomic_load(&cpu->shootdown_wanted);
    if (panic_in_progress())
        panic_halt();
    kernel_flush_answer(cpu);
    if (atomic_load(&cpu->shootdown_done) == wanted)
        return;
    arch_flush_range(vaddr(0), 0);
    QY_COUNT(cpu->stats.shootdowns, 1);
    atomic_store(&cpu->shootdown_done, wanted);
}

void shootdown(struct space *space, vaddr_t address, uint64_t pages)
{
    struct cpu *self = cpu_this();
    uint64_t tickets[(KERNEL_CPUS_MAX + 63) / 64] = {0}; /* bit per CPU that was asked */
    unsigned asked = 0;

    atomic_thread_fence(memory_order_seq_cst);
    if (cpu_has_space(self, space))
        arch_flush_range(address, pages);
    for (unsigned i = 0; i < cpu_count; i++) {
        struct cpu *cpu = cpu_at(i);
        if (cpu == self || !cpu_has_space(cpu, space))
            continue;
        atomic_fetch_add(&cpu->shootdown_wanted, 1);
        tickets[i / 64] |= 1ull << i % 64;
        arch_ipi(cpu);
        asked++;
    }
    if (asked)
        trace_shootdown((uint64_t)space, address.raw, pages, asked);
    for (unsigned i = 0; asked && i < cpu_count; i++) {
        struct cpu *cpu = cpu_at(i);
        if (!(tickets[i / 64] & 1ull << i % 64))
            continue;
        /* Whatever it has answered at or after our request includes ours. */
        uint64_t ticket = atomic_load(&cpu->shootdown_wanted);
        while (atomic_load(&cpu->shootdown_done) < ticket)
            qy_port_relax();
    }
}

/* An answer to anything that was asked of it since is a barrier: its operations are atomic. */
void qy_port_fence_cpu(unsigned index)
{
    struct cpu *cpu = cpu_at(index);
    atomic_thread_fence(memory_order_seq_cst);
    if (cpu == cpu_this())
        return;
    uint64_t ticket = atomic_fetch_add(&cpu->shootdown_wanted, 1) + 1;
    arch_ipi(cpu);
    while (atomic_load(&cpu->shootdown_done) < ticket)
        qy_port_relax();
}
