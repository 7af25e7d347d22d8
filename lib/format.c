/*
 * Formatted text without allocation: shared by the kernel, the programs' library and the hosted
 * tests.
 *
 * A conversion is parsed into struct spec, its text is made in a small buffer from the right, and
 * emit() pads it. Stack: about 150 bytes, no recursion. Cost: O(characters).
 */
#include <lib/format.h>
#include <stdbool.h>
#include <stdint.h>

#define NUMBER_MAX 0x7fffffff /* of a width: as far as an int goes */

struct output {
    void (*put)(void *context, char c);
    void *context;
    size_t count;
};

/* A va_list that can be passed on by address, whatever type it is: its taker moves it on for all.
 */
struct arguments {
    va_list list;
};

enum length { LENGTH_CHAR, LENGTH_SHORT, LENGTH_INT, LENGTH_LONG, LENGTH_LONG_LONG };

struct spec {
    bool left;
    bool zeros;
    size_t width;
    size_t precision; /* SIZE_MAX: none */
    enum length length;
};

static void put(struct output *out, char c)
{
    out->put(out->context, c);
    out->count++;
}

/*
 * A sign or prefix, and the digits or text, padded to the width. Zeros go between the two,
 * blanks outside.
 */
static void emit(struct output *out, const struct spec *spec, const char *prefix, const char *text,
                 size_t length)
{
    size_t used = length;

    for (const char *p = prefix; *p; p++)
        used++;
    size_t padding = spec->width > used ? spec->width - used : 0;

    if (!spec->left && !spec->zeros)
        for (; padding; padding--)
            put(out, ' ');
    while (*prefix)
        put(out, *prefix++);
    if (!spec->left)
        for (; padding; padding--)
            put(out, '0');
    for (size_t i = 0; i < length; i++)
        put(out, text[i]);
    for (; padding; padding--)
        put(out, ' ');
}

/*
 * The digits of a value, written so that they end before `end`; at least one. Returns their first.
 */
static char *digits(char *end, uint64_t value, unsigned base, bool upper)
{
    const char *alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";

    do
        *--end = alphabet[value % base];
    while (value /= base);
    return end;
}

static void emit_number(struct output *out, const struct spec *spec, const char *prefix,
                        uint64_t value, unsigned base, bool upper)
{
    char buffer[24];
    char *end = buffer + sizeof(buffer), *first = digits(end, value, base, upper);

    emit(out, spec, prefix, first, (size_t)(end - first));
}

/*
 * "0 B", "4 KiB", "3.2 MiB": the largest unit of which there is at least one; the decimal is
 * cut, not rounded.
 */
static void emit_size(struct output *out, struct spec *spec, uint64_t bytes)
{
    static const char units[][4] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    char buffer[24];
    char *end = buffer + sizeof(buffer), *at = end;

    while (unit < 6 && bytes >> (10 * (unit + 1)))
        unit++;
    for (unsigned i = unit ? 3 : 1; i--;)
        *--at = units[unit][i];
    *--at = ' ';
    uint64_t rest = unit ? bytes & ((1ull << (10 * unit)) - 1) : 0;
    if (rest) {
        /* rest is below 2^60: times 10 fits */
        *--at = (char)('0' + (rest * 10 >> (10 * unit)));
        if (*at == '0')
            at++;
        else
            *--at = '.';
    }
    at = digits(at, bytes >> (10 * unit), 10, false);
    spec->zeros = false;
    emit(out, spec, "", at, (size_t)(end - at));
}

static void emit_address(struct output *out, struct spec *spec, uint64_t address)
{
    char buffer[16];

    for (unsigned i = 16; i--; address >>= 4)
        buffer[i] = "0123456789abcdef"[address & 15];
    spec->zeros = false;
    emit(out, spec, "0x", buffer, sizeof(buffer));
}

static void emit_text(struct output *out, struct spec *spec, const char *text)
{
    size_t length = 0;

    if (!text)
        text = "(null)";
    while (length < spec->precision && text[length])
        length++;
    spec->zeros = false;
    emit(out, spec, "", text, length);
}

/*
 * A number in the format, or '*' for one in the arguments. Numbers that do not fit stop at
 * NUMBER_MAX.
 */
static const char *parse_number(const char *at, struct arguments *arguments, int *out)
{
    int value = 0;

    if (*at == '*') {
        *out = va_arg(arguments->list, int);
        return at + 1;
    }
    for (; *at >= '0' && *at <= '9'; at++)
        value = value > (NUMBER_MAX - 9) / 10 ? NUMBER_MAX : value * 10 + (*at - '0');
    *out = value;
    return at;
}

static const char *parse_length(const char *at, enum length *out)
{
    *out = LENGTH_INT;
    if (*at == 'z' || *at == 'j' || *at == 't') {
        *out = LENGTH_LONG; /* size_t, intmax_t and ptrdiff_t are 64 bits, as long is */
        return at + 1;
    }
    if (*at == 'l' || *at == 'h') {
        bool twice = at[1] == *at;
        if (*at == 'l')
            *out = twice ? LENGTH_LONG_LONG : LENGTH_LONG;
        else
            *out = twice ? LENGTH_CHAR : LENGTH_SHORT;
        return at + 1 + twice;
    }
    return at;
}

