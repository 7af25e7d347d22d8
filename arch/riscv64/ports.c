/*
 * RISC-V has no I/O ports: nobody gets any, so that nobody can use one.
 */
#include <arch/arch.h>

enum qy_error arch_ports_take(uint32_t first, uint32_t count)
{
    (void)first, (void)count;
    return QY_UNSUPPORTED;
}

void arch_ports_give(uint32_t first, uint32_t count)
{
    (void)first, (void)count;
}

uint32_t arch_port_in(uint16_t port, unsigned width)
{
    (void)port, (void)width;
    return 0;
}

void arch_port_out(uint16_t port, unsigned width, uint32_t value)
{
    (void)port, (void)width, (void)value;
}
