/*
 * What the kernel stores for this architecture: saved registers, and the descriptor tables of a
 * CPU.
 */
#ifndef ARCH_TYPES_H
#define ARCH_TYPES_H

#include <stdint.h>

/*
 * Registers of a thread, in the order in which an interrupt from user mode pushes them: the CPU
 * from the top (ss .. rip, error), the entry code the rest. cpu->frame points at the first, the
 * task state segment's rsp0 one past the last, so that the CPU itself saves into the thread.
 */
struct arch_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector; /* ARCH_VECTOR_CALL if it came by syscall */
    uint64_t error;
    uint64_t rip, cs, rflags, rsp, ss;
} __attribute__((aligned(16)));

#define ARCH_VECTOR_CALL 0x100

#define ARCH_INTERRUPTS 192 /* lines of devices */

struct x86_tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map;
} __attribute__((packed));

struct arch_cpu {
    uint64_t gdt[8];
    struct x86_tss tss;
    uint64_t pointer; /* what the base of fs is, unless a program has made it 0 by loading fs */
};

#endif
