/*
 * First instructions on x86-64: two 32-bit entries (PVH and Multiboot2), one way into 64-bit mode.
 *
 * PVH (Xen's start of day, ebx = hvm_start_info) and Multiboot2 (specification 2.0, section 3.3; eax = magic,
 * ebx = information) both enter in protected mode with flat segments and paging off.
 *
 * Boot tables: 2 MiB pages, the first 4 GiB both at 0 and in the direct map's window, the image's first GiB at its
 * virtual address. The identity half goes away with the final tables; further CPUs pass through these tables too.
 */
#include "x86.h"

    .section .boot.header, "a"
    .align 8
multiboot2_header:
    .long 0xe85250d6, 0, multiboot2_end - multiboot2_header
    .long -(0xe85250d6 + (multiboot2_end - multiboot2_header))
    .short 6, 0             /* modules aligned to pages */
    .long 8
    .short 0, 0
    .long 8
multiboot2_end:

    .section .note.pvh, "a", @note
    .align 4
    .long 4, 8, 18          /* name and descriptor sizes, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .quad boot_pvh

    .section .boot.text, "ax"
    .code32
    .globl boot_pvh, boot_multiboot2
boot_pvh:
    movl $0, %esi
    jmp boot_common
boot_multiboot2:
    movl %eax, %esi
boot_common:
    cli
    cld
    movl $boot_stack_top, %esp
    movl %ebx, %edi         /* edi = information, esi = 0 or the Multiboot2 magic */

    movl $boot_bss_start, %ebx
1:  movl $0, (%ebx)
    addl $4, %ebx
    cmpl $boot_stack_bottom, %ebx
    jb 1b

    pushl %esi
    pushl %edi
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb no_long_mode
    movl $0x80000001, %eax
    cpuid
    btl $29, %edx
    jnc no_long_mode
    popl %edi
    popl %esi

    /* Four tables of 2 MiB pages: physical 0 .. 4 GiB. */
    movl $boot_pd, %ebx
    movl $0x83, %eax
    movl $2048, %ecx
2:  movl %eax, (%ebx)
    addl $0x200000, %eax
    addl $8, %ebx
    loop 2b
    movl $boot_pd + 3, %eax
    movl %eax, boot_pdpt
    addl $4096, %eax
    movl %eax, boot_pdpt + 8
    addl $4096, %eax
    movl %eax, boot_pdpt + 16
    addl $4096, %eax
    movl %eax, boot_pdpt + 24
    /* The image: 512 pages of 2 MiB from its load address. */
    movl $boot_image_pd, %ebx
    movl $kernel_boot_start + 0x83, %eax
    movl $512, %ecx
3:  movl %eax, (%ebx)
    addl $0x200000, %eax
    addl $8, %ebx
    loop 3b
    movl $boot_image_pd + 3, boot_image_pdpt + 510 * 8
    movl $boot_pdpt + 3, boot_pml4
    movl $boot_pdpt + 3, boot_pml4 + 256 * 8
    movl $boot_image_pdpt + 3, boot_pml4 + 511 * 8

    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $X86_CR4_PAE, %eax
    movl %eax, %cr4
    movl $X86_MSR_EFER, %ecx
    rdmsr
    orl $X86_EFER_LME, %eax
    wrmsr
    movl %cr0, %eax
    andl $~(X86_CR0_EM | X86_CR0_TS), %eax
    orl $(X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_MP), %eax
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmpl $X86_KERNEL_CS, $boot_64

/* In 32-bit mode there is only the serial port to say it. */
no_long_mode:
    movl $no_long_mode_text, %esi
4:  lodsb
    testb %al, %al
    jz 6f
    movb %al, %bl
    movw $0x3fd, %dx
5:  inb %dx, %al
    testb $0x20, %al
    jz 5b
    movb %bl, %al
    movw $0x3f8, %dx
    outb %al, %dx
    jmp 4b
6:  movl $0x11, %eax
    movw $0xf4, %dx
    outl %eax, %dx
7:  hlt
    jmp 7b

    .code64
boot_64:
    movl $X86_KERNEL_SS, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movabsq $boot_high, %rax
    jmp *%rax

    .section .boot.data, "aw"
no_long_mode_text:
    .asciz "quarry: stop: this CPU has no 64-bit mode; Quarry needs an x86-64 processor\r\nquarry: exit 1\r\n"
    .align 16
    .globl boot_gdt
boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
    .globl boot_gdt_pointer
boot_gdt_pointer:
    .short 23
    .long boot_gdt
    .long 0

    .section .boot.bss, "aw", @nobits
    .align 4096
boot_bss_start:
    .globl boot_pml4
boot_pml4:
    .skip 4096
boot_pdpt:
    .skip 4096
boot_image_pdpt:
    .skip 4096
boot_image_pd:
    .skip 4096
boot_pd:
    .skip 4 * 4096
    .globl boot_image_pd, boot_moved_pts
boot_moved_pts:
    .skip IMAGE_TABLES * 4096
boot_stack_bottom:
    .skip 256
boot_stack_top:

    .text
boot_high:
    movq $boot_c_stack_top, %rsp
    xorl %ebp, %ebp
    movl %edi, %edi
    movl %esi, %esi
    call arch_boot
    ud2

/* void x86_start_over(information, magic): the image has been moved, and so has each address that it holds. */
    .globl x86_start_over
x86_start_over:
    movq $boot_high, %rax
    jmp *%rax

    .bss
    .align 4096
    .skip 16384
boot_c_stack_top:

/*
 * Where a further CPU begins, copied to a page below 1 MiB (INIT-SIPI: real mode, cs = page << 8, ip = 0).
 * Its data at X86_TRAMPOLINE_DATA: 0 root of the final tables, 8 stack top, 16 struct cpu, 24 low byte of the APIC id of
 * the CPU that it is for. Another one, given up and late, stays here.
 */
    .section .rodata
    .globl trampoline_start, trampoline_end
    .code16
    .align 16
trampoline_start:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    movzwl %ax, %ebx
    shll $4, %ebx           /* ebx = physical address of the page */
    leal (trampoline_32 - trampoline_start)(%ebx), %eax
    movl %eax, trampoline_jump32 - trampoline_start
    leal (trampoline_64 - trampoline_start)(%ebx), %eax
    movl %eax, trampoline_jump64 - trampoline_start
    leal (trampoline_gdt - trampoline_start)(%ebx), %eax
    movl %eax, trampoline_gdt_pointer + 2 - trampoline_start
    lgdtl trampoline_gdt_pointer - trampoline_start
    movl $X86_CR0_PE, %eax
    movl %eax, %cr0
    .byte 0x66, 0xff, 0x2e  /* ljmpl *trampoline_jump32 */
    .short trampoline_jump32 - trampoline_start
    .code32
trampoline_32:
    movl $X86_KERNEL_SS, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl $X86_CR4_PAE, %eax
    movl %eax, %cr4
    movl $X86_MSR_EFER, %ecx
    rdmsr
    orl $X86_EFER_LME, %eax
    wrmsr
    movl $(X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_MP | X86_CR0_PE), %eax
    movl %eax, %cr0
    ljmpl *(trampoline_jump64 - trampoline_start)(%ebx)
    .code64
trampoline_64:
    movl %ebx, %ebx
    movabsq $trampoline_high, %rax
    jmp *%rax
    .align 8
trampoline_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
    .quad 0x00cf9b000000ffff /* 0x18: 32-bit code, on the way */
trampoline_gdt_pointer:
    .short 31
    .long 0
    .align 8
trampoline_jump32:
    .long 0
    .short 0x18
    .align 8
trampoline_jump64:
    .long 0
    .short X86_KERNEL_CS
trampoline_end:

    .text
trampoline_high:
    movl %ebx, %esi
    movl $1, %eax
    cpuid
    shrl $24, %ebx
    cmpl %ebx, X86_TRAMPOLINE_DATA + 24(%rsi)
    je 1f
0:  hlt
    jmp 0b
1:
    movl $X86_MSR_EFER, %ecx /* the final tables have NX bits; the boot CPU has checked that there is NX */
    rdmsr
    orl $X86_EFER_NXE, %eax
    wrmsr
    movq X86_TRAMPOLINE_DATA + 8(%rsi), %rsp
    movq X86_TRAMPOLINE_DATA + 16(%rsi), %rdi
    movq X86_TRAMPOLINE_DATA(%rsi), %rax
    movq %rax, %cr3         /* the page of the trampoline is gone from here on */
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    xorl %ebp, %ebp
    call x86_cpu_started
    ud2

    .section .note.GNU-stack, "", @progbits
