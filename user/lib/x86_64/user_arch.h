/*
 * What a program needs of x86-64: the call instruction, the clock, and the stack of a new thread.
 */
#ifndef USER_ARCH_H
#define USER_ARCH_H

#include <quarry/abi.h>

/* What a call returned: an error, and result x1 in value[1] up to x5 in value[5]. */
struct call_result {
    enum qy_error error;
    uint64_t value[6];
};

/* Make the call: number in rax, x0..x5 in rdi rsi rdx r10 r8 r9 (quarry/invocations.h). */
static inline struct call_result qy_call(uint64_t number, uint64_t x0, uint64_t x1, uint64_t x2,
                                         uint64_t x3, uint64_t x4, uint64_t x5)
{
    uint64_t rax = number;
    register uint64_t r10 __asm__("r10") = x3;
    register uint64_t r8 __asm__("r8") = x4;
    register uint64_t r9 __asm__("r9") = x5;
    __asm__ volatile("syscall"
                     : "+a"(rax), "+D"(x0), "+S"(x1), "+d"(x2), "+r"(r10), "+r"(r8), "+r"(r9)
                     :
                     : "rcx", "r11", "memory");
    return (struct call_result){(enum qy_error)rax, {0, x1, x2, r10, r8, r9}};
}

/* The user-readable clock: the time-stamp counter. One tick is one instruction under an
 * instruction-counting emulator. */
static inline uint64_t clock_ticks(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/* The stack pointer with which a C function can be entered at its first instruction: as if it had
 * been called. */
static inline uint64_t stack_for_entry(uint64_t top)
{
    return (top & ~15ull) - 8;
}

/* The bytes of the syscall instruction. */
static const unsigned char call_instruction[] = {0x0f, 0x05};

/* Thread-local storage lies below where the thread pointer points. */
#define TLS_BELOW 1

/* The calling thread's pointer: it stands where it points. */
static inline uint64_t tls_pointer(void)
{
    uint64_t pointer;
    __asm__ volatile("movq %%fs:0, %0" : "=r"(pointer));
    return pointer;
}

/* Registers that a fork saves (fork.S); which of them is the stack pointer. */
#define FORK_WORDS 8u
#define FORK_STACK 6u

/* A physical address that is RAM on every such machine (16 MiB: above the kernel, below 128 MiB). */
#define SOME_RAM 0x1000000ull

#define CLOCK_NAME "ticks of the time-stamp counter"

#endif
