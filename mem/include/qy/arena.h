/*
 * Arenas: buddy allocators over page ranges of one NUMA node and zone, that form a tree.
 *
 * An arena owns blocks of 2^order pages, orders 0 (4 KiB) to 18 (1 GiB). Free blocks of the order of a section and
 * above are listed through section descriptors, those of a block (2 MiB) and above through block descriptors, and
 * smaller ones are bits of a block's free map; a bit per order tells which lists are not empty.
 * A child arena is carved out of its parent as any page range and given back as a whole.
 *
 * Invariants: CONSERVE (total = free + objects + slabs + frames + tables + children + metadata), EXCLUSIVE,
 *   ARENA-BUDDY  no two free buddies of one order below the largest: they would have been merged
 *   ARENA-COUNT  the counters equal what the lists and maps hold
 * Locking: one lock per arena (class qy_class_arena). Cost: O(log n) each, except where said.
 */
#ifndef QY_ARENA_H
#define QY_ARENA_H

#include <qy/framedb.h>
#include <qy/lock.h>
#include <quarry/records.h>

enum qy_zone { QY_ZONE_DMA32, QY_ZONE_NORMAL, QY_ZONE_COUNT };

struct qy_list_head {
    uint32_t first; /* section or block number, ~0u = empty */
};

struct qy_arena {
    struct qy_lock lock;
    struct qy_framedb *db;
    struct qy_arena *parent; /* null for a root arena */
    uint16_t node;
    uint8_t zone;
    uint8_t dying;
    uint32_t id; /* small number, for messages and frame entries */
    uint32_t nonempty; /* bit o set: there is a free block of order o */
    struct qy_list_head lists[QY_MAX_ORDER + 1]; /* as arena.c says */
    pfn_t base, end; /* hull of what it was given */
    uint64_t pages[QY_FRAME_STATE_COUNT]; /* pages in each state, FREE included */
    uint64_t total_pages;
    uint64_t allocations, frees, failures;
};

/* An empty arena. The header's memory stays the caller's. */
void qy_arena_init(struct qy_arena *arena, struct qy_framedb *db, uint16_t node, enum qy_zone zone, uint32_t id);

/*
 * Give a root arena the frames [base, end), which no arena has (boot). O(number of 1 GiB blocks + the two edges).
 * Errors: NOT_OWNED (some of it belongs to an arena already); nothing has changed then.
 */
enum qy_error qy_arena_add(struct qy_arena *arena, pfn_t base, pfn_t end) QY_MUST_USE;

/*
 * Take a block of 2^order pages, which changes from FREE to state. The lowest address that fits best.
 * *out belongs to the caller. The memory is not zeroed. Errors: OUT_OF_MEMORY, INVALID_ARGUMENT (order).
 */
enum qy_error qy_arena_alloc(struct qy_arena *arena, unsigned order, enum qy_frame_state state, pfn_t *out)
    QY_MUST_USE;

/*
 * Give a block back. It must be the start of a block of that order and state, of this arena.
 * Errors: NOT_ALLOCATED (free already, inside a block, other order or state), NOT_OWNED; nothing has changed then.
 */
enum qy_error qy_arena_free(struct qy_arena *arena, pfn_t block, unsigned order, enum qy_frame_state state)
    QY_MUST_USE;

/*
 * Carve `pages` contiguous frames (any number, not only powers of two) out of parent as the new arena *child, whose
 * header the caller supplies. Errors: OUT_OF_MEMORY, INVALID_ARGUMENT (0 pages); nothing has changed then.
 */
enum qy_error qy_arena_carve(struct qy_arena *parent, struct qy_arena *child, uint64_t pages, uint32_t id)
    QY_MUST_USE;

/* Give a child back to its parent. It must be one free whole. Errors: BUSY (something of it is in use). */
enum qy_error qy_arena_return(struct qy_arena *child) QY_MUST_USE;

/* The arena that a frame belongs to, by its database; null for reserved ones. Not for hot paths. */
struct qy_arena *qy_arena_of(struct qy_framedb *db, pfn_t frame);

/* Order of the largest free block; -1 when there is none. */
int qy_arena_largest(const struct qy_arena *arena);

void qy_arena_record(struct qy_arena *arena, struct qy_record_arena *out);

/* Null, or the id of the first invariant that does not hold. Walks the whole arena. */
const char *qy_arena_check(struct qy_arena *arena);

#endif
