/*
 * Object caches: small objects of equal size, out of the arena that pays for them.
 *
 *     CPU's table        magazine: two stacks    cache            slab, 2^order pages
 *     | slot | --------> | object, state | ...   -> partial ----> | objects ... | states | header |
 *     |  ... |             ^ whole stacks,       -> depot: full stacks for any CPU
 *                            by their address,  heap  ---------> mixed slab: a page of 64-byte granules
 *                            under its lock
 *
 * A heap is the small objects of one arena, a cache those of one type in it. The first objects of a
 * type share mixed slabs with other types; once they would fill a page, the cache gets slabs of its own.
 * A CPU takes a magazine of a cache after repeated use; the heap pays for it, and it can be taken away.
 * Magazines give to and take from the cache's depot first, so slabs see little of what comes and goes.
 * Every object of a slab has a state byte in the slab, so CPUs share no word that both write. The frame
 * entries of a slab's pages lead from any pointer to the slab: a pointer of anyone else's is told apart
 * without touching what it points at.
 *
 * Invariants
 *   SLAB-COUNT   free + cached + held + live = capacity of each slab; sums and lists agree
 *   SLAB-FREE    a free object lies in its slab, at a multiple of the stride, once in its free list or
 *                behind those that somebody has had
 *   SLAB-MIXED   a granule of a mixed slab is free or part of one object
 *   SLAB-CACHED  the cached objects of a slab are those in magazines and the depot, each once
 *   EXCLUSIVE    the pages of a slab are one SLAB block of the heap's arena
 * A broken list is found when it is used, in release builds too, and reported through qy_port_broken.
 * Locking: one lock a heap (class qy_class_slab), outside the arena's; a CPU uses its own table with
 * interrupts off, see qy/percpu.h. Cost: O(1), and zeroing the object; from a magazine without any lock
 * or atomic read-modify-write. Why it is so: docs/adr/0017-object-caches.md.
 * References: J. Bonwick, The Slab Allocator (USENIX 1994); J. Bonwick, J. Adams, Magazines and Vmem
 * (USENIX 2001).
 */
#ifndef QY_SLAB_H
#define QY_SLAB_H

#include <qy/arena.h>
#include <qy/hooks.h>
#include <qy/percpu.h>

struct qy_slab;        /* slab_impl.h */
struct qy_mixed;       /* slab_impl.h */
struct qy_frame;       /* ../phys/framedb_impl.h */
struct qy_cpu_frames;  /* qy/frame_cache.h */
struct qy_site_counts; /* qy/site.h */
struct qy_owner;       /* qy/site.h */

#define QY_SLAB_MAX_ORDER 3u
#define QY_SLAB_OBJECT_MAX 32512u /* the largest object */
#define QY_HEAP_CACHES_MAX 127u   /* of one heap */
#define QY_OBJECT_SLOTS 64u       /* caches of which a CPU has magazines at a time */
#define QY_MAGAZINE_OBJECTS 76u   /* at most, in its two stacks */
#define QY_ROUNDS_OBJECTS (QY_MAGAZINE_OBJECTS / 2) /* in one */
#define QY_MAGAZINE_MIN_PAGES 512u                  /* heaps of smaller arenas have no magazines */

/* What a cache holds: usually a constant. */
struct qy_cache_type {
    const char *name;
    uint32_t bytes;
    uint32_t align; /* a power of two, at most a page */
    void (*construct)(
        void *object); /* null: objects are zeroed when they are handed out. Else they come
                                        constructed, and must be given back so */
    uint32_t flags;    /* of enum qy_cache_flag */
};

enum qy_object_state { QY_OBJECT_FREE, QY_OBJECT_CACHED, QY_OBJECT_LIVE, QY_OBJECT_HELD };

/* An object and its state, so that nothing is computed on the fast path. */
struct qy_item {
    void *object;
    _Atomic uint8_t *state;
};

/*
 * A stack of cached objects of one cache: in a magazine, in a depot, or empty and for any cache. The objects
 * are items[1..count]; at 0 stands nobody's, above them what was popped last, and nobody's again.
 */
struct qy_rounds {
    struct qy_rounds *below;      /* of its depot, or of the heap's empty ones */
    const struct qy_cache *cache; /* whose objects were in it last */
    uint32_t epoch;               /* of that cache, when what is above the objects was right */
    _Atomic uint32_t count;       /* 0 while a magazine works on it: `top` tells then */
    uint32_t count_below;         /* in a depot: in all that are below */
    _Atomic uint8_t nobody;       /* state of nobody's object */
    struct qy_item items[QY_ROUNDS_OBJECTS + 2];
};

