/*
 * First instructions of a program on x86-64: the kernel passes one argument in rdi and a stack pointer. The rest of
 * the start is C: program_begin (program.c) calls main and never returns.
 */
    .section .text.start, "ax"
    .global _start
    .type _start, @function
_start:
    xor %ebp, %ebp              /* the chain of frame pointers ends here */
    and $-16, %rsp
    call program_begin
    ud2
    .size _start, . - _start

    .section .note.GNU-stack, "", @progbits
