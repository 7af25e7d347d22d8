/*
 * The boot option selftest: placement on the machine's own nodes, shown from inside the kernel as TAP.
 *
 * Each node gives a small arena of 64 frames, pinned to it. Over these stands a second qy_nodes with
 * the machine's distances: it can be used up without disturbing anything. Boot only, before the root
 * task, one CPU allocates; all of it goes back, and the machine's arenas are compared with what they
 * were.
 */
#include <kernel/arenas.h>
#include <kernel/boot.h>
#include <kernel/cpu.h>
#include <kernel/print.h>
#include <lib/format.h>
#include <lib/string.h>
#include <platform/parse.h>
#include <qy/port.h>

#define FRAMES 64u /* of each small arena */

struct selftest {
    const struct qy_topology *topology;
    struct kernel_arenas *arenas;
    struct qy_nodes nodes;  /* over the small arenas */
    struct qy_arena *small; /* by node */
    pfn_t *held;            /* FRAMES for each node */
    unsigned held_count;
    unsigned numbered, failed; /* tests */
};

static void result(struct selftest *t, bool passed, const char *what, unsigned node)
{
    t->numbered++;
    t->failed += !passed;
    print("%sok %u - node %u: %s\n", passed ? "" : "not ", t->numbered, node, what);
}

/* Where the firmware says that the frame is; RAM that it names no node for is on node 0. */
static unsigned node_of(const struct selftest *t, pfn_t frame)
{
    uint64_t address = pfn_to_paddr(frame).raw;
    for (unsigned i = 0; i < t->topology->range_count; i++)
        if (address >= t->topology->ranges[i].base && address < t->topology->ranges[i].end)
            return t->topology->ranges[i].node;
    return 0;
}

static bool has_memory(const struct selftest *t, unsigned node)
{
    return t->arenas->nodes.nodes[node].zones[QY_ZONE_DMA32] ||
           t->arenas->nodes.nodes[node].zones[QY_ZONE_NORMAL];
}

/* The machine's own arenas, through the CPU's frame cache: forty frames, all of them local, each freed once. */
static void local_first(struct selftest *t, unsigned node)
{
    struct qy_nodes *nodes = &t->arenas->nodes;
    struct qy_cpu_frames *cpu = &cpu_this()->frames;
    pfn_t frames[40];
    unsigned taken = 0, local = 0, refused = 0;
    bool cached = false;
    qy_irq_is_off();
    qy_frame_drain(cpu, NULL); /* nodes may want the same slot */
    while (taken < 40 &&
           qy_nodes_alloc(nodes, cpu, node, 0, 0, QY_FRAME_OBJECT, &frames[taken]) == QY_OK)
        local += node_of(t, frames[taken++]) == node;
    if (taken == 40)
        cached = qy_arena_is_cached(qy_arena_of(nodes->db, frames[39]));
    bool back = true;
    for (unsigned i = taken; i-- > 0;) {
        back &= qy_nodes_free(nodes, cpu, frames[i], 0, QY_FRAME_OBJECT) == QY_OK;
        refused += qy_nodes_free(nodes, cpu, frames[i], 0, QY_FRAME_OBJECT) == QY_NOT_ALLOCATED;
    }
    result(t, taken == 40 && back && (local == 40 || !has_memory(t, node)),
           has_memory(t, node) ? "what prefers it is local" : "has no memory, others serve", node);
    result(t, cached == QY_CONFIG_FRAME_CACHES && refused == 40,
           cached ? "this CPU caches its frames, and refuses a double free"
                  : "a double free is refused",
           node);
}

static enum qy_error take(struct selftest *t, unsigned node, unsigned flags)
{
    pfn_t frame;
    qy_irq_is_off();
    enum qy_error error = qy_nodes_alloc(&t->nodes, NULL, node, flags, 0, QY_FRAME_OBJECT, &frame);
    if (error == QY_OK)
        t->held[t->held_count++] = frame;
    return error;
}

static bool give_all(struct selftest *t)
{
    bool back = true;
    qy_irq_is_off();
    while (t->held_count)
        back &=
            qy_nodes_free(&t->nodes, NULL, t->held[--t->held_count], 0, QY_FRAME_OBJECT) == QY_OK;
    return back;
}

/* Use everything up from one node: each node in turn to its last frame, none nearer than the one before. */
static void fallback(struct selftest *t, unsigned node)
{
    char order[256] = "";
    unsigned served = node, changes = 0, wrong = 0;
    while (take(t, node, 0) == QY_OK) {
        unsigned from = node_of(t, t->held[t->held_count - 1]);
        bool change = t->held_count == 1 || from != served;
        if (change) {
            size_t used = strlen(order);
            unsigned distance = t->topology->distance[node][from];
            wrong += changes && distance < t->topology->distance[node][served];
            wrong += (t->held_count - 1) % FRAMES != 0; /* the one before was not used up */
            format_to(order + used, sizeof(order) - used, " %u (%u)", from, distance);
            changes++;
        }
        served = from;
    }
    print("# node %u falls back in order of distance:%s\n", node, order);
    bool all = t->held_count == changes * FRAMES && changes != 0;
    bool first = !has_memory(t, node) || node_of(t, t->held[0]) == node;
    result(t, all && first && wrong == 0, "falls back in order of distance", node);
    result(t, take(t, node, 0) == QY_OUT_OF_MEMORY, "when all are full: OUT_OF_MEMORY", node);
    result(t, give_all(t), "everything is given back", node);
}

