/*
 * A simulated machine for benchmarks, what it holds, and random numbers.
 */
#ifndef BENCH_PHYS_MACHINE_H
#define BENCH_PHYS_MACHINE_H

#include "../timing.h"
#include "subject.h"
#include <lib/random.h>

/* RAM from 1 GiB up, all of it in `arena`; its descriptors in huge pages, as a kernel maps them. */
void machine_make(uint64_t bytes);
void machine_destroy(void);

struct block {
    uint64_t at;
    unsigned order;
};

/* Blocks that one CPU has taken, in no order. */
struct held {
    struct qy_cpu_frames *cpu; /* that takes them */
    struct block *blocks;
    uint64_t count, capacity, pages;
    uint64_t random;
};

void held_make(struct held *held, unsigned cpu, uint64_t capacity);
void held_destroy(struct held *held);

/* Order 0 seven times of ten, else 1 to 9, each half as often as the one before: what page faults,
 * tables and buffers ask for. */
unsigned random_order(uint64_t *random);

/* Take blocks until `pages` are out; with order >= 0 all of that order. */
void held_fill(struct held *held, uint64_t pages, int order);
void held_free(struct held *held, uint64_t index);

/* Per cent of the free memory that is in blocks of 2 MiB and more. */
unsigned free_in_large_blocks(void);

#endif
