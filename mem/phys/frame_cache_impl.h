/*
 * Where the stacks of a frame cache lie. Private to mem/phys.
 */
#ifndef QY_FRAME_CACHE_IMPL_H
#define QY_FRAME_CACHE_IMPL_H

#include "arena_impl.h"

#include <qy/frame_cache.h>

static inline unsigned qy_stack_order(unsigned stack)
{
    return stack < QY_STACK_HUGE ? stack : stack == QY_STACK_HUGE ? QY_BLOCK_ORDER : 0;
}

/* The stacks but that of single frames. */
static inline uint64_t *qy_stack_blocks(struct qy_frame_cache *cache, unsigned stack)
{
    unsigned huge = 3 * QY_CACHE_BLOCKS;
    return &cache->others[stack < QY_STACK_HUGE    ? (stack - 1) * QY_CACHE_BLOCKS
                          : stack == QY_STACK_HUGE ? huge
                                                   : huge + QY_CACHE_HUGE];
}

static inline unsigned qy_stack_count(const struct qy_frame_cache *cache, unsigned stack)
{
    return stack == 0 ? (unsigned)(cache->top - cache->frames) - 1 : cache->count[stack];
}

/* The i-th from the bottom. */
static inline uint64_t qy_stack_at(struct qy_frame_cache *cache, unsigned stack, unsigned i)
{
    return stack == 0 ? cache->frames[i + 1].frame : qy_stack_blocks(cache, stack)[i];
}

#endif
