/*
 * The validators of untypeds, of what their objects hold against what their arenas say, and of everything.
 */
#include <kernel/guard.h>
#include <kernel/ipc.h>
#include <kernel/sched.h>
#include <kernel/space.h>
#include <kernel/timer.h>

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
    for (unsigned type = 1; type < OBJECT_SMALL_TYPES; type++)
        live -= untyped->totals[type - 1].live;
    if (live)
        return "CONSERVE: objects by type";
    return qy_heap_check(&untyped->heap);
}

static const char *object_check(struct object *object) QY_REQUIRES(qy_class_caps)
{
    switch ((enum qy_object_type)object->type) {
    case QY_OBJ_ADDRESS_SPACE:
        return space_check((struct space *)object);
    case QY_OBJ_THREAD:
        return thread_check((const struct thread *)object);
    case QY_OBJ_ENDPOINT:
        return endpoint_check((const struct endpoint *)object);
    case QY_OBJ_NOTIFICATION:
        return notification_check((const struct notification *)object);
    default:
        return NULL;
    }
}

/* The objects made from an untyped: each has a capability at the top of its tree, the first or what moved up. */
static const char *objects_check(const struct untyped *untyped) QY_REQUIRES(qy_class_caps)
{
    const char *broken = NULL;
    for (const struct slot *slot = untyped->anchor.child; slot && !broken; slot = slot_next(slot))
        broken = object_check(slot->object);
    return broken;
}

const char *system_check(uint64_t *slots)
{
    const char *broken = cap_check(&cap_root, slots);
    for (struct untyped *untyped = untyped_first(); untyped && !broken; untyped = untyped->next) {
        broken = cap_check(&untyped->anchor, slots);
        if (!broken)
            broken = objects_check(untyped);
        if (!broken)
            broken = untyped->object.flags & OBJECT_STATIC ? qy_arena_check(untyped->arena)
                                                           : untyped_check(untyped);
    }
    if (!broken)
        broken = timer_check();
    return broken ? broken : sched_check();
}
