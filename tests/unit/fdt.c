/*
 * Device trees: what OpenSBI passes on from QEMU, trees made by hand, and every way to cut or
 * damage them.
 */
#include "../data/fdt_numa.h"
#include "../data/fdt_plain.h"
#include "result.h"

static struct qy_boot_info info;
static struct qy_topology topology;

static enum qy_error parse(struct qy_bytes tree)
{
    memset(&info, 0, sizeof(info));
    return qy_parse_fdt(tree, paddr(0x87e00000), &info);
}

static struct qy_bytes bytes_of(const struct fragment *fragment)
{
    return (struct qy_bytes){fragment->at, fragment->count};
}

static void from_qemu(void)
{
    CHECK_EQ(parse(bytes_of(&fdt_plain[0])), QY_OK);
    CHECK_EQ(info.fdt.raw, 0x87e00000);
    CHECK_EQ(info.range_count, 2); /* OpenSBI's own, and all of it */
    CHECK_EQ(info.ranges[0].type, QY_MEM_RESERVED);
    CHECK_EQ(info.ranges[0].base, 0x80000000);
    CHECK_EQ(info.ranges[0].end, 0x80080000);
    CHECK_EQ(info.ranges[1].type, QY_MEM_USABLE);
    CHECK_EQ(info.ranges[1].base, 0x80000000);
    CHECK_EQ(info.ranges[1].end, 0x88000000);
    CHECK_EQ(info.entropy_bytes, 32);
    CHECK_EQ(info.module_count, 0);
    CHECK_EQ(info.reserved_count, 1);
    CHECK_EQ(info.reserved[0].end, 0x87e00000 + fdt_plain[0].count);
    CHECK_EQ(info.reserved[0].type, QY_MEM_USABLE); /* the tree itself goes back after the boot */
    CHECK_EQ(qy_fdt_bytes(fdt_plain[0].at), fdt_plain[0].count);

    CHECK_EQ(qy_fdt_topology(bytes_of(&fdt_plain[0]), &topology), QY_OK);
    CHECK_EQ(topology.cpu_count, 1);
    CHECK_EQ(topology.node_count, 1);
    CHECK_EQ(topology.uart.raw, 0x10000000);
    CHECK_EQ(topology.test_finisher.raw, 0x100000);
    CHECK_EQ(topology.timebase_hz, 10000000);
    CHECK_EQ(topology.plic.raw, 0xc000000);
    CHECK_EQ(topology.plic_sources, 0x60);
    CHECK_EQ(topology.cpus[0].plic_context, 1);
    CHECK(!topology.aplic);
    CHECK(!topology.complaint && !topology.distances_known);
}

static void nodes_from_qemu(void)
{
    static const uint8_t distance[4][4] = {
        {10, 12, 20, 25}, {12, 10, 14, 21}, {20, 14, 10, 15}, {25, 21, 15, 10}};

    CHECK_EQ(parse(bytes_of(&fdt_numa[0])), QY_OK);
    CHECK_EQ(info.range_count, 5);
    CHECK(strcmp(info.command_line, "console=ttyS0 quiet") == 0);
    CHECK_EQ(info.module_count, 1);
    CHECK_EQ(info.modules[0].base.raw, 0x881ff000);
    CHECK_EQ(info.modules[0].bytes, 700);
    CHECK(strcmp(info.modules[0].name, "initrd") == 0);

    if (QY_TOPOLOGY_NODES < 4 || QY_TOPOLOGY_CPUS < 4)
        SKIP("built for fewer nodes or CPUs");
    CHECK_EQ(qy_fdt_topology(bytes_of(&fdt_numa[0]), &topology), QY_OK);
    CHECK_EQ(topology.cpu_count, 4);
    CHECK_EQ(topology.node_count, 4);
    CHECK_EQ(topology.range_count, 4);
    CHECK(topology.distances_known && !topology.complaint);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(topology.cpus[i].node, topology.cpus[i].hardware_id);
        CHECK_EQ(topology.domain_of[i], i);
        CHECK_EQ(topology.ranges[i].base, 0x80000000ull + i * 0x20000000ull);
        CHECK_EQ(topology.ranges[i].node, i);
        for (unsigned k = 0; k < 4; k++)
            CHECK_EQ(topology.distance[i][k], distance[i][k]);
    }
}

