/*
 * Executables: every field at its extremes, segments where they must not be, every prefix,
 * every byte damaged.
 */
#include "memory.h"
#include <tap.h>

#define USER_END 0x800000000000ull
#define X86 62u
#define HEADERS_AT 64u
#define DATA_AT 512u

static uint8_t file[40000];
static size_t file_bytes;
static uint64_t entry;
static unsigned segments;
static const char *why;

static uint8_t *program_header(unsigned i)
{
    return file + HEADERS_AT + 56 * i;
}

static void segment(unsigned i, uint32_t flags, uint64_t offset, uint64_t address, uint64_t in_file,
                    uint64_t in_memory)
{
    uint8_t *at = program_header(i);
    store_le(at, 1, 4);
    store_le(at + 4, flags, 4);
    store_le(at + 8, offset, 8);
    store_le(at + 16, address, 8);
    store_le(at + 24, address, 8);
    store_le(at + 32, in_file, 8);
    store_le(at + 40, in_memory, 8);
    store_le(at + 48, 4096, 8);
}

/* Text at 4 MiB, constants and data behind it. */
static void good(void)
{
    memset(file, 0, sizeof(file));
    memcpy(file, "\177ELF\2\1\1", 7);
    store_le(file + 16, 2, 2);
    store_le(file + 18, X86, 2);
    store_le(file + 20, 1, 4);
    store_le(file + 24, 0x400010, 8);
    store_le(file + 32, HEADERS_AT, 8);
    store_le(file + 52, 64, 2);
    store_le(file + 54, 56, 2);
    store_le(file + 56, 3, 2);
    segment(0, 5, DATA_AT, 0x400000, 100, 100);
    segment(1, 4, DATA_AT + 100, 0x401064, 50, 50);
    segment(2, 6, DATA_AT + 150, 0x402096, 40, 0x5000);
    for (unsigned i = 0; i < 190; i++)
        file[DATA_AT + i] = (uint8_t)i;
    file_bytes = DATA_AT + 190;
}

static enum qy_error check(void)
{
    entry = 1, segments = 99, why = NULL;
    enum qy_error error =
        qy_elf_check((struct qy_bytes){file, file_bytes}, X86, USER_END, &entry, &segments, &why);
    CHECK_EQ(error == QY_OK, why == NULL);
    CHECK(!error || (entry == 1 && segments == 99));
    return error;
}

static bool refused(enum qy_error error, const char *because)
{
    enum qy_error got = check();
    if (got == error && why && strstr(why, because))
        return true;
    printf("# got %s: %s\n", qy_error_name(got), why ? why : "-");
    return false;
}

static void a_good_file(void)
{
    good();
    CHECK_EQ(check(), QY_OK);
    CHECK_EQ(entry, 0x400010);
    CHECK_EQ(segments, 3);
    struct qy_elf_segment s = qy_elf_segment((struct qy_bytes){file, file_bytes}, 2);
    CHECK_EQ(s.address, 0x402096);
    CHECK_EQ(s.memory_bytes, 0x5000);
    CHECK_EQ(s.data.count, 40);
    CHECK(s.data.at == file + DATA_AT + 150);
    CHECK_EQ(s.flags, 3); /* read and write, in our numbers */
    CHECK_EQ(qy_elf_segment((struct qy_bytes){file, file_bytes}, 0).flags, 5);
    CHECK_EQ(qy_elf_segment((struct qy_bytes){file, file_bytes}, 1).flags, 1);
    CHECK_EQ(qy_elf_segment((struct qy_bytes){file, file_bytes}, 3).memory_bytes, 0);
}

/* Segments that load nothing, and headers of other types, do not count. */
static void what_is_not_loaded(void)
{
    good();
    segment(1, 7, 1 << 30, 0, 0, 0);
    CHECK_EQ(check(), QY_OK);
    CHECK_EQ(segments, 2);
    CHECK_EQ(qy_elf_segment((struct qy_bytes){file, file_bytes}, 1).address, 0x402096);
    store_le(program_header(1), 0x6474e551, 4);
    CHECK_EQ(check(), QY_OK);
    CHECK_EQ(segments, 2);
}

