/*
 * From the ACPI root pointer to the tables, and from the tables to the topology (ACPI 6.5,
 * sections 5.2.5 to 5.2.8).
 *
 *     RSDP --> XSDT (64-bit addresses) or RSDT (32-bit) --> MADT, SRAT, SLIT, FADT --> DSDT
 */
#include "acpi_impl.h"
#include <lib/string.h>

#define RSDP_1_BYTES 20u
#define RSDP_2_BYTES 36u

/* Longer tables are taken for broken: the DSDT of a large server has about 2 MiB. */
#define TABLE_BYTES_MAX (16u << 20)

static bool sums_to_zero(struct qy_bytes bytes)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < bytes.count; i++)
        sum = (uint8_t)(sum + bytes.at[i]);
    return sum == 0;
}

struct qy_bytes qy_acpi_table(const struct qy_reader *reader, uint64_t address,
                              const char signature[4], struct qy_topology *out)
{
    const struct qy_bytes none = {NULL, 0};
    struct qy_bytes header = qy_read(reader, paddr(address), QY_ACPI_HEADER_BYTES);

    if (!address || !header.at || memcmp(header.at, signature, 4) != 0)
        return none;
    uint32_t bytes = qy_load_le32(header.at + 4);
    if (bytes < QY_ACPI_HEADER_BYTES) {
        qy_topology_complain(out, "an ACPI table is shorter than its header says it must be");
        return none;
    }
    if (bytes > TABLE_BYTES_MAX) {
        qy_topology_complain(out, "an ACPI table claims more than 16 MiB");
        return none;
    }
    struct qy_bytes table = qy_read(reader, paddr(address), bytes);
    if (!table.at) {
        qy_topology_complain(out, "an ACPI table reaches beyond memory");
        return none;
    }
    if (!sums_to_zero(table)) {
        qy_topology_complain(out, "an ACPI table has a wrong checksum");
        return none;
    }
    return table;
}

/* The XSDT or RSDT at an address. */
static bool open_list(struct qy_acpi *acpi, uint64_t address, bool extended,
                      struct qy_topology *out)
{
    struct qy_bytes table = qy_acpi_table(acpi->reader, address, extended ? "XSDT" : "RSDT", out);

    if (!table.at)
        return false;
    acpi->entry_bytes = extended ? 8 : 4;
    acpi->list = qy_bytes_part(table, QY_ACPI_HEADER_BYTES, table.count - QY_ACPI_HEADER_BYTES);
    return true;
}

bool qy_acpi_open(const struct qy_reader *reader, paddr_t rsdp, struct qy_bytes rsdp_copy,
                  struct qy_acpi *acpi, struct qy_topology *out)
{
    struct qy_bytes root = rsdp_copy;

    *acpi = (struct qy_acpi){.reader = reader};
    if (!root.count && rsdp.raw)
        root = qy_read(reader, rsdp, RSDP_1_BYTES);
    if (root.count < RSDP_1_BYTES) {
        qy_topology_complain(out, "no ACPI root pointer, or one that is out of reach");
        return false;
    }
    if (memcmp(root.at, "RSD PTR ", 8) != 0 || !sums_to_zero(qy_bytes_part(root, 0, 20))) {
        qy_topology_complain(out, "the ACPI root pointer is broken");
        return false;
    }
    uint64_t rsdt = qy_load_le32(root.at + 16), xsdt = 0;
    if (root.at[15] >= 2) {
        if (!rsdp_copy.count)
            root = qy_read(reader, rsdp, RSDP_2_BYTES);
        if (root.count >= RSDP_2_BYTES && sums_to_zero(qy_bytes_part(root, 0, RSDP_2_BYTES)))
            xsdt = qy_load_le64(root.at + 24);
        else
            qy_topology_complain(out, "the ACPI root pointer's second half is broken");
    }
    if (open_list(acpi, xsdt, true, out) || open_list(acpi, rsdt, false, out))
        return true;
    qy_topology_complain(out, "the ACPI root pointer leads to no table");
    return false;
}

struct qy_bytes qy_acpi_find(const struct qy_acpi *acpi, const char signature[4],
                             struct qy_topology *out)
{
    for (size_t offset = 0; qy_bytes_hold(acpi->list, offset, acpi->entry_bytes);
         offset += acpi->entry_bytes) {
        const uint8_t *at = acpi->list.at + offset;
        uint64_t address = acpi->entry_bytes == 8 ? qy_load_le64(at) : qy_load_le32(at);
        struct qy_bytes table = qy_acpi_table(acpi->reader, address, signature, out);
        if (table.at)
            return table;
    }
    return (struct qy_bytes){NULL, 0};
}

enum qy_error qy_acpi_topology(const struct qy_reader *reader, paddr_t rsdp,
                               struct qy_bytes rsdp_copy, struct qy_topology *out)
{
    struct qy_acpi acpi;

    qy_topology_clear(out);
    if (!qy_acpi_open(reader, rsdp, rsdp_copy, &acpi, out)) {
        qy_topology_order_nodes(out);
        return QY_NOT_FOUND;
    }
    struct qy_bytes madt = qy_acpi_find(&acpi, "APIC", out);
    bool has_cpus = madt.at && qy_acpi_madt(madt, out) && out->cpu_count;
    if (!has_cpus)
        qy_topology_complain(out, "no sound ACPI table of processors (MADT)");
    qy_acpi_srat(qy_acpi_find(&acpi, "SRAT", out), out);
    qy_acpi_slit(qy_acpi_find(&acpi, "SLIT", out), out);
    qy_acpi_fadt(&acpi, qy_acpi_find(&acpi, "FACP", out), out);
    return has_cpus ? QY_OK : QY_NOT_FOUND;
}
