/*
 * Copy on write: leaf tables with several parents, and how one of them gets a copy of its own. clone.c makes them.
 *
 *     clone             unshare (for A)
 *     A      B          A        B
 *      \    /           |        |
 *       leaf            copy     leaf       each frame: two mappings, read-only, COW
 *
 * No page of a shared table is writable but FOREIGN ones; whoever would change an entry of it unshares it
 * first. The way to it is `moving` until no CPU of A has the old table any more: so B, whose table it is alone
 * then, may write through it. Cost: clone 512 looks a leaf table that is not shared yet, and one node; unshare a
 * table and a node a page.
 */
#include "vm_impl.h"

struct copying {
    struct qy_space *space;
    vaddr_t base; /* of what the table translates */
    struct qy_table *old, *new;
    struct qy_rmap_node *nodes; /* linked by `next` */
    pfn_t side;
};

static void release(struct copying *c)
{
    struct qy_vm *vm = c->space->vm;
    qy_vm_nodes_free(vm, c->space->budget, &c->nodes);
    if (c->side.raw)
        qy_vm_frame_free(vm, c->side, QY_FRAME_METADATA);
    qy_tables_release(vm, &c->new);
}

/* All that the copy takes. The old table's lock is held, so that it does not need more. */
static enum qy_error reserve(struct copying *c)
{
    struct qy_space *space = c->space;
    enum qy_error error = qy_tables_reserve(space->vm, space->budget, 1, &c->new);
    if (error == QY_OK && c->old->side)
        error = qy_vm_frame_alloc(space->vm, space->budget, QY_FRAME_METADATA, &c->side);
    for (unsigned i = 0; i < c->old->held && error == QY_OK; i++)
        error = qy_vm_nodes_add(space->vm, space->budget, &c->nodes);
    return error;
}

/* One more entry holds what this one holds. */
static enum qy_error hold(struct copying *c, const struct qy_table *new, unsigned index,
                          uint64_t entry)
{
    const struct qy_pt_format *format = c->space->format;
    pfn_t frame;
    bool foreign = false;
    bool swapped = qy_is_swapped(format, entry);
    if (!swapped && !qy_entry_holds(format, entry, 1, &frame, &foreign))
        return QY_OK;
    _Atomic uint64_t *word = swapped ? qy_swap_word(qy_entry_mark(format, entry))
                                     : qy_frame_rmap(c->space->vm->db, frame);
    if (!word && foreign) /* raw */
        return QY_OK;
    bool present = qy_is_present(format, entry);
    bool write = present && qy_pt_has(format, entry, QY_PT_BIT_WRITE);
    bool exec = present && qy_pt_has(format, entry, QY_PT_BIT_EXEC);
    struct qy_rmap_node *node = c->nodes, *next = NULL;
    if (node)
        next = (struct qy_rmap_node *)(uintptr_t)node->next;
    uint64_t mapping = qy_block_mapping(c->space->vm->db, new->frame, index, frame, 1);
    enum qy_error error = qy_rmap_add(word, mapping, write, exec, &node);
    if (error == QY_OK && !node)
        c->nodes = next;
    return error;
}

static uint64_t class_of(const struct qy_pt_format *format, uint64_t entry)
{
    return qy_word_class(qy_pt_has(format, entry, QY_PT_BIT_WRITE),
                         qy_pt_has(format, entry, QY_PT_BIT_EXEC));
}

/* Copy the entries. They do not change: a shared table's only become `revoked`. */
static enum qy_error copy_entries(struct copying *c, struct qy_table *new)
{
    const struct qy_pt_format *format = c->space->format;
    const struct qy_leaf leaf = qy_leaf_to_write(c->space->vm, new->frame);
    const _Atomic uint64_t *from = qy_table_slots(c->old);
    _Atomic uint64_t *to = qy_table_slots(new);
    enum qy_error error = QY_OK;
    qy_table_fill(format, new, 1, 0);
    for (unsigned i = 0, left = c->old->live; left > 0 && error == QY_OK; i++) {
        uint64_t entry = atomic_load_explicit(&from[i], memory_order_relaxed);
        struct qy_rmap_node *node = c->nodes;
        if (!entry)
            continue;
        left--;
        if (qy_leaf_is_own(&leaf, entry)) {
            uint64_t next = node->next;
            if (qy_vm_hold_own(&leaf, i, qy_leaf_frame(&leaf, entry), class_of(format, entry),
                               node)) {
                c->nodes = (struct qy_rmap_node *)(uintptr_t)next;
                qy_slot_store(&to[i], entry);
                new->live++;
                new->held++;
                continue;
            }
            node->next = next;
        }
        error = hold(c, new, i, entry);
        if (error == QY_OK)
            qy_table_set(format, new, i, entry);
    }
    new->home = c->old->home;
    if (c->old->side) {
        new->side = qy_port_ram(pfn_to_paddr(c->side));
        memcpy(new->side, c->old->side, QY_PAGE_BYTES);
        c->side.raw = 0;
    }
    return error;
}

