/*
 * Magazines: what the inline functions of qy/slab.h do not do themselves, and how one comes and goes.
 *
 * A magazine in a slot is used by its CPU only; `leaving`, set under the heap's lock, decides who takes
 * it apart (qy/percpu.h says how others get hold of it). What lies above its top is remembered for the
 * object that is freed next: it is void once a slab of the cache has gone back to the arena, since its
 * state byte may be somebody else's then; `epoch` tells. Locking: the heap's, inside `busy`; whoever
 * waits for busy holds none. Failures: a magazine that cannot be had is not taken; the cache serves.
 */
#include "slab_impl.h"

#include <lib/string.h>

#define MISSES_FREE 8u   /* calls after which a free slot is taken */
#define MISSES_TAKEN 64u /* and one whose magazine served fewer meanwhile */
#define LIMIT_MIN 4u     /* objects; a magazine of fewer is not worth it */
#define ARENA_SHARE 128u /* one CPU's magazine of one cache has at most this part of the arena */

/* What empty slots point at: serves no cache, has nothing, is never written. */
static const struct qy_magazine none = {
    .top = (struct qy_item *)(uintptr_t)&none.items[1],
    .items[0].state = (_Atomic uint8_t *)(uintptr_t)&none.nobody,
    .items[1].state = (_Atomic uint8_t *)(uintptr_t)&none.nobody,
};

static struct qy_magazine *no_magazine(void)
{
    return (struct qy_magazine *)(uintptr_t)&none;
}

void qy_cpu_objects_init(struct qy_cpu_objects *cpu, uint32_t number, struct qy_cpu_frames *frames)
{
    memset(cpu, 0, sizeof(*cpu));
    cpu->own.cpu = number;
    cpu->frames = frames;
    for (unsigned i = 0; i < QY_OBJECT_SLOTS; i++)
        atomic_store_explicit(&cpu->slots[i], no_magazine(), memory_order_relaxed);
}

