/*
 * What becomes of the entries of a range: one of any kind, and tables of level 1 in loops.
 *
 * The loops do what is common by themselves, pages of the space's own, and marks; the rest goes through
 * qy_range_visit. Counters are put right once a table. Cost: 5 to 20 instructions a page and step.
 */
#include "range_impl.h"

/* What the entry of a page becomes with new rights, 0: refused; *moving: other CPUs have to forget it first. */
static uint64_t protected_entry(struct qy_range *op, struct qy_table *table, unsigned index,
                                uint64_t entry, bool *moving)
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
    /* What could be executed is not writable before no CPU executes it, and the reverse. */
    *moving = !kept && (gains_exec || (gains_write && had & QY_PT_EXEC) || !rights);
    _Atomic uint64_t *word = foreign ? qy_frame_rmap(db, frame) : NULL;
    uint64_t mapping = qy_mapping(table->frame, index);
    if (foreign && !word && gains_exec)
        return 0; /* who else may write to a raw frame is not known */
    if (word && (gains_exec || gains_write)) {
        if (!op->apply && !qy_rmap_allows(word, mapping, rights & QY_PT_WRITE, rights & QY_PT_EXEC))
            return 0;
        /* Refused here, by another space just now: the fault says so. */
        if (op->apply && gains_write && !kept && !*moving &&
            qy_rmap_class(word, mapping, true, false) != QY_OK)
            *moving = true;
    }
    uint64_t type = kept ? qy_entry_mark(format, entry) & QY_TYPE_MASK
                         : (uint64_t)qy_entry_type(format, entry) << QY_TYPE_SHIFT;
    if (kept || *moving)
        return qy_mark_entry(format,
                             type | qy_held_mark(*moving ? QY_MARK_MOVING : QY_MARK_KEPT, frame,
                                                 rights, *moving ? qy_port_cpu() : 0, foreign));
    uint64_t bits = entry & (qy_bit_foreign(format));
    bool cow = rights & QY_PT_WRITE && (!foreign || qy_is_noticed(qy_table_origin(table, index)));
    if (cow && qy_pt_has(format, entry, QY_PT_BIT_WRITE))
        cow = false;
    if (cow)
        rights &= ~(unsigned)QY_PT_WRITE;
    return qy_page_entry(format, frame, table->level, rights | qy_entry_type(format, entry)) |
           bits | (cow ? qy_bit_cow(format) : 0);
}

static void protect_entry(struct qy_range *op, struct qy_table *table, unsigned index,
                          uint64_t entry)
{
    const struct qy_pt_format *format = op->space->format;
    pfn_t frame;
    bool foreign, moving = false;
    bool holds = qy_entry_holds(format, entry, table->level, &frame, &foreign);
    uint64_t origin = qy_entry_is_page(format, entry, table->level) ? qy_table_origin(table, index)
                                                                    : qy_entry_mark(format, entry);
    if (!entry) {
        qy_range_refuse(op, QY_NOT_MAPPED);
        return;
    }
    if (qy_mark_kind(origin) == QY_MARK_GUARD)
        return;
    if (!qy_mark_may_have(origin, op->rights)) {
        qy_range_refuse(op, QY_NO_RIGHTS);
        return;
    }
    if (!holds) {
        if (op->apply)
            qy_table_set(format, table, index,
                         qy_mark_entry(format, qy_mark_with_rights(qy_entry_mark(format, entry),
                                                                   op->rights)));
        return;
    }
    if (!op->apply && !foreign)
        return;
    uint64_t new = protected_entry(op, table, index, entry, &moving);
    if (!new)
        qy_range_refuse(op, QY_INVALID_FLAGS);
    if (!new || !op->apply)
        return;
    qy_slot_put(qy_table_slots(table) + index, new); /* it holds what it held */
    op->moved |= moving;
    op->flush |=
        moving || (qy_is_present(format, entry) && qy_entry_rights(format, entry) & ~op->rights);
}

static void unmap_entry(struct qy_range *op, struct qy_table *table, unsigned index, uint64_t entry)
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
        qy_vm_let_go_entry(op->space->vm, table, index, entry, op->gone);
    qy_table_set(format, table, index,
                 present ? qy_mark_entry(format, qy_held_mark(QY_MARK_MOVING, frame, 0,
                                                              qy_port_cpu(), foreign))
                         : 0);
    op->moved |= present;
    op->flush |= present;
}

