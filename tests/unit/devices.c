/*
 * What is left for device memory when memory of any kind is taken away: by hand, and against a picture page by page.
 */
#include "../data/acpi_plain.h"
#include "../data/fdt_plain.h"
#include "result.h"
#include <lib/random.h>
#include <qy/config.h>

#define LIMIT (1ull << 40)

static struct qy_boot_info info;
static struct qy_topology topology;

static void begin(void)
{
    memset(&info, 0, sizeof(info));
    memset(&topology, 0, sizeof(topology));
}

static void range(uint64_t base, uint64_t end, enum qy_mem_type type)
{
    info.ranges[info.range_count++] = (struct qy_range){base, end, type, 0};
}

/* The stretches are these, and no more. */
static void expect(const uint64_t (*stretches)[2], unsigned count)
{
    uint64_t base = 0, end;
    for (unsigned i = 0; i < count; i++) {
        CHECK(qy_device_range(&info, &topology, LIMIT, &base, &end));
        CHECK_EQ(base, stretches[i][0]);
        CHECK_EQ(end, stretches[i][1]);
        base = end;
    }
    CHECK(!qy_device_range(&info, &topology, LIMIT, &base, &end));
}

#define EXPECT(...)                                                                                \
    do {                                                                                           \
        static const uint64_t wanted_[][2] = {__VA_ARGS__};                                        \
        expect(wanted_, sizeof(wanted_) / sizeof(wanted_[0]));                                     \
    } while (0)

static void whatever_the_map_names_is_left_out(void)
{
    begin();
    EXPECT({0, LIMIT});
    range(0x100000, 0x200000, QY_MEM_USABLE);
    range(0, 0xa0000, QY_MEM_RESERVED);
    range(0x200000, 0x300000, QY_MEM_ACPI_NVS);
    EXPECT({0xa0000, 0x100000}, {0x300000, LIMIT});
    range(0xa0800, 0xa0801, QY_MEM_BAD);      /* touches a page */
    range(0x400000, 0x400000, QY_MEM_USABLE); /* has none */
    EXPECT({0xa1000, 0x100000}, {0x300000, LIMIT});
    range(LIMIT - 1, LIMIT + 1, QY_MEM_USABLE);
    EXPECT({0xa1000, 0x100000}, {0x300000, LIMIT - 0x1000});
    range(0x500000, 0x4000, QY_MEM_USABLE); /* wraps: all that follows may be memory */
    EXPECT({0xa1000, 0x100000}, {0x300000, 0x500000});
    range(0x1000, UINT64_MAX, QY_MEM_USABLE);
    expect(NULL, 0);
}

static void so_is_what_else_may_be_memory_or_kept(void)
{
    begin();
    info.reserved_count = 1;
    info.reserved[0] = (struct qy_range){0x1000, 0x1001, QY_MEM_RESERVED, 0};
    topology.range_count = 1;
    topology.ranges[0] = (struct qy_topology_range){0x4000, 0x8000, 0, true};
    qy_topology_keep(&topology, 0x9010, 0x20);
    qy_topology_keep(&topology, 0xbfff, 2);
    qy_topology_keep(&topology, 0x1000, 0);
    CHECK(qy_topology_keeps(&topology, 0x9000, 0x1000));
    CHECK(!qy_topology_keeps(&topology, 0x9000, 0x1001));
    CHECK(!qy_topology_keeps(&topology, 0x8fff, 2));
    EXPECT({0, 0x1000}, {0x2000, 0x4000}, {0x8000, 0x9000}, {0xa000, 0xb000}, {0xd000, LIMIT});
    qy_topology_keep(&topology, UINT64_MAX - 5, 100);
    qy_topology_keep(&topology, 0x20000, UINT64_MAX);
    EXPECT({0, 0x1000}, {0x2000, 0x4000}, {0x8000, 0x9000}, {0xa000, 0xb000}, {0xd000, 0x20000});
    CHECK(!topology.kept_full);
    while (topology.kept_count < QY_TOPOLOGY_KEPT)
        qy_topology_keep(&topology, 0x1000, 1);
    CHECK(!topology.kept_full && !topology.complaint);
    qy_topology_keep(&topology, 0x3000, 1); /* it would be lost: so nothing is given */
    CHECK(topology.kept_full && topology.complaint);
    expect(NULL, 0);
}

static uint64_t random_state;

#define PAGES 64u

static void random_maps_agree_with_a_picture(void)
{
    unsigned stretches = 0;
    for (unsigned round = 0; round < 20000; round++) {
        bool memory[PAGES + 1] = {false};
        begin();
        for (uint64_t i = random_below(&random_state, 9); i > 0; i--) {
            uint64_t base = random_below(&random_state, PAGES * 0x1000),
                     bytes = 1 + random_below(&random_state, 0x6000);
            uint64_t end = base + bytes < PAGES * 0x1000 ? base + bytes : PAGES * 0x1000;
            if (random_below(&random_state, 3))
                range(base, end, (enum qy_mem_type)random_below(&random_state, QY_MEM_BAD + 1));
            else
                qy_topology_keep(&topology, base, end - base);
            for (uint64_t page = base / 0x1000; page <= (end - 1) / 0x1000; page++)
                memory[page] = true;
        }
        uint64_t base = 0, end, page = 0;
        for (; qy_device_range(&info, &topology, PAGES * 0x1000, &base, &end); base = end) {
            for (; page < base / 0x1000; page++)
                CHECK(memory[page]);
            for (; page < end / 0x1000; page++)
                CHECK(!memory[page]);
            CHECK(page == PAGES || memory[page]); /* it reaches as far as it can */
            stretches++;
        }
        for (; page < PAGES; page++)
            CHECK(memory[page]);
    }
    CHECK(stretches > 40000);
}

static void of_qemu(void)
{
    begin();
    CHECK_EQ(qy_parse_fdt((struct qy_bytes){fdt_plain[0].at, fdt_plain[0].count}, paddr(0x87e00000),
                          &info),
             QY_OK);
    CHECK_EQ(qy_fdt_topology((struct qy_bytes){fdt_plain[0].at, fdt_plain[0].count}, &topology),
             QY_OK);
    EXPECT({0, 0x100000}, {0x101000, 0x2000000}, {0x2010000, 0xc000000}, {0xc600000, 0x10000000},
           {0x10001000, 0x80000000}, {0x88000000, LIMIT});

    struct memory memory = MEMORY_OF(acpi_plain);
    struct qy_reader reader = {memory_read, &memory};
    begin();
    CHECK_EQ(
        qy_acpi_topology(&reader, paddr(acpi_plain[0].base), (struct qy_bytes){NULL, 0}, &topology),
        QY_OK);
    EXPECT({0, 0xfec00000}, {0xfec01000, 0xfee00000}, {0xfef00000, LIMIT});
    memory_free(&memory);
}

static const struct test tests[] = {
    {"whatever the map names is left out", whatever_the_map_names_is_left_out},
    {"so is what else may be memory, or is kept", so_is_what_else_may_be_memory_or_kept},
    {"random maps agree with a picture", random_maps_agree_with_a_picture},
    {"the machines of QEMU", of_qemu},
};

int main(void)
{
    return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
