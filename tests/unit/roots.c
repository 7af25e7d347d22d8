/*
 * From the map to roots: extents of the frame database, zones and nodes, hot-pluggable memory. They would miss an
 * arena that loses what it is given (arena.c).
 */
#include <hosted/hosted.h>
#include <platform/topology.h>
#include <qy/roots.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#define G 0x40000000ull
#define M 0x100000ull

static struct qy_segment segments[256];
static struct qy_map map;

static void build(const struct qy_range *ranges, size_t count)
{
    CHECK_EQ(qy_map_build(&map, segments, 256, ranges, count, 1ull << 46, NULL), QY_OK);
}

/* Two runs in one section, one that begins inside a section, one far away. */
static const struct qy_range ranges[] = {
    {0, 0x9f000, QY_MEM_USABLE, 0},
    {M, 3 * M, QY_MEM_USABLE, 0},
    {2 * G + 5 * M, 4 * G + 3 * M, QY_MEM_USABLE, 0},
    {1000 * G, 1000 * G + 4096, QY_MEM_USABLE, 0},
};

/* Every page of a table that a frame needs is in an extent, and every extent holds such a page. */
static void extents(void)
{
    build(ranges, 4);
    CHECK_EQ(qy_map_ram_end(&map).raw, (1000 * G + 4096) / 4096);
    for (unsigned table = 0; table < 3; table++) {
        uint64_t from = 0, base, end, last = 0, bytes = 0;
        unsigned count = 0;
        while (qy_framedb_next_extent(&map, table, &from, &base, &end)) {
            CHECK(base < end && base % 4096 == 0 && end % 4096 == 0);
            CHECK(count == 0 || base > last);
            last = end;
            bytes += end - base;
            count++;
        }
        struct qy_framedb_span span[3];
        uint64_t per_section;
        qy_framedb_spans(pfn(0), pfn(QY_SECTION_PAGES), span);
        per_section = span[table].end;
        if (table == 2) {
            CHECK_EQ(count, 1);
            CHECK_EQ(bytes, qy_align_up(8001 * per_section, 4096));
        } else { /* sections 0, 16 to 32, and 8000 */
            CHECK_EQ(count, 3);
            CHECK_EQ(bytes, 19 * qy_align_up(per_section, 4096));
        }
    }
}

static void zones_and_nodes(void)
{
    struct hosted_machine machine;
    struct qy_arena *arenas = aligned_alloc(64, 64 * (4 * sizeof(struct qy_arena) / 64 + 1));
    struct qy_roots roots = {.arenas = arenas, .capacity = 4, .db = &machine.db};
    uint64_t bytes;

    build(ranges, 3);
    CHECK_EQ(qy_map_set_node(&map, 3 * G, 5 * G, 1), QY_OK);
    CHECK(hosted_machine_make(&machine, 8 * G, false));
    for (uint32_t i = 0; i < map.count; i++)
        if (map.segments[i].use == QY_USE_FREE)
            hosted_ram_add(&machine, pfn(map.segments[i].base / 4096),
                           pfn(map.segments[i].end / 4096));
    memset(arenas, 0, 4 * sizeof(*arenas));
    CHECK_EQ(qy_roots_give(&roots, &map, QY_USE_FREE, &bytes, NULL), QY_OK);
    CHECK_EQ(bytes, 0x9e000 + 2 * M + 2 * G - 2 * M);
    CHECK_EQ(roots.count, QY_CONFIG_DMA32_ZONE ? 3 : 2);
    uint64_t pages = 0;
    for (unsigned i = 0; i < roots.count; i++) {
        CHECK_EQ(roots.arenas[i].id, i + 1);
        CHECK(qy_arena_check(&roots.arenas[i]) == NULL);
        if (QY_CONFIG_DMA32_ZONE) {
            bool low = roots.arenas[i].zone == QY_ZONE_DMA32;
            CHECK(low ? roots.arenas[i].end.raw <= G : roots.arenas[i].base.raw >= 4 * G / 4096);
        }
        pages += roots.arenas[i].total_pages;
    }
    CHECK_EQ(pages * 4096, bytes);
    CHECK(qy_map_check(&map) == NULL);
    /* Nothing is free any more; what was given is not given again. */
    CHECK_EQ(qy_roots_give(&roots, &map, QY_USE_FREE, &bytes, NULL), QY_OK);
    CHECK_EQ(bytes, 0);
    struct qy_segment fault;
    CHECK_EQ(qy_map_change(&map, M, 2 * M, QY_USE_UNTYPED, QY_USE_BOOT_DATA), QY_OK);
    CHECK_EQ(qy_roots_give(&roots, &map, QY_USE_BOOT_DATA, &bytes, &fault), QY_NOT_OWNED);
    CHECK_EQ(fault.base, M);
    hosted_machine_destroy(&machine);
    free(arenas);
}

