/*
 * The file system, case by case: names, directories, lengths, full disks, wrong calls. Each test ends with fsck.vfat, which
 * must find nothing, and mtools read what was written.
 */
#include "image.h"

#define KIB_MTOOLS 34000u /* from this size on mtools takes it for FAT32 */

static struct image image;

static bool begin(unsigned kib, unsigned cluster_sectors)
{
    bool made = image_make(&image, kib, cluster_sectors);
    if (made)
        made = image_mount(&image) == FILE_OK;
    CHECK(made);
    return made;
}

static void end(void)
{
    const char *broken = fat_check(&image.fat);
    if (broken)
        printf("# %s\n", broken);
    CHECK(!broken);
    CHECK_EQ(fat_unmount(&image.fat), FILE_OK);
    CHECK(image_is_clean(&image));
    image_free(&image);
}

static enum file_error put(const char *path, const void *bytes, size_t count)
{
    struct fat_file *file;
    enum file_error error = fat_open(&image.fat, path, true, &file);

    if (error != FILE_OK)
        return error;
    error = fat_write(&image.fat, file, 0, bytes, count);
    enum file_error closed = fat_close(&image.fat, file);
    return error == FILE_OK ? closed : error;
}

static bool has(const char *path, const void *bytes, size_t count)
{
    static uint8_t read[1 << 20];
    struct fat_file *file;
    size_t done = 0;

    if (fat_open(&image.fat, path, false, &file) != FILE_OK)
        return false;
    bool same = fat_read(&image.fat, file, 0, read, sizeof(read), &done) == FILE_OK &&
                done == count && memcmp(read, bytes, count) == 0;
    return fat_close(&image.fat, file) == FILE_OK && same;
}

/* Long, short, lower case, many dots, other scripts, beyond 16 bits. */
static const char *const names[] = {
    "A",
    "README.TXT",
    "lower.txt",
    "Mixed Case.Text",
    "a.b.c.d",
    ".hidden",
    "..dots",
    "no extension at all",
    "with+plus,comma;semi=[x]",
    "\xc3\xbc\xc3\xb6\xc3\xa4.txt",
    "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e.txt",
    "\xf0\x9f\x90\x9f fish",
    "thirteen char",
    "twenty-six characters here",
    "LONGBASENAME.EXT",
    "FOO~1.TXT",
    "longbasename1.ext",
    "longbasename2.ext",
    "longbasename3.ext",
    "longbasename4.ext",
    "longbasename5.ext",
    "longbasename6.ext",
    "longbasename7.ext",
    "longbasename8.ext",
    "longbasename9.ext",
    "longbasename10.ext",
    "longbasename11.ext",
    "foo bar.txt",
    "foo baz.txt",
    "~",
    "$%'-_@~`!(){}^#&",
};
#define NAMES (sizeof(names) / sizeof(names[0]))

static void names_are_kept(void)
{
    char all[256];
    struct fat_info info;
    unsigned listed = 0;
    uint32_t position = 0;

    if (!begin(KIB_MTOOLS, 1))
        return;
    for (unsigned i = 0; i < NAMES; i++)
        CHECK_EQ(put(names[i], names[i], strlen(names[i])), FILE_OK);
    memset(all, 'x', sizeof(all));
    all[255] = 0;
    CHECK_EQ(put(all, all, 255), FILE_OK);
    while (fat_list(&image.fat, "", &position, &info) == FILE_OK) {
        bool known = strcmp(info.name, all) == 0;
        for (unsigned i = 0; i < NAMES; i++)
            known |= strcmp(info.name, names[i]) == 0 && info.bytes == strlen(names[i]);
        if (!known)
            printf("# %s\n", info.name);
        CHECK(known);
        listed++;
    }
    CHECK_EQ(listed, NAMES + 1);
    CHECK_EQ(fat_sync(&image.fat), FILE_OK);
    CHECK_EQ(fat_unmount(&image.fat), FILE_OK);
    CHECK_EQ(image_mount(&image), FILE_OK);
    for (unsigned i = 0; i < NAMES; i++) {
        CHECK(has(names[i], names[i], strlen(names[i])));
        if (i < 8 || strncmp(names[i], "foo", 3) == 0)
            CHECK(
                image_mtools_reads(&image, names[i], (const uint8_t *)names[i], strlen(names[i])));
    }
    CHECK(has("readme.txt", "README.TXT", 10) && has("LOWER.TXT", "lower.txt", 9));
    end();
}

