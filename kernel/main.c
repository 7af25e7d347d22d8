/*
 * From boot_info to the root task, step by step; the order is the design's.
 *
 *     firmware's map -> early allocator -> final tables -> frame database and arenas -> heap ->
 * CPUs -> seal -> root task
 *
 * Nothing is allocated after the seal but what a caller pays for.
 */
#include <arch/arch.h>
#include <kernel/arenas.h>
#include <kernel/boot.h>
#include <kernel/check.h>
#include <kernel/cpus.h>
#include <kernel/dma.h>
#include <kernel/entry.h>
#include <kernel/guard.h>
#include <kernel/heap.h>
#include <kernel/image.h>
#include <kernel/kaslr.h>
#include <kernel/panic.h>
#include <kernel/print.h>
#include <kernel/root_task.h>
#include <kernel/sched.h>
#include <kernel/stats.h>
#include <kernel/trace.h>
#include <lib/string.h>
#include <platform/parse.h>
#include <qy/roots.h>

#define SEGMENTS_MAX (4u * QY_BOOT_RANGES)

static struct qy_segment segments[SEGMENTS_MAX];
static struct qy_topology topology;
static struct qy_map map;
static struct qy_pt kernel_tables;
static struct qy_framedb framedb;
static struct qy_boot_info *boot_info;
static paddr_t trampoline;
static uint64_t boot_clock; /* at entry */

static _Noreturn void continue_on_own_stack(void *unused);

/* A step of the early part of the boot that cannot fail on a sane machine. */
static void must(enum qy_error error, const char *what)
{
    if (error == QY_TOO_MANY)
        kernel_stop("the memory map has more than %u pieces (%s); build with a larger map_ranges",
                    SEGMENTS_MAX, what);
    if (error != QY_OK)
        kernel_stop("%s: %s; the machine needs more memory than the firmware's map offers", what,
                    qy_error_sentence(error));
}

static void print_banner(const struct qy_boot_info *info)
{
    static const char *const paths[] = {"PVH", "Multiboot2", "OpenSBI", "UEFI"};
    char protections[200];
    arch_protection_names(protections, sizeof(protections));
    print("\nQuarry %s on %s, booted by %s%s%s, %s memory map of %u ranges\n", QY_VERSION, QY_ARCH,
          paths[info->path], info->loader[0] ? " from " : "", info->loader,
          info->uefi_map ? "UEFI" : "firmware", info->range_count);
    print("protections: %s\n", protections);
    if (info->command_line[0])
        print("command line: %s\n", info->command_line);
}

static void map_make(const struct qy_boot_info *info)
{
    uint32_t ignored;
    enum qy_error error = qy_map_build(&map, segments, SEGMENTS_MAX, info->ranges,
                                       info->range_count, arch_physical_limit(), &ignored);
    if (error == QY_NOT_FOUND)
        kernel_stop("the firmware's memory map of %u ranges has no usable memory; "
                    "check the firmware or the virtual machine's memory size",
                    info->range_count);
    must(error, "reading the memory map");
    if (ignored)
        print("memory map: %u ranges are empty or wrap past 2^64, ignored\n", ignored);
}

static uint64_t image_physical(const char *symbol)
{
    return (uint64_t)symbol - kernel_base.image + arch_image_base.raw;
}

static void reserve(uint64_t base, uint64_t end, enum qy_mem_use use)
{
    if (base < end)
        must(qy_map_reserve(&map, base, end, use, NULL), qy_mem_use_name(use));
}

