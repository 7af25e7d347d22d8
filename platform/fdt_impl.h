/*
 * A flattened device tree, opened and walked node by node (Devicetree Specification 0.4,
 * chapter 5).
 *
 *     header | reservations: address, size ... 0, 0 | structure: BEGIN name, PROP ..., END ... |
 * strings
 *
 * qy_fdt_open walks the whole structure once and checks offsets, nesting, names and strings; after
 * it, the walk below cannot leave the bytes. What a property means is checked by whoever reads it.
 */
#ifndef PLATFORM_FDT_IMPL_H
#define PLATFORM_FDT_IMPL_H

#include "bytes_impl.h"

#define QY_FDT_DEPTH 32u /* levels of nodes; the root is level 0 */

struct qy_fdt {
    struct qy_bytes structure; /* ends after the END token */
    struct qy_bytes strings;
    struct qy_bytes reservations; /* whole entries, the terminating one left out */
};

/* Where a walk stands: at a node, whose ancestors it remembers. All zero: before the root. */
struct qy_fdt_walk {
    size_t offset;  /* of the first token after the node's name */
    unsigned depth; /* of the node */
    bool started;
    const char *name[QY_FDT_DEPTH];  /* of the node and its ancestors, the root's is "" */
    size_t properties[QY_FDT_DEPTH]; /* where theirs begin */
};

/* Errors: CORRUPT, TRUNCATED; *why is a static sentence. */
enum qy_error qy_fdt_open(struct qy_bytes bytes, struct qy_fdt *out, const char **why) QY_MUST_USE;

/* Go to the next node, in the order of the tree. False at the end. */
bool qy_fdt_next(const struct qy_fdt *fdt, struct qy_fdt_walk *walk);

/*
 * A property of the node at `level` of the walk (walk->depth: the node itself). False if it has
 * none of that name.
 */
bool qy_fdt_property(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk, unsigned level,
                     const char *name, struct qy_bytes *out);

/* A property of the node, as a number of one or two cells. False: none, or of another size. */
bool qy_fdt_number(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk, const char *name,
                   uint64_t *out);

/* True if a property of the node is a list of strings that holds this one. */
bool qy_fdt_lists(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk, const char *name,
                  const char *wanted);

/* False if the node's status says that it cannot be used. */
bool qy_fdt_enabled(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk);

/* True if the node is `name` or `name@...`. */
bool qy_fdt_named(const struct qy_fdt_walk *walk, unsigned level, const char *name);

/* True if `path` ("/soc/serial@10000000") names the node. */
bool qy_fdt_path_is(const struct qy_fdt_walk *walk, struct qy_bytes path);

/* Entries of a reg property. */
struct qy_fdt_reg {
    struct qy_bytes data;
    unsigned address_cells, size_cells;
    unsigned count; /* entries */
};

/*
 * The node's reg. False: it has none. Errors in *bad: cell counts above 2, or a length that is
 * no multiple.
 */
bool qy_fdt_reg(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk, struct qy_fdt_reg *out,
                bool *bad);
void qy_fdt_reg_entry(const struct qy_fdt_reg *reg, unsigned i, uint64_t *address, uint64_t *size);

/*
 * Address of the node's first reg entry as the CPU sees it, through the ranges of its ancestors.
 * False: not visible.
 */
bool qy_fdt_cpu_address(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk, uint64_t *out);

#endif