/* What this CPU has moved comes to rest. */
static void finish_entry(struct qy_range *op, struct qy_table *table, unsigned index,
                         uint64_t entry)
{
    const struct qy_pt_format *format = op->space->format;
    if (!qy_is_mine(format, entry))
        return;
    uint64_t mark = qy_entry_mark(format, entry);
    if (op->what == QY_RANGE_FINISH_PROTECT) {
        pfn_t frame = pfn(mark & QY_MARK_OFFSET_MASK);
        bool foreign = mark & QY_HELD_FOREIGN;
        /* No CPU can write or execute through it now. */
        _Atomic uint64_t *word = foreign ? qy_frame_rmap(op->space->vm->db, frame) : NULL;
        uint64_t mapping = qy_mapping(table->frame, index);
        if (word && qy_rmap_class(word, mapping, false, false) != QY_OK)
            qy_port_broken("WXOR", "less is refused, frame", frame.raw);
        mark = (mark & QY_TYPE_MASK) |
               qy_held_mark(QY_MARK_KEPT, frame, qy_mark_rights(mark), 0, foreign);
        qy_table_set(format, table, index, qy_mark_entry(format, mark));
        return;
    }
    qy_vm_let_go_entry(op->space->vm, table, index, entry, op->gone);
    qy_table_set(format, table, index, 0);
}

/*
 * Does somebody have the entry in hand? What an earlier try of this very change has moved (a walk that is sure may have to
 * begin again) is done; another's has to come to rest first: no frame goes back before all CPUs have forgotten it.
 */
static bool is_in_hand(struct qy_range *op, uint64_t entry)
{
    const struct qy_pt_format *format = op->space->format;
    if (!qy_is_moving(format, entry))
        return false;
    if (op->pass == QY_RANGE_SURE && qy_is_mine(format, entry)) {
        op->found++;
    } else {
        op->again = true;
        op->error = QY_BUSY;
    }
    return true;
}

/* Does the entry hold its part of the block that is meant? */
static bool is_meant(const struct qy_range *op, const struct qy_table *table, uint64_t entry,
                     uint64_t at)
{
    pfn_t frame;
    bool foreign;
    return !op->only || (qy_entry_holds(op->space->format, entry, table->level, &frame, &foreign) &&
                         foreign && frame.raw == op->only + ((at - op->start) >> QY_PAGE_SHIFT));
}

void qy_range_visit(struct qy_range *op, struct qy_table *table, unsigned index, uint64_t entry,
                    uint64_t at)
{
    if (op->what >= QY_RANGE_FINISH_UNMAP) {
        finish_entry(op, table, index, entry);
        return;
    }
    if (is_in_hand(op, entry))
        return;
    if (op->only)
        op->mappings = (unsigned)((op->end - op->start) / qy_pt_page_bytes(table->level));
    if (!is_meant(op, table, entry, at)) {
        qy_range_refuse(op, QY_NOT_MAPPED);
    } else if (op->what == QY_RANGE_UNMAP) {
        unmap_entry(op, table, index, entry);
    } else if (op->what == QY_RANGE_PROTECT) {
        protect_entry(op, table, index, entry);
    } else if (entry) {
        op->error = QY_ALREADY_MAPPED;
    } else if (op->apply) {
        qy_table_set(op->space->format, table, index,
                     qy_mark_entry(op->space->format,
                                   qy_mark_at(op->mark, (at - op->start) >> QY_PAGE_SHIFT)));
    }
}

/* ---- tables of level 1 ---- */

/* Of an entry that is not present: a mark that holds no page. */
static bool is_plain_mark(uint64_t entry)
{
    return entry && qy_entry_kind(entry) < QY_MARK_KEPT && qy_entry_kind(entry) != QY_MARK_SWAPPED;
}

static uint64_t moving_of_frame_0(const struct qy_pt_format *format)
{
    return qy_mark_entry(format, qy_held_mark(QY_MARK_MOVING, pfn(0), 0, qy_port_cpu(), false));
}