static void with_a_uefi_map(void)
{
    memset(&info, 0, sizeof(info));
    info.uefi_map = true;
    CHECK_EQ(qy_parse_fdt(bytes_of(&fdt_plain[0]), paddr(0x1000), &info), QY_OK);
    CHECK_EQ(info.range_count, 1); /* the reservation only */
    CHECK_EQ(info.ranges[0].type, QY_MEM_RESERVED);
}

/* ---- trees made by hand ---- */

static uint8_t tree[16384 + 128 * QY_TOPOLOGY_CPUS];
static size_t structure,
    strings; /* bytes so far; the strings are put behind the structure at the end */
static uint8_t names[8192];
static uint8_t reservations[256];
static size_t reservation_bytes;

#define STRUCTURE_AT 512u

static void cell(uint32_t value)
{
    store_be(tree + STRUCTURE_AT + structure, value, 4);
    structure += 4;
}

static void begin(const char *name)
{
    cell(1);
    strcpy((char *)tree + STRUCTURE_AT + structure, name);
    structure += (strlen(name) + 4) / 4 * 4;
}

static void end(void)
{
    cell(2);
}

/* Where a name stands among the strings; put there if it does not. */
static size_t name_at(const char *name)
{
    for (size_t at = 0; at < strings; at += strlen((char *)names + at) + 1)
        if (strcmp((char *)names + at, name) == 0)
            return at;
    strcpy((char *)names + strings, name);
    strings += strlen(name) + 1;
    return strings - strlen(name) - 1;
}

static void property(const char *name, const void *data, size_t count)
{
    cell(3);
    cell((uint32_t)count);
    cell((uint32_t)name_at(name));
    memcpy(tree + STRUCTURE_AT + structure, data, count);
    structure += (count + 3) / 4 * 4;
}

static void text(const char *name, const char *value)
{
    property(name, value, strlen(value) + 1);
}

#define CELLS(name, ...)                                                                           \
    do {                                                                                           \
        const uint32_t cells_[] = {__VA_ARGS__};                                                   \
        uint8_t data_[sizeof(cells_)];                                                             \
        for (unsigned i_ = 0; i_ < sizeof(cells_) / 4; i_++)                                       \
            store_be(data_ + 4 * i_, cells_[i_], 4);                                               \
        property(name, data_, sizeof(data_));                                                      \
    } while (0)

/* Begin a tree: the root, with addresses and sizes of that many cells. */
static void plant(uint32_t address_cells, uint32_t size_cells)
{
    memset(tree, 0, sizeof(tree));
    memset(reservations, 0, sizeof(reservations));
    structure = strings = reservation_bytes = 0;
    begin("");
    CELLS("#address-cells", address_cells);
    CELLS("#size-cells", size_cells);
}

static void reserve(uint64_t address, uint64_t size)
{
    store_be(reservations + reservation_bytes, address, 8);
    store_be(reservations + reservation_bytes + 8, size, 8);
    reservation_bytes += 16;
}

static void memory(void)
{
    begin("memory@80000000");
    text("device_type", "memory");
    CELLS("reg", 0, 0x80000000, 0, 0x1000000);
    end();
}

static void cpu(const char *name, uint32_t id, const char *mmu)
{
    begin(name);
    text("device_type", "cpu");
    CELLS("reg", id);
    text("mmu-type", mmu);
}

static void begin_cpus(void)
{
    begin("cpus");
    CELLS("#address-cells", 1);
    CELLS("#size-cells", 0);
}

/* End the tree and lay it out. */
static struct qy_bytes grown(void)
{
    end();
    cell(9);
    uint32_t strings_at = STRUCTURE_AT + (uint32_t)structure,
             total = strings_at + (uint32_t)strings;
    const uint32_t header[] = {0xd00dfeed, total, STRUCTURE_AT,      strings_at,         64, 17,
                               16,         0,     (uint32_t)strings, (uint32_t)structure};
    memcpy(tree + strings_at, names, strings);
    memcpy(tree + 64, reservations, sizeof(reservations));
    for (unsigned i = 0; i < 10; i++)
        store_be(tree + 4 * i, header[i], 4);
    return (struct qy_bytes){tree, total};
}

