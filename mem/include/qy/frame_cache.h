/*
 * Per-CPU frame caches: most allocations and frees of one frame touch nothing that another CPU writes.
 *
 *     CPU's table            cache: one page of the arena that it serves
 *     | slot 0 | --------->  | order 0: stack of frame numbers | 1 | 2 | ... | 9 | zeroed |
 *     | slot 1 |                 ^ refill, drain: up to 64 at a time under the arena's lock
 *     |  ...   |             arena -> list of its caches, one a CPU at most
 *
 * A CPU takes a cache of an arena after repeated use, in the slot that the arena's header names; the
 * arena pays its page (METADATA). A cached frame is in a state of its own, CACHED, in its entry; so
 * who frees it again, or with another order, state or arena, is refused as by qy_arena_free.
 *
 * Invariants
 *   CACHE-COUNT  an arena's CACHED frames are those in its caches' stacks, each once
 *   CACHE-ZERO   a frame in the zeroed stack holds zeroes
 *   CONSERVE     an arena's counters and what its caches moved add up (qy_arena_pages)
 * Policy: the frame freed last is used first; whole words of a block's map are fetched, so that CPUs
 * do not share cache lines of frame entries. Bounded: for each CPU a 64th of an arena in single
 * frames, at most 128, and half as much in each other order; arenas under 2 MiB have none.
 * Locking: a CPU uses its own table with interrupts off (qy_irq_off), without locks and atomic
 * read-modify-writes. Another CPU takes a cache away (qy_frame_reclaim) as qy/percpu.h says:
 * docs/adr/0013-frame-caches.md.
 * Cost: a pair of order 0 from the cache at most 44 instructions, of orders 1 to 9, and of a frame that
 * was not popped last, at most 80 and a cache miss for the entry; else the arena's O(log n) shared by the
 * batch. So a slab cache that takes and returns its slabs here (SLAB, orders 0 to 3) needs no reserve of
 * its own. Failures: as the arena's.
 */
#ifndef QY_FRAME_CACHE_H
#define QY_FRAME_CACHE_H

#include <qy/arena.h>
#include <qy/percpu.h>

#if !QY_CONFIG_FRAME_CACHES
#include <qy/frame_cache_none.h>
#else

#define QY_CACHE_SLOTS 8u       /* arenas of which a CPU has caches at a time */
#define QY_CACHE_MIN_PAGES 512u /* arenas with fewer have no caches */
#define QY_CACHE_FRAMES 128u    /* of order 0, at most */
#define QY_CACHE_BLOCKS 16u     /* of each of the orders 1 to 3 */
#define QY_CACHE_LARGE 4u       /* of each of the orders 4 to 9 */
#define QY_CACHE_ZEROED 32u     /* zeroed frames */

struct qy_cpu_frames;

/* A cached block, and where the entry of its first frame is: two words, tag and the owner's. */
struct qy_cached_block {
    _Atomic uint64_t *entry;
    uint64_t frame;
};

/* One below all stacks, and one above each: they are nobody's. */
#define QY_CACHE_CELLS                                                                             \
    (1 + (QY_CACHE_FRAMES + 1) + 3 * (QY_CACHE_BLOCKS + 1) + 6 * (QY_CACHE_LARGE + 1))

/*
 * Written by its CPU only, but for the links and `leaving`. The stack of an order ends below top[order];
 * above it is what was popped last. Below and above a stack, and where no block has been yet, stands an
 * entry that is nobody's: its tag is no arena's.
 */
struct qy_frame_cache {
    struct qy_arena *arena;                           /* null in what fills empty slots */
    struct qy_cached_block *top[QY_BLOCK_ORDER + 1];  /* one past the blocks of that order */
    struct qy_cached_block *full[QY_BLOCK_ORDER + 1]; /* top with as many as there may be */
    _Atomic uint64_t taken[QY_FRAME_STATE_COUNT];     /* pages handed out in a state */
    _Atomic uint64_t given[QY_FRAME_STATE_COUNT];     /* and taken back */
    _Atomic uint64_t more_blocks[2];    /* by which pages exceed blocks: handed out, taken back */
    uint16_t limit[QY_BLOCK_ORDER + 1]; /* 0: the arena serves that order */
    uint16_t zeroed_count, zeroed_limit;
    bool leaving QY_GUARDED_BY(qy_class_arena); /* somebody takes it off its arena */
    struct qy_cpu_frames *home;
    struct qy_frame_cache *next, *prev QY_GUARDED_BY(qy_class_arena); /* of its arena */
    _Atomic uint64_t nobody[2];                                       /* that entry */
    struct qy_cached_block cells[QY_CACHE_CELLS];
    uint64_t zeroed[QY_CACHE_ZEROED];
};

/* What a CPU has. One a CPU, anywhere; only that CPU passes it to the functions below. */
struct qy_cpu_frames {
    struct qy_frame_cache *_Atomic slots[QY_CACHE_SLOTS]; /* never null */
    struct qy_percpu own;
    uint32_t cursor; /* the slot that is looked at next when idle */
    struct {
        const struct qy_arena *arena; /* that would like the slot; compared only */
        uint32_t misses;
        uint64_t taken; /* by whose cache has the slot, when the misses began */
    } wishes[QY_CACHE_SLOTS];
};

