/*
 * The UEFI application's search for /chosen/boot-hartid. Each tree lies directly before a page that
 * cannot be read, so that a read past its end is a crash; prefixes and corruptions of a good tree
 * must give an answer or a refusal.
 */
#define _GNU_SOURCE
#include "../../arch/riscv64/efi/efi.h"

#include <string.h>
#include <sys/mman.h>
#include <tap.h>

#define PAGE 4096u

/* A tree under construction, big-endian as in memory. */
struct tree {
    uint8_t bytes[1024];
    uint32_t count;
};

static void put_word(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void word(struct tree *tree, uint32_t value)
{
    put_word(tree->bytes + tree->count, value);
    tree->count += 4;
}

static void begin(struct tree *tree, const char *name)
{
    size_t bytes = (strlen(name) + 4) & ~(size_t)3;
    word(tree, 1);
    memset(tree->bytes + tree->count, 0, bytes);
    memcpy(tree->bytes + tree->count, name, strlen(name));
    tree->count += (uint32_t)bytes;
}

/* name: offset in the strings, 0 = "boot-hartid", 12 = "other" */
static void property(struct tree *tree, uint32_t name, unsigned words, uint32_t high, uint32_t low)
{
    word(tree, 3);
    word(tree, words * 4);
    word(tree, name);
    if (words == 2)
        word(tree, high);
    word(tree, low);
}

/* Structure at 40, strings at the end. fill writes what is inside the root node. */
static struct tree make(void (*fill)(struct tree *tree))
{
    static const char strings[] = "boot-hartid\0other";
    struct tree tree = {.count = 40};
    begin(&tree, "");
    fill(&tree);
    word(&tree, 2);
    word(&tree, 9);
    put_word(tree.bytes, 0xd00dfeed);
    put_word(tree.bytes + 8, 40);
    put_word(tree.bytes + 12, tree.count);
    memcpy(tree.bytes + tree.count, strings, sizeof(strings));
    tree.count += sizeof(strings);
    put_word(tree.bytes + 4, tree.count);
    return tree;
}

/* Search a copy of count bytes that ends where readable memory ends. */
static bool search(const uint8_t *bytes, uint32_t count, uint64_t *hart)
{
    static uint8_t *pages;
    if (!pages) {
        pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED || mprotect(pages + PAGE, PAGE, PROT_NONE))
            return false;
    }
    uint8_t *at = pages + PAGE - count;
    memcpy(at, bytes, count);
    return efi_fdt_boot_hart(at, hart);
}

static void fill_good(struct tree *tree)
{
    property(tree, 12, 1, 0, 1);
    begin(tree, "cpus");
    property(tree, 0, 1, 0, 5); /* the right name in the wrong node */
    word(tree, 2);
    word(tree, 4); /* FDT_NOP */
    begin(tree, "chosen");
    begin(tree, "below");
    property(tree, 0, 1, 0, 6);
    word(tree, 2);
    property(tree, 12, 2, 7, 8);
    property(tree, 0, 1, 0, 3);
    word(tree, 2);
}

static void fill_64_bits(struct tree *tree)
{
    begin(tree, "chosen");
    property(tree, 0, 2, 1, 2);
    word(tree, 2);
}

static void fill_silent(struct tree *tree)
{
    property(tree, 0, 1, 0, 4); /* in the root */
    begin(tree, "chosen");
    property(tree, 12, 1, 0, 4);
    word(tree, 2);
    begin(tree, "chosen2");
    property(tree, 0, 1, 0, 4);
    word(tree, 2);
}

static void finds_the_hart_in_chosen_only(void)
{
    struct tree good = make(fill_good), wide = make(fill_64_bits), silent = make(fill_silent);
    uint64_t hart = ~0ull;
    CHECK(search(good.bytes, good.count, &hart));
    CHECK_EQ(hart, 3);
    CHECK(search(wide.bytes, wide.count, &hart));
    CHECK_EQ(hart, 0x100000002);
    CHECK(!search(silent.bytes, silent.count, &hart));
}

static void refuses_what_is_no_tree(void)
{
    struct tree good = make(fill_good);
    uint64_t hart;
    good.bytes[0] ^= 1;
    CHECK(!search(good.bytes, good.count, &hart));
}

/* Every prefix, once with a header that says so and once with one that claims fewer bytes than
 * there are. */
static void survives_every_prefix(void)
{
    struct tree good = make(fill_good);
    uint64_t hart = 3;
    for (uint32_t count = 40; count < good.count; count++) {
        struct tree cut = good;
        put_word(cut.bytes + 4, count);
        if (search(cut.bytes, count, &hart))
            CHECK_EQ(hart, 3);
    }
    for (uint32_t claimed = 0; claimed < good.count; claimed++) {
        struct tree cut = good;
        put_word(cut.bytes + 4, claimed);
        if (search(cut.bytes, good.count, &hart))
            CHECK_EQ(hart, 3);
    }
}

static void survives_every_corrupt_word(void)
{
    static const uint32_t values[] = {0,          1,          2,          3,          4,
                                      5,          8,          9,          0x7fffffff, 0x80000000,
                                      0xfffffff8, 0xfffffffc, 0xfffffffe, 0xffffffff};
    struct tree good = make(fill_good);
    unsigned answers = 0;
    for (uint32_t at = 8; at + 4 <= good.count; at += 4)
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            struct tree bad = good;
            uint64_t hart;
            put_word(bad.bytes + at, values[i]);
            answers += search(bad.bytes, bad.count, &hart);
        }
    CHECK(answers > 0);
}

static const struct test tests[] = {
    {"finds the hart in /chosen only", finds_the_hart_in_chosen_only},
    {"refuses what is no tree", refuses_what_is_no_tree},
    {"survives every prefix", survives_every_prefix},
    {"survives every corrupt word", survives_every_corrupt_word},
};
TEST_MAIN(tests)
