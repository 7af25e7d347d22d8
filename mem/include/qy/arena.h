/*
 * Arenas: buddy allocators over page ranges of one NUMA node and zone, that form a tree.
 *
 * An arena owns blocks of 2^order pages, orders 0 (4 KiB) to 18 (1 GiB). Where its free blocks are
 * kept:
 *
 *     order 15..18   list of section descriptors, by order          (128 MiB and more)
 *     order  9..14   list of block descriptors, by order            (2 MiB and more)
 *     order  0..8    bits of a 2 MiB block's map; blocks that have any are listed by the order of
 * their largest
 *                    -- or, where a 2 MiB block is shared by several arenas at their ragged edges,
 *                    lists of frame entries, by order ("fine" blocks)
 *
 * and a bit per order tells which lists are not empty. A child arena is carved out of its parent as
 * any page range and given back as a whole. The header of an arena is its creator's memory, 16-byte
 * aligned, and stays in place.
 *
 * A block may be kept for one that fills it frame by frame (qy_arena_keep); what is not filled stays free for all.
 *
 * Invariants
 *   CONSERVE     total = free + caches + objects + slabs + tables + user + devices + children +
 *                metadata
 *   EXCLUSIVE    a frame belongs to one arena and is in one block, free or allocated
 *   ARENA-BUDDY  no two free buddies of one order below the largest: they would have been merged
 *   ARENA-COUNT  counters, lists and maps say the same
 *   ARENA-KEPT   kept blocks are listed apart, and counted
 *   ARENA-OWNER  a descriptor is changed by its owner only; no search meets another arena's bits
 * Policy: the smallest free block that fits, fine blocks and the fullest 2 MiB blocks first, and in
 * those the lowest address: large blocks stay whole. Locking: one lock per arena (class
 * qy_class_arena), a child's before its parent's. Cost: O(log n) each, except where said; at most
 * 512 frame entries or 64 block descriptors are touched.
 */
#ifndef QY_ARENA_H
#define QY_ARENA_H

#include <quarry/records.h>
#include <qy/framedb.h>
#include <qy/lock.h>
#include <qy/trace.h>

enum qy_zone { QY_ZONE_DMA32, QY_ZONE_NORMAL, QY_ZONE_COUNT };

struct qy_list_head {
    uint32_t first; /* section or block number, ~0u = empty */
};

struct qy_fine_head {
    uint64_t first; /* frame number, 0 = empty: frame 0 is in no arena */
};

struct qy_frame_cache; /* qy/frame_cache.h */

/*
 * Marks of free memory in the buddy: `crossed` is called when it falls below `low`, and after that when it is `high` or
 * more again, with the arena's lock held: it takes no lock and allocates nothing. What CPUs keep in caches is not free.
 */
struct qy_watch {
    uint64_t low, high; /* pages */
    void (*crossed)(struct qy_watch *watch);
    bool is_low QY_GUARDED_BY(qy_class_arena);
};

struct qy_arena {
    _Alignas(16) struct qy_lock lock;
    struct qy_framedb *db;
    struct qy_arena *parent; /* null for a root arena */
    uint16_t node;
    uint8_t zone;
    bool dying QY_GUARDED_BY(qy_class_arena); /* nothing is allocated any more */
    uint8_t cache_slot;                       /* where CPUs keep a cache of it */
    uint64_t cached_tag;                      /* entry of a single frame in a cache of it */
    uint32_t id;                              /* the creator's number, for messages */
    pfn_t base, end;      /* hull of what it was given; fixed after boot or carving */
    uint64_t total_pages; /* likewise */

    uint32_t nonempty QY_GUARDED_BY(qy_class_arena);      /* bit o: lists[o] is not empty */
    uint32_t fine_nonempty QY_GUARDED_BY(qy_class_arena); /* bit o: fine[o] is not empty */
    struct qy_list_head lists[QY_MAX_ORDER + 2] QY_GUARDED_BY(qy_class_arena);
    struct qy_fine_head fine[QY_BLOCK_ORDER] QY_GUARDED_BY(qy_class_arena);
    uint64_t pages[QY_FRAME_STATE_COUNT] QY_GUARDED_BY(qy_class_arena); /* in each state */
    uint64_t large_pages QY_GUARDED_BY(qy_class_arena); /* free ones, in blocks of 2 MiB and more */
    uint64_t allocations QY_GUARDED_BY(qy_class_arena);
    uint64_t frees QY_GUARDED_BY(qy_class_arena);
    uint64_t failures QY_GUARDED_BY(qy_class_arena);
    uint32_t kept_blocks QY_GUARDED_BY(qy_class_arena); /* at most QY_KEPT_MAX */
    struct qy_frame_cache *caches QY_GUARDED_BY(qy_class_arena); /* one a CPU */
    struct qy_watch *watch QY_GUARDED_BY(qy_class_arena);        /* null: nobody's */
};

