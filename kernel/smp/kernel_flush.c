/*
 * Flushes of the kernel's own half, asked for and looked at later.
 *
 *     asker                                      asked
 *     clears entries of the heap window
 *     ticket = ++wanted; interrupts all          handles: w = wanted; flush everything; flushed = w
 *     ... goes on ...
 *     done: every CPU's flushed >= ticket
 *
 * One counter serves all flushes: who answers a later one has answered the earlier ones. It is
 * asynchronous because kernel objects are freed under locks, and nobody waits for another CPU under
 * one; and because the window's pages are global, the ordinary shootdown does not reach them. Cost:
 * an interrupt a CPU, for each batch of freed objects; looking is O(CPUs).
 */
#include <arch/arch.h>
#include <kernel/kernel_flush.h>

static _Atomic uint64_t wanted;

void kernel_flush_answer(struct cpu *cpu)
{
    uint64_t ticket = atomic_load(&wanted);
    if (atomic_load_explicit(&cpu->kernel_flushed, memory_order_relaxed) == ticket)
        return;
    arch_flush_everything();
    atomic_store(&cpu->kernel_flushed, ticket);
}

uint64_t kernel_flush_begin(void)
{
    uint64_t ticket = atomic_fetch_add(&wanted, 1) + 1;
    struct cpu *self = cpu_this();
    kernel_flush_answer(self);
    for (unsigned i = 0; i < cpu_count; i++)
        if (cpu_at(i) != self)
            arch_ipi(cpu_at(i));
    return ticket;
}

bool kernel_flush_done(uint64_t ticket)
{
    for (unsigned i = 0; i < cpu_count; i++)
        if (atomic_load(&cpu_at(i)->kernel_flushed) < ticket)
            return false;
    return true;
}
