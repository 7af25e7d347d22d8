/*
 * Taking apart what no capability names any more, and revoke: work in steps, that waits for other
 * CPUs without a lock.
 *
 *     with the lock of capabilities                     without it
 *     delete slots; unlink objects; clear entries  -->  shootdowns; CPUs leave threads, spaces
 *     free what nobody can reach any more          <--
 *     (until nothing is left)
 *
 * An object whose entry in a page table was just cleared is pinned until the shootdown is done, so
 * its memory cannot be used again while any CPU still translates to it (REVOKED, EXACT). A pinned
 * object waits in the list of whoever doomed it.
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
#define TEARDOWN_FLUSHES 16u

struct space;

/* Translations that were removed or changed: other CPUs may use them until they have been told. */
struct flush {
    struct space *space;   /* pinned */
    struct object *memory; /* pinned; a frame or a table */
    vaddr_t address;
    uint64_t entries; /* of that level from address on */
    unsigned level;
    bool all;      /* an entry that pointed at a table: the whole space */
    bool code;     /* pages are about to become executable */
    bool unmapped; /* the frame's mapping count goes down afterwards */
};

struct teardown {
    struct object *doomed;  /* to take apart */
    struct object *waiting; /* until another CPU lets go */
    struct slot *root;      /* revoke: what is derived from it goes */
    struct object *memory;  /* revoke: what was made from it goes: an untyped or device memory */
    bool overtaken;         /* revoke: root or memory has itself been deleted meanwhile */
    unsigned flush_count;
    struct flush flushes[TEARDOWN_FLUSHES];
    struct teardown *next; /* of all revokes under way */
};

/* What is left of an object after a step of taking it apart. */
enum dismantle { DISMANTLE_DONE, DISMANTLE_MORE, DISMANTLE_WAIT };

static inline bool teardown_has_room(const struct teardown *teardown)
{
    return teardown->flush_count < TEARDOWN_FLUSHES;
}

/* Note what has to be forgotten everywhere; it pins. The teardown has room. */
void teardown_flush(struct teardown *teardown, struct flush flush) QY_REQUIRES(qy_class_caps);

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
