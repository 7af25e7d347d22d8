/*
 * Per-CPU frame caches: blocks in and out, where the inline functions of qy/frame_cache.h do not do it
 * themselves.
 *
 *     alloc   stack of that order -> refill by one batch -> the arena, without this CPU's cache if need be
 *     free    claim by the entry  -> drain by one batch  -> stack; what is not this arena's or not such a
 *                                                           block is the arena's to refuse
 *
 * A block that leaves or enters a stack changes one word, its entry's tag; 2 MiB blocks have it in
 * their block descriptor too. Invariants: those of qy/frame_cache.h. Locking: the arena's, inside
 * `busy`, for a batch only. Cost: as qy/frame_cache.h says. Failures: as the arena's.
 */
#include "frame_cache_impl.h"

#include <lib/string.h>
#include <qy/port.h>

#define BATCH (QY_CACHE_FRAMES / 2)
#define NOINLINE                                                                                   \
    __attribute__((noinline)) /* keeps what is rare out of the short paths' registers */

/* What the entry of a block of this arena says in that state. */
static qy_tag_t tag_of(const struct qy_arena *arena, unsigned order, enum qy_frame_state state)
{
    return arena->cached_tag + ((qy_tag_t)order << 4) + (qy_tag_t)state - QY_FRAME_CACHED;
}

/* ---- between the stacks and the arena ---- */

void qy_cache_give_oldest(struct qy_arena *arena, struct qy_frame_cache *cache, unsigned order,
                          unsigned n)
{
    uint64_t blocks[BATCH];
    struct qy_cached_block *base = qy_stack_base(cache, order);
    unsigned left = qy_stack_count(cache, order) - n;
    for (unsigned done = 0; done < n;) {
        unsigned some = 0;
        while (some < BATCH && done < n)
            blocks[some++] = base[done++].frame;
        qy_batch_give(arena, order, blocks, some);
    }
    memmove(base, base + n, left * sizeof(*base));
    cache->top[order] = base + left;
}

static bool refill(struct qy_frame_cache *cache, unsigned order)
{
    struct qy_arena *arena = cache->arena;
    uint64_t blocks[BATCH];
    unsigned want = (cache->limit[order] + 1u) / 2;
    if (want == 0)
        return false;
    qy_arena_lock(arena);
    unsigned got = arena->dying ? 0 : qy_batch_take(arena, order, want, blocks);
    qy_arena_unlock(arena);
    for (unsigned i = got; i-- > 0;) /* the lowest address on top */
        *cache->top[order]++ =
            (struct qy_cached_block){&arena->db->frames[blocks[i]].tag, blocks[i]};
    return got != 0;
}

/* ---- allocation ---- */

/* The topmost block of a stack, handed out in a state. */
static bool take(struct qy_frame_cache *cache, struct qy_arena *arena, unsigned order,
                 enum qy_frame_state state, pfn_t *out)
{
    struct qy_cached_block *top = cache->top[order] - 1;
    qy_tag_t tag = qy_load(top->entry);
    if (tag == 0) /* nobody's: the stack is empty */
        return false;
    if (tag != tag_of(arena, order, QY_FRAME_CACHED))
        qy_port_broken("EXCLUSIVE", "a cached block is in use, or cached twice, frame", top->frame);
    qy_frame_cache_tag(arena, top, order, tag_of(arena, order, state));
    cache->top[order] = top;
    qy_frame_cache_count(cache, false, order, state);
    qy_arena_trace(QY_TRACE_FRAME_ALLOCATED, arena, top->frame, order, state);
    *out = pfn(top->frame);
    return true;
}

static bool take_zeroed(struct qy_frame_cache *cache, struct qy_arena *arena,
                        enum qy_frame_state state, pfn_t *out)
{
    if (cache->zeroed_count == 0)
        return false;
    uint64_t frame = cache->zeroed[--cache->zeroed_count];
    _Atomic qy_tag_t *entry = &arena->db->frames[frame].tag;
    if (qy_load(entry) != arena->cached_tag)
        qy_port_broken("EXCLUSIVE", "a zeroed frame is in use, or cached twice, frame", frame);
    qy_store(entry, tag_of(arena, 0, state));
    qy_frame_cache_count(cache, false, 0, state);
    qy_arena_trace(QY_TRACE_FRAME_ALLOCATED, arena, frame, 0, state);
    *out = pfn(frame);
    return true;
}

