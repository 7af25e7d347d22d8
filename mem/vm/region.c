/*
 * Regions: reserve, unmap and protect ranges of any length.
 *
 *     cover: the lowest table that has all of the range; it is locked, then those below it in the range
 *     plan:  walk, refuse, count the tables that marks have to be split into
 *     apply: walk again; entries that lose something become `moving`
 *     flush: without locks
 *     finish: lock and walk once more; what this CPU has moved is let go
 *
 * A table that an unmap covers is moved as a whole, locked or not: whoever is inside it finishes in a
 * tree that nobody sees any more, and is torn down with it. A table of level 1 that is shared is
 * made the space's own before the plan, by a copy that changes no translation.
 */
#include "vm_impl.h"

enum what { PUT, UNMAP, PROTECT, FINISH_UNMAP, FINISH_PROTECT };

struct op {
    struct qy_space *space;
    enum what what;
    bool apply;
    uint64_t start, end;
    uint64_t mark;   /* PUT */
    unsigned rights; /* PROTECT */
    unsigned tables; /* planned */
    struct qy_table *reserve;
    uint64_t found;   /* entries that are not empty */
    bool flush;       /* a CPU may know something that is not true any more */
    bool moved;       /* finish is needed */
    bool tables_gone; /* of tables on the way, too */
    bool hollow;      /* a table may have become empty */
    bool again;       /* an entry is moving */
    bool shared;      /* a shared table is in the way, at: */
    uint64_t shared_at;
    enum qy_error error;
};

enum qy_error qy_vm_range_check(const struct qy_space *space, uint64_t start, uint64_t bytes)
{
    if (atomic_load_explicit(&space->dying, memory_order_relaxed))
        return QY_REVOKED;
    if (start < QY_PAGE_BYTES || start >= QY_USER_END || bytes == 0 ||
        bytes > QY_USER_END - start || (start | bytes) & QY_PAGE_MASK)
        return QY_INVALID_ADDRESS;
    return QY_OK;
}

static struct qy_table *child_of(const struct op *op, uint64_t entry)
{
    return qy_table_of(op->space->vm->db, qy_entry_frame(op->space->format, entry));
}

