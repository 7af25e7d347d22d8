/*
 * Changing page tables: runs of pages in one table, and the tables themselves.
 *
 * Each call checks its arguments, goes down once, checks every entry that it would change, and then
 * writes: nothing fails after the first store (ATOMIC). Locking: the caller's. Cost: one load a
 * level, one load and one store or exchange a page.
 */
#include "pt_impl.h"

/* Pages that lie in one table of a level that has pages. */
static enum qy_error check_run(const struct qy_pt *pt, vaddr_t address, unsigned level,
                               unsigned pages)
{
    if (level < 1 || level > QY_PT_LARGEST_PAGE || !pt->format->page_allowed[level])
        return QY_INVALID_ARGUMENT;
    if (!vaddr_is_canonical(address.raw) || address.raw & (qy_pt_page_bytes(level) - 1))
        return QY_INVALID_ADDRESS;
    if (pages < 1 || pages > QY_PT_ENTRIES - qy_pt_index(address, level))
        return QY_INVALID_ARGUMENT;
    return QY_OK;
}

/* Flags that the format has, for the half that the address lies in. */
static bool flags_fit(const struct qy_pt *pt, vaddr_t address, unsigned level, unsigned flags)
{
    return qy_pt_supports(pt->format, flags, level) &&
           !(flags & QY_PT_USER) == qy_pt_is_upper(address);
}

enum qy_error qy_pt_map_run(struct qy_pt *pt, vaddr_t address, paddr_t frame, unsigned level,
                            unsigned pages, unsigned flags, unsigned *missing)
{
    enum qy_error error = check_run(pt, address, level, pages);
    if (error != QY_OK)
        return error;
    uint64_t bytes = qy_pt_page_bytes(level);
    uint64_t end = qy_pt_physical_end(pt->format);
    if (address.raw == 0 || frame.raw & (bytes - 1) || frame.raw >= end ||
        pages * bytes > end - frame.raw)
        return QY_INVALID_ADDRESS;
    if (!flags_fit(pt, address, level, flags))
        return QY_INVALID_FLAGS;

    _Atomic uint64_t *slot;
    unsigned absent;
    error = qy_pt_descend(pt, address, level, &slot, missing ? missing : &absent);
    if (error != QY_OK)
        return error;
    for (unsigned i = 0; i < pages; i++)
        if (atomic_load_explicit(&slot[i], memory_order_relaxed))
            return QY_ALREADY_MAPPED;

    uint64_t entry = qy_pt_encode(pt->format, frame, level, flags);
    uint64_t step = bytes >> QY_PAGE_SHIFT << pt->format->address_shift;
    atomic_thread_fence(memory_order_release);
    for (unsigned i = 0; i < pages; i++, entry += step)
        atomic_store_explicit(&slot[i], entry, memory_order_relaxed);
    return QY_OK;
}

/* The slots of pages that are all there. */
static enum qy_error find_run(const struct qy_pt *pt, vaddr_t address, unsigned level,
                              unsigned pages, _Atomic uint64_t **slot)
{
    unsigned absent;
    enum qy_error error = check_run(pt, address, level, pages);
    if (error != QY_OK)
        return error;
    if (qy_pt_descend(pt, address, level, slot, &absent) != QY_OK)
        return QY_NOT_MAPPED;
    for (unsigned i = 0; i < pages; i++)
        if (!qy_pt_is_page(pt->format, atomic_load_explicit(&(*slot)[i], memory_order_relaxed),
                           level))
            return QY_NOT_MAPPED;
    return QY_OK;
}

/*
 * Could the CPU set the accessed or the dirty bit of this entry at any moment? Then changing it
 * takes an exchange, or the bit is lost; as Quarry maps pages the answer is no, and a store does.
 */
static bool cpu_may_write(const struct qy_pt_format *format, uint64_t entry)
{
    return !qy_pt_has(format, entry, QY_PT_BIT_ACCESSED) ||
           (!qy_pt_has(format, entry, QY_PT_BIT_DIRTY) &&
            qy_pt_has(format, entry, QY_PT_BIT_WRITE));
}

enum qy_error qy_pt_unmap_run(struct qy_pt *pt, vaddr_t address, unsigned level, unsigned pages,
                              uint64_t *old)
{
    _Atomic uint64_t *slot;
    enum qy_error error = find_run(pt, address, level, pages, &slot);
    if (error != QY_OK)
        return error;
    for (unsigned i = 0; i < pages; i++) {
        uint64_t entry = atomic_load_explicit(&slot[i], memory_order_relaxed);
        if (cpu_may_write(pt->format, entry))
            entry = atomic_exchange_explicit(&slot[i], 0, memory_order_relaxed);
        else
            atomic_store_explicit(&slot[i], 0, memory_order_relaxed);
        if (old)
            old[i] = entry;
    }
    return QY_OK;
}

enum qy_error qy_pt_protect_run(struct qy_pt *pt, vaddr_t address, unsigned level, unsigned pages,
                                unsigned flags, uint64_t *old)
{
    _Atomic uint64_t *slot;
    enum qy_error error = find_run(pt, address, level, pages, &slot);
    if (error != QY_OK)
        return error;
    if (!flags_fit(pt, address, level, flags))
        return QY_INVALID_FLAGS;
    uint64_t keep = pt->format->address_mask | pt->format->accessed_dirty;
    uint64_t set = qy_pt_encode(pt->format, paddr(0), level, flags);
    for (unsigned i = 0; i < pages; i++) {
        uint64_t entry = atomic_load_explicit(&slot[i], memory_order_relaxed);
        if (!cpu_may_write(pt->format, entry))
            atomic_store_explicit(&slot[i], (entry & keep) | set, memory_order_relaxed);
        else
            while (!atomic_compare_exchange_weak_explicit(&slot[i], &entry, (entry & keep) | set,
                                                          memory_order_relaxed,
                                                          memory_order_relaxed)) {
            }
        if (old)
            old[i] = entry;
    }
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
    qy_pt_store(slot, table.raw >> QY_PAGE_SHIFT << pt->format->address_shift |
                          (user ? pt->format->table_user : pt->format->table_kernel));
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
    if (!(entry & pt->format->valid) || entry & pt->format->page[level + 1])
        return QY_NOT_MAPPED;
    paddr_t table = qy_pt_entry_address(pt->format, entry);
    for (unsigned i = 0; i < QY_PT_ENTRIES; i++)
        if (qy_pt_load(qy_pt_slot(table, i)))
            return QY_BUSY;
    qy_pt_store(slot, 0);
    *out = table;
    return QY_OK;
}
