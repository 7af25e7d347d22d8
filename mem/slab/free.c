/*
 * Objects that come back, and how a pointer leads to its object. See qy/slab.h.
 *
 *     frame entry -> slab -> place -> state: LIVE?    -> this CPU's magazine         no lock, no hook
 *                        `-> anything else            -> HELD -> hooks -> magazine, depot or slab
 *
 * A pointer is looked up in the frame database and in its slab before anything is changed, so what is not a
 * live object's start is refused, whatever it points at. Locking: the heap's for mixed slabs, and where a
 * magazine is full. Cost: O(1). Failures: nothing has changed.
 */
#include "site_impl.h"
#include "slab_impl.h"

#include <qy/heap.h>

#define BLOCK_BYTES (QY_BLOCK_PAGES * QY_PAGE_BYTES)
#define NOINLINE                                                                                   \
    __attribute__((noinline)) /* keeps what is rare out of the short paths' registers */

/* ---- any case ---- */

/* word: of the block that it points into. */
static enum qy_error place_find(uint64_t word, const void *pointer, struct qy_place *out)
    QY_REQUIRES(qy_class_slab)
{
    *out = (struct qy_place){0};
    switch (qy_word_kind(word)) {
    case QY_PLACE_SLAB:
        return qy_slab_find(qy_word_address(word), pointer, out);
    case QY_PLACE_MIXED:
        return qy_mixed_find(qy_word_address(word), pointer, out);
    default:
        return QY_NOT_OWNED;
    }
}

/* From the state that it was found in. False: another CPU was there first. */
static bool set_held(const struct qy_place *place)
{
    uint8_t state = (uint8_t)place->state;
    if (!place->mixed)
        return atomic_compare_exchange_strong(qy_slab_state(place->slab, place->index), &state,
                                              QY_OBJECT_HELD);
    place->mixed->owner[place->index] |= QY_MIXED_HELD;
    return true;
}

/*
 * The object's place, if it is the cache's (any cache's, if that is null) and in that state; a live one
 * is HELD then. Only mixed slabs need the lock: a state byte is its object's owner's.
 */
static enum qy_error claim(struct qy_heap *heap, const struct qy_cache *cache, const void *object,
                           enum qy_object_state state, struct qy_place *out) QY_UNCHECKED
{
    uint64_t word = qy_heap_word(heap, object);
    bool mixed = qy_word_kind(word) == QY_PLACE_MIXED;
    if (mixed)
        qy_heap_lock(heap);
    enum qy_error error = place_find(mixed ? qy_heap_word(heap, object) : word, object, out);
    bool is_own = out->cache == &heap->magazine_cache; /* not to be had by a pointer, however old */
    if (is_own || (cache && out->cache && out->cache != cache))
        error = QY_NOT_OWNED;
    else if (error == QY_OK && (out->object != object || out->state != state))
        error = QY_NOT_ALLOCATED;
    if (error == QY_OK && !set_held(out))
        error = QY_NOT_ALLOCATED;
    if (mixed)
        qy_heap_unlock(heap);
    return error;
}

/* An object of the cache's own slab that is HELD goes into this CPU's magazine or its slab. */
static void put_item(struct qy_cpu_objects *cpu, struct qy_cache *cache, struct qy_item item)
{
    struct qy_magazine *magazine = qy_magazine_enter(cpu, cache);
    if (magazine->cache != cache)
        magazine = qy_magazine_of(cpu, cache);
    if (magazine) {
        qy_magazine_put(cpu, magazine, item);
    } else {
        qy_heap_lock(cache->heap);
        qy_slab_give(cpu, item);
        qy_heap_unlock(cache->heap);
    }
    qy_percpu_leave(&cpu->own);
}

/* The same of any. */
static void put_back(struct qy_cpu_objects *cpu, const struct qy_place *place)
{
    struct qy_heap *heap = place->cache->heap;
    if (place->mixed) {
        qy_heap_lock(heap);
        qy_mixed_give(cpu, place);
        qy_heap_unlock(heap);
    } else {
        struct qy_item item = {place->object, qy_slab_state(place->slab, place->index)};
        put_item(cpu, place->cache, item);
    }
}

