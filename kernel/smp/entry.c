/*
 * Every way into the kernel, and the one way out.
 */
#include <arch/arch.h>
#include <kernel/call.h>
#include <kernel/cpus.h>
#include <kernel/device.h>
#include <kernel/entry.h>
#include <kernel/fault.h>
#include <kernel/panic.h>
#include <kernel/preempt.h>
#include <kernel/sched.h>
#include <kernel/shootdown.h>
#include <kernel/timer.h>

static void begin(struct cpu *cpu)
{
    cpu->cause++;
}

void entry_call(struct cpu *cpu)
{
    begin(cpu);
    QY_COUNT(cpu->stats.calls, 1);
    call_dispatch(cpu);
}

void entry_fault(struct cpu *cpu, uint64_t address, enum qy_access access)
{
    begin(cpu);
    QY_COUNT(cpu->stats.faults, 1);
    preempt_begin(cpu, KIND_FAULT);
    fault_raise(cpu, address, access);
    preempt_end(cpu);
}

void entry_exception(struct cpu *cpu, const char *name, uint64_t number)
{
    begin(cpu);
    fault_exception(cpu, name, number);
}

void entry_timer(struct cpu *cpu)
{
    begin(cpu);
    QY_COUNT(cpu->stats.interrupts, 1);
    sched_tick(cpu);
    timer_tick();
}

void entry_ipi(struct cpu *cpu)
{
    begin(cpu);
    QY_COUNT(cpu->stats.interrupts, 1);
    shootdown_answer(cpu);
    cpus_gather_here();
}

void entry_interrupt(struct cpu *cpu, uint32_t number)
{
    begin(cpu);
    QY_COUNT(cpu->stats.interrupts, 1);
    interrupt_raised(number);
}

struct arch_frame *entry_choose(struct cpu *cpu)
{
    for (;;) {
        cpus_gather_here();
        struct arch_frame *frame = sched_pick(cpu);
        if (frame)
            return frame;
        qy_irq_is_off();
        if (qy_frame_zero_one(&cpu->frames)) /* work for later, a page at a time */
            arch_take_interrupts();
        else if (!cpu_work(cpu))
            arch_idle();
    }
}
