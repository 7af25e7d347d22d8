/*
 * The check of the live tables and the report of the memory map: silent about what is right, and
 * loud about each thing that can be wrong. What this would miss: a table that is wrong in a way
 * that nobody thought of; the check looks at every page, so that has to be a wrong right or place
 * that the layout itself allows.
 */
#include "fixture.h"

#define DATA (QY_PT_READ | QY_PT_WRITE | QY_PT_GLOBAL)
#define RX (QY_PT_READ | QY_PT_EXEC | QY_PT_GLOBAL)

static enum qy_error spare_table(void *context, paddr_t *out)
{
    (void)context;
    enum qy_error error = qy_map_alloc(&boot.map, 4096, 4096, 0, boot.kind->window, QY_ANY_NODE,
                                       QY_USE_PAGE_TABLES, out);
    if (error == QY_OK)
        memset(qy_port_ram(*out), 0, 4096);
    return error;
}

static const struct qy_pt_tables spare_tables = {.alloc = spare_table};

static void add(uint64_t address, uint64_t physical, unsigned level, unsigned flags)
{
    CHECK_EQ(qy_pt_map_range(&boot.f.pt, vaddr(address), paddr(physical), qy_pt_page_bytes(level),
                             level, flags, &spare_tables),
             QY_OK);
}

/* Change the entry that translates an address, by bits. */
static void change(uint64_t address, uint64_t clear, uint64_t set)
{
    struct qy_pt_walk walk = qy_pt_walk(&boot.f.pt, vaddr(address));
    atomic_store(qy_pt_slot(walk.table, walk.index), (walk.entry & ~clear) | set);
}

static uint64_t bits(enum qy_pt_flag_bit flag)
{
    return boot.f.pt.format->flags[flag].mask;
}

static uint64_t frame_bits(uint64_t physical)
{
    return physical >> 12 << boot.f.pt.format->address_shift;
}

#define STACK_0 (kernel_stack_top(0, KERNEL_STACK_MAIN))

static void page_in_the_user_half(void)
{
    add(0x400000, 32 * MIB, 1, QY_PT_READ | QY_PT_USER);
}

static void table_in_the_user_half(void)
{
    CHECK_EQ(qy_pt_ensure(&boot.f.pt, vaddr(0x400000), 3, &spare_tables), QY_OK);
}

static void page_in_the_hole(void)
{
    add(KERNEL_HOLE_BASE + 5 * MIB, 32 * MIB, 1, QY_PT_READ | QY_PT_GLOBAL);
}

static void page_outside_windows(void)
{
    add(KERNEL_FRAME_DB_LAST + 1 + 7 * 4096, 32 * MIB, 1, QY_PT_READ | QY_PT_GLOBAL);
}

static void executable_direct_map(void)
{
    uint64_t at = kernel_base.direct_map + image_frame(kernel_data_end);
    struct qy_pt_walk walk = qy_pt_walk(&boot.f.pt, vaddr(at));
    CHECK_EQ(qy_pt_protect(&boot.f.pt, vaddr(qy_align_down(at, qy_pt_page_bytes(walk.level))),
                           walk.level, RX, NULL, NULL),
             QY_OK);
}

static void executable_and_writable(void)
{
    uint64_t exec = bits(QY_PT_BIT_EXEC);
    change((uint64_t)kernel_data_start, exec, boot.f.pt.format->flags[QY_PT_BIT_EXEC].value);
}

static void executable_data(void)
{
    CHECK_EQ(qy_pt_protect(&boot.f.pt, vaddr((uint64_t)kernel_data_start), 1, RX, NULL, NULL),
             QY_OK);
}

static void writable_alias_of_text(void)
{
    uint64_t alias = kernel_base.direct_map + image_frame(kernel_text_end) - 4096;
    CHECK_EQ(qy_pt_protect(&boot.f.pt, vaddr(alias), 1, DATA, NULL, NULL), QY_OK);
}

static void writable_alias_of_rodata_elsewhere(void)
{
    add(KERNEL_FRAME_DB_LAST + 1 - 4096, image_frame(kernel_rodata_start), 1, DATA);
}

static void writable_text(void)
{
    CHECK_EQ(qy_pt_protect(&boot.f.pt, vaddr(kernel_base.image),
                           kernel_base.image % (2 * MIB) ? 1 : 2, DATA, NULL, NULL),
             QY_OK);
}

static void direct_map_elsewhere(void)
{
    uint64_t at = kernel_base.direct_map + image_frame(kernel_data_start);
    change(at, frame_bits(image_frame(kernel_data_start)),
           frame_bits(image_frame(kernel_data_start) + 4096));
}

