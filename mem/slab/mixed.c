/*
 * Mixed slabs: a page of 64-byte granules in which the first objects of all types of a heap lie
 * together, so that an arena of a few pages can hold one object of each type.
 *
 *     free     0 0 | 0 0 0 | 1 1 | 0 | 1 ...        a bit a granule
 *     owner    . .   3 . .   . .   1   . ...        id of the cache, where an object begins
 *
 * A run of granules is found by shifting the map over itself, O(log run). Slabs without a free granule
 * are last in the heap's list, and an empty one is kept. A cache has at most a page's worth of objects
 * here, unless the arena has no page for more, so there are few slabs to look at. All of it with the
 * heap's lock held. Failures: a page that cannot be had changes nothing.
 */
#include "slab_impl.h"

#include <lib/string.h>

static void broken_header(const struct qy_mixed *mixed)
{
    qy_port_broken("SLAB-MIXED", "a mixed slab's header is overwritten, at",
                   (uint64_t)(uintptr_t)mixed);
}

static void set_free(struct qy_mixed *mixed, uint64_t free)
{
    mixed->free = free;
    mixed->used = ~free;
}

static void list_remove(struct qy_mixed *mixed) QY_REQUIRES(qy_class_slab)
{
    if ((mixed->next && mixed->next->prev != mixed) ||
        (mixed->prev ? mixed->prev->next : mixed->heap->mixed) != mixed)
        broken_header(mixed);
    if (mixed->next)
        mixed->next->prev = mixed->prev;
    if (mixed->prev)
        mixed->prev->next = mixed->next;
    else
        mixed->heap->mixed = mixed->next;
}

/* Behind `after`, or in front of all if that is null. */
static void list_insert(struct qy_mixed *mixed, struct qy_mixed *after) QY_REQUIRES(qy_class_slab)
{
    mixed->prev = after;
    mixed->next = after ? after->next : mixed->heap->mixed;
    if (mixed->next)
        mixed->next->prev = mixed;
    if (after)
        after->next = mixed;
    else
        mixed->heap->mixed = mixed;
}

static void move_to_end(struct qy_mixed *mixed) QY_REQUIRES(qy_class_slab)
{
    struct qy_mixed *last = mixed;
    while (last->next)
        last = last->next;
    if (last == mixed)
        return;
    list_remove(mixed);
    list_insert(mixed, last);
}

static enum qy_error mixed_add(struct qy_cpu_objects *cpu, struct qy_heap *heap)
    QY_REQUIRES(qy_class_slab)
{
    pfn_t block;
    enum qy_error error = qy_slab_pages_alloc(cpu, heap->arena, 0, &block);
    if (error != QY_OK)
        return error;
    struct qy_mixed *mixed = qy_port_ram(pfn_to_paddr(block));
    *mixed = (struct qy_mixed){.heap = heap};
    set_free(mixed, QY_GRANULES_FREE);
    list_insert(mixed, NULL);
    qy_frame_set_word(heap->arena->db, block, (uint64_t)(uintptr_t)mixed | QY_PLACE_MIXED);
    heap->mixed_pages++;
    heap->mixed_empty++;
    return QY_OK;
}

static void mixed_return(struct qy_cpu_objects *cpu, struct qy_mixed *mixed)
    QY_REQUIRES(qy_class_slab)
{
    struct qy_heap *heap = mixed->heap;
    list_remove(mixed);
    heap->mixed_pages--;
    heap->mixed_empty--;
    mixed->heap = NULL;
    qy_slab_pages_free(cpu, heap->arena, paddr_to_pfn(qy_port_paddr(mixed)), 0);
}

bool qy_mixed_release(struct qy_heap *heap)
{
    struct qy_mixed *mixed = heap->mixed_empty ? heap->mixed : NULL;
    while (mixed && mixed->free != QY_GRANULES_FREE)
        mixed = mixed->next;
    if (mixed)
        mixed_return(NULL, mixed);
    return mixed != NULL;
}

