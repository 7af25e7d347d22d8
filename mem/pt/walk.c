/*
 * Reading page tables: one entry, one address, one region.
 *
 * Locking: none. A walk beside a writer sees each entry as it was before or after; the caller sees
 * to it that a table is not freed under the walk. Cost: one load a level.
 */
#include "pt_impl.h"

unsigned qy_pt_decode(const struct qy_pt_format *format, uint64_t entry)
{
    unsigned flags = 0;
    for (unsigned i = 0; i < QY_PT_FLAG_COUNT; i++)
        flags |= (unsigned)qy_pt_has(format, entry, (enum qy_pt_flag_bit)i) << i;
    return flags;
}

enum qy_pt_change qy_pt_classify(const struct qy_pt_format *format, uint64_t old, uint64_t new,
                                 unsigned level)
{
    if (!((old | new) & format->valid))
        return QY_PT_UNCHANGED;
    if (!(old & format->valid))
        return QY_PT_FRESH;
    if (!qy_pt_is_page(format, old, level) || !qy_pt_is_page(format, new, level))
        return old == new ? QY_PT_UNCHANGED : QY_PT_REPLACE;
    struct qy_pt_delta delta = {0};
    qy_pt_delta_add(format, &delta, old, new);
    return qy_pt_delta_change(format, &delta);
}

struct qy_pt_walk qy_pt_walk(const struct qy_pt *pt, vaddr_t address)
{
    const struct qy_pt_format *format = pt->format;
    struct qy_pt_walk walk = {.level = QY_PT_LEVELS, .table = pt->root};
    /*@ loop invariant 1 <= walk.level <= QY_PT_LEVELS && is_table(walk.table.raw, walk.level);
        loop invariant walk.table.raw == way(format, pt->root.raw, address.raw, walk.level);
        loop invariant reached(format, pt->root.raw, address.raw, walk.level);
        loop invariant !walk.leaf;
        loop assigns walk;
        loop variant walk.level; */
    for (;;) {
        walk.index = qy_pt_index(address, walk.level);
        walk.entry = qy_pt_load(qy_pt_slot(walk.table, walk.index));
        walk.leaf = qy_pt_is_page(format, walk.entry, walk.level);
        if (!qy_pt_is_table(format, walk.entry, walk.level))
            return walk;
        walk.table = qy_pt_entry_address(format, walk.entry);
        walk.level--;
    }
}

enum qy_error qy_pt_translate(const struct qy_pt *pt, vaddr_t address, paddr_t *out,
                              unsigned *flags, unsigned *level)
{
    if (!vaddr_is_canonical(address.raw))
        return QY_INVALID_ADDRESS;
    struct qy_pt_walk walk = qy_pt_walk(pt, address);
    if (!walk.leaf)
        return QY_NOT_MAPPED;
    if (out)
        *out = paddr(qy_pt_entry_address(pt->format, walk.entry).raw +
                     (address.raw & (qy_pt_page_bytes(walk.level) - 1)));
    if (flags)
        *flags = qy_pt_decode(pt->format, walk.entry);
    if (level)
        *level = walk.level;
    return QY_OK;
}

struct gather {
    const struct qy_pt_format *format;
    struct qy_pt_region *region;
    bool begun;
};

static bool gather_page(void *context, vaddr_t address, uint64_t entry, unsigned level)
{
    struct gather *gather = context;
    struct qy_pt_region *region = gather->region;
    unsigned flags = qy_pt_decode(gather->format, entry) & QY_PT_MAPPABLE;
    if (!gather->begun)
        *region = (struct qy_pt_region){address, address.raw, flags, level};
    else if (region->end != address.raw || region->flags != flags || region->level != level)
        return false;
    gather->begun = true;
    region->end = address.raw + qy_pt_page_bytes(level);
    return true;
}

enum qy_error qy_pt_region(const struct qy_pt *pt, vaddr_t address, struct qy_pt_region *out)
{
    if (!vaddr_is_canonical(address.raw))
        return QY_INVALID_ADDRESS;
    struct gather gather = {.format = pt->format, .region = out};
    qy_pt_each_in(pt, address, vaddr(~0ull), gather_page, &gather);
    return gather.begun ? QY_OK : QY_NOT_FOUND;
}
