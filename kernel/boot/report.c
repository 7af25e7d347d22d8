/*
 * The table "firmware's range -> our use -> owner", and how it adds up.
 *
 * Every byte of every range that the firmware reported stands in exactly one line (overlaps
 * resolved). The sums are made from the lines as printed, not from the map's own totals, and
 * compared with what the firmware called usable.
 */
#include <kernel/boot.h>
#include <kernel/print.h>
#include <lib/format.h>

static const char *owner_of(const struct qy_segment *segment)
{
    return segment->type == QY_MEM_USABLE ? qy_mem_use_owner((enum qy_mem_use)segment->use)
                                          : "firmware";
}

static void print_line(const struct qy_segment *s, bool nodes)
{
    bool usable = s->type == QY_MEM_USABLE;
    char node[16] = "";
    if (nodes && qy_mem_type_is_ram((enum qy_mem_type)s->type) && s->use != QY_USE_BEYOND)
        format_to(node, sizeof(node), " node %u", s->node);
    print("  %012llx-%012llx %10S  %-16s %-22s %-*s%s\n", (unsigned long long)s->base,
          (unsigned long long)(s->end - 1), s->end - s->base,
          qy_mem_type_name((enum qy_mem_type)s->type),
          usable ? qy_mem_use_name((enum qy_mem_use)s->use) : "-", node[0] ? 9 : 0, owner_of(s),
          node);
}

bool kernel_map_report(const struct qy_map *map)
{
    uint64_t sums[QY_USE_COUNT] = {0}, total = 0;
    bool nodes = false;
    for (uint32_t i = 0; i < map->count; i++)
        nodes = nodes || map->segments[i].node != 0;
    print("memory: firmware's range                 size  firmware says    our use                "
          "owner\n");
    for (uint32_t i = 0; i < map->count; i++) {
        const struct qy_segment *segment = &map->segments[i];
        print_line(segment, nodes);
        if (segment->type == QY_MEM_USABLE)
            sums[segment->use] += segment->end - segment->base;
    }
    print("memory: uses of what the firmware calls usable\n");
    for (unsigned use = 0; use < QY_USE_COUNT; use++) {
        if (sums[use])
            print("  %-34s %-9s %10S %16llu bytes\n", qy_mem_use_name((enum qy_mem_use)use),
                  qy_mem_use_owner((enum qy_mem_use)use), sums[use], (unsigned long long)sums[use]);
        total += sums[use];
    }
    int64_t difference = (int64_t)(map->usable_bytes - total);
    print("memory: total usable %llu bytes (%S) = sum of uses %llu bytes; difference %lld\n",
          (unsigned long long)map->usable_bytes, map->usable_bytes, (unsigned long long)total,
          (long long)difference);
    return difference == 0;
}