static void reserve_what_is_used(const struct qy_boot_info *info)
{
    reserve(image_physical(kernel_text_start), image_physical(kernel_text_end), QY_USE_KERNEL_TEXT);
    reserve(image_physical(kernel_rodata_start), image_physical(kernel_rodata_end),
            QY_USE_KERNEL_RODATA);
    reserve(image_physical(kernel_data_start), image_physical(kernel_data_end), QY_USE_KERNEL_DATA);
    reserve(arch_image_base.raw, image_physical(kernel_text_start), QY_USE_BOOT_DATA);
    for (uint32_t i = 0; i < info->module_count; i++)
        reserve(info->modules[i].base.raw, info->modules[i].base.raw + info->modules[i].bytes,
                QY_USE_BOOT_ARCHIVE);
    for (uint32_t i = 0; i < info->reserved_count; i++)
        reserve(info->reserved[i].base, info->reserved[i].end,
                info->reserved[i].type == QY_MEM_RESERVED ? QY_USE_KEPT : QY_USE_BOOT_DATA);
}

/* The CPU that runs this becomes number 0, whichever place it has in the firmware's list. */
static void boot_cpu_first(void)
{
    for (uint32_t i = 0; i < topology.cpu_count; i++) {
        if (topology.cpus[i].hardware_id == boot_info->boot_cpu) {
            struct qy_topology_cpu first = topology.cpus[0];
            topology.cpus[0] = topology.cpus[i];
            topology.cpus[i] = first;
            return;
        }
    }
    topology.cpus[0].hardware_id = (uint32_t)boot_info->boot_cpu;
}

static void topology_read(void)
{
    enum qy_error error = arch_topology(boot_info, &topology);
    if (error != QY_OK)
        print("topology: no usable table (%s); assuming one CPU and one node\n",
              qy_error_name(error));
    if (topology.complaint)
        print("topology: %s\n", topology.complaint);
    boot_cpu_first();
    char hotplug[8];
    uint64_t uses[QY_USE_COUNT];
    bool use = qy_option(boot_info->command_line, "hotplug", hotplug, sizeof(hotplug)) &&
               strcmp(hotplug, "use") == 0;
    must(qy_topology_apply(&topology, &map, use), "assigning memory to nodes");
    qy_map_totals(&map, uses);
    if (uses[QY_USE_FREE] == 0)
        kernel_stop("the firmware calls all of the memory hot-pluggable (%S); if none of it will "
                    "be unplugged, boot with hotplug=use",
                    uses[QY_USE_HOTPLUG]);
}

static void trampoline_take(void)
{
    uint64_t limit = arch_trampoline_limit();
    if (limit && topology.cpu_count > 1 &&
        qy_map_alloc(&map, QY_PAGE_BYTES, QY_PAGE_BYTES, QY_PAGE_BYTES, limit, QY_ANY_NODE,
                     QY_USE_TRAMPOLINE, &trampoline) != QY_OK) {
        print("no free page below %S to start other CPUs; going on with one\n", limit);
        topology.cpu_count = 1;
    }
}

_Noreturn void kernel_main(struct qy_boot_info *info)
{
    boot_clock = arch_clock();
    boot_info = info;
    print_banner(info);
    if (info->version != QY_BOOT_INFO_VERSION)
        kernel_stop("boot information of version %u, expected %u", info->version,
                    QY_BOOT_INFO_VERSION);
    if (info->truncated)
        kernel_stop("the boot loader passed more than fits: %s; build with a larger map_ranges",
                    info->truncated_what);
    if (arch_missing_feature())
        kernel_stop("this CPU has no %s", arch_missing_feature());
    arch_protect();
    trace_init(info->command_line);
    heap_tools_init(info->command_line);

    map_make(info);
    reserve_what_is_used(info);
    topology_read();
    trampoline_take();
    kaslr_choose(info, &map, &topology);

    const char *what = NULL;
    enum qy_error error = kernel_tables_build(&map, &kernel_tables, &topology, &what);
    if (error == QY_TOO_MANY)
        must(error, what);
    if (error != QY_OK)
        kernel_stop("out of memory while building the page tables: %s; the machine has %S of "
                    "usable memory, give it more",
                    what, map.usable_bytes);
    arch_mmu_load(kernel_tables.root);
    kernel_tables_finish(&map);
    cpus_prepare(&topology);
    arch_switch_stack(cpu_this()->stack_top, continue_on_own_stack, NULL);
}

