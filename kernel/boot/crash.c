/*
 * Faults on purpose, asked for by the boot option crash=..., so that the kernel's report of its own
 * end is tested.
 */
#include <arch/arch.h>
#include <kernel/boot.h>
#include <kernel/image.h>
#include <kernel/print.h>
#include <lib/string.h>
#include <platform/parse.h>
#include <qy/port.h>

/* Uses up the kernel stack: far more frames than fit, each of which is looked at after the call. */
static __attribute__((noinline)) uint64_t overflow_stack(unsigned depth)
{
    volatile uint64_t frame[64];
    frame[0] = depth;
    return depth ? overflow_stack(depth - 1) + frame[0] : 0;
}

/* A number that the compiler knows nothing about: it would refuse the null pointer. */
static uint64_t hidden(uint64_t number)
{
    volatile uint64_t copy = number;
    return copy;
}

void kernel_crash_on_request(const char *command_line)
{
    char kind[16];
    if (!qy_option(command_line, "crash", kind, sizeof(kind)))
        return;
    print("crash on request: %s\n", kind);
    if (strcmp(kind, "stack") == 0)
        print("%u\n", (unsigned)overflow_stack(1000000));
    else if (strcmp(kind, "null") == 0)
        *(volatile uint64_t *)hidden(8) = 1;
    else if (strcmp(kind, "text") == 0)
        *(volatile char *)kernel_text_start = 0;
    else if (strcmp(kind, "execute") == 0)
        ((void (*)(void))(uint64_t)kernel_data_start)();
    else if (strcmp(kind, "alias") == 0)
        *(volatile char *)qy_port_ram(
            paddr((uint64_t)kernel_text_start - KERNEL_IMAGE_BASE + arch_image_base.raw)) = 0;
    else if (strcmp(kind, "promise") == 0)
        qy_port_broken("NOTHING", "a broken promise was asked for", 1);
    kernel_stop("crash=%s is none of stack, null, text, execute, alias, promise", kind);
}
