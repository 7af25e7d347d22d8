/*
 * ELF files that can be moved: their dynamic section, and their relocations (System V ABI, gABI 4.1, chapter 5; the
 * supplements of both processors).
 *
 *     kind       x86-64                  RISC-V          word
 *     NONE       0                       0               stays: a place that the linker did not need
 *     RELATIVE   8                       3               bias + addend
 *     ABSOLUTE   1                       2               symbol + addend
 *     SLOT       6 GLOB_DAT, 7 JUMP_SLOT 5 JUMP_SLOT     symbol
 *
 * All symbols are bound before the program starts. What would need more than this is refused by name: relocations in
 * text, packed ones, initialisers, thread-local storage of a library's own, symbol versions count for nothing.
 * Symbols are found by going through the table, without the hash: a loader looks up few. Cost: O(relocations * program
 * headers) to check.
 */
#include "elf_impl.h"

#include <lib/string.h>

#define DYNAMIC_BYTES 16u
#define RELOCATION_BYTES 24u
#define SYMBOL_BYTES 24u
#define X86_64 62u
#define TYPE_TLS 6u
#define WEAK 2u

enum tag {
    END = 0,
    NEEDED = 1,
    PLT_BYTES = 2,
    HASH = 4,
    STRINGS = 5,
    SYMBOLS = 6,
    RELOCATIONS = 7,
    RELOCATIONS_BYTES = 8,
    RELOCATION_SIZE = 9,
    STRINGS_BYTES = 10,
    SYMBOL_SIZE = 11,
    INITIALISER = 12,
    SHORT_RELOCATIONS = 17,
    PLT_KIND = 20,
    TEXT_RELOCATIONS = 22,
    PLT = 23,
    INITIALISERS_BYTES = 27,
    PACKED = 36,
    TAGS = 37
};

enum kind { UNKNOWN, NONE, RELATIVE, ABSOLUTE, SLOT };

struct relocation {
    uint64_t offset, addend;
    uint32_t symbol;
    enum kind kind;
};

struct symbol {
    const char *name;
    uint64_t value;
    unsigned type, bind;
    bool defined;
};

/* ---- looking up in a checked file ---- */

static struct relocation relocation_at(const struct qy_elf *elf, struct qy_bytes table, size_t i)
{
    static const uint8_t x86_64[] = {
        [0] = NONE, [1] = ABSOLUTE, [6] = SLOT, [7] = SLOT, [8] = RELATIVE};
    static const uint8_t riscv[] = {[0] = NONE, [2] = ABSOLUTE, [3] = RELATIVE, [5] = SLOT};
    const uint8_t *at = table.at + i * RELOCATION_BYTES;
    uint32_t type = qy_load_le32(at + 8);
    struct relocation r = {.offset = qy_load_le64(at),
                           .addend = qy_load_le64(at + 16),
                           .symbol = qy_load_le32(at + 12),
                           .kind = UNKNOWN};

    if (elf->machine == X86_64 && type < sizeof(x86_64))
        r.kind = x86_64[type];
    else if (elf->machine != X86_64 && type < sizeof(riscv))
        r.kind = riscv[type];
    return r;
}

static struct symbol symbol_at(const struct qy_elf *elf, uint32_t i)
{
    const uint8_t *at = elf->symbols.at + (size_t)i * SYMBOL_BYTES;

    return (struct symbol){.name = (const char *)elf->strings.at + qy_load_le32(at),
                           .type = at[4] & 15,
                           .bind = at[4] >> 4,
                           .defined = qy_load_le16(at + 6) != 0,
                           .value = qy_load_le64(at + 8)};
}

static uint32_t symbols_of(const struct qy_elf *elf)
{
    return (uint32_t)(elf->symbols.count / SYMBOL_BYTES);
}

static size_t relocations_of(struct qy_bytes table)
{
    return table.count / RELOCATION_BYTES;
}

/* The first part that has a symbol of that name for others (bind: 0 is local). */
static bool find(const struct qy_elf_part *parts, unsigned count, const char *name, uint64_t *value)
{
    for (unsigned p = 0; p < count; p++)
        for (uint32_t i = 1; i < symbols_of(parts[p].elf); i++) {
            struct symbol symbol = symbol_at(parts[p].elf, i);
            if (!symbol.defined || !symbol.bind || strcmp(symbol.name, name) != 0)
                continue;
            *value = parts[p].bias + symbol.value;
            return true;
        }
    return false;
}

