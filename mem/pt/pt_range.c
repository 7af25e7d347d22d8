/*
 * Ranges of any length, over tables and pages of any size.
 *
 *     validate: every entry      reserve: n tables, chained      commit: install, split, write
 *
 * The commit makes the same decisions as the validation, so that it uses exactly what was reserved
 * and nothing fails after the first store (ATOMIC). Cost: two descents for each table that the range
 * touches, one load and one store or exchange a page.
 */
#include "pt_impl.h"

/* ---- reserved tables: each holds the address of the next in its first word ---- */

struct reserve {
    paddr_t first;
    unsigned count;
};

static uint64_t *link_of(paddr_t table)
{
    return qy_port_ram(table);
}

/* Zeroed. */
static paddr_t reserve_use(struct reserve *reserve)
{
    paddr_t table = reserve->first;
    reserve->first = paddr(*link_of(table));
    reserve->count--;
    *link_of(table) = 0;
    return table;
}

static enum qy_error reserve_tables(struct reserve *reserve, const struct qy_pt_tables *from,
                                    unsigned count)
{
    *reserve = (struct reserve){.count = 0};
    while (reserve->count < count) {
        paddr_t table;
        enum qy_error error = from ? from->alloc(from->context, &table) : QY_OUT_OF_MEMORY;
        if (error != QY_OK) {
            while (reserve->count && from->free)
                from->free(from->context, reserve_use(reserve));
            return error;
        }
        *link_of(table) = reserve->first.raw;
        reserve->first = table;
        reserve->count++;
    }
    return QY_OK;
}

/* The tables below an empty entry, down to `level`; the slot in the lowest. */
static _Atomic uint64_t *install_down(const struct qy_pt *pt, struct qy_pt_walk walk,
                                      vaddr_t address, unsigned level, struct reserve *reserve)
{
    const struct qy_pt_format *format = pt->format;
    _Atomic uint64_t *slot = qy_pt_slot(walk.table, walk.index);
    for (unsigned at = walk.level; at > level; at--) {
        paddr_t table = reserve_use(reserve);
        qy_pt_store(slot, qy_pt_table_entry(format, table, address));
        slot = qy_pt_slot(table, qy_pt_index(address, at - 1));
    }
    return slot;
}

enum qy_error qy_pt_ensure(struct qy_pt *pt, vaddr_t address, unsigned level,
                           const struct qy_pt_tables *tables)
{
    if (level < 1 || level >= QY_PT_LEVELS)
        return QY_INVALID_ARGUMENT;
    if (!vaddr_is_canonical(address.raw))
        return QY_INVALID_ADDRESS;
    struct qy_pt_walk walk = qy_pt_walk(pt, address);
    if (walk.level <= level)
        return QY_OK;
    if (walk.entry)
        return QY_ALREADY_MAPPED;
    struct reserve reserve;
    enum qy_error error = reserve_tables(&reserve, tables, walk.level - level);
    if (error == QY_OK)
        (void)install_down(pt, walk, address, level, &reserve);
    return error;
}

/* Whole pages, all in one half. */
static enum qy_error check_range(vaddr_t address, uint64_t bytes)
{
    uint64_t last = qy_pt_is_upper(address) ? ~0ull : 0x00007fffffffffffull; /* of the half */
    if (bytes == 0 || (address.raw | bytes) & QY_PAGE_MASK || !vaddr_is_canonical(address.raw) ||
        bytes - 1 > last - address.raw)
        return QY_INVALID_ADDRESS;
    return QY_OK;
}

/* ---- map ---- */

struct map {
    const struct qy_pt *pt;
    uint64_t address, frame, bytes; /* what is left */
    unsigned max_level;
};

/* Pages of one size for the next entries of one table, which need not be there yet. */
struct run {
    struct qy_pt_walk walk; /* to the first of them */
    unsigned level, pages;
};

/*
 * The largest pages for what comes next, as many of them as find empty entries in one table. False:
 * the first entry is not empty.
 */
static bool run_find(const struct map *map, struct run *run)
{
    uint64_t offsets = map->address | map->frame;
    unsigned level = map->max_level;
    run->walk = qy_pt_walk(map->pt, vaddr(map->address));
    while (level > 1 && (offsets & (qy_pt_page_bytes(level) - 1) ||
                         map->bytes < qy_pt_page_bytes(level) || level > run->walk.level))
        level--;
    unsigned index = qy_pt_index(vaddr(map->address), level);
    uint64_t most = map->bytes / qy_pt_page_bytes(level);
    if (most > QY_PT_ENTRIES - index)
        most = QY_PT_ENTRIES - index;
    run->level = level;
    run->pages = (unsigned)most;
    if (run->walk.entry)
        return false;
    /* Where the table is missing every entry is empty. */
    for (unsigned i = 1; level == run->walk.level && i < run->pages; i++)
        if (atomic_load_explicit(qy_pt_slot(run->walk.table, index + i), memory_order_relaxed))
            run->pages = i;
    return true;
}

