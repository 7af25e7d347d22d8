/*
 * What a pool of guarded allocations says of itself: the explanation of a fault, counters, the
 * validator. See qy/guard.h.
 */
#include "guard_impl.h"

#include <lib/string.h>

static const char *const bug_words[] = {
#define X(NAME, words) words,
    QY_GUARD_BUGS(X)
#undef X
};

const char *qy_guard_bug_words(enum qy_guard_bug bug)
{
    return bug_words[bug];
}

/* ---- explaining ---- */

/* What the address is to a slot: its distance from the object, 0 inside of it. */
static uint64_t distance_of(const struct qy_guard_slot *slot, uint64_t address)
{
    uint64_t start = atomic_load_explicit(&slot->object, memory_order_relaxed);
    uint64_t end = start + slot->bytes;
    return address < start ? start - address : address >= end ? address - end + 1 : 0;
}

void qy_guard_report_fill(const struct qy_guard *guard, uint32_t index, enum qy_guard_bug bug,
                          uint64_t address, struct qy_guard_report *out)
{
    const struct qy_guard_slot *slot = &guard->config.slots[index];
    uint64_t start = atomic_load_explicit(&slot->object, memory_order_relaxed);
    uint64_t from = bug == QY_GUARD_OVERFLOW ? start + slot->bytes : start;
    *out = (struct qy_guard_report){.bug = bug,
                                    .address = address,
                                    .distance = address < from ? from - address : address - from,
                                    .name = slot->name,
                                    .site = slot->site,
                                    .object = start,
                                    .bytes = slot->bytes,
                                    .number = slot->number,
                                    .arena = slot->arena_id,
                                    .allocated = slot->allocated};
    out->is_freed = qy_guard_slot_state(slot) != QY_GUARD_LIVE;
    if (out->is_freed)
        out->freed = slot->freed;
}

/* The likelier of two slots: a live one, else the one whose object is nearer. Either may be out of
 * range or never taken. */
static uint32_t likelier(const struct qy_guard *guard, uint32_t a, uint32_t b, uint64_t address)
{
    const uint32_t candidates[2] = {a, b};
    uint32_t best = QY_GUARD_NIL;
    bool best_live = false;
    for (unsigned i = 0; i < 2; i++) {
        if (candidates[i] >= guard->config.slot_count)
            continue;
        const struct qy_guard_slot *slot = &guard->config.slots[candidates[i]];
        bool live = qy_guard_slot_state(slot) == QY_GUARD_LIVE;
        if (!atomic_load_explicit(&slot->object, memory_order_relaxed))
            continue;
        if (best == QY_GUARD_NIL || live > best_live ||
            (live == best_live &&
             distance_of(slot, address) < distance_of(&guard->config.slots[best], address))) {
            best = candidates[i];
            best_live = live;
        }
    }
    return best;
}

bool qy_guard_explain(const struct qy_guard *guard, uint64_t address, struct qy_guard_report *out)
{
    if (!qy_guard_holds(guard, (const void *)(uintptr_t)address))
        return false;
    uint32_t index = qy_guard_slot_of(guard, address);
    bool in_guard_page = index >= guard->config.slot_count ||
                         address < (uint64_t)(uintptr_t)qy_guard_slot_base(guard, index);
    index = likelier(guard, index, in_guard_page ? index - 1 : QY_GUARD_NIL, address);
    if (index == QY_GUARD_NIL)
        return false;
    const struct qy_guard_slot *slot = &guard->config.slots[index];
    uint64_t start = atomic_load_explicit(&slot->object, memory_order_relaxed);
    enum qy_guard_bug bug = qy_guard_slot_state(slot) != QY_GUARD_LIVE ? QY_GUARD_USE_AFTER_FREE
                            : address < start                          ? QY_GUARD_UNDERFLOW
                                                                       : QY_GUARD_OVERFLOW;
    if (bug != QY_GUARD_USE_AFTER_FREE && distance_of(slot, address) == 0)
        return false;
    qy_guard_report_fill(guard, index, bug, address, out);
    return true;
}

/* ---- slack ---- */

static const unsigned char *first_other(const unsigned char *at, const unsigned char *end)
{
    while (at < end && *at == QY_GUARD_PATTERN)
        at++;
    return at < end ? at : NULL;
}

const unsigned char *qy_guard_slack_broken(const struct qy_guard *guard, uint32_t index)
{
    const struct qy_guard_slot *slot = &guard->config.slots[index];
    const unsigned char *base = qy_guard_pages_base(guard, index);
    const unsigned char *object =
        (const unsigned char *)atomic_load_explicit(&slot->object, memory_order_relaxed);
    const unsigned char *broken = first_other(base, object);
    return broken ? broken : first_other(object + slot->bytes, base + slot->pages * QY_PAGE_BYTES);
}

/* ---- counting ---- */

static uint64_t pages_of(const struct qy_guard *guard, const struct qy_arena *arena, bool live_too)
{
    uint64_t pages = 0;
    for (uint32_t i = 0; i < guard->config.slot_count; i++) {
        const struct qy_guard_slot *slot = &guard->config.slots[i];
        const struct qy_arena *payer = atomic_load(&slot->payer);
        if (payer && (!arena || payer == arena) &&
            (live_too || qy_guard_slot_state(slot) != QY_GUARD_LIVE))
            pages += slot->pages;
    }
    return pages;
}