static void image_elsewhere(void)
{
    uint64_t at = (uint64_t)kernel_data_start;
    change(at, boot.f.pt.format->address_mask, frame_bits(image_frame(kernel_data_start) + 4096));
}

static void page_after_the_image(void)
{
    add((uint64_t)kernel_data_end, image_frame(kernel_data_end), 1, DATA);
}

static void guard_page_mapped(void)
{
    add(STACK_0 - KERNEL_STACK_BYTES - 4096, 32 * MIB, 1, DATA);
}

static void stack_of_nobody(void)
{
    add(kernel_stack_top(boot.kind->cpus, KERNEL_STACK_MAIN) - 4096, 32 * MIB, 1, DATA);
}

static void area_too_long(void)
{
    add(kernel_cpu_area(0) + KERNEL_CPU_AREA_BACKED_BYTES, 32 * MIB, 1, DATA);
}

static void area_of_nobody(void)
{
    add(kernel_cpu_area(boot.kind->cpus), 32 * MIB, 1, DATA);
}

static void user_page_in_the_kernel(void)
{
    change(STACK_0 - 4096, 0, bits(QY_PT_BIT_USER));
}

static void page_not_global(void)
{
    change(STACK_0 - 4096, bits(QY_PT_BIT_GLOBAL), 0);
}

static void guarded_page_before_any(void)
{
    add(kernel_guard_base() + 5 * 4096, 32 * MIB, 1, DATA);
}

static void lower_edge_of_the_heap(void)
{
    add(kernel_base.heap, 32 * MIB, 1, DATA);
}

static void upper_edge_of_the_heap(void)
{
    add(KERNEL_HEAP_LAST - 4095, 32 * MIB, 1, DATA);
}

static void part_of_stack_missing(void)
{
    CHECK_EQ(qy_pt_unmap(&boot.f.pt, vaddr(STACK_0 - KERNEL_STACK_BYTES), 1, NULL), QY_OK);
}

static void part_of_area_missing(void)
{
    CHECK_EQ(qy_pt_unmap(&boot.f.pt, vaddr(kernel_cpu_area(0) + 0xf000), 1, NULL), QY_OK);
}

static void part_of_image_missing(void)
{
    CHECK_EQ(qy_pt_unmap(&boot.f.pt, vaddr((uint64_t)kernel_rodata_start), 1, NULL), QY_OK);
}

static void window_not_in_the_root(void)
{
    atomic_store(qy_pt_slot(boot.f.pt.root, qy_pt_index(vaddr(KERNEL_FRAME_DB_BASE), 4)), 0);
}

static void page_over_the_end_of_its_window(void)
{
    struct qy_pt_walk walk = qy_pt_walk(&boot.f.pt, vaddr(KERNEL_CPU_AREAS_LAST + 1 + 64 * GIB));
    CHECK_EQ(walk.level, 3); /* the table that the image's entry is in */
    atomic_store(qy_pt_slot(walk.table, qy_pt_index(vaddr(kernel_base.image), 3)),
                 qy_pt_encode(boot.f.pt.format, paddr(0), 3, DATA));
}

static void reserved_bit(void)
{
    change(STACK_0 - 4096, 0, 1ull << 58);
}

static const struct {
    void (*damage)(void);
    const char *sentence; /* a part of it */
} damages[] = {
    {page_in_the_user_half, "in the user half"},
    {table_in_the_user_half, "user half of the kernel's own tables"},
    {page_in_the_hole, "where nothing may be"},
    {page_outside_windows, "outside every window"},
    {executable_direct_map, "more rights than its window"},
    {executable_and_writable, "writable and executable"},
    {executable_data, "wrong rights"},
    {writable_alias_of_text, "writable alias"},
    {writable_alias_of_rodata_elsewhere, "writable alias"},
    {writable_text, "writable alias"},
    {direct_map_elsewhere, "does not map its own address"},
    {image_elsewhere, "maps the wrong frame"},
    {page_after_the_image, "in no part of the kernel"},
    {guard_page_mapped, "guard page is mapped"},
    {stack_of_nobody, "belongs to no CPU's stack"},
    {guarded_page_before_any, "guarded allocations"},
    {lower_edge_of_the_heap, "guard page is mapped"},
    {upper_edge_of_the_heap, "belongs to no CPU's stack"},
    {area_too_long, "behind a CPU's area"},
    {area_of_nobody, "belongs to no CPU"},
    {user_page_in_the_kernel, "reachable from user mode"},
    {page_not_global, "not global"},
    {part_of_stack_missing, "stack is not mapped"},
    {part_of_area_missing, "area is not mapped"},
    {part_of_image_missing, "image is not mapped"},
    {window_not_in_the_root, "root entry"},
    {page_over_the_end_of_its_window, "over the end of its window"},
    {reserved_bit, "PT-RESERVED"},
};

