/*
 * Guarded allocations: slots, their frames, and the batches in which they are flushed. See
 * qy/guard.h.
 *
 * A slot that is BUSY belongs to the CPU that made it so and is in no queue; the lock is held only
 * to move slots between queues. Failures: what cannot be guarded changes nothing but a counter.
 */
#include "guard_impl.h"

#include <lib/string.h>

static void guard_lock(struct qy_guard *guard) QY_ACQUIRES(qy_class_guard) QY_UNCHECKED
{
    qy_lock_acquire(&guard->lock);
}

static void guard_unlock(struct qy_guard *guard) QY_RELEASES(qy_class_guard) QY_UNCHECKED
{
    qy_lock_release(&guard->lock);
}

static const struct qy_guard_queue empty_queue = {QY_GUARD_NIL, QY_GUARD_NIL, 0};

static void queue_push(struct qy_guard *guard, struct qy_guard_queue *queue, uint32_t index)
{
    guard->config.slots[index].next = QY_GUARD_NIL;
    if (queue->count++)
        guard->config.slots[queue->last].next = index;
    else
        queue->first = index;
    queue->last = index;
}

static uint32_t queue_pop(struct qy_guard *guard, struct qy_guard_queue *queue)
{
    uint32_t index = queue->first;
    if (queue->count) {
        queue->first = guard->config.slots[index].next;
        queue->count--;
    }
    return index;
}

static void set_state(struct qy_guard_slot *slot, enum qy_guard_state state)
{
    uint64_t word = atomic_load_explicit(&slot->state, memory_order_relaxed);
    atomic_store_explicit(&slot->state, (word & ~3ull) | state, memory_order_release);
}

enum qy_error qy_guard_init(struct qy_guard *guard,
                            const struct qy_guard_config *config) QY_UNCHECKED
{
    if ((uintptr_t)config->window % QY_PAGE_BYTES || !config->slots || config->slot_count == 0 ||
        config->slot_count == QY_GUARD_NIL || config->slot_pages == 0 ||
        config->slot_pages > QY_GUARD_PAGES_MAX || config->batch == 0 ||
        config->batch > config->slot_count)
        return QY_INVALID_ARGUMENT;
    memset(guard, 0, sizeof(*guard));
    memset(config->slots, 0, config->slot_count * sizeof(*config->slots));
    guard->config = *config;
    guard->unused = guard->pending = guard->flushing = empty_queue;
    for (uint32_t i = 0; i < config->slot_count; i++)
        queue_push(guard, &guard->unused, i);
    return QY_OK;
}

/* ---- batches ---- */

/* Their frames go back, and the slots behind those that have been unused for longer. */
static void retire(struct qy_guard *guard, struct qy_guard_queue done) QY_EXCLUDES(qy_class_guard)
{
    uint32_t count = done.count;
    for (uint32_t i = done.first; count; count--, i = guard->config.slots[i].next) {
        struct qy_guard_slot *slot = &guard->config.slots[i];
        if (qy_arena_free_pages(atomic_load(&slot->payer), slot->first, slot->pages,
                                QY_FRAME_OBJECT) != QY_OK)
            qy_port_broken("GUARD-FRAME", "an arena does not know frames of a guarded object, from",
                           slot->first.raw);
        atomic_store(&slot->payer, NULL); /* the arena may go from here on */
    }
    guard_lock(guard);
    while (done.count) {
        uint32_t index = queue_pop(guard, &done);
        set_state(&guard->config.slots[index], QY_GUARD_UNUSED);
        queue_push(guard, &guard->unused, index);
    }
    guard_unlock(guard);
}

/* Retire the batch whose flush is done; begin the next flush when a batch is full, or at once. */
static void advance(struct qy_guard *guard, bool at_once) QY_EXCLUDES(qy_class_guard)
{
    const struct qy_guard_config *config = &guard->config;
    struct qy_guard_queue done = empty_queue;
    guard_lock(guard);
    if (guard->flushing.count && config->ops->flush_done(config->context, guard->ticket)) {
        done = guard->flushing;
        guard->flushing = empty_queue;
    }
    if (!guard->flushing.count && guard->pending.count >= (at_once ? 1 : config->batch)) {
        guard->flushing = guard->pending;
        guard->pending = empty_queue;
        guard->ticket = config->ops->flush_begin(config->context);
        guard->counters.flushes++;
    }
    guard_unlock(guard);
    if (done.count)
        retire(guard, done);
}

void qy_guard_drain(struct qy_guard *guard)
{
    advance(guard, true);
}

void qy_guard_gather(struct qy_guard *guard, const struct qy_arena *arena)
{
    while (qy_guard_freed_pages(guard, arena)) {
        advance(guard, true);
        qy_port_relax();
    }
}

