/*
 * Building and reading the memory map; mem/boot/map_alloc.c changes it, mem/boot/map_check.c
 * checks it.
 *
 * The firmware's ranges are swept from address 0 upwards: at each boundary the most restrictive
 * type of the ranges that cover the cursor is taken, neighbours of one type are joined, and each
 * joined range is cut into segments.
 *
 *     ranges    |----------- usable -----------|
 *                         |--- reserved ----|      |-- usable --|
 *     joined    |- usable |--- reserved ----|- u. -|-- usable --|  (the last two are one, if they touch)
 *     segments  |0| free |r|                |r| free          |r|  r: part of a page
 *
 * Invariants: MAP-SORTED, MAP-MERGED, MAP-WHOLE, MAP-USE, MAP-ZERO, MAP-TOTAL (qy/map.h).
 */
#include <qy/map.h>

const char *qy_mem_type_name(enum qy_mem_type type)
{
    switch (type) {
#define X(NAME, name, ram)                                                                         \
    case QY_MEM_##NAME:                                                                            \
        return name;
        QY_MEM_TYPES(X)
#undef X
    case QY_MEM_TYPE_COUNT:
        break;
    }
    return "?";
}

const char *qy_mem_use_name(enum qy_mem_use use)
{
    switch (use) {
#define X(NAME, name, owner)                                                                       \
    case QY_USE_##NAME:                                                                            \
        return name;
        QY_MEM_USES(X)
#undef X
    case QY_USE_COUNT:
        break;
    }
    return "?";
}

const char *qy_mem_use_owner(enum qy_mem_use use)
{
    switch (use) {
#define X(NAME, name, owner)                                                                       \
    case QY_USE_##NAME:                                                                            \
        return owner;
        QY_MEM_USES(X)
#undef X
    case QY_USE_COUNT:
        break;
    }
    return "?";
}

bool qy_mem_type_is_ram(enum qy_mem_type type)
{
    switch (type) {
#define X(NAME, name, ram)                                                                         \
    case QY_MEM_##NAME:                                                                            \
        return ram;
        QY_MEM_TYPES(X)
#undef X
    case QY_MEM_TYPE_COUNT:
        break;
    }
    return false;
}

static bool range_counts(const struct qy_range *range)
{
    return range->base < range->end;
}

static enum qy_mem_type range_type(const struct qy_range *range)
{
    return range->type < QY_MEM_TYPE_COUNT ? (enum qy_mem_type)range->type : QY_MEM_RESERVED;
}

/* Add a segment at the end of the map; an empty one is none. Errors: TOO_MANY. */
static enum qy_error append(struct qy_map *map, uint64_t base, uint64_t end, enum qy_mem_type type,
                            enum qy_mem_use use)
{
    if (base >= end)
        return QY_OK;
    if (map->count == map->capacity)
        return QY_TOO_MANY;
    map->segments[map->count++] =
        (struct qy_segment){.base = base, .end = end, .type = (uint8_t)type, .use = (uint8_t)use};
    return QY_OK;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/*
 * Cut a usable range into its parts of pages, frame 0, free pages, and pages beyond the limit.
 * Errors: TOO_MANY.
 */
static enum qy_error append_usable(struct qy_map *map, uint64_t base, uint64_t end, uint64_t limit)
{
    uint64_t last_page = qy_align_down(UINT64_MAX, QY_PAGE_BYTES);
    uint64_t first = base > last_page ? UINT64_MAX : qy_align_up(base, QY_PAGE_BYTES);
    uint64_t last = qy_align_down(end, QY_PAGE_BYTES);

    map->usable_bytes += end - base;
    if (first >= last)
        return append(map, base, end, QY_MEM_USABLE, QY_USE_ROUNDED);

