/*
 * ACPI tables that were dumped to files, away from their machine: the same SRAT and SLIT parsers,
 * but nobody follows pointers and there is no MADT (ACPI 6.5, sections 5.2.6, 5.2.16, 5.2.17).
 */
#include "acpi_impl.h"
#include <lib/string.h>

#define SRAT_BYTES 48u
#define LOCAL_APIC 0u
#define LOCAL_X2APIC 2u

const char *qy_acpi_dump_check(struct qy_bytes table, const char signature[4])
{
    uint8_t sum = 0;

    if (table.count < QY_ACPI_HEADER_BYTES)
        return "an ACPI table that is shorter than its header";
    if (memcmp(table.at, signature, 4) != 0)
        return "an ACPI table of another kind";
    uint32_t bytes = qy_load_le32(table.at + 4);
    if (bytes < QY_ACPI_HEADER_BYTES)
        return "an ACPI table that claims to be shorter than its header";
    if (bytes > table.count)
        return "an ACPI table that is cut off: its header claims more bytes than the file has";
    for (uint32_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + table.at[i]);
    return sum ? "an ACPI table with a wrong checksum" : NULL;
}

/* The table without what follows it in the file. */
static struct qy_bytes exact(struct qy_bytes table)
{
    if (table.at)
        table.count = qy_load_le32(table.at + 4);
    return table;
}

/* Every enabled processor of the SRAT; entries of wrong length are left to the SRAT's parser. */
static void add_cpus(struct qy_bytes srat, struct qy_topology *out)
{
    for (size_t offset = SRAT_BYTES; qy_bytes_hold(srat, offset, 2);
         offset += srat.at[offset + 1]) {
        const uint8_t *at = srat.at + offset;
        if (at[1] < 2 || !qy_bytes_hold(srat, offset, at[1]))
            return;
        if (at[0] == LOCAL_APIC && at[1] >= 16 && (at[4] & 1))
            qy_topology_add_cpu(out, at[3]);
        if (at[0] == LOCAL_X2APIC && at[1] >= 24 && (at[12] & 1))
            qy_topology_add_cpu(out, qy_load_le32(at + 8));
    }
}

void qy_acpi_dump_topology(struct qy_bytes srat, struct qy_bytes slit, struct qy_topology *out)
{
    srat = exact(srat);
    qy_topology_clear(out);
    if (srat.at)
        add_cpus(srat, out);
    qy_acpi_srat(srat, out);
    qy_acpi_slit(exact(slit), out);
}
