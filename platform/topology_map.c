/*
 * What a topology says about the memory map: the node of each range, and what may be unplugged.
 *
 * Memory that the firmware calls usable although it can be unplugged or keeps its contents is not
 * given out. Some virtual machines call all their memory hot-pluggable, the kernel's own included;
 * that tells nothing apart, so it is not taken at its word.
 */
#include <platform/topology.h>

enum qy_error qy_topology_apply(const struct qy_topology *topology, struct qy_map *map,
                                bool *all_pluggable)
{
    enum qy_error error = QY_OK;
    bool withheld = false, has_free = false;
    uint64_t taken;

    *all_pluggable = false;
    for (uint32_t i = 0; i < topology->range_count && !error; i++) {
        const struct qy_topology_range *range = &topology->ranges[i];
        error = qy_map_set_node(map, range->base, range->end, range->node);
        if (error || !range->hotplug)
            continue;
        error = qy_map_reserve(map, range->base, range->end, QY_USE_HOTPLUG, &taken);
        withheld = withheld || taken;
    }
    for (uint32_t i = 0; i < map->count; i++)
        has_free = has_free || map->segments[i].use == QY_USE_FREE;
    if (error || has_free || !withheld)
        return error;

    *all_pluggable = true;
    for (uint32_t i = 0; i < map->count && !error;) {
        struct qy_segment s = map->segments[i++];
        if (s.use != QY_USE_HOTPLUG)
            continue;
        error = qy_map_change(map, s.base, s.end, QY_USE_HOTPLUG, QY_USE_FREE);
        i = 0; /* segments may have merged */
    }
    return error;
}
