/*
 * Per-CPU frame caches: what the inline functions of qy/frame_cache.h do not do themselves, and how a
 * cache comes and goes.
 *
 *     owner                                    somebody who takes its cache away
 *     busy = true; (compiler's fence)          leaving = true, under the arena's lock
 *     cache = slots[i]                         slots[i] = none
 *     ... uses it ...                          qy_port_fence_cpu(owner)
 *     busy = false (release)                   waits until busy is false; the cache is its own now
 *
 * The fence makes one of two things true: the owner's store of busy is seen, or the owner sees the
 * empty slot. A cache in a slot is used by its CPU only; `leaving`, set under the arena's lock,
 * decides who takes it apart. Locking: the arena's, inside `busy`; whoever waits for busy holds none.
 * Failures: a cache whose page cannot be had is not taken; the caller is served by the arena.
 */
#include "frame_cache_impl.h"

#include <lib/string.h>
#include <qy/port.h>

#define BATCH (QY_CACHE_FRAMES / 2)
#define MISSES_FREE 4u   /* allocations after which a free slot is taken */
#define MISSES_TAKEN 64u /* and one whose cache served fewer meanwhile */

_Static_assert(sizeof(struct qy_frame) == sizeof(_Atomic uint64_t[2]), "entries: tag, word");
_Static_assert(sizeof(struct qy_frame_cache) <= QY_PAGE_BYTES, "a cache is a page");
_Static_assert((QY_CACHE_SLOTS & (QY_CACHE_SLOTS - 1)) == 0, "slots are chosen by bits");

/* What empty slots point at: belongs to no arena, has nothing, is never written. */
static const struct qy_frame_cache none = {
    .top = (struct qy_cached_frame *)(uintptr_t)&none.frames[1],
    .frames[0].entry = (_Atomic uint64_t *)(uintptr_t)none.nobody,
};

static struct qy_frame_cache *no_cache(void)
{
    return (struct qy_frame_cache *)(uintptr_t)&none;
}

void qy_cpu_frames_init(struct qy_cpu_frames *cpu, uint32_t number)
{
    memset(cpu, 0, sizeof(*cpu));
    cpu->cpu = number;
    for (unsigned i = 0; i < QY_CACHE_SLOTS; i++)
        atomic_store_explicit(&cpu->slots[i], no_cache(), memory_order_relaxed);
}

static void add(_Atomic uint64_t *number, uint64_t by)
{
    qy_word_store(number, qy_word_load(number) + by);
}

/* The stack that serves an order, or QY_STACK_COUNT. */
static unsigned stack_of(unsigned order)
{
    return order < QY_STACK_HUGE ? order : order == QY_BLOCK_ORDER ? QY_STACK_HUGE : QY_STACK_COUNT;
}

static void set_tag(struct qy_frame_cache *cache, uint64_t block, unsigned order,
                    enum qy_frame_state state)
{
    qy_tag_t tag = qy_tag(QY_KIND_HEAD, order, state, cache->arena);
    qy_store(&cache->arena->db->frames[block].tag, tag);
    if (order >= QY_BLOCK_ORDER)
        qy_store(&cache->arena->db->blocks[block / QY_BLOCK_PAGES].tag, tag);
}

/* ---- its stacks ---- */

static void push(struct qy_frame_cache *cache, unsigned stack, uint64_t block)
{
    if (stack == 0) {
        *cache->top++ = (struct qy_cached_frame){&cache->arena->db->frames[block].tag, block};
        return;
    }
    qy_stack_blocks(cache, stack)[cache->count[stack]++] = block;
}

static bool pop(struct qy_frame_cache *cache, unsigned stack, uint64_t *out)
{
    unsigned count = qy_stack_count(cache, stack);
    if (count == 0)
        return false;
    uint64_t block = qy_stack_at(cache, stack, count - 1);
    if (qy_load(&cache->arena->db->frames[block].tag) !=
        qy_tag(QY_KIND_HEAD, qy_stack_order(stack), QY_FRAME_CACHED, cache->arena))
        qy_port_broken("EXCLUSIVE", "a cached block is in use, or cached twice, frame", block);
    if (stack == 0)
        cache->top--;
    else
        cache->count[stack]--;
    *out = block;
    return true;
}

