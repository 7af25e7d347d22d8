/*
 * Tags and TLB shootdown in the kernel (kernel/smp/shootdown.c); the protocol is qy/tlb.h's.
 */
#ifndef KERNEL_SHOOTDOWN_H
#define KERNEL_SHOOTDOWN_H

#include <kernel/cpu.h>

extern struct qy_tlb kernel_tlb;

/* Before the first space is loaded. */
void shootdown_init(paddr_t kernel_root);

/*
 * Once it returns, no CPU uses what was gathered of that space. The entries have been changed
 * before. Called with interrupts off and without locks; the caller sees to it that the space stays
 * (a pin).
 */
void shootdown(struct space *space, struct qy_tlb_gather *gather)
    QY_EXCLUDES(qy_class_caps, qy_class_sched, qy_class_space);

/* Do what other CPUs have asked of this one. */
void shootdown_answer(struct cpu *cpu);

#endif
