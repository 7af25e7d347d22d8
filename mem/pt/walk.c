/*
 * Reading page tables: one address, or every page in order.
 *
 * Locking: none. A walk beside a writer sees each entry as it was before or after; the caller sees
 * to it that a table is not freed under the walk. Cost: one load a level; each: one load an entry
 * of every table that reaches into the range.
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
    for (;;) {
        walk.index = qy_pt_index(address, walk.level);
        walk.entry = qy_pt_load(qy_pt_slot(walk.table, walk.index));
        if (!(walk.entry & format->valid))
            return walk;
        walk.leaf = walk.entry & format->page[walk.level];
        if (walk.leaf || walk.level == 1)
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

/* One call of qy_pt_each_in. */
struct each {
    const struct qy_pt_format *format;
    vaddr_t first, last;
    bool (*visit)(void *context, vaddr_t address, uint64_t entry, unsigned level);
    void *context;
};

/*
 * The part of one table between its entries for first and last, if these lie in what it translates:
 * base is the address of its entry 0, not sign-extended in the root. Recursion as deep as there are
 * levels.
 */
static bool each_in_table(const struct each *each, paddr_t table, unsigned level, uint64_t base,
                          vaddr_t first, vaddr_t last)
{
    for (unsigned i = qy_pt_index(first, level); i <= qy_pt_index(last, level); i++) {
        uint64_t entry = qy_pt_load(qy_pt_slot(table, i));
        if (!(entry & each->format->valid))
            continue;
        uint64_t bytes = qy_pt_page_bytes(level);
        uint64_t start = base + i * bytes;
        if (level == QY_PT_LEVELS && i >= QY_PT_ENTRIES / 2)
            start |= 0xffff000000000000ull;
        vaddr_t low = first.raw > start ? first : vaddr(start);
        vaddr_t high = last.raw < start + (bytes - 1) ? last : vaddr(start + (bytes - 1));
        if (entry & each->format->page[level]) {
            if (!each->visit(each->context, vaddr(start), entry, level))
                return false;
        } else if (level > 1 && !each_in_table(each, qy_pt_entry_address(each->format, entry),
                                               level - 1, start, low, high)) {
            return false;
        }
    }
    return true;
}

void qy_pt_each_in(const struct qy_pt *pt, vaddr_t first, vaddr_t last,
                   bool (*visit)(void *context, vaddr_t address, uint64_t entry, unsigned level),
                   void *context)
{
    struct each each = {.format = pt->format, .visit = visit, .context = context};
    if (first.raw <= last.raw)
        (void)each_in_table(&each, pt->root, QY_PT_LEVELS, 0, first, last);
}

void qy_pt_each(const struct qy_pt *pt,
                bool (*visit)(void *context, vaddr_t address, uint64_t entry, unsigned level),
                void *context)
{
    qy_pt_each_in(pt, vaddr(0), vaddr(~0ull), visit, context);
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