static void put_marks(const struct qy_range *op, struct qy_table *table, unsigned index,
                      unsigned end, uint64_t at)
{
    const struct qy_pt_format *format = op->space->format;
    _Atomic uint64_t *slots = qy_table_slots(table);
    uint64_t mark = qy_mark_at(op->mark, (at - op->start) >> QY_PAGE_SHIFT);
    uint64_t entry = qy_mark_entry(format, mark);
    table->live = (uint16_t)(table->live + (end - index));
    if (!qy_mark_advances(mark))
        for (; index < end; index++)
            qy_slot_store(&slots[index], entry);
    for (; index < end; index++)
        qy_slot_store(&slots[index], qy_mark_entry(format, mark++));
}

/* Nothing is held: there are marks alone. */
static void unmap_marks(struct qy_range *op, struct qy_table *table, unsigned index, unsigned end)
{
    _Atomic uint64_t *slots = qy_table_slots(table);
    unsigned marks = 0;
    for (; index < end; index++) {
        marks += atomic_load_explicit(&slots[index], memory_order_relaxed) != 0;
        qy_slot_store(&slots[index], 0);
    }
    op->found += marks;
    table->live = (uint16_t)(table->live - marks);
}

/* Pages move, marks go. */
static void unmap_leaf(struct qy_range *op, struct qy_table *table, unsigned index, unsigned end)
{
    const struct qy_pt_format *format = op->space->format;
    const struct qy_leaf leaf = qy_leaf_to_write(op->space->vm, table->frame);
    const uint64_t moving = moving_of_frame_0(format), valid = format->valid;
    _Atomic uint64_t *slots = qy_table_slots(table);
    unsigned pages = 0, marks = 0;
    if (table->held == 0) {
        unmap_marks(op, table, index, end);
        return;
    }
    for (; index < end; index++) {
        uint64_t entry = atomic_load_explicit(&slots[index], memory_order_relaxed);
        if (qy_leaf_is_own(&leaf, entry)) {
            qy_slot_store(&slots[index], qy_held_entry(moving, qy_leaf_frame(&leaf, entry)));
            pages++;
        } else if (!(entry & valid) && is_plain_mark(entry)) {
            qy_slot_store(&slots[index], 0);
            marks++;
        } else if (entry && !is_in_hand(op, entry)) {
            unmap_entry(op, table, index, entry);
        }
    }
    op->found += pages + marks;
    op->moved |= pages != 0;
    op->flush |= pages != 0;
    table->live = (uint16_t)(table->live - marks);
}

static void finish_unmap_leaf(struct qy_range *op, struct qy_table *table, unsigned index,
                              unsigned end)
{
    struct qy_vm *vm = op->space->vm;
    const struct qy_leaf leaf = qy_leaf_of(vm, table->frame);
    const uint64_t moving = moving_of_frame_0(vm->format);
    _Atomic uint64_t *slots = qy_table_slots(table);
    unsigned pages = 0;
    for (; index < end; index++) {
        uint64_t entry = atomic_load_explicit(&slots[index], memory_order_relaxed);
        pfn_t frame;
        if (qy_is_held_like(moving, entry, &frame)) {
            qy_vm_let_go_own(vm, &leaf, table, index, frame, op->gone);
            qy_slot_store(&slots[index], 0);
            pages++;
        } else if (entry) {
            finish_entry(op, table, index, entry);
        }
    }
    table->live = (uint16_t)(table->live - pages);
    table->held = (uint16_t)(table->held - pages);
}

/* May all pages of the space's own in this table be given these rights? False: each has to be asked. */
static bool all_may_have(const struct qy_range *op, const struct qy_table *table)
{
    return !table->side && qy_mark_may_have(table->home, op->rights);
}

