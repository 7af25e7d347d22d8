/*
 * Heaps and caches: setting up, the slow paths of alloc and free, draining, statistics. See qy/slab.h.
 *
 * Where an object comes from, in this order: this CPU's magazine; a slab of the cache that has one free;
 * a mixed slab, while the cache has less than a page's worth there; a new slab of its own; a mixed slab
 * after all. If none of it can be had, what the heap keeps without need goes back, and all of it is tried
 * once more. How objects come back: free.c.
 */
#include "site_impl.h"
#include "slab_impl.h"

#include <lib/string.h>

#define SLABS_MIN 16u /* an arena that has not room for so many slabs gets smaller ones */

/* ---- setting up ---- */

/* The smallest order whose slabs waste at most an eighth; if none up to 3 does, the one that wastes
 * least. */
static unsigned order_for(uint32_t stride, unsigned min)
{
    unsigned best = min;
    uint64_t least = UINT64_MAX;
    for (unsigned order = min; order <= QY_SLAB_MAX_ORDER; order++) {
        uint64_t waste = qy_slab_bytes(order) - (uint64_t)qy_slab_capacity(stride, order) * stride;
        uint64_t share = waste << (QY_SLAB_MAX_ORDER - order);
        if (waste <= qy_slab_bytes(order) / 8)
            return order;
        if (share < least) {
            least = share;
            best = order;
        }
    }
    return best;
}

/* Where the parts of an object's place lie; false if it is too large for a slab. */
static bool lay_out(struct qy_cache *cache)
{
    uint64_t align = cache->type->align;
    align = align < QY_SLAB_OBJECT_MIN / 2 ? QY_SLAB_OBJECT_MIN / 2 : align;
    uint64_t redzone = cache->flags & QY_CACHE_REDZONED ? QY_REDZONE_BYTES : 0;
    uint64_t front = qy_align_up(redzone, align);
    uint64_t end = qy_align_up(front + cache->type->bytes + redzone, sizeof(uint64_t)), link = 0;
    if (cache->flags &
        (QY_CACHE_CONSTRUCTED | QY_CACHE_POISONED)) { /* the object is not to be touched */
        link = end;
        end += sizeof(uint64_t);
    }
    if (cache->flags & QY_CACHE_TRACKED)
        end += QY_TRAILER_BYTES;
    uint64_t stride = qy_align_up(end < QY_SLAB_OBJECT_MIN ? QY_SLAB_OBJECT_MIN : end, align);
    if (stride > UINT16_MAX || qy_slab_capacity((uint32_t)stride, QY_SLAB_MAX_ORDER) == 0)
        return false;
    cache->stride = (uint16_t)stride;
    cache->reciprocal = (uint32_t)(((1ull << 32) + stride - 1) / stride);
    cache->front = (uint16_t)front;
    cache->link = (uint16_t)link;
    return true;
}

static enum qy_error cache_set_up(struct qy_cache *cache, struct qy_heap *heap,
                                  const struct qy_cache_type *type)
{
    if (type->bytes == 0 || type->bytes > QY_SLAB_OBJECT_MAX || type->align == 0 ||
        (type->align & (type->align - 1)) || type->align > QY_PAGE_BYTES)
        return QY_INVALID_ARGUMENT;
    memset(cache, 0, sizeof(*cache));
    cache->heap = heap;
    cache->type = type;
    cache->flags = (uint8_t)(type->flags | (type->construct ? QY_CACHE_CONSTRUCTED : 0) |
                             (heap->hooks ? heap->hooks->flags : 0));
    if (!lay_out(cache))
        return QY_INVALID_ARGUMENT;
    if (!(cache->flags & (QY_CACHE_UNZEROED | QY_CACHE_CONSTRUCTED)))
        cache->zero_bytes = (uint16_t)qy_align_up(type->bytes, sizeof(uint64_t));
    while (qy_slab_capacity(cache->stride, cache->min_order) == 0)
        cache->min_order++;
    cache->order = (uint8_t)order_for(cache->stride, cache->min_order);
    while (cache->order > cache->min_order && heap->arena->total_pages < SLABS_MIN << cache->order)
        cache->order--;
    uint32_t granules = (cache->stride + QY_GRANULE_BYTES - 1) / QY_GRANULE_BYTES;
    cache->granules =
        (uint8_t)(granules <= QY_GRANULES_MAX && type->align <= QY_PAGE_BYTES / 2 ? granules : 0);
    return QY_OK;
}

