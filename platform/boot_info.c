/*
 * Filling a boot information structure; see boot_info_impl.h.
 */
#include "boot_info_impl.h"
#include <lib/string.h>

enum qy_error qy_boot_fail(struct qy_boot_parse *parse, enum qy_error error, const char *why)
{
    parse->out->why = why;
    return error;
}

static void overflow(struct qy_boot_info *out, const char *what)
{
    out->truncated = true;
    out->truncated_what = what;
}

void qy_boot_add_range(struct qy_boot_parse *parse, uint64_t base, uint64_t end,
                       enum qy_mem_type type, uint32_t firmware_type)
{
    struct qy_boot_info *out = parse->out;

    if (!parse->store)
        return;
    if (out->range_count >= QY_BOOT_RANGES) {
        overflow(out, "ranges of the firmware's memory map (map_ranges)");
        return;
    }
    out->ranges[out->range_count++] = (struct qy_range){
        .base = base, .end = end, .type = (uint32_t)type, .firmware_type = firmware_type};
}

void qy_boot_add_reserved(struct qy_boot_parse *parse, uint64_t base, uint64_t bytes,
                          enum qy_mem_type type)
{
    struct qy_boot_info *out = parse->out;
    uint32_t room = sizeof(out->reserved) / sizeof(out->reserved[0]);

    if (!parse->store || !bytes)
        return;
    if (out->reserved_count >= room) {
        overflow(out, "structures that the loader left in memory (64)");
        return;
    }
    out->reserved[out->reserved_count++] =
        (struct qy_range){.base = base, .end = qy_range_end(base, bytes), .type = type};
}

bool qy_copy_text(char *to, size_t room, struct qy_bytes from)
{
    size_t length = 0;

    for (; length < from.count && from.at[length]; length++) {
        if (length + 1 >= room) {
            to[length] = '\0';
            return false;
        }
        to[length] = (char)from.at[length];
    }
    to[length] = '\0';
    return true;
}

void qy_boot_add_module(struct qy_boot_parse *parse, uint64_t base, uint64_t bytes,
                        struct qy_bytes name)
{
    struct qy_boot_info *out = parse->out;

    if (!parse->store)
        return;
    if (out->module_count >= QY_BOOT_MODULES) {
        overflow(out, "modules (16)");
        return;
    }
    struct qy_boot_module *module = &out->modules[out->module_count++];
    *module = (struct qy_boot_module){.base = paddr(base), .bytes = bytes};
    (void)qy_copy_text(module->name, sizeof(module->name), name);
}

void qy_boot_set_command_line(struct qy_boot_parse *parse, struct qy_bytes text)
{
    struct qy_boot_info *out = parse->out;

    if (!parse->store)
        return;
    if (!qy_copy_text(out->command_line, sizeof(out->command_line), text))
        overflow(out, "characters of the command line (511)");
}

/* PVH and Multiboot2 use these numbers too (ACPI 6.5, table 15.4). */
enum qy_mem_type qy_e820_type(uint32_t type)
{
    switch (type) {
    case 1:
        return QY_MEM_USABLE;
    case 3:
        return QY_MEM_ACPI_RECLAIM;
    case 4:
        return QY_MEM_ACPI_NVS;
    case 5:
        return QY_MEM_BAD;
    case 7:
    case 12: /* what some firmware said before ACPI gave persistent memory number 7 */
        return QY_MEM_PERSISTENT;
    default:
        return QY_MEM_RESERVED;
    }
}
