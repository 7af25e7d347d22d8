/*
 * Taking frames and tables away from whoever has them, in steps of bounded length.
 *
 *     frame: its reverse map names table and index   up to QY_REVOKE_BATCH entries of one table become `revoked`, together
 *     table: its parents                             from below: a table that has none below it at each step
 *
 * Entries change under their table's lock; then each space that has the table forgets them, by one shootdown; then
 * the mappings are removed. The list of a table's parents is read from the oldest on: new ones come in front, and who
 * leaves has made its own CPUs forget. Between two steps everything is valid, and whatever has been taken away stays
 * so: an entry that is `revoked` does not fill again by itself. Cost of a step: O(QY_REVOKE_BATCH + QY_PT_ENTRIES),
 * and a shootdown a parent.
 */
#include "vm_impl.h"

/* Every space that has the table forgets what it translates from `index` to `last`. */
static void flush_everywhere(struct qy_vm *vm, struct qy_table *table, unsigned index,
                             unsigned last, bool tables)
{
    uint64_t bytes = qy_pt_page_bytes(table->level);
    unsigned count = table->space ? 1 : qy_rmap_count(&table->parents);
    for (unsigned n = count; n-- > 0;) {
        vaddr_t base;
        struct qy_space *space = qy_table_place(vm, table, n, &base);
        if (space)
            qy_vm_flush(space, vaddr(base.raw + index * bytes), base.raw + (last + 1) * bytes,
                        tables ? 0 : table->level);
    }
}

/* Mappings of one block in one table, on their way out. */
struct leaving {
    struct qy_table *table;
    bool revoked; /* entries become marks `revoked`; else what they were before */
    bool foreign;
    unsigned count, low, high; /* low above high: no CPU can know them */
    uint64_t mappings[QY_REVOKE_BATCH];
};

/* The table is locked. If somebody else has the entry in hand it comes again. */
static void take_entry(struct qy_vm *vm, struct leaving *l, const _Atomic uint64_t *word,
                       uint64_t mapping)
{
    const struct qy_pt_format *format = vm->format;
    struct qy_table *table = l->table;
    unsigned index = qy_mapping_index(mapping);
    uint64_t entry = qy_slot_get(qy_table_slots(table) + index);
    pfn_t frame;
    bool foreign;
    if (!qy_entry_holds(format, entry, table->level, &frame, &foreign) ||
        qy_is_moving(format, entry) || qy_frame_rmap(vm->db, frame) != word)
        return;
    bool present = qy_is_present(format, entry);
    uint64_t mark = qy_table_origin(table, index);
    if (l->revoked)
        mark = (mark & ~(15ull << QY_MARK_KIND_SHIFT)) | (uint64_t)QY_MARK_REVOKED
                                                             << QY_MARK_KIND_SHIFT;
    unsigned rights =
        present ? qy_entry_rights(format, entry) : qy_mark_rights(qy_entry_mark(format, entry));
    qy_table_set(format, table, index, qy_mark_entry(format, qy_mark_with_rights(mark, rights)));
    if (!foreign && table->level > 1)
        qy_vm_drop_aside(vm, table);
    l->foreign = foreign;
    l->mappings[l->count++] = mapping;
    if (present && index < l->low)
        l->low = index;
    if (present && index > l->high)
        l->high = index;
}

/* CPUs forget them, and they are no mappings any more. *own: the last one of all of a private frame was among them. */
static void let_leave(struct qy_vm *vm, const struct leaving *l, _Atomic uint64_t *word, bool *own)
{
    struct qy_rmap_node *freed;
    bool last;
    if (l->low <= l->high)
        flush_everywhere(vm, l->table, l->low, l->high, false);
    for (unsigned i = 0; word && i < l->count; i++) { /* raw frames have no reverse map */
        if (!qy_rmap_remove(word, l->mappings[i], &freed, &last))
            continue; /* its table was torn down meanwhile */
        qy_vm_node_return(vm, freed);
        *own |= last && !l->foreign;
    }
}

