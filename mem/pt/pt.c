/*
 * Changing page tables: runs of pages in one table, and the tables themselves.
 *
 * Each call checks its arguments, goes down once, checks every entry that it would change, and then
 * writes: nothing fails after the first store (ATOMIC). Locking: the caller's. Cost: one load a
 * level, one load and one store or exchange a page.
 */
#include "pt_impl.h"

/* Entries that lie in one table. */
static enum qy_error check_entries(vaddr_t address, unsigned level, unsigned pages)
{
    if (level < 1 || level > QY_PT_LEVELS)
        return QY_INVALID_ARGUMENT;
    if (!vaddr_is_canonical(address.raw) || address.raw & (qy_pt_page_bytes(level) - 1))
        return QY_INVALID_ADDRESS;
    if (pages < 1 || pages > QY_PT_ENTRIES - qy_pt_index(address, level))
        return QY_INVALID_ARGUMENT;
    return QY_OK;
}

/* The same for pages, which the root has none of. */
static enum qy_error check_run(vaddr_t address, unsigned level, unsigned pages)
{
    return level > QY_PT_LARGEST_PAGE ? QY_INVALID_ARGUMENT : check_entries(address, level, pages);
}

bool qy_pt_flags_fit(const struct qy_pt *pt, vaddr_t address, unsigned level, unsigned flags)
{
    return qy_pt_supports(pt->format, flags, level) &&
           !(flags & QY_PT_USER) == qy_pt_is_upper(address);
}

/* The first of `pages` entries of a table, all of which are empty. */
static enum qy_error find_empty(const struct qy_pt *pt, vaddr_t address, unsigned level,
                                unsigned pages, _Atomic uint64_t **out, unsigned *missing)
{
    unsigned absent;
    enum qy_error error = qy_pt_descend(pt, address, level, out, missing ? missing : &absent);
    if (error != QY_OK)
        return error;
    /*@ loop invariant 0 <= i <= pages && \forall integer k; 0 <= k < i ==> (*out)[k] == 0;
        loop assigns i;
        loop variant pages - i; */
    for (unsigned i = 0; i < pages; i++)
        if (atomic_load_explicit(*out + i, memory_order_relaxed))
            return QY_ALREADY_MAPPED;
    return QY_OK;
}

enum qy_error qy_pt_map_run(struct qy_pt *pt, vaddr_t address, paddr_t frame, unsigned level,
                            unsigned pages, unsigned flags, unsigned *missing)
{
    enum qy_error error = check_run(address, level, pages);
    if (error != QY_OK)
        return error;
    uint64_t bytes = qy_pt_page_bytes(level);
    uint64_t end = qy_pt_physical_end(pt->format);
    if (address.raw == 0 || frame.raw & (bytes - 1) || frame.raw >= end ||
        pages * bytes > end - frame.raw)
        return QY_INVALID_ADDRESS;
    if (!qy_pt_flags_fit(pt, address, level, flags))
        return QY_INVALID_FLAGS;

    _Atomic uint64_t *slot;
    error = find_empty(pt, address, level, pages, &slot, missing);
    if (error != QY_OK)
        return error;

    qy_pt_fill(pt->format, slot, frame, level, pages, flags);
    return QY_OK;
}

/* The slots of pages that are all there. */
static enum qy_error find_run(const struct qy_pt *pt, vaddr_t address, unsigned level,
                              unsigned pages, _Atomic uint64_t **slot)
{
    unsigned absent;
    enum qy_error error = check_run(address, level, pages);
    if (error != QY_OK)
        return error;
    if (qy_pt_descend(pt, address, level, slot, &absent) != QY_OK)
        return QY_NOT_MAPPED;
    /*@ loop invariant 0 <= i <= pages;
        loop invariant \forall integer k; 0 <= k < i ==> is_page(pt->format, (*slot)[k], level);
        loop assigns i;
        loop variant pages - i; */
    for (unsigned i = 0; i < pages; i++)
        if (!qy_pt_is_page(pt->format, atomic_load_explicit(&(*slot)[i], memory_order_relaxed),
                           level))
            return QY_NOT_MAPPED;
    return QY_OK;
}

enum qy_error qy_pt_unmap_run(struct qy_pt *pt, vaddr_t address, unsigned level, unsigned pages,
                              uint64_t *old)
{
    _Atomic uint64_t *slot;
    enum qy_error error = find_run(pt, address, level, pages, &slot);
    if (error != QY_OK)
        return error;
    /*@ loop invariant 0 <= i <= pages && \forall integer k; 0 <= k < i ==> slot[k] == 0;
        loop assigns i, slot[0 .. pages - 1], old[0 .. pages - 1];
        loop variant pages - i; */
    for (unsigned i = 0; i < pages; i++) {
        uint64_t entry = qy_pt_clear(pt->format, &slot[i]);
        if (old)
            old[i] = entry;
    }
    return QY_OK;
}

