/*
 * Regions: reserve, unmap and protect ranges of any length; where those go that may lie anywhere. range.c does it.
 */
#include "range_impl.h"

enum qy_error qy_vm_range_check(const struct qy_space *space, uint64_t start, uint64_t bytes)
{
    if (atomic_load_explicit(&space->dying, memory_order_relaxed))
        return QY_REVOKED;
    if (start < QY_PAGE_BYTES || start >= QY_USER_END || bytes == 0 ||
        bytes > QY_USER_END - start || (start | bytes) & QY_PAGE_MASK)
        return QY_INVALID_ADDRESS;
    return QY_OK;
}

enum qy_error qy_vm_put(struct qy_space *space, uint64_t start, uint64_t end, uint64_t mark)
{
    struct qy_range op = {
        .space = space, .what = QY_RANGE_PUT, .start = start, .end = end, .mark = mark};
    return mark ? qy_range_run(&op) : QY_OK;
}

static enum qy_error run(struct qy_range *op)
{
    return op->end - op->start > QY_RANGE_LONG ? qy_range_run_long(op) : qy_range_run(op);
}

static enum qy_error unmap(struct qy_space *space, uint64_t address, uint64_t bytes, uint64_t only)
{
    enum qy_error error = qy_vm_range_check(space, address, bytes);
    struct qy_range op = {.space = space,
                          .what = QY_RANGE_UNMAP,
                          .start = address,
                          .end = address + bytes,
                          .only = only};
    if (error == QY_OK)
        error = qy_vm_unmap_page(space, address, bytes, only);
    return error == QY_BUSY ? run(&op) : error;
}

enum qy_error qy_space_unmap_region(struct qy_space *space, uint64_t address, uint64_t bytes)
{
    return unmap(space, address, bytes, 0);
}

enum qy_error qy_space_unmap_frame(struct qy_space *space, uint64_t address, uint64_t bytes,
                                   pfn_t frame)
{
    return unmap(space, address, bytes, frame.raw);
}

static bool rights_exist(unsigned rights)
{
    return !(rights & ~(unsigned)QY_PT_RIGHTS) && !(rights && !(rights & QY_PT_READ)) &&
           !(rights & QY_PT_WRITE && rights & QY_PT_EXEC);
}

static enum qy_error protect(struct qy_space *space, uint64_t address, uint64_t bytes,
                             uint64_t only, unsigned rights)
{
    enum qy_error error = qy_vm_range_check(space, address, bytes);
    if (error != QY_OK)
        return error;
    if (!rights_exist(rights))
        return QY_INVALID_FLAGS;
    struct qy_range op = {.space = space,
                          .what = QY_RANGE_PROTECT,
                          .start = address,
                          .end = address + bytes,
                          .rights = rights,
                          .only = only};
    return run(&op);
}

enum qy_error qy_space_protect_region(struct qy_space *space, uint64_t address, uint64_t bytes,
                                      unsigned rights)
{
    return protect(space, address, bytes, 0, rights);
}

enum qy_error qy_space_protect_frame(struct qy_space *space, uint64_t address, uint64_t bytes,
                                     pfn_t frame, unsigned rights)
{
    return protect(space, address, bytes, frame.raw, rights);
}

static enum qy_error mark_check(const struct qy_mark *mark)
{
    bool bound = mark->kind == QY_MARK_OBJECT || mark->kind == QY_MARK_PAGER;
    if (mark->kind < QY_MARK_ANON || mark->kind > QY_MARK_GUARD || mark->kind == QY_MARK_SWAPPED ||
        mark->binding > QY_BINDING_MAX || mark->region > QY_REGION_MAPPED ||
        mark->offset > QY_MARK_OFFSET_MASK ||
        (mark->kind == QY_MARK_ANON && mark->offset >= QY_PAGES_COUNT) || (mark->shared && !bound))
        return QY_INVALID_ARGUMENT;
    if (!rights_exist(mark->rights) || mark->max & ~(unsigned)QY_PT_RIGHTS ||
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
    unsigned level = qy_pages_level(qy_mark_pages(qy_mark_pack(mark)), QY_PT_LEVELS);
    if ((bytes | *address) & (qy_pt_page_bytes(level) - 1))
        return QY_INVALID_ADDRESS;
    if (level > 1 && !qy_pt_supports(space->format, QY_PT_READ | QY_PT_USER, level))
        return QY_INVALID_FLAGS;
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
