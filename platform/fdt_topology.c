/*
 * CPUs, NUMA nodes, distances and devices of a device tree.
 *
 * A CPU counts if it is enabled and translates by Sv48 or better. Distances come as triplets
 * (from, to, distance); a pair that stands in one direction only holds in both, one that is
 * missing is 20 (binding numa-distance-map-v1).
 */
#include "fdt_impl.h"
#include "topology_impl.h"
#include <lib/string.h>

static bool sv48_or_better(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk)
{
    return qy_fdt_lists(fdt, walk, "mmu-type", "riscv,sv48") ||
           qy_fdt_lists(fdt, walk, "mmu-type", "riscv,sv57");
}

/* The node that numa-node-id names; nowhere without one. False: too many nodes. */
static bool numa_node(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk,
                      struct qy_topology *out, uint16_t *node)
{
    uint64_t domain;

    *node = QY_TOPOLOGY_NOWHERE;
    if (!qy_fdt_number(fdt, walk, "numa-node-id", &domain))
        return true;
    return domain <= UINT32_MAX && qy_topology_node(out, (uint32_t)domain, node);
}

/* False: too many nodes. */
static bool read_cpu(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk,
                     struct qy_topology *out)
{
    struct qy_fdt_reg reg;
    uint64_t id, unused;
    bool bad;

    if (!qy_fdt_lists(fdt, walk, "device_type", "cpu") || !qy_fdt_enabled(fdt, walk))
        return true;
    if (!qy_fdt_reg(fdt, walk, &reg, &bad)) {
        qy_topology_complain(out, "a CPU without a number in the device tree stays off");
        return true;
    }
    qy_fdt_reg_entry(&reg, 0, &id, &unused);
    if (id > UINT32_MAX) {
        qy_topology_complain(out, "a CPU of a number beyond 32 bits stays off");
        return true;
    }
    if (!sv48_or_better(fdt, walk))
        return true;
    qy_topology_add_cpu(out, (uint32_t)id);
    struct qy_topology_cpu *cpu = qy_topology_cpu(out, (uint32_t)id);
    return !cpu || numa_node(fdt, walk, out, &cpu->node);
}

/* False: too many nodes or ranges. */
static bool read_memory(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk,
                        struct qy_topology *out)
{
    struct qy_fdt_reg reg;
    struct qy_bytes unused;
    uint64_t base, bytes;
    uint16_t node;
    bool bad, hotplug = qy_fdt_property(fdt, walk, walk->depth, "hotpluggable", &unused);

    if (!qy_fdt_enabled(fdt, walk) || !qy_fdt_reg(fdt, walk, &reg, &bad))
        return true;
    if (!numa_node(fdt, walk, out, &node))
        return false;
    for (unsigned i = 0; i < reg.count; i++) {
        qy_fdt_reg_entry(&reg, i, &base, &bytes);
        uint64_t end = qy_range_end(base, bytes);
        if (end > base && !qy_topology_add_range(out, base, end, node, hotplug))
            return false;
    }
    return true;
}

/* The first pass: nodes, CPUs, memory, time base. False: too many nodes or ranges. */
static bool read_cpus_and_memory(const struct qy_fdt *fdt, struct qy_topology *out)
{
    struct qy_fdt_walk walk = {0};
    bool fits = true;

    while (qy_fdt_next(fdt, &walk)) {
        bool in_cpus = walk.depth >= 1 && qy_fdt_named(&walk, 1, "cpus");
        if (in_cpus && walk.depth <= 2 && !out->timebase_hz)
            (void)qy_fdt_number(fdt, &walk, "timebase-frequency", &out->timebase_hz);
        if (in_cpus && walk.depth == 2)
            fits &= read_cpu(fdt, &walk, out);
        else if (walk.depth == 1 && (qy_fdt_lists(fdt, &walk, "device_type", "memory") ||
                                     qy_fdt_named(&walk, 1, "memory")))
            fits &= read_memory(fdt, &walk, out);
    }
    return fits;
}

static bool node_of_domain(const struct qy_topology *topology, uint32_t domain, uint32_t *node)
{
    for (*node = 0; *node < topology->node_count; ++*node)
        if (topology->domain_of[*node] == domain)
            return true;
    return false;
}

_Static_assert(QY_TOPOLOGY_NODES <= 64, "a row of the matrix is a word");