/*
 * What only the start needed goes back: the first tables, the trampoline, the loader's structures.
 * Not if a CPU did not come: it may run there yet.
 */
static void give_back_boot_memory(void)
{
    if (cpu_count != topology.cpu_count) {
        print("boot memory is kept: a CPU that is late may still need it\n");
        return;
    }
    uint64_t freed = kernel_arenas_give_back(&map, QY_USE_BOOT_DATA);
    freed += kernel_arenas_give_back(&map, QY_USE_TRAMPOLINE);
    print("boot memory given back: %S\n", freed);
}

static struct qy_bytes boot_archive(void)
{
    if (boot_info->module_count == 0)
        kernel_stop("no boot archive; pass boot.cpio as the initrd (QEMU) or as a module (GRUB)");
    uint64_t base = boot_info->modules[0].base.raw, end = base + boot_info->modules[0].bytes;
    uint64_t run, run_end;
    /* The direct map has pages only for what the firmware's map calls usable. */
    if (base < end && (!qy_map_next_run(&map, base, qy_segment_is_described, &run, &run_end) ||
                       run > base || run_end < end))
        kernel_stop("the boot archive at %R to %R is outside of the memory that the firmware's map "
                    "calls usable; check the boot loader and the map",
                    base, end);
    return (struct qy_bytes){qy_port_ram(boot_info->modules[0].base), boot_info->modules[0].bytes};
}

/* Debug builds: every validator, over all that there is when the first program starts. */
static void debug_check(void)
{
    struct check_counts counts;
    caps_acquire();
    const char *broken = machine_check(&counts);
    caps_release();
    if (broken)
        kernel_panic("at the end of the boot %s does not hold", broken);
    check_report(&counts);
}

static _Noreturn void continue_on_own_stack(void *unused)
{
    (void)unused;
    struct qy_bytes archive = boot_archive();
    symbols_use(archive);
    qy_framedb_init(&framedb, (void *)kernel_frames_base(), (void *)kernel_blocks_base(),
                    (void *)kernel_sections_base(), qy_map_ram_end(&map));
    if (QY_CONFIG_DEBUG)
        qy_framedb_poison(&framedb, boot_clock);
    struct kernel_arenas *arenas = kernel_arenas_make(&map, &framedb, &topology);

    arch_timer_start();
    arch_interrupts_init(&topology);
    cpus_start(&topology, trampoline, kernel_tables.root);
    print("CPUs: %u of %u run; nodes: %u\n", cpu_count, topology.cpu_count, topology.node_count);
    give_back_boot_memory();
    if (!kernel_map_report(&map))
        kernel_panic("the uses of memory do not add up to what the firmware called usable");
    registers_init(&kernel_tables);
    guard_init(boot_info->command_line, arenas, &kernel_tables);
    heap_tools_count(arenas);
    const char *broken = kernel_layout_check(&kernel_tables, &topology);
    if (broken)
        kernel_panic("the live page tables are not the layout's: %s", broken);
    kernel_crash_on_request(boot_info->command_line, &kernel_tables, arenas);
    kernel_selftest_on_request(boot_info->command_line, &topology, arenas);
    kernel_stress_on_request(boot_info->command_line, arenas);

    trace_use(&framedb);
    trace_start(&arenas->kernel, cpu_count, qy_map_ram_end(&map).raw);
    stats_init(&map, &framedb, &topology, arenas, boot_clock);
    check_init(&map, &kernel_tables, arenas);
    check_plant_on_request(boot_info->command_line);
    root_task_create(boot_info, archive, &kernel_tables, &topology, arenas);
    if (QY_CONFIG_DEBUG)
        debug_check();
    print("sealed: from here on the kernel allocates only out of memory that a caller names\n\n");
    struct arch_frame *first = entry_exit(cpu_this());
    kernel_translations_on_request(boot_info->command_line, cpu_this());
    arch_resume(cpu_this(), first);
}
