/*
 * I/O ports of programs: which are given away, and the access itself.
 *
 * The kernel's own are never given: the old interrupt controllers, which it keeps silent; the PIT and the gate of its
 * channel 2, which clocks are measured against; the first serial port, its console; and where it writes to switch the
 * machine off. PCI configuration (0xcf8 to 0xcff) is nobody's yet: whoever gets it can place devices' memory anywhere
 * and start their DMA, and is trusted like the kernel.
 */
#include "x86.h"

#include <arch/arch.h>
#include <platform/topology.h>

static uint64_t taken[QY_PORTS / 64];

static struct port_range {
    uint32_t first, count;
} kernels[] = {{0x20, 2}, {0xa0, 2},  {0x40, 4},   {0x61, 1},
               {0xf4, 4}, {0x3f8, 8}, {0x8900, 1}, {0, 0} /* power-off, if ACPI tells */};

void x86_ports_keep(uint16_t first, uint16_t count)
{
    kernels[sizeof(kernels) / sizeof(kernels[0]) - 1] = (struct port_range){first, count};
}

static bool is_taken(uint32_t first, uint32_t count)
{
    for (unsigned i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++)
        if (first < kernels[i].first + kernels[i].count && kernels[i].first < first + count)
            return true;
    for (uint32_t port = first; port < first + count; port++)
        if (taken[port / 64] >> port % 64 & 1)
            return true;
    return false;
}

enum qy_error arch_ports_take(uint32_t first, uint32_t count)
{
    if (is_taken(first, count))
        return QY_BUSY;
    for (uint32_t port = first; port < first + count; port++)
        taken[port / 64] |= 1ull << port % 64;
    return QY_OK;
}

void arch_ports_give(uint32_t first, uint32_t count)
{
    for (uint32_t port = first; port < first + count; port++)
        taken[port / 64] &= ~(1ull << port % 64);
}

uint32_t arch_port_in(uint16_t port, unsigned width)
{
    return width == 1 ? x86_in8(port) : width == 2 ? x86_in16(port) : x86_in32(port);
}

void arch_port_out(uint16_t port, unsigned width, uint32_t value)
{
    if (width == 1)
        x86_out8(port, (uint8_t)value);
    else if (width == 2)
        x86_out16(port, (uint16_t)value);
    else
        x86_out32(port, value);
}

/* On a PC reads that nobody answers are all ones, and writes are lost. */
bool arch_register_read(uint64_t address, unsigned width, uint32_t *value)
{
    *value = width == 1   ? *(volatile uint8_t *)address
             : width == 2 ? *(volatile uint16_t *)address
                          : *(volatile uint32_t *)address;
    return true;
}

bool arch_register_write(uint64_t address, unsigned width, uint32_t value)
{
    if (width == 1)
        *(volatile uint8_t *)address = (uint8_t)value;
    else if (width == 2)
        *(volatile uint16_t *)address = (uint16_t)value;
    else
        *(volatile uint32_t *)address = value;
    return true;
}
