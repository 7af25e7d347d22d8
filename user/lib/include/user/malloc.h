/*
 * malloc and its family: one heap (user/heap.h) a program, out of its own budget.
 *
 * Memory is there when malloc returns it: the heap asks the budget before it grows and touches what it takes, so no
 * memory is null, not a fault. Only another thread that takes the rest of the budget in that moment can make it one.
 * A free of what is no block prints a line and ends the program with code 134. Any thread may call.
 */
#ifndef USER_MALLOC_H
#define USER_MALLOC_H

#include <user/heap.h>

void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void *realloc(void *block, size_t bytes);
void free(void *block);

/* For programs that want to know: numbers of the heap, and heap_check. */
struct heap malloc_state(void);
const char *malloc_check(void);

#endif
