/*
 * Names: UTF-8 outside, UTF-16 in long names, eleven bytes in short entries. See fat.h.
 */
#include "fat_impl.h"

#include <lib/string.h>

#define REPLACEMENT 0xfffdu
#define LOWER_BASE 0x08u /* of a short entry's flags: letters were lower case */
#define LOWER_EXTENSION 0x10u
#define BASE_BYTES 8u

static unsigned upper(unsigned unit)
{
    return unit >= 'a' && unit <= 'z' ? unit - 'a' + 'A' : unit;
}

static bool is_one_of(uint32_t point, const char *characters)
{
    while (*characters && (uint32_t)*characters != point)
        characters++;
    return *characters;
}

/* ---- UTF-8 ---- */

/* A code point of well-formed UTF-8; *text moves behind it. False: it is not. */
static bool decode(const char **text, uint32_t *point)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)*text;
    unsigned more = at[0] < 0x80 ? 0 : at[0] >= 0xf0 ? 3 : at[0] >= 0xe0 ? 2 : 1;
    uint32_t value = more ? at[0] & (0x3fu >> more) : at[0];

    if ((at[0] >= 0x80 && at[0] < 0xc2) || at[0] > 0xf4)
        return false;
    for (unsigned i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return false;
        value = value << 6 | (at[i] & 0x3fu);
    }
    *text += more + 1;
    *point = value;
    return value >= least[more] && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
}

static char *encode(uint32_t point, char *at)
{
    unsigned more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};

    *at++ = (char)(lead[more] | point >> 6 * more);
    while (more--)
        *at++ = (char)(0x80 | (point >> 6 * more & 0x3f));
    return at;
}

enum file_error name_from_path(const char **path, struct name *out)
{
    out->length = 0;
    while (**path && **path != '/') {
        uint32_t point;
        if (!decode(path, &point) || point < 0x20 || point == 0x7f ||
            is_one_of(point, "\"*:<>?\\|"))
            return FILE_BAD_NAME;
        if (out->length + (point >= 0x10000) >= NAME_UNITS)
            return FILE_BAD_NAME;
        if (point >= 0x10000) {
            out->unit[out->length++] = (uint16_t)(0xd800 + ((point - 0x10000) >> 10));
            point = 0xdc00 + (point & 0x3ff);
        }
        out->unit[out->length++] = (uint16_t)point;
    }
    if (out->length == 0)
        return FILE_BAD_NAME;
    uint16_t last = out->unit[out->length - 1];
    return last == ' ' || last == '.' ? FILE_BAD_NAME : FILE_OK;
}

void name_to_text(const struct name *name, char text[FAT_NAME_BYTES])
{
    for (unsigned i = 0; i < name->length; i++) {
        uint32_t point = name->unit[i];
        bool high = point >= 0xd800 && point < 0xdc00 && i + 1 < name->length;
        if (high && name->unit[i + 1] >= 0xdc00 && name->unit[i + 1] < 0xe000)
            point = 0x10000 + ((point - 0xd800) << 10) + (name->unit[++i] - 0xdc00u);
        else if (point >= 0xd800 && point < 0xe000)
            point = REPLACEMENT;
        text = encode(point, text);
    }
    *text = 0;
}

bool name_is(const struct name *a, const struct name *b)
{
    bool same = a->length == b->length;

    for (unsigned i = 0; same && i < a->length; i++)
        same = upper(a->unit[i]) == upper(b->unit[i]);
    return same;
}

/* ---- short names ---- */

/* Part of a short entry, without the blanks behind it. */
static void append(struct name *name, const uint8_t *at, unsigned bytes, bool lower)
{
    while (bytes && at[bytes - 1] == ' ')
        bytes--;
    for (unsigned i = 0; i < bytes; i++) {
        bool letter = at[i] >= 'A' && at[i] <= 'Z';
        name->unit[name->length++] = (uint16_t)(letter && lower ? at[i] + 'a' - 'A' : at[i]);
    }
}

void name_from_short(const uint8_t *entry, struct name *out)
{
    uint8_t bytes[SHORT_BYTES];

    memcpy(bytes, entry, SHORT_BYTES);
    if (bytes[0] == 0x05) /* stands for what marks a free entry */
        bytes[0] = ENTRY_FREE;
    out->length = 0;
    append(out, bytes, BASE_BYTES, entry[ENTRY_FLAGS] & LOWER_BASE);
    out->unit[out->length++] = '.';
    unsigned dot = out->length;
    append(out, bytes + BASE_BYTES, SHORT_BYTES - BASE_BYTES, entry[ENTRY_FLAGS] & LOWER_EXTENSION);
    if (out->length == dot)
        out->length--;
}

static bool fits_short(unsigned unit)
{
    return (unit >= 'A' && unit <= 'Z') || (unit >= '0' && unit <= '9') ||
           is_one_of(unit, "$%'-_@~`!(){}^#&");
}

