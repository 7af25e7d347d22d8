/*
 * Reverse maps: from a frame, or a table, to the page-table entries that hold it.
 *
 *     word, none or counted  | count (18)  | 0                          | LIST 0 | LOCK | X | W |
 *     word, one mapping      | 0  | index (9) | frame of its table (34) | LIST 0 | LOCK | X | W |
 *     word, two and more     | count (16)  | first node's address (44)  | LIST 1 | LOCK | X | W |
 *
 *     word -> node: mapping c -> node: mapping b -> mapping a, in place
 *
 * n mappings have n - 1 nodes; each is paid by whoever made the mapping in it, and goes back to that
 * cache, whichever mapping goes first. W and X say that some mapping is, or may have been, writable or
 * executable: never both (WXOR); the first mapping sets them, the last clears them, the only one may
 * change them. `Counted` is what qy_frame_map does, for embedders with reverse maps of their own.
 *
 * Locking: the LOCK bit, inside everything else. Cost: O(1) to add, O(mappings) to remove.
 */
#ifndef QY_RMAP_H
#define QY_RMAP_H

#include <qy/slab.h>

struct qy_rmap_node {
    uint64_t next; /* address of the next one, or mapping << 1 | 1: the last */
    uint64_t mapping;
};

#define QY_RMAP_MAX 0xffffull

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
    return (unsigned)(mapping >> 34);
}

/*
 * Add a mapping. *node: one, used if there is a mapping already, null then afterwards. Errors: INVALID_FLAGS (class),
 * TOO_MANY, BUSY (counted mappings), OUT_OF_MEMORY (it needs a node: *node is null).
 */
enum qy_error qy_rmap_add(_Atomic uint64_t *word, uint64_t mapping, bool writable, bool executable,
                          struct qy_rmap_node **node) QY_MUST_USE;

/* Remove it. *freed: a node that is nobody's now, whose `mapping` says who paid for it, or null. *last (may be null): there
 * is no mapping any more, and this call removed the last: of those who remove at the same time, one is told. False: there is no such mapping. */
bool qy_rmap_remove(_Atomic uint64_t *word, uint64_t mapping, struct qy_rmap_node **freed,
                    bool *last) QY_MUST_USE;

/*
 * So many mappings get these rights; if there are no others, the block has no more than these. Errors: INVALID_FLAGS.
 */
enum qy_error qy_rmap_class(_Atomic uint64_t *word, unsigned mappings, bool writable, bool executable) QY_MUST_USE;

/* Would it? */
bool qy_rmap_allows(_Atomic uint64_t *word, unsigned mappings, bool writable, bool executable);

/* The n-th mapping, the newest first. False: there are fewer. */
bool qy_rmap_at(_Atomic uint64_t *word, unsigned n, uint64_t *mapping);

unsigned qy_rmap_count(_Atomic uint64_t *word);

#endif
