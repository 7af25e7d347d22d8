/*
 * TLB shootdown (kernel/smp/shootdown.c).
 */
#ifndef KERNEL_SHOOTDOWN_H
#define KERNEL_SHOOTDOWN_H

#include <kernel/cpu.h>
#include <qy/types.h>

/*
 * Once it returns, no CPU uses an older translation of `pages` 4 KiB pages from address in that
 * space; pages = 0: of the whole space. The entries have been changed before. Called with
 * interrupts off and without locks; the caller sees to it that the space stays (a pin).
 */
void shootdown(struct space *space, vaddr_t address, uint64_t pages)
    QY_EXCLUDES(qy_class_caps, qy_class_sched, qy_class_space);

/* Do what other CPUs have asked of this one. */
void shootdown_answer(struct cpu *cpu);

#endif