void qy_heap_init(struct qy_heap *heap, struct qy_arena *arena, const struct qy_heap_hooks *hooks,
                  uint64_t secret)
{
    static const struct qy_cache_type magazine = {"magazine", sizeof(struct qy_rounds), 16, NULL,
                                                  QY_CACHE_UNZEROED};
    memset(heap, 0, sizeof(*heap));
    heap->arena = arena;
    heap->secret = secret;
    heap->ram = (uintptr_t)qy_port_ram(paddr(0));
    heap->slab_tag = qy_tag(QY_KIND_HEAD, 0, QY_FRAME_SLAB, arena);
    if (cache_set_up(&heap->magazine_cache, heap, &magazine) != QY_OK)
        qy_port_broken("SLAB-COUNT", "magazines are too large, bytes", sizeof(struct qy_rounds));
    heap->hooks = hooks; /* not those of its own objects */
}

enum qy_error qy_cache_init(struct qy_cache *cache, struct qy_heap *heap,
                            const struct qy_cache_type *type)
{
    qy_heap_lock(heap);
    enum qy_error error =
        heap->cache_count == QY_HEAP_CACHES_MAX ? QY_TOO_MANY : cache_set_up(cache, heap, type);
    if (error == QY_OK) {
        uint64_t spread = (uint64_t)(uintptr_t)heap / 16 * 0x9e3779b97f4a7c15ull >> 58;
        cache->slot = (uint8_t)((spread + heap->cache_count) % QY_OBJECT_SLOTS);
        cache->id = (uint8_t)++heap->cache_count;
        cache->next = heap->caches;
        heap->caches = cache;
    }
    qy_heap_unlock(heap);
    return error;
}

/* ---- allocation ---- */

void qy_heap_guard_every(struct qy_heap *heap, uint32_t every)
{
    qy_heap_lock(heap);
    heap->guard_every = every;
    heap->guard_left = every ? (uint32_t)((heap->secret >> 32) % every) : 0;
    qy_heap_unlock(heap);
}

/* Whether the next object, which no magazine counts, is to be a guarded one. */
static bool guard_is_due(struct qy_heap *heap) QY_REQUIRES(qy_class_slab)
{
    if (heap->guard_every == 0 || heap->guard_left-- > 0)
        return false;
    heap->guard_left = heap->guard_every - 1;
    return true;
}

static enum qy_error take_own(struct qy_cpu_objects *cpu, struct qy_cache *cache, void **out)
    QY_REQUIRES(qy_class_slab)
{
    struct qy_item item;
    unsigned got;
    enum qy_error error = qy_slab_take(cpu, cache, 1, QY_OBJECT_LIVE, &item, &got);
    if (error == QY_OK)
        *out = item.object;
    return error;
}

static enum qy_error take_mixed(struct qy_cpu_objects *cpu, struct qy_cache *cache, void **out)
    QY_REQUIRES(qy_class_slab)
{
    const struct qy_heap_hooks *hooks = cache->heap->hooks;
    enum qy_error error = qy_mixed_take(cpu, cache, out);
    if (error != QY_OK)
        return error;
    if (cache->flags & QY_CACHE_POISONED && hooks && hooks->fresh)
        hooks->fresh(cache, *out);
    if (cache->flags & QY_CACHE_CONSTRUCTED)
        cache->type->construct(*out);
    return QY_OK;
}

static enum qy_error take(struct qy_cpu_objects *cpu, struct qy_cache *cache, void **out)
    QY_REQUIRES(qy_class_slab)
{
    enum qy_error error;
    bool few =
        cache->granules && (cache->mixed + 1) * cache->granules <= QY_GRANULES - QY_GRANULES_HEADER;
    if (cache->partial || cache->empty || !few)
        error = take_own(cpu, cache, out);
    else
        error = take_mixed(cpu, cache, out);
    if (error == QY_OUT_OF_MEMORY && cache->granules)
        error = take_mixed(cpu, cache, out);
    cache->taken += error == QY_OK;
    return error;
}

/*
 * From this CPU's magazine, or the cache. guard, if not null: *guard says whether a guarded object is
 * wanted instead; nothing is taken then.
 */
static enum qy_error obtain(struct qy_cpu_objects *cpu, struct qy_cache *cache, bool *guard,
                            void **out)
{
    struct qy_heap *heap = cache->heap;
    enum qy_error error = QY_OK;
    qy_percpu_enter(&cpu->own);
    struct qy_magazine *magazine = qy_magazine_of(cpu, cache);
    bool is_due = guard && magazine && qy_magazine_guard_is_due(magazine);
    *out = magazine && !is_due ? qy_magazine_pop(magazine) : NULL;
    if (!*out && !is_due) {
        qy_heap_lock(heap);
        if (magazine && qy_magazine_refill(cpu, magazine) == QY_OK)
            *out = qy_magazine_pop(magazine);
        else if (guard && !magazine && guard_is_due(heap))
            is_due = true;
        else
            error = take(cpu, cache, out);
        qy_heap_unlock(heap);
    }
    qy_percpu_leave(&cpu->own);
    if (guard)
        *guard = is_due;
    return error;
}

