/*
 * Visiting tracked objects in the order of their addresses, a bounded stretch at a time. See
 * qy_allocation_next.
 *
 *     *cursor -> the block that it lies in -> a slab: the next place that begins there or behind
 *                                          -> anything else: the next block
 *
 * The cursor is an address and nothing more, so what was freed or made meanwhile cannot make it stale: an
 * object that lives throughout is met once, when the cursor reaches its place. A free block of 1 GiB is one
 * step, as is a place in a slab.
 */
#include "slab_impl.h"

#include <qy/site.h>

/* The next place of a slab at or behind `at`; returns the object there if it is live, else null. */
static void *slab_place(struct qy_slab *slab, uint64_t at, uint64_t *next, struct qy_cache **cache)
{
    uint64_t stride = slab->cache->stride, first = qy_port_paddr(slab->places).raw;
    uint64_t index = at <= first ? 0 : (at - first + stride - 1) / stride;
    *cache = slab->cache;
    *next = UINT64_MAX;
    if (index >= slab->capacity)
        return NULL;
    *next = first + (index + 1) * stride;
    return qy_state_load(qy_slab_state(slab, (unsigned)index)) == QY_OBJECT_LIVE
               ? qy_slab_place(slab, (unsigned)index) + slab->cache->front
               : NULL;
}

/* The same of a mixed slab, where an object begins at a granule with an owner. */
static void *mixed_place(struct qy_mixed *mixed, uint64_t at, uint64_t *next,
                         struct qy_cache **cache) QY_REQUIRES(qy_class_slab)
{
    struct qy_place place;
    uint64_t base = qy_port_paddr(mixed).raw;
    uint64_t granule = (at - base + QY_GRANULE_BYTES - 1) / QY_GRANULE_BYTES;
    granule = granule < QY_GRANULES_HEADER ? QY_GRANULES_HEADER : granule;
    while (granule < QY_GRANULES && mixed->owner[granule] == 0)
        granule++;
    *next = granule < QY_GRANULES ? base + (granule + 1) * QY_GRANULE_BYTES : UINT64_MAX;
    if (granule == QY_GRANULES ||
        qy_mixed_find(mixed, qy_granule_at(mixed, (unsigned)granule), &place) != QY_OK ||
        place.state != QY_OBJECT_LIVE)
        return NULL;
    *cache = place.cache;
    return place.object;
}

/* The next place of a slab with that word. True: *out is the tracked object that lives there. */
static bool place_read(uint64_t word, uint64_t at, uint64_t *next, struct qy_allocation *out)
{
    bool mixed = qy_word_kind(word) == QY_PLACE_MIXED;
    struct qy_cache *cache = NULL;
    void *address = qy_word_address(word);
    struct qy_heap *heap =
        mixed ? ((struct qy_mixed *)address)->heap : ((struct qy_slab *)address)->cache->heap;
    qy_heap_lock(heap);
    void *object =
        mixed ? mixed_place(address, at, next, &cache) : slab_place(address, at, next, &cache);
    bool found = object && qy_allocation_read(cache, object, out);
    qy_heap_unlock(heap);
    return found;
}

bool qy_allocation_next(const struct qy_framedb *db, uint64_t *cursor, unsigned steps,
                        struct qy_allocation *out)
{
    uint64_t at = *cursor, limit = pfn_to_paddr(db->limit).raw;
    bool found = false;
    for (; at < limit && steps && !found; steps--) {
        struct qy_found block = qy_framedb_find(db, at >> QY_PAGE_SHIFT);
        uint64_t next = UINT64_MAX, word = 0;
        uint64_t end = pfn_to_paddr(pfn(block.start + (1ull << block.order))).raw;
        if (block.level != QY_AT_NOTHING && block.state == QY_FRAME_SLAB)
            word = qy_frame_word(db, pfn(block.start));
        if (word && qy_word_kind(word) != QY_PLACE_LARGE)
            found = place_read(word, at, &next, out);
        at = next < end ? next : end;
    }
    *cursor = at < limit ? at : 0;
    return found;
}
