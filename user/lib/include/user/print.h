/*
 * Text of a program on the console: a line at a time, over one static buffer.
 *
 * Formats as in lib/format.h (%S sizes, %R addresses). Any thread may print: what one call prints
 * stands together. Cost: one call of the kernel per line, or per full buffer. Failure: what the
 * console refuses is lost, nothing else.
 */
#ifndef USER_PRINT_H
#define USER_PRINT_H

#include <quarry/abi.h>
#include <stddef.h>

/* Print on this console from here on. */
void print_to_console(qy_handle_t console);

/* A line goes out at its newline. */
void print(const char *format, ...);

/* As it stands, without formatting. */
void print_text(const char *text);

/* Send what has no newline yet. */
void print_flush(void);

#endif