/*
 * A CPU's objects of a cache: the stack that it works on, and the one that it worked on before. Written by its CPU
 * only, but for the links and `leaving`.
 */
struct qy_magazine {
    const struct qy_cache
        *serves; /* whom the fast path may serve: null if it has hooks, or is none */
    struct qy_item *_Atomic top;   /* of `loaded` */
    struct qy_item *full;          /* top with as many as there may be */
    _Atomic int64_t left;          /* objects until it asks the heap what is due */
    const struct qy_heap *heap;    /* null where `serves` is */
    const struct qy_cache *tracks; /* its cache, if that is tracked and nothing else */
    struct qy_cache *cache;
    uint32_t epoch; /* of the cache, when what is above the tops was known to be right */

    /* What leads from an object to its slab and state; see mem/slab/free.c. */
    uint32_t capacity; /* of a slab of the cache's preferred order */
    uint64_t tag;      /* in such a slab's first entry */
    uintptr_t block;   /* address of 2 MiB whose frame entries are there, as they stay */
    const struct qy_frame *entries; /* those */
    uintptr_t entry_mask;           /* of the offset of a slab's first entry among them */
    uint64_t reciprocal;            /* of the stride: 2^32 / stride, rounded up */

    uint16_t limit;                            /* objects in each stack, at most */
    bool samples;                              /* when nothing is left, a guarded object is due */
    bool leaving QY_GUARDED_BY(qy_class_slab); /* somebody takes it away */
    struct qy_rounds *_Atomic loaded;          /* what it works on */
    struct qy_rounds *_Atomic previous; /* what it worked on before; null: it needed one only */
    _Atomic uint64_t armed;             /* objects that it may have handed out when `left` is 0 */
    _Atomic uint64_t fetched;           /* objects that refills brought */
    _Atomic uint64_t returned;          /* objects that were given back */
    struct qy_cpu_objects *home;
    struct qy_magazine *next, *prev QY_GUARDED_BY(qy_class_slab); /* of its heap */
};

/* What a CPU has. One a CPU, anywhere; only that CPU passes it to the functions below. */
struct qy_cpu_objects {
    struct qy_magazine *_Atomic slots[QY_OBJECT_SLOTS]; /* never null */
    struct qy_percpu own;
    uint8_t recent;               /* slot of the size class that served last (qy/heap.h) */
    struct qy_cpu_frames *frames; /* of the same CPU: slabs come from there; null: from the arena */
    uint64_t sites;               /* that it counts: all, or none */
    struct qy_site_counts *counts; /* of each of them, what this CPU did; see qy_sites_count */
    struct {
        const struct qy_cache *cache; /* that would like the slot; compared only */
        uint32_t misses;
        uint32_t taken; /* by whose magazine has the slot, when the misses began */
    } wishes[QY_OBJECT_SLOTS];
};

/* The objects of one type in a heap. All but the first line guarded by the heap's lock. */
struct qy_cache {
    struct qy_heap *heap;
    const struct qy_cache_type *type;
    _Atomic uint32_t epoch; /* another one after a slab has gone back to the arena */
    uint16_t zero_bytes;    /* what an object is zeroed by; 0: unzeroed or constructed */
    uint16_t stride;        /* what one object takes, with all that belongs to it */
    uint8_t slot;           /* where CPUs keep a magazine of it */
    uint8_t flags;          /* of enum qy_cache_flag: its type's and its heap's */
    uint8_t id;             /* in its heap, from 1 */
    uint8_t granules;       /* in a mixed slab; 0: does not go there */
    uint8_t order;          /* of its slabs, preferred: wastes at most 1/8 if one up to 3 does */
    uint8_t min_order; /* the smallest that holds an object: when the preferred is not to be had */
    uint16_t front;    /* from the start of an object's place to the object */
    uint16_t link;     /* from there to where the link of a free object is */
    uint16_t colour;   /* of the next slab: where its first object begins */
    uint32_t reciprocal;     /* of the stride: 2^32 / stride, rounded up */
    struct qy_slab *partial; /* some objects free */
    struct qy_slab *full;
    struct qy_slab *empty;             /* at most one kept, against flapping */
    struct qy_rounds *depot;           /* cached objects that no CPU has, for all CPUs */
    struct qy_cache *next;             /* of its heap */
    uint32_t slabs, pages;             /* of its own, and their pages */
    uint32_t capacity, out;            /* objects that its own slabs hold; not free of them */
    uint32_t mixed, held;              /* objects in mixed slabs; objects that a hook keeps */
    uint64_t taken, fetched, returned; /* of magazines that are no more, and taken without any */
};