static void names_are_refused(void)
{
    static const char *const bad[] = {"",
                                      "a\tb",
                                      "a*b",
                                      "a?",
                                      "a:b",
                                      "x|",
                                      "\"",
                                      "<",
                                      ">",
                                      "a\\b",
                                      "dot.",
                                      "blank ",
                                      ".",
                                      "..",
                                      "a/",
                                      "\x80",
                                      "\xc0\x80",
                                      "\xed\xa0\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xc3"};
    char all[257];
    struct fat_file *file;

    if (!begin(300, 1))
        return;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        enum file_error error = fat_open(&image.fat, bad[i], true, &file);
        CHECK(error == FILE_BAD_NAME || (strcmp(bad[i], "a/") == 0 && error == FILE_NOT_FOUND));
    }
    memset(all, 'x', 256);
    all[256] = 0;
    CHECK_EQ(fat_open(&image.fat, all, true, &file), FILE_BAD_NAME);
    CHECK_EQ(fat_open(&image.fat, "none/x", true, &file), FILE_NOT_FOUND);
    CHECK_EQ(put("file", "x", 1), FILE_OK);
    CHECK_EQ(fat_open(&image.fat, "file/x", true, &file), FILE_NOT_DIRECTORY);
    CHECK_EQ(fat_make_directory(&image.fat, "file"), FILE_EXISTS);
    CHECK_EQ(fat_make_directory(&image.fat, "d"), FILE_OK);
    CHECK_EQ(fat_open(&image.fat, "d", false, &file), FILE_IS_DIRECTORY);
    CHECK_EQ(fat_rename(&image.fat, "d", "file"), FILE_EXISTS);
    CHECK_EQ(fat_rename(&image.fat, "file", "d"), FILE_EXISTS);
    CHECK_EQ(fat_rename(&image.fat, "none", "x"), FILE_NOT_FOUND);
    end();
}

static void lengths(void)
{
    static uint8_t bytes[40000], wanted[60000];
    struct fat_file *file, *again;
    size_t done;

    if (!begin(KIB_MTOOLS, 1))
        return;
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    CHECK_EQ(put("a", bytes, sizeof(bytes)), FILE_OK);
    CHECK_EQ(fat_open(&image.fat, "A", false, &file), FILE_OK);
    CHECK_EQ(fat_open(&image.fat, "a", true, &again), FILE_OK);
    CHECK(file == again);
    CHECK_EQ(fat_remove(&image.fat, "a"), FILE_BUSY);
    memcpy(wanted, bytes, sizeof(bytes));
    CHECK_EQ(fat_write(&image.fat, file, 50001, bytes, 9999), FILE_OK); /* behind a gap */
    memcpy(wanted + 50001, bytes, 9999);
    CHECK(has("a", wanted, 60000));
    CHECK_EQ(fat_resize(&image.fat, file, 1000), FILE_OK);
    CHECK_EQ(fat_resize(&image.fat, file, 3000), FILE_OK); /* by zeroes, not by what was there */
    memset(wanted + 1000, 0, 2000);
    CHECK(has("a", wanted, 3000));
    CHECK_EQ(fat_read(&image.fat, file, 2990, bytes, 100, &done), FILE_OK);
    CHECK_EQ(done, 10);
    CHECK_EQ(fat_read(&image.fat, file, 1ull << 40, bytes, 100, &done), FILE_OK);
    CHECK_EQ(done, 0);
    CHECK_EQ(fat_write(&image.fat, file, FAT_FILE_MAX, bytes, 1), FILE_TOO_LARGE);
    CHECK_EQ(fat_write(&image.fat, file, ~0ull, bytes, 1), FILE_TOO_LARGE);
    CHECK_EQ(fat_resize(&image.fat, file, FAT_FILE_MAX), FILE_FULL);
    CHECK(has("a", wanted, 3000));
    CHECK_EQ(fat_close(&image.fat, again), FILE_OK);
    CHECK_EQ(fat_close(&image.fat, file), FILE_OK);
    CHECK_EQ(fat_sync(&image.fat), FILE_OK);
    CHECK_EQ(fat_unmount(&image.fat), FILE_OK);
    CHECK(image_mtools_reads(&image, "a", wanted, 3000));
    end();
}