static void cell_counts(void)
{
    plant(1, 1);
    begin("memory");
    CELLS("reg", 0x80000000, 0x1000000, 0x90000000, 0);
    end();
    CHECK_EQ(parse(grown()), QY_OK);
    CHECK_EQ(info.range_count, 1); /* the empty one is none */
    CHECK_EQ(info.ranges[0].end, 0x81000000);

    plant(2, 1); /* three cells an entry: four are no multiple */
    memory();
    CHECK_EQ(parse(grown()), QY_CORRUPT);
    CHECK(info.why && strstr(info.why, "memory"));
    plant(3, 2); /* PCI's way to count */
    memory();
    CHECK_EQ(parse(grown()), QY_CORRUPT);
    plant(0, 2);
    memory();
    CHECK_EQ(parse(grown()), QY_CORRUPT);
    plant(0x80000002, 2);
    memory();
    CHECK_EQ(parse(grown()), QY_CORRUPT);
    /* cell counts are not inherited by grandchildren: 2 and 1 where nothing is said */
    plant(1, 1);
    begin("memory");
    CELLS("reg", 0x80000000, 0x1000000);
    end();
    begin("reserved-memory");
    begin("firmware");
    CELLS("reg", 0, 0x80000000, 0x1000);
    end();
    end();
    CHECK_EQ(parse(grown()), QY_OK);
    CHECK_EQ(info.range_count, 2);
    CHECK_EQ(info.ranges[1].end, 0x80001000);
}

static void memory_nodes(void)
{
    plant(2, 2);
    memory();
    begin("memory@90000000");
    text("device_type", "memory");
    text("status", "disabled");
    CELLS("reg", 0, 0x90000000, 0, 0x1000000);
    end();
    begin("memory@a0000000");
    text("device_type", "memory");
    text("status", "okay");
    property("hotpluggable", "", 0);
    CELLS("reg", 0, 0xa0000000, 0, 0x1000000, 0xffffffff, 0xfffff000, 0, 0x1000, 0xffffffff,
          0xfffff000, 0, 0x2000);
    end();
    begin("memory-controller@b0000000");
    CELLS("reg", 0, 0xb0000000, 0, 0x1000000);
    end();
    begin("soc");
    begin("memory@c0000000"); /* not a child of the root */
    text("device_type", "memory");
    CELLS("reg", 0, 0xc0000000, 0x1000000);
    end();
    end();
    CHECK_EQ(parse(grown()), QY_OK);
    CHECK_EQ(info.range_count, 4);
    CHECK_EQ(info.ranges[0].type, QY_MEM_USABLE);
    CHECK_EQ(info.ranges[1].type, QY_MEM_HOTPLUG);
    CHECK_EQ(info.ranges[2].end, UINT64_MAX);
    CHECK(info.ranges[3].end < info.ranges[3].base);

    plant(2, 2);
    CHECK_EQ(parse(grown()), QY_NOT_FOUND);
    CHECK(info.why && strstr(info.why, "no memory"));
}

