/*
 * Slabs, mixed slabs, and how a pointer leads to them. Private to mem/slab.
 *
 *     slab    | colour | place | place | ...      | slack | a state byte each | struct qy_slab |
 *     mixed   | struct qy_mixed: 2 granules | 62 granules of 64 bytes                           |
 *     large   | pages of their own, see qy/heap.h                                               |
 *     rounds  | cached objects of one cache, in an object of the heap's magazines               |
 *
 * The word in the frame entry of a block's first frame says which of the three it is and where: an
 * address or a number of pages, with enum qy_place_kind in the low bits. The words of the other frames of
 * a slab say only its order; whoever reads one believes it no further than to look at the entry that
 * would be its head, and that entry's tag decides.
 */
#ifndef QY_SLAB_IMPL_H
#define QY_SLAB_IMPL_H

#include "../phys/framedb_impl.h"

#include <qy/slab.h>

#define QY_SLAB_OBJECT_MIN 16u
#define QY_SLAB_OBJECTS_MAX 256u /* a page of the smallest; larger objects fit fewer times */
#define QY_SLAB_NIL 0xffffu

struct qy_slab {
    struct qy_cache *cache;
    struct qy_slab *next, *prev; /* list of the cache; null ends it */
    unsigned char *places;       /* the first one */
    uint32_t span_bytes;         /* of all places */
    uint16_t first_free;         /* index of what was freed last, QY_SLAB_NIL if none */
    uint16_t fresh; /* index of the first that nobody has had yet: free, and in no list */
    uint16_t free;  /* free objects */
    uint16_t capacity;
    uint8_t order;
};

#define QY_GRANULE_BYTES 64u
#define QY_GRANULES 64u
#define QY_GRANULES_HEADER 2u
#define QY_GRANULES_FREE (~0ull << QY_GRANULES_HEADER) /* of a mixed slab without objects */
#define QY_GRANULES_MAX 62u /* of one object: all that a mixed slab has */
#define QY_MIXED_HELD 0x80u /* in owner[]: a hook keeps the object */

struct qy_mixed {
    struct qy_heap *heap;
    struct qy_mixed *next, *prev;
    uint64_t free;              /* bit set: granule free */
    uint64_t used;              /* the others, so that a flipped bit of either is seen */
    uint8_t owner[QY_GRANULES]; /* of the object that begins there: id of its cache; 0: none does */
};

enum qy_place_kind {
    QY_PLACE_NONE,
    QY_PLACE_SLAB,
    QY_PLACE_MIXED,
    QY_PLACE_LARGE,
    QY_PLACE_KIND_MASK = 3
};

/* Of a large piece: pages << QY_LARGE_SHIFT, or, in a heap that is tracked, the address of its struct qy_large. */
#define QY_LARGE_TRACKED 4u
#define QY_LARGE_SHIFT 3u

/* What stands for a large piece in a heap that is tracked: an object, so that it has a trailer. */
struct qy_large {
    uint64_t pages;
};

_Static_assert(sizeof(struct qy_mixed) <= QY_GRANULES_HEADER * QY_GRANULE_BYTES,
               "fits its granules");
_Static_assert(sizeof(struct qy_slab) + QY_SLAB_OBJECTS_MAX <= QY_PAGE_BYTES,
               "states lie in the header's page");
_Static_assert(sizeof(struct qy_magazine) <= sizeof(struct qy_rounds), "of the same cache");
_Static_assert(6 * (sizeof(struct qy_rounds) + 1) + sizeof(struct qy_slab) <= QY_PAGE_BYTES,
               "two magazines with both stacks a page");
_Static_assert(sizeof(struct qy_cache) <= 128, "an untyped has one a type");
_Static_assert(QY_SLAB_MAX_ORDER <= QY_PLACE_KIND_MASK, "a word holds an order or a kind");

static inline void qy_heap_lock(struct qy_heap *heap) QY_ACQUIRES(qy_class_slab) QY_UNCHECKED
{
    qy_lock_acquire(&heap->lock);
}

