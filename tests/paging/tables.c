/*
 * The kernel's final page tables on machines of several shapes, looked at through the walker
 * written from the manuals.
 *
 * What this would miss: anything that only real firmware's maps have; the boot tests run those.
 */
#include "fixture.h"
#include <qy/roots.h>

#define DATA (QY_PT_READ | QY_PT_WRITE | QY_PT_GLOBAL)

/* What the CPU sees at an address, whatever the page size: flags 0 = nothing. */
static bool sees(uint64_t address, uint64_t physical, unsigned flags)
{
    for (unsigned level = 1; level <= 3; level++)
        if (fixture_sees(&boot.f, address, physical, level, flags))
            return true;
    return false;
}

static bool in_image(uint64_t physical, const char *start, const char *end)
{
    return physical >= image_frame(start) && physical < image_frame(end);
}

/* RAM as the firmware reported it, by whole pages: all bytes of the page are RAM below the limit.
 */
static bool page_is_ram(uint64_t physical)
{
    uint64_t at = physical, end = physical + QY_PAGE_BYTES;
    for (unsigned i = 0; i < 8; i++) /* ranges are in order */
        if (at >= boot.kind->ranges[i].base && at < boot.kind->ranges[i].end &&
            qy_mem_type_is_ram((enum qy_mem_type)boot.kind->ranges[i].type))
            at = boot.kind->ranges[i].end;
    return at >= end && end <= boot.kind->limit;
}

static bool direct_map_holds(uint64_t page)
{
    unsigned flags = DATA;
    if (page == 0 || !page_is_ram(page))
        flags = 0;
    else if (in_image(page, kernel_text_start, kernel_text_end) ||
             in_image(page, kernel_rodata_start, kernel_rodata_end))
        flags = QY_PT_READ | QY_PT_GLOBAL;
    return sees(kernel_base.direct_map + page + 0x123, page + 0x123, flags);
}

static void direct_map_is_all_ram_and_nothing_else(void)
{
    for (size_t k = 0; k < BOOT_MACHINES; k++) {
        boot_make(&boot_machines[k], SEGMENTS);
        CHECK_EQ(boot_build(), QY_OK);
        for (unsigned i = 0; i < 8; i++) {
            uint64_t edges[] = {boot.kind->ranges[i].base,      boot.kind->ranges[i].end,
                                image_frame(kernel_text_start), image_frame(kernel_rodata_start),
                                image_frame(kernel_data_start), boot.kind->limit};
            for (unsigned e = 0; e < 6; e++)
                for (uint64_t page = qy_align_down(edges[e], 4096) - 3 * 4096, n = 0; n < 6;
                     n++, page += 4096)
                    CHECK(page >= 1ull << 46 || direct_map_holds(page));
            uint64_t step = boot.kind->small
                                ? 4096
                                : 511 * 4096 * (boot.kind->ranges[i].end > 8 * GIB ? 1000 : 1);
            for (uint64_t page = qy_align_down(edges[0], 4096); page < edges[1]; page += step)
                CHECK(direct_map_holds(page));
        }
        boot_destroy();
    }
}

static void image_has_its_rights(void)
{
    for (size_t k = 0; k < BOOT_MACHINES; k++) {
        boot_make(&boot_machines[k], SEGMENTS);
        CHECK_EQ(boot_build(), QY_OK);
        for (uint64_t at = kernel_base.image; at < kernel_base.image + 16 * MIB; at += 4096) {
            const char *p = (const char *)at;
            unsigned flags = p < kernel_text_end     ? QY_PT_READ | QY_PT_EXEC | QY_PT_GLOBAL
                             : p < kernel_rodata_end ? QY_PT_READ | QY_PT_GLOBAL
                             : p < kernel_data_end   ? DATA
                                                     : 0;
            CHECK(sees(at, at - kernel_base.image + boot.kind->image, flags));
        }
        CHECK(fixture_sees(&boot.f, kernel_base.image, boot.kind->image,
                           kernel_base.image % (2 * MIB) ? 1 : 2,
                           QY_PT_READ | QY_PT_EXEC | QY_PT_GLOBAL));
        CHECK(sees(kernel_base.devices, DEVICE, device_flags()));
        CHECK(sees(kernel_base.devices + 4096, 0, 0));
        boot_destroy();
    }
}

/* A run of pages of one use, from one node where it has memory. Returns the bytes that are not on
 * that node. */
