/*
 * First instructions of a program on RISC-V: the kernel passes one argument in a0 and a stack pointer. The rest of
 * the start is C: program_begin (program.c) calls main and never returns.
 */
    .option norelax
    .section .text.start, "ax"
    .global _start
    .type _start, @function
_start:
    li fp, 0                    /* the chain of frame pointers ends here */
    li ra, 0
    andi sp, sp, -16
    call program_begin
    unimp
    .size _start, . - _start

    .section .note.GNU-stack, "", @progbits
