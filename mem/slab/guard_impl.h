/*
 * Where things lie in the window of guarded allocations. Private to mem/slab.
 */
#ifndef QY_GUARD_IMPL_H
#define QY_GUARD_IMPL_H

#include <qy/guard.h>

#define QY_GUARD_PATTERN 0xb5 /* of slack */

static inline enum qy_guard_state qy_guard_state_of(uint64_t word)
{
    return (enum qy_guard_state)(word & 3);
}

static inline enum qy_guard_state qy_guard_slot_state(const struct qy_guard_slot *slot)
{
    return qy_guard_state_of(atomic_load_explicit(&slot->state, memory_order_acquire));
}

/* The first of a slot's P pages. */
static inline unsigned char *qy_guard_slot_base(const struct qy_guard *guard, uint32_t index)
{
    return guard->config.window +
           ((uint64_t)index * (guard->config.slot_pages + 1) + 1) * QY_PAGE_BYTES;
}

/* The first of the pages that the last object has, or had. */
static inline unsigned char *qy_guard_pages_base(const struct qy_guard *guard, uint32_t index)
{
    const struct qy_guard_slot *slot = &guard->config.slots[index];
    uint64_t skipped = slot->upper ? guard->config.slot_pages - slot->pages : 0;
    return qy_guard_slot_base(guard, index) + skipped * QY_PAGE_BYTES;
}

/*
 * The slot that an address of the window lies in; an address in a guard page belongs to the slot
 * above it, which may be the one past the last.
 */
static inline uint32_t qy_guard_slot_of(const struct qy_guard *guard, uint64_t address)
{
    uint64_t page = (address - (uint64_t)(uintptr_t)guard->config.window) / QY_PAGE_BYTES;
    return (uint32_t)(page / (guard->config.slot_pages + 1));
}

/* The first byte of the live or freed object's slack that does not hold the pattern, or null. */
const unsigned char *qy_guard_slack_broken(const struct qy_guard *guard, uint32_t index);

void qy_guard_report_fill(const struct qy_guard *guard, uint32_t index, enum qy_guard_bug bug,
                          uint64_t address, struct qy_guard_report *out);

#endif