static inline void qy_heap_unlock(struct qy_heap *heap) QY_RELEASES(qy_class_slab) QY_UNCHECKED
{
    qy_lock_release(&heap->lock);
}

static inline uint64_t qy_slab_bytes(unsigned order)
{
    return QY_PAGE_BYTES << order;
}

/* The header of the slab whose first byte is `base`. */
static inline struct qy_slab *qy_slab_at(unsigned char *base, unsigned order)
{
    return (struct qy_slab *)(void *)(base + qy_slab_bytes(order) - sizeof(struct qy_slab));
}

static inline unsigned char *qy_slab_base(const struct qy_slab *slab)
{
    return (unsigned char *)(uintptr_t)(slab + 1) - qy_slab_bytes(slab->order);
}

static inline pfn_t qy_slab_pfn(const struct qy_slab *slab)
{
    return paddr_to_pfn(qy_port_paddr(qy_slab_base(slab)));
}

/* They lie below the header, the first one next to it. */
static inline _Atomic uint8_t *qy_slab_state(const struct qy_slab *slab, unsigned index)
{
    return (_Atomic uint8_t *)(uintptr_t)slab - 1 - index;
}

/* The number of the frame that holds it; for what is no RAM, none that the frame database knows. */
static inline uint64_t qy_heap_frame(const struct qy_heap *heap, const void *pointer)
{
    return ((uintptr_t)pointer - heap->ram) >> QY_PAGE_SHIFT;
}

/* An object that the heap has handed out is a guarded one: not in RAM. */
static inline bool qy_heap_is_guarded(const struct qy_heap *heap, const void *object)
{
    return qy_heap_frame(heap, object) >= heap->arena->db->limit.raw;
}

/* The slab that a state byte is in: both are in its last page. */
static inline struct qy_slab *qy_slab_of_state(const _Atomic uint8_t *state)
{
    return (struct qy_slab *)(((uintptr_t)state | QY_PAGE_MASK) + 1) - 1;
}

static inline enum qy_object_state qy_state_load(const _Atomic uint8_t *state)
{
    return (enum qy_object_state)atomic_load_explicit(state, memory_order_relaxed);
}

static inline void qy_state_store(_Atomic uint8_t *state, enum qy_object_state value)
{
    atomic_store_explicit(state, (uint8_t)value, memory_order_relaxed);
}

static inline unsigned qy_slab_capacity(uint32_t stride, unsigned order)
{
    uint64_t count = (qy_slab_bytes(order) - sizeof(struct qy_slab)) / (stride + 1);
    return count < QY_SLAB_OBJECTS_MAX ? (unsigned)count : QY_SLAB_OBJECTS_MAX;
}

/* What a slab of that order has left for colours. */
static inline uint64_t qy_slab_slack(uint32_t stride, unsigned order)
{
    return qy_slab_bytes(order) - sizeof(struct qy_slab) -
           (uint64_t)qy_slab_capacity(stride, order) * (stride + 1);
}

static inline unsigned char *qy_slab_place(const struct qy_slab *slab, unsigned index)
{
    return slab->places + (size_t)index * slab->cache->stride;
}

/* What a free object holds at `link` instead of the index of the next one; its own inverse. */
static inline uint64_t qy_slab_encode(const struct qy_heap *heap, const void *link, uint64_t next)
{
    return next ^ heap->secret ^ (uint64_t)(uintptr_t)link * 0x9e3779b97f4a7c15ull;
}

/* Starts of runs of n (at least 1) set bits. */
static inline uint64_t qy_granule_runs(uint64_t free, unsigned n)
{
    for (unsigned have = 1; have < n;) {
        unsigned step = have < n - have ? have : n - have;
        free &= free >> step;
        have += step;
    }
    return free;
}

static inline uint64_t qy_granule_mask(unsigned start, unsigned n)
{
    return ((1ull << n) - 1) << start; /* n <= QY_GRANULES_MAX */
}

