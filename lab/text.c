/*
 * Reading lines of text; see text.h. Cost: O(bytes).
 */
#include "text.h"

#include <string.h>

#define ESCAPE 0x1b

/* A terminal's colour, "ESC [ 31 m": its length, 0 if there is none. */
static size_t colour_bytes(struct qy_bytes text, size_t offset)
{
    if (text.at[offset] != ESCAPE || offset + 1 >= text.count || text.at[offset + 1] != '[')
        return 0;
    for (size_t i = offset + 2; i < text.count && i < offset + 16; i++)
        if (text.at[i] >= '@' && text.at[i] <= '~')
            return i + 1 - offset;
    return 0;
}

bool lab_next_line(struct lab_lines *lines, struct lab_cursor *out)
{
    size_t length = 0;

    if (lines->offset >= lines->text.count)
        return false;
    while (lines->offset < lines->text.count && lines->text.at[lines->offset] != '\n') {
        size_t colour = colour_bytes(lines->text, lines->offset);
        if (!colour && length < LAB_LINE_BYTES)
            lines->line[length++] = (char)lines->text.at[lines->offset];
        lines->offset += colour ? colour : 1;
    }
    lines->offset++;
    lines->number++;
    while (length && (lines->line[length - 1] == '\r' || lines->line[length - 1] == ' ' ||
                      lines->line[length - 1] == '\t'))
        length--;
    *out = (struct lab_cursor){lines->line, lines->line + length};
    return true;
}

static bool starts_with(struct lab_cursor cursor, const char *literal, size_t length)
{
    return (size_t)(cursor.end - cursor.at) >= length && memcmp(cursor.at, literal, length) == 0;
}

bool lab_take(struct lab_cursor *cursor, const char *literal)
{
    size_t length = strlen(literal);

    if (!starts_with(*cursor, literal, length))
        return false;
    cursor->at += length;
    return true;
}

void lab_skip_blanks(struct lab_cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t'))
        cursor->at++;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

static bool take_number(struct lab_cursor *cursor, unsigned base, uint64_t *out)
{
    const char *first = cursor->at;
    bool fits = true;

    *out = 0;
    for (; cursor->at < cursor->end && (unsigned)digit_of(*cursor->at) < base; cursor->at++) {
        unsigned digit = (unsigned)digit_of(*cursor->at);
        fits = fits && *out <= (UINT64_MAX - digit) / base;
        *out = *out * base + digit;
    }
    return fits && cursor->at != first;
}

bool lab_take_hex(struct lab_cursor *cursor, uint64_t *out)
{
    if (!lab_take(cursor, "0x"))
        (void)lab_take(cursor, "0X");
    return take_number(cursor, 16, out);
}

bool lab_take_decimal(struct lab_cursor *cursor, uint64_t *out)
{
    return take_number(cursor, 10, out);
}

bool lab_find(struct lab_cursor *cursor, const char *literal)
{
    size_t length = strlen(literal);

    for (struct lab_cursor c = *cursor; c.at < c.end; c.at++) {
        c.at = memchr(c.at, literal[0], (size_t)(c.end - c.at));
        if (!c.at)
            return false;
        if (starts_with(c, literal, length)) {
            cursor->at = c.at + length;
            return true;
        }
    }
    return false;
}

bool lab_is(struct lab_cursor cursor, const char *literal)
{
    return lab_take(&cursor, literal) && cursor.at == cursor.end;
}

static bool letter_at(const char *at)
{
    return (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || *at == '_';
}

bool lab_has_word(struct lab_cursor cursor, const char *word)
{
    const char *begin = cursor.at;

    while (lab_find(&cursor, word)) {
        const char *first = cursor.at - strlen(word);
        if ((first == begin || !letter_at(first - 1)) &&
            (cursor.at == cursor.end || !letter_at(cursor.at)))
            return true;
    }
    return false;
}

bool lab_range_of(uint64_t base, uint64_t last, bool exclusive, uint64_t *end)
{
    if (!exclusive && last + 1 == base) { /* base 0 of length 0 too: its last byte reads 2^64 - 1 */
        *end = base;
        return true;
    }
    *end = exclusive || last == UINT64_MAX ? last : last + 1;
    return exclusive ? *end >= base : last >= base;
}