#define FIELD(at, value, bytes, error, because)                                                    \
    do {                                                                                           \
        good();                                                                                    \
        store_le(file + (at), value, bytes);                                                       \
        CHECK(refused(error, because));                                                            \
    } while (0)

static void header_fields(void)
{
    FIELD(0, 0, 1, QY_CORRUPT, "not an ELF");
    FIELD(4, 1, 1, QY_CORRUPT, "64-bit");
    FIELD(5, 2, 1, QY_CORRUPT, "little-endian");
    FIELD(6, 0, 1, QY_CORRUPT, "version");
    FIELD(20, 2, 4, QY_CORRUPT, "version");
    FIELD(16, 1, 2, QY_CORRUPT, "executable");
    FIELD(16, 3, 2, QY_CORRUPT, "executable"); /* position-independent */
    FIELD(18, 243, 2, QY_CORRUPT, "another machine");
    FIELD(52, 63, 2, QY_CORRUPT, "sizes");
    FIELD(54, 0, 2, QY_CORRUPT, "sizes");
    FIELD(54, 57, 2, QY_CORRUPT, "sizes");
    FIELD(56, 0, 2, QY_CORRUPT, "no segment");
    FIELD(56, 256, 2, QY_TRUNCATED, "program headers");
    FIELD(56, 257, 2, QY_TOO_MANY, "256");
    FIELD(56, 65535, 2, QY_TOO_MANY, "256");
    FIELD(32, UINT64_MAX, 8, QY_TRUNCATED, "program headers");
    FIELD(32, UINT64_MAX - 100, 8, QY_TRUNCATED, "program headers");
    FIELD(32, 1ull << 63, 8, QY_TRUNCATED, "program headers");
    FIELD(24, 0, 8, QY_CORRUPT, "entry");
    FIELD(24, 0x3fffff, 8, QY_CORRUPT, "entry");
    FIELD(24, 0x400064, 8, QY_CORRUPT, "entry"); /* one byte behind */
    FIELD(24, 0x401070, 8, QY_CORRUPT, "entry"); /* not executable */
    FIELD(24, UINT64_MAX, 8, QY_CORRUPT, "entry");
}

#define SEGMENT(error, because, ...)                                                               \
    do {                                                                                           \
        good();                                                                                    \
        segment(__VA_ARGS__);                                                                      \
        CHECK(refused(error, because));                                                            \
    } while (0)

static void segment_fields(void)
{
    SEGMENT(QY_CORRUPT, "more bytes in the file", 2, 6, DATA_AT, 0x402000, 10, 9);
    SEGMENT(QY_TRUNCATED, "beyond the end", 2, 6, DATA_AT, 0x402000, 191, 191);
    SEGMENT(QY_TRUNCATED, "beyond the end", 2, 6, UINT64_MAX, 0x402000, 2, 2);
    SEGMENT(QY_TRUNCATED, "beyond the end", 2, 6, DATA_AT, 0x402000, UINT64_MAX - DATA_AT + 1,
            UINT64_MAX);
    SEGMENT(QY_CORRUPT, "page 0", 0, 5, DATA_AT, 0, 100, 100);
    SEGMENT(QY_CORRUPT, "page 0", 0, 5, DATA_AT, 4095, 100, 100);
    SEGMENT(QY_CORRUPT, "user half", 2, 6, DATA_AT, USER_END, 1, 1);
    SEGMENT(QY_CORRUPT, "user half", 2, 6, DATA_AT, USER_END - 1, 2, 2);
    SEGMENT(QY_CORRUPT, "user half", 2, 6, DATA_AT, UINT64_MAX, 1, 1);
    SEGMENT(QY_CORRUPT, "user half", 2, 6, DATA_AT, 0x402000, 1, 1ull << 60);
    SEGMENT(QY_CORRUPT, "user half", 2, 6, DATA_AT, 0x402000, 1, UINT64_MAX);
    SEGMENT(QY_CORRUPT, "writable and executable", 2, 7, DATA_AT, 0x402000, 1, 1);
    SEGMENT(QY_CORRUPT, "writable and executable", 2, 3, DATA_AT, 0x402000, 1, 1);
    SEGMENT(QY_CORRUPT, "not readable", 2, 2, DATA_AT, 0x402000, 1, 1);
    SEGMENT(QY_CORRUPT, "two in one page", 2, 6, DATA_AT, 0x401fff, 1, 1);
    SEGMENT(QY_CORRUPT, "two in one page", 2, 6, DATA_AT, 0x400000, 1, 1);
    SEGMENT(QY_CORRUPT, "two in one page", 2, 6, DATA_AT, 0x300000, 1, 0x200000);
    good();
    segment(2, 6, DATA_AT, USER_END - 4096, 1, 4096); /* the last page */
    CHECK_EQ(check(), QY_OK);
    good();
    segment(0, 5, DATA_AT, 4096, 1, 1); /* the first page that may be */
    store_le(file + 24, 4096, 8);
    CHECK_EQ(check(), QY_OK);
}

