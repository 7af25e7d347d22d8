/*
 * Splitting a large page: a table of 512 smaller ones takes its place.
 *
 *     level 2  | 2 MiB: frames f to f + 511 |          | table | -> level 1  | f | f + 1 | ... | f + 511 |
 *     block    | its one mapping            |          | 512 mappings, newest the lowest address             |
 *
 * A large page of the space's own is divided (huge.c); others are FOREIGN. Each entry is a mapping of its own in the block's reverse map, so that revoke, clone and
 * unmap know nothing of what was large once; the table's budget pays 512 nodes. Each is of the class (WXOR) that the whole
 * was of, and then goes its own way. No translation changes, so a call that fails later may leave it split. Cost: 512 nodes and
 * entries, and a flush.
 */
#include "vm_impl.h"

struct splitting {
    struct qy_space *space;
    struct qy_at at;
    struct qy_table *table;
    struct qy_rmap_node *nodes; /* linked by `next` */
    _Atomic uint64_t *word;
    pfn_t frame, side;
    uint64_t origin;
};

/* The entry of the i-th part. */
static uint64_t part(const struct splitting *s, unsigned i)
{
    const struct qy_pt_format *format = s->space->format;
    unsigned level = s->at.level - 1;
    pfn_t frame = pfn(s->frame.raw + i * (qy_pt_page_bytes(level) >> QY_PAGE_SHIFT));
    uint64_t entry = s->at.entry;
    if (!qy_is_present(format, entry)) {
        uint64_t mark = qy_entry_mark(format, entry);
        return qy_mark_entry(format, (mark & ~QY_MARK_OFFSET_MASK) | frame.raw);
    }
    return qy_page_entry(format, frame, level,
                         qy_entry_rights(format, entry) | qy_entry_type(format, entry)) |
           qy_bit_foreign(format);
}

static enum qy_error reserve(struct splitting *s)
{
    struct qy_space *space = s->space;
    if (qy_rmap_count(s->word) + QY_PT_ENTRIES > QY_RMAP_MAX)
        return QY_TOO_MANY;
    enum qy_error error = qy_tables_reserve(space->vm, space->budget, 1, &s->table);
    if (error == QY_OK && qy_mark_advances(s->origin))
        error = qy_vm_frame_alloc(space->vm, space->budget, QY_FRAME_METADATA, &s->side);
    for (unsigned i = 0; i < QY_PT_ENTRIES && error == QY_OK; i++)
        error = qy_vm_nodes_add(space->vm, space->budget, &s->nodes);
    return error;
}

/* Every part becomes a mapping, the lowest address first: lists are searched from there. All or none. */
static enum qy_error map_parts(struct splitting *s)
{
    unsigned level = s->at.level - 1, class, others;
    uint64_t pages = qy_pt_page_bytes(level) >> QY_PAGE_SHIFT;
    struct qy_rmap_node *node = s->nodes, *last = node;
    (void)qy_rmap_find(s->word, qy_mapping(s->at.table->frame, s->at.index), &class, &others);
    for (unsigned i = 0; i < QY_PT_ENTRIES; i++) {
        node->mapping = qy_block_mapping(s->space->vm->db, s->table->frame, i,
                                         pfn(s->frame.raw + i * pages), level) |
                        (uint64_t) class << QY_MAPPING_BITS;
        last = node;
        node = (struct qy_rmap_node *)(uintptr_t)node->next;
    }
    enum qy_error error = qy_rmap_add_list(s->word, s->nodes, last, QY_PT_ENTRIES);
    if (error == QY_OK)
        s->nodes = NULL;
    return error;
}

/* The table is locked as long as a revoke that finds its mappings must not see it half done. */
static enum qy_error commit(struct splitting *s)
{
    struct qy_space *space = s->space;
    struct qy_table *table = s->table;
    struct qy_rmap_node *freed;
    uint64_t pages = qy_pt_page_bytes(s->at.level - 1) >> QY_PAGE_SHIFT;
    qy_table_lock(table);
    enum qy_error error = map_parts(s);
    if (error == QY_OK) {
        s->table = NULL;
        table->level = (uint8_t)(s->at.level - 1);
        table->live = table->held = QY_PT_ENTRIES;
        table->home = s->origin;
        if (s->side.raw)
            qy_table_give_side(table, &s->side);
        for (unsigned i = 0; i < QY_PT_ENTRIES; i++) {
            if (table->side)
                table->side[i] = qy_mark_at(s->origin, i * pages);
            qy_slot_put(qy_table_slots(table) + i, part(s, i));
        }
        qy_table_link(space->format, s->at.table, s->at.index, table);
        if (!qy_rmap_remove(s->word, qy_mapping(s->at.table->frame, s->at.index), &freed, NULL))
            qy_port_broken("VM-RMAP", "an entry's frame does not know it, frame", s->frame.raw);
        qy_vm_node_return(space->vm, freed);
    }
    qy_table_unlock(table);
    return error;
}

/* BUSY: it is moving, look again. NOT_FOUND: nothing to do. */
static enum qy_error try_split(struct splitting *s, vaddr_t address)
{
    const struct qy_pt_format *format = s->space->format;
    struct qy_at *at = &s->at;
    bool foreign;
    if (!qy_vm_lock_at(s->space, address, 1, at))
        return QY_REVOKED;
    enum qy_error error = QY_NOT_FOUND;
    if (qy_is_moving(format, at->entry)) {
        error = QY_BUSY;
    } else if (qy_is_own_large(s->space, at->entry, at->level)) {
        return qy_vm_divide(s->space, address, at);
    } else if (at->level > 1 && qy_entry_holds(format, at->entry, at->level, &s->frame, &foreign)) {
        s->origin = qy_table_origin(at->table, at->index);
        s->word = qy_frame_rmap(s->space->vm->db, s->frame);
        error = s->word ? reserve(s) : QY_UNSUPPORTED; /* raw */
        if (error == QY_OK)
            error = commit(s);
    }
    qy_table_unlock(at->table);
    return error;
}

enum qy_error qy_vm_split(struct qy_space *space, vaddr_t address)
{
    struct qy_vm *vm = space->vm;
    enum qy_error error = QY_BUSY;
    while (error == QY_BUSY) {
        struct splitting s = {.space = space};
        qy_vm_enter(vm);
        error = try_split(&s, address);
        qy_vm_nodes_free(vm, space->budget, &s.nodes);
        if (s.side.raw)
            qy_vm_frame_free(vm, s.side, QY_FRAME_METADATA);
        qy_tables_release(vm, &s.table);
        qy_vm_leave(vm);
        if (error == QY_OK && s.word && qy_is_present(space->format, s.at.entry)) {
            vaddr_t base = qy_span_base(address, s.at.level); /* no CPU keeps two sizes of a page */
            qy_vm_flush(space, base, base.raw + qy_pt_page_bytes(s.at.level), s.at.level);
        } else if (error == QY_BUSY) {
            qy_port_relax();
        }
    }
    return error == QY_NOT_FOUND ? QY_OK : error;
}
