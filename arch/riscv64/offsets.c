/*
 * Compile-time checks of what assembler knows about structures of C.
 */
#include "riscv.h"

#include <arch/arch.h>

_Static_assert(offsetof(struct cpu, frame) == CPU_FRAME, "trap.S");
_Static_assert(offsetof(struct cpu, stack_top) == CPU_STACK_TOP, "trap.S");
_Static_assert(offsetof(struct cpu, scratch) == CPU_SCRATCH, "trap.S");
_Static_assert(offsetof(struct arch_frame, sepc) == FRAME_SEPC, "trap.S");
_Static_assert(offsetof(struct arch_frame, x[31]) == FRAME_X(31), "trap.S");
_Static_assert(offsetof(struct arch_frame, sstatus) == FRAME_SSTATUS, "trap.S");
_Static_assert(offsetof(struct arch_frame, scause) == FRAME_SCAUSE, "trap.S");
_Static_assert(offsetof(struct arch_frame, stval) == FRAME_STVAL, "trap.S");
_Static_assert(sizeof(struct arch_frame) == FRAME_BYTES, "trap.S");
_Static_assert(offsetof(struct riscv_start, satp) == START_SATP, "entry.S");
_Static_assert(offsetof(struct riscv_start, cpu) == START_CPU, "entry.S");
_Static_assert(offsetof(struct riscv_start, stack_top) == START_STACK, "entry.S");
_Static_assert(offsetof(struct riscv_start, entry) == START_ENTRY, "entry.S");
_Static_assert(offsetof(struct riscv_start, hart) == START_HART, "entry.S");
_Static_assert(sizeof(struct riscv_start) == sizeof(((struct cpu *)0)->arch.start), "smp.c");
_Static_assert(offsetof(struct cpu, arch) + sizeof(struct arch_cpu) <= QY_PAGE_BYTES,
               "the start block lies in the first page of a CPU's area");

/* The check of the stack pointer in trap.S. */
_Static_assert(KERNEL_STACK_SLOT_BYTES == 1 << STACK_SLOT_SHIFT, "trap.S");
_Static_assert(KERNEL_STACK_BYTES == 1 << STACK_SHIFT, "trap.S");
_Static_assert(STACK_SLOT_SHIFT == STACK_SHIFT + 2, "the stack is the top quarter of its slot");
_Static_assert(KERNEL_STACK_FAULT == KERNEL_STACK_MAIN + 1, "the fault stack is in the next slot");
#define X(NAME, first, last, what, flags)                                                          \
    enum { X_##NAME##_NIBBLE = (first##ull >> 44) & 15, X_##NAME##_SLOT = first##ull & 0xffff };
KERNEL_LAYOUT(X)
#undef X
_Static_assert(X_HEAP_NIBBLE == HEAP_NIBBLE && X_HEAP_SLOT == 0, "trap.S");
