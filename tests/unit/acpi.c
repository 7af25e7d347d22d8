/*
 * ACPI: the tables of SeaBIOS on QEMU, tables made by hand, and every way to cut or damage them.
 */
#include "../data/acpi_numa.h"
#include "../data/acpi_plain.h"
#include "result.h"

static struct qy_topology topology;

static enum qy_error parse_at(struct memory *memory, uint64_t rsdp)
{
    struct qy_reader reader = {memory_read, memory};
    enum qy_error error =
        qy_acpi_topology(&reader, paddr(rsdp), (struct qy_bytes){NULL, 0}, &topology);
    check_topology(error, &topology);
    return error;
}

static bool complained(const char *about)
{
    if (topology.complaint && strstr(topology.complaint, about))
        return true;
    printf("# complaint: %s\n", topology.complaint ? topology.complaint : "none");
    return false;
}

static void from_qemu(void)
{
    struct memory memory = MEMORY_OF(acpi_plain);
    CHECK_EQ(parse_at(&memory, acpi_plain[0].base), QY_OK);
    CHECK_EQ(topology.cpu_count, 1);
    CHECK_EQ(topology.node_count, 1);
    CHECK_EQ(topology.local_apic.raw, 0xfee00000);
    CHECK_EQ(topology.pm1a_control, 0x604);
    CHECK_EQ(topology.ioapic_count, 1);
    CHECK_EQ(topology.ioapics[0].base.raw, 0xfec00000);
    CHECK_EQ(topology.lines[0].number, 2); /* the interval timer's */
    CHECK_EQ(topology.sleep_type, 0);
    CHECK(!topology.complaint && !topology.distances_known);
    memory_free(&memory);
}

static void nodes_from_qemu(void)
{
    if (QY_TOPOLOGY_NODES < 4 || QY_TOPOLOGY_CPUS < 4)
        SKIP("built for fewer nodes or CPUs");
    static const uint8_t distance[4][4] = {
        {10, 12, 20, 25}, {12, 10, 14, 21}, {20, 14, 10, 15}, {25, 21, 15, 10}};
    struct memory memory = MEMORY_OF(acpi_numa);

    for (unsigned copied = 0; copied < 2; copied++) {
        struct qy_reader reader = {memory_read, &memory};
        struct qy_bytes copy = {memory.pieces[0].at, copied ? 20 : 0};
        paddr_t rsdp = paddr(copied ? 0 : acpi_numa[0].base);
        CHECK_EQ(qy_acpi_topology(&reader, rsdp, copy, &topology), QY_OK);
        CHECK_EQ(topology.cpu_count, 4);
        CHECK_EQ(topology.node_count, 4);
        CHECK_EQ(topology.range_count, 6);
        CHECK(topology.distances_known && !topology.complaint);
        for (unsigned i = 0; i < 4; i++) {
            CHECK_EQ(topology.cpus[i].node, i);
            for (unsigned k = 0; k < 4; k++)
                CHECK_EQ(topology.distance[i][k], distance[i][k]);
        }
        CHECK_EQ(topology.ranges[4].end, 0x180000000);
        CHECK(!topology.ranges[4].hotplug);
        CHECK_EQ(topology.ranges[5].base, 0x180000000);
        CHECK(topology.ranges[5].hotplug);
    }
    memory_free(&memory);
}

/* ---- tables made by hand ---- */

#define RSDP_AT 0xf0000ull
#define XSDT_AT 0x100000ull
#define RSDT_AT 0x110000ull
#define MADT_AT 0x200000ull
#define SRAT_AT 0x300000ull
#define SLIT_AT 0x400000ull
#define FADT_AT 0x500000ull
#define DSDT_AT 0x600000ull

static struct memory made;
static uint8_t table[65536];
static size_t table_bytes;

static uint8_t sum(const uint8_t *at, size_t count)
{
    uint8_t total = 0;
    for (size_t i = 0; i < count; i++)
        total = (uint8_t)(total + at[i]);
    return total;
}

/* A table: its signature, revision, and so many bytes in all to begin with. */
static void begin(const char *signature, uint8_t revision, size_t bytes)
{
    memset(table, 0, sizeof(table));
    memcpy(table, signature, 4);
    table[8] = revision;
    table_bytes = bytes;
}

static void put(uint64_t value, unsigned bytes)
{
    store_le(table + table_bytes, value, bytes);
    table_bytes += bytes;
}