/* Null, or what is wrong. Distances of domains that have neither CPU nor memory are left out. */
static const char *read_distances(struct qy_bytes matrix, struct qy_topology *out)
{
    uint64_t given[QY_TOPOLOGY_NODES] = {0}; /* bit b of given[a]: the matrix has (a, b) */

    if (!matrix.count || matrix.count % 12)
        return "the distance matrix is not made of triplets: distances of 10 and 20 are assumed";
    for (size_t offset = 0; offset < matrix.count; offset += 12) {
        uint32_t a, b, distance = qy_load_be32(matrix.at + offset + 8);
        if (distance > UINT8_MAX)
            return "a distance is above 255: distances of 10 and 20 are assumed";
        if (!node_of_domain(out, qy_load_be32(matrix.at + offset), &a) ||
            !node_of_domain(out, qy_load_be32(matrix.at + offset + 4), &b))
            continue;
        out->distance[a][b] = (uint8_t)distance;
        given[a] |= 1ull << b;
        if (!(given[b] >> a & 1))
            out->distance[b][a] = (uint8_t)distance;
    }
    return qy_topology_check_distances(out);
}

/*
 * The value of stdout-path up to the options after ':', aliases resolved; empty if there is none.
 */
static struct qy_bytes console_path(const struct qy_fdt *fdt)
{
    struct qy_fdt_walk walk = {0};
    struct qy_bytes path = {NULL, 0}, target;
    char alias[32];

    while (!path.at && qy_fdt_next(fdt, &walk))
        if (walk.depth == 1 && qy_fdt_named(&walk, 1, "chosen"))
            (void)qy_fdt_property(fdt, &walk, 1, "stdout-path", &path);
    size_t length = 0;
    while (length < path.count && path.at[length] && path.at[length] != ':')
        length++;
    path.count = length;
    if (!length || path.at[0] == '/' || length >= sizeof(alias))
        return path;

    memcpy(alias, path.at, length);
    alias[length] = '\0';
    for (walk = (struct qy_fdt_walk){0}; qy_fdt_next(fdt, &walk);) {
        if (walk.depth != 1 || !qy_fdt_named(&walk, 1, "aliases") ||
            !qy_fdt_property(fdt, &walk, 1, alias, &target))
            continue;
        while (target.count && !target.at[target.count - 1])
            target.count--;
        return target;
    }
    return (struct qy_bytes){NULL, 0};
}

/* Byte-wide registers side by side, as the kernel's driver takes them. */
static bool is_plain_uart(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk)
{
    uint64_t value;

    if (!qy_fdt_lists(fdt, walk, "compatible", "ns16550a") &&
        !qy_fdt_lists(fdt, walk, "compatible", "ns16550"))
        return false;
    if (qy_fdt_number(fdt, walk, "reg-shift", &value) && value != 0)
        return false;
    return !qy_fdt_number(fdt, walk, "reg-io-width", &value) || value == 1;
}

/* What the firmware or the kernel drives: no program gets its registers. */
static bool is_kept(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk)
{
    static const char *const kept[] = {
        "riscv,plic0",       "sifive,plic-1.0.0",   "thead,c900-plic",   "riscv,aplic",
        "riscv,imsics",      "riscv,clint0",        "sifive,clint0",     "thead,c900-clint",
        "riscv,aclint-mswi", "riscv,aclint-mtimer", "riscv,aclint-sswi", "sifive,test0",
        "sifive,test1"};
    for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (qy_fdt_lists(fdt, walk, "compatible", kept[i]))
            return true;
    return false;
}

/* All of its registers, as its bus has them: the addresses of a bus that translates are the first entry's alone. */
static void keep_registers(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk,
                           struct qy_topology *out)
{
    struct qy_fdt_reg reg;
    uint64_t first, address, base, bytes;
    bool bad;

    if (!qy_fdt_cpu_address(fdt, walk, &address) || !qy_fdt_reg(fdt, walk, &reg, &bad))
        return;
    qy_fdt_reg_entry(&reg, 0, &first, &bytes);
    for (unsigned i = 0; i < reg.count; i++) {
        qy_fdt_reg_entry(&reg, i, &base, &bytes);
        qy_topology_keep(out, base - first + address, bytes);
    }
}

/*
 * The contexts of a PLIC are the entries of its interrupts-extended, in their order: the phandle of a hart's interrupt
 * controller, and the cause that it raises there.
 */
#define SUPERVISOR_EXTERNAL 9u

static void read_contexts(const struct qy_fdt *fdt, struct qy_bytes contexts,
                          struct qy_topology *out)
{
    struct qy_fdt_walk walk = {0};
    struct qy_topology_cpu *cpu = NULL;
    struct qy_fdt_reg reg;
    uint64_t id, unused, phandle;
    bool bad;

