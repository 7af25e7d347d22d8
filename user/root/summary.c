/*
 * Tables about the machine: what was found, where its memory is, what exists, what the CPUs did,
 * what steps cost. All of it comes from the kernel's records (quarry/records.h).
 */
#include "root.h"
#include <lib/format.h>
#include <quarry/records.h>
#include <quarry/uses.h>

#define TEXT_BYTES 4096

static const char *use_name(uint64_t use)
{
    switch (use) {
#define X(NAME, name, owner)                                                                       \
    case QY_USE_##NAME:                                                                            \
        return name;
        QY_MEM_USES(X)
#undef X
    }
    return "?";
}

static const char *use_owner(uint64_t use)
{
    switch (use) {
#define X(NAME, name, owner)                                                                       \
    case QY_USE_##NAME:                                                                            \
        return owner;
        QY_MEM_USES(X)
#undef X
    }
    return "?";
}

static const char *zone_name(uint64_t zone)
{
    return zone == 0 ? "below 4 GiB" : "normal     ";
}

static bool read_record(enum qy_record_kind kind, uint64_t index, void *out, size_t bytes)
{
    return system_record(QY_SLOT_SYSTEM, kind, index, out, bytes) == QY_OK;
}

static void heads(struct table *table, const char *const *names)
{
    for (; *names; names++)
        table_cell(table, "%s", *names);
}

void show_untypeds(struct root *root)
{
    static const char *const names[] = {
        "handle", "node", "zone", "size", "free", "largest free block", "fragmented", NULL};
    static char text[TEXT_BYTES];
    struct table table;

    table_begin(&table, text, sizeof(text), ">><>>>>");
    heads(&table, names);
    for (unsigned i = 0; i < root->info->untypeds; i++) {
        struct untyped_state state;
        if (!root_check(root, untyped_info(QY_SLOT_UNTYPED + i, &state) == QY_OK,
                        "an untyped cannot be asked"))
            break;
        table_cell(&table, "%u", QY_SLOT_UNTYPED + i);
        table_cell(&table, "%u", state.node);
        table_cell(&table, "%s", zone_name(state.zone));
        table_cell(&table, "%S", state.total_bytes);
        table_cell(&table, "%S", state.free_bytes);
        table_cell(&table, "%S",
                   state.free_bytes ? PAGE_BYTES << state.largest_order : (uint64_t)0);
        table_cell(&table, "%u.%u %%", state.fragmentation / 10, state.fragmentation % 10);
    }
    root_table(&table);
}

void greet(struct root *root)
{
    const struct qy_root_info *info = root->info;

    print("\n1. What the root task finds\n");
    print("   machine       %s\n", info->machine);
    print("   CPUs          %u, in %u NUMA node%s\n", info->cpus, info->nodes,
          info->nodes == 1 ? "" : "s");
    print("   command line  \"%s\"\n", info->command_line);
    print("   archive       %S, read-only at %R\n", info->archive_bytes,
          (uint64_t)QY_ROOT_ARCHIVE_ADDRESS);
    print("   memory        %u \"untypeds\": capabilities for RAM that nothing uses yet\n\n",
          info->untypeds);
    show_untypeds(root);
}

void show_memory(struct root *root)
{
    static const char *const names[] = {"use of RAM", "owner", "bytes", "size", NULL};
    static char text[TEXT_BYTES];
    struct qy_record_machine machine = {0};
    struct table table;
    uint64_t total = 0;

    table_begin(&table, text, sizeof(text), "<<>>");
    heads(&table, names);
    for (uint64_t i = 0; i < QY_USE_COUNT; i++) {
        struct qy_record_use use;
        if (!root_check(root, read_record(QY_RECORD_KIND_USE, i, &use, sizeof(use)),
                        "a use record cannot be read"))
            return;
        if (!use.bytes)
            continue;
        total += use.bytes;
        table_cell(&table, "%s", use_name(use.use));
        table_cell(&table, "%s", use_owner(use.use));
        table_cell(&table, "%llu", (unsigned long long)use.bytes);
        table_cell(&table, "%S", use.bytes);
    }
    table_cell(&table, "all together");
    table_cell(&table, "");
    table_cell(&table, "%llu", (unsigned long long)total);
    table_cell(&table, "%S", total);
    root_table(&table);
    bool read = root_check(root, read_record(QY_RECORD_KIND_MACHINE, 0, &machine, sizeof(machine)),
                           "the machine record cannot be read");
    if (!read)
        return;
    int64_t rest = (int64_t)(machine.usable_bytes - total);
    print("   the firmware reported %llu bytes of RAM; difference: %lld\n",
          (unsigned long long)machine.usable_bytes, (long long)rest);
    print("   the frame database: %llu of %llu sections of 128 MiB are split and initialised\n",
          (unsigned long long)machine.sections_initialised,
          (unsigned long long)machine.sections_total);
    root_check(root, rest == 0, "the uses of memory do not add up to the firmware's RAM");
}