/* A table without caches. */
void qy_cpu_frames_init(struct qy_cpu_frames *cpu, uint32_t number);

/* States that blocks are handed out in: all but RESERVED, FREE, CHILD and CACHED. */
#define QY_STATES_HANDED_OUT                                                                       \
    (1u << QY_FRAME_OBJECT | 1u << QY_FRAME_SLAB | 1u << QY_FRAME_TABLE | 1u << QY_FRAME_USER |    \
     1u << QY_FRAME_DEVICE | 1u << QY_FRAME_METADATA)

/* ---- behind the inline functions ---- */
#define QY_CACHE_INLINE __attribute__((always_inline)) /* folds where order and state are constants */
enum qy_error qy_frame_alloc_slow(struct qy_cpu_frames *cpu, struct qy_arena *arena, unsigned order,
                                  enum qy_frame_state state, pfn_t *out) QY_MUST_USE
    QY_REQUIRES(qy_irq_off);
/* Put any block of its arena back into a cache; false if it is no such block, or not cached. */
bool qy_frame_cache_put(struct qy_frame_cache *cache, uint64_t block, unsigned order,
                        enum qy_frame_state state) QY_MUST_USE QY_REQUIRES(qy_irq_off);

/* The CPU's cache in the slot of that arena; it may be another arena's. */
static inline struct qy_frame_cache *qy_frame_cache_enter(struct qy_cpu_frames *cpu,
                                                          const struct qy_arena *arena)
{
    qy_percpu_enter(&cpu->own);
    return atomic_load_explicit(&cpu->slots[arena->cache_slot], memory_order_acquire);
}

/* A cached block changes its state; a 2 MiB block has its tag in its own descriptor too. */
static inline void qy_frame_cache_tag(const struct qy_arena *arena,
                                      const struct qy_cached_block *block, unsigned order,
                                      uint64_t tag)
{
    atomic_store_explicit(block->entry, tag, memory_order_release);
    if (order == QY_BLOCK_ORDER)
        atomic_store_explicit(qy_framedb_block_tag(arena->db, block->frame), tag,
                              memory_order_release);
}

/* A block of that order and state went out of the cache, or (given) came into it. */
static inline void qy_frame_cache_count(struct qy_frame_cache *cache, bool given, unsigned order,
                                        enum qy_frame_state state)
{
    qy_percpu_count(given ? &cache->given[state] : &cache->taken[state], 1ull << order);
    if (order)
        qy_percpu_count(&cache->more_blocks[given], (1ull << order) - 1);
}

/*
 * Take a block as qy_arena_alloc does, from the CPU's cache if it can, and give one back as
 * qy_arena_free does. Neither waits for other CPUs: OUT_OF_MEMORY means that the arena and this CPU's
 * cache have no such block; those of others may, see qy_frame_reclaim. An arena that is dying may
 * still serve from caches until they are reclaimed. Shortest where order and state are constants.
 */
static inline QY_CACHE_INLINE QY_MUST_USE enum qy_error qy_frame_try_alloc(struct qy_cpu_frames *cpu,
                                                           struct qy_arena *arena, unsigned order,
                                                           enum qy_frame_state state, pfn_t *out)
    QY_REQUIRES(qy_irq_off)
{
    if (order <= QY_BLOCK_ORDER && (unsigned)state < QY_FRAME_STATE_COUNT &&
        (QY_STATES_HANDED_OUT >> state & 1)) {
        struct qy_frame_cache *cache = qy_frame_cache_enter(cpu, arena);
        struct qy_cached_block *top = cache->top[order] - 1;
        uint64_t tag = atomic_load_explicit(top->entry, memory_order_relaxed);
        /* A cached block of this arena: so it is this arena's cache, and not empty. What is traced goes the long way. */
        if (__builtin_expect(tag == arena->cached_tag + ((uint64_t)order << 4) &&
                                 !qy_traces(1ull << QY_TRACE_FRAME_ALLOCATED),
                             1)) {
            qy_frame_cache_tag(arena, top, order, tag + (uint64_t)state - QY_FRAME_CACHED);
            cache->top[order] = top;
            *out = pfn(top->frame);
            qy_frame_cache_count(cache, false, order, state);
            qy_percpu_leave(&cpu->own);
            return QY_OK;
        }
        qy_percpu_leave(&cpu->own);
    }
    pfn_t slow = {0};
    enum qy_error error = qy_frame_alloc_slow(cpu, arena, order, state, &slow);
    if (error == QY_OK)
        *out = slow;
    return error;
}

