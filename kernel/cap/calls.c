/*
 * The calls on capabilities: copy, delete, revoke, info.
 */
#include <kernel/call.h>
#include <kernel/object.h>
#include <kernel/trace.h>

/* Counting what was derived from a capability stops here. */
#define CHILDREN_COUNTED 4096u

enum qy_error call_cap_copy(struct call *call)
{
    struct cap_node *node = (struct cap_node *)call->slot->object;
    uint64_t index = call->arguments[1], rights = call->arguments[3], badge = call->arguments[4];
    struct slot *source;
    enum qy_error error = node_lookup(thread_node(call->thread), call->arguments[2], &source);
    if (error != QY_OK)
        return error;
    if (index == 0 || index >= node->count || rights > QY_RIGHT_ALL)
        return QY_INVALID_ARGUMENT;
    if (!(source->rights & QY_RIGHT_GRANT))
        return QY_NO_RIGHTS;
    error = slot_may_derive(source, (unsigned)rights, badge);
    if (error != QY_OK)
        return error;
    struct slot *slot = &node->slots[index];
    if (!slot_is_empty(slot))
        return QY_SLOT_OCCUPIED;
    slot_derive(slot, source, (unsigned)rights, badge);
    call->values[0] = slot_handle(slot, (uint32_t)index);
    return QY_OK;
}

enum qy_error call_cap_move(struct call *call)
{
    struct cap_node *node = (struct cap_node *)call->slot->object;
    uint64_t index = call->arguments[1];
    struct slot *source;
    enum qy_error error = node_lookup(thread_node(call->thread), call->arguments[2], &source);
    if (error != QY_OK)
        return error;
    if (index == 0 || index >= node->count)
        return QY_INVALID_ARGUMENT;
    if (source->flags & SLOT_REVOKING)
        return QY_REVOKED;
    struct slot *slot = &node->slots[index];
    if (!slot_is_empty(slot))
        return QY_SLOT_OCCUPIED;
    slot_move(slot, source);
    call->values[0] = slot_handle(slot, (uint32_t)index);
    return QY_OK;
}

enum qy_error call_cap_delete(struct call *call)
{
    struct slot *slot;
    enum qy_error error = node_lookup(thread_node(call->thread), call->arguments[0], &slot);
    if (error != QY_OK)
        return error;
    struct teardown teardown;
    teardown_init(&teardown);
    slot_delete(slot, &teardown);
    teardown_run(&teardown);
    return QY_OK;
}

enum qy_error call_cap_revoke(struct call *call)
{
    struct slot *slot;
    enum qy_error error = node_lookup(thread_node(call->thread), call->arguments[0], &slot);
    if (error != QY_OK)
        return error;
    /* Whoever may only take memory from an untyped, or from device memory, may not take away what others made of it. */
    const unsigned needed = QY_RIGHT_WRITE | QY_RIGHT_GRANT;
    if ((slot->type == QY_OBJ_UNTYPED || slot->type == QY_OBJ_DEVICE_MEMORY) &&
        (slot->rights & needed) != needed)
        return QY_NO_RIGHTS;
    QY_TRACE(OBJECT_REVOKED, slot->object->untyped ? slot->object->untyped->object.id : 0,
             slot->object->id, slot->type);
    return teardown_revoke(slot);
}

enum qy_error call_cap_info(struct call *call)
{
    struct cap_node *node = (struct cap_node *)call->slot->object;
    uint64_t index = call->arguments[1];
    if (index >= node->count)
        return QY_INVALID_ARGUMENT;
    const struct slot *slot = &node->slots[index];
    if (slot->type == QY_OBJ_NONE)
        return QY_NOT_FOUND;
    call->values[0] = slot->type | (uint64_t)slot->rights << 8;
    call->values[1] = slot_handle(slot, (uint32_t)index);
    call->values[2] = slot->object->id;
    call->values[3] = slot->type == QY_OBJ_FRAME ? 0 : slot->badge;
    call->values[4] = slot_children(slot, CHILDREN_COUNTED);
    return QY_OK;
}