/* What was freed first goes back; the rest moves down. */
static void give_oldest(struct qy_arena *arena, struct qy_frame_cache *cache, unsigned stack,
                        unsigned n) QY_REQUIRES(qy_class_arena)
{
    uint64_t blocks[BATCH];
    unsigned count = qy_stack_count(cache, stack), left = count - n;
    for (unsigned done = 0; done < n;) {
        unsigned some = 0;
        while (some < BATCH && done < n)
            blocks[some++] = qy_stack_at(cache, stack, done++);
        qy_batch_give(arena, qy_stack_order(stack), blocks, some);
    }
    if (stack == 0) {
        memmove(&cache->frames[1], &cache->frames[1 + n], left * sizeof(cache->frames[0]));
        cache->top = &cache->frames[1 + left];
        return;
    }
    uint64_t *at = qy_stack_blocks(cache, stack);
    memmove(at, at + n, left * sizeof(*at));
    cache->count[stack] = (uint16_t)left;
}

static bool refill(struct qy_frame_cache *cache, unsigned stack)
{
    struct qy_arena *arena = cache->arena;
    uint64_t blocks[BATCH];
    unsigned want = (cache->limit[stack] + 1u) / 2;
    qy_arena_lock(arena);
    unsigned got = arena->dying ? 0 : qy_batch_take(arena, qy_stack_order(stack), want, blocks);
    qy_arena_unlock(arena);
    for (unsigned i = got; i-- > 0;) /* the lowest address on top */
        push(cache, stack, blocks[i]);
    return got != 0;
}

static void drain_half(struct qy_frame_cache *cache, unsigned stack)
{
    struct qy_arena *arena = cache->arena;
    qy_arena_lock(arena);
    give_oldest(arena, cache, stack, (cache->limit[stack] + 1u) / 2);
    qy_arena_unlock(arena);
}

/* ---- a cache comes and goes ---- */

