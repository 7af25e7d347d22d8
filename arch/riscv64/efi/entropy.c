/*
 * Random numbers of UEFI's: of the firmware's generator (UEFI Specification 2.10, 37.5), and a seed that an earlier
 * loader left in the table of configuration, as Linux's loaders do.
 */
#include "efi.h"

#include <lib/string.h>

static const struct efi_guid guid_rng = {
    0x3152bca5, 0xeade, 0x433d, {0x86, 0x2e, 0xc0, 0x1c, 0xdc, 0x29, 0x1f, 0x44}};
static const struct efi_guid guid_random_seed = {
    0x1ce1e5bc, 0x7ceb, 0x42f2, {0x81, 0xe5, 0x8a, 0xad, 0xf1, 0x80, 0xf5, 0x7b}};

uint64_t efi_entropy(const struct efi_system_table *system, uint8_t *out, uint64_t room)
{
    uint64_t count = 0;
    void *found;
    if (system->boot->locate_protocol(&guid_rng, NULL, &found) == EFI_SUCCESS) {
        struct efi_rng *rng = found;
        uint64_t bytes = room / 2;
        if (rng->get_rng(rng, NULL, bytes, out) == EFI_SUCCESS)
            count = bytes;
    }
    for (uint64_t i = 0; i < system->table_count; i++) {
        const struct efi_random_seed *seed = system->tables[i].table;
        if (memcmp(&system->tables[i].guid, &guid_random_seed, sizeof(guid_random_seed)) != 0)
            continue;
        uint64_t bytes = seed->bytes < room - count ? seed->bytes : room - count;
        memcpy(out + count, seed->seed, bytes);
        count += bytes;
    }
    return count;
}
