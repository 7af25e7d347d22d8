/*
 * The calls on untypeds: retype and info.
 *
 * Retype reserves everything, zeroes it without the lock, looks again at what the caller named, and
 * commits. While memory is zeroed it counts as objects of the untyped, so a revoke of it waits.
 */
#include <kernel/call.h>
#include <kernel/object.h>
#include <kernel/preempt.h>

/* Objects of one call: bounds the time for which the lock is held. */
#define RETYPE_MAX 256u
#define RESERVE_OBJECTS 32u /* reserved between two preemption points */
#define ZERO_OBJECTS 16u    /* zeroed, likewise, unless they are larger than a few pages */

struct retype {
    struct untyped *from;
    enum qy_object_type type;
    uint64_t pages, count, index;
    qy_handle_t node;
    struct object *reserved; /* linked; the last one taken first */
    bool let_go;             /* others had the lock meanwhile */
};

/* The destination: count empty slots of a node. */
static enum qy_error destination(struct call *call, const struct retype *retype,
                                 struct cap_node **out) QY_REQUIRES(qy_class_caps)
{
    struct slot *slot;
    enum qy_error error = call_lookup(call, retype->node, QY_OBJ_CAP_NODE, QY_RIGHT_WRITE, &slot);
    if (error != QY_OK)
        return error;
    struct cap_node *node = (struct cap_node *)slot->object;
    if (retype->index == 0 || retype->index >= node->count ||
        retype->count > node->count - retype->index)
        return QY_INVALID_ARGUMENT;
    for (uint64_t i = 0; i < retype->count; i++) {
        if (!slot_is_empty(&node->slots[retype->index + i]))
            return QY_SLOT_OCCUPIED;
    }
    *out = node;
    return QY_OK;
}

/* Others get the lock, and interrupts are taken. The untyped holds objects, so it stays. */
static enum qy_error pause(struct retype *retype) QY_REQUIRES(qy_class_caps)
{
    caps_release();
    preempt_point(cpu_this());
    caps_acquire();
    retype->let_go = true;
    return retype->from->object.flags & (OBJECT_REVOKING | OBJECT_DYING) ? QY_REVOKED : QY_OK;
}

static void give_up(struct retype *retype) QY_REQUIRES(qy_class_caps)
{
    for (unsigned i = 1; retype->reserved; i++) {
        struct object *object = retype->reserved;
        retype->reserved = object->link;
        object_free(object);
        if (i % RESERVE_OBJECTS == 0 && retype->reserved)
            (void)pause(retype);
    }
}

static enum qy_error reserve(struct call *call, struct retype *retype) QY_REQUIRES(qy_class_caps)
{
    for (uint64_t i = 0; i < retype->count; i++) {
        struct object *object;
        if (i % RESERVE_OBJECTS == RESERVE_OBJECTS - 1 && pause(retype) != QY_OK) {
            give_up(retype);
            return QY_REVOKED;
        }
        struct shortage shortage = {0, -1};
        enum qy_error error =
            object_reserve(retype->from, retype->type, retype->pages, &object, &shortage);
        if (error != QY_OK) {
            give_up(retype);
            if (error == QY_OUT_OF_MEMORY) {
                call->values[0] = shortage.pages;
                call->values[1] = (uint64_t)(int64_t)shortage.largest_order;
            }
            return error;
        }
        object->link = retype->reserved;
        retype->reserved = object;
    }
    return QY_OK;
}

/* Zero what of the reserved is not, without the lock; nobody else knows it. */
static void zero(struct retype *retype) QY_UNCHECKED
{
    unsigned done = 0;
    for (struct object *object = retype->reserved; object; object = object->link) {
        if (!object_is_dirty(object))
            continue;
        if (done == 0)
            caps_release();
        object_zero(object);
        if (++done % ZERO_OBJECTS == 0)
            preempt_point(cpu_this());
    }
    if (done)
        caps_acquire();
    retype->let_go |= done != 0;
}

