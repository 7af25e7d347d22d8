/*
 * Trailers and counters of tracked objects, as the short paths write them. Private to mem/slab.
 *
 * A trailer is believed only as far as it can be checked: an overflow may have reached it, so a number of a
 * site is compared with how many there are before anything is counted by it.
 */
#ifndef QY_SITE_IMPL_H
#define QY_SITE_IMPL_H

#include <qy/site.h>

#define QY_WORD(field) atomic_load_explicit(&(field), memory_order_relaxed)
#define QY_SET_WORD(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)

/* The number of the site where an object was allocated: too large for any if there is none. */
static inline uint32_t qy_origin_site(const struct qy_origin *origin)
{
    return (uint32_t)QY_WORD(origin->sites) - 1;
}

/* All but the bytes. */
static inline void qy_owner_write(struct qy_origin *origin, const struct qy_owner *owner)
{
    QY_SET_WORD(origin->number, owner->number);
    QY_SET_WORD(origin->payer, owner->payer);
    QY_SET_WORD(origin->thread, owner->thread);
    QY_SET_WORD(origin->time, owner->time);
    QY_SET_WORD(origin->call, (uint32_t)owner->call);
}

/* An object of `bytes` has become its owner's. owner: null if nobody says whose it is. */
static inline void qy_origin_write(const struct qy_cpu_objects *cpu, struct qy_origin *origin,
                                   size_t bytes, const struct qy_site *site,
                                   const struct qy_owner *owner)
{
    uint64_t number = qy_site_number(site); /* of null, and of what is no site: too large */
    if (owner) {
        qy_owner_write(origin, owner);
        bytes = owner->bytes;
    } else {
        QY_SET_WORD(origin->number, 0);
    }
    QY_SET_WORD(origin->bytes, bytes);
    if (number >= cpu->sites) {
        QY_SET_WORD(origin->sites, 0);
        return;
    }
    struct qy_site_counts *counts = &cpu->counts[number];
    QY_SET_WORD(origin->sites, number + 1);
    qy_percpu_count(&counts->total, 1);
    qy_percpu_count(&counts->total_bytes, bytes);
}

/* It is given back. */
static inline void qy_origin_end(const struct qy_cpu_objects *cpu, const struct qy_origin *origin)
{
    uint32_t number = qy_origin_site(origin);
    if (number >= cpu->sites)
        return;
    struct qy_site_counts *counts = &cpu->counts[number];
    qy_percpu_count(&counts->freed, 1);
    qy_percpu_count(&counts->freed_bytes, QY_WORD(origin->bytes));
}

/* The trailer of an object of a cache that is tracked and nothing else: no redzone is before it. */
static inline struct qy_origin *qy_origin_behind(const struct qy_cache *cache, void *object)
{
    return (struct qy_origin *)(void *)((unsigned char *)object + cache->stride) - 1;
}

/* The origin of any object of a tracked cache, guarded ones too. */
struct qy_origin *qy_origin_of(struct qy_cache *cache, void *object);

/* qy_origin_write of any. */
void qy_origin_taken(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object, size_t bytes,
                     const struct qy_site *site, const struct qy_owner *owner);

#endif
