/*
 * A fault on its way through mem/vm: fault.c looks, object_fault.c goes on where an object's page is touched. Private.
 */
#ifndef QY_FAULT_IMPL_H
#define QY_FAULT_IMPL_H

#include "vm_impl.h"

/* How one look ended: an error for the caller, or look again. */
enum qy_verdict { QY_LOOK_DONE, QY_LOOK_AGAIN, QY_LOOK_UNSHARE, QY_LOOK_GROW, QY_LOOK_LARGE };

struct qy_look {
    struct qy_space *space;
    vaddr_t page;
    enum qy_access access;
    struct qy_at at;
    enum qy_error error;
    uint64_t mark;
    struct qy_binding binding; /* that it names; the area of a page in a slot */
    bool code;                 /* an executable page has appeared */
    bool full;                 /* the last page of a stretch that is to become one */
};

/*
 * Tables from an entry of a level above 1, nothing or a mark, down to level 1, built aside: nobody sees them before
 * they are linked. From an entry of level 1: nothing has to be built.
 */
struct qy_below {
    struct qy_table *tables[QY_PT_LEVELS - 1];
    unsigned count;
    struct qy_table *leaf; /* and the page's entry in it */
    unsigned index;
};

/* The entry is locked. Errors: OUT_OF_MEMORY, REVOKED. */
enum qy_error qy_below_make(struct qy_space *space, vaddr_t page, const struct qy_at *at,
                            struct qy_below *below) QY_MUST_USE;
/* They go in by their first entry. */
void qy_below_link(struct qy_space *space, const struct qy_at *at, struct qy_below *below);
/* They were not needed; nothing has been put into them. Nothing if they were linked. */
void qy_below_drop(struct qy_space *space, struct qy_below *below);

struct qy_object;

/* The region's entry, which is locked, gets its page of the object. The table stays locked. */
enum qy_verdict qy_object_join(struct qy_object *object, struct qy_look *look) QY_MUST_USE;

#endif