static void commit(struct retype *retype, struct cap_node *node) QY_REQUIRES(qy_class_caps)
{
    for (uint64_t i = retype->count; i-- > 0;) {
        struct object *object = retype->reserved;
        retype->reserved = object->link;
        object->link = NULL;
        object_finish(object);
        slot_fill(&node->slots[retype->index + i], object, QY_RIGHT_ALL, &retype->from->anchor);
    }
}

/*
 * After a time without the lock: another CPU may have changed anything, but not freed the untyped, which was pinned or
 * holds objects. Nothing is made by a capability that has gone meanwhile.
 */
static enum qy_error look_again(struct call *call, const struct retype *retype,
                                struct cap_node **node) QY_REQUIRES(qy_class_caps)
{
    if (retype->from->object.flags & (OBJECT_REVOKING | OBJECT_DYING))
        return QY_REVOKED;
    enum qy_error error =
        call_lookup(call, call->arguments[0], QY_OBJ_UNTYPED, QY_RIGHT_WRITE, &call->slot);
    return error == QY_OK ? destination(call, retype, node) : error;
}

enum qy_error call_untyped_retype(struct call *call)
{
    struct retype retype = {.from = (struct untyped *)call->slot->object,
                            .pages = call->arguments[2],
                            .node = call->arguments[3],
                            .index = call->arguments[4],
                            .count = call->arguments[5]};
    struct cap_node *node;
    if (call->arguments[1] == QY_OBJ_NONE || call->arguments[1] >= QY_OBJ_DEVICE_MEMORY ||
        retype.count == 0 || retype.count > RETYPE_MAX)
        return QY_INVALID_ARGUMENT;
    retype.type = (enum qy_object_type)call->arguments[1];
    enum qy_error error = destination(call, &retype, &node);
    if (error != QY_OK)
        return error;
    if (retype.from->object.flags & OBJECT_REVOKING)
        return QY_REVOKED;
    error = reserve(call, &retype);
    if (error == QY_OUT_OF_MEMORY) {
        untyped_gather(retype.from);
        error = look_again(call, &retype, &node);
        if (error == QY_OK)
            error = reserve(call, &retype);
    }
    if (error != QY_OK)
        return error;
    zero(&retype);
    if (retype.let_go)
        error = look_again(call, &retype, &node);
    if (error != QY_OK) {
        give_up(&retype);
        return error;
    }
    commit(&retype, node);
    call->values[0] = slot_handle(&node->slots[retype.index], (uint32_t)retype.index);
    return QY_OK;
}

/* How much of what is free no large page can be made of, in thousandths. */
static uint64_t fragmentation(const struct qy_record_arena *arena)
{
    uint64_t small = arena->free_bytes - arena->large_bytes;
    return arena->free_bytes ? small * 1000 / arena->free_bytes : 0;
}

enum qy_error call_untyped_info(struct call *call)
{
    struct untyped *untyped = (struct untyped *)call->slot->object;
    struct qy_record_arena record;
    untyped_gather(untyped); /* what caches keep is free memory to whoever asks */
    qy_arena_record(untyped->arena, &record);
    call->values[0] = record.total_bytes;
    call->values[1] = record.free_bytes;
    call->values[2] = record.largest_order;
    call->values[3] = untyped->objects;
    call->values[4] = record.node | record.zone << 16 | fragmentation(&record) << 32;
    return QY_OK;
}

/* Of one type; of all, if the type is 0. */
enum qy_error call_untyped_objects(struct call *call)
{
    const struct untyped *untyped = (const struct untyped *)call->slot->object;
    uint64_t type = call->arguments[1];
    if (type >= OBJECT_SMALL_TYPES)
        return QY_INVALID_ARGUMENT;
    for (unsigned i = 1; i < OBJECT_SMALL_TYPES; i++) {
        if (type != QY_OBJ_NONE && type != i)
            continue;
        call->values[0] += untyped->totals[i - 1].live;
        call->values[1] += untyped->totals[i - 1].bytes;
    }
    return QY_OK;
}