bool qy_vm_take_mapping(struct qy_vm *vm, _Atomic uint64_t *word, uint64_t mapping, bool revoked,
                        bool *own)
{
    struct leaving l = {.table = qy_table_of(vm->db, qy_mapping_table(mapping)),
                        .revoked = revoked,
                        .low = QY_PT_ENTRIES};
    qy_table_lock(l.table);
    take_entry(vm, &l, word, mapping);
    qy_table_unlock(l.table);
    let_leave(vm, &l, word, own);
    return l.count != 0;
}

/* As many as are in one table, first in the list. */
static void take_mappings(struct qy_vm *vm, _Atomic uint64_t *word, uint64_t first, bool *own)
{
    struct leaving l = {.table = qy_table_of(vm->db, qy_mapping_table(first)),
                        .revoked = true,
                        .low = QY_PT_ENTRIES};
    uint64_t mapping;
    qy_table_lock(l.table);
    for (unsigned i = 0; i < QY_REVOKE_BATCH && qy_rmap_at(word, i, &mapping); i++) {
        if (qy_mapping_table(mapping).raw != l.table->frame.raw)
            break;
        take_entry(vm, &l, word, mapping);
    }
    qy_table_unlock(l.table);
    let_leave(vm, &l, word, own);
}

/* A block's mapping at an address of a space, taken back from there on. */
struct taking {
    struct qy_space *space;
    pfn_t frame;
    uint64_t start, at, end;
    bool found;
};

/* Pages of one table, up to a batch. BUSY: again. ALREADY_MAPPED: the table is shared. */
static enum qy_error take_back_some(struct taking *t)
{
    struct qy_space *space = t->space;
    const struct qy_pt_format *format = space->format;
    struct qy_at at;
    _Atomic uint64_t *word = qy_frame_rmap(space->vm->db, t->frame);
    bool own = false;
    if (!qy_vm_lock_at(space, vaddr(t->at), 1, &at))
        return QY_REVOKED;
    enum qy_error error = qy_table_is_shared(at.table)     ? QY_ALREADY_MAPPED
                          : qy_is_moving(format, at.entry) ? QY_BUSY
                                                           : QY_OK;
    struct leaving l = {.table = at.table, .revoked = true, .low = QY_PT_ENTRIES};
    const uint64_t bytes = qy_pt_page_bytes(at.level);
    for (unsigned i = at.index;
         error == QY_OK && i < QY_PT_ENTRIES && t->at < t->end && l.count < QY_REVOKE_BATCH; i++) {
        uint64_t entry = qy_slot_get(qy_table_slots(at.table) + i);
        pfn_t held;
        bool foreign;
        if (qy_pt_is_table(format, entry, at.level) || qy_is_moving(format, entry))
            break;
        if (qy_entry_holds(format, entry, at.level, &held, &foreign) && foreign &&
            held.raw == t->frame.raw + ((t->at - t->start) >> QY_PAGE_SHIFT))
            take_entry(space->vm, &l, word, qy_mapping(at.table->frame, i));
        t->at = qy_align_down(t->at, bytes) + bytes;
    }
    qy_table_unlock(at.table);
    let_leave(space->vm, &l, word, &own);
    t->found |= l.count != 0;
    return error;
}

enum qy_error qy_space_revoke_frame(struct qy_space *space, uint64_t address, uint64_t bytes,
                                    pfn_t frame)
{
    struct taking t = {space, frame, address, address, address + bytes, false};
    enum qy_error error = qy_vm_range_check(space, address, bytes);
    while (error == QY_OK && t.at < t.end) {
        qy_vm_enter(space->vm);
        error = take_back_some(&t);
        qy_vm_leave(space->vm);
        if (error == QY_ALREADY_MAPPED) {
            error = qy_vm_unshare(space, vaddr(t.at), false);
        } else if (error == QY_BUSY) {
            qy_port_relax();
            error = QY_OK;
        }
    }
    return error != QY_OK || t.found ? error : QY_NOT_MAPPED;
}

