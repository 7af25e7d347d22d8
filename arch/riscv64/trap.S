/*
 * Traps: registers into the thread's frame or onto the kernel stack, C, and back.
 *
 *     where           tp                 sscratch
 *     user mode       the program's      struct cpu *
 *     kernel          struct cpu *       0
 *
 * From user mode all registers go to cpu->frame, and the stack begins anew at cpu->stack_top: the kernel keeps nothing
 * there. A trap in the kernel (a fault in a copy routine, or the end) is saved on the kernel stack, once the stack
 * pointer is known to be good: if it has run into the guard pages, or is anything else, the registers go to the fault
 * stack, so that an overflow is reported and never recurses.
 */
#include "riscv.h"

    .macro each_saved op
    \op x1, FRAME_X(1)(sp)
    \op x3, FRAME_X(3)(sp)
    .irp n, 5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    \op x\n, FRAME_X(\n)(sp)
    .endr
    .endm

    .text
    .globl riscv_trap_vector
    .balign 4
riscv_trap_vector:
    csrrw tp, sscratch, tp
    beqz tp, from_kernel

    sd sp, CPU_SCRATCH(tp)
    ld sp, CPU_FRAME(tp)
    each_saved sd
    ld t0, CPU_SCRATCH(tp)
    csrrw t1, sscratch, zero
    csrr t2, sepc
    csrr t3, sstatus
    sd t0, FRAME_X(2)(sp)
    sd t1, FRAME_X(4)(sp)
    sd t2, FRAME_SEPC(sp)
    sd t3, FRAME_SSTATUS(sp)
    ld sp, CPU_STACK_TOP(tp)
    li fp, 0
    mv a0, tp
    call riscv_trap_user
    mv a1, a0
    mv a0, tp

/* void arch_resume(struct cpu *cpu, struct arch_frame *frame) */
    .globl arch_resume
arch_resume:
    mv sp, a1
    sd sp, CPU_FRAME(a0)
    csrw sscratch, a0
    ld t0, FRAME_SEPC(sp)
    ld t1, FRAME_SSTATUS(sp)
    /* A reservation must not outlive the thread that made it (Unprivileged Architecture, 8.2): a store that fails or
     * writes back what is there ends it. */
    sc.d zero, t0, (sp)
    csrw sepc, t0
    csrw sstatus, t1
    ld tp, FRAME_X(4)(sp)
    each_saved ld
    ld sp, FRAME_X(2)(sp)
    sret

/* The kernel's tp is in sscratch, so tp is free. */
from_kernel:
    /* Bits 47..44 tell the heap window, where the stacks are, from the image, where the boot stack is. */
    addi tp, sp, -FRAME_BYTES
    slli tp, tp, 16
    srli tp, tp, 60
    addi tp, tp, -HEAP_NIBBLE
    bnez tp, on_boot_stack
    /* The top quarter of a slot of 64 KiB is the stack. */
    addi tp, sp, -FRAME_BYTES
    srli tp, tp, STACK_SHIFT
    andi tp, tp, 3
    addi tp, tp, -3
    bnez tp, bad_stack
save:
    addi sp, sp, -FRAME_BYTES
    each_saved sd
    addi t0, sp, FRAME_BYTES
save_rest:
    csrrw tp, sscratch, zero
    csrr t1, sepc
    csrr t2, sstatus
    csrr t3, scause
    csrr t4, stval
    sd t0, FRAME_X(2)(sp)
    sd tp, FRAME_X(4)(sp)
    sd t1, FRAME_SEPC(sp)
    sd t2, FRAME_SSTATUS(sp)
    sd t3, FRAME_SCAUSE(sp)
    sd t4, FRAME_STVAL(sp)
    mv a0, sp
    call riscv_trap_kernel

    ld t0, FRAME_SEPC(sp)
    ld t1, FRAME_SSTATUS(sp)
    csrw sepc, t0
    csrw sstatus, t1
    each_saved ld
    ld sp, FRAME_X(2)(sp)
    sret

on_boot_stack:
    lla tp, riscv_boot_stack + FRAME_BYTES
    bltu sp, tp, bad_stack
    lla tp, riscv_emergency_stack_top
    bgeu tp, sp, save

bad_stack:
    csrr tp, sscratch
    beqz tp, no_cpu
    sd sp, CPU_SCRATCH(tp)
    ld sp, CPU_STACK_TOP(tp)
    lui tp, (1 << STACK_SLOT_SHIFT) >> 12
    add sp, sp, tp /* the fault stack is in the slot above */
    addi sp, sp, -FRAME_BYTES
    each_saved sd
    csrr t0, sscratch
    ld t0, CPU_SCRATCH(t0)
    j save_rest
/* Before arch_cpu_init there is one CPU and one stack of last resort. */
no_cpu:
    mv tp, sp
    lla sp, riscv_emergency_stack_top
    addi sp, sp, -FRAME_BYTES
    each_saved sd
    mv t0, tp
    j save_rest