void show_objects(struct root *root)
{
    static const char *const names[] = {"object", "live", "memory", NULL};
    static char text[1024];
    struct table table;

    table_begin(&table, text, sizeof(text), "<>>");
    heads(&table, names);
    /* The console and the system are parts of the kernel, not objects that take memory. */
    for (uint64_t i = 1; i < QY_OBJ_CONSOLE; i++) {
        struct qy_record_object object;
        if (!root_check(root, read_record(QY_RECORD_KIND_OBJECT, i, &object, sizeof(object)),
                        "an object record cannot be read"))
            return;
        table_cell(&table, "%s", qy_object_name((enum qy_object_type)object.type));
        table_cell(&table, "%llu", (unsigned long long)object.live);
        table_cell(&table, "%S", object.bytes);
    }
    root_table(&table);
}

/* Guarded objects, if the kernel was booted with guard=N. */
static void show_guard(struct root *root)
{
    struct qy_record_guard guard;
    enum qy_error error =
        system_record(QY_SLOT_SYSTEM, QY_RECORD_KIND_GUARD, 0, &guard, sizeof(guard));

    if (error == QY_UNSUPPORTED)
        return;
    if (!root_check(root, error == QY_OK, "the guard record cannot be read"))
        return;
    print("   guarded: one in %llu, %llu since boot, %llu live of %llu slots of %S; not guarded "
          "for want "
          "of a slot %llu, of memory %llu; frees refused %llu\n",
          (unsigned long long)guard.interval, (unsigned long long)guard.sampled,
          (unsigned long long)guard.live, (unsigned long long)guard.slots, guard.slot_bytes,
          (unsigned long long)guard.no_slot, (unsigned long long)guard.no_frames,
          (unsigned long long)guard.refused_frees);
}

void show_caches(struct root *root)
{
    static const char *const names[] = {"objects of",  "bytes", "live",  "free here",
                                        "cached",      "CPUs",  "slabs", "since boot",
                                        "by magazine", "back",  NULL};
    static char text[TEXT_BYTES];
    struct table table;

    table_begin(&table, text, sizeof(text), "<>>>>>>>>>");
    heads(&table, names);
    for (uint64_t i = 1; i < QY_OBJ_CONSOLE; i++) {
        struct qy_record_cache cache;
        if (!root_check(root, read_record(QY_RECORD_KIND_CACHE, i, &cache, sizeof(cache)),
                        "a cache record cannot be read"))
            return;
        if (!cache.allocations)
            continue;
        const uint64_t cells[] = {cache.stride_bytes,
                                  cache.live,
                                  cache.capacity - cache.live - cache.cached - cache.held,
                                  cache.cached,
                                  cache.magazines,
                                  cache.slabs,
                                  cache.allocations,
                                  cache.fetched,
                                  cache.returned};
        table_cell(&table, "%s", qy_object_name((enum qy_object_type)i));
        for (unsigned j = 0; j < sizeof(cells) / sizeof(cells[0]); j++)
            table_cell(&table, "%llu", (unsigned long long)cells[j]);
    }
    root_table(&table);
    print("   CPUs: that keep a magazine of it; by magazine: taken out of slabs by one; back: "
          "returned by one\n"
          "   to slabs, because it was freed where nobody takes it again, or the magazine went "
          "away\n");
    show_guard(root);
}