/* The entry that a mapping names, if it leads to the table: its table locked, and that one below it. */
static struct qy_table *lock_parent(struct qy_vm *vm, struct qy_table *table, uint64_t mapping)
{
    const struct qy_pt_format *format = vm->format;
    struct qy_table *above = qy_table_of(vm->db, qy_mapping_table(mapping));
    qy_table_lock(above);
    uint64_t entry = qy_slot_get(qy_table_slots(above) + qy_mapping_index(mapping));
    if (qy_pt_is_table(format, entry, above->level) &&
        qy_entry_frame(format, entry).raw == table->frame.raw) {
        qy_table_lock(table);
        return above;
    }
    qy_table_unlock(above);
    return NULL;
}

/* Is there nothing in it but marks that something was taken away? They go with it. */
static bool is_spent(const struct qy_pt_format *format, const struct qy_table *table)
{
    const _Atomic uint64_t *slots = qy_table_slots(table);
    for (unsigned i = 0, left = table->live; left > 0; i++) {
        uint64_t entry = qy_slot_get(&slots[i]);
        if (entry && (qy_is_present(format, entry) || qy_entry_kind(entry) != QY_MARK_REVOKED))
            return false;
        left -= entry != 0;
    }
    return true;
}

/* NOT_FOUND: again. */
static enum qy_error remove_table(struct qy_vm *vm, struct qy_table *table, uint64_t mapping)
{
    struct qy_rmap_node *freed;
    unsigned index = qy_mapping_index(mapping);
    struct qy_table *above = lock_parent(vm, table, mapping);
    if (!above)
        return QY_NOT_FOUND;
    bool may_go = !qy_table_is_shared(table) && is_spent(vm->format, table);
    enum qy_error error = may_go ? QY_OK : QY_BUSY;
    if (error == QY_OK) {
        for (unsigned i = 0; table->live > 0; i++)
            qy_table_set(vm->format, table, i, 0);
        qy_table_set(vm->format, above, index, 0);
        if (!qy_rmap_remove(&table->parents, mapping, &freed, NULL))
            qy_port_broken("VM-TREE", "a table does not know its parent, frame", table->frame.raw);
        qy_vm_node_return(vm, freed);
    }
    qy_table_unlock(table);
    qy_table_unlock(above);
    if (error == QY_OK) {
        flush_everywhere(vm, above, index, index, true);
        qy_table_retire(vm, table);
    }
    return error;
}

enum qy_error qy_vm_remove_table(struct qy_vm *vm, pfn_t frame)
{
    enum qy_error error = QY_NOT_FOUND;
    while (error == QY_NOT_FOUND) {
        uint64_t mapping;
        qy_vm_enter(vm);
        struct qy_table *table =
            qy_frame_state(vm->db, frame) == QY_FRAME_TABLE ? qy_table_of(vm->db, frame) : NULL;
        if (!table || table->space || !qy_rmap_at(&table->parents, 0, &mapping))
            error = QY_NOT_MAPPED;
        else
            error = remove_table(vm, table, mapping);
        qy_vm_leave(vm);
        if (error == QY_NOT_FOUND)
            qy_port_relax();
    }
    return error;
}

/* One parent less. */
static bool revoke_parent(struct qy_vm *vm, struct qy_table *table, uint64_t mapping)
{
    const struct qy_pt_format *format = vm->format;
    unsigned index = qy_mapping_index(mapping);
    uint64_t moving =
        qy_mark_entry(format, qy_held_mark(QY_MARK_MOVING, table->frame, 0, qy_port_cpu(), false));
    struct qy_table *above = lock_parent(vm, table, mapping);
    if (!above)
        return false;
    qy_table_set(format, above, index, moving);
    qy_table_unlock(table);
    qy_table_unlock(above);
    flush_everywhere(vm, above, index, index, true);
    qy_table_lock(above);
    if (qy_slot_get(qy_table_slots(above) + index) == moving) {
        struct qy_gone gone;
        qy_gone_begin(&gone);
        qy_vm_let_go_table(vm, above, index, table->frame, &gone);
        qy_gone_end(vm, &gone);
        qy_table_set(format, above, index,
                     qy_mark_entry(format, (uint64_t)QY_MARK_REVOKED << QY_MARK_KIND_SHIFT));
    }
    qy_table_unlock(above);
    return true;
}

