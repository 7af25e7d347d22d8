/*
 * The architecture of the programs' library inside a test: calls go to a function of the test's.
 */
#ifndef USER_ARCH_H
#define USER_ARCH_H

#include <quarry/abi.h>

struct call_result {
    enum qy_error error;
    uint64_t value[6];
};

struct call_result qy_call(uint64_t number, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3,
                           uint64_t x4, uint64_t x5);

static inline uint64_t clock_ticks(void)
{
    return 0;
}

static inline uint64_t stack_for_entry(uint64_t top)
{
    return top;
}

static inline uint64_t tls_pointer(void)
{
    return 0;
}

#define FORK_WORDS 8u
#define FORK_STACK 6u
#define TLS_BELOW 1
#define CLOCK_NAME "ticks"

#endif