static void pinned(struct selftest *t, unsigned node)
{
    struct qy_record_node before, after;
    unsigned taken = 0;
    bool counted = qy_nodes_record(&t->nodes, node, &before) == QY_OK;
    while (take(t, node, QY_PLACE_PINNED) == QY_OK)
        taken++;
    bool refused = take(t, node, QY_PLACE_PINNED) == QY_OUT_OF_MEMORY;
    result(t, taken == (has_memory(t, node) ? FRAMES : 0) && refused,
           "pinned and full: OUT_OF_MEMORY, though others have memory", node);
    counted &= qy_nodes_record(&t->nodes, node, &after) == QY_OK;
    counted &= after.local - before.local == taken && after.failed - before.failed == 2;
    result(t, counted == QY_CONFIG_STATISTICS && after.remote == before.remote,
           QY_CONFIG_STATISTICS ? "statistics: local and failed requests are counted"
                                : "statistics: nothing is counted",
           node);
    give_all(t);
}

static void unknown(struct selftest *t)
{
    unsigned node = t->nodes.count;
    bool refused = take(t, node, 0) == QY_NUMA_NODE_NOT_FOUND &&
                   take(t, node, QY_PLACE_PINNED) == QY_NUMA_NODE_NOT_FOUND &&
                   take(t, 65535, 0) == QY_NUMA_NODE_NOT_FOUND;
    result(t, refused, "does not exist: NUMA_NODE_NOT_FOUND", node);
}

/* Memory for all that, from the kernel's arena; it goes back to it. */
static unsigned order_needed(unsigned nodes)
{
    uint64_t bytes =
        nodes * (sizeof(struct qy_arena) + FRAMES * sizeof(pfn_t)) + qy_nodes_bytes(nodes);
    return qy_order_of((bytes + QY_PAGE_MASK) / QY_PAGE_BYTES);
}

static bool small_make(struct selftest *t)
{
    unsigned count = t->arenas->nodes.count;
    uint8_t *memory = (uint8_t *)t->held + count * FRAMES * sizeof(pfn_t);
    qy_nodes_init(&t->nodes, memory, count, t->topology->distance[0],
                  sizeof(t->topology->distance[0]));
    for (unsigned node = 0; node < count; node++) {
        enum qy_error error = qy_nodes_carve(&t->arenas->nodes, node, QY_PLACE_PINNED,
                                             &t->small[node], FRAMES, 1000 + node);
        if (error == QY_OK)
            error = qy_nodes_enter(&t->nodes, &t->small[node]);
        if (error != QY_OK && has_memory(t, node))
            return false;
    }
    return qy_nodes_check(&t->nodes) == NULL;
}

static bool small_return(struct selftest *t)
{
    bool back = true;
    for (unsigned node = 0; node < t->nodes.count; node++)
        if (t->small[node].total_pages)
            back &= qy_arena_return(&t->small[node]) == QY_OK;
    return back;
}

static uint64_t free_pages(const struct kernel_arenas *arenas)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < arenas->count; i++)
        sum += qy_arena_pages(&arenas->roots[i], QY_FRAME_FREE);
    return sum;
}

static void run(struct selftest *t)
{
    unsigned count = t->arenas->nodes.count;
    uint64_t before = free_pages(t->arenas);
    qy_irq_is_off();
    print("1..%u\n", count * 7 + 2);
    for (unsigned node = 0; node < count; node++)
        local_first(t, node);
    qy_frame_drain(&cpu_this()->frames, NULL);
    bool made = small_make(t);
    for (unsigned node = 0; node < count; node++) {
        fallback(t, node);
        pinned(t, node);
    }
    unknown(t);
    made &= small_return(t) && free_pages(t->arenas) == before;
    for (unsigned i = 0; i < t->arenas->count; i++)
        made &= qy_arena_check(&t->arenas->roots[i]) == NULL;
    result(t, made, "the machine's arenas are whole again", 0);
}

void kernel_selftest_on_request(const char *command_line, const struct qy_topology *topology,
                                struct kernel_arenas *arenas)
{
    struct selftest t = {.topology = topology, .arenas = arenas};
    char value[8];
    pfn_t memory;
    if (!qy_option(command_line, "selftest", value, sizeof(value)))
        return;
    unsigned order = order_needed(arenas->nodes.count);
    if (qy_arena_alloc(&arenas->kernel, order, QY_FRAME_METADATA, &memory) != QY_OK)
        kernel_stop("the self-test needs %S of the kernel's arena; give the machine more memory",
                    QY_PAGE_BYTES << order);
    t.small = qy_port_ram(pfn_to_paddr(memory));
    memset(t.small, 0, QY_PAGE_BYTES << order);
    t.held = (pfn_t *)(void *)(t.small + arenas->nodes.count);
    run(&t);
    if (qy_arena_free(&arenas->kernel, memory, order, QY_FRAME_METADATA) != QY_OK || t.failed)
        kernel_panic("self-test: %u of %u tests failed", t.failed, t.numbered);
    print("self-test: %u tests passed\n\n", t.numbered);
}
