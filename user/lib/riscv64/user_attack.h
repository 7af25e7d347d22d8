/*
 * Instructions that a program must not be able to execute, on RISC-V.
 */
#ifndef USER_ATTACK_H
#define USER_ATTACK_H

struct forbidden {
    const char *what;
    void (*execute)(void);
};

#define FORBIDDEN(X)                                                                               \
    X(status, "read the supervisor's status", "csrr t0, sstatus")                                  \
    X(tables, "load page tables", "csrw satp, zero")                                               \
    X(scratch, "take the kernel's scratch register", "csrr t0, sscratch")                          \
    X(fence, "forget translations", "sfence.vma")                                                  \
    X(back, "return from a trap", "sret")                                                          \
    X(float, "use the floating-point registers", ".4byte 0xf2000053") /* fmv.d.x f0, zero */       \
    X(rounding, "read the floating-point status", ".4byte 0x003022f3") /* csrr t0, fcsr */         \
    X(vector, "read the vector length", ".4byte 0xc20022f3")           /* csrr t0, vl */

#define X(name, what, instruction)                                                                 \
    static void forbidden_##name(void)                                                             \
    {                                                                                              \
        __asm__ volatile(instruction : : : "t0", "memory");                                        \
    }
FORBIDDEN(X)
#undef X

static const struct forbidden forbidden[] = {
#define X(name, what, instruction) {what, forbidden_##name},
    FORBIDDEN(X)
#undef X
};

/* Nothing in memory stands for a register here. */
#define FORBIDDEN_PAGE 0x1000ull

static inline void forbidden_prepare(void)
{
}

#endif