static uint64_t number(const _Atomic uint64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

/* ---- objects in and out ---- */

/* Nobody's objects from `from` on. */
static void forget(struct qy_magazine *magazine, struct qy_item *from)
{
    while (from != &magazine->items[magazine->limit + 2])
        *from++ = (struct qy_item){NULL, &magazine->nobody};
}

void *qy_magazine_pop(struct qy_magazine *magazine)
{
    if (qy_magazine_count(magazine) == 0)
        return NULL;
    struct qy_item *item = qy_magazine_top(magazine) - 1;
    if (qy_state_load(item->state) != QY_OBJECT_CACHED)
        qy_port_broken("SLAB-CACHED", "a cached object is in use, or cached twice, at",
                       (uint64_t)(uintptr_t)item->object);
    qy_state_store(item->state, QY_OBJECT_LIVE);
    qy_magazine_set_top(magazine, item);
    qy_percpu_count(&magazine->taken, 1);
    return item->object;
}

enum qy_error qy_magazine_refill(struct qy_cpu_objects *cpu, struct qy_magazine *magazine,
                                 unsigned *taken)
{
    enum qy_error error = qy_slab_take(cpu, magazine->cache, (magazine->limit + 1u) / 2,
                                       QY_OBJECT_CACHED, qy_magazine_top(magazine), taken);
    qy_magazine_set_top(magazine, qy_magazine_top(magazine) + *taken);
    qy_percpu_count(&magazine->fetched, *taken);
    return error;
}

/* What was put in first goes back to its slabs; the rest moves down. */
static void flush(struct qy_cpu_objects *cpu, struct qy_magazine *magazine, unsigned n)
    QY_REQUIRES(qy_class_slab)
{
    unsigned left = qy_magazine_count(magazine) - n;
    for (unsigned i = 1; i <= n; i++) {
        if (qy_state_load(magazine->items[i].state) != QY_OBJECT_CACHED)
            qy_port_broken("SLAB-CACHED", "a cached object is in use, or cached twice, at",
                           (uint64_t)(uintptr_t)magazine->items[i].object);
        qy_slab_give(cpu, magazine->items[i]);
    }
    memmove(&magazine->items[1], &magazine->items[1 + n], left * sizeof(magazine->items[0]));
    qy_magazine_set_top(magazine, &magazine->items[1 + left]);
    qy_percpu_count(&magazine->returned, n);
}

void qy_magazine_put(struct qy_cpu_objects *cpu, struct qy_magazine *magazine, struct qy_item item)
{
    struct qy_heap *heap = magazine->cache->heap;
    if (qy_magazine_count(magazine) == magazine->limit) {
        qy_heap_lock(heap);
        flush(cpu, magazine, (magazine->limit + 1u) / 2);
        qy_heap_unlock(heap);
    }
    qy_state_store(item.state, QY_OBJECT_CACHED);
    struct qy_item *top = qy_magazine_top(magazine);
    *top = item;
    qy_magazine_set_top(magazine, top + 1);
}

/* ---- a magazine comes and goes ---- */

static unsigned limit_of(const struct qy_cache *cache)
{
    uint64_t pages = cache->heap->arena->total_pages;
    uint64_t limit = pages * QY_PAGE_BYTES / ARENA_SHARE / cache->stride;
    if (pages < QY_MAGAZINE_MIN_PAGES || limit < LIMIT_MIN)
        return 0;
    return limit < QY_MAGAZINE_OBJECTS ? (unsigned)limit : QY_MAGAZINE_OBJECTS;
}

/* What it holds and the magazine itself are the heap's again. No CPU uses it any more. */
static void dismantle(struct qy_cpu_objects *cpu, struct qy_magazine *magazine)
    QY_REQUIRES(qy_class_slab)
{
    struct qy_cache *cache = magazine->cache;
    struct qy_heap *heap = cache->heap;
    flush(cpu, magazine, qy_magazine_count(magazine));
    cache->taken += number(&magazine->taken);
    cache->fetched += number(&magazine->fetched);
    cache->returned += number(&magazine->returned);
    if (magazine->next)
        magazine->next->prev = magazine->prev;
    if (magazine->prev)
        magazine->prev->next = magazine->next;
    else
        heap->magazines = magazine->next;
    struct qy_place place;
    if (qy_slab_find(qy_word_address(qy_heap_word(heap, magazine)), magazine, &place) != QY_OK)
        qy_port_broken("SLAB-CACHED", "a magazine is in no slab, at",
                       (uint64_t)(uintptr_t)magazine);
    qy_slab_give(cpu, (struct qy_item){magazine, qy_slab_state(place.slab, place.index)});
}

static void slot_empty(struct qy_cpu_objects *cpu, struct qy_magazine *magazine)
{
    struct qy_magazine *expected = magazine;
    atomic_compare_exchange_strong(&cpu->slots[magazine->cache->slot], &expected, no_magazine());
}

/* The CPU gives up its own. If somebody else takes it away just now, it is left to them. */
static void give_up(struct qy_cpu_objects *cpu, struct qy_magazine *magazine)
{
    struct qy_heap *heap = magazine->cache->heap;
    slot_empty(cpu, magazine);
    qy_heap_lock(heap);
    if (!magazine->leaving)
        dismantle(cpu, magazine);
    qy_heap_unlock(heap);
}

bool qy_magazine_give_up(struct qy_cpu_objects *cpu, const struct qy_heap *heap)
{
    bool any = false;
    for (unsigned i = 0; i < QY_OBJECT_SLOTS; i++) {
        struct qy_magazine *magazine = atomic_load_explicit(&cpu->slots[i], memory_order_acquire);
        if (magazine == no_magazine() || magazine->cache->heap != heap)
            continue;
        give_up(cpu, magazine);
        any = true;
    }
    return any;
}

/* A new magazine of the cache in its slot, which is empty; null if the heap has no memory for it. */
static struct qy_magazine *attach(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                  unsigned limit)
{
    struct qy_heap *heap = cache->heap;
    struct qy_item item;
    unsigned got;
    qy_heap_lock(heap);
    if (qy_slab_take(cpu, &heap->magazine_cache, 1, QY_OBJECT_LIVE, &item, &got) != QY_OK) {
        qy_heap_unlock(heap);
        return NULL;
    }
    struct qy_magazine *magazine = item.object;
    memset(magazine, 0, sizeof(*magazine));
    magazine->serves = cache->flags & QY_CACHE_HOOKED ? NULL : cache;
    magazine->cache = cache;
    magazine->epoch = number(&cache->epoch);
    magazine->home = cpu;
    magazine->limit = (uint16_t)limit;
    qy_magazine_set_top(magazine, &magazine->items[1]);
    forget(magazine, magazine->items);
    magazine->next = heap->magazines;
    if (magazine->next)
        magazine->next->prev = magazine;
    heap->magazines = magazine;
    heap->magazine_cache.taken++;
    qy_heap_unlock(heap);
    atomic_store_explicit(&cpu->slots[cache->slot], magazine, memory_order_release);
    return magazine;
}

/* A call found another cache's magazine in the slot, or none: after enough of them it gets one. */
static struct qy_magazine *wish(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                struct qy_magazine *holder)
{
    unsigned slot = cache->slot, limit = limit_of(cache);
    bool is_free = holder == no_magazine();
    uint32_t served = (uint32_t)number(&holder->taken);
    if (limit == 0)
        return NULL;
    if (cpu->wishes[slot].cache != cache) {
        cpu->wishes[slot].cache = cache;
        cpu->wishes[slot].misses = 0;
        cpu->wishes[slot].taken = served;
    }
    uint32_t misses = ++cpu->wishes[slot].misses;
    if (misses < (is_free ? MISSES_FREE : MISSES_TAKEN))
        return NULL;
    cpu->wishes[slot].cache = NULL;
    if (!is_free && served - cpu->wishes[slot].taken >= misses)
        return NULL;
    if (!is_free)
        give_up(cpu, holder);
    return attach(cpu, cache, limit);
}

struct qy_magazine *qy_magazine_of(struct qy_cpu_objects *cpu, struct qy_cache *cache)
{
    struct qy_magazine *magazine =
        atomic_load_explicit(&cpu->slots[cache->slot], memory_order_acquire);
    if (magazine->cache != cache)
        return wish(cpu, cache, magazine);
    uint64_t epoch = number(&cache->epoch);
    if (magazine->epoch != epoch) {
        forget(magazine, qy_magazine_top(magazine));
        magazine->epoch = epoch;
    }
    return magazine;
}

/* ---- when others want them back ---- */

bool qy_heap_is_cached(struct qy_heap *heap)
{
    qy_heap_lock(heap);
    bool cached = heap->magazines != NULL;
    qy_heap_unlock(heap);
    return cached;
}

/* A magazine that nobody takes away yet; *left: whether there is any at all. */
static struct qy_magazine *choose(struct qy_heap *heap, bool *left)
{
    qy_heap_lock(heap);
    struct qy_magazine *magazine = heap->magazines;
    *left = magazine != NULL;
    while (magazine && magazine->leaving)
        magazine = magazine->next;
    if (magazine)
        magazine->leaving = true;
    qy_heap_unlock(heap);
    return magazine;
}

void qy_heap_reclaim(struct qy_heap *heap)
{
    bool left;
    for (;;) {
        struct qy_magazine *magazine = choose(heap, &left);
        if (!left)
            break;
        if (!magazine) { /* others are at it */
            qy_port_relax();
            continue;
        }
        slot_empty(magazine->home, magazine);
        qy_percpu_wait(&magazine->home->own);
        qy_heap_lock(heap);
        dismantle(NULL, magazine);
        qy_heap_unlock(heap);
    }
    qy_irq_is_off();
    qy_heap_drain(NULL, heap);
}
