/*
 * The kernel's final page tables, in the layout of kernel/layout.h.
 *
 *     direct map       all RAM but frame 0, largest pages; text and constants read-only, the rest
 * read and write frame database   | frames of RAM section 0 | - | frames of sections 5, 6, 7 ... |
 * blocks and sections likewise CPU areas        | 64 KiB | unmapped ........ 16 MiB | 64 KiB | ...
 *     heap window      | guard .... | stack | guard .... | fault stack | ...
 *     image            | text rx | constants r | data rw |
 *     devices          what the architecture asks for
 *
 * Frame 0 is left out of the direct map, so that whoever follows a physical address of 0 faults.
 *
 * Tables come from the boot window, where they can be written before they are loaded; what they map
 * is not touched before that. Tables of a window are installed before the memory behind it is
 * taken, so that each use of memory is one piece. Invariants: WXOR, and the root's upper half never
 * changes after this. Cost: O(pages mapped + map segments * tables).
 */
#include <arch/arch.h>
#include <kernel/boot.h>
#include <kernel/image.h>
#include <kernel/kaslr.h>
#include <kernel/layout.h>
#include <lib/string.h>
#include <qy/port.h>
#include <qy/roots.h>

#define DATA_FLAGS (QY_PT_READ | QY_PT_WRITE | QY_PT_GLOBAL)
#define LARGE_PAGE 0x200000ull
#define ROOT_ENTRY_BYTES (1ull << 39)

struct builder {
    struct qy_map *map;
    struct qy_pt *pt;
    struct qy_pt_tables tables; /* of page tables: the map */
    const struct qy_topology *topology;
    bool tables_only; /* this pass installs tables; memory behind the windows comes in the next */
};

/* For kernel_tables_finish. */
static struct {
    struct qy_pt pt;
    unsigned cpus;
} built;

_Static_assert(sizeof(struct cpu) <= KERNEL_CPU_AREA_BACKED_BYTES,
               "a CPU's structure fits its area");

/* For struct qy_pt_tables. */
static enum qy_error table_alloc(void *context, paddr_t *out)
{
    struct builder *b = context;
    enum qy_error error = qy_map_alloc(b->map, QY_PAGE_BYTES, QY_PAGE_BYTES, 0, arch_boot_window(),
                                       QY_ANY_NODE, QY_USE_PAGE_TABLES, out);
    if (error == QY_OK)
        memset(qy_port_ram(*out), 0, QY_PAGE_BYTES);
    return error;
}

static enum qy_error map(struct builder *b, uint64_t address, uint64_t physical, uint64_t bytes,
                         unsigned max_level, unsigned flags)
{
    if (bytes == 0)
        return QY_OK;
    return qy_pt_map_range(b->pt, vaddr(address), paddr(physical), bytes, max_level, flags,
                           &b->tables);
}

/* See to it that there are tables of `level` over [base, last]. */
static enum qy_error tables_over(struct builder *b, uint64_t base, uint64_t last, unsigned level)
{
    uint64_t step = qy_pt_page_bytes(level + 1);
    for (uint64_t at = base;; at = qy_align_down(at, step) + step) {
        enum qy_error error = qy_pt_ensure(b->pt, vaddr(at), level, &b->tables);
        if (error != QY_OK || last - qy_align_down(at, step) < step)
            return error;
    }
}

static bool is_ram(const struct qy_segment *segment)
{
    return qy_mem_type_is_ram((enum qy_mem_type)segment->type);
}

static uint64_t image_physical(uint64_t address)
{
    return address - kernel_base.image + arch_image_base.raw;
}

/* One piece of RAM, cut where the rights of the kernel's own frames differ. */
static enum qy_error map_direct_run(struct builder *b, uint64_t base, uint64_t end)
{
    const uint64_t read_only[2][2] = {
        {image_physical((uint64_t)kernel_text_start), image_physical((uint64_t)kernel_text_end)},
        {image_physical((uint64_t)kernel_rodata_start),
         image_physical((uint64_t)kernel_rodata_end)}};
    while (base < end) {
        unsigned flags = DATA_FLAGS;
        uint64_t stop = end;
        for (unsigned i = 0; i < 2; i++) {
            if (base >= read_only[i][0] && base < read_only[i][1]) {
                flags = QY_PT_READ | QY_PT_GLOBAL;
                stop = read_only[i][1] < stop ? read_only[i][1] : stop;
            } else if (read_only[i][0] > base && read_only[i][0] < stop) {
                stop = read_only[i][0];
            }
        }
        enum qy_error error =
            map(b, kernel_base.direct_map + base, base, stop - base, arch_max_page_level(), flags);
        if (error != QY_OK)
            return error;
        base = stop;
    }
    return QY_OK;
}

static enum qy_error map_direct(struct builder *b)
{
    uint64_t base, end;
    for (uint64_t from = QY_PAGE_BYTES; qy_map_next_run(b->map, from, is_ram, &base, &end);
         from = end) {
        uint64_t limit = arch_physical_limit();
        if (base >= limit)
            break;
        uint64_t stop = qy_align_down(end < limit ? end : limit, QY_PAGE_BYTES);
        enum qy_error error = map_direct_run(b, qy_align_up(base, QY_PAGE_BYTES), stop);
        if (error != QY_OK)
            return error;
    }
    return QY_OK;
}

