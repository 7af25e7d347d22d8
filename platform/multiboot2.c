/*
 * Multiboot2's boot information (Multiboot2 specification 2.0, section 3.6).
 *
 *     total size, 0 | tag: type, size, data, pad to 8 | tag ... | tag 0 (end)
 *
 * The first pass checks every tag and finds out whether there is a UEFI map, which is then
 * preferred to the e820 copy: only it tells runtime services and special-purpose memory apart.
 */
#include "boot_info_impl.h"
#include <lib/string.h>

#define HEADER_BYTES 8u
#define TAG_BYTES 8u

enum tag_type {
    TAG_END = 0,
    TAG_COMMAND_LINE = 1,
    TAG_LOADER = 2,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
    TAG_RSDP_1 = 14,
    TAG_RSDP_2 = 15,
    TAG_UEFI_MAP = 17,
    TAG_UEFI_NOT_EXITED = 18,
};

struct multiboot2 {
    struct qy_boot_parse parse;
    struct qy_bytes info;
    bool has_map;
    bool has_uefi_map;
    bool has_rsdp_2;
};

static enum qy_error parse_module(struct multiboot2 *boot, struct qy_bytes tag)
{
    if (tag.count < TAG_BYTES + 8)
        return qy_boot_fail(&boot->parse, QY_CORRUPT, "Multiboot2: module tag too short");
    uint32_t base = qy_load_le32(tag.at + 8), end = qy_load_le32(tag.at + 12);
    struct qy_bytes name = qy_bytes_part(tag, 16, tag.count - 16);
    if (end < base)
        return qy_boot_fail(&boot->parse, QY_CORRUPT, "Multiboot2: module ends before it begins");
    if (!qy_bytes_terminated(name))
        return qy_boot_fail(&boot->parse, QY_CORRUPT, "Multiboot2: module name without an end");
    qy_boot_add_module(&boot->parse, base, end - base, name);
    return QY_OK;
}

static enum qy_error parse_memory_map(struct multiboot2 *boot, struct qy_bytes tag)
{
    if (tag.count < TAG_BYTES + 8)
        return qy_boot_fail(&boot->parse, QY_CORRUPT, "Multiboot2: memory map tag too short");
    uint32_t entry_bytes = qy_load_le32(tag.at + 8);
    if (entry_bytes < 24 || entry_bytes % 8 || (tag.count - 16) % entry_bytes)
        return qy_boot_fail(&boot->parse, QY_CORRUPT,
                            "Multiboot2: impossible memory map entry size");
    if (boot->parse.store && boot->has_uefi_map)
        return QY_OK;

    for (size_t offset = 16; offset < tag.count; offset += entry_bytes) {
        const uint8_t *at = tag.at + offset;
        uint64_t base = qy_load_le64(at);
        uint32_t type = qy_load_le32(at + 16);
        qy_boot_add_range(&boot->parse, base, qy_range_end(base, qy_load_le64(at + 8)),
                          qy_e820_type(type), type);
        boot->has_map = true;
    }
    return QY_OK;
}

static enum qy_error parse_uefi_map(struct multiboot2 *boot, struct qy_bytes tag)
{
    if (tag.count < TAG_BYTES + 8)
        return qy_boot_fail(&boot->parse, QY_CORRUPT, "Multiboot2: UEFI map tag too short");
    boot->has_uefi_map = true;
    boot->has_map = boot->has_map || tag.count > TAG_BYTES + 8;
    return qy_uefi_ranges(&boot->parse, qy_bytes_part(tag, 16, tag.count - 16),
                          qy_load_le32(tag.at + 8));
}

/* The copy of ACPI 2's root pointer is preferred to that of ACPI 1. */
static enum qy_error parse_rsdp(struct multiboot2 *boot, struct qy_bytes tag, bool version_2)
{
    struct qy_boot_info *out = boot->parse.out;
    uint32_t bytes = version_2 ? 36 : 20;

    if (tag.count < TAG_BYTES + bytes)
        return qy_boot_fail(&boot->parse, QY_CORRUPT, "Multiboot2: RSDP tag too short");
    boot->has_rsdp_2 = boot->has_rsdp_2 || version_2;
    if (boot->parse.store && version_2 == boot->has_rsdp_2) {
        memcpy(out->rsdp_copy, tag.at + TAG_BYTES, bytes);
        out->rsdp_copy_bytes = bytes;
    }
    return QY_OK;
}

