/*
 * Tests that count instructions: a program runs itself under callgrind, with two different numbers of rounds, and takes
 * the difference, so that what is done once does not count.
 *
 *     main: with the words ROW ROUNDS run that row so often; else set counted_program and run the tests
 */
#ifndef TESTS_COUNTED_H
#define TESTS_COUNTED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

static const char *counted_program; /* words[0] of main */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
#define COUNTED_ELSEWHERE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTED_ELSEWHERE 1
#endif
#endif
#ifndef COUNTED_ELSEWHERE
#define COUNTED_ELSEWHERE 0
#endif

/* At the start of a test that counts. */
#define COUNT_OR_SKIP()                                                                            \
    do {                                                                                           \
        if (COUNTED_ELSEWHERE)                                                                     \
            SKIP("this build counts other things");                                                \
        if (system("valgrind --version >/dev/null 2>&1") != 0)                                     \
            SKIP("valgrind is not installed");                                                     \
    } while (0)

/* Instructions of the program with so many rounds of a row; 0 if they cannot be counted. */
static inline unsigned long counted(unsigned long row, unsigned long rounds)
{
    char command[1200], line[512];
    unsigned long instructions = 0;
    snprintf(command, sizeof(command),
             "valgrind --tool=callgrind --callgrind-out-file=/dev/null '%s' %lu %lu 2>&1",
             counted_program, row, rounds);
    FILE *out = popen(command, "r");
    if (!out)
        return 0;
    while (fgets(line, sizeof(line), out)) {
        const char *at = strstr(line, "Collected : ");
        if (at)
            instructions = strtoul(at + strlen("Collected : "), NULL, 10);
    }
    return pclose(out) == 0 ? instructions : 0;
}

#endif
