/*
 * Guarded allocations: an object on pages of its own in a window of virtual addresses, with nothing
 * mapped on either side.
 *
 *     window   | guard | slot 0, P pages | guard | slot 1, P pages | ... | slot n-1 | guard |
 *     slot     | unmapped ........ | slack | object |   against its upper edge: an overflow faults
 *              | object | slack | ........ unmapped |   against its lower edge: an underflow faults
 *
 * An object takes the fewest pages that hold it; objects lie against the upper and the lower edge
 * by turns, in each slot and from slot to slot. Bytes of those pages that the object does not fill
 * (slack) carry a pattern, which is looked at when it is freed. The pages of a freed object are
 * unmapped at once: a use of it faults, until its slot, the one unused for longest, is taken again.
 *
 *     UNUSED --> BUSY --> LIVE --> BUSY --> FREED: pending --> flushing --> UNUSED
 *      take: frames, map     free: unmap     a batch is flushed    frames go back to the arena
 *
 * A flush is asked for and looked at later, never waited for: objects are taken and freed under any
 * lock that comes before qy_class_guard. The frames are those of the arena that the caller names, in
 * state OBJECT, from the allocation until the flush of the object's batch is done; qy_guard_gather
 * waits for that, as one must before an arena is given back. The window, its tables and the slots
 * are the embedder's, made once.
 *
 * Invariants
 *   GUARD-SLOT   a slot is in one state, and once in the queue of that state; the counters agree
 *   GUARD-MAP    of the window's pages those of live objects are mapped, and no others
 *   GUARD-FRAME  the frames of a slot that is not UNUSED are its own, of the arena that pays
 *   GUARD-SLACK  slack holds its pattern while the object lives
 * Which allocations are guarded is the caller's choice: a heap takes one in so many (qy/hooks.h).
 * Cost: O(pages of the object), one flush on all CPUs a batch. What it cannot
 * see: a write that jumps over the guard page into the next object, and a use of an object whose
 * slot has been taken again. References: KFENCE (Linux, Documentation/dev-tools/kfence.rst);
 * B. Perens, Electric Fence (1987).
 */
#ifndef QY_GUARD_H
#define QY_GUARD_H

#include <qy/arena.h>
#include <qy/hooks.h>

#define QY_GUARD_STACK 12u     /* return addresses kept of an allocation, and of a free */
#define QY_GUARD_PAGES_MAX 64u /* of a slot */

/* Who did something: return addresses, innermost first, so those inside the allocator come first. */
struct qy_guard_stack {
    uint32_t cpu;
    uint32_t depth;
    uintptr_t at[QY_GUARD_STACK];
};

/* X(NAME, words) */
#define QY_GUARD_BUGS(X)                                                                           \
    X(OVERFLOW, "overflow")                                                                        \
    X(UNDERFLOW, "underflow")                                                                      \
    X(USE_AFTER_FREE, "use after free")                                                            \
    X(SLACK, "write beside an object, found when it was freed")

enum qy_guard_bug {
#define X(NAME, words) QY_GUARD_##NAME,
    QY_GUARD_BUGS(X)
#undef X
        QY_GUARD_BUG_COUNT
};

/* What happened to which object. */
struct qy_guard_report {
    enum qy_guard_bug bug;
    uint64_t address;           /* that was touched */
    uint64_t distance;          /* in bytes from the object's end (overflow), else from its start */
    const char *name;           /* of its cache */
    const struct qy_site *site; /* that allocated it; null: not said */
    uint64_t object, bytes;
    uint64_t number; /* it is the n-th guarded object */
    uint32_t arena;  /* id of the arena that pays for it: its owner */
    bool is_freed;   /* else `freed` is empty */
    struct qy_guard_stack allocated, freed;
};

