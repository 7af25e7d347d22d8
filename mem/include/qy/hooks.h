/*
 * What tools may do to the objects of a heap: the seams of qy/slab.h, for guarded allocations and for the
 * debug kinds (call sites, redzones, poison, quarantine).
 *
 *     object's place:  | front redzone | object | back redzone | link | trailer |      (a stride)
 *                                      ^ what callers see
 *
 * A heap without hooks pays for none of this, nor does a cache without a flag of QY_CACHE_HOOKED; one that is only
 * TRACKED is the heap's own business: taken and given are not called. Whoever puts a heap together fills one
 * struct qy_heap_hooks, usually the first member of a larger one, which the functions find by
 * heap->hooks. Every function may be null. All are called with interrupts off and without locks, unless
 * said otherwise.
 */
#ifndef QY_HOOKS_H
#define QY_HOOKS_H

#include <qy/types.h>

struct qy_cache;
struct qy_cpu_objects;
struct qy_heap;
struct qy_site; /* a place in the program that allocates; the core only passes it on */

enum qy_cache_flag {
    QY_CACHE_UNZEROED = 1, /* objects come as they are: who takes them fills them */
    QY_CACHE_TRACKED =
        2, /* a trailer of QY_TRAILER_BYTES, which the heap itself fills (qy/site.h) */
    QY_CACHE_REDZONED = 4, /* QY_REDZONE_BYTES or more before and after the object */
    QY_CACHE_POISONED = 8, /* free objects hold a pattern; the link of the free list is outside */
    QY_CACHE_QUARANTINED = 16, /* freed objects may be held back */
    QY_CACHE_CONSTRUCTED = 32, /* the type has a constructor; set by qy_cache_init */
};

/* With both flags the back redzone begins at the byte behind what was asked for, in size classes too. */
#define QY_CACHE_EXACT ((unsigned)(QY_CACHE_TRACKED | QY_CACHE_REDZONED))

/* The flags for which the fast path makes way to the hooks. */
#define QY_CACHE_HOOKED                                                                            \
    ((unsigned)(QY_CACHE_TRACKED | QY_CACHE_REDZONED | QY_CACHE_POISONED | QY_CACHE_QUARANTINED))

#define QY_REDZONE_BYTES 16u /* at least; the front one is a multiple of the alignment */
#define QY_TRAILER_BYTES 56u /* struct qy_origin (qy/site.h) */

struct qy_heap_hooks {
    uint32_t flags; /* that every cache of the heap gets, beside those of its type */

    /*
     * An object has become the caller's, of which `bytes` were asked for: its type's, or fewer in a size class.
     * Called before it is zeroed or constructed, so that what a free object should hold can be looked at, its
     * trailer too: that names the owner before. Fills redzones.
     */
    void (*taken)(struct qy_cache *cache, void *object, size_t bytes);

    /*
     * A live object is given back; from here on it is HELD: a second free of it is refused. Looks at the
     * redzones, fills in poison. True: the hook keeps it, and gives it to qy_cache_release one day.
     */
    bool (*given)(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object);

    /* Memory that no caller has had since its page came from the arena: poison. The heap's lock is held. */
    void (*fresh)(struct qy_cache *cache, void *object);

    /*
     * The cache's next object is to be a guarded one of `bytes`, aligned as its type says. Once in so
     * many allocations of each magazine, and of what comes from none (qy_heap_guard_every).
     * False: not now; the cache serves then. *out is no RAM (qy_port_paddr), and not zeroed.
     */
    bool (*guard_alloc)(struct qy_cache *cache, size_t bytes, const struct qy_site *site,
                        void **out);

    /*
     * What is to be freed is no RAM. cache: the one that it was claimed to be of; null if its size was not
     * said (qy/heap.h). Errors: NOT_OWNED (no guarded object of that heap or cache), NOT_ALLOCATED.
     */
    enum qy_error (*guard_free)(struct qy_heap *heap, struct qy_cache *cache, void *object);

    /*
     * The place of the trailer of a guarded object, which is live and the caller's, or being freed by this CPU. Not
     * null where caches are TRACKED and objects guarded.
     */
    void *(*guard_trailer)(struct qy_cache *cache, void *object);

    /* Call with each live guarded object of the heap. */
    void (*guard_each)(struct qy_heap *heap,
                       void (*visit)(void *context, struct qy_cache *cache, void *object),
                       void *context);

    /* Bytes of a guarded object, for resizing; errors as guard_free. */
    enum qy_error (*guard_size)(struct qy_heap *heap, void *object, size_t *bytes);

    /* What heap wants to have back when its arena runs out or is revoked: quarantines, guarded slots. */
    void (*drain)(struct qy_cpu_objects *cpu, struct qy_heap *heap);
};

#endif