/* Back as it was; what the copy holds already is let go. */
static void undo(struct copying *c, struct qy_table *new, const struct qy_at *at)
{
    const struct qy_pt_format *format = c->space->format;
    struct qy_gone gone;
    qy_gone_begin(&gone);
    for (unsigned i = 0; i < QY_PT_ENTRIES; i++) {
        uint64_t entry = qy_slot_get(qy_table_slots(new) + i);
        qy_vm_let_go_entry(c->space->vm, new, i, entry, &gone);
        qy_table_set(format, new, i, 0);
    }
    qy_gone_send(c->space->vm, &gone);
    qy_table_set(format, at->table, at->index, qy_table_entry(format, c->old->frame));
}

/* CPUs have forgotten the old table; both locks are held. */
static enum qy_error exchange(struct copying *c, const struct qy_at *at)
{
    struct qy_table *new = c->new;
    c->new = NULL;
    qy_table_lock(c->old);
    qy_table_lock(new); /* a revoke finds it by the frames that it holds */
    enum qy_error error = copy_entries(c, new);
    if (error != QY_OK)
        undo(c, new, at);
    qy_table_unlock(new);
    qy_table_unlock(c->old);
    if (error != QY_OK) {
        qy_table_retire(c->space->vm, new);
        return error;
    }
    struct qy_gone gone;
    qy_gone_begin(&gone);
    qy_vm_let_go_table(c->space->vm, at->table, at->index, c->old->frame, &gone);
    qy_gone_end(c->space->vm, &gone);
    qy_table_link(c->space->format, at->table, at->index, new);
    return QY_OK;
}

/* Make the way to the table `moving`, with all that is needed in hand. NOT_FOUND: nothing to do. BUSY: again. */
static enum qy_error begin(struct copying *c, struct qy_at *at, bool settle)
{
    const struct qy_pt_format *format = c->space->format;
    if (at->level != 2)
        return qy_is_moving(format, at->entry) ? QY_BUSY : QY_NOT_FOUND;
    if (!qy_pt_is_table(format, at->entry, 2))
        return qy_is_moving(format, at->entry) ? QY_BUSY : QY_NOT_FOUND;
    c->old = qy_table_of(c->space->vm->db, qy_entry_frame(format, at->entry));
    qy_table_lock(c->old);
    bool needed = settle ? qy_table_is_strange(c->space, c->old) : qy_table_is_shared(c->old);
    enum qy_error error = needed ? QY_OK : QY_NOT_FOUND;
    for (unsigned i = 0; settle && error == QY_OK && i < QY_PT_ENTRIES; i++)
        if (qy_is_moving(format, qy_slot_get(qy_table_slots(c->old) + i)))
            error = QY_BUSY;
    if (error == QY_OK)
        error = reserve(c);
    if (error == QY_OK)
        qy_table_set(format, at->table, at->index,
                     qy_mark_entry(format, qy_held_mark(QY_MARK_MOVING, c->old->frame, 0,
                                                        qy_port_cpu(), false)));
    qy_table_unlock(c->old);
    return error;
}

static enum qy_error try_unshare(struct copying *c, struct qy_at *at, bool settle)
{
    if (!qy_vm_lock_at(c->space, c->base, 2, at))
        return QY_REVOKED;
    enum qy_error error = begin(c, at, settle);
    qy_table_unlock(at->table);
    if (error != QY_OK)
        return error;
    uint64_t moving = qy_mark_entry(
        c->space->format, qy_held_mark(QY_MARK_MOVING, c->old->frame, 0, qy_port_cpu(), false));
    qy_vm_flush(c->space, c->base, c->base.raw + qy_pt_page_bytes(2), 0);
    qy_table_lock(at->table);
    if (qy_slot_get(at->slot) == moving)
        error = exchange(c, at);
    qy_table_unlock(at->table);
    return error;
}

enum qy_error qy_vm_unshare(struct qy_space *space, vaddr_t address, bool settle)
{
    enum qy_error error = QY_BUSY;
    while (error == QY_BUSY) {
        struct qy_at at;
        struct copying c = {.space = space, .base = qy_span_base(address, 2)};
        qy_vm_enter(space->vm);
        error = try_unshare(&c, &at, settle);
        release(&c);
        qy_vm_leave(space->vm);
        if (error == QY_BUSY)
            qy_port_relax();
    }
    return error == QY_NOT_FOUND ? QY_OK : error;
}
