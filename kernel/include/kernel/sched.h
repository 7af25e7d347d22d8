/*
 * Which thread runs next: fixed priorities, and a round robin among equals, for each CPU.
 *
 *     thread with a CPU of its own (affinity)  ->  that CPU
 *     any other                                ->  a CPU of its home node, where its memory is: the one it ran on
 *                                                  last if it idles, else one that idles, else the last
 *
 * A thread is placed when it becomes ready. Whoever changes what a CPU should run sets the CPU's
 * `reschedule`; without it an entry returns to the thread that it came from at once.
 *
 * Invariants
 *   SCHED-QUEUE    a thread is in its CPU's queue exactly if it is READY and not suspended
 *   SCHED-CURRENT  a CPU's current thread is on that CPU; a RUNNING thread is current there
 * Locking: each CPU's queue, its current thread and the states of its threads have a lock of class
 * qy_class_sched; two are taken in the order of the CPUs. Who changes a thread holds qy_class_caps too, but for
 * one change: a CPU that chooses sends a current thread that may not run there any more to its CPU without it.
 * Cost: O(1); placing O(CPUs / 64).
 */
#ifndef KERNEL_SCHED_H
#define KERNEL_SCHED_H

#include <kernel/thread.h>

/*
 * Choose what this CPU runs next and load its space. Returns the registers to restore, or null when
 * there is nothing to run; then the kernel's own tables are loaded, and the caller waits for an
 * interrupt. Called without locks, interrupts off.
 */
struct arch_frame *sched_pick(struct cpu *cpu) QY_EXCLUDES(qy_class_sched);

/* The timer of this CPU: the running thread's turn is over. */
void sched_tick(struct cpu *cpu);

/* The thread can run: put it at the end of its CPU's queue, and wake the CPU if it idles. */
void sched_ready(struct thread *thread) QY_REQUIRES(qy_class_caps);

/* The thread changes to a state in which it does not run. If it runs on another CPU, that one is
 * interrupted. */
void sched_block(struct thread *thread, enum qy_thread_state state) QY_REQUIRES(qy_class_caps);

/*
 * Can this CPU run `next`, which waits on it, instead of its current thread at once? If so the CPU's lock is held
 * until sched_switch_end, by which the current thread is in a state in which it does not run, and next runs.
 */
bool sched_switch_begin(struct cpu *cpu, const struct thread *next) QY_UNCHECKED;
void sched_switch_end(struct cpu *cpu, enum qy_thread_state state, struct thread *next)
    QY_UNCHECKED;

/*
 * The current thread of this CPU changes to a state in which it does not run, and `next`, which waits for nothing any
 * more, becomes ready. If it may run here and nobody in line comes before it, it runs at once.
 */
void sched_hand_over(struct thread *current, enum qy_thread_state state, struct thread *next)
    QY_REQUIRES(qy_class_caps);

/* Set or clear the mark; a thread that is READY enters or leaves its queue. */
void sched_suspend(struct thread *thread, bool suspended) QY_REQUIRES(qy_class_caps);

/* Set what sched_pick loads for the thread. */
void sched_set_space(struct thread *thread, struct space *space) QY_REQUIRES(qy_class_caps);

/* Place a thread that does not run and is in no queue. */
void sched_set_cpu(struct thread *thread, struct cpu *cpu) QY_REQUIRES(qy_class_caps);

/* Give a thread a priority below QY_PRIORITIES, and a CPU or QY_CPU_ANY. It moves there if it has to. */
void sched_schedule(struct thread *thread, unsigned priority, unsigned affinity)
    QY_REQUIRES(qy_class_caps);

/* Where a thread is to run next. */
struct cpu *place_choose(const struct thread *thread);

/* A CPU can run threads from now on; it begins or ends to idle. */
void place_online(const struct cpu *cpu);
void place_idle(const struct cpu *cpu, bool idle);

/* True while a CPU has it as its current thread; interrupts that CPU if it is another. */
bool sched_is_current(struct thread *thread) QY_REQUIRES(qy_class_caps);

/*
 * True while another CPU may still run instructions of a thread that has been started and is suspended; interrupts that
 * CPU. A CPU that waits inside a call for others runs none before it looks at the mark, so two that suspend each
 * other's threads do not wait in a circle.
 */
bool sched_suspended_runs(struct thread *thread) QY_REQUIRES(qy_class_caps);

/* True while a CPU has its tables loaded; interrupts that CPU if it is another. */
bool sched_space_in_use(struct space *space) QY_REQUIRES(qy_class_caps);

/* Before this CPU waits for others: if its own thread or space is doomed, let go of it. It asks sched_pick before it runs
 * any thread again. */
void sched_let_go(struct cpu *cpu) QY_REQUIRES(qy_class_caps);

/* Null, or the id of the first invariant that run queues break. No CPU changes anything meanwhile. */
const char *sched_check(void);

#endif
