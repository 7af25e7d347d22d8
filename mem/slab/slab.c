/*
 * A cache's own slabs: objects out of them and back, slabs out of the arena and back.
 *
 * Which list a slab is on follows from how many of its objects are free: none = full, all = empty, else
 * partial. A cache keeps one empty slab. Failures: a new slab that cannot be had changes nothing. All of
 * it with the heap's lock held.
 */
#include "slab_impl.h"

#include <lib/string.h>
#include <qy/frame_cache.h>

enum qy_error qy_slab_pages_alloc(struct qy_cpu_objects *cpu, struct qy_arena *arena,
                                  unsigned order, pfn_t *out)
{
    qy_irq_is_off();
    return cpu && cpu->frames ? qy_frame_try_alloc(cpu->frames, arena, order, QY_FRAME_SLAB, out)
                              : qy_arena_alloc(arena, order, QY_FRAME_SLAB, out);
}

void qy_slab_pages_free(struct qy_cpu_objects *cpu, struct qy_arena *arena, pfn_t block,
                        unsigned order)
{
    qy_irq_is_off();
    enum qy_error error = cpu && cpu->frames
                              ? qy_frame_free(cpu->frames, arena, block, order, QY_FRAME_SLAB)
                              : qy_arena_free(arena, block, order, QY_FRAME_SLAB);
    if (error != QY_OK)
        qy_port_broken("EXCLUSIVE", "the arena does not know a slab of its own, frame", block.raw);
}

/* ---- lists ---- */

static struct qy_slab **list_of(struct qy_cache *cache, unsigned free, unsigned capacity)
{
    return free == 0 ? &cache->full : free == capacity ? &cache->empty : &cache->partial;
}

static void list_push(struct qy_slab **list, struct qy_slab *slab)
{
    slab->prev = NULL;
    slab->next = *list;
    if (*list)
        (*list)->prev = slab;
    *list = slab;
}

static void broken_header(const struct qy_slab *slab)
{
    qy_port_broken("SLAB-FREE", "a slab's header is overwritten, at", (uint64_t)(uintptr_t)slab);
}

static void list_remove(struct qy_slab **list, struct qy_slab *slab)
{
    if ((slab->next && slab->next->prev != slab) || (slab->prev ? slab->prev->next : *list) != slab)
        broken_header(slab);
    if (slab->next)
        slab->next->prev = slab->prev;
    if (slab->prev)
        slab->prev->next = slab->next;
    else
        *list = slab->next;
}

/* The slab had `before` free objects; put it on the list that it belongs to now. */
static void slab_place(struct qy_slab *slab, unsigned before)
{
    if (before != 0 && slab->free != 0 && before != slab->capacity && slab->free != slab->capacity)
        return; /* partial, as it was */
    struct qy_slab **from = list_of(slab->cache, before, slab->capacity);
    struct qy_slab **to = list_of(slab->cache, slab->free, slab->capacity);
    if (from == to)
        return;
    list_remove(from, slab);
    list_push(to, slab);
}

/* ---- objects of a slab ---- */

static void broken_object(const void *place)
{
    qy_port_broken("SLAB-FREE", "a free object was written to, at", (uint64_t)(uintptr_t)place);
}

static void object_push(struct qy_slab *slab, unsigned index)
{
    unsigned char *link = qy_slab_place(slab, index) + slab->cache->link;
    uint64_t word = qy_slab_encode(slab->cache->heap, link, slab->first_free);
    memcpy(link, &word, sizeof(word));
    slab->first_free = (uint16_t)index;
    slab->free++;
    qy_state_store(qy_slab_state(slab, index), QY_OBJECT_FREE);
}

/* A slab with free objects says of itself what it should. */
static void header_check(const struct qy_cache *cache, const struct qy_slab *slab)
{
    if (slab->cache != cache || slab->order > QY_SLAB_MAX_ORDER || slab->free == 0 ||
        slab->capacity != qy_slab_capacity(cache->stride, slab->order) ||
        slab->free > slab->capacity || slab->fresh > slab->capacity ||
        slab->free < slab->capacity - slab->fresh ||
        (slab->free == slab->capacity - slab->fresh) != (slab->first_free == QY_SLAB_NIL) ||
        slab->span_bytes != (uint32_t)slab->capacity * cache->stride)
        broken_header(slab);
}

/*
 * Take up to `want` free objects, the first ones of the list, each after a look at what it says of the next.
 * Returns how many.
 */
