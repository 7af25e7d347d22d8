/*
 * Building a topology; see topology_impl.h. Cost: O(CPUs) to add a CPU, O(nodes) to find a node,
 * O(ranges^2) to compare ranges; at boot only.
 */
#include "topology_impl.h"
#include <lib/string.h>

#define LOCAL_DISTANCE 10u
#define REMOTE_DISTANCE 20u

void qy_topology_clear(struct qy_topology *out)
{
    memset(out, 0, sizeof(*out));
}

void qy_topology_default(struct qy_topology *out, uint32_t hardware_id)
{
    qy_topology_clear(out);
    qy_topology_add_cpu(out, hardware_id);
    qy_topology_order_nodes(out);
}

void qy_topology_complain(struct qy_topology *out, const char *complaint)
{
    if (!out->complaint)
        out->complaint = complaint;
}

void qy_topology_keep(struct qy_topology *out, uint64_t base, uint64_t bytes)
{
    uint64_t end = base + bytes - 1 < base ? UINT64_MAX : (base + bytes - 1) | QY_PAGE_MASK;

    if (!bytes)
        return;
    if (out->kept_count == QY_TOPOLOGY_KEPT) {
        out->kept_full = true;
        qy_topology_complain(out, "too many device registers are not for programs: none are");
        return;
    }
    out->kept[out->kept_count++] = (struct qy_topology_kept){
        qy_align_down(base, QY_PAGE_BYTES), end == UINT64_MAX ? UINT64_MAX : end + 1};
}

#define MESSAGE_BYTES 0x100000u

void qy_topology_keep_local_apic(struct qy_topology *out)
{
    qy_topology_keep(out, qy_align_down(out->local_apic.raw, MESSAGE_BYTES), MESSAGE_BYTES);
}

bool qy_topology_keeps(const struct qy_topology *topology, uint64_t base, uint64_t bytes)
{
    for (uint32_t i = 0; i < topology->kept_count; i++) {
        const struct qy_topology_kept *kept = &topology->kept[i];
        if (base >= kept->base && base < kept->end && bytes <= kept->end - base)
            return true;
    }
    return false;
}

struct qy_topology_cpu *qy_topology_cpu(struct qy_topology *out, uint32_t hardware_id)
{
    for (uint32_t i = 0; i < out->cpu_count; i++)
        if (out->cpus[i].hardware_id == hardware_id)
            return &out->cpus[i];
    return NULL;
}

void qy_topology_add_cpu(struct qy_topology *out, uint32_t hardware_id)
{
    if (qy_topology_cpu(out, hardware_id))
        return;
    if (out->cpu_count == QY_TOPOLOGY_CPUS) {
        qy_topology_complain(
            out, "more CPUs than this build has room for (max_cpus): the others stay off");
        return;
    }
    out->cpus[out->cpu_count++] = (struct qy_topology_cpu){.hardware_id = hardware_id,
                                                           .node = QY_TOPOLOGY_NOWHERE,
                                                           .plic_context = QY_TOPOLOGY_NO_CONTEXT};
}

bool qy_topology_node(struct qy_topology *out, uint32_t domain, uint16_t *node)
{
    for (uint32_t i = 0; i < out->node_count; i++) {
        if (out->domain_of[i] == domain) {
            *node = (uint16_t)i;
            return true;
        }
    }
    if (out->node_count == QY_TOPOLOGY_NODES)
        return false;
    *node = (uint16_t)out->node_count;
    out->domain_of[out->node_count++] = domain;
    return true;
}

bool qy_topology_add_range(struct qy_topology *out, uint64_t base, uint64_t end, uint16_t node,
                           bool hotplug)
{
    if (out->range_count == QY_TOPOLOGY_RANGES)
        return false;
    out->ranges[out->range_count++] = (struct qy_topology_range){base, end, node, hotplug};
    return true;
}

bool qy_topology_ranges_clash(const struct qy_topology *topology)
{
    for (uint32_t i = 0; i < topology->range_count; i++) {
        const struct qy_topology_range *a = &topology->ranges[i];
        for (uint32_t k = 0; k < i; k++) {
            const struct qy_topology_range *b = &topology->ranges[k];
            if (a->node != b->node && a->base < b->end && b->base < a->end)
                return true;
        }
    }
    return false;
}

void qy_topology_one_node(struct qy_topology *out, const char *complaint)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < out->range_count; i++) {
        if (!out->ranges[i].hotplug)
            continue;
        out->ranges[kept] = out->ranges[i];
        out->ranges[kept++].node = 0;
    }
    out->range_count = kept;
    for (uint32_t i = 0; i < out->cpu_count; i++)
        out->cpus[i].node = 0;
    out->node_count = 0;
    qy_topology_complain(out, complaint);
    qy_topology_order_nodes(out);
}

void qy_topology_default_distances(struct qy_topology *out)
{
    out->distances_known = false;
    memset(out->distance, 0, sizeof(out->distance));
    for (uint32_t a = 0; a < out->node_count; a++)
        for (uint32_t b = 0; b < out->node_count; b++)
            out->distance[a][b] = a == b ? LOCAL_DISTANCE : REMOTE_DISTANCE;
}

static uint16_t new_place(const uint16_t *place, uint16_t node)
{
    return node == QY_TOPOLOGY_NOWHERE ? 0 : place[node];
}

void qy_topology_order_nodes(struct qy_topology *out)
{
    uint16_t place[QY_TOPOLOGY_NODES] = {0}; /* of a node in the new order */
    uint32_t domains[QY_TOPOLOGY_NODES];

    if (out->node_count == 0) {
        out->node_count = 1;
        out->domain_of[0] = 0;
    }
    for (uint32_t i = 0; i < out->node_count; i++) {
        domains[i] = out->domain_of[i];
        for (uint32_t k = 0; k < out->node_count; k++)
            place[i] += out->domain_of[k] < out->domain_of[i];
    }
    for (uint32_t i = 0; i < out->node_count; i++)
        out->domain_of[place[i]] = domains[i];
    for (uint32_t i = 0; i < out->cpu_count; i++)
        out->cpus[i].node = new_place(place, out->cpus[i].node);
    for (uint32_t i = 0; i < out->range_count; i++)
        out->ranges[i].node = new_place(place, out->ranges[i].node);
    qy_topology_default_distances(out);
}

const char *qy_topology_check_distances(const struct qy_topology *topology)
{
    for (uint32_t a = 0; a < topology->node_count && a < QY_TOPOLOGY_NODES; a++) {
        if (topology->distance[a][a] != LOCAL_DISTANCE)
            return "a node's distance to itself is not 10: distances of 10 and 20 are assumed";
        for (uint32_t b = 0; b < a; b++) {
            if (topology->distance[a][b] < LOCAL_DISTANCE)
                return "a distance is below 10: distances of 10 and 20 are assumed";
            if (topology->distance[a][b] != topology->distance[b][a])
                return "distances are not symmetric: distances of 10 and 20 are assumed";
        }
    }
    return NULL;
}