static void finish(uint64_t at)
{
    store_le(table + 4, table_bytes, 4);
    table[9] = 0;
    table[9] = (uint8_t)-sum(table, table_bytes);
    memory_add(&made, at, table, table_bytes);
}

static void rsdp(uint8_t revision, uint64_t xsdt, uint32_t rsdt)
{
    uint8_t root[36] = "RSD PTR ";
    root[15] = revision;
    store_le(root + 16, rsdt, 4);
    store_le(root + 20, 36, 4);
    store_le(root + 24, xsdt, 8);
    root[8] = (uint8_t)-sum(root, 20);
    root[32] = (uint8_t)-sum(root, 36);
    memory_add(&made, RSDP_AT, root, revision >= 2 ? 36 : 20);
}

static void begin_madt(void)
{
    begin("APIC", 3, 44);
    store_le(table + 36, 0xfee00000, 4);
}

static void lapic(uint8_t id, uint32_t flags)
{
    put(0, 1), put(8, 1), put(id, 1), put(id, 1), put(flags, 4);
}

static void x2apic(uint32_t id, uint32_t flags)
{
    put(9, 1), put(16, 1), put(0, 2), put(id, 4), put(flags, 4), put(id, 4);
}

static void begin_srat(uint8_t revision)
{
    begin("SRAT", revision, 48);
}

static void lapic_node(uint8_t id, uint32_t domain, uint32_t flags)
{
    put(0, 1), put(16, 1), put(domain, 1), put(id, 1), put(flags, 4), put(0, 1),
        put(domain >> 8, 3), put(0, 4);
}

static void x2apic_node(uint32_t id, uint32_t domain, uint32_t flags)
{
    put(2, 1), put(24, 1), put(0, 2), put(domain, 4), put(id, 4), put(flags, 4), put(0, 8);
}

static void memory_node(uint64_t base, uint64_t length, uint32_t domain, uint32_t flags)
{
    put(1, 1), put(40, 1), put(domain, 4), put(0, 2), put(base, 8), put(length, 8), put(0, 4),
        put(flags, 4), put(0, 8);
}

static void slit(unsigned localities, const uint8_t *matrix)
{
    begin("SLIT", 1, 36);
    put(localities, 8);
    for (unsigned i = 0; i < localities * localities; i++)
        put(matrix[i], 1);
    finish(SLIT_AT);
}

/*
 * Root pointer and XSDT to all five places; a table that is not there is one that is out of reach.
 */
static void root(void)
{
    memory_free(&made);
    rsdp(2, XSDT_AT, 0);
    begin("XSDT", 1, 36);
    put(0, 8);              /* null */
    put(XSDT_AT, 8);        /* itself */
    put(MADT_AT + 1, 8);    /* inside another, unaligned */
    put(UINT64_MAX - 3, 8); /* wraps */
    put(MADT_AT, 8), put(SRAT_AT, 8), put(SLIT_AT, 8), put(FADT_AT, 8);
    finish(XSDT_AT);
}

static enum qy_error parse(void)
{
    return parse_at(&made, RSDP_AT);
}

static void two_cpus(void)
{
    begin_madt();
    lapic(0, 1);
    lapic(1, 1);
    finish(MADT_AT);
}

static void which_cpus_count(void)
{
    root();
    begin_madt();
    lapic(3, 1);
    lapic(4, 0);
    lapic(5, 2); /* can be plugged in later */
    lapic(0xff, 1);
    lapic(3, 1); /* there already */
    x2apic(300, 1);
    x2apic(3, 1);
    x2apic(UINT32_MAX, 1);
    x2apic(301, 2);
    put(5, 1), put(12, 1), put(0, 2), put(0xfeb00000, 8);
    put(200, 1), put(2, 1); /* of a type to come */
    finish(MADT_AT);
    CHECK_EQ(parse(), QY_OK);
    CHECK_EQ(topology.cpu_count, 2);
    CHECK_EQ(topology.cpus[0].hardware_id, 3);
    CHECK_EQ(topology.cpus[1].hardware_id, 300);
    CHECK_EQ(topology.local_apic.raw, 0xfeb00000);
    CHECK(!topology.complaint);
}

static void io_apic(uint32_t base, uint32_t first)
{
    put(1, 1), put(12, 1), put(9, 1), put(0, 1), put(base, 4), put(first, 4);
}

