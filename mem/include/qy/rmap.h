/*
 * Reverse maps: from a frame, or a table, to the page-table entries that hold it.
 *
 *     word, none or counted  | count (18)  | 0                          | LIST 0 | LOCK | X | W |
 *     word, one mapping      | 0  | index (9) | frame of its table (34) | LIST 0 | LOCK | X | W |
 *     word, a list           | count (16)  | first node's address (44)  | LIST 1 | LOCK | X | W |
 *
 *     word -> node: mapping c -> node: mapping b -> mapping a, in place      block of one page, or a table
 *     word -> node: mapping c -> node: mapping b -> node: mapping a          block of several pages
 *
 *     mapping in a node      | part of the block (19) | X | W | index (9) | frame of its table (34) |
 *
 * n mappings have n nodes, or n - 1 where one is in place; each is paid by whoever made the mapping in it, and goes back to
 * that cache, whichever mapping goes first. `Counted` is what qy_frame_map does, for embedders with reverse maps of their own.
 *
 * Classes (WXOR): a mapping is of class W or X if a CPU may write, or execute, through it: never both, and never the one
 * if another mapping of the same page is the other. Of a block of several pages an entry maps a part, so pages differ. The
 * word has what any of its mappings has, or had; only where that forbids something are the mappings looked at.
 *
 * Locking: the LOCK bit, inside everything else. Cost: O(1) to add, O(mappings) to remove, and for classes where pages of
 * a block are of both.
 */
#ifndef QY_RMAP_H
#define QY_RMAP_H

#include <qy/slab.h>

struct qy_rmap_node {
    uint64_t next; /* address of the next one, or mapping << 1 | 1: the last */
    uint64_t mapping;
};

#define QY_RMAP_MAX 0xffffull

#define QY_MAPPING_BITS 43u
#define QY_MAPPING_PART_SHIFT 45u

/* An entry: `index` in the table in frame `table`. */
static inline uint64_t qy_mapping(pfn_t table, unsigned index)
{
    return table.raw | (uint64_t)index << 34;
}

static inline pfn_t qy_mapping_table(uint64_t mapping)
{
    return pfn(mapping & ((1ull << 34) - 1));
}

static inline unsigned qy_mapping_index(uint64_t mapping)
{
    return (unsigned)(mapping >> 34) & 511;
}

/*
 * An entry that maps `pages` pages of a block of several, from `offset` on: pages is a power of two, and offset a multiple
 * of it. So the sum has both.
 */
static inline uint64_t qy_mapping_part(uint64_t mapping, uint64_t offset, uint64_t pages)
{
    return mapping | (2 * offset + pages) << QY_MAPPING_PART_SHIFT;
}

/*
 * Add a mapping. *node: one, used if there is a mapping already or it is a part, null then afterwards. Errors:
 * INVALID_FLAGS (class), TOO_MANY, BUSY (counted mappings), OUT_OF_MEMORY (it needs a node: *node is null).
 */
enum qy_error qy_rmap_add(_Atomic uint64_t *word, uint64_t mapping, bool writable, bool executable,
                          struct qy_rmap_node **node) QY_MUST_USE;

/*
 * So many mappings beside those that there are, of classes that the word has, as nodes from `first` to `last`, linked by
 * `next`. Errors: NOT_MAPPED (there are none), TOO_MANY.
 */
enum qy_error qy_rmap_add_list(_Atomic uint64_t *word, struct qy_rmap_node *first, struct qy_rmap_node *last,
                               unsigned mappings) QY_MUST_USE;

/* Remove it. *freed: a node that is nobody's now, whose `mapping` says who paid for it, or null. *last (may be null): there
 * is no mapping any more, and this call removed the last: of those who remove at the same time, one is told. False: there is no such mapping. */
bool qy_rmap_remove(_Atomic uint64_t *word, uint64_t mapping, struct qy_rmap_node **freed,
                    bool *last) QY_MUST_USE;

/* A mapping that is there gets another class, in place of what it has. Errors: INVALID_FLAGS. */
enum qy_error qy_rmap_class(_Atomic uint64_t *word, uint64_t mapping, bool writable, bool executable) QY_MUST_USE;

/* Could it? */
bool qy_rmap_allows(_Atomic uint64_t *word, uint64_t mapping, bool writable, bool executable);

/* How often a mapping is there; its class, and those of others that have a page in common with it, as bits of frame_word.h. */
unsigned qy_rmap_find(_Atomic uint64_t *word, uint64_t mapping, unsigned *class, unsigned *overlapping);

/* The n-th mapping, the newest first: table and index. False: there are fewer. */
bool qy_rmap_at(_Atomic uint64_t *word, unsigned n, uint64_t *mapping);

unsigned qy_rmap_count(_Atomic uint64_t *word);

#endif
