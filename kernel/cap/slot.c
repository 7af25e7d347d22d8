/*
 * Slots and the tree of capabilities: filling, deriving, emptying, looking up. See kernel/cap.h for
 * the picture.
 */
#include <kernel/dma.h>
#include <kernel/space.h>
#include <kernel/teardown.h>
#include <kernel/thread.h>

struct slot cap_root;

static bool is_parent(uintptr_t next)
{
    return next & 1;
}

static struct slot *parent_in(uintptr_t next)
{
    return (struct slot *)(next & ~(uintptr_t)1);
}

static void tree_insert(struct slot *slot, struct slot *parent)
{
    struct slot *first = parent->child;
    if (first) {
        slot->next = (uintptr_t)first;
        slot->prev = first->prev;
        first->prev = slot;
    } else {
        slot->next = (uintptr_t)parent | 1;
        slot->prev = slot;
    }
    parent->child = slot;
}

/* Take a slot out; its children, if any, take its place among its siblings. */
static void tree_remove(struct slot *slot)
{
    bool first = is_parent(slot->prev->next);
    bool last = is_parent(slot->next);
    struct slot *head = slot->child;
    struct slot *tail = head ? head->prev : NULL;

    if (first && last) {
        parent_in(slot->next)->child = head;
        if (head)
            tail->next = slot->next;
        return;
    }
    /* What stands after the gap once it is closed, and before it. */
    struct slot *after = head ? head : slot_next(slot);
    struct slot *before = head ? tail : slot->prev;
    if (first)
        parent_in(slot->prev->next)->child = after;
    else
        slot->prev->next = head ? (uintptr_t)head : slot->next;
    if (last)
        parent_in(slot->next)->child->prev = before;
    else
        slot_next(slot)->prev = before;
    if (head) {
        head->prev = slot->prev;
        tail->next = slot->next;
    }
}

/* It has been taken out of the tree; no handle names it any more. */
static void slot_clear(struct slot *slot)
{
    slot->type = QY_OBJ_NONE;
    slot->rights = 0;
    slot->flags = 0;
    slot->object = NULL;
    slot->child = NULL;
    if (slot->generation == UINT32_MAX)
        slot->flags = SLOT_RETIRED;
    else
        slot->generation++;
}

void slot_fill(struct slot *slot, struct object *object, unsigned rights, struct slot *parent)
{
    slot->type = object->type;
    slot->rights = rights & QY_RIGHT_ALL;
    slot->flags = 0;
    slot->object = object;
    slot->child = NULL;
    slot->badge = 0;
    slot->space = 0;
    slot->holder = NULL;
    object->capabilities++;
    tree_insert(slot, parent);
}

/* `moved` takes the place of a slot in the tree. */
static void tree_replace(struct slot *slot, struct slot *moved)
{
    bool first = is_parent(slot->prev->next), last = is_parent(slot->next);
    moved->next = slot->next;
    moved->prev = slot->prev == slot ? moved : slot->prev;
    moved->child = slot->child;
    if (last)
        parent_in(slot->next)->child->prev = moved;
    else
        slot_next(slot)->prev = moved;
    if (first)
        parent_in(moved->prev == moved ? moved->next : slot->prev->next)->child = moved;
    else
        slot->prev->next = (uintptr_t)moved;
    if (moved->child)
        moved->child->prev->next = (uintptr_t)moved | 1;
}

void slot_derive(struct slot *slot, struct slot *source, unsigned rights, uint64_t badge)
{
    slot_fill(slot, source->object, rights, source);
    if (type_has_badge(source->type))
        slot->badge = badge ? badge : source->badge;
}

enum qy_error binding_may_be_made(const struct slot *by, const struct slot *to)
{
    return (by->flags | to->flags) & SLOT_REVOKING ? QY_REVOKED : QY_OK;
}

static void end_make(struct slot *end, struct slot *source, struct object *holder)
    QY_REQUIRES(qy_class_caps)
{
    slot_derive(end, source, source->rights, 0);
    end->flags = SLOT_BOUND;
    end->holder = holder;
    end->object->capabilities--;
}

static void end_remove(struct slot *end)
{
    tree_remove(end);
    slot_clear(end);
}

void binding_make(struct binding *binding, struct object *holder, struct slot *by, struct slot *to)
{
    end_make(&binding->by, by, holder);
    end_make(&binding->to, to, holder);
}