static void override(uint8_t source, uint32_t number, uint32_t flags)
{
    put(2, 1), put(10, 1), put(0, 1), put(source, 1), put(number, 4), put(flags, 2);
}

static void interrupt_lines(void)
{
    root();
    begin_madt();
    lapic(0, 1);
    io_apic(0xfec00000, 0);
    io_apic(0xfec10040, 24);
    override(0, 2, 0);    /* as the bus has it */
    override(9, 20, 0xf); /* level, low */
    override(5, 5, 0xd);  /* level, high */
    override(6, 6, 0x7);  /* edge, low */
    put(3, 1), put(8, 1), put(5, 2), put(23, 4);
    finish(MADT_AT);
    CHECK_EQ(parse(), QY_OK);
    CHECK_EQ(topology.ioapic_count, 2);
    CHECK_EQ(topology.ioapics[1].base.raw, 0xfec10040);
    CHECK_EQ(topology.ioapics[1].first, 24);
    static const struct qy_topology_line lines[] = {{2, false, false, false},
                                                    {20, true, true, false},
                                                    {5, true, false, false},
                                                    {6, false, true, false},
                                                    {23, false, false, true}};
    CHECK_EQ(topology.line_count, 5);
    for (unsigned i = 0; i < 5; i++) {
        CHECK_EQ(topology.lines[i].number, lines[i].number);
        CHECK_EQ(topology.lines[i].level, lines[i].level);
        CHECK_EQ(topology.lines[i].low, lines[i].low);
        CHECK_EQ(topology.lines[i].nmi, lines[i].nmi);
    }
    CHECK(qy_topology_keeps(&topology, 0xfec10000, 0x1000));
    CHECK(qy_topology_keeps(&topology, 0xfee00000, 0x100000)); /* messages to local APICs */
    CHECK(!qy_topology_keeps(&topology, 0xfed00000, 0x1000));
    CHECK(!topology.complaint);
}

static void broken_interrupt_lines(void)
{
    static const uint8_t types[] = {1, 2, 3}, needed[] = {12, 10, 8};
    for (unsigned i = 0; i < sizeof(types); i++) {
        root();
        begin_madt();
        lapic(0, 1);
        put(types[i], 1), put(needed[i] - 1u, 1), put(0, needed[i] - 3u);
        finish(MADT_AT);
        CHECK_EQ(parse(), QY_NOT_FOUND);
        CHECK(complained("MADT"));
    }
    root();
    begin_madt();
    lapic(0, 1);
    io_apic(0, 0);
    io_apic(0xfec00008, 0);
    finish(MADT_AT);
    CHECK_EQ(parse(), QY_OK);
    CHECK_EQ(topology.ioapic_count, 0);
    CHECK(complained("I/O APIC"));
    for (unsigned more = 0; more < 2; more++) {
        root();
        begin_madt();
        lapic(0, 1);
        for (unsigned i = 0; i < QY_TOPOLOGY_IOAPICS + more; i++)
            io_apic(0xfec00000 + i * 0x1000, i * 8);
        for (unsigned i = 0; i < QY_TOPOLOGY_LINES + more; i++)
            override(0, i, 0);
        finish(MADT_AT);
        CHECK_EQ(parse(), QY_OK);
        CHECK_EQ(topology.ioapic_count, QY_TOPOLOGY_IOAPICS);
        CHECK_EQ(topology.line_count, QY_TOPOLOGY_LINES);
        CHECK_EQ(topology.complaint != NULL, more);
        CHECK(qy_topology_keeps(&topology, 0xfec00000 + (QY_TOPOLOGY_IOAPICS - 1 + more) * 0x1000,
                                0x1000)); /* used or not */
    }
}

static void more_cpus_than_fit(void)
{
    for (uint32_t count = QY_TOPOLOGY_CPUS; count <= QY_TOPOLOGY_CPUS + 1; count++) {
        root();
        begin_madt();
        for (uint32_t i = 0; i < count; i++)
            x2apic(i, 1);
        finish(MADT_AT);
        CHECK_EQ(parse(), QY_OK);
        CHECK_EQ(topology.cpu_count, QY_TOPOLOGY_CPUS);
        CHECK_EQ(topology.complaint != NULL, count > QY_TOPOLOGY_CPUS);
    }
}

