/*
 * The other side of the machine suite: the operations of user/root/bench*.c as a Linux program makes them, under the
 * same names. "NAME.WAY" is one of several ways in which Linux does what Quarry does in one.
 *
 *     init.c      process 1: what the kernel is, the benchmark as a child, the machine switched off
 *     memory.c    regions, faults that the kernel resolves
 *     faults.c    faults that a program resolves: SIGSEGV, userfaultfd
 *     tasks.c     calls, messages, switches, fork
 *
 * A row is the sum of repetitions less what the clock costs, divided by their number, as on the other side. Rows are
 * kept until the end, because a console that interrupts would be counted.
 */
#ifndef ROWS_H
#define ROWS_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_BYTES 4096ull
#define MIB (1ull << 20)
#define BENCH_AT 0x200000000000ull /* addresses that nothing else uses */
#define BENCH_COUNT 1000u

/* Instructions, in this emulator: the clock that Quarry's side reads, too. */
static inline uint64_t clock_ticks(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/* What `count` pairs of clock readings cost by themselves. */
uint64_t bench_clock(unsigned count);

/* Keep a row: the ticks of `count` operations. */
__attribute__((format(printf, 4, 5))) void bench_row_of(uint64_t ticks, uint64_t overhead,
                                                        uint64_t count, const char *format, ...);

/* A call failed that must not: say which, and end the benchmark, so that no verdict of success follows. */
_Noreturn void bench_fail(const char *what);
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            bench_fail(#condition);                                                                \
    } while (0)

/* Private memory of zeroes at BENCH_AT, readable and writable. */
void memory_reserve(uint64_t bytes);
void memory_release(uint64_t bytes);
void memory_touch(uint64_t bytes);

void bench_memory(void);
void bench_faults(void);
void bench_tasks(void);

#endif
