/*
 * Runs of RAM in the memory map, and the extents of the frame database's tables that they need;
 * see qy/roots.h. Cost: O(segments) a call.
 */
#include <qy/roots.h>

bool qy_segment_is_described(const struct qy_segment *segment)
{
    return segment->type == QY_MEM_USABLE && segment->use != QY_USE_BEYOND &&
           segment->use != QY_USE_ROUNDED && segment->use != QY_USE_HOTPLUG;
}

bool qy_map_next_run(const struct qy_map *map, uint64_t from,
                     bool (*kind)(const struct qy_segment *segment), uint64_t *base, uint64_t *end)
{
    bool found = false;
    *base = *end = 0;
    for (uint32_t i = 0; i < map->count; i++) {
        const struct qy_segment *segment = &map->segments[i];
        if (segment->end <= from || !kind(segment))
            continue;
        if (found && segment->base != *end)
            break;
        if (!found)
            *base = segment->base > from ? segment->base : from;
        *end = segment->end;
        found = true;
    }
    return found;
}

pfn_t qy_map_ram_end(const struct qy_map *map)
{
    uint64_t base, end, last = 0;
    for (; qy_map_next_run(map, last, qy_segment_is_described, &base, &end); last = end) {
    }
    return pfn(last >> QY_PAGE_SHIFT);
}

bool qy_framedb_next_extent(const struct qy_map *map, unsigned table, uint64_t *from,
                            uint64_t *base, uint64_t *end)
{
    uint64_t run, run_end;
    bool found = false;
    *base = *end = 0;
    while (qy_map_next_run(map, *from, qy_segment_is_described, &run, &run_end)) {
        struct qy_framedb_span spans[3];
        qy_framedb_spans(pfn(run >> QY_PAGE_SHIFT), pfn(run_end >> QY_PAGE_SHIFT), spans);
        uint64_t span = qy_align_down(spans[table].base, QY_PAGE_BYTES);
        if (found && span > *end)
            break;
        if (!found)
            *base = span;
        *end = qy_align_up(spans[table].end, QY_PAGE_BYTES);
        *from = run_end;
        found = true;
    }
    return found;
}