static void a_broken_madt(void)
{
    root();
    CHECK_EQ(parse(), QY_NOT_FOUND); /* none */
    CHECK(complained("MADT"));

    root();
    begin_madt();
    finish(MADT_AT);
    CHECK_EQ(parse(), QY_NOT_FOUND); /* no CPU in it */

    static const uint8_t lengths[] = {0, 1, 2, 7, 9, 255};
    for (unsigned i = 0; i < sizeof(lengths); i++) {
        root();
        begin_madt();
        lapic(0, 1);
        lapic(1, 1);
        table[53] = lengths[i]; /* of the second */
        finish(MADT_AT);
        CHECK_EQ(parse(), QY_NOT_FOUND);
        CHECK(complained("MADT"));
    }
    root();
    two_cpus();
    made.pieces[2].at[44 + 3] ^= 1; /* a wrong sum */
    CHECK_EQ(parse(), QY_NOT_FOUND);
    CHECK(complained("checksum"));
    root();
    two_cpus();
    store_le(made.pieces[2].at + 4, 0xffffffff, 4);
    CHECK_EQ(parse(), QY_NOT_FOUND);
    CHECK(complained("16 MiB"));
    store_le(made.pieces[2].at + 4, 0xfffff, 4);
    CHECK_EQ(parse(), QY_NOT_FOUND);
    CHECK(complained("beyond memory"));
    store_le(made.pieces[2].at + 4, 35, 4);
    CHECK_EQ(parse(), QY_NOT_FOUND);
    CHECK(complained("shorter"));
}

static void root_pointers(void)
{
    memory_free(&made);
    CHECK_EQ(parse(), QY_NOT_FOUND); /* out of reach */
    CHECK(complained("root pointer"));
    CHECK_EQ(parse_at(&made, 0), QY_NOT_FOUND);
    CHECK_EQ(parse_at(&made, UINT64_MAX - 7), QY_NOT_FOUND);

    root();
    two_cpus();
    made.pieces[0].at[9] ^= 1;
    CHECK_EQ(parse(), QY_NOT_FOUND); /* a wrong sum */
    made.pieces[0].at[9] ^= 1;
    made.pieces[0].at[30] ^= 1;
    CHECK_EQ(parse(), QY_NOT_FOUND); /* a wrong sum of its second half, and no RSDT */
    CHECK(complained("second half"));
    made.pieces[0].at[30] ^= 1;
    CHECK_EQ(parse(), QY_OK);
    made.pieces[0].count = 35;
    CHECK_EQ(parse(), QY_NOT_FOUND);
    made.pieces[0].count = 36;
    CHECK_EQ(parse(), QY_OK);

    for (uint8_t revision = 0; revision <= 2;
         revision += 2) { /* an RSDT, alone or beside a broken XSDT */
        memory_free(&made);
        rsdp(revision, XSDT_AT, RSDT_AT);
        begin("RSDT", 1, 36);
        put(0, 4), put(RSDT_AT, 4), put(MADT_AT, 4), put(0, 1);
        finish(RSDT_AT);
        begin("XSDT", 1, 36);
        finish(XSDT_AT);
        made.pieces[2].at[9] ^= 1;
        two_cpus();
        CHECK_EQ(parse(), QY_OK);
        CHECK_EQ(topology.cpu_count, 2);
        CHECK_EQ(topology.complaint != NULL, revision == 2);
    }
}

