/*
 * The parts of the frame caches, and where the stacks of a cache lie. Private to mem/phys.
 *
 *     frame_cache.c         blocks in and out of a CPU's cache, and between it and its arena
 *     frame_cache_slots.c   how a cache comes and goes, also by another CPU's hand
 *     frame_cache_check.c   what an arena's caches have moved; the validator
 */
#ifndef QY_FRAME_CACHE_IMPL_H
#define QY_FRAME_CACHE_IMPL_H

#include "arena_impl.h"

#include <qy/frame_cache.h>

#define QY_CACHE_STACKS (QY_BLOCK_ORDER + 1) /* orders 0 to 9 */

/* How many blocks of an order a cache has room for. */
static inline unsigned qy_stack_room(unsigned order)
{
    return order == 0 ? QY_CACHE_FRAMES : order <= 3 ? QY_CACHE_BLOCKS : QY_CACHE_LARGE;
}

/* The first cell of an order's stack. */
static inline struct qy_cached_block *qy_stack_base(struct qy_frame_cache *cache, unsigned order)
{
    struct qy_cached_block *base = &cache->cells[1];
    for (unsigned o = 0; o < order; o++)
        base += qy_stack_room(o) + 1;
    return base;
}

static inline unsigned qy_stack_count(struct qy_frame_cache *cache, unsigned order)
{
    return (unsigned)(cache->top[order] - qy_stack_base(cache, order));
}

/* ---- frame_cache.c ---- */

/* The n blocks of an order that were freed first go back to the arena; the rest moves down. */
void qy_cache_give_oldest(struct qy_arena *arena, struct qy_frame_cache *cache, unsigned order,
                          unsigned n) QY_REQUIRES(qy_class_arena);

/* ---- frame_cache_slots.c: called by the CPU itself, between enter and leave ---- */

/*
 * An allocation found `holder` in the arena's slot, another arena's cache or none: after enough of them
 * the arena gets one. Null if not, or not yet.
 */
struct qy_frame_cache *qy_cache_wish(struct qy_cpu_frames *cpu, struct qy_arena *arena,
                                     struct qy_frame_cache *holder);

/* The CPU gives up its own cache. If somebody else takes it away just now, it is left to them. */
void qy_cache_give_up(struct qy_cpu_frames *cpu, struct qy_frame_cache *cache);

#endif