static void reservations_and_chosen(void)
{
    plant(2, 2);
    reserve(0x88000000, 0x1000);
    reserve(0x89000000, 0x2000);
    memory();
    begin("reserved-memory");
    CELLS("#address-cells", 2);
    CELLS("#size-cells", 2);
    begin("a");
    CELLS("reg", 0, 0x80000000, 0, 0x1000, 0, 0x80010000, 0, 0x1000);
    end();
    begin("b"); /* to be placed by us: not a place yet */
    CELLS("size", 0, 0x1000);
    end();
    begin("c");
    text("status", "disabled");
    CELLS("reg", 0, 0x80020000, 0, 0x1000);
    end();
    end();
    begin("chosen");
    text("bootargs", "a b=c");
    CELLS("linux,initrd-start", 0, 0x80100000);
    CELLS("linux,initrd-end", 0x80100400);
    property("rng-seed", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefXYZ", 67);
    end();
    CHECK_EQ(parse(grown()), QY_OK);
    CHECK_EQ(info.range_count, 3);
    CHECK_EQ(info.ranges[2].base, 0x80010000);
    CHECK_EQ(info.ranges[2].type, QY_MEM_RESERVED);
    CHECK_EQ(info.reserved_count, 3); /* the tree, and the header's two */
    CHECK_EQ(info.reserved[1].base, 0x88000000);
    CHECK_EQ(info.reserved[1].type, QY_MEM_RESERVED);
    CHECK_EQ(info.reserved[2].end, 0x89002000);
    CHECK(strcmp(info.command_line, "a b=c") == 0);
    CHECK_EQ(info.modules[0].bytes, 0x400);
    CHECK_EQ(info.entropy_bytes, 64);
    CHECK(memcmp(info.entropy + 48, "0123456789abcdef", 16) == 0);
}

/* Either seed, or both one behind the other; one that somebody has wiped is none. */
static void seeds(void)
{
    static const char zeroes[8];
    plant(2, 2);
    memory();
    begin("chosen");
    property("kaslr-seed", "01234567", 8);
    property("rng-seed", "abcdefghijkl", 12);
    end();
    CHECK_EQ(parse(grown()), QY_OK);
    CHECK_EQ(info.entropy_bytes, 20);
    CHECK(memcmp(info.entropy, "abcdefghijkl01234567", 20) == 0);
    plant(2, 2);
    memory();
    begin("chosen");
    property("kaslr-seed", zeroes, 8);
    end();
    CHECK_EQ(parse(grown()), QY_OK);
    CHECK_EQ(info.entropy_bytes, 0);
}

static void broken_chosen(void)
{
    plant(2, 2);
    memory();
    begin("chosen");
    property("bootargs", "abc", 3);
    end();
    CHECK_EQ(parse(grown()), QY_CORRUPT);
    CHECK(info.why && strstr(info.why, "command line"));
    plant(2, 2);
    memory();
    begin("chosen");
    CELLS("linux,initrd-start", 0x2000);
    CELLS("linux,initrd-end", 0x1000);
    end();
    CHECK_EQ(parse(grown()), QY_CORRUPT);
    for (unsigned only_end = 0; only_end < 2; only_end++) {
        plant(2, 2);
        memory();
        begin("chosen");
        CELLS(only_end ? "linux,initrd-end" : "linux,initrd-start", 0);
        end();
        CHECK_EQ(parse(grown()), QY_CORRUPT);
    }
}

/* What is wrong with the shape of a tree is told from what is wrong with its contents. */
static void broken_trees(void)
{
    struct qy_bytes bytes;
#define WITH(at, value, error)                                                                     \
    do {                                                                                           \
        plant(2, 2);                                                                               \
        memory();                                                                                  \
        bytes = grown();                                                                           \
        store_be(tree + (at), value, 4);                                                           \
        CHECK_EQ(parse(bytes), error);                                                             \
        CHECK(error == QY_OK || (info.why && strncmp(info.why, "device tree: ", 13) == 0));        \
        CHECK_EQ(qy_fdt_topology(bytes, &topology), error == QY_OK ? QY_NOT_FOUND : error);        \
    } while (0)

    WITH(0, 0xd00dfeed, QY_OK);
    WITH(0, 0xedfe0dd0, QY_CORRUPT);                     /* magic */
    WITH(4, 39, QY_CORRUPT);                             /* total */
    WITH(4, 0xffffffff, QY_TRUNCATED);                   /* total */
    WITH(8, 0xfffffffc, QY_CORRUPT);                     /* structure */
    WITH(8, STRUCTURE_AT + 2, QY_CORRUPT);               /* structure, misaligned */
    WITH(12, 0xfffffff0, QY_CORRUPT);                    /* strings */
    WITH(16, 0xfffffff8, QY_TRUNCATED);                  /* reservations */
    WITH(16, 65, QY_CORRUPT);                            /* reservations, misaligned */
    WITH(20, 16, QY_CORRUPT);                            /* version */
    WITH(24, 18, QY_CORRUPT);                            /* compatible with newer ones only */
    WITH(32, 4, QY_CORRUPT);                             /* strings: the names are outside */
    WITH(32, 0xffffffff, QY_CORRUPT);                    /* strings: longer than the tree */
    WITH(36, 16, QY_TRUNCATED);                          /* structure: ends early */
    WITH(STRUCTURE_AT, 2, QY_CORRUPT);                   /* an end first */
    WITH(STRUCTURE_AT, 7, QY_CORRUPT);                   /* a token that is none */
    WITH(STRUCTURE_AT + 8, 9, QY_CORRUPT);               /* the end inside a node */
    WITH(STRUCTURE_AT + 12, 0xffffffff, QY_TRUNCATED);   /* a property's length */
    WITH(STRUCTURE_AT + structure - 4, 4, QY_TRUNCATED); /* no end */
    WITH(STRUCTURE_AT + structure - 8, 4, QY_CORRUPT);   /* a node without an end */
    WITH(STRUCTURE_AT + structure - 4, 1, QY_TRUNCATED); /* another root, cut */

    plant(2, 2);
    memory();
    text("late", "x"); /* a property after a child */
    CHECK_EQ(parse(grown()), QY_CORRUPT);
    plant(2, 2);
    memory();
    end();
    begin("second root");
    CHECK_EQ(parse(grown()), QY_CORRUPT);
}

static void deep_trees(void)
{
    for (unsigned depth = 31; depth <= 32; depth++) {
        plant(2, 2);
        memory();
        for (unsigned i = 0; i < depth; i++)
            begin("deeper");
        for (unsigned i = 0; i < depth; i++)
            end();
        CHECK_EQ(parse(grown()), depth == 31 ? QY_OK : QY_CORRUPT);
    }
}

static void which_cpus_count(void)
{
    plant(2, 2);
    begin_cpus();
    CELLS("timebase-frequency", 1000);
    cpu("cpu@0", 0, "riscv,sv39");
    end();
    cpu("cpu@5", 5, "riscv,sv48");
    end();
    cpu("cpu@6", 6, "riscv,sv57");
    text("status", "disabled");
    end();
    cpu("cpu@7", 7, "riscv,sv57");
    text("status", "okay");
    end();
    cpu("cpu@9", 7, "riscv,sv57"); /* there already */
    end();
    begin("cpu@a"); /* without a number */
    text("device_type", "cpu");
    text("mmu-type", "riscv,sv48");
    end();
    begin("cpu@8"); /* without an MMU */
    text("device_type", "cpu");
    CELLS("reg", 8);
    end();
    begin("cpu-map");
    end();
    end();
    CHECK_EQ(qy_fdt_topology(grown(), &topology), QY_OK);
    CHECK_EQ(topology.cpu_count, 2);
    CHECK_EQ(topology.cpus[0].hardware_id, 5);
    CHECK_EQ(topology.cpus[1].hardware_id, 7);
    CHECK(topology.complaint && strstr(topology.complaint, "without a number"));
    CHECK_EQ(topology.node_count, 1);
    CHECK_EQ(topology.timebase_hz, 1000);
    CHECK_EQ(topology.uart.raw, 0);
    CHECK_EQ(topology.test_finisher.raw, 0);

    plant(2, 2);
    begin_cpus();
    cpu("cpu@0", 0, "riscv,sv39");
    end();
    end();
    CHECK_EQ(qy_fdt_topology(grown(), &topology), QY_NOT_FOUND);
    check_topology(QY_NOT_FOUND, &topology);
}

static void more_cpus_than_fit(void)
{
    plant(2, 2);
    begin_cpus();
    for (uint32_t i = 0; i < QY_TOPOLOGY_CPUS + 88; i++) {
        cpu("cpu", i, "riscv,sv48");
        end();
    }
    end();
    CHECK_EQ(qy_fdt_topology(grown(), &topology), QY_OK);
    CHECK_EQ(topology.cpu_count, QY_TOPOLOGY_CPUS);
    CHECK(topology.complaint && strstr(topology.complaint, "CPUs"));
}

/* A node of memory, and one CPU, in a domain each. */
static void machine_of(unsigned nodes, const uint32_t *domains)
{
    plant(2, 2);
    begin_cpus();
    cpu("cpu@0", 0, "riscv,sv48");
    end();
    for (unsigned i = 0; i < nodes; i++) {
        cpu("cpu", i + 1, "riscv,sv48");
        CELLS("numa-node-id", domains[i]);
        end();
    }
    end();
    for (unsigned i = 0; i < nodes; i++) {
        begin("memory");
        CELLS("reg", i + 1, 0, 0, 0x10000000);
        CELLS("numa-node-id", domains[i]);
        end();
    }
}

static void nodes_are_in_the_order_of_their_domains(void)
{
    if (QY_TOPOLOGY_NODES < 3 || QY_TOPOLOGY_CPUS < 4)
        SKIP("built for fewer nodes or CPUs");
    static const uint32_t domains[] = {700, 3, 50};
    machine_of(3, domains);
    begin("distance-map");
    text("compatible", "numa-distance-map-v1");
    CELLS("distance-matrix", 3, 50, 21, 700, 3, 30, 3, 3, 10);
    end();
    CHECK_EQ(qy_fdt_topology(grown(), &topology), QY_OK);
    CHECK_EQ(topology.node_count, 3);
    CHECK_EQ(topology.domain_of[0], 3);
    CHECK_EQ(topology.domain_of[1], 50);
    CHECK_EQ(topology.domain_of[2], 700);
    CHECK_EQ(topology.cpus[0].node, 0); /* in no domain: the first node */
    CHECK_EQ(topology.cpus[1].node, 2);
    CHECK_EQ(topology.cpus[2].node, 0);
    CHECK_EQ(topology.cpus[3].node, 1);
    CHECK_EQ(topology.ranges[0].node, 2);
    CHECK_EQ(topology.distance[0][1], 21);
    CHECK_EQ(topology.distance[1][0], 21);
    CHECK_EQ(topology.distance[2][0], 30);
    CHECK_EQ(topology.distance[1][2], 20);
    CHECK(topology.distances_known);
    check_topology(QY_OK, &topology);
}

static void distances_that_break_their_rules(void)
{
    if (QY_TOPOLOGY_NODES < 2)
        SKIP("built for one node");
    static const uint32_t domains[] = {0, 1};
    static const uint32_t wrong[][6] = {{0, 0, 11, 0, 1, 20}, /* not 10 to itself */
                                        {0, 1, 20, 1, 0, 21}, /* not symmetric */
                                        {0, 1, 9, 1, 0, 9},   /* nearer than itself */
                                        {0, 1, 256, 1, 0, 256}};

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const uint32_t *w = wrong[i];
        machine_of(2, domains);
        begin("distance-map");
        text("compatible", "numa-distance-map-v1");
        CELLS("distance-matrix", w[0], w[1], w[2], w[3], w[4], w[5]);
        end();
        CHECK_EQ(qy_fdt_topology(grown(), &topology), QY_OK);
        CHECK(topology.complaint && !topology.distances_known);
        CHECK_EQ(topology.node_count, 2);
        CHECK_EQ(topology.distance[0][1], 20);
        check_topology(QY_OK, &topology);
    }
    machine_of(2, domains);
    begin("distance-map");
    text("compatible", "numa-distance-map-v1");
    CELLS("distance-matrix", 0, 1);
    end();
    CHECK_EQ(qy_fdt_topology(grown(), &topology), QY_OK);
    CHECK(topology.complaint && !topology.distances_known);
}

