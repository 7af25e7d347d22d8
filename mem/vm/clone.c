/*
 * Clone: a range of one space appears in another, copy on write.
 *
 *     leaf table        one more parent; no private page of it stays writable
 *     mark              the same mark
 *     large page        mapped a second time if it is FOREIGN; one of the space's own is divided first, and so where it reaches out of the range it is split first
 *
 * Locks of two spaces are never held together: what is to come is made known (a parent, a mapping) under the lock of
 * `from`, and put under that of `to`, if the place is still empty; else it is taken back, and looked at again. Cost:
 * 512 looks a leaf table that is not shared yet, and one node. Failures: all that came goes again.
 */
#include "vm_impl.h"

/* The loop below tells nobody: what it is about to change. */
static void trace_protected(const struct qy_table *table, uint64_t mask, uint64_t write,
                            uint64_t flip)
{
    const _Atomic uint64_t *slots = qy_table_slots(table);
    for (unsigned i = 0; i < QY_PT_ENTRIES; i++) {
        uint64_t entry = atomic_load_explicit(&slots[i], memory_order_relaxed);
        if ((entry & mask) == write)
            qy_slot_trace(&slots[i], entry ^ flip);
    }
}

/*
 * No private page of a table stays writable. BUSY: something in it is moving. UNSUPPORTED: it has raw pages, which a
 * revoke would not find in the clone. What has been done till then is harmless. *flush: some were.
 */