/* The small objects of one arena. Put in place by whoever owns the arena. */
struct qy_heap {
    struct qy_lock lock;
    struct qy_arena *arena;
    const struct qy_heap_hooks *hooks; /* or null */
    uint64_t secret;                   /* encodes links */
    uint64_t slab_tag;                 /* of the frame entry of a slab, but for its order */
    uintptr_t ram;                     /* where physical address 0 would be reached */
    struct qy_cache *caches QY_GUARDED_BY(qy_class_slab);
    struct qy_magazine *magazines QY_GUARDED_BY(qy_class_slab); /* of all CPUs */
    struct qy_rounds *
        rounds QY_GUARDED_BY(qy_class_slab);             /* empty, for whichever cache needs some */
    struct qy_mixed *mixed QY_GUARDED_BY(qy_class_slab); /* those without a free granule last */
    uint32_t mixed_pages QY_GUARDED_BY(qy_class_slab);
    uint32_t mixed_empty
        QY_GUARDED_BY(qy_class_slab); /* pages of them without objects: at most one kept */
    _Atomic uint64_t large_pages;     /* qy/heap.h */
    uint32_t
        guard_every QY_GUARDED_BY(qy_class_slab); /* one object in so many is guarded; 0: none */
    uint32_t guard_left QY_GUARDED_BY(qy_class_slab); /* of objects that come from no magazine */
    uint64_t lots QY_GUARDED_BY(qy_class_slab); /* where in its first interval a magazine samples */
    uint32_t cache_count;
    bool by_steps; /* an allocation that fails does not drain it first: its owner does, by steps; owner's to set */
    struct qy_cache magazine_cache; /* where its magazines and rounds come from */
};

/*
 * A heap without caches. secret: unpredictable by whoever might write to freed objects; the embedder
 * knows where to get it. hooks stay the caller's, may be null.
 */
void qy_heap_init(struct qy_heap *heap, struct qy_arena *arena, const struct qy_heap_hooks *hooks,
                  uint64_t secret);

/*
 * From here on one object in so many is guarded, if the hooks can; 0: none. The first is drawn by lot. A
 * magazine that exists already learns of it within 65536 allocations.
 */
void qy_heap_guard_every(struct qy_heap *heap, uint32_t every);

/*
 * A cache in a heap; it and its type stay in place as long as the heap. No memory is taken. Errors:
 * INVALID_ARGUMENT (0 bytes, an alignment that is no power of two or above a page, too large), TOO_MANY
 * (caches in this heap).
 */
enum qy_error qy_cache_init(struct qy_cache *cache, struct qy_heap *heap,
                            const struct qy_cache_type *type) QY_MUST_USE;

/* A table without magazines. frames may be null. */
void qy_cpu_objects_init(struct qy_cpu_objects *cpu, uint32_t number, struct qy_cpu_frames *frames);

/* ---- behind the inline functions ---- */
/* Between enter and leave; these leave. */
enum qy_error qy_cache_alloc_entered(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                     struct qy_magazine *magazine, const struct qy_site *site,
                                     const struct qy_owner *owner, void **out) QY_MUST_USE
    QY_REQUIRES(qy_irq_off);
enum qy_error qy_cache_free_entered(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                    struct qy_magazine *magazine, void *object) QY_MUST_USE
    QY_REQUIRES(qy_irq_off);
enum qy_error qy_cache_free_entered_from(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                         struct qy_magazine *magazine, void *object,
                                         const struct qy_site *site) QY_MUST_USE
    QY_REQUIRES(qy_irq_off);

static inline uint32_t qy_cache_epoch(const struct qy_cache *cache)
{
    return atomic_load_explicit(&cache->epoch, memory_order_relaxed);
}

/* Between enter and leave. */
static inline struct qy_magazine *qy_magazine_at(struct qy_cpu_objects *cpu, unsigned slot)
{
    return atomic_load_explicit(&cpu->slots[slot], memory_order_acquire);
}

static inline struct qy_magazine *qy_magazine_enter(struct qy_cpu_objects *cpu,
                                                    const struct qy_cache *cache)
{
    qy_percpu_enter(&cpu->own);
    return qy_magazine_at(cpu, cache->slot);
}

/* Only the magazine's CPU writes it; others may read it. */
static inline struct qy_item *qy_magazine_top(const struct qy_magazine *magazine)
{
    return atomic_load_explicit(&magazine->top, memory_order_relaxed);
}