static void count_held(struct qy_cache *cache, int by)
{
    qy_heap_lock(cache->heap);
    cache->held += (uint32_t)by;
    qy_heap_unlock(cache->heap);
}

/* Its trailer and hooks see an object that is HELD since just now; true: the hooks keep it. */
static inline bool is_kept(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object,
                           const struct qy_site *site)
{
    const struct qy_heap_hooks *hooks = cache->heap->hooks;
    if (!(cache->flags & QY_CACHE_HOOKED))
        return false;
    if (QY_CONFIG_HEAP_TOOLS && cache->flags & QY_CACHE_TRACKED)
        qy_origin_given(cpu, cache, object, site);
    if (!hooks || !hooks->given || !hooks->given(cpu, cache, object))
        return false;
    count_held(cache, 1);
    return true;
}

/* Of whatever pointer. Named as what others call: a report of a stack leaves such names out. */
static enum qy_error qy_cache_free_any(struct qy_cpu_objects *cpu, struct qy_heap *heap,
                                       struct qy_cache *cache, void *object,
                                       const struct qy_site *site) QY_REQUIRES(qy_irq_off)
{
    const struct qy_heap_hooks *hooks = heap->hooks;
    struct qy_place place;
    if (hooks && hooks->guard_free && qy_heap_is_guarded(heap, object))
        return hooks->guard_free(heap, cache, object); /* it keeps the whole stack */
    enum qy_error error = claim(heap, cache, object, QY_OBJECT_LIVE, &place);
    if (error != QY_OK)
        return error;
    if (!is_kept(cpu, place.cache, object, site))
        put_back(cpu, &place);
    return QY_OK;
}

enum qy_error qy_heap_free(struct qy_cpu_objects *cpu, struct qy_heap *heap, struct qy_cache *cache,
                           void *object)
{
    return qy_cache_free_any(cpu, heap, cache, object, NULL);
}

/* ---- the common case ---- */

/*
 * The state of the live object that begins there, in a slab of so many without front redzones; null: none does. The
 * state is its owner's alone, so one look is enough.
 *
 * The product's upper half is the quotient offset / stride, exact for offsets below 2^16, and more than any
 * capacity for those below zero; the offset is a multiple if the fraction, the lower half, is below the
 * reciprocal (Lemire, Kaser, Kurz 2019).
 */
static inline _Atomic uint8_t *live_state(const struct qy_slab *slab, uint64_t reciprocal,
                                          uint32_t capacity, const void *object)
{
    uint32_t offset = (uint32_t)(uintptr_t)object - (uint32_t)(uintptr_t)slab->places;
    uint64_t product = offset * reciprocal;
    if ((uint32_t)product >= (uint32_t)reciprocal || (uint32_t)(product >> 32) >= capacity)
        return NULL;
    _Atomic uint8_t *state = qy_slab_state(slab, (unsigned)(product >> 32));
    return qy_state_load(state) == QY_OBJECT_LIVE ? state : NULL;
}

_Static_assert(sizeof(struct qy_frame) == 1 << 4, "find_live shifts");

/* The magazine remembers other 2 MiB, where that pointer is; false: it has no frame entry. */
static bool move_block(struct qy_magazine *magazine, const void *object)
{
    const struct qy_heap *heap = magazine->cache->heap;
    const struct qy_framedb *db = heap->arena->db;
    uint64_t first = qy_align_down(qy_heap_frame(heap, object), QY_BLOCK_PAGES);
    if (!qy_framedb_has_entry(db, first))
        return false;
    magazine->block = heap->ram + (first << QY_PAGE_SHIFT);
    magazine->entries = &db->frames[first];
    return true;
}

/*
 * The state of the live object of the magazine's cache that begins there, if it is in a slab of the preferred
 * order. Not for caches with front redzones. offset: from the magazine's block, below 2 MiB.
 */
