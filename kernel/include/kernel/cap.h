/*
 * Capabilities: slots, handles, and the tree that says which capability was derived from which.
 *
 * A slot is 64 bytes. Derived capabilities are the children of their source; those of an object
 * made from an untyped are children of the untyped's anchor. Siblings form a list that needs no
 * parent pointers: `next` of the last one is its parent with bit 0 set, `prev` of the first one is
 * the last. So a slot can be taken out and its children spliced into its place in O(1), however
 * many there are:
 *
 *          P                          P
 *          | child                    | child            delete(B)
 *          A <-> B <-> C --P          A <-> b1 <-> b2 <-> C --P
 *                | child
 *                b1 <-> b2 --B
 *
 * Invariants
 *   CAP-TREE    lists are linked both ways; every slot in use is in the tree once, below cap_root
 *               or the anchor of an untyped
 *   CAP-RIGHTS  a derived capability of the same object has no right that its source lacks
 *   CAP-BINDING an end of a binding is in the tree exactly as long as the binding holds
 *   CAP-WAIT    a thread in the queue of an object is in the list of the capability that it came by
 *   CAP-HANDLE  a handle names the capability for which it was made, or nothing: emptying a slot
 *               changes its generation, and a slot whose generations are used up stays empty
 *
 * Locking: qy_class_caps. Cost: O(1) each; revoke O(descendants) in steps of TEARDOWN_BATCH.
 */
#ifndef KERNEL_CAP_H
#define KERNEL_CAP_H

#include <quarry/abi.h>
#include <qy/lock.h>

struct object;
struct cpu;
struct cap_node;
struct thread;
struct teardown;

enum slot_flags {
    SLOT_BOUND = 1,    /* it is part of an object, its holder: a thread's space, an end of a binding */
    SLOT_REVOKING = 2, /* what is derived from it is being deleted */
    SLOT_RETIRED = 4,  /* all its generations have been used */
    SLOT_PINNED = 8,   /* a frame is pinned for a device by this capability (kernel/dma.h) */
};

struct slot {
    uint32_t generation;
    uint8_t type;       /* enum qy_object_type, as its object's; NONE = empty */
    uint8_t rights : 4; /* enum qy_rights */
    uint8_t flags : 4;  /* enum slot_flags */
    struct object *object;
    struct slot *child; /* the first capability derived from this one */
    uintptr_t next;     /* the next sibling; of the last: its parent | 1 */
    struct slot *prev;  /* the previous sibling; of the first: the last */
    union {
        uint64_t address; /* of a frame: where it is mapped */
        uint64_t badge;   /* of an endpoint, a notification or a memory object */
    };
    union {
        uint64_t space; /* of a frame: id of the space in which, if it still is (kernel/space.h); 0 = none */
        struct thread *waiters; /* of an endpoint or a notification: those in its queue by this capability */
    };
    struct object *holder; /* SLOT_BOUND */
};
_Static_assert(sizeof(struct slot) == 64, "a slot fills one cache line");

#define SLOTS_PER_PAGE (QY_PAGE_BYTES / sizeof(struct slot))

/*
 * What one object does to another on somebody's behalf from now on: a timer or an interrupt signals a notification, a
 * notification ends a thread's receive. Its ends are derived from the two capabilities that it was made with. No handle
 * names them, they keep no object alive, and when either goes the binding is over (CAP-BINDING).
 */
struct binding {
    struct slot by, to;
};

extern struct slot cap_root; /* parent of the capabilities that the kernel made at boot */

void caps_acquire(void) QY_ACQUIRES(qy_class_caps);
void caps_release(void) QY_RELEASES(qy_class_caps);

/*
 * A hold of the graph for messages within one CPU (kernel/cap/lock.c): all of it may be read, and what is the CPU's own be
 * changed. No other CPU holds the lock meanwhile; others may be behind their own gates.
 */
void gate_enter(struct cpu *cpu) QY_ACQUIRES(qy_class_caps);
void gate_leave(struct cpu *cpu) QY_RELEASES(qy_class_caps);

/* CPUs that wait for the lock. */
unsigned caps_waiters(void) QY_REQUIRES(qy_class_caps);

