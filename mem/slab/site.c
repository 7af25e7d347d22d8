/*
 * Sites and origins: what is written and read of tracked objects where it need not be short, and sums over a
 * heap. See qy/site.h.
 */
#include "site_impl.h"
#include "slab_impl.h"

struct qy_origin *qy_origin_of(struct qy_cache *cache, void *object)
{
    const struct qy_heap_hooks *hooks = cache->heap->hooks;
    return hooks && hooks->guard_trailer && qy_heap_is_guarded(cache->heap, object)
               ? hooks->guard_trailer(cache, object)
               : qy_object_trailer(cache, object);
}

void qy_site_read(const struct qy_site *site, const struct qy_cpu_objects *cpu,
                  struct qy_site_sums *sums)
{
    uint64_t number = qy_site_number(site);
    if (number >= cpu->sites)
        return;
    const struct qy_site_counts *counts = &cpu->counts[number];
    uint64_t total = QY_WORD(counts->total), bytes = QY_WORD(counts->total_bytes);
    sums->total += total;
    sums->total_bytes += bytes;
    sums->live += total - QY_WORD(counts->freed);
    sums->live_bytes += bytes - QY_WORD(counts->freed_bytes);
}

bool qy_allocation_read(struct qy_cache *cache, void *object, struct qy_allocation *out)
{
    *out = (struct qy_allocation){.cache = cache, .object = object};
    if (!(cache->flags & QY_CACHE_TRACKED))
        return false;
    const struct qy_origin *origin = qy_origin_of(cache, object);
    uint64_t sites = QY_WORD(origin->sites);
    out->site = qy_site_at((uint32_t)sites - 1ull);
    out->freed = qy_site_at((sites >> 32) - 1);
    out->owner.bytes = QY_WORD(origin->bytes);
    out->owner.number = QY_WORD(origin->number);
    if (out->owner.number == 0)
        return true;
    out->owner.payer = QY_WORD(origin->payer);
    out->owner.thread = QY_WORD(origin->thread);
    out->owner.call = QY_WORD(origin->call);
    out->owner.time = QY_WORD(origin->time);
    return true;
}

void qy_origin_taken(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object, size_t bytes,
                     const struct qy_site *site, const struct qy_owner *owner)
{
    struct qy_origin *origin = qy_origin_of(cache, object);
    qy_origin_write(cpu, origin, bytes, site, owner);
    QY_SET_WORD(origin->asked, (uint32_t)bytes);
}

void qy_origin_given(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object,
                     const struct qy_site *freed)
{
    struct qy_origin *origin = qy_origin_of(cache, object);
    uint64_t number = qy_site_number(freed);
    if (number < cpu->sites)
        QY_SET_WORD(origin->sites, (uint32_t)QY_WORD(origin->sites) | (number + 1) << 32);
    qy_origin_end(cpu, origin);
}

/* Its memory becomes so much. */
static void resize(const struct qy_cpu_objects *cpu, struct qy_origin *origin, uint64_t bytes)
{
    uint64_t number = qy_origin_site(origin);
    if (number < cpu->sites)
        qy_percpu_count(&cpu->counts[number].total_bytes, bytes - QY_WORD(origin->bytes));
    QY_SET_WORD(origin->bytes, bytes);
}

void qy_origin_set_tracked(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object,
                           const struct qy_owner *owner)
{
    struct qy_origin *origin = qy_origin_of(cache, object);
    resize(cpu, origin, owner->bytes);
    qy_owner_write(origin, owner);
}

void qy_origin_resize_tracked(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object,
                              uint64_t bytes)
{
    resize(cpu, qy_origin_of(cache, object), bytes);
}

size_t qy_object_asked(const struct qy_cache *cache, void *object)
{
    if ((cache->flags & QY_CACHE_EXACT) != QY_CACHE_EXACT)
        return cache->type->bytes;
    const struct qy_origin *origin = qy_object_trailer(cache, object);
    /* An overflow may have reached it; the redzone behind is whole then. */
    uint32_t asked = QY_WORD(origin->asked);
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
