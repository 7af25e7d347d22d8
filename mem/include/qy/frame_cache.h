/*
 * Per-CPU frame caches: most allocations and frees of one frame touch nothing that another CPU writes.
 *
 *     CPU's table            cache: one page of the arena that it serves
 *     | slot 0 | --------->  | order 0: stack of frame numbers | 1 | 2 | 3 | 9 | zeroed |
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
 * frames, at most 128, and less than as much in each other order; arenas under 2 MiB have none.
 * Locking: a CPU uses its own table with interrupts off (qy_irq_off), without locks and atomic
 * read-modify-writes. Another CPU takes a cache away (qy_frame_reclaim) by emptying the slot, fencing
 * that CPU and waiting for its `busy` to be clear: docs/adr/0013-frame-caches.md.
 * Cost: order 0 from the cache at most 40 instructions for a pair; else the arena's O(log n) shared
 * by the batch. Failures: as the arena's.
 */
#ifndef QY_FRAME_CACHE_H
#define QY_FRAME_CACHE_H

#include <qy/arena.h>

#if !QY_CONFIG_FRAME_CACHES
#include <qy/frame_cache_none.h>
#else

#define QY_CACHE_SLOTS 8u       /* arenas of which a CPU has caches at a time */
#define QY_CACHE_MIN_PAGES 512u /* arenas with fewer have no caches */
#define QY_CACHE_FRAMES 128u    /* of order 0, at most */
#define QY_CACHE_BLOCKS 16u     /* of each of the orders 1 to 3 */
#define QY_CACHE_HUGE 4u        /* of order 9 */
#define QY_CACHE_ZEROED 32u     /* zeroed frames */

/* The stacks of a cache: those of orders 0 to 3 by order, then: */
enum qy_cache_stack { QY_STACK_HUGE = 4, QY_STACK_ZEROED = 5, QY_STACK_COUNT };

struct qy_cpu_frames;

/* A cached single frame, and where its entry is: two words, tag and the owner's. */
struct qy_cached_frame {
    _Atomic uint64_t *entry;
    uint64_t frame;
};

/*
 * Written by its CPU only, but for the links and `leaving`. The single frames are frames[1..top); at
 * 0 stands an entry that is nobody's, above the top what was popped last, and at the end 0 again.
 */
struct qy_frame_cache {
    struct qy_arena *arena;                       /* null in the cache that fills empty slots */
    struct qy_cached_frame *top;                  /* one past the single frames */
    _Atomic uint64_t taken[QY_FRAME_STATE_COUNT]; /* pages handed out in a state */
    _Atomic uint64_t given[QY_FRAME_STATE_COUNT]; /* and taken back */
    _Atomic uint64_t more_blocks[2]; /* by which pages exceed blocks: handed out, taken back */
    uint16_t count[QY_STACK_COUNT];  /* of the other stacks; [0] unused */
    uint16_t limit[QY_STACK_COUNT];
    struct qy_cpu_frames *home;
    struct qy_frame_cache *next, *prev QY_GUARDED_BY(qy_class_arena); /* of its arena */
    bool leaving QY_GUARDED_BY(qy_class_arena); /* somebody takes it off its arena */
    _Atomic uint64_t nobody[2];                 /* that entry */
    struct qy_cached_frame frames[QY_CACHE_FRAMES + 2];
    uint64_t others[3 * QY_CACHE_BLOCKS + QY_CACHE_HUGE + QY_CACHE_ZEROED];
};

