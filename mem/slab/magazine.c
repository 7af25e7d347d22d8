/*
 * Magazines: what the inline functions of qy/slab.h do not do themselves, and how one comes and goes.
 *
 *     both stacks empty   the previous one is exchanged for a full one of the depot; if that has none, slabs
 *                         fill half of the other
 *     both full           the previous one goes to the depot, or what is in it to slabs; an empty one comes
 *     else                the CPU turns to its other stack, without any lock
 *
 * So at least a whole stack is taken or given between two exchanges. A magazine in a slot is used by its CPU
 * only; `leaving`, set under the heap's lock, decides who takes it apart (qy/percpu.h says how others get hold
 * of it). What lies above a top is remembered for the object that is freed next: it is void once a slab of the
 * cache has gone back to the arena, since its state byte may be somebody else's then; `epoch` tells. Locking:
 * the heap's, inside `busy`; whoever waits for busy holds none. Failures: a magazine that cannot be had is not
 * taken; the cache serves.
 */
#include "slab_impl.h"

#include <lib/string.h>

#define MISSES_FREE 8u   /* calls after which a free slot is taken */
#define MISSES_TAKEN 64u /* and one whose magazine served fewer meanwhile */
#define LIMIT_MIN 4u     /* objects; a magazine of fewer is not worth it */
#define ARENA_SHARE 128u /* one CPU's magazine of one cache has at most this part of the arena */
#define IDLE (1 << 16)   /* objects after which one that samples nothing asks whether it is to */

static const struct qy_rounds no_rounds = {
    .items[0].state = (_Atomic uint8_t *)(uintptr_t)&no_rounds.nobody,
    .items[1].state = (_Atomic uint8_t *)(uintptr_t)&no_rounds.nobody,
};

