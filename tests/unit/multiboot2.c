/*
 * Multiboot2: what GRUB passes on SeaBIOS and on OVMF, tags made by hand, and every way to cut
 * or damage them.
 */
#include "../data/multiboot2_bios.h"
#include "../data/multiboot2_uefi.h"
#include "result.h"

static struct qy_boot_info info;

static enum qy_error parse(const uint8_t *at, size_t count)
{
    memset(&info, 0, sizeof(info));
    return qy_parse_multiboot2((struct qy_bytes){at, count}, paddr(0x9000), &info);
}

static unsigned ranges_of(uint32_t type)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < info.range_count; i++)
        count += info.ranges[i].type == type;
    return count;
}

static void from_bios(void)
{
    CHECK_EQ(parse(multiboot2_bios[0].at, multiboot2_bios[0].count), QY_OK);
    CHECK(!info.uefi_map && !info.truncated);
    CHECK_EQ(info.path, QY_BOOT_MULTIBOOT2);
    CHECK_EQ(info.version, QY_BOOT_INFO_VERSION);
    CHECK(strcmp(info.command_line, "first second=2") == 0);
    CHECK(strncmp(info.loader, "GRUB 2.06", 9) == 0);
    CHECK_EQ(info.rsdp_copy_bytes, 20);
    CHECK(memcmp(info.rsdp_copy, "RSD PTR ", 8) == 0);
    CHECK_EQ(info.range_count, 9);
    CHECK_EQ(info.ranges[3].base, 0x100000);
    CHECK_EQ(info.ranges[3].end, 0x7ffdf000);
    CHECK_EQ(ranges_of(QY_MEM_USABLE), 2);
    CHECK_EQ(info.module_count, 1);
    CHECK_EQ(info.modules[0].base.raw, 0x101000);
    CHECK_EQ(info.modules[0].bytes, 700);
    CHECK(strcmp(info.modules[0].name, "archive") == 0);
    CHECK_EQ(info.reserved_count, 1);
    CHECK_EQ(info.reserved[0].base, 0x9000);
    CHECK_EQ(info.reserved[0].end, 0x9000 + multiboot2_bios[0].count);
}

static void from_uefi(void)
{
    CHECK_EQ(parse(multiboot2_uefi[0].at, multiboot2_uefi[0].count), QY_OK);
    CHECK(info.uefi_map && !info.truncated);
    CHECK_EQ(info.range_count, 127);
    CHECK_EQ(ranges_of(QY_MEM_FIRMWARE), 4);
    CHECK_EQ(ranges_of(QY_MEM_ACPI_NVS), 4);
    CHECK_EQ(ranges_of(QY_MEM_ACPI_RECLAIM), 1);
    CHECK_EQ(ranges_of(QY_MEM_MMIO), 1);
    CHECK_EQ(ranges_of(QY_MEM_RESERVED), 2);
    CHECK_EQ(info.rsdp_copy_bytes, 36);
    CHECK_EQ(info.module_count, 1);
}

/* ---- tags made by hand ---- */

static uint8_t made[4096 + 24 * (QY_BOOT_RANGES + 76)];
static size_t made_bytes;

static void begin(void)
{
    memset(made, 0, sizeof(made));
    made_bytes = 8;
}

/* A tag of that type whose data is 8 further bytes of numbers and then some bytes. */
static void tag(uint32_t type, uint32_t a, uint32_t b, const void *data, size_t count)
{
    store_le(made + made_bytes, type, 4);
    store_le(made + made_bytes + 4, 16 + count, 4);
    store_le(made + made_bytes + 8, a, 4);
    store_le(made + made_bytes + 12, b, 4);
    memcpy(made + made_bytes + 16, data, count);
    made_bytes += (16 + count + 7) / 8 * 8;
}

static enum qy_error finish(void)
{
    store_le(made + made_bytes, 0, 4);
    store_le(made + made_bytes + 4, 8, 4);
    made_bytes += 8;
    store_le(made, made_bytes, 4);
    return parse(made, made_bytes);
}

static void e820(uint8_t *at, uint64_t base, uint64_t length, uint32_t type)
{
    memset(at, 0, 24);
    store_le(at, base, 8);
    store_le(at + 8, length, 8);
    store_le(at + 16, type, 4);
}

