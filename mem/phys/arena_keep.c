/*
 * Blocks of 2 MiB kept for one that fills them, frame after frame in place; and blocks put together and divided in place.
 *
 *     keep     |FFFFFFFF|  ->  |U.......|     one frame handed out; the rest free, on the list of kept blocks
 *     fill     |UUU.....|  ->  |UUUU....|     that very frame
 *     join     |UUUUUUUU|  ->  |   U    |     512 blocks of a page become one of order 9; divide: the reverse
 *
 * A kept block is a map like any other (arena_block.c), with the number of its keeper, and its free frames are free: counted
 * so, found by whoever asks for that address, a run or a carved range. Only the search for any block below 2 MiB passes it over,
 * as long as there is another: then it ends the reservation of the newest kept block that has one, and takes it. So what is reserved
 * never makes an allocation below 2 MiB fail; the keeper is told when it asks for its next frame.
 *
 * Invariants: ARENA-KEPT a kept block is on the list of kept blocks if it has free frames, and on none else; `kept_blocks`
 * counts those with a keeper. Locking: the arena's around everything; what join and divide change is read without it, so
 * descriptors change in an order in which every look finds one block or the other. Cost: O(log n); join and divide 512
 * entries.
 */
#include "arena_impl.h"

void qy_kept_end(struct qy_arena *arena, uint32_t block)
{
    struct qy_block *b = &arena->db->blocks[block];
    if (!b->keeper)
        return;
    b->keeper = 0;
    arena->kept_blocks--;
}

bool qy_kept_break(struct qy_arena *arena, unsigned order)
{
    uint32_t block = arena->lists[QY_KEPT_LIST].first;
    while (block != QY_NIL && !(arena->db->blocks[block].orders >> order))
        block = arena->db->blocks[block].next;
    if (block == QY_NIL)
        return false;
    qy_kept_end(arena, block);
    qy_lists_place(arena, block);
    return true;
}

uint64_t qy_kept_pages(const struct qy_arena *arena)
{
    uint64_t pages = 0;
    for (uint32_t i = arena->lists[QY_KEPT_LIST].first; i != QY_NIL; i = arena->db->blocks[i].next)
        pages += arena->db->blocks[i].free;
    return pages;
}

int qy_kept_largest(const struct qy_arena *arena)
{
    uint32_t orders = 0;
    for (uint32_t i = arena->lists[QY_KEPT_LIST].first; i != QY_NIL; i = arena->db->blocks[i].next)
        orders |= arena->db->blocks[i].orders;
    return orders ? 31 - __builtin_clz(orders) : -1;
}

