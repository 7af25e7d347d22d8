/*
 * A program that a pager serves: what it does with its heap and its stack is its first argument, how much its second.
 */
#include "pager.h"

#include <lib/string.h>
#include <user/program.h>
#include <user/space.h>

#define WILD ((volatile uint64_t *)0x0000300000000000)

static uint64_t counter = 41; /* in the data segment: written, so a copy of its own */

/* Write to each page, then read all of them. */
static int walk(uint64_t pages)
{
    volatile uint64_t *heap = (volatile uint64_t *)PAGED_HEAP;
    const uint64_t step = PAGE_BYTES / sizeof(*heap);

    for (uint64_t i = 0; i < pages; i++) {
        if (heap[i * step] != 0)
            return 1;
        heap[i * step] = i + 1;
    }
    for (uint64_t i = 0; i < pages; i++)
        if (heap[i * step] != i + 1)
            return 2;
    return 0;
}

static uint64_t grow(uint64_t depth, const volatile char *above)
{
    volatile char room[PAGE_BYTES];

    room[0] = above ? above[0] : 1;
    return depth ? grow(depth - 1, room) + (uint64_t)room[0] : 1;
}

/* A touch far below the stack is not its growth. */
static int leap(void)
{
    volatile char here = 0;

    *(volatile char *)((uintptr_t)&here - 100 * PAGE_BYTES) = 1;
    return 3;
}

int main(int argc, char *argv[])
{
    uint64_t number = 0;

    if (argc < 3 || ++counter != 42)
        return 4;
    for (const char *digit = argv[2]; *digit; digit++)
        number = 10 * number + (uint64_t)(*digit - '0');
    if (strcmp(argv[1], "walk") == 0)
        return walk(number);
    if (strcmp(argv[1], "grow") == 0)
        return grow(number, NULL) == number + 1 ? 0 : 5;
    if (strcmp(argv[1], "leap") == 0)
        return leap();
    *WILD = 1;
    return 6;
}