static enum qy_error write_protect(const struct qy_vm *vm, struct qy_table *table, bool *flush)
{
    const struct qy_pt_format *format = vm->format;
    const uint64_t valid = format->valid, write = format->flags[QY_PT_BIT_WRITE].mask | valid;
    const uint64_t mask = write | qy_bit_foreign(format);
    const uint64_t flip = format->flags[QY_PT_BIT_WRITE].mask | qy_bit_cow(format);
    _Atomic uint64_t *slots = qy_table_slots(table);
    if (qy_table_is_shared(table))
        return QY_OK;
    if (qy_traces(QY_TRACE_ENTRIES_CHANGE))
        trace_protected(table, mask, write, flip);
    bool moving = false, was_writable = false, raw = false;
    for (unsigned left = table->held; left > 0; slots++) {
        uint64_t entry = atomic_load_explicit(slots, memory_order_relaxed);
        if ((entry & mask) == write) {
            atomic_store_explicit(slots, entry ^ flip, memory_order_relaxed);
            was_writable = true;
            left--;
        } else if (entry & valid) {
            raw |= entry & qy_bit_foreign(format) &&
                   qy_frame_is_raw(vm->db, qy_entry_frame(format, entry));
            left--;
        } else if (entry && qy_entry_kind(entry) >= QY_MARK_KEPT) {
            pfn_t frame = pfn(qy_entry_mark(format, entry) & QY_MARK_OFFSET_MASK);
            raw |= qy_frame_is_raw(vm->db, frame);
            moving |= qy_entry_kind(entry) == QY_MARK_MOVING;
            left--;
        } else if (qy_is_swapped(format, entry)) {
            left--;
        }
    }
    *flush |= was_writable;
    return raw ? QY_UNSUPPORTED : moving ? QY_BUSY : QY_OK;
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
    struct qy_table *table = qy_table_of(vm->db, qy_entry_frame(vm->format, at->entry));
    struct qy_rmap_node *node;
    enum qy_error error = qy_vm_node_alloc(vm, above->budget, &node);
    if (error != QY_OK)
        return error;
    qy_table_lock(table);
    error = write_protect(vm, table, &c->flush);
    if (error == QY_OK)
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

/*
 * The table of `to` whose entry for base is to have what a locked entry of `from` has; it was empty at a look. Null:
 * not yet (BUSY: it is on its way, look again), or never (*error); the entry is unlocked then.
 */
static struct qy_table *place_for(struct cloning *c, vaddr_t base, struct qy_at *at,
                                  enum qy_error *error)
{
    struct qy_space *to = c->to;
    unsigned level;
    paddr_t at_to;
    uint64_t there = qy_vm_peek(to, base.raw, &level, &at_to);
    struct qy_table *above = qy_table_of(to->vm->db, paddr_to_pfn(at_to));
    if (level == at->level && !there)
        return above;
    qy_table_unlock(at->table);
    *error = QY_BUSY;
    if (qy_is_moving(to->format, there))
        return NULL;
    if (there || (level < at->level && above->live))
        *error = QY_ALREADY_MAPPED;
    else if (level < at->level)
        qy_vm_prune(to, base);
    else
        *error = qy_vm_ensure(to, base, at->level);
    if (*error == QY_OK)
        *error = QY_BUSY;
    return NULL;
}

/* A leaf table, at a locked entry; unlocks. */
static enum qy_error clone_table(struct cloning *c, vaddr_t base, struct qy_at *at)
{
    struct qy_space *to = c->to;
    enum qy_error error;
    struct qy_table *above = place_for(c, base, at, &error);
    if (!above)
        return error;
    struct qy_table *table = qy_table_of(to->vm->db, qy_entry_frame(c->from->format, at->entry));
    error = share(c, at, above);
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

/* What a large page needs in `to` beside its entry. */
struct large {
    uint64_t entry, origin, mapping;
    _Atomic uint64_t *word;
    pfn_t side;
    struct qy_rmap_node *node;
};

/* Put it there, if the place is as it was; else its mapping goes again. */
static enum qy_error put_large(struct qy_space *to, vaddr_t base, unsigned level,
                               const struct qy_table *above, struct large *p)
{
    struct qy_at place;
    struct qy_rmap_node *freed = NULL;
    bool alive = qy_vm_lock_at(to, base, level, &place);
    bool ready = alive && place.table == above && !place.entry &&
                 (p->side.raw || !qy_table_needs_side(place.table, p->origin));
    if (ready) {
        qy_table_remember(place.table, place.index, p->origin, &p->side);
        qy_table_set(to->format, place.table, place.index, p->entry);
    } else if (!qy_rmap_remove(p->word, p->mapping, &freed, NULL)) {
        qy_port_broken("VM-RMAP", "a new mapping has gone, of table", above->frame.raw);
    }
    if (alive)
        qy_table_unlock(place.table);
    qy_vm_node_return(to->vm, freed);
    return ready ? QY_OK : alive ? QY_BUSY : QY_REVOKED;
}

/*
 * A large page, present or kept, and so FOREIGN, at a locked entry; unlocks. Its mapping is known before `from` is
 * unlocked: a revoke finds it.
 */
static enum qy_error clone_large(struct cloning *c, vaddr_t base, struct qy_at *at)
{
    struct qy_vm *vm = c->to->vm;
    const struct qy_pt_format *format = vm->format;
    enum qy_error error;
    struct qy_table *above = place_for(c, base, at, &error);
    if (!above)
        return error;
    pfn_t frame;
    bool foreign, present = qy_is_present(format, at->entry);
    (void)qy_entry_holds(format, at->entry, at->level, &frame, &foreign);
    struct large p = {.entry = at->entry,
                      .origin = qy_table_origin(at->table, at->index),
                      .mapping =
                          qy_block_mapping(vm->db, above->frame, at->index, frame, at->level),
                      .word = qy_frame_rmap(vm->db, frame)};
    error = p.word ? qy_vm_node_alloc(vm, above->budget, &p.node) : QY_UNSUPPORTED; /* raw */
    if (error == QY_OK && qy_table_needs_side(above, p.origin))
        error = qy_vm_frame_alloc(vm, above->budget, QY_FRAME_METADATA, &p.side);
    if (error == QY_OK)
        error =
            qy_rmap_add(p.word, p.mapping, present && qy_pt_has(format, p.entry, QY_PT_BIT_WRITE),
                        present && qy_pt_has(format, p.entry, QY_PT_BIT_EXEC), &p.node);
    qy_table_unlock(at->table);
    if (error == QY_OK)
        error = put_large(c->to, base, at->level, above, &p);
    qy_vm_node_free(vm, above->budget, p.node);
    if (p.side.raw)
        qy_vm_frame_free(vm, p.side, QY_FRAME_METADATA);
    return error;
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
    bool moving = qy_is_moving(format, at.entry), foreign;
    pfn_t frame;
    if (!moving && qy_entry_holds(format, at.entry, at.level, &frame, &foreign)) {
        if (foreign && base.raw >= start && *next <= end)
            return clone_large(c, base, &at);
        qy_table_unlock(
            at.table); /* a part of it, or pages that are copied when they are written */
        enum qy_error error = qy_vm_split(c->from, vaddr(start));
        return error == QY_OK ? QY_BUSY : error;
    }
    qy_table_unlock(at.table);
    if (moving)
        return QY_BUSY;
    uint64_t stop = *next < end ? *next : end;
    return qy_vm_put(
        c->to, start, stop,
        qy_mark_at(qy_entry_mark(format, at.entry), (start - base.raw) >> QY_PAGE_SHIFT));
}

/* The same indices mean the same objects in both. */
static enum qy_error clone_bindings(struct qy_space *to, struct qy_space *from)
{
    enum qy_error error = qy_bindings_copy(to, from);
    if (error != QY_INVALID_ARGUMENT)
        return error;
    error = qy_bindings_sweep(to); /* if what stands in the way means nothing any more */
    return error == QY_OK         ? qy_bindings_copy(to, from)
           : error == QY_TOO_MANY ? QY_INVALID_ARGUMENT
                                  : error;
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
    qy_vm_pause(c->to->vm);
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
    if (at < c->end) /* tables on the way to where it failed, still empty */
        qy_vm_prune(c->to, vaddr(at));
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
    qy_space_claim(to < from ? to : from);
    qy_space_claim(to < from ? from : to);
    error = qy_vm_next(to, start, end) == end ? clone_bindings(to, from) : QY_ALREADY_MAPPED;
    if (!atomic_load_explicit(&to->hint, memory_order_relaxed))
        atomic_store_explicit(&to->hint, atomic_load_explicit(&from->hint, memory_order_relaxed),
                              memory_order_relaxed);
    uint64_t at = start, next = start;
    while (error == QY_OK && (at = qy_vm_next(from, at, end)) < end) {
        qy_vm_enter(to->vm);
        error = clone_entry(&c, at, end, &next);
        qy_vm_leave(to->vm);
        qy_vm_pause(to->vm);
        if (error == QY_OK) {
            at = next;
        } else if (error == QY_BUSY) {
            error = QY_OK;
            qy_port_relax();
        }
    }
    if (c.flush)
        qy_vm_flush(from, vaddr(qy_align_down(start, whole)), qy_align_up(end, whole), 1);
    qy_space_disclaim(from);
    qy_space_disclaim(to);
    if (error == QY_OK)
        error = trim(&c);
    if (error != QY_OK)
        clone_undo(&c, at);
    return error;
}
