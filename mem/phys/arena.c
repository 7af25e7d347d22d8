/*
 * Arenas: handing blocks out and taking them back, with every claim of the caller checked.
 *
 * The search, splitting and merging are arena_range.c's; here are the lock, the checks, the tags of
 * allocated blocks and the counters. An allocated block, of whatever order, has a HEAD entry at its
 * first frame, and from 2 MiB up the same tag in its block or section descriptor; so a claim
 * "block, order, state, mine" is compared with one word, in release builds too.
 *
 * Invariants: CONSERVE (pages[] add up to total_pages), EXCLUSIVE. Locking: the arena's lock around
 * everything. Cost: O(log n). Failures change nothing but the failure counter.
 */
#include "arena_impl.h"

#include <lib/string.h>

void qy_arena_init(struct qy_arena *arena, struct qy_framedb *db, uint16_t node, enum qy_zone zone,
                   uint32_t id) QY_UNCHECKED
{
    if (qy_tag_owner(qy_tag(QY_KIND_HEAD, 0, QY_FRAME_FREE, arena)) != arena)
        qy_port_broken("ARENA-OWNER", "the header of an arena is not aligned to 16 bytes",
                       (uint64_t)(uintptr_t)arena);
    memset(arena, 0, sizeof(*arena));
    arena->db = db;
    arena->node = node;
    arena->zone = (uint8_t)zone;
    arena->id = id;
    arena->cache_slot = (uint8_t)((uint64_t)(uintptr_t)arena / 16 * 0x9e3779b97f4a7c15ull >> 61);
    arena->cached_tag = qy_tag(QY_KIND_HEAD, 0, QY_FRAME_CACHED, arena);
    for (unsigned o = 0; o <= QY_KEPT_LIST; o++)
        arena->lists[o].first = QY_NIL;
    for (unsigned o = 0; o < QY_BLOCK_ORDER; o++)
        arena->fine[o].first = QY_FINE_NIL;
}

/* Write what an allocated block is: the finest descriptor first, since a coarser one leads to it.
 */
static void mark(struct qy_arena *arena, uint64_t start, unsigned order, enum qy_frame_state state)
    QY_REQUIRES(qy_class_arena)
{
    struct qy_framedb *db = arena->db;
    qy_tag_t tag = qy_tag(QY_KIND_HEAD, order, state, arena);
    qy_word_store(&db->frames[start].word, 0);
    qy_store(&db->frames[start].tag, tag);
    if (order >= QY_SECTION_ORDER)
        qy_store(&db->sections[start / QY_SECTION_PAGES].tag, tag);
    else if (order >= QY_BLOCK_ORDER)
        qy_store(&db->blocks[start / QY_BLOCK_PAGES].tag, tag);
}

void qy_arena_take(struct qy_arena *arena, const struct qy_found *free, uint64_t at, unsigned order,
                   enum qy_frame_state state)
{
    qy_poison_check(arena->db, at, order);
    qy_range_take(arena, free, at, order);
    mark(arena, at, order, state);
    qy_arena_trace(QY_TRACE_FRAME_ALLOCATED, arena, at, order, state);
    qy_arena_count_free(arena, -(1ll << order));
    arena->pages[state] += 1ull << order;
}