static void directories(void)
{
    struct fat_info info;
    uint32_t position = 0;
    char path[128] = {0}, deep[2 * FAT_DEPTH + 4] = {0};

    if (!begin(1000, 1))
        return;
    CHECK_EQ(fat_make_directory(&image.fat, "d"), FILE_OK);
    CHECK_EQ(fat_make_directory(&image.fat, "d/e"), FILE_OK);
    for (unsigned i = 0; i < 100; i++) { /* more than a cluster of entries */
        snprintf(path, sizeof(path), "d/e/a file with number %u", i);
        CHECK_EQ(put(path, path, i), FILE_OK);
    }
    CHECK_EQ(fat_remove(&image.fat, "d/e"), FILE_NOT_EMPTY);
    CHECK_EQ(fat_rename(&image.fat, "d/e", "d/E of another name"), FILE_OK);
    CHECK_EQ(fat_rename(&image.fat, "d/E of another name", "d/e OF another name"), FILE_OK);
    CHECK_EQ(fat_rename(&image.fat, "d/e of another name", "elsewhere"), FILE_UNSUPPORTED);
    CHECK_EQ(fat_list(&image.fat, "d", &position, &info), FILE_OK);
    CHECK(info.directory && strcmp(info.name, "e OF another name") == 0);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(path, sizeof(path), "d/e of another name/a file with number %u", i);
        CHECK_EQ(fat_look(&image.fat, path, &info), FILE_OK);
        CHECK_EQ(info.bytes, i);
        CHECK_EQ(fat_remove(&image.fat, path), FILE_OK);
    }
    uint32_t before = image.fat.free;
    CHECK_EQ(fat_remove(&image.fat, "d/e of another name"), FILE_OK);
    CHECK_EQ(fat_remove(&image.fat, "d"), FILE_OK);
    CHECK(image.fat.free > before);
    for (unsigned i = 0; i < FAT_DEPTH; i++) {
        strcat(deep, i ? "/x" : "x");
        CHECK_EQ(fat_make_directory(&image.fat, deep), FILE_OK);
    }
    CHECK_EQ(fat_make_directory(&image.fat, strcat(deep, "/x")), FILE_TOO_MANY);
    end();
}

static void renames(void)
{
    struct fat_file *file;

    if (!begin(300, 1))
        return;
    CHECK_EQ(put("old", "old", 3), FILE_OK);
    CHECK_EQ(put("new one", "newer", 5), FILE_OK);
    CHECK_EQ(fat_open(&image.fat, "new one", false, &file), FILE_OK);
    CHECK_EQ(fat_rename(&image.fat, "old", "new one"), FILE_BUSY);
    CHECK_EQ(fat_rename(&image.fat, "new one", "new two"), FILE_OK); /* who has it open goes on */
    CHECK_EQ(fat_write(&image.fat, file, 5, "!", 1), FILE_OK);
    CHECK_EQ(fat_close(&image.fat, file), FILE_OK);
    CHECK(has("new two", "newer!", 6));
    uint32_t before = image.fat.free;
    CHECK_EQ(fat_rename(&image.fat, "old", "new two"), FILE_OK); /* replaced */
    CHECK(has("new two", "old", 3) && !has("old", "old", 3) && !has("new one", "newer", 5));
    CHECK_EQ(image.fat.free, before + 1);
    CHECK_EQ(fat_rename(&image.fat, "new two", "NEW TWO"), FILE_OK);
    CHECK(has("new two", "old", 3));
    end();
}