static bool moves_whole(const struct op *op, uint64_t at, uint64_t next, uint64_t bytes)
{
    return op->what == UNMAP && next - at == bytes;
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Lock or unlock the tables below one that is locked, in the range. */
static void lock_below(const struct op *op, struct qy_table *table, uint64_t start, uint64_t end,
                       bool lock)
{
    uint64_t bytes = qy_pt_page_bytes(table->level);
    for (uint64_t at = start, next; table->level > 1 && at < end; at = next) {
        next = min_of(qy_align_down(at, bytes) + bytes, end);
        uint64_t entry = qy_slot_get(qy_table_slots(table) + qy_pt_index(vaddr(at), table->level));
        if (!qy_pt_is_table(op->space->format, entry, table->level) ||
            moves_whole(op, at, next, bytes))
            continue;
        struct qy_table *child = child_of(op, entry);
        if (lock)
            qy_table_lock(child);
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

/* What the entry of a page becomes with new rights; *moving: other CPUs have to forget it first. */
static uint64_t protected_entry(struct op *op, struct qy_table *table, uint64_t entry, bool *moving)
{
    const struct qy_pt_format *format = op->space->format;
    struct qy_framedb *db = op->space->vm->db;
    pfn_t frame = {0};
    bool foreign = false;
    bool kept = !qy_is_present(format, entry);
    (void)qy_entry_holds(format, entry, table->level, &frame, &foreign);
    unsigned had = kept ? 0 : qy_entry_rights(format, entry), rights = op->rights;
    bool gains_exec = rights & QY_PT_EXEC && !(had & QY_PT_EXEC);
    bool gains_write = rights & QY_PT_WRITE && !(had & QY_PT_WRITE);
    *moving = !kept && (gains_exec || !rights);
    if (foreign && (gains_exec || gains_write)) {
        _Atomic uint64_t *word = qy_frame_rmap(db, frame);
        if (!op->apply && !qy_rmap_allows(word, rights & QY_PT_WRITE, rights & QY_PT_EXEC))
            op->error = QY_INVALID_FLAGS;
        /* Refused here, by another space just now: the fault says so. */
        if (op->apply && gains_write && !kept && qy_rmap_class(word, true, false) != QY_OK)
            *moving = true;
    }
    uint64_t type = kept ? qy_entry_mark(format, entry) & QY_TYPE_MASK
                         : (uint64_t)qy_entry_type(format, entry) << QY_TYPE_SHIFT;
    if (kept || *moving)
        return qy_mark_entry(format,
                             type | qy_held_mark(*moving ? QY_MARK_MOVING : QY_MARK_KEPT, frame,
                                                 rights, *moving ? qy_port_cpu() : 0, foreign));
    uint64_t bits = entry & (qy_bit_foreign(format));
    bool cow = rights & QY_PT_WRITE && !foreign;
    if (cow && qy_pt_has(format, entry, QY_PT_BIT_WRITE))
        cow = false;
    if (cow)
        rights &= ~(unsigned)QY_PT_WRITE;
    return qy_page_entry(format, frame, table->level, rights | qy_entry_type(format, entry)) |
           bits | (cow ? qy_bit_cow(format) : 0);
}

static bool may_have(uint64_t origin, unsigned rights)
{
    return !(rights & ~(unsigned)(origin >> QY_MARK_MAX_SHIFT & 7));
}

static void protect_entry(struct op *op, struct qy_table *table, unsigned index, uint64_t entry)
{
    const struct qy_pt_format *format = op->space->format;
    pfn_t frame;
    bool foreign, moving = false;
    bool holds = qy_entry_holds(format, entry, table->level, &frame, &foreign);
    uint64_t origin = holds ? qy_table_origin(table, index) : qy_entry_mark(format, entry);
    if (!entry) {
        op->error = QY_NOT_MAPPED;
        return;
    }
    if (qy_mark_kind(origin) == QY_MARK_GUARD)
        return;
    if (!may_have(origin, op->rights)) {
        op->error = QY_NO_RIGHTS;
        return;
    }
    if (!holds) {
        if (op->apply)
            qy_table_set(format, table, index,
                         qy_mark_entry(format, qy_mark_with_rights(origin, op->rights)));
        return;
    }
    if (!op->apply && !foreign)
        return;
    uint64_t new = protected_entry(op, table, entry, &moving);
    if (!op->apply || op->error != QY_OK)
        return;
    qy_slot_put(qy_table_slots(table) + index, new); /* it holds what it held */
    op->moved |= moving;
    op->flush |=
        moving || (qy_is_present(format, entry) && qy_entry_rights(format, entry) & ~op->rights);
}

/* An entry holds a frame or, above level 1, a table that has been moved. */
static void let_go(const struct op *op, struct qy_table *table, unsigned index, uint64_t entry)
{
    struct qy_vm *vm = op->space->vm;
    pfn_t frame;
    bool foreign;
    if (!qy_entry_holds(op->space->format, entry, table->level, &frame, &foreign))
        return;
    if (table->level > 1 && qy_frame_state(vm->db, frame) == QY_FRAME_TABLE)
        qy_vm_let_go_table(vm, op->space->format, table, index, frame);
    else
        qy_vm_let_go(vm, table, index, frame, foreign);
}

static void unmap_entry(struct op *op, struct qy_table *table, unsigned index, uint64_t entry)
{
    const struct qy_pt_format *format = op->space->format;
    pfn_t frame;
    bool foreign;
    op->found += entry != 0;
    if (!op->apply || !entry)
        return;
    bool present = qy_entry_holds(format, entry, table->level, &frame, &foreign) &&
                   qy_is_present(format, entry);
    if (!present)
        let_go(op, table, index, entry);
    qy_table_set(format, table, index,
                 present ? qy_mark_entry(format, qy_held_mark(QY_MARK_MOVING, frame, 0,
                                                              qy_port_cpu(), foreign))
                         : 0);
    op->moved |= present;
    op->flush |= present;
    op->hollow |= table->live == 0;
}

/* What this CPU has moved comes to rest. */
static void finish_entry(struct op *op, struct qy_table *table, unsigned index, uint64_t entry)
{
    const struct qy_pt_format *format = op->space->format;
    if (!qy_is_mine(format, entry))
        return;
    uint64_t mark = qy_entry_mark(format, entry);
    if (op->what == FINISH_PROTECT) {
        mark =
            (mark & QY_TYPE_MASK) | qy_held_mark(QY_MARK_KEPT, pfn(mark & QY_MARK_OFFSET_MASK),
                                                 qy_mark_rights(mark), 0, mark & QY_HELD_FOREIGN);
        qy_table_set(format, table, index, qy_mark_entry(format, mark));
        return;
    }
    let_go(op, table, index, entry);
    qy_table_set(format, table, index, 0);
    op->hollow |= table->live == 0;
}

static void visit(struct op *op, struct qy_table *table, unsigned index, uint64_t entry,
                  uint64_t at)
{
    if (op->what >= FINISH_UNMAP) {
        finish_entry(op, table, index, entry);
    } else if (qy_is_moving(op->space->format, entry)) {
        op->again = true;
        op->error = QY_BUSY;
    } else if (op->what == UNMAP) {
        unmap_entry(op, table, index, entry);
    } else if (op->what == PROTECT) {
        protect_entry(op, table, index, entry);
    } else if (entry) {
        op->error = QY_ALREADY_MAPPED;
    } else if (op->apply) {
        qy_table_set(op->space->format, table, index,
                     qy_mark_entry(op->space->format,
                                   qy_mark_at(op->mark, (at - op->start) >> QY_PAGE_SHIFT)));
    }
}

static void walk(struct op *op, struct qy_table *table, uint64_t start, uint64_t end);

/* A part of what an entry stands for changes. */
static void visit_part(struct op *op, struct qy_table *table, unsigned index, uint64_t entry,
                       uint64_t at, uint64_t next)
{
    const struct qy_pt_format *format = op->space->format;
    if (op->what >= FINISH_UNMAP || (op->what == UNMAP && !entry))
        return;
    if (qy_is_moving(format, entry)) {
        op->again = true;
        op->error = QY_BUSY;
    } else if (qy_is_present(format, entry)) {
        op->error = QY_BUSY;
    } else if (op->what == PROTECT && !entry) {
        op->error = QY_NOT_MAPPED;
    } else if (op->what == PUT && entry) {
        op->error = QY_ALREADY_MAPPED;
    } else if (!op->apply) {
        op->tables += tables_for(table->level, at, next);
        op->found += entry != 0;
        if (op->what == PROTECT && !may_have(qy_entry_mark(format, entry), op->rights))
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

static void visit_table(struct op *op, struct qy_table *table, unsigned index, uint64_t entry,
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
    } else if (qy_table_is_shared(child) && op->what < FINISH_UNMAP) {
        op->shared = true;
        op->shared_at = at;
        op->error = QY_BUSY;
    } else {
        walk(op, child, at, next);
        op->hollow |= child->live == 0;
    }
}

static void walk(struct op *op, struct qy_table *table, uint64_t start, uint64_t end)
{
    const struct qy_pt_format *format = op->space->format;
    uint64_t bytes = qy_pt_page_bytes(table->level);
    for (uint64_t at = start, next; at < end && op->error == QY_OK; at = next) {
        next = min_of(qy_align_down(at, bytes) + bytes, end);
        unsigned index = qy_pt_index(vaddr(at), table->level);
        uint64_t entry = qy_slot_get(qy_table_slots(table) + index);
        if (qy_pt_is_table(format, entry, table->level))
            visit_table(op, table, index, entry, at, next);
        else if (next - at == bytes)
            visit(op, table, index, entry, at);
        else
            visit_part(op, table, index, entry, at, next);
    }
}

/* Lock the range's tables; false: the space is dying. */
static bool cover(const struct op *op, struct qy_at *top)
{
    unsigned level = 1;
    while (level < QY_PT_LEVELS && qy_align_down(op->start, qy_pt_page_bytes(level + 1)) !=
                                       qy_align_down(op->end - 1, qy_pt_page_bytes(level + 1)))
        level++;
    /* A table that goes as a whole goes from above. */
    while (op->what == UNMAP && level < QY_PT_LEVELS &&
           op->end - op->start == qy_pt_page_bytes(level + 1))
        level++;
    if (!qy_vm_lock_at(op->space, vaddr(op->start), level, top))
        return false;
    lock_below(op, top->table, op->start, op->end, true);
    return true;
}

static void uncover(const struct op *op, const struct qy_at *top)
{
    lock_below(op, top->table, op->start, op->end, false);
    qy_table_unlock(top->table);
}

/* Plan and apply, with every table of the range locked. */
static enum qy_error change(struct op *op)
{
    struct qy_space *space = op->space;
    struct qy_at top;
    if (!cover(op, &top))
        return QY_REVOKED;
    op->error = QY_OK;
    op->again = op->shared = false;
    op->tables = 0;
    op->found = 0;
    op->apply = false;
    if (top.level == 1 && qy_table_is_shared(top.table)) {
        op->shared = true;
        op->shared_at = op->start;
        op->error = QY_BUSY;
    } else {
        walk(op, top.table, op->start, op->end);
    }
    if (op->error == QY_OK && op->what == UNMAP && op->found == 0)
        op->error = QY_NOT_MAPPED;
    if (op->error == QY_OK)
        op->error = qy_tables_reserve(space->vm, space->budget, op->tables, &op->reserve);
    if (op->error == QY_OK) {
        op->apply = true;
        walk(op, top.table, op->start, op->end);
        op->hollow |= top.table->live == 0;
    }
    uncover(op, &top);
    return op->error;
}

static void finish(struct op *op)
{
    struct qy_at top;
    op->what = op->what == UNMAP ? FINISH_UNMAP : FINISH_PROTECT;
    if (!cover(op, &top)) /* dying: what is moving is torn down with the rest */
        return;
    walk(op, top.table, op->start, op->end);
    op->hollow |= top.table->live == 0;
    uncover(op, &top);
}

static enum qy_error run(struct op *op)
{
    struct qy_space *space = op->space;
    for (;;) {
        qy_vm_enter(space->vm);
        enum qy_error error = change(op);
        qy_vm_leave(space->vm);
        if (error == QY_OK)
            break;
        if (op->shared)
            error = qy_vm_unshare(space, vaddr(op->shared_at), false);
        else if (op->again)
            error = QY_OK;
        if (error != QY_OK)
            return error;
        qy_port_relax();
    }
    if (op->flush)
        qy_vm_flush(space, vaddr(op->start), op->end, op->tables_gone);
    if (op->moved) {
        qy_vm_enter(space->vm);
        finish(op);
        qy_vm_leave(space->vm);
    }
    if (op->hollow) {
        qy_vm_prune(space, vaddr(op->start));
        qy_vm_prune(space, vaddr(op->end - QY_PAGE_BYTES));
    }
    return QY_OK;
}

enum qy_error qy_vm_put(struct qy_space *space, uint64_t start, uint64_t end, uint64_t mark)
{
    struct op op = {.space = space, .what = PUT, .start = start, .end = end, .mark = mark};
    return mark ? run(&op) : QY_OK;
}

enum qy_error qy_space_unmap_region(struct qy_space *space, uint64_t address, uint64_t bytes)
{
    enum qy_error error = qy_vm_range_check(space, address, bytes);
    struct op op = {.space = space, .what = UNMAP, .start = address, .end = address + bytes};
    return error == QY_OK ? run(&op) : error;
}

static bool rights_exist(unsigned rights)
{
    return !(rights & ~(unsigned)QY_RIGHTS) && !(rights && !(rights & QY_PT_READ)) &&
           !(rights & QY_PT_WRITE && rights & QY_PT_EXEC);
}

enum qy_error qy_space_protect_region(struct qy_space *space, uint64_t address, uint64_t bytes,
                                      unsigned rights)
{
    enum qy_error error = qy_vm_range_check(space, address, bytes);
    if (error != QY_OK)
        return error;
    if (!rights_exist(rights))
        return QY_INVALID_FLAGS;
    struct op op = {.space = space,
                    .what = PROTECT,
                    .start = address,
                    .end = address + bytes,
                    .rights = rights};
    return run(&op);
}

static enum qy_error mark_check(const struct qy_mark *mark)
{
    bool bound = mark->kind == QY_MARK_OBJECT || mark->kind == QY_MARK_PAGER;
    if (mark->kind < QY_MARK_ANON || mark->kind > QY_MARK_GUARD || mark->binding > QY_BINDING_MAX ||
        mark->region > QY_REGION_MAPPED || mark->offset > QY_MARK_OFFSET_MASK ||
        (mark->shared && !bound))
        return QY_INVALID_ARGUMENT;
    if (!rights_exist(mark->rights) || mark->max & ~(unsigned)QY_RIGHTS ||
        mark->rights & ~mark->max)
        return QY_INVALID_FLAGS;
    return QY_OK;
}

/* The first gap at or above `from` that has room; 0: there is none. */
static uint64_t gap(struct qy_space *space, uint64_t from, uint64_t bytes, uint64_t align)
{
    uint64_t start = qy_align_up(from, align), at = start;
    while (start < QY_USER_END && bytes <= QY_USER_END - start && at < start + bytes) {
        unsigned level;
        paddr_t table;
        uint64_t entry = qy_vm_peek(space, at, &level, &table);
        at = qy_align_down(at, qy_pt_page_bytes(level)) + qy_pt_page_bytes(level);
        if (entry)
            at = start = qy_align_up(at, align);
    }
    return start < QY_USER_END && bytes <= QY_USER_END - start ? start : 0;
}

/* Where regions are put that may lie anywhere: above what programs are linked to. */
#define CHOOSE_BASE 0x10000000000ull

static uint64_t choose(struct qy_space *space, uint64_t bytes)
{
    unsigned level = 1;
    while (level < QY_PT_LEVELS && bytes >= qy_pt_page_bytes(level + 1))
        level++;
    qy_vm_enter(space->vm);
    uint64_t hint = atomic_load_explicit(&space->hint, memory_order_relaxed);
    uint64_t at =
        gap(space, hint > CHOOSE_BASE ? hint : CHOOSE_BASE, bytes, qy_pt_page_bytes(level));
    if (!at)
        at = gap(space, CHOOSE_BASE, bytes, qy_pt_page_bytes(level));
    if (!at)
        at = gap(space, QY_PAGE_BYTES, bytes, QY_PAGE_BYTES);
    qy_vm_leave(space->vm);
    atomic_store_explicit(&space->hint, at + bytes, memory_order_relaxed);
    return at;
}

enum qy_error qy_space_map_region(struct qy_space *space, uint64_t *address, uint64_t bytes,
                                  const struct qy_mark *mark)
{
    bool any = *address == 0;
    enum qy_error error = qy_vm_range_check(space, any ? QY_PAGE_BYTES : *address, bytes);
    if (error == QY_OK)
        error = mark_check(mark);
    if (error != QY_OK)
        return error;
    if (!space->delegated)
        return QY_UNSUPPORTED;
    for (;;) {
        uint64_t at = any ? choose(space, bytes) : *address;
        if (!at)
            return QY_OUT_OF_MEMORY;
        error = qy_vm_put(space, at, at + bytes, qy_mark_pack(mark));
        if (error == QY_ALREADY_MAPPED && any)
            continue;
        if (error == QY_OK)
            *address = at;
        return error;
    }
}
