/*
 * The validators of caches and heaps: walk slabs, their free lists, mixed slabs and magazines, and compare
 * them with states and counters.
 *
 * They cannot tell whether an object that is handed out is still in use. Locking: the heap's, and the
 * arena's for its count of pages; the CPUs that have magazines do not use them meanwhile. Cost:
 * O(objects), and for each magazine O(its objects, squared).
 */
#include "slab_impl.h"

#include <lib/string.h>

struct sums {
    uint32_t slabs, pages, capacity, out, held, cached;
};

static const char *check_free_list(const struct qy_slab *slab)
{
    uint64_t seen[QY_SLAB_OBJECTS_MAX / 64] = {0};
    unsigned count = 0, index = slab->first_free;
    for (unsigned i = slab->fresh; i < slab->capacity; i++, count++)
        if (qy_state_load(qy_slab_state(slab, i)) != QY_OBJECT_FREE)
            return "SLAB-FREE";
    for (; index != QY_SLAB_NIL; count++) {
        if (index >= slab->fresh || qy_state_load(qy_slab_state(slab, index)) != QY_OBJECT_FREE ||
            (seen[index / 64] >> index % 64 & 1))
            return "SLAB-FREE";
        seen[index / 64] |= 1ull << index % 64;
        const unsigned char *link = qy_slab_place(slab, index) + slab->cache->link;
        uint64_t next;
        memcpy(&next, link, sizeof(next));
        next = qy_slab_encode(slab->cache->heap, link, next);
        index = next <= QY_SLAB_NIL ? (unsigned)next : QY_SLAB_NIL - 1;
    }
    return count == slab->free ? NULL : "SLAB-FREE";
}

static bool pages_are_ours(const struct qy_heap *heap, pfn_t first, unsigned order, uint64_t word)
{
    const struct qy_framedb *db = heap->arena->db;
    enum qy_frame_state state;
    pfn_t block;
    unsigned found;
    return qy_frame_block(db, first, &block, &found, &state) == QY_OK && state == QY_FRAME_SLAB &&
           block.raw == first.raw && found == order && qy_arena_of(db, block) == heap->arena &&
           qy_frame_word(db, block) == word;
}

static const char *check_slab(const struct qy_slab *slab, struct sums *sums)
{
    const struct qy_cache *cache = slab->cache;
    unsigned states[QY_OBJECT_HELD + 1] = {0};
    if (slab->order > QY_SLAB_MAX_ORDER)
        return "SLAB-COUNT";
    uint64_t last = (uint64_t)(uintptr_t)slab | QY_PLACE_SLAB;
    if (!pages_are_ours(cache->heap, qy_slab_pfn(slab), slab->order, last))
        return "EXCLUSIVE";
    for (unsigned page = 0; page < 1u << slab->order; page++)
        if (qy_heap_word(cache->heap, qy_slab_base(slab) + page * QY_PAGE_BYTES) != last)
            return "EXCLUSIVE";
    if (slab->capacity != qy_slab_capacity(cache->stride, slab->order) ||
        slab->fresh > slab->capacity || slab->span_bytes != slab->capacity * cache->stride ||
        slab->places < qy_slab_base(slab) ||
        qy_slab_place(slab, slab->capacity) >
            (unsigned char *)(uintptr_t)qy_slab_state(slab, slab->capacity - 1u))
        return "SLAB-COUNT";
    for (unsigned i = 0; i < slab->capacity; i++) {
        unsigned state = qy_state_load(qy_slab_state(slab, i));
        if (state > QY_OBJECT_HELD)
            return "SLAB-COUNT";
        states[state]++;
    }
    if (states[QY_OBJECT_FREE] != slab->free)
        return "SLAB-COUNT";
    sums->slabs++;
    sums->pages += 1u << slab->order;
    sums->capacity += slab->capacity;
    sums->out += slab->capacity - slab->free;
    sums->held += states[QY_OBJECT_HELD];
    sums->cached += states[QY_OBJECT_CACHED];
    return check_free_list(slab);
}

enum fill { PARTIAL, FULL, EMPTY };

