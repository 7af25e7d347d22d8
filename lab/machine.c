/*
 * What Quarry makes of a machine: the memory core itself does here what it does at boot.
 *
 *     ranges --> memory map --> nodes, hot-pluggable memory withheld --> frame database, backed where RAM is
 *            --> root arenas --> every block of them handed out once, which counts them
 *
 * The tables of the frame database are reservations of address space, accessible only where qy_framedb_next_extent
 * says that the kernel backs them; all else is inaccessible, so that a wrong extent would not go unnoticed. RAM itself
 * is not simulated: arenas never touch free memory. Cost: O(ranges^2 + free blocks).
 */
#include "lab.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define DIRECT_MAP_BITS 46u /* the kernel's direct map and frame database reach 64 TiB */
#define HEADER_ALIGN 64u

struct tables {
    unsigned char *at[3];
    size_t bytes[3];
};

static bool reserve_tables(struct tables *tables, pfn_t limit)
{
    struct qy_framedb_span spans[3];

    qy_framedb_spans(pfn(0), limit, spans);
    *tables = (struct tables){0};
    for (unsigned i = 0; i < 3; i++) {
        tables->bytes[i] = qy_align_up(spans[i].end, QY_PAGE_BYTES);
        void *at = mmap(NULL, tables->bytes[i], PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED)
            return false;
        tables->at[i] = at;
    }
    return true;
}

static void free_tables(struct tables *tables)
{
    for (unsigned i = 0; i < 3; i++)
        if (tables->at[i])
            munmap(tables->at[i], tables->bytes[i]);
}

/* Back the tables where the kernel does, and count. */
static bool back_tables(struct tables *tables, struct lab_machine *machine)
{
    for (unsigned i = 0; i < 3; i++) {
        uint64_t from = 0, base, end;
        while (qy_framedb_next_extent(&machine->map, i, &from, &base, &end)) {
            if (mprotect(tables->at[i] + base, end - base, PROT_READ | PROT_WRITE) != 0)
                return false;
            machine->database_bytes[i] += end - base;
        }
    }
    return true;
}

static void count_map(struct lab_machine *machine)
{
    struct qy_framedb_span per_section[3];
    uint64_t base, end, last = 0, described = 0;

    qy_map_totals(&machine->map, machine->use_bytes);
    for (uint32_t i = 0; i < machine->map.count; i++) {
        const struct qy_segment *s = &machine->map.segments[i];
        machine->type_bytes[s->type] += s->end - s->base;
    }
    while (qy_map_next_run(&machine->map, last, qy_segment_is_described, &base, &end)) {
        if (described && base > last) {
            machine->holes++;
            machine->hole_bytes += base - last;
            if (base - last > machine->hole_largest_bytes)
                machine->hole_largest_bytes = base - last;
        }
        described += (end - base) / QY_PAGE_BYTES;
        last = end;
    }
    machine->ram_end = last;
    qy_framedb_spans(pfn(0), pfn(QY_SECTION_PAGES), per_section);
    machine->database_spare_bytes =
        machine->database_bytes[0] + machine->database_bytes[1] -
        described * (per_section[0].end + per_section[1].end) / QY_SECTION_PAGES;
}

/* Hand out all of an arena, the largest block first, and count. False: not all of it came out. */
static bool count_blocks(struct qy_arena *arena, struct lab_zone *zone)
{
    uint64_t frames = 0;

    zone->largest_order = qy_arena_largest(arena);
    for (int order = zone->largest_order; order >= 0; order = qy_arena_largest(arena)) {
        pfn_t block;
        if (qy_arena_alloc(arena, (unsigned)order, QY_FRAME_OBJECT, &block) != QY_OK)
            return false;
        zone->blocks[order]++;
        frames += 1ull << order;
    }
    return frames == zone->frames;
}

/* By node, then zone. */
static int compare_zones(const void *left, const void *right)
{
    const struct lab_zone *a = left, *b = right;
    if (a->node != b->node)
        return a->node < b->node ? -1 : 1;
    return (int)a->zone - (int)b->zone;
}

static bool count_zones(struct lab_machine *machine, const struct qy_roots *roots,
                        struct lab_file *whole)
{
    machine->zones = lab_allocate((roots->count + 1) * sizeof(struct lab_zone));
    machine->zone_count = roots->count;
    for (unsigned i = 0; i < roots->count; i++) {
        struct qy_arena *arena = &roots->arenas[i];
        struct lab_zone *zone = &machine->zones[i];
        *zone = (struct lab_zone){.node = arena->node,
                                  .zone = (enum qy_zone)arena->zone,
                                  .frames = arena->total_pages,
                                  .base = arena->base.raw * QY_PAGE_BYTES,
                                  .end = arena->end.raw * QY_PAGE_BYTES};
        machine->usable_frames += zone->frames;
        if (!count_blocks(arena, zone))
            return lab_fail(whole, "an arena did not hand out all of its frames");
    }
    qsort(machine->zones, machine->zone_count, sizeof(struct lab_zone), compare_zones);
    return true;
}

