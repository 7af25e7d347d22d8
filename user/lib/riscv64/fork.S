/*
 * Save and load what a function keeps for its caller (RISC-V calling conventions, integer registers): s0 to s11, sp, ra.
 */
    .text
    .global fork_save
    .type fork_save, @function
fork_save:
    sd s0, 0(a0)
    sd s1, 8(a0)
    sd s2, 16(a0)
    sd s3, 24(a0)
    sd s4, 32(a0)
    sd s5, 40(a0)
    sd sp, 48(a0)
    sd ra, 56(a0)
    sd s6, 64(a0)
    sd s7, 72(a0)
    sd s8, 80(a0)
    sd s9, 88(a0)
    sd s10, 96(a0)
    sd s11, 104(a0)
    li a0, 0
    ret
    .size fork_save, . - fork_save

    .global fork_load
    .type fork_load, @function
fork_load:
    ld s0, 0(a0)
    ld s1, 8(a0)
    ld s2, 16(a0)
    ld s3, 24(a0)
    ld s4, 32(a0)
    ld s5, 40(a0)
    ld sp, 48(a0)
    ld ra, 56(a0)
    ld s6, 64(a0)
    ld s7, 72(a0)
    ld s8, 80(a0)
    ld s9, 88(a0)
    ld s10, 96(a0)
    ld s11, 104(a0)
    li a0, 1
    ret
    .size fork_load, . - fork_load

    .section .note.GNU-stack, "", @progbits