static void affinity(void)
{
    if (QY_TOPOLOGY_NODES < 2 || QY_TOPOLOGY_CPUS < 4)
        SKIP("built for fewer nodes or CPUs");
    root();
    begin_madt();
    lapic(0, 1);
    lapic(1, 1);
    x2apic(400, 1);
    x2apic(401, 1);
    finish(MADT_AT);
    begin_srat(3);
    lapic_node(0, 0x0a000001, 1);
    lapic_node(1, 7, 0);     /* not enabled */
    lapic_node(99, 1000, 1); /* no such CPU, so no such node */
    x2apic_node(400, 0x0a000001, 1);
    memory_node(0x100000, 0x100000, 7, 1);
    memory_node(0x200000, 0x100000, 0x0a000001, 3); /* hot-pluggable */
    memory_node(0x300000, 0x100000, 7, 5);          /* keeps its contents */
    memory_node(0x400000, 0x100000, 9, 0);          /* not enabled */
    memory_node(0x500000, 0, 8, 1);                 /* empty */
    memory_node(0x600001, 0x123, 7, 1);             /* no whole page: that is the map's affair */
    memory_node(0xfffffffffff00000, 0x100000, 7, 1);
    finish(SRAT_AT);
    CHECK_EQ(parse(), QY_OK);
    CHECK(!topology.complaint);
    CHECK_EQ(topology.node_count, 2);
    CHECK_EQ(topology.domain_of[0], 7);
    CHECK_EQ(topology.domain_of[1], 0x0a000001);
    CHECK_EQ(topology.cpus[0].node, 1);
    CHECK_EQ(topology.cpus[1].node, 0); /* in no domain */
    CHECK_EQ(topology.cpus[2].node, 1);
    CHECK_EQ(topology.cpus[3].node, 0);
    CHECK_EQ(topology.range_count, 5);
    CHECK(!topology.ranges[0].hotplug && topology.ranges[1].hotplug && topology.ranges[2].hotplug);
    CHECK_EQ(topology.ranges[1].node, 1);
    CHECK_EQ(topology.ranges[4].end, UINT64_MAX);
    CHECK_EQ(topology.distance[0][1], 20);
    CHECK(!topology.distances_known);

    root();
    two_cpus();
    begin_srat(1); /* domains of 8 bits, and rubbish beside them */
    lapic_node(0, 0x12345602, 1);
    memory_node(0, 0x1000, 0x77777702, 1);
    finish(SRAT_AT);
    CHECK_EQ(parse(), QY_OK);
    CHECK_EQ(topology.node_count, 1);
    CHECK_EQ(topology.domain_of[0], 2);
}

/*
 * What is wrong with the nodes means one node, a complaint, and that hot-pluggable memory is
 * still known.
 */
static void one_node(const char *about, uint32_t hotplug_ranges)
{
    finish(SRAT_AT);
    CHECK_EQ(parse(), QY_OK);
    CHECK(complained(about));
    CHECK_EQ(topology.node_count, 1);
    CHECK_EQ(topology.cpu_count, 2);
    CHECK_EQ(topology.cpus[1].node, 0);
    CHECK_EQ(topology.range_count, hotplug_ranges);
}

static void begin_broken_srat(void)
{
    root();
    two_cpus();
    begin_srat(3);
    memory_node(0x8000000, 0x1000000, 2, 3);
    lapic_node(1, 1, 1);
}

/* A build for one node has another reason. */
#define OR_MORE(about) (QY_TOPOLOGY_NODES < 2 ? "more nodes" : (about))

static void a_broken_srat(void)
{
    begin_broken_srat();
    memory_node(0x100000, 0x200000, 2, 1);
    memory_node(0x200000, 0x200000, 1, 1);
    one_node(OR_MORE("overlaps"), 1);
    begin_broken_srat();
    memory_node(0xfffffffffff00000, 0x200000, 2, 1);
    memory_node(0x100000, 0x100000, 2, 5);
    memory_node(0xffffffffffe00000, 0x800000, 2, 3);
    one_node(OR_MORE("wraps"), 3);
    CHECK(topology.ranges[2].hotplug && topology.ranges[2].end == UINT64_MAX);
    begin_broken_srat();
    for (uint32_t i = 0; i < QY_TOPOLOGY_NODES; i++)
        memory_node(i << 20, 1 << 20, i + 3, 1);
    for (uint32_t i = 0; i < QY_TOPOLOGY_RANGES; i++) /* found behind what is wrong, too */
        memory_node((uint64_t)(2 * i + 1000) << 20, 1 << 20, 2, i % 2 ? 3 : 5);
    one_node("more nodes", QY_TOPOLOGY_RANGES);
    CHECK_EQ(topology.ranges[QY_TOPOLOGY_RANGES - 1].base,
             (uint64_t)(2 * (QY_TOPOLOGY_RANGES - 2) + 1000) << 20);
    CHECK_EQ(topology.ranges[QY_TOPOLOGY_RANGES - 1].end,
             (uint64_t)(2 * (QY_TOPOLOGY_RANGES - 1) + 1001) << 20);
    begin_broken_srat();
    for (uint32_t i = 0; i < QY_TOPOLOGY_RANGES; i++)
        memory_node((uint64_t)(i + 1000) << 20, 1 << 20, 1, 1);
    one_node(OR_MORE("more ranges"), 1);
    static const uint8_t lengths[] = {0, 1, 15, 17, 255};
    for (unsigned i = 0; i < sizeof(lengths); i++) {
        begin_broken_srat();
        table[48 + 40 + 1] = lengths[i];
        one_node("wrong length", 1);
    }
    begin_broken_srat();
    table_bytes = 47;
    one_node("too short", 0);
    begin_broken_srat();
    finish(SRAT_AT);
    made.pieces[3].at[50] ^= 1;
    CHECK_EQ(parse(), QY_OK);
    CHECK(complained("checksum"));
    CHECK_EQ(topology.node_count, 1);
    CHECK_EQ(topology.cpu_count, 2);
}

