/*
 * What the files of the cost table share. A row is one line, "bench: NAME VALUE ticks"; tools/bench.sh reads it.
 */
#ifndef BENCH_H
#define BENCH_H

#include "root.h"

#define BENCH_COUNT 1000u
#define BENCH_STACK_PAGE (ROOT_CHILD_ADDRESS + 0x10000)
#define BENCH_AT (ROOT_CHILD_ADDRESS + 0x10000000000ull)

/* Ticks of `count` repetitions, and what of them is not the operation's. The row is of one. */
void bench_row(const char *name, uint64_t ticks, uint64_t overhead, uint64_t count);
/* Formats as in lib/format.h. */
void bench_row_of(uint64_t ticks, uint64_t overhead, uint64_t count, const char *format, ...);

/* What `count` pairs of clock readings cost by themselves. */
uint64_t bench_clock(unsigned count);

/* Run one part with a budget of its own, and take everything back. */
void bench_with_budget(struct root *root, uint64_t pages,
                       void (*part)(struct root *root, qy_handle_t budget));

/* A budget that is bound to the root task's space; revoking it is the end of that. */
void bench_with_bound(struct root *root, uint64_t pages,
                      void (*part)(struct root *root, qy_handle_t budget));

void bench_regions(struct root *root); /* regions, faults, clones (bench_regions.c) */
void bench_tasks(struct root *root);   /* messages, switches, programs (bench_tasks.c) */
void bench_files(struct root *root);   /* pages of mapped files (bench_files.c) */
void bench_objects(struct root *root); /* retype, delete, revoke (bench_objects.c) */
void bench_swap(struct root *root);    /* pages that go and return (bench_swap.c); built where LZ4's source is */

#endif
