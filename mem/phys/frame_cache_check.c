/*
 * What an arena's caches have moved, for whoever reports on the arena, and their validator.
 *
 * Numbers that other CPUs count are read one by one: exact when those CPUs are out of the functions
 * of qy/frame_cache.h, near otherwise. The validator wants them out. Locking: the arena's. Cost:
 * O(caches); the validator O(what is cached, squared for each stack).
 */
#include "frame_cache_impl.h"

#include <qy/port.h>

static uint64_t moved_by(const struct qy_frame_cache *cache, unsigned state)
{
    return qy_word_load(&cache->taken[state]) - qy_word_load(&cache->given[state]);
}

uint64_t qy_caches_moved(const struct qy_arena *arena, enum qy_frame_state state)
{
    uint64_t sum = 0;
    for (const struct qy_frame_cache *cache = arena->caches; cache; cache = cache->next) {
        if (state != QY_FRAME_CACHED)
            sum += moved_by(cache, state);
        for (unsigned s = 0; s < QY_FRAME_STATE_COUNT && state == QY_FRAME_CACHED; s++)
            sum -= moved_by(cache, s);
    }
    return sum;
}

uint64_t qy_caches_blocks(const struct qy_arena *arena, bool given)
{
    uint64_t sum = 0;
    if (!QY_CONFIG_STATISTICS)
        return 0;
    for (const struct qy_frame_cache *cache = arena->caches; cache; cache = cache->next) {
        for (unsigned s = 0; s < QY_FRAME_STATE_COUNT; s++)
            sum += qy_word_load(given ? &cache->given[s] : &cache->taken[s]);
        sum -= qy_word_load(&cache->more_blocks[given]);
    }
    return sum;
}

static bool is_zero(uint64_t frame)
{
    const uint64_t *at = qy_port_ram(pfn_to_paddr(pfn(frame)));
    for (unsigned i = 0; i < QY_PAGE_BYTES / sizeof(*at); i++)
        if (at[i] != 0)
            return false;
    return true;
}

/* Whether a block that a cache has is CACHED and of that order. */
static bool is_cached(const struct qy_frame_cache *cache, uint64_t block, unsigned order)
{
    struct qy_found f = qy_framedb_find(cache->arena->db, block);
    return f.owner == cache->arena && f.state == QY_FRAME_CACHED && f.start == block &&
           f.order == order;
}

static const char *check_stack(struct qy_frame_cache *cache, unsigned order)
{
    const struct qy_cached_block *base = qy_stack_base(cache, order);
    unsigned count = qy_stack_count(cache, order);
    if (count > cache->limit[order] || base[-1].entry != cache->nobody ||
        base[qy_stack_room(order)].entry != cache->nobody ||
        cache->full[order] != base + cache->limit[order])
        return "CACHE-COUNT";
    for (unsigned i = 0; i < count; i++) {
        if (!is_cached(cache, base[i].frame, order) ||
            base[i].entry != &cache->arena->db->frames[base[i].frame].tag)
            return "CACHE-COUNT";
        for (unsigned j = 0; j < i; j++)
            if (base[j].frame == base[i].frame)
                return "CACHE-COUNT";
    }
    return NULL;
}

static const char *check_zeroed(struct qy_frame_cache *cache)
{
    const struct qy_cached_block *singles = qy_stack_base(cache, 0);
    if (cache->zeroed_count > cache->zeroed_limit)
        return "CACHE-COUNT";
    for (unsigned i = 0; i < cache->zeroed_count; i++) {
        if (!is_cached(cache, cache->zeroed[i], 0))
            return "CACHE-COUNT";
        for (unsigned j = 0; j < qy_stack_count(cache, 0); j++)
            if (singles[j].frame == cache->zeroed[i])
                return "CACHE-COUNT";
        if (!is_zero(cache->zeroed[i]))
            return "CACHE-ZERO";
    }
    return NULL;
}

const char *qy_caches_check(const struct qy_arena *arena)
{
    uint64_t cached = 0;
    const struct qy_frame_cache *before = NULL;
    for (struct qy_frame_cache *cache = arena->caches; cache; cache = cache->next) {
        if (cache->arena != arena || cache->prev != before)
            return "CACHE-COUNT";
        const char *broken = check_zeroed(cache);
        for (unsigned order = 0; order < QY_CACHE_STACKS && !broken; order++) {
            broken = check_stack(cache, order);
            cached += (uint64_t)qy_stack_count(cache, order) << order;
        }
        if (broken)
            return broken;
        cached += cache->zeroed_count;
        before = cache;
    }
    bool same = cached == arena->pages[QY_FRAME_CACHED] + qy_caches_moved(arena, QY_FRAME_CACHED);
    return same ? NULL : "CACHE-COUNT";
}