static void more_nodes_than_fit(void)
{
    if (QY_TOPOLOGY_CPUS < QY_TOPOLOGY_NODES + 2)
        SKIP("built for fewer CPUs than nodes");
    uint32_t domains[QY_TOPOLOGY_NODES + 1];
    for (unsigned i = 0; i <= QY_TOPOLOGY_NODES; i++)
        domains[i] = i * 3;
    for (unsigned nodes = QY_TOPOLOGY_NODES; nodes <= QY_TOPOLOGY_NODES + 1; nodes++) {
        machine_of(nodes, domains);
        CHECK_EQ(qy_fdt_topology(grown(), &topology), QY_OK);
        CHECK_EQ(topology.node_count, nodes == QY_TOPOLOGY_NODES ? nodes : 1);
        CHECK_EQ(topology.complaint != NULL, nodes > QY_TOPOLOGY_NODES);
        CHECK_EQ(topology.cpu_count, nodes + 1);
        check_topology(QY_OK, &topology);
    }
    machine_of(QY_TOPOLOGY_NODES, domains); /* one more, of memory alone */
    begin("memory");
    CELLS("reg", 100, 0, 0, 0x10000000);
    CELLS("numa-node-id", 1000);
    end();
    CHECK_EQ(qy_fdt_topology(grown(), &topology), QY_OK);
    CHECK_EQ(topology.node_count, 1);
    CHECK(topology.complaint != NULL);
}

