/*
 * /chosen/boot-hartid of a device tree, for firmware without the boot protocol (Devicetree
 * Specification 0.4, 5.4).
 */
#include "efi.h"

#define FDT_MAGIC 0xd00dfeed
#define FDT_BEGIN_NODE 1
#define FDT_END_NODE 2
#define FDT_PROP 3
#define FDT_NOP 4

static uint32_t word(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Is the terminated string at `at`, with `room` bytes behind it, equal to text? */
static bool equal(const uint8_t *at, uint32_t room, const char *text)
{
    for (uint32_t i = 0; i < room; i++) {
        if (at[i] != (uint8_t)text[i])
            return false;
        if (!text[i])
            return true;
    }
    return false;
}

/* Bytes of a string with its end, rounded up to a word; more than room if it has none. */
static uint32_t string_bytes(const uint8_t *at, uint32_t room)
{
    uint32_t bytes = 0;
    while (bytes < room && at[bytes])
        bytes++;
    return bytes < room ? (bytes + 4) & ~3u : room + 1;
}

static uint64_t number(const uint8_t *at, uint32_t bytes)
{
    return bytes == 8 ? (uint64_t)word(at) << 32 | word(at + 4) : word(at);
}

bool efi_fdt_boot_hart(const uint8_t *fdt, uint64_t *hart)
{
    uint32_t total = word(fdt + 4), nodes = word(fdt + 8), names = word(fdt + 12);
    uint32_t at = nodes, depth = 0;
    bool chosen = false;
    if (word(fdt) != FDT_MAGIC || nodes > total || names > total || nodes & 3)
        return false;
    while (total - at >= 4) {
        uint32_t token = word(fdt + at);
        at += 4;
        if (token == FDT_BEGIN_NODE) {
            uint32_t bytes = string_bytes(fdt + at, total - at);
            if (bytes > total - at)
                return false;
            if (++depth == 2)
                chosen = equal(fdt + at, total - at, "chosen");
            at += bytes;
        } else if (token == FDT_END_NODE) {
            if (depth-- == 0)
                return false;
        } else if (token == FDT_PROP) {
            if (total - at < 8)
                return false;
            uint32_t bytes = word(fdt + at), name = word(fdt + at + 4);
            at += 8;
            if (bytes > total - at || name > total - names)
                return false;
            if (depth == 2 && chosen && (bytes == 4 || bytes == 8) &&
                equal(fdt + names + name, total - names - name, "boot-hartid")) {
                *hart = number(fdt + at, bytes);
                return true;
            }
            if (((bytes + 3) & ~3u) > total - at)
                return false;
            at += (bytes + 3) & ~3u;
        } else if (token != FDT_NOP) {
            return false;
        }
    }
    return false;
}
