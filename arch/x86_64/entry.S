/*
 * Kernel entries: exceptions, interrupts, calls, and the way back to a program.
 *
 * From user mode everything is saved in the current thread's struct arch_frame (see arch_types.h), then the CPU's
 * one kernel stack is used from its top. In kernel mode the same frame is pushed on the stack in use. A call returns by
 * sysret, anything else by iret; trap.c sees to it that the return address is canonical.
 */
#include "x86.h"

    .text

    .macro SAVE_REGISTERS
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rbx
    pushq %rbp
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    .endm

    /* Except what the caller restores itself. */
    .macro RESTORE_REGISTERS
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rbp
    popq %rbx
    popq %rdx
    popq %rcx
    popq %rax
    .endm

    /* An interrupt gate leaves AC as the program set it, which would turn SMAP off for the kernel, and DF. */
    .macro CLEAN_FLAGS
    pushq $2
    popfq
    .endm

/* One stub of 16 bytes a vector; those for which the CPU pushes no error code push 0. */
    .align 16
    .globl x86_stubs
x86_stubs:
    vector = 0
    .rept 256
    .align 16
    .if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
    .else
    pushq $0
    .endif
    pushq $vector
    .if (vector == 2) || (vector == 8) || (vector == 18)
    jmp trap_own_stack
    .else
    jmp trap_common
    .endif
    vector = vector + 1
    .endr

/* NMI, double fault, machine check: stacks of their own, at any instruction, so gs may be either. */
trap_own_stack:
    SAVE_REGISTERS
    CLEAN_FLAGS
    movl $X86_MSR_GS_BASE, %ecx
    rdmsr
    xorl %ebx, %ebx
    testl %edx, %edx
    js 1f                   /* kernel addresses are negative */
    swapgs
    incl %ebx
1:  movq %rsp, %rdi
    call x86_trap_own_stack
    testl %ebx, %ebx
    jz 2f
    swapgs
2:  movq %rsp, %rdi
    jmp restore_iret

trap_common:
    SAVE_REGISTERS
    CLEAN_FLAGS
    movq %rsp, %rdi
    testb $3, 144(%rdi)     /* cs */
    jz trap_in_kernel
    swapgs
    movq %gs:CPU_STACK_TOP, %rsp
    movq %gs:0, %rsi
    xorl %ebp, %ebp
    call x86_trap_user
    movq %rax, %rdi
    jmp x86_restore_user

trap_in_kernel:
    movq %rdi, %rbx
    call x86_trap_kernel
    movq %rbx, %rdi
restore_iret:
    movq %rdi, %rsp
    RESTORE_REGISTERS
    addq $16, %rsp
    iretq

    .globl x86_syscall
    .align 16
x86_syscall:
    swapgs
    movq %rsp, %gs:CPU_SCRATCH
    movq %gs:CPU_FRAME, %rsp
    addq $FRAME_BYTES, %rsp
    pushq $X86_USER_SS
    pushq %gs:CPU_SCRATCH
    pushq %r11
    pushq $X86_USER_CS
    pushq %rcx
    pushq $0
    pushq $0x100
    SAVE_REGISTERS
    movq %gs:CPU_STACK_TOP, %rsp
    movq %gs:0, %rdi
    xorl %ebp, %ebp
    call x86_call
    movq %rax, %rdi
    /* fall through */

/* rdi = frame; on the kernel's gs, interrupts off. */
    .globl x86_restore_user
x86_restore_user:
    movq %rdi, %rsp
    cmpl $0x100, 120(%rsp)  /* vector */
    jne 1f
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    addq $8, %rsp
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rbp
    popq %rbx
    popq %rdx
    addq $8, %rsp           /* rcx carries rip */
    popq %rax
    movq 16(%rsp), %rcx
    movq 32(%rsp), %r11
    movq 40(%rsp), %rsp
    swapgs
    sysretq
1:  RESTORE_REGISTERS
    addq $16, %rsp
    swapgs
    iretq

    .globl arch_switch_stack
arch_switch_stack:
    movq %rdi, %rsp
    movq %rsi, %rax
    movq %rdx, %rdi
    xorl %ebp, %ebp
    call *%rax
    ud2

/*
 * The only instructions that touch user memory. A fault between x86_copy_start and x86_copy_end goes on at
 * x86_copy_failed (trap.c). rdi = to, rsi = from, rdx = bytes; rax = bytes not copied.
 */
    .globl x86_copy, x86_copy_start, x86_copy_end, x86_copy_failed
x86_copy:
    movq %rdx, %rcx
x86_copy_start:
    rep movsb
x86_copy_end:
x86_copy_failed:
    movq %rcx, %rax
    ret

    .section .note.GNU-stack, "", @progbits