static uint64_t backed(uint64_t base, uint64_t end, enum qy_mem_use use, uint16_t node)
{
    uint64_t elsewhere = 0;
    for (uint64_t at = base; at < end; at += 4096) {
        struct manual_result got =
            manual_walk(boot.f.kind->machine, boot.f.pt.root.raw, at, MANUAL_WRITE, false);
        const struct qy_segment *segment = qy_map_find(&boot.map, got.physical);
        CHECK(sees(at, got.physical, DATA));
        CHECK(got.ok && segment && segment->use == use);
        elsewhere += segment && segment->node != node ? 4096 : 0;
    }
    return elsewhere;
}

/* Every part of the frame database that the library says it needs is there, in large pages where
 * they fit. */
static void frame_database_is_backed(void)
{
    for (size_t k = 0; k < BOOT_MACHINES; k++) {
        boot_make(&boot_machines[k], SEGMENTS);
        const uint64_t windows[] = {kernel_frames_base(), kernel_blocks_base(),
                                    kernel_sections_base()};
        CHECK_EQ(boot_build(), QY_OK);
        uint64_t elsewhere = 0, looked_at = 0;
        for (unsigned i = 0; i < 8; i++) {
            const struct qy_range *range = &boot.kind->ranges[i];
            uint64_t base = qy_align_up(range->base, 4096);
            uint64_t end =
                qy_align_down(range->end < boot.kind->limit ? range->end : boot.kind->limit, 4096);
            if (range->type != QY_MEM_USABLE || base >= end)
                continue;
            struct qy_framedb_span spans[3];
            qy_framedb_spans(pfn(base >> 12), pfn(end >> 12), spans);
            for (unsigned t = 0; t < 3; t++) {
                uint64_t from = qy_align_down(spans[t].base, 4096),
                         to = qy_align_up(spans[t].end, 4096);
                uint64_t step = to - from > 64 * MIB ? 37 * 4096 : 4096;
                for (uint64_t at = from; at < to; at += step) {
                    uint64_t physical = t == 0 ? at / 16 * 4096 : t == 1 ? at / 128 * 2 * MIB : 0;
                    const struct qy_segment *near =
                        qy_map_find(&boot.map, physical > base && physical < end ? physical : base);
                    looked_at += 4096;
                    elsewhere += backed(windows[t] + at, windows[t] + at + 4096, QY_USE_FRAME_DB,
                                        t == 2 ? 0 : near->node);
                }
                for (uint64_t at = qy_align_up(from, 2 * MIB); at + 2 * MIB <= to; at += 2 * MIB) {
                    struct qy_pt_walk walk = qy_pt_walk(&boot.f.pt, vaddr(windows[t] + at));
                    CHECK(walk.leaf && walk.level == 2);
                }
            }
        }
        CHECK(elsewhere * 16 <=
              looked_at); /* all but what shares a page or a large page with a neighbouring node */
        CHECK_EQ(qy_map_ram_end(&boot.map).raw * 4096, boot.kind->limit < boot.kind->ranges[3].end
                                                           ? boot.kind->limit
                                                       : k == 0 ? 46 * MIB
                                                                : boot.f.machine.limit_bytes);
        boot_destroy();
    }
}

static void cpus_have_areas_stacks_and_guards(void)
{
    for (size_t k = 0; k < BOOT_MACHINES; k++) {
        boot_make(&boot_machines[k], SEGMENTS);
        CHECK_EQ(boot_build(), QY_OK);
        for (unsigned cpu = 0; cpu < boot.kind->cpus + 1 && cpu < KERNEL_CPUS_MAX; cpu++) {
            bool there = cpu < boot.kind->cpus;
            uint16_t node = boot.topology.cpus[cpu].node;
            bool no_memory = k == 4 && node == 1;
            uint64_t area = kernel_base.cpu_areas + cpu * 0x1000000ull, elsewhere = 0;
            if (there)
                elsewhere += backed(area, area + 0x10000, QY_USE_CPU_AREAS, node);
            CHECK(sees(area + 0x10000, 0, 0));
            CHECK(there || sees(area, 0, 0));
            for (unsigned stack = 0; stack < 2; stack++) {
                uint64_t slot = kernel_base.heap + (cpu * 2 + stack) * 0x10000ull;
                for (uint64_t at = slot; at < slot + 0xc000; at += 4096)
                    CHECK(sees(at + 0xff8, 0, 0));
                if (there)
                    elsewhere += backed(slot + 0xc000, slot + 0x10000, QY_USE_CPU_AREAS, node);
                else
                    CHECK(sees(slot + 0xfff8, 0, 0));
            }
            CHECK(no_memory || elsewhere == 0);
        }
        boot_destroy();
    }
}