static void two_nodes(void)
{
    root();
    two_cpus();
    begin_srat(3);
    lapic_node(0, 0, 1);
    lapic_node(1, 2, 1);
    finish(SRAT_AT);
}

static void distances(void)
{
    if (QY_TOPOLOGY_NODES < 2)
        SKIP("built for one node");
    static const uint8_t good[] = {10, 15, 21, 15, 10, 30, 21, 30, 10};
    static const struct {
        unsigned at;
        uint8_t value;
        const char *about;
    } wrong[] = {{0, 11, "itself"}, {4, 0, "itself"}, {2, 22, "symmetric"}, {3, 9, "below 10"}};
    uint8_t matrix[9];

    two_nodes();
    slit(3, good);
    CHECK_EQ(parse(), QY_OK);
    CHECK(topology.distances_known && !topology.complaint);
    CHECK_EQ(topology.distance[0][1], 21); /* domains 0 and 2 */
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        memcpy(matrix, good, 9);
        matrix[wrong[i].at] = wrong[i].value;
        two_nodes();
        slit(3, matrix);
        CHECK_EQ(parse(), QY_OK);
        CHECK(!topology.distances_known && complained(wrong[i].about));
        CHECK_EQ(topology.node_count, 2);
        CHECK_EQ(topology.distance[0][1], 20);
    }
    two_nodes();
    slit(2, good); /* not the domains that there are, and not symmetric by chance */
    CHECK_EQ(parse(), QY_OK);
    CHECK(!topology.distances_known && topology.complaint);
    for (unsigned square = 0; square < 3; square++) {
        static const uint64_t counts[] = {4, UINT64_MAX, 1ull << 32};
        two_nodes();
        begin("SLIT", 1, 36);
        put(counts[square], 8);
        put(0, 8);
        finish(SLIT_AT);
        CHECK_EQ(parse(), QY_OK);
        CHECK(!topology.distances_known && complained("square"));
    }
    two_nodes();
    begin("SLIT", 1, 36);
    finish(SLIT_AT);
    CHECK_EQ(parse(), QY_OK);
    CHECK(complained("too short"));
}

static void fadt(size_t bytes, uint32_t port, uint8_t space, uint64_t wide_port, uint32_t flags)
{
    root();
    two_cpus();
    begin("FACP", 3, 244);
    store_le(table + 40, DSDT_AT, 4);
    store_le(table + 64, port, 4);
    store_le(table + 112, flags, 4);
    table[172] = space;
    store_le(table + 176, wide_port, 8);
    table_bytes = bytes;
    finish(FADT_AT);
}

#define DSDT(...)                                                                                  \
    do {                                                                                           \
        const uint8_t aml_[] = {__VA_ARGS__};                                                      \
        begin("DSDT", 1, 36);                                                                      \
        for (unsigned i_ = 0; i_ < sizeof(aml_); i_++)                                             \
            put(aml_[i_], 1);                                                                      \
        finish(DSDT_AT);                                                                           \
    } while (0)

static bool off_is(uint16_t port, uint16_t type)
{
    CHECK_EQ(parse(), QY_OK);
    return topology.pm1a_control == port && topology.sleep_type == type;
}

