/*
 * ACPI tables: finding one by its signature, and what each of the four that matter here says.
 *
 * A table is read whole and its checksum verified before anything in it is looked at; one that
 * fails is as good as absent, and complained about.
 */
#ifndef PLATFORM_ACPI_IMPL_H
#define PLATFORM_ACPI_IMPL_H

#include "topology_impl.h"

#define QY_ACPI_HEADER_BYTES 36u

/* The list of tables that the root pointer leads to. */
struct qy_acpi {
    const struct qy_reader *reader;
    struct qy_bytes list; /* entries of the XSDT or RSDT */
    unsigned entry_bytes; /* 8 or 4 */
};

/* Follow the root pointer. False: none, or broken; said in out->complaint. */
bool qy_acpi_open(const struct qy_reader *reader, paddr_t rsdp, struct qy_bytes rsdp_copy,
                  struct qy_acpi *acpi, struct qy_topology *out) QY_MUST_USE;

/*
 * The first sound table with that signature; at == null without one. A broken one is complained
 * about.
 */
struct qy_bytes qy_acpi_find(const struct qy_acpi *acpi, const char signature[4],
                             struct qy_topology *out);

/*
 * The table at an address, if it is sound and has that signature; else at == null.
 */
struct qy_bytes qy_acpi_table(const struct qy_reader *reader, uint64_t address,
                              const char signature[4], struct qy_topology *out);

/*
 * CPUs and the local APIC's address. False: the table is broken, and *out unchanged but for the
 * complaint.
 */
bool qy_acpi_madt(struct qy_bytes madt, struct qy_topology *out) QY_MUST_USE;

/* Nodes of CPUs and memory; one node if the table is broken. Without a table: at == null. */
void qy_acpi_srat(struct qy_bytes srat, struct qy_topology *out);

/* Distances; the default ones if the table is broken or absent. */
void qy_acpi_slit(struct qy_bytes slit, struct qy_topology *out);

/* How to switch the machine off. */
void qy_acpi_fadt(const struct qy_acpi *acpi, struct qy_bytes fadt, struct qy_topology *out);

#endif