static void memory_tag(void)
{
    uint8_t entry[24];
    e820(entry, 0x100000, 0x100000, 1);
    tag(6, 24, 0, entry, 24);
}

static void each_type_of_e820(void)
{
    static const uint8_t wanted[] = {
        QY_MEM_RESERVED, QY_MEM_USABLE,   QY_MEM_RESERVED,   QY_MEM_ACPI_RECLAIM, QY_MEM_ACPI_NVS,
        QY_MEM_BAD,      QY_MEM_RESERVED, QY_MEM_PERSISTENT, QY_MEM_RESERVED,     QY_MEM_RESERVED,
        QY_MEM_RESERVED, QY_MEM_RESERVED, QY_MEM_PERSISTENT};
    uint8_t entries[24 * 23];
    for (unsigned i = 0; i < 21; i++)
        e820(entries + 24 * i, i << 20, 1 << 20, i);
    e820(entries + 24 * 21, UINT64_MAX - 4095, 4096, 1);          /* up to 2^64 */
    e820(entries + 24 * 22, UINT64_MAX - 4095, 8192, UINT32_MAX); /* beyond it */
    begin();
    tag(6, 24, 0, entries, sizeof(entries));
    CHECK_EQ(finish(), QY_OK);
    CHECK_EQ(info.range_count, 23);
    for (unsigned i = 0; i < 21; i++) {
        CHECK_EQ(info.ranges[i].type, i < sizeof(wanted) ? wanted[i] : QY_MEM_RESERVED);
        CHECK_EQ(info.ranges[i].firmware_type, i);
    }
    CHECK_EQ(info.ranges[21].end, UINT64_MAX);
    CHECK(info.ranges[22].end < info.ranges[22].base);
    CHECK_EQ(info.ranges[22].type, QY_MEM_RESERVED);
}

static void no_memory_map(void)
{
    begin();
    CHECK_EQ(finish(), QY_NOT_FOUND);
    CHECK(info.why && strstr(info.why, "no memory map"));
    begin();
    tag(6, 24, 0, "", 0);
    CHECK_EQ(finish(), QY_NOT_FOUND);
}

static void boot_services_still_run(void)
{
    begin();
    memory_tag();
    tag(18, 0, 0, "", 0);
    CHECK_EQ(finish(), QY_UNSUPPORTED);
}

static void broken_tags(void)
{
    uint8_t entry[24] = {0};

    begin();
    tag(6, 20, 0, entry, 24); /* entries shorter than their fields */
    CHECK_EQ(finish(), QY_CORRUPT);
    begin();
    tag(6, 0, 0, entry, 24);
    CHECK_EQ(finish(), QY_CORRUPT);
    begin();
    tag(6, 24, 0, entry, 20); /* half an entry */
    CHECK_EQ(finish(), QY_CORRUPT);
    begin();
    memory_tag();
    tag(3, 2, 1, "m", 2); /* a module that ends before it begins */
    CHECK_EQ(finish(), QY_CORRUPT);
    begin();
    memory_tag();
    tag(3, 1, 2, "m", 1); /* a module's name without an end */
    CHECK_EQ(finish(), QY_CORRUPT);
    begin();
    memory_tag();
    tag(1, 0x61616161, 0x61616161, "a", 1); /* a command line without an end */
    CHECK_EQ(finish(), QY_CORRUPT);
    begin();
    memory_tag();
    tag(15, 0, 0, entry, 24); /* a root pointer that is too short */
    CHECK_EQ(finish(), QY_CORRUPT);
    begin();
    tag(17, 32, 1, entry, 0); /* descriptors shorter than their fields */
    CHECK_EQ(finish(), QY_CORRUPT);
    begin();
    memory_tag();
    CHECK_EQ(finish(), QY_OK);
    store_le(made + 8 + 40 + 4, 7, 4); /* the end tag's size */
    CHECK_EQ(parse(made, made_bytes), QY_CORRUPT);
    store_le(made, 7, 4);
    CHECK_EQ(parse(made, made_bytes), QY_CORRUPT);
    CHECK(strstr(info.why, "total size"));
}

