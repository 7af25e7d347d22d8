/*
 * The parts of an arena, from the bottom up. Private to mem/phys.
 *
 *     arena_keep.c    blocks kept for whoever fills them, put together and divided in place
 *     arena_pages.c   runs of pages and ranges of addresses, on top of blocks
 *     arena_range.c   take and give: any free block of any order, with splitting and merging
 *     arena_fine.c    free blocks in 2 MiB blocks shared by several arenas: lists of frame entries
 *     arena_block.c   free blocks in a 2 MiB block of one owner: its map
 *     arena_lists.c   lists of sections and blocks, and the mask of those that are not empty
 *
 * All of them want the arena's lock held and leave its counters alone; arena.c and arena_child.c
 * keep those.
 */
#ifndef QY_ARENA_IMPL_H
#define QY_ARENA_IMPL_H

#include "framedb_impl.h"

static inline void qy_arena_lock(struct qy_arena *arena) QY_ACQUIRES(qy_class_arena) QY_UNCHECKED
{
    qy_lock_acquire(&arena->lock);
}

static inline void qy_arena_unlock(struct qy_arena *arena) QY_RELEASES(qy_class_arena) QY_UNCHECKED
{
    qy_lock_release(&arena->lock);
}

/* A parent's lock, taken while a child's is held; or that of a new child nobody knows yet. The
 * class is held already. */
static inline void qy_arena_lock_parent(struct qy_arena *parent)
    QY_REQUIRES(qy_class_arena) QY_UNCHECKED
{
    qy_lock_acquire(&parent->lock);
}

static inline void qy_arena_unlock_parent(struct qy_arena *parent)
    QY_REQUIRES(qy_class_arena) QY_UNCHECKED
{
    qy_lock_release(&parent->lock);
}

/* Is free memory below its low mark, or back at the high one? (arena_watch.c) */
void qy_watch_look(struct qy_arena *arena) QY_REQUIRES(qy_class_arena);

/* Pages have become free, or (negative) have been taken. */
static inline void qy_arena_count_free(struct qy_arena *arena, int64_t pages)
    QY_REQUIRES(qy_class_arena)
{
    arena->pages[QY_FRAME_FREE] += (uint64_t)pages;
    if (__builtin_expect(arena->watch != NULL, 0))
        qy_watch_look(arena);
}

/* States that a block can be handed out in. */
static inline bool qy_state_is_handed_out(enum qy_frame_state state)
{
    return state != QY_FRAME_RESERVED && state != QY_FRAME_FREE && state != QY_FRAME_CHILD &&
           state != QY_FRAME_CACHED && (unsigned)state < QY_FRAME_STATE_COUNT;
}

/* ---- arena_lists.c: `index` is a section number for orders 15 and up, a block number below ----
 */

void qy_lists_push(struct qy_arena *arena, unsigned order, uint32_t index)
    QY_REQUIRES(qy_class_arena);
void qy_lists_remove(struct qy_arena *arena, unsigned order, uint32_t index)
    QY_REQUIRES(qy_class_arena);

/* The smallest order >= order whose list is not empty, or QY_MAX_ORDER + 1. */
unsigned qy_lists_fit(const struct qy_arena *arena, unsigned order) QY_REQUIRES(qy_class_arena);

/* Put a MAP block on the list of its largest free block, or on none. */
void qy_lists_place(struct qy_arena *arena, uint32_t block) QY_REQUIRES(qy_class_arena);

/* Where kept blocks are listed, by their descriptors; no search for an order looks there. */
#define QY_KEPT_LIST (QY_MAX_ORDER + 1u)

/* ---- arena_keep.c ---- */

/* Nobody's any more, if it was somebody's; where it is listed is the caller's to put right. */
void qy_kept_end(struct qy_arena *arena, uint32_t block) QY_REQUIRES(qy_class_arena);
/* The newest reservation that has a free block of that order ends: it is anybody's. False: there is none. */
bool qy_kept_break(struct qy_arena *arena, unsigned order) QY_REQUIRES(qy_class_arena);
/* Free pages in kept blocks, and the largest order of their free blocks (-1: none). O(QY_KEPT_MAX). */
uint64_t qy_kept_pages(const struct qy_arena *arena) QY_REQUIRES(qy_class_arena);
int qy_kept_largest(const struct qy_arena *arena) QY_REQUIRES(qy_class_arena);

