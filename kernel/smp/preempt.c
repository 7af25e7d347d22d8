/*
 * Preemption points, and what is measured between them. See kernel/preempt.h.
 */
#include <arch/arch.h>
#include <kernel/preempt.h>

static void stretch_ends(struct cpu *cpu)
{
    uint64_t *longest = &cpu->counts[cpu->kind].longest_stretch;
    uint64_t stretch = arch_clock() - cpu->stretch;
    if (stretch > *longest)
        *longest = stretch;
}

void preempt_begin(struct cpu *cpu, unsigned kind)
{
    if (!QY_CONFIG_STATISTICS)
        return;
    cpu->kind = kind;
    cpu->counts[kind].times++;
    cpu->stretch = arch_clock();
}

void preempt_end(struct cpu *cpu)
{
    if (!QY_CONFIG_STATISTICS)
        return;
    stretch_ends(cpu);
    cpu->stretch = 0;
    cpu->kind = KIND_OTHER;
}

void preempt_forgive(struct cpu *cpu)
{
    if (cpu->stretch)
        cpu->stretch = arch_clock();
}

void preempt_point(struct cpu *cpu)
{
    uint64_t cause = cpu->cause;
    if (cpu->stretch)
        stretch_ends(cpu);
    arch_take_interrupts();
    if (cpu->cause != cause)
        cpu->cause++; /* what comes is no interrupt's doing: it is numbered as an entry of its own */
    preempt_forgive(cpu);
}