/* The first entry of a table that leads to another; QY_PT_ENTRIES: none does. */
static unsigned first_table(const struct qy_vm *vm, const struct qy_table *table)
{
    unsigned index = table->level > 1 ? 0 : QY_PT_ENTRIES;
    while (index < QY_PT_ENTRIES &&
           !qy_pt_is_table(vm->format, qy_slot_get(qy_table_slots(table) + index), table->level))
        index++;
    return index;
}

/*
 * The table that is reached by first entries and has none below it; *mapping: the entry that leads there, if that is
 * not `table`.
 */
static struct qy_table *lowest_below(const struct qy_vm *vm, struct qy_table *table,
                                     uint64_t *mapping)
{
    unsigned index;
    while ((index = first_table(vm, table)) < QY_PT_ENTRIES) {
        uint64_t entry = qy_slot_get(qy_table_slots(table) + index);
        if (!qy_pt_is_table(vm->format, entry, table->level)) /* not any more */
            continue;
        *mapping = qy_mapping(table->frame, index);
        table = qy_table_of(vm->db, qy_entry_frame(vm->format, entry));
    }
    return table;
}

/* True: it is nobody's table any more. */
static bool revoke_table_step(struct qy_vm *vm, pfn_t frame)
{
    uint64_t mapping;
    qy_vm_enter(vm);
    struct qy_table *table = qy_table_of(vm->db, frame);
    atomic_thread_fence(memory_order_acquire);
    /* A frame that has been freed meanwhile has another state before its word is a link. */
    bool there = qy_frame_state(vm->db, frame) == QY_FRAME_TABLE && table && !table->space;
    bool done = there && qy_rmap_at(&table->parents, 0, &mapping);
    if (there && !done)
        qy_vm_leave_aside(vm, table);
    if (done) {
        table = lowest_below(vm, table, &mapping);
        done = revoke_parent(vm, table, mapping);
    }
    qy_vm_leave(vm);
    if (there && !done)
        (void)qy_vm_reclaim(vm);
    return !there;
}

bool qy_vm_revoke_step(struct qy_vm *vm, pfn_t frame, bool *own)
{
    _Atomic uint64_t *word = qy_frame_rmap(vm->db, frame);
    uint64_t mapping;
    if (!word)
        return qy_frame_state(vm->db, frame) != QY_FRAME_TABLE || revoke_table_step(vm, frame);
    qy_vm_enter(vm);
    bool more = qy_rmap_at(word, 0, &mapping);
    if (more)
        take_mappings(vm, word, mapping, own);
    qy_vm_leave(vm);
    return !more;
}

bool qy_vm_revoke(struct qy_vm *vm, pfn_t frame)
{
    bool own = false;
    while (!qy_vm_revoke_step(vm, frame, &own))
        qy_port_relax();
    return own;
}

bool qy_vm_revoke_arena_step(struct qy_vm *vm, struct qy_arena *arena, uint64_t *cursor)
{
    bool own = false;
    if (*cursor < arena->base.raw)
        *cursor = arena->base.raw;
    if (*cursor >= arena->end.raw)
        return true;
    struct qy_found f = qy_framedb_find(vm->db, *cursor);
    if (f.owner == arena && f.state == QY_FRAME_TABLE) {
        if (!revoke_table_step(vm, pfn(f.start)))
            return false;
    } else if (f.owner == arena && f.state == QY_FRAME_USER) {
        bool done = qy_vm_revoke_step(vm, pfn(f.start), &own);
        /* A large page may have been divided meanwhile. Larger it has not become: the arena is dying. */
        unsigned order = qy_tag_order(qy_load(&vm->db->frames[f.start].tag));
        f.order = order < f.order ? order : f.order;
        if (own)
            qy_vm_frame_free(vm, pfn(f.start), QY_FRAME_USER);
        if (!done && !own)
            return false;
    }
    *cursor = f.start + (1ull << f.order);
    return *cursor >= arena->end.raw;
}
