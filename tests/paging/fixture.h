/*
 * Machines to build the kernel's final page tables for, inside a Linux process: a memory map,
 * nodes, CPUs, an entry format, and what the architecture would answer.
 *
 * RAM above the boot window becomes accessible only when the tables are "loaded", so touching it
 * earlier crashes.
 */
#ifndef TESTS_BOOT_FIXTURE_H
#define TESTS_BOOT_FIXTURE_H

#include "../unit/pt_fixture.h"

#include <arch/arch.h>
#include <kernel/boot.h>
#include <kernel/entropy.h>
#include <kernel/image.h>
#include <kernel/kaslr.h>
#include <kernel/layout.h>
#include <kernel/print.h>
#include <lib/format.h>
#include <lib/random.h>
#include <stdlib.h>

#define KIB 0x400ull
#define MIB 0x100000ull
#define GIB 0x40000000ull

struct boot_machine {
    const char *name;
    unsigned format; /* of pt_formats */
    unsigned max_level;
    uint64_t image, window, limit;
    unsigned cpus, nodes;
    bool small; /* so small that every page can be looked at */
    struct qy_range ranges[8];
    struct qy_topology_range affinity[4];
};

static const struct boot_machine boot_machines[] = {
    {.name = "PC, 48 MiB, ACPI tables that end inside pages",
     .format = 0,
     .max_level = 3,
     .image = 2 * MIB,
     .window = 4 * GIB,
     .limit = 1024 * GIB,
     .cpus = 2,
     .nodes = 1,
     .small = true,
     .ranges = {{0, 0x9fc00, QY_MEM_USABLE, 1},
                {0x9fc00, 0xa0000, QY_MEM_RESERVED, 2},
                {MIB, 46 * MIB, QY_MEM_USABLE, 1},
                {46 * MIB, 46 * MIB + 0x1234, QY_MEM_ACPI_RECLAIM, 3},
                {46 * MIB + 0x1234, 46 * MIB + 0x8800, QY_MEM_ACPI_NVS, 4},
                {46 * MIB + 0x8800, 48 * MIB, QY_MEM_RESERVED, 2}}},
    {.name = "board, 64 MiB at 2 GiB, the boot window ends in it",
     .format = 1,
     .max_level = 3,
     .image = 2 * GIB + 2 * MIB,
     .window = 2 * GIB + 32 * MIB,
     .limit = 1ull << 46,
     .cpus = 1,
     .nodes = 1,
     .small = true,
     .ranges = {{2 * GIB, 2 * GIB + 512 * KIB, QY_MEM_RESERVED, 0},
                {2 * GIB + 512 * KIB, 2 * GIB + 64 * MIB, QY_MEM_USABLE, 0}}},
    {.name = "PC, 6 GiB in three nodes, 4 CPUs",
     .format = 0,
     .max_level = 3,
     .image = 2 * MIB,
     .window = 4 * GIB,
     .limit = 1024 * GIB,
     .cpus = 4,
     .nodes = 3,
     .ranges = {{0, 0x9fc00, QY_MEM_USABLE, 1},
                {MIB, 2 * GIB, QY_MEM_USABLE, 1},
                {0xfd000000, 4 * GIB, QY_MEM_MMIO, 2},
                {4 * GIB, 8 * GIB, QY_MEM_USABLE, 1}},
     .affinity = {{0, GIB, 0, false}, {GIB, 6 * GIB, 1, false}, {6 * GIB, 8 * GIB, 2, false}}},
    {.name = "PC, 512 GiB, no 1 GiB pages",
     .format = 0,
     .max_level = 2,
     .image = 2 * MIB,
     .window = 4 * GIB,
     .limit = 1024 * GIB,
     .cpus = 512,
     .nodes = 1,
     .ranges = {{0, 0x9fc00, QY_MEM_USABLE, 1},
                {MIB, 2 * GIB, QY_MEM_USABLE, 1},
                {4 * GIB, 514 * GIB, QY_MEM_USABLE, 1}}},
    {.name = "board, 512 GiB in pieces, Svpbmt, a node without memory",
     .format = 2,
     .max_level = 3,
     .image = 2 * GIB + 2 * MIB,
     .window = 4 * GIB,
     .limit = 600 * GIB,
     .cpus = 3,
     .nodes = 3,
     .ranges = {{2 * GIB + 2 * MIB, 3 * GIB, QY_MEM_USABLE, 0},
                {16 * GIB + 0x5000, 270 * GIB + 0x7000, QY_MEM_USABLE, 0},
                {270 * GIB + 96 * MIB, 270 * GIB + 97 * MIB, QY_MEM_USABLE, 0},
                {300 * GIB, 700 * GIB, QY_MEM_USABLE, 0}},
     .affinity = {{0, 100 * GIB, 0, false}, {100 * GIB, 800 * GIB, 2, false}}},
};
#define BOOT_MACHINES (sizeof(boot_machines) / sizeof(boot_machines[0]))

#define SEGMENTS 4096u
static struct qy_segment boot_segments[SEGMENTS];

static struct boot {
    const struct boot_machine *kind;
    struct fixture f; /* only machine, kind and pt are used */
    struct qy_map map;
    struct qy_topology topology;
    const char *what;
} boot;

/* ---- what the kernel asks of the architecture and the console ---- */

paddr_t arch_image_base;

uint64_t arch_physical_limit(void)
{
    return boot.kind->limit;
}

uint64_t arch_boot_window(void)
{
    return boot.kind->window;
}

#if QY_CONFIG_KASLR
/* Nothing moves the image here. */
const char *kaslr_image_stays(void)
{
    return NULL;
}
#endif

