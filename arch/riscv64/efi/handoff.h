/*
 * What the UEFI application leaves for the kernel, in memory of its own (EfiLoaderData), at the
 * kernel's second entry. All addresses are physical.
 */
#ifndef RISCV_EFI_HANDOFF_H
#define RISCV_EFI_HANDOFF_H

#include <stdint.h>

#define RISCV_HANDOFF_MAGIC 0x66666f646e615151 /* "QQandoff" */
#define RISCV_HANDOFF_VERSION 2u

struct riscv_handoff {
    uint64_t magic;
    uint32_t version;
    uint32_t bytes; /* of this structure and of the memory map behind it: all that must be kept */
    uint64_t map;   /* UEFI's memory map, as GetMemoryMap gave it last */
    uint64_t map_bytes;
    uint64_t descriptor_bytes;
    uint64_t archive;
    uint64_t archive_bytes;
    uint8_t entropy[64];    /* random numbers of UEFI's, so many bytes */
    uint64_t entropy_bytes;
    char loader[48];        /* terminated, as is the next */
    char command_line[512]; /* "" = none was given */
};

#endif
