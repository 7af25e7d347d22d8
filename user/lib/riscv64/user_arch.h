/*
 * What a program needs of RISC-V: the call instruction, the clock, and the stack of a new thread.
 */
#ifndef USER_ARCH_H
#define USER_ARCH_H

#include <quarry/abi.h>

/* What a call returned: an error, and result x1 in value[1] up to x5 in value[5]. */
struct call_result {
    enum qy_error error;
    uint64_t value[6];
};

/* Make the call: number in a7, x0..x5 in a0..a5 (quarry/invocations.h). */
static inline struct call_result qy_call(uint64_t number, uint64_t x0, uint64_t x1, uint64_t x2,
                                         uint64_t x3, uint64_t x4, uint64_t x5)
{
    register uint64_t a0 __asm__("a0") = x0;
    register uint64_t a1 __asm__("a1") = x1;
    register uint64_t a2 __asm__("a2") = x2;
    register uint64_t a3 __asm__("a3") = x3;
    register uint64_t a4 __asm__("a4") = x4;
    register uint64_t a5 __asm__("a5") = x5;
    register uint64_t a7 __asm__("a7") = number;
    __asm__ volatile("ecall"
                     : "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3), "+r"(a4), "+r"(a5)
                     : "r"(a7)
                     : "memory");
    return (struct call_result){(enum qy_error)a0, {0, a1, a2, a3, a4, a5}};
}

/* The user-readable clock: instructions retired by this hart. */
static inline uint64_t clock_ticks(void)
{
    uint64_t ticks;
    __asm__ volatile("rdinstret %0" : "=r"(ticks) : : "memory");
    return ticks;
}

/* The stack pointer with which a C function can be entered at its first instruction. */
static inline uint64_t stack_for_entry(uint64_t top)
{
    return top & ~15ull;
}

/* The bytes of the ecall instruction. */
static const unsigned char call_instruction[] = {0x73, 0x00, 0x00, 0x00};

/* Thread-local storage lies above where the thread pointer points. */
#define TLS_BELOW 0

/* The calling thread's pointer. */
static inline uint64_t tls_pointer(void)
{
    uint64_t pointer;
    __asm__ volatile("mv %0, tp" : "=r"(pointer));
    return pointer;
}

/* Registers that a fork saves (fork.S); which of them is the stack pointer. */
#define FORK_WORDS 14u
#define FORK_STACK 6u

/* A physical address that is RAM on every such machine (RAM begins at 2 GiB). */
#define SOME_RAM 0x81000000ull

#define CLOCK_NAME "retired instructions"

#endif