enum qy_error qy_elf_link(const struct qy_elf_part *parts, unsigned count, const char **why)
{
    uint64_t value;

    for (unsigned p = 0; p < count; p++)
        for (uint32_t i = 1; i < symbols_of(parts[p].elf); i++) {
            struct symbol symbol = symbol_at(parts[p].elf, i);
            if (!symbol.defined && symbol.bind != WEAK && !find(parts, count, symbol.name, &value))
                return qy_elf_fail(why, QY_NOT_FOUND, symbol.name);
        }
    return QY_OK;
}

static uint64_t value_of(const struct qy_elf_part *parts, unsigned count,
                         const struct qy_elf_part *part, const struct relocation *r)
{
    uint64_t value = 0;

    if (r->kind == RELATIVE)
        return part->bias + r->addend;
    if (!find(parts, count, symbol_at(part->elf, r->symbol).name, &value))
        value = 0;
    return r->kind == ABSOLUTE ? value + r->addend : value;
}

void qy_elf_relocate(const struct qy_elf_part *parts, unsigned count, unsigned which,
                     uint64_t address, uint8_t *at, size_t bytes)
{
    const struct qy_elf_part *part = &parts[which];

    for (unsigned t = 0; t < 2; t++)
        for (size_t i = 0; i < relocations_of(part->elf->relocations[t]); i++) {
            struct relocation r = relocation_at(part->elf, part->elf->relocations[t], i);
            if (r.kind == NONE || r.offset < address || r.offset - address >= bytes)
                continue;
            uint64_t value = value_of(parts, count, part, &r);
            for (unsigned byte = 0; byte < 8; byte++)
                at[r.offset - address + byte] = (uint8_t)(value >> 8 * byte);
        }
}

/* ---- checking ---- */

/* What the file has for [address, address + bytes); false: not all of it. flags: of the segment. */
static bool in_file(const struct qy_elf *elf, uint64_t address, uint64_t bytes, unsigned flags,
                    struct qy_bytes *out)
{
    for (unsigned i = 0; i < elf->segments; i++) {
        struct qy_elf_segment s = qy_elf_segment(elf->file, i);
        if (address < s.address || (s.flags & flags) != flags || address - s.address > s.data.count)
            continue;
        if (!qy_bytes_hold(s.data, (size_t)(address - s.address), bytes))
            continue;
        *out = qy_bytes_part(s.data, (size_t)(address - s.address), (size_t)bytes);
        return true;
    }
    return false;
}

static enum qy_error check_relocations(const struct qy_elf *elf, struct qy_bytes table,
                                       const char **why)
{
    struct qy_bytes word;

    for (size_t i = 0; i < relocations_of(table); i++) {
        struct relocation r = relocation_at(elf, table, i);
        if (r.kind == NONE)
            continue;
        if (r.kind == UNKNOWN)
            return qy_elf_fail(why, QY_CORRUPT, "a relocation of an unknown kind");
        if (r.offset % 8 || !in_file(elf, r.offset, 8, 2, &word))
            return qy_elf_fail(why, QY_CORRUPT,
                               "a relocation of what is no word of writable data in the file");
        if (r.kind != RELATIVE &&
            (r.symbol >= symbols_of(elf) || symbol_at(elf, r.symbol).type == TYPE_TLS))
            return qy_elf_fail(why, QY_CORRUPT, "a relocation by no symbol, or a thread's");
    }
    return QY_OK;
}

static enum qy_error check_symbols(const struct qy_elf *elf, const char **why)
{
    if (elf->strings.count && elf->strings.at[elf->strings.count - 1])
        return qy_elf_fail(why, QY_CORRUPT, "names of symbols without an end");
    for (uint32_t i = 0; i < symbols_of(elf); i++)
        if (qy_load_le32(elf->symbols.at + (size_t)i * SYMBOL_BYTES) >= elf->strings.count)
            return qy_elf_fail(why, QY_CORRUPT, "a symbol without a name");
    return QY_OK;
}

