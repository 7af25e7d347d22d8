/*
 * The console, through the firmware: it knows the board's port, and the kernel needs no driver to
 * say a line.
 */
#include "riscv.h"

#include <arch/arch.h>

void arch_console_init(const struct qy_boot_info *info)
{
    (void)info;
    riscv_sbi_init();
}

void arch_console_put(char c)
{
    if (c == '\n')
        riscv_sbi_put('\r');
    riscv_sbi_put(c);
}

int arch_console_get(void)
{
    return riscv_sbi_get();
}
