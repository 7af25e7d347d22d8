/*
 * Per-CPU frame caches: how a cache comes and goes.
 *
 * The cache is the thing of qy/percpu.h: used by its CPU only while it is in a slot; `leaving`, set under the
 * arena's lock, decides who takes it apart. Locking: the arena's, inside `busy`; whoever waits for busy holds none.
 * Cost: O(what is cached). Failures: a cache whose page cannot be had is not taken; the caller is
 * served by the arena.
 */
#include "frame_cache_impl.h"

#include <lib/string.h>
#include <qy/port.h>

#define MISSES_FREE 4u   /* allocations after which a free slot is taken */
#define MISSES_TAKEN 64u /* and one whose cache served fewer meanwhile */

_Static_assert(sizeof(struct qy_frame) == sizeof(_Atomic uint64_t[2]), "entries: tag, word");
_Static_assert(sizeof(struct qy_frame_cache) <= QY_PAGE_BYTES, "a cache is a page");
_Static_assert((QY_CACHE_SLOTS & (QY_CACHE_SLOTS - 1)) == 0, "slots are chosen by bits");

/* What empty slots point at: belongs to no arena, has nothing, is never written. */
#define FIRST ((struct qy_cached_block *)(uintptr_t)&none.cells[1])
static const struct qy_frame_cache none = {
    .top = {FIRST, FIRST, FIRST, FIRST, FIRST, FIRST, FIRST, FIRST, FIRST, FIRST},
    .cells[0].entry = (_Atomic uint64_t *)(uintptr_t)none.nobody,
};

static struct qy_frame_cache *no_cache(void)
{
    return (struct qy_frame_cache *)(uintptr_t)&none;
}

void qy_cpu_frames_init(struct qy_cpu_frames *cpu, uint32_t number)
{
    memset(cpu, 0, sizeof(*cpu));
    cpu->own.cpu = number;
    for (unsigned i = 0; i < QY_CACHE_SLOTS; i++)
        atomic_store_explicit(&cpu->slots[i], no_cache(), memory_order_relaxed);
}

/* Everything in it goes back, its counts are the arena's, its page too. It is in no slot any more. */
static void dismantle(struct qy_arena *arena, struct qy_frame_cache *cache)
    QY_REQUIRES(qy_class_arena)
{
    qy_batch_give(arena, 0, cache->zeroed, cache->zeroed_count);
    for (unsigned order = 0; order < QY_CACHE_STACKS; order++)
        qy_cache_give_oldest(arena, cache, order, qy_stack_count(cache, order));
    for (unsigned s = 0; s < QY_FRAME_STATE_COUNT; s++) {
        uint64_t taken = qy_word_load(&cache->taken[s]), given = qy_word_load(&cache->given[s]);
        arena->pages[s] += taken - given;
        arena->pages[QY_FRAME_CACHED] -= taken - given;
        QY_COUNT(arena->allocations, taken);
        QY_COUNT(arena->frees, given);
    }
    QY_COUNT(arena->allocations, -qy_word_load(&cache->more_blocks[0]));
    QY_COUNT(arena->frees, -qy_word_load(&cache->more_blocks[1]));
    if (cache->next)
        cache->next->prev = cache->prev;
    if (cache->prev)
        cache->prev->next = cache->next;
    else
        arena->caches = cache->next;
    qy_arena_release(arena, paddr_to_pfn(qy_port_paddr(cache)).raw, 0, QY_FRAME_METADATA);
    QY_COUNT(arena->frees, 1);
}

static void slot_empty(struct qy_cpu_frames *cpu, unsigned slot, struct qy_frame_cache *cache)
{
    atomic_compare_exchange_strong(&cpu->slots[slot], &cache, no_cache());
}

void qy_cache_give_up(struct qy_cpu_frames *cpu, struct qy_frame_cache *cache)
{
    struct qy_arena *arena = cache->arena;
    slot_empty(cpu, arena->cache_slot, cache);
    qy_arena_lock(arena);
    if (!cache->leaving)
        dismantle(arena, cache);
    qy_arena_unlock(arena);
}

static uint16_t at_most(uint64_t wanted, unsigned most)
{
    return (uint16_t)(wanted < most ? wanted : most);
}