static inline _Atomic uint8_t *find_live(const struct qy_magazine *magazine,
                                         const struct qy_cache *cache, uintptr_t offset,
                                         const void *object)
{
    size_t at = offset >> (QY_PAGE_SHIFT - 4) & magazine->entry_mask;
    const struct qy_frame *entry =
        (const struct qy_frame *)(const void *)((const char *)magazine->entries + at);
    if (qy_load(&entry->tag) != magazine->tag)
        return NULL;
    uint64_t word = qy_word_load(&entry->word);
    if (!qy_word_is_slab(word) || qy_word_slab(word)->cache != cache)
        return NULL;
    return live_state(qy_word_slab(word), magazine->reciprocal, magazine->capacity, object);
}

/* The same of any pointer; magazine: of that cache. */
static _Atomic uint8_t *find_anywhere(struct qy_magazine *magazine, const void *object)
{
    if ((uintptr_t)object - magazine->block >= BLOCK_BYTES && !move_block(magazine, object))
        return NULL;
    return find_live(magazine, magazine->cache, (uintptr_t)object - magazine->block, object);
}

/*
 * The magazine is full, or not this cache's, or it is tracked, or hooks want to see it, or the object is not that
 * simple. A tracked object is counted while it is in this CPU's magazine: nobody else can take it before it leaves.
 */
static NOINLINE enum qy_error
qy_cache_free_other(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                    struct qy_magazine *magazine, void *object, const struct qy_site *site)
    QY_REQUIRES(qy_irq_off)
{
    bool is_own = magazine->cache == cache && cache->front == 0;
    bool tracks = QY_CONFIG_HEAP_TOOLS && magazine->tracks == cache;
    _Atomic uint8_t *state = is_own ? find_anywhere(magazine, object) : NULL;
    bool served = state && (tracks || magazine->serves == cache);
    if (served)
        qy_magazine_put(cpu, magazine, (struct qy_item){object, state});
    if (served && tracks)
        qy_origin_end(cpu, qy_origin_behind(cache, object));
    qy_percpu_leave(&cpu->own);
    if (served)
        return QY_OK;
    if (!state)
        return qy_cache_free_any(cpu, cache->heap, cache, object, site);
    uint8_t live = QY_OBJECT_LIVE;
    if (!atomic_compare_exchange_strong(state, &live, QY_OBJECT_HELD))
        return QY_NOT_ALLOCATED;
    if (!is_kept(cpu, cache, object, site))
        put_item(cpu, cache, (struct qy_item){object, state});
    return QY_OK;
}

/* That live object of the magazine's cache goes on top of it, where there is room. */
static inline enum qy_error push(struct qy_cpu_objects *cpu, struct qy_magazine *magazine,
                                 struct qy_item *top, void *object, _Atomic uint8_t *state)
{
    qy_state_store(state, QY_OBJECT_CACHED);
    *top = (struct qy_item){object, state};
    qy_magazine_set_top(magazine, top + 1);
    qy_percpu_leave(&cpu->own);
    return QY_OK;
}

enum qy_error qy_cache_free_entered(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                    struct qy_magazine *magazine, void *object)
{
    struct qy_item *top = qy_magazine_top(magazine);
    uintptr_t offset = (uintptr_t)object - magazine->block;
    if (magazine->serves != cache)
        return qy_cache_free_entered_from(cpu, cache, magazine, object, NULL);
    if (offset >= BLOCK_BYTES || top == magazine->full)
        return qy_cache_free_other(cpu, cache, magazine, object, NULL);
    _Atomic uint8_t *state = find_live(magazine, cache, offset, object);
    if (!state)
        return qy_cache_free_other(cpu, cache, magazine, object, NULL);
    return push(cpu, magazine, top, object, state);
}