/* The first and the next derived capability; null at the end. */
static inline struct slot *slot_next(const struct slot *slot)
{
    return slot->next & 1 ? NULL : (struct slot *)slot->next;
}

static inline bool slot_is_empty(const struct slot *slot)
{
    return slot->type == QY_OBJ_NONE && !(slot->flags & SLOT_RETIRED);
}

static inline qy_handle_t slot_handle(const struct slot *slot, uint32_t index)
{
    return (uint64_t)slot->generation << 32 | index;
}

/* Can threads wait by capabilities of that type? */
static inline bool type_has_queue(unsigned type)
{
    return type == QY_OBJ_ENDPOINT || type == QY_OBJ_NOTIFICATION;
}

/* Capabilities of a memory object with a badge map it, and do nothing else with it. */
static inline bool type_has_badge(unsigned type)
{
    return type_has_queue(type) || type == QY_OBJ_MEMORY;
}

/* Fill an empty slot with a capability for object, below parent. The object's count grows. */
void slot_fill(struct slot *slot, struct object *object, unsigned rights, struct slot *parent)
    QY_REQUIRES(qy_class_caps);

/*
 * Fill an empty slot with a capability derived from source. The caller has checked rights and badge
 * (slot_may_derive).
 */
void slot_derive(struct slot *slot, struct slot *source, unsigned rights, uint64_t badge)
    QY_REQUIRES(qy_class_caps);

/* Move a capability into an empty slot, with all that was derived from it. It is not being revoked. */
void slot_move(struct slot *slot, struct slot *source) QY_REQUIRES(qy_class_caps);

/*
 * May a capability with these rights and badge (0 = the source's) be derived? Errors:
 * INVALID_ARGUMENT (rights that do not exist, a badge on something that has none or has one
 * already), NO_RIGHTS (more than the source has), REVOKED (what is derived from source is being
 * deleted), TOO_MANY.
 */
enum qy_error slot_may_derive(const struct slot *source, unsigned rights,
                              uint64_t badge) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/*
 * Empty a slot: unmap its frame, stop the device that it pins it for, take it out of the tree (what
 * was derived from it moves up to its parent), send away who waits by it, and doom the object if it
 * was the last capability. The teardown has room; the caller
 * runs it afterwards.
 */
void slot_delete(struct slot *slot, struct teardown *teardown) QY_REQUIRES(qy_class_caps);
/* The same, not by who holds it: where its frame was mapped, whoever touches it is told that it was revoked. */
void slot_revoke(struct slot *slot, struct teardown *teardown) QY_REQUIRES(qy_class_caps);

/* The slot that a handle names in a node. Errors: INVALID_HANDLE. */
enum qy_error node_lookup(struct cap_node *node, qy_handle_t handle, struct slot **out) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* As node_lookup, for an object of a type with these rights. Errors: INVALID_HANDLE, WRONG_TYPE,
 * NO_RIGHTS. */
enum qy_error node_lookup_typed(struct cap_node *node, qy_handle_t handle, enum qy_object_type type,
                                unsigned rights, struct slot **out) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* May both ends be derived? Errors: REVOKED. */
enum qy_error binding_may_be_made(const struct slot *by, const struct slot *to) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* The holder, of which it is a part, acts from now on as its type says (kernel/cap/binding.c). */
void binding_make(struct binding *binding, struct object *holder, struct slot *by, struct slot *to)
    QY_REQUIRES(qy_class_caps);

/* Both ends go, if there are any: the holder has seen to the rest. */
void binding_end(struct binding *binding) QY_REQUIRES(qy_class_caps);

/* An end of a binding is being deleted: its holder ends it. */
void binding_over(const struct slot *end) QY_REQUIRES(qy_class_caps);

/* Null, or CAP-BINDING: that is no binding between these two objects. */
const char *binding_check(const struct binding *binding, const struct object *by,
                          const struct object *to);

/* Number of capabilities derived directly, counted up to limit. */
unsigned slot_children(const struct slot *slot, unsigned limit) QY_REQUIRES(qy_class_caps);

/* Null, or the id of the first invariant that the tree below a slot breaks. *slots counts them.
 * O(slots). */
const char *cap_check(struct slot *root, uint64_t *slots) QY_REQUIRES(qy_class_caps);

#endif