/* ---- objects ---- */

static void stack_take(const struct qy_guard *guard, struct qy_guard_stack *out)
{
    const struct qy_guard_ops *ops = guard->config.ops;
    out->cpu = qy_port_cpu();
    out->depth = ops->stack ? ops->stack(guard->config.context, out->at, QY_GUARD_STACK) : 0;
}

static uint32_t slot_take(struct qy_guard *guard) QY_EXCLUDES(qy_class_guard)
{
    guard_lock(guard);
    uint32_t index = queue_pop(guard, &guard->unused);
    if (index == QY_GUARD_NIL) {
        guard->counters.no_slot++;
    } else {
        struct qy_guard_slot *slot = &guard->config.slots[index];
        uint64_t taken = (atomic_load_explicit(&slot->state, memory_order_relaxed) >> 2) + 1;
        atomic_store_explicit(&slot->state, taken << 2 | QY_GUARD_BUSY, memory_order_relaxed);
    }
    guard_unlock(guard);
    return index;
}

/* The slot has no frames: it is the next one to be taken again. */
static void slot_put_back(struct qy_guard *guard, uint32_t index) QY_EXCLUDES(qy_class_guard)
{
    guard_lock(guard);
    set_state(&guard->config.slots[index], QY_GUARD_UNUSED);
    guard->config.slots[index].next = guard->unused.first;
    if (guard->unused.count++ == 0)
        guard->unused.last = index;
    guard->unused.first = index;
    guard->counters.no_frames++;
    guard_unlock(guard);
}

/* Place the object in its mapped pages: zeroed, the pattern around it. */
static void *object_place(struct qy_guard *guard, uint32_t index, size_t bytes, size_t align)
{
    const struct qy_guard_slot *slot = &guard->config.slots[index];
    unsigned char *base = qy_guard_pages_base(guard, index);
    uint64_t room = slot->pages * QY_PAGE_BYTES;
    uint64_t before = slot->upper ? qy_align_down(room - bytes, align) : 0;
    memset(base, QY_GUARD_PATTERN, before);
    memset(base + before, 0, bytes);
    memset(base + before + bytes, QY_GUARD_PATTERN, room - before - bytes);
    return base + before;
}

/* The slot is this CPU's and has its frames. */
static void *object_make(struct qy_guard *guard, uint32_t index, const struct qy_guard_what *what,
                         size_t bytes) QY_EXCLUDES(qy_class_guard)
{
    struct qy_guard_slot *slot = &guard->config.slots[index];
    slot->upper = (index + (atomic_load(&slot->state) >> 2)) & 1;
    slot->name = what->name;
    slot->site = what->site;
    slot->arena_id = what->arena->id;
    slot->bytes = bytes;
    guard->config.ops->map(guard->config.context, qy_guard_pages_base(guard, index), slot->first,
                           slot->pages);
    void *object = object_place(guard, index, bytes, what->align);
    atomic_store_explicit(&slot->object, (uintptr_t)object, memory_order_relaxed);
    atomic_store_explicit(&slot->heap, what->heap, memory_order_relaxed);
    atomic_store_explicit(&slot->cache, what->cache, memory_order_relaxed);
    stack_take(guard, &slot->allocated);
    guard_lock(guard);
    slot->number = ++guard->counters.sampled;
    guard->counters.live++;
    guard_unlock(guard);
    set_state(slot, QY_GUARD_LIVE);
    return object;
}

enum qy_error qy_guard_alloc(struct qy_guard *guard, const struct qy_guard_what *what, size_t bytes,
                             void **out)
{
    const struct qy_guard_config *config = &guard->config;
    uint32_t align = what->align;
    if (bytes == 0 || bytes > config->slot_pages * QY_PAGE_BYTES || align == 0 ||
        (align & (align - 1)) || align > QY_PAGE_BYTES)
        return QY_INVALID_ARGUMENT;
    advance(guard, false);
    uint32_t index = slot_take(guard);
    if (index == QY_GUARD_NIL) {
        advance(guard, true); /* for who comes later */
        return QY_TOO_MANY;
    }
    struct qy_guard_slot *slot = &config->slots[index];
    slot->pages = (uint32_t)(qy_align_up(bytes, QY_PAGE_BYTES) / QY_PAGE_BYTES);
    enum qy_error error =
        qy_arena_alloc_pages(what->arena, slot->pages, QY_FRAME_OBJECT, &slot->first);
    if (error != QY_OK) {
        slot_put_back(guard, index);
        return error;
    }
    atomic_store(&slot->payer, what->arena);
    *out = object_make(guard, index, what, bytes);
    return QY_OK;
}