/* ---- arena_block.c: the map of one block; pure functions on the descriptor ---- */

void qy_block_map_empty(struct qy_block *block);

/* Start of the lowest free block of exactly that order; counts[order] != 0. */
unsigned qy_block_map_first(const struct qy_block *block, unsigned order);

/* Take 2^order frames at `start` out of the free block of order `from` that holds them (9: the
 * whole block). */
void qy_block_map_take(struct qy_block *block, unsigned start, unsigned order, unsigned from);

/* Put 2^order frames at `start` back; returns the order of the free block that they are part of
 * now, 9 if all. */
unsigned qy_block_map_give(struct qy_block *block, unsigned start, unsigned order);

/* Take these free frames of a word of the map; put such back, without making the block whole. */
void qy_block_map_take_bits(struct qy_block *block, unsigned index, uint64_t bits);
void qy_block_map_give_bits(struct qy_block *block, unsigned index, uint64_t bits);

/* True if counts, free and orders are what the map says. */
bool qy_block_map_check(const struct qy_block *block);

/* The first frame at or above `index` that is free (or not, as asked), QY_BLOCK_PAGES if none is. */
unsigned qy_block_map_next(const struct qy_block *block, unsigned index, bool free);

/* ---- arena_fine.c ---- */

void qy_fine_push(struct qy_arena *arena, uint64_t start, unsigned order)
    QY_REQUIRES(qy_class_arena);
void qy_fine_remove(struct qy_arena *arena, uint64_t start, unsigned order)
    QY_REQUIRES(qy_class_arena);
/* Neighbours in its list of a listed free block; QY_FINE_NIL ends it. */
uint64_t qy_fine_next(const struct qy_framedb *db, uint64_t start);
uint64_t qy_fine_prev(const struct qy_framedb *db, uint64_t start);

/* Take [at, at + 2^order) out of the listed free block of order `from` at `start`; the rest stays
 * listed. */
void qy_fine_take(struct qy_arena *arena, uint64_t start, unsigned from, uint64_t at,
                  unsigned order) QY_REQUIRES(qy_class_arena);

/* Put a block back, merged; returns 9, with nothing listed, when the whole 2 MiB block has come
 * together. */
unsigned qy_fine_give(struct qy_arena *arena, uint64_t start, unsigned order)
    QY_REQUIRES(qy_class_arena);

/* A MAP block of this arena becomes FINE: its free blocks move to the arena's fine lists. */
void qy_fine_convert(struct qy_arena *arena, uint32_t block) QY_REQUIRES(qy_class_arena);

/* ---- arena_range.c ---- */

/* Take [at, at + 2^order) out of `free`, a free block of this arena that contains it. The rest
 * stays free. */
void qy_range_take(struct qy_arena *arena, const struct qy_found *free, uint64_t at, unsigned order)
    QY_REQUIRES(qy_class_arena);

/* Put [start, start + 2^order) into the arena's free memory, merged with its buddies. Nothing is
 * tagged there. */
void qy_range_give(struct qy_arena *arena, uint64_t start, unsigned order)
    QY_REQUIRES(qy_class_arena);

/* A free block that fits, by the policy of arena.h; false if there is none but in kept blocks. *at: the
 * address to take. */
bool qy_range_fit(struct qy_arena *arena, unsigned order, struct qy_found *out, uint64_t *at)
    QY_REQUIRES(qy_class_arena);

/* The same; where there is none reservations end until there is. */
bool qy_range_fit_any(struct qy_arena *arena, unsigned order, struct qy_found *out, uint64_t *at)
    QY_REQUIRES(qy_class_arena);