/* Pages of the space's own change at once, unless they become executable, or writable after that, or lose all. */
static void protect_leaf(struct qy_range *op, struct qy_table *table, unsigned index, unsigned end)
{
    const struct qy_pt_format *format = op->space->format;
    const struct qy_leaf leaf = qy_leaf_to_write(op->space->vm, table->frame);
    const struct qy_pt_bits exec_bits = format->flags[QY_PT_BIT_EXEC];
    const struct qy_pt_bits write_bits = format->flags[QY_PT_BIT_WRITE];
    const unsigned rights = op->rights;
    const bool exec = rights & QY_PT_EXEC, write = rights & QY_PT_WRITE;
    const uint64_t valid = format->valid;
    const bool planned = op->pass != QY_RANGE_SURE, home = planned || all_may_have(op, table);
    /* Without writing, but where it was there already: else the next write looks who else has the frame. */
    const uint64_t plain = qy_page_entry(format, pfn(0), 1, rights & ~(unsigned)QY_PT_WRITE) |
                           (write ? qy_bit_cow(format) : 0);
    const uint64_t writable = write ? qy_page_entry(format, pfn(0), 1, rights) : plain;
    _Atomic uint64_t *slots = qy_table_slots(table);
    bool lost = false;
    for (; index < end; index++) {
        uint64_t entry = atomic_load_explicit(&slots[index], memory_order_relaxed);
        bool had_exec = (entry & exec_bits.mask) == exec_bits.value;
        bool had_write = (entry & write_bits.mask) == write_bits.value;
        if (qy_leaf_is_own(&leaf, entry) && home && rights &&
            (had_exec == exec || !(exec || write))) {
            lost |= (had_exec && !exec) || (had_write && !write);
            qy_slot_store(&slots[index],
                          (entry & leaf.address_mask) | (had_write ? writable : plain));
        } else if (planned && !(entry & valid) && is_plain_mark(entry)) {
            uint64_t mark = qy_pt_mark_decode(format, entry);
            if (qy_mark_kind(mark) != QY_MARK_GUARD)
                qy_slot_store(&slots[index],
                              qy_mark_entry(format, qy_mark_with_rights(mark, rights)));
        } else if (!is_in_hand(op, entry)) {
            protect_entry(op, table, index, entry);
        }
    }
    op->flush |= lost;
}

/* What is there, and does anything move? Where nothing is held nothing does. */
static void plan_unmap(struct qy_range *op, struct qy_table *table, unsigned index, unsigned end)
{
    const _Atomic uint64_t *slots = qy_table_slots(table);
    const uint64_t valid = op->space->format->valid;
    for (; index < end && !(op->found && !table->held); index++) {
        uint64_t entry = atomic_load_explicit(&slots[index], memory_order_relaxed);
        op->found += entry != 0;
        if (!(entry & valid) && entry && qy_entry_kind(entry) == QY_MARK_MOVING) {
            op->again = true;
            op->error = QY_BUSY;
            return;
        }
    }
}

/* Nothing is in the way, or something is said about it; the first thing decides. */
static void plan_leaf(struct qy_range *op, struct qy_table *table, unsigned index, unsigned end,
                      uint64_t at)
{
    const _Atomic uint64_t *slots = qy_table_slots(table);
    const struct qy_leaf leaf = qy_leaf_of(op->space->vm, table->frame);
    const bool home = op->what == QY_RANGE_PROTECT && all_may_have(op, table);
    if (op->what == QY_RANGE_PUT && table->live == 0)
        return;
    for (; index < end && op->error == QY_OK; index++, at += QY_PAGE_BYTES) {
        uint64_t entry = atomic_load_explicit(&slots[index], memory_order_relaxed);
        if (!home || !qy_leaf_is_own(&leaf, entry))
            qy_range_visit(op, table, index, entry, at);
    }
}

void qy_range_leaf(struct qy_range *op, struct qy_table *table, uint64_t start, uint64_t end)
{
    unsigned index = qy_pt_index(vaddr(start), 1);
    unsigned stop = index + (unsigned)((end - start) >> QY_PAGE_SHIFT);
    if (op->what == QY_RANGE_FINISH_UNMAP) {
        finish_unmap_leaf(op, table, index, stop);
    } else if (op->what == QY_RANGE_FINISH_PROTECT) {
        for (; index < stop; index++)
            finish_entry(op, table, index, qy_slot_get(qy_table_slots(table) + index));
    } else if (op->what == QY_RANGE_UNMAP) {
        (op->apply ? unmap_leaf : plan_unmap)(op, table, index, stop);
    } else if (!op->apply) {
        plan_leaf(op, table, index, stop, start);
    } else if (op->what == QY_RANGE_PROTECT) {
        protect_leaf(op, table, index, stop);
    } else {
        put_marks(op, table, index, stop, start);
    }
}
