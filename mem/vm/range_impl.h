/*
 * A change of a range of addresses, as the files of mem/vm that make it up pass it around. Private.
 *
 *     region.c       what users ask for
 *     range.c        the steps: cover, plan, apply, flush, finish; and the walk above the tables of level 1
 *     range_leaf.c   what becomes of the entries: one of any kind, and loops over tables of level 1
 *     range_page.c   one page to unmap, without all that
 *     long.c         long ranges, a part after the other
 */
#ifndef QY_RANGE_IMPL_H
#define QY_RANGE_IMPL_H

#include "vm_impl.h"

enum qy_range_what {
    QY_RANGE_PUT,
    QY_RANGE_UNMAP,
    QY_RANGE_PROTECT,
    QY_RANGE_FINISH_UNMAP,
    QY_RANGE_FINISH_PROTECT
};

/* SURE: others have looked, and what is refused now has come since. */
enum qy_range_pass { QY_RANGE_BOTH, QY_RANGE_LOOK, QY_RANGE_SURE };

struct qy_range {
    struct qy_space *space;
    enum qy_range_what what;
    enum qy_range_pass pass;
    bool apply;
    uint64_t start, end;
    uint64_t mark;   /* QY_RANGE_PUT */
    unsigned rights; /* QY_RANGE_PROTECT */
    uint64_t only;     /* UNMAP, PROTECT: first frame of the foreign block that the range must hold; 0: anything */
    unsigned mappings; /* of that block, which change together */
    unsigned tables; /* planned */
    struct qy_table *reserve;
    uint64_t found;   /* entries that are not empty */
    bool flush;       /* a CPU may know something that is not true any more */
    bool moved;       /* finish is needed */
    bool tables_gone; /* of tables on the way, too */
    bool hollow;      /* a table may have become empty */
    bool again;       /* an entry is moving */
    bool shared;      /* a shared table is in the way, at `at`, */
    bool large;       /* or a page of which only a part changes */
    uint64_t at;
    enum qy_error error;
    struct qy_gone *gone;
};

/* An entry cannot be changed like this. */
static inline void qy_range_refuse(struct qy_range *op, enum qy_error error)
{
    if (op->pass != QY_RANGE_SURE)
        op->error = error;
}

/* Do it; frees what came loose. The caller is outside. */
enum qy_error qy_range_run(struct qy_range *op) QY_MUST_USE;

/* UNMAP or PROTECT, the same in parts: for what is longer than this. */
#define QY_RANGE_LONG (1ull << 20)
enum qy_error qy_range_run_long(struct qy_range *op) QY_MUST_USE;

/*
 * Unmap what is one page, present, and if `only` is not 0 that foreign frame. BUSY: it is not, or in a shared table, and
 * nothing has changed. The caller is outside.
 */
enum qy_error qy_vm_unmap_page(struct qy_space *space, uint64_t address, uint64_t bytes, uint64_t only) QY_MUST_USE;

/* What becomes of one entry that does not point at a table and lies in the range as a whole; at: its first address. */
void qy_range_visit(struct qy_range *op, struct qy_table *table, unsigned index, uint64_t entry, uint64_t at);

/* The same for the entries of [start, end) in a table of level 1. */
void qy_range_leaf(struct qy_range *op, struct qy_table *table, uint64_t start, uint64_t end);

#endif
