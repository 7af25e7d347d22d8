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
#include "slab_impl.h"

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
    if (cache && out->cache && out->cache != cache)
        error = QY_NOT_OWNED;
    else if (error == QY_OK && (out->object != object || out->state != state))
        error = QY_NOT_ALLOCATED;
    if (error == QY_OK && !set_held(out))
        error = QY_NOT_ALLOCATED;
    if (mixed)
        qy_heap_unlock(heap);
    return error;
}

/* An object that is HELD goes into this CPU's magazine or its slab. */
static void put_back(struct qy_cpu_objects *cpu, const struct qy_place *place)
{
    struct qy_heap *heap = place->cache->heap;
    if (place->mixed) {
        qy_heap_lock(heap);
        qy_mixed_give(cpu, place);
        qy_heap_unlock(heap);
        return;
    }
    struct qy_item item = {place->object, qy_slab_state(place->slab, place->index)};
    qy_percpu_enter(&cpu->own);
    struct qy_magazine *magazine = qy_magazine_of(cpu, place->cache);
    if (magazine) {
        qy_magazine_put(cpu, magazine, item);
    } else {
        qy_heap_lock(heap);
        qy_slab_give(cpu, item);
        qy_heap_unlock(heap);
    }
    qy_percpu_leave(&cpu->own);
}

static void count_held(struct qy_cache *cache, int by)
{
    qy_heap_lock(cache->heap);
    cache->held += (uint32_t)by;
    qy_heap_unlock(cache->heap);
}

/* An object that is HELD since just now: hooks see it, and may keep it. */
static void give_back(struct qy_cpu_objects *cpu, const struct qy_place *place) QY_UNCHECKED
{
    const struct qy_heap_hooks *hooks = place->cache->heap->hooks;
    if (place->cache->flags & QY_CACHE_HOOKED && hooks && hooks->given &&
        hooks->given(cpu, place->cache, place->object))
        count_held(place->cache, 1);
    else
        put_back(cpu, place);
}

/* Any object, of that cache if it is not null, in whatever kind of slab. */
static NOINLINE enum qy_error free_any(struct qy_cpu_objects *cpu, struct qy_heap *heap,
                                       struct qy_cache *cache, void *object)
{
    const struct qy_heap_hooks *hooks = heap->hooks;
    struct qy_place place;
    if (hooks && hooks->guard_free && qy_heap_is_guarded(heap, object))
        return hooks->guard_free(heap, cache, object);
    enum qy_error error = claim(heap, cache, object, QY_OBJECT_LIVE, &place);
    if (error == QY_OK)
        give_back(cpu, &place);
    return error;
}

/* ---- the common case ---- */

/* The slab of the cache's preferred order that a pointer points into: one entry is read. Null: none is. */
static inline const struct qy_slab *slab_of_cache(const struct qy_cache *cache, const void *object)
{
    const struct qy_heap *heap = cache->heap;
    const struct qy_framedb *db = heap->arena->db;
    unsigned order = cache->order;
    uint64_t head = qy_heap_frame(heap, object) >> order << order;
    if (!qy_framedb_has_entry(db, head))
        return NULL;
    const struct qy_frame *entry = &db->frames[head];
    uint64_t word = qy_word_load(&entry->word);
    if (qy_load(&entry->tag) != heap->slab_tag + ((qy_tag_t)order << 4) || !qy_word_is_slab(word))
        return NULL;
    const struct qy_slab *slab = qy_word_slab(word);
    return slab->cache == cache ? slab : NULL;
}

/*
 * The state of the live object that begins there in a slab of its cache, of objects without a front
 * redzone; null: none does. It is its owner's alone, so one look is enough.
 */
static inline _Atomic uint8_t *live_state(const struct qy_slab *slab, const struct qy_cache *cache,
                                          const void *object)
{
    uint32_t offset = (uint32_t)((uintptr_t)object - (uintptr_t)slab->places);
    uint64_t product = (uint64_t)offset * cache->reciprocal;
    if (offset >= slab->span_bytes || (uint32_t)product >= cache->reciprocal)
        return NULL;
    _Atomic uint8_t *state = qy_slab_state(slab, (unsigned)(product >> 32));
    return qy_state_load(state) == QY_OBJECT_LIVE ? state : NULL;
}

/* The magazine is full, or not this cache's, or hooks want to see it, or the object is not that simple. */
static NOINLINE enum qy_error free_entered(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                           struct qy_magazine *magazine, void *object,
                                           _Atomic uint8_t *state)
{
    bool served = state && magazine->serves == cache;
    if (served)
        qy_magazine_put(cpu, magazine, (struct qy_item){object, state});
    qy_percpu_leave(&cpu->own);
    if (served)
        return QY_OK;
    if (!state || cache->front)
        return free_any(cpu, cache->heap, cache, object);
    struct qy_slab *slab = qy_slab_of_state(state);
    struct qy_place place = {.slab = slab,
                             .index = (unsigned)(qy_slab_state(slab, 0) - state),
                             .cache = cache,
                             .object = object,
                             .state = QY_OBJECT_LIVE};
    if (!set_held(&place))
        return QY_NOT_ALLOCATED;
    give_back(cpu, &place);
    return QY_OK;
}

/* A live object of the cache, or null. */
static inline enum qy_error free_live(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                      struct qy_magazine *magazine, void *object,
                                      _Atomic uint8_t *state)
{
    struct qy_item *top = qy_magazine_top(magazine);
    if (!state || magazine->serves != cache || top == magazine->full)
        return free_entered(cpu, cache, magazine, object, state);
    qy_state_store(state, QY_OBJECT_CACHED);
    *top = (struct qy_item){object, state};
    qy_magazine_set_top(magazine, top + 1);
    qy_percpu_leave(&cpu->own);
    return QY_OK;
}

enum qy_error qy_cache_free_entered(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                    struct qy_magazine *magazine, void *object)
{
    const struct qy_slab *slab = slab_of_cache(cache, object);
    return free_live(cpu, cache, magazine, object, slab ? live_state(slab, cache, object) : NULL);
}

enum qy_error qy_heap_free(struct qy_cpu_objects *cpu, struct qy_heap *heap, void *object)
{
    uint64_t word = qy_heap_word(heap, object);
    if (!qy_word_is_slab(word))
        return free_any(cpu, heap, NULL, object);
    const struct qy_slab *slab = qy_word_slab(word);
    struct qy_cache *cache = slab->cache;
    return free_live(cpu, cache, qy_magazine_enter(cpu, cache), object,
                     live_state(slab, cache, object));
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
    const struct qy_slab *slab = cache->front ? NULL : slab_of_cache(cache, object);
    if (slab)
        return live_state(slab, cache, object) != NULL;
    return qy_heap_find(cache->heap, object, &found, &start) == QY_OK && found == cache &&
           start == object;
}