static unsigned listed_pop(const struct qy_cache *cache, struct qy_slab *slab, unsigned want,
                           enum qy_object_state state, struct qy_item *items)
{
    const struct qy_heap *heap = cache->heap;
    unsigned capacity = slab->capacity, listed = slab->free - (capacity - slab->fresh);
    unsigned count = listed < want ? listed : want;
    uint64_t index = slab->first_free;
    if (count == 0)
        return 0;
    if (index >= capacity || qy_state_load(qy_slab_state(slab, (unsigned)index)) != QY_OBJECT_FREE)
        broken_header(slab);
    for (unsigned i = 0; i < count; i++) {
        unsigned char *place = slab->places + index * cache->stride, *link = place + cache->link;
        _Atomic uint8_t *at = qy_slab_state(slab, (unsigned)index);
        uint64_t word;
        memcpy(&word, link, sizeof(word));
        uint64_t next = qy_slab_encode(heap, link, word);
        qy_state_store(at, state);
        if (i + 1 == listed
                ? next != QY_SLAB_NIL
                : next >= capacity ||
                      qy_state_load(qy_slab_state(slab, (unsigned)next)) != QY_OBJECT_FREE) {
            qy_state_store(at, QY_OBJECT_FREE);
            broken_object(place + cache->front);
        }
        items[i] = (struct qy_item){place + cache->front, at};
        index = next;
    }
    slab->first_free = (uint16_t)index;
    slab->free = (uint16_t)(slab->free - count);
    return count;
}

/* The same of those that nobody has had: by address, and no list is touched. */
static unsigned fresh_pop(struct qy_slab *slab, unsigned want, enum qy_object_state state,
                          struct qy_item *items)
{
    const struct qy_heap_hooks *hooks = slab->cache->heap->hooks;
    struct qy_cache *cache = slab->cache;
    unsigned left = slab->capacity - slab->fresh, count = left < want ? left : want;
    unsigned char *object = qy_slab_place(slab, slab->fresh) + cache->front;
    _Atomic uint8_t *at = qy_slab_state(slab, slab->fresh);
    for (unsigned i = 0; i < count; i++, object += cache->stride, at--) {
        if (cache->flags & QY_CACHE_POISONED && hooks && hooks->fresh)
            hooks->fresh(cache, object);
        if (cache->flags & QY_CACHE_CONSTRUCTED)
            cache->type->construct(object);
        if (qy_state_load(at) != QY_OBJECT_FREE)
            broken_header(slab);
        qy_state_store(at, state);
        items[i] = (struct qy_item){object, at};
    }
    slab->fresh = (uint16_t)(slab->fresh + count);
    slab->free = (uint16_t)(slab->free - count);
    return count;
}

/* ---- slabs ---- */

/* Where the next slab's objects begin. */
static unsigned next_colour(struct qy_cache *cache, unsigned order)
{
    uint64_t slack = qy_slab_slack(cache->stride, order);
    uint64_t step =
        cache->type->align < QY_SLAB_OBJECT_MIN ? QY_SLAB_OBJECT_MIN : cache->type->align;
    unsigned colour = cache->colour <= slack ? cache->colour : 0;
    cache->colour = (uint16_t)(colour + step <= slack ? colour + step : 0);
    return colour;
}

/* A new slab, on the list of empty ones. */
static enum qy_error slab_add(struct qy_cpu_objects *cpu, struct qy_cache *cache)
    QY_REQUIRES(qy_class_slab)
{
    pfn_t block;
    unsigned order = cache->order;
    struct qy_arena *arena = cache->heap->arena;
    enum qy_error error = qy_slab_pages_alloc(cpu, arena, order, &block);
    if (error == QY_OUT_OF_MEMORY && cache->min_order < order) {
        order = cache->min_order;
        error = qy_slab_pages_alloc(cpu, arena, order, &block);
    }
    if (error != QY_OK)
        return error;
    unsigned char *base = qy_port_ram(pfn_to_paddr(block));
    struct qy_slab *slab = qy_slab_at(base, order);
    unsigned capacity = qy_slab_capacity(cache->stride, order);
    *slab = (struct qy_slab){.cache = cache,
                             .places = base + next_colour(cache, order),
                             .span_bytes = capacity * cache->stride,
                             .first_free = QY_SLAB_NIL,
                             .free = (uint16_t)capacity,
                             .capacity = (uint16_t)capacity,
                             .order = (uint8_t)order};
    for (unsigned i = 0; i < capacity; i++)
        qy_state_store(qy_slab_state(slab, i), QY_OBJECT_FREE);
    struct qy_frame *entries = &arena->db->frames[block.raw];
    for (unsigned i = 1; i < 1u << order; i++)
        qy_word_store(&entries[i].word, order);
    qy_frame_set_word(arena->db, block, (uint64_t)(uintptr_t)slab | QY_PLACE_SLAB);
    list_push(&cache->empty, slab);
    cache->slabs++;
    cache->capacity += slab->capacity;
    cache->pages += 1u << order;
    return QY_OK;
}

