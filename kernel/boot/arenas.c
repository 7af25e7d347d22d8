/*
 * From the early allocator to arenas: what the map has free becomes one root arena per node and
 * zone.
 *
 * The headers of the roots are the only thing that has no parent to pay for it: they come from the
 * early allocator. Boot only, one CPU; cost: O(segments + 1 GiB blocks).
 */
#include <kernel/arenas.h>
#include <kernel/print.h>
#include <lib/string.h>
#include <qy/port.h>

#define DMA32_END 0x100000000ull
#define KERNEL_ARENA_MIN 0x100000ull  /* 1 MiB */
#define KERNEL_ARENA_MAX 0x1000000ull /* 16 MiB */

static struct kernel_arenas arenas;
static struct qy_framedb *framedb;

static struct qy_arena *root_for(uint64_t base, uint16_t node)
{
    enum qy_zone zone = base < DMA32_END ? QY_ZONE_DMA32 : QY_ZONE_NORMAL;
    for (unsigned i = 0; i < arenas.count; i++)
        if (arenas.roots[i].node == node && arenas.roots[i].zone == zone)
            return &arenas.roots[i];
    struct qy_arena *arena = &arenas.roots[arenas.count];
    qy_arena_init(arena, framedb, node, zone, ++arenas.count);
    return arena;
}

static void add(uint64_t base, uint64_t end, uint16_t node)
{
    enum qy_error error =
        qy_arena_add(root_for(base, node), pfn(base >> QY_PAGE_SHIFT), pfn(end >> QY_PAGE_SHIFT));
    if (error != QY_OK)
        kernel_panic("memory %R..%R is given to an arena twice (%s)", base, end,
                     qy_error_name(error));
}

/* Give every segment of that use to the arenas, split where the zones meet; it becomes UNTYPED. */
uint64_t kernel_arenas_give_back(struct qy_map *map, enum qy_mem_use from)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < map->count; i++) {
        struct qy_segment s = map->segments[i];
        if (s.use != from)
            continue;
        if (s.base < DMA32_END && s.end > DMA32_END) {
            add(s.base, DMA32_END, s.node);
            add(DMA32_END, s.end, s.node);
        } else {
            add(s.base, s.end, s.node);
        }
        bytes += s.end - s.base;
        if (qy_map_change(map, s.base, s.end, from, QY_USE_UNTYPED) != QY_OK)
            kernel_panic("the memory map has no room to change %R..%R", s.base, s.end);
        i = UINT32_MAX; /* segments may have merged: look from the start again */
    }
    return bytes;
}

static void roots_allocate(struct qy_map *map, const struct qy_topology *topology)
{
    paddr_t at;
    uint64_t bytes =
        qy_align_up(topology->node_count * QY_ZONE_COUNT * sizeof(struct qy_arena), QY_PAGE_BYTES);
    if (qy_map_alloc(map, bytes, QY_PAGE_BYTES, 0, UINT64_MAX, QY_ANY_NODE, QY_USE_KERNEL_ARENA,
                     &at) != QY_OK)
        kernel_stop("out of memory for the headers of the root arenas (%S); give the machine more",
                    bytes);
    arenas.roots = qy_port_ram(at);
    memset(arenas.roots, 0, bytes);
}

/* The kernel's arena: 1/128 of the machine, 1 to 16 MiB, from the largest root. */
static void kernel_arena_carve(struct qy_map *map)
{
    struct qy_arena *from = &arenas.roots[0];
    uint64_t bytes = map->usable_bytes / 128;
    bytes = bytes < KERNEL_ARENA_MIN ? KERNEL_ARENA_MIN : bytes;
    bytes = bytes > KERNEL_ARENA_MAX ? KERNEL_ARENA_MAX : bytes;
    bytes = qy_align_up(bytes, QY_PAGE_BYTES);
    for (unsigned i = 1; i < arenas.count; i++)
        if (arenas.roots[i].total_pages > from->total_pages)
            from = &arenas.roots[i];
    if (qy_arena_carve(from, &arenas.kernel, bytes >> QY_PAGE_SHIFT, arenas.count + 1) != QY_OK)
        kernel_stop("out of memory for the kernel's arena of %S; give the machine more", bytes);
    uint64_t base = pfn_to_paddr(arenas.kernel.base).raw;
    if (qy_map_change(map, base, base + bytes, QY_USE_UNTYPED, QY_USE_KERNEL_ARENA) != QY_OK)
        kernel_panic("the memory map does not hold the kernel's arena at %R", base);
}

struct kernel_arenas *kernel_arenas_make(struct qy_map *map, struct qy_framedb *db,
                                         const struct qy_topology *topology)
{
    framedb = db;
    roots_allocate(map, topology);
    if (kernel_arenas_give_back(map, QY_USE_FREE) == 0)
        kernel_stop("no memory is left after the kernel's own tables; give the machine more");
    kernel_arena_carve(map);
    return &arenas;
}
