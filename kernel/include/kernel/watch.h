/*
 * Marks of free memory in an untyped, and the notification that is signalled when it crosses them.
 *
 *     whoever allocates or frees, with an arena's lock --> list of those that were crossed
 *     the end of that call or fault, with qy_class_caps --> their notifications
 *
 * Nothing else happens: the kernel takes no page away and ends nobody. Who is told looks at untyped_info, and takes
 * pages with space_evict, gives some of its own back, or grants more.
 *
 * Invariant WATCH: an arena has the marks of its untyped exactly if a notification is bound to that.
 * Locking: qy_class_caps; the list is pushed to with an arena's lock, and taken as a whole. Cost: O(1) a crossing.
 */
#ifndef KERNEL_WATCH_H
#define KERNEL_WATCH_H

#include <kernel/cap.h>
#include <qy/arena.h>

struct notification;
struct untyped;

struct watch {
    struct qy_watch marks;
    struct untyped *untyped;
    struct notification *notification; /* null: nobody is told */
    uint64_t bits;
    struct binding binding;
    struct watch *next, *prev;  /* of those with the same notification */
    struct watch *next_crossed; /* in the list */
    atomic_uint is_listed; /* a word: RISC-V exchanges no bytes */
};

/*
 * The notification in `to` is signalled from now on when the untyped in `by` has fewer than low free pages, and when it
 * has high again. Marks that there were before are over. The binding may be made.
 */
void watch_begin(struct slot *by, struct slot *to, uint64_t low, uint64_t high) QY_REQUIRES(qy_class_caps);
void watch_end(struct untyped *untyped) QY_REQUIRES(qy_class_caps);

extern struct watch *_Atomic watch_crossed;

/* Signal those that were crossed. */
void watch_tell(void) QY_REQUIRES(qy_class_caps);

static inline bool watch_has_news(void)
{
    return atomic_load_explicit(&watch_crossed, memory_order_relaxed) != NULL;
}

/* Null, or the invariant that does not hold. */
const char *watch_check(struct untyped *untyped) QY_REQUIRES(qy_class_caps);

#endif
