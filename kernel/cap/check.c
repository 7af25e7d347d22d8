/*
 * The validator of the capability tree.
 */
#include <kernel/object.h>

/* Does the list that begins at first hang together, and end at parent? */
static bool list_is_linked(const struct slot *parent)
{
    const struct slot *first = parent->child;
    const struct slot *slot = first;
    while (slot_next(slot)) {
        if (slot_next(slot)->prev != slot)
            return false;
        slot = slot_next(slot);
    }
    return slot->next == ((uintptr_t)parent | 1) && first->prev == slot;
}

static const char *slot_check(const struct slot *slot, const struct slot *parent)
{
    if (slot->type == QY_OBJ_NONE || !slot->object || slot->object->type != slot->type)
        return "CAP-TREE";
    if (slot->object->capabilities == 0 || (slot->object->flags & OBJECT_DYING))
        return "OBJ-COUNT";
    if (parent->type != QY_OBJ_NONE) {
        if (parent->object != slot->object)
            return "CAP-TREE";
        if (slot->rights & ~(unsigned)parent->rights)
            return "CAP-RIGHTS";
    }
    return NULL;
}

const char *cap_check(struct slot *root, uint64_t *slots)
{
    struct slot *parent = root;
    struct slot *slot = root->child;
    if (slot && !list_is_linked(root))
        return "CAP-TREE";
    while (slot) {
        const char *broken = slot_check(slot, parent);
        if (broken)
            return broken;
        ++*slots;
        if (slot->child) {
            if (!list_is_linked(slot))
                return "CAP-TREE";
            parent = slot;
            slot = slot->child;
            continue;
        }
        /* Go up until there is a next sibling. The parent of a parent is found at the end of its
         * list. */
        while (slot && !slot_next(slot)) {
            slot = (struct slot *)(slot->next & ~(uintptr_t)1);
            if (slot == root)
                return NULL;
        }
        slot = slot_next(slot);
        const struct slot *last = slot;
        while (slot_next(last))
            last = slot_next(last);
        parent = (struct slot *)(last->next & ~(uintptr_t)1);
    }
    return NULL;
}