/* As qy_cache_free_entered, of a magazine that tracks its cache and nothing else. */
static NOINLINE enum qy_error free_tracked(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                           struct qy_magazine *magazine, void *object,
                                           const struct qy_site *site) QY_REQUIRES(qy_irq_off)
{
    struct qy_item *top = qy_magazine_top(magazine);
    uintptr_t offset = (uintptr_t)object - magazine->block;
    _Atomic uint8_t *state = offset < BLOCK_BYTES && top != magazine->full
                                 ? find_live(magazine, cache, offset, object)
                                 : NULL;
    if (!state)
        return qy_cache_free_other(cpu, cache, magazine, object, site);
    qy_origin_end(cpu, qy_origin_behind(cache, object));
    return push(cpu, magazine, top, object, state);
}

enum qy_error qy_cache_free_entered_from(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                         struct qy_magazine *magazine, void *object,
                                         const struct qy_site *site)
{
    bool tracks = QY_CONFIG_HEAP_TOOLS && magazine->tracks == cache;
    if (qy_magazine_push_last(magazine, tracks, cache, object)) {
        qy_origin_end(cpu, qy_origin_behind(cache, object));
        qy_percpu_leave(&cpu->own);
        return QY_OK;
    }
    if (tracks)
        return free_tracked(cpu, cache, magazine, object, site);
    return magazine->serves == cache ? qy_cache_free_entered(cpu, cache, magazine, object)
                                     : qy_cache_free_other(cpu, cache, magazine, object, site);
}

/* Any piece, of whatever slab its address leads to. */
static NOINLINE enum qy_error sizes_free_entered(struct qy_cpu_objects *cpu, struct qy_sizes *sizes,
                                                 void *piece) QY_REQUIRES(qy_irq_off)
{
    uint64_t word = qy_heap_word(sizes->heap, piece);
    if (!qy_word_is_slab(word)) {
        qy_percpu_leave(&cpu->own);
        return qy_sizes_free_other(cpu, sizes, piece, word);
    }
    const struct qy_slab *slab = qy_word_slab(word);
    struct qy_cache *cache = slab->cache;
    struct qy_magazine *magazine = qy_magazine_at(cpu, cache->slot);
    struct qy_item *top = qy_magazine_top(magazine);
    _Atomic uint8_t *state = live_state(slab, magazine->reciprocal, slab->capacity, piece);
    if (!state || magazine->serves != cache || top == magazine->full)
        return qy_cache_free_other(cpu, cache, magazine, piece, NULL);
    return push(cpu, magazine, top, piece, state);
}

enum qy_error qy_sizes_free(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, void *piece)
{
    qy_percpu_enter(&cpu->own);
    struct qy_magazine *magazine = qy_magazine_at(cpu, cpu->recent);
    bool is_right = magazine->heap == sizes->heap;
    if (!qy_magazine_push_last(magazine, is_right, magazine->serves, piece))
        return sizes_free_entered(cpu, sizes, piece);
    qy_percpu_leave(&cpu->own);
    return QY_OK;
}

enum qy_error qy_cache_release(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object)
{
    struct qy_place place;
    enum qy_error error = claim(cache->heap, cache, object, QY_OBJECT_HELD, &place);
    if (error != QY_OK)
        return error;
    count_held(cache, -1);
    put_back(cpu, &place);
    return QY_OK;
}

enum qy_error qy_heap_find(struct qy_heap *heap, const void *pointer, struct qy_cache **cache,
                           void **object)
{
    struct qy_place place;
    qy_heap_lock(heap);
    enum qy_error error = place_find(qy_heap_word(heap, pointer), pointer, &place);
    qy_heap_unlock(heap);
    if (error == QY_OK && place.state != QY_OBJECT_LIVE)
        error = QY_NOT_ALLOCATED;
    if (error == QY_OK) {
        *cache = place.cache;
        *object = place.object;
    }
    return error;
}

bool qy_cache_is_live(struct qy_cache *cache, const void *object)
{
    struct qy_cache *found;
    void *start;
    return qy_heap_find(cache->heap, object, &found, &start) == QY_OK && found == cache &&
           start == object;
}