static const char *check_list(const struct qy_cache *cache, const struct qy_slab *first,
                              enum fill fill, struct sums *sums)
{
    const struct qy_slab *before = NULL;
    for (const struct qy_slab *slab = first; slab; before = slab, slab = slab->next) {
        enum fill is = slab->free == 0 ? FULL : slab->free == slab->capacity ? EMPTY : PARTIAL;
        if (slab->prev != before || slab->cache != cache || is != fill)
            return "SLAB-COUNT";
        const char *broken = check_slab(slab, sums);
        if (broken)
            return broken;
    }
    return NULL;
}

/* Cached objects of that cache, none twice. */
static bool items_are_cached(const struct qy_cache *cache, const struct qy_item *items,
                             unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct qy_item *item = &items[i];
        const struct qy_slab *slab = qy_slab_of_state(item->state);
        struct qy_place place;
        if (qy_heap_word(cache->heap, item->object) !=
                ((uint64_t)(uintptr_t)slab | QY_PLACE_SLAB) ||
            slab->cache != cache ||
            qy_slab_find(qy_slab_of_state(item->state), item->object, &place) != QY_OK ||
            place.object != item->object || place.state != QY_OBJECT_CACHED ||
            qy_slab_state(slab, place.index) != item->state)
            return false;
        for (unsigned j = 0; j < i; j++)
            if (items[j].object == item->object)
                return false;
    }
    return true;
}

static const char *check_magazine(const struct qy_magazine *magazine)
{
    const struct qy_rounds *loaded = qy_magazine_loaded(magazine);
    const struct qy_rounds *previous = qy_magazine_previous(magazine);
    uint32_t count = qy_magazine_count_loaded(magazine);
    bool whole = qy_rounds_count(loaded) == 0 && loaded != previous &&
                 qy_magazine_top(magazine) == &loaded->items[1 + count] &&
                 qy_magazine_top(magazine) <= magazine->full &&
                 magazine->full <= &loaded->items[1 + QY_ROUNDS_OBJECTS] &&
                 magazine->full->state == &loaded->nobody &&
                 loaded->items[0].state == &loaded->nobody &&
                 items_are_cached(magazine->cache, &loaded->items[1], count);
    if (whole && previous)
        whole = qy_rounds_count(previous) <= QY_ROUNDS_OBJECTS &&
                items_are_cached(magazine->cache, &previous->items[1], qy_rounds_count(previous));
    return whole ? NULL : "SLAB-CACHED";
}

/* *cached is made less by what is in the depot. */
static const char *check_depot(const struct qy_cache *cache, uint32_t *cached)
{
    for (const struct qy_rounds *rounds = cache->depot; rounds; rounds = rounds->below) {
        uint32_t count = qy_rounds_count(rounds);
        const struct qy_rounds *next = rounds->below;
        uint32_t below = next ? qy_rounds_count(next) + next->count_below : 0;
        if (count == 0 || count > QY_ROUNDS_OBJECTS || rounds->count_below != below ||
            !items_are_cached(cache, &rounds->items[1], count))
            return "SLAB-CACHED";
        *cached -= count;
    }
    return NULL;
}

static const char *check_magazines(const struct qy_cache *cache, uint32_t cached)
    QY_REQUIRES(qy_class_slab)
{
    const struct qy_magazine *before = NULL;
    for (const struct qy_magazine *m = cache->heap->magazines; m; before = m, m = m->next) {
        const char *broken = m->prev != before   ? "SLAB-CACHED"
                             : m->cache == cache ? check_magazine(m)
                                                 : NULL;
        if (broken)
            return broken;
        cached -= m->cache == cache ? qy_magazine_count(m) : 0;
    }
    return cached == 0 ? NULL : "SLAB-CACHED";
}

/* mixed_held: objects of the cache in mixed slabs that are held. */
static const char *check_cache(const struct qy_cache *cache, uint32_t mixed_held)
    QY_REQUIRES(qy_class_slab)
{
    struct sums sums = {.held = mixed_held};
    const char *broken = check_list(cache, cache->partial, PARTIAL, &sums);
    if (!broken)
        broken = check_list(cache, cache->full, FULL, &sums);
    if (!broken)
        broken = check_list(cache, cache->empty, EMPTY, &sums);
    if (broken)
        return broken;
    if (sums.slabs != cache->slabs || sums.pages != cache->pages || sums.held != cache->held ||
        sums.capacity != cache->capacity || sums.out != cache->out ||
        (cache->empty && cache->empty->next))
        return "SLAB-COUNT";
    broken = check_depot(cache, &sums.cached);
    return broken ? broken : check_magazines(cache, sums.cached);
}

