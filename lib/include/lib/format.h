/*
 * Formatted text without allocation and without a buffer: one character at a time to whoever
 * takes it.
 *
 *     %c %s %d %i %u %x %X %p %%   as in printf; h, hh, l, ll, z, j, t before the integers
 *     %S   a size in bytes, from a uint64_t, to one decimal, rounded down: "4 KiB", "3.2 MiB"
 *     %R   an address, from a uint64_t, as 0x and 16 hex digits
 * Between % and the letter: '-' (left), '0' (zeros; numbers only), then a width, then a precision
 * for %s; either may be '*' (from an int; a negative width is '-' and that width, a negative
 * precision is none). A null %s prints "(null)". A letter that is none of these is printed as it
 * stands, with its %.
 */
#ifndef LIB_FORMAT_H
#define LIB_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/* Write the text through put, in order. Returns the number of characters written. Never fails. */
size_t format_v(void (*put)(void *context, char c), void *context, const char *format,
                va_list arguments);

/*
 * Write at most bytes - 1 characters and a terminator into buffer (nothing if bytes is 0). Returns
 * the number of characters that the whole text has, as snprintf does: a result >= bytes means that
 * it was cut.
 */
size_t format_to_v(char *buffer, size_t bytes, const char *format, va_list arguments);
size_t format_to(char *buffer, size_t bytes, const char *format, ...);

#endif