/* What a CPU has. One a CPU, anywhere; only that CPU passes it to the functions below. */
struct qy_cpu_frames {
    atomic_bool busy; /* in one of these functions */
    uint32_t cpu;     /* its number, for qy_port_fence_cpu */
    uint32_t cursor;  /* the slot that is looked at next when idle */
    struct qy_frame_cache *_Atomic slots[QY_CACHE_SLOTS]; /* never null */
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
enum qy_error qy_frame_alloc_slow(struct qy_cpu_frames *cpu, struct qy_arena *arena, unsigned order,
                                  enum qy_frame_state state, pfn_t *out) QY_MUST_USE
    QY_REQUIRES(qy_irq_off);
enum qy_error qy_frame_free_slow(struct qy_cpu_frames *cpu, struct qy_arena *arena, pfn_t block,
                                 unsigned order, enum qy_frame_state state) QY_MUST_USE
    QY_REQUIRES(qy_irq_off);

/* The CPU's cache in the slot of that arena; it may be another arena's. The fence is the compiler's:
 * whoever empties the slot makes this CPU execute a real one. */
static inline struct qy_frame_cache *qy_frame_cache_enter(struct qy_cpu_frames *cpu,
                                                          const struct qy_arena *arena)
{
    atomic_store_explicit(&cpu->busy, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    return atomic_load_explicit(&cpu->slots[arena->cache_slot], memory_order_acquire);
}

static inline void qy_frame_cache_leave(struct qy_cpu_frames *cpu)
{
    atomic_store_explicit(&cpu->busy, false, memory_order_release);
}

/* Only this CPU writes the number; others may read it. */
static inline void qy_frame_cache_count(_Atomic uint64_t *number)
{
    atomic_store_explicit(number, atomic_load_explicit(number, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/*
 * Take a block as qy_arena_alloc does, from the CPU's cache if it can, and give one back as
 * qy_arena_free does. Neither waits for other CPUs: OUT_OF_MEMORY means that the arena and this CPU's
 * cache have no such block; those of others may, see qy_frame_reclaim. An arena that is dying may
 * still serve from caches until they are reclaimed.
 */
static inline QY_MUST_USE enum qy_error qy_frame_try_alloc(struct qy_cpu_frames *cpu,
                                                           struct qy_arena *arena, unsigned order,
                                                           enum qy_frame_state state, pfn_t *out)
    QY_REQUIRES(qy_irq_off)
{
    if (order == 0 && (unsigned)state < QY_FRAME_STATE_COUNT &&
        (QY_STATES_HANDED_OUT >> state & 1)) {
        struct qy_frame_cache *cache = qy_frame_cache_enter(cpu, arena);
        struct qy_cached_frame *top = cache->top - 1;
        uint64_t tag = atomic_load_explicit(top->entry, memory_order_relaxed);
        /* A cached frame of this arena: so it is this arena's cache, and not empty. */
        if (tag == arena->cached_tag) {
            atomic_store_explicit(top->entry, tag + (uint64_t)state - QY_FRAME_CACHED,
                                  memory_order_release);
            cache->top = top;
            *out = pfn(top->frame);
            qy_frame_cache_count(&cache->taken[state]);
            qy_frame_cache_leave(cpu);
            return QY_OK;
        }
        qy_frame_cache_leave(cpu);
    }
    pfn_t slow = {0};
    enum qy_error error = qy_frame_alloc_slow(cpu, arena, order, state, &slow);
    if (error == QY_OK)
        *out = slow;
    return error;
}

/* Fast for the frame that was popped from this depth last; others have to be looked up. */
static inline QY_MUST_USE enum qy_error qy_frame_free(struct qy_cpu_frames *cpu,
                                                      struct qy_arena *arena, pfn_t block,
                                                      unsigned order, enum qy_frame_state state)
    QY_REQUIRES(qy_irq_off)
{
    if (order == 0 && (unsigned)state < QY_FRAME_STATE_COUNT &&
        (QY_STATES_HANDED_OUT >> state & 1)) {
        struct qy_frame_cache *cache = qy_frame_cache_enter(cpu, arena);
        struct qy_cached_frame *top = cache->top;
        if (cache->arena == arena && top->frame == block.raw) {
            uint64_t cached = arena->cached_tag;
            uint64_t tag = atomic_load_explicit(&top->entry[0], memory_order_relaxed);
            uint64_t word = atomic_load_explicit(&top->entry[1], memory_order_relaxed);
            if (((tag ^ (cached + (uint64_t)state - QY_FRAME_CACHED)) | word) == 0) {
                atomic_store_explicit(top->entry, cached, memory_order_release);
                cache->top = top + 1;
                qy_frame_cache_count(&cache->given[state]);
                qy_frame_cache_leave(cpu);
                return QY_OK;
            }
        }
        qy_frame_cache_leave(cpu);
    }
    return qy_frame_free_slow(cpu, arena, block, order, state);
}

/*
 * The same for who is going to zero the block: *zeroed says that it holds zeroes already.
 */
enum qy_error qy_frame_try_alloc_zeroed(struct qy_cpu_frames *cpu, struct qy_arena *arena,
                                        unsigned order, enum qy_frame_state state, pfn_t *out,
                                        bool *zeroed) QY_MUST_USE QY_REQUIRES(qy_irq_off);

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

/* Take a block; before failing, reclaim what other CPUs have, and try again. The caller holds no lock. */
enum qy_error qy_frame_alloc(struct qy_cpu_frames *cpu, struct qy_arena *arena, unsigned order,
                             enum qy_frame_state state, pfn_t *out) QY_MUST_USE
    QY_REQUIRES(qy_irq_off)
        QY_EXCLUDES(qy_class_caps, qy_class_sched, qy_class_space, qy_class_slab, qy_class_arena);

#endif
#endif
