/*
 * The console: whole lines under one lock, formatted without allocation.
 *
 * Locking: qy_class_console, the innermost; taken only here. A panic breaks it and prints whatever
 * happens.
 */
#include <arch/arch.h>
#include <kernel/print.h>
#include <lib/format.h>

static struct qy_lock console_lock;
static atomic_bool lock_broken;

static void console_acquire(void) QY_ACQUIRES(qy_class_console) QY_UNCHECKED
{
    if (!atomic_load(&lock_broken))
        qy_lock_acquire(&console_lock);
}

static void console_release(void) QY_RELEASES(qy_class_console) QY_UNCHECKED
{
    if (!atomic_load(&lock_broken))
        qy_lock_release(&console_lock);
}

void console_break_lock(void)
{
    atomic_store(&lock_broken, true);
}

static void put(void *context, char c)
{
    (void)context;
    arch_console_put(c);
}

void print_v(const char *format, va_list arguments)
{
    console_acquire();
    format_v(put, NULL, format, arguments);
    console_release();
}

void print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_v(format, arguments);
    va_end(arguments);
}

void console_write(const char *text, size_t bytes)
{
    console_acquire();
    for (size_t i = 0; i < bytes; i++)
        arch_console_put(text[i]);
    console_release();
}

_Noreturn void kernel_exit(unsigned code)
{
    print("quarry: exit %u\n", code);
    arch_power_off(code);
}