static void power_off(void)
{
    fadt(244, 0x604, 0, 0, 0);
    DSDT(8, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 0, 0, 0);
    CHECK(off_is(0x604, 5));
    fadt(116, 0x604, 0, 0, 0); /* ACPI 1 */
    DSDT(8, '\\', '_', 'S', '5', '_', 0x12, 6, 4, 1, 0, 0, 0);
    CHECK(off_is(0x604, 1));
    fadt(244, 0x604, 1, 0xb004, 0);
    DSDT('_', 'S', '5', '_', 0x12, 0x46, 0, 4, 0, 0, 0, 0); /* a length of two bytes */
    CHECK(off_is(0xb004, 0));
    fadt(244, 0x604, 0, 0xb004, 0); /* control register in memory */
    DSDT('_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0);
    CHECK(off_is(0, 0));
    fadt(244, 0x604, 0, 0, 1u << 20); /* hardware-reduced: no such port */
    DSDT('_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 0, 0, 0);
    CHECK(off_is(0, 0));
    fadt(244, 0x10604, 0, 0, 0); /* no port has that number */
    DSDT('_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 0, 0, 0);
    CHECK(off_is(0, 0));
    fadt(115, 0x604, 0, 0, 0); /* a table that is too short */
    DSDT('_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 0, 0, 0);
    CHECK(off_is(0, 0));
    fadt(244, 0x604, 0, 0, 0); /* a name that is no package, one of 8, and then the package */
    DSDT('_', 'S', '5', '_', 0x14, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 8, '_', 'S', '5', '_',
         0x12, 6, 4, 0x0a, 7);
    CHECK(off_is(0x604, 7));
    fadt(244, 0x604, 0, 0, 0); /* no DSDT */
    CHECK(off_is(0, 0));

    static const uint8_t package[] = {'_', 'S', '5', '_', 0x12, 0xc6, 0, 0, 0, 4, 0x0a, 5};
    for (unsigned bytes = 0; bytes < sizeof(package); bytes++) { /* the DSDT ends inside it */
        fadt(244, 0x604, 0, 0, 0);
        begin("DSDT", 1, 36);
        for (unsigned i = 0; i < bytes; i++)
            put(package[i], 1);
        finish(DSDT_AT);
        CHECK(off_is(0, 0));
    }
    memory_free(&made);
}

/* Damage every byte of the tables that are read, with a right sum again each second time. */
static void run(struct memory *memory)
{
    (void)parse_at(memory, acpi_numa[0].base);
    for (unsigned i = 1; i < memory->count; i++) {
        uint8_t *at = memory->pieces[i].at, was = at[9];
        size_t count = memory->pieces[i].count;
        uint8_t wrong = sum(at, count);
        if (!wrong)
            continue;
        at[9] = (uint8_t)(at[9] - wrong);
        (void)parse_at(memory, acpi_numa[0].base);
        at[9] = was;
    }
}

static void run_prefix(struct memory *memory)
{
    (void)parse_at(memory, acpi_numa[0].base);
}

/* Cut a table, and the length in its header with it: only its entries can tell. */
static void cut_tables(struct memory *memory)
{
    for (unsigned p = 1; p < memory->count; p++) {
        uint8_t *whole = memory->pieces[p].at;
        size_t count = memory->pieces[p].count;
        for (size_t length = 36; length < count && length < 1000; length++) {
            uint8_t *copy = copy_of(whole, length);
            store_le(copy + 4, length, 4);
            copy[9] = (uint8_t)(copy[9] - sum(copy, length));
            memory->pieces[p].at = copy;
            memory->pieces[p].count = length;
            (void)parse_at(memory, acpi_numa[0].base);
            free(copy);
        }
        memory->pieces[p].at = whole;
        memory->pieces[p].count = count;
    }
}

static void damage(void)
{
    struct memory memory = MEMORY_OF(acpi_numa);
    each_memory_corruption(&memory, run);
    each_memory_prefix(&memory, run_prefix);
    cut_tables(&memory);
    memory_free(&memory);
}

static const struct test tests[] = {
    {"QEMU's tables, captured", from_qemu},
    {"QEMU's tables of four nodes, captured; the root pointer also as a copy", nodes_from_qemu},
    {"which CPUs count", which_cpus_count},
    {"interrupt lines", interrupt_lines},
    {"broken interrupt lines", broken_interrupt_lines},
    {"as many CPUs as there is room for, and one more", more_cpus_than_fit},
    {"a broken or missing MADT: NOT_FOUND, and why", a_broken_madt},
    {"root pointers, XSDT and RSDT", root_pointers},
    {"which node CPUs and memory belong to", affinity},
    {"a broken SRAT: one node, and why", a_broken_srat},
    {"distances, and a broken SLIT", distances},
    {"how to switch the machine off", power_off},
    {"every prefix, every byte damaged, sums made right again", damage},
};
TEST_MAIN(tests)
