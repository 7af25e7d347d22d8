/*
 * Debug kinds of object caches: each finds a bug of whoever uses the memory, and says whose.
 *
 *     redzones     pattern before and after the object    overflow, underflow: when it is freed, and by
 *                                                         the validator
 *     poison       pattern in free objects                use after free (writes): when it leaves the
 *                                                         quarantine, is handed out again, and by the
 *                                                         validator while in quarantine
 *     quarantine   freed objects wait in a FIFO           double free and use after free are seen for as
 *                                                         long as an object waits
 *     sites        qy/site.h                              every report names the places of allocation and
 *                                                         of free
 *
 * A struct qy_debug is the hooks (qy/hooks.h) of any number of heaps. What it cannot see: reads; writes
 * that jump over a redzone; what happens to an object after it has left the quarantine and was handed out
 * again.
 *
 * Invariants
 *   REDZONE      the redzones of a live object hold their pattern
 *   POISON       an object in quarantine, and a free one of a poisoned cache, holds the pattern
 *   QUARANTINE   the FIFO holds HELD objects, each once, of at most `limit_bytes` together
 * The quarantine never makes an allocation fail: the core asks for it back (qy_heap_hooks.drain) before
 * it gives up. Locking: the FIFO's own, inside of which nothing is taken. Cost: O(bytes of the object).
 */
#ifndef QY_DEBUG_H
#define QY_DEBUG_H

#include <qy/site.h>

#define QY_REDZONE_PATTERN 0xa9u
#define QY_POISON_PATTERN 0xd5u

struct qy_debug_report {
    const char *invariant; /* REDZONE, POISON, DOUBLE-FREE */
    const char *what;      /* a sentence about it */
    int64_t offset;        /* of the first wrong byte from the object's start */
    uint8_t found;         /* that byte; 0 for DOUBLE-FREE */
    struct qy_allocation object;
};

#define QY_QUARANTINE_OBJECTS 256u

struct qy_quarantine {
    struct qy_lock lock;
    struct {
        struct qy_cache *cache;
        void *object;
    } ring[QY_QUARANTINE_OBJECTS]; /* `count` of them from `first` on, the oldest first */
    uint32_t first, count;
    uint64_t bytes, limit_bytes;
};

struct qy_debug {
    struct qy_heap_hooks hooks; /* first: heap->hooks leads here */
    struct qy_quarantine *quarantine;
    /* Tell somebody, and do not return; null: qy_port_broken is told the invariant and the object. */
    void (*report)(const struct qy_debug_report *report);
};

/*
 * Hooks for heaps whose caches get these flags of enum qy_cache_flag. quarantine: the caller's, zero at
 * first, may be null without QY_CACHE_QUARANTINED; it holds at most limit_bytes.
 */
void qy_debug_init(struct qy_debug *debug, uint32_t flags, struct qy_quarantine *quarantine,
                   uint64_t limit_bytes);

/*
 * A free of `object` was refused with NOT_ALLOCATED: report it as DOUBLE-FREE if it waits in quarantine.
 * Returns if it does not.
 */
void qy_debug_refused(const struct qy_debug *debug, struct qy_cache *cache, void *object);

/*
 * Look at the redzones of everything that lives in the heap, and at what waits in quarantine. False: *out
 * is the first that is broken; nothing is reported. Takes the heap's lock.
 */
bool qy_debug_check(const struct qy_debug *debug, struct qy_heap *heap,
                    struct qy_debug_report *out) QY_MUST_USE;

/* Objects and bytes in quarantine, now. */
uint32_t qy_quarantine_count(struct qy_quarantine *quarantine);

#endif
