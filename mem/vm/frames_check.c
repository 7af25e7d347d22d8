/*
 * The validator from the side of the frames: whatever a frame entry says of tables and mappings, the tables say, too.
 *
 *     TABLE   its descriptor is its own; every parent's entry points at it
 *     USER    every entry that its reverse map names holds a frame of the block
 *
 * qy_space_check looks the other way, from entries to frames, and so finds what a reverse map leaves out. Together:
 * frame entry, table and reverse map name the same mappings.
 */
#include "vm_impl.h"

/* The entry that a mapping names; 0: it names none. *level: of its table. */
static uint64_t named_entry(const struct qy_framedb *db, uint64_t mapping, unsigned *level)
{
    pfn_t frame = qy_mapping_table(mapping);
    if (qy_mapping_index(mapping) >= QY_PT_ENTRIES || qy_frame_state(db, frame) != QY_FRAME_TABLE)
        return 0;
    const struct qy_table *table = qy_table_of(db, frame);
    if (!table || table->frame.raw != frame.raw)
        return 0;
    *level = table->level;
    return qy_slot_get(qy_table_slots(table) + qy_mapping_index(mapping));
}

static const char *check_user(const struct qy_vm *vm, const struct qy_found *block)
{
    uint64_t mapping;
    _Atomic uint64_t *word = &vm->db->frames[block->start].word;
    for (unsigned n = 0; qy_rmap_at(word, n, &mapping); n++) {
        unsigned level = 0;
        pfn_t frame;
        bool foreign;
        uint64_t entry = named_entry(vm->db, mapping, &level);
        if (!entry || !qy_entry_holds(vm->format, entry, level, &frame, &foreign) ||
            (frame.raw - block->start) >> block->order)
            return "VM-RMAP";
    }
    return NULL;
}

static const char *check_table(const struct qy_vm *vm, const struct qy_found *block)
{
    uint64_t mapping;
    struct qy_table *table = qy_table_of(vm->db, pfn(block->start));
    if (!table) /* in no tree */
        return NULL;
    if (table->frame.raw != block->start)
        return "VM-TREE";
    for (unsigned n = 0; qy_rmap_at(&table->parents, n, &mapping); n++) {
        unsigned level = 0;
        uint64_t entry = named_entry(vm->db, mapping, &level);
        if (level != table->level + 1u || entry != qy_table_entry(vm->format, table->frame))
            return "VM-TREE";
    }
    return NULL;
}

const char *qy_vm_check_frames(const struct qy_vm *vm, const struct qy_arena *arena)
{
    const char *broken = NULL;
    for (uint64_t at = arena->base.raw; at < arena->end.raw && !broken;) {
        struct qy_found block = qy_framedb_find(vm->db, at);
        if (block.level != QY_AT_NOTHING && block.state == QY_FRAME_USER)
            broken = check_user(vm, &block);
        else if (block.level != QY_AT_NOTHING && block.state == QY_FRAME_TABLE)
            broken = check_table(vm, &block);
        at = block.start + (1ull << block.order);
    }
    return broken;
}
