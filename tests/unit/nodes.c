/*
 * NUMA nodes: orders of fallback, zones, pinned requests, statistics.
 *
 * The expected order is written here as a plain search for the nearest node that is left. Misses: how
 * the firmware's tables become distances (acpi, fdt), and real machines (the boot option selftest).
 */
#include <hosted/hosted.h>
#include <lib/random.h>
#include <qy/nodes.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#define NODES 64u
#define PAGES 1024u /* of each arena */

static struct hosted_machine machine;
static struct qy_arena roots[NODES][QY_ZONE_COUNT];
static struct qy_nodes nodes;
static uint8_t distances[NODES][NODES];
static uint64_t memory[NODES * NODES];
static struct qy_cpu_frames cpu;

/* zones[node]: bit 0 DMA32, bit 1 NORMAL. */
static void setup(unsigned count, const unsigned *zones)
{
    uint64_t at = PAGES;
    CHECK(qy_nodes_bytes(count) <= sizeof(memory));
    CHECK(hosted_machine_make(&machine, (2ull * NODES + 2) * PAGES * QY_PAGE_BYTES, true));
    hosted_ram_add(&machine, pfn(PAGES), pfn((2ull * NODES + 1) * PAGES));
    qy_cpu_frames_init(&cpu, 0);
    qy_nodes_init(&nodes, memory, count, distances[0], sizeof(distances[0]));
    for (unsigned zone = 0; zone < QY_ZONE_COUNT; zone++) {
        for (unsigned node = 0; node < count; node++) {
            if (!(zones[node] >> zone & 1))
                continue;
            struct qy_arena *arena = &roots[node][zone];
            qy_arena_init(arena, &machine.db, (uint16_t)node, (enum qy_zone)zone, node);
            CHECK_EQ(qy_arena_add(arena, pfn(at), pfn(at + PAGES)), QY_OK);
            CHECK_EQ(qy_nodes_enter(&nodes, arena), QY_OK);
            CHECK_EQ(qy_nodes_enter(&nodes, arena), QY_OK);
            at += PAGES;
        }
    }
    CHECK(qy_nodes_check(&nodes) == NULL);
}

static void line_of_nodes(void)
{
    for (unsigned i = 0; i < NODES; i++)
        for (unsigned j = 0; j < NODES; j++)
            distances[i][j] = (uint8_t)(10 + 3 * (i < j ? j - i : i - j));
}

static void compare_orders(unsigned count)
{
    for (unsigned node = 0; node < count; node++) {
        bool used[NODES] = {false};
        used[node] = true;
        CHECK_EQ(qy_nodes_at(&nodes, node, 0), node);
        for (unsigned i = 1; i < count; i++) {
            unsigned best = count;
            for (unsigned step = 1; step < count; step++) {
                unsigned other = (node + step) % count;
                if (!used[other] &&
                    (best == count || distances[node][other] < distances[node][best]))
                    best = other;
            }
            used[best] = true;
            CHECK_EQ(qy_nodes_at(&nodes, node, i), best);
        }
    }
}

/* Random distances, asymmetric too, and a node that is nearer than itself: itself comes first all the same. */
static void orders_of_fallback(void)
{
    uint64_t random = 7;
    for (unsigned count = 1; count <= NODES; count += count < 9 ? 1 : 11) {
        for (unsigned i = 0; i < NODES; i++)
            for (unsigned j = 0; j < NODES; j++) {
                uint64_t r = random_next(&random);
                distances[i][j] = (uint8_t)(count % 2 ? 10 + (r >> 60) : r >> 56);
            }
        qy_nodes_init(&nodes, memory, count, distances[0], sizeof(distances[0]));
        CHECK(qy_nodes_check(&nodes) == NULL);
        compare_orders(count);
    }
    nodes.order[1] = nodes.order[2]; /* the validator sees it */
    CHECK(strcmp(qy_nodes_check(&nodes), "NODE-ORDER") == 0);
}

/* Which arena serves, request after request, until none does. */
static unsigned use_up(unsigned node, unsigned flags, struct qy_arena **order)
{
    unsigned n = 0, since = 0;
    pfn_t out;
    qy_irq_is_off();
    while (qy_nodes_alloc(&nodes, NULL, node, flags, 4, QY_FRAME_USER, &out) == QY_OK) {
        struct qy_arena *from = qy_arena_of(&machine.db, out);
        if (n == 0 || order[n - 1] != from) {
            CHECK(n == 0 || since == PAGES / 16); /* the one before is used up */
            order[n++] = from;
            since = 0;
        }
        since++;
    }
    return n;
}

static void zones_and_distance(void)
{
    static const unsigned zones[4] = {3, 1, 2, 2}; /* node 0 has both, 1 only DMA32 */
    struct qy_arena *order[16];
    line_of_nodes();
    setup(4, zones);
    CHECK_EQ(use_up(1, 0, order), 5);
    CHECK(order[0] == &roots[1][QY_ZONE_DMA32]); /* its own, though DMA32: it has nothing else */
    CHECK(order[1] == &roots[2][QY_ZONE_NORMAL]);
    CHECK(order[2] == &roots[0][QY_ZONE_NORMAL]);
    CHECK(order[3] == &roots[3][QY_ZONE_NORMAL]);
    CHECK(order[4] == &roots[0][QY_ZONE_DMA32]); /* the last resort */
    hosted_machine_destroy(&machine);
    setup(4, zones);
    CHECK_EQ(use_up(3, QY_PLACE_DMA32, order), 2);
    CHECK(order[0] == &roots[1][QY_ZONE_DMA32] && order[1] == &roots[0][QY_ZONE_DMA32]);
    CHECK_EQ(use_up(0, QY_PLACE_PINNED, order), 1); /* DMA32 is full by now */
    CHECK(order[0] == &roots[0][QY_ZONE_NORMAL]);
    hosted_machine_destroy(&machine);
}