/* Objects that come from no slab are as their memory is, and end where they end. */
static void fill_guarded(const struct qy_cache *cache, void *object, size_t bytes)
{
    if (cache->flags & QY_CACHE_CONSTRUCTED)
        cache->type->construct(object);
    else if (cache->zero_bytes)
        memset(object, 0, bytes);
}

static __attribute__((noinline)) enum qy_error
qy_cache_alloc_any(struct qy_cpu_objects *cpu, struct qy_cache *cache, size_t bytes,
                   const struct qy_site *site, const struct qy_owner *owner, void **out)
    QY_REQUIRES(qy_irq_off)
{
    const struct qy_heap_hooks *hooks = cache->heap->hooks;
    bool is_exact = (cache->flags & QY_CACHE_EXACT) == QY_CACHE_EXACT;
    void *object;
    bool guard;
    enum qy_error error = obtain(cpu, cache, &guard, &object);
    if (guard) {
        if (hooks->guard_alloc(cache, bytes, site, out)) {
            if (QY_CONFIG_HEAP_TOOLS && cache->flags & QY_CACHE_TRACKED)
                qy_origin_taken(cpu, cache, *out, bytes, site, owner);
            fill_guarded(cache, *out, bytes);
            return QY_OK;
        }
        error = obtain(cpu, cache, NULL, &object);
    }
    if (error == QY_OUT_OF_MEMORY &&
        !cache->heap->by_steps) { /* what is kept without need goes back, what tools hold too */
        qy_heap_drain(cpu, cache->heap);
        error = obtain(cpu, cache, NULL, &object);
    }
    if (error != QY_OK)
        return error;
    if (cache->flags & QY_CACHE_HOOKED && hooks && hooks->taken)
        hooks->taken(cache, object, bytes);
    if (QY_CONFIG_HEAP_TOOLS && cache->flags & QY_CACHE_TRACKED)
        qy_origin_taken(cpu, cache, object, bytes, site, owner);
    if (cache->flags & QY_CACHE_CONSTRUCTED && cache->flags & QY_CACHE_POISONED)
        cache->type->construct(object);
    if (cache->flags & QY_CACHE_REDZONED && cache->zero_bytes)
        memset(object, 0, is_exact ? bytes : cache->type->bytes); /* and not a byte more */
    else
        qy_object_zero(object, cache->zero_bytes);
    *out = object;
    return QY_OK;
}

/*
 * The magazine does not serve the cache at once: most often because the cache is tracked. If it is as other caches are
 * else, an object is taken from it just as from theirs.
 */
static inline __attribute__((always_inline)) enum qy_error
alloc_entered(struct qy_cpu_objects *cpu, struct qy_cache *cache, struct qy_magazine *magazine,
              size_t bytes, const struct qy_site *site, const struct qy_owner *owner, void **out)
    QY_REQUIRES(qy_irq_off)
{
    bool tracks = QY_CONFIG_HEAP_TOOLS && magazine->tracks == cache;
    void *object;
    bool popped = qy_magazine_try_pop(magazine, tracks, &object);
    qy_percpu_leave(&cpu->own);
    if (!popped)
        return qy_cache_alloc_any(cpu, cache, bytes, site, owner, out);
    qy_origin_write(cpu, qy_origin_behind(cache, object), bytes, site, owner);
    qy_object_zero(object, cache->zero_bytes);
    *out = object;
    return QY_OK;
}

enum qy_error qy_cache_alloc_entered(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                     struct qy_magazine *magazine, const struct qy_site *site,
                                     const struct qy_owner *owner, void **out)
{
    return alloc_entered(cpu, cache, magazine, cache->type->bytes, site, owner, out);
}

enum qy_error qy_cache_alloc_bytes(struct qy_cpu_objects *cpu, struct qy_cache *cache, size_t bytes,
                                   const struct qy_site *site, void **out)
{
    struct qy_magazine *magazine = qy_magazine_enter(cpu, cache);
    return alloc_entered(cpu, cache, magazine, bytes, site, NULL, out);
}

/* ---- visiting, draining, counting ---- */