static enum qy_error parse_text(struct multiboot2 *boot, struct qy_bytes tag, bool command_line)
{
    struct qy_boot_info *out = boot->parse.out;
    struct qy_bytes text = qy_bytes_part(tag, TAG_BYTES, tag.count - TAG_BYTES);

    if (!qy_bytes_terminated(text))
        return qy_boot_fail(&boot->parse, QY_CORRUPT,
                            command_line ? "Multiboot2: command line without an end"
                                         : "Multiboot2: loader name without an end");
    if (command_line)
        qy_boot_set_command_line(&boot->parse, text);
    else if (boot->parse.store)
        (void)qy_copy_text(out->loader, sizeof(out->loader), text);
    return QY_OK;
}

static enum qy_error parse_tag(struct multiboot2 *boot, uint32_t type, struct qy_bytes tag)
{
    switch (type) {
    case TAG_COMMAND_LINE:
    case TAG_LOADER:
        return parse_text(boot, tag, type == TAG_COMMAND_LINE);
    case TAG_MODULE:
        return parse_module(boot, tag);
    case TAG_MEMORY_MAP:
        return parse_memory_map(boot, tag);
    case TAG_RSDP_1:
    case TAG_RSDP_2:
        return parse_rsdp(boot, tag, type == TAG_RSDP_2);
    case TAG_UEFI_MAP:
        return parse_uefi_map(boot, tag);
    case TAG_UEFI_NOT_EXITED:
        return qy_boot_fail(&boot->parse, QY_UNSUPPORTED,
                            "Multiboot2: the loader has not exited UEFI's boot services");
    default:
        return QY_OK;
    }
}

static enum qy_error parse_tags(struct multiboot2 *boot)
{
    struct qy_bytes info = boot->info;
    size_t offset = HEADER_BYTES;

    for (;;) {
        if (!qy_bytes_hold(info, offset, TAG_BYTES))
            return qy_boot_fail(&boot->parse, QY_TRUNCATED, "Multiboot2: no end tag");
        uint32_t type = qy_load_le32(info.at + offset), size = qy_load_le32(info.at + offset + 4);
        if (size < TAG_BYTES)
            return qy_boot_fail(&boot->parse, QY_CORRUPT, "Multiboot2: tag of impossible size");
        if (!qy_bytes_hold(info, offset, size))
            return qy_boot_fail(&boot->parse, QY_TRUNCATED, "Multiboot2: tag beyond the end");
        if (type == TAG_END)
            return QY_OK;
        enum qy_error error = parse_tag(boot, type, qy_bytes_part(info, offset, size));
        if (error)
            return error;
        offset += size;
        size_t padding = -offset & 7;
        if (!qy_bytes_hold(info, offset, padding))
            return qy_boot_fail(&boot->parse, QY_TRUNCATED, "Multiboot2: no end tag");
        offset += padding;
    }
}

enum qy_error qy_parse_multiboot2(struct qy_bytes info, paddr_t at, struct qy_boot_info *out)
{
    struct multiboot2 boot = {.parse = {out, false}};

    if (info.count < HEADER_BYTES)
        return qy_boot_fail(&boot.parse, QY_TRUNCATED, "Multiboot2: no header");
    uint32_t total = qy_load_le32(info.at);
    if (total < HEADER_BYTES)
        return qy_boot_fail(&boot.parse, QY_CORRUPT, "Multiboot2: impossible total size");
    if (total > info.count)
        return qy_boot_fail(&boot.parse, QY_TRUNCATED, "Multiboot2: total size beyond the end");
    boot.info = qy_bytes_part(info, 0, total);

    enum qy_error error = parse_tags(&boot);
    if (error)
        return error;
    if (!boot.has_map)
        return qy_boot_fail(&boot.parse, QY_NOT_FOUND,
                            "Multiboot2: the loader passed no memory map");

    boot.parse.store = true;
    out->version = QY_BOOT_INFO_VERSION;
    out->path = QY_BOOT_MULTIBOOT2;
    qy_boot_add_reserved(&boot.parse, at.raw, total, QY_MEM_USABLE);
    return parse_tags(&boot);
}
