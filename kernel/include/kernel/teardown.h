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
 * Before memory that a device has pinned is free, the device is stopped (kernel/dma.h). If it does not stop, the memory
 * is stuck: it stays allocated for good, and so does each untyped of which nothing else is left.
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
#include <stddef.h>

#define TEARDOWN_BATCH 64u
#define TEARDOWN_UNMAPS 16u

struct space;

/* What a capability that has gone leaves behind: a mapping, a device to be stopped, or both. The objects are pinned. */
struct unmap {
    struct space *space; /* null: no mapping */
    struct dma *dma;     /* null: no device */
    struct frame *frame; /* null: neither a frame */
    uint64_t address;
    bool revoked; /* whoever touches it is told that it was taken away */
};

struct teardown {
    struct object *doomed;  /* to take apart */
    struct object *waiting; /* until another CPU lets go */
    struct thread *lost;    /* they wait by a capability that has gone */
    struct slot *root;      /* revoke: what is derived from it goes */
    struct object *memory;  /* revoke: what was made from it goes: an untyped or device memory */
    bool overtaken;         /* revoke: root or memory has itself been deleted meanwhile */
    bool stuck;             /* revoke: a device keeps some of the memory and does not stop */
    struct teardown *next;  /* of all revokes under way */
    unsigned unmap_count;
    struct unmap unmaps[TEARDOWN_UNMAPS];
};

/* One with nothing to do. What it has room for stays as it is. */
static inline void teardown_init(struct teardown *teardown)
{
    __builtin_memset(teardown, 0, offsetof(struct teardown, unmaps));
}

/*
 * What is left of an object after a step of taking it apart. STUCK: a device has it that does not stop; it stays for
 * good.
 */
enum dismantle { DISMANTLE_DONE, DISMANTLE_MORE, DISMANTLE_WAIT, DISMANTLE_STUCK };

static inline bool teardown_has_room(const struct teardown *teardown)
{
    return teardown->unmap_count < TEARDOWN_UNMAPS;
}

/*
 * Note a mapping that has to go, if it still is there, and a device that has to stop; it pins. The teardown has room.
 */
void teardown_unmap(struct teardown *teardown, struct unmap unmap) QY_REQUIRES(qy_class_caps);

/* These threads wait by a capability that goes, to be told one by one. Until they are, none else of its kind goes. */
void teardown_lose(struct teardown *teardown, struct thread *waiters) QY_REQUIRES(qy_class_caps);

/* The object has no capability any more. */
void teardown_doom(struct teardown *teardown, struct object *object) QY_REQUIRES(qy_class_caps);

/* Do all of it. Releases and retakes the lock: slots and objects that the caller held may be gone
 * afterwards. */
void teardown_run(struct teardown *teardown) QY_REQUIRES(qy_class_caps);

/*
 * Delete everything derived from slot and, if it names an untyped or device memory, everything made from it.
 * Releases and retakes the lock. Errors: REVOKED (that is under way already, or the capability
 * itself was deleted meanwhile), BUSY (all is gone but memory that is stuck).
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
