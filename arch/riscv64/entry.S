/*
 * The first instructions: from the firmware's physical addresses to C at the kernel's virtual ones, for the boot hart
 * and for those that it starts.
 *
 *     image + 0    _start            OpenSBI and every loader of ELF files: a0 = hart, a1 = device tree
 *     image + 8    header            magic, offset of the next entry, size in memory
 *     image + 64   _start_uefi       our UEFI application: a2 = struct riscv_handoff as well
 *
 * Until the jump to boot_virtual every address is relative to the program counter, so the image runs at whatever
 * multiple of 2 MiB it was loaded to. Boot tables:
 *
 *     0x0000000000000000  512 GiB  physical memory, one page: this code goes on running here
 *     0xffff800000000000  512 GiB  physical memory, one page, not executable: the direct map's first part
 *     0xffffffff80000000           the image, in pages of 2 MiB; the page below the boot stack is left out
 */
#include "riscv.h"

    .section .text.entry, "ax"
    .option push
    .option norvc
    .globl _start
_start:
    li a2, 0 /* whatever the firmware left there */
    j begin
    .org _start + IMAGE_HEADER
    .dword IMAGE_MAGIC
    .dword IMAGE_UEFI_ENTRY
    .dword kernel_image_bytes
    .org _start + IMAGE_UEFI_ENTRY
    .globl _start_uefi
_start_uefi:
    j begin
    .option pop

begin:
    csrw sie, zero
    csrw satp, zero
    lla t1, boot_claimed
    li t0, 1
    amoswap.w.aq t0, t0, (t1)
    bnez t0, riscv_secondary_entry
    li t0, RISCV_SSTATUS_SIE | RISCV_SSTATUS_SUM | RISCV_SSTATUS_MXR | RISCV_SSTATUS_FS | RISCV_SSTATUS_VS
    csrc sstatus, t0
    mv s1, a0
    mv s2, a1
    mv s3, a2
    lla s4, _start /* s4 = physical address of the image */
    slli t0, s4, 64 - 21
    lla a0, misaligned_text
    bnez t0, stop

    lla t0, kernel_bss_start
    lla t1, kernel_data_end
1:  sd zero, (t0)
    addi t0, t0, 8
    bltu t0, t1, 1b

    lla s5, boot_root
    lla s6, boot_table_3
    lla t2, boot_table_2
    li t0, RISCV_PTE_RWX
    sd t0, 0(s5)
    li t0, RISCV_PTE_RW
    li t1, 256 * 8
    add t1, s5, t1
    sd t0, (t1)
    srli t0, s6, 2
    ori t0, t0, RISCV_PTE_TABLE
    li t1, 511 * 8
    add t1, s5, t1
    sd t0, (t1)
    srli t0, t2, 2
    ori t0, t0, RISCV_PTE_TABLE
    li t1, 510 * 8
    add t1, s6, t1
    sd t0, (t1)

    srli t0, s4, 2
    ori t0, t0, RISCV_PTE_RWX
    li t3, 0x200000 >> 2
    lla t1, kernel_data_end
    srli t4, t1, 2
2:  sd t0, (t2)
    addi t2, t2, 8
    add t0, t0, t3
    bltu t0, t4, 2b

    /* The 2 MiB around the boot stack in small pages, without its guard page. */
    lla t2, boot_table_2
    lla t3, boot_table_1
    lla t4, boot_guard
    sub t4, t4, s4
    srli t0, t4, 21
    slli t0, t0, 3
    add t2, t2, t0
    ld t0, (t2)
    srli t1, t3, 2
    ori t1, t1, RISCV_PTE_TABLE
    sd t1, (t2)
    li t1, 512
1:  sd t0, (t3)
    addi t3, t3, 8
    addi t0, t0, 4096 >> 2
    addi t1, t1, -1
    bnez t1, 1b
    lla t3, boot_table_1
    slli t4, t4, 64 - 21
    srli t4, t4, 64 - 21 + 12
    slli t4, t4, 3
    add t3, t3, t4
    sd zero, (t3)

    li a4, RISCV_SATP_SV48
    srli t0, s5, 12
    li t1, RISCV_SATP_SV48 << RISCV_SATP_MODE_SHIFT
    or t0, t0, t1
    sfence.vma
    csrw satp, t0
    sfence.vma
    csrr t1, satp /* a mode that the CPU lacks leaves the register as it was (4.1.11) */
    beq t0, t1, 4f

    /* With 39 bits the same table of level 3 serves as the root, to reach the C code that says what is missing. */
    li a4, RISCV_SATP_SV39
    mv t2, s6
    li t0, RISCV_PTE_RWX
    li t3, 0x40000000 >> 2
    addi t4, t2, 256 * 4
    addi t4, t4, 256 * 4
