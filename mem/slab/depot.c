/*
 * Depots: a cache's objects on their way from one magazine to another.
 *
 *     CPU's magazine --full rounds--> depot: rounds -> rounds -> ...   what came last is fetched first
 *     CPU's magazine <-full rounds---'
 *                    --empty rounds-> heap: rounds -> rounds -> ...    for whichever cache needs some
 *
 * Rounds change hands by their address, so neither the objects nor their slabs are touched, nor the items
 * copied: the slabs see only what a depot has no room for. Rounds are objects of the heap, as magazines are,
 * and what is in them is CACHED. A depot has at most a 32nd of the arena, and no more than DEPOT_OBJECTS. It
 * belongs to the heap, so whoever has the heap's lock can take it apart. Locking: the heap's. Cost: O(1);
 * to drain it, O(objects). Failures: rounds that cannot be had are done without.
 */
#include "slab_impl.h"

#include <lib/string.h>

#define DEPOT_OBJECTS 2048u
#define ARENA_SHARE 32u

bool qy_depot_has_room(const struct qy_cache *cache, uint32_t count)
{
    uint64_t objects = (uint64_t)qy_depot_count(cache) + count;
    return objects <= DEPOT_OBJECTS &&
           objects * cache->stride <= cache->heap->arena->total_pages * QY_PAGE_BYTES / ARENA_SHARE;
}

void qy_depot_push(struct qy_cache *cache, struct qy_rounds *rounds)
{
    rounds->count_below = qy_depot_count(cache);
    rounds->below = cache->depot;
    cache->depot = rounds;
}

struct qy_rounds *qy_depot_pop(struct qy_cache *cache)
{
    struct qy_rounds *rounds = cache->depot;
    if (rounds)
        cache->depot = rounds->below;
    return rounds;
}

bool qy_depot_drain_some(struct qy_cpu_objects *cpu, struct qy_cache *cache)
{
    struct qy_rounds *rounds = qy_depot_pop(cache);
    if (!rounds)
        return false;
    qy_slab_give_cached(cpu, &rounds->items[1], qy_rounds_count(rounds));
    qy_rounds_put(cache->heap, rounds);
    return true;
}

void qy_depot_drain(struct qy_cpu_objects *cpu, struct qy_cache *cache)
{
    while (qy_depot_drain_some(cpu, cache)) {
    }
}

struct qy_rounds *qy_rounds_get(struct qy_cpu_objects *cpu, struct qy_heap *heap)
{
    struct qy_rounds *rounds = heap->rounds;
    if (rounds) {
        heap->rounds = rounds->below;
        return rounds;
    }
    rounds = qy_slab_take_own(cpu, heap);
    if (rounds)
        memset(rounds, 0,
               sizeof(*rounds)); /* no cache's: whoever loads it fills it with nobody's */
    return rounds;
}

void qy_rounds_put(struct qy_heap *heap, struct qy_rounds *rounds)
{
    qy_rounds_set_count(rounds, 0);
    rounds->below = heap->rounds;
    heap->rounds = rounds;
}

void qy_rounds_release(struct qy_cpu_objects *cpu, struct qy_heap *heap)
{
    for (struct qy_rounds *rounds = heap->rounds; rounds; rounds = heap->rounds) {
        heap->rounds = rounds->below;
        qy_slab_give_own(cpu, heap, rounds);
    }
}