static void run_done(struct map *map, const struct run *run)
{
    uint64_t bytes = run->pages * qy_pt_page_bytes(run->level);
    map->address += bytes;
    map->frame += bytes;
    map->bytes -= bytes;
}

/* Can all of it be mapped, and with how many more tables? */
static enum qy_error map_validate(struct map map, unsigned *tables)
{
    uint64_t first = map.address;
    *tables = 0;
    while (map.bytes) {
        struct run run;
        if (!run_find(&map, &run))
            return QY_ALREADY_MAPPED;
        /* The page before, if it is of the range, needs the same table. */
        for (unsigned level = run.level; level < run.walk.level; level++)
            if (map.address == first || !(map.address & (qy_pt_page_bytes(level + 1) - 1)))
                ++*tables;
        run_done(&map, &run);
    }
    return QY_OK;
}

enum qy_error qy_pt_map_range(struct qy_pt *pt, vaddr_t address, paddr_t frame, uint64_t bytes,
                              unsigned max_level, unsigned flags, const struct qy_pt_tables *tables)
{
    if (max_level < 1 || max_level > QY_PT_LARGEST_PAGE)
        return QY_INVALID_ARGUMENT;
    uint64_t end = qy_pt_physical_end(pt->format);
    if (check_range(address, bytes) != QY_OK || address.raw == 0 || frame.raw & QY_PAGE_MASK ||
        frame.raw >= end || bytes > end - frame.raw)
        return QY_INVALID_ADDRESS;
    if (!qy_pt_flags_fit(pt, address, 1, flags))
        return QY_INVALID_FLAGS;
    struct map map = {pt, address.raw, frame.raw, bytes, max_level};
    struct reserve reserve;
    unsigned needed;
    enum qy_error error = map_validate(map, &needed);
    if (error == QY_OK)
        error = reserve_tables(&reserve, tables, needed);
    while (error == QY_OK && map.bytes) {
        struct run run;
        (void)run_find(&map, &run);
        _Atomic uint64_t *slot =
            install_down(pt, run.walk, vaddr(map.address), run.level, &reserve);
        qy_pt_fill(pt->format, slot, paddr(map.frame), run.level, run.pages, flags);
        run_done(&map, &run);
    }
    return error;
}

/* ---- split ---- */

static void split_page(const struct qy_pt *pt, const struct qy_pt_walk *walk, vaddr_t address,
                       paddr_t table)
{
    const struct qy_pt_format *format = pt->format;
    unsigned level = walk->level - 1;
    uint64_t bits = format->accessed_dirty, old = walk->entry, part;
    do { /* the CPU may set ACCESSED or DIRTY meanwhile */
        part = qy_pt_encode(format, qy_pt_entry_address(format, old), level,
                            qy_pt_decode(format, old) & QY_PT_MAPPABLE);
        part = (part & ~bits) | (old & bits);
        for (unsigned i = 0; i < QY_PT_ENTRIES; i++) {
            atomic_store_explicit(qy_pt_slot(table, i), part, memory_order_relaxed);
            part += qy_pt_page_bytes(level) >> QY_PAGE_SHIFT << format->address_shift;
        }
    } while (!atomic_compare_exchange_strong_explicit(qy_pt_slot(walk->table, walk->index), &old,
                                                      qy_pt_table_entry(format, table, address),
                                                      memory_order_release, memory_order_relaxed));
}

enum qy_error qy_pt_split(struct qy_pt *pt, vaddr_t address, unsigned level, paddr_t table)
{
    if (level < 1 || level >= QY_PT_LARGEST_PAGE)
        return QY_INVALID_ARGUMENT;
    if (!vaddr_is_canonical(address.raw) || table.raw & QY_PAGE_MASK ||
        table.raw >= qy_pt_physical_end(pt->format))
        return QY_INVALID_ADDRESS;
    struct qy_pt_walk walk = qy_pt_walk(pt, address);
    if (!walk.leaf || walk.level != level + 1)
        return QY_NOT_MAPPED;
    split_page(pt, &walk, address, table);
    return QY_OK;
}

