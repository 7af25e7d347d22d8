/*
 * Paging, tags and what protects the kernel (Privileged Architecture 1.12, 4.1.1, 4.1.11, 4.2.1, 4.5).
 *
 * Tags are the address-space identifiers of satp; sfence.vma acts on the hart that executes it.
 */
#include "riscv.h"

#include <arch/arch.h>
#include <lib/format.h>
#include <platform/topology.h>

/* Above this many pages, forgetting all is cheaper than single invalidations. */
#define FLUSH_PAGES_MAX 33

static unsigned asid_bits; /* the fewest of all harts so far */
static bool has_svpbmt;
static uint64_t
    finisher_address; /* in the DEVICES window once the final tables are loaded; 0 = none */

static uint64_t satp_of(paddr_t root, unsigned tag)
{
    return (uint64_t)RISCV_SATP_SV48 << RISCV_SATP_MODE_SHIFT |
           (uint64_t)tag << RISCV_SATP_ASID_SHIFT | root.raw >> QY_PAGE_SHIFT;
}

/* The bits of satp's ASID that hold a one (4.1.11). */
static unsigned probe_asid_bits(void)
{
    uint64_t satp = riscv_read_csr(satp);
    uint64_t all = ((1ull << RISCV_SATP_ASID_BITS) - 1) << RISCV_SATP_ASID_SHIFT;
    riscv_write_csr(satp, satp | all);
    unsigned bits = (unsigned)__builtin_popcountll(riscv_read_csr(satp) & all);
    riscv_write_csr(satp, satp);
    arch_flush_everything();
    return bits;
}

/*
 * Memory types work only if the firmware has turned them on too, so they are tried: the image's
 * first byte is read through a page of type IO at the second 512 GiB of the boot tables. Where the
 * bits are reserved, the read faults.
 */
static bool probe_svpbmt(void)
{
    volatile uint64_t *root = (volatile uint64_t *)(riscv_read_csr(satp) << QY_PAGE_SHIFT);
    char byte;
    root[1] = RISCV_PTE_RW | RISCV_PTE_TYPE_IO;
    arch_flush_everything();
    bool works = arch_copy_from_user(&byte, (1ull << 39) + arch_image_base.raw, 1);
    root[1] = 0;
    arch_flush_everything();
    return works;
}

/* Harts may differ: a tag must fit all of them. They start one at a time, before the first tag is given. */
void riscv_mmu_probe_hart(void)
{
    unsigned bits = probe_asid_bits();
    asid_bits = bits < asid_bits ? bits : asid_bits;
}

void riscv_mmu_probe(void)
{
    asid_bits = probe_asid_bits();
    has_svpbmt = probe_svpbmt();
}

const struct qy_pt_format *arch_pt_format(void)
{
    return has_svpbmt ? &qy_pt_sv48_pbmt : &qy_pt_sv48;
}

/* 56 bits by the format of an entry (4.5.1); Quarry's direct map ends at 64 TiB. */
uint64_t arch_physical_limit(void)
{
    return 1ull << 46;
}

/* Sv48 has pages of 4 KiB, 2 MiB, 1 GiB and 512 GiB; the kernel uses three of them. */
unsigned arch_max_page_level(void)
{
    return 3;
}

/* The start code stops by itself on a CPU without Sv48, before there is anything that could ask. */
const char *arch_missing_feature(void)
{
    return NULL;
}

void arch_protect(void)
{
    riscv_clear_csr(sstatus, RISCV_SSTATUS_SIE | RISCV_SSTATUS_SUM | RISCV_SSTATUS_MXR |
                                 RISCV_SSTATUS_FS | RISCV_SSTATUS_VS);
    riscv_write_csr(scounteren, 7); /* programs read cycle, time and instret */
}

