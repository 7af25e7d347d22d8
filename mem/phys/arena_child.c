/*
 * How an arena comes by its memory and gives it up: added at boot, carved out of a parent, returned
 * to it.
 *
 *     parent   |FFFFFFFF|aa..FFFF|FFFFFFFF|FFFF....|       F free, a allocated, . another arena's
 *     carve              ^^^^                ->            2 MiB blocks as a whole, the ragged
 * edges become fine blocks
 *
 * Ranges are moved as the fewest aligned blocks, at most 2 * 18 and one a GiB. First everything is
 * checked or found, then moved; nothing fails in between (ATOMIC). Locking: adding holds the
 * arena's lock, then db->lock, since two arenas may meet in one section; a new child is known to
 * nobody and needs no lock of its own; return takes the child's, then the parent's.
 */
#include "arena_impl.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void hull_grow(struct qy_arena *arena, uint64_t base, uint64_t end)
{
    if (arena->total_pages == 0 || base < arena->base.raw)
        arena->base = pfn(base);
    if (arena->total_pages == 0 || end > arena->end.raw)
        arena->end = pfn(end);
    arena->total_pages += end - base;
}

/* Make the descriptors from the section down to what a block of that order needs. Nobody owns the
 * block. */
static void prepare_for(struct qy_framedb *db, uint64_t at, unsigned order)
{
    if (order >= QY_SECTION_ORDER)
        return;
    uint64_t section = at / QY_SECTION_PAGES, block = at / QY_BLOCK_PAGES;
    qy_section_prepare(db, section);
    if (qy_tag_kind(qy_load(&db->sections[section].tag)) != QY_KIND_SPLIT)
        qy_store(&db->sections[section].tag,
                 qy_tag(QY_KIND_SPLIT, QY_SECTION_ORDER, QY_FRAME_RESERVED, NULL));
    if (order >= QY_BLOCK_ORDER)
        return;
    qy_block_prepare(db, block);
    if (qy_tag_kind(qy_load(&db->blocks[block].tag)) != QY_KIND_FINE)
        qy_store(&db->blocks[block].tag,
                 qy_tag(QY_KIND_FINE, QY_BLOCK_ORDER, QY_FRAME_RESERVED, NULL));
}

static bool range_is_nobodys(const struct qy_framedb *db, uint64_t base, uint64_t end)
{
    while (base < end) {
        struct qy_found f = qy_framedb_find(db, base);
        if (f.level != QY_AT_NOTHING)
            return false;
        base = f.start + (1ull << f.order);
    }
    return true;
}

static void count_sections(struct qy_framedb *db, uint64_t base, uint64_t end)
{
    for (uint64_t s = base / QY_SECTION_PAGES; s <= (end - 1) / QY_SECTION_PAGES; s++)
        if (!db->sections[s].counted) {
            db->sections[s].counted = true;
            atomic_fetch_add_explicit(&db->sections_total, 1, memory_order_relaxed);
        }
}

enum qy_error qy_arena_add(struct qy_arena *arena, pfn_t base, pfn_t end)
{
    struct qy_framedb *db = arena->db;
    if (base.raw == 0 || base.raw >= end.raw || end.raw > db->limit.raw)
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(arena);
    qy_lock_acquire(&db->lock);
    enum qy_error error = range_is_nobodys(db, base.raw, end.raw) ? QY_OK : QY_NOT_OWNED;
    if (error == QY_OK) {
        count_sections(db, base.raw, end.raw);
        for (uint64_t at = base.raw; at < end.raw;) {
            unsigned order = qy_range_order(at, end.raw);
            prepare_for(db, at, order);
            qy_range_give(arena, at, order);
            at += 1ull << order;
        }
        hull_grow(arena, base.raw, end.raw);
        qy_arena_count_free(arena, (int64_t)(end.raw - base.raw));
    }
    qy_lock_release(&db->lock);
    qy_arena_unlock(arena);
    return error;
}

/* A free block of this arena, at least of that order, that holds the frame. */
static bool free_at(const struct qy_arena *arena, uint64_t frame, unsigned order,
                    struct qy_found *out)
{
    *out = qy_framedb_find(arena->db, frame);
    return out->owner == arena && out->state == QY_FRAME_FREE && out->order >= order;
}

/*
 * The run of free blocks around a free block [base, end): as far to the right and then to the left
 * as `pages` needs. False if it is too short, or if the next block to the left is one that the
 * caller looks at anyway
 * (>= order).
 */
static bool run_around(const struct qy_arena *arena, uint64_t pages, unsigned order, uint64_t base,
                       uint64_t end, uint64_t *out)
{
    struct qy_found f;
    if (base > 0 && free_at(arena, base - 1, order, &f))
        return false;
    while (end - base < pages && free_at(arena, end, 0, &f))
        end = f.start + (1ull << f.order);
    while (base > 0 && end - base < pages && free_at(arena, base - 1, 0, &f))
        base = f.start;
    *out = base;
    return end - base >= pages;
}