/* Split until no page reaches over `boundary`. */
static void split_at(const struct qy_pt *pt, uint64_t boundary, struct reserve *reserve)
{
    for (;;) {
        struct qy_pt_walk walk = qy_pt_walk(pt, vaddr(boundary));
        if (!walk.leaf || !(boundary & (qy_pt_page_bytes(walk.level) - 1)))
            return;
        split_page(pt, &walk, vaddr(boundary), reserve_use(reserve));
    }
}

/* ---- unmap, protect ---- */

/* Pages that are all there, the ones at the edges maybe larger. */
struct pages {
    uint64_t first, last; /* bytes */
    unsigned splits;
};

/* Is all of it mapped, and how many splits make it whole pages? */
static enum qy_error pages_validate(const struct qy_pt *pt, struct pages *pages)
{
    struct qy_pt_cursor c;
    unsigned first_level = 0;
    qy_pt_cursor_begin(&c, pt, vaddr(pages->first), vaddr(pages->last));
    do {
        if (!qy_pt_is_page(pt->format, c.entry, c.level))
            return QY_NOT_MAPPED;
        if (!first_level)
            first_level = c.level;
    } while (qy_pt_cursor_next(&c));
    pages->splits = 0;
    for (unsigned level = 2; level <= first_level; level++)
        pages->splits += (pages->first & (qy_pt_page_bytes(level) - 1)) != 0;
    for (unsigned level = 2; level <= c.level; level++) {
        uint64_t in_page = qy_pt_page_bytes(level) - 1;
        bool same = pages->first & in_page && (pages->first | in_page) == (pages->last | in_page);
        pages->splits += (pages->last & in_page) != in_page && !same;
    }
    return QY_OK;
}

/* Validate and reserve, then split: whole pages are left. */
static enum qy_error pages_prepare(struct qy_pt *pt, vaddr_t address, uint64_t bytes,
                                   const struct qy_pt_tables *tables, struct pages *pages)
{
    enum qy_error error = check_range(address, bytes);
    if (error != QY_OK)
        return error;
    *pages = (struct pages){.first = address.raw, .last = address.raw + (bytes - 1)};
    struct reserve reserve;
    error = pages_validate(pt, pages);
    if (error == QY_OK)
        error = reserve_tables(&reserve, tables, pages->splits);
    if (error != QY_OK || !pages->splits)
        return error;
    split_at(pt, pages->first, &reserve);
    if (vaddr_is_canonical(pages->last + 1)) /* else no page reaches over it */
        split_at(pt, pages->last + 1, &reserve);
    return QY_OK;
}

enum qy_error qy_pt_unmap_range(
    struct qy_pt *pt, vaddr_t address, uint64_t bytes, const struct qy_pt_tables *tables,
    void (*gone)(void *context, vaddr_t address, uint64_t entry, unsigned level), void *context)
{
    struct pages pages;
    struct qy_pt_cursor c;
    enum qy_error error = pages_prepare(pt, address, bytes, tables, &pages);
    if (error != QY_OK)
        return error;
    qy_pt_cursor_begin(&c, pt, vaddr(pages.first), vaddr(pages.last));
    do {
        uint64_t old = qy_pt_clear(pt->format, c.slot);
        if (gone)
            gone(context, c.address, old, c.level);
    } while (qy_pt_cursor_next(&c));
    return QY_OK;
}

enum qy_error qy_pt_protect_range(struct qy_pt *pt, vaddr_t address, uint64_t bytes, unsigned flags,
                                  const struct qy_pt_tables *tables, enum qy_pt_change *change)
{
    struct pages pages;
    struct qy_pt_cursor c;
    struct qy_pt_delta delta = {0};
    if (check_range(address, bytes) == QY_OK && !qy_pt_flags_fit(pt, address, 1, flags))
        return QY_INVALID_FLAGS;
    enum qy_error error = pages_prepare(pt, address, bytes, tables, &pages);
    if (error != QY_OK)
        return error;
    uint64_t set[QY_PT_LARGEST_PAGE + 1];
    for (unsigned level = 1; level <= QY_PT_LARGEST_PAGE; level++)
        set[level] = qy_pt_encode(pt->format, paddr(0), level, flags);
    qy_pt_cursor_begin(&c, pt, vaddr(pages.first), vaddr(pages.last));
    do {
        (void)qy_pt_change_flags(pt->format, c.slot, set[c.level], &delta);
    } while (qy_pt_cursor_next(&c));
    if (change)
        *change = pages.splits ? QY_PT_REPLACE : qy_pt_delta_change(pt->format, &delta);
    return QY_OK;
}