void arch_protection_names(char *buffer, size_t bytes)
{
    uint64_t status = riscv_read_csr(sstatus);
    format_to(buffer, bytes, "Sv48, SUM %s, MXR %s, FPU %s%s, %u ASID bits%s",
              status & RISCV_SSTATUS_SUM ? "ON" : "off", status & RISCV_SSTATUS_MXR ? "ON" : "off",
              status & RISCV_SSTATUS_FS ? "ON" : "off", has_svpbmt ? ", Svpbmt" : "", asid_bits,
              has_svpbmt ? "" : "; no Svpbmt");
}

/*
 * The test finisher and the PLIC are all that the kernel drives itself. Without Svpbmt the physical memory
 * attributes alone make device registers uncached.
 */
enum qy_error arch_map_devices(struct qy_pt *pt, const struct qy_topology *topology,
                               const struct qy_pt_tables *tables)
{
    unsigned flags = QY_PT_READ | QY_PT_WRITE | QY_PT_GLOBAL | (has_svpbmt ? QY_PT_UNCACHED : 0);
    riscv_timer_set_frequency(topology->timebase_hz);
    enum qy_error error = riscv_plic_map(pt, topology, flags, tables);
    if (error != QY_OK || !topology->test_finisher.raw)
        return error;
    paddr_t page = paddr(qy_align_down(topology->test_finisher.raw, QY_PAGE_BYTES));
    error = qy_pt_map_range(pt, vaddr(kernel_base.devices), page, QY_PAGE_BYTES, 1, flags, tables);
    if (error == QY_OK)
        finisher_address = kernel_base.devices + (topology->test_finisher.raw - page.raw);
    return error;
}

void arch_mmu_load(paddr_t root)
{
    riscv_write_csr(satp, satp_of(root, 0));
    arch_flush_everything();
    riscv_finisher_set((volatile uint32_t *)finisher_address);
}

unsigned arch_tlb_tags(void)
{
    return (1u << asid_bits) - 1;
}

/* The order is 4.2.1's for identifiers that are used again: first satp, then the fence. */
void arch_tlb_load(paddr_t root, unsigned tag, bool keep)
{
    riscv_write_csr(satp, satp_of(root, tag));
    if (!keep)
        arch_tlb_flush_tag(tag);
}

/* Leaf entries only: enough for pages. */
void arch_tlb_flush_pages(unsigned tag, vaddr_t start, unsigned pages, unsigned level)
{
    for (unsigned i = 0; i < pages; i++)
        __asm__ volatile("sfence.vma %0, %1"
                         :
                         : "r"(start.raw + i * qy_pt_page_bytes(level)), "r"((uint64_t)tag)
                         : "memory");
}

/* The identifier stands in a register other than x0, also when it is 0: so global translations stay. */
void arch_tlb_flush_tag(unsigned tag)
{
    __asm__ volatile("mv t0, %0\n\tsfence.vma x0, t0" : : "r"((uint64_t)tag) : "t0", "memory");
}

/* A fence for one address would leave tables on the way, which may be remembered as absent too. */
void arch_flush_path(vaddr_t address)
{
    (void)address;
    arch_tlb_flush_tag((unsigned)(riscv_read_csr(satp) >> RISCV_SATP_ASID_SHIFT) &
                       ((1u << RISCV_SATP_ASID_BITS) - 1));
}

void arch_flush_range(vaddr_t address, uint64_t pages)
{
    if (pages > FLUSH_PAGES_MAX) {
        arch_flush_everything();
        return;
    }
    for (uint64_t i = 0; i < pages; i++)
        __asm__ volatile("sfence.vma %0, x0" : : "r"(address.raw + i * QY_PAGE_BYTES) : "memory");
}

void arch_flush_everything(void)
{
    __asm__ volatile("sfence.vma x0, x0" : : : "memory");
}

/*
 * Instructions that a hart has fetched stay as they were until its own fence.i, whoever writes to
 * their memory (Unprivileged Architecture, chapter 3). What a page that becomes executable held
 * before, for an earlier owner even, must not run.
 */
static void fence_code(void)
{
    __asm__ volatile("fence.i" : : : "memory");
}

void (*const arch_fence_code)(void) = fence_code;