/* The marks that count from now on, in place of those before; null: none. Once it returns the others are not called. */
void qy_arena_watch(struct qy_arena *arena, struct qy_watch *watch);
/* Are these the marks that count? For validators. */
bool qy_arena_is_watched(struct qy_arena *arena, const struct qy_watch *watch);

/* An empty arena. The header's memory stays the caller's. */
void qy_arena_init(struct qy_arena *arena, struct qy_framedb *db, uint16_t node, enum qy_zone zone,
                   uint32_t id);

/*
 * Give a root arena the frames [base, end), which no arena has (boot). O(sections + the two edges).
 * Errors: INVALID_ARGUMENT (empty, frame 0, beyond the database's limit), NOT_OWNED (some of it
 * belongs to an arena already); nothing has changed then.
 */
enum qy_error qy_arena_add(struct qy_arena *arena, pfn_t base, pfn_t end) QY_MUST_USE;

/*
 * Take a block of 2^order pages, which changes from FREE to state (any but RESERVED, FREE and
 * CHILD). *out belongs to the caller. The memory is not zeroed. Errors: OUT_OF_MEMORY,
 * INVALID_ARGUMENT (order, state), REVOKED (the arena is dying); nothing has changed then, but the
 * count of failures.
 */
enum qy_error qy_arena_alloc(struct qy_arena *arena, unsigned order, enum qy_frame_state state,
                             pfn_t *out) QY_MUST_USE;

/*
 * Take that very block. Errors: as qy_arena_alloc, NOT_OWNED (its first frame is not this arena's),
 * BUSY (not all of it is free), INVALID_ARGUMENT (not aligned to its order).
 */
enum qy_error qy_arena_alloc_at(struct qy_arena *arena, pfn_t block, unsigned order,
                                enum qy_frame_state state) QY_MUST_USE;

/*
 * Give a block back. It must be the start of a block of that order and state, of this arena.
 * Errors: NOT_ALLOCATED (free already, inside a block, other order or state), NOT_OWNED (reserved,
 * or another arena's), BUSY (mapped or pinned), INVALID_ARGUMENT (order or state that cannot be);
 * nothing has changed then.
 */
enum qy_error qy_arena_free(struct qy_arena *arena, pfn_t block, unsigned order,
                            enum qy_frame_state state) QY_MUST_USE;

/*
 * Give n single frames back at once (order 0, frame numbers in `at`, which is sorted meanwhile), under one lock.
 * Errors: as qy_arena_free, for the first that it is true of (a frame named twice: NOT_ALLOCATED), INVALID_ARGUMENT
 * (n); nothing has changed then. O(n), and O(log n) for each 64 neighbouring frames.
 */
#define QY_FREE_FRAMES_MAX 64u
enum qy_error qy_arena_free_frames(struct qy_arena *arena, uint64_t *at, unsigned n,
                                   enum qy_frame_state state) QY_MUST_USE;

/*
 * Take one frame of a free block of 2 MiB, its `index`-th, and keep the others for `keeper` (any number but 0): they are free,
 * but taken for anything below 2 MiB only when nothing else is free. Errors: OUT_OF_MEMORY (no such block), TOO_MANY
 * (QY_KEPT_MAX are kept), REVOKED, INVALID_ARGUMENT.
 */
#define QY_KEPT_MAX 512u
enum qy_error qy_arena_keep(struct qy_arena *arena, uint64_t keeper, unsigned index,
                            enum qy_frame_state state, pfn_t *out) QY_MUST_USE;
/* Take that frame of a block kept for keeper. Errors: BUSY (it is not, or not any more, or not free), REVOKED. */
enum qy_error qy_arena_fill(struct qy_arena *arena, uint64_t keeper, pfn_t frame,
                            enum qy_frame_state state) QY_MUST_USE;
/* Keep it no longer; nothing if it is not kept for keeper. */
void qy_arena_unkeep(struct qy_arena *arena, uint64_t keeper, pfn_t block);
/* Free pages in kept blocks. */
uint64_t qy_arena_kept(struct qy_arena *arena);

/*
 * 512 blocks of one page, all of a 2 MiB block and in that state, become one block with that word; who maps
 * them sees to it that nobody else looks at their words. Errors: BUSY (they are not, or one is pinned), REVOKED; nothing
 * has changed then.
 */
enum qy_error qy_arena_join(struct qy_arena *arena, pfn_t block, enum qy_frame_state state,
                            uint64_t word) QY_MUST_USE;
