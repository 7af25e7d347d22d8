/*
 * Included before the sources that are explored: each atomic operation is a place where the other CPU may go on.
 *
 * Operations are sequentially consistent here; what weaker memory may do is not shown.
 */
#ifndef TESTS_YIELD_H
#define TESTS_YIELD_H

#include <stdatomic.h>

void schedule_point(void);

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_or_explicit
#undef atomic_compare_exchange_weak
#undef atomic_compare_exchange_strong

#if defined(__clang__)
#define YIELD_ATOMIC(name, ...) (schedule_point(), __c11_atomic_##name(__VA_ARGS__, __ATOMIC_SEQ_CST))
#define YIELD_LOAD(p) YIELD_ATOMIC(load, p)
#define YIELD_STORE(p, v) YIELD_ATOMIC(store, p, v)
#define YIELD_EXCHANGE(p, v) YIELD_ATOMIC(exchange, p, v)
#define YIELD_COMPARE(p, e, v) YIELD_ATOMIC(compare_exchange_strong, p, e, v, __ATOMIC_SEQ_CST)
#else
#define YIELD_ATOMIC(name, ...) (schedule_point(), __atomic_##name(__VA_ARGS__, __ATOMIC_SEQ_CST))
#define YIELD_LOAD(p) YIELD_ATOMIC(load_n, p)
#define YIELD_STORE(p, v) YIELD_ATOMIC(store_n, p, v)
#define YIELD_EXCHANGE(p, v) YIELD_ATOMIC(exchange_n, p, v)
#define YIELD_COMPARE(p, e, v) YIELD_ATOMIC(compare_exchange_n, p, e, v, 0, __ATOMIC_SEQ_CST)
#endif

#define atomic_load(p) YIELD_LOAD(p)
#define atomic_load_explicit(p, order) YIELD_LOAD(p)
#define atomic_store(p, v) YIELD_STORE(p, v)
#define atomic_store_explicit(p, v, order) YIELD_STORE(p, v)
#define atomic_exchange_explicit(p, v, order) YIELD_EXCHANGE(p, v)
#define atomic_fetch_add_explicit(p, v, order) YIELD_ATOMIC(fetch_add, p, v)
#define atomic_fetch_or_explicit(p, v, order) YIELD_ATOMIC(fetch_or, p, v)
#define atomic_compare_exchange_weak(p, e, v) YIELD_COMPARE(p, e, v)
#define atomic_compare_exchange_strong(p, e, v) YIELD_COMPARE(p, e, v)

#endif
