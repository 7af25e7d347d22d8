/*
 * Copy on write: leaf tables with several parents, and how one of them gets a copy of its own.
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
    while (c->nodes) {
        struct qy_rmap_node *node = c->nodes;
        c->nodes = (struct qy_rmap_node *)(uintptr_t)node->next;
        qy_vm_node_free(vm, c->space->budget, node);
    }
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
    for (unsigned i = 0; i < c->old->held && error == QY_OK; i++) {
        struct qy_rmap_node *node;
        error = qy_vm_node_alloc(space->vm, space->budget, &node);
        if (error == QY_OK) {
            node->next = (uint64_t)(uintptr_t)c->nodes;
            c->nodes = node;
        }
    }
    return error;
}

/* One more entry holds what this one holds. */
static enum qy_error hold(struct copying *c, const struct qy_table *new, unsigned index,
                          uint64_t entry)
{
    const struct qy_pt_format *format = c->space->format;
    pfn_t frame;
    bool foreign;
    if (!qy_entry_holds(format, entry, 1, &frame, &foreign))
        return QY_OK;
    bool present = qy_is_present(format, entry);
    bool write = present && qy_pt_has(format, entry, QY_PT_BIT_WRITE);
    bool exec = present && qy_pt_has(format, entry, QY_PT_BIT_EXEC);
    struct qy_rmap_node *node = c->nodes, *next = NULL;
    if (node)
        next = (struct qy_rmap_node *)(uintptr_t)node->next;
    enum qy_error error = qy_rmap_add(qy_frame_rmap(c->space->vm->db, frame),
                                      qy_mapping(new->frame, index), write, exec, &node);
    if (error == QY_OK && !node)
        c->nodes = next;
    return error;
}

