/*
 * Tests that print TAP, hosted and in the booted kernel: a file defines functions and one table of them.
 *
 *     static void adds(void) { CHECK(1 + 1 == 2); }
 *     static const struct test tests[] = {{"adds", adds}};
 *     TEST_MAIN(tests)
 *
 * A failed CHECK prints file, line and expression and goes on; the test then counts as failed.
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct test {
    const char *name;
    void (*run)(void);
};

static unsigned tap_failures;  /* failed checks of the running test */
static const char *tap_skipped; /* null, or why the running test was not run */

/* Leave the running test: it cannot be run here. It counts as skipped, not as passed. */
#define SKIP(reason)                                                                               \
    do {                                                                                           \
        tap_skipped = (reason);                                                                    \
        return;                                                                                    \
    } while (0)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            tap_failures++;                                                                        \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition);                               \
        }                                                                                          \
    } while (0)

/* Equal numbers, both printed when they differ. */
#define CHECK_EQ(a, b)                                                                             \
    do {                                                                                           \
        unsigned long long a_ = (unsigned long long)(a), b_ = (unsigned long long)(b);             \
        if (a_ != b_) {                                                                            \
            tap_failures++;                                                                        \
            printf("# %s:%d: %s == %s: %llu (%#llx), %llu (%#llx)\n", __FILE__, __LINE__, #a, #b,   \
                   a_, a_, b_, b_);                                                                \
        }                                                                                          \
    } while (0)

static inline int tap_run(const struct test *tests, size_t count)
{
    unsigned failed = 0;
    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        tap_failures = 0;
        tap_skipped = NULL;
        tests[i].run();
        printf("%sok %zu - %s%s%s\n", tap_failures ? "not " : "", i + 1, tests[i].name,
               tap_skipped ? " # SKIP " : "", tap_skipped ? tap_skipped : "");
        fflush(stdout);
        failed += tap_failures != 0;
    }
    return failed != 0;
}

#define TEST_MAIN(tests)                                                                           \
    int main(void)                                                                                 \
    {                                                                                              \
        return tap_run(tests, sizeof(tests) / sizeof((tests)[0]));                                 \
    }

#endif
