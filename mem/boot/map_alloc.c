/*
 * Changing the memory map: reservations, nodes, and the early allocator.
 *
 * All of them are one operation, change(): give the part of the concerned segments that lies in
 * [base, end) another use or node. It first counts the segments that it will cut, so that it fails
 * before it has changed anything.
 *
 *     before   |------ free ------|- kernel -|---- free ----|       change [b, e) from FREE to
 * BOOT_DATA b                            e after    | free |-- boot ---|- kernel -|boot|- free --|
 *
 * Invariants: MAP-SORTED, MAP-MERGED, MAP-WHOLE, MAP-USE, MAP-ZERO, MAP-TOTAL (qy/map.h). Cost:
 * O(segments).
 */
#include <lib/string.h>
#include <qy/map.h>

struct change {
    uint64_t base, end;
    bool sets_node; /* of all RAM in the range; otherwise the use changes */
    uint8_t from, to;
    uint16_t node;
};

/* True if this change alters that segment, or a part of it. */
static bool concerns(const struct change *change, const struct qy_segment *segment)
{
    if (segment->end <= change->base || segment->base >= change->end)
        return false;
    if (change->sets_node)
        return qy_mem_type_is_ram((enum qy_mem_type)segment->type) && segment->node != change->node;
    return segment->type == QY_MEM_USABLE && segment->use == change->from;
}

static void split(struct qy_map *map, uint32_t i, uint64_t at)
{
    struct qy_segment *segment = &map->segments[i];

    memmove(segment + 1, segment, (map->count - i) * sizeof(*segment));
    map->count++;
    segment[0].end = at;
    segment[1].base = at;
}

static bool mergeable(const struct qy_segment *a, const struct qy_segment *b)
{
    return a->end == b->base && a->type == b->type && a->use == b->use && a->node == b->node;
}

static void merge(struct qy_map *map)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < map->count; i++) {
        if (kept && mergeable(&map->segments[kept - 1], &map->segments[i]))
            map->segments[kept - 1].end = map->segments[i].end;
        else
            map->segments[kept++] = map->segments[i];
    }
    map->count = kept;
}

/*
 * Carry a change out; an empty range changes nothing. *changed (may be null): bytes. Errors:
 * TOO_MANY; nothing has changed then.
 */
static enum qy_error change(struct qy_map *map, const struct change *wanted, uint64_t *changed)
{
    uint32_t cuts = 0;
    uint64_t bytes = 0;

    if (changed)
        *changed = 0;
    if (wanted->base >= wanted->end)
        return QY_OK;
    for (uint32_t i = 0; i < map->count; i++) {
        const struct qy_segment *segment = &map->segments[i];
        if (concerns(wanted, segment))
            cuts += (segment->base < wanted->base) + (segment->end > wanted->end);
    }
    if (cuts > map->capacity - map->count)
        return QY_TOO_MANY;

    for (uint32_t i = 0; i < map->count; i++) {
        struct qy_segment *segment = &map->segments[i];
        if (!concerns(wanted, segment))
            continue;
        if (segment->base < wanted->base) {
            split(map, i, wanted->base); /* its upper part is the next segment */
            continue;
        }
        if (segment->end > wanted->end)
            split(map, i, wanted->end);
        if (wanted->sets_node)
            segment->node = wanted->node;
        else
            segment->use = wanted->to;
        bytes += segment->end - segment->base;
    }
    merge(map);
    if (changed)
        *changed = bytes;
    return QY_OK;
}

/*
 * True for uses that memory can be given and taken back from; the others say why memory can
 * never be used.
 */
static bool use_is_free_to_change(enum qy_mem_use use)
{
    return use < QY_USE_COUNT && use != QY_USE_NOT_RAM && use != QY_USE_FRAME_ZERO &&
           use != QY_USE_ROUNDED && use != QY_USE_BEYOND;
}

static bool whole_pages(uint64_t value)
{
    return (value & QY_PAGE_MASK) == 0;
}

enum qy_error qy_map_reserve(struct qy_map *map, uint64_t base, uint64_t end, enum qy_mem_use use,
                             uint64_t *taken)
{
    if (base >= end || !use_is_free_to_change(use) || use == QY_USE_FREE)
        return QY_INVALID_ARGUMENT;

    uint64_t top =
        qy_align_down(UINT64_MAX, QY_PAGE_BYTES); /* no page that ends above is ever free */
    struct change wanted = {.base = qy_align_down(base, QY_PAGE_BYTES),
                            .end = end > top ? top : qy_align_up(end, QY_PAGE_BYTES),
                            .from = QY_USE_FREE,
                            .to = (uint8_t)use};
    return change(map, &wanted, taken);
}

enum qy_error qy_map_set_node(struct qy_map *map, uint64_t base, uint64_t end, uint16_t node)
{
    struct change wanted = {.base = qy_align_down(base, QY_PAGE_BYTES),
                            .end = qy_align_down(end, QY_PAGE_BYTES),
                            .sets_node = true,
                            .node = node};
    return change(map, &wanted, NULL);
}

/* The highest aligned place in a segment and in [min, max). */
static bool fits(const struct qy_segment *segment, uint64_t bytes, uint64_t align, uint64_t min,
                 uint64_t max, uint64_t *out)
{
    uint64_t low = segment->base > min ? segment->base : min;
    uint64_t high = segment->end < max ? segment->end : max;

    if (high <= low || high - low < bytes)
        return false;
    *out = qy_align_down(high - bytes, align);
    return *out >= low;
}

enum qy_error qy_map_alloc(struct qy_map *map, uint64_t bytes, uint64_t align, uint64_t min,
                           uint64_t max, uint16_t node, enum qy_mem_use use, paddr_t *out)
{
    if (!bytes || !whole_pages(bytes) || align < QY_PAGE_BYTES || (align & (align - 1)) ||
        !use_is_free_to_change(use) || use == QY_USE_FREE)
        return QY_INVALID_ARGUMENT;

    for (uint32_t i = map->count; i--;) {
        const struct qy_segment *segment = &map->segments[i];
        uint64_t at;
        if (segment->type != QY_MEM_USABLE || segment->use != QY_USE_FREE ||
            (node != QY_ANY_NODE && segment->node != node) ||
            !fits(segment, bytes, align, min, max, &at))
            continue;
        struct change wanted = {
            .base = at, .end = at + bytes, .from = QY_USE_FREE, .to = (uint8_t)use};
        enum qy_error error = change(map, &wanted, NULL);
        if (!error)
            *out = paddr(at);
        return error;
    }
    return QY_OUT_OF_MEMORY;
}

enum qy_error qy_map_change(struct qy_map *map, uint64_t base, uint64_t end, enum qy_mem_use from,
                            enum qy_mem_use to)
{
    if (base >= end || !whole_pages(base) || !whole_pages(end) || !use_is_free_to_change(from) ||
        !use_is_free_to_change(to))
        return QY_INVALID_ARGUMENT;

    uint64_t reached = base; /* [base, reached) is known to have the use */
    for (uint32_t i = 0; i < map->count && reached < end; i++) {
        const struct qy_segment *segment = &map->segments[i];
        if (segment->end <= reached)
            continue;
        if (segment->base > reached || segment->type != QY_MEM_USABLE || segment->use != from)
            return QY_NOT_ALLOCATED;
        reached = segment->end;
    }
    if (reached < end)
        return QY_NOT_ALLOCATED;

    struct change wanted = {.base = base, .end = end, .from = (uint8_t)from, .to = (uint8_t)to};
    return change(map, &wanted, NULL);
}
