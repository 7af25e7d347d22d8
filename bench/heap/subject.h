/*
 * Who is measured: this heap, and whatever allocators of the host are to be had, in one process.
 *
 * Each is called through a pointer, so that all pay the same for the call.
 */
#ifndef BENCH_HEAP_SUBJECT_H
#define BENCH_HEAP_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>

#define HEAP_CPUS 2u
#define FIXED_BYTES 64u /* of the scenes with objects of one size */

struct subject {
    const char *name;
    void *(*alloc)(size_t bytes); /* null = no memory */
    void (*free)(void *object);
    bool fixed_only; /* serves FIXED_BYTES only */
};

/*
 * The subjects on this host: ours first, then glibc, then each library of `libraries` (file name and name to print,
 * ended by nulls) that can be opened. The first `ours` of them are ours.
 */
struct subjects {
    struct subject of[12];
    unsigned count, ours;
};
void subjects_open(struct subjects *subjects, const char *const (*libraries)[2]);

/* The calling thread plays that CPU, below HEAP_CPUS, from here on. */
void subjects_cpu(unsigned cpu);

/* Everything of ours has come back, and its validators are content; otherwise a message and the end. */
void subjects_close(void);

#endif
