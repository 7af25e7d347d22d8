/*
 * Run queues and the choice of what runs. See kernel/sched.h.
 */
#include <arch/arch.h>
#include <kernel/sched.h>
#include <kernel/shootdown.h>
#include <kernel/space.h>

#include "run_queue.h"

static void sched_acquire(struct cpu *cpu) QY_ACQUIRES(qy_class_sched) QY_UNCHECKED
{
    qy_lock_acquire(&cpu->sched_lock);
}

static void sched_release(struct cpu *cpu) QY_RELEASES(qy_class_sched) QY_UNCHECKED
{
    qy_lock_release(&cpu->sched_lock);
}

/*
 * Take the lock of the CPU that a thread is on. A CPU that sends its current thread away needs no lock of
 * capabilities for that, so the thread may have moved before the lock was there.
 */
static struct cpu *acquire_of(const struct thread *thread) QY_ACQUIRES(qy_class_sched) QY_UNCHECKED
{
    for (;;) {
        struct cpu *cpu = atomic_load_explicit(&thread->cpu, memory_order_relaxed);
        sched_acquire(cpu);
        if (atomic_load_explicit(&thread->cpu, memory_order_relaxed) == cpu)
            return cpu;
        sched_release(cpu);
    }
}

static bool can_run(const struct thread *thread) QY_REQUIRES(qy_class_sched)
{
    return thread->state == QY_THREAD_READY && !thread->suspended;
}

/* Put it in line, or take it out, as its state says. */
static void queue_settle(struct cpu *cpu, struct thread *thread, bool first)
    QY_REQUIRES(qy_class_sched)
{
    if (can_run(thread) && !thread->queued)
        run_queue_insert(&cpu->queue, thread, first);
    else if (!can_run(thread) && thread->queued)
        run_queue_remove(&cpu->queue, thread);
}

/* Have a CPU choose anew, at the end of the entry that it is in or by an interrupt. */
static void reschedule(struct cpu *cpu)
{
    atomic_store(&cpu->reschedule, true);
    if (cpu != cpu_this())
        arch_ipi(cpu);
}

/* Does a thread that has become ready run before what the CPU runs now? */
static bool preempts(const struct cpu *cpu, const struct thread *thread) QY_REQUIRES(qy_class_sched)
{
    return !cpu->current || cpu->current->priority < thread->priority;
}

static void load_space(struct cpu *cpu, struct space *space)
{
    struct qy_tlb_space *tlb = space ? &space->tlb : NULL;
    if (cpu->tlb.space != tlb)
        qy_tlb_load(&kernel_tlb, &cpu->tlb, tlb);
}

/* May the current thread go on? If not, it has been put in line, unless it waits for something. */
static bool current_goes_on(struct cpu *cpu, struct thread *current) QY_REQUIRES(qy_class_sched)
{
    if (!current || current->state != QY_THREAD_RUNNING)
        return false;
    bool expired = current->expired;
    current->expired = false;
    int top = run_queue_top(&cpu->queue);
    if (!current->suspended && (top < current->priority || (top == current->priority && !expired)))
        return true;
    current->state = QY_THREAD_READY;
    queue_settle(cpu, current, !expired);
    return false;
}

/* Put a thread that is in no line and on no CPU where it may run. */
static void send(struct thread *thread) QY_REQUIRES(qy_class_caps)
{
    struct cpu *to = place_choose(thread);
    thread->cpu = to;
    sched_acquire(to);
    bool urgent = can_run(thread) && preempts(to, thread);
    queue_settle(to, thread, false);
    sched_release(to);
    if (urgent)
        reschedule(to);
}

/* Is the current thread, which runs or is in line, one that may not run here any more? */
static bool must_leave(const struct cpu *cpu) QY_REQUIRES(qy_class_sched)
{
    const struct thread *thread = cpu->current;
    return thread && !thread_may_run_on(thread, cpu) &&
           (thread->state == QY_THREAD_RUNNING || thread->queued);
}

/*
 * Send the current thread, which must leave, to the CPU that it may run on. It stays current, so that nobody frees
 * it, until both CPUs' locks are held; they are taken in the order of the CPUs.
 */
