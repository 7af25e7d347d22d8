/*
 * What the files of kernel/space share.
 */
#ifndef KERNEL_SPACE_IMPL_H
#define KERNEL_SPACE_IMPL_H

#include <kernel/space.h>

/* An entry as it is now; 0 = nothing. A hardware walk may read entries at any time, so each is one
 * load or store. */
static inline uint64_t entry_get(const struct table *table, unsigned index)
{
    return atomic_load_explicit(qy_pt_slot(pfn_to_paddr(table->frame), index),
                                memory_order_relaxed);
}

static inline void entry_set(const struct table *table, unsigned index, uint64_t entry)
{
    atomic_store_explicit(qy_pt_slot(pfn_to_paddr(table->frame), index), entry,
                          memory_order_release);
}

/* Index of the entry for address in a table. */
static inline unsigned table_index(const struct table *table, uint64_t address)
{
    return qy_pt_index(vaddr(address), table->level);
}

/* The table over address of that level, or the lowest one above it that exists. */
struct table *space_table(struct space *space, uint64_t address, unsigned level);

/* Take out a mapping whose table no CPU walks any more: there is nothing to shoot down. */
void mapping_forget(struct slot *slot) QY_REQUIRES(qy_class_caps);

#endif
