/*
 * Formatting, against the C library's where both know a format, and by example where only ours
 * does.
 */
#include <lib/format.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

static bool expect(const char *wanted, const char *got, size_t count)
{
    if (strcmp(wanted, got) == 0 && count == strlen(wanted))
        return true;
    printf("# wanted \"%s\", got \"%s\" (%zu)\n", wanted, got, count);
    return false;
}

#define EXPECT(wanted, ...)                                                                        \
    do {                                                                                           \
        char text_[200];                                                                           \
        size_t count_ = format_to(text_, sizeof(text_), __VA_ARGS__);                              \
        CHECK(expect(wanted, text_, count_));                                                      \
    } while (0)

/* The C library knows this format too. */
#define SAME(...)                                                                                  \
    do {                                                                                           \
        char theirs_[200];                                                                         \
        snprintf(theirs_, sizeof(theirs_), __VA_ARGS__);                                           \
        EXPECT(theirs_, __VA_ARGS__);                                                              \
    } while (0)

static void integers(void)
{
    static const long long values[] = {0,         1,          -1,        9,         10,
                                       123456789, INT32_MIN,  INT32_MAX, INT64_MIN, INT64_MAX,
                                       255,       0x80000000, -128,      65536,     99999999999};

    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        long long v = values[i];
        SAME("%lld|%llu|%llx|%llX", v, (unsigned long long)v, (unsigned long long)v,
             (unsigned long long)v);
        SAME("%d|%u|%x", (int)v, (unsigned)v, (unsigned)v);
        SAME("%ld|%lu|%zu|%zx", (long)v, (unsigned long)v, (size_t)v, (size_t)v);
        SAME("%8d|%-8d|%08d|%3u|%-3u|%03u|", (int)v, (int)v, (int)v, (unsigned)v, (unsigned)v,
             (unsigned)v);
        SAME("%20lld|%-20lld|%020lld|%016llx", v, v, v, (unsigned long long)v);
        SAME("%*d|%-*d|%0*d", 12, (int)v, 12, (int)v, 12, (int)v);
        SAME("%*u|", -9, (unsigned)v);
        SAME("%i", (int)v);
    }
    EXPECT("-1 65535", "%hd %hu", -1, 0x1ffff);
    EXPECT("-128 128", "%hhd %hhu", 128, 128 + 256);
}

static void text(void)
{
    SAME("%s|%5s|%-5s|%.2s|%5.1s|%-6.3s|%.0s", "abc", "abc", "abc", "abc", "abc", "abcdef", "abc");
    SAME("%.*s|%*s|%-*s|", 2, "abcdef", 8, "abc", 8, "abc");
    SAME("%.*s", -1, "abc");
    SAME("%c%c|%3c|%-3c|", 'x', 'y', 'z', 'w');
    SAME("100%% and %s", "more");
    EXPECT("(null)", "%s", (char *)NULL);
    /* not a terminated string: only as much as the precision is read */
    char *three = malloc(3);
    memcpy(three, "abc", 3);
    EXPECT("abc", "%.3s", three);
    free(three);
}

static void pointers(void)
{
    EXPECT("0x0", "%p", (void *)0);
    EXPECT("0xffff800000001000", "%p", (void *)0xffff800000001000);
    EXPECT("    0x10", "%8p", (void *)16);
}

static void sizes(void)
{
    EXPECT("0 B", "%S", (uint64_t)0);
    EXPECT("1023 B", "%S", (uint64_t)1023);
    EXPECT("1 KiB", "%S", (uint64_t)1024);
    EXPECT("4 KiB", "%S", (uint64_t)4096);
    EXPECT("1.5 KiB", "%S", (uint64_t)1536);
    EXPECT("3.2 MiB", "%S", (uint64_t)3460300);
    EXPECT("1023.9 KiB", "%S", (uint64_t)(1 << 20) - 1);
    EXPECT("1 MiB", "%S", (uint64_t)(1 << 20) + 1);
    EXPECT("2 GiB", "%S", (uint64_t)2 << 30);
    EXPECT("512 GiB", "%S", (uint64_t)512 << 30);
    EXPECT("64 TiB", "%S", (uint64_t)64 << 40);
    EXPECT("15.9 EiB", "%S", UINT64_MAX);
    EXPECT("|     4 KiB|4 KiB     |", "|%10S|%-10S|", (uint64_t)4096, (uint64_t)4096);
}

static void addresses(void)
{
    EXPECT("0x0000000000000000", "%R", (uint64_t)0);
    EXPECT("0xffff800000100000", "%R", (uint64_t)0xffff800000100000);
    EXPECT("  0x0000000000001000|", "%20R|", (uint64_t)4096);
}

static void odd_formats(void)
{
    EXPECT("", "%s", "");
    EXPECT("%", "%");
    EXPECT("a%", "a%");
    EXPECT("%q5", "%q%d", 5);
    EXPECT("%5", "%5");
    EXPECT("%ll", "%ll");
    EXPECT("7", "%0d", 7);
    EXPECT("7   |", "%0-4d|", 7);
}

static void cut(void)
{
    char text_[8];

    memset(text_, 'x', sizeof(text_));
    CHECK_EQ(format_to(text_, 4, "%s", "abcdef"), 6);
    CHECK(memcmp(text_, "abc\0xxxx", 8) == 0);
    CHECK_EQ(format_to(text_, 1, "%d", 12345), 5);
    CHECK(memcmp(text_, "\0bc\0xxxx", 8) == 0);
    CHECK_EQ(format_to(NULL, 0, "%5d", 1), 5);
}

static const struct test tests[] = {
    {"integers of every length, with widths, zeros and signs", integers},
    {"strings and characters, with widths and precisions", text},
    {"pointers", pointers},
    {"sizes in the largest unit, cut to a decimal", sizes},
    {"addresses", addresses},
    {"a format that is none is printed as it stands", odd_formats},
    {"a buffer that is too small", cut},
};
TEST_MAIN(tests)