/* The slot whose live object begins there, with its state word. Errors: as qy_guard_free. */
static enum qy_error slot_find(const struct qy_guard *guard, const void *heap, const void *object,
                               struct qy_guard_slot **out, uint64_t *word)
{
    if (!qy_guard_holds(guard, object))
        return QY_NOT_OWNED;
    uint32_t index = qy_guard_slot_of(guard, (uint64_t)(uintptr_t)object);
    if (index >= guard->config.slot_count)
        return QY_NOT_ALLOCATED;
    struct qy_guard_slot *slot = *out = &guard->config.slots[index];
    *word = atomic_load_explicit(&slot->state, memory_order_acquire);
    if (qy_guard_state_of(*word) != QY_GUARD_LIVE ||
        atomic_load_explicit(&slot->object, memory_order_relaxed) != (uintptr_t)object)
        return QY_NOT_ALLOCATED;
    return atomic_load_explicit(&slot->heap, memory_order_relaxed) == heap ? QY_OK : QY_NOT_OWNED;
}

void *qy_guard_trailer(const struct qy_guard *guard, const void *object)
{
    return guard->config.slots[qy_guard_slot_of(guard, (uint64_t)(uintptr_t)object)].trailer;
}

void *qy_guard_object(const struct qy_guard *guard, uint32_t slot, const void **heap,
                      const void **cache)
{
    const struct qy_guard_slot *at = &guard->config.slots[slot];
    if (slot >= guard->config.slot_count || qy_guard_slot_state(at) != QY_GUARD_LIVE)
        return NULL;
    *heap = atomic_load_explicit(&at->heap, memory_order_relaxed);
    *cache = atomic_load_explicit(&at->cache, memory_order_relaxed);
    return (void *)atomic_load_explicit(&at->object, memory_order_relaxed);
}

enum qy_error qy_guard_size(const struct qy_guard *guard, const void *heap, const void *object,
                            size_t *bytes)
{
    uint64_t word;
    struct qy_guard_slot *slot;
    enum qy_error error = slot_find(guard, heap, object, &slot, &word);
    if (error == QY_OK)
        *bytes = slot->bytes;
    return error;
}

/* Make the live object BUSY: whoever does that is the one that frees it. */
static enum qy_error object_claim(struct qy_guard *guard, const void *heap, const void *cache,
                                  const void *object)
{
    uint64_t word;
    struct qy_guard_slot *slot;
    enum qy_error error = slot_find(guard, heap, object, &slot, &word);
    if (error != QY_OK)
        return error;
    if (cache && atomic_load_explicit(&slot->cache, memory_order_relaxed) != cache)
        return QY_NOT_OWNED;
    return atomic_compare_exchange_strong(&slot->state, &word, (word & ~3ull) | QY_GUARD_BUSY)
               ? QY_OK
               : QY_NOT_ALLOCATED;
}

/* Somebody wrote beside an object. */
static void slack_tell(struct qy_guard *guard, uint32_t index, const unsigned char *broken)
    QY_EXCLUDES(qy_class_guard)
{
    struct qy_guard_report report;
    guard_lock(guard);
    guard->counters.slack++;
    guard_unlock(guard);
    qy_guard_report_fill(guard, index, QY_GUARD_SLACK, (uint64_t)(uintptr_t)broken, &report);
    if (!guard->config.ops->slack)
        qy_port_broken("GUARD-SLACK", "somebody wrote beside a guarded object, at", report.address);
    guard->config.ops->slack(guard->config.context, &report);
}

enum qy_error qy_guard_free(struct qy_guard *guard, const void *heap, const void *cache,
                            void *object)
{
    enum qy_error error = object_claim(guard, heap, cache, object);
    if (error != QY_OK) {
        atomic_fetch_add_explicit(&guard->refused_frees, 1, memory_order_relaxed);
        return error;
    }
    uint32_t index = qy_guard_slot_of(guard, (uint64_t)(uintptr_t)object);
    struct qy_guard_slot *slot = &guard->config.slots[index];
    stack_take(guard, &slot->freed);
    if (guard->config.ops->freeing)
        guard->config.ops->freeing(guard->config.context,
                                   atomic_load_explicit(&slot->cache, memory_order_relaxed),
                                   object);
    const unsigned char *broken = qy_guard_slack_broken(guard, index);
    if (broken)
        slack_tell(guard, index, broken);
    guard->config.ops->unmap(guard->config.context, qy_guard_pages_base(guard, index), slot->pages);
    guard_lock(guard);
    set_state(slot, QY_GUARD_FREED);
    queue_push(guard, &guard->pending, index);
    guard->counters.live--;
    guard_unlock(guard);
    advance(guard, false);
    return QY_OK;
}