static void more_than_fits(void)
{
    static uint8_t entries[24 * (QY_BOOT_RANGES + 76)];
    char line[600];

    for (unsigned i = 0; i < QY_BOOT_RANGES + 76; i++)
        e820(entries + 24 * i, (uint64_t)i << 20, 1 << 19, 1);
    begin();
    tag(6, 24, 0, entries, sizeof(entries));
    CHECK_EQ(finish(), QY_OK);
    CHECK(info.truncated && info.truncated_what);
    CHECK_EQ(info.range_count, QY_BOOT_RANGES);

    begin();
    memory_tag();
    for (unsigned i = 0; i < QY_BOOT_MODULES + 1; i++)
        tag(3, i << 20, (i + 1) << 20, "m", 2);
    CHECK_EQ(finish(), QY_OK);
    CHECK(info.truncated);
    CHECK_EQ(info.module_count, QY_BOOT_MODULES);

    memset(line, 'l', sizeof(line));
    line[sizeof(line) - 1] = 0;
    for (unsigned length = 503; length <= 504;
         length++) { /* and 8 characters in the tag's numbers */
        begin();
        memory_tag();
        tag(1, 0x6c6c6c6c, 0x6c6c6c6c, line + sizeof(line) - 1 - length, length + 1);
        CHECK_EQ(finish(), QY_OK);
        CHECK_EQ(info.truncated, length == 504);
        CHECK_EQ(strlen(info.command_line), 511);
    }
    begin();
    memory_tag();
    tag(3, 1 << 20, 2 << 20, line, sizeof(line)); /* a long name is cut, and that is no loss */
    CHECK_EQ(finish(), QY_OK);
    CHECK(!info.truncated);
    CHECK_EQ(strlen(info.modules[0].name), 47);
}

static void root_pointers(void)
{
    uint8_t one[28] = "\0\0\0\0PTR one", two[44] = "\0\0\0\0PTR two";

    for (unsigned order = 0; order < 2; order++) {
        begin();
        memory_tag();
        for (unsigned i = 0; i < 2; i++) {
            if (i == order)
                tag(14, 0x20445352, 0, one, 12);
            else
                tag(15, 0x20445352, 0, two, 28);
        }
        CHECK_EQ(finish(), QY_OK);
        CHECK_EQ(info.rsdp_copy_bytes, 36);
        CHECK(memcmp(info.rsdp_copy + 12, "PTR two", 7) == 0);
    }
}

static void run(struct qy_bytes input)
{
    boot_before(&info);
    check_boot(qy_parse_multiboot2(input, paddr(0x9000), &info), &info);
}

static void run_prefix(struct qy_bytes input)
{
    run(input);
    if (input.count < multiboot2_bios[0].count) /* only the whole is sound */
        CHECK_EQ(parse(input.at, input.count), QY_TRUNCATED);
}

/* Cut, and its total size with it: only its tags can tell. */
static void run_cut(struct qy_bytes input)
{
    uint8_t *copy = copy_of(input.at, input.count);
    if (input.count >= 8) {
        store_le(copy, input.count, 4);
        run((struct qy_bytes){copy, input.count});
        if (input.count < multiboot2_bios[0].count)
            CHECK(parse(copy, input.count) != QY_OK);
    }
    free(copy);
}

static void cut_short(void)
{
    each_prefix(multiboot2_bios[0].at, multiboot2_bios[0].count, run_prefix);
    each_prefix(multiboot2_bios[0].at, multiboot2_bios[0].count, run_cut);
    each_prefix(multiboot2_uefi[0].at, 2500, run);
}

static void damage(void)
{
    each_corruption(multiboot2_bios[0].at, multiboot2_bios[0].count, run);
    each_corruption(multiboot2_uefi[0].at, multiboot2_uefi[0].count, run);
}

static const struct test tests[] = {
    {"GRUB on SeaBIOS, captured", from_bios},
    {"GRUB on OVMF, captured: the UEFI map is preferred", from_uefi},
    {"each type of an e820 map, and ranges at the end of the address space", each_type_of_e820},
    {"no memory map: NOT_FOUND", no_memory_map},
    {"UEFI's boot services still run: UNSUPPORTED", boot_services_still_run},
    {"tags that break their rules: CORRUPT", broken_tags},
    {"more than fits is said, never dropped in silence", more_than_fits},
    {"the newer root pointer is preferred", root_pointers},
    {"every prefix", cut_short},
    {"every byte damaged: an error that changed nothing, or a sound result", damage},
};
TEST_MAIN(tests)
