/*
 * The validator of an arena: walks everything that it owns and compares with its lists and
 * counters.
 *
 * What it cannot tell: whether a block that is handed out is still in use, or what a parent's child
 * arenas do with theirs (check each). Locking: the arena's; other arenas may work meanwhile. Cost:
 * O(descriptors of the hull).
 */
#include "arena_impl.h"

struct tally {
    uint64_t pages[QY_FRAME_STATE_COUNT];
    uint64_t lists[QY_KEPT_LIST +
                   1]; /* free blocks on each list: sections, blocks, or maps by their largest */
    uint64_t kept;
    uint64_t fine[QY_BLOCK_ORDER];
    uint64_t map_block; /* the MAP block that was counted last */
};

static const char *check_buddy(const struct qy_arena *arena, const struct qy_found *f)
{
    if (f->order >= QY_MAX_ORDER)
        return NULL;
    struct qy_found buddy = qy_framedb_find(arena->db, f->start ^ 1ull << f->order);
    bool merged_not =
        buddy.owner == arena && buddy.state == QY_FRAME_FREE && buddy.order == f->order;
    return merged_not ? "ARENA-BUDDY" : NULL;
}

static const char *tally_map(const struct qy_arena *arena, const struct qy_found *f,
                             struct tally *tally)
{
    uint64_t block = f->start / QY_BLOCK_PAGES;
    const struct qy_block *b = &arena->db->blocks[block];
    if (block == tally->map_block)
        return NULL;
    tally->map_block = block;
    if (!qy_block_map_check(b))
        return "MAP-COUNT";
    tally->kept += b->keeper != 0;
    if (b->orders) {
        unsigned list = b->keeper ? QY_KEPT_LIST : 31 - (unsigned)__builtin_clz(b->orders);
        if (b->list != list)
            return b->keeper ? "ARENA-KEPT" : "ARENA-LIST";
        tally->lists[list]++;
    } else if (b->list != QY_UNLISTED) {
        return "ARENA-LIST";
    }
    return NULL;
}

static const char *check_entry(const struct qy_arena *arena, const struct qy_found *f)
{
    qy_tag_t expected = qy_tag(QY_KIND_HEAD, f->order, f->state, arena);
    qy_tag_t tag = qy_load(&arena->db->frames[f->start].tag);
    return (tag & ~QY_TAG_AUX_MASK) == expected ? NULL : "EXCLUSIVE";
}

/* In a free block no entry that was initialised says anything, but that of a listed fine block. */
static const char *check_stale(const struct qy_arena *arena, const struct qy_found *f)
{
    uint64_t end = f->start + (1ull << f->order), stop;
    for (uint64_t at = f->start + (f->level == QY_AT_FINE); at < end; at = stop) {
        const struct qy_frame *entry = qy_framedb_entry(arena->db, at);
        stop = qy_align_down(at, QY_BLOCK_PAGES) + QY_BLOCK_PAGES;
        stop = stop < end ? stop : end;
        for (uint64_t i = 0; entry && i < stop - at; i++)
            if (qy_load(&entry[i].tag) != 0)
                return "FRAME-STALE";
    }
    return NULL;
}

static const char *tally_own(const struct qy_arena *arena, const struct qy_found *f,
                             struct tally *tally)
{
    const char *broken = NULL;
    tally->pages[f->state] += 1ull << f->order;
    if (f->start == 0)
        return "FRAME-ZERO";
    if (f->start < arena->base.raw || f->start + (1ull << f->order) > arena->end.raw)
        return "EXCLUSIVE";
    if (f->level == QY_AT_MAP)
        broken = tally_map(arena, f, tally);
    if (!broken && f->state != QY_FRAME_FREE)
        return check_entry(arena, f);
    if (!broken)
        broken = check_buddy(arena, f);
    if (!broken)
        broken = check_stale(arena, f);
    if (f->level == QY_AT_FINE)
        tally->fine[f->order]++;
    else if (f->level != QY_AT_MAP)
        tally->lists[f->order]++;
    return broken;
}

/* The list holds `count` descriptors, each a free block of that order (or a MAP block listed
 * there), linked both ways. */