static void nodes_whose_memory_overlaps(void)
{
    plant(2, 2);
    begin_cpus();
    cpu("cpu@0", 0, "riscv,sv48");
    end();
    end();
    for (uint32_t i = 0; i < 2; i++) {
        begin("memory");
        CELLS("reg", 0, 0x80000000 + i * 0x1000, 0, 0x2000);
        CELLS("numa-node-id", i);
        end();
    }
    CHECK_EQ(qy_fdt_topology(grown(), &topology), QY_OK);
    CHECK_EQ(topology.node_count, 1);
    CHECK(topology.complaint);
}

static void uart(const char *name, uint32_t address, const char *compatible)
{
    begin(name);
    CELLS("reg", 0, address, 0, 0x100);
    text("compatible", compatible);
}

static void which_uart(void)
{
    plant(2, 2);
    begin_cpus();
    cpu("cpu@0", 0, "riscv,sv48");
    end();
    end();
    begin("aliases");
    text("serial0", "/soc/serial@3000");
    end();
    begin("chosen");
    text("stdout-path", "serial0:115200n8");
    end();
    begin("soc");
    CELLS("#address-cells", 2);
    CELLS("#size-cells", 2);
    CELLS("ranges", 0, 0x1000, 1, 0x10001000, 0,
          0x4000); /* 0x1000.. of the bus is 0x110001000.. of the CPU */
    property("compatible", "a\0simple-bus", 13);
    uart("serial@1000", 0x1000, "ns16550a");
    CELLS("reg-shift", 2); /* registers four bytes apart */
    end();
    uart("serial@2000", 0x2000, "ns16550a");
    end();
    begin("serial@3000");
    CELLS("reg", 0, 0x3000, 0, 0x100);
    property("compatible", "maker,uart\0ns16550a", 20);
    end();
    uart("serial@9000", 0x9000, "ns16550a"); /* outside what the bus shows */
    end();
    begin("test@2000");
    CELLS("reg", 0, 0x2000, 0, 0x100);
    property("compatible", "sifive,test1\0sifive,test0\0syscon", 33);
    end();
    end();
    struct qy_bytes bytes = grown();
    CHECK_EQ(qy_fdt_topology(bytes, &topology), QY_OK);
    CHECK_EQ(topology.uart.raw, 0x110003000);
    CHECK_EQ(topology.test_finisher.raw, 0x110002000);

    for (size_t i = STRUCTURE_AT; i + 16 < bytes.count; i++)
        if (memcmp(tree + i, "/soc/serial@3000", 16) == 0)
            tree[i + 12] = '7'; /* a console that is not there: the first that will do */
    CHECK_EQ(qy_fdt_topology(bytes, &topology), QY_OK);
    CHECK_EQ(topology.uart.raw, 0x110002000);
}