enum qy_error qy_pt_protect_run(struct qy_pt *pt, vaddr_t address, unsigned level, unsigned pages,
                                unsigned flags, uint64_t *old, enum qy_pt_change *change)
{
    _Atomic uint64_t *slot;
    enum qy_error error = find_run(pt, address, level, pages, &slot);
    if (error != QY_OK)
        return error;
    if (!qy_pt_flags_fit(pt, address, level, flags))
        return QY_INVALID_FLAGS;
    uint64_t set = qy_pt_encode(pt->format, paddr(0), level, flags);
    struct qy_pt_delta delta = {0};
    for (unsigned i = 0; i < pages; i++) {
        uint64_t entry = qy_pt_change_flags(pt->format, &slot[i], set, &delta);
        if (old)
            old[i] = entry;
    }
    if (change)
        *change = qy_pt_delta_change(pt->format, &delta);
    return QY_OK;
}

enum qy_error qy_pt_install(struct qy_pt *pt, vaddr_t address, paddr_t table, unsigned level,
                            bool user, unsigned *missing)
{
    if (level < 1 || level >= QY_PT_LEVELS)
        return QY_INVALID_ARGUMENT;
    if (!vaddr_is_canonical(address.raw) || table.raw & QY_PAGE_MASK ||
        table.raw >= qy_pt_physical_end(pt->format) || user == qy_pt_is_upper(address))
        return QY_INVALID_ADDRESS;
    _Atomic uint64_t *slot;
    unsigned absent;
    enum qy_error error = qy_pt_descend(pt, address, level + 1, &slot, missing ? missing : &absent);
    if (error != QY_OK)
        return error;
    if (qy_pt_load(slot))
        return QY_ALREADY_MAPPED;
    qy_pt_store(slot, qy_pt_table_entry(pt->format, table, address));
    return QY_OK;
}

enum qy_error qy_pt_remove(struct qy_pt *pt, vaddr_t address, unsigned level, paddr_t *out)
{
    if (level < 1 || level >= QY_PT_LEVELS)
        return QY_INVALID_ARGUMENT;
    if (!vaddr_is_canonical(address.raw))
        return QY_INVALID_ADDRESS;
    _Atomic uint64_t *slot;
    unsigned absent;
    if (qy_pt_descend(pt, address, level + 1, &slot, &absent) != QY_OK)
        return QY_NOT_MAPPED;
    uint64_t entry = qy_pt_load(slot);
    if (!qy_pt_is_table(pt->format, entry, level + 1))
        return QY_NOT_MAPPED;
    paddr_t table = qy_pt_entry_address(pt->format, entry);
    /*@ loop invariant 0 <= i <= 512 && \forall integer k; 0 <= k < i ==> entry_at(table.raw, k) == 0;
        loop assigns i;
        loop variant 512 - i; */
    for (unsigned i = 0; i < QY_PT_ENTRIES; i++)
        if (qy_pt_load(qy_pt_slot(table, i)))
            return QY_BUSY;
    qy_pt_store(slot, 0);
    *out = table;
    return QY_OK;
}

enum qy_error qy_pt_mark_run(struct qy_pt *pt, vaddr_t address, unsigned level, unsigned pages,
                             uint64_t mark, unsigned *missing)
{
    enum qy_error error = check_entries(address, level, pages);
    if (error != QY_OK)
        return error;
    if (mark >> QY_PT_MARK_BITS)
        return QY_INVALID_ARGUMENT;
    _Atomic uint64_t *slot;
    error = find_empty(pt, address, level, pages, &slot, missing);
    if (error != QY_OK)
        return error;
    for (unsigned i = 0; i < pages; i++)
        qy_pt_store(&slot[i], qy_pt_mark_encode(pt->format, mark));
    return QY_OK;
}

enum qy_error qy_pt_replace_mark(struct qy_pt *pt, vaddr_t address, unsigned level, uint64_t mark,
                                 uint64_t entry)
{
    enum qy_error error = check_entries(address, level, 1);
    if (error != QY_OK)
        return error;
    _Atomic uint64_t *slot;
    unsigned absent;
    uint64_t expected = qy_pt_mark_encode(pt->format, mark);
    if (qy_pt_descend(pt, address, level, &slot, &absent) != QY_OK)
        return QY_NOT_MAPPED;
    return atomic_compare_exchange_strong_explicit(slot, &expected, entry, memory_order_acq_rel,
                                                   memory_order_relaxed)
               ? QY_OK
               : QY_NOT_MAPPED;
}
