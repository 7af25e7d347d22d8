/*
 * Parsers of what firmware and loaders pass: pure functions over bytes with a length.
 *
 * None trusts a byte: offsets, lengths, counts and strings are checked before use, and every prefix or corruption
 * of an input gives an error, never a read outside it. They are tested and fuzzed on the host.
 */
#ifndef PLATFORM_PARSE_H
#define PLATFORM_PARSE_H

#include <platform/elf.h>
#include <platform/topology.h>
#include <qy/boot_info.h>

/*
 * The bytes of `count` at a physical address, or null if they cannot be reached; given by the caller, so that the
 * parsers run anywhere.
 */
struct qy_reader {
    const void *(*read)(void *context, paddr_t address, uint64_t count);
    void *context;
};

/*
 * The four that fill a boot information structure add to what the caller zeroed, or another parser filled. A failed one
 * has changed nothing but out->why, which says what was wrong. Structures that the loader left in usable memory are
 * noted in out->reserved (reserve the modules before them: a loader may list a module there too).
 */

/* Multiboot2's information structure. Fills ranges (from tag 17, the UEFI map, if there is one, else tag 6), modules,
 * command line, loader, RSDP. `at` is its physical address, noted as reserved. Errors: CORRUPT, TRUNCATED,
 * NOT_FOUND (no memory map), UNSUPPORTED (UEFI's boot services still run). */
enum qy_error qy_parse_multiboot2(struct qy_bytes info, paddr_t at,
                                  struct qy_boot_info *out) QY_MUST_USE;

/* Xen's PVH start info: modules, command line, memory map, RSDP. Errors: CORRUPT, TRUNCATED, NOT_FOUND (empty memory
 * map), UNSUPPORTED (version 0, which has no memory map). */
enum qy_error qy_parse_pvh(const struct qy_reader *reader, paddr_t start_info,
                           struct qy_boot_info *out) QY_MUST_USE;

/* Descriptors of a UEFI memory map, after boot services were exited, appended to out->ranges; sets out->uefi_map.
 * Errors: CORRUPT (descriptor size), TRUNCATED. */
enum qy_error qy_parse_uefi_map(struct qy_bytes map, uint64_t descriptor_bytes,
                                struct qy_boot_info *out) QY_MUST_USE;

/* A flattened device tree: memory (unless out->uefi_map is set), reservations, initrd, command line, entropy.
 * Errors: CORRUPT, TRUNCATED, NOT_FOUND (no memory). */
enum qy_error qy_parse_fdt(struct qy_bytes fdt, paddr_t at, struct qy_boot_info *out) QY_MUST_USE;

/* Length that the header of a device tree claims; 0 if it is none. */
size_t qy_fdt_bytes(const uint8_t header[8]);

/* CPUs (enabled, with Sv48 or better), NUMA ids, distances, devices of a device tree. Errors: CORRUPT, TRUNCATED,
 * NOT_FOUND (no CPU); out->complaint says what was wrong, and *out has one node and no CPU then. */
enum qy_error qy_fdt_topology(struct qy_bytes fdt, struct qy_topology *out) QY_MUST_USE;

/* MADT, SRAT, SLIT, FADT (and _S5 of the DSDT), from the RSDP at that address or in those bytes (if count != 0).
 * A broken SRAT falls back to one node, a broken SLIT to the distances 10 and 20, both with a complaint; NOT_FOUND when
 * there is no usable MADT, and *out has no CPU then. */
enum qy_error qy_acpi_topology(const struct qy_reader *reader, paddr_t rsdp,
                               struct qy_bytes rsdp_copy, struct qy_topology *out) QY_MUST_USE;

/*
 * The first stretch of device memory at or above *base, in whole pages below limit: what neither a range of the map, of
 * whatever type, nor memory of the topology, nor registers that are kept cover. False: there is none.
 */
bool qy_device_range(const struct qy_boot_info *info, const struct qy_topology *topology,
                     uint64_t limit, uint64_t *base, uint64_t *end) QY_MUST_USE;

/* A table dumped to a file (/sys/firmware/acpi/tables/SRAT): null if it is a sound table of that signature, else a
 * sentence that says what is wrong. */
const char *qy_acpi_dump_check(struct qy_bytes table, const char signature[4]);

/* CPUs, nodes and distances from an SRAT and an SLIT, each sound or absent (at == null). Without a MADT, every enabled
 * processor of the SRAT counts. Falls back as qy_acpi_topology does. */
void qy_acpi_dump_topology(struct qy_bytes srat, struct qy_bytes slit, struct qy_topology *out);

/* Memory type of an e820 entry, and of a descriptor of a UEFI memory map after boot services were exited. */
enum qy_mem_type qy_e820_type(uint32_t type);
enum qy_mem_type qy_uefi_type(uint32_t type, uint64_t attributes);

/* A file in a cpio archive ("newc"). */
struct qy_file {
    const char *name; /* in the archive, terminated there */
    struct qy_bytes data;
};

/* The regular file at *offset (start with 0), or the next one; advances it. qy_cpio_find takes and finds names with or
 * without "./" before them. Errors: NOT_FOUND (end), CORRUPT, TRUNCATED; nothing has changed then. */
enum qy_error qy_cpio_next(struct qy_bytes archive, size_t *offset,
                           struct qy_file *out) QY_MUST_USE;
enum qy_error qy_cpio_find(struct qy_bytes archive, const char *name,
                           struct qy_file *out) QY_MUST_USE;

/* A word "name" or "name=value" of a command line: true if there, value copied (cut to fit, "" if it has none). The
 * last such word counts. */
bool qy_option(const char *command_line, const char *name, char *value, size_t bytes);

#endif
