/*
 * What must hold of a parser's result, whatever its input was; used after each damaged input.
 */
#ifndef TESTS_UNIT_RESULT_H
#define TESTS_UNIT_RESULT_H

#include "memory.h"
#include <tap.h>

/* A boot information structure as it stands before a parser runs: with something in it already. */
static inline void boot_before(struct qy_boot_info *info)
{
    memset(info, 0, sizeof(*info));
    info->range_count = 1;
    info->ranges[0] = (struct qy_range){.base = 0x1000, .end = 0x2000, .type = QY_MEM_RESERVED};
    info->module_count = 1;
    info->modules[0].bytes = 7;
    info->reserved_count = 1;
    info->command_line[0] = 'x';
}

static inline void check_boot_ranges(const struct qy_boot_info *info)
{
    static struct qy_segment segments[4 * QY_BOOT_RANGES];
    struct qy_map map;
    enum qy_error error = qy_map_build(&map, segments, 4 * QY_BOOT_RANGES, info->ranges,
                                       info->range_count, UINT64_MAX, NULL);
    CHECK(error == QY_OK || error == QY_NOT_FOUND);
    CHECK(qy_map_check(&map) == NULL);
    for (uint32_t i = 0; i < info->range_count; i++)
        CHECK(info->ranges[i].type < QY_MEM_TYPE_COUNT);
}

/*
 * After a parser ran over what boot_before made: an error changed nothing but `why`; a result keeps
 * to its bounds.
 */
static inline void check_boot(enum qy_error error, struct qy_boot_info *info)
{
    static struct qy_boot_info before;

    if (error) {
        CHECK(error == QY_CORRUPT || error == QY_TRUNCATED || error == QY_NOT_FOUND ||
              error == QY_UNSUPPORTED);
        CHECK(info->why != NULL);
        info->why = NULL;
        boot_before(&before);
        CHECK(memcmp(&before, info, sizeof(before)) == 0);
        return;
    }
    CHECK(info->range_count <= QY_BOOT_RANGES);
    CHECK(info->module_count <= QY_BOOT_MODULES);
    CHECK(info->reserved_count <= 64);
    CHECK(info->entropy_bytes <= sizeof(info->entropy));
    CHECK(info->rsdp_copy_bytes <= sizeof(info->rsdp_copy));
    CHECK(memchr(info->command_line, 0, sizeof(info->command_line)) != NULL);
    CHECK(memchr(info->loader, 0, sizeof(info->loader)) != NULL);
    CHECK(info->truncated == (info->truncated_what != NULL));
    for (uint32_t i = 0; i < info->module_count; i++)
        CHECK(memchr(info->modules[i].name, 0, sizeof(info->modules[i].name)) != NULL);
    check_boot_ranges(info);
}

static inline void check_topology(enum qy_error error, const struct qy_topology *t)
{
    if (error) {
        CHECK(error == QY_CORRUPT || error == QY_TRUNCATED || error == QY_NOT_FOUND);
        CHECK(t->complaint != NULL);
        CHECK_EQ(t->cpu_count, 0);
    } else {
        CHECK(t->cpu_count >= 1 && t->cpu_count <= QY_TOPOLOGY_CPUS);
    }
    CHECK(t->node_count >= 1 && t->node_count <= QY_TOPOLOGY_NODES);
    CHECK(t->range_count <= QY_TOPOLOGY_RANGES);
    CHECK(t->kept_count <= QY_TOPOLOGY_KEPT && t->ioapic_count <= QY_TOPOLOGY_IOAPICS &&
          t->line_count <= QY_TOPOLOGY_LINES);
    for (uint32_t i = 0; i < t->kept_count && i < QY_TOPOLOGY_KEPT; i++)
        CHECK(t->kept[i].base < t->kept[i].end && !(t->kept[i].base & QY_PAGE_MASK));
    for (uint32_t i = 0; i < t->ioapic_count && i < QY_TOPOLOGY_IOAPICS; i++)
        CHECK(t->kept_full || qy_topology_keeps(t, t->ioapics[i].base.raw, 32));
    CHECK(!t->plic.raw || t->kept_full || qy_topology_keeps(t, t->plic.raw, t->plic_bytes));
    if (t->node_count < 1 || t->node_count > QY_TOPOLOGY_NODES)
        return;
    for (uint32_t i = 0; i < t->cpu_count; i++) {
        CHECK(t->cpus[i].node < t->node_count);
        for (uint32_t k = 0; k < i; k++)
            CHECK(t->cpus[i].hardware_id != t->cpus[k].hardware_id);
    }
    for (uint32_t i = 0; i < t->range_count; i++) {
        CHECK(t->ranges[i].node < t->node_count);
        CHECK(t->ranges[i].base < t->ranges[i].end);
        for (uint32_t k = 0; k < i; k++)
            CHECK(t->ranges[i].node == t->ranges[k].node || t->ranges[i].base >= t->ranges[k].end ||
                  t->ranges[k].base >= t->ranges[i].end);
    }
    for (uint32_t a = 0; a < t->node_count; a++) {
        CHECK_EQ(t->distance[a][a], 10);
        CHECK(a == 0 || t->domain_of[a - 1] < t->domain_of[a]);
        for (uint32_t b = 0; b < a; b++) {
            CHECK(t->distance[a][b] >= 10);
            CHECK_EQ(t->distance[a][b], t->distance[b][a]);
        }
    }
}

#endif
