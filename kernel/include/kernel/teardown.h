/*
 * Taking apart what no capability names any more, and revoke: work in steps, that waits for other
 * CPUs without a lock.
 *
 *     with the lock of capabilities                     without it
 *     delete slots; unlink objects                 -->  unmap; take objects out of page tables; take budgets
 *     free what nobody can reach any more          <--  back; CPUs leave threads, spaces
 *     (until nothing is left)
 *
 * A frame whose capability mapped it is pinned until it is unmapped, so its memory cannot be used
 * again while any CPU still translates to it (REVOKED, EXACT). A pinned object waits in the list of
 * whoever doomed it, and so does one that page tables still hold: a waiting object belongs to that
 * teardown alone, so its trees are changed without the lock.
 *
 * Who waits for whom: shootdowns are answered by every waiting CPU; a CPU that waits here lets go
 * of its own thread and space once they are doomed (sched_let_go); pins are held only across
 * shootdowns; an untyped waits for the objects in it, never the reverse. So there is no circle.
 *
 * Nothing is allocated and nothing recurses: doomed objects are linked through themselves.
 * Invariants: REVOKED, EXACT, CONSERVE (in transit = doomed and waiting objects). Locking:
 * qy_class_caps, released and taken again inside teardown_run. Cost: O(1) for each slot, mapping
 * and object, TEARDOWN_BATCH of them between two releases.
 */
#ifndef KERNEL_TEARDOWN_H
#define KERNEL_TEARDOWN_H

#include <kernel/object.h>

#define TEARDOWN_BATCH 64u
#define TEARDOWN_UNMAPS 16u

struct space;

/* A mapping whose capability has gone. */
struct unmap {
    struct space *space; /* pinned */
    struct frame *frame; /* pinned */
    uint64_t address;
};

struct teardown {
    struct object *doomed;  /* to take apart */
    struct object *waiting; /* until another CPU lets go */
    struct slot *root;      /* revoke: what is derived from it goes */
    struct object *memory;  /* revoke: what was made from it goes: an untyped or device memory */
    bool overtaken;         /* revoke: root or memory has itself been deleted meanwhile */
    unsigned unmap_count;
    struct unmap unmaps[TEARDOWN_UNMAPS];
    struct teardown *next; /* of all revokes under way */
};

/* What is left of an object after a step of taking it apart. */
enum dismantle { DISMANTLE_DONE, DISMANTLE_MORE, DISMANTLE_WAIT };

static inline bool teardown_has_room(const struct teardown *teardown)
{
    return teardown->unmap_count < TEARDOWN_UNMAPS;
}

/* Note a mapping that has to go, if it still is there; it pins. The teardown has room. */
void teardown_unmap(struct teardown *teardown, struct space *space, struct frame *frame,
                    uint64_t address) QY_REQUIRES(qy_class_caps);

/* The object has no capability any more. */
void teardown_doom(struct teardown *teardown, struct object *object) QY_REQUIRES(qy_class_caps);

/* Do all of it. Releases and retakes the lock: slots and objects that the caller held may be gone
 * afterwards. */
void teardown_run(struct teardown *teardown) QY_REQUIRES(qy_class_caps);

/*
 * Delete everything derived from slot and, if it names an untyped or device memory, everything made from it.
 * Releases and retakes the lock. Errors: REVOKED (that is under way already, or the capability
 * itself was deleted meanwhile).
 */
enum qy_error teardown_revoke(struct slot *slot) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/* A slot or memory that a revoke has in hand is going. */
void teardown_forget_slot(struct slot *slot) QY_REQUIRES(qy_class_caps);
void teardown_forget_memory(struct object *memory) QY_REQUIRES(qy_class_caps);

/* One step each, by type. */
enum dismantle untyped_dismantle(struct untyped *untyped, struct teardown *teardown)
    QY_REQUIRES(qy_class_caps);
enum dismantle node_dismantle(struct cap_node *node, struct teardown *teardown)
    QY_REQUIRES(qy_class_caps);

#endif
