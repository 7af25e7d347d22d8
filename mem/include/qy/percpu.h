/*
 * What a CPU has to itself until another takes it away: a one-sided fence.
 *
 *     owner                                    somebody who takes a thing away
 *     busy = true; (compiler's fence)          decides under a lock that it is the one who does
 *     thing = slot                             slot = none
 *     ... uses it ...                          qy_port_fence_cpu(owner)
 *     busy = false (release)                   waits until busy is false; the thing is its own now
 *
 * The fence makes one of two things true: the owner's store of busy is seen, or the owner sees the
 * empty slot. The owner never pays for an atomic read-modify-write; interrupts are off. Who waits
 * holds no lock. docs/adr/0013-frame-caches.md.
 */
#ifndef QY_PERCPU_H
#define QY_PERCPU_H

#include <qy/lock.h>

struct qy_percpu {
    atomic_bool busy; /* in a function that uses one of its things */
    uint32_t cpu;     /* its number, for qy_port_fence_cpu */
};

static inline void qy_percpu_enter(struct qy_percpu *own)
{
    atomic_store_explicit(&own->busy, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void qy_percpu_leave(struct qy_percpu *own)
{
    atomic_store_explicit(&own->busy, false, memory_order_release);
}

/* By somebody else, after the slot was emptied: what was in it is in nobody's use afterwards. */
static inline void qy_percpu_wait(struct qy_percpu *own)
{
    qy_port_fence_cpu(own->cpu);
    while (atomic_load_explicit(&own->busy, memory_order_acquire))
        qy_port_relax();
}

/*
 * Only this CPU writes the number; others may read it. gcc 12 adds to an atomic in three instructions, however relaxed
 * it is, and to a plain word in one; either way an aligned word is stored at once.
 */
static inline void qy_percpu_count(_Atomic uint64_t *number, uint64_t by)
{
#if defined(__clang__) || defined(__SANITIZE_THREAD__)
    atomic_store_explicit(number, atomic_load_explicit(number, memory_order_relaxed) + by,
                          memory_order_relaxed);
#else
    *(uint64_t *)(uintptr_t)number += by;
#endif
}

#endif
