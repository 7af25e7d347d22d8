/*
 * The whole-structure check of a memory map.
 *
 * It cannot tell whether the types are those that the firmware reported, nor whether RAM beyond the
 * CPU's physical addresses was withheld: the map keeps neither. Cost: O(segments).
 */
#include <qy/map.h>

static const char *check_segment(const struct qy_segment *segment)
{
    bool usable = segment->type == QY_MEM_USABLE;

    if (segment->base >= segment->end)
        return "MAP-SORTED";
    if (segment->type >= QY_MEM_TYPE_COUNT || segment->use >= QY_USE_COUNT ||
        usable == (segment->use == QY_USE_NOT_RAM))
        return "MAP-USE";
    if (usable && segment->use != QY_USE_ROUNDED && ((segment->base | segment->end) & QY_PAGE_MASK))
        return "MAP-WHOLE";
    if (usable && segment->base < QY_PAGE_BYTES && segment->use != QY_USE_ROUNDED &&
        (segment->use != QY_USE_FRAME_ZERO || segment->end != QY_PAGE_BYTES))
        return "MAP-ZERO";
    if (segment->use == QY_USE_FRAME_ZERO && segment->base != 0)
        return "MAP-ZERO";
    return NULL;
}

const char *qy_map_check(const struct qy_map *map)
{
    uint64_t usable_bytes = 0;

    if (map->count > map->capacity)
        return "MAP-SORTED";
    for (uint32_t i = 0; i < map->count; i++) {
        const struct qy_segment *segment = &map->segments[i];
        const char *broken = check_segment(segment);
        if (broken)
            return broken;
        if (segment->type == QY_MEM_USABLE)
            usable_bytes += segment->end - segment->base;
        if (i == 0)
            continue;
        const struct qy_segment *before = segment - 1;
        if (before->end > segment->base)
            return "MAP-SORTED";
        if (before->end == segment->base && before->type == segment->type &&
            before->use == segment->use && before->node == segment->node)
            return "MAP-MERGED";
    }
    return usable_bytes == map->usable_bytes ? NULL : "MAP-TOTAL";
}
