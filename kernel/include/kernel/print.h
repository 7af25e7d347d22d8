/*
 * Output of the kernel, a console line at a time, and the ways in which it ends.
 *
 * Formats are those of lib/format.h; %S is a size in bytes ("3.2 MiB"), %R an address, both uint64_t.
 */
#ifndef KERNEL_PRINT_H
#define KERNEL_PRINT_H

#include <qy/lock.h>
#include <stdarg.h>

void print(const char *format, ...);
void print_v(const char *format, va_list arguments);

/* Write raw text, as programs send it; one caller at a time. */
void console_write(const char *text, size_t bytes);

/* From here on nobody waits for the console's lock: a panic prints whatever happens. */
void console_break_lock(void);

/* Print the last line, "quarry: exit CODE", and switch the machine off. 0 = all well. */
_Noreturn void kernel_exit(unsigned code);

/* Say what is wrong and what to do, in one line, and stop the machine with exit code 1. For boot. */
_Noreturn void kernel_stop(const char *format, ...);

/* A promise of the kernel is broken: report all there is and stop with exit code 2. */
_Noreturn void kernel_panic(const char *format, ...);

#endif