/* Copy the entries. They do not change: a shared table's only become `revoked`. */
static enum qy_error copy_entries(struct copying *c, struct qy_table *new)
{
    enum qy_error error = QY_OK;
    qy_table_fill(c->space->format, new, 1, 0);
    for (unsigned i = 0; i < QY_PT_ENTRIES && error == QY_OK; i++) {
        uint64_t entry = qy_slot_get(qy_table_slots(c->old) + i);
        error = hold(c, new, i, entry);
        if (error == QY_OK)
            qy_table_set(c->space->format, new, i, entry);
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
        qy_vm_let_go_entry(c->space->vm, format, new, i, entry, &gone);
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
    qy_vm_let_go_table(c->space->vm, c->space->format, at->table, at->index, c->old->frame, &gone);
    qy_gone_send(c->space->vm, &gone);
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
    qy_vm_flush(c->space, c->base, c->base.raw + qy_pt_page_bytes(2), true);
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

/* ---- clone ---- */

/*
 * No private page of a table stays writable. False: something in it is moving; what has been done till then is harmless. *flush: some
 * were.
 */
static bool write_protect(const struct qy_pt_format *format, struct qy_table *table, bool *flush)
{
    const uint64_t valid = format->valid, write = format->flags[QY_PT_BIT_WRITE].mask | valid;
    const uint64_t mask = write | qy_bit_foreign(format);
    const uint64_t flip = format->flags[QY_PT_BIT_WRITE].mask | qy_bit_cow(format);
    _Atomic uint64_t *slots = qy_table_slots(table);
    if (qy_table_is_shared(table))
        return true;
    bool moving = false, was_writable = false;
    for (unsigned left = table->held; left > 0; slots++) {
        uint64_t entry = atomic_load_explicit(slots, memory_order_relaxed);
        if ((entry & mask) == write) {
            atomic_store_explicit(slots, entry ^ flip, memory_order_relaxed);
            was_writable = true;
            left--;
        } else if (entry & valid) {
            left--;
        } else if (entry && qy_entry_kind(entry) >= QY_MARK_KEPT) {
            moving |= qy_entry_kind(entry) == QY_MARK_MOVING;
            left--;
        }
    }
    *flush |= was_writable;
    return !moving;
}

struct cloning {
    struct qy_space *to, *from;
    bool flush;
    uint64_t start, end;
    bool low, high; /* a leaf table that reaches out of the range at this side is shared */
};

/* The table at a locked entry of `from` gets one more parent. BUSY: again. */
static enum qy_error share(struct cloning *c, const struct qy_at *at, struct qy_table *above)
{
    struct qy_vm *vm = c->from->vm;
    const struct qy_pt_format *format = c->from->format;
    struct qy_table *table = qy_table_of(vm->db, qy_entry_frame(format, at->entry));
    struct qy_rmap_node *node;
    enum qy_error error = qy_vm_node_alloc(vm, above->budget, &node);
    if (error != QY_OK)
        return error;
    qy_table_lock(table);
    if (!write_protect(format, table, &c->flush))
        error = QY_BUSY;
    else
        error =
            qy_rmap_add(&table->parents, qy_mapping(above->frame, at->index), false, false, &node);
    qy_table_unlock(table);
    qy_vm_node_free(vm, above->budget, node);
    return error;
}

/* Take the new parent back. */
static void unshare_new(struct cloning *c, struct qy_table *table, struct qy_table *above,
                        unsigned index)
{
    struct qy_rmap_node *freed;
    qy_table_lock(table);
    bool found = qy_rmap_remove(&table->parents, qy_mapping(above->frame, index), &freed, NULL);
    bool last = qy_word_load(&table->parents) == 0;
    qy_table_unlock(table);
    qy_vm_node_return(c->to->vm, freed);
    if (!found || last)
        qy_port_broken("VM-TREE", "a table lost its parents, frame", table->frame.raw);
}

/* A leaf table, at a locked entry; unlocks. */
static enum qy_error clone_table(struct cloning *c, vaddr_t base, struct qy_at *at)
{
    struct qy_space *to = c->to;
    unsigned level;
    paddr_t at_to;
    uint64_t there = qy_vm_peek(to, base.raw, &level, &at_to);
    struct qy_table *above = qy_table_of(to->vm->db, paddr_to_pfn(at_to));
    if (level != 2 || there) { /* its place is not ready */
        qy_table_unlock(at->table);
        if (qy_is_moving(to->format, there))
            return QY_BUSY;
        if (there || (level == 1 && above->live))
            return QY_ALREADY_MAPPED;
        if (level == 1)
            qy_vm_prune(to, base);
        enum qy_error error = level == 1 ? QY_BUSY : qy_vm_ensure(to, base, 2);
        return error == QY_OK ? QY_BUSY : error;
    }
    struct qy_table *table = qy_table_of(to->vm->db, qy_entry_frame(c->from->format, at->entry));
    enum qy_error error = share(c, at, above);
    qy_table_unlock(at->table);
    if (error != QY_OK)
        return error;
    struct qy_at place;
    bool alive = qy_vm_lock_at(to, base, 2, &place);
    bool ready = alive && place.table == above && !place.entry;
    if (ready)
        qy_table_set(to->format, above, place.index, at->entry);
    else
        unshare_new(c, table, above, at->index);
    if (alive)
        qy_table_unlock(place.table);
    c->low |= ready && base.raw < c->start;
    c->high |= ready && base.raw + qy_pt_page_bytes(2) > c->end;
    if (ready && table->given) /* its owner installed it in one place */
        return qy_vm_unshare(to, base, true);
    return ready ? QY_OK : alive ? QY_BUSY : QY_REVOKED;
}

/* A large page, FOREIGN, at a locked entry; unlocks. */
static enum qy_error clone_large(struct cloning *c, vaddr_t base, struct qy_at *at)
{
    unsigned level = at->level, missing;
    uint64_t entry = at->entry;
    qy_table_unlock(at->table);
    enum qy_error error = qy_vm_ensure(c->to, base, level);
    return error != QY_OK
               ? error
               : qy_space_map_frame(c->to, base.raw, qy_entry_frame(c->from->format, entry), level,
                                    qy_entry_rights(c->from->format, entry), QY_RIGHTS, false,
                                    &missing);
}

/* One entry of `from`, of level 2 or above. *next: where it ends. */
static enum qy_error clone_entry(struct cloning *c, uint64_t start, uint64_t end, uint64_t *next)
{
    struct qy_at at;
    if (!qy_vm_lock_at(c->from, vaddr(start), 2, &at))
        return QY_REVOKED;
    const struct qy_pt_format *format = c->from->format;
    vaddr_t base = qy_span_base(vaddr(start), at.level);
    *next = base.raw + qy_pt_page_bytes(at.level);
    if (qy_pt_is_table(format, at.entry, at.level))
        return clone_table(c, base, &at);
    if (qy_is_present(format, at.entry))
        return clone_large(c, base, &at);
    uint64_t mark = qy_entry_mark(format, at.entry);
    qy_table_unlock(at.table);
    if (qy_mark_kind(mark) == QY_MARK_MOVING)
        return QY_BUSY;
    uint64_t stop = *next < end ? *next : end;
    return qy_vm_put(c->to, start, stop, qy_mark_at(mark, (start - base.raw) >> QY_PAGE_SHIFT));
}

/* The same indices mean the same objects in both. */
static enum qy_error clone_bindings(struct qy_space *to, struct qy_space *from)
{
    for (unsigned page = 0; page < QY_BINDING_PAGES; page++) {
        const struct qy_binding *source = from->bindings[page];
        if (!source)
            continue;
        if (!to->bindings[page]) {
            enum qy_error error = qy_binding_page_add(to, page);
            if (error != QY_OK)
                return error;
            memcpy(to->bindings[page], source, QY_PAGE_BYTES);
        } else if (memcmp(to->bindings[page], source, QY_PAGE_BYTES) != 0) {
            return QY_INVALID_ARGUMENT;
        }
    }
    return QY_OK;
}

/* Empty a part of `to`, holes or not. */
static enum qy_error clear(struct qy_space *to, uint64_t start, uint64_t end)
{
    start = start < QY_PAGE_BYTES ? QY_PAGE_BYTES : start;
    enum qy_error error = start < end ? qy_space_unmap_region(to, start, end - start) : QY_OK;
    return error == QY_NOT_MAPPED ? QY_OK : error;
}

/* What leaf tables brought along beyond the range. */
static enum qy_error trim(const struct cloning *c)
{
    uint64_t whole = qy_pt_page_bytes(2);
    enum qy_error error = QY_OK;
    if (c->low)
        error = clear(c->to, qy_align_down(c->start, whole), c->start);
    if (c->high && error == QY_OK)
        error = clear(c->to, c->end, qy_align_up(c->end, whole));
    return error;
}

/* All that came goes again: whole tables and marks, so that nothing has to be split. */
static void clone_undo(const struct cloning *c, uint64_t at)
{
    uint64_t whole = qy_pt_page_bytes(2);
    uint64_t start = c->low ? qy_align_down(c->start, whole) : c->start;
    uint64_t end = c->high ? qy_align_up(c->end, whole) : at < c->end ? at : c->end;
    enum qy_error error = clear(c->to, start, end);
    if (error != QY_OK && error != QY_REVOKED)
        qy_port_broken("ATOMIC", "a clone cannot be undone, at", start);
}

enum qy_error qy_space_clone(struct qy_space *to, struct qy_space *from, uint64_t start,
                             uint64_t end)
{
    enum qy_error error =
        start < end ? qy_vm_range_check(to, start, end - start) : QY_INVALID_ADDRESS;
    struct cloning c = {.to = to, .from = from, .start = start, .end = end};
    uint64_t whole = qy_pt_page_bytes(2);
    if (error != QY_OK)
        return error;
    if (to == from || to->format != from->format || to->vm != from->vm)
        return QY_INVALID_ARGUMENT;
    error = qy_vm_next(to, start, end) == end ? clone_bindings(to, from) : QY_ALREADY_MAPPED;
    uint64_t at = start, next = start;
    while (error == QY_OK && (at = qy_vm_next(from, at, end)) < end) {
        qy_vm_enter(to->vm);
        error = clone_entry(&c, at, end, &next);
        qy_vm_leave(to->vm);
        if (error == QY_OK) {
            at = next;
        } else if (error == QY_BUSY) {
            error = QY_OK;
            qy_port_relax();
        }
    }
    if (c.flush)
        qy_vm_flush(from, vaddr(qy_align_down(start, whole)), qy_align_up(end, whole), false);
    if (error == QY_OK)
        error = trim(&c);
    if (error != QY_OK)
        clone_undo(&c, at);
    return error;
}
