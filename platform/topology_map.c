/*
 * What a topology says about the memory map: the node of each range, and what may be unplugged.
 */
#include <platform/topology.h>

enum qy_error qy_topology_apply(const struct qy_topology *topology, struct qy_map *map,
                                bool use_pluggable)
{
    enum qy_error error = QY_OK;
    uint64_t taken;

    for (uint32_t i = 0; i < topology->range_count && !error; i++) {
        const struct qy_topology_range *range = &topology->ranges[i];
        error = qy_map_set_node(map, range->base, range->end, range->node);
        if (!error && range->hotplug && !use_pluggable)
            error = qy_map_reserve(map, range->base, range->end, QY_USE_HOTPLUG, &taken);
    }
    return error;
}
