/*
 * Taking any part of a free block, and giving any block back: the buddy's splitting and merging
 * over the three sizes of descriptor.
 *
 *     section level   1 GiB -> 512 -> 256 -> 128 MiB     tags of sections
 *     -- the section becomes SPLIT; its block descriptors are initialised --
 *     block level     64 -> 32 -> ... -> 2 MiB           tags of blocks
 *     -- the block becomes MAP (one owner) --            or is FINE already (several)
 *     frame level     1 MiB -> ... -> 4 KiB              bits, or frame entries
 *
 * Merging goes the same way up. Invariant ARENA-BUDDY holds again when a call returns. Locking: the
 * arena's; a tag that says "mine" changes only under it, and any other value stops a merge. Cost:
 * O(log n).
 */
#include "arena_impl.h"

static uint64_t pages_of(unsigned order)
{
    return 1ull << order;
}

static void put_section(struct qy_arena *arena, uint64_t start, unsigned order)
    QY_REQUIRES(qy_class_arena)
{
    uint32_t section = (uint32_t)(start / QY_SECTION_PAGES);
    qy_store(&arena->db->sections[section].tag, qy_tag(QY_KIND_HEAD, order, QY_FRAME_FREE, arena));
    qy_lists_push(arena, order, section);
}

static void put_block(struct qy_arena *arena, uint64_t start, unsigned order)
    QY_REQUIRES(qy_class_arena)
{
    uint32_t block = (uint32_t)(start / QY_BLOCK_PAGES);
    qy_store(&arena->db->blocks[block].tag, qy_tag(QY_KIND_HEAD, order, QY_FRAME_FREE, arena));
    qy_lists_push(arena, order, block);
}

/* Halve [start, start + 2^from) down to the 2^order that hold `at`; the other halves stay free.
 * Returns its start. */
static uint64_t split(struct qy_arena *arena, uint64_t start, unsigned from, uint64_t at,
                      unsigned order, void (*put)(struct qy_arena *, uint64_t, unsigned))
    QY_REQUIRES(qy_class_arena)
{
    while (from > order) {
        from--;
        bool upper = at >= start + pages_of(from);
        put(arena, upper ? start : start + pages_of(from), from);
        if (upper)
            start += pages_of(from);
    }
    return start;
}

static void take_from_block(struct qy_arena *arena, uint64_t start, unsigned from, uint64_t at,
                            unsigned order) QY_REQUIRES(qy_class_arena)
{
    struct qy_framedb *db = arena->db;
    start =
        split(arena, start, from, at, order > QY_BLOCK_ORDER ? order : QY_BLOCK_ORDER, put_block);
    uint32_t block = (uint32_t)(start / QY_BLOCK_PAGES);
    struct qy_block *b = &db->blocks[block];
    if (order >= QY_BLOCK_ORDER) {
        qy_store(&b->tag, 0);
        return;
    }
    qy_block_prepare(db, block);
    qy_block_map_empty(b);
    b->free = QY_BLOCK_PAGES;
    for (unsigned w = 0; w < QY_MAP_WORDS; w++)
        qy_word_store(&b->map[w], ~0ull);
    qy_block_map_take(b, (unsigned)(at - start), order, QY_BLOCK_ORDER);
    qy_store(&b->tag, qy_tag(QY_KIND_MAP, QY_BLOCK_ORDER, QY_FRAME_RESERVED, arena));
    qy_lists_place(arena, block);
}

static void take_from_section(struct qy_arena *arena, uint64_t start, unsigned from, uint64_t at,
                              unsigned order) QY_REQUIRES(qy_class_arena)
{
    struct qy_framedb *db = arena->db;
    uint64_t section = start / QY_SECTION_PAGES;
    qy_lists_remove(arena, from, (uint32_t)section);
    qy_store(&db->sections[section].tag, 0);
    start = split(arena, start, from, at, order > QY_SECTION_ORDER ? order : QY_SECTION_ORDER,
                  put_section);
    section = start / QY_SECTION_PAGES;
    if (order >= QY_SECTION_ORDER) {
        qy_store(&db->sections[section].tag, 0);
        return;
    }
    qy_section_prepare(db, section);
    qy_store(&db->sections[section].tag,
             qy_tag(QY_KIND_SPLIT, QY_SECTION_ORDER, QY_FRAME_RESERVED, NULL));
    take_from_block(arena, start, QY_SECTION_ORDER, at, order);
}

/* What is listed as free must say so itself: a tag that does not was overwritten. */
static void check_listed(const struct qy_arena *arena, const struct qy_found *free)
{
    const struct qy_framedb *db = arena->db;
    const _Atomic qy_tag_t *tag =
        free->level == QY_AT_SECTION ? &db->sections[free->start / QY_SECTION_PAGES].tag
        : free->level == QY_AT_BLOCK ? &db->blocks[free->start / QY_BLOCK_PAGES].tag
                                     : &db->frames[free->start].tag;
    if ((qy_load(tag) & ~QY_TAG_AUX_MASK) !=
        qy_tag(QY_KIND_HEAD, free->order, QY_FRAME_FREE, arena))
        qy_port_broken("ARENA-LIST", "a listed block is not free, frame", free->start);
}