static const char *check_list(const struct qy_arena *arena, unsigned order, uint64_t count)
    QY_REQUIRES(qy_class_arena)
{
    const struct qy_framedb *db = arena->db;
    bool kept = order == QY_KEPT_LIST, section = order >= QY_SECTION_ORDER && !kept;
    uint32_t before = QY_NIL;
    for (uint32_t i = arena->lists[order].first; i != QY_NIL; count--) {
        qy_tag_t tag = qy_load(section ? &db->sections[i].tag : &db->blocks[i].tag);
        qy_tag_t expected = order < QY_BLOCK_ORDER || kept
                                ? qy_tag(QY_KIND_MAP, QY_BLOCK_ORDER, QY_FRAME_RESERVED, arena)
                                : qy_tag(QY_KIND_HEAD, order, QY_FRAME_FREE, arena);
        uint32_t prev = section ? db->sections[i].prev : db->blocks[i].prev;
        if (tag != expected || prev != before || count == 0)
            return "ARENA-LIST";
        before = i;
        i = section ? db->sections[i].next : db->blocks[i].next;
    }
    bool empty = arena->lists[order].first == QY_NIL;
    return count == 0 && (kept || empty != (arena->nonempty >> order & 1)) ? NULL : "ARENA-LIST";
}

static const char *check_fine_list(const struct qy_arena *arena, unsigned order, uint64_t count)
    QY_REQUIRES(qy_class_arena)
{
    const struct qy_framedb *db = arena->db;
    uint64_t before = QY_FINE_NIL;
    for (uint64_t at = arena->fine[order].first; at != QY_FINE_NIL; count--) {
        struct qy_found f = qy_framedb_find(db, at);
        if (count == 0 || f.owner != arena || f.state != QY_FRAME_FREE || f.level != QY_AT_FINE ||
            f.start != at || f.order != order || qy_fine_prev(db, at) != before)
            return "ARENA-LIST";
        before = at;
        at = qy_fine_next(db, at);
    }
    bool empty = arena->fine[order].first == QY_FINE_NIL;
    return count == 0 && empty != (arena->fine_nonempty >> order & 1) ? NULL : "ARENA-LIST";
}

static const char *check(struct qy_arena *arena) QY_REQUIRES(qy_class_arena)
{
    struct tally tally = {.map_block = UINT64_MAX};
    uint64_t own = 0, sum = 0, large = 0;
    const char *broken = NULL;
    for (uint64_t at = arena->base.raw; at < arena->end.raw && !broken;) {
        struct qy_found f = qy_framedb_find(arena->db, at);
        if (f.owner == arena)
            broken = tally_own(arena, &f, &tally);
        at = f.start + (1ull << f.order);
    }
    for (unsigned o = 0; o <= QY_KEPT_LIST && !broken; o++) {
        broken = check_list(arena, o, tally.lists[o]);
        large += o >= QY_BLOCK_ORDER && o != QY_KEPT_LIST ? tally.lists[o] << o : 0;
    }
    for (unsigned o = 0; o < QY_BLOCK_ORDER && !broken; o++)
        broken = check_fine_list(arena, o, tally.fine[o]);
    for (unsigned s = 0; s < QY_FRAME_STATE_COUNT; s++) {
        uint64_t pages = arena->pages[s] + qy_caches_moved(arena, (enum qy_frame_state)s);
        own += tally.pages[s];
        sum += pages;
        if (!broken && s != QY_FRAME_CHILD && tally.pages[s] != pages)
            broken = "ARENA-COUNT";
    }
    if (!broken && large != arena->large_pages)
        broken = "ARENA-COUNT";
    if (!broken && tally.kept != arena->kept_blocks)
        broken = "ARENA-KEPT";
    if (!broken)
        broken = qy_caches_check(arena);
    if (!broken && (sum != arena->total_pages || own + arena->pages[QY_FRAME_CHILD] != sum))
        broken = "CONSERVE";
    return broken;
}

const char *qy_arena_check(struct qy_arena *arena)
{
    qy_arena_lock(arena);
    const char *broken = check(arena);
    qy_arena_unlock(arena);
    return broken;
}