static void says_nothing_about_good_tables(void)
{
    for (size_t k = 0; k < BOOT_MACHINES; k++) {
        boot_make(&boot_machines[k], SEGMENTS);
        CHECK_EQ(boot_build(), QY_OK);
        boot_load();
        const char *broken = kernel_layout_check(&boot.f.pt, &boot.topology);
        CHECK(!broken);
        CHECK(strstr(console, "DIRECT_MAP"));
        /* counts: the direct map's line ends with the RAM that it holds */
        const char *line = strstr(console, "  DIRECT_MAP");
        unsigned long long small = 0, large = 0, huge = 0;
        CHECK(line && sscanf(line, "  DIRECT_MAP %llu %llu %llu", &small, &large, &huge) == 3);
        uint64_t ram = 0;
        for (unsigned i = 0; i < 8; i++) {
            uint64_t end = boot.kind->ranges[i].end < boot.kind->limit ? boot.kind->ranges[i].end
                                                                       : boot.kind->limit;
            if (qy_mem_type_is_ram((enum qy_mem_type)boot.kind->ranges[i].type) &&
                end > boot.kind->ranges[i].base)
                ram += end - boot.kind->ranges[i].base;
        }
        uint64_t mapped = small * 4096 + large * 2 * MIB + huge * GIB;
        CHECK(mapped <= ram && ram - mapped < 8 * 4096);
        CHECK(huge == 0 || boot.kind->max_level == 3);
        boot_destroy();
    }
}

static void names_each_damage(void)
{
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
            boot_make(&boot_machines[k], SEGMENTS);
            CHECK_EQ(boot_build(), QY_OK);
            boot_load();
            damages[i].damage();
            const char *broken = kernel_layout_check(&boot.f.pt, &boot.topology);
            if (!broken || !strstr(broken, damages[i].sentence)) {
                printf("# %s, damage %zu: %s; expected: %s\n", boot.kind->name, i,
                       broken ? broken : "nothing", damages[i].sentence);
                tap_failures++;
            }
            boot_destroy();
        }
}

/* The lines of the report are the map, in order, no wider than a terminal, and the sums are right.
 */
static void report_reconciles(void)
{
    for (size_t k = 0; k < BOOT_MACHINES; k++) {
        boot_make(&boot_machines[k], SEGMENTS);
        CHECK_EQ(boot_build(), QY_OK);
        CHECK(kernel_map_report(&boot.map));
        unsigned lines = 0;
        uint64_t usable = 0, reported[QY_USE_COUNT] = {0}, totals[QY_USE_COUNT];
        char rest[256];
        for (char *line = console; *line; line = strchr(line, '\n') + 1) {
            unsigned long long base, last;
            CHECK(strcspn(line, "\n") <= 100);
            const char *end = strstr(line, " bytes\n");
            if (sscanf(line, "  %llx-%llx %*[0-9.] %*s %255[^\n]", &base, &last, rest) == 3) {
                CHECK(lines < boot.map.count && base == boot_segments[lines].base &&
                      last + 1 == boot_segments[lines].end);
                usable += strncmp(rest, "usable", 6) == 0 ? last + 1 - base : 0;
                lines++;
            } else if (end && end < strchr(line, '\n')) {
                while (end[-1] >= '0' &&
                       end[-1] <= '9') /* a use; its bytes are the line's last number */
                    end--;
                for (unsigned use = 0; use < QY_USE_COUNT; use++) {
                    const char *name = qy_mem_use_name((enum qy_mem_use)use);
                    if (strncmp(line + 2, name, strlen(name)) == 0)
                        reported[use] = strtoull(end, NULL, 10);
                }
            }
        }
        CHECK_EQ(lines, boot.map.count);
        CHECK_EQ(usable, boot.map.usable_bytes);
        qy_map_totals(&boot.map, totals);
        for (unsigned use = 0; use < QY_USE_COUNT; use++)
            CHECK_EQ(reported[use], totals[use]);
        CHECK(strstr(console, "difference 0\n"));
        CHECK(!strstr(console, " node 0") == (boot.kind->nodes == 1));

        console_bytes = 0;
        boot.map.usable_bytes += 4096;
        CHECK(!kernel_map_report(&boot.map));
        CHECK(strstr(console, "difference 4096\n"));
        boot_destroy();
    }
}

static const struct test tests[] = {
    {"says nothing about good tables", says_nothing_about_good_tables},
    {"names each damage", names_each_damage},
    {"the report reconciles", report_reconciles},
};
TEST_MAIN(tests)