/* Objects of that cache in a mixed slab; all their granules are in use and theirs alone. */
static const char *count_mixed(const struct qy_mixed *mixed, const struct qy_cache *cache,
                               uint32_t *objects, uint32_t *held, uint64_t *used)
{
    for (unsigned i = QY_GRANULES_HEADER; i < QY_GRANULES; i++) {
        if ((mixed->owner[i] & ~QY_MIXED_HELD) != cache->id)
            continue;
        uint64_t mask =
            i + cache->granules <= QY_GRANULES ? qy_granule_mask(i, cache->granules) : 0;
        if (mask == 0 || (*used & mask) || (mixed->free & mask))
            return "SLAB-MIXED";
        *used |= mask;
        ++*objects;
        *held += mixed->owner[i] & QY_MIXED_HELD ? 1 : 0;
    }
    return NULL;
}

static const char *check_mixed_of(const struct qy_cache *cache, uint32_t *held)
    QY_REQUIRES(qy_class_slab)
{
    uint32_t objects = 0;
    *held = 0;
    for (const struct qy_mixed *mixed = cache->heap->mixed; mixed; mixed = mixed->next) {
        uint64_t used = 0;
        const char *broken = count_mixed(mixed, cache, &objects, held, &used);
        if (broken)
            return broken;
    }
    return objects == cache->mixed ? NULL : "SLAB-MIXED";
}

static const char *check_mixed_slabs(const struct qy_heap *heap) QY_REQUIRES(qy_class_slab)
{
    uint32_t pages = 0, empty = 0, objects, held;
    const struct qy_mixed *before = NULL;
    for (const struct qy_mixed *mixed = heap->mixed; mixed; before = mixed, mixed = mixed->next) {
        uint64_t used = 0;
        pfn_t page = paddr_to_pfn(qy_port_paddr(mixed));
        if (!pages_are_ours(heap, page, 0, (uint64_t)(uintptr_t)mixed | QY_PLACE_MIXED))
            return "EXCLUSIVE";
        if (mixed->heap != heap || mixed->prev != before ||
            (before && !before->free && mixed->free))
            return "SLAB-MIXED";
        for (const struct qy_cache *cache = heap->caches; cache; cache = cache->next)
            if (count_mixed(mixed, cache, &objects, &held, &used))
                return "SLAB-MIXED";
        if ((mixed->free ^ used) != QY_GRANULES_FREE || mixed->used != ~mixed->free)
            return "SLAB-MIXED";
        pages++;
        empty += used == 0;
    }
    return pages == heap->mixed_pages && empty == heap->mixed_empty && empty <= 1 ? NULL
                                                                                  : "SLAB-MIXED";
}

const char *qy_cache_check(struct qy_cache *cache)
{
    uint32_t held = 0;
    qy_heap_lock(cache->heap);
    const char *broken = check_mixed_of(cache, &held);
    if (!broken)
        broken = check_cache(cache, held);
    qy_heap_unlock(cache->heap);
    return broken;
}

static const char *check_own(struct qy_heap *heap)
{
    uint32_t magazines = 0; /* and rounds */
    qy_heap_lock(heap);
    for (const struct qy_magazine *m = heap->magazines; m; m = m->next)
        magazines += qy_magazine_previous(m) ? 3 : 2;
    for (const struct qy_rounds *rounds = heap->rounds; rounds; rounds = rounds->below)
        magazines++;
    for (const struct qy_cache *cache = heap->caches; cache; cache = cache->next)
        for (const struct qy_rounds *rounds = cache->depot; rounds; rounds = rounds->below)
            magazines++;
    const char *broken = magazines == heap->magazine_cache.out
                             ? check_cache(&heap->magazine_cache, 0)
                             : "SLAB-CACHED";
    if (!broken)
        broken = check_mixed_slabs(heap);
    qy_heap_unlock(heap);
    return broken;
}

const char *qy_heap_check(struct qy_heap *heap) QY_UNCHECKED
{
    const char *broken = check_own(heap);
    for (struct qy_cache *cache = heap->caches; cache && !broken; cache = cache->next)
        broken = qy_cache_check(cache);
    if (!broken && qy_heap_pages(heap) != qy_arena_pages(heap->arena, QY_FRAME_SLAB))
        broken = "CONSERVE";
    return broken;
}