static enum qy_error map_image(struct builder *b)
{
    const struct {
        uint64_t start, end;
        unsigned flags;
    } parts[] = {
        {(uint64_t)kernel_text_start, (uint64_t)kernel_text_end,
         QY_PT_READ | QY_PT_EXEC | QY_PT_GLOBAL},
        {(uint64_t)kernel_rodata_start, (uint64_t)kernel_rodata_end, QY_PT_READ | QY_PT_GLOBAL},
        {(uint64_t)kernel_data_start, (uint64_t)kernel_data_end, DATA_FLAGS},
    };
    enum qy_error error = QY_OK;
    for (unsigned i = 0; i < 3 && error == QY_OK; i++)
        error = map(b, parts[i].start, image_physical(parts[i].start),
                    parts[i].end - parts[i].start, 2, parts[i].flags);
    return error;
}

/*
 * Put memory behind [address, address + bytes), of that node if it has any left: a 2 MiB page
 * wherever a whole one is needed and memory is not too fragmented.
 */
static enum qy_error back(struct builder *b, uint64_t address, uint64_t bytes, uint16_t node,
                          enum qy_mem_use use)
{
    uint64_t piece = 0;
    for (uint64_t end = address + bytes; address < end; address += piece) {
        uint64_t border = qy_align_down(address, LARGE_PAGE) + LARGE_PAGE;
        piece = (border < end ? border : end) - address;
        paddr_t memory;
        enum qy_error error;
        for (;;) {
            uint64_t align = piece == LARGE_PAGE ? LARGE_PAGE : QY_PAGE_BYTES;
            error = qy_map_alloc(b->map, piece, align, 0, UINT64_MAX, node, use, &memory);
            if (error == QY_OUT_OF_MEMORY && node != QY_ANY_NODE)
                error =
                    qy_map_alloc(b->map, piece, align, 0, UINT64_MAX, QY_ANY_NODE, use, &memory);
            if (error != QY_OUT_OF_MEMORY || piece == QY_PAGE_BYTES)
                break;
            piece = qy_align_up(piece / 2, QY_PAGE_BYTES);
        }
        if (error == QY_OK)
            error = map(b, address, memory.raw, piece, 2, DATA_FLAGS);
        if (error != QY_OK)
            return error;
    }
    return QY_OK;
}

/* Node of the first RAM at or above a physical address. */
static uint16_t node_near(const struct qy_map *map, uint64_t physical)
{
    for (uint32_t i = 0; i < map->count; i++)
        if (map->segments[i].end > physical && qy_segment_is_described(&map->segments[i]))
            return map->segments[i].node;
    return QY_ANY_NODE;
}

/* Tables that [base, end) takes if every whole 2 MiB of it is a large page. */
static enum qy_error tables_for(struct builder *b, uint64_t base, uint64_t end)
{
    enum qy_error error = tables_over(b, base, end - 1, 2);
    if (error == QY_OK && (base % LARGE_PAGE || end - base < LARGE_PAGE))
        error = tables_over(b, base, base, 1);
    if (error == QY_OK && end % LARGE_PAGE)
        error = tables_over(b, end - 1, end - 1, 1);
    return error;
}

/* One of the frame database's tables, and its window. */
struct database_table {
    unsigned number; /* as in qy_framedb_span */
    uint64_t window;
    uint64_t section_bytes; /* of the table, for each section of RAM */
};

/* [base, end) of its window, each large page from the node whose frames it describes. */
static enum qy_error back_database(struct builder *b, const struct database_table *table,
                                   uint64_t base, uint64_t end)
{
    enum qy_error error = QY_OK;
    if (b->tables_only)
        return tables_for(b, table->window + base, table->window + end);
    for (uint64_t at = base; at < end && error == QY_OK;) {
        uint64_t border = qy_align_down(at, LARGE_PAGE) + LARGE_PAGE;
        uint64_t bytes = (border < end ? border : end) - at;
        uint64_t section = at / table->section_bytes;
        uint16_t node = node_near(b->map, (section << QY_SECTION_ORDER) * QY_PAGE_BYTES);
        error = back(b, table->window + at, bytes, node, QY_USE_FRAME_DB);
        at += bytes;
    }
    return error;
}

/* Every part of it that RAM needs. */
static enum qy_error build_database_table(struct builder *b, unsigned number, uint64_t window)
{
    struct qy_framedb_span spans[3];
    qy_framedb_spans(pfn(0), pfn(QY_SECTION_PAGES), spans);
    struct database_table table = {number, window, spans[number].end};
    uint64_t from = 0, base, end;
    enum qy_error error = QY_OK;
    while (error == QY_OK && qy_framedb_next_extent(b->map, number, &from, &base, &end))
        error = back_database(b, &table, base, end);
    return error;
}

