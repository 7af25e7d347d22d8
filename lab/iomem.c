/*
 * /proc/iomem: who has which physical addresses, as Linux sees it.
 *
 *     00001000-0009fbff : System RAM
 *     100000000-47fffffff : System RAM
 *       1c0000000-1c1002307 : Kernel code          indented: a part of the line above it, of the same memory
 *
 * Only the outermost lines are ranges; what is none of memory's names is a device.
 */
#include "lab.h"
#include "text.h"

static const struct {
    const char *name;
    enum qy_mem_type type;
} names[] = {
    {"System RAM", QY_MEM_USABLE},
    {"Reserved", QY_MEM_RESERVED},
    {"reserved", QY_MEM_RESERVED},
    {"RAM buffer", QY_MEM_RESERVED},
    {"ACPI Tables", QY_MEM_ACPI_RECLAIM},
    {"ACPI Non-volatile Storage", QY_MEM_ACPI_NVS},
    {"Unusable memory", QY_MEM_BAD},
    {"Persistent Memory", QY_MEM_PERSISTENT},
    {"Persistent Memory (legacy)", QY_MEM_PERSISTENT},
    {"Soft Reserved", QY_MEM_SPECIAL},
    {"Unaccepted Memory", QY_MEM_UNACCEPTED},
};

static enum qy_mem_type type_of(struct lab_cursor name)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (lab_is(name, names[i].name))
            return names[i].type;
    /* "System RAM (kmem)", "System RAM (virtio_mem)": added to a running system, and can go again. */
    return lab_take(&name, "System RAM (") ? QY_MEM_HOTPLUG : QY_MEM_MMIO;
}

/* "  00001000-0009fbff : System RAM" and how deep it is indented. False: it is not that. */
static bool split(struct lab_cursor line, unsigned *depth, uint64_t *base, uint64_t *end,
                  struct lab_cursor *name)
{
    const char *begin = line.at;
    uint64_t last;

    lab_skip_blanks(&line);
    *depth = (unsigned)(line.at - begin);
    if (!lab_take_hex(&line, base) || !lab_take(&line, "-") || !lab_take_hex(&line, &last) ||
        !lab_take(&line, " : ") || line.at == line.end)
        return false;
    *name = line;
    return lab_range_of(*base, last, false, end);
}

bool lab_is_iomem(struct qy_bytes text)
{
    struct lab_lines lines = {.text = text};
    struct lab_cursor line, name;
    uint64_t base, end;
    unsigned depth;

    while (lab_next_line(&lines, &line))
        if (split(line, &depth, &base, &end, &name))
            return true;
    return false;
}

bool lab_read_iomem(struct lab_file *file, struct qy_bytes text)
{
    struct lab_lines lines = {.text = text};
    struct lab_cursor line, name;
    uint64_t base, end;
    unsigned depth, outer = 0;
    bool all_zero = true;

    while (lab_next_line(&lines, &line)) {
        file->line = lines.number;
        if (line.at == line.end)
            continue;
        if (!split(line, &depth, &base, &end, &name))
            return lab_fail(file, "not a line of /proc/iomem: \"%.*s\"", LAB_SHOW(line));
        all_zero = all_zero && !base && end <= 1;
        if (depth)
            continue;
        outer++;
        if (!lab_add_range(file, base, end, type_of(name)))
            return false;
    }
    file->line = 0;
    if (all_zero)
        return lab_fail(file, "all addresses are 0: Linux shows them in /proc/iomem to root only; "
                              "take it with: sudo cat /proc/iomem");
    if (!outer)
        return lab_fail(file, "every line is indented: this is only a part of /proc/iomem");
    return true;
}
