/*
 * A lock for a few instructions: whoever finds it taken lets another thread run. For anything longer, or that waits,
 * use a mutex (user/thread.h).
 *
 * Never recursive. The holder makes no call that waits.
 */
#ifndef USER_LOCK_H
#define USER_LOCK_H

#include <stdatomic.h>
#include <user/call.h>

struct spin_lock {
    atomic_uint taken;
};

static inline void spin_acquire(struct spin_lock *lock)
{
    while (atomic_exchange_explicit(&lock->taken, 1, memory_order_acquire))
        yield();
}

static inline void spin_release(struct spin_lock *lock)
{
    atomic_store_explicit(&lock->taken, 0, memory_order_release);
}

#endif
