/*
 * Timers: a leftist heap, and what happens at a tick. See kernel/timer.h.
 *
 * Reference for the heap: C. A. Crane, Linear Lists and Priority Queues as Balanced Binary Trees (1972).
 */
#include <arch/arch.h>
#include <kernel/timer.h>

static struct timer *heap QY_GUARDED_BY(qy_class_caps);
static _Atomic uint64_t next_due_ns =
    UINT64_MAX; /* of the heap's root, for a look without the lock */

static uint32_t rank_of(const struct timer *timer)
{
    return timer ? timer->rank : 0;
}

/* The timer's right side has changed: keep the longer spine on the left. */
static void balance(struct timer *timer)
{
    if (rank_of(timer->left) < rank_of(timer->right)) {
        struct timer *left = timer->left;
        timer->left = timer->right;
        timer->right = left;
    }
    timer->rank = rank_of(timer->right) + 1;
}

/* Down the right spines of both, whose lengths are logarithms of their sizes, and up again. */
static struct timer *merge(struct timer *a, struct timer *b)
{
    struct timer *root = NULL, **at = &root, *last = NULL;
    while (a && b) {
        if (b->due_ns < a->due_ns) {
            struct timer *later = a;
            a = b;
            b = later;
        }
        *at = a;
        a->parent = last;
        last = a;
        at = &a->right;
        a = a->right;
    }
    *at = a ? a : b;
    if (*at)
        (*at)->parent = last;
    for (; last; last = last->parent)
        balance(last);
    return root;
}

static void heap_changed(void) QY_REQUIRES(qy_class_caps)
{
    atomic_store_explicit(&next_due_ns, heap ? heap->due_ns : UINT64_MAX, memory_order_relaxed);
}

static void heap_insert(struct timer *timer) QY_REQUIRES(qy_class_caps)
{
    timer->left = timer->right = timer->parent = NULL;
    timer->rank = 1;
    heap = merge(heap, timer);
    heap_changed();
}

/* Above a place that lost rank, ranks shrink only as long as they change: along a right spine. */
static void heap_remove(struct timer *timer) QY_REQUIRES(qy_class_caps)
{
    struct timer *parent = timer->parent, *rest = merge(timer->left, timer->right);
    if (rest)
        rest->parent = parent;
    if (!parent)
        heap = rest;
    else if (parent->left == timer)
        parent->left = rest;
    else
        parent->right = rest;
    for (uint32_t before; parent; parent = parent->parent) {
        before = parent->rank;
        balance(parent);
        if (parent->rank == before)
            break;
    }
    heap_changed();
}

static void note_link(struct timer *timer, struct notification *notification)
{
    timer->notification = notification;
    timer->prev = NULL;
    timer->next = notification->timers;
    if (timer->next)
        timer->next->prev = timer;
    notification->timers = timer;
}

static void note_unlink(struct timer *timer) QY_REQUIRES(qy_class_caps)
{
    binding_end(&timer->binding);
    if (timer->prev)
        timer->prev->next = timer->next;
    else
        timer->notification->timers = timer->next;
    if (timer->next)
        timer->next->prev = timer->prev;
    timer->notification = NULL;
}

void timer_arm(struct slot *by, struct slot *to, uint64_t delay_ns, uint64_t period_ns)
{
    struct timer *timer = (struct timer *)by->object;
    timer_disarm(timer);
    timer->bits = notification_bits(to);
    timer->due_ns = arch_time_ns() + delay_ns;
    timer->period_ns = period_ns;
    timer->missed = 0;
    note_link(timer, (struct notification *)to->object);
    binding_make(&timer->binding, &timer->object, by, to);
    heap_insert(timer);
}

void timer_disarm(struct timer *timer)
{
    if (!timer->notification)
        return;
    heap_remove(timer);
    note_unlink(timer);
}

/* Its time has come. Periods that have passed meanwhile are counted, not made up for. */
static void expire(struct timer *timer, uint64_t now_ns) QY_REQUIRES(qy_class_caps)
{
    struct notification *notification = timer->notification;
    heap_remove(timer);
    if (timer->period_ns) {
        uint64_t missed = (now_ns - timer->due_ns) / timer->period_ns;
        timer->missed += missed;
        timer->due_ns += (missed + 1) * timer->period_ns;
        heap_insert(timer);
    } else {
        note_unlink(timer);
    }
    notification_signal(notification, timer->bits);
}

void timer_tick(void)
{
    uint64_t now = arch_time_ns();
    if (now < atomic_load_explicit(&next_due_ns, memory_order_relaxed))
        return;
    caps_acquire();
    for (unsigned i = 0; i < TIMERS_A_TICK && heap && heap->due_ns <= now; i++)
        expire(heap, now);
    caps_release();
}

/* In preorder, without a stack: down the left, else the right, else up to where the right is left. */
const char *timer_check(void)
{
    const struct timer *timer = heap;
    if (timer && timer->parent)
        return "TIMER-HEAP";
    while (timer) {
        if (timer->rank != rank_of(timer->right) + 1 ||
            rank_of(timer->left) < rank_of(timer->right) ||
            (timer->left && timer->left->parent != timer) ||
            (timer->right && timer->right->parent != timer) ||
            (timer->parent && timer->parent->due_ns > timer->due_ns))
            return "TIMER-HEAP";
        if (!timer->notification ||
            (timer->prev ? timer->prev->next != timer : timer->notification->timers != timer))
            return "TIMER-NOTE";
        const char *broken =
            binding_check(&timer->binding, &timer->object, &timer->notification->object);
        if (broken)
            return broken;
        if (timer->left) {
            timer = timer->left;
            continue;
        }
        if (timer->right) {
            timer = timer->right;
            continue;
        }
        const struct timer *from = timer;
        timer = timer->parent;
        while (timer && (!timer->right || timer->right == from)) {
            from = timer;
            timer = timer->parent;
        }
        timer = timer ? timer->right : NULL;
    }
    return NULL;
}
