/*
 * What the library libcount.so has for programs.
 */
#ifndef COUNT_H
#define COUNT_H

/* How often this process has called it. */
unsigned count_call(void);

/* "none", "one", "two", "many". */
const char *count_name(unsigned count);

/* The name of what two calls of a function add up to. */
const char *count_twice(unsigned (*function)(void));

#endif
