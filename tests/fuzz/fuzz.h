/*
 * Fuzzers of the parsers: the checks of the unit tests (tests/unit/result.h), but the first that
 * fails ends the run, so that libFuzzer keeps the input.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdlib.h>
#include <tap.h>

#undef CHECK
#undef CHECK_EQ
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define CHECK_EQ(a, b) CHECK((a) == (b))

#include "../unit/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

#endif
