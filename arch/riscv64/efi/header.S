/*
 * The head of BOOTRISCV64.EFI: a PE32+ file written by hand (Microsoft PE and COFF Specification 11, sections 2 to 4),
 * since neither linker writes that format for RISC-V.
 *
 *     file offset = address relative to the image
 *     0x0000   DOS, COFF and optional header, section table
 *     0x1000   .text    read and execute
 *     ...      .data    read and write: constants, data, bss, the kernel, the boot archive
 *
 * There are no base relocations because nothing needs any: code and data find each other relative to the program
 * counter, and no constant holds an address.
 */
    .section .header, "a"
    .globl image_start
image_start:
    .ascii "MZ"
    .org 0x3c
    .4byte pe_header - image_start
pe_header:
    .ascii "PE\0\0"
    /* COFF */
    .2byte 0x5064 /* RISC-V, 64 bits */
    .2byte 2      /* sections */
    .4byte 0, 0, 0
    .2byte section_table - optional_header
    .2byte 0x022e /* executable, no line numbers, no symbols, large addresses, no debug data */
optional_header:
    .2byte 0x20b  /* PE32+ */
    .byte 0, 0
    .4byte efi_text_bytes
    .4byte efi_data_bytes
    .4byte 0
    .4byte efi_entry_offset
    .4byte efi_text_offset
    .8byte 0      /* preferred base */
    .4byte 0x1000 /* alignment in memory */
    .4byte 0x200  /* alignment in the file */
    .2byte 0, 0, 0, 0, 0, 0
    .4byte 0
    .4byte efi_image_bytes
    .4byte efi_text_offset /* bytes of headers */
    .4byte 0
    .2byte 10     /* UEFI application */
    .2byte 0
    .8byte 0, 0, 0, 0
    .4byte 0
    .4byte 16     /* data directories, all empty */
    .fill 16, 8, 0
section_table:
    .ascii ".text\0\0\0"
    .4byte efi_text_bytes, efi_text_offset, efi_text_bytes, efi_text_offset
    .4byte 0, 0, 0
    .4byte 0x60000020 /* code, execute, read */
    .ascii ".data\0\0\0"
    .4byte efi_data_bytes, efi_data_offset, efi_data_bytes, efi_data_offset
    .4byte 0, 0, 0
    .4byte 0xc0000040 /* initialised data, read, write */

/* _Noreturn void efi_jump(entry, hart, fdt, handoff): into the kernel, whose instructions were written as data. */
    .text
    .globl efi_jump
efi_jump:
    csrw sie, zero
    csrci sstatus, 2
    fence.i
    mv t0, a0
    mv a0, a1
    mv a1, a2
    mv a2, a3
    jr t0