/* Units before the last dot; all if there is none, or it comes first. */
static unsigned base_length(const struct name *name)
{
    unsigned i = name->length;

    while (i > 1 && name->unit[i - 1] != '.')
        i--;
    return i > 1 ? i - 1 : name->length;
}

bool name_to_short(const struct name *name, uint8_t out[SHORT_BYTES])
{
    unsigned base = base_length(name), extension = name->length - base;

    memset(out, ' ', SHORT_BYTES);
    if (base > BASE_BYTES || extension > 4) /* with its dot */
        return false;
    for (unsigned i = 0; i < name->length; i++) {
        if (i == base)
            continue;
        if (!fits_short(name->unit[i]))
            return false;
        out[i < base ? i : BASE_BYTES + i - base - 1] = (uint8_t)name->unit[i];
    }
    return true;
}

/* Characters of [from, to) that can stand in a short name, at most `room`; how many there are. */
static unsigned shorten(const struct name *name, unsigned from, unsigned to, uint8_t *out,
                        unsigned room)
{
    unsigned count = 0;

    for (unsigned i = from; i < to && count < room; i++) {
        unsigned unit = upper(name->unit[i]);
        if (unit != ' ' && unit != '.')
            out[count++] = fits_short(unit) ? (uint8_t)unit : '_';
    }
    return count;
}

/* NAME~1 to NAME~9, then NA and four digits that depend on the whole name and the attempt. */
void name_shorten(const struct name *name, unsigned attempt, uint8_t out[SHORT_BYTES])
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned base = base_length(name), tail = attempt;

    memset(out, ' ', SHORT_BYTES);
    unsigned count = shorten(name, 0, base, out, attempt < 9 ? 6 : 2);
    if (attempt >= 9) {
        uint32_t hash = 2166136261u + attempt;
        for (unsigned i = 0; i < name->length; i++)
            hash = (hash ^ name->unit[i]) * 16777619u;
        for (unsigned i = 0; i < 4; i++)
            out[count++] = (uint8_t)digits[(hash ^ hash >> 16) >> 4 * i & 15];
        tail = 0;
    }
    out[count] = '~';
    out[count + 1] = (uint8_t)('1' + tail);
    (void)shorten(name, base, name->length, out + BASE_BYTES, SHORT_BYTES - BASE_BYTES);
}

/* ---- long names ---- */

static const uint8_t unit_at[LONG_UNITS] = {1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};

static uint8_t sum_of(const uint8_t *short_name)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < SHORT_BYTES; i++)
        sum = ((sum & 1) << 7) + (sum >> 1 & 0x7f) + short_name[i];
    return (uint8_t)sum;
}

void long_begin(struct long_name *name)
{
    name->begun = false;
}

/* Units of a part up to the 0 that ends the name. */
static unsigned units_of(const uint8_t *entry)
{
    unsigned count = 0;

    while (count < LONG_UNITS && get16(entry + unit_at[count]))
        count++;
    return count;
}

bool long_add(struct long_name *name, const uint8_t *entry)
{
    unsigned number = entry[0] & 0x3fu, count = units_of(entry);
    bool last = entry[0] & LAST_PART;
    bool fits = last ? number >= 1 && number <= (NAME_UNITS + LONG_UNITS - 1) / LONG_UNITS
                     : name->begun && number == name->missing && number >= 1 &&
                           entry[13] == name->sum && count == LONG_UNITS;

    if (last) {
        name->name.length = (number - 1) * LONG_UNITS + count;
        name->sum = entry[13];
        fits = fits && count && name->name.length <= NAME_UNITS;
    }
    name->begun = fits;
    if (!fits)
        return false;
    for (unsigned i = 0; i < count; i++)
        name->name.unit[(number - 1) * LONG_UNITS + i] = (uint16_t)get16(entry + unit_at[i]);
    name->missing = number - 1;
    return true;
}

bool long_is_of(const struct long_name *name, const uint8_t *entry)
{
    return name->begun && name->missing == 0 && name->sum == sum_of(entry);
}

void long_part(const struct name *name, unsigned n, const uint8_t *short_name, uint8_t *entry)
{
    unsigned first = (n - 1) * LONG_UNITS;

    memset(entry, 0, ENTRY_BYTES);
    entry[0] = (uint8_t)(n | (n == long_parts(name) ? LAST_PART : 0));
    entry[ENTRY_ATTRIBUTES] = ATTRIBUTE_LONG;
    entry[13] = sum_of(short_name);
    for (unsigned i = 0; i < LONG_UNITS; i++) {
        unsigned at = first + i;
        put16(entry + unit_at[i], at < name->length    ? name->unit[at]
                                  : at == name->length ? 0
                                                       : 0xffff);
    }
}
