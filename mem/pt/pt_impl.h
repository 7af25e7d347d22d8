/*
 * What the files of mem/pt share: reading and writing entries, going down, and building formats.
 * Private.
 */
#ifndef QY_PT_IMPL_H
#define QY_PT_IMPL_H

#include <qy/pt.h>

#define QY_PT_MARK_ONES (31ull << 43)

/* Rights that make sense together, in every format: the rest has no entry. */
#define QY_PT_SANE(f)                                                                              \
    (QY_PT_READ & (f) && !(QY_PT_WRITE & (f) && QY_PT_EXEC & (f)) &&                               \
     !(QY_PT_WRITE_THROUGH & (f) && QY_PT_UNCACHED & (f)) &&                                       \
     !(QY_PT_USER & (f) && QY_PT_GLOBAL & (f)))

/* LEAF(f) for each f from 0 to 127: the table leaf[] of a format. */
#define QY_PT_FOUR(LEAF, f) LEAF(f), LEAF((f) + 1), LEAF((f) + 2), LEAF((f) + 3)
#define QY_PT_SIXTEEN(LEAF, f)                                                                     \
    QY_PT_FOUR(LEAF, f), QY_PT_FOUR(LEAF, (f) + 4), QY_PT_FOUR(LEAF, (f) + 8),                     \
        QY_PT_FOUR(LEAF, (f) + 12)
#define QY_PT_EACH_FLAGS(LEAF)                                                                     \
    QY_PT_SIXTEEN(LEAF, 0), QY_PT_SIXTEEN(LEAF, 16), QY_PT_SIXTEEN(LEAF, 32),                      \
        QY_PT_SIXTEEN(LEAF, 48), QY_PT_SIXTEEN(LEAF, 64), QY_PT_SIXTEEN(LEAF, 80),                 \
        QY_PT_SIXTEEN(LEAF, 96), QY_PT_SIXTEEN(LEAF, 112)

static inline uint64_t qy_pt_load(const _Atomic uint64_t *slot)
{
    return atomic_load_explicit(slot, memory_order_acquire);
}

static inline void qy_pt_store(_Atomic uint64_t *slot, uint64_t entry)
{
    atomic_store_explicit(slot, entry, memory_order_release);
}

/* What changes of pages have in common, gathered over many entries. */
struct qy_pt_delta {
    uint64_t flipped; /* bits that differ */
    uint64_t lost;    /* rights, ACCESSED or DIRTY that went */
};

/* Bits that give a CPU more when they are set, or clear (NX). */
static inline uint64_t qy_pt_grows(const struct qy_pt_format *format)
{
    return format->accessed_dirty | format->flags[QY_PT_BIT_WRITE].mask |
           format->flags[QY_PT_BIT_EXEC].mask;
}

/* One page entry becomes another. */
static inline void qy_pt_delta_add(const struct qy_pt_format *format, struct qy_pt_delta *delta,
                                   uint64_t old, uint64_t new)
{
    const struct qy_pt_bits *exec = &format->flags[QY_PT_BIT_EXEC];
    uint64_t clear = exec->mask ^ exec->value;
    delta->flipped |= old ^ new;
    delta->lost |= (old ^ clear) & ~(new ^ clear) & qy_pt_grows(format);
}

static inline enum qy_pt_change qy_pt_delta_change(const struct qy_pt_format *format,
                                                   const struct qy_pt_delta *delta)
{
    uint64_t ignored =
        format->flags[QY_PT_BIT_SOFT_0].mask | format->flags[QY_PT_BIT_SOFT_1].mask;
    if (delta->lost || delta->flipped & ~(qy_pt_grows(format) | ignored))
        return QY_PT_REPLACE;
    return delta->flipped & ~ignored ? QY_PT_WIDEN : QY_PT_UNCHANGED;
}

static inline bool qy_pt_is_upper(vaddr_t address)
{
    return address.raw >> 63;
}

/* One past the largest physical address that an entry can hold. */
static inline uint64_t qy_pt_physical_end(const struct qy_pt_format *format)
{
    return ((format->address_mask >> format->address_shift) + 1) << QY_PAGE_SHIFT;
}

/* The entry that points at a table, in the half that the address lies in. */
static inline uint64_t qy_pt_table_entry(const struct qy_pt_format *format, paddr_t table,
                                         vaddr_t address)
{
    return table.raw >> QY_PAGE_SHIFT << format->address_shift |
           (qy_pt_is_upper(address) ? format->table_kernel : format->table_user);
}