static void other_headers(void)
{
    good();
    store_le(program_header(1), 3, 4);
    CHECK(refused(QY_CORRUPT, "statically"));
    store_le(program_header(1), 2, 4);
    CHECK(refused(QY_CORRUPT, "statically"));
    good();
    store_le(program_header(1), 7, 4);
    store_le(program_header(1) + 16, 0x400000, 8); /* where the text's segment has it, too */
    store_le(program_header(1) + 48, 8, 8);
    CHECK_EQ(check(), QY_OK);
    store_le(program_header(1) + 40, 1ull << 60, 8);
    CHECK(refused(QY_CORRUPT, "thread-local"));
    store_le(program_header(1) + 40, 49, 8);
    CHECK(refused(QY_CORRUPT, "thread-local"));
    good();
    store_le(program_header(1), 7, 4);
    store_le(program_header(1) + 8, UINT64_MAX, 8);
    CHECK(refused(QY_TRUNCATED, "thread-local"));
}

static void many_segments(void)
{
    good();
    store_le(file + 56, 256, 2);
    for (unsigned i = 0; i < 256; i++)
        segment(i, 5, 0, 0x400000 + i * 0x1000ull, 20, 4096);
    file_bytes = HEADERS_AT + 256 * 56;
    CHECK_EQ(check(), QY_OK);
    CHECK_EQ(segments, 256);
    CHECK_EQ(qy_elf_segment((struct qy_bytes){file, file_bytes}, 255).address, 0x4ff000);
}

/* A file that is accepted keeps what qy_elf_check promises, whatever it was made of. */
static enum qy_error run_checked(struct qy_bytes input)
{
    uint64_t start = 0, end = 0;
    unsigned count = 0;
    const char *reason = NULL;
    bool entry_found = false;
    enum qy_error error = qy_elf_check(input, X86, USER_END, &start, &count, &reason);

    CHECK_EQ(error != QY_OK, reason != NULL);
    for (unsigned i = 0; !error && i < count; i++) {
        struct qy_elf_segment s = qy_elf_segment(input, i);
        CHECK(s.memory_bytes > 0 && s.memory_bytes >= s.data.count);
        CHECK(s.address >= 4096 && s.address >= end && s.address < USER_END);
        CHECK(s.memory_bytes <= USER_END - s.address);
        CHECK((s.flags & 6) != 6);
        CHECK(s.data.at >= input.at && s.data.at + s.data.count <= input.at + input.count);
        end = qy_align_up(s.address + s.memory_bytes, 4096);
        entry_found |= (s.flags & 4) && start >= s.address && start - s.address < s.memory_bytes;
    }
    CHECK(error || entry_found);
    return error;
}

static void run(struct qy_bytes input)
{
    (void)run_checked(input);
}

static void run_prefix(struct qy_bytes input)
{
    CHECK_EQ(run_checked(input), input.count < file_bytes ? QY_TRUNCATED : QY_OK);
}

static void damage(void)
{
    good();
    each_prefix(file, file_bytes, run_prefix);
    each_corruption(file, file_bytes, run);
}

static const struct test tests[] = {
    {"a good file", a_good_file},
    {"headers that load nothing", what_is_not_loaded},
    {"each field of the header at its extremes", header_fields},
    {"each field of a segment at its extremes", segment_fields},
    {"dynamic linking and thread-local storage", other_headers},
    {"256 segments", many_segments},
    {"every prefix, every byte damaged", damage},
};
TEST_MAIN(tests)
