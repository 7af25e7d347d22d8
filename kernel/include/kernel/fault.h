/*
 * Faults of programs: a message to the thread's handler, or its end with a readable report.
 */
#ifndef KERNEL_FAULT_H
#define KERNEL_FAULT_H

#include <kernel/cpu.h>
#include <quarry/abi.h>

struct thread;

/* The current thread touched memory that it may not. */
void fault_raise(struct cpu *cpu, uint64_t address, enum qy_fault_access access);

/* The current thread did something else that it may not; name is a static string. */
void fault_exception(struct cpu *cpu, const char *name, uint64_t number);

/* The handler of a waiting thread has gone, or never answers: the thread ends, and the console says
 * why. */
void fault_lost(struct thread *thread, const char *why) QY_REQUIRES(qy_class_caps);

#endif
