/*
 * From the early allocator to arenas: what the map has free becomes one root arena per node and
 * zone.
 *
 * The headers of the roots are the only thing that has no parent to pay for it: they come from the
 * early allocator. Boot only, one CPU; cost: O(segments + 1 GiB blocks).
 */
#include <kernel/arenas.h>
#include <kernel/print.h>
#include <kernel/trace.h>
#include <lib/string.h>
#include <qy/port.h>
#include <qy/roots.h>

#define KERNEL_ARENA_MIN 0x140000ull  /* 1.25 MiB: the root task and what it is made from */
#define KERNEL_ARENA_MAX 0x1000000ull /* 16 MiB */

static struct kernel_arenas arenas;
static struct qy_roots roots;

const struct qy_nodes *kernel_nodes(void)
{
    return &arenas.nodes;
}

/* Give every segment of that use to the arenas; it becomes UNTYPED. */
uint64_t kernel_arenas_give_back(struct qy_map *map, enum qy_mem_use from)
{
    uint64_t bytes;
    struct qy_segment fault;
    enum qy_error error = qy_roots_give(&roots, map, from, &bytes, &fault);
    arenas.count = roots.count;
    for (unsigned i = 0; i < roots.count; i++)
        if (qy_nodes_enter(&arenas.nodes, &roots.arenas[i]) != QY_OK)
            kernel_panic("node %u has two root arenas of one zone", roots.arenas[i].node);
    if (error == QY_TOO_MANY)
        kernel_panic("the memory map has no room to change %R..%R", fault.base, fault.end);
    if (error != QY_OK)
        kernel_panic("memory %R..%R is given to an arena twice (%s)", fault.base, fault.end,
                     qy_error_name(error));
    return bytes;
}

static void roots_allocate(struct qy_map *map, const struct qy_topology *topology)
{
    paddr_t at;
    uint64_t headers = topology->node_count * QY_ZONE_COUNT * sizeof(struct qy_arena);
    uint64_t bytes = qy_align_up(headers + qy_nodes_bytes(topology->node_count), QY_PAGE_BYTES);
    if (qy_map_alloc(map, bytes, QY_PAGE_BYTES, 0, UINT64_MAX, QY_ANY_NODE, QY_USE_KERNEL_ARENA,
                     &at) != QY_OK)
        kernel_stop("out of memory for the headers of the root arenas (%S); give the machine more",
                    bytes);
    arenas.roots = qy_port_ram(at);
    arenas.header_bytes = bytes;
    memset(arenas.roots, 0, bytes);
    qy_nodes_init(&arenas.nodes, (uint8_t *)arenas.roots + headers, topology->node_count,
                  topology->distance[0], sizeof(topology->distance[0]));
    roots =
        (struct qy_roots){.arenas = arenas.roots, .capacity = topology->node_count * QY_ZONE_COUNT};
}

/* The kernel's arena: 1/32 of the machine, 1.25 to 16 MiB, and what rings of events take; near the CPU that boots. */
static void kernel_arena_carve(struct qy_map *map, unsigned node, unsigned cpus)
{
    uint64_t bytes = map->usable_bytes / 32;
    bytes = bytes < KERNEL_ARENA_MIN ? KERNEL_ARENA_MIN : bytes;
    bytes = bytes > KERNEL_ARENA_MAX ? KERNEL_ARENA_MAX : bytes;
    bytes = qy_align_up(bytes, QY_PAGE_BYTES) + trace_bytes(cpus, qy_map_ram_end(map).raw);
    if (qy_nodes_carve(&arenas.nodes, node, 0, &arenas.kernel, bytes >> QY_PAGE_SHIFT,
                       arenas.count + 1) != QY_OK)
        kernel_stop("out of memory for the kernel's arena of %S; give the machine more", bytes);
    uint64_t base = pfn_to_paddr(arenas.kernel.base).raw;
    if (qy_map_change(map, base, base + bytes, QY_USE_UNTYPED, QY_USE_KERNEL_ARENA) != QY_OK)
        kernel_panic("the memory map does not hold the kernel's arena at %R", base);
}

struct kernel_arenas *kernel_arenas_make(struct qy_map *map, struct qy_framedb *db,
                                         const struct qy_topology *topology)
{
    roots_allocate(map, topology);
    roots.db = db;
    if (kernel_arenas_give_back(map, QY_USE_FREE) == 0)
        kernel_stop("no memory is left after the kernel's own tables; give the machine more");
    kernel_arena_carve(map, topology->cpus[0].node, topology->cpu_count);
    return &arenas;
}
