/*
 * Loading page tables and forgetting translations (Intel SDM volume 3A, sections 4.10.1 and 4.10.4).
 *
 * Tags are process-context identifiers. They are used with global pages only: without those, the one way to forget
 * all tags would be to turn them off.
 */
#include "x86.h"

#include <arch/arch.h>

/* Above this many pages, forgetting everything is cheaper than single invalidations. */
#define FLUSH_PAGES_MAX 33

#define CR3_KEEP (1ull << 63) /* loading keeps what is known under the tag */
#define PCID_BITS 12

enum invpcid { INVPCID_TAG = 1, INVPCID_EVERYTHING = 2 };

const struct qy_pt_format *arch_pt_format(void)
{
    return &qy_pt_x86_64;
}

void arch_mmu_load(paddr_t root)
{
    x86_write_cr3(root.raw);
}

unsigned arch_tlb_tags(void)
{
    return x86_has_tags() ? (1u << PCID_BITS) - 1 : 0;
}

void arch_tlb_load(paddr_t root, unsigned tag, bool keep)
{
    x86_write_cr3(root.raw | tag | (keep && x86_has_tags() ? CR3_KEEP : 0));
}

static void invlpg(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static void invpcid(enum invpcid type, uint64_t tag)
{
    const uint64_t descriptor[2] = {tag, 0};
    __asm__ volatile("invpcid (%0), %1" : : "r"(descriptor), "r"((uint64_t)type) : "memory");
}

/* One invalidation is enough for a large page, whatever the CPU has made of it (4.10.4.1). */
void arch_tlb_flush_pages(unsigned tag, vaddr_t start, unsigned pages, unsigned level)
{
    (void)tag;
    for (unsigned i = 0; i < pages; i++)
        invlpg(start.raw + i * qy_pt_page_bytes(level));
}

void arch_tlb_flush_tag(unsigned tag)
{
    if (x86_features.invpcid)
        invpcid(INVPCID_TAG, tag);
    else
        x86_write_cr3(x86_read_cr3()); /* bit 63 reads as zero */
}

void arch_flush_path(vaddr_t address)
{
    invlpg(address.raw);
}

void arch_flush_range(vaddr_t address, uint64_t pages)
{
    if (pages > FLUSH_PAGES_MAX) {
        arch_flush_everything();
        return;
    }
    for (uint64_t i = 0; i < pages; i++)
        invlpg(address.raw + i * QY_PAGE_BYTES);
}

/* Changing CR4.PGE forgets everything under all tags. */
void arch_flush_everything(void)
{
    uint64_t cr4 = x86_read_cr4();
    if (x86_features.invpcid) {
        invpcid(INVPCID_EVERYTHING, 0);
    } else if (cr4 & X86_CR4_PGE) {
        x86_write_cr4(cr4 & ~(uint64_t)X86_CR4_PGE);
        x86_write_cr4(cr4);
    } else {
        x86_write_cr3(x86_read_cr3());
    }
}

/* Instruction fetches see stores of any CPU (volume 3A, 11.6). */
void (*const arch_fence_code)(void) = NULL;
