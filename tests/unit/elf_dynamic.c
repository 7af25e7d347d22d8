/*
 * Executables and libraries that can be moved: relocations get the right values at the right words, symbols are found
 * where they are, every field of the dynamic section at its extremes is refused by name, every prefix, every byte
 * damaged.
 */
#include "elf_file.h"
#include <tap.h>

#include "elf_promises.h"

#define BIAS 0x200000000000ull

static uint8_t file[FILE_BYTES], library[FILE_BYTES];
static struct qy_elf elf;
static const char *why;

static enum qy_error read_file(unsigned machine)
{
    why = NULL;
    return qy_elf_read((struct qy_bytes){file, FILE_BYTES}, machine, PROMISES_USER_END, &elf, &why);
}

static uint64_t word(const uint8_t *at)
{
    uint64_t value = 0;
    for (unsigned i = 8; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

/* A library that has "there" and wants nothing. */
static void make_library(struct qy_elf *out, unsigned machine)
{
    make(library, machine);
    symbol(library, 1, 6, 1, 1, TEXT + 8);
    symbol(library, 2, 1, 0, 0, 0); /* local ones are nobody else's */
    library[SYMBOLS + 24 * 2 + 6] = 1;
    tag(library, 11, 0, 0);
    relocation(library, 2, DATA + 24, machine == X86 ? 8 : 3, 0, 0);
    store_le(library + 24, 0, 8);
    CHECK_EQ(
        qy_elf_read((struct qy_bytes){library, FILE_BYTES}, machine, PROMISES_USER_END, out, &why),
        QY_OK);
}

static void what_is_read(void)
{
    make(file, X86);
    CHECK_EQ(read_file(X86), QY_OK);
    CHECK(elf.movable && elf.segments == 3 && elf.entry == TEXT + 16);
    CHECK(elf.start == 0 && elf.end == DATA + 0x5000);
    CHECK(elf.relro.start == DATA && elf.relro.end == DATA + 0x1000);
    CHECK(elf.tls.address == DATA + 8 && elf.tls.bytes == 16 && elf.tls.memory_bytes == 40 &&
          elf.tls.align == 8);
    CHECK(elf.needed_count == 1 && strcmp(elf.needed[0], "libone.so") == 0);
    uint64_t entry;
    unsigned segments;
    CHECK_EQ(qy_elf_check((struct qy_bytes){file, FILE_BYTES}, X86, PROMISES_USER_END, &entry,
                          &segments, &why),
             QY_CORRUPT); /* the kernel moves nothing */
    CHECK(strstr(why, "fixed") != NULL);
}

static void values(void)
{
    for (unsigned i = 0; i < 2; i++) {
        unsigned machine = i ? RISCV : X86;
        struct qy_elf other;
        uint8_t data[512];
        make(file, machine);
        make_library(&other, machine);
        CHECK_EQ(read_file(machine), QY_OK);
        const struct qy_elf_part parts[] = {{&elf, BIAS}, {&other, BIAS + 0x10000}};
        CHECK_EQ(qy_elf_link(parts, 2, &why), QY_OK);
        CHECK_EQ(qy_elf_link(parts, 1, &why), QY_NOT_FOUND);
        CHECK(strcmp(why, "there") == 0);
        memset(data, 0xaa, sizeof(data));
        qy_elf_relocate(parts, 2, 0, DATA, data, sizeof(data));
        CHECK_EQ(word(data), 0xaaaaaaaaaaaaaaaa);
        CHECK_EQ(word(data + 8), BIAS + DATA + 5);
        CHECK_EQ(word(data + 16), BIAS + TEXT + 32 + 7);
        CHECK_EQ(word(data + 24), BIAS + 0x10000 + TEXT + 8);
        CHECK_EQ(word(data + 32), 0xaaaaaaaaaaaaaaaa);
        CHECK_EQ(word(data + 504), BIAS);
        relocation(file, 0, DATA + 8, 0, 0, 1); /* none */
        memset(data, 0xaa, sizeof(data));
        qy_elf_relocate(parts, 2, 0, DATA, data, sizeof(data));
        CHECK_EQ(word(data + 8), 0xaaaaaaaaaaaaaaaa);
        memset(data, 0xaa, sizeof(data)); /* a part of them: the others stay */
        qy_elf_relocate(parts, 2, 0, DATA + 16, data, 8);
        CHECK_EQ(word(data), BIAS + TEXT + 32 + 7);
        CHECK_EQ(word(data + 8), 0xaaaaaaaaaaaaaaaa);
        qy_elf_relocate(parts, 2, 1, DATA, data, sizeof(data)); /* the library is somewhere else */
        CHECK_EQ(word(data + 8), BIAS + 0x10000 + DATA + 5);
    }
}

static void weak_symbols(void)
{
    uint8_t data[512] = {0};
    make(file, X86);
    symbol(file, 2, 6, 2, 0, 0);
    CHECK_EQ(read_file(X86), QY_OK);
    const struct qy_elf_part part = {&elf, BIAS};
    CHECK_EQ(qy_elf_link(&part, 1, &why), QY_OK);
    memset(data, 0xaa, sizeof(data));
    qy_elf_relocate(&part, 1, 0, DATA, data, sizeof(data));
    CHECK_EQ(word(data + 24), 0);
}

static bool refused(enum qy_error error, const char *because)
{
    enum qy_error got = read_file(X86);
    if (got == error && why && strstr(why, because))
        return true;
    printf("# got %s: %s\n", qy_error_name(got), why ? why : "-");
    return false;
}

static void tags(void)
{
    static const struct {
        unsigned i;
        uint64_t name, value;
        enum qy_error error;
        const char *because;
    } rows[] = {
        {12, 17, RELA, QY_CORRUPT, "a kind"},
        {12, 22, 1, QY_CORRUPT, "a kind"},
        {12, 36, RELA, QY_CORRUPT, "a kind"},
        {12, 12, TEXT, QY_CORRUPT, "initialisers"},
        {12, 27, 8, QY_CORRUPT, "initialisers"},
        {3, 11, 23, QY_CORRUPT, "impossible size"},
        {7, 9, 25, QY_CORRUPT, "impossible size"},
        {10, 20, 17, QY_CORRUPT, "impossible size"},
        {5, 7, UINT64_MAX, QY_TRUNCATED, "relocations beyond"},
        {5, 7, 0x600 - 40, QY_TRUNCATED, "relocations beyond"},
        {6, 8, UINT64_MAX, QY_TRUNCATED, "relocations beyond"},
        {6, 8, 25, QY_CORRUPT, "half a relocation"},
        {8, 23, 1ull << 63, QY_TRUNCATED, "relocations beyond"},
        {9, 2, UINT64_MAX - 23, QY_TRUNCATED, "relocations beyond"},
        {0, 5, 0x600, QY_TRUNCATED, "symbols beyond"},
        {1, 10, UINT64_MAX, QY_TRUNCATED, "symbols beyond"},
        {1, 10, 3, QY_CORRUPT, "without an end"},
        {1, 10, 6, QY_CORRUPT, "without a name"},
        {2, 6, 0x600 - 71, QY_TRUNCATED, "symbols beyond"},
        {4, 4, 0x600 - 7, QY_TRUNCATED, "symbols beyond"},
        {4, 4, 0, QY_CORRUPT, "no symbol"},
        {11, 1, 32, QY_CORRUPT, "without a name"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make(file, X86);
        tag(file, rows[i].i, rows[i].name, rows[i].value);
        CHECK(refused(rows[i].error, rows[i].because));
    }
    make(file, X86);
    for (unsigned i = 11; i < 16; i++)
        tag(file, i, 1, 12);
    CHECK(refused(QY_TOO_MANY, "4 libraries"));
    make(file, X86);
    for (unsigned i = 12; i < 16; i++)
        tag(file, i, 30, 8);
    CHECK(refused(QY_TRUNCATED, "without an end"));
    make(file, X86);
    store_le(file + HASH + 4, UINT32_MAX, 4);
    CHECK(refused(QY_TRUNCATED, "symbols beyond"));
}

static void relocations(void)
{
    static const struct {
        uint64_t at;
        uint32_t type, symbol;
        const char *because;
    } rows[] = {
        {DATA + 8, 2, 0, "unknown kind"},
        {DATA + 8, 16, 1, "unknown kind"},
        {DATA + 8, UINT32_MAX, 1, "unknown kind"},
        {DATA + 9, 8, 0, "writable data"},
        {TEXT, 8, 0, "writable data"},
        {DATA + DATA_BYTES, 8, 0, "writable data"},
        {UINT64_MAX - 7, 8, 0, "writable data"},
        {DATA - 8, 8, 0, "writable data"},
        {DATA + 8, 1, 3, "no symbol"},
        {DATA + 8, 7, UINT32_MAX, "no symbol"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make(file, X86);
        relocation(file, i % 4, rows[i].at, rows[i].type, rows[i].symbol, 0);
        CHECK(refused(QY_CORRUPT, rows[i].because));
    }
    make(file, X86);
    file[SYMBOLS + 24 * 2 + 4] = 0x16; /* a thread's */
    CHECK(refused(QY_CORRUPT, "a thread's"));
}

static void other_headers(void)
{
    make(file, X86);
    segment(file, 5, 3, 4, STRINGS, 8, 8);
    CHECK(refused(QY_CORRUPT, "dynamic linker"));
    make(file, X86);
    segment(file, 4, 0x6474e552, 4, TEXT, 64, 64);
    CHECK(refused(QY_CORRUPT, "no writable segment"));
    make(file, X86);
    segment(file, 4, 0x6474e552, 4, DATA, 8, UINT64_MAX - DATA + 2);
    CHECK(refused(QY_CORRUPT, "no writable segment"));
    make(file, X86);
    segment(file, 3, 2, 6, FILE_BYTES - 8, 16, 16);
    CHECK(refused(QY_TRUNCATED, "dynamic section"));
    make(file, X86);
    segment(file, 5, 7, 4, DATA + DATA_BYTES - 8, 16, 16);
    store_le(file + 64 + 56 * 5 + 8, 0, 8);
    CHECK(refused(QY_CORRUPT, "no segment holds"));
    make(file, X86);
    store_le(file + 64 + 56 * 5 + 48, 24, 8);
    CHECK(refused(QY_CORRUPT, "alignment"));
    make(file, X86);
    store_le(file + 16, 2, 2);
    CHECK(refused(QY_CORRUPT, "page 0"));
}

static void run(struct qy_bytes input)
{
    (void)promises_check(input, X86);
}

static void run_prefix(struct qy_bytes input)
{
    CHECK_EQ(promises_check(input, X86), input.count < FILE_BYTES ? QY_TRUNCATED : QY_OK);
}

static void damage(void)
{
    make(file, X86);
    symbol(file, 2, 6, 2, 0, 0);
    each_prefix(file, FILE_BYTES, run_prefix);
    each_corruption(file, FILE_BYTES, run);
}

static const struct test tests[] = {
    {"what is read of one that can be moved", what_is_read},
    {"relocations of both machines, symbols of a library", values},
    {"a weak symbol that nobody has is 0", weak_symbols},
    {"each word of the dynamic section at its extremes", tags},
    {"relocations that are refused", relocations},
    {"headers of other kinds", other_headers},
    {"every prefix, every byte damaged", damage},
};
TEST_MAIN(tests)
