/*
 * A fuzzer's check without a fuzzer: random inputs, always the same, as an ordinary test.
 */
#include "fuzz.h"
#include <lib/random.h>

#ifndef INPUTS
#define INPUTS 4000u
#endif
#define INPUT_MAX 900u

static void random_inputs(void)
{
    static uint8_t input[INPUT_MAX];
    uint64_t random = 0x9e3779b97f4a7c15ull;
    for (unsigned i = 0; i < INPUTS; i++) {
        size_t count = random_next(&random) % INPUT_MAX;
        for (size_t k = 0; k < count; k++)
            input[k] = (uint8_t)(random_next(&random) >> 24);
        CHECK_EQ(LLVMFuzzerTestOneInput(input, count), 0);
    }
}

static const struct test tests[] = {{"random inputs", random_inputs}};
TEST_MAIN(tests)
