/*
 * Preemption points: where a long call lets interrupts in.
 *
 *     call --- step, step ... step ---o--- step ... ---o---- end
 *                                     no lock: timers, devices, other CPUs' requests
 *
 * The kernel runs with interrupts off. A call whose length depends on what it is about (revoke, delete, zeroing a
 * large frame) works in steps of bounded length, and comes by such a point between them, without locks. What an
 * interrupt does there it could do on any other CPU at that moment: it signals, wakes, answers, and asks for a choice
 * of thread at the call's end. So interrupts wait for one stretch at most, and threads of this CPU for the call.
 *
 * Stretches of all calls and page faults are measured but those of the fast path of messages, and for each kind of entry
 * the longest is kept, in the clock's ticks, which under an emulator that counts are instructions. Waiting for a lock is
 * part of a stretch.
 */
#ifndef KERNEL_PREEMPT_H
#define KERNEL_PREEMPT_H

#include <kernel/cpu.h>
#include <kernel/cap.h>

/* An entry of that kind begins, and a stretch with it; they end. */
void preempt_begin(struct cpu *cpu, unsigned kind);
void preempt_end(struct cpu *cpu);

/* The stretch begins here: what was before stops the machine on purpose. */
void preempt_forgive(struct cpu *cpu);

/* One ends, interrupts that are pending are taken, another begins. */
void preempt_point(struct cpu *cpu) QY_EXCLUDES(qy_class_caps, qy_class_sched, qy_class_space);

#endif
