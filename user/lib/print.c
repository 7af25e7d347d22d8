/*
 * Text of a program on the console, a line at a time.
 */
#include <lib/format.h>
#include <user/lock.h>
#include <user/print.h>

static struct {
    struct spin_lock lock;
    qy_handle_t console;
    size_t used;
    char text[256];
} line;

void print_to_console(qy_handle_t console)
{
    line.console = console;
}

static void send(void)
{
    size_t bytes = line.used;

    line.used = 0;
    /* There is nobody to tell that the console is gone. */
    if (bytes && console_write(line.console, line.text, bytes) != QY_OK)
        return;
}

void print_flush(void)
{
    spin_acquire(&line.lock);
    send();
    spin_release(&line.lock);
}

static void put(void *context, char c)
{
    (void)context;
    line.text[line.used++] = c;
    if (c == '\n' || line.used == sizeof(line.text))
        send();
}

void print(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    spin_acquire(&line.lock);
    (void)format_v(put, NULL, format, arguments);
    spin_release(&line.lock);
    va_end(arguments);
}

void print_text(const char *text)
{
    spin_acquire(&line.lock);
    while (*text)
        put(NULL, *text++);
    spin_release(&line.lock);
}