3:  sd t0, (t2)
    addi t2, t2, 8
    add t0, t0, t3
    bltu t2, t4, 3b
    srli t0, s6, 12
    li t1, RISCV_SATP_SV39 << RISCV_SATP_MODE_SHIFT
    or t0, t0, t1
    csrw satp, t0
    sfence.vma
    csrr t1, satp
    lla a0, paging_text
    bne t0, t1, stop

4:  ld t0, boot_virtual_address
    jr t0
boot_virtual:
    lla sp, riscv_boot_stack_top
    lla t0, riscv_trap_vector
    csrw stvec, t0
    csrw sscratch, zero
    li tp, 0
    li fp, 0
    mv a0, s1
    mv a1, s2
    mv a2, s3
    mv a3, s4
    call riscv_boot
    unimp

/* void riscv_start_over(hart, fdt_address, handoff_address, image_base, paging_mode, distance): the image has moved. */
    .globl riscv_start_over
riscv_start_over:
    mv s1, a0
    mv s2, a1
    mv s3, a2
    mv s4, a3
    fence.i
    lla t0, boot_virtual
    add t0, t0, a5
    jr t0

/* Say a0 through the firmware's first console call, switch off. Reached without paging only. */
stop:
    mv s1, a0
1:  lbu a0, (s1)
    beqz a0, 2f
    li a7, 1 /* legacy console putchar */
    ecall
    addi s1, s1, 1
    j 1b
2:  li a7, 0x53525354 /* system reset extension: shutdown, system failure */
    li a6, 0
    li a0, 0
    li a1, 1
    ecall
3:  wfi
    j 3b

    .balign 8
boot_virtual_address:
    .dword boot_virtual

/*
 * A further hart: a0 = hart; no paging. Its struct riscv_start is where riscv_start_now says, not in a1: OpenSBI 1.1
 * marks a hart as starting before it has stored where and with what, so that one that is on its way already may
 * come here by _start, with any a1. A hart for which the block is not has been given up, and stays here.
 *
 * The kernel's tables map nothing at physical addresses, so the fetch after the write of satp faults: stvec already
 * holds the virtual address where to go on.
 */
    .globl riscv_secondary_entry
    .balign 4
riscv_secondary_entry:
    csrw sie, zero
    lla t0, riscv_start_now
    ld a1, (t0)
    beqz a1, 2f
    ld t0, START_HART(a1)
    bne t0, a0, 2f
    ld t0, START_SATP(a1)
    ld tp, START_CPU(a1)
    ld sp, START_STACK(a1)
    ld t1, START_ENTRY(a1)
    csrw stvec, t1
    sfence.vma
    csrw satp, t0
1:  j 1b
2:  wfi
    j 2b

    .globl riscv_secondary_virtual
    .balign 4
riscv_secondary_virtual:
    sfence.vma
    lla t0, riscv_trap_vector
    csrw stvec, t0
    csrw sscratch, zero
    li fp, 0
    mv a0, tp
    call riscv_secondary
    unimp

/* void arch_switch_stack(uint64_t top, void (*function)(void *), void *argument) */
    .text
    .globl arch_switch_stack
arch_switch_stack:
    mv sp, a0
    mv t0, a1
    mv a0, a2
    li fp, 0
    li ra, 0
    jr t0

    .section .rodata
misaligned_text:
    .string "quarry: stop: the image was not loaded to a multiple of 2 MiB; correct the boot loader\r\n"
paging_text:
    .string "quarry: stop: this CPU has no Sv48 paging; use one whose mmu-type is riscv,sv48\r\n"

    .data
    .balign 8
    .globl riscv_start_now
riscv_start_now: /* physical address of the struct riscv_start of the hart being started */
    .dword 0
boot_claimed: /* the boot hart has come by */
    .dword 0

    .section .bss
    .balign 4096
boot_root:
    .skip 4096
boot_table_3:
    .skip 4096
boot_table_2:
    .skip 4096
boot_table_1:
    .skip 4096
    .globl boot_table_2, boot_moved_tables, boot_guard
boot_moved_tables:
    .skip IMAGE_TABLES * 4096
boot_guard:
    .skip 4096
    .globl riscv_boot_stack, riscv_boot_stack_top, riscv_emergency_stack_top
riscv_boot_stack:
    .skip BOOT_STACK_BYTES
riscv_boot_stack_top:
    .skip EMERGENCY_STACK_BYTES
riscv_emergency_stack_top:
