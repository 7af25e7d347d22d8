/*
 * The memory map that UEFI hands over (UEFI 2.10, section 7.2.3), after boot services were exited.
 *
 * Memory is taken as ours only when UEFI calls it free of every duty: a kind that boot services
 * leave behind, cacheable by write-back, not claimed by the runtime, not set aside for a
 * special purpose, not persistent, not hot-pluggable.
 */
#include "boot_info_impl.h"

#define DESCRIPTOR_BYTES_MIN 40u

#define ATTRIBUTE_WRITE_BACK (1ull << 3)
#define ATTRIBUTE_NON_VOLATILE (1ull << 15)
#define ATTRIBUTE_SPECIAL_PURPOSE (1ull << 18)
#define ATTRIBUTE_HOT_PLUGGABLE (1ull << 20)
#define ATTRIBUTE_RUNTIME (1ull << 63)

enum qy_mem_type qy_uefi_type(uint32_t type, uint64_t attributes)
{
    switch (type) {
    case 1: /* loader code */
    case 2: /* loader data */
    case 3: /* boot services code */
    case 4: /* boot services data */
    case 7: /* conventional memory */
        if (attributes & ATTRIBUTE_RUNTIME)
            return QY_MEM_FIRMWARE;
        if (attributes & ATTRIBUTE_SPECIAL_PURPOSE)
            return QY_MEM_SPECIAL;
        if (attributes & ATTRIBUTE_NON_VOLATILE)
            return QY_MEM_PERSISTENT;
        if (attributes & ATTRIBUTE_HOT_PLUGGABLE)
            return QY_MEM_HOTPLUG;
        return (attributes & ATTRIBUTE_WRITE_BACK) ? QY_MEM_USABLE : QY_MEM_RESERVED;
    case 5: /* runtime services code */
    case 6: /* runtime services data */
        return QY_MEM_FIRMWARE;
    case 8:
        return QY_MEM_BAD;
    case 9:
        return QY_MEM_ACPI_RECLAIM;
    case 10:
        return QY_MEM_ACPI_NVS;
    case 11: /* device registers */
    case 12: /* device ports */
        return QY_MEM_MMIO;
    case 14:
        return QY_MEM_PERSISTENT;
    case 15:
        return QY_MEM_UNACCEPTED;
    default:
        return QY_MEM_RESERVED;
    }
}

/* The end of that many pages; base, so that the range is empty, if they reach beyond 2^64. */
static uint64_t pages_end(uint64_t base, uint64_t pages)
{
    if (pages > UINT64_MAX >> QY_PAGE_SHIFT)
        return base;
    uint64_t end = qy_range_end(base, pages << QY_PAGE_SHIFT);
    return end < base ? base : end;
}

enum qy_error qy_uefi_ranges(struct qy_boot_parse *parse, struct qy_bytes map,
                             uint64_t descriptor_bytes)
{
    if (descriptor_bytes < DESCRIPTOR_BYTES_MIN || descriptor_bytes % 8)
        return qy_boot_fail(parse, QY_CORRUPT, "UEFI memory map: impossible descriptor size");
    if (map.count % descriptor_bytes)
        return qy_boot_fail(parse, QY_TRUNCATED, "UEFI memory map: ends inside a descriptor");

    for (size_t offset = 0; offset < map.count; offset += descriptor_bytes) {
        const uint8_t *at = map.at + offset;
        uint32_t type = qy_load_le32(at);
        uint64_t base = qy_load_le64(at + 8), pages = qy_load_le64(at + 24);
        qy_boot_add_range(parse, base, pages_end(base, pages),
                          qy_uefi_type(type, qy_load_le64(at + 32)), type);
    }
    if (parse->store)
        parse->out->uefi_map = true;
    return QY_OK;
}

enum qy_error qy_parse_uefi_map(struct qy_bytes map, uint64_t descriptor_bytes,
                                struct qy_boot_info *out)
{
    struct qy_boot_parse parse = {out, false};
    enum qy_error error = qy_uefi_ranges(&parse, map, descriptor_bytes);

    if (error)
        return error;
    parse.store = true;
    return qy_uefi_ranges(&parse, map, descriptor_bytes);
}