void show_cpus(struct root *root)
{
    static const char *const names[] = {"CPU",        "hardware id", "node",     "calls", "faults",
                                        "interrupts", "shootdowns",  "switches", NULL};
    static char text[TEXT_BYTES * 8];
    struct table table;

    table_begin(&table, text, sizeof(text), ">>>>>>>>");
    heads(&table, names);
    for (uint64_t i = 0; i < root->info->cpus; i++) {
        struct qy_record_cpu cpu;
        if (!root_check(root, read_record(QY_RECORD_KIND_CPU, i, &cpu, sizeof(cpu)),
                        "a CPU record cannot be read"))
            return;
        const uint64_t cells[] = {cpu.cpu,    cpu.hardware_id, cpu.node,       cpu.calls,
                                  cpu.faults, cpu.interrupts,  cpu.shootdowns, cpu.switches};
        for (unsigned j = 0; j < sizeof(cells) / sizeof(cells[0]); j++)
            table_cell(&table, "%llu", (unsigned long long)cells[j]);
    }
    root_table(&table);
}

#define NODES_MAX 64 /* that the kernel can have */

/* Distances from a node to all, by their numbers, and the order in which the kernel looks at them. */
static bool distances_read(uint64_t node, uint64_t nodes, char *distances, char *order,
                           size_t bytes)
{
    uint64_t by_rank[NODES_MAX] = {0};
    size_t used = 0;

    for (uint64_t to = 0; to < nodes; to++) {
        struct qy_record_distance distance;
        if (!read_record(QY_RECORD_KIND_DISTANCE, node * nodes + to, &distance, sizeof(distance)) ||
            distance.rank == 0 || distance.rank > nodes)
            return false;
        by_rank[distance.rank - 1] = to;
        used += format_to(distances + used, bytes - used, "%s%llu", to ? " " : "",
                          (unsigned long long)distance.distance);
    }
    used = 0;
    for (uint64_t i = 0; i < nodes; i++)
        used += format_to(order + used, bytes - used, "%s%llu", i ? " " : "",
                          (unsigned long long)by_rank[i]);
    return true;
}

void show_numa(struct root *root)
{
    static const char *const names[] = {"node",   "CPUs",   "RAM",       "free",         "local",
                                        "remote", "failed", "distances", "order of use", NULL};
    static char text[TEXT_BYTES * 8], distances[512], order[512];
    struct table table;

    table_begin(&table, text, sizeof(text), ">>>>>>><<");
    heads(&table, names);
    for (uint64_t i = 0; i < root->info->nodes; i++) {
        struct qy_record_node node;
        bool read = root->info->nodes <= NODES_MAX &&
                    read_record(QY_RECORD_KIND_NODE, i, &node, sizeof(node)) &&
                    distances_read(i, root->info->nodes, distances, order, sizeof(distances));
        if (!root_check(root, read, "a node record cannot be read"))
            return;
        const uint64_t cells[] = {node.local, node.remote, node.failed};
        table_cell(&table, "%llu", (unsigned long long)node.node);
        table_cell(&table, "%llu", (unsigned long long)node.cpus);
        table_cell(&table, "%S", node.total_bytes);
        table_cell(&table, "%S", node.free_bytes);
        for (unsigned j = 0; j < sizeof(cells) / sizeof(cells[0]); j++)
            table_cell(&table, "%llu", (unsigned long long)cells[j]);
        table_cell(&table, "%s", distances);
        table_cell(&table, "%s", order);
    }
    root_table(&table);
}

static void show_costs(const struct root *root)
{
    static const char *const names[] = {"step", "times", "ticks each", NULL};
    static char text[TEXT_BYTES];
    struct table table;

    table_begin(&table, text, sizeof(text), "<>>");
    heads(&table, names);
    for (unsigned i = 0; i < root->costs; i++) {
        const struct cost *cost = &root->cost[i];
        table_cell(&table, "%s", cost->what);
        table_cell(&table, "%llu", (unsigned long long)cost->times);
        table_cell(&table, "%llu", (unsigned long long)(cost->ticks / cost->times));
    }
    root_table(&table);
}

void show_summary(struct root *root)
{
    print("\n7. Summary\n");
    print("   Where the RAM is:\n\n");
    show_memory(root);
    print("\n   What exists now:\n\n");
    show_objects(root);
    print("\n   What each CPU did (shootdowns: requests to forget an address translation):\n\n");
    show_cpus(root);
    print("\n   The NUMA nodes (local, remote, failed: what the kernel placed on purpose; 10 = "
          "near):\n\n");
    show_numa(root);
    print("\n   What the steps above cost, in %s\n   (done once, so with everything cold; "
          "./quarry bench repeats and counts):\n\n",
          CLOCK_NAME);
    show_costs(root);
}
