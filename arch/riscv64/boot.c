/*
 * From the first C instruction to the kernel: the device tree, and what our UEFI application adds
 * to it, into struct qy_boot_info.
 *
 * Everything here runs on the boot tables, whose first 512 GiB translate physical addresses to
 * themselves.
 */
#include "efi/handoff.h"
#include "riscv.h"

#include <arch/arch.h>
#include <kernel/entry.h>
#include <kernel/image.h>
#include <kernel/kaslr.h>
#include <kernel/print.h>
#include <lib/format.h>
#include <lib/string.h>
#include <platform/parse.h>

#define BOOT_WINDOW (1ull << 39)
#define FDT_BYTES_MAX (16ull << 20)

paddr_t arch_image_base;
static struct qy_boot_info boot_info;
static struct qy_topology boot_topology;

_Noreturn void riscv_start_over(uint64_t hart, uint64_t fdt_address, uint64_t handoff_address,
                                uint64_t image_base, uint64_t paging_mode, uint64_t distance);
extern uint64_t boot_table_2[QY_PT_ENTRIES], boot_moved_tables[IMAGE_TABLES][QY_PT_ENTRIES];
extern char boot_guard[];

uint64_t arch_boot_window(void)
{
    return BOOT_WINDOW;
}

/* Physical memory through the boot tables; null if it is out of their reach. */
static const void *boot_read(uint64_t address, uint64_t bytes)
{
    if (address == 0 || address >= BOOT_WINDOW || bytes > BOOT_WINDOW - address)
        return NULL;
    return (const void *)address;
}

/* In small pages: it may be put at any. The page below the boot stack is left out there, too. */
void arch_image_map(uint64_t at)
{
    uint64_t bytes = (uint64_t)kernel_data_end - kernel_base.image;
    for (uint64_t offset = 0; offset < bytes; offset += QY_PAGE_BYTES) {
        vaddr_t page = vaddr(at + offset);
        unsigned table = qy_pt_index(page, 2) - qy_pt_index(vaddr(at), 2);
        uint64_t below = (uint64_t)boot_moved_tables[table] - kernel_base.image;
        if (kernel_base.image + offset != (uint64_t)boot_guard)
            boot_moved_tables[table][qy_pt_index(page, 1)] =
                (arch_image_base.raw + offset) >> 2 | RISCV_PTE_RWX;
        boot_table_2[qy_pt_index(page, 2)] = (arch_image_base.raw + below) >> 2 | RISCV_PTE_TABLE;
    }
    arch_flush_everything();
}

/* The bytes of the device tree at that address; count 0 if there is none. */
static struct qy_bytes fdt_at(uint64_t address)
{
    const uint8_t *header = address & 7 ? NULL : boot_read(address, 8);
    size_t bytes = header ? qy_fdt_bytes(header) : 0;
    if (bytes > FDT_BYTES_MAX || !boot_read(address, bytes))
        bytes = 0;
    return (struct qy_bytes){header, bytes};
}

/* Before anything can stop: how to switch off with an exit status. */
static void find_finisher(struct qy_bytes fdt)
{
    if (fdt.count && qy_fdt_topology(fdt, &boot_topology) == QY_OK)
        riscv_finisher_set((volatile uint32_t *)boot_topology.test_finisher.raw);
}

static void reserve(uint64_t base, uint64_t bytes)
{
    if (boot_info.reserved_count == sizeof(boot_info.reserved) / sizeof(boot_info.reserved[0])) {
        boot_info.truncated = true;
        boot_info.truncated_what = "reserved ranges";
        return;
    }
    boot_info.reserved[boot_info.reserved_count++] =
        (struct qy_range){base, base + bytes, QY_MEM_RESERVED, 0};
}

/* Check the application's structure and take its memory map and module. It is ours, but lies in
 * memory that firmware could have written: every length is checked all the same. */