static void hart(const char *name, uint32_t id, uint32_t phandle)
{
    cpu(name, id, "riscv,sv48");
    begin("interrupt-controller");
    CELLS("phandle", phandle);
    end();
    end();
}

/* Harts 0, 3 and 5 with controllers 10, 13 and 15, and a bus whose addresses are 0x40000000 too low. */
static void plant_harts(void)
{
    plant(2, 2);
    begin_cpus();
    hart("cpu@0", 0, 10);
    hart("cpu@3", 3, 13);
    hart("cpu@5", 5, 15);
    end();
    begin("soc");
    CELLS("#address-cells", 1);
    CELLS("#size-cells", 1);
    CELLS("ranges", 0, 0, 0x40000000, 0x20000000);
}

static void interrupt_controllers(void)
{
    plant_harts();
    begin("plic@1000000");
    text("compatible", "riscv,plic0");
    CELLS("reg", 0x1000000, 0x400000);
    CELLS("riscv,ndev", 53);
    CELLS("interrupts-extended", 10, 11, 13, 11, 13, 9, 10, 9, 99, 9);
    end();
    begin("plic@2000000"); /* a second one is not used, and not given away */
    text("compatible", "riscv,plic0");
    CELLS("reg", 0x2000000, 0x400000);
    CELLS("riscv,ndev", 9);
    CELLS("interrupts-extended", 15, 9);
    end();
    begin("clint");
    text("compatible", "riscv,clint0");
    text("status", "disabled"); /* by the firmware, for itself */
    CELLS("reg", 0x3000000, 0x10000, 0x3020000, 0x1000);
    end();
    end();
    CHECK_EQ(qy_fdt_topology(grown(), &topology), QY_OK);
    CHECK_EQ(topology.plic.raw, 0x41000000);
    CHECK_EQ(topology.plic_bytes, 0x400000);
    CHECK_EQ(topology.plic_sources, 53);
    CHECK_EQ(topology.cpus[0].plic_context, 3);
    CHECK_EQ(topology.cpus[1].plic_context, 2);
    CHECK_EQ(topology.cpus[2].plic_context, QY_TOPOLOGY_NO_CONTEXT);
    CHECK(qy_topology_keeps(&topology, 0x42000000, 0x400000));
    CHECK(qy_topology_keeps(&topology, 0x43000000, 0x10000));
    CHECK(qy_topology_keeps(&topology, 0x43020000, 0x1000));
    CHECK_EQ(topology.kept_count, 4);
    CHECK(!topology.complaint && !topology.aplic);
}

static void interrupt_controllers_that_cannot_be_used(void)
{
    plant_harts();
    begin("plic"); /* does not say what is connected */
    text("compatible", "sifive,plic-1.0.0");
    CELLS("reg", 0x1000000, 0x400000);
    end();
    begin("aplic");
    text("compatible", "riscv,aplic");
    CELLS("reg", 0x5000000, 0x8000);
    end();
    begin("elsewhere"); /* outside what the bus shows */
    text("compatible", "riscv,plic0");
    CELLS("reg", 0x30000000, 0x400000);
    end();
    end();
    CHECK_EQ(qy_fdt_topology(grown(), &topology), QY_OK);
    CHECK_EQ(topology.plic.raw, 0);
    CHECK(topology.aplic);
    CHECK(topology.complaint && strstr(topology.complaint, "PLIC"));
    CHECK(qy_topology_keeps(&topology, 0x45000000, 0x8000));
    CHECK_EQ(topology.kept_count, 2);
}

