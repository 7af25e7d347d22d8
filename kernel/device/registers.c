/*
 * Registers of programs' devices, for the kernel: one page of the window of device registers is lent to each access.
 *
 * The page's table is made at boot, so nothing is allocated. An entry that another CPU had there may be in this CPU's
 * TLB, which looks ahead as it likes: it is forgotten on both sides of the access.
 */
#include <arch/arch.h>
#include <kernel/dma.h>
#include <kernel/layout.h>

static struct qy_pt tables;

void registers_init(const struct qy_pt *kernel_tables)
{
    tables = *kernel_tables;
}

/* Uncached as programs have device memory (frame_flags_check): by the entry, or by physical attributes. */
static uint64_t lend(paddr_t address) QY_REQUIRES(qy_class_caps)
{
    const vaddr_t page = vaddr(kernel_register_page());
    unsigned flags = QY_PT_READ | QY_PT_WRITE | QY_PT_GLOBAL;
    if (qy_pt_supports(tables.format, flags | QY_PT_UNCACHED, 1))
        flags |= QY_PT_UNCACHED;
    if (qy_pt_map(&tables, page, paddr(qy_align_down(address.raw, QY_PAGE_BYTES)), 1, flags,
                  NULL) != QY_OK)
        qy_port_broken("EXACT", "the page for registers is taken; address", address.raw);
    arch_flush_range(page, 1);
    return page.raw + address.raw % QY_PAGE_BYTES;
}

static void give_back(void) QY_REQUIRES(qy_class_caps)
{
    const vaddr_t page = vaddr(kernel_register_page());
    if (qy_pt_unmap(&tables, page, 1, NULL) != QY_OK)
        qy_port_broken("EXACT", "the page for registers is not mapped", page.raw);
    arch_flush_range(page, 1);
}

bool register_read(paddr_t address, unsigned width, uint32_t *value)
{
    bool answered = arch_register_read(lend(address), width, value);
    give_back();
    return answered;
}

bool register_write(paddr_t address, unsigned width, uint32_t value)
{
    bool answered = arch_register_write(lend(address), width, value);
    give_back();
    return answered;
}
