/*
 * The quarantine: a ring of objects that were freed and are not free yet. See qy/debug.h.
 *
 * An object leaves the ring under the ring's lock and is released without it, so the heap's lock is never
 * taken inside. Cost: keeping O(1) and what it pushes out; draining O(ring).
 */
#include "debug_impl.h"

static void ring_lock(struct qy_quarantine *q) QY_UNCHECKED
{
    qy_lock_acquire(&q->lock);
}

static void ring_unlock(struct qy_quarantine *q) QY_UNCHECKED
{
    qy_lock_release(&q->lock);
}

static uint32_t place(const struct qy_quarantine *q, uint32_t index)
{
    return (q->first + index) % QY_QUARANTINE_OBJECTS;
}

/* Take the index-th entry out; those before it move up. */
static void *ring_take(struct qy_quarantine *q, uint32_t index, struct qy_cache **cache)
{
    void *object = q->ring[place(q, index)].object;
    *cache = q->ring[place(q, index)].cache;
    for (; index > 0; index--)
        q->ring[place(q, index)] = q->ring[place(q, index - 1)];
    q->first = place(q, 1);
    q->count--;
    q->bytes -= (*cache)->stride;
    return object;
}

static void release(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object)
    QY_REQUIRES(qy_irq_off)
{
    qy_debug_poisoned(cache, object);
    if (qy_cache_release(cpu, cache, object) != QY_OK)
        qy_port_broken("QUARANTINE", "an object in quarantine is not held, at",
                       (uint64_t)(uintptr_t)object);
}

bool qy_quarantine_keep(struct qy_quarantine *q, struct qy_cpu_objects *cpu, struct qy_cache *cache,
                        void *object)
{
    if (cache->stride > q->limit_bytes)
        return false;
    bool kept = false;
    while (!kept) {
        struct qy_cache *oldest_cache;
        void *oldest = NULL;
        ring_lock(q);
        if (q->count == QY_QUARANTINE_OBJECTS || q->bytes + cache->stride > q->limit_bytes) {
            oldest = ring_take(q, 0, &oldest_cache);
        } else {
            q->ring[place(q, q->count)].cache = cache;
            q->ring[place(q, q->count)].object = object;
            q->count++;
            q->bytes += cache->stride;
            kept = true;
        }
        ring_unlock(q);
        if (oldest)
            release(cpu, oldest_cache, oldest);
    }
    return true;
}

/* The oldest object of the heap, out of the ring; null if there is none. */
static void *take_oldest(struct qy_quarantine *q, const struct qy_heap *heap,
                         struct qy_cache **cache)
{
    void *object = NULL;
    ring_lock(q);
    for (uint32_t i = 0; i < q->count && !object; i++)
        if (q->ring[place(q, i)].cache->heap == heap)
            object = ring_take(q, i, cache);
    ring_unlock(q);
    return object;
}

void qy_quarantine_drain(struct qy_quarantine *q, struct qy_cpu_objects *cpu,
                         const struct qy_heap *heap)
{
    struct qy_cache *cache;
    void *object;
    while ((object = take_oldest(q, heap, &cache)))
        release(cpu, cache, object);
}

bool qy_quarantine_holds(struct qy_quarantine *q, const void *object)
{
    bool holds = false;
    ring_lock(q);
    for (uint32_t i = 0; i < q->count && !holds; i++)
        holds = q->ring[place(q, i)].object == object;
    ring_unlock(q);
    return holds;
}

bool qy_quarantine_each(struct qy_quarantine *q, const struct qy_heap *heap,
                        bool (*visit)(void *context, struct qy_cache *cache, void *object),
                        void *context)
{
    bool more = true;
    ring_lock(q);
    for (uint32_t i = 0; i < q->count && more; i++)
        if (q->ring[place(q, i)].cache->heap == heap)
            more = visit(context, q->ring[place(q, i)].cache, q->ring[place(q, i)].object);
    ring_unlock(q);
    return more;
}

uint32_t qy_quarantine_count(struct qy_quarantine *q)
{
    ring_lock(q);
    uint32_t count = q->count;
    ring_unlock(q);
    return count;
}
