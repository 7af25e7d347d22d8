/*
 * A library: what it counts is each process's own, its text is everybody's.
 */
#include "count.h"

static unsigned calls;
static const char *const names[] = {"none", "one", "two", "many"};
static const char *const *at = names; /* data that has to be relocated */

unsigned count_call(void)
{
    return ++calls;
}

const char *count_name(unsigned count)
{
    return at[count < 3 ? count : 3];
}

const char *count_twice(unsigned (*function)(void))
{
    return count_name(function() + function());
}
