/*
 * What every boot path leaves for the kernel, whichever firmware and loader it came through.
 */
#ifndef QY_BOOT_INFO_H
#define QY_BOOT_INFO_H

#include <qy/map.h>

#define QY_BOOT_INFO_VERSION 1u
#define QY_BOOT_RANGES QY_CONFIG_MAP_RANGES
#define QY_BOOT_MODULES 16u
#define QY_BOOT_COMMAND_LINE 512u

enum qy_boot_path { QY_BOOT_PVH, QY_BOOT_MULTIBOOT2, QY_BOOT_OPENSBI, QY_BOOT_UEFI };

struct qy_boot_module {
    paddr_t base;
    uint64_t bytes;
    char name[48]; /* as the loader passed it, cut if longer; "" if it has none */
};

struct qy_boot_info {
    uint32_t version;   /* QY_BOOT_INFO_VERSION */
    uint32_t path;      /* enum qy_boot_path */
    bool truncated;     /* something did not fit below: the kernel stops and says what */
    const char *truncated_what;
    const char *why;    /* after a parser's error: what was wrong, a static sentence */
    bool uefi_map;      /* the ranges come from a UEFI memory map, not from e820 */
    char loader[48];    /* e.g. "GRUB 2.06", "" if unknown */
    char command_line[QY_BOOT_COMMAND_LINE];
    uint32_t range_count;
    uint32_t module_count;
    uint32_t reserved_count;
    struct qy_range ranges[QY_BOOT_RANGES];     /* the firmware's map, as it came */
    /* What lies in usable memory: USABLE = a boot structure, free after the boot; RESERVED = not ours to use. */
    struct qy_range reserved[64];
    struct qy_boot_module modules[QY_BOOT_MODULES];
    paddr_t rsdp;       /* of ACPI, 0 if none was passed */
    uint8_t rsdp_copy[36]; /* Multiboot2 passes a copy, not an address; length below, 0 if none */
    uint32_t rsdp_copy_bytes;
    paddr_t fdt;        /* of the flattened device tree, 0 if none */
    uint64_t boot_cpu;  /* APIC id or hart id of the CPU that booted */
    uint8_t entropy[64];
    uint32_t entropy_bytes; /* 0 = firmware gave none */
};

#endif