static const struct riscv_handoff *read_handoff(uint64_t address)
{
    const struct riscv_handoff *handoff = boot_read(address, sizeof(*handoff));
    if (!handoff || address & 7 || handoff->magic != RISCV_HANDOFF_MAGIC ||
        handoff->version != RISCV_HANDOFF_VERSION)
        kernel_stop("the UEFI application left no valid structure at %R; copy the "
                    "BOOTRISCV64.EFI of this same build",
                    address);
    const uint8_t *map = boot_read(handoff->map, handoff->map_bytes);
    enum qy_error error = QY_CORRUPT;
    if (map)
        error = qy_parse_uefi_map((struct qy_bytes){map, handoff->map_bytes},
                                  handoff->descriptor_bytes, &boot_info);
    if (error != QY_OK)
        kernel_stop("UEFI's memory map cannot be used (%s: %s); update the firmware",
                    qy_error_name(error), map ? boot_info.why : "it cannot be read");
    boot_info.uefi_map = true;
    reserve(address, handoff->bytes);
    if (handoff->archive_bytes) {
        struct qy_boot_module *module = &boot_info.modules[boot_info.module_count++];
        module->base = paddr(handoff->archive);
        module->bytes = handoff->archive_bytes;
        format_to(module->name, sizeof(module->name), "boot.cpio");
    }
    return handoff;
}

/* What firmware knows at random, whoever passed it on, as far as there is room. */
static void entropy_add(const uint8_t *from, uint64_t bytes)
{
    uint64_t room = sizeof(boot_info.entropy) - boot_info.entropy_bytes;
    bytes = bytes < room ? bytes : room;
    memcpy(boot_info.entropy + boot_info.entropy_bytes, from, bytes);
    boot_info.entropy_bytes += (uint32_t)bytes;
}

/* The application's command line comes before the one of the device tree, unless it is empty. */
static void finish_handoff(const struct riscv_handoff *handoff)
{
    size_t last = sizeof(handoff->command_line) - 1;
    if (handoff->entropy_bytes <= sizeof(handoff->entropy))
        entropy_add(handoff->entropy, handoff->entropy_bytes);
    if (handoff->command_line[0])
        format_to(boot_info.command_line, sizeof(boot_info.command_line), "%.*s", (int)last,
                  handoff->command_line);
    format_to(boot_info.loader, sizeof(boot_info.loader), "%.*s", (int)sizeof(handoff->loader) - 1,
              handoff->loader);
}

_Noreturn void riscv_boot(uint64_t hart, uint64_t fdt_address, uint64_t handoff_address,
                          uint64_t image_base, uint64_t paging_mode)
{
    const struct riscv_handoff *handoff = NULL;
    memset(&boot_info, 0, sizeof(boot_info)); /* it may be the second time */
    arch_image_base = paddr(image_base);
    riscv_sbi_init();
    struct qy_bytes fdt = fdt_at(fdt_address);
    find_finisher(fdt);
    if (paging_mode != RISCV_SATP_SV48)
        kernel_stop("this CPU has no Sv48 paging (48-bit addresses); use one whose mmu-type is "
                    "riscv,sv48");
    riscv_mmu_probe();

    boot_info.version = QY_BOOT_INFO_VERSION;
    boot_info.path = handoff_address ? QY_BOOT_UEFI : QY_BOOT_OPENSBI;
    boot_info.boot_cpu = hart;
    if (handoff_address)
        handoff = read_handoff(handoff_address);
    if (!fdt.count)
        kernel_stop("the firmware passed no device tree (at %R); start Quarry from OpenSBI or "
                    "U-Boot",
                    fdt_address);
    enum qy_error error = qy_parse_fdt(fdt, paddr(fdt_address), &boot_info);
    if (error != QY_OK)
        kernel_stop("the device tree at %R is broken (%s: %s); update the firmware or pass another "
                    "tree",
                    fdt_address, qy_error_name(error), boot_info.why);
    boot_info.fdt = paddr(fdt_address);
    if (handoff)
        finish_handoff(handoff);
    else
        riscv_sbi_name(boot_info.loader, sizeof(boot_info.loader));
    if (kaslr_move_image(&boot_info))
        riscv_start_over(hart, fdt_address, handoff_address, image_base, paging_mode,
                         kernel_base.image - KERNEL_IMAGE_BASE);
    kernel_main(&boot_info);
}

enum qy_error arch_topology(const struct qy_boot_info *info, struct qy_topology *out)
{
    const uint8_t *fdt = qy_port_ram(info->fdt);
    enum qy_error error = qy_fdt_topology((struct qy_bytes){fdt, qy_fdt_bytes(fdt)}, out);
    if (error != QY_OK) {
        const char *complaint = out->complaint;
        qy_topology_default(out, (uint32_t)info->boot_cpu);
        out->complaint = complaint;
    }
    return error;
}
