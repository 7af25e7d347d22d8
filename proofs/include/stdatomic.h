/*
 * Atomic words for Frama-C, which does not know them: plain ones. What is proved of them holds for a caller that
 * nobody disturbs, which the tables' lock and the arena's lock see to; the order of accesses is other checks' matter
 * (tests/spin, tests/tlb, ThreadSanitizer).
 */
#ifndef PROOFS_STDATOMIC_H
#define PROOFS_STDATOMIC_H

#include <stdint.h>

#define _Atomic
typedef unsigned atomic_uint;
#define memory_order_relaxed 0
#define memory_order_acquire 0
#define memory_order_release 0
#define memory_order_acq_rel 0
#define atomic_thread_fence(order) ((void)0)
#define atomic_load_explicit(p, order) (*(p))
#define atomic_load(p) (*(p))
#define atomic_store_explicit(p, v, order) ((void)(*(p) = (v)))
#define atomic_store(p, v) ((void)(*(p) = (v)))
#define atomic_exchange_explicit(p, v, order) proof_exchange((p), (v))
#define atomic_compare_exchange_weak_explicit(p, e, v, yes, no) proof_compare_exchange((p), (e), (v), 1)
#define atomic_compare_exchange_strong_explicit(p, e, v, yes, no) proof_compare_exchange((p), (e), (v), 0)

static inline uint64_t proof_exchange(uint64_t *p, uint64_t v)
{
    uint64_t old = *p;
    *p = v;
    return old;
}

int proof_compare_exchange(uint64_t *p, uint64_t *expected, uint64_t v, int weak);

#endif