/* The frame database, the arenas, and what is counted of them. */
static bool make_arenas(struct lab_machine *machine, struct lab_file *whole)
{
    struct tables tables;
    struct qy_framedb db;
    struct qy_roots roots = {.capacity = machine->topology.node_count * QY_ZONE_COUNT, .db = &db};
    struct qy_segment fault;
    uint64_t given;
    bool made = true;

    size_t bytes = qy_align_up(roots.capacity * sizeof(struct qy_arena), HEADER_ALIGN);
    pfn_t limit = qy_map_ram_end(&machine->map);
    if (limit.raw == 0) /* nothing is counted: tables of some size, all the same */
        limit = pfn(QY_SECTION_PAGES);
    roots.arenas = aligned_alloc(HEADER_ALIGN, bytes);
    if (!roots.arenas || !reserve_tables(&tables, limit) || !back_tables(&tables, machine))
        return lab_fail(whole, "no address space here for a machine of that size");
    memset(roots.arenas, 0, bytes);
    qy_framedb_init(&db, tables.at[0], tables.at[1], tables.at[2], limit);
    enum qy_error error = qy_roots_give(&roots, &machine->map, QY_USE_FREE, &given, &fault);
    if (error != QY_OK)
        made = lab_fail(whole, "memory at %#llx cannot be given to an arena: %s",
                        (unsigned long long)fault.base, qy_error_name(error));
    machine->sections = qy_framedb_sections_total(&db);
    machine->sections_initialised = qy_framedb_sections_initialised(&db);
    made = made && count_zones(machine, &roots, whole);
    free_tables(&tables);
    free(roots.arenas);
    return made;
}

static bool make_map(struct lab_machine *machine, struct lab_input *input, bool use_pluggable,
                     struct lab_file *whole)
{
    uint32_t capacity = 10 * (uint32_t)input->range_count + 4 * (uint32_t)QY_TOPOLOGY_RANGES + 16;
    unsigned bits =
        machine->physical_bits < DIRECT_MAP_BITS ? machine->physical_bits : DIRECT_MAP_BITS;

    machine->map.segments = lab_allocate(capacity * sizeof(struct qy_segment));
    enum qy_error error = qy_map_build(&machine->map, machine->map.segments, capacity,
                                       input->ranges, input->range_count, 1ull << bits, NULL);
    if (error == QY_NOT_FOUND)
        return lab_fail(whole, "no usable memory in these files: Quarry could not start");
    if (error == QY_OK)
        error = qy_topology_apply(&machine->topology, &machine->map, use_pluggable);
    if (error != QY_OK)
        return lab_fail(whole, "the memory map cannot be made: %s", qy_error_sentence(error));
    return true;
}

static void count_pluggable(struct lab_machine *machine, const struct lab_input *input,
                            bool use_pluggable)
{
    for (uint32_t i = 0; i < machine->topology.range_count && !use_pluggable; i++) {
        const struct qy_topology_range *range = &machine->topology.ranges[i];
        if (range->hotplug)
            machine->pluggable_bytes += range->end - range->base;
    }
    if (!input->tree)
        machine->pluggable_bytes += machine->type_bytes[QY_MEM_HOTPLUG];
}

bool lab_machine_make(struct lab_machine *machine, struct lab_input *input, unsigned physical_bits,
                      bool use_pluggable)
{
    struct lab_file whole = {.input = input, .name = ""};

    *machine = (struct lab_machine){.physical_bits = physical_bits};
    if (!input->range_count)
        return lab_fail(&whole, "no memory map in these files: add a boot log, /proc/iomem or a "
                                "device tree of the same machine");
    if (input->range_count > QY_BOOT_RANGES)
        lab_note(input,
                 "%zu ranges: the kernel stops at more than %u; build it with a larger "
                 "map_ranges",
                 input->range_count, (unsigned)QY_BOOT_RANGES);
    if (!lab_topology(input, &machine->topology) ||
        !make_map(machine, input, use_pluggable, &whole) || !make_arenas(machine, &whole)) {
        lab_machine_free(machine);
        return false;
    }
    count_map(machine);
    count_pluggable(machine, input, use_pluggable);
    if (!machine->usable_frames)
        lab_note(input, "all memory is hot-pluggable: the kernel would stop and say so; its boot "
                        "option hotplug=use, and --use-hotplug here, count it nevertheless");
    uint64_t lost = machine->use_bytes[QY_USE_ROUNDED] + machine->use_bytes[QY_USE_FRAME_ZERO] +
                    machine->use_bytes[QY_USE_BEYOND] + machine->use_bytes[QY_USE_HOTPLUG];
    if (machine->usable_frames * QY_PAGE_BYTES + lost != machine->map.usable_bytes) {
        lab_machine_free(machine);
        return lab_fail(&whole, "what can be handed out and what is lost do not add up");
    }
    return true;
}

uint64_t lab_database_share(const struct lab_machine *machine)
{
    const uint64_t *bytes = machine->database_bytes;
    uint64_t per_part = machine->map.usable_bytes / 100000;
    return per_part ? (bytes[0] + bytes[1] + bytes[2]) / per_part : 0;
}

void lab_machine_free(struct lab_machine *machine)
{
    free(machine->map.segments);
    free(machine->zones);
    *machine = (struct lab_machine){0};
}
