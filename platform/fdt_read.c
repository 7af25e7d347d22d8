/*
 * Properties of a device tree's nodes: numbers, lists of strings, status, reg, and addresses as the
 * CPU sees them.
 */
#include "fdt_impl.h"
#include <lib/string.h>

/* One or two cells. */
static uint64_t load_cells(const uint8_t *at, unsigned cells)
{
    if (cells == 0)
        return 0;
    return cells == 1 ? qy_load_be32(at) : qy_load_be64(at);
}

bool qy_fdt_number(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk, const char *name,
                   uint64_t *out)
{
    struct qy_bytes data;

    if (!qy_fdt_property(fdt, walk, walk->depth, name, &data) ||
        (data.count != 4 && data.count != 8))
        return false;
    *out = load_cells(data.at, (unsigned)data.count / 4);
    return true;
}

bool qy_fdt_lists(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk, const char *name,
                  const char *wanted)
{
    struct qy_bytes data;
    size_t length = strlen(wanted) + 1; /* its terminator too */

    if (!qy_fdt_property(fdt, walk, walk->depth, name, &data))
        return false;
    for (size_t start = 0, i = 0; i < data.count; i++) {
        if (data.at[i])
            continue;
        if (i + 1 - start == length && memcmp(data.at + start, wanted, length) == 0)
            return true;
        start = i + 1;
    }
    return false;
}

bool qy_fdt_enabled(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk)
{
    struct qy_bytes data;

    return !qy_fdt_property(fdt, walk, walk->depth, "status", &data) ||
           qy_fdt_lists(fdt, walk, "status", "okay") || qy_fdt_lists(fdt, walk, "status", "ok");
}

bool qy_fdt_named(const struct qy_fdt_walk *walk, unsigned level, const char *name)
{
    const char *own = walk->name[level];
    size_t length = strlen(name);

    return strncmp(own, name, length) == 0 && (own[length] == '\0' || own[length] == '@');
}

bool qy_fdt_path_is(const struct qy_fdt_walk *walk, struct qy_bytes path)
{
    size_t at = 0;

    for (unsigned level = 1; level <= walk->depth; level++) {
        size_t length = strlen(walk->name[level]);
        if (!qy_bytes_hold(path, at, length + 1) || path.at[at] != '/' ||
            memcmp(path.at + at + 1, walk->name[level], length) != 0)
            return false;
        at += length + 1;
    }
    return walk->depth && at == path.count;
}

/*
 * Cell counts that the node at `level` lays down for its children: 2 and 1 unless it says
 * otherwise.
 */
static void child_cells(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk, unsigned level,
                        unsigned *address_cells, unsigned *size_cells)
{
    struct qy_bytes data;

    *address_cells = 2;
    *size_cells = 1;
    if (qy_fdt_property(fdt, walk, level, "#address-cells", &data))
        *address_cells = data.count == 4 ? qy_load_be32(data.at) : UINT32_MAX;
    if (qy_fdt_property(fdt, walk, level, "#size-cells", &data))
        *size_cells = data.count == 4 ? qy_load_be32(data.at) : UINT32_MAX;
}

bool qy_fdt_reg(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk, struct qy_fdt_reg *out,
                bool *bad)
{
    *bad = false;
    *out = (struct qy_fdt_reg){0};
    if (walk->depth == 0 || !qy_fdt_property(fdt, walk, walk->depth, "reg", &out->data))
        return false;
    child_cells(fdt, walk, walk->depth - 1, &out->address_cells, &out->size_cells);
    if (out->address_cells < 1 || out->address_cells > 2 || out->size_cells > 2) {
        *bad = true;
        return false;
    }
    size_t entry = 4 * (out->address_cells + out->size_cells);
    if (out->data.count % entry) {
        *bad = true;
        return false;
    }
    out->count = (unsigned)(out->data.count / entry);
    return out->count > 0;
}

void qy_fdt_reg_entry(const struct qy_fdt_reg *reg, unsigned i, uint64_t *address, uint64_t *size)
{
    const uint8_t *at = reg->data.at + (size_t)i * 4 * (reg->address_cells + reg->size_cells);

    *address = load_cells(at, reg->address_cells);
    *size = load_cells(at + 4 * reg->address_cells, reg->size_cells);
}

/*
 * An address on the bus of the node at `level`, as that node's parent sees it. False: the parent
 * does not see it.
 */
static bool translate(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk, unsigned level,
                      uint64_t *address)
{
    struct qy_bytes ranges;
    unsigned child, parent, size, unused;

    if (!qy_fdt_property(fdt, walk, level, "ranges", &ranges))
        return false;
    if (ranges.count == 0)
        return true; /* both see the same addresses */
    child_cells(fdt, walk, level, &child, &size);
    child_cells(fdt, walk, level - 1, &parent, &unused);
    if (child < 1 || child > 2 || parent < 1 || parent > 2 || size < 1 || size > 2)
        return false;
    size_t entry = 4 * (child + parent + size);
    for (size_t offset = 0; qy_bytes_hold(ranges, offset, entry); offset += entry) {
        const uint8_t *at = ranges.at + offset;
        uint64_t base = load_cells(at, child), length = load_cells(at + 4 * (child + parent), size);
        if (*address >= base && *address - base < length) {
            *address = load_cells(at + 4 * child, parent) + (*address - base);
            return true;
        }
    }
    return false;
}

bool qy_fdt_cpu_address(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk, uint64_t *out)
{
    struct qy_fdt_reg reg;
    uint64_t size;
    bool bad;

    if (!qy_fdt_reg(fdt, walk, &reg, &bad))
        return false;
    qy_fdt_reg_entry(&reg, 0, out, &size);
    for (unsigned level = walk->depth - 1; level >= 1; level--)
        if (!translate(fdt, walk, level, out))
            return false;
    return true;
}