/* An empty slab goes back to the arena. What magazines remember of its objects is void. */
static void slab_return(struct qy_cpu_objects *cpu, struct qy_slab *slab) QY_REQUIRES(qy_class_slab)
{
    struct qy_cache *cache = slab->cache;
    unsigned order = slab->order;
    pfn_t block = qy_slab_pfn(slab);
    list_remove(&cache->empty, slab);
    cache->slabs--;
    cache->capacity -= slab->capacity;
    cache->pages -= 1u << order;
    atomic_store_explicit(&cache->epoch,
                          atomic_load_explicit(&cache->epoch, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    slab->cache = NULL;
    qy_slab_pages_free(cpu, cache->heap->arena, block, order);
}

bool qy_slab_release(struct qy_cache *cache)
{
    if (!cache->empty)
        return false;
    slab_return(NULL, cache->empty);
    return true;
}

/* ---- what the rest of mem/slab uses ---- */

enum qy_error qy_slab_take(struct qy_cpu_objects *cpu, struct qy_cache *cache, unsigned want,
                           enum qy_object_state state, struct qy_item *items, unsigned *got)
{
    enum qy_error error = QY_OK;
    for (*got = 0; *got < want && error == QY_OK;) {
        struct qy_slab *slab = cache->partial ? cache->partial : cache->empty;
        if (!slab) {
            error = *got ? QY_OUT_OF_MEMORY : slab_add(cpu, cache);
            continue;
        }
        unsigned before = slab->free;
        header_check(cache, slab);
        *got += listed_pop(cache, slab, want - *got, state, &items[*got]);
        *got += fresh_pop(slab, want - *got, state, &items[*got]);
        slab_place(slab, before);
    }
    cache->out += *got;
    return *got ? QY_OK : error;
}

void qy_slab_give(struct qy_cpu_objects *cpu, struct qy_item item)
{
    struct qy_slab *slab = qy_slab_of_state(item.state);
    struct qy_cache *cache = slab->cache;
    unsigned before = slab->free;
    if (qy_state_load(item.state) == QY_OBJECT_FREE) /* two CPUs at the same instant */
        qy_port_broken("SLAB-FREE", "an object was freed twice, at",
                       (uint64_t)(uintptr_t)item.object);
    object_push(slab, (unsigned)(qy_slab_state(slab, 0) - item.state));
    cache->out--;
    slab_place(slab, before);
    if (slab->free == slab->capacity && cache->empty->next)
        slab_return(cpu, slab);
}

void qy_slab_give_cached(struct qy_cpu_objects *cpu, const struct qy_item *items, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (qy_state_load(items[i].state) != QY_OBJECT_CACHED)
            qy_port_broken("SLAB-CACHED", "a cached object is in use, or cached twice, at",
                           (uint64_t)(uintptr_t)items[i].object);
        qy_slab_give(cpu, items[i]);
    }
}

void *qy_slab_take_own(struct qy_cpu_objects *cpu, struct qy_heap *heap)
{
    struct qy_item item;
    unsigned got;
    if (qy_slab_take(cpu, &heap->magazine_cache, 1, QY_OBJECT_LIVE, &item, &got) != QY_OK)
        return NULL;
    heap->magazine_cache.taken++;
    return item.object;
}

void qy_slab_give_own(struct qy_cpu_objects *cpu, struct qy_heap *heap, void *object)
{
    struct qy_place place;
    if (qy_slab_find(qy_word_address(qy_heap_word(heap, object)), object, &place) != QY_OK)
        qy_port_broken("SLAB-CACHED", "a magazine is in no slab, at", (uint64_t)(uintptr_t)object);
    qy_slab_give(cpu, (struct qy_item){object, qy_slab_state(place.slab, place.index)});
}

enum qy_error qy_slab_find(struct qy_slab *slab, const void *pointer, struct qy_place *out)
{
    struct qy_cache *cache = slab->cache;
    uint64_t offset = (uint64_t)((uintptr_t)pointer - (uintptr_t)slab->places);
    *out = (struct qy_place){.slab = slab, .cache = cache};
    if (offset >= slab->span_bytes) /* below the first too: it wraps */
        return QY_NOT_ALLOCATED;
    out->index = (unsigned)(offset / cache->stride);
    out->object = qy_slab_place(slab, out->index) + cache->front;
    out->state = qy_state_load(qy_slab_state(slab, out->index));
    return QY_OK;
}