/*
 * And back: a block of order 9 or 18 becomes 512 of order 0 or 9; the i-th has the word first + i * step. An arena that is
 * dying allows it.
 */
struct qy_words {
    uint64_t first, step;
};
void qy_arena_divide(struct qy_arena *arena, pfn_t block, unsigned order, enum qy_frame_state state,
                     struct qy_words words);

/*
 * Take exactly `pages` contiguous frames: out of the smallest free block that holds them, whose tail
 * stays free; where no block does, out of a run of neighbouring ones. So many free frames in a row are
 * found whenever they stay free during the call. They are handed out as the fewest aligned blocks, each
 * of which can be mapped, pinned and retyped by itself: walk them with qy_frame_block. O(log n + 1 GiB
 * blocks of it) if a block holds them, or up to QY_SWEEP_LOOKS blocks of half as many pages show that
 * there is a run or none; else a sweep of the arena. Errors: as qy_arena_alloc.
 *
 * A sweep looks at each descriptor in its way once: 64 bytes for each 2 MiB that is divided, or less; 10
 * ms for 1 TiB of them. The arena's lock is let go after every QY_SWEEP_LOOKS descriptors.
 */
#define QY_SWEEP_LOOKS 1024u
enum qy_error qy_arena_alloc_pages(struct qy_arena *arena, uint64_t pages,
                                   enum qy_frame_state state, pfn_t *out) QY_MUST_USE;

/* Where an allocation may lie: within [base, end), beginning at a multiple of 2^align_order frames.
 */
#define QY_BOUNDS_ALIGN_MAX 34u
struct qy_bounds {
    pfn_t base, end;
    unsigned align_order;
};

/*
 * The same within bounds, for devices that reach or decode only some addresses: the place that
 * qy_arena_alloc would choose if it is within them, O(log n); else the lowest, by a sweep of the bounds.
 * Errors: as qy_arena_alloc, INVALID_ARGUMENT (empty bounds, no pages, an alignment above 64 TiB).
 */
enum qy_error qy_arena_alloc_in(struct qy_arena *arena, uint64_t pages,
                                const struct qy_bounds *bounds, enum qy_frame_state state,
                                pfn_t *out) QY_MUST_USE;

/*
 * Give exactly those back that one of the two calls above took. Errors: as qy_arena_free, for the
 * first block that it is true of; nothing has changed then.
 */
enum qy_error qy_arena_free_pages(struct qy_arena *arena, pfn_t start, uint64_t pages,
                                  enum qy_frame_state state) QY_MUST_USE;

/*
 * Carve `pages` contiguous frames (any number, not only powers of two) out of parent as the new
 * arena *child, whose header the caller supplies. Found, and what it costs: as qy_arena_alloc_pages.
 * Errors: OUT_OF_MEMORY, INVALID_ARGUMENT (0 pages), REVOKED; nothing has changed then.
 */
enum qy_error qy_arena_carve(struct qy_arena *parent, struct qy_arena *child, uint64_t pages,
                             uint32_t id) QY_MUST_USE;

/*
 * Give a child back to its parent; its header may be reused then. It must be one free whole.
 * Errors: BUSY (something of it is in use), INVALID_ARGUMENT (a root arena).
 */
enum qy_error qy_arena_return(struct qy_arena *child) QY_MUST_USE;

/* From here on nothing is allocated from the arena or carved out of it (REVOKED); what is out can
 * be given back. */
void qy_arena_mark_dying(struct qy_arena *arena);

/*
 * The arena that a frame belongs to, by its database; null for reserved ones. O(log n), no lock:
 * the caller sees to it that the arena lives.
 */
struct qy_arena *qy_arena_of(const struct qy_framedb *db, pfn_t frame);

/* Order of the largest free block; -1 when there is none. */
int qy_arena_largest(struct qy_arena *arena);

/* Pages in a state, now. */
uint64_t qy_arena_pages(struct qy_arena *arena, enum qy_frame_state state);

void qy_arena_record(struct qy_arena *arena, struct qy_record_arena *out);

/* A block is handed out, or about to be free again: frame_allocated or frame_freed (qy/trace.h). */
void qy_arena_trace_block(enum qy_trace_event event, const struct qy_arena *arena, uint64_t frame,
                          unsigned order, enum qy_frame_state state);

static inline void qy_arena_trace(enum qy_trace_event event, const struct qy_arena *arena,
                                  uint64_t frame, unsigned order, enum qy_frame_state state)
{
    if (qy_traces(1ull << event))
        qy_arena_trace_block(event, arena, frame, order, state);
}

/* Null, or the id of the first invariant that does not hold. Walks the whole arena. */
const char *qy_arena_check(struct qy_arena *arena);

#endif
