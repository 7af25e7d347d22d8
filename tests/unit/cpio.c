/* Archives: what cpio(1) writes, by hand at the edges, every prefix, every byte damaged. */
#include "memory.h"
#include <stdio.h>
#include <tap.h>

static uint8_t archive[8192];
static size_t archive_bytes;

/* An entry as cpio -H newc writes it; sizes can be lied about. */
static void entry_of(const char *magic, const char *name, size_t name_bytes, uint32_t mode,
                     const void *data, size_t data_bytes, uint32_t claimed_bytes, uint32_t sum)
{
    char header[111];
    snprintf(header, sizeof(header), "%.6s%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08X",
             magic, 1u, mode, 0u, 0u, 1u, 0u, claimed_bytes, 0u, 0u, 0u, 0u, (unsigned)name_bytes,
             sum);
    memcpy(archive + archive_bytes, header, 110);
    archive_bytes += 110;
    memcpy(archive + archive_bytes, name, strlen(name) + 1);
    archive_bytes += strlen(name) + 1;
    archive_bytes = (archive_bytes + 3) / 4 * 4;
    memcpy(archive + archive_bytes, data, data_bytes);
    archive_bytes = (archive_bytes + data_bytes + 3) / 4 * 4;
}

static void entry(const char *name, uint32_t mode, const char *data)
{
    entry_of("070701", name, strlen(name) + 1, mode, data, strlen(data), (uint32_t)strlen(data), 0);
}

static void begin(void)
{
    memset(archive, 0, sizeof(archive));
    archive_bytes = 0;
}

static struct qy_bytes finish(void)
{
    entry("TRAILER!!!", 0, "");
    return (struct qy_bytes){archive, archive_bytes};
}

static struct qy_bytes sample(void)
{
    begin();
    entry(".", 040755, "");
    entry("./bin", 040755, "");
    entry("./bin/root", 0100755, "the root task");
    entry("console", 020600, "");
    entry("empty", 0100644, "");
    entry("a..b/..c/d..", 0100644, "1");
    return finish();
}

static bool data_is(const struct qy_file *file, const char *text)
{
    return file->data.count == strlen(text) && memcmp(file->data.at, text, file->data.count) == 0;
}

static void files_in_order(void)
{
    struct qy_bytes a = sample();
    struct qy_file file;
    size_t offset = 0;

    CHECK_EQ(qy_cpio_next(a, &offset, &file), QY_OK);
    CHECK(strcmp(file.name, "./bin/root") == 0 && data_is(&file, "the root task"));
    CHECK_EQ(qy_cpio_next(a, &offset, &file), QY_OK);
    CHECK(strcmp(file.name, "empty") == 0 && data_is(&file, ""));
    CHECK_EQ(qy_cpio_next(a, &offset, &file), QY_OK);
    CHECK(strcmp(file.name, "a..b/..c/d..") == 0 && data_is(&file, "1"));
    CHECK_EQ(qy_cpio_next(a, &offset, &file), QY_NOT_FOUND);
    CHECK_EQ(qy_cpio_next(a, &offset, &file), QY_NOT_FOUND);
}

static void find_by_name(void)
{
    struct qy_bytes a = sample();
    struct qy_file file = {.name = "untouched"};

    CHECK_EQ(qy_cpio_find(a, "bin/root", &file), QY_OK);
    CHECK(data_is(&file, "the root task"));
    CHECK_EQ(qy_cpio_find(a, "./empty", &file), QY_OK);
    CHECK(data_is(&file, ""));
    CHECK_EQ(qy_cpio_find(a, "bin", &file), QY_NOT_FOUND); /* a directory */
    CHECK_EQ(qy_cpio_find(a, "bin/roo", &file), QY_NOT_FOUND);
    CHECK_EQ(qy_cpio_find(a, "", &file), QY_NOT_FOUND);
    CHECK(strcmp(file.name, "empty") == 0);
}

static void checksums(void)
{
    struct qy_file file;

    for (uint32_t wrong = 0; wrong < 2; wrong++) {
        begin();
        entry_of("070702", "f", 2, 0100644, "abc", 3, 3, 'a' + 'b' + 'c' + wrong);
        CHECK_EQ(qy_cpio_find(finish(), "f", &file), wrong ? QY_CORRUPT : QY_OK);
    }
}

