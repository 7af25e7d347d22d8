/*
 * A Linux boot log: the lines that hand on what the firmware said about memory and nodes.
 *
 *     BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable       since Linux 3.5
 *     BIOS-e820: 0000000000000000 - 000000000009fc00 (usable)             before
 *     efi: mem00: [Conventional Memory|...|WB|WT|WC|UC] range=[0x...-0x...] (0MB)     see log_efi.c
 *     ACPI: SRAT: Node 0 PXM 0 [mem 0x00000000-0x0009ffff] hotplug
 *     SRAT: Node 0 PXM 0 0-a0000                                          before
 *     SRAT: PXM 0 -> APIC 0x00 -> Node 0
 *
 * What Linux itself did with the map ("e820: update", "user:") is not the firmware's and left out. A line that begins
 * like one of these but does not go on like it is an error: a map with a part missing would be a wrong map. A log of
 * several boots counts from the last one on.
 */
#include "log_impl.h"

#include <string.h>

/* Names of e820 types; the numbers are ACPI's (6.5, table 15.4), 0 for what has a name of Linux only. */
static const struct {
    const char *name;
    uint32_t type;
    enum qy_mem_type if_0;
} e820_names[] = {
    {"usable", 1, 0},
    {"System RAM", 1, 0},
    {"reserved", 2, 0},
    {"device reserved", 2, 0},
    {"kernel reserved", 2, 0},
    {"ACPI data", 3, 0},
    {"ACPI NVS", 4, 0},
    {"unusable", 5, 0},
    {"persistent (type 7)", 7, 0},
    {"persistent (type 12)", 12, 0},
    {"persistent RAM (type 7)", 7, 0},
    {"persistent RAM (type 12)", 12, 0},
    {"soft reserved", 0, QY_MEM_SPECIAL},
    {"unaccepted", 0, QY_MEM_UNACCEPTED},
};

/* "  639 KB " between range and name, which newer versions print. */
static void skip_size(struct lab_cursor *cursor)
{
    struct lab_cursor c = *cursor;
    uint64_t number;

    lab_skip_blanks(&c);
    if (!lab_take_decimal(&c, &number))
        return;
    if (lab_take(&c, "."))
        (void)lab_take_decimal(&c, &number);
    lab_skip_blanks(&c);
    if (lab_take(&c, "KB") || lab_take(&c, "MB") || lab_take(&c, "GB") || lab_take(&c, "TB") ||
        lab_take(&c, "B"))
        *cursor = c;
}

/* The type that a name stands for. False: there is no name at all. */
static bool e820_type(struct lab_file *file, struct lab_cursor name, enum qy_mem_type *out)
{
    struct lab_cursor word;
    uint64_t number;
    char place[256];

    lab_skip_blanks(&name);
    skip_size(&name);
    lab_skip_blanks(&name);
    if (name.at < name.end && *name.at == '(' && name.end[-1] == ')') {
        name.at++;
        name.end--;
    }
    word = name;
    if (lab_take(&word, "type ") && lab_take_decimal(&word, &number) && word.at == word.end &&
        number <= UINT32_MAX) {
        *out = qy_e820_type((uint32_t)number);
        return true;
    }
    for (size_t i = 0; i < sizeof(e820_names) / sizeof(e820_names[0]); i++) {
        if (!lab_is(name, e820_names[i].name))
            continue;
        *out = e820_names[i].type ? qy_e820_type(e820_names[i].type) : e820_names[i].if_0;
        return true;
    }
    *out = QY_MEM_RESERVED;
    if (name.at == name.end)
        return false;
    lab_note(file->input, "%s: memory of an unknown kind, \"%.*s\", counts as reserved",
             lab_place(file, place, sizeof(place)), LAB_SHOW(name));
    return true;
}

bool lab_take_mem(struct lab_cursor *line, uint64_t *base, uint64_t *end)
{
    uint64_t last;

    return lab_take_hex(line, base) && lab_take(line, "-") && lab_take_hex(line, &last) &&
           lab_take(line, "]") && lab_range_of(*base, last, false, end);
}

static bool read_e820(struct lab_log *log, struct lab_cursor line)
{
    struct lab_cursor whole = line;
    uint64_t base, end, last;
    enum qy_mem_type type;
    bool sound;

    lab_skip_blanks(&line);
    if (lab_take(&line, "[gap"))
        return true; /* newer versions print what lies between the entries, too */
    if (lab_take(&line, "[mem ")) {
        sound = lab_take_mem(&line, &base, &end);
    } else {
        sound = lab_take_hex(&line, &base);
        lab_skip_blanks(&line);
        sound = sound && lab_take(&line, "-");
        lab_skip_blanks(&line);
        sound = sound && lab_take_hex(&line, &last) && lab_range_of(base, last, true, &end);
    }
    if (!sound)
        return lab_fail(log->file, "no range of memory in \"BIOS-e820:%.*s\"", LAB_SHOW(whole));
    if (!e820_type(log->file, line, &type))
        return lab_fail(log->file, "the line ends before it says what kind of memory this is");
    log->lines_found++;
    log->all_zero = log->all_zero && !base && end <= 1;
    return lab_add_range(log->file, base, end, type);
}