/* Tables in the tree, counted by reading it. */
static uint64_t tables_below(uint64_t table, unsigned level)
{
    uint64_t count = 1;
    for (unsigned i = 0; i < 512 && level > 1; i++) {
        uint64_t entry = atomic_load(qy_pt_slot(paddr(table), i));
        if (entry & boot.f.pt.format->valid && !qy_pt_is_page(boot.f.pt.format, entry, level)) {
            uint64_t below = qy_pt_entry_address(boot.f.pt.format, entry).raw;
            CHECK(below < boot.kind->window);
            count += tables_below(below, level - 1);
        }
    }
    return count;
}

static bool add_bytes(void *context, vaddr_t address, uint64_t entry, unsigned level)
{
    (void)address;
    (void)entry;
    *(uint64_t *)context += qy_pt_page_bytes(level);
    return true;
}

static void every_byte_taken_is_used(void)
{
    for (size_t k = 0; k < BOOT_MACHINES; k++) {
        boot_make(&boot_machines[k], SEGMENTS);
        uint64_t before = boot.map.usable_bytes, uses[QY_USE_COUNT], database = 0, areas = 0;
        CHECK_EQ(boot_build(), QY_OK);
        CHECK(!qy_map_check(&boot.map));
        CHECK_EQ(boot.map.usable_bytes, before);
        qy_map_totals(&boot.map, uses);
        CHECK_EQ(uses[QY_USE_PAGE_TABLES], tables_below(boot.f.pt.root.raw, 4) * 4096);
        qy_pt_each_in(&boot.f.pt, vaddr(KERNEL_FRAME_DB_BASE), vaddr(KERNEL_FRAME_DB_LAST),
                      add_bytes, &database);
        qy_pt_each_in(&boot.f.pt, vaddr(KERNEL_HEAP_BASE), vaddr(KERNEL_CPU_AREAS_LAST), add_bytes,
                      &areas);
        CHECK_EQ(uses[QY_USE_FRAME_DB], database);
        CHECK_EQ(uses[QY_USE_CPU_AREAS], areas);
        CHECK(boot.map.count < 40 + 6 * boot.kind->nodes); /* a table that people can read */
        boot_destroy();
    }
}

static bool all_zero(uint64_t base, uint64_t end)
{
    for (uint64_t at = base; at < end; at += 4096) {
        struct manual_result got =
            manual_walk(boot.f.kind->machine, boot.f.pt.root.raw, at, MANUAL_READ, false);
        const unsigned char *bytes = qy_port_ram(paddr(got.physical));
        for (unsigned i = 0; i < 4096; i++)
            if (bytes[i])
                return false;
    }
    return true;
}

static void finish_zeroes_what_must_be_zero(void)
{
    for (size_t k = 0; k < BOOT_MACHINES; k++) {
        if (!boot_machines[k].small)
            continue; /* only small machines' RAM is garbage at first */
        boot_make(&boot_machines[k], SEGMENTS);
        CHECK_EQ(boot_build(), QY_OK);
        boot_load();
        struct qy_framedb_span spans[3];
        qy_framedb_spans(pfn(0), qy_map_ram_end(&boot.map), spans);
        CHECK(all_zero(kernel_sections_base(), kernel_sections_base() + spans[2].end));
        for (unsigned cpu = 0; cpu < boot.kind->cpus; cpu++) {
            CHECK(all_zero(kernel_cpu_area(cpu), kernel_cpu_area(cpu) + 0x10000));
            for (unsigned stack = 0; stack < 2; stack++) {
                uint64_t top = kernel_stack_top(cpu, (enum kernel_stack)stack);
                CHECK(all_zero(top - KERNEL_STACK_BYTES, top));
            }
        }
        struct manual_result got = manual_walk(
            boot.f.kind->machine, boot.f.pt.root.raw,
            kernel_frames_base() + boot.kind->ranges[1].end / 4096 * 16, MANUAL_READ, false);
        CHECK(got.ok &&
              *(const unsigned char *)qy_port_ram(paddr(got.physical)) == 0xa5); /* left alone */
        boot_destroy();
    }
}

