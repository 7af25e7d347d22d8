/*
 * Fine blocks: 2 MiB blocks at the ragged edges of arenas, where frames next to each other have
 * different owners.
 *
 *     block      |aaaa|aa bb|bbbb|cc ..|     a, b, c: arenas, each with its own lock; ..: nobody's
 *     entries    H2   H1 H1 H2   H1          every block in it, free or allocated, has a HEAD entry
 * with its owner
 *
 * Each arena keeps its free blocks here in lists of its own, linked through the entries of their
 * first frames, one list per order. A buddy is merged when its tag, read in one piece, says "head,
 * free, this order, mine": what is mine changes only under my lock, and another's tag never says
 * so. No map and no count of the block is used. When one arena's free blocks grow to the whole 2
 * MiB, the block stops being fine.
 *
 * Links: the next frame number in the low 34 bits of the word, the previous one in its high 30 bits
 * and the low 4 bits of the tag's aux. Locking: the arena's. Cost: O(log n); converting a block
 * O(512) words.
 */
#include "arena_impl.h"

#define LINK_MASK (QY_FRAMES_MAX - 1)

static uint64_t link_next(const struct qy_frame *f)
{
    return qy_word_load(&f->word) & LINK_MASK;
}

static uint64_t link_prev(const struct qy_frame *f)
{
    return qy_word_load(&f->word) >> 34 | (uint64_t)(qy_tag_aux(qy_load(&f->tag)) & 15) << 30;
}

static void link_set_next(struct qy_frame *f, uint64_t next)
{
    qy_word_store(&f->word, (qy_word_load(&f->word) & ~LINK_MASK) | next);
}

static void link_set_prev(struct qy_frame *f, uint64_t prev)
{
    qy_word_store(&f->word, (qy_word_load(&f->word) & LINK_MASK) | prev << 34);
    qy_store(&f->tag, qy_tag_with_aux(qy_load(&f->tag), prev >> 30 & 15));
}

uint64_t qy_fine_next(const struct qy_framedb *db, uint64_t start)
{
    return link_next(&db->frames[start]);
}

uint64_t qy_fine_prev(const struct qy_framedb *db, uint64_t start)
{
    return link_prev(&db->frames[start]);
}

void qy_fine_push(struct qy_arena *arena, uint64_t start, unsigned order)
{
    struct qy_frame *frames = arena->db->frames;
    uint64_t first = arena->fine[order].first;
    qy_store(&frames[start].tag, qy_tag(QY_KIND_HEAD, order, QY_FRAME_FREE, arena));
    link_set_next(&frames[start], first);
    link_set_prev(&frames[start], QY_FINE_NIL);
    if (first != QY_FINE_NIL)
        link_set_prev(&frames[first], start);
    arena->fine[order].first = start;
    arena->fine_nonempty |= 1u << order;
}

void qy_fine_remove(struct qy_arena *arena, uint64_t start, unsigned order)
{
    struct qy_frame *frames = arena->db->frames;
    uint64_t next = link_next(&frames[start]), prev = link_prev(&frames[start]);
    uint64_t limit = arena->db->limit.raw;
    bool sound = next < limit && prev < limit;
    uint64_t from_prev =
        sound && prev != QY_FINE_NIL ? link_next(&frames[prev]) : arena->fine[order].first;
    if (!sound || from_prev != start || (next != QY_FINE_NIL && link_prev(&frames[next]) != start))
        qy_port_broken("ARENA-LIST", "a link of a free block is overwritten, frame", start);
    if (next != QY_FINE_NIL)
        link_set_prev(&frames[next], prev);
    if (prev != QY_FINE_NIL)
        link_set_next(&frames[prev], next);
    else
        arena->fine[order].first = next;
    if (arena->fine[order].first == QY_FINE_NIL)
        arena->fine_nonempty &= ~(1u << order);
    qy_store(&frames[start].tag, 0);
    qy_word_store(&frames[start].word, 0);
}

void qy_fine_take(struct qy_arena *arena, uint64_t start, unsigned from, uint64_t at,
                  unsigned order)
{
    qy_fine_remove(arena, start, from);
    while (from > order) {
        from--;
        uint64_t half = 1ull << from;
        if (at >= start + half) {
            qy_fine_push(arena, start, from);
            start += half;
        } else {
            qy_fine_push(arena, start + half, from);
        }
    }
}

unsigned qy_fine_give(struct qy_arena *arena, uint64_t start, unsigned order)
{
    while (order < QY_BLOCK_ORDER) {
        uint64_t buddy = start ^ 1ull << order;
        qy_tag_t tag = qy_load(&arena->db->frames[buddy].tag) & ~QY_TAG_AUX_MASK;
        if (tag != qy_tag(QY_KIND_HEAD, order, QY_FRAME_FREE, arena)) {
            qy_fine_push(arena, start, order);
            return order;
        }
        qy_fine_remove(arena, buddy, order);
        start &= ~(1ull << order);
        order++;
    }
    return order;
}

void qy_fine_convert(struct qy_arena *arena, uint32_t block)
{
    struct qy_block *b = &arena->db->blocks[block];
    uint64_t start = block * QY_BLOCK_PAGES;
    if (b->list != QY_UNLISTED)
        qy_lists_remove(arena, b->list, block);
    qy_store(&b->tag, qy_tag(QY_KIND_FINE, QY_BLOCK_ORDER, QY_FRAME_RESERVED, NULL));
    for (unsigned i = 0; i < QY_BLOCK_PAGES;) {
        if (!(qy_word_load(&b->map[i / 64]) >> i % 64 & 1)) {
            i++;
            continue;
        }
        unsigned order = qy_block_map_order_at(b, i);
        qy_fine_push(arena, start + i, order);
        i += 1u << order;
    }
    qy_kept_end(arena, block);
    qy_block_map_empty(b);
}