/* Empty stacks, and how high they may grow in an arena of so many pages. */
static void set_stacks(struct qy_frame_cache *cache, uint64_t pages)
{
    for (unsigned i = 0; i < QY_CACHE_CELLS; i++)
        cache->cells[i].entry = cache->nobody;
    for (unsigned order = 0; order < QY_CACHE_STACKS; order++) {
        uint64_t most = order == 0 ? pages / 64 & ~3ull : pages / 128 >> order;
        cache->limit[order] = at_most(most, qy_stack_room(order));
        cache->top[order] = qy_stack_base(cache, order);
        cache->full[order] = cache->top[order] + cache->limit[order];
    }
    cache->zeroed_limit = at_most(pages / 256, QY_CACHE_ZEROED);
}

/* A new cache of the arena in its slot, which is empty; null if the arena has no page for it. */
static struct qy_frame_cache *attach(struct qy_cpu_frames *cpu, struct qy_arena *arena)
{
    pfn_t page;
    if (qy_arena_alloc(arena, 0, QY_FRAME_METADATA, &page) != QY_OK)
        return NULL;
    struct qy_frame_cache *cache = qy_port_ram(pfn_to_paddr(page));
    memset(cache, 0, sizeof(*cache));
    cache->arena = arena;
    cache->home = cpu;
    set_stacks(cache, arena->total_pages);
    qy_arena_lock(arena);
    cache->next = arena->caches;
    if (cache->next)
        cache->next->prev = cache;
    arena->caches = cache;
    qy_arena_unlock(arena);
    atomic_store_explicit(&cpu->slots[arena->cache_slot], cache, memory_order_release);
    return cache;
}

static uint64_t served(const struct qy_frame_cache *cache)
{
    uint64_t sum = 0;
    for (unsigned s = 0; s < QY_FRAME_STATE_COUNT; s++)
        sum += qy_word_load(&cache->taken[s]);
    return sum;
}

struct qy_frame_cache *qy_cache_wish(struct qy_cpu_frames *cpu, struct qy_arena *arena,
                                     struct qy_frame_cache *holder)
{
    unsigned slot = arena->cache_slot;
    bool is_free = holder == no_cache();
    if (arena->total_pages < QY_CACHE_MIN_PAGES)
        return NULL;
    if (cpu->wishes[slot].arena != arena) {
        cpu->wishes[slot].arena = arena;
        cpu->wishes[slot].misses = 0;
        cpu->wishes[slot].taken = served(holder);
    }
    uint32_t misses = ++cpu->wishes[slot].misses;
    if (misses < (is_free ? MISSES_FREE : MISSES_TAKEN))
        return NULL;
    cpu->wishes[slot].arena = NULL;
    if (!is_free && served(holder) - cpu->wishes[slot].taken >= misses)
        return NULL;
    if (!is_free)
        qy_cache_give_up(cpu, holder);
    return attach(cpu, arena);
}

void qy_frame_drain(struct qy_cpu_frames *cpu, const struct qy_arena *arena)
{
    qy_percpu_enter(&cpu->own);
    for (unsigned i = 0; i < QY_CACHE_SLOTS; i++) {
        struct qy_frame_cache *cache = atomic_load_explicit(&cpu->slots[i], memory_order_acquire);
        if (cache != no_cache() && (!arena || cache->arena == arena))
            qy_cache_give_up(cpu, cache);
    }
    qy_percpu_leave(&cpu->own);
}

bool qy_arena_is_cached(struct qy_arena *arena)
{
    qy_arena_lock(arena);
    bool cached = arena->caches != NULL;
    qy_arena_unlock(arena);
    return cached;
}

/* A cache that nobody takes away yet; *left: whether there is any at all. */
static struct qy_frame_cache *choose(struct qy_arena *arena, bool *left)
{
    qy_arena_lock(arena);
    struct qy_frame_cache *cache = arena->caches;
    *left = cache != NULL;
    while (cache && cache->leaving)
        cache = cache->next;
    if (cache)
        cache->leaving = true;
    qy_arena_unlock(arena);
    return cache;
}

bool qy_frame_reclaim_step(struct qy_arena *arena)
{
    bool left;
    struct qy_frame_cache *cache = choose(arena, &left);
    if (!cache) { /* there is none, or others are at it */
        qy_port_relax();
        return left;
    }
    struct qy_cpu_frames *home = cache->home;
    slot_empty(home, arena->cache_slot, cache);
    qy_percpu_wait(&home->own);
    qy_arena_lock(arena);
    dismantle(arena, cache);
    qy_arena_unlock(arena);
    return true;
}

void qy_frame_reclaim(struct qy_arena *arena)
{
    while (qy_frame_reclaim_step(arena))
        ;
}
