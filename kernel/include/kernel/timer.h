/*
 * Timers: they signal a notification when their time has come.
 *
 * The armed ones form a leftist heap by due time, linked through themselves, so arming, disarming and expiry
 * cost O(log n) of those that are armed and no memory. Each CPU looks at its periodic tick, which is the resolution
 * (10 ms); a tick signals at most TIMERS_A_TICK, the rest is due at the next.
 *
 * Invariants
 *   TIMER-HEAP  no timer is due before its parent; the left side of each is at least as high as the right one
 *   TIMER-NOTE  an armed timer is in its notification's list, and only there, and bound to it
 * Locking: qy_class_caps.
 */
#ifndef KERNEL_TIMER_H
#define KERNEL_TIMER_H

#include <kernel/ipc.h>

#define TIMERS_A_TICK 16u
#define TIMER_LONGEST_NS (1ull << 62) /* 146 years */

struct timer {
    struct object object;
    struct notification *notification; /* null = not armed */
    struct timer *next, *prev;         /* of that notification */
    uint64_t bits;                     /* to signal */
    uint64_t due_ns;                   /* since boot */
    uint64_t period_ns;                /* 0 = once */
    uint64_t missed;                   /* periods that passed without a signal of their own */
    struct binding binding;            /* of the timer to the notification, while armed */
    struct timer *left, *right, *parent;
    uint32_t rank; /* length of the right spine */
};

/*
 * Arm the timer that `by` names, anew if it was, to signal the notification of `to` with its badge: in delay_ns from
 * now, then each period_ns (0 = once). Both at most TIMER_LONGEST_NS. It is disarmed when either capability goes.
 */
void timer_arm(struct slot *by, struct slot *to, uint64_t delay_ns, uint64_t period_ns)
    QY_REQUIRES(qy_class_caps);

void timer_disarm(struct timer *timer) QY_REQUIRES(qy_class_caps);

/* Signal what is due. Called at a CPU's tick, without locks. */
void timer_tick(void) QY_EXCLUDES(qy_class_caps);

/* Null, or the id of the first invariant that does not hold for any armed timer. */
const char *timer_check(void) QY_REQUIRES(qy_class_caps);

#endif