/*
 * Could the CPU set the accessed or the dirty bit of this entry at any moment? Then changing it
 * takes an exchange, or the bit is lost; as Quarry maps pages the answer is no, and a store does.
 */
static inline bool qy_pt_cpu_may_write(const struct qy_pt_format *format, uint64_t entry)
{
    return !qy_pt_has(format, entry, QY_PT_BIT_ACCESSED) ||
           (!qy_pt_has(format, entry, QY_PT_BIT_DIRTY) &&
            qy_pt_has(format, entry, QY_PT_BIT_WRITE));
}

/* Map neighbouring pages through empty entries of one table. */
static inline void qy_pt_fill(const struct qy_pt_format *format, _Atomic uint64_t *slot,
                              paddr_t frame, unsigned level, unsigned pages, unsigned flags)
{
    uint64_t entry = qy_pt_encode(format, frame, level, flags);
    uint64_t step = qy_pt_page_bytes(level) >> QY_PAGE_SHIFT << format->address_shift;
    atomic_thread_fence(memory_order_release);
    /*@ loop invariant 0 <= i <= pages && (i == 0 ==> entry == \at(entry, LoopEntry));
        loop invariant i > 0 ==> slot[0] == \at(entry, LoopEntry);
        loop assigns i, entry, slot[0 .. pages - 1];
        loop variant pages - i; */
    for (unsigned i = 0; i < pages; i++, entry += step)
        atomic_store_explicit(&slot[i], entry, memory_order_relaxed);
}

/* Empty the entry of a page; its last state. */
static inline uint64_t qy_pt_clear(const struct qy_pt_format *format, _Atomic uint64_t *slot)
{
    uint64_t entry = atomic_load_explicit(slot, memory_order_relaxed);
    if (qy_pt_cpu_may_write(format, entry))
        return atomic_exchange_explicit(slot, 0, memory_order_relaxed);
    atomic_store_explicit(slot, 0, memory_order_relaxed);
    return entry;
}

/* Give the entry of a page other flags, encoded in `set`; its last state before. */
static inline uint64_t qy_pt_change_flags(const struct qy_pt_format *format,
                                          _Atomic uint64_t *slot, uint64_t set,
                                          struct qy_pt_delta *delta)
{
    uint64_t keep = format->address_mask | format->accessed_dirty;
    uint64_t entry = atomic_load_explicit(slot, memory_order_relaxed);
    if (!qy_pt_cpu_may_write(format, entry))
        atomic_store_explicit(slot, (entry & keep) | set, memory_order_relaxed);
    else
        while (!atomic_compare_exchange_weak_explicit(
            slot, &entry, (entry & keep) | set, memory_order_relaxed, memory_order_relaxed)) {
        }
    qy_pt_delta_add(format, delta, entry, (entry & keep) | set);
    return entry;
}

/* Flags that the format has, for the half that the address lies in. */
bool qy_pt_flags_fit(const struct qy_pt *pt, vaddr_t address, unsigned level, unsigned flags);

/*
 * The slot for address in the table of `level`. OK; MISSING_TABLE with the level of the highest
 * missing table; or ALREADY_MAPPED when a larger page or a mark is in the way.
 */
static inline enum qy_error qy_pt_descend(const struct qy_pt *pt, vaddr_t address, unsigned level,
                                          _Atomic uint64_t **out, unsigned *missing)
{
    const struct qy_pt_format *format = pt->format;
    paddr_t table = pt->root;
    /*@ loop invariant level <= at <= QY_PT_LEVELS && is_table(table.raw, at);
        loop invariant table.raw == way(format, pt->root.raw, address.raw, at);
        loop invariant reached(format, pt->root.raw, address.raw, at);
        loop assigns at, table;
        loop variant at; */
    for (unsigned at = QY_PT_LEVELS; at > level; at--) {
        uint64_t entry = qy_pt_load(qy_pt_slot(table, qy_pt_index(address, at)));
        if (!entry) {
            *missing = at - 1;
            return QY_MISSING_TABLE;
        }
        if (!qy_pt_is_table(format, entry, at))
            return QY_ALREADY_MAPPED;
        table = qy_pt_entry_address(format, entry);
    }
    *out = qy_pt_slot(table, qy_pt_index(address, level));
    return QY_OK;
}

#endif
