/*
 * The validators of untypeds, of what their objects hold against what their arenas say, and of everything.
 */
#include <kernel/device.h>
#include <kernel/dma.h>
#include <kernel/guard.h>
#include <kernel/ipc.h>
#include <kernel/memory.h>
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
    broken = watch_check(untyped);
    return broken ? broken : qy_heap_check(&untyped->heap);
}

static const char *object_check(struct object *object) QY_REQUIRES(qy_class_caps)
{
    switch ((enum qy_object_type)object->type) {
    case QY_OBJ_ADDRESS_SPACE:
        return space_check((struct space *)object);
    case QY_OBJ_MEMORY:
        return memory_check((struct memory *)object);
    case QY_OBJ_THREAD:
        return thread_check((const struct thread *)object);
    case QY_OBJ_ENDPOINT:
        return endpoint_check((const struct endpoint *)object);
    case QY_OBJ_NOTIFICATION:
        return notification_check((const struct notification *)object);
    case QY_OBJ_INTERRUPT:
        return interrupt_check((const struct interrupt *)object);
    case QY_OBJ_DMA:
        return dma_check((const struct dma *)object);
    case QY_OBJ_DEVICE_MEMORY:
        return device_memory_check((const struct device_memory *)object);
    default:
        return NULL;
    }
}

/* The objects below a root or an anchor: each has a capability at the top of its tree, the first or what moved up. */
static const char *objects_check(const struct slot *top) QY_REQUIRES(qy_class_caps)
{
    const char *broken = NULL;
    for (const struct slot *slot = top->child; slot && !broken; slot = slot_next(slot))
        broken = slot_is_end(slot) ? NULL : object_check(slot->object);
    return broken;
}

/* What was made from an untyped, and the device frames that it pays for. */
static const char *made_check(struct untyped *untyped, uint64_t *slots) QY_REQUIRES(qy_class_caps)
{
    const char *broken = cap_check(&untyped->anchor, slots);
    if (!broken)
        broken = objects_check(&untyped->anchor);
    for (struct device_frame *frame = untyped->device_frames; frame && !broken;
         frame = frame->next[DEVICE_PAYER])
        broken = cap_check(&frame->anchor, slots);
    return broken;
}

const char *system_check(uint64_t *slots)
{
    const char *broken = cap_check(&cap_root, slots);
    if (!broken)
        broken = objects_check(&cap_root);
    for (struct untyped *untyped = untyped_first(); untyped && !broken; untyped = untyped->next) {
        broken = made_check(untyped, slots);
        if (!broken)
            broken = untyped->object.flags & OBJECT_STATIC ? qy_arena_check(untyped->arena)
                                                           : untyped_check(untyped);
    }
    if (!broken)
        broken = timer_check();
    return broken ? broken : sched_check();
}