static inline unsigned char *qy_granule_at(const struct qy_mixed *mixed, unsigned granule)
{
    return (unsigned char *)(uintptr_t)mixed + (size_t)granule * QY_GRANULE_BYTES;
}

/*
 * The word of the SLAB block of this heap's arena that a pointer points into, if the block is no larger
 * than a slab; 0 if there is none. Reads nothing but the frame database; no lock.
 */
static inline uint64_t qy_heap_word(const struct qy_heap *heap, const void *pointer)
{
    const struct qy_framedb *db = heap->arena->db;
    uint64_t frame = qy_heap_frame(heap, pointer);
    if (!qy_framedb_has_entry(db, frame))
        return 0;
    const struct qy_frame *entry = &db->frames[frame];
    if (((qy_load(&entry->tag) ^ heap->slab_tag) &
         ~(QY_TAG_AUX_MASK | (qy_tag_t)QY_SLAB_MAX_ORDER << 4)) == 0)
        return qy_word_load(&entry->word);
    unsigned order = qy_word_load(&entry->word) & QY_SLAB_MAX_ORDER;
    entry = &db->frames[qy_align_down(frame, 1ull << order)];
    return ((qy_load(&entry->tag) ^ (heap->slab_tag + (order << 4))) & ~QY_TAG_AUX_MASK) == 0
               ? qy_word_load(&entry->word)
               : 0;
}

static inline enum qy_place_kind qy_word_kind(uint64_t word)
{
    return (enum qy_place_kind)(word & QY_PLACE_KIND_MASK);
}

static inline void *qy_word_address(uint64_t word)
{
    return (void *)(uintptr_t)(word & ~(uint64_t)QY_PLACE_KIND_MASK);
}

static inline bool qy_word_is_slab(uint64_t word)
{
    return qy_word_kind(word - QY_PLACE_SLAB) == 0;
}

static inline struct qy_slab *qy_word_slab(uint64_t word)
{
    return (struct qy_slab *)(uintptr_t)(word - QY_PLACE_SLAB);
}

/* Where an object is, or would be. */
struct qy_place {
    struct qy_slab *slab; /* either of the two is null */
    struct qy_mixed *mixed;
    unsigned index; /* of the object's place, or its first granule */
    struct qy_cache *cache;
    unsigned char *object;      /* the one whose place holds the pointer */
    enum qy_object_state state; /* that it was in */
};

/*
 * The place that a pointer points into, anywhere in it, in the block of that word (not 0, not LARGE).
 * out->cache is set wherever the block is of one cache. Errors: NOT_ALLOCATED (no object's place is
 * there). For a mixed slab with the heap's lock; else exact for what the caller owns.
 */
enum qy_error qy_slab_find(struct qy_slab *slab, const void *pointer, struct qy_place *out);
enum qy_error qy_mixed_find(struct qy_mixed *mixed, const void *pointer, struct qy_place *out)
    QY_REQUIRES(qy_class_slab);

/* ---- slab.c: a cache's own slabs ---- */

/*
 * Up to `want` free objects into items; less if slabs would have to be added after the first. Errors: as
 * qy_arena_alloc, if none.
 */
enum qy_error qy_slab_take(struct qy_cpu_objects *cpu, struct qy_cache *cache, unsigned want,
                           enum qy_object_state state, struct qy_item *items, unsigned *got)
    QY_REQUIRES(qy_class_slab);
/* An object of a slab becomes free; cached ones do. */
void qy_slab_give(struct qy_cpu_objects *cpu, struct qy_item item) QY_REQUIRES(qy_class_slab);
void qy_slab_give_cached(struct qy_cpu_objects *cpu, const struct qy_item *items, unsigned count)
    QY_REQUIRES(qy_class_slab);
/* What becomes a magazine or rounds, as it is; null if there is no memory. And back. */
void *qy_slab_take_own(struct qy_cpu_objects *cpu, struct qy_heap *heap) QY_REQUIRES(qy_class_slab);
void qy_slab_give_own(struct qy_cpu_objects *cpu, struct qy_heap *heap, void *object)
    QY_REQUIRES(qy_class_slab);
