/*
 * From the first C instruction to the kernel: what PVH or Multiboot2 passed, into struct
 * qy_boot_info.
 *
 * Everything here runs on the boot tables: the first 4 GiB of physical memory are readable at the
 * direct map.
 */
#include "x86.h"

#include <arch/arch.h>
#include <kernel/entry.h>
#include <kernel/image.h>
#include <kernel/kaslr.h>
#include <kernel/print.h>
#include <lib/string.h>
#include <platform/parse.h>

#define MULTIBOOT2_MAGIC 0x36d76289
#define BOOT_WINDOW 0x100000000ull
#define PRESENT_WRITABLE 3u

void arch_boot(uint64_t information, uint64_t magic);
void x86_power_set(const struct qy_topology *topology);

paddr_t arch_image_base;
static struct qy_boot_info boot_info;
_Noreturn void x86_start_over(uint64_t information, uint64_t magic);
extern char kernel_boot_start[];
extern uint64_t boot_image_pd[QY_PT_ENTRIES]; /* physical addresses */
extern uint64_t boot_moved_pts[IMAGE_TABLES][QY_PT_ENTRIES];

void *x86_ram(uint64_t physical)
{
    return (void *)(kernel_ram + physical);
}

uint64_t arch_boot_window(void)
{
    return BOOT_WINDOW;
}

static const void *boot_read(void *context, paddr_t address, uint64_t count)
{
    (void)context;
    if (address.raw >= BOOT_WINDOW || count > BOOT_WINDOW - address.raw)
        return NULL;
    return x86_ram(address.raw);
}

static const struct qy_reader boot_reader = {boot_read, NULL};

/*
 * The old interrupt controllers are not used. Masked they can still raise a spurious interrupt, so their vectors are
 * moved off the exceptions first (Intel 8259A data sheet: the four initialisation words).
 */
static void pic_mask(void)
{
    static const uint8_t words[2][4] = {{0x11, 0xf0, 4, 1}, {0x11, 0xf8, 2, 1}};
    for (unsigned chip = 0; chip < 2; chip++) {
        uint16_t port = chip == 0 ? 0x20 : 0xa0;
        x86_out8(port, words[chip][0]);
        for (unsigned i = 1; i < 4; i++)
            x86_out8(port + 1, words[chip][i]);
        x86_out8(port + 1, 0xff);
    }
}

static void parse_multiboot2(uint64_t information)
{
    const uint32_t *header = boot_read(NULL, paddr(information), 8);
    if (!header || information & 7 || header[0] < 16 ||
        !boot_read(NULL, paddr(information), header[0]))
        kernel_stop("the Multiboot2 information at %R cannot be read; the boot loader is broken",
                    information);
    struct qy_bytes bytes = {(const uint8_t *)header, header[0]};
    enum qy_error error = qy_parse_multiboot2(bytes, paddr(information), &boot_info);
    if (error != QY_OK)
        kernel_stop("the Multiboot2 information is broken (%s: %s); try another boot loader",
                    qy_error_name(error), boot_info.why);
    boot_info.path = QY_BOOT_MULTIBOOT2;
}

void arch_boot(uint64_t information, uint64_t magic)
{
    memset(&boot_info, 0, sizeof(boot_info)); /* it may be the second time */
    arch_image_base = paddr((uint64_t)kernel_boot_start);
    boot_info.version = QY_BOOT_INFO_VERSION;
    arch_console_init(&boot_info);
    x86_early_traps();
    pic_mask();
    x86_features_read();
    boot_info.boot_cpu = x86_initial_apic_id();
    if (magic == MULTIBOOT2_MAGIC) {
        parse_multiboot2(information);
    } else if (magic == 0) {
        enum qy_error error = qy_parse_pvh(&boot_reader, paddr(information), &boot_info);
        if (error != QY_OK)
            kernel_stop("the PVH start information is broken (%s: %s); try another virtual machine "
                        "monitor, or boot the ISO",
                        qy_error_name(error), boot_info.why);
        boot_info.path = QY_BOOT_PVH;
    } else {
        kernel_stop("started by an unknown boot protocol (magic %x); boot by PVH or Multiboot2",
                    (unsigned)magic);
    }
    if (kaslr_move_image(&boot_info))
        x86_start_over(information, magic);
    kernel_main(&boot_info);
}

/* In small pages: it may be put at any. The boot tables are low, where the other CPUs reach them too. */
void arch_image_map(uint64_t at)
{
    uint64_t(*pts)[QY_PT_ENTRIES] = x86_ram((uint64_t)boot_moved_pts);
    uint64_t *pd = x86_ram((uint64_t)boot_image_pd);
    uint64_t bytes = (uint64_t)kernel_data_end - kernel_base.image;
    for (uint64_t offset = 0; offset < bytes; offset += QY_PAGE_BYTES) {
        vaddr_t page = vaddr(at + offset);
        unsigned table = qy_pt_index(page, 2) - qy_pt_index(vaddr(at), 2);
        pts[table][qy_pt_index(page, 1)] = (arch_image_base.raw + offset) | PRESENT_WRITABLE;
        pd[qy_pt_index(page, 2)] = (uint64_t)boot_moved_pts[table] | PRESENT_WRITABLE;
    }
    x86_write_cr3(x86_read_cr3());
}

/* ACPI 6.4, section 5.2.5.1: in the first KiB of the EBDA, or between 0xe0000 and 0xfffff, on 16
 * bytes. */
static paddr_t rsdp_search(void)
{
    uint64_t ebda = (uint64_t) * (const uint16_t *)x86_ram(0x40e) << 4;
    const struct {
        uint64_t base, end;
    } areas[] = {{ebda, ebda + 1024}, {0xe0000, 0x100000}};
    for (unsigned i = 0; i < 2; i++)
        for (uint64_t at = areas[i].base; at && at + 36 <= areas[i].end; at += 16)
            if (memcmp(x86_ram(at), "RSD PTR ", 8) == 0)
                return paddr(at);
    return paddr(0);
}

enum qy_error arch_topology(const struct qy_boot_info *info, struct qy_topology *out)
{
    paddr_t rsdp = info->rsdp;
    struct qy_bytes copy = {info->rsdp_copy, info->rsdp_copy_bytes};
    if (rsdp.raw == 0 && copy.count == 0)
        rsdp = rsdp_search();
    enum qy_error error = qy_acpi_topology(&boot_reader, rsdp, copy, out);
    if (error != QY_OK) {
        uint64_t base = x86_read_msr(X86_MSR_APIC_BASE);
        const char *complaint = out->complaint;
        qy_topology_default(out, (uint32_t)info->boot_cpu);
        out->complaint = complaint;
        out->local_apic = paddr(base & 0xffffff000ull);
        qy_topology_keep_local_apic(out);
    }
    x86_power_set(out);
    return error;
}
