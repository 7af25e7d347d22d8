/*
 * The steps of a change of a range of any length.
 *
 *     cover: the lowest table that has all of the range; it is locked, then those below it in the range
 *     plan:  walk, refuse, count the tables that marks have to be split into
 *     apply: walk again; entries that lose something become `moving`
 *     flush: without locks
 *     finish: lock and walk once more; what this CPU has moved is let go
 *
 * A table that an unmap covers is moved as a whole, locked or not: whoever is inside it finishes in a
 * tree that nobody sees any more, and which is taken apart afterwards, a table at a time. A table of level 1
 * that is shared is made the space's own before the plan, by a copy that changes no translation; a large page that
 * reaches out of the range is split likewise.
 *
 * What is longer than QY_RANGE_LONG is done in parts, first to look and then to change (long.c).
 */
#include "range_impl.h"

static struct qy_table *child_of(const struct qy_range *op, uint64_t entry)
{
    return qy_table_of(op->space->vm->db, qy_entry_frame(op->space->format, entry));
}

static bool moves_whole(const struct qy_range *op, uint64_t at, uint64_t next, uint64_t bytes)
{
    return op->what == QY_RANGE_UNMAP && !op->only && next - at == bytes;
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Lock or unlock the tables below one that is locked, in the range. */
static void lock_below(const struct qy_range *op, struct qy_table *table, uint64_t start,
                       uint64_t end, bool lock)
{
    uint64_t bytes = qy_pt_page_bytes(table->level);
    for (uint64_t at = start, next; at < end; at = next) {
        next = min_of(qy_align_down(at, bytes) + bytes, end);
        uint64_t entry = qy_slot_get(qy_table_slots(table) + qy_pt_index(vaddr(at), table->level));
        if (!qy_pt_is_table(op->space->format, entry, table->level) ||
            moves_whole(op, at, next, bytes))
            continue;
        struct qy_table *child = child_of(op, entry);
        if (lock)
            qy_table_lock(child);
        if (child->level > 1)
            lock_below(op, child, at, next, lock);
        if (!lock)
            qy_table_unlock(child);
    }
}

/* Tables that a mark of `level` is split into, when a part of it changes. */
static unsigned tables_for(unsigned level, uint64_t start, uint64_t end)
{
    uint64_t bytes = qy_pt_page_bytes(level - 1);
    uint64_t first = qy_align_down(start, bytes), last = qy_align_down(end - 1, bytes);
    unsigned count = 1;
    if (level == 2)
        return count;
    bool whole_first = start == first && end >= first + bytes;
    if (!whole_first)
        count += tables_for(level - 1, start, min_of(end, first + bytes));
    if (last != first && end != last + bytes)
        count += tables_for(level - 1, last, end);
    return count;
}

static void walk(struct qy_range *op, struct qy_table *table, uint64_t start, uint64_t end);

/* A part of what an entry stands for changes. */
static void visit_part(struct qy_range *op, struct qy_table *table, unsigned index, uint64_t entry,
                       uint64_t at, uint64_t next)
{
    const struct qy_pt_format *format = op->space->format;
    pfn_t frame;
    bool foreign;
    if (op->what >= QY_RANGE_FINISH_UNMAP || (op->what == QY_RANGE_UNMAP && !entry))
        return;
    if (qy_is_moving(format, entry)) {
        op->again = true;
        op->error = QY_BUSY;
    } else if (op->only) {
        op->error = QY_NOT_MAPPED;
    } else if (op->pass == QY_RANGE_SURE || (op->what == QY_RANGE_PROTECT && !entry)) {
        qy_range_refuse(op, QY_NOT_MAPPED); /* sure: it was split, and is another by now */
    } else if (op->what == QY_RANGE_PUT && entry) {
        op->error = QY_ALREADY_MAPPED;
    } else if (qy_entry_holds(format, entry, table->level, &frame, &foreign)) {
        op->large = true;
        op->at = at;
        op->error = QY_BUSY;
    } else if (!op->apply) {
        op->tables += tables_for(table->level, at, next);
        op->found += entry != 0;
        if (op->what == QY_RANGE_PROTECT &&
            !qy_mark_may_have(qy_entry_mark(format, entry), op->rights))
            op->error = QY_NO_RIGHTS;
    } else {
        struct qy_table *child = op->reserve;
        op->reserve = child->next;
        qy_table_fill(format, child, table->level - 1u, qy_entry_mark(format, entry));
        qy_table_lock(child);
        qy_table_link(format, table, index, child);
        walk(op, child, at, next);
    }
}

static void visit_table(struct qy_range *op, struct qy_table *table, unsigned index, uint64_t entry,
                        uint64_t at, uint64_t next)
{
    struct qy_table *child = child_of(op, entry);
    if (moves_whole(op, at, next, qy_pt_page_bytes(table->level))) {
        op->found++;
        if (!op->apply)
            return;
        /* Whoever holds the child's lock may have checked this entry: they finish first. */
        qy_table_lock(child);
        qy_table_set(op->space->format, table, index,
                     qy_mark_entry(op->space->format, qy_held_mark(QY_MARK_MOVING, child->frame, 0,
                                                                   qy_port_cpu(), false)));
        qy_table_unlock(child);
        op->moved = op->flush = op->tables_gone = true;
    } else if (qy_table_is_shared(child) && op->what < QY_RANGE_FINISH_UNMAP) {
        op->shared = true;
        op->at = at;
        op->error = QY_BUSY;
    } else {
        walk(op, child, at, next);
        op->hollow |= qy_table_may_go(child);
    }
}

static void walk(struct qy_range *op, struct qy_table *table, uint64_t start, uint64_t end)
{
    const struct qy_pt_format *format = op->space->format;
    uint64_t bytes = qy_pt_page_bytes(table->level);
    if (table->level == 1 && !op->only) {
        qy_range_leaf(op, table, start, end);
        return;
    }
    for (uint64_t at = start, next; at < end && op->error == QY_OK; at = next) {
        next = min_of(qy_align_down(at, bytes) + bytes, end);
        unsigned index = qy_pt_index(vaddr(at), table->level);
        uint64_t entry = qy_slot_get(qy_table_slots(table) + index);
        if (qy_pt_is_table(format, entry, table->level))
            visit_table(op, table, index, entry, at, next);
        else if (next - at == bytes)
            qy_range_visit(op, table, index, entry, at);
        else
            visit_part(op, table, index, entry, at, next);
    }
}

/* Lock the range's tables; false: the space is dying. */
static bool cover(const struct qy_range *op, struct qy_at *top)
{
    unsigned level = 1;
    while (level < QY_PT_LEVELS && qy_align_down(op->start, qy_pt_page_bytes(level + 1)) !=
                                       qy_align_down(op->end - 1, qy_pt_page_bytes(level + 1)))
        level++;
    /* A table that goes as a whole goes from above. */
    while (op->what == QY_RANGE_UNMAP && !op->only && level < QY_PT_LEVELS &&
           op->end - op->start == qy_pt_page_bytes(level + 1))
        level++;
    if (!qy_vm_lock_at(op->space, vaddr(op->start), level, top))
        return false;
    if (top->level > 1)
        lock_below(op, top->table, op->start, op->end, true);
    return true;
}

static void uncover(const struct qy_range *op, const struct qy_at *top)
{
    if (top->level > 1)
        lock_below(op, top->table, op->start, op->end, false);
    qy_table_unlock(top->table);
}

/* Plan and apply, with every table of the range locked. */
static enum qy_error change(struct qy_range *op)
{
    struct qy_space *space = op->space;
    struct qy_at top;
    if (!cover(op, &top))
        return QY_REVOKED;
    op->error = QY_OK;
    op->again = op->shared = op->large = false;
    op->tables = 0;
    op->found = 0;
    op->apply = op->pass == QY_RANGE_SURE;
    if (top.level == 1 && qy_table_is_shared(top.table)) {
        op->shared = true;
        op->at = op->start;
        op->error = QY_BUSY;
    } else {
        walk(op, top.table, op->start, op->end);
    }
    if (op->error == QY_OK && op->what == QY_RANGE_UNMAP && op->found == 0)
        op->error = QY_NOT_MAPPED;
    bool more = !op->apply && op->pass != QY_RANGE_LOOK;
    if (op->error == QY_OK && more)
        op->error = qy_tables_reserve(space->vm, space->budget, op->tables, &op->reserve);
    if (op->error == QY_OK && more) {
        op->apply = true;
        walk(op, top.table, op->start, op->end);
    }
    op->hollow |= qy_table_may_go(top.table);
    uncover(op, &top);
    return op->error;
}

static void finish(struct qy_range *op)
{
    struct qy_at top;
    op->what = op->what == QY_RANGE_UNMAP ? QY_RANGE_FINISH_UNMAP : QY_RANGE_FINISH_PROTECT;
    if (!cover(op, &top)) /* dying: what is moving is torn down with the rest */
        return;
    walk(op, top.table, op->start, op->end);
    op->hollow |= qy_table_may_go(top.table);
    uncover(op, &top);
}

/* All entries of a block are pages of one level; else there may be any. */
static unsigned level_of(const struct qy_range *op)
{
    unsigned level = 1;
    while (op->only && qy_pt_page_bytes(level) * op->mappings < op->end - op->start)
        level++;
    return level;
}

static enum qy_error run(struct qy_range *op)
{
    struct qy_space *space = op->space;
    op->mappings = 1;
    for (;;) {
        qy_vm_enter(space->vm);
        enum qy_error error = change(op);
        qy_vm_leave(space->vm);
        if (error == QY_OK)
            break;
        if (op->shared)
            error = qy_vm_unshare(space, vaddr(op->at), false);
        else if (op->large)
            error = qy_vm_split(space, vaddr(op->at));
        else if (op->again)
            error = QY_OK;
        if (error != QY_OK)
            return error;
        qy_port_relax();
        if (op->pass != QY_RANGE_BOTH)
            qy_vm_pause(space->vm);
    }
    if (op->flush)
        qy_vm_flush(space, vaddr(op->start), op->end, op->tables_gone ? 0 : level_of(op));
    if (op->moved) {
        qy_vm_enter(space->vm);
        finish(op);
        qy_vm_leave(space->vm);
    }
    while (qy_gone_step(space->vm, op->gone))
        qy_vm_pause(space->vm);
    if (op->hollow) {
        vaddr_t last = vaddr(op->end - QY_PAGE_BYTES);
        qy_vm_prune(space, vaddr(op->start));
        if (qy_span_base(last, 2).raw > op->start)
            qy_vm_prune(space, last);
    }
    return QY_OK;
}

enum qy_error qy_range_run(struct qy_range *op)
{
    struct qy_gone gone;
    qy_gone_begin(&gone);
    op->gone = &gone;
    enum qy_error error = run(op);
    op->gone = NULL;
    return error;
}
