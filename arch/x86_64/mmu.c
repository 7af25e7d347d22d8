/*
 * Loading page tables and forgetting translations (Intel SDM volume 3A, section 4.10.4).
 */
#include "x86.h"

#include <arch/arch.h>

static paddr_t kernel_root;

const struct qy_pt_format *arch_pt_format(void)
{
    return &qy_pt_x86_64;
}

void arch_mmu_load(paddr_t root)
{
    kernel_root = root;
    x86_write_cr3(root.raw);
}

void arch_space_load(struct cpu *cpu, struct qy_pt *pt)
{
    (void)cpu;
    x86_write_cr3(pt ? pt->root.raw : kernel_root.raw);
}

/* Above this many pages, reloading the root is cheaper than single invalidations. */
#define FLUSH_PAGES_MAX 33

void arch_flush_range(vaddr_t address, uint64_t pages)
{
    if (pages == 0 || pages > FLUSH_PAGES_MAX) {
        x86_write_cr3(x86_read_cr3());
        return;
    }
    for (uint64_t i = 0; i < pages; i++)
        __asm__ volatile("invlpg (%0)" : : "r"(address.raw + i * QY_PAGE_BYTES) : "memory");
}

void arch_flush_everything(void)
{
    uint64_t cr4 = x86_read_cr4();
    if (cr4 & X86_CR4_PGE) {
        x86_write_cr4(cr4 & ~(uint64_t)X86_CR4_PGE);
        x86_write_cr4(cr4);
    } else {
        x86_write_cr3(x86_read_cr3());
    }
}