static enum qy_error build_database(struct builder *b)
{
    enum qy_error error = build_database_table(b, 0, kernel_frames_base());
    if (error == QY_OK)
        error = build_database_table(b, 1, kernel_blocks_base());
    if (error == QY_OK)
        error = build_database_table(b, 2, kernel_sections_base());
    return error;
}

static enum qy_error back_for_cpu(struct builder *b, unsigned cpu, uint64_t base, uint64_t bytes)
{
    if (b->tables_only)
        return tables_for(b, base, base + bytes);
    return back(b, base, bytes, b->topology->cpus[cpu].node, QY_USE_CPU_AREAS);
}

static enum qy_error build_cpus(struct builder *b)
{
    enum qy_error error = QY_OK;
    for (unsigned cpu = 0; cpu < b->topology->cpu_count && error == QY_OK; cpu++) {
        error = back_for_cpu(b, cpu, kernel_cpu_area(cpu), KERNEL_CPU_AREA_BACKED_BYTES);
        for (unsigned kind = 0; kind < KERNEL_STACK_KINDS && error == QY_OK; kind++)
            error = back_for_cpu(
                b, cpu, kernel_stack_top(cpu, (enum kernel_stack)kind) - KERNEL_STACK_BYTES,
                KERNEL_STACK_BYTES);
    }
    return error;
}

/* Level-3 tables under every root entry of the windows in which something may be mapped, now or
 * later. */
static enum qy_error build_roots(struct builder *b)
{
    static const struct {
        uint64_t base, last;
        const char *rights;
        bool everywhere; /* the direct map has them only where RAM is: that never changes */
    } windows[] = {
#define X(NAME, first, last, what, flags)                                                          \
    {KERNEL_##NAME##_BASE, KERNEL_##NAME##_LAST, (flags),                                          \
     KERNEL_##NAME##_BASE != KERNEL_DIRECT_MAP_BASE},
        KERNEL_LAYOUT(X)
#undef X
    };
    enum qy_error error = QY_OK;
    for (unsigned i = 0; i < sizeof(windows) / sizeof(windows[0]) && error == QY_OK; i++)
        if (windows[i].everywhere && windows[i].rights[0])
            error = tables_over(b, windows[i].base, windows[i].last, 3);
    return error;
}

static enum qy_error build_devices(struct builder *b)
{
    enum qy_error error = arch_map_devices(b->pt, b->topology, &b->tables);
    return error == QY_OK ? tables_over(b, kernel_register_page(), kernel_register_page(), 1)
                          : error;
}

enum qy_error kernel_tables_build(struct qy_map *map, struct qy_pt *pt,
                                  const struct qy_topology *topology, const char **what)
{
    static const struct {
        enum qy_error (*build)(struct builder *b);
        const char *what;
        bool tables_only;
    } steps[] = {
        {build_roots, "the tables of the kernel's windows", false},
        {map_image, "the tables of the kernel image", false},
        {map_direct, "the tables of the direct map of all RAM", false},
        {build_devices, "the tables of device registers", false},
        {build_database, "the tables of the frame database", true},
        {build_cpus, "the tables of the CPUs' areas and stacks", true},
        {build_database, "the frame database (1/256 of all RAM)", false},
        {build_cpus, "the CPUs' areas and stacks", false},
    };
    struct builder b = {.map = map, .pt = pt, .topology = topology};
    b.tables = (struct qy_pt_tables){.alloc = table_alloc, .context = &b};
    *what = "the root table";
    *pt = (struct qy_pt){.format = arch_pt_format()};
    enum qy_error error = table_alloc(&b, &pt->root);
    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]) && error == QY_OK; i++) {
        *what = steps[i].what;
        b.tables_only = steps[i].tables_only;
        error = steps[i].build(&b);
    }
    built.pt = *pt;
    built.cpus = topology->cpu_count;
    return error;
}

static void zero(uint64_t address, uint64_t bytes)
{
    for (uint64_t end = address + bytes; address < end; address += QY_PAGE_BYTES) {
        paddr_t physical;
        if (qy_pt_translate(&built.pt, vaddr(address), &physical, NULL, NULL) != QY_OK)
            qy_port_broken("EXACT", "memory behind a window of the kernel is not mapped at",
                           address);
        memset(qy_port_ram(physical), 0, QY_PAGE_BYTES);
    }
}

void kernel_tables_finish(const struct qy_map *map)
{
    struct qy_framedb_span spans[3];
    kaslr_tables_are_loaded();
    qy_framedb_spans(pfn(0), qy_map_ram_end(map), spans);
    zero(kernel_sections_base(), qy_align_up(spans[2].end, QY_PAGE_BYTES));
    for (unsigned cpu = 0; cpu < built.cpus; cpu++) {
        zero(kernel_cpu_area(cpu), KERNEL_CPU_AREA_BACKED_BYTES);
        for (unsigned kind = 0; kind < KERNEL_STACK_KINDS; kind++)
            zero(kernel_stack_top(cpu, (enum kernel_stack)kind) - KERNEL_STACK_BYTES,
                 KERNEL_STACK_BYTES);
    }
}
