/*
 * Random calls on a small world (small.h), memory objects among them, whose inner allocations fail now and then.
 *
 * Budgets are too small for frame caches, so every page is an inner allocation. Regions, pages of the object and validators
 * after each call; at the end every arena is one free whole. What it would miss: pages far apart (model.c), CPUs at once
 * (threads.c). TEST_OPS=n, TEST_SEED=n.
 */
#define VM_TLB 64u
#define VM_WAYS 8u
#include "small.h"

#include <lib/random.h>

static void run(unsigned kind)
{
    const char *ops = getenv("TEST_OPS"), *first_seed = getenv("TEST_SEED");
    uint64_t seed = first_seed ? strtoull(first_seed, NULL, 0) : 1, done[SMALL_CALL_COUNT] = {0};
    const unsigned long count = ops ? strtoul(ops, NULL, 0) : 60000;
    small_begin(&small, kind, SMALL_PAGES_MAX, 3, 48);
    for (unsigned long i = 0; i < count; i++) {
        unsigned call = (unsigned)random_below(&seed, SMALL_CALL_COUNT + 8);
        unsigned first = (unsigned)random_below(&seed, SMALL_PAGES_MAX);
        if (call >= SMALL_CALL_COUNT)
            call = SMALL_TOUCH;
        if (call == SMALL_CLOSE && random_below(&seed, 4))
            continue;
        small.fail_at = random_below(&seed, 2) ? 0 : 1 + (unsigned)random_below(&seed, 4);
        small.f.cpu = (unsigned)random_below(&seed, 2);
        small_do(&small, (enum small_call)call, (unsigned)random_below(&seed, 2), first,
                 1 + (unsigned)random_below(&seed, SMALL_PAGES_MAX - first),
                 (unsigned)random_below(&seed, 256));
        small.fail_at = 0;
        small_compare(&small);
        done[call]++;
        if (small.wrong) {
            printf("# seed %s, call %lu, %u: %s\n", first_seed ? first_seed : "1", i, call,
                   small.wrong);
            CHECK(!small.wrong);
            exit(1);
        }
    }
    for (unsigned call = 0; call < SMALL_CALL_COUNT; call++)
        CHECK(done[call] > count / 400);
    printf("# %lu calls, %llu refused for want of memory\n", count,
           (unsigned long long)small.refused);
    CHECK(small.refused > count / 1000);
    small_end(&small);
}

static void x86(void)
{
    run(0);
}

static void sv48(void)
{
    run(1);
}

static const struct test tests[] = {{"x86-64", x86}, {"Sv48", sv48}};
TEST_MAIN(tests)