static void refusals(void)
{
    static const unsigned zones[3] = {2, 0, 2};
    pfn_t out;
    struct qy_record_node record;
    struct qy_arena *order[4];
    struct qy_arena extra;
    line_of_nodes();
    setup(3, zones);
    qy_irq_is_off();
    CHECK_EQ(qy_nodes_alloc(&nodes, NULL, 3, 0, 0, QY_FRAME_USER, &out), QY_NUMA_NODE_NOT_FOUND);
    CHECK_EQ(qy_nodes_alloc(&nodes, &cpu, ~0u, 1, 0, QY_FRAME_USER, &out), QY_NUMA_NODE_NOT_FOUND);
    CHECK_EQ(qy_nodes_alloc(&nodes, NULL, 0, 4, 0, QY_FRAME_USER, &out), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_nodes_alloc(&nodes, NULL, 0, 0, 19, QY_FRAME_USER, &out), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_nodes_alloc(&nodes, NULL, 1, QY_PLACE_PINNED, 0, QY_FRAME_USER, &out),
             QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_nodes_alloc(&nodes, NULL, 1, 0, 0, QY_FRAME_USER, &out), QY_OK);
    CHECK_EQ(qy_arena_of(&machine.db, out)->node, 2);
    CHECK_EQ(qy_nodes_free(&nodes, NULL, out, 0, QY_FRAME_USER), QY_OK);
    CHECK_EQ(qy_nodes_free(&nodes, NULL, out, 0, QY_FRAME_USER), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_nodes_free(&nodes, NULL, pfn(3), 0, QY_FRAME_USER), QY_NOT_OWNED);
    CHECK_EQ(use_up(0, QY_PLACE_PINNED, order), 1);
    CHECK_EQ(qy_nodes_alloc(&nodes, NULL, 0, 0, 4, QY_FRAME_USER, &out), QY_OK); /* from node 2 */
    CHECK_EQ(qy_nodes_record(&nodes, 0, &record), QY_OK);
    CHECK_EQ(record.local, QY_CONFIG_STATISTICS * PAGES / 16);
    CHECK_EQ(record.remote, QY_CONFIG_STATISTICS);
    CHECK_EQ(record.failed, QY_CONFIG_STATISTICS * 2); /* order 19, and the last of use_up */
    CHECK_EQ(record.free_bytes, 0);
    CHECK_EQ(record.total_bytes, PAGES * QY_PAGE_BYTES);
    CHECK_EQ(qy_nodes_record(&nodes, 1, &record), QY_OK);
    CHECK_EQ(record.remote, QY_CONFIG_STATISTICS);
    CHECK_EQ(record.failed, QY_CONFIG_STATISTICS);
    CHECK_EQ(qy_nodes_record(&nodes, 3, &record), QY_NUMA_NODE_NOT_FOUND);
    qy_arena_init(&extra, &machine.db, 3, QY_ZONE_NORMAL, 9);
    CHECK_EQ(qy_nodes_enter(&nodes, &extra), QY_NUMA_NODE_NOT_FOUND);
    qy_arena_init(&extra, &machine.db, 2, QY_ZONE_NORMAL, 9);
    CHECK_EQ(qy_nodes_enter(&nodes, &extra), QY_BUSY);
    hosted_machine_destroy(&machine);
}

/* Through the caches of a CPU, and by carving; a child's frames are not the nodes' to free. */
static void caches_and_children(void)
{
    static const unsigned zones[2] = {2, 2};
    static pfn_t held[3 * PAGES];
    static struct qy_arena child;
    pfn_t out;
    unsigned n = 0;
    line_of_nodes();
    setup(2, zones);
    qy_irq_is_off();
    CHECK_EQ(qy_nodes_carve(&nodes, 1, 0, &child, 100, 7), QY_OK);
    CHECK(child.parent == &roots[1][QY_ZONE_NORMAL]);
    CHECK_EQ(qy_arena_alloc(&child, 0, QY_FRAME_USER, &out), QY_OK);
    CHECK_EQ(qy_nodes_free(&nodes, &cpu, out, 0, QY_FRAME_USER), QY_NOT_OWNED);
    CHECK_EQ(qy_arena_free(&child, out, 0, QY_FRAME_USER), QY_OK);
    CHECK_EQ(qy_nodes_carve(&nodes, 2, 0, &child, 100, 7), QY_NUMA_NODE_NOT_FOUND);
    CHECK_EQ(qy_arena_return(&child), QY_OK);
    while (qy_nodes_alloc(&nodes, &cpu, 1, 0, 0, QY_FRAME_USER, &held[n]) == QY_OK) {
        CHECK_EQ(qy_arena_of(&machine.db, held[n])->node, n < PAGES ? 1 : 0);
        n++;
    }
    CHECK_EQ(n, 2 * PAGES); /* its caches kept nothing back */
    while (n > 0) {
        n--;
        CHECK_EQ(qy_nodes_free(&nodes, &cpu, held[n], 0, QY_FRAME_USER), QY_OK);
    }
    qy_frame_drain(&cpu, NULL);
    for (unsigned node = 0; node < 2; node++) {
        CHECK(qy_arena_check(&roots[node][QY_ZONE_NORMAL]) == NULL);
        CHECK_EQ(qy_arena_pages(&roots[node][QY_ZONE_NORMAL], QY_FRAME_FREE), PAGES);
    }
    hosted_machine_destroy(&machine);
}

static const struct test tests[] = {
    {"orders of fallback", orders_of_fallback},
    {"zones and distance", zones_and_distance},
    {"what is refused, and what is counted", refusals},
    {"through caches and by carving", caches_and_children},
};
TEST_MAIN(tests)