enum qy_error qy_arena_keep(struct qy_arena *arena, uint64_t keeper, unsigned index,
                            enum qy_frame_state state, pfn_t *out)
{
    struct qy_found free;
    uint64_t at;
    if (keeper == 0 || index >= QY_BLOCK_PAGES || !qy_state_is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(arena);
    enum qy_error error = arena->dying                                       ? QY_REVOKED
                          : arena->kept_blocks == QY_KEPT_MAX                ? QY_TOO_MANY
                          : !qy_range_fit(arena, QY_BLOCK_ORDER, &free, &at) ? QY_OUT_OF_MEMORY
                                                                             : QY_OK;
    if (error == QY_OK) {
        uint32_t block = (uint32_t)(at / QY_BLOCK_PAGES);
        qy_arena_take(arena, &free, at + index, 0, state);
        arena->db->blocks[block].keeper = keeper;
        arena->kept_blocks++;
        qy_lists_place(arena, block);
        QY_COUNT(arena->allocations, 1);
        *out = pfn(at + index);
    }
    qy_arena_unlock(arena);
    return error;
}

/* The descriptor of a frame's 2 MiB block, if that is divided and all this arena's; else null. */
static struct qy_block *own_map(const struct qy_arena *arena, uint64_t frame)
{
    const struct qy_framedb *db = arena->db;
    if (frame >= db->limit.raw ||
        qy_tag_kind(qy_load(&db->sections[frame / QY_SECTION_PAGES].tag)) != QY_KIND_SPLIT)
        return NULL;
    struct qy_block *b = &db->blocks[frame / QY_BLOCK_PAGES];
    qy_tag_t own = qy_tag(QY_KIND_MAP, QY_BLOCK_ORDER, QY_FRAME_RESERVED, arena);
    return qy_load(&b->tag) == own ? b : NULL;
}

static struct qy_block *kept_by(const struct qy_arena *arena, uint64_t keeper, uint64_t frame)
{
    struct qy_block *b = own_map(arena, frame);
    return b && keeper && b->keeper == keeper ? b : NULL;
}

enum qy_error qy_arena_fill(struct qy_arena *arena, uint64_t keeper, pfn_t frame,
                            enum qy_frame_state state)
{
    if (!qy_state_is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(arena);
    struct qy_found free = {.state = QY_FRAME_RESERVED};
    enum qy_error error = arena->dying ? QY_REVOKED : QY_BUSY;
    if (error == QY_BUSY && kept_by(arena, keeper, frame.raw))
        free = qy_framedb_find(arena->db, frame.raw);
    if (free.state == QY_FRAME_FREE) {
        qy_arena_take(arena, &free, frame.raw, 0, state);
        QY_COUNT(arena->allocations, 1);
        error = QY_OK;
    }
    qy_arena_unlock(arena);
    return error;
}

void qy_arena_unkeep(struct qy_arena *arena, uint64_t keeper, pfn_t block)
{
    qy_arena_lock(arena);
    if (kept_by(arena, keeper, block.raw)) {
        qy_kept_end(arena, (uint32_t)(block.raw / QY_BLOCK_PAGES));
        qy_lists_place(arena, (uint32_t)(block.raw / QY_BLOCK_PAGES));
    }
    qy_arena_unlock(arena);
}

/* Is every frame of it a block of its own in that state, and nobody's but the mapper's? */
static bool is_whole(const struct qy_arena *arena, uint64_t start, enum qy_frame_state state)
{
    const struct qy_frame *frames = &arena->db->frames[start];
    const qy_tag_t tag = qy_tag(QY_KIND_HEAD, 0, state, arena);
    for (unsigned i = 0; i < QY_BLOCK_PAGES; i++)
        if (qy_load(&frames[i].tag) != tag)
            return false;
    return true;
}

enum qy_error qy_arena_join(struct qy_arena *arena, pfn_t block, enum qy_frame_state state,
                            uint64_t word)
{
    if (block.raw % QY_BLOCK_PAGES || !qy_state_is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(arena);
    struct qy_block *b = own_map(arena, block.raw);
    enum qy_error error = arena->dying                                         ? QY_REVOKED
                          : b && !b->free && is_whole(arena, block.raw, state) ? QY_OK
                                                                               : QY_BUSY;
    if (error == QY_OK) {
        struct qy_frame *frames = &arena->db->frames[block.raw];
        const qy_tag_t tag = qy_tag(QY_KIND_HEAD, QY_BLOCK_ORDER, state, arena);
        qy_kept_end(arena, (uint32_t)(block.raw / QY_BLOCK_PAGES));
        qy_word_store(&frames[0].word, word);
        qy_store(&frames[0].tag, tag);
        qy_store(&b->tag, tag); /* from here on nobody looks for entries */
        for (unsigned i = 1; i < QY_BLOCK_PAGES; i++) {
            qy_store(&frames[i].tag, 0);
            qy_word_store(&frames[i].word, 0);
        }
    }
    qy_arena_unlock(arena);
    return error;
}

/* A block of 2 MiB: entries first, then the descriptor that leads to them. */
static void divide_block(struct qy_arena *arena, uint64_t start, enum qy_frame_state state,
                         struct qy_words words)
{
    struct qy_framedb *db = arena->db;
    struct qy_block *b = &db->blocks[start / QY_BLOCK_PAGES];
    const qy_tag_t tag = qy_tag(QY_KIND_HEAD, 0, state, arena);
    for (unsigned i = QY_BLOCK_PAGES; i-- > 0;) {
        qy_word_store(&db->frames[start + i].word, words.first + i * words.step);
        qy_store(&db->frames[start + i].tag, tag);
    }
    atomic_fetch_or_explicit(&db->sections[start / QY_SECTION_PAGES].entries_ready,
                             1ull << start / QY_BLOCK_PAGES % QY_SECTION_BLOCKS,
                             memory_order_release);
    qy_block_map_empty(b);
    qy_store(&b->tag, qy_tag(QY_KIND_MAP, QY_BLOCK_ORDER, QY_FRAME_RESERVED, arena));
}

/* One of 1 GiB becomes 512 of 2 MiB: the first section last, since it says what the others are till then. */
static void divide_sections(struct qy_arena *arena, uint64_t start, enum qy_frame_state state,
                            struct qy_words words)
{
    struct qy_framedb *db = arena->db;
    const qy_tag_t tag = qy_tag(QY_KIND_HEAD, QY_BLOCK_ORDER, state, arena);
    for (uint64_t s = (1ull << QY_MAX_ORDER) / QY_SECTION_PAGES; s-- > 0;) {
        uint64_t section = start / QY_SECTION_PAGES + s;
        qy_section_prepare(db, section);
        for (uint64_t i = QY_SECTION_BLOCKS; i-- > 0;) {
            uint64_t frame = section * QY_SECTION_PAGES + i * QY_BLOCK_PAGES;
            qy_word_store(&db->frames[frame].word,
                          words.first + (s * QY_SECTION_BLOCKS + i) * words.step);
            qy_store(&db->frames[frame].tag, tag);
            qy_store(&db->blocks[frame / QY_BLOCK_PAGES].tag, tag);
        }
        qy_store(&db->sections[section].tag,
                 qy_tag(QY_KIND_SPLIT, QY_SECTION_ORDER, QY_FRAME_RESERVED, NULL));
    }
}

void qy_arena_divide(struct qy_arena *arena, pfn_t block, unsigned order, enum qy_frame_state state,
                     struct qy_words words)
{
    const _Atomic qy_tag_t *head = &arena->db->frames[block.raw].tag;
    qy_arena_lock(arena);
    if (qy_load(head) != qy_tag(QY_KIND_HEAD, order, state, arena) ||
        (order != QY_BLOCK_ORDER && order != QY_MAX_ORDER))
        qy_port_broken("EXCLUSIVE", "a block that is divided is not one, frame", block.raw);
    if (order == QY_BLOCK_ORDER)
        divide_block(arena, block.raw, state, words);
    else
        divide_sections(arena, block.raw, state, words);
    qy_arena_unlock(arena);
}