/* Flags, width, precision and length after a '%'. Returns where the conversion's letter stands. */
static const char *parse_spec(const char *at, struct arguments *arguments, struct spec *spec)
{
    int number;

    *spec = (struct spec){.precision = SIZE_MAX};
    for (; *at == '-' || *at == '0'; at++) {
        if (*at == '-')
            spec->left = true;
        else
            spec->zeros = true;
    }
    at = parse_number(at, arguments, &number);
    if (number < 0) {
        spec->left = true;
        spec->width = -(size_t)(long)number;
    } else {
        spec->width = (size_t)number;
    }
    if (*at == '.') {
        at = parse_number(at + 1, arguments, &number);
        spec->precision = number < 0 ? SIZE_MAX : (size_t)number;
    }
    spec->zeros = spec->zeros && !spec->left;
    return parse_length(at, &spec->length);
}

static int64_t signed_argument(enum length length, struct arguments *arguments)
{
    switch (length) {
    case LENGTH_CHAR:
        return (signed char)va_arg(arguments->list, int);
    case LENGTH_SHORT:
        return (short)va_arg(arguments->list, int);
    case LENGTH_INT:
        return va_arg(arguments->list, int);
    case LENGTH_LONG:
        return va_arg(arguments->list, long);
    case LENGTH_LONG_LONG:
        break;
    }
    return va_arg(arguments->list, long long);
}

static uint64_t unsigned_argument(enum length length, struct arguments *arguments)
{
    switch (length) {
    case LENGTH_CHAR:
        return (unsigned char)va_arg(arguments->list, unsigned);
    case LENGTH_SHORT:
        return (unsigned short)va_arg(arguments->list, unsigned);
    case LENGTH_INT:
        return va_arg(arguments->list, unsigned);
    case LENGTH_LONG:
        return va_arg(arguments->list, unsigned long);
    case LENGTH_LONG_LONG:
        break;
    }
    return va_arg(arguments->list, unsigned long long);
}

/* One conversion. False if the letter is none. */
static bool convert(struct output *out, struct spec *spec, char letter, struct arguments *arguments)
{
    switch (letter) {
    case 'd':
    case 'i': {
        int64_t value = signed_argument(spec->length, arguments);
        emit_number(out, spec, value < 0 ? "-" : "", value < 0 ? -(uint64_t)value : (uint64_t)value,
                    10, false);
        return true;
    }
    case 'u':
        emit_number(out, spec, "", unsigned_argument(spec->length, arguments), 10, false);
        return true;
    case 'x':
    case 'X':
        emit_number(out, spec, "", unsigned_argument(spec->length, arguments), 16, letter == 'X');
        return true;
    case 'p':
        emit_number(out, spec, "0x", (uintptr_t)va_arg(arguments->list, void *), 16, false);
        return true;
    case 'c': {
        char c = (char)va_arg(arguments->list, int);
        spec->zeros = false;
        emit(out, spec, "", &c, 1);
        return true;
    }
    case 's':
        emit_text(out, spec, va_arg(arguments->list, const char *));
        return true;
    case 'S':
        emit_size(out, spec, va_arg(arguments->list, uint64_t));
        return true;
    case 'R':
        emit_address(out, spec, va_arg(arguments->list, uint64_t));
        return true;
    case '%':
        put(out, '%');
        return true;
    default:
        return false;
    }
}

size_t format_v(void (*put_character)(void *context, char c), void *context, const char *format,
                va_list arguments)
{
    struct output out = {put_character, context, 0};
    struct arguments list;

    va_copy(list.list, arguments);
    while (*format) {
        struct spec spec;
        if (*format != '%') {
            put(&out, *format++);
            continue;
        }
        const char *letter = parse_spec(format + 1, &list, &spec);
        if (*letter && convert(&out, &spec, *letter, &list))
            format = letter + 1;
        else
            put(&out, *format++);
    }
    va_end(list.list);
    return out.count;
}

struct buffer {
    char *at;
    size_t room; /* characters that still fit, the terminator not counted */
};

static void put_in_buffer(void *context, char c)
{
    struct buffer *buffer = context;

    if (buffer->room) {
        buffer->room--;
        *buffer->at++ = c;
    }
}

size_t format_to_v(char *text, size_t bytes, const char *format, va_list arguments)
{
    struct buffer buffer = {text, bytes ? bytes - 1 : 0};
    size_t count = format_v(put_in_buffer, &buffer, format, arguments);

    if (bytes)
        *buffer.at = '\0';
    return count;
}

size_t format_to(char *text, size_t bytes, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    size_t count = format_to_v(text, bytes, format, arguments);
    va_end(arguments);
    return count;
}
