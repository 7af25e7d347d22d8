/*
 * Descriptors of a UEFI memory map in a boot log (efi=debug), in the forms that Linux has printed them in:
 *
 *     efi: mem00: [Conventional Memory|   |  |  |  |  |  |  |  |   |WB|WT|WC|UC] range=[0x...-0x...] (0MB)
 *     efi: mem00: [Conventional Memory|   |  |  |  |  |WB|WT|WC|UC] range=[0x...-0x...) (0MB)     ')': the end
 *     efi: mem00: [Conventional|attr=0x000000000000000f] range=[0x...-0x...] (0MB)
 *     EFI: mem00: type=7, attr=0xf, range=[0x...-0x...) (0MB)
 *     efi:   0x000080000000-0x0000801fffff [Conventional Memory|   |...|WB|WT|WC|UC]*             ARM, RISC-V
 */
#include "log_impl.h"

/* Types of UEFI 2.10, section 7.2.1, by the names that Linux has given them. */
static const struct {
    const char *name;
    uint32_t type;
} type_names[] = {
    {"Reserved", 0},
    {"Loader Code", 1},
    {"Loader Data", 2},
    {"Boot Code", 3},
    {"Boot Data", 4},
    {"Runtime Code", 5},
    {"Runtime Data", 6},
    {"Conventional Memory", 7},
    {"Conventional", 7},
    {"Unusable Memory", 8},
    {"Unusable", 8},
    {"ACPI Reclaim Memory", 9},
    {"ACPI Reclaim", 9},
    {"ACPI Memory NVS", 10},
    {"ACPI Mem NVS", 10},
    {"Memory Mapped I/O", 11},
    {"MMIO", 11},
    {"MMIO Port Space", 12},
    {"MMIO Port", 12},
    {"PAL Code", 13},
    {"Persistent Memory", 14},
    {"Persistent", 14},
    {"Unaccepted Memory", 15},
    {"Unaccepted", 15},
};

/* Attributes that matter here; the others' columns are passed over. */
static const struct {
    const char *name;
    unsigned bit;
} attribute_names[] = {{"WB", 3}, {"NV", 15}, {"SP", 18}, {"HP", 20}, {"RUN", 63}};

/* The next of the columns between | and |, without blanks around it. False: no further one. */
static bool next_column(struct lab_cursor *rest, struct lab_cursor *out)
{
    if (rest->at > rest->end)
        return false;
    *out = (struct lab_cursor){rest->at, rest->at};
    while (out->end < rest->end && *out->end != '|')
        out->end++;
    rest->at = out->end + 1;
    lab_skip_blanks(out);
    while (out->end > out->at && out->end[-1] == ' ')
        out->end--;
    return true;
}

static void read_type(struct lab_log *log, struct lab_cursor name, uint32_t *type)
{
    struct lab_cursor number = name;
    uint64_t value;
    char place[256];

    *type = 0;
    for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++) {
        if (lab_is(name, type_names[i].name)) {
            *type = type_names[i].type;
            return;
        }
    }
    if (lab_take(&number, "type=") && lab_take_decimal(&number, &value) && value <= UINT32_MAX)
        *type = (uint32_t)value;
    lab_note(log->file->input, "%s: memory of an unknown kind, \"%.*s\", counts as reserved",
             lab_place(log->file, place, sizeof(place)), LAB_SHOW(name));
}

/* "Conventional Memory|...|WB|...]", up to and over the bracket. False: no bracket. */
static bool read_columns(struct lab_log *log, struct lab_cursor *line, uint32_t *type,
                         uint64_t *attributes)
{
    struct lab_cursor inside = *line, column;

    *attributes = 0;
    if (!lab_find(line, "]"))
        return false;
    inside.end = line->at - 1;
    if (!next_column(&inside, &column))
        return false;
    read_type(log, column, type);
    while (next_column(&inside, &column)) {
        uint64_t all;
        if (lab_take(&column, "attr=") && lab_take_hex(&column, &all))
            *attributes |= all;
        for (size_t i = 0; i < sizeof(attribute_names) / sizeof(attribute_names[0]); i++)
            if (lab_is(column, attribute_names[i].name))
                *attributes |= 1ull << attribute_names[i].bit;
    }
    return true;
}

/* "range=[0x...-0x...]" or "...)". */
static bool read_range(struct lab_cursor *line, uint64_t *base, uint64_t *end)
{
    uint64_t last;

    if (!lab_find(line, "range=[") || !lab_take_hex(line, base) || !lab_take(line, "-") ||
        !lab_take_hex(line, &last))
        return false;
    bool exclusive = lab_take(line, ")");
    return (exclusive || lab_take(line, "]")) && lab_range_of(*base, last, exclusive, end);
}

static bool add(struct lab_log *log, uint64_t base, uint64_t end, uint32_t type,
                uint64_t attributes)
{
    log->lines_found++;
    log->all_zero = log->all_zero && !base && end <= 1;
    return lab_add_range(log->file, base, end, qy_uefi_type(type, attributes));
}

/* Behind "efi: mem": "00: ...". */
static bool read_numbered(struct lab_log *log, struct lab_cursor line, bool *taken)
{
    uint64_t number, type_number = 0, base, end, attributes = 0;
    uint32_t type = 0;
    bool sound;

    if (!lab_take_decimal(&line, &number) || !lab_take(&line, ":"))
        return true; /* "efi: memattr" and the like */
    *taken = true;
    lab_skip_blanks(&line);
    if (lab_take(&line, "[")) {
        sound = read_columns(log, &line, &type, &attributes);
    } else {
        sound = lab_take(&line, "type=") && lab_take_decimal(&line, &type_number) &&
                type_number <= UINT32_MAX && lab_take(&line, ", attr=") &&
                lab_take_hex(&line, &attributes);
        type = (uint32_t)type_number;
    }
    if (!sound || !read_range(&line, &base, &end))
        return lab_fail(log->file, "a descriptor of the UEFI memory map without kind or range");
    return add(log, base, end, type, attributes);
}

bool lab_log_efi(struct lab_log *log, struct lab_cursor line, bool *taken)
{
    struct lab_cursor rest = line;
    uint64_t base, last, end, attributes;
    uint32_t type;

    *taken = false;
    if (lab_find(&rest, "efi: mem") || lab_find(&rest, "EFI: mem"))
        return read_numbered(log, rest, taken);
    if (!lab_find(&rest, "efi:"))
        return true;
    lab_skip_blanks(&rest);
    if (!lab_take_hex(&rest, &base) || !lab_take(&rest, "-") || !lab_take_hex(&rest, &last) ||
        !lab_take(&rest, " ["))
        return true;
    *taken = true;
    if (!lab_range_of(base, last, false, &end) || !read_columns(log, &rest, &type, &attributes))
        return lab_fail(log->file, "a descriptor of the UEFI memory map without kind or range");
    return add(log, base, end, type, attributes);
}