static inline void qy_magazine_set_top(struct qy_magazine *magazine, struct qy_item *top)
{
    atomic_store_explicit(&magazine->top, top, memory_order_relaxed);
}

/* bytes: a multiple of 8. */
static inline void qy_object_zero(void *object, size_t bytes)
{
    uint64_t *at = object, *end = at + bytes / sizeof(*at);
    while (at != end)
        *at++ = 0;
}

/* An object out of a magazine, live; false if that is not to be had at once. is_right: it is the cache's. */
static inline bool qy_magazine_try_pop(struct qy_magazine *magazine, bool is_right, void **out)
{
    if (!is_right)
        return false;
    struct qy_item *item = qy_magazine_top(magazine) - 1;
    int64_t left = atomic_load_explicit(&magazine->left, memory_order_relaxed) - 1;
    if (left < 0 || atomic_load_explicit(item->state, memory_order_relaxed) != QY_OBJECT_CACHED)
        return false;
    atomic_store_explicit(item->state, QY_OBJECT_LIVE, memory_order_relaxed);
    qy_magazine_set_top(magazine, item);
    atomic_store_explicit(&magazine->left, left, memory_order_relaxed);
    *out = item->object;
    return true;
}

/*
 * One object, the caller's from here on: zeroed, unless its type says otherwise. site and owner: where and for whom,
 * for caches that are tracked (qy/site.h); each may be null. Does not wait for other CPUs; the heap's empty slabs and what
 * this CPU has of it are used up before it fails. Errors: OUT_OF_MEMORY (qy_heap_reclaim may help),
 * REVOKED (the arena is dying); nothing has changed then but that.
 */
static inline QY_MUST_USE enum qy_error
qy_cache_alloc_for(struct qy_cpu_objects *cpu, struct qy_cache *cache, const struct qy_site *site,
                   const struct qy_owner *owner, void **out) QY_REQUIRES(qy_irq_off)
{
    void *object;
    struct qy_magazine *magazine = qy_magazine_enter(cpu, cache);
    if (!qy_magazine_try_pop(magazine, magazine->serves == cache, &object))
        return qy_cache_alloc_entered(cpu, cache, magazine, site, owner, out);
    qy_percpu_leave(&cpu->own);
    qy_object_zero(object, cache->zero_bytes);
    *out = object;
    return QY_OK;
}

static inline QY_MUST_USE enum qy_error qy_cache_alloc_from(struct qy_cpu_objects *cpu,
                                                            struct qy_cache *cache,
                                                            const struct qy_site *site, void **out)
    QY_REQUIRES(qy_irq_off)
{
    return qy_cache_alloc_for(cpu, cache, site, NULL, out);
}

static inline QY_MUST_USE enum qy_error qy_cache_alloc(struct qy_cpu_objects *cpu,
                                                       struct qy_cache *cache, void **out)
    QY_REQUIRES(qy_irq_off)
{
    return qy_cache_alloc_from(cpu, cache, NULL, out);
}

/*
 * An object that this magazine handed out from this depth last goes back there; false: it is another. is_right: it is
 * the cache's.
 */
static inline bool qy_magazine_push_last(struct qy_magazine *magazine, bool is_right,
                                         const struct qy_cache *cache, const void *object)
{
    struct qy_item *item = qy_magazine_top(magazine);
    if (!is_right || item->object != object || magazine->epoch != qy_cache_epoch(cache) ||
        atomic_load_explicit(item->state, memory_order_relaxed) != QY_OBJECT_LIVE)
        return false;
    atomic_store_explicit(item->state, QY_OBJECT_CACHED, memory_order_relaxed);
    qy_magazine_set_top(magazine, item + 1);
    return true;
}

/*
 * Give an object back, on any CPU. Any pointer is safe to pass. Errors: NOT_OWNED (not of this cache),
 * NOT_ALLOCATED (free already, or not the start of an object); nothing changes then. Found while the
 * memory is free, cached, held, or of another cache; two CPUs that free the same object at the same instant may both
 * succeed: it is cached twice then, and found so (SLAB-CACHED) when it comes up while it lives, or goes back to its slab.
 * Fastest for the object that was popped from this depth
 * last; any other of a slab costs one frame entry and its slab's header.
 */
static inline QY_MUST_USE enum qy_error qy_cache_free(struct qy_cpu_objects *cpu,
                                                      struct qy_cache *cache, void *object)
    QY_REQUIRES(qy_irq_off)
{
    struct qy_magazine *magazine = qy_magazine_enter(cpu, cache);
    if (!qy_magazine_push_last(magazine, magazine->serves == cache, cache, object))
        return qy_cache_free_entered(cpu, cache, magazine, object);
    qy_percpu_leave(&cpu->own);
    return QY_OK;
}