/* What empty slots point at: serves no cache, has nothing, is never written. */
static const struct qy_magazine none = {
    .top = (struct qy_item *)(uintptr_t)&no_rounds.items[1],
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

/* ---- stacks ---- */

/* What is above `count` objects, and below all, is nobody's. */
static void forget(struct qy_rounds *rounds, uint32_t count)
{
    rounds->items[0] = (struct qy_item){NULL, &rounds->nobody};
    for (uint32_t i = count + 1; i < QY_ROUNDS_OBJECTS + 2; i++)
        rounds->items[i] = (struct qy_item){NULL, &rounds->nobody};
}

/* The magazine leaves its stack, which has its count from here on. */
static void unload(struct qy_magazine *magazine)
{
    struct qy_rounds *rounds = qy_magazine_loaded(magazine);
    qy_rounds_set_count(rounds, qy_magazine_count_loaded(magazine));
    rounds->cache = magazine->cache;
    rounds->epoch = magazine->epoch;
}

/* It works on that stack from here on. Another CPU's may hold more than this magazine would put there. */
static void load(struct qy_magazine *magazine, struct qy_rounds *rounds)
{
    uint32_t count = qy_rounds_count(rounds);
    uint32_t limit = count < magazine->limit ? magazine->limit : count;
    if (rounds->cache != magazine->cache || rounds->epoch != magazine->epoch)
        forget(rounds, count);
    rounds->items[1 + limit] = (struct qy_item){NULL, &rounds->nobody};
    magazine->full = &rounds->items[1 + limit];
    atomic_store_explicit(&magazine->loaded, rounds, memory_order_relaxed);
    qy_magazine_set_top(magazine, &rounds->items[1 + count]);
    qy_rounds_set_count(rounds, 0);
}

/* The stack that it works on becomes the previous one. */
static void turn_to(struct qy_magazine *magazine, struct qy_rounds *rounds)
{
    unload(magazine);
    atomic_store_explicit(&magazine->previous, qy_magazine_loaded(magazine), memory_order_relaxed);
    load(magazine, rounds);
}

/* What is in a stack that nobody works on goes back to its slabs. */
static void empty_out(struct qy_cpu_objects *cpu, struct qy_magazine *magazine,
                      struct qy_rounds *rounds) QY_REQUIRES(qy_class_slab)
{
    uint32_t count = qy_rounds_count(rounds);
    qy_rounds_set_count(rounds, 0);
    qy_slab_give_cached(cpu, &rounds->items[1], count);
    qy_percpu_count(&magazine->returned, count);
}

/* ---- objects in and out ---- */

void *qy_magazine_pop(struct qy_magazine *magazine)
{
    if (qy_magazine_count_loaded(magazine) == 0) {
        struct qy_rounds *previous = qy_magazine_previous(magazine);
        if (!previous || qy_rounds_count(previous) == 0)
            return NULL;
        turn_to(magazine, previous);
    }
    struct qy_item *item = qy_magazine_top(magazine) - 1;
    if (qy_state_load(item->state) != QY_OBJECT_CACHED)
        qy_port_broken("SLAB-CACHED", "a cached object is in use, or cached twice, at",
                       (uint64_t)(uintptr_t)item->object);
    qy_state_store(item->state, QY_OBJECT_LIVE);
    qy_magazine_set_top(magazine, item);
    int64_t left = atomic_load_explicit(&magazine->left, memory_order_relaxed);
    if (left > 0)
        atomic_store_explicit(&magazine->left, left - 1, memory_order_relaxed);
    else
        qy_percpu_count(&magazine->armed, 1);
    return item->object;
}

/* So many objects more until it asks again. */
static void arm(struct qy_magazine *magazine, uint64_t objects)
{
    uint64_t left = (uint64_t)atomic_load_explicit(&magazine->left, memory_order_relaxed);
    qy_percpu_count(&magazine->armed, objects - left);
    atomic_store_explicit(&magazine->left, (int64_t)objects, memory_order_relaxed);
}

/* By lot, so that what a program always does after as many allocations is not always missed. */
static void arm_first(struct qy_magazine *magazine) QY_REQUIRES(qy_class_slab)
{
    struct qy_heap *heap = magazine->cache->heap;
    magazine->samples = heap->guard_every != 0;
    heap->lots = heap->lots * 6364136223846793005ull + (heap->secret | 1);
    arm(magazine, magazine->samples ? (heap->lots >> 32) % heap->guard_every : IDLE);
}

bool qy_magazine_guard_is_due(struct qy_magazine *magazine)
{
    struct qy_heap *heap = magazine->cache->heap;
    if (atomic_load_explicit(&magazine->left, memory_order_relaxed) > 0)
        return false;
    qy_heap_lock(heap);
    bool due = magazine->samples && heap->guard_every;
    if (due)
        arm(magazine, heap->guard_every - 1);
    else
        arm_first(magazine);
    qy_heap_unlock(heap);
    return due;
}

enum qy_error qy_magazine_refill(struct qy_cpu_objects *cpu, struct qy_magazine *magazine)
{
    enum qy_error error = QY_OK;
    struct qy_cache *cache = magazine->cache;
    struct qy_rounds *full = qy_depot_pop(cache), *empty = qy_magazine_previous(magazine);
    unsigned got;
    if (full) {
        got = qy_rounds_count(full);
        turn_to(magazine, full);
        if (empty)
            qy_rounds_put(cache->heap, empty);
    } else {
        struct qy_item *top = qy_magazine_top(magazine);
        unsigned limit = magazine->limit, rest = 0;
        error = qy_slab_take(cpu, cache, (limit + 1u) / 2, QY_OBJECT_CACHED, top, &got);
        /* And what its slab has left: two CPUs with objects of one slab write the line of its states. */
        if (error == QY_OK && cache->partial && cache->partial->free <= limit - got)
            (void)qy_slab_take(cpu, cache, cache->partial->free, QY_OBJECT_CACHED, top + got,
                               &rest);
        got += rest;
        qy_magazine_set_top(magazine, top + got);
    }
    qy_percpu_count(&magazine->fetched, got);
    return error;
}

/* Whatever it has is full: it gets an empty stack to work on. */
static void make_room(struct qy_cpu_objects *cpu, struct qy_magazine *magazine)
    QY_REQUIRES(qy_class_slab)
{
    struct qy_cache *cache = magazine->cache;
    struct qy_rounds *older = qy_magazine_previous(magazine), *empty = NULL;
    if (!older || qy_depot_has_room(cache, qy_rounds_count(older)))
        empty = qy_rounds_get(cpu, cache->heap);
    if (empty) {
        if (older) {
            qy_percpu_count(&magazine->returned, qy_rounds_count(older));
            qy_depot_push(cache, older);
        }
        turn_to(magazine, empty);
    } else if (older) { /* what was freed longest ago goes to slabs */
        empty_out(cpu, magazine, older);
        turn_to(magazine, older);
    } else { /* it has only one, and there is no memory for another */
        unload(magazine);
        empty_out(cpu, magazine, qy_magazine_loaded(magazine));
        load(magazine, qy_magazine_loaded(magazine));
    }
}

struct qy_item *qy_magazine_make_room(struct qy_cpu_objects *cpu, struct qy_magazine *magazine)
{
    struct qy_heap *heap = magazine->cache->heap;
    struct qy_rounds *previous = qy_magazine_previous(magazine);
    if (previous && qy_rounds_count(previous) < magazine->limit) {
        turn_to(magazine, previous);
        return qy_magazine_top(magazine);
    }
    qy_heap_lock(heap);
    make_room(cpu, magazine);
    qy_heap_unlock(heap);
    return qy_magazine_top(magazine);
}

/* ---- a magazine comes and goes ---- */

static unsigned limit_of(const struct qy_cache *cache)
{
    uint64_t pages = cache->heap->arena->total_pages;
    uint64_t limit = pages * QY_PAGE_BYTES / ARENA_SHARE / cache->stride;
    if (pages < QY_MAGAZINE_MIN_PAGES || limit < LIMIT_MIN)
        return 0;
    return limit < QY_MAGAZINE_OBJECTS ? (unsigned)limit / 2 : QY_ROUNDS_OBJECTS;
}

/* What it holds and the magazine itself are the heap's again. No CPU uses it any more. */
static void dismantle(struct qy_cpu_objects *cpu, struct qy_magazine *magazine)
    QY_REQUIRES(qy_class_slab)
{
    struct qy_cache *cache = magazine->cache;
    struct qy_heap *heap = cache->heap;
    struct qy_rounds *stacks[] = {qy_magazine_loaded(magazine), qy_magazine_previous(magazine)};
    unload(magazine);
    for (unsigned i = 0; i < 2 && stacks[i]; i++) {
        empty_out(cpu, magazine, stacks[i]);
        qy_rounds_put(heap, stacks[i]);
    }
    cache->taken += qy_magazine_taken(magazine);
    cache->fetched += number(&magazine->fetched);
    cache->returned += number(&magazine->returned);
    if (magazine->next)
        magazine->next->prev = magazine->prev;
    if (magazine->prev)
        magazine->prev->next = magazine->next;
    else
        heap->magazines = magazine->next;
    qy_slab_give_own(cpu, heap, magazine);
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

/* An empty one of the cache, which knows where the cache's objects are. */
static void set_up(struct qy_magazine *magazine, struct qy_cache *cache)
{
    struct qy_heap *heap = cache->heap;
    uint64_t first = qy_align_down(qy_heap_frame(heap, magazine), QY_BLOCK_PAGES);
    memset(magazine, 0, sizeof(*magazine));
    if (!(cache->flags & QY_CACHE_HOOKED)) {
        magazine->serves = cache;
        magazine->heap = heap;
    }
    if ((cache->flags & QY_CACHE_HOOKED) == QY_CACHE_TRACKED)
        magazine->tracks = cache;
    magazine->cache = cache;
    magazine->epoch = qy_cache_epoch(cache);
    magazine->block = heap->ram + (first << QY_PAGE_SHIFT);
    magazine->entries = &heap->arena->db->frames[first];
    magazine->entry_mask = (QY_BLOCK_PAGES - (1u << cache->order)) * sizeof(struct qy_frame);
    magazine->tag = heap->slab_tag + ((qy_tag_t)cache->order << 4);
    magazine->capacity = qy_slab_capacity(cache->stride, cache->order);
    magazine->reciprocal = cache->reciprocal;
}

/* A new magazine of the cache in its slot, which is empty; null if the heap has no memory for it. */
static struct qy_magazine *attach(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                  unsigned limit)
{
    struct qy_heap *heap = cache->heap;
    qy_heap_lock(heap);
    struct qy_magazine *magazine = qy_slab_take_own(cpu, heap);
    struct qy_rounds *rounds = magazine ? qy_rounds_get(cpu, heap) : NULL;
    if (!rounds) {
        if (magazine)
            qy_slab_give_own(cpu, heap, magazine);
        qy_heap_unlock(heap);
        return NULL;
    }
    set_up(magazine, cache);
    magazine->home = cpu;
    magazine->limit = (uint16_t)limit;
    load(magazine, rounds);
    arm_first(magazine);
    magazine->next = heap->magazines;
    if (magazine->next)
        magazine->next->prev = magazine;
    heap->magazines = magazine;
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
    uint32_t served = (uint32_t)qy_magazine_taken(holder);
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
    uint32_t epoch = qy_cache_epoch(cache);
    if (magazine->epoch != epoch) {
        forget(qy_magazine_loaded(magazine), qy_magazine_count_loaded(magazine));
        magazine->epoch = epoch; /* the other stack forgets when its turn comes */
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

bool qy_heap_reclaim_step(struct qy_heap *heap)
{
    bool left;
    struct qy_magazine *magazine = choose(heap, &left);
    if (!left)
        return qy_heap_drain_step(heap);
    if (!magazine) { /* others are at it */
        qy_port_relax();
        return true;
    }
    slot_empty(magazine->home, magazine);
    qy_percpu_wait(&magazine->home->own);
    qy_heap_lock(heap);
    dismantle(NULL, magazine);
    qy_heap_unlock(heap);
    return true;
}

void qy_heap_reclaim(struct qy_heap *heap)
{
    while (qy_heap_reclaim_step(heap))
        ;
    qy_irq_is_off();
    qy_heap_drain(NULL, heap);
}