    while (qy_fdt_next(fdt, &walk)) {
        if (walk.depth < 2 || !qy_fdt_named(&walk, 1, "cpus"))
            continue;
        if (walk.depth == 2) {
            cpu = NULL;
            if (qy_fdt_reg(fdt, &walk, &reg, &bad)) {
                qy_fdt_reg_entry(&reg, 0, &id, &unused);
                cpu = id <= UINT32_MAX ? qy_topology_cpu(out, (uint32_t)id) : NULL;
            }
        }
        if (walk.depth != 3 || !cpu || !qy_fdt_number(fdt, &walk, "phandle", &phandle))
            continue;
        for (size_t i = 0; qy_bytes_hold(contexts, 8 * i, 8) && i < QY_TOPOLOGY_NO_CONTEXT; i++)
            if (qy_load_be32(contexts.at + 8 * i) == phandle &&
                qy_load_be32(contexts.at + 8 * i + 4) == SUPERVISOR_EXTERNAL)
                cpu->plic_context = (uint16_t)i;
    }
}

/* The first PLIC; devices of another one's are nobody's. */
static void read_plic(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk,
                      struct qy_topology *out)
{
    struct qy_fdt_reg reg;
    struct qy_bytes contexts;
    uint64_t address, unused, bytes, sources;
    bool bad;

    if (out->plic.raw || !qy_fdt_cpu_address(fdt, walk, &address) ||
        !qy_fdt_reg(fdt, walk, &reg, &bad))
        return;
    qy_fdt_reg_entry(&reg, 0, &unused, &bytes);
    if (address & QY_PAGE_MASK || bytes < QY_PAGE_BYTES || bytes > UINT64_MAX - address ||
        !qy_fdt_number(fdt, walk, "riscv,ndev", &sources) ||
        !qy_fdt_property(fdt, walk, walk->depth, "interrupts-extended", &contexts)) {
        qy_topology_complain(out, "a PLIC that does not say what is connected to it is not used");
        return;
    }
    out->plic = paddr(address);
    out->plic_bytes = bytes;
    out->plic_sources = sources < UINT32_MAX ? (uint32_t)sources : UINT32_MAX;
    read_contexts(fdt, contexts, out);
}

/* The second pass: devices and distances, once the nodes are known and in order. */
static void read_devices(const struct qy_fdt *fdt, struct qy_topology *out)
{
    struct qy_bytes console = console_path(fdt), matrix;
    struct qy_fdt_walk walk = {0};
    bool on_console = false;
    uint64_t address;

    while (qy_fdt_next(fdt, &walk)) {
        if (is_kept(fdt, &walk)) /* enabled or not */
            keep_registers(fdt, &walk, out);
        if (!qy_fdt_enabled(fdt, &walk))
            continue;
        out->aplic = out->aplic || qy_fdt_lists(fdt, &walk, "compatible", "riscv,aplic");
        if (qy_fdt_lists(fdt, &walk, "compatible", "riscv,plic0") ||
            qy_fdt_lists(fdt, &walk, "compatible", "sifive,plic-1.0.0"))
            read_plic(fdt, &walk, out);
        if (qy_fdt_lists(fdt, &walk, "compatible", "numa-distance-map-v1") &&
            qy_fdt_property(fdt, &walk, walk.depth, "distance-matrix", &matrix)) {
            const char *wrong = read_distances(matrix, out);
            if (wrong) {
                qy_topology_default_distances(out);
                qy_topology_complain(out, wrong);
            }
            out->distances_known = !wrong;
        } else if (is_plain_uart(fdt, &walk) && !on_console &&
                   qy_fdt_cpu_address(fdt, &walk, &address)) {
            on_console = qy_fdt_path_is(&walk, console);
            if (on_console || !out->uart.raw)
                out->uart = paddr(address);
        } else if ((qy_fdt_lists(fdt, &walk, "compatible", "sifive,test0") ||
                    qy_fdt_lists(fdt, &walk, "compatible", "sifive,test1")) &&
                   qy_fdt_cpu_address(fdt, &walk, &address)) {
            out->test_finisher = paddr(address);
        }
    }
    if (out->uart.raw) /* the firmware writes the console's text there */
        qy_topology_keep(out, out->uart.raw, 1);
}

enum qy_error qy_fdt_topology(struct qy_bytes bytes, struct qy_topology *out)
{
    struct qy_fdt fdt;
    const char *why = NULL;

    qy_topology_clear(out);
    enum qy_error error = qy_fdt_open(bytes, &fdt, &why);
    if (error) {
        qy_topology_one_node(out, why);
        return error;
    }
    if (!read_cpus_and_memory(&fdt, out))
        qy_topology_one_node(out, "more nodes or memory ranges than this build has room for "
                                  "(max_nodes): one node is assumed");
    else if (qy_topology_ranges_clash(out))
        qy_topology_one_node(out, "memory of two nodes overlaps: one node is assumed");
    else
        qy_topology_order_nodes(out);
    read_devices(&fdt, out);
    if (!out->cpu_count) {
        qy_topology_complain(out, "no enabled CPU with Sv48 in the device tree");
        return QY_NOT_FOUND;
    }
    return QY_OK;
}