uint64_t qy_guard_live(const struct qy_guard *guard, const void *heap)
{
    uint64_t live = 0;
    for (uint32_t i = 0; i < guard->config.slot_count; i++) {
        const struct qy_guard_slot *slot = &guard->config.slots[i];
        live += qy_guard_slot_state(slot) == QY_GUARD_LIVE &&
                atomic_load_explicit(&slot->heap, memory_order_relaxed) == heap;
    }
    return live;
}

uint64_t qy_guard_pages(const struct qy_guard *guard, const struct qy_arena *arena)
{
    return pages_of(guard, arena, true);
}

uint64_t qy_guard_freed_pages(const struct qy_guard *guard, const struct qy_arena *arena)
{
    return pages_of(guard, arena, false);
}

void qy_guard_count(struct qy_guard *guard, struct qy_guard_counters *out) QY_UNCHECKED
{
    qy_lock_acquire(&guard->lock);
    *out = guard->counters;
    out->held = guard->pending.count + guard->flushing.count;
    out->unused = guard->unused.count;
    qy_lock_release(&guard->lock);
    out->refused_frees = atomic_load_explicit(&guard->refused_frees, memory_order_relaxed);
}

/* ---- the validator ---- */

bool qy_guard_page(const struct qy_guard *guard, uint64_t page, pfn_t *frame)
{
    const unsigned char *at = guard->config.window + page * QY_PAGE_BYTES;
    uint32_t index = qy_guard_slot_of(guard, (uint64_t)(uintptr_t)at);
    if (index >= guard->config.slot_count)
        return false;
    const struct qy_guard_slot *slot = &guard->config.slots[index];
    const unsigned char *base = qy_guard_pages_base(guard, index);
    if (qy_guard_slot_state(slot) != QY_GUARD_LIVE || at < base ||
        at >= base + slot->pages * QY_PAGE_BYTES)
        return false;
    *frame = pfn(slot->first.raw + (uint64_t)(at - base) / QY_PAGE_BYTES);
    return true;
}

static const char *check_queue(const struct qy_guard *guard, const struct qy_guard_queue *queue,
                               enum qy_guard_state state)
{
    uint32_t count = 0, last = QY_GUARD_NIL;
    for (uint32_t i = queue->first; count < queue->count;
         count++, i = guard->config.slots[i].next) {
        if (i >= guard->config.slot_count || qy_guard_slot_state(&guard->config.slots[i]) != state)
            return "GUARD-SLOT";
        last = i;
    }
    return queue->count == 0 || last == queue->last ? NULL : "GUARD-SLOT";
}

static const char *check_slot(const struct qy_guard *guard, uint32_t index)
{
    const struct qy_guard_slot *slot = &guard->config.slots[index];
    enum qy_guard_state state = qy_guard_slot_state(slot);
    const struct qy_arena *payer = atomic_load(&slot->payer);
    if ((state == QY_GUARD_UNUSED) != (payer == NULL))
        return "GUARD-FRAME";
    for (uint32_t i = 0; payer && i < slot->pages; i++) {
        enum qy_frame_state frame;
        pfn_t at = pfn(slot->first.raw + i);
        if (qy_frame_block(payer->db, at, NULL, NULL, &frame) != QY_OK ||
            frame != QY_FRAME_OBJECT || qy_arena_of(payer->db, at) != payer)
            return "GUARD-FRAME";
    }
    uint64_t base = (uint64_t)(uintptr_t)qy_guard_pages_base(guard, index);
    uint64_t object = atomic_load_explicit(&slot->object, memory_order_relaxed);
    if (state == QY_GUARD_LIVE &&
        (object < base || object + slot->bytes > base + slot->pages * QY_PAGE_BYTES))
        return "GUARD-SLOT";
    return state == QY_GUARD_LIVE && qy_guard_slack_broken(guard, index) ? "GUARD-SLACK" : NULL;
}

const char *qy_guard_check(struct qy_guard *guard) QY_UNCHECKED
{
    uint64_t in[4] = {0};
    const char *broken;
    qy_lock_acquire(&guard->lock);
    broken = check_queue(guard, &guard->unused, QY_GUARD_UNUSED);
    if (!broken)
        broken = check_queue(guard, &guard->pending, QY_GUARD_FREED);
    if (!broken)
        broken = check_queue(guard, &guard->flushing, QY_GUARD_FREED);
    for (uint32_t i = 0; i < guard->config.slot_count && !broken; i++) {
        in[qy_guard_slot_state(&guard->config.slots[i])]++;
        broken = check_slot(guard, i);
    }
    if (!broken && (in[QY_GUARD_UNUSED] != guard->unused.count || in[QY_GUARD_BUSY] ||
                    in[QY_GUARD_LIVE] != guard->counters.live ||
                    in[QY_GUARD_FREED] != (uint64_t)guard->pending.count + guard->flushing.count))
        broken = "GUARD-SLOT";
    qy_lock_release(&guard->lock);
    return broken;
}