/* The arena itself serves; this CPU's cache of it gives way before it fails. */
static enum qy_error from_arena(struct qy_cpu_frames *cpu, struct qy_frame_cache *cache,
                                struct qy_arena *arena, unsigned order, enum qy_frame_state state,
                                pfn_t *out)
{
    enum qy_error error = qy_arena_alloc(arena, order, state, out);
    if (error != QY_OUT_OF_MEMORY || !cache)
        return error;
    qy_cache_give_up(cpu, cache);
    qy_arena_lock(arena);
    QY_COUNT(arena->failures, -1ull); /* it is not refused yet */
    qy_arena_unlock(arena);
    return qy_arena_alloc(arena, order, state, out);
}

/* Its stack is empty, or the slot is not this arena's; `cache` is what is in the slot. */
static NOINLINE enum qy_error fetch(struct qy_cpu_frames *cpu, struct qy_frame_cache *cache,
                                    struct qy_arena *arena, unsigned order,
                                    enum qy_frame_state state, pfn_t *out)
{
    bool small = order <= QY_BLOCK_ORDER;
    if (cache->arena != arena)
        cache = small ? qy_cache_wish(cpu, arena, cache) : NULL;
    if (cache && small &&
        ((refill(cache, order) && take(cache, arena, order, state, out)) ||
         (order == 0 && take_zeroed(cache, arena, state, out))))
        return QY_OK;
    return from_arena(cpu, cache, arena, order, state, out);
}

