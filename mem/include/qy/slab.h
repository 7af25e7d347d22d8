/*
 * Slab caches: objects of one size out of an arena.
 *
 * A slab is a contiguous block of pages; its header lies at its start, its free objects are linked through
 * themselves, and the frame entries of its pages name it, so that free finds the slab from any pointer.
 * Invariants: SLAB-COUNT (live + free = capacity of each slab), SLAB-FREE (a free object lies in its slab, at a
 * multiple of the size, once), and EXCLUSIVE for its pages. Locking: one lock per cache (class qy_class_slab).
 * Cost: O(1), plus the arena's when a slab is added or returned.
 */
#ifndef QY_SLAB_H
#define QY_SLAB_H

#include <qy/arena.h>

struct qy_slab;

struct qy_cache {
    struct qy_lock lock;
    struct qy_arena *arena;
    const char *name;       /* static string */
    uint32_t object_bytes;  /* rounded up to align */
    uint32_t slab_order;
    uint32_t per_slab;
    uint32_t reserved;
    struct qy_slab *partial; /* some objects free */
    struct qy_slab *empty;   /* at most one kept, against flapping */
    struct qy_slab *full;
    uint64_t live, slabs;
};

/* Errors: INVALID_ARGUMENT (0 bytes, align not a power of two or above a page, larger than a slab can be). */
enum qy_error qy_cache_init(struct qy_cache *cache, struct qy_arena *arena, const char *name, size_t bytes,
                            size_t align) QY_MUST_USE;

/* One zeroed object, the caller's from here on. Errors: OUT_OF_MEMORY. */
enum qy_error qy_cache_alloc(struct qy_cache *cache, void **out) QY_MUST_USE;

/* Errors: NOT_OWNED (not of this cache), NOT_ALLOCATED (free already, or inside an object); nothing changes then. */
enum qy_error qy_cache_free(struct qy_cache *cache, void *object) QY_MUST_USE;

/* Return every empty slab to the arena. A cache without live objects holds no memory afterwards. */
void qy_cache_drain(struct qy_cache *cache);

void qy_cache_record(struct qy_cache *cache, struct qy_record_cache *out);
const char *qy_cache_check(struct qy_cache *cache);

#endif
