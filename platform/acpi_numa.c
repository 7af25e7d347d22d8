/*
 * SRAT and SLIT: which node a processor and a range of memory belong to, and how far nodes are
 * apart (ACPI 6.5, sections 5.2.16 and 5.2.17).
 *
 * Processors that the MADT does not have are left out, and so are domains that have nothing else.
 * Half a truth about nodes is worse than none: anything wrong in the SRAT means one node.
 */
#include "acpi_impl.h"

#define SRAT_BYTES 48u
#define SLIT_BYTES 44u
#define SLIT_LOCALITIES_MAX 4096u

#define ENABLED 1u
#define HOT_PLUGGABLE 2u
#define NON_VOLATILE 4u

enum entry_type { OF_LOCAL_APIC = 0, OF_MEMORY = 1, OF_X2APIC = 2 };

static unsigned entry_bytes(uint8_t type)
{
    switch (type) {
    case OF_LOCAL_APIC:
        return 16;
    case OF_MEMORY:
        return 40;
    case OF_X2APIC:
        return 24;
    default:
        return 2;
    }
}

static const char *place_cpu(uint32_t hardware_id, uint32_t domain, struct qy_topology *out)
{
    struct qy_topology_cpu *cpu = qy_topology_cpu(out, hardware_id);

    if (!cpu || qy_topology_node(out, domain, &cpu->node))
        return NULL;
    return "more nodes than this build has room for (max_nodes): one node is assumed";
}

static const char *place_memory(const uint8_t *at, uint32_t domain, struct qy_topology *out)
{
    uint64_t base = qy_load_le64(at + 8), length = qy_load_le64(at + 16);
    uint32_t flags = qy_load_le32(at + 28);
    uint16_t node;

    if (!(flags & ENABLED) || !length)
        return NULL;
    uint64_t end = qy_range_end(base, length);
    if (end <= base)
        return "a memory range of a node wraps (SRAT): one node is assumed";
    if (!qy_topology_node(out, domain, &node))
        return "more nodes than this build has room for (max_nodes): one node is assumed";
    if (!qy_topology_add_range(out, base, end, node, flags & (HOT_PLUGGABLE | NON_VOLATILE)))
        return "more ranges of memory than this build has room for (SRAT): one node is assumed";
    return NULL;
}

/*
 * Null, or what is wrong. In revision 1 a domain has 8 bits, and what stands beside them means
 * nothing.
 */
static const char *read_entry(const uint8_t *at, bool wide, struct qy_topology *out)
{
    uint32_t domain;

    switch (at[0]) {
    case OF_LOCAL_APIC:
        domain = at[2];
        if (wide)
            domain |= (uint32_t)at[9] << 8 | (uint32_t)at[10] << 16 | (uint32_t)at[11] << 24;
        return qy_load_le32(at + 4) & ENABLED ? place_cpu(at[3], domain, out) : NULL;
    case OF_MEMORY:
        return place_memory(at, wide ? qy_load_le32(at + 2) : at[2], out);
    case OF_X2APIC:
        return qy_load_le32(at + 12) & ENABLED
                   ? place_cpu(qy_load_le32(at + 8), qy_load_le32(at + 4), out)
                   : NULL;
    default:
        return NULL;
    }
}

/* Whether an entry of right length stands at that offset. */
static bool has_entry(struct qy_bytes srat, size_t offset)
{
    return qy_bytes_hold(srat, offset, 2) && srat.at[offset + 1] >= entry_bytes(srat.at[offset]) &&
           qy_bytes_hold(srat, offset, srat.at[offset + 1]);
}

static const char *read_srat(struct qy_bytes srat, struct qy_topology *out)
{
    if (srat.count < SRAT_BYTES)
        return "the table of nodes (SRAT) is too short: one node is assumed";
    for (size_t offset = SRAT_BYTES; offset < srat.count; offset += srat.at[offset + 1]) {
        const uint8_t *at = srat.at + offset;
        if (!has_entry(srat, offset))
            return "the table of nodes (SRAT) has entries of wrong length: one node is assumed";
        const char *wrong = read_entry(at, srat.at[8] >= 2, out);
        if (wrong)
            return wrong;
    }
    if (qy_topology_ranges_clash(out))
        return "memory of two nodes overlaps (SRAT): one node is assumed";
    return NULL;
}

/*
 * Whatever else is wrong, what may be unplugged stays known, on node 0. If there are too many such
 * ranges, the last reaches over those that have no room, and over what lies between.
 */
static void keep_pluggable(struct qy_bytes srat, struct qy_topology *out)
{
    out->range_count = 0;
    for (size_t offset = SRAT_BYTES; has_entry(srat, offset); offset += srat.at[offset + 1]) {
        const uint8_t *at = srat.at + offset;
        if (at[0] != OF_MEMORY || !(qy_load_le32(at + 28) & ENABLED) ||
            !(qy_load_le32(at + 28) & (HOT_PLUGGABLE | NON_VOLATILE)))
            continue;
        uint64_t base = qy_load_le64(at + 8), length = qy_load_le64(at + 16);
        uint64_t end = qy_range_end(base, length);
        if (!length)
            continue;
        if (end <= base)
            end = UINT64_MAX;
        if (qy_topology_add_range(out, base, end, 0, true))
            continue;
        struct qy_topology_range *last = &out->ranges[out->range_count - 1];
        last->base = base < last->base ? base : last->base;
        last->end = end > last->end ? end : last->end;
    }
}

void qy_acpi_srat(struct qy_bytes srat, struct qy_topology *out)
{
    const char *wrong = srat.at ? read_srat(srat, out) : NULL;

    if (wrong) {
        qy_topology_one_node(out, wrong);
        keep_pluggable(srat, out);
    } else {
        qy_topology_order_nodes(out);
    }
}

/*
 * Null, or what is wrong. The table has a byte for each pair of domains, and must be right as a
 * whole.
 */
static const char *read_slit(struct qy_bytes slit, struct qy_topology *out)
{
    if (slit.count < SLIT_BYTES)
        return "the table of distances (SLIT) is too short: 10 and 20 are assumed";
    uint64_t count = qy_load_le64(slit.at + 36);
    if (count > SLIT_LOCALITIES_MAX || slit.count - SLIT_BYTES != count * count)
        return "the table of distances (SLIT) is not square: 10 and 20 are assumed";
    const uint8_t *matrix = slit.at + SLIT_BYTES;
    for (size_t a = 0; a < count; a++) {
        if (matrix[a * count + a] != 10)
            return "a domain's distance to itself is not 10 (SLIT): 10 and 20 are assumed";
        for (size_t b = 0; b < a; b++) {
            if (matrix[a * count + b] < 10)
                return "a distance is below 10 (SLIT): 10 and 20 are assumed";
            if (matrix[a * count + b] != matrix[b * count + a])
                return "distances are not symmetric (SLIT): 10 and 20 are assumed";
        }
    }
    for (uint32_t a = 0; a < out->node_count; a++)
        if (out->domain_of[a] >= count)
            return "a node is missing among the distances (SLIT): 10 and 20 are assumed";
    for (uint32_t a = 0; a < out->node_count; a++)
        for (uint32_t b = 0; b < out->node_count; b++)
            out->distance[a][b] = matrix[out->domain_of[a] * count + out->domain_of[b]];
    return NULL;
}

void qy_acpi_slit(struct qy_bytes slit, struct qy_topology *out)
{
    const char *wrong = slit.at ? read_slit(slit, out) : NULL;

    out->distances_known = slit.at && !wrong;
    if (wrong)
        qy_topology_complain(out, wrong);
}
