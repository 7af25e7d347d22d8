/*
 * Ranges of any length, with tables installed on the way: for the kernel's own space at boot.
 *
 * Cost: one descent for each table that the range touches, one store a page.
 */
#include "pt_impl.h"

enum qy_error qy_pt_ensure(struct qy_pt *pt, vaddr_t address, unsigned level,
                           enum qy_error (*alloc_table)(void *context, paddr_t *out), void *context)
{
    if (level < 1 || level >= QY_PT_LEVELS)
        return QY_INVALID_ARGUMENT;
    if (!vaddr_is_canonical(address.raw))
        return QY_INVALID_ADDRESS;
    for (;;) {
        struct qy_pt_walk walk = qy_pt_walk(pt, address);
        if (walk.level <= level)
            return QY_OK;
        if (walk.entry)
            return QY_ALREADY_MAPPED;
        paddr_t table;
        enum qy_error error = alloc_table(context, &table);
        if (error == QY_OK)
            error =
                qy_pt_install(pt, address, table, walk.level - 1, !qy_pt_is_upper(address), NULL);
        if (error != QY_OK)
            return error;
    }
}

/* The largest page for the part of the range that begins here. */
static unsigned level_that_fits(uint64_t address, uint64_t frame, uint64_t bytes,
                                unsigned max_level)
{
    unsigned level = max_level;
    while (level > 1 &&
           ((address | frame) & (qy_pt_page_bytes(level) - 1) || bytes < qy_pt_page_bytes(level)))
        level--;
    return level;
}

/* Unmap what map_range has mapped so far; it chose the same page sizes. */
static void take_back(struct qy_pt *pt, vaddr_t address, uint64_t bytes)
{
    while (bytes) {
        struct qy_pt_walk walk = qy_pt_walk(pt, address);
        uint64_t page = qy_pt_page_bytes(walk.level);
        qy_pt_store(qy_pt_slot(walk.table, walk.index), 0);
        address.raw += page;
        bytes -= page;
    }
}

enum qy_error qy_pt_map_range(struct qy_pt *pt, vaddr_t address, paddr_t frame, uint64_t bytes,
                              unsigned max_level, unsigned flags,
                              enum qy_error (*alloc_table)(void *context, paddr_t *out),
                              void *context)
{
    if (max_level < 1 || max_level > QY_PT_LARGEST_PAGE)
        return QY_INVALID_ARGUMENT;
    uint64_t last = qy_pt_is_upper(address) ? ~0ull : 0x00007fffffffffffull; /* of the half */
    if (bytes == 0 || bytes & QY_PAGE_MASK || !vaddr_is_canonical(address.raw) ||
        bytes - 1 > last - address.raw)
        return QY_INVALID_ADDRESS;
    for (uint64_t done = 0; done < bytes;) {
        vaddr_t at = vaddr(address.raw + done);
        unsigned level = level_that_fits(at.raw, frame.raw + done, bytes - done, max_level);
        uint64_t page = qy_pt_page_bytes(level);
        uint64_t pages = QY_PT_ENTRIES - qy_pt_index(at, level);
        if (pages > (bytes - done) / page)
            pages = (bytes - done) / page;
        /* Inside a table a larger page can become possible only at its end. */
        enum qy_error error =
            qy_pt_map_run(pt, at, paddr(frame.raw + done), level, (unsigned)pages, flags, NULL);
        if (error == QY_MISSING_TABLE)
            error = qy_pt_ensure(pt, at, level, alloc_table, context);
        else if (error == QY_OK)
            done += pages * page;
        if (error != QY_OK) {
            take_back(pt, address, done);
            return error;
        }
    }
    return QY_OK;
}