/* The empty slab that the cache keeps goes back; false if there is none. */
bool qy_slab_release(struct qy_cache *cache) QY_REQUIRES(qy_class_slab);

/* SLAB blocks in and out of the arena, through the CPU's frame cache if there is a CPU. */
enum qy_error qy_slab_pages_alloc(struct qy_cpu_objects *cpu, struct qy_arena *arena,
                                  unsigned order, pfn_t *out) QY_MUST_USE;
void qy_slab_pages_free(struct qy_cpu_objects *cpu, struct qy_arena *arena, pfn_t block,
                        unsigned order);

/* ---- mixed.c ---- */

/* A place in a mixed slab, in a new one if need be. Errors: as qy_arena_alloc. */
enum qy_error qy_mixed_take(struct qy_cpu_objects *cpu, struct qy_cache *cache, void **out)
    QY_REQUIRES(qy_class_slab);
void qy_mixed_give(struct qy_cpu_objects *cpu, const struct qy_place *place)
    QY_REQUIRES(qy_class_slab);
bool qy_mixed_release(struct qy_heap *heap) QY_REQUIRES(qy_class_slab);

/* ---- heap.c ---- */

/* One object of a cache, `bytes` of it. Errors: as qy_cache_alloc. */
enum qy_error qy_cache_alloc_bytes(struct qy_cpu_objects *cpu, struct qy_cache *cache, size_t bytes,
                                   const struct qy_site *site, void **out) QY_MUST_USE
    QY_REQUIRES(qy_irq_off);

/* ---- free.c ---- */

/* Whether a live object of the cache begins there. Any pointer is safe to pass. */
bool qy_cache_is_live(struct qy_cache *cache, const void *object);
/* qy_cache_free of an object in whatever kind of slab, or guarded; cache: null if any of the heap's will do. */
enum qy_error qy_heap_free(struct qy_cpu_objects *cpu, struct qy_heap *heap, struct qy_cache *cache,
                           void *object) QY_MUST_USE QY_REQUIRES(qy_irq_off);

/* ---- sizes.c ---- */

struct qy_sizes; /* qy/heap.h */

/* What is in no slab of a cache: pages, or in a mixed slab, or guarded, or nothing of the heap's. word: of its block. */
enum qy_error qy_sizes_free_other(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, void *piece,
                                  uint64_t word) QY_MUST_USE QY_REQUIRES(qy_irq_off);

/* ---- magazine.c: the first three by the CPU itself, between enter and leave, without the lock ---- */

/* This CPU's magazine of the cache, which it may get now; null if there is none. */
struct qy_magazine *qy_magazine_of(struct qy_cpu_objects *cpu, struct qy_cache *cache);
/* An object out, live; null if it is empty. */
void *qy_magazine_pop(struct qy_magazine *magazine);
/* Whether the next object is to be a guarded one; this says so once. */
bool qy_magazine_guard_is_due(struct qy_magazine *magazine);
/* Its stack is full: it works on one that is not; returns its top. May take the heap's lock. */
struct qy_item *qy_magazine_make_room(struct qy_cpu_objects *cpu, struct qy_magazine *magazine);
/*
 * Fill an empty one from the depot, or from slabs: half of it, and more if a slab's last objects fit in. Errors: as
 * qy_slab_take.
 */
enum qy_error qy_magazine_refill(struct qy_cpu_objects *cpu, struct qy_magazine *magazine)
    QY_REQUIRES(qy_class_slab);
/* This CPU gives up what it has of the heap; false if that is nothing. */
bool qy_magazine_give_up(struct qy_cpu_objects *cpu, const struct qy_heap *heap);

static inline uint32_t qy_rounds_count(const struct qy_rounds *rounds)
{
    return atomic_load_explicit(&rounds->count, memory_order_relaxed);
}

