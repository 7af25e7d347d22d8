/*
 * An allocator and its model side by side: every call goes to both, and what differs is reported by
 * name.
 */
#ifndef TESTS_PAIR_H
#define TESTS_PAIR_H

#include "model.h"

#include <hosted/hosted.h>

struct pair {
    struct hosted_machine machine;
    struct model model;
    struct qy_arena *arenas[MODEL_ARENAS]; /* headers; of those that exist in the model */
    const char *wrong;                     /* null, or the first thing that differed */
    uint64_t detail;                       /* frame, order or error that goes with it */
    uint64_t refused;                      /* calls that both refused */
    uint64_t done[4];                      /* blocks taken, given back; arenas carved, returned */
};

/* A machine of that many frames without arenas, tables full of garbage. */
void pair_make(struct pair *p, uint64_t frames);
void pair_destroy(struct pair *p);

/* Each makes the call on both sides and compares the answers and the counters of the arenas
 * concerned. */
enum qy_error pair_add(struct pair *p, unsigned arena, uint64_t base, uint64_t end);
enum qy_error pair_alloc(struct pair *p, unsigned arena, unsigned order, enum qy_frame_state state,
                         uint64_t *at);
enum qy_error pair_alloc_at(struct pair *p, unsigned arena, uint64_t at, unsigned order,
                            enum qy_frame_state state);
enum qy_error pair_free(struct pair *p, unsigned arena, uint64_t at, unsigned order,
                        enum qy_frame_state state);
enum qy_error pair_alloc_pages(struct pair *p, unsigned arena, uint64_t pages,
                               enum qy_frame_state state, uint64_t *at);
enum qy_error pair_alloc_in(struct pair *p, unsigned arena, uint64_t pages,
                            const struct qy_bounds *bounds, enum qy_frame_state state,
                            uint64_t *at);
enum qy_error pair_free_pages(struct pair *p, unsigned arena, uint64_t at, uint64_t pages,
                              enum qy_frame_state state);
enum qy_error pair_set_state(struct pair *p, uint64_t at, enum qy_frame_state from,
                             enum qy_frame_state to);
enum qy_error pair_map(struct pair *p, uint64_t frame, bool writable, bool executable);
enum qy_error pair_remap(struct pair *p, uint64_t frame, bool writable, bool executable);
enum qy_error pair_unmap(struct pair *p,
                         uint64_t frame); /* only of what the model knows to be mapped */
enum qy_error pair_pin(struct pair *p, uint64_t at, int change);
enum qy_error pair_carve(struct pair *p, unsigned parent, unsigned child, uint64_t pages);
enum qy_error pair_return(struct pair *p, unsigned child);

/* The counters of every arena. */
void pair_check_counts(struct pair *p);

/* The validator of every arena, and the largest free block; with frames, every frame too. */
void pair_check(struct pair *p, bool frames);

#endif
