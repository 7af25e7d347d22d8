/*
 * A program that needs a library: calls into it, by a pointer too, and from it back into the program.
 */
#include "count.h"

#include <lib/string.h>
#include <user/call.h>
#include <user/program.h>

static unsigned one(void)
{
    return 1;
}

static unsigned (*const call)(void) = count_call;

int main(int argc, char *argv[])
{
    (void)argv;
    for (unsigned i = 1; i <= 3; i++)
        if ((i % 2 ? call() : count_call()) != i)
            return 1;
    if (strcmp(count_name(1), "one") != 0 || strcmp(count_name(99), "many") != 0)
        return 2;
    if (strcmp(count_twice(one), "two") != 0)
        return 3;
    for (unsigned i = 0; argc > 1 && i < 50; i++) /* so that several run at once */
        yield();
    return 40 + argc;
}
