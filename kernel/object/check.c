/*
 * The validator of an untyped: what its objects hold against what its arena says.
 */
#include <kernel/object.h>

const char *untyped_check(struct untyped *untyped)
{
    const char *broken = qy_arena_check(untyped->arena);
    uint64_t live = 0, slab_pages = 0;
    if (broken)
        return broken;
    for (unsigned type = 0; type < OBJECT_SMALL_TYPES; type++) {
        struct qy_cache *cache = &untyped->caches[type];
        if (!cache->arena)
            continue;
        broken = qy_cache_check(cache);
        if (broken)
            return broken;
        struct qy_record_cache record;
        qy_cache_record(cache, &record);
        live += record.live;
        slab_pages += qy_cache_pages(cache);
    }
    if (live != untyped->objects)
        return "CONSERVE: headers";
    if (slab_pages != qy_arena_pages(untyped->arena, QY_FRAME_SLAB))
        return "CONSERVE: slabs";
    return NULL;
}