static void send_current(struct cpu *cpu, struct thread *thread) QY_UNCHECKED
{
    uint16_t affinity = atomic_load_explicit(&thread->affinity, memory_order_relaxed);
    if (affinity == QY_CPU_ANY || affinity == cpu->index) /* changed meanwhile */
        return;
    struct cpu *to = cpu_at(affinity);
    struct cpu *first = to->index < cpu->index ? to : cpu, *second = first == to ? cpu : to;
    sched_acquire(first);
    sched_acquire(second);
    bool urgent = false;
    if (must_leave(cpu) && thread_may_run_on(thread, to)) {
        if (thread->queued)
            run_queue_remove(&cpu->queue, thread);
        thread->state = QY_THREAD_READY;
        thread->cpu = to;
        cpu->current = NULL;
        queue_settle(to, thread, false);
        urgent = can_run(thread) && preempts(to, thread);
    }
    sched_release(second);
    sched_release(first);
    if (urgent)
        reschedule(to);
}

/* What the CPU runs from here on; null = nothing. */
static void set_current(struct cpu *cpu, struct thread *thread) QY_REQUIRES(qy_class_sched)
{
    cpu->current = thread;
    cpu->frame = thread ? &thread->frame : NULL;
    if (thread) {
        thread->state = QY_THREAD_RUNNING;
        thread->expired = false;
        arch_pointer_switch(cpu, thread->pointer);
        QY_COUNT(cpu->stats.switches, 1);
    }
    load_space(cpu, thread ? thread->run_space : NULL);
}

static struct thread *take_next(struct cpu *cpu) QY_REQUIRES(qy_class_sched)
{
    int top = run_queue_top(&cpu->queue);
    if (top < 0)
        return NULL;
    struct thread *thread = cpu->queue.first[top];
    run_queue_remove(&cpu->queue, thread);
    return thread;
}

struct arch_frame *sched_pick(struct cpu *cpu)
{
    /* Before the look: whoever changes something afterwards sets it again. */
    atomic_store(&cpu->reschedule, false);
    sched_acquire(cpu);
    cpu->let_go = false;
    while (must_leave(cpu)) {
        struct thread *thread = cpu->current;
        sched_release(cpu);
        send_current(cpu, thread);
        sched_acquire(cpu);
    }
    if (current_goes_on(cpu, cpu->current))
        load_space(cpu, cpu->current->run_space);
    else
        set_current(cpu, take_next(cpu));
    bool idle = !cpu->current;
    sched_release(cpu);
    if (cpu->idle != idle)
        place_idle(cpu, cpu->idle = idle);
    return cpu->frame;
}

void sched_tick(struct cpu *cpu)
{
    if (!cpu->current)
        return;
    cpu->current->expired = true;
    atomic_store(&cpu->reschedule, true);
}

/* After a change of what keeps it from running: if nothing does any more, put it where it may run. */
static void wake(struct thread *thread, struct cpu *cpu) QY_REQUIRES(qy_class_caps, qy_class_sched)
    QY_RELEASES(qy_class_sched)
{
    bool elsewhere =
        can_run(thread) && !thread->queued && cpu->current != thread && place_choose(thread) != cpu;
    if (!elsewhere)
        queue_settle(cpu, thread, false);
    bool urgent = !elsewhere && can_run(thread) && preempts(cpu, thread);
    sched_release(cpu);
    if (elsewhere)
        send(thread);
    else if (urgent)
        reschedule(cpu);
}

void sched_ready(struct thread *thread)
{
    struct cpu *cpu = acquire_of(thread);
    thread->state = QY_THREAD_READY;
    wake(thread, cpu);
}

void sched_block(struct thread *thread, enum qy_thread_state state)
{
    if (!thread->cpu) { /* never started */
        thread->state = (uint8_t)state;
        return;
    }
    struct cpu *cpu = acquire_of(thread);
    thread->state = (uint8_t)state;
    queue_settle(cpu, thread, false);
    bool current = cpu->current == thread;
    sched_release(cpu);
    if (current)
        reschedule(cpu);
}