static void too_few_roots(void)
{
    struct hosted_machine machine;
    struct qy_arena *arenas = aligned_alloc(64, 64 * (sizeof(struct qy_arena) / 64 + 1));
    struct qy_roots roots = {.arenas = arenas, .capacity = 0, .db = &machine.db};
    struct qy_segment fault = {0};
    uint64_t bytes;

    build(ranges, 2);
    CHECK(hosted_machine_make(&machine, G, false));
    CHECK_EQ(qy_roots_give(&roots, &map, QY_USE_FREE, &bytes, &fault), QY_TOO_MANY);
    CHECK_EQ(fault.base, 4096);
    CHECK_EQ(map.segments[1].use, QY_USE_FREE);
    hosted_machine_destroy(&machine);
    free(arenas);
}

static uint64_t bytes_of(enum qy_mem_use use)
{
    uint64_t totals[QY_USE_COUNT];
    qy_map_totals(&map, totals);
    return totals[use];
}

static struct qy_topology topology;

static void pluggable_is_withheld(void)
{
    build(ranges, 4);
    CHECK_EQ(qy_map_reserve(&map, 3 * G, 3 * G + M, QY_USE_KERNEL_TEXT, NULL), QY_OK);
    memset(&topology, 0, sizeof(topology));
    topology.ranges[topology.range_count++] = (struct qy_topology_range){0, 3 * G, 0, false};
    topology.ranges[topology.range_count++] = (struct qy_topology_range){3 * G, 2000 * G, 1, true};
    CHECK_EQ(qy_topology_apply(&topology, &map, false), QY_OK);
    CHECK_EQ(bytes_of(QY_USE_HOTPLUG), G + 2 * M + 4096);
    CHECK_EQ(bytes_of(QY_USE_KERNEL_TEXT), M); /* what is in use stays so */
    CHECK_EQ(qy_map_find(&map, 4 * G)->node, 1);
    CHECK_EQ(qy_map_find(&map, 4 * G)->use, QY_USE_HOTPLUG);
    CHECK_EQ(qy_map_ram_end(&map).raw, (3 * G + M) / 4096); /* the database does not pay for it */
    CHECK(qy_map_check(&map) == NULL);
}

static void all_of_it_pluggable(void)
{
    for (unsigned use = 0; use < 2; use++) {
        build(ranges, 4);
        memset(&topology, 0, sizeof(topology));
        topology.ranges[topology.range_count++] = (struct qy_topology_range){0, 3 * G, 0, true};
        topology.ranges[topology.range_count++] =
            (struct qy_topology_range){3 * G, 2000 * G, 1, true};
        uint64_t before = bytes_of(QY_USE_FREE);
        CHECK_EQ(qy_topology_apply(&topology, &map, use), QY_OK);
        CHECK_EQ(bytes_of(QY_USE_FREE), use ? before : 0);
        CHECK_EQ(bytes_of(QY_USE_HOTPLUG), use ? 0 : before);
        CHECK_EQ(qy_map_find(&map, 4 * G)->node, 1);
        CHECK(qy_map_check(&map) == NULL);
    }
}

static const struct test tests[] = {
    {"extents of the frame database", extents},
    {"zones and nodes", zones_and_nodes},
    {"too few roots", too_few_roots},
    {"hot-pluggable memory is withheld", pluggable_is_withheld},
    {"all memory hot-pluggable: nothing is left, unless it is asked for", all_of_it_pluggable},
};
TEST_MAIN(tests)