static inline void qy_rounds_set_count(struct qy_rounds *rounds, uint32_t count)
{
    atomic_store_explicit(&rounds->count, count, memory_order_relaxed);
}

static inline struct qy_rounds *qy_magazine_loaded(const struct qy_magazine *magazine)
{
    return atomic_load_explicit(&magazine->loaded, memory_order_relaxed);
}

static inline struct qy_rounds *qy_magazine_previous(const struct qy_magazine *magazine)
{
    return atomic_load_explicit(&magazine->previous, memory_order_relaxed);
}

/* In the stack that it works on; 0 if it turns to the other one just now. */
static inline uint32_t qy_magazine_count_loaded(const struct qy_magazine *magazine)
{
    uintptr_t first = (uintptr_t)&qy_magazine_loaded(magazine)->items[1];
    uintptr_t bytes = (uintptr_t)qy_magazine_top(magazine) - first;
    return bytes <= QY_ROUNDS_OBJECTS * sizeof(struct qy_item)
               ? (uint32_t)(bytes / sizeof(struct qy_item))
               : 0;
}

/* With the heap's lock, if another CPU's. Exact for its CPU, and when that is elsewhere. */
static inline uint32_t qy_magazine_count(const struct qy_magazine *magazine)
{
    const struct qy_rounds *previous = qy_magazine_previous(magazine);
    return qy_magazine_count_loaded(magazine) + (previous ? qy_rounds_count(previous) : 0);
}

/* Objects that it has handed out. Exact for its CPU, and when that is elsewhere. */
static inline uint64_t qy_magazine_taken(const struct qy_magazine *magazine)
{
    return atomic_load_explicit(&magazine->armed, memory_order_relaxed) -
           (uint64_t)atomic_load_explicit(&magazine->left, memory_order_relaxed);
}

/* An object of a slab in; what was put in first makes room. */
static inline void qy_magazine_put(struct qy_cpu_objects *cpu, struct qy_magazine *magazine,
                                   struct qy_item item)
{
    struct qy_item *top = qy_magazine_top(magazine);
    if (top == magazine->full)
        top = qy_magazine_make_room(cpu, magazine);
    qy_state_store(item.state, QY_OBJECT_CACHED);
    *top = item;
    qy_magazine_set_top(magazine, top + 1);
}

/* ---- depot.c: cached objects that no CPU has. All with the heap's lock ---- */

/* Whether the depot takes so many more. */
bool qy_depot_has_room(const struct qy_cache *cache, uint32_t count) QY_REQUIRES(qy_class_slab);
/* Rounds with their count set go there, and the last ones come back; null: it has none. */
void qy_depot_push(struct qy_cache *cache, struct qy_rounds *rounds) QY_REQUIRES(qy_class_slab);
struct qy_rounds *qy_depot_pop(struct qy_cache *cache) QY_REQUIRES(qy_class_slab);
/* All of it goes back to its slabs; the last rounds do, false: it has none. */
bool qy_depot_drain_some(struct qy_cpu_objects *cpu, struct qy_cache *cache)
    QY_REQUIRES(qy_class_slab);
void qy_depot_drain(struct qy_cpu_objects *cpu, struct qy_cache *cache) QY_REQUIRES(qy_class_slab);
/* Empty rounds out of those that the heap keeps, or new ones; null if there is no memory. And back. */
struct qy_rounds *qy_rounds_get(struct qy_cpu_objects *cpu, struct qy_heap *heap)
    QY_REQUIRES(qy_class_slab);
void qy_rounds_put(struct qy_heap *heap, struct qy_rounds *rounds) QY_REQUIRES(qy_class_slab);
/* Those that the heap keeps go. */
void qy_rounds_release(struct qy_cpu_objects *cpu, struct qy_heap *heap) QY_REQUIRES(qy_class_slab);

static inline uint32_t qy_depot_count(const struct qy_cache *cache)
{
    return cache->depot ? qy_rounds_count(cache->depot) + cache->depot->count_below : 0;
}

#endif