static void visit_slabs(const struct qy_slab *slab, struct qy_cache *cache,
                        void (*visit)(void *, struct qy_cache *, void *), void *context)
{
    for (; slab; slab = slab->next)
        for (unsigned i = 0; i < slab->capacity; i++)
            if (qy_state_load(qy_slab_state(slab, i)) == QY_OBJECT_LIVE)
                visit(context, cache, qy_slab_place(slab, i) + cache->front);
}

void qy_heap_each(struct qy_heap *heap, void (*visit)(void *, struct qy_cache *, void *),
                  void *context)
{
    struct qy_place place;
    qy_heap_lock(heap);
    for (struct qy_cache *cache = heap->caches; cache; cache = cache->next) {
        visit_slabs(cache->partial, cache, visit, context);
        visit_slabs(cache->full, cache, visit, context);
    }
    for (struct qy_mixed *mixed = heap->mixed; mixed; mixed = mixed->next)
        for (unsigned i = QY_GRANULES_HEADER; i < QY_GRANULES; i++)
            if (mixed->owner[i] && qy_mixed_find(mixed, qy_granule_at(mixed, i), &place) == QY_OK &&
                place.state == QY_OBJECT_LIVE)
                visit(context, place.cache, place.object);
    qy_heap_unlock(heap);
}

bool qy_heap_drain_step(struct qy_heap *heap)
{
    bool any = false;
    qy_heap_lock(heap);
    for (struct qy_cache *cache = heap->caches; cache && !any; cache = cache->next)
        any = qy_depot_drain_some(NULL, cache);
    qy_heap_unlock(heap);
    return any;
}

bool qy_heap_keeps_batches(struct qy_heap *heap)
{
    bool any = false;
    qy_heap_lock(heap);
    for (const struct qy_cache *cache = heap->caches; cache && !any; cache = cache->next)
        any = cache->depot != NULL;
    qy_heap_unlock(heap);
    return any;
}

void qy_heap_drain(struct qy_cpu_objects *cpu, struct qy_heap *heap)
{
    if (heap->hooks && heap->hooks->drain && cpu)
        heap->hooks->drain(cpu, heap);
    if (cpu) {
        qy_percpu_enter(&cpu->own);
        qy_magazine_give_up(cpu, heap);
        qy_percpu_leave(&cpu->own);
    }
    qy_heap_lock(heap);
    for (struct qy_cache *cache = heap->caches; cache; cache = cache->next) {
        qy_depot_drain(cpu, cache);
        qy_slab_release(cache);
    }
    qy_rounds_release(cpu, heap);
    qy_slab_release(&heap->magazine_cache);
    qy_mixed_release(heap);
    qy_heap_unlock(heap);
}

static uint64_t heap_pages(const struct qy_heap *heap) QY_REQUIRES(qy_class_slab)
{
    uint64_t pages = heap->mixed_pages + heap->magazine_cache.pages +
                     atomic_load_explicit(&heap->large_pages, memory_order_relaxed);
    for (const struct qy_cache *cache = heap->caches; cache; cache = cache->next)
        pages += cache->pages;
    return pages;
}

uint64_t qy_heap_pages(struct qy_heap *heap)
{
    qy_heap_lock(heap);
    uint64_t pages = heap_pages(heap);
    qy_heap_unlock(heap);
    return pages;
}

void qy_cache_record(struct qy_cache *cache, struct qy_record_cache *out)
{
    struct qy_heap *heap = cache->heap;
    qy_heap_lock(heap);
    *out = (struct qy_record_cache){.object_bytes = cache->type->bytes,
                                    .stride_bytes = cache->stride,
                                    .held = cache->held,
                                    .mixed = cache->mixed,
                                    .capacity = cache->capacity + cache->mixed,
                                    .slabs = cache->slabs,
                                    .slab_order = cache->order,
                                    .slab_bytes = cache->pages * QY_PAGE_BYTES,
                                    .allocations = cache->taken,
                                    .fetched = cache->fetched,
                                    .returned = cache->returned};
    for (struct qy_magazine *magazine = heap->magazines; magazine; magazine = magazine->next) {
        if (magazine->cache != cache)
            continue;
        out->magazines++;
        out->cached += qy_magazine_count(magazine);
        out->allocations += qy_magazine_taken(magazine);
        out->fetched += atomic_load_explicit(&magazine->fetched, memory_order_relaxed);
        out->returned += atomic_load_explicit(&magazine->returned, memory_order_relaxed);
    }
    out->cached += qy_depot_count(cache);
    uint64_t others = out->cached + cache->held; /* a CPU may be at it */
    uint64_t all = (uint64_t)cache->out + cache->mixed;
    out->live = all > others ? all - others : 0;
    qy_heap_unlock(heap);
}