/* A free range of so many pages; false if there is none. May let the lock go, as qy_range_sweep. */
bool qy_range_find(struct qy_arena *arena, uint64_t pages, uint64_t *out)
    QY_REQUIRES(qy_class_arena);

/*
 * The lowest free run of so many pages in [base, end) that begins at a multiple of `align`; false if there
 * is none, or the arena is dying by now. Lets the arena's lock go in between (arena_pages.c), but not
 * between finding and returning.
 */
bool qy_range_sweep(struct qy_arena *arena, uint64_t pages, uint64_t base, uint64_t end,
                    uint64_t align, uint64_t *out) QY_REQUIRES(qy_class_arena);

/* The largest order of an aligned block that begins at `at` and ends by `end`. */
unsigned qy_range_order(uint64_t at, uint64_t end);

/* ---- arena.c: what arena_pages.c shares with it; each keeps the pages' counters ---- */

/* Hand [at, at + 2^order) out of the free block that contains it. */
void qy_arena_take(struct qy_arena *arena, const struct qy_found *free, uint64_t at, unsigned order,
                   enum qy_frame_state state) QY_REQUIRES(qy_class_arena);

/* Whether a block of that order and state, handed out by this arena, begins at `start`, and nothing
 * holds it. */
enum qy_error qy_arena_claim(struct qy_arena *arena, uint64_t start, unsigned order,
                             enum qy_frame_state state) QY_REQUIRES(qy_class_arena);

/* Take a claimed block back. */
void qy_arena_release(struct qy_arena *arena, uint64_t start, unsigned order,
                      enum qy_frame_state state) QY_REQUIRES(qy_class_arena);

/* ---- arena_poison.c: the memory of frames that become free, or cease to be ---- */

#if QY_CONFIG_DEBUG
void qy_poison_fill(const struct qy_framedb *db, uint64_t start, unsigned order);
void qy_poison_check(const struct qy_framedb *db, uint64_t start, unsigned order);
#else
static inline void qy_poison_fill(const struct qy_framedb *db, uint64_t start, unsigned order)
{
    (void)db, (void)start, (void)order;
}

static inline void qy_poison_check(const struct qy_framedb *db, uint64_t start, unsigned order)
{
    (void)db, (void)start, (void)order;
}
#endif

/* ---- arena_batch.c ---- */

/* Up to `want` free blocks of an order below 15 become CACHED, lowest addresses first where they come from one
 * place; returns how many. */
unsigned qy_batch_take(struct qy_arena *arena, unsigned order, unsigned want, uint64_t *out)
    QY_REQUIRES(qy_class_arena);

/* CACHED blocks become free again; `at` is sorted meanwhile. */
void qy_batch_give(struct qy_arena *arena, unsigned order, uint64_t *at, unsigned n)
    QY_REQUIRES(qy_class_arena);

/* ---- frame_cache.c, frame_cache_check.c: called with caches of the arena, by what reports on it ---- */

#if QY_CONFIG_FRAME_CACHES
/* What its caches have moved: pages out of CACHED into a state, less those that came back. */
uint64_t qy_caches_moved(const struct qy_arena *arena, enum qy_frame_state state)
    QY_REQUIRES(qy_class_arena);
/* Blocks handed out or (given) taken back by its caches. */
uint64_t qy_caches_blocks(const struct qy_arena *arena, bool given) QY_REQUIRES(qy_class_arena);

/* Null, or the id of the invariant of its caches that does not hold; no CPU uses them meanwhile. */
const char *qy_caches_check(const struct qy_arena *arena) QY_REQUIRES(qy_class_arena);
#else
static inline uint64_t qy_caches_moved(const struct qy_arena *arena, enum qy_frame_state state)
{
    (void)arena, (void)state;
    return 0;
}

static inline uint64_t qy_caches_blocks(const struct qy_arena *arena, bool given)
{
    (void)arena, (void)given;
    return 0;
}

static inline const char *qy_caches_check(const struct qy_arena *arena)
{
    (void)arena;
    return NULL;
}
#endif

#endif
