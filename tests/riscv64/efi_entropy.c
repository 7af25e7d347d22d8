/*
 * Random numbers of UEFI's, from firmware that the test plays. What this would miss: firmware that lies about what it
 * gives; and U-Boot, as Debian has it, lends no generator, so no boot shows it.
 */
#include "../../arch/riscv64/efi/efi.h"
#include "tap.h"

#include <string.h>

static const uint8_t rng_guid[16] = {0xa5, 0xbc, 0x52, 0x31, 0xde, 0xea, 0x3d, 0x43,
                                     0x86, 0x2e, 0xc0, 0x1c, 0xdc, 0x29, 0x1f, 0x44};
static const uint8_t seed_guid[16] = {0xbc, 0xe5, 0xe1, 0x1c, 0xeb, 0x7c, 0xf2, 0x42,
                                      0x81, 0xe5, 0x8a, 0xad, 0xf1, 0x80, 0xf5, 0x7b};
static bool has_generator, works;

static efi_status_t get_rng(struct efi_rng *self, const struct efi_guid *algorithm, uint64_t bytes,
                            uint8_t *out)
{
    CHECK(self && !algorithm);
    if (!works)
        return EFI_LOAD_ERROR;
    memset(out, 'g', bytes);
    return EFI_SUCCESS;
}

static efi_status_t locate(const struct efi_guid *guid, void *registration, void **out)
{
    static struct efi_rng rng = {.get_rng = get_rng};
    (void)registration;
    if (!has_generator || memcmp(guid, rng_guid, 16) != 0)
        return EFI_LOAD_ERROR;
    *out = &rng;
    return EFI_SUCCESS;
}

/* Room for 64 bytes; the table of configuration holds something else and, if it has any, a seed. */
static uint64_t take(uint32_t seed_bytes, uint8_t out[66])
{
    static struct efi_boot_services boot = {.locate_protocol = locate};
    static _Alignas(4) uint8_t left[4 + 200];
    struct efi_configuration_table tables[2] = {{{0, 0, 0, {0}}, NULL}, {{0, 0, 0, {0}}, left}};
    struct efi_system_table system = {.boot = &boot, .table_count = 2, .tables = tables};
    memset(left, 's', sizeof(left));
    memcpy(left, &seed_bytes, sizeof(seed_bytes));
    if (seed_bytes)
        memcpy(&tables[1].guid, seed_guid, 16);
    memset(out, '-', 66);
    uint64_t count = efi_entropy(&system, out, 64);
    CHECK(count <= 64 && out[count] == '-' && out[64] == '-');
    return count;
}

static void what_there_is_is_taken(void)
{
    uint8_t out[66];
    has_generator = false;
    CHECK_EQ(take(0, out), 0);
    CHECK_EQ(take(8, out), 8);
    CHECK(memcmp(out, "ssssssss", 8) == 0);
    CHECK_EQ(take(200, out), 64);
    CHECK_EQ(take(UINT32_MAX, out), 64); /* no more than there is room for, whatever it says */
    has_generator = works = true;
    CHECK_EQ(take(0, out), 32);
    CHECK(out[0] == 'g' && out[31] == 'g');
    CHECK_EQ(take(16, out), 48);
    CHECK(out[31] == 'g' && out[32] == 's' && out[47] == 's');
    works = false; /* the generator fails: nothing of it counts */
    CHECK_EQ(take(0, out), 0);
    CHECK_EQ(take(16, out), 16);
    CHECK(out[0] == 's');
}

static const struct test tests[] = {
    {"what there is is taken", what_there_is_is_taken},
};
TEST_MAIN(tests)
