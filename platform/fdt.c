/*
 * Memory, reservations, initial archive, command line and entropy of a device tree.
 *
 * The reservation block of the header says what must not be overwritten, but is memory (the
 * tree itself, the initial archive): it is noted as reserved. The children of /reserved-memory
 * belong to the firmware: they are ranges of the map, of type RESERVED, and win over the memory
 * that they lie in.
 */
#include "boot_info_impl.h"
#include "fdt_impl.h"
#include <lib/string.h>

struct tree {
    struct qy_boot_parse parse;
    struct qy_fdt fdt;
    bool skip_memory; /* the ranges come from a UEFI map */
    bool has_memory;
};

static enum qy_error add_ranges(struct tree *tree, const struct qy_fdt_walk *walk,
                                enum qy_mem_type type, const char *why)
{
    struct qy_fdt_reg reg;
    uint64_t base, bytes;
    bool bad;

    if (!qy_fdt_reg(&tree->fdt, walk, &reg, &bad))
        return bad ? qy_boot_fail(&tree->parse, QY_CORRUPT, why) : QY_OK;
    for (unsigned i = 0; i < reg.count; i++) {
        qy_fdt_reg_entry(&reg, i, &base, &bytes);
        if (!bytes)
            continue;
        qy_boot_add_range(&tree->parse, base, qy_range_end(base, bytes), type, 0);
        tree->has_memory = tree->has_memory || type == QY_MEM_USABLE;
    }
    return QY_OK;
}

static bool is_memory(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk)
{
    return walk->depth == 1 &&
           (qy_fdt_lists(fdt, walk, "device_type", "memory") || qy_fdt_named(walk, 1, "memory"));
}

static enum qy_error parse_archive(struct tree *tree, const struct qy_fdt_walk *walk)
{
    uint64_t start, end;
    bool has_start = qy_fdt_number(&tree->fdt, walk, "linux,initrd-start", &start);
    bool has_end = qy_fdt_number(&tree->fdt, walk, "linux,initrd-end", &end);

    if (!has_start && !has_end)
        return QY_OK;
    if (!has_start || !has_end || end < start)
        return qy_boot_fail(&tree->parse, QY_CORRUPT,
                            "device tree: the initial archive ends before it begins");
    qy_boot_add_module(&tree->parse, start, end - start,
                       (struct qy_bytes){(const uint8_t *)"initrd", 6});
    return QY_OK;
}

/* Who has used a seed before us left zeroes in its place. */
static bool is_wiped(struct qy_bytes seed)
{
    for (size_t i = 0; i < seed.count; i++)
        if (seed.at[i])
            return false;
    return true;
}

static enum qy_error parse_chosen(struct tree *tree, const struct qy_fdt_walk *walk)
{
    static const char *const seeds[] = {"rng-seed", "kaslr-seed"};
    struct qy_boot_info *out = tree->parse.out;
    struct qy_bytes data;

    if (qy_fdt_property(&tree->fdt, walk, walk->depth, "bootargs", &data)) {
        if (!qy_bytes_terminated(data))
            return qy_boot_fail(&tree->parse, QY_CORRUPT,
                                "device tree: command line without an end");
        qy_boot_set_command_line(&tree->parse, data);
    }
    out->entropy_bytes = 0;
    for (unsigned i = 0; i < 2 && tree->parse.store; i++)
        if (qy_fdt_property(&tree->fdt, walk, walk->depth, seeds[i], &data) && !is_wiped(data)) {
            size_t room = sizeof(out->entropy) - out->entropy_bytes;
            size_t bytes = data.count < room ? data.count : room;
            memcpy(out->entropy + out->entropy_bytes, data.at, bytes);
            out->entropy_bytes += (uint32_t)bytes;
        }
    return parse_archive(tree, walk);
}

static enum qy_error parse_node(struct tree *tree, const struct qy_fdt_walk *walk)
{
    const struct qy_fdt *fdt = &tree->fdt;

    if (!qy_fdt_enabled(fdt, walk))
        return QY_OK;
    if (is_memory(fdt, walk)) {
        struct qy_bytes unused;
        bool pluggable = qy_fdt_property(fdt, walk, 1, "hotpluggable", &unused);
        if (tree->skip_memory)
            return QY_OK;
        return add_ranges(tree, walk, pluggable ? QY_MEM_HOTPLUG : QY_MEM_USABLE,
                          "device tree: a memory node's reg does not fit the cell counts");
    }
    if (walk->depth == 1 && qy_fdt_named(walk, 1, "chosen"))
        return parse_chosen(tree, walk);
    if (walk->depth == 2 && qy_fdt_named(walk, 1, "reserved-memory"))
        return add_ranges(tree, walk, QY_MEM_RESERVED,
                          "device tree: a reservation's reg does not fit the cell counts");
    return QY_OK;
}

static enum qy_error parse_tree(struct tree *tree)
{
    struct qy_bytes list = tree->fdt.reservations;
    struct qy_fdt_walk walk = {0};

    for (size_t offset = 0; offset < list.count; offset += 16)
        qy_boot_add_reserved(&tree->parse, qy_load_be64(list.at + offset),
                             qy_load_be64(list.at + offset + 8), QY_MEM_RESERVED);
    while (qy_fdt_next(&tree->fdt, &walk)) {
        enum qy_error error = parse_node(tree, &walk);
        if (error)
            return error;
    }
    if (!tree->has_memory && !tree->skip_memory)
        return qy_boot_fail(&tree->parse, QY_NOT_FOUND, "device tree: no memory");
    return QY_OK;
}

enum qy_error qy_parse_fdt(struct qy_bytes fdt, paddr_t at, struct qy_boot_info *out)
{
    struct tree tree = {.parse = {out, false}, .skip_memory = out->uefi_map};
    const char *why = NULL;
    enum qy_error error = qy_fdt_open(fdt, &tree.fdt, &why);

    if (error)
        return qy_boot_fail(&tree.parse, error, why);
    error = parse_tree(&tree);
    if (error)
        return error;
    tree.parse.store = true;
    out->version = QY_BOOT_INFO_VERSION;
    out->fdt = at;
    qy_boot_add_reserved(&tree.parse, at.raw, qy_fdt_bytes(fdt.at), QY_MEM_USABLE);
    return parse_tree(&tree);
}
