/*
 * Redzones and poison: filled and looked at where objects change hands. See qy/debug.h.
 *
 *     fresh   new memory: poison, an empty trailer
 *     taken   poison must be whole; redzones are written
 *     given   redzones must be whole; poison; into quarantine
 *     ...     poison must be whole when it leaves that
 *
 * Trailers are the heap's (site.c): until `taken` has looked at the poison, one still names the last owner.
 */
#include "debug_impl.h"

#include <lib/string.h>

static const struct qy_debug *debug_of(const struct qy_heap *heap)
{
    return (const struct qy_debug *)heap->hooks;
}

_Noreturn static void tell(const struct qy_heap *heap, const struct qy_debug_report *report)
{
    if (debug_of(heap)->report)
        debug_of(heap)->report(report);
    qy_port_broken(report->invariant, report->what, (uint64_t)(uintptr_t)report->object.object);
}

/* The first byte of [at, at + bytes) that is not the pattern; bytes if all are. */
static size_t first_other(const unsigned char *at, size_t bytes, unsigned char pattern)
{
    size_t i = 0;
    while (i < bytes && at[i] == pattern)
        i++;
    return i;
}

/* False, and the report filled, if a part of an object's place is not the pattern. */
static bool is_whole(struct qy_cache *cache, void *object, int64_t offset, size_t bytes,
                     unsigned char pattern, const char *invariant, const char *what,
                     struct qy_debug_report *out)
{
    const unsigned char *at = (const unsigned char *)object + offset;
    size_t wrong = first_other(at, bytes, pattern);
    if (wrong == bytes)
        return true;
    *out = (struct qy_debug_report){.invariant = invariant,
                                    .what = what,
                                    .offset = offset + (int64_t)wrong,
                                    .found = at[wrong]};
    qy_allocation_read(cache, object, &out->object);
    return false;
}

/* Of a redzone that begins `end` bytes behind the object's start. */
static size_t back_bytes(const struct qy_cache *cache, size_t end)
{
    return cache->type->bytes - end + qy_object_back_bytes(cache);
}

static bool redzones_are_whole(struct qy_cache *cache, void *object, struct qy_debug_report *out)
{
    size_t front = qy_object_front_bytes(cache), end = qy_object_asked(cache, object);
    if (!(cache->flags & QY_CACHE_REDZONED))
        return true;
    return is_whole(cache, object, -(int64_t)front, front, QY_REDZONE_PATTERN, "REDZONE",
                    "an object was written to before its start", out) &&
           is_whole(cache, object, (int64_t)end, back_bytes(cache, end), QY_REDZONE_PATTERN,
                    "REDZONE", "an object was written to behind its end", out);
}

static bool poison_is_whole(struct qy_cache *cache, void *object, struct qy_debug_report *out)
{
    return !(cache->flags & QY_CACHE_POISONED) ||
           is_whole(cache, object, 0, cache->type->bytes, QY_POISON_PATTERN, "POISON",
                    "an object was written to after it was freed", out);
}

void qy_debug_poisoned(struct qy_cache *cache, void *object)
{
    struct qy_debug_report report;
    if (!poison_is_whole(cache, object, &report))
        tell(cache->heap, &report);
}

static void fresh(struct qy_cache *cache, void *object)
{
    if (cache->flags & QY_CACHE_POISONED)
        memset(object, QY_POISON_PATTERN, cache->type->bytes);
    if (cache->flags & QY_CACHE_TRACKED)
        memset(qy_object_trailer(cache, object), 0, QY_TRAILER_BYTES);
}

static void taken(struct qy_cache *cache, void *object, size_t bytes)
{
    unsigned char *at = object;
    if (cache->flags & QY_CACHE_POISONED)
        qy_debug_poisoned(cache, object);
    if (cache->flags & QY_CACHE_REDZONED) {
        bool is_exact = (cache->flags & QY_CACHE_EXACT) == QY_CACHE_EXACT;
        size_t end = is_exact ? bytes : cache->type->bytes;
        memset(at - qy_object_front_bytes(cache), QY_REDZONE_PATTERN, qy_object_front_bytes(cache));
        memset(at + end, QY_REDZONE_PATTERN, back_bytes(cache, end));
    }
}

static bool given(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object) QY_UNCHECKED
{
    struct qy_debug_report report;
    if (cache->flags & QY_CACHE_REDZONED && !redzones_are_whole(cache, object, &report))
        tell(cache->heap, &report);
    if (cache->flags & QY_CACHE_POISONED)
        memset(object, QY_POISON_PATTERN, cache->type->bytes);
    return (cache->flags & QY_CACHE_QUARANTINED) &&
           qy_quarantine_keep(debug_of(cache->heap)->quarantine, cpu, cache, object);
}

static void drain(struct qy_cpu_objects *cpu, struct qy_heap *heap) QY_UNCHECKED
{
    if (debug_of(heap)->quarantine)
        qy_quarantine_drain(debug_of(heap)->quarantine, cpu, heap);
}

void qy_debug_init(struct qy_debug *debug, uint32_t flags, struct qy_quarantine *quarantine,
                   uint64_t limit_bytes)
{
    *debug = (struct qy_debug){
        .hooks = {.flags = flags, .taken = taken, .given = given, .fresh = fresh, .drain = drain},
        .quarantine = quarantine};
    if (quarantine)
        quarantine->limit_bytes = limit_bytes;
}

void qy_debug_refused(const struct qy_debug *debug, struct qy_cache *cache, void *object)
{
    if (!debug->quarantine || !qy_quarantine_holds(debug->quarantine, object))
        return;
    struct qy_debug_report report = {.invariant = "DOUBLE-FREE",
                                     .what = "an object was freed twice"};
    qy_allocation_read(cache, object, &report.object);
    tell(cache->heap, &report);
}

struct checking {
    struct qy_debug_report *out;
    bool whole;
};

static void check_live(void *context, struct qy_cache *cache, void *object)
{
    struct checking *checking = context;
    if (checking->whole)
        checking->whole = redzones_are_whole(cache, object, checking->out);
}

static bool check_held(void *context, struct qy_cache *cache, void *object)
{
    struct checking *checking = context;
    checking->whole = poison_is_whole(cache, object, checking->out);
    return checking->whole;
}

bool qy_debug_check(const struct qy_debug *debug, struct qy_heap *heap, struct qy_debug_report *out)
{
    struct checking checking = {out, true};
    qy_heap_each(heap, check_live, &checking);
    return checking.whole && (!debug->quarantine ||
                              qy_quarantine_each(debug->quarantine, heap, check_held, &checking));
}