static void full_disk(void)
{
    static uint8_t bytes[4096];
    struct fat_file *file;
    char path[16];
    unsigned count = 0;

    if (!begin(300, 1))
        return;
    memset(bytes, 'f', sizeof(bytes));
    CHECK_EQ(fat_open(&image.fat, "keeps", true, &file), FILE_OK);
    CHECK_EQ(fat_write(&image.fat, file, 0, bytes, 100), FILE_OK);
    enum file_error error;
    do {
        snprintf(path, sizeof(path), "f%u", count++);
        error = put(path, bytes, sizeof(bytes));
    } while (error == FILE_OK && count < 1000);
    CHECK_EQ(error, FILE_FULL);
    uint64_t free = fat_free_bytes(&image.fat);
    CHECK(free < sizeof(bytes));
    CHECK_EQ(fat_write(&image.fat, file, 100, bytes, sizeof(bytes)), FILE_FULL);
    CHECK_EQ(fat_free_bytes(&image.fat), free); /* nothing has changed */
    CHECK(has("keeps", bytes, 100));
    CHECK_EQ(fat_write(&image.fat, file, 100, bytes, free), FILE_OK);
    CHECK_EQ(fat_free_bytes(&image.fat), 0);
    CHECK_EQ(fat_make_directory(&image.fat, "d"), FILE_FULL);
    CHECK_EQ(fat_close(&image.fat, file), FILE_OK);
    CHECK_EQ(fat_remove(&image.fat, "f0"), FILE_OK);
    CHECK_EQ(fat_make_directory(&image.fat, "d"), FILE_OK);
    end();
}

/* More open than there is room for; a disk that fails at any call; one that can only be read. */
static void limits(void)
{
    struct fat_file *files[FAT_FILES], *more;
    char path[16];

    if (!begin(300, 1))
        return;
    for (unsigned i = 0; i < FAT_FILES; i++) {
        snprintf(path, sizeof(path), "%u", i);
        CHECK_EQ(fat_open(&image.fat, path, true, &files[i]), FILE_OK);
    }
    CHECK_EQ(fat_open(&image.fat, "more", true, &more), FILE_TOO_MANY);
    for (unsigned i = 0; i < FAT_FILES; i++)
        CHECK_EQ(fat_close(&image.fat, files[i]), FILE_OK);
    CHECK_EQ(fat_unmount(&image.fat), FILE_OK);
    image.disk.read_only = true;
    CHECK_EQ(image_mount(&image), FILE_OK);
    CHECK_EQ(put("x", "x", 1), FILE_READ_ONLY);
    CHECK_EQ(fat_remove(&image.fat, "1"), FILE_READ_ONLY);
    CHECK_EQ(fat_rename(&image.fat, "1", "x"), FILE_READ_ONLY);
    CHECK_EQ(fat_make_directory(&image.fat, "x"), FILE_READ_ONLY);
    CHECK_EQ(fat_open(&image.fat, "1", false, &more), FILE_OK);
    CHECK_EQ(fat_resize(&image.fat, more, 5), FILE_READ_ONLY);
    end();
}

static enum file_error some_work(void)
{
    static uint8_t bytes[3000];
    enum file_error error = put("a", bytes, sizeof(bytes));

    if (error == FILE_OK)
        error = fat_make_directory(&image.fat, "directory");
    if (error == FILE_OK)
        error = put("directory/long name", bytes, 700);
    if (error == FILE_OK)
        error = fat_rename(&image.fat, "a", "directory/b");
    if (error == FILE_OK)
        error = fat_remove(&image.fat, "directory/b");
    return error == FILE_OK ? fat_unmount(&image.fat) : error;
}

static void failing_disk(void)
{
    struct image empty;
    uint64_t calls = 0;

    if (!begin(300, 1))
        return;
    image_from(&empty, image.bytes, image.sectors);
    enum file_error error = FILE_IO;
    for (unsigned n = 1; error != FILE_OK && n < 10000; n++) {
        memcpy(image.bytes, empty.bytes, image.sectors * FAT_SECTOR);
        image.calls = 0;
        image.fails_from = n;
        error = image_mount(&image);
        if (error == FILE_OK)
            error = some_work();
        CHECK(error == FILE_OK || error == FILE_IO || error == FILE_READ_ONLY);
        calls = image.calls;
        image.fails_from = 0;
        if (error != FILE_OK) { /* as if it were a power cut: the disk works again, and is right */
            CHECK_EQ(image_mount(&image), FILE_OK);
            CHECK(!fat_check(&image.fat));
            CHECK_EQ(fat_unmount(&image.fat), FILE_OK);
            if (n % 8 == 0)
                CHECK(image_is_clean(&image));
        }
    }
    CHECK_EQ(error, FILE_OK);
    CHECK(calls > 20);
    image_free(&empty);
    end();
}

