/*
 * Reading lines of text: a cursor that only goes forward and never leaves its line.
 */
#ifndef LAB_TEXT_H
#define LAB_TEXT_H

#include <platform/parse.h>

struct lab_cursor {
    const char *at, *end;
};

#define LAB_LINE_BYTES 4096u /* longer lines are cut: nothing that is looked for stands that far */

struct lab_lines {
    struct qy_bytes text;
    size_t offset;
    unsigned number; /* of the line that was read last, from 1 */
    char line[LAB_LINE_BYTES];
};

/* The next line, without its end, colours of a terminal, and blanks behind. False: there is none. */
bool lab_next_line(struct lab_lines *lines, struct lab_cursor *out);

/* Advance over what is named, if it stands there. */
bool lab_take(struct lab_cursor *cursor, const char *literal);
void lab_skip_blanks(struct lab_cursor *cursor);

/* A number in hexadecimal digits, with 0x or without, or in decimal ones. False: none, or above 64 bits. */
bool lab_take_hex(struct lab_cursor *cursor, uint64_t *out);
bool lab_take_decimal(struct lab_cursor *cursor, uint64_t *out);

/* Go behind the first occurrence. False: there is none, and nothing has changed. */
bool lab_find(struct lab_cursor *cursor, const char *literal);

/* The rest is exactly that, or contains it as a word. */
bool lab_is(struct lab_cursor cursor, const char *literal);
bool lab_has_word(struct lab_cursor cursor, const char *word);

/* Length and start of the rest for printf's "%.*s", cut to something readable. */
#define LAB_SHOW(cursor)                                                                           \
    (int)((cursor).end - (cursor).at > 80 ? 80 : (cursor).end - (cursor).at), (cursor).at

/*
 * [base, end) from "0x1000-0x1fff", which names the last byte, or with `exclusive` the end. A last byte of 2^64 - 1
 * gives that end. An empty range (last byte = base - 1) is none: *end == *base. False: it ends before it begins.
 */
bool lab_range_of(uint64_t base, uint64_t last, bool exclusive, uint64_t *end);

#endif