/* As many as the hash table says. */
static enum qy_error read_symbols(struct qy_elf *elf, const uint64_t *value, const char **why)
{
    struct qy_bytes hash;

    if (!value[SYMBOLS] || !value[HASH])
        return QY_OK;
    if (!in_file(elf, value[STRINGS], value[STRINGS_BYTES], 0, &elf->strings) ||
        !in_file(elf, value[HASH], 8, 0, &hash) ||
        !in_file(elf, value[SYMBOLS], (uint64_t)qy_load_le32(hash.at + 4) * SYMBOL_BYTES, 0,
                 &elf->symbols))
        return qy_elf_fail(why, QY_TRUNCATED, "symbols beyond the end of the file");
    return check_symbols(elf, why);
}

static enum qy_error read_relocations(struct qy_elf *elf, const uint64_t *value, const char **why)
{
    if (!in_file(elf, value[RELOCATIONS], value[RELOCATIONS_BYTES], 0, &elf->relocations[0]) &&
        value[RELOCATIONS_BYTES])
        return qy_elf_fail(why, QY_TRUNCATED, "relocations beyond the end of the file");
    if (!in_file(elf, value[PLT], value[PLT_BYTES], 0, &elf->relocations[1]) && value[PLT_BYTES])
        return qy_elf_fail(why, QY_TRUNCATED, "relocations beyond the end of the file");
    for (unsigned t = 0; t < 2; t++) {
        if (elf->relocations[t].count % RELOCATION_BYTES)
            return qy_elf_fail(why, QY_CORRUPT, "half a relocation");
        enum qy_error error = check_relocations(elf, elf->relocations[t], why);
        if (error != QY_OK)
            return error;
    }
    return QY_OK;
}

/* The section's words by tag, with names of libraries apart; null: it has no end. */
static enum qy_error read_tags(struct qy_elf *elf, struct qy_bytes dynamic, uint64_t value[TAGS],
                               uint64_t needed[QY_ELF_NEEDED_MAX], const char **why)
{
    for (size_t at = 0; at + DYNAMIC_BYTES <= dynamic.count; at += DYNAMIC_BYTES) {
        uint64_t tag = qy_load_le64(dynamic.at + at), word = qy_load_le64(dynamic.at + at + 8);
        if (tag == END)
            return QY_OK;
        if (tag == NEEDED && elf->needed_count == QY_ELF_NEEDED_MAX)
            return qy_elf_fail(why, QY_TOO_MANY, "it needs more than 4 libraries");
        if (tag == NEEDED)
            needed[elf->needed_count++] = word;
        else if (tag < TAGS)
            value[tag] = word;
    }
    return qy_elf_fail(why, QY_TRUNCATED, "a dynamic section without an end");
}

enum qy_error qy_elf_read_dynamic(struct qy_elf *elf, struct qy_bytes dynamic, const char **why)
{
    uint64_t value[TAGS] = {0}, needed[QY_ELF_NEEDED_MAX] = {0};
    enum qy_error error = read_tags(elf, dynamic, value, needed, why);

    if (error != QY_OK)
        return error;
    if (value[SHORT_RELOCATIONS] || value[PACKED] || value[TEXT_RELOCATIONS])
        return qy_elf_fail(why, QY_CORRUPT, "relocations of a kind that is not done here");
    if (value[INITIALISER] || value[INITIALISERS_BYTES])
        return qy_elf_fail(why, QY_CORRUPT, "initialisers that nobody would run");
    if ((value[RELOCATIONS_BYTES] && value[RELOCATION_SIZE] != RELOCATION_BYTES) ||
        (value[PLT_BYTES] && value[PLT_KIND] != RELOCATIONS) ||
        (value[SYMBOLS] && value[SYMBOL_SIZE] != SYMBOL_BYTES))
        return qy_elf_fail(why, QY_CORRUPT, "relocations or symbols of impossible size");
    error = read_symbols(elf, value, why);
    if (error == QY_OK)
        error = read_relocations(elf, value, why);
    for (unsigned i = 0; error == QY_OK && i < elf->needed_count; i++) {
        if (needed[i] >= elf->strings.count)
            return qy_elf_fail(why, QY_CORRUPT, "a library without a name");
        elf->needed[i] = (const char *)elf->strings.at + needed[i];
    }
    return error;
}