/* Everything in it goes back, its counts are the arena's, its page too. It is in no slot any more. */
static void dismantle(struct qy_arena *arena, struct qy_frame_cache *cache)
    QY_REQUIRES(qy_class_arena)
{
    give_oldest(arena, cache, 0, qy_stack_count(cache, 0));
    for (unsigned stack = 1; stack < QY_STACK_COUNT; stack++)
        give_oldest(arena, cache, stack, cache->count[stack]);
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

/* The CPU gives up its own cache. If somebody else takes it away just now, it is left to them. */
static void give_up(struct qy_cpu_frames *cpu, struct qy_frame_cache *cache)
{
    struct qy_arena *arena = cache->arena;
    slot_empty(cpu, arena->cache_slot, cache);
    qy_arena_lock(arena);
    if (!cache->leaving)
        dismantle(arena, cache);
    qy_arena_unlock(arena);
}

static uint16_t at_most(uint64_t wanted, uint16_t most)
{
    return wanted < most ? (uint16_t)wanted : most;
}

static void set_limits(struct qy_frame_cache *cache, uint64_t pages)
{
    cache->limit[0] = at_most(pages / 64 & ~3ull, QY_CACHE_FRAMES);
    for (unsigned order = 1; order < QY_STACK_HUGE; order++)
        cache->limit[order] = at_most(pages / 128 >> order, QY_CACHE_BLOCKS);
    cache->limit[QY_STACK_HUGE] = at_most(pages / 128 >> QY_BLOCK_ORDER, QY_CACHE_HUGE);
    cache->limit[QY_STACK_ZEROED] = at_most(pages / 256, QY_CACHE_ZEROED);
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
    cache->frames[0].entry = cache->nobody;
    cache->top = &cache->frames[1];
    cache->home = cpu;
    set_limits(cache, arena->total_pages);
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

/* An allocation found another arena's cache in the slot, or none: after enough of them it gets one. */
static struct qy_frame_cache *wish(struct qy_cpu_frames *cpu, struct qy_arena *arena,
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
        give_up(cpu, holder);
    return attach(cpu, arena);
}

/* ---- blocks in and out ---- */

static bool take(struct qy_frame_cache *cache, unsigned order, uint64_t *out)
{
    unsigned stack = stack_of(order);
    if (stack == QY_STACK_COUNT || cache->limit[stack] == 0)
        return false;
    return pop(cache, stack, out) || (refill(cache, stack) && pop(cache, stack, out)) ||
           (order == 0 && pop(cache, QY_STACK_ZEROED, out));
}

static void hand_out(struct qy_frame_cache *cache, uint64_t block, unsigned order,
                     enum qy_frame_state state)
{
    set_tag(cache, block, order, state);
    add(&cache->taken[state], 1ull << order);
    add(&cache->more_blocks[0], (1ull << order) - 1);
}

/* The arena itself serves; this CPU's cache of it gives way before it fails. */
static enum qy_error from_arena(struct qy_cpu_frames *cpu, struct qy_frame_cache *cache,
                                struct qy_arena *arena, unsigned order, enum qy_frame_state state,
                                pfn_t *out)
{
    enum qy_error error = qy_arena_alloc(arena, order, state, out);
    if (error != QY_OUT_OF_MEMORY || !cache)
        return error;
    give_up(cpu, cache);
    qy_arena_lock(arena);
    QY_COUNT(arena->failures, -1ull); /* it is not refused yet */
    qy_arena_unlock(arena);
    return qy_arena_alloc(arena, order, state, out);
}

static enum qy_error alloc(struct qy_cpu_frames *cpu, struct qy_arena *arena, unsigned order,
                           enum qy_frame_state state, pfn_t *out, bool *zeroed)
{
    uint64_t block;
    enum qy_error error = QY_OK;
    if (order > QY_MAX_ORDER || !qy_state_is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    struct qy_frame_cache *cache = qy_frame_cache_enter(cpu, arena);
    if (cache->arena != arena)
        cache = stack_of(order) == QY_STACK_COUNT ? NULL : wish(cpu, arena, cache);
    bool known = cache && zeroed && order == 0 && pop(cache, QY_STACK_ZEROED, &block);
    if (known || (cache && take(cache, order, &block))) {
        hand_out(cache, block, order, state);
        *out = pfn(block);
    } else {
        error = from_arena(cpu, cache, arena, order, state, out);
    }
    if (zeroed)
        *zeroed = known;
    qy_frame_cache_leave(cpu);
    return error;
}

enum qy_error qy_frame_alloc_slow(struct qy_cpu_frames *cpu, struct qy_arena *arena, unsigned order,
                                  enum qy_frame_state state, pfn_t *out)
{
    return alloc(cpu, arena, order, state, out, NULL);
}

enum qy_error qy_frame_try_alloc_zeroed(struct qy_cpu_frames *cpu, struct qy_arena *arena,
                                        unsigned order, enum qy_frame_state state, pfn_t *out,
                                        bool *zeroed)
{
    return alloc(cpu, arena, order, state, out, zeroed);
}

/* Whether the caller may give that block back: what qy_arena_free would say OK to. Clears its word. */
static bool claim(struct qy_frame_cache *cache, uint64_t block, unsigned order,
                  enum qy_frame_state state)
{
    const struct qy_framedb *db = cache->arena->db;
    if (block >= db->limit.raw ||
        qy_tag_kind(qy_load(&db->sections[block / QY_SECTION_PAGES].tag)) != QY_KIND_SPLIT)
        return false;
    qy_tag_t wanted = qy_tag(QY_KIND_HEAD, order, state, cache->arena);
    qy_tag_t above = qy_load(&db->blocks[block / QY_BLOCK_PAGES].tag);
    bool has_entry = qy_tag_kind(above) == QY_KIND_MAP || qy_tag_kind(above) == QY_KIND_FINE;
    if (order < QY_BLOCK_ORDER ? !has_entry : above != wanted || block % QY_BLOCK_PAGES)
        return false;
    struct qy_frame *entry = &db->frames[block];
    if (qy_load(&entry->tag) != wanted || (state == QY_FRAME_USER && qy_word_load(&entry->word)))
        return false;
    qy_word_store(&entry->word, 0);
    return true;
}

enum qy_error qy_frame_free_slow(struct qy_cpu_frames *cpu, struct qy_arena *arena, pfn_t block,
                                 unsigned order, enum qy_frame_state state)
{
    if (order > QY_MAX_ORDER || !qy_state_is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    unsigned stack = stack_of(order);
    struct qy_frame_cache *cache = qy_frame_cache_enter(cpu, arena);
    bool cached = cache->arena == arena && stack != QY_STACK_COUNT && cache->limit[stack] &&
                  claim(cache, block.raw, order, state);
    if (cached) {
        set_tag(cache, block.raw, order, QY_FRAME_CACHED);
        if (qy_stack_count(cache, stack) == cache->limit[stack])
            drain_half(cache, stack);
        push(cache, stack, block.raw);
        add(&cache->given[state], 1ull << order);
        add(&cache->more_blocks[1], (1ull << order) - 1);
    }
    qy_frame_cache_leave(cpu);
    return cached ? QY_OK : qy_arena_free(arena, block, order, state);
}

/* ---- when idle, and when others want it back ---- */

static bool zero_for(struct qy_frame_cache *cache)
{
    uint64_t frame;
    if (cache->count[QY_STACK_ZEROED] >= cache->limit[QY_STACK_ZEROED])
        return false;
    if (!pop(cache, 0, &frame) && !(refill(cache, 0) && pop(cache, 0, &frame)))
        return false;
    memset(qy_port_ram(pfn_to_paddr(pfn(frame))), 0, QY_PAGE_BYTES);
    push(cache, QY_STACK_ZEROED, frame);
    return true;
}

bool qy_frame_zero_one(struct qy_cpu_frames *cpu)
{
    bool done = false;
    atomic_store_explicit(&cpu->busy, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < QY_CACHE_SLOTS && !done; i++) {
        struct qy_frame_cache *cache =
            atomic_load_explicit(&cpu->slots[cpu->cursor], memory_order_acquire);
        done = zero_for(cache);
        if (!done)
            cpu->cursor = (cpu->cursor + 1) % QY_CACHE_SLOTS;
    }
    qy_frame_cache_leave(cpu);
    return done;
}

void qy_frame_drain(struct qy_cpu_frames *cpu, const struct qy_arena *arena)
{
    atomic_store_explicit(&cpu->busy, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < QY_CACHE_SLOTS; i++) {
        struct qy_frame_cache *cache = atomic_load_explicit(&cpu->slots[i], memory_order_acquire);
        if (cache != no_cache() && (!arena || cache->arena == arena))
            give_up(cpu, cache);
    }
    qy_frame_cache_leave(cpu);
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

void qy_frame_reclaim(struct qy_arena *arena)
{
    bool left;
    for (;;) {
        struct qy_frame_cache *cache = choose(arena, &left);
        if (!left)
            return;
        if (!cache) { /* others are at it */
            qy_port_relax();
            continue;
        }
        struct qy_cpu_frames *home = cache->home;
        slot_empty(home, arena->cache_slot, cache);
        qy_port_fence_cpu(home->cpu);
        while (atomic_load_explicit(&home->busy, memory_order_acquire))
            qy_port_relax();
        qy_arena_lock(arena);
        dismantle(arena, cache);
        qy_arena_unlock(arena);
    }
}

enum qy_error qy_frame_alloc(struct qy_cpu_frames *cpu, struct qy_arena *arena, unsigned order,
                             enum qy_frame_state state, pfn_t *out)
{
    enum qy_error error = qy_frame_try_alloc(cpu, arena, order, state, out);
    if (error != QY_OUT_OF_MEMORY || !qy_arena_is_cached(arena))
        return error;
    qy_frame_reclaim(arena);
    return qy_frame_try_alloc(cpu, arena, order, state, out);
}
