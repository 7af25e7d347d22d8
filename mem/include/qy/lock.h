/*
 * Spin locks, and the words with which clang's thread-safety analysis checks them.
 *
 * clang 14 cannot name a sibling field as the guard of another, so every class of locks has one phantom
 * capability: never defined, it stands for "a lock of this class is held". Lock functions of a module acquire
 * both the lock and its class; data is declared guarded by the class.
 *
 * LOCK ORDER, outermost first. A CPU that holds one takes only locks further down:
 *
 *     qy_class_caps      the kernel's capability and object graph, or a gate to it (kernel/cap/lock.c)
 *     qy_class_sched     run queues and thread states (kernel/thread)
 *     qy_class_space     page tables of one address space (kernel/space)
 *     qy_class_slab      one slab cache (mem/slab)
 *     qy_class_guard     queues of the guarded allocations (mem/slab)
 *     qy_class_arena     one arena; a child's before its parent's (mem/phys)
 *     qy_class_section   first initialisation of a section of the frame database (mem/phys)
 *     qy_class_console   the console's line (kernel/console)
 *
 * Locks are taken with interrupts off. Nobody waits for another CPU while holding one.
 */
#ifndef QY_LOCK_H
#define QY_LOCK_H

#include <qy/port.h>
#include <stdatomic.h>

#if defined(__clang__)
#define QY_TS(x) __attribute__((x))
#else
#define QY_TS(x)
#endif
#define QY_ACQUIRES(...) QY_TS(acquire_capability(__VA_ARGS__))
#define QY_RELEASES(...) QY_TS(release_capability(__VA_ARGS__))
#define QY_REQUIRES(...) QY_TS(requires_capability(__VA_ARGS__))
#define QY_EXCLUDES(...) QY_TS(locks_excluded(__VA_ARGS__))
#define QY_GUARDED_BY(x) QY_TS(guarded_by(x))
#define QY_ACQUIRED_AFTER(...) QY_TS(acquired_after(__VA_ARGS__))
#define QY_UNCHECKED QY_TS(no_thread_safety_analysis)

/* A fair (ticket) lock. All zero is unlocked. */
struct QY_TS(capability("lock")) qy_lock {
    atomic_uint next;
    atomic_uint serving;
};

/* The phantoms: declared, never defined, never read. */
extern struct qy_lock qy_class_caps;
extern struct qy_lock qy_class_sched QY_ACQUIRED_AFTER(qy_class_caps);
extern struct qy_lock qy_class_space QY_ACQUIRED_AFTER(qy_class_sched);
extern struct qy_lock qy_class_slab QY_ACQUIRED_AFTER(qy_class_space);
extern struct qy_lock qy_class_guard QY_ACQUIRED_AFTER(qy_class_slab);
extern struct qy_lock qy_class_arena QY_ACQUIRED_AFTER(qy_class_guard);
extern struct qy_lock qy_class_section QY_ACQUIRED_AFTER(qy_class_arena);
extern struct qy_lock qy_class_console QY_ACQUIRED_AFTER(qy_class_section);
extern struct qy_lock qy_irq_off; /* phantom: interrupts are disabled on this CPU */

/* Said where the caller knows that interrupts are off, or that nothing else plays this CPU meanwhile. */
static inline void qy_irq_is_off(void) QY_TS(assert_capability(qy_irq_off))
{
}

/* Out of line: whoever finds the lock free does not pay for the loop. */
static QY_RARE __attribute__((unused)) void qy_lock_wait(struct qy_lock *lock, unsigned ticket)
{
    while (atomic_load_explicit(&lock->serving, memory_order_acquire) != ticket)
        qy_port_relax();
}

/* Returns whether somebody else had it. */
static inline bool qy_lock_acquire_waits(struct qy_lock *lock) QY_ACQUIRES(*lock) QY_UNCHECKED
{
    unsigned ticket = atomic_fetch_add_explicit(&lock->next, 1, memory_order_relaxed);
    if (atomic_load_explicit(&lock->serving, memory_order_acquire) == ticket)
        return false;
    qy_lock_wait(lock, ticket);
    return true;
}

static inline void qy_lock_acquire(struct qy_lock *lock) QY_ACQUIRES(*lock) QY_UNCHECKED
{
    (void)qy_lock_acquire_waits(lock);
}

static inline void qy_lock_release(struct qy_lock *lock) QY_RELEASES(*lock) QY_UNCHECKED
{
    unsigned serving = atomic_load_explicit(&lock->serving, memory_order_relaxed);
    atomic_store_explicit(&lock->serving, serving + 1, memory_order_release);
}

/* How many wait for a lock that the caller holds. */
static inline unsigned qy_lock_waiters(struct qy_lock *lock)
{
    return atomic_load(&lock->next) - atomic_load_explicit(&lock->serving, memory_order_relaxed) -
           1;
}

#endif
