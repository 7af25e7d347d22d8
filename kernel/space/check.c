/*
 * The validator of a space: its tables against what is recorded about them.
 */
#include "space_impl.h"

/* Does every recorded mapping of a table stand in its entries? *entries counts them. */
static bool mappings_hold(const struct table *table, const struct qy_pt_format *format,
                          unsigned *entries)
{
    const struct slot *before = NULL;
    for (const struct slot *slot = table->mappings; slot; slot = slot->map_next) {
        const struct frame *frame = (const struct frame *)slot->object;
        unsigned count = 1u << (frame->order - 9 * (slot->level - 1u));
        if (slot->table != table || slot->map_prev != before || slot->level != table->level)
            return false;
        for (unsigned i = 0; i < count; i++) {
            uint64_t entry = entry_get(table, slot->index + i);
            uint64_t expected = pfn_to_paddr(frame->first).raw + i * qy_pt_page_bytes(slot->level);
            unsigned flags = qy_pt_decode(format, entry);
            if (!qy_pt_is_page(format, entry, slot->level) ||
                qy_pt_entry_address(format, entry).raw != expected)
                return false;
            if (!(flags & QY_PT_USER) || ((flags & QY_PT_WRITE) && (flags & QY_PT_EXEC)) ||
                ((flags & QY_PT_WRITE) && !(slot->rights & QY_RIGHT_WRITE)))
                return false;
        }
        *entries += count;
        before = slot;
    }
    return true;
}

/* The table after this one, in an order that visits all below the root. */
static const struct table *table_after(const struct table *table)
{
    for (unsigned i = 0; i < TABLE_BUCKETS; i++) {
        if (table->buckets[i])
            return table->buckets[i];
    }
    while (table->parent) {
        if (table->next)
            return table->next;
        for (unsigned i = table->index % TABLE_BUCKETS + 1; i < TABLE_BUCKETS; i++) {
            if (table->parent->buckets[i])
                return table->parent->buckets[i];
        }
        table = table->parent;
    }
    return NULL;
}

static const char *table_check(const struct table *table, const struct qy_pt_format *format)
{
    unsigned recorded = 0, present = 0;
    unsigned end = table->level == QY_PT_LEVELS ? QY_PT_ENTRIES / 2 : QY_PT_ENTRIES;
    if (table->parent) {
        uint64_t entry = entry_get(table->parent, table->index);
        if (table->parent->level != table->level + 1 ||
            qy_pt_entry_address(format, entry).raw != pfn_to_paddr(table->frame).raw)
            return "SPACE-TREE";
    }
    for (unsigned i = 0; i < end; i++)
        present += entry_get(table, i) != 0;
    if (!mappings_hold(table, format, &recorded) || recorded > table->leaves)
        return "SPACE-MAP";
    return present == (unsigned)table->leaves + table->tables ? NULL : "SPACE-MAP";
}

const char *space_check(struct space *space)
{
    const char *broken = qy_pt_check(&space->pt);
    for (const struct table *table = &space->root; table && !broken; table = table_after(table))
        broken = table_check(table, space->pt.format);
    return broken;
}
