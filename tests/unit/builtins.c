/* The functions that gcc calls on a CPU without bit manipulation, against the compiler's own idea
 * of the same. */
#include <lib/random.h>
#include <stdint.h>
#include <tap.h>

/* Under other names: libgcc has these too. */
#define __clzdi2 own_clzdi2
#define __ctzdi2 own_ctzdi2
#define __popcountdi2 own_popcountdi2
#define __bswapsi2 own_bswapsi2
#define __bswapdi2 own_bswapdi2
#include "../../lib/builtins.c"

/* Visits every bit alone, below all ones, above all ones, and a scrambled sequence. */
static void each(void (*check)(uint64_t value))
{
    uint64_t random = 0;
    for (unsigned bit = 0; bit < 64; bit++) {
        check(1ull << bit);
        check(~0ull << bit);
        check(~0ull >> bit);
    }
    for (unsigned i = 0; i < 10000; i++)
        check(random_next(&random) >> i % 64 | 1);
}

static void check_counts(uint64_t value)
{
    CHECK_EQ(own_clzdi2(value), __builtin_clzll(value));
    CHECK_EQ(own_ctzdi2(value), __builtin_ctzll(value));
    CHECK_EQ(own_popcountdi2(value), __builtin_popcountll(value));
}

static void check_swaps(uint64_t value)
{
    CHECK_EQ(own_bswapdi2(value), __builtin_bswap64(value));
    CHECK_EQ(own_bswapsi2((uint32_t)value), __builtin_bswap32((uint32_t)value));
}

static void counts_bits(void)
{
    each(check_counts);
    CHECK_EQ(own_popcountdi2(0), 0);
}

static void swaps_bytes(void)
{
    each(check_swaps);
}

static const struct test tests[] = {
    {"counts bits", counts_bits},
    {"swaps bytes", swaps_bytes},
};
TEST_MAIN(tests)
