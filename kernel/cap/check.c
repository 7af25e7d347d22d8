/*
 * The validator of the capability tree.
 */
#include <kernel/thread.h>

static const char *slot_check(const struct slot *slot, const struct slot *parent)
{
    if (slot->type == QY_OBJ_NONE || !slot->object || slot->object->type != slot->type)
        return "CAP-TREE";
    bool weak = slot_is_end(slot);
    if (weak && slot->child)
        return "CAP-BINDING";
    if (type_has_queue(slot->type) && slot->waiters && slot->waiters->by_at != &slot->waiters)
        return "CAP-WAIT";
    if (!weak && (slot->object->capabilities == 0 || (slot->object->flags & OBJECT_DYING)))
        return "OBJ-COUNT";
    if (slot->flags & SLOT_PINNED &&
        (slot->type != QY_OBJ_FRAME || !((const struct frame *)slot->object)->dma))
        return "PINNED";
    if (parent->type != QY_OBJ_NONE) {
        if (parent->object != slot->object)
            return "CAP-TREE";
        if (slot->rights & ~(unsigned)parent->rights)
            return "CAP-RIGHTS";
    }
    return NULL;
}

/* What is derived from a slot, one level: the list hangs together, and ends at the slot. */
static const char *children_check(const struct slot *parent, uint64_t *slots)
{
    const struct slot *before = NULL;
    for (const struct slot *slot = parent->child; slot; before = slot, slot = slot_next(slot)) {
        const char *broken = slot_check(slot, parent);
        if (broken)
            return broken;
        if (before && slot->prev != before)
            return "CAP-TREE";
        ++*slots;
    }
    return before->next == ((uintptr_t)parent | 1) && parent->child->prev == before ? NULL
                                                                                    : "CAP-TREE";
}

/* Down, else on, else up to where there is a next one: each list is gone through twice. */
const char *cap_check(struct slot *root, uint64_t *slots)
{
    const struct slot *slot = root;
    for (;;) {
        if (slot->child) {
            const char *broken = children_check(slot, slots);
            if (broken)
                return broken;
            slot = slot->child;
            continue;
        }
        while (slot != root && !slot_next(slot))
            slot = (const struct slot *)(slot->next & ~(uintptr_t)1);
        if (slot == root)
            return NULL;
        slot = slot_next(slot);
    }
}
