/*
 * Depots: batches of a cache's objects on their way from one magazine to another.
 *
 *     CPU's magazine --half of it--> depot: part -> part -> ...    the batch that came last is fetched first
 *     CPU's magazine <--as many----'
 *
 * What a full magazine gives and an empty one needs is copied as it is, object and state's address, so
 * neither the objects nor their slabs are touched: the slabs see only what a depot has no room for. Its parts
 * are objects of the heap, as magazines are, and its objects CACHED. It has at most a 32nd of the arena, and
 * no more than DEPOT_OBJECTS; parts that are empty are kept for the next cache that needs one. It belongs to the heap, so whoever has the heap's lock can take it apart.
 * Locking: the heap's. Cost: O(objects moved). Failures: a part that cannot be had is done without.
 */
#include "slab_impl.h"

#include <lib/string.h>

#define DEPOT_OBJECTS 2048u
#define ARENA_SHARE 32u

static bool has_room(const struct qy_cache *cache, unsigned count)
{
    uint64_t objects = qy_depot_count(cache) + count;
    return objects <= DEPOT_OBJECTS &&
           objects * cache->stride <= cache->heap->arena->total_pages * QY_PAGE_BYTES / ARENA_SHARE;
}

/* An empty part, on top. */
static bool add_part(struct qy_cpu_objects *cpu, struct qy_cache *cache) QY_REQUIRES(qy_class_slab)
{
    struct qy_heap *heap = cache->heap;
    struct qy_depot *part = heap->parts;
    if (part) {
        heap->parts = part->below;
    } else {
        struct qy_item item;
        unsigned got;
        if (qy_slab_take(cpu, &heap->magazine_cache, 1, QY_OBJECT_LIVE, &item, &got) != QY_OK)
            return false;
        part = item.object;
    }
    part->below = cache->depot;
    part->count = 0;
    part->count_below = qy_depot_count(cache);
    cache->depot = part;
    return true;
}

/* The topmost part, which is empty, may be any cache's now. */
static void remove_part(struct qy_cache *cache) QY_REQUIRES(qy_class_slab)
{
    struct qy_depot *part = cache->depot;
    struct qy_heap *heap = cache->heap;
    cache->depot = part->below;
    part->below = heap->parts;
    heap->parts = part;
}

bool qy_depot_push(struct qy_cpu_objects *cpu, struct qy_cache *cache, const struct qy_item *items,
                   unsigned count)
{
    if (!has_room(cache, count))
        return false;
    if ((!cache->depot || cache->depot->count + count > QY_MAGAZINE_OBJECTS) &&
        !add_part(cpu, cache))
        return false;
    struct qy_depot *part = cache->depot;
    memcpy(&part->items[part->count], items, count * sizeof(items[0]));
    part->count += count;
    return true;
}

unsigned qy_depot_pop(struct qy_cache *cache, unsigned want, struct qy_item *items)
{
    struct qy_depot *part = cache->depot;
    if (!part)
        return 0;
    unsigned count = part->count < want ? part->count : want;
    part->count -= count;
    memcpy(items, &part->items[part->count], count * sizeof(items[0]));
    if (part->count == 0)
        remove_part(cache);
    return count;
}

void qy_depot_drain(struct qy_cpu_objects *cpu, struct qy_cache *cache)
{
    for (struct qy_depot *part = cache->depot; part; part = cache->depot) {
        qy_slab_give_cached(cpu, part->items, part->count);
        remove_part(cache);
    }
}

void qy_depot_release(struct qy_cpu_objects *cpu, struct qy_heap *heap)
{
    for (struct qy_depot *part = heap->parts; part; part = heap->parts) {
        heap->parts = part->below;
        qy_slab_give_own(cpu, heap, part);
    }
}