enum qy_error qy_arena_alloc(struct qy_arena *arena, unsigned order, enum qy_frame_state state,
                             pfn_t *out)
{
    if (order > QY_MAX_ORDER || !qy_state_is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(arena);
    enum qy_error error = QY_OK;
    struct qy_found free;
    uint64_t at;
    if (arena->dying) {
        error = QY_REVOKED;
    } else if (!qy_range_fit_any(arena, order, &free, &at)) {
        error = QY_OUT_OF_MEMORY;
    } else {
        qy_arena_take(arena, &free, at, order, state);
        QY_COUNT(arena->allocations, 1);
        *out = pfn(at);
    }
    QY_COUNT(arena->failures, error != QY_OK);
    qy_arena_unlock(arena);
    return error;
}

/* Whether [at, at + 2^order) is free in the arena. Free buddies are merged: if it is, it lies in
 * one free block. */
static enum qy_error claim_free(struct qy_arena *arena, uint64_t at, unsigned order,
                                struct qy_found *out) QY_REQUIRES(qy_class_arena)
{
    *out = qy_framedb_find(arena->db, at);
    if (out->owner != arena)
        return QY_NOT_OWNED;
    return out->state == QY_FRAME_FREE && out->order >= order ? QY_OK : QY_BUSY;
}

enum qy_error qy_arena_alloc_at(struct qy_arena *arena, pfn_t block, unsigned order,
                                enum qy_frame_state state)
{
    if (order > QY_MAX_ORDER || !qy_state_is_handed_out(state) || block.raw & ((1ull << order) - 1))
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(arena);
    struct qy_found free;
    enum qy_error error = arena->dying ? QY_REVOKED : claim_free(arena, block.raw, order, &free);
    if (error == QY_OK) {
        qy_arena_take(arena, &free, block.raw, order, state);
        QY_COUNT(arena->allocations, 1);
    }
    QY_COUNT(arena->failures, error != QY_OK);
    qy_arena_unlock(arena);
    return error;
}

/* Why a claim does not hold: what there is instead. */
static enum qy_error claim_error(const struct qy_arena *arena, uint64_t start, unsigned order,
                                 enum qy_frame_state state)
{
    struct qy_found f = qy_framedb_find(arena->db, start);
    if (f.owner != arena)
        return QY_NOT_OWNED;
    if (f.start == start && f.order == order && f.state == state)
        qy_port_broken("EXCLUSIVE", "a block's descriptor and its frame entry differ, at frame",
                       start);
    return QY_NOT_ALLOCATED;
}

/*
 * A block of that order is described by a descriptor of that size, if those above it say that they
 * are split; and, as every allocated block, by a frame entry.
 */
enum qy_error qy_arena_claim(struct qy_arena *arena, uint64_t start, unsigned order,
                             enum qy_frame_state state)
{
    const struct qy_framedb *db = arena->db;
    const qy_tag_t claimed = qy_tag(QY_KIND_HEAD, order, state, arena);
    if (start >= db->limit.raw)
        return QY_NOT_OWNED;
    qy_tag_t tag = qy_load(&db->sections[start / QY_SECTION_PAGES].tag);
    if (order < QY_SECTION_ORDER) {
        if (qy_tag_kind(tag) != QY_KIND_SPLIT)
            return claim_error(arena, start, order, state);
        tag = qy_load(&db->blocks[start / QY_BLOCK_PAGES].tag);
    }
    if (order < QY_BLOCK_ORDER ? !qy_tag_is_divided(tag) : tag != claimed)
        return claim_error(arena, start, order, state);
    const struct qy_frame *head = &db->frames[start];
    tag = qy_load(&head->tag);
    if ((tag & ~QY_TAG_AUX_MASK) != claimed)
        return claim_error(arena, start, order, state);
    bool mapped = qy_state_has_mappings(state) && qy_word_load(&head->word) != 0;
    return qy_tag_aux(tag) != 0 || mapped ? QY_BUSY : QY_OK;
}

void qy_arena_release(struct qy_arena *arena, uint64_t start, unsigned order,
                      enum qy_frame_state state)
{
    qy_arena_trace(QY_TRACE_FRAME_FREED, arena, start, order, state);
    qy_poison_fill(arena->db, start, order);
    qy_store(&arena->db->frames[start].tag, 0);
    qy_range_give(arena, start, order);
    arena->pages[state] -= 1ull << order;
    qy_arena_count_free(arena, 1ll << order);
}

enum qy_error qy_arena_free(struct qy_arena *arena, pfn_t block, unsigned order,
                            enum qy_frame_state state)
{
    if (order > QY_MAX_ORDER || !qy_state_is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(arena);
    enum qy_error error = qy_arena_claim(arena, block.raw, order, state);
    if (error == QY_OK) {
        qy_arena_release(arena, block.raw, order, state);
        QY_COUNT(arena->frees, 1);
    }
    qy_arena_unlock(arena);
    return error;
}

enum qy_error qy_frame_set_state(struct qy_framedb *db, pfn_t start, enum qy_frame_state from,
                                 enum qy_frame_state to)
{
    if (!qy_state_is_handed_out(from) || !qy_state_is_handed_out(to))
        return QY_INVALID_ARGUMENT;
    struct qy_found f = qy_framedb_find(db, start.raw);
    if (f.level == QY_AT_NOTHING)
        return QY_NOT_ALLOCATED;
    qy_arena_lock(f.owner);
    enum qy_error error = qy_arena_claim(f.owner, start.raw, f.order, from);
    if (error == QY_OK) {
        mark(f.owner, start.raw, f.order, to);
        f.owner->pages[from] -= 1ull << f.order;
        f.owner->pages[to] += 1ull << f.order;
        QY_TRACE(FRAME_CHANGED, f.owner->id, start.raw, f.order, from, to);
    }
    qy_arena_unlock(f.owner);
    return error == QY_NOT_OWNED ? QY_NOT_ALLOCATED : error;
}

void qy_arena_mark_dying(struct qy_arena *arena)
{
    qy_arena_lock(arena);
    arena->dying = true;
    qy_arena_unlock(arena);
}

static int largest(const struct qy_arena *arena) QY_REQUIRES(qy_class_arena)
{
    uint32_t mask = arena->nonempty | arena->fine_nonempty;
    int order = mask ? 31 - __builtin_clz(mask) : -1;
    int kept = order < (int)QY_BLOCK_ORDER - 1 ? qy_kept_largest(arena) : -1;
    return kept > order ? kept : order;
}

int qy_arena_largest(struct qy_arena *arena)
{
    qy_arena_lock(arena);
    int order = largest(arena);
    qy_arena_unlock(arena);
    return order;
}

uint64_t qy_arena_pages(struct qy_arena *arena, enum qy_frame_state state)
{
    qy_arena_lock(arena);
    uint64_t pages = arena->pages[state] + qy_caches_moved(arena, state);
    qy_arena_unlock(arena);
    return pages;
}

uint64_t qy_arena_kept(struct qy_arena *arena)
{
    qy_arena_lock(arena);
    uint64_t pages = qy_kept_pages(arena);
    qy_arena_unlock(arena);
    return pages;
}

void qy_arena_record(struct qy_arena *arena, struct qy_record_arena *out)
{
    memset(out, 0, sizeof(*out));
    qy_arena_lock(arena);
    uint64_t pages[QY_FRAME_STATE_COUNT];
    for (unsigned s = 0; s < QY_FRAME_STATE_COUNT; s++)
        pages[s] = arena->pages[s] + qy_caches_moved(arena, (enum qy_frame_state)s);
    int order = largest(arena);
    out->node = arena->node;
    out->zone = arena->zone;
    out->total_bytes = arena->total_pages * QY_PAGE_BYTES;
    out->free_bytes = pages[QY_FRAME_FREE] * QY_PAGE_BYTES;
    out->large_bytes = arena->large_pages * QY_PAGE_BYTES;
    out->largest_order = order < 0 ? UINT64_MAX : (uint64_t)order;
    out->cache_bytes = pages[QY_FRAME_CACHED] * QY_PAGE_BYTES;
    out->object_bytes = pages[QY_FRAME_OBJECT] * QY_PAGE_BYTES;
    out->slab_bytes = pages[QY_FRAME_SLAB] * QY_PAGE_BYTES;
    out->frame_bytes = (pages[QY_FRAME_USER] + pages[QY_FRAME_DEVICE]) * QY_PAGE_BYTES;
    out->table_bytes = pages[QY_FRAME_TABLE] * QY_PAGE_BYTES;
    out->child_bytes = pages[QY_FRAME_CHILD] * QY_PAGE_BYTES;
    out->metadata_bytes = pages[QY_FRAME_METADATA] * QY_PAGE_BYTES;
    out->allocations = arena->allocations + qy_caches_blocks(arena, false);
    out->frees = arena->frees + qy_caches_blocks(arena, true);
    out->failures = arena->failures;
    qy_arena_unlock(arena);
}
