/* PVH: what QEMU passes, by hand at the edges, and every way to cut or damage it. */
#include "../data/pvh_numa.h"
#include "../data/pvh_plain.h"
#include "result.h"

static struct qy_boot_info info;

static enum qy_error parse(struct memory *memory)
{
    struct qy_reader reader = {memory_read, memory};
    memset(&info, 0, sizeof(info));
    return qy_parse_pvh(&reader, paddr(memory->pieces[0].base), &info);
}

static void from_qemu(void)
{
    struct memory memory = MEMORY_OF(pvh_plain);
    CHECK_EQ(parse(&memory), QY_OK);
    CHECK_EQ(info.path, QY_BOOT_PVH);
    CHECK_EQ(info.version, QY_BOOT_INFO_VERSION);
    CHECK_EQ(info.rsdp.raw, 0xf59e0);
    CHECK_EQ(info.range_count, 9);
    CHECK_EQ(info.ranges[0].end, 0x9fc00);
    CHECK_EQ(info.ranges[3].base, 0x100000);
    CHECK_EQ(info.ranges[3].end, 0x7fdf000);
    CHECK_EQ(info.ranges[3].type, QY_MEM_USABLE);
    CHECK_EQ(info.module_count, 0);
    CHECK_EQ(info.reserved_count, 3);
    CHECK_EQ(info.reserved[0].base, 0x21e0);
    CHECK_EQ(info.reserved[0].end, 0x21e0 + 56);
    CHECK_EQ(info.reserved[2].end - info.reserved[2].base, 9 * 24);
    CHECK(!info.truncated);
    memory_free(&memory);
}

static void with_archive_and_command_line(void)
{
    struct memory memory = MEMORY_OF(pvh_numa);
    CHECK_EQ(parse(&memory), QY_OK);
    CHECK(strcmp(info.command_line, "console=ttyS0 quiet") == 0);
    CHECK_EQ(info.module_count, 1);
    CHECK_EQ(info.modules[0].base.raw, 0x7ffd7000);
    CHECK_EQ(info.modules[0].bytes, 700);
    CHECK_EQ(info.range_count, 10);
    CHECK_EQ(info.reserved_count, 4);
    memory_free(&memory);
}

static void without_a_memory_map(void)
{
    struct memory memory = MEMORY_OF(pvh_plain);
    uint8_t *start = memory.pieces[0].at;

    store_le(start + 48, 0, 4); /* no entry */
    CHECK_EQ(parse(&memory), QY_NOT_FOUND);
    store_le(start + 48, 9, 4);
    store_le(start + 40, 0, 8); /* nowhere */
    CHECK_EQ(parse(&memory), QY_NOT_FOUND);
    store_le(start + 4, 0, 4); /* version 0 */
    CHECK_EQ(parse(&memory), QY_UNSUPPORTED);
    CHECK(info.why && strstr(info.why, "version 0"));
    /* version 0 is shorter: what lies behind it is not looked at */
    memory.pieces[0].count = 40;
    CHECK_EQ(parse(&memory), QY_UNSUPPORTED);
    store_le(start + 4, 1, 4);
    CHECK_EQ(parse(&memory), QY_TRUNCATED);
    memory_free(&memory);
}

static void broken(void)
{
    struct memory memory = MEMORY_OF(pvh_numa);
    uint8_t *start = memory.pieces[0].at;

    store_le(start, 0x336ec579, 4);
    CHECK_EQ(parse(&memory), QY_CORRUPT);
    store_le(start, 0x336ec578, 4);
    store_le(start + 48, UINT32_MAX, 4); /* more entries than memory */
    CHECK_EQ(parse(&memory), QY_TRUNCATED);
    store_le(start + 48, 10, 4);
    store_le(start + 12, UINT32_MAX, 4); /* modules too */
    CHECK_EQ(parse(&memory), QY_TRUNCATED);
    store_le(start + 12, 1, 4);
    store_le(start + 40, UINT64_MAX - 20, 8); /* a map that wraps */
    CHECK_EQ(parse(&memory), QY_TRUNCATED);
    store_le(start + 40, 0x5a8, 8);
    store_le(start + 24, UINT64_MAX, 8); /* a command line at the last byte */
    CHECK_EQ(parse(&memory), QY_TRUNCATED);
    CHECK(info.why && strstr(info.why, "command line"));
    store_le(start + 24, 0x11c0, 8);
    store_le(memory_at(&memory, 0x21c0, 32) + 8, UINT64_MAX, 8); /* a module that wraps */
    CHECK_EQ(parse(&memory), QY_CORRUPT);
    store_le(memory_at(&memory, 0x21c0, 32) + 8, 700, 8);
    memory_at(&memory, 0x11c0, 20)[19] = 'x'; /* a command line without an end */
    CHECK_EQ(parse(&memory), QY_TRUNCATED);
    memory_free(&memory);

    CHECK_EQ(qy_parse_pvh(&(struct qy_reader){memory_read, &memory}, paddr(0), &info),
             QY_TRUNCATED);
}

static void long_command_lines(void)
{
    for (size_t length = 510; length <= 513; length++) {
        struct memory memory = MEMORY_OF(pvh_plain);
        char *line = malloc(length + 1);
        memset(line, 'a', length);
        line[length] = 0;
        memory_add(&memory, 0x100000, line, length + 1);
        store_le(memory.pieces[0].at + 24, 0x100000, 8);
        CHECK_EQ(parse(&memory), QY_OK);
        CHECK_EQ(info.truncated, length > 511);
        CHECK_EQ(strlen(info.command_line), length > 511 ? 511 : length);
        free(line);
        memory_free(&memory);
    }
}

static void run(struct memory *memory)
{
    struct qy_reader reader = {memory_read, memory};
    boot_before(&info);
    check_boot(qy_parse_pvh(&reader, paddr(pvh_numa[0].base), &info), &info);
}

static void run_prefix(struct memory *memory)
{
    run(memory);
    CHECK(parse(memory) != QY_OK); /* each byte of each piece is needed */
}

static void damage(void)
{
    struct memory memory = MEMORY_OF(pvh_numa);
    each_memory_prefix(&memory, run_prefix);
    each_memory_corruption(&memory, run);
    memory_free(&memory);
}

static const struct test tests[] = {
    {"QEMU's start info, captured", from_qemu},
    {"QEMU's start info with archive and command line, captured", with_archive_and_command_line},
    {"no memory map, and a version that has none", without_a_memory_map},
    {"pointers and counts that lead nowhere", broken},
    {"command lines at the limit", long_command_lines},
    {"every prefix of every structure, every byte damaged", damage},
};
TEST_MAIN(tests)