enum qy_error qy_frame_alloc_slow(struct qy_cpu_frames *cpu, struct qy_arena *arena, unsigned order,
                                  enum qy_frame_state state, pfn_t *out)
{
    enum qy_error error = QY_OK;
    if (order > QY_MAX_ORDER || !qy_state_is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    struct qy_frame_cache *cache = qy_frame_cache_enter(cpu, arena);
    if (order > QY_BLOCK_ORDER || cache->arena != arena || !take(cache, arena, order, state, out))
        error = fetch(cpu, cache, arena, order, state, out);
    qy_percpu_leave(&cpu->own);
    return error;
}

enum qy_error qy_frame_take_zeroed(struct qy_cpu_frames *cpu, struct qy_arena *arena,
                                   enum qy_frame_state state, pfn_t *out)
{
    struct qy_frame_cache *cache = qy_frame_cache_enter(cpu, arena);
    bool taken = cache->arena == arena && qy_state_is_handed_out(state) &&
                 take_zeroed(cache, arena, state, out);
    qy_percpu_leave(&cpu->own);
    return taken ? QY_OK : QY_OUT_OF_MEMORY;
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

/* ---- giving back ---- */

/* The entry of a 2 MiB block, if its own descriptor has that tag. */
static struct qy_frame *huge_entry(const struct qy_framedb *db, uint64_t block, qy_tag_t tag)
{
    if (block >= db->limit.raw || block % QY_BLOCK_PAGES != 0 ||
        qy_tag_kind(qy_load(&db->sections[block / QY_SECTION_PAGES].tag)) != QY_KIND_SPLIT ||
        qy_load(&db->blocks[block / QY_BLOCK_PAGES].tag) != tag)
        return NULL;
    return &db->frames[block];
}

/* The entry of that block if the caller may give it back: if qy_arena_free would say OK. */
static inline QY_CACHE_INLINE struct qy_frame *claim(const struct qy_arena *arena, uint64_t block,
                                                     unsigned order, enum qy_frame_state state)
{
    qy_tag_t tag = tag_of(arena, order, state);
    struct qy_frame *entry = order < QY_BLOCK_ORDER ? qy_framedb_entry(arena->db, block)
                                                    : huge_entry(arena->db, block, tag);
    if (!entry || qy_load(&entry->tag) != tag)
        return NULL;
    return qy_state_has_mappings(state) && qy_word_load(&entry->word) ? NULL : entry;
}

static inline QY_CACHE_INLINE void push(struct qy_frame_cache *cache, struct qy_frame *entry,
                                        uint64_t block, unsigned order, enum qy_frame_state state)
{
    const struct qy_arena *arena = cache->arena;
    struct qy_cached_block *top = cache->top[order];
    qy_arena_trace(QY_TRACE_FRAME_FREED, arena, block, order, state);
    *top = (struct qy_cached_block){&entry->tag, block};
    cache->top[order] = top + 1;
    if (!qy_state_has_mappings(state)) /* there the claim was that it is 0 */
        qy_word_store(&entry->word, 0);
    qy_frame_cache_tag(arena, top, order, tag_of(arena, order, QY_FRAME_CACHED));
    qy_frame_cache_count(cache, true, order, state);
}

/* The stack is full: the older half of it goes back first. */
static NOINLINE bool drain_and_push(struct qy_frame_cache *cache, struct qy_frame *entry,
                                    uint64_t block, unsigned order, enum qy_frame_state state)
{
    struct qy_arena *arena = cache->arena;
    if (cache->limit[order] == 0)
        return false;
    qy_arena_lock(arena);
    qy_cache_give_oldest(arena, cache, order, (cache->limit[order] + 1u) / 2);
    qy_arena_unlock(arena);
    push(cache, entry, block, order, state);
    return true;
}

static inline QY_CACHE_INLINE bool put(struct qy_frame_cache *cache, uint64_t block, unsigned order,
                                       enum qy_frame_state state)
{
    struct qy_frame *entry = claim(cache->arena, block, order, state);
    if (!entry)
        return false;
    if (cache->top[order] == cache->full[order])
        return drain_and_push(cache, entry, block, order, state);
    push(cache, entry, block, order, state);
    return true;
}

/* Most are single frames, and with a constant order put is half as long. */
bool qy_frame_cache_put(struct qy_frame_cache *cache, uint64_t block, unsigned order,
                        enum qy_frame_state state)
{
    return order == 0 ? put(cache, block, 0, state) : put(cache, block, order, state);
}

enum qy_error qy_frame_free_zeroed(struct qy_cpu_frames *cpu, struct qy_arena *arena, pfn_t frame,
                                   enum qy_frame_state state)
{
    struct qy_frame_cache *cache = qy_frame_cache_enter(cpu, arena);
    struct qy_frame *entry = NULL;
    if (cache->arena == arena && cache->zeroed_count < cache->zeroed_limit &&
        qy_state_is_handed_out(state))
        entry = claim(arena, frame.raw, 0, state);
    if (entry) {
        qy_arena_trace(QY_TRACE_FRAME_FREED, arena, frame.raw, 0, state);
        qy_word_store(&entry->word, 0);
        qy_store(&entry->tag, arena->cached_tag);
        cache->zeroed[cache->zeroed_count++] = frame.raw;
        qy_frame_cache_count(cache, true, 0, state);
    }
    qy_percpu_leave(&cpu->own);
    return entry ? QY_OK : qy_frame_free(cpu, arena, frame, 0, state);
}

/* ---- when idle ---- */

static bool zero_for(struct qy_frame_cache *cache)
{
    if (cache->zeroed_count >= cache->zeroed_limit)
        return false;
    if (cache->top[0] == qy_stack_base(cache, 0) && !refill(cache, 0))
        return false;
    uint64_t frame = (--cache->top[0])->frame;
    if (qy_load(cache->top[0]->entry) != cache->arena->cached_tag)
        qy_port_broken("EXCLUSIVE", "a cached frame is in use, or cached twice, frame", frame);
    memset(qy_port_ram(pfn_to_paddr(pfn(frame))), 0, QY_PAGE_BYTES);
    cache->zeroed[cache->zeroed_count++] = frame;
    return true;
}

bool qy_frame_zero_one(struct qy_cpu_frames *cpu)
{
    bool done = false;
    qy_percpu_enter(&cpu->own);
    for (unsigned i = 0; i < QY_CACHE_SLOTS && !done; i++) {
        struct qy_frame_cache *cache =
            atomic_load_explicit(&cpu->slots[cpu->cursor], memory_order_acquire);
        done = zero_for(cache);
        if (!done)
            cpu->cursor = (cpu->cursor + 1) % QY_CACHE_SLOTS;
    }
    qy_percpu_leave(&cpu->own);
    return done;
}