unsigned arch_max_page_level(void)
{
    return boot.kind->max_level;
}

const struct qy_pt_format *arch_pt_format(void)
{
    return pt_formats[boot.kind->format].format;
}

#define DEVICE 0xfee00000ull

static unsigned device_flags(void)
{
    return QY_PT_READ | QY_PT_WRITE | QY_PT_GLOBAL |
           (pt_formats[boot.kind->format].uncached ? QY_PT_UNCACHED : 0);
}

enum qy_error arch_map_devices(struct qy_pt *pt, const struct qy_topology *topology,
                               const struct qy_pt_tables *tables)
{
    (void)topology;
    return qy_pt_map_range(pt, vaddr(kernel_base.devices), paddr(DEVICE), QY_PAGE_BYTES, 1,
                           device_flags(), tables);
}

static char console[1 << 20];
static size_t console_bytes;

void print_v(const char *format, va_list arguments)
{
    console_bytes +=
        format_to_v(console + console_bytes, sizeof(console) - console_bytes, format, arguments);
}

void print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_v(format, arguments);
    va_end(arguments);
}

_Noreturn void kernel_stop(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_v(format, arguments);
    va_end(arguments);
    printf("# stop: %s\n", console);
    abort();
}

static uint64_t boot_random = 1; /* state of the processor's generator; 0: it has none */

bool arch_random(uint64_t *out)
{
    *out = boot_random ? random_next(&boot_random) : 0;
    return boot_random != 0;
}

/* ---- making a machine ---- */

/* Tests that are built with MOVED have another layout each time. */
static void boot_move(void)
{
#ifdef MOVED
    struct qy_boot_info info = {.command_line = "kaslr=on"};
    uint64_t random;
    kaslr_choose(&info, &boot.map, &boot.topology);
    console_bytes = 0;
    entropy_draw(&random, sizeof(random));
    kernel_base.image = KERNEL_IMAGE_BASE + (random % 100000) * 4096;
#endif
}

/* RAM that is not there before appears; filled with garbage where that is affordable. */
static void open_ram(uint64_t from, uint64_t to)
{
    for (unsigned i = 0; i < 8; i++) {
        const struct qy_range *range = &boot.kind->ranges[i];
        uint64_t base = range->base > from ? range->base : from,
                 end = range->end < to ? range->end : to;
        end = end < boot.kind->limit ? end : boot.kind->limit;
        base = qy_align_up(base, QY_PAGE_BYTES);
        end = qy_align_down(end, QY_PAGE_BYTES);
        if (!qy_mem_type_is_ram((enum qy_mem_type)range->type) || base >= end)
            continue;
        hosted_ram_add(&boot.f.machine, pfn(base >> 12), pfn(end >> 12));
        if (boot.kind->small)
            memset(qy_port_ram(paddr(base)), 0xa5, end - base);
    }
}

static inline uint64_t image_frame(const char *symbol)
{
    return (uint64_t)symbol - kernel_base.image + boot.kind->image;
}

/* Memory map and topology as kernel_main has them before it builds tables. */
static void boot_make(const struct boot_machine *kind, uint32_t capacity)
{
    unsigned count = 0;
    boot = (struct boot){.kind = kind};
    console_bytes = 0;
    arch_image_base = paddr(kind->image);
    while (count < 8 && kind->ranges[count].end)
        count++;
    uint64_t limit = kind->ranges[count - 1].end;
    if (!hosted_machine_make(&boot.f.machine, limit < kind->limit ? limit : kind->limit, false))
        abort();
    boot.f.kind = &pt_formats[kind->format];
    open_ram(0, kind->window);
    CHECK_EQ(
        qy_map_build(&boot.map, boot_segments, capacity, kind->ranges, count, kind->limit, NULL),
        QY_OK);
    CHECK_EQ(qy_map_reserve(&boot.map, image_frame(kernel_text_start), image_frame(kernel_text_end),
                            QY_USE_KERNEL_TEXT, NULL),
             QY_OK);
    CHECK_EQ(qy_map_reserve(&boot.map, image_frame(kernel_rodata_start),
                            image_frame(kernel_rodata_end), QY_USE_KERNEL_RODATA, NULL),
             QY_OK);
    CHECK_EQ(qy_map_reserve(&boot.map, image_frame(kernel_data_start), image_frame(kernel_data_end),
                            QY_USE_KERNEL_DATA, NULL),
             QY_OK);
    for (unsigned i = 0; i < 4; i++)
        if (kind->affinity[i].end)
            CHECK_EQ(qy_map_set_node(&boot.map, kind->affinity[i].base, kind->affinity[i].end,
                                     kind->affinity[i].node),
                     QY_OK);
    boot.topology.cpu_count = kind->cpus;
    boot.topology.node_count = kind->nodes;
    for (unsigned i = 0; i < kind->cpus; i++)
        boot.topology.cpus[i] =
            (struct qy_topology_cpu){i, (uint16_t)(i % kind->nodes), QY_TOPOLOGY_NO_CONTEXT};
    qy_topology_keep(&boot.topology, DEVICE, QY_PAGE_BYTES);
    boot_move();
}

static enum qy_error boot_build(void)
{
    return kernel_tables_build(&boot.map, &boot.f.pt, &boot.topology, &boot.what);
}

/* The tables are loaded: all RAM can be reached. */
static void boot_load(void)
{
    open_ram(boot.kind->window, UINT64_MAX);
    kernel_tables_finish(&boot.map);
}

static void boot_destroy(void)
{
    hosted_machine_destroy(&boot.f.machine);
}

#endif
