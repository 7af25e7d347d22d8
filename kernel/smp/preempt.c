/*
 * Preemption points. See kernel/preempt.h.
 */
#include <arch/arch.h>
#include <kernel/preempt.h>

void preempt_begin(struct cpu *cpu)
{
    cpu->stretch = arch_clock();
    cpu->stretch_cause = cpu->cause;
}

void preempt_end(struct cpu *cpu)
{
    uint64_t stretch = arch_clock() - cpu->stretch;
    if (cpu->stretch_cause != cpu->cause) /* it began in another call; this one is not measured */
        return;
    if (stretch > cpu->stats.longest_stretch)
        cpu->stats.longest_stretch = stretch;
}

void preempt_point(struct cpu *cpu)
{
    uint64_t cause = cpu->cause;
    preempt_end(cpu);
    arch_take_interrupts();
    if (cpu->cause != cause)
        cpu->cause++; /* what comes is no interrupt's doing: it is numbered as an entry of its own */
    preempt_begin(cpu);
}
