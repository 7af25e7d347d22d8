/*
 * The first serial port (16550), and switching the machine off.
 */
#include "x86.h"

#include <arch/arch.h>
#include <platform/topology.h>

#define COM1 0x3f8

void arch_console_init(const struct qy_boot_info *info)
{
    (void)info;
    x86_out8(COM1 + 1, 0);    /* no interrupts */
    x86_out8(COM1 + 3, 0x80); /* divisor: 115,200 baud */
    x86_out8(COM1, 1);
    x86_out8(COM1 + 1, 0);
    x86_out8(COM1 + 3, 3); /* 8N1 */
    x86_out8(COM1 + 2, 0xc7);
    x86_out8(COM1 + 4, 3);
}

void arch_console_put(char c)
{
    if (c == '\n')
        arch_console_put('\r');
    /* A machine without the port reads 0xff: the bit is set, and nothing waits. */
    while (!(x86_in8(COM1 + 5) & 0x20))
        arch_relax();
    x86_out8(COM1, (uint8_t)c);
}

int arch_console_get(void)
{
    uint8_t status = x86_in8(COM1 + 5);
    if (status == 0xff || !(status & 1))
        return -1;
    return x86_in8(COM1);
}

static uint16_t pm1a_control, sleep_type;

void x86_power_set(const struct qy_topology *topology);

void x86_power_set(const struct qy_topology *topology)
{
    pm1a_control = topology->pm1a_control;
    sleep_type = topology->sleep_type;
    if (pm1a_control)
        x86_ports_keep(pm1a_control, 2);
}

_Noreturn void arch_power_off(unsigned code)
{
    /* QEMU's isa-debug-exit, where it exists: exit status 2 * value + 1. */
    x86_out32(0xf4, 0x10 + code);
    /* Bochs. */
    for (const char *s = "Shutdown"; *s; s++)
        x86_out8(0x8900, (uint8_t)*s);
    /* ACPI: SLP_TYP of S5 and SLP_EN. */
    if (pm1a_control)
        x86_out16(pm1a_control, (uint16_t)(sleep_type << 10 | 1 << 13));
    for (;;)
        __asm__ volatile("cli; hlt");
}