/* Look around the free blocks of these orders, from 2 MiB up. *all: whether that were all of them. */
static bool run_around_blocks(struct qy_arena *arena, uint64_t pages, unsigned order, bool *all,
                              uint64_t *out) QY_REQUIRES(qy_class_arena)
{
    unsigned tried = 0;
    *all = true;
    for (unsigned list = order; list <= QY_MAX_ORDER; list++) {
        bool section = list >= QY_SECTION_ORDER;
        uint32_t index = arena->lists[list].first;
        while (index != QY_NIL) {
            if (list < QY_MAX_ORDER && tried++ == QY_SWEEP_LOOKS) {
                *all = false;
                break;
            }
            uint64_t base = index * (section ? QY_SECTION_PAGES : QY_BLOCK_PAGES);
            if (run_around(arena, pages, order, base, base + (1ull << list), out))
                return true;
            index = section ? arena->db->sections[index].next : arena->db->blocks[index].next;
        }
    }
    return false;
}

/*
 * A free run of n pages holds a whole aligned block of order log2((n + 1) / 2), and that lies in a
 * free block of at least that order. If there is none, there is no run; if they are few, look around
 * each; else, or if they lie in maps, sweep.
 */
bool qy_range_find(struct qy_arena *arena, uint64_t pages, uint64_t *out)
{
    struct qy_found free;
    bool all;
    if (pages <= 1ull << QY_MAX_ORDER && qy_range_fit_any(arena, qy_order_of(pages), &free, out))
        return true;
    if (pages > arena->pages[QY_FRAME_FREE])
        return false;
    unsigned order = 63 - (unsigned)__builtin_clzll((pages + 1) / 2);
    order = order < QY_MAX_ORDER ? order : QY_MAX_ORDER;
    if ((arena->nonempty | arena->fine_nonempty) >> order == 0 && !arena->kept_blocks)
        return false;
    if (order >= QY_BLOCK_ORDER) {
        if (run_around_blocks(arena, pages, order, &all, out))
            return true;
        if (all)
            return false;
    }
    return qy_range_sweep(arena, pages, arena->base.raw, arena->end.raw, 1, out);
}

/* Move [base, end), free in `from`, to `to`. */
static void move_range(struct qy_arena *from, struct qy_arena *to, uint64_t base, uint64_t end)
    QY_REQUIRES(qy_class_arena)
{
    while (base < end) {
        struct qy_found free = qy_framedb_find(from->db, base);
        if (free.owner != from || free.state != QY_FRAME_FREE)
            qy_port_broken("EXCLUSIVE", "a range that is moved is not free, at frame", base);
        uint64_t free_end = free.start + (1ull << free.order);
        unsigned order = qy_range_order(base, min_u64(end, free_end));
        uint32_t block = (uint32_t)(base / QY_BLOCK_PAGES);
        qy_range_take(from, &free, base, order);
        if (order < QY_BLOCK_ORDER &&
            qy_tag_kind(qy_load(&from->db->blocks[block].tag)) == QY_KIND_MAP)
            qy_fine_convert(from, block);
        qy_range_give(to, base, order);
        base += 1ull << order;
    }
}

enum qy_error qy_arena_carve(struct qy_arena *parent, struct qy_arena *child, uint64_t pages,
                             uint32_t id)
{
    uint64_t base;
    if (pages == 0)
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(parent);
    bool found = !parent->dying && qy_range_find(parent, pages, &base);
    enum qy_error error = found ? QY_OK : parent->dying ? QY_REVOKED : QY_OUT_OF_MEMORY;
    if (error == QY_OK) {
        qy_arena_init(child, parent->db, parent->node, (enum qy_zone)parent->zone, id);
        child->parent = parent;
        move_range(parent, child, base, base + pages);
        hull_grow(child, base, base + pages);
        child->pages[QY_FRAME_FREE] = pages;
        qy_arena_count_free(parent, -(int64_t)pages);
        parent->pages[QY_FRAME_CHILD] += pages;
        parent->allocations++;
        QY_TRACE(RANGE_MOVED, child->id, base, pages, parent->id);
    }
    parent->failures += error != QY_OK;
    qy_arena_unlock(parent);
    return error;
}

enum qy_error qy_arena_return(struct qy_arena *child)
{
    struct qy_arena *parent = child->parent;
    if (!parent)
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(child);
    enum qy_error error = child->pages[QY_FRAME_FREE] == child->total_pages ? QY_OK : QY_BUSY;
    if (error == QY_OK) {
        uint64_t pages = child->total_pages;
        qy_arena_lock_parent(parent);
        move_range(child, parent, child->base.raw, child->end.raw);
        qy_arena_count_free(parent, (int64_t)pages);
        parent->pages[QY_FRAME_CHILD] -= pages;
        parent->frees++;
        QY_TRACE(RANGE_MOVED, parent->id, child->base.raw, pages, child->id);
        qy_arena_unlock_parent(parent);
        child->pages[QY_FRAME_FREE] = 0;
        child->total_pages = 0;
        child->dying = true;
    }
    qy_arena_unlock(child);
    return error;
}
