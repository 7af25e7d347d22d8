/*
 * The UEFI memory map: each type and attribute, sizes of descriptors, ends of the address
 * space, damage.
 */
#include "result.h"

static struct qy_boot_info info;
static uint8_t map[48 * 40];
static size_t map_bytes;

#define WB 8ull
#define SPECIAL (1ull << 18)
#define NON_VOLATILE (1ull << 15)
#define PLUGGABLE (1ull << 20)
#define RUNTIME (1ull << 63)

static void add(uint32_t type, uint64_t base, uint64_t pages, uint64_t attributes)
{
    uint8_t *at = map + map_bytes;
    memset(at, 0xa5, 48); /* padding and the virtual address mean nothing */
    store_le(at, type, 4);
    store_le(at + 8, base, 8);
    store_le(at + 24, pages, 8);
    store_le(at + 32, attributes, 8);
    map_bytes += 48;
}

static enum qy_error parse(uint64_t descriptor_bytes)
{
    memset(&info, 0, sizeof(info));
    return qy_parse_uefi_map((struct qy_bytes){map, map_bytes}, descriptor_bytes, &info);
}

static uint32_t type_of(uint32_t type, uint64_t attributes)
{
    map_bytes = 0;
    add(type, 0x1000, 1, attributes);
    CHECK_EQ(parse(48), QY_OK);
    CHECK_EQ(info.range_count, 1);
    CHECK_EQ(info.ranges[0].base, 0x1000);
    CHECK_EQ(info.ranges[0].end, 0x2000);
    CHECK_EQ(info.ranges[0].firmware_type, type);
    CHECK(info.uefi_map);
    return info.ranges[0].type;
}

static void types(void)
{
    static const uint8_t wanted[] = {
        QY_MEM_RESERVED,   QY_MEM_USABLE,   QY_MEM_USABLE, QY_MEM_USABLE,   QY_MEM_USABLE,
        QY_MEM_FIRMWARE,   QY_MEM_FIRMWARE, QY_MEM_USABLE, QY_MEM_BAD,      QY_MEM_ACPI_RECLAIM,
        QY_MEM_ACPI_NVS,   QY_MEM_MMIO,     QY_MEM_MMIO,   QY_MEM_RESERVED, QY_MEM_PERSISTENT,
        QY_MEM_UNACCEPTED, QY_MEM_RESERVED};
    for (uint32_t type = 0; type < sizeof(wanted); type++)
        CHECK_EQ(type_of(type, WB), wanted[type]);
    CHECK_EQ(type_of(0x80000000, WB), QY_MEM_RESERVED);
    CHECK_EQ(type_of(UINT32_MAX, WB), QY_MEM_RESERVED);
}

static void attributes(void)
{
    CHECK_EQ(type_of(7, 0xf), QY_MEM_USABLE);
    CHECK_EQ(type_of(7, WB | SPECIAL), QY_MEM_SPECIAL);
    CHECK_EQ(type_of(7, WB | RUNTIME), QY_MEM_FIRMWARE);
    CHECK_EQ(type_of(7, WB | NON_VOLATILE), QY_MEM_PERSISTENT);
    CHECK_EQ(type_of(7, WB | PLUGGABLE), QY_MEM_HOTPLUG);
    CHECK_EQ(type_of(4, WB | RUNTIME | SPECIAL), QY_MEM_FIRMWARE);
    CHECK_EQ(type_of(7, 1), QY_MEM_RESERVED); /* cannot be cached */
    CHECK_EQ(type_of(9, 0), QY_MEM_ACPI_RECLAIM);
}

static void descriptor_sizes(void)
{
    map_bytes = 0;
    add(7, 0x1000, 1, WB);
    add(7, 0x5000, 1, WB);
    CHECK_EQ(parse(0), QY_CORRUPT);
    CHECK_EQ(parse(32), QY_CORRUPT);
    CHECK_EQ(parse(39), QY_CORRUPT);
    CHECK_EQ(parse(44), QY_CORRUPT);
    CHECK_EQ(parse(UINT64_MAX), QY_CORRUPT);
    CHECK_EQ(parse(40), QY_TRUNCATED); /* 96 is no multiple */
    CHECK_EQ(parse(1 << 20), QY_TRUNCATED);
    CHECK_EQ(parse(96), QY_OK);
    CHECK_EQ(info.range_count, 1);
    CHECK_EQ(parse(48), QY_OK);
    CHECK_EQ(info.range_count, 2);
}

static void ends_of_the_address_space(void)
{
    map_bytes = 0;
    add(7, 0xfffffffffffff000, 1, WB);    /* up to 2^64 */
    add(7, 0xfffffffffffff000, 2, WB);    /* beyond */
    add(7, 0x1000, UINT64_MAX, WB);       /* its size alone is beyond */
    add(7, 0x1000, UINT64_MAX >> 12, WB); /* ends at 2^64 */
    add(7, 0, 1ull << 52, WB);
    CHECK_EQ(parse(48), QY_OK);
    CHECK_EQ(info.ranges[0].end, UINT64_MAX);
    CHECK_EQ(info.ranges[1].end, info.ranges[1].base);
    CHECK_EQ(info.ranges[2].end, info.ranges[2].base);
    CHECK_EQ(info.ranges[3].end, UINT64_MAX);
    CHECK_EQ(info.ranges[4].end, info.ranges[4].base);
    check_boot_ranges(&info);
}

static void run(struct qy_bytes input)
{
    boot_before(&info);
    check_boot(qy_parse_uefi_map(input, 48, &info), &info);
}

static void damage(void)
{
    map_bytes = 0;
    for (uint32_t type = 0; type < 16; type++)
        add(type, type * 0x10000ull, 16, WB);
    each_prefix(map, map_bytes, run);
    each_corruption(map, map_bytes, run);
}

static const struct test tests[] = {
    {"each type", types},
    {"attributes that withhold memory", attributes},
    {"sizes of descriptors", descriptor_sizes},
    {"ranges at the end of the address space", ends_of_the_address_space},
    {"every prefix, every byte damaged", damage},
};
TEST_MAIN(tests)
