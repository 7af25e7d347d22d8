/*
 * Events of the memory core (quarry/trace.h), for whoever embeds it and wants them.
 *
 * The core tests one word at each event, and calls one function if the event's bit is set. Both are there already,
 * weakly: nothing is recorded. Whoever records defines them (mem/obs/trace.c): qy_trace_mask, which may change at any
 * time, and qy_trace_write, which is called where the core may hold locks of class qy_class_arena or a table's, and
 * takes none.
 *
 * Order: an event is written while what it is about cannot be touched by another CPU: a frame is allocated when it has
 * left where all can take it, and freed before it is there again; an entry changes under its table's lock. So a number
 * drawn inside qy_trace_write from one counter puts all that happens to a frame or an entry in its true order.
 */
#ifndef QY_TRACE_H
#define QY_TRACE_H

#include <qy/config.h>
#include <quarry/trace.h>
#include <stdatomic.h>
#include <stdbool.h>

#if defined(__SANITIZE_THREAD__)
#define QY_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QY_THREAD_SANITIZER
#endif
#endif

#if QY_CONFIG_TRACE
extern _Atomic uint64_t qy_trace_mask; /* bit = enum qy_trace_event */

/* Record an event of that untyped with these fields. */
void qy_trace_write(enum qy_trace_event event, uint64_t untyped,
                    const uint64_t fields[QY_TRACE_FIELDS]);

/* An entry of a page table has changed, or is about to; its table's lock is held, or nobody else has the table. */
void qy_trace_entry(const _Atomic uint64_t *slot, uint64_t before, uint64_t entry);

/*
 * Is one of these recorded? An aligned word is read at once, whether or not the compiler is told so; told so it takes
 * three instructions for what are two.
 */
static inline bool qy_traces(uint64_t events)
{
#ifdef QY_THREAD_SANITIZER
    uint64_t mask = atomic_load_explicit(&qy_trace_mask, memory_order_relaxed);
#else
    uint64_t mask = *(const uint64_t *)(uintptr_t)&qy_trace_mask;
#endif
    return __builtin_expect((mask & events) != 0, 0);
}
#else
static inline void qy_trace_write(enum qy_trace_event event, uint64_t untyped, const uint64_t *fields)
{
    (void)event, (void)untyped, (void)fields;
}

static inline void qy_trace_entry(const _Atomic uint64_t *slot, uint64_t before, uint64_t entry)
{
    (void)slot, (void)before, (void)entry;
}

static inline bool qy_traces(uint64_t events)
{
    (void)events;
    return false;
}
#endif

/* A macro, so that what it is given is computed only when it is recorded: QY_TRACE(NAME, untyped, fields...). */
#define QY_TRACE(NAME, untyped, ...)                                                               \
    do {                                                                                           \
        if (qy_traces(1ull << QY_TRACE_##NAME))                                                    \
            qy_trace_write(QY_TRACE_##NAME, (untyped), (const uint64_t[QY_TRACE_FIELDS]){__VA_ARGS__}); \
    } while (0)

/* All that a change of an entry can be. */
#define QY_TRACE_ENTRIES_CHANGE                                                                    \
    (1ull << QY_TRACE_PAGE_MAPPED | 1ull << QY_TRACE_PAGE_UNMAPPED | 1ull << QY_TRACE_PAGE_PROTECTED | \
     1ull << QY_TRACE_PAGE_MIGRATED | 1ull << QY_TRACE_TABLE_LINKED | 1ull << QY_TRACE_TABLE_UNLINKED)

#endif