/* Where an object of the cache may begin: every align-th byte, of which the header has the first. */
static uint64_t starts_in(const struct qy_mixed *mixed, const struct qy_cache *cache)
{
    uint32_t step = cache->type->align / QY_GRANULE_BYTES; /* a power of two, at most 32 */
    uint64_t aligned = step > 1 ? ~0ull / ((1ull << step) - 1) : ~0ull;
    return qy_granule_runs(mixed->free, cache->granules) & aligned;
}

static void *take_from(struct qy_mixed *mixed, struct qy_cache *cache, uint64_t starts)
    QY_REQUIRES(qy_class_slab)
{
    unsigned start = (unsigned)__builtin_ctzll(starts);
    mixed->heap->mixed_empty -= mixed->free == QY_GRANULES_FREE;
    set_free(mixed, mixed->free & ~qy_granule_mask(start, cache->granules));
    mixed->owner[start] = cache->id;
    cache->mixed++;
    if (mixed->free == 0)
        move_to_end(mixed);
    return qy_granule_at(mixed, start) + cache->front;
}

enum qy_error qy_mixed_take(struct qy_cpu_objects *cpu, struct qy_cache *cache, void **out)
{
    struct qy_heap *heap = cache->heap;
    for (struct qy_mixed *mixed = heap->mixed; mixed && mixed->free; mixed = mixed->next) {
        uint64_t starts = starts_in(mixed, cache);
        if (mixed->heap != heap || mixed->used != ~mixed->free)
            broken_header(mixed);
        if (starts) {
            *out = take_from(mixed, cache, starts);
            return QY_OK;
        }
    }
    enum qy_error error = mixed_add(cpu, heap);
    if (error == QY_OK)
        *out = take_from(heap->mixed, cache, starts_in(heap->mixed, cache));
    return error;
}

void qy_mixed_give(struct qy_cpu_objects *cpu, const struct qy_place *place)
{
    struct qy_mixed *mixed = place->mixed;
    struct qy_heap *heap = mixed->heap;
    bool was_full = mixed->free == 0;
    if (mixed->used != ~mixed->free)
        broken_header(mixed);
    set_free(mixed, mixed->free | qy_granule_mask(place->index, place->cache->granules));
    mixed->owner[place->index] = 0;
    place->cache->mixed--;
    if (was_full) {
        list_remove(mixed);
        list_insert(mixed, NULL);
    }
    if (mixed->free == QY_GRANULES_FREE && heap->mixed_empty++)
        mixed_return(cpu, mixed);
}

static struct qy_cache *cache_by_id(const struct qy_heap *heap, unsigned id)
    QY_REQUIRES(qy_class_slab)
{
    struct qy_cache *cache = heap->caches;
    while (cache && cache->id != id)
        cache = cache->next;
    return cache;
}

enum qy_error qy_mixed_find(struct qy_mixed *mixed, const void *pointer, struct qy_place *out)
{
    unsigned granule = ((uintptr_t)pointer & QY_PAGE_MASK) / QY_GRANULE_BYTES;
    unsigned start = granule;
    *out = (struct qy_place){.mixed = mixed};
    if (granule < QY_GRANULES_HEADER || (mixed->free >> granule & 1))
        return QY_NOT_ALLOCATED;
    while (start > QY_GRANULES_HEADER && mixed->owner[start] == 0)
        start--;
    unsigned owner = mixed->owner[start];
    out->cache = cache_by_id(mixed->heap, owner & ~QY_MIXED_HELD);
    if (!out->cache || start + out->cache->granules <= granule || mixed->used != ~mixed->free)
        broken_header(mixed);
    out->index = start;
    out->object = qy_granule_at(mixed, start) + out->cache->front;
    out->state = owner & QY_MIXED_HELD ? QY_OBJECT_HELD : QY_OBJECT_LIVE;
    return QY_OK;
}
