/*
 * Slab caches: objects of one size out of an arena.
 *
 *     slab, 2^order pages   | object | object | object | ...            (slack) | header |
 *
 * The header lies at the slab's end, so objects have the alignment of pages. A free object holds
 * the encoded index of the next free one; one bit per object in the header says which are handed
 * out. The frame entry of the slab's pages names the cache, so free finds the slab from any
 * pointer, and a pointer of anyone else's is told apart without touching what it points at.
 *
 * Invariants
 *   SLAB-COUNT   live + free = capacity of each slab; the cache's sums agree; a slab is on the
 *                list of its fill
 *   SLAB-FREE    a free object lies in its slab, at a multiple of the size, once in the list; its
 *                bit is clear
 *   EXCLUSIVE    the pages of a slab are one SLAB block of the cache's arena
 * A broken list is found when it is used, in release builds too, and reported through
 * qy_port_broken. Locking: one lock per cache (class qy_class_slab), outside the arena's. Cost:
 * O(1) and zeroing the object, plus the arena's O(log n) when a slab is added or returned.
 */
#ifndef QY_SLAB_H
#define QY_SLAB_H

#include <qy/arena.h>

struct qy_slab; /* slab_impl.h */

#define QY_SLAB_MAX_ORDER 3u
#define QY_SLAB_OBJECT_MAX 32704u /* a slab of that order without its header */

struct qy_cache {
    struct qy_lock lock;
    struct qy_arena *arena;
    const char *name;      /* static string */
    uint32_t object_bytes; /* what one object takes: at least 16, a multiple of its alignment */
    uint32_t slab_order;   /* preferred: waste at most 1/8 where orders up to 3 allow */
    uint32_t min_order; /* the smallest that holds an object: taken when the preferred one is not to
                           be had */
    uint32_t per_slab;  /* objects in a slab of the preferred order */
    uint64_t secret;    /* encodes free-list links */
    struct qy_slab *partial QY_GUARDED_BY(qy_class_slab); /* some objects free */
    struct qy_slab *empty QY_GUARDED_BY(qy_class_slab);   /* at most one kept, against flapping */
    struct qy_slab *full QY_GUARDED_BY(qy_class_slab);
    uint64_t live QY_GUARDED_BY(qy_class_slab);
    uint64_t slabs QY_GUARDED_BY(qy_class_slab);
    uint64_t capacity QY_GUARDED_BY(qy_class_slab); /* objects that all slabs hold */
    uint64_t pages QY_GUARDED_BY(qy_class_slab);    /* of all slabs; orders may differ */
};

/*
 * Errors: INVALID_ARGUMENT (0 bytes, align not a power of two or above a page, larger than
 * QY_SLAB_OBJECT_MAX when rounded up to align).
 * No memory is taken. The cache's header stays in place.
 */
enum qy_error qy_cache_init(struct qy_cache *cache, struct qy_arena *arena, const char *name,
                            size_t bytes, size_t align) QY_MUST_USE;

/* One zeroed object, the caller's from here on. Errors: OUT_OF_MEMORY, REVOKED (the arena is
 * dying). */
enum qy_error qy_cache_alloc(struct qy_cache *cache, void **out) QY_MUST_USE;

/*
 * Give an object back. Any pointer is safe to pass. Errors: NOT_OWNED (not of this cache),
 * NOT_ALLOCATED (free already, or not the start of an object); nothing changes then.
 */
enum qy_error qy_cache_free(struct qy_cache *cache, void *object) QY_MUST_USE;

/* Return every empty slab to the arena. A cache without live objects holds no memory afterwards. */
void qy_cache_drain(struct qy_cache *cache);

/* Pages that its slabs take, now. */
uint64_t qy_cache_pages(struct qy_cache *cache);

void qy_cache_record(struct qy_cache *cache, struct qy_record_cache *out);

/* Null, or the id of the first invariant that does not hold. Walks the whole cache. */
const char *qy_cache_check(struct qy_cache *cache);

#endif