static enum qy_error first_of(struct qy_bytes a)
{
    struct qy_file file = {.name = NULL};
    size_t offset = 0;
    enum qy_error error = qy_cpio_next(a, &offset, &file);
    CHECK(!error || (offset == 0 && !file.name));
    return error;
}

static void bad_names(void)
{
    static const char *const names[] = {"../x",        "a/../../x", "..",      "a/..",
                                        "/etc/passwd", "./../x",    "a//..//b"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        begin();
        entry(names[i], 0100644, "x");
        CHECK_EQ(first_of(finish()), QY_CORRUPT);
    }
    begin();
    entry_of("070701", "name", 4, 0100644, "", 0, 0, 0); /* ends before its terminator */
    CHECK_EQ(first_of(finish()), QY_CORRUPT);
    begin();
    entry_of("070701", "name", 6, 0100644, "", 0, 0, 0); /* after it */
    CHECK_EQ(first_of(finish()), QY_CORRUPT);
    begin();
    entry_of("070701", "", 1, 0100644, "", 0, 0, 0);
    CHECK_EQ(first_of(finish()), QY_CORRUPT);
    begin();
    entry_of("070701", "", 0, 0100644, "", 0, 0, 0);
    CHECK_EQ(first_of(finish()), QY_CORRUPT);
    begin();
    entry_of("070701", "f", UINT32_MAX, 0100644, "", 0, 0, 0);
    CHECK_EQ(first_of(finish()), QY_TRUNCATED);
}

static void bad_headers(void)
{
    begin();
    entry_of("070707", "f", 2, 0100644, "", 0, 0, 0);
    CHECK_EQ(first_of(finish()), QY_CORRUPT);
    begin();
    entry_of("070701", "f", 2, 0100644, "abc", 3, UINT32_MAX, 0);
    CHECK_EQ(first_of(finish()), QY_TRUNCATED);
    begin();
    entry_of("070701", "f", 2, 0100644, "abc", 3, 2000, 0);
    CHECK_EQ(first_of(finish()), QY_TRUNCATED);
    begin();
    entry("f", 0100644, "");
    struct qy_bytes a = finish();
    archive[55] = 'g';
    CHECK_EQ(first_of(a), QY_CORRUPT);
    CHECK_EQ(first_of((struct qy_bytes){archive, 0}), QY_TRUNCATED);
    size_t offset = SIZE_MAX - 50;
    struct qy_file file;
    CHECK_EQ(qy_cpio_next(a, &offset, &file), QY_TRUNCATED);
}

/*
 * Every file that is found lies inside; each byte of it is read, so that the sanitizer sees a lie.
 */
static enum qy_error read_all(struct qy_bytes input)
{
    struct qy_file file;
    size_t offset = 0;
    volatile uint8_t last = 0;
    enum qy_error error;

    while (!(error = qy_cpio_next(input, &offset, &file))) {
        CHECK(strlen(file.name) > 0);
        for (size_t i = 0; i < file.data.count; i++)
            last = file.data.at[i];
    }
    (void)last;
    CHECK(error == QY_NOT_FOUND || error == QY_CORRUPT || error == QY_TRUNCATED);
    return error;
}

static void run(struct qy_bytes input)
{
    (void)read_all(input);
}

static void run_prefix(struct qy_bytes input)
{
    CHECK_EQ(read_all(input), input.count < archive_bytes ? QY_TRUNCATED : QY_NOT_FOUND);
}

static void damage(void)
{
    struct qy_bytes a = sample();
    each_prefix(a.at, a.count, run_prefix);
    each_corruption(a.at, a.count, run);
}

static const struct test tests[] = {
    {"regular files, in order", files_in_order},
    {"find a file by its name", find_by_name},
    {"checksums, where there are any", checksums},
    {"names that reach out, or do not end", bad_names},
    {"headers that are none, sizes beyond the end", bad_headers},
    {"every prefix, every byte damaged", damage},
};
TEST_MAIN(tests)
