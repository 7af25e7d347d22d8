/*
 * Sites and origins: trailers of tracked objects, counters, and sums over a heap. See qy/site.h.
 *
 * A trailer is believed only as far as it can be checked: an overflow may have reached it, so a pointer to
 * a site is compared with the section before anything is read or counted through it.
 */
#include "slab_impl.h"

#include <qy/port.h>
#include <qy/site.h>

#define WORD(field) atomic_load_explicit(&origin->field, memory_order_relaxed)
#define SET_WORD(field, value) atomic_store_explicit(&origin->field, (value), memory_order_relaxed)

/* The site that a trailer names; null if it is none of the program's. */
static struct qy_site *site_of(const struct qy_site *site)
{
    uintptr_t offset = (uintptr_t)site - (uintptr_t)qy_sites_begin;
    return offset % sizeof(*site) == 0 ? qy_site_at(offset / sizeof(*site)) : NULL;
}

static inline bool is_guarded(const struct qy_cache *cache, const void *object)
{
    const struct qy_heap_hooks *hooks = cache->heap->hooks;
    return hooks && hooks->guard_trailer && qy_heap_is_guarded(cache->heap, object);
}

static inline struct qy_origin *origin_of(struct qy_cache *cache, void *object)
{
    return is_guarded(cache, object) ? cache->heap->hooks->guard_trailer(cache, object)
                                     : qy_object_trailer(cache, object);
}

static void add(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static struct qy_site_counts *my_counts(struct qy_site *site)
{
    return &site->counts[qy_port_cpu() % QY_SITE_SHARDS];
}

/* Bytes of a live allocation change from `from` to `to`. */
static void resized(struct qy_site *site, uint64_t from, uint64_t to)
{
    if (site && from != to)
        add(&my_counts(site)->total_bytes, to - from);
}

struct qy_site_sums qy_site_read(const struct qy_site *site)
{
    struct qy_site_sums sums = {0};
    for (unsigned i = 0; i < QY_SITE_SHARDS; i++) {
        const struct qy_site_counts *counts = &site->counts[i];
        uint64_t total = atomic_load_explicit(&counts->total, memory_order_relaxed);
        uint64_t bytes = atomic_load_explicit(&counts->total_bytes, memory_order_relaxed);
        sums.total += total;
        sums.total_bytes += bytes;
        sums.live += total - atomic_load_explicit(&counts->freed, memory_order_relaxed);
        sums.live_bytes += bytes - atomic_load_explicit(&counts->freed_bytes, memory_order_relaxed);
    }
    return sums;
}

bool qy_allocation_read(struct qy_cache *cache, void *object, struct qy_allocation *out)
{
    *out = (struct qy_allocation){.cache = cache, .object = object};
    if (!(cache->flags & QY_CACHE_TRACKED))
        return false;
    struct qy_origin *origin = origin_of(cache, object);
    out->site = site_of(WORD(site));
    out->freed = site_of(WORD(freed));
    out->owner = (struct qy_owner){.payer = WORD(payer),
                                   .thread = WORD(thread),
                                   .call = WORD(call),
                                   .number = WORD(number),
                                   .bytes = WORD(bytes),
                                   .time = WORD(time)};
    return true;
}

static inline void owner_write(struct qy_origin *origin, const struct qy_owner *owner)
{
    SET_WORD(payer, owner->payer);
    SET_WORD(thread, owner->thread);
    SET_WORD(call, (uint32_t)owner->call);
    SET_WORD(number, owner->number);
    SET_WORD(bytes, owner->bytes);
    SET_WORD(time, owner->time);
}

void qy_origin_taken(struct qy_cache *cache, void *object, size_t bytes, const struct qy_site *site)
{
    struct qy_origin *origin = origin_of(cache, object);
    struct qy_site *counted = site_of(site);
    SET_WORD(site, site);
    SET_WORD(freed, NULL);
    SET_WORD(asked, (uint32_t)bytes);
    owner_write(origin, &(struct qy_owner){.bytes = bytes});
    if (counted) {
        struct qy_site_counts *counts = my_counts(counted);
        add(&counts->total, 1);
        add(&counts->total_bytes, bytes);
    }
}

void qy_origin_set_tracked(struct qy_cache *cache, void *object, const struct qy_owner *owner)
{
    struct qy_origin *origin = origin_of(cache, object);
    resized(site_of(WORD(site)), WORD(bytes), owner->bytes);
    owner_write(origin, owner);
}

void qy_origin_resize_tracked(struct qy_cache *cache, void *object, uint64_t bytes)
{
    struct qy_origin *origin = origin_of(cache, object);
    resized(site_of(WORD(site)), WORD(bytes), bytes);
    SET_WORD(bytes, bytes);
}

void qy_origin_given(struct qy_cache *cache, void *object, const struct qy_site *freed)
{
    struct qy_origin *origin = origin_of(cache, object);
    struct qy_site *site = site_of(WORD(site));
    SET_WORD(freed, freed);
    if (site) {
        struct qy_site_counts *counts = my_counts(site);
        add(&counts->freed, 1);
        add(&counts->freed_bytes, WORD(bytes));
    }
}

size_t qy_object_asked(const struct qy_cache *cache, void *object)
{
    if ((cache->flags & QY_CACHE_EXACT) != QY_CACHE_EXACT)
        return cache->type->bytes;
    const struct qy_origin *origin = qy_object_trailer(cache, object);
    uint32_t asked =
        WORD(asked); /* an overflow may have reached it; the redzone behind is whole then */
    return asked < cache->type->bytes ? asked : cache->type->bytes;
}

struct collecting {
    struct qy_tally *tally;
    uint64_t since;
};

static void collect(void *context, struct qy_cache *cache, void *object)
{
    const struct collecting *collecting = context;
    struct qy_allocation a;
    if (!qy_allocation_read(cache, object, &a) ||
        (collecting->since && a.owner.number <= collecting->since))
        return;
    qy_tally_add(collecting->tally,
                 &(struct qy_tally_row){
                     .key = {[QY_LEAK_PAYER] = a.owner.payer,
                             [QY_LEAK_THREAD] = a.owner.thread,
                             [QY_LEAK_CALL] = a.owner.call,
                             [QY_LEAK_SITE] = a.site ? qy_site_number(a.site) : UINT64_MAX,
                             [QY_LEAK_TYPE] = (uintptr_t)cache->type},
                     .count = 1,
                     .bytes = a.owner.bytes,
                     .oldest = a.owner.number});
}

void qy_leaks(struct qy_heap *heap, uint64_t since, struct qy_tally *tally)
{
    struct collecting collecting = {tally, since};
    qy_heap_each(heap, collect, &collecting);
    if (heap->hooks && heap->hooks->guard_each)
        heap->hooks->guard_each(heap, collect, &collecting);
}
