/*
 * An arena's lists of free blocks: doubly linked through the descriptors of sections (orders 15 to
 * 18) and of 2 MiB blocks (below), newest first, with one bit per order for "not empty".
 *
 * Invariant ARENA-LIST: next and prev agree; what is on the list of an order has that order; the
 * bit is right, and large_pages is what the lists of 2 MiB and more add up to. Locking: the arena's. A
 * descriptor is on a list of its owner only. Cost: O(1).
 */
#include "arena_impl.h"

struct links {
    uint32_t *next, *prev;
};

/* Kept blocks are blocks, whatever the number of their list. */
static bool is_of_sections(unsigned order)
{
    return order >= QY_SECTION_ORDER && order != QY_KEPT_LIST;
}

static struct links links(const struct qy_framedb *db, unsigned order, uint32_t index)
{
    if (is_of_sections(order))
        return (struct links){&db->sections[index].next, &db->sections[index].prev};
    return (struct links){&db->blocks[index].next, &db->blocks[index].prev};
}

/* Whether that can be a link at all: the end, or a descriptor of the database. */
static bool is_link(const struct qy_framedb *db, unsigned order, uint32_t index)
{
    uint64_t count = db->section_count * (is_of_sections(order) ? 1 : QY_SECTION_BLOCKS);
    return index == QY_NIL || index < count;
}

/* Pages of a block on the list of an order; none where the list is of maps, which have blocks of any smaller order. */
static uint64_t large_pages(unsigned order)
{
    return order >= QY_BLOCK_ORDER && order != QY_KEPT_LIST ? 1ull << order : 0;
}

void qy_lists_push(struct qy_arena *arena, unsigned order, uint32_t index)
{
    struct links l = links(arena->db, order, index);
    uint32_t first = arena->lists[order].first;
    *l.next = first;
    *l.prev = QY_NIL;
    if (first != QY_NIL)
        *links(arena->db, order, first).prev = index;
    arena->lists[order].first = index;
    if (order != QY_KEPT_LIST)
        arena->nonempty |= 1u << order;
    arena->large_pages += large_pages(order);
}

void qy_lists_remove(struct qy_arena *arena, unsigned order, uint32_t index)
{
    const struct qy_framedb *db = arena->db;
    struct links l = links(db, order, index);
    uint32_t next = *l.next, prev = *l.prev;
    bool sound = is_link(db, order, next) && is_link(db, order, prev);
    uint32_t *from_prev =
        sound && prev != QY_NIL ? links(db, order, prev).next : &arena->lists[order].first;
    if (!sound || *from_prev != index || (next != QY_NIL && *links(db, order, next).prev != index))
        qy_port_broken("ARENA-LIST", "a link of a free block is overwritten, section or block",
                       index);
    *from_prev = next;
    if (next != QY_NIL)
        *links(db, order, next).prev = prev;
    if (arena->lists[order].first == QY_NIL)
        arena->nonempty &= ~(1u << order);
    arena->large_pages -= large_pages(order);
}

unsigned qy_lists_fit(const struct qy_arena *arena, unsigned order)
{
    uint32_t mask = arena->nonempty >> order;
    return mask ? order + (unsigned)__builtin_ctz(mask) : QY_MAX_ORDER + 1;
}

void qy_lists_place(struct qy_arena *arena, uint32_t block)
{
    struct qy_block *b = &arena->db->blocks[block];
    uint8_t list = !b->orders  ? QY_UNLISTED
                   : b->keeper ? (uint8_t)QY_KEPT_LIST
                               : (uint8_t)(31 - __builtin_clz(b->orders));
    if (list == b->list)
        return;
    if (b->list != QY_UNLISTED)
        qy_lists_remove(arena, b->list, block);
    if (list != QY_UNLISTED)
        qy_lists_push(arena, list, block);
    b->list = list;
}
