/*
 * The only code of the kernel that touches user memory, one copy routine, and registers that may not answer.
 *
 * sstatus.SUM, without which the CPU refuses the kernel's accesses to user pages, is set only here. A fault on a user
 * address between riscv_copy_start and riscv_copy_end goes on at riscv_copy_failed (trap.c). No stack is used.
 */
#include "riscv.h"

    .text
    .globl riscv_copy, riscv_copy_start, riscv_copy_end, riscv_copy_failed
/* bool (void *destination, const void *source, size_t bytes): true if all was copied */
riscv_copy_start:
riscv_copy:
    li t6, RISCV_SSTATUS_SUM
    csrs sstatus, t6
    add a3, a0, a2 /* end of the destination */
    or t0, a0, a1
    andi t0, t0, 7
    bnez t0, 3f
    andi t0, a2, -32
    add a4, a0, t0
    beq a0, a4, 2f
1:  ld t0, 0(a1)
    ld t1, 8(a1)
    ld t2, 16(a1)
    ld t3, 24(a1)
    sd t0, 0(a0)
    sd t1, 8(a0)
    sd t2, 16(a0)
    sd t3, 24(a0)
    addi a0, a0, 32
    addi a1, a1, 32
    bltu a0, a4, 1b
2:  andi t0, a2, 24
    add a4, a0, t0
    beq a0, a4, 3f
4:  ld t0, (a1)
    sd t0, (a0)
    addi a0, a0, 8
    addi a1, a1, 8
    bltu a0, a4, 4b
3:  beq a0, a3, 6f
5:  lbu t0, (a1)
    sb t0, (a0)
    addi a0, a0, 1
    addi a1, a1, 1
    bltu a0, a3, 5b
6:  li a0, 1
    csrc sstatus, t6
    ret
riscv_copy_end:

riscv_copy_failed:
    li a0, 0
    li t6, RISCV_SSTATUS_SUM
    csrc sstatus, t6
    ret

/*
 * Registers of programs' devices: where none answers the bus says so, and the access goes on at riscv_register_failed.
 * bool read(address, width, uint32_t *value), bool write(address, width, value)
 */
    .globl riscv_register_read, riscv_register_write, riscv_register_start, riscv_register_end, riscv_register_failed
riscv_register_start:
riscv_register_read:
    addi a1, a1, -2
    beqz a1, 2f
    bltz a1, 1f
    lwu t0, (a0)
    j 3f
1:  lbu t0, (a0)
    j 3f
2:  lhu t0, (a0)
3:  sw t0, (a2)
    li a0, 1
    ret

riscv_register_write:
    addi a1, a1, -2
    beqz a1, 2f
    bltz a1, 1f
    sw a2, (a0)
    j 3f
1:  sb a2, (a0)
    j 3f
2:  sh a2, (a0)
3:  li a0, 1
    ret
riscv_register_end:

riscv_register_failed:
    li a0, 0
    ret
