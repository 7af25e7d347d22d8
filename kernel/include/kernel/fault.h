/*
 * Faults of programs: memory that the kernel supplies by itself (anonymous pages, copies on write), else a message
 * to the thread's handler, or its end with a readable report.
 */
#ifndef KERNEL_FAULT_H
#define KERNEL_FAULT_H

#include <kernel/cpu.h>
#include <quarry/abi.h>

struct thread;

/*
 * A CPU touched an address of the space that it has loaded, as *cause says. OK: the tables allow it now, try again.
 * Else the errors of qy_space_fault, and the rest of *cause. No locks: a space that is loaded
 * stays.
 */
enum qy_error fault_resolve(struct cpu *cpu, struct fault_cause *cause) QY_MUST_USE
    QY_EXCLUDES(qy_class_caps);

/* A copy of user memory did. True: try again. False: the CPU's `unresolved` says why not. */
bool fault_of_copy(struct cpu *cpu, uint64_t address, enum qy_access access);

/*
 * A call of the current thread, which has changed nothing yet, gives up since a copy faulted. True: on a page that a
 * pager is to supply, so the thread faults there as if it had touched it, and makes the call again afterwards.
 */
bool fault_restarts_call(struct cpu *cpu, struct thread *thread) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* The current thread did. */
void fault_raise(struct cpu *cpu, uint64_t address, enum qy_access access);

/* The current thread did something else that it may not; name is a static string. */
void fault_exception(struct cpu *cpu, const char *name, uint64_t number);

/* The handler of a waiting thread has gone, or never answers: the thread ends, and the console says
 * why. */
void fault_lost(struct thread *thread, const char *why) QY_REQUIRES(qy_class_caps);

#endif
