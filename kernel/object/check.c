/*
 * The validator of an untyped: what its objects hold against what its arena says.
 */
#include <kernel/guard.h>
#include <kernel/object.h>

const char *untyped_check(struct untyped *untyped)
{
    const char *broken = qy_arena_check(untyped->arena);
    uint64_t live = guard_live(&untyped->heap);
    if (broken)
        return broken;
    for (unsigned type = 1; type < OBJECT_SMALL_TYPES; type++) {
        struct qy_cache *cache = untyped_cache(untyped, type);
        if (!cache->heap)
            continue;
        struct qy_record_cache record;
        qy_cache_record(cache, &record);
        live += record.live;
    }
    if (live != untyped->objects)
        return "CONSERVE: headers";
    return qy_heap_check(&untyped->heap);
}
