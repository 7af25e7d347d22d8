/*
 * Save and load what a function keeps for its caller (System V ABI, AMD64 supplement, 3.2.1): rbx, rbp, r12 to r15, the
 * stack as it is after the return, and where to return.
 */
    .text
    .global fork_save
    .type fork_save, @function
fork_save:
    mov %rbx, (%rdi)
    mov %rbp, 8(%rdi)
    mov %r12, 16(%rdi)
    mov %r13, 24(%rdi)
    mov %r14, 32(%rdi)
    mov %r15, 40(%rdi)
    lea 8(%rsp), %rax
    mov %rax, 48(%rdi)
    mov (%rsp), %rax
    mov %rax, 56(%rdi)
    xor %eax, %eax
    ret
    .size fork_save, . - fork_save

    .global fork_load
    .type fork_load, @function
fork_load:
    mov (%rdi), %rbx
    mov 8(%rdi), %rbp
    mov 16(%rdi), %r12
    mov 24(%rdi), %r13
    mov 32(%rdi), %r14
    mov 40(%rdi), %r15
    mov 48(%rdi), %rsp
    mov $1, %eax
    jmp *56(%rdi)
    .size fork_load, . - fork_load

    .section .note.GNU-stack, "", @progbits