/* What the embedder does; context is the pool's. */
struct qy_guard_ops {
    /* Map pages of the window, read and write, to frames from first on. Tables exist: no failure. */
    void (*map)(void *context, void *at, pfn_t first, unsigned pages);
    /* Take them out again; this CPU forgets them before it returns. */
    void (*unmap)(void *context, void *at, unsigned pages);
    /* Ask all CPUs to forget the window, without waiting; returns a ticket. The lock is held. */
    uint64_t (*flush_begin)(void *context);
    /* Have they all done so since? The lock is held. */
    bool (*flush_done)(void *context, uint64_t ticket);
    /* Return addresses of what called this, innermost first; how many. May be null. */
    unsigned (*stack)(void *context, uintptr_t *out, unsigned room);
    /* A live object is being freed: the last moment at which its trailer can be read. May be null. */
    void (*freeing)(void *context, const void *cache, void *object);
    /* Slack was written to; the object is freed if this returns. Null: qy_port_broken. */
    void (*slack)(void *context, const struct qy_guard_report *report);
};

/* What an object is to be, beside its size. heap and cache are only compared when it is freed. */
struct qy_guard_what {
    struct qy_arena *arena;     /* pays for it */
    const void *heap, *cache;
    const char *name;           /* of the cache: a static string */
    const struct qy_site *site; /* null: not said */
    uint32_t align;             /* a power of two, up to a page */
};

enum qy_guard_state { QY_GUARD_UNUSED, QY_GUARD_BUSY, QY_GUARD_LIVE, QY_GUARD_FREED };

/* Written by whoever made it BUSY; what others may look at meanwhile is atomic. */
struct qy_guard_slot {
    _Atomic uint64_t state;         /* times it was taken << 2 | enum qy_guard_state */
    struct qy_arena *_Atomic payer; /* of its frames; null: it has none */
    _Atomic uint32_t pages;
    uint32_t next; /* in its queue */
    pfn_t first;   /* of its frames */
    /* The last object, live or freed; 0: there was none. */
    _Atomic uintptr_t object;
    const void *_Atomic heap;
    const void *_Atomic cache;
    const char *name;
    const struct qy_site *site;
    uint64_t bytes, number;
    uint32_t arena_id;
    bool upper; /* against that edge */
    struct qy_guard_stack allocated, freed;
    uint64_t trailer[QY_TRAILER_BYTES / sizeof(uint64_t)]; /* the embedder's: struct qy_origin */
};

#define QY_GUARD_NIL UINT32_MAX

struct qy_guard_queue { /* of slots, first in first out */
    uint32_t first, last, count;
};

struct qy_guard_config {
    unsigned char *window; /* page aligned, qy_guard_window_bytes long, nothing mapped in it */
    struct qy_guard_slot *slots;
    uint32_t slot_count; /* 1 and more */
    uint32_t slot_pages; /* P, 1 to QY_GUARD_PAGES_MAX */
    uint32_t batch;      /* freed objects that one flush is for, 1 to slot_count */
    const struct qy_guard_ops *ops;
    void *context;
};

/* Numbers since the pool was made, but for live, held and unused. */
struct qy_guard_counters {
    uint64_t sampled;       /* objects that were guarded */
    uint64_t live;          /* of those, now */
    uint64_t held;          /* freed objects whose frames have not gone back */
    uint64_t unused;        /* slots */
    uint64_t no_slot;       /* allocations refused for want of a slot */
    uint64_t no_frames;     /* ... because the arena has no frames, or is dying */
    uint64_t refused_frees; /* double, wild, or of another cache */
    uint64_t slack;         /* objects beside which somebody wrote */
    uint64_t flushes;
};

struct qy_guard {
    struct qy_lock lock;
    struct qy_guard_config config;
    _Atomic uint64_t refused_frees;
    uint64_t ticket QY_GUARDED_BY(qy_class_guard); /* of the flush under way */
    struct qy_guard_queue unused QY_GUARDED_BY(qy_class_guard);
    struct qy_guard_queue pending QY_GUARDED_BY(qy_class_guard);
    struct qy_guard_queue flushing QY_GUARDED_BY(qy_class_guard);
    struct qy_guard_counters counters QY_GUARDED_BY(qy_class_guard);
};

static inline uint64_t qy_guard_window_bytes(uint32_t slots, uint32_t slot_pages)
{
    return ((uint64_t)slots * (slot_pages + 1) + 1) * QY_PAGE_BYTES;
}

