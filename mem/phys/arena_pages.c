/*
 * Runs of any number of pages, and allocation within bounds: for devices, and for whoever does not
 * want a power of two.
 *
 *     free block    |................|      alloc_pages(11)
 *     handed out    |88888888|22|1|...      blocks of 8, 2 and 1 pages; the tail of 5 stays free
 *
 * A run is handed out as the fewest aligned blocks, so every claim about a part of it is checked as
 * for any block; which blocks they are follows from its start and length, so nothing is stored.
 * Invariants: those of arena.c. Locking: the arena's lock around everything. Cost: O(log n + 1 GiB
 * blocks), within bounds as arena.h says. Failures change nothing but the failure counter: a run is
 * found or claimed as a whole before any part of it is taken or released.
 */
#include "arena_impl.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Hand out [at, end), all of which is free. Free buddies are merged: each aligned part lies in one
 * free block. */
static void take_run(struct qy_arena *arena, uint64_t at, uint64_t end, enum qy_frame_state state)
    QY_REQUIRES(qy_class_arena)
{
    while (at < end) {
        unsigned order = qy_range_order(at, end);
        struct qy_found free = qy_framedb_find(arena->db, at);
        if (free.owner != arena || free.state != QY_FRAME_FREE || free.order < order)
            qy_port_broken("ARENA-BUDDY", "a run that was found free is not, at frame", at);
        qy_arena_take(arena, &free, at, order, state);
        at += 1ull << order;
    }
}

enum qy_error qy_arena_alloc_pages(struct qy_arena *arena, uint64_t pages,
                                   enum qy_frame_state state, pfn_t *out)
{
    uint64_t at;
    if (pages == 0 || !qy_state_is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(arena);
    enum qy_error error = arena->dying                       ? QY_REVOKED
                          : qy_range_find(arena, pages, &at) ? QY_OK
                                                             : QY_OUT_OF_MEMORY;
    if (error == QY_OK) {
        take_run(arena, at, at + pages, state);
        QY_COUNT(arena->allocations, 1);
        *out = pfn(at);
    }
    QY_COUNT(arena->failures, error != QY_OK);
    qy_arena_unlock(arena);
    return error;
}

/* The first frame in [at, end) that is free in this arena (or is not, as asked); end if none is. */
static uint64_t next_frame(const struct qy_arena *arena, uint64_t at, uint64_t end, bool free)
{
    while (at < end) {
        struct qy_found f = qy_framedb_find(arena->db, at);
        if (f.level == QY_AT_MAP && f.owner == arena) {
            const struct qy_block *b = &arena->db->blocks[at / QY_BLOCK_PAGES];
            unsigned next = qy_block_map_next(b, (unsigned)(at % QY_BLOCK_PAGES), free);
            at = qy_align_down(at, QY_BLOCK_PAGES) + next;
            if (next < QY_BLOCK_PAGES)
                break;
        } else if ((f.owner == arena && f.state == QY_FRAME_FREE) == free) {
            break;
        } else {
            at = f.start + (1ull << f.order);
        }
    }
    return min_u64(at, end);
}

/* The lowest free run in [at, end) that begins at a multiple of `align`. */
static bool find_lowest(const struct qy_arena *arena, uint64_t pages, uint64_t at, uint64_t end,
                        uint64_t align, uint64_t *out)
{
    while ((at = next_frame(arena, at, end, true)) < end) {
        uint64_t start = qy_align_up(at, align);
        if (start >= end || end - start < pages)
            return false;
        at = next_frame(arena, at, start + pages, false);
        *out = start;
        if (at == start + pages)
            return true;
    }
    return false;
}

static bool find_within(struct qy_arena *arena, uint64_t pages, const struct qy_bounds *bounds,
                        uint64_t *out) QY_REQUIRES(qy_class_arena)
{
    uint64_t align = 1ull << bounds->align_order;
    uint64_t base = bounds->base.raw, end = min_u64(bounds->end.raw, arena->end.raw);
    struct qy_found free;
    if (base < arena->base.raw)
        base = arena->base.raw;
    if (base >= end || pages > end - base || pages > arena->pages[QY_FRAME_FREE])
        return false;
    if (pages <= 1ull << QY_MAX_ORDER && qy_range_fit(arena, qy_order_of(pages), &free, out) &&
        *out >= base && *out <= end - pages && *out % align == 0)
        return true;
    return find_lowest(arena, pages, base, end, align, out);
}

enum qy_error qy_arena_alloc_in(struct qy_arena *arena, uint64_t pages,
                                const struct qy_bounds *bounds, enum qy_frame_state state,
                                pfn_t *out)
{
    uint64_t at;
    if (pages == 0 || !qy_state_is_handed_out(state) || bounds->base.raw >= bounds->end.raw ||
        bounds->align_order > QY_BOUNDS_ALIGN_MAX)
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(arena);
    enum qy_error error = arena->dying                             ? QY_REVOKED
                          : find_within(arena, pages, bounds, &at) ? QY_OK
                                                                   : QY_OUT_OF_MEMORY;
    if (error == QY_OK) {
        take_run(arena, at, at + pages, state);
        QY_COUNT(arena->allocations, 1);
        *out = pfn(at);
    }
    QY_COUNT(arena->failures, error != QY_OK);
    qy_arena_unlock(arena);
    return error;
}

static enum qy_error claim_run(struct qy_arena *arena, uint64_t at, uint64_t end,
                               enum qy_frame_state state) QY_REQUIRES(qy_class_arena)
{
    enum qy_error error = QY_OK;
    while (at < end && error == QY_OK) {
        unsigned order = qy_range_order(at, end);
        error = qy_arena_claim(arena, at, order, state);
        at += 1ull << order;
    }
    return error;
}

enum qy_error qy_arena_free_pages(struct qy_arena *arena, pfn_t start, uint64_t pages,
                                  enum qy_frame_state state)
{
    uint64_t at = start.raw;
    if (pages == 0 || pages > QY_FRAMES_MAX || !qy_state_is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    if (at >= arena->db->limit.raw)
        return QY_NOT_OWNED;
    uint64_t end = at + pages;
    qy_arena_lock(arena);
    enum qy_error error = claim_run(arena, at, end, state);
    if (error == QY_OK) {
        while (at < end) {
            unsigned order = qy_range_order(at, end);
            qy_arena_release(arena, at, order, state);
            at += 1ull << order;
        }
        QY_COUNT(arena->frees, 1);
    }
    qy_arena_unlock(arena);
    return error;
}