void binding_end(struct binding *binding)
{
    if (binding->by.type == QY_OBJ_NONE)
        return;
    end_remove(&binding->by);
    end_remove(&binding->to);
}

void slot_move(struct slot *slot, struct slot *source)
{
    uint32_t generation = slot->generation;
    *slot = *source;
    slot->generation = generation;
    if (slot->flags & SLOT_PINNED)
        dma_move_slot(slot, source);
    tree_replace(source, slot);
    if (type_has_queue(slot->type) && slot->waiters)
        slot->waiters->by_at = &slot->waiters;
    slot_clear(source);
}

enum qy_error slot_may_derive(const struct slot *source, unsigned rights, uint64_t badge)
{
    if (rights & ~(unsigned)QY_RIGHT_ALL)
        return QY_INVALID_ARGUMENT;
    if (rights & ~(unsigned)source->rights)
        return QY_NO_RIGHTS;
    if (badge && (!type_has_badge(source->type) || source->badge))
        return QY_INVALID_ARGUMENT;
    if (source->flags & SLOT_REVOKING)
        return QY_REVOKED;
    return QY_OK;
}

static void slot_drop(struct slot *slot, struct teardown *teardown, bool revoked)
    QY_REQUIRES(qy_class_caps)
{
    struct object *object = slot->object;
    struct unmap left = {
        .frame = (struct frame *)object, .address = slot->address, .revoked = revoked};
    unsigned rights;
    if (slot_is_end(slot)) {
        binding_over(slot);
        return;
    }
    if (slot->flags & SLOT_REVOKING)
        teardown_forget_slot(slot);
    if (slot->type == QY_OBJ_FRAME && !frame_is_mapped(slot, &left.space, &rights))
        left.space = NULL;
    if (slot->flags & SLOT_PINNED)
        left.dma = dma_forget_slot(slot);
    if (left.space || left.dma)
        teardown_unmap(teardown, left);
    if (type_has_queue(slot->type) && slot->waiters)
        teardown_lose(teardown, slot->waiters);
    if (slot->flags & SLOT_BOUND)
        thread_unbound((struct thread *)slot->holder, slot);
    tree_remove(slot);
    slot_clear(slot);
    if (--object->capabilities == 0)
        teardown_doom(teardown, object);
}

void slot_delete(struct slot *slot, struct teardown *teardown)
{
    slot_drop(slot, teardown, false);
}

void slot_revoke(struct slot *slot, struct teardown *teardown)
{
    slot_drop(slot, teardown, true);
}

enum qy_error node_lookup(struct cap_node *node, qy_handle_t handle, struct slot **out)
{
    uint32_t index = QY_HANDLE_INDEX(handle);
    if (!node || index >= node->count)
        return QY_INVALID_HANDLE;
    struct slot *slot = &node->slots[index];
    if (slot->type == QY_OBJ_NONE || slot->generation != QY_HANDLE_GENERATION(handle))
        return QY_INVALID_HANDLE;
    *out = slot;
    return QY_OK;
}

enum qy_error node_lookup_typed(struct cap_node *node, qy_handle_t handle, enum qy_object_type type,
                                unsigned rights, struct slot **out)
{
    struct slot *slot;
    enum qy_error error = node_lookup(node, handle, &slot);
    if (error != QY_OK)
        return error;
    if (slot->type != type)
        return QY_WRONG_TYPE;
    if (rights & ~(unsigned)slot->rights)
        return QY_NO_RIGHTS;
    *out = slot;
    return QY_OK;
}

unsigned slot_children(const struct slot *slot, unsigned limit)
{
    unsigned count = 0;
    for (const struct slot *child = slot->child; child && count < limit; child = slot_next(child))
        count++;
    return count;
}

/* One node of cap.c's dismantling: a slot, or a run of empty ones. */
#define EMPTY_SLOTS_A_STEP 64u

enum dismantle node_dismantle(struct cap_node *node, struct teardown *teardown)
{
    for (unsigned i = 0; i < EMPTY_SLOTS_A_STEP && node->cursor < node->count; i++) {
        struct slot *slot = &node->slots[node->cursor++];
        if (slot->type != QY_OBJ_NONE) {
            slot_revoke(slot, teardown);
            break;
        }
    }
    return node->cursor < node->count ? DISMANTLE_MORE : DISMANTLE_DONE;
}
