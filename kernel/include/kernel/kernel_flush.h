/*
 * What changes in the kernel's own half: every CPU forgets everything, global translations too, without anybody
 * waiting (kernel/smp/kernel_flush.c).
 */
#ifndef KERNEL_KERNEL_FLUSH_H
#define KERNEL_KERNEL_FLUSH_H

#include <kernel/cpu.h>

/* Ask every CPU; the entries have been changed before. Returns a ticket. Under any lock. */
uint64_t kernel_flush_begin(void);

/* Has every CPU forgotten what it knew when that flush began? */
bool kernel_flush_done(uint64_t ticket);

/* Do what was asked of this CPU; part of shootdown_answer. */
void kernel_flush_answer(struct cpu *cpu);

#endif
