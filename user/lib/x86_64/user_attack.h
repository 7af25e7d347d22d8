/*
 * Instructions that a program must not be able to execute, on x86-64.
 */
#ifndef USER_ATTACK_H
#define USER_ATTACK_H

#include <stdint.h>

struct forbidden {
    const char *what;
    void (*execute)(void);
};

/* Without UMIP the CPU tells everybody; then the attempt is to stop it instead. */
#define IF_UMIP(instruction)                                                                       \
    "movl $7, %%eax\n\txorl %%ecx, %%ecx\n\tcpuid\n\tbtl $2, %%ecx\n\tjc 1f\n\thlt\n1:\t" instruction

#define FORBIDDEN(X)                                                                               \
    X(halt, "stop the CPU", "hlt")                                                                 \
    X(interrupts, "turn interrupts off", "cli")                                                    \
    X(flags, "stop the CPU with alignment checks on",                                              \
      "pushfq\n\torl $0x40000, (%%rsp)\n\tpopfq\n\thlt")                                            \
    X(port, "read a port", "xorl %%edx, %%edx\n\tinb %%dx, %%al")                                  \
    X(tables, "load page tables", "xorl %%eax, %%eax\n\tmovq %%rax, %%cr3")                        \
    X(msr, "read a machine register", "movl $0xc0000082, %%ecx\n\trdmsr")                          \
    X(swapgs, "take the kernel's gs", "swapgs")                                                    \
    X(gsbase, "write the base of gs", "movq $-8, %%rax\n\t.byte 0xf3, 0x48, 0x0f, 0xae, 0xd8")     \
    X(gate, "forge an interrupt", "int $33")                                                       \
    X(local, "load a segment from a forged local table", "movl $0x1007, %%eax\n\tmovl %%eax, %%ds") \
    X(sgdt, "ask where the kernel's descriptors are", IF_UMIP("sgdt -80(%%rsp)"))                  \
    X(sidt, "ask where the kernel's interrupt table is", IF_UMIP("sidt -80(%%rsp)"))               \
    X(smsw, "read a control register", IF_UMIP("smsw %%eax"))                                      \
    X(x87, "use the x87 registers", "fninit")                                                      \
    X(mmx, "use the MMX registers", ".byte 0x0f, 0x6e, 0xc0")                                      \
    X(sse, "use the SSE registers", ".byte 0x0f, 0x57, 0xc0")                                      \
    X(avx, "turn vector state on", "xorl %%ecx, %%ecx\n\t.byte 0x0f, 0x01, 0xd1")

#define X(name, what, instruction)                                                                 \
    static void forbidden_##name(void)                                                             \
    {                                                                                              \
        __asm__ volatile(instruction : : : "rax", "rbx", "rcx", "rdx", "memory");                         \
    }
FORBIDDEN(X)
#undef X

static const struct forbidden forbidden[] = {
#define X(name, what, instruction) {what, forbidden_##name},
    FORBIDDEN(X)
#undef X
};

/* Where a local descriptor table that nobody set up would have selector 0x1007. */
#define FORBIDDEN_PAGE 0x1000ull

static inline void forbidden_prepare(void)
{
    volatile uint64_t *descriptor = (volatile uint64_t *)FORBIDDEN_PAGE;
    *descriptor = 0x00cff3000000ffff; /* data, for programs */
}

#endif