/* A UART on a bus that shows [0x2000, 0x3000), or nothing for address 0; sizes of that many cells. */
static uint64_t uart_at(uint32_t address, uint32_t size_cells)
{
    plant(2, 2);
    begin("bus");
    CELLS("#address-cells", 1);
    CELLS("#size-cells", size_cells);
    if (size_cells == 1 && address != 0)
        CELLS("ranges", 0x2000, 0, 0x70000000, 0x1000);
    else if (address != 0)
        CELLS("ranges", 0x2000, 0, 0x70000000, 0, 0, 0x1000);
    begin("serial");
    text("compatible", "ns16550a");
    if (size_cells == 1)
        CELLS("reg", address, 0x100);
    else
        CELLS("reg", address);
    end();
    end();
    (void)!qy_fdt_topology(grown(), &topology);
    return topology.uart.raw;
}

static void buses(void)
{
    CHECK_EQ(uart_at(0x2000, 1), 0x70000000);
    CHECK_EQ(uart_at(0x2fff, 1), 0x70000fff);
    CHECK_EQ(uart_at(0x3000, 1), 0);
    CHECK_EQ(uart_at(0x1fff, 1), 0);
    CHECK_EQ(uart_at(0, 1), 0);      /* no ranges: the CPU sees nothing of this bus */
    CHECK_EQ(uart_at(0x2000, 0), 0); /* ranges of no size */
    CHECK_EQ(uart_at(0x2000, 3), 0); /* a size that no number of ours holds */
}

static void run(struct qy_bytes input)
{
    boot_before(&info);
    check_boot(qy_parse_fdt(input, paddr(0x1000), &info), &info);
    check_topology(qy_fdt_topology(input, &topology), &topology);
}

static void run_prefix(struct qy_bytes input)
{
    run(input);
    if (input.count < fdt_plain[0].count)
        CHECK_EQ(parse(input), QY_TRUNCATED);
}

/* Cut, and the total size in the header with it. */
static void run_cut(struct qy_bytes input)
{
    uint8_t *copy = copy_of(input.at, input.count);
    if (input.count >= 8) {
        store_be(copy + 4, input.count, 4);
        run((struct qy_bytes){copy, input.count});
    }
    free(copy);
}

static void damage(void)
{
    each_prefix(fdt_plain[0].at, fdt_plain[0].count, run_prefix);
    each_prefix(fdt_plain[0].at, fdt_plain[0].count, run_cut);
    each_corruption(fdt_plain[0].at, 3000, run);
    each_corruption(fdt_numa[0].at, fdt_numa[0].count, run);
}

static const struct test tests[] = {
    {"QEMU's tree, captured behind OpenSBI", from_qemu},
    {"QEMU's tree of four nodes, captured behind OpenSBI", nodes_from_qemu},
    {"a UEFI map goes before memory nodes", with_a_uefi_map},
    {"cell counts", cell_counts},
    {"which nodes are memory", memory_nodes},
    {"reservations, command line, archive, entropy", reservations_and_chosen},
    {"seeds of random numbers", seeds},
    {"a broken /chosen", broken_chosen},
    {"trees that break the format: an error of the right kind", broken_trees},
    {"32 levels of nodes, and one more", deep_trees},
    {"which CPUs count", which_cpus_count},
    {"more CPUs than there is room for: a complaint", more_cpus_than_fit},
    {"nodes are in the order of their domains", nodes_are_in_the_order_of_their_domains},
    {"distances that break their rules", distances_that_break_their_rules},
    {"as many nodes as there is room for, and one more", more_nodes_than_fit},
    {"nodes whose memory overlaps: one node", nodes_whose_memory_overlaps},
    {"which UART, and where the CPU sees it", which_uart},
    {"what a bus shows of its addresses", buses},
    {"interrupt controllers", interrupt_controllers},
    {"interrupt controllers that cannot be used", interrupt_controllers_that_cannot_be_used},
    {"every prefix, every byte damaged", damage},
};
TEST_MAIN(tests)