/* What mtools has written is read, with short names in lower case and long ones. */
static void from_mtools(void)
{
    static const char command[] =
        "head -c 100000 /dev/zero | tr '\\0' q >$image.in && mmd -i $image ::/sub && "
        "mcopy -i $image $image.in ::/lower.txt && mcopy -i $image $image.in '::/sub/A long "
        "Name.with dots' && "
        "mcopy -i $image $image.in ::/UPPER.TXT; rm $image.in";
    static uint8_t wanted[100000];

    if (!begin(KIB_MTOOLS, 1))
        return;
    CHECK_EQ(fat_unmount(&image.fat), FILE_OK);
    CHECK_EQ(image_run(&image, command), 0);
    memset(wanted, 'q', sizeof(wanted));
    CHECK_EQ(image_mount(&image), FILE_OK);
    CHECK(has("lower.txt", wanted, sizeof(wanted)));
    CHECK(has("sub/a LONG name.with dots", wanted, sizeof(wanted)));
    CHECK(has("UPPER.TXT", wanted, sizeof(wanted)));
    struct fat_info info;
    CHECK_EQ(fat_look(&image.fat, "LOWER.TXT", &info), FILE_OK);
    CHECK(strcmp(info.name, "lower.txt") == 0);
    CHECK_EQ(fat_remove(&image.fat, "lower.txt"), FILE_OK);
    CHECK_EQ(fat_rename(&image.fat, "sub/A long Name.with dots", "Now in the root"), FILE_OK);
    CHECK_EQ(fat_unmount(&image.fat), FILE_OK);
    CHECK(image_mtools_reads(&image, "Now in the root", wanted, sizeof(wanted)));
    end();
}

/* Other file systems, boot sectors that contradict themselves. */
static void boot_sectors(void)
{
    static const struct {
        unsigned offset, bytes, value;
    } wrong[] = {{11, 2, 1024},   {11, 2, 0}, {13, 1, 0},   {13, 1, 3},          {14, 2, 0},
                 {16, 1, 0},      {16, 1, 9}, {17, 2, 512}, {22, 2, 9},          {19, 2, 0},
                 {19, 2, 0xffff}, {36, 4, 0}, {36, 4, 1},   {36, 4, 0xffffffff}, {40, 2, 0x80},
                 {42, 2, 1},      {44, 4, 0}, {44, 4, 1},   {44, 4, 99999},      {510, 1, 0},
                 {13, 1, 128}};

    if (!begin(300, 1))
        return;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t kept[4];
        memcpy(kept, image.bytes + wrong[i].offset, 4);
        for (unsigned k = 0; k < wrong[i].bytes; k++)
            image.bytes[wrong[i].offset + k] = (uint8_t)(wrong[i].value >> 8 * k);
        enum file_error error = image_mount(&image);
        if (i + 1 < sizeof(wrong) / sizeof(wrong[0])) /* the last is just another size */
            CHECK(error == FILE_CORRUPT || error == FILE_UNSUPPORTED);
        memcpy(image.bytes + wrong[i].offset, kept, 4);
    }
    CHECK_EQ(fat_mount(&image.fat, &image.disk, image.map, 8), FILE_NO_MEMORY);
    CHECK_EQ(image_mount(&image), FILE_OK);
    end();
}

static const struct test tests[] = {
    {"names are kept, as mtools reads them", names_are_kept},
    {"names and paths are refused", names_are_refused},
    {"lengths: gaps and ends are zeroes", lengths},
    {"directories grow, are renamed, go", directories},
    {"rename: new name, replaced file, other case", renames},
    {"a full disk: nothing changes", full_disk},
    {"limits: open files, disks to read", limits},
    {"a disk that fails at any call", failing_disk},
    {"what mtools wrote", from_mtools},
    {"boot sectors that are wrong", boot_sectors},
};
TEST_MAIN(tests)