/* The same; site: who frees, for caches that are tracked. */
static inline QY_MUST_USE enum qy_error qy_cache_free_from(struct qy_cpu_objects *cpu,
                                                           struct qy_cache *cache, void *object,
                                                           const struct qy_site *site)
    QY_REQUIRES(qy_irq_off)
{
    struct qy_magazine *magazine = qy_magazine_enter(cpu, cache);
    if (!qy_magazine_push_last(magazine, magazine->serves == cache, cache, object))
        return qy_cache_free_entered_from(cpu, cache, magazine, object, site);
    qy_percpu_leave(&cpu->own);
    return QY_OK;
}

/*
 * For hooks: an object that `given` kept becomes free. Errors: NOT_OWNED, NOT_ALLOCATED (not HELD).
 */
enum qy_error qy_cache_release(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                               void *object) QY_MUST_USE QY_REQUIRES(qy_irq_off);

/*
 * The live object that a pointer points into, and its cache; for reports. Errors: NOT_OWNED,
 * NOT_ALLOCATED (nothing live is there). Takes the heap's lock.
 */
enum qy_error qy_heap_find(struct qy_heap *heap, const void *pointer, struct qy_cache **cache,
                           void **object) QY_MUST_USE;

/*
 * Called with each live object of the heap that is no guarded one, with the heap's lock held: it calls nothing of the
 * heap.
 */
void qy_heap_each(struct qy_heap *heap,
                  void (*visit)(void *context, struct qy_cache *cache, void *object),
                  void *context);

/* Empty slabs and this CPU's magazines go back to the arena; does not wait. cpu: null if there is none.
 * What tools hold goes too. O(slots + what goes back). */
void qy_heap_drain(struct qy_cpu_objects *cpu, struct qy_heap *heap) QY_REQUIRES(qy_irq_off);

/*
 * Does it keep batches of objects between magazines? One of them goes back to its slabs; false: there is none. O(a
 * magazine).
 */
bool qy_heap_keeps_batches(struct qy_heap *heap);
bool qy_heap_drain_step(struct qy_heap *heap);

/* Whether some CPU has a magazine of the heap, or somebody is taking one away just now. */
bool qy_heap_is_cached(struct qy_heap *heap);

/*
 * What all CPUs have of the heap goes back, and empty slabs to the arena. Waits for the others, so the
 * caller holds no lock. A heap without live objects has no memory afterwards, if nobody allocates.
 */
void qy_heap_reclaim(struct qy_heap *heap)
    QY_EXCLUDES(qy_class_caps, qy_class_sched, qy_class_space, qy_class_slab, qy_class_arena);

/* The same a magazine or a batch at a time, of bounded length: again until it is false, then qy_heap_drain. */
bool qy_heap_reclaim_step(struct qy_heap *heap)
    QY_EXCLUDES(qy_class_caps, qy_class_sched, qy_class_space, qy_class_slab, qy_class_arena);

/* Pages that its slabs take, mixed ones and magazines included, now. */
uint64_t qy_heap_pages(struct qy_heap *heap);

void qy_cache_record(struct qy_cache *cache, struct qy_record_cache *out);

/* Null, or the id of the first invariant that does not hold. Walks the whole cache or heap; other CPUs
 * do not use it meanwhile. */
const char *qy_cache_check(struct qy_cache *cache);
const char *qy_heap_check(struct qy_heap *heap);

/* ---- where the parts of an object's place are, for hooks ---- */

/* Bytes before the object, from its place's start; 0 without redzones. */
static inline size_t qy_object_front_bytes(const struct qy_cache *cache)
{
    return cache->front;
}

/* Bytes after the object's own, up to the link or trailer; 0 without redzones, but for rounding. */
static inline size_t qy_object_back_bytes(const struct qy_cache *cache)
{
    size_t trailer = cache->flags & QY_CACHE_TRACKED ? QY_TRAILER_BYTES : 0;
    size_t end = cache->link ? cache->link : cache->stride - trailer;
    return end - cache->front - cache->type->bytes;
}

/* The trailer of a TRACKED cache's object, QY_TRAILER_BYTES at the end of its place, 8-byte aligned. */
static inline void *qy_object_trailer(const struct qy_cache *cache, void *object)
{
    return (unsigned char *)object - cache->front + cache->stride - QY_TRAILER_BYTES;
}

#endif