/* Put a block back that was popped from this depth last: its cell still knows where its entry is. */
static inline QY_CACHE_INLINE bool qy_frame_cache_put_last(struct qy_frame_cache *cache, uint64_t block,
                                           unsigned order, enum qy_frame_state state)
{
    struct qy_cached_block *top = cache->top[order];
    uint64_t cached = cache->arena->cached_tag + ((uint64_t)order << 4);
    if (__builtin_expect(top->frame != block || qy_traces(1ull << QY_TRACE_FRAME_FREED), 0))
        return false;
    uint64_t tag = atomic_load_explicit(&top->entry[0], memory_order_relaxed);
    uint64_t word = atomic_load_explicit(&top->entry[1], memory_order_relaxed);
    if (__builtin_expect(((tag ^ (cached + (uint64_t)state - QY_FRAME_CACHED)) | word) != 0, 0))
        return false;
    qy_frame_cache_tag(cache->arena, top, order, cached);
    cache->top[order] = top + 1;
    qy_frame_cache_count(cache, true, order, state);
    return true;
}

static inline QY_CACHE_INLINE QY_MUST_USE enum qy_error qy_frame_free(struct qy_cpu_frames *cpu,
                                                      struct qy_arena *arena, pfn_t block,
                                                      unsigned order, enum qy_frame_state state)
    QY_REQUIRES(qy_irq_off)
{
    if (order <= QY_BLOCK_ORDER && (unsigned)state < QY_FRAME_STATE_COUNT &&
        (QY_STATES_HANDED_OUT >> state & 1)) {
        struct qy_frame_cache *cache = qy_frame_cache_enter(cpu, arena);
        if (__builtin_expect(cache->arena == arena, 1) &&
            (qy_frame_cache_put_last(cache, block.raw, order, state) ||
             qy_frame_cache_put(cache, block.raw, order, state))) {
            qy_percpu_leave(&cpu->own);
            return QY_OK;
        }
        qy_percpu_leave(&cpu->own);
    }
    return qy_arena_free(arena, block, order, state);
}

/* One of the cache's zeroed frames, of which there are some. */
enum qy_error qy_frame_take_zeroed(struct qy_cpu_frames *cpu, struct qy_arena *arena,
                                   enum qy_frame_state state, pfn_t *out) QY_MUST_USE
    QY_REQUIRES(qy_irq_off);

/*
 * The same for who is going to zero the block: *zeroed says that it holds zeroes already.
 */
static inline QY_CACHE_INLINE QY_MUST_USE enum qy_error
qy_frame_try_alloc_zeroed(struct qy_cpu_frames *cpu, struct qy_arena *arena, unsigned order,
                          enum qy_frame_state state, pfn_t *out, bool *zeroed) QY_REQUIRES(qy_irq_off)
{
    const struct qy_frame_cache *cache = qy_frame_cache_enter(cpu, arena);
    bool any = order == 0 && cache->zeroed_count != 0 && cache->arena == arena;
    qy_percpu_leave(&cpu->own);
    *zeroed = any && qy_frame_take_zeroed(cpu, arena, state, out) == QY_OK;
    return *zeroed ? QY_OK : qy_frame_try_alloc(cpu, arena, order, state, out);
}

/* As qy_frame_free, for a single frame that holds zeroes: it is kept for who asks for one. */
enum qy_error qy_frame_free_zeroed(struct qy_cpu_frames *cpu, struct qy_arena *arena, pfn_t frame,
                                   enum qy_frame_state state) QY_MUST_USE QY_REQUIRES(qy_irq_off);

/*
 * For a CPU that has nothing else to do: zero one frame of one of its caches for later. False if
 * there is nothing to do either. O(one frame).
 */
bool qy_frame_zero_one(struct qy_cpu_frames *cpu) QY_REQUIRES(qy_irq_off);

/* What this CPU caches of an arena goes back to it; null: of every arena. Does not wait. */
void qy_frame_drain(struct qy_cpu_frames *cpu, const struct qy_arena *arena)
    QY_REQUIRES(qy_irq_off);

/* Whether some CPU has a cache of the arena, or somebody is taking one away just now. */
bool qy_arena_is_cached(struct qy_arena *arena);

/*
 * What all CPUs cache of an arena goes back to it. Waits for the others, so the caller holds no lock;
 * the caller sees to it that the arena stays, and, if it wants the arena to be whole afterwards, that
 * nobody allocates from it meanwhile. O(what is cached).
 */
void qy_frame_reclaim(struct qy_arena *arena)
    QY_EXCLUDES(qy_class_caps, qy_class_sched, qy_class_space, qy_class_slab, qy_class_arena);
/* The same a CPU's cache at a time: again until it is false. */
bool qy_frame_reclaim_step(struct qy_arena *arena)
    QY_EXCLUDES(qy_class_caps, qy_class_sched, qy_class_space, qy_class_slab, qy_class_arena);

/* Take a block; before failing, reclaim what other CPUs have, and try again. The caller holds no lock. */
enum qy_error qy_frame_alloc(struct qy_cpu_frames *cpu, struct qy_arena *arena, unsigned order,
                             enum qy_frame_state state, pfn_t *out) QY_MUST_USE
    QY_REQUIRES(qy_irq_off)
        QY_EXCLUDES(qy_class_caps, qy_class_sched, qy_class_space, qy_class_slab, qy_class_arena);

#endif
#endif