/* Too little memory, for every amount: an error that says what did not fit; with one page more,
 * success. */
static void out_of_memory_says_what_did_not_fit(void)
{
    for (size_t k = 0; k < 2; k++) {
        boot_make(&boot_machines[k], SEGMENTS);
        uint64_t uses[QY_USE_COUNT];
        CHECK_EQ(boot_build(), QY_OK);
        qy_map_totals(&boot.map, uses);
        uint64_t needed = uses[QY_USE_PAGE_TABLES] + uses[QY_USE_FRAME_DB] + uses[QY_USE_CPU_AREAS];
        boot_destroy();
        const char *last = "";
        unsigned sentences = 0;
        for (uint64_t pages = 0; pages <= needed / 4096; pages += pages < 32 ? 1 : 7) {
            paddr_t out;
            uint64_t left = 0;
            boot_make(&boot_machines[k], SEGMENTS);
            /* all but that many pages, high in the boot window, are in use */
            CHECK_EQ(qy_map_alloc(&boot.map, 8 * MIB, 4096, 0, boot.kind->window, QY_ANY_NODE,
                                  QY_USE_BOOT_ARCHIVE, &out),
                     QY_OK);
            CHECK_EQ(qy_map_reserve(&boot.map, 0, 1ull << 40, QY_USE_BOOT_DATA, &left), QY_OK);
            if (pages)
                CHECK_EQ(qy_map_change(&boot.map, out.raw, out.raw + pages * 4096,
                                       QY_USE_BOOT_ARCHIVE, QY_USE_FREE),
                         QY_OK);
            enum qy_error error = boot_build();
            CHECK_EQ(error, pages * 4096 < needed ? QY_OUT_OF_MEMORY : QY_OK);
            CHECK(boot.what && !qy_map_check(&boot.map));
            if (boot.what && strcmp(boot.what, last) != 0)
                sentences++;
            last = boot.what ? boot.what : "";
            boot_destroy();
        }
        CHECK(sentences >= 4);
    }
    boot_make(&boot_machines[0], 12); /* the map's array is full */
    CHECK_EQ(boot_build(), QY_TOO_MANY);
    CHECK(boot.what);
    boot_destroy();
}

/* Memory in single pages, no two of them neighbours: the frame database takes small pages then. */
static void fragmented_memory_does_not_stop_it(void)
{
    static struct qy_segment many[40000];
    boot_make(&boot_machines[2], SEGMENTS);
    memcpy(many, boot_segments, boot.map.count * sizeof(many[0]));
    boot.map.segments = many;
    boot.map.capacity = 40000;
    for (uint64_t at = 16 * MIB; at < 80 * MIB; at += 8192)
        CHECK_EQ(qy_map_reserve(&boot.map, at, at + 4096, QY_USE_BOOT_DATA, NULL), QY_OK);
    CHECK_EQ(qy_map_reserve(&boot.map, 80 * MIB, 1ull << 40, QY_USE_BOOT_DATA, NULL), QY_OK);
    CHECK_EQ(qy_map_reserve(&boot.map, MIB, 16 * MIB, QY_USE_BOOT_DATA, NULL), QY_OK);
    CHECK_EQ(boot_build(), QY_OK);
    boot_load();
    const char *broken = kernel_layout_check(&boot.f.pt, &boot.topology);
    CHECK(!broken);
    CHECK(!qy_map_check(&boot.map));
    CHECK(backed(kernel_frames_base(), kernel_frames_base() + 8 * MIB, QY_USE_FRAME_DB, 0) == 0);
    boot_destroy();
}

static const struct test tests[] = {
    {"the direct map is all RAM and nothing else", direct_map_is_all_ram_and_nothing_else},
    {"the image has its rights", image_has_its_rights},
    {"the frame database is backed", frame_database_is_backed},
    {"CPUs have areas, stacks and guards", cpus_have_areas_stacks_and_guards},
    {"every byte taken is used", every_byte_taken_is_used},
    {"finish zeroes what must be zero", finish_zeroes_what_must_be_zero},
    {"out of memory says what did not fit", out_of_memory_says_what_did_not_fit},
    {"fragmented memory does not stop it", fragmented_memory_does_not_stop_it},
};
TEST_MAIN(tests)