bool sched_switch_begin(struct cpu *cpu, const struct thread *next) QY_UNCHECKED
{
    sched_acquire(cpu);
    if (next->cpu == cpu && !next->suspended && thread_may_run_on(next, cpu) &&
        run_queue_top(&cpu->queue) <= next->priority)
        return true;
    sched_release(cpu);
    return false;
}

void sched_switch_end(struct cpu *cpu, enum qy_thread_state state, struct thread *next) QY_UNCHECKED
{
    cpu->current->state = (uint8_t)state;
    set_current(cpu, next);
    sched_release(cpu);
}

void sched_hand_over(struct thread *current, enum qy_thread_state state, struct thread *next)
{
    struct cpu *cpu = current->cpu;
    if (cpu->current == current && sched_switch_begin(cpu, next)) {
        sched_switch_end(cpu, state, next);
    } else {
        sched_block(current, state);
        sched_ready(next);
    }
}

void sched_suspend(struct thread *thread, bool suspended)
{
    if (!thread->cpu) {
        thread->suspended = suspended;
        return;
    }
    struct cpu *cpu = acquire_of(thread);
    thread->suspended = suspended;
    if (!suspended) {
        wake(thread, cpu);
        return;
    }
    queue_settle(cpu, thread, false);
    bool current = cpu->current == thread;
    sched_release(cpu);
    if (current)
        reschedule(cpu);
}

void sched_schedule(struct thread *thread, unsigned priority, unsigned affinity)
{
    if (!thread->cpu) {
        thread->priority = (uint8_t)priority;
        thread->affinity = (uint16_t)affinity;
        return;
    }
    struct cpu *cpu = acquire_of(thread);
    bool queued = thread->queued, current = cpu->current == thread;
    if (queued)
        run_queue_remove(&cpu->queue, thread);
    thread->priority = (uint8_t)priority;
    thread->affinity = (uint16_t)affinity;
    /* Its CPU sends the current one away itself, once it has left it. */
    bool stays = current || thread_may_run_on(thread, cpu);
    if (stays)
        queue_settle(cpu, thread, false);
    bool again = current || (stays && queued && preempts(cpu, thread));
    sched_release(cpu);
    if (queued && !stays)
        send(thread);
    if (again)
        reschedule(cpu);
}

void sched_set_space(struct thread *thread, struct space *space)
{
    if (!thread->cpu) {
        thread->run_space = space;
        return;
    }
    struct cpu *cpu = acquire_of(thread);
    thread->run_space = space;
    bool current = cpu->current == thread;
    sched_release(cpu);
    if (current)
        reschedule(cpu);
}

void sched_set_cpu(struct thread *thread, struct cpu *cpu)
{
    thread->cpu = cpu;
}

bool sched_is_current(struct thread *thread)
{
    if (!thread->cpu)
        return false;
    struct cpu *cpu = acquire_of(thread);
    bool current = cpu->current == thread;
    sched_release(cpu);
    if (current)
        reschedule(cpu);
    return current;
}

bool sched_suspended_runs(struct thread *thread)
{
    struct cpu *cpu = acquire_of(thread);
    bool runs = thread->suspended && cpu->current == thread && cpu != cpu_this() && !cpu->let_go;
    sched_release(cpu);
    if (runs)
        reschedule(cpu);
    return runs;
}

bool sched_space_in_use(struct space *space)
{
    bool used = false;
    for (unsigned i = 0; (i = qy_tlb_next_active(&space->tlb, i)) < cpu_count; i++) {
        used = true;
        reschedule(cpu_at(i));
    }
    return used;
}

void sched_let_go(struct cpu *cpu)
{
    sched_acquire(cpu);
    const struct space *active = cpu_space(cpu);
    if (cpu->current && (cpu->current->object.flags & OBJECT_DYING)) {
        cpu->current = NULL;
        cpu->frame = NULL;
    }
    if (active && (active->object.flags & OBJECT_DYING))
        load_space(cpu, NULL);
    cpu->let_go = true;
    atomic_store(&cpu->reschedule, true);
    sched_release(cpu);
}
