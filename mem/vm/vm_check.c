/*
 * The validator of a space: its tables, their reverse maps and counters, and the frames that they hold.
 *
 * It sees one space: that a mapping of a frame by another space is real is found when that one is checked, and that
 * every mapping is some space's when the last is destroyed and the arenas are whole.
 */
#include "vm_impl.h"

struct check {
    struct qy_space *space;
    const char *broken;
};

/* A page of the space's own is a block of that size; a large one is mapped once. */
static bool is_one_block(const struct qy_framedb *db, pfn_t frame, unsigned level,
                         const _Atomic uint64_t *word)
{
    struct qy_found f = qy_framedb_find(db, frame.raw);
    return f.start == frame.raw && f.order == qy_page_order(level) &&
           (level == 1 || !(qy_word_load(word) & QY_WORD_LIST));
}

static const char *check_held(const struct check *c, struct qy_table *table, unsigned index,
                              uint64_t entry)
{
    const struct qy_pt_format *format = c->space->format;
    struct qy_framedb *db = c->space->vm->db;
    pfn_t frame;
    bool foreign, present = qy_is_present(format, entry);
    (void)qy_entry_holds(format, entry, table->level, &frame, &foreign);
    enum qy_frame_state state = qy_frame_state(db, frame);
    if (foreign && qy_frame_is_raw(db, frame))
        return present && qy_pt_has(format, entry, QY_PT_BIT_EXEC) ? "WXOR" : NULL;
    if (state != QY_FRAME_USER && !(state == QY_FRAME_DEVICE && foreign))
        return "EXCLUSIVE";
    _Atomic uint64_t *word = qy_frame_rmap(db, frame);
    if (!foreign && !is_one_block(db, frame, table->level, word))
        return "VM-LARGE";
    unsigned class, others, all = qy_word_load(word) & QY_WORD_CLASS;
    if (qy_rmap_find(word, qy_mapping(table->frame, index), &class, &others) != 1)
        return "VM-RMAP";
    bool write = present && qy_pt_has(format, entry, QY_PT_BIT_WRITE);
    bool exec = present && qy_pt_has(format, entry, QY_PT_BIT_EXEC);
    if ((write && exec) || (class && (class | others) == QY_WORD_CLASS) || class & ~all ||
        (write && !(class & QY_WORD_W)) || (exec && !(class & QY_WORD_X)))
        return "WXOR";
    if (present && entry & qy_bit_cow(format) &&
        (write || (foreign && !qy_is_noticed(qy_table_origin(table, index)))))
        return "VM-TREE";
    if (write && !foreign && (qy_table_is_shared(table) || qy_word_load(word) & QY_WORD_LIST))
        return "VM-TREE";
    unsigned rights =
        present ? qy_entry_rights(format, entry) : qy_mark_rights(qy_entry_mark(format, entry));
    return rights & ~qy_mark_unpack(qy_table_origin(table, index)).max ? "VM-TREE" : NULL;
}

static const char *check_table(const struct check *c, struct qy_table *table);

static const char *check_entry(const struct check *c, struct qy_table *table, unsigned index,
                               uint64_t entry)
{
    const struct qy_pt_format *format = c->space->format;
    pfn_t frame;
    bool foreign;
    if (qy_pt_is_table(format, entry, table->level)) {
        pfn_t below = qy_entry_frame(format, entry);
        struct qy_table *child = qy_table_of(c->space->vm->db, below);
        if (qy_frame_state(c->space->vm->db, below) != QY_FRAME_TABLE || !child ||
            child->frame.raw != below.raw || child->level != table->level - 1 ||
            entry != qy_table_entry(format, below))
            return "VM-TREE";
        unsigned class, others;
        if (qy_rmap_find(&child->parents, qy_mapping(table->frame, index), &class, &others) != 1)
            return "VM-TREE";
        if (child->level > 1 && qy_table_is_shared(child))
            return "VM-TREE";
        return check_table(c, child);
    }
    if (!qy_is_present(format, entry) &&
        qy_mark_kind(qy_entry_mark(format, entry)) == QY_MARK_MOVING)
        return "VM-TREE";
    if (qy_entry_holds(format, entry, table->level, &frame, &foreign))
        return check_held(c, table, index, entry);
    if (qy_is_swapped(format, entry)) {
        unsigned class, others;
        _Atomic uint64_t *word = qy_swap_word(qy_entry_mark(format, entry));
        return qy_rmap_find(word, qy_mapping(table->frame, index), &class, &others) == 1
                   ? NULL
                   : "SWAP-WORD";
    }
    uint64_t mark = qy_entry_mark(format, entry);
    return entry && (qy_mark_kind(mark) == QY_MARK_NONE || qy_mark_kind(mark) >= QY_MARK_KEPT)
               ? "VM-TREE"
               : NULL;
}

static const char *check_table(const struct check *c, struct qy_table *table)
{
    unsigned end = table->level == QY_PT_LEVELS ? QY_PT_ENTRIES / 2 : QY_PT_ENTRIES;
    unsigned live = 0, held = 0, large = 0;
    for (unsigned i = 0; i < end; i++) {
        uint64_t entry = qy_slot_get(qy_table_slots(table) + i);
        const char *broken = entry ? check_entry(c, table, i, entry) : NULL;
        if (broken)
            return broken;
        live += entry != 0;
        held += qy_entry_is_page(c->space->format, entry, table->level);
        large += qy_is_own_large(c->space, entry, table->level);
    }
    for (const struct qy_table *aside = table->aside; aside; aside = aside->next)
        if (large-- == 0 || aside->aside_of != table || qy_word_load(&aside->parents))
            return "VM-LARGE";
    return live == table->live && held == table->held ? NULL : "VM-TREE";
}

const char *qy_space_check(struct qy_space *space)
{
    struct check c = {space, NULL};
    struct qy_table *root = qy_table_of(space->vm->db, paddr_to_pfn(space->root));
    if (!root || root->space != space || root->level != QY_PT_LEVELS)
        return "VM-TREE";
    return check_table(&c, root);
}