/* Does the address lie in the window, guard pages included? */
static inline bool qy_guard_holds(const struct qy_guard *guard, const void *address)
{
    uint64_t offset = (uint64_t)(uintptr_t)address - (uint64_t)(uintptr_t)guard->config.window;
    return offset < qy_guard_window_bytes(guard->config.slot_count, guard->config.slot_pages);
}

/*
 * An empty pool. The window and the slots stay the caller's and in place. Errors: INVALID_ARGUMENT
 * (the configuration is none).
 */
enum qy_error qy_guard_init(struct qy_guard *guard,
                            const struct qy_guard_config *config) QY_MUST_USE;

/*
 * A guarded object of any size up to a slot's, zeroed. Errors: TOO_MANY (no slot is unused),
 * OUT_OF_MEMORY and REVOKED (the arena's), INVALID_ARGUMENT (size, align). The caller takes an
 * unguarded one then.
 */
enum qy_error qy_guard_alloc(struct qy_guard *guard, const struct qy_guard_what *what, size_t bytes,
                             void **out) QY_MUST_USE QY_EXCLUDES(qy_class_guard, qy_class_arena);

/*
 * Give a guarded object back. Any pointer is safe to pass; cache null: whichever of the heap's.
 * Errors: NOT_OWNED (not in the window, of another heap or cache), NOT_ALLOCATED (free already, or
 * not the start of an object); nothing changes then.
 */
enum qy_error qy_guard_free(struct qy_guard *guard, const void *heap, const void *cache,
                            void *object) QY_MUST_USE QY_EXCLUDES(qy_class_guard, qy_class_arena);

/* Bytes of the live object of the heap that begins there. Errors: as qy_guard_free. */
enum qy_error qy_guard_size(const struct qy_guard *guard, const void *heap, const void *object,
                            size_t *bytes) QY_MUST_USE;

/* Room for what the embedder keeps of a live object of the pool. */
void *qy_guard_trailer(const struct qy_guard *guard, const void *object);

/* The live object of the slot of that number, from 0, and whose it is; null: none. No lock. */
void *qy_guard_object(const struct qy_guard *guard, uint32_t slot, const void **heap,
                      const void **cache);

/*
 * The frames of freed objects that the arena paid for, or all arenas (null), go back: flushes, and
 * waits for it. Called without locks; live objects stay.
 */
void qy_guard_gather(struct qy_guard *guard, const struct qy_arena *arena)
    QY_EXCLUDES(qy_class_guard);

/* The same without waiting: begins a flush, retires what a flush is done for. */
void qy_guard_drain(struct qy_guard *guard) QY_EXCLUDES(qy_class_guard, qy_class_arena);

/* Live objects of the heap. O(slots), no lock. */
uint64_t qy_guard_live(const struct qy_guard *guard, const void *heap);

/* Pages that the arena (null: any) pays for now; of freed objects alone. O(slots), no lock. */
uint64_t qy_guard_pages(const struct qy_guard *guard, const struct qy_arena *arena);
uint64_t qy_guard_freed_pages(const struct qy_guard *guard, const struct qy_arena *arena);

/*
 * What a fault at `address` means. A guard page between two objects goes to a live one before a
 * freed one, then to the nearer. False: not in the window, no object was ever next to it, or it lies
 * in a live one. No lock: what another CPU changes meanwhile may be told wrong.
 */
bool qy_guard_explain(const struct qy_guard *guard, uint64_t address, struct qy_guard_report *out);
const char *qy_guard_bug_words(enum qy_guard_bug bug);

/* Is that page of the window to be mapped (GUARD-MAP), and to which frame? Quiescent. */
bool qy_guard_page(const struct qy_guard *guard, uint64_t page, pfn_t *frame);

void qy_guard_count(struct qy_guard *guard, struct qy_guard_counters *out);

/*
 * Null, or the id of the first invariant that does not hold; GUARD-MAP is the embedder's to check.
 * Nobody uses the pool meanwhile. O(slots, and bytes of slack).
 */
const char *qy_guard_check(struct qy_guard *guard);

#endif
