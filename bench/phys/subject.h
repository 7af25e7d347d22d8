/*
 * What is measured: whole frames taken and given back, as one machine-wide arena hands them out,
 * or as the calling CPU's cache in front of it does (-DSUBJECT_CACHE).
 *
 * The functions are inline, so that the instructions counted are those of the allocator and of a
 * plain call.
 */
#ifndef BENCH_PHYS_SUBJECT_H
#define BENCH_PHYS_SUBJECT_H

#include <hosted/hosted.h>
#include <qy/arena.h>

#define SUBJECT_NAME "arena"

extern struct hosted_machine machine;
extern struct qy_arena arena;

static inline bool subject_alloc(unsigned order, uint64_t *at)
{
    pfn_t out;
    enum qy_error error = qy_arena_alloc(&arena, order, QY_FRAME_USER, &out);
    *at = out.raw;
    return error == QY_OK;
}

static inline bool subject_free(uint64_t at, unsigned order)
{
    return qy_arena_free(&arena, pfn(at), order, QY_FRAME_USER) == QY_OK;
}

#endif
