/*
 * Runs of any number of pages, and allocation within bounds: for devices, and for whoever does not
 * want a power of two.
 *
 *     free block    |................|      alloc_pages(11)
 *     handed out    |88888888|22|1|...      blocks of 8, 2 and 1 pages; the tail of 5 stays free
 *
 * A run is handed out as the fewest aligned blocks, so every claim about a part of it is checked as
 * for any block; which blocks they are follows from its start and length, so nothing is stored.
 * Invariants: those of arena.c. Locking: the arena's lock around everything; a sweep for a place lets it
 * go after every QY_SWEEP_LOOKS descriptors, and takes what it finds in the hold that found it. Cost:
 * O(log n + 1 GiB blocks), a sweep's as arena.h says. Failures change nothing but the failure counter: a
 * run is found or claimed as a whole before any part of it is taken or released.
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

/* The end of a search under the lock: hand out the run that it found, or say why there is none. */
static enum qy_error take_if(struct qy_arena *arena, bool found, uint64_t at, uint64_t pages,
                             enum qy_frame_state state, pfn_t *out) QY_REQUIRES(qy_class_arena)
{
    QY_COUNT(arena->failures, !found);
    if (!found)
        return arena->dying ? QY_REVOKED : QY_OUT_OF_MEMORY;
    take_run(arena, at, at + pages, state);
    QY_COUNT(arena->allocations, 1);
    *out = pfn(at);
    return QY_OK;
}

enum qy_error qy_arena_alloc_pages(struct qy_arena *arena, uint64_t pages,
                                   enum qy_frame_state state, pfn_t *out)
{
    uint64_t at = 0;
    if (pages == 0 || !qy_state_is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(arena);
    bool found = !arena->dying && qy_range_find(arena, pages, &at);
    enum qy_error error = take_if(arena, found, at, pages, state, out);
    qy_arena_unlock(arena);
    return error;
}

/* The 2 MiB block around a frame, if its map is this arena's. */
static const struct qy_block *own_map(const struct qy_arena *arena, uint64_t at)
{
    const struct qy_framedb *db = arena->db;
    if (qy_tag_kind(qy_load(&db->sections[at / QY_SECTION_PAGES].tag)) != QY_KIND_SPLIT)
        return NULL;
    const struct qy_block *b = &db->blocks[at / QY_BLOCK_PAGES];
    qy_tag_t own = qy_tag(QY_KIND_MAP, QY_BLOCK_ORDER, QY_FRAME_RESERVED, arena);
    return qy_load(&b->tag) == own ? b : NULL;
}

/*
 * The first frame in [at, end) that is free in this arena (or is not, as asked); end if none is; or,
 * when so many descriptors have been looked at, the first that has not been.
 */
static uint64_t next_frame(const struct qy_arena *arena, uint64_t at, uint64_t end, bool free,
                           unsigned *looks)
{
    for (; at < end && *looks != 0; --*looks) {
        const struct qy_block *b = own_map(arena, at);
        if (b) {
            unsigned next = free && b->free == 0
                                ? QY_BLOCK_PAGES
                                : qy_block_map_next(b, (unsigned)(at % QY_BLOCK_PAGES), free);
            at = qy_align_down(at, QY_BLOCK_PAGES) + next;
            if (next < QY_BLOCK_PAGES)
                break;
            continue;
        }
        struct qy_found f = qy_framedb_find(arena->db, at);
        if ((f.owner == arena && f.state == QY_FRAME_FREE) == free)
            break;
        at = f.start + (1ull << f.order);
    }
    return min_u64(at, end);
}

/* One hold of the lock: true if a place was found, else *at is where to go on, or end. */
static bool sweep_some(const struct qy_arena *arena, uint64_t pages, uint64_t *at, uint64_t end,
                       uint64_t align, uint64_t *out) QY_REQUIRES(qy_class_arena)
{
    unsigned looks = QY_SWEEP_LOOKS;
    while (looks != 0 && *at < end) {
        *at = next_frame(arena, *at, end, true, &looks);
        uint64_t start = qy_align_up(*at, align);
        if (start >= end || end - start < pages)
            *at = end;
        if (looks == 0 || *at == end)
            return false;
        unsigned unlimited = ~0u; /* a run is few blocks, and what is found must be all free */
        *at = next_frame(arena, *at, start + pages, false, &unlimited);
        *out = start;
        if (*at == start + pages)
            return true;
        looks--;
    }
    return false;
}

bool qy_range_sweep(struct qy_arena *arena, uint64_t pages, uint64_t base, uint64_t end,
                    uint64_t align, uint64_t *out)
{
    base = base < arena->base.raw ? arena->base.raw : base;
    end = min_u64(end, arena->end.raw);
    for (uint64_t at = base; at < end && pages <= arena->pages[QY_FRAME_FREE] && !arena->dying;) {
        if (sweep_some(arena, pages, &at, end, align, out))
            return true;
        if (at < end) {
            qy_arena_unlock(arena);
            qy_arena_lock(arena);
        }
    }
    return false;
}

static bool find_within(struct qy_arena *arena, uint64_t pages, const struct qy_bounds *bounds,
                        uint64_t *out) QY_REQUIRES(qy_class_arena)
{
    uint64_t align = 1ull << bounds->align_order;
    uint64_t base = bounds->base.raw, end = bounds->end.raw;
    struct qy_found free;
    if (pages <= 1ull << QY_MAX_ORDER && qy_range_fit(arena, qy_order_of(pages), &free, out) &&
        *out >= base && *out < end && pages <= end - *out && *out % align == 0)
        return true;
    return qy_range_sweep(arena, pages, base, end, align, out);
}

enum qy_error qy_arena_alloc_in(struct qy_arena *arena, uint64_t pages,
                                const struct qy_bounds *bounds, enum qy_frame_state state,
                                pfn_t *out)
{
    uint64_t at = 0;
    if (pages == 0 || !qy_state_is_handed_out(state) || bounds->base.raw >= bounds->end.raw ||
        bounds->align_order > QY_BOUNDS_ALIGN_MAX)
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(arena);
    bool found = !arena->dying && find_within(arena, pages, bounds, &at);
    enum qy_error error = take_if(arena, found, at, pages, state, out);
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