    uint64_t zero_end = first == 0 ? QY_PAGE_BYTES : first;
    uint64_t free_end = least(last, most(limit, zero_end));
    enum qy_error error = append(map, base, first, QY_MEM_USABLE, QY_USE_ROUNDED);
    if (!error)
        error = append(map, first, zero_end, QY_MEM_USABLE, QY_USE_FRAME_ZERO);
    if (!error)
        error = append(map, zero_end, free_end, QY_MEM_USABLE, QY_USE_FREE);
    if (!error)
        error = append(map, free_end, last, QY_MEM_USABLE, QY_USE_BEYOND);
    if (!error)
        error = append(map, last, end, QY_MEM_USABLE, QY_USE_ROUNDED);
    return error;
}

/* A stretch of addresses of one type, or of none, as the sweep finds it. */
struct stretch {
    uint64_t base, end;
    bool covered;
    enum qy_mem_type type;
};

/*
 * The stretch that begins at `from`: its type is the most restrictive of the ranges there, its end
 * the next boundary of any range. False when no range reaches beyond `from`.
 */
static bool next_stretch(const struct qy_range *ranges, size_t count, uint64_t from,
                         struct stretch *out)
{
    *out = (struct stretch){.base = from, .end = UINT64_MAX};
    bool more = false;

    for (size_t i = 0; i < count; i++) {
        const struct qy_range *range = &ranges[i];
        if (!range_counts(range) || range->end <= from)
            continue;
        more = true;
        if (range->base > from) {
            out->end = least(out->end, range->base);
            continue;
        }
        out->end = least(out->end, range->end);
        if (!out->covered || range_type(range) > out->type)
            out->type = range_type(range);
        out->covered = true;
    }
    return more;
}

static enum qy_error append_stretch(struct qy_map *map, const struct stretch *stretch,
                                    uint64_t limit)
{
    if (!stretch->covered)
        return QY_OK;
    if (stretch->type == QY_MEM_USABLE)
        return append_usable(map, stretch->base, stretch->end, limit);
    return append(map, stretch->base, stretch->end, stretch->type, QY_USE_NOT_RAM);
}

static enum qy_error sweep(struct qy_map *map, const struct qy_range *ranges, size_t count,
                           uint64_t limit)
{
    struct stretch joined = {0}, next;

    while (next_stretch(ranges, count, joined.end, &next)) {
        if (next.covered == joined.covered && (!next.covered || next.type == joined.type)) {
            joined.end = next.end;
            continue;
        }
        enum qy_error error = append_stretch(map, &joined, limit);
        if (error)
            return error;
        joined = next;
    }
    return append_stretch(map, &joined, limit);
}

static bool has_free(const struct qy_map *map)
{
    for (uint32_t i = 0; i < map->count; i++)
        if (map->segments[i].type == QY_MEM_USABLE && map->segments[i].use == QY_USE_FREE)
            return true;
    return false;
}

enum qy_error qy_map_build(struct qy_map *map, struct qy_segment *array, uint32_t capacity,
                           const struct qy_range *ranges, size_t count, uint64_t physical_limit,
                           uint32_t *ignored)
{
    uint32_t left_out = 0;

    *map = (struct qy_map){.segments = array, .capacity = capacity};
    for (size_t i = 0; i < count; i++)
        left_out += !range_counts(&ranges[i]);
    if (ignored)
        *ignored = left_out;

    enum qy_error error = sweep(map, ranges, count, qy_align_down(physical_limit, QY_PAGE_BYTES));
    if (!error && !has_free(map))
        error = QY_NOT_FOUND;
    if (error)
        *map = (struct qy_map){.segments = array, .capacity = capacity};
    return error;
}

void qy_map_totals(const struct qy_map *map, uint64_t bytes[QY_USE_COUNT])
{
    for (unsigned use = 0; use < QY_USE_COUNT; use++)
        bytes[use] = 0;
    for (uint32_t i = 0; i < map->count; i++)
        if (map->segments[i].type == QY_MEM_USABLE)
            bytes[map->segments[i].use] += map->segments[i].end - map->segments[i].base;
}

const struct qy_segment *qy_map_find(const struct qy_map *map, uint64_t address)
{
    uint32_t low = 0, high = map->count; /* the answer, if any, is in [low, high) */

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct qy_segment *segment = &map->segments[middle];
        if (address < segment->base)
            high = middle;
        else if (address >= segment->end)
            low = middle + 1;
        else
            return segment;
    }
    return NULL;
}
