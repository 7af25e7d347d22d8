/*
 * Memory objects: the kernel's side of qy/object.h.
 *
 *     capability --> memory = qy_object (pages, out of the untyped that it was made of)
 *                      |           + pager: an endpoint that is asked for pages that are not there
 *     region's binding: id  -----> found when a page of the region is touched; gone: the page is revoked
 *
 * It may be a swap area, too: pages of spaces in slots, of which its pager is asked (qy/swap.h). An entry that names a
 * slot keeps no object: when it goes, they are `revoked`.
 *
 * A region names its object by an id that is never used again, so an object goes without a look at who maps it: it is
 * taken out of the table of ids, every CPU leaves its section (kernel/space.h), then nobody can come to it any more,
 * and its pages are taken from everybody.
 *
 * Locking: the table is changed under qy_class_caps, and read with that or inside a section. Pages by the locks of
 * their tables; calls pin the object and let qy_class_caps go. Cost: O(1) to find; qy/object.h.
 */
#ifndef KERNEL_MEMORY_H
#define KERNEL_MEMORY_H

#include <kernel/space.h>
#include <qy/object.h>
#include <qy/swap.h>

struct memory {
    struct object object;
    struct qy_object vm;
    struct qy_swap swap; /* slots of pages that spaces have evicted to it; beside its own pages */
    struct slot pager; /* empty: pages that are not there are zeroes, or nobody's to supply any more */
    bool unreachable;  /* no CPU has found it by its id: its pages can go */
    struct memory *_Atomic next; /* of those whose id has the same low bits */
};

/* A reserved object gets its root table out of its untyped. Errors: OUT_OF_MEMORY, TOO_MANY. */
enum qy_error memory_make(struct memory *memory, uint64_t pages) QY_MUST_USE QY_REQUIRES(qy_class_caps);
/* It is complete: it can be found. */
void memory_finish(struct memory *memory) QY_REQUIRES(qy_class_caps);
/* One that was never finished lets its root table go. */
void memory_discard(struct memory *memory) QY_REQUIRES(qy_class_caps);

/* The object with that id; null: it is gone, or going. It stays as long as the lock, or the section. */
struct memory *memory_find(uint64_t id);

/* What qy/vm.h asks when a region of an object is touched. In a section. Errors: REVOKED. */
enum qy_error memory_of_binding(void *context, const struct qy_binding *binding,
                                struct qy_object **out) QY_MUST_USE;

enum dismantle memory_dismantle(struct memory *memory, struct teardown *teardown)
    QY_REQUIRES(qy_class_caps);
/* What dismantling waits for: done without the lock, in part if it is much. */
void memory_dismantle_rest(struct memory *memory) QY_EXCLUDES(qy_class_caps);

/* Null, or the id of the first invariant that does not hold. O(pages). */
const char *memory_check(struct memory *memory) QY_REQUIRES(qy_class_caps);

#endif
