/*
 * Any bytes as a disk: it is mounted, listed to the bottom, read, changed and synced. No sector outside of the disk is
 * asked for, and nothing goes on for ever; what the library says of itself holds if the disk could be mounted.
 */
#include "fuzz.h"

#include <fat.h>

#define SECTORS_MAX 128u
#define CALLS_MAX 200000u
#define ITEMS_MAX 400u

static uint8_t disk[SECTORS_MAX * FAT_SECTOR];
static uint64_t sectors, calls; /* of this input */

static bool disk_read(void *context, uint64_t sector, uint32_t count, void *to)
{
    (void)context;
    CHECK(++calls < CALLS_MAX && sector < sectors && count <= sectors - sector);
    memcpy(to, disk + sector * FAT_SECTOR, (size_t)count * FAT_SECTOR);
    return true;
}

static bool disk_write(void *context, uint64_t sector, uint32_t count, const void *from)
{
    (void)context;
    CHECK(++calls < CALLS_MAX && sector < sectors && count <= sectors - sector);
    memcpy(disk + sector * FAT_SECTOR, from, (size_t)count * FAT_SECTOR);
    return true;
}

static bool disk_flush(void *context)
{
    (void)context;
    return true;
}

static void use_file(struct fat *fat, const char *path)
{
    static uint8_t bytes[SECTORS_MAX * FAT_SECTOR];
    struct fat_file *file;
    size_t done;

    if (fat_open(fat, path, false, &file) != FILE_OK)
        return;
    enum file_error error = fat_read(fat, file, 0, bytes, sizeof(bytes), &done);
    CHECK(error != FILE_OK || done <= sizeof(bytes));
    (void)!fat_write(fat, file, 700, bytes, 1300);
    (void)!fat_resize(fat, file, 600);
    (void)!fat_close(fat, file);
}

/* What is in a directory, and in those in it. */
static void walk(struct fat *fat, const char *path, unsigned depth, unsigned *items)
{
    struct fat_info info;
    uint32_t position = 0;

    while (*items < ITEMS_MAX && fat_list(fat, path, &position, &info) == FILE_OK) {
        static char below[8][4096];
        ++*items;
        CHECK(strlen(info.name) < FAT_NAME_BYTES);
        snprintf(below[depth], sizeof(below[depth]), "%.3000s%s%s", path, *path ? "/" : "",
                 info.name);
        if (info.directory && depth < 7)
            walk(fat, below[depth], depth + 1, items);
        else if (!info.directory)
            use_file(fat, below[depth]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static struct fat fat;
    static uint64_t map[SECTORS_MAX];
    unsigned items = 0;

    count = count < sizeof(disk) ? count : sizeof(disk);
    memset(disk, 0, sizeof(disk));
    memcpy(disk, data, count);
    sectors = (count + FAT_SECTOR - 1) / FAT_SECTOR;
    if (sectors == 0)
        return 0;
    calls = 0;
    const struct fat_disk callbacks = {disk_read, disk_write, disk_flush, NULL, sectors, false};
    if (fat_mount(&fat, &callbacks, map, sizeof(map)) != FILE_OK)
        return 0;
    walk(&fat, "", 0, &items);
    (void)!fat_make_directory(&fat, "fuzz directory");
    struct fat_file *file;
    if (fat_open(&fat, "fuzz directory/file", true, &file) == FILE_OK) {
        (void)!fat_write(&fat, file, 0, data, count < 2000 ? count : 2000);
        (void)!fat_close(&fat, file);
    }
    (void)!fat_rename(&fat, "fuzz directory/file", "elsewhere and a longer name");
    (void)!fat_remove(&fat, "fuzz directory");
    (void)!fat_unmount(&fat);
    return 0;
}
