/*
 * Which thread runs next: a round robin for each CPU.
 *
 * A thread stays on the CPU on which it was started. Locking: each CPU's queue and the states of
 * its threads have a lock of class qy_class_sched. Cost: O(1).
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

/* Set or clear the mark; a thread that is READY enters or leaves its queue. */
void sched_suspend(struct thread *thread, bool suspended) QY_REQUIRES(qy_class_caps);

/* Set what sched_pick loads for the thread. */
void sched_set_space(struct thread *thread, struct space *space) QY_REQUIRES(qy_class_caps);

/* Move a thread that does not run and is in no queue. */
void sched_set_cpu(struct thread *thread, struct cpu *cpu) QY_REQUIRES(qy_class_caps);

/* True while a CPU has it as its current thread; interrupts that CPU if it is another. */
bool sched_is_current(struct thread *thread) QY_REQUIRES(qy_class_caps);

/* True while a CPU has its tables loaded; interrupts that CPU if it is another. */
bool sched_space_in_use(struct space *space) QY_REQUIRES(qy_class_caps);

/* Before this CPU waits for others: if its own thread or space is doomed, let go of it. */
void sched_let_go(struct cpu *cpu) QY_REQUIRES(qy_class_caps);

#endif