/* Behind "SRAT: Node ": "0 PXM 0 [mem 0x...-0x...] hotplug", or with "0-a0000", whose end is the end. */
static bool read_srat_memory(struct lab_log *log, struct lab_cursor line)
{
    struct lab_affinity affinity = {.memory = true};
    uint64_t node, domain, last;
    bool sound = lab_take_decimal(&line, &node) && lab_take(&line, " PXM ") &&
                 lab_take_decimal(&line, &domain) && domain <= UINT32_MAX;

    lab_skip_blanks(&line);
    if (sound && lab_take(&line, "[mem "))
        sound = lab_take_mem(&line, &affinity.base, &affinity.end);
    else
        sound = sound && lab_take_hex(&line, &affinity.base) && lab_take(&line, "-") &&
                lab_take_hex(&line, &last) &&
                lab_range_of(affinity.base, last, true, &affinity.end);
    if (!sound)
        return lab_fail(log->file, "no node and range of memory behind \"SRAT: Node\"");
    affinity.domain = (uint32_t)domain;
    affinity.hotplug = lab_has_word(line, "hotplug");
    affinity.non_volatile = lab_has_word(line, "non-volatile");
    lab_log_affinity(log, &affinity);
    return true;
}

/* Behind "SRAT: PXM ": "0 -> APIC 0x00 -> Node 0". Lines of other machines have other words: they are left out. */
static void read_srat_cpu(struct lab_log *log, struct lab_cursor line)
{
    struct lab_affinity affinity = {0};
    uint64_t domain, apic_id;

    if (!lab_take_decimal(&line, &domain) || !lab_find(&line, "APIC ") ||
        !lab_take_hex(&line, &apic_id) || domain > UINT32_MAX || apic_id > UINT32_MAX)
        return;
    affinity.domain = (uint32_t)domain;
    affinity.apic_id = (uint32_t)apic_id;
    lab_log_affinity(log, &affinity);
}

void lab_log_affinity(struct lab_log *log, const struct lab_affinity *affinity)
{
    struct lab_input *input = log->file->input;

    input->affinities = lab_grow(input->affinities, input->affinity_count, &input->affinity_room,
                                 sizeof(*affinity));
    input->affinities[input->affinity_count++] = *affinity;
}

/* Another boot begins: forget what was found of the one before. */
static void begin_boot(struct lab_log *log)
{
    struct lab_input *input = log->file->input;

    if (input->range_count == log->first_range && input->affinity_count == log->first_affinity)
        return;
    input->range_count = log->first_range;
    input->affinity_count = log->first_affinity;
    log->boots_before++;
    log->lines_found = 0;
    log->all_zero = true;
}

static bool read_line(struct lab_log *log, struct lab_cursor line)
{
    static const char *const maps[] = {"BIOS-e820:", "BIOS-e801:", "BIOS-88:", " Xen: [mem "};
    struct lab_cursor rest = line;
    bool taken = false;

    if (lab_find(&rest, "Linux version "))
        begin_boot(log);
    for (unsigned i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        rest = line;
        if (!lab_find(&rest, maps[i]))
            continue;
        if (i == 3)
            rest.at -= strlen("[mem ");
        return read_e820(log, rest);
    }
    rest = line;
    if (lab_find(&rest, "SRAT: Node "))
        return read_srat_memory(log, rest);
    rest = line;
    if (lab_find(&rest, "SRAT: PXM ")) {
        read_srat_cpu(log, rest);
        return true;
    }
    return lab_log_efi(log, line, &taken);
}

bool lab_is_log(struct qy_bytes text)
{
    static const char *const marks[] = {"BIOS-e820:",  "BIOS-e801:", "BIOS-88:", " Xen: [mem ",
                                        "SRAT: Node ", "efi: mem",   "EFI: mem", "Linux version "};
    struct lab_lines lines = {.text = text};
    struct lab_cursor line;

    while (lab_next_line(&lines, &line)) {
        for (unsigned i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
            struct lab_cursor rest = line;
            if (lab_find(&rest, marks[i]))
                return true;
        }
    }
    return false;
}

bool lab_read_log(struct lab_file *file, struct qy_bytes text)
{
    struct lab_input *input = file->input;
    struct lab_log log = {.file = file,
                          .all_zero = true,
                          .first_range = input->range_count,
                          .first_affinity = input->affinity_count};
    struct lab_lines lines = {.text = text};
    struct lab_cursor line;

    while (lab_next_line(&lines, &line)) {
        file->line = lines.number;
        if (!read_line(&log, line))
            return false;
    }
    file->line = 0;
    if (log.lines_found && log.all_zero)
        return lab_fail(file, "all addresses are 0: they were hidden from whoever read this; "
                              "read it as root (sudo dmesg)");
    if (input->range_count == log.first_range && input->affinity_count == log.first_affinity)
        return lab_fail(file, "a boot log without the firmware's memory map: it has no line with "
                              "BIOS-e820, efi: mem or SRAT: Node; take the log from the start of "
                              "the boot (journalctl -k, or boot with log_buf_len=4M)");
    if (log.boots_before)
        lab_note(input, "%s is a log of %u boots: the last one counts", file->name,
                 log.boots_before + 1);
    return true;
}