void qy_range_take(struct qy_arena *arena, const struct qy_found *free, uint64_t at, unsigned order)
{
    uint32_t block = (uint32_t)(free->start / QY_BLOCK_PAGES);
    if (free->level != QY_AT_MAP && free->level != QY_AT_NOTHING)
        check_listed(arena, free);
    switch (free->level) {
    case QY_AT_SECTION:
        take_from_section(arena, free->start, free->order, at, order);
        break;
    case QY_AT_BLOCK:
        qy_lists_remove(arena, free->order, block);
        qy_store(&arena->db->blocks[block].tag, 0);
        take_from_block(arena, free->start, free->order, at, order);
        break;
    case QY_AT_MAP:
        qy_block_map_take(&arena->db->blocks[block], (unsigned)(at % QY_BLOCK_PAGES), order,
                          free->order);
        qy_lists_place(arena, block);
        break;
    case QY_AT_FINE:
        qy_fine_take(arena, free->start, free->order, at, order);
        break;
    case QY_AT_NOTHING:
        qy_port_broken("EXCLUSIVE", "a block that nobody owns is taken, at frame", at);
    }
}

static void give_section(struct qy_arena *arena, uint64_t start, unsigned order)
    QY_REQUIRES(qy_class_arena)
{
    struct qy_framedb *db = arena->db;
    qy_store(&db->sections[start / QY_SECTION_PAGES].tag, 0);
    for (; order < QY_MAX_ORDER; order++) {
        uint64_t buddy = (start ^ pages_of(order)) / QY_SECTION_PAGES;
        if (buddy >= db->section_count ||
            qy_load(&db->sections[buddy].tag) != qy_tag(QY_KIND_HEAD, order, QY_FRAME_FREE, arena))
            break;
        qy_lists_remove(arena, order, (uint32_t)buddy);
        qy_store(&db->sections[buddy].tag, 0);
        start &= ~pages_of(order);
    }
    put_section(arena, start, order);
}

static void give_block(struct qy_arena *arena, uint64_t start, unsigned order)
    QY_REQUIRES(qy_class_arena)
{
    struct qy_framedb *db = arena->db;
    qy_store(&db->blocks[start / QY_BLOCK_PAGES].tag, 0);
    while (order < QY_SECTION_ORDER) {
        uint32_t buddy = (uint32_t)((start ^ pages_of(order)) / QY_BLOCK_PAGES);
        if (qy_load(&db->blocks[buddy].tag) != qy_tag(QY_KIND_HEAD, order, QY_FRAME_FREE, arena)) {
            put_block(arena, start, order);
            return;
        }
        qy_lists_remove(arena, order, buddy);
        qy_store(&db->blocks[buddy].tag, 0);
        start &= ~pages_of(order);
        order++;
    }
    give_section(arena, start, order);
}

void qy_range_give(struct qy_arena *arena, uint64_t start, unsigned order)
{
    struct qy_framedb *db = arena->db;
    uint32_t block = (uint32_t)(start / QY_BLOCK_PAGES);
    if (order >= QY_SECTION_ORDER) {
        give_section(arena, start, order);
        return;
    }
    if (order < QY_BLOCK_ORDER) {
        struct qy_block *b = &db->blocks[block];
        bool map = qy_tag_kind(qy_load(&b->tag)) == QY_KIND_MAP;
        order = map ? qy_block_map_give(b, (unsigned)(start % QY_BLOCK_PAGES), order)
                    : qy_fine_give(arena, start, order);
        if (map && order < QY_BLOCK_ORDER)
            qy_lists_place(arena, block);
        if (order < QY_BLOCK_ORDER)
            return;
        if (map && b->list != QY_UNLISTED)
            qy_lists_remove(arena, b->list, block);
        if (map)
            qy_kept_end(arena, block);
        start = block * QY_BLOCK_PAGES;
    }
    give_block(arena, start, order);
}

/* The first free block on the list of an order below 9: inside a block, the smallest that fits. */
static void fit_in_map(const struct qy_arena *arena, unsigned list, unsigned order,
                       struct qy_found *out) QY_REQUIRES(qy_class_arena)
{
    uint32_t block = arena->lists[list].first;
    const struct qy_block *b = &arena->db->blocks[block];
    unsigned from = order + (unsigned)__builtin_ctz((unsigned)b->orders >> order);
    out->start = block * QY_BLOCK_PAGES + qy_block_map_first(b, from);
    out->order = from;
    out->level = QY_AT_MAP;
}

bool qy_range_fit(struct qy_arena *arena, unsigned order, struct qy_found *out, uint64_t *at)
{
    out->state = QY_FRAME_FREE;
    out->owner = arena;
    unsigned list = qy_lists_fit(arena, order);
    if (order < QY_BLOCK_ORDER && arena->fine_nonempty >> order) {
        out->order = order + (unsigned)__builtin_ctz(arena->fine_nonempty >> order);
        out->start = arena->fine[out->order].first;
        out->level = QY_AT_FINE;
    } else if (list > QY_MAX_ORDER) {
        return false;
    } else if (list < QY_BLOCK_ORDER) {
        fit_in_map(arena, list, order, out);
    } else {
        bool section = list >= QY_SECTION_ORDER;
        out->order = list;
        out->start = arena->lists[list].first * (section ? QY_SECTION_PAGES : QY_BLOCK_PAGES);
        out->level = section ? QY_AT_SECTION : QY_AT_BLOCK;
    }
    *at = out->start;
    return true;
}

bool qy_range_fit_any(struct qy_arena *arena, unsigned order, struct qy_found *out, uint64_t *at)
{
    while (!qy_range_fit(arena, order, out, at))
        if (order >= QY_BLOCK_ORDER || !qy_kept_break(arena, order))
            return false;
    return true;
}

unsigned qy_range_order(uint64_t at, uint64_t end)
{
    unsigned order = 63 - (unsigned)__builtin_clzll(end - at);
    unsigned aligned = at ? (unsigned)__builtin_ctzll(at) : QY_MAX_ORDER;
    order = order < aligned ? order : aligned;
    return order < QY_MAX_ORDER ? order : QY_MAX_ORDER;
}
