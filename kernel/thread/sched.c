/*
 * Run queues and the choice of what runs. See kernel/sched.h.
 */
#include <arch/arch.h>
#include <kernel/sched.h>
#include <kernel/space.h>

struct sched_lock {
    struct qy_lock lock;
} __attribute__((aligned(64))); /* a cache line each */

static struct sched_lock sched_locks[KERNEL_CPUS_MAX];

static void sched_acquire(const struct cpu *cpu) QY_ACQUIRES(qy_class_sched) QY_UNCHECKED
{
    qy_lock_acquire(&sched_locks[cpu->index].lock);
}

static void sched_release(const struct cpu *cpu) QY_RELEASES(qy_class_sched) QY_UNCHECKED
{
    qy_lock_release(&sched_locks[cpu->index].lock);
}

static void queue_push(struct thread *thread) QY_REQUIRES(qy_class_sched)
{
    struct cpu *cpu = thread->cpu;
    thread->next = NULL;
    thread->prev = cpu->queue_last;
    if (cpu->queue_last)
        cpu->queue_last->next = thread;
    else
        cpu->queue_first = thread;
    cpu->queue_last = thread;
}

static void queue_remove(struct thread *thread) QY_REQUIRES(qy_class_sched)
{
    struct cpu *cpu = thread->cpu;
    if (thread->prev)
        thread->prev->next = thread->next;
    else
        cpu->queue_first = thread->next;
    if (thread->next)
        thread->next->prev = thread->prev;
    else
        cpu->queue_last = thread->prev;
    thread->next = thread->prev = NULL;
}

static bool is_queued(const struct thread *thread) QY_REQUIRES(qy_class_sched)
{
    return thread->state == QY_THREAD_READY && !thread->suspended;
}

/*
 * The store to `active` comes before the load of the tables: whoever changes an entry sees the CPU,
 * or the CPU sees the change. Until they are loaded the CPU, which may stop anywhere (a virtual one,
 * for long), runs on the old ones: `leaving` is set before `active`, and read after it.
 */
static void load_space(struct cpu *cpu, struct space *space)
{
    struct space *old = atomic_load(&cpu->active);
    if (old == space)
        return;
    atomic_store_explicit(&cpu->leaving, old, memory_order_relaxed);
    atomic_store(&cpu->active, space);
    arch_space_load(cpu, space ? &space->pt : NULL);
    atomic_store_explicit(&cpu->leaving, NULL, memory_order_release);
}

/* May the current thread go on? If not, it has been put where it belongs. */
static bool current_goes_on(struct cpu *cpu, struct thread *current) QY_REQUIRES(qy_class_sched)
{
    if (!current || current->cpu != cpu || current->state != QY_THREAD_RUNNING)
        return false;
    if (!current->suspended && !(current->expired && cpu->queue_first)) {
        current->expired = false;
        return true;
    }
    current->state = QY_THREAD_READY;
    if (!current->suspended)
        queue_push(current);
    return false;
}

struct arch_frame *sched_pick(struct cpu *cpu)
{
    sched_acquire(cpu);
    struct thread *thread = cpu->current;
    if (!current_goes_on(cpu, thread)) {
        thread = cpu->queue_first;
        if (thread) {
            queue_remove(thread);
            thread->state = QY_THREAD_RUNNING;
            thread->expired = false;
            QY_COUNT(cpu->stats.switches, 1);
        }
    }
    cpu->current = thread;
    cpu->frame = thread ? &thread->frame : NULL;
    load_space(cpu, thread ? thread->run_space : NULL);
    sched_release(cpu);
    return thread ? &thread->frame : NULL;
}

void sched_tick(struct cpu *cpu)
{
    if (cpu->current)
        cpu->current->expired = true;
}

static void wake(struct cpu *cpu)
{
    if (cpu != cpu_this())
        arch_ipi(cpu);
}

void sched_ready(struct thread *thread)
{
    struct cpu *cpu = thread->cpu;
    sched_acquire(cpu);
    thread->state = QY_THREAD_READY;
    if (is_queued(thread))
        queue_push(thread);
    bool idle = !cpu->current;
    sched_release(cpu);
    if (idle)
        wake(cpu);
}

void sched_block(struct thread *thread, enum qy_thread_state state)
{
    struct cpu *cpu = thread->cpu;
    if (!cpu) { /* never started */
        thread->state = (uint8_t)state;
        return;
    }
    sched_acquire(cpu);
    if (is_queued(thread))
        queue_remove(thread);
    thread->state = (uint8_t)state;
    bool current = cpu->current == thread;
    sched_release(cpu);
    if (current)
        wake(cpu);
}

void sched_suspend(struct thread *thread, bool suspended)
{
    struct cpu *cpu = thread->cpu;
    if (!cpu) {
        thread->suspended = suspended;
        return;
    }
    sched_acquire(cpu);
    if (is_queued(thread))
        queue_remove(thread);
    thread->suspended = suspended;
    if (is_queued(thread))
        queue_push(thread);
    bool current = cpu->current == thread, idle = !cpu->current;
    sched_release(cpu);
    if (suspended ? current : idle)
        wake(cpu);
}

void sched_set_space(struct thread *thread, struct space *space)
{
    struct cpu *cpu = thread->cpu;
    if (!cpu) {
        thread->run_space = space;
        return;
    }
    sched_acquire(cpu);
    thread->run_space = space;
    sched_release(cpu);
}

void sched_set_cpu(struct thread *thread, struct cpu *cpu)
{
    thread->cpu = cpu;
}

bool sched_is_current(struct thread *thread)
{
    struct cpu *cpu = thread->cpu;
    if (!cpu)
        return false;
    sched_acquire(cpu);
    bool current = cpu->current == thread;
    sched_release(cpu);
    if (current)
        wake(cpu);
    return current;
}

bool sched_space_in_use(struct space *space)
{
    bool used = false;
    for (unsigned i = 0; i < cpu_count; i++) {
        struct cpu *cpu = cpu_at(i);
        if (cpu_has_space(cpu, space)) {
            used = true;
            wake(cpu);
        }
    }
    return used;
}

void sched_let_go(struct cpu *cpu)
{
    sched_acquire(cpu);
    struct space *active = atomic_load(&cpu->active);
    if (cpu->current && (cpu->current->object.flags & OBJECT_DYING))
        cpu->current = NULL;
    if (active && (active->object.flags & OBJECT_DYING))
        load_space(cpu, NULL);
    sched_release(cpu);
}
