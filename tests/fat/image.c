/* Disks in memory: see image.h. */
#include "image.h"

#include <sys/wait.h>
#include <unistd.h>

static char path[64];

/* One file for all, in memory if the system has such a place. */
static const char *file_path(void)
{
    if (!path[0])
        snprintf(path, sizeof(path), "%s/quarry-fat-%d.img",
                 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", (int)getpid());
    return path;
}

/* With the folder of fsck and mkfs in the path. Its exit code. */
static int run(const char *command)
{
    char line[2048];

    snprintf(line, sizeof(line),
             "PATH=$PATH:/usr/sbin:/sbin MTOOLS_SKIP_CHECK=1 image=%s; export PATH "
             "MTOOLS_SKIP_CHECK; %s",
             file_path(), command);
    fflush(stdout);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void save(const struct image *image)
{
    FILE *file = fopen(file_path(), "wb");

    if (!file || fwrite(image->bytes, FAT_SECTOR, image->sectors, file) != image->sectors ||
        fclose(file) != 0)
        abort();
}

/* A file as it is; *count bytes. */
static uint8_t *load(const char *name, size_t *count)
{
    FILE *file = fopen(name, "rb");

    if (!file || fseek(file, 0, SEEK_END) != 0)
        abort();
    *count = (size_t)ftell(file);
    uint8_t *bytes = malloc(*count + 1);
    rewind(file);
    if (!bytes || fread(bytes, 1, *count, file) != *count)
        abort();
    fclose(file);
    return bytes;
}

/* ---- the disk ---- */

static bool is_good(struct image *image, uint64_t sector, uint32_t count)
{
    image->calls++;
    CHECK(count > 0 && sector <= image->sectors && count <= image->sectors - sector);
    if (sector > image->sectors || count > image->sectors - sector)
        return false;
    return !image->fails_from || image->calls < image->fails_from;
}

static bool disk_read(void *context, uint64_t sector, uint32_t count, void *to)
{
    struct image *image = context;

    if (!is_good(image, sector, count))
        return false;
    memcpy(to, image->bytes + sector * FAT_SECTOR, (size_t)count * FAT_SECTOR);
    return true;
}

static void keep(struct image *image, uint64_t sector, const uint8_t *data)
{
    if (!image->log)
        return;
    if (image->steps == image->room) {
        image->room *= 2;
        image->log = realloc(image->log, image->room * sizeof(*image->log));
        if (!image->log)
            abort();
    }
    struct image_step *step = &image->log[image->steps++];
    step->sector = sector;
    if (data)
        memcpy(step->data, data, FAT_SECTOR);
}

static bool disk_write(void *context, uint64_t sector, uint32_t count, const void *from)
{
    struct image *image = context;

    if (!is_good(image, sector, count))
        return false;
    CHECK(!image->disk.read_only);
    for (uint32_t i = 0; i < count; i++)
        keep(image, sector + i, (const uint8_t *)from + (size_t)i * FAT_SECTOR);
    memcpy(image->bytes + sector * FAT_SECTOR, from, (size_t)count * FAT_SECTOR);
    return true;
}

static bool disk_flush(void *context)
{
    struct image *image = context;

    if (!is_good(image, 0, 1))
        return false;
    keep(image, IMAGE_FLUSH, NULL);
    return true;
}

void image_from(struct image *image, const uint8_t *bytes, uint64_t sectors)
{
    memset(image, 0, sizeof(*image));
    image->sectors = sectors;
    image->bytes = malloc(sectors * FAT_SECTOR + 1);
    image->map = malloc(fat_map_bytes(sectors));
    if (!image->bytes || !image->map)
        abort();
    memcpy(image->bytes, bytes, sectors * FAT_SECTOR);
    image->disk = (struct fat_disk){disk_read, disk_write, disk_flush, image, sectors, false};
}

void image_free(struct image *image)
{
    free(image->bytes);
    free(image->map);
    free(image->log);
    memset(image, 0, sizeof(*image));
    unlink(file_path());
}

enum file_error image_mount(struct image *image)
{
    return fat_mount(&image->fat, &image->disk, image->map, fat_map_bytes(image->sectors));
}

/* ---- other people's tools ---- */

bool image_make(struct image *image, unsigned kib, unsigned cluster_sectors)
{
    char command[256];
    size_t count;

    unlink(file_path());
    snprintf(command, sizeof(command), "mkfs.vfat -F 32 -s %u -R 8 -C $image %u >/dev/null 2>&1",
             cluster_sectors, kib);
    memset(image, 0, sizeof(*image));
    if (run(command) != 0) {
        printf("# mkfs.vfat does not work; it is in the package dosfstools\n");
        return false;
    }
    uint8_t *bytes = load(file_path(), &count);
    image_from(image, bytes, count / FAT_SECTOR);
    free(bytes);
    return true;
}

int image_run(struct image *image, const char *command)
{
    size_t count;

    save(image);
    int code = run(command);
    uint8_t *bytes = load(file_path(), &count);
    if (count != image->sectors * FAT_SECTOR)
        abort();
    memcpy(image->bytes, bytes, count);
    free(bytes);
    return code;
}

int image_fsck(const struct image *image, char found[FOUND_BYTES])
{
    char name[80];
    size_t count;

    save(image);
    int code = run("fsck.vfat -n $image >$image.out 2>&1");
    snprintf(name, sizeof(name), "%s.out", file_path());
    uint8_t *bytes = load(name, &count);
    count = count < FOUND_BYTES - 1 ? count : FOUND_BYTES - 1;
    memcpy(found, bytes, count);
    found[count] = 0;
    free(bytes);
    unlink(name);
    return code;
}

bool image_is_clean(const struct image *image)
{
    static char found[FOUND_BYTES];

    if (image_fsck(image, found) == 0 && !strstr(found, "differences"))
        return true;
    printf("# fsck.vfat: %s\n", found);
    return false;
}

/* Each line is one of these. */
bool image_is_cut(char *found)
{
    static const char *const allowed[] = {"fsck.fat 4",
                                          "Dirty bit is set",
                                          "Automatically removing dirty bit",
                                          "There are differences between boot sector",
                                          "This is mostly harmless",
                                          "65:01/00",
                                          "Not automatically fixing",
                                          "Warning: Filesystem is FAT32",
                                          "but has only",
                                          "This may lead",
                                          "Reclaimed ",
                                          "Free cluster summary",
                                          "Auto-setting",
                                          "FATs differ",
                                          "Using first FAT",
                                          "Leaving filesystem unchanged",
                                          "Orphaned long file name part",
                                          "Auto-deleting",
                                          "Long filename fragment",
                                          "(Maybe the start bit",
                                          "Not auto-correcting",
                                          "File size is",
                                          "Truncating file to",
                                          "share clusters",
                                          "Truncating second to",
                                          "/"};
    bool shared = strstr(found, "share clusters") != NULL;

    for (char *line = strtok(found, "\n"); line; line = strtok(NULL, "\n")) {
        bool known = strstr(line, ".img: ") != NULL; /* so many files in so many clusters */
        line += strspn(line, " ");
        for (unsigned i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
            known |= strncmp(line, allowed[i], strlen(allowed[i])) == 0;
        /* A chain that is too short is only what fsck.vfat itself makes of the old name of a rename. */
        if (strstr(line, "chain length is") && !strstr(line, "is > ") && !shared)
            known = false;
        if (!known) {
            printf("# fsck.vfat says: %s\n", line);
            return false;
        }
    }
    return true;
}

bool image_mtools_reads(const struct image *image, const char *name, const uint8_t *bytes,
                        size_t count)
{
    char command[1024], out[80];
    size_t there;

    save(image);
    snprintf(command, sizeof(command), "LC_ALL=C.UTF-8 mcopy -n -i $image '::/%s' - >$image.out",
             name);
    int code = run(command);
    snprintf(out, sizeof(out), "%s.out", file_path());
    uint8_t *read = load(out, &there);
    bool same = code == 0 && there == count && memcmp(read, bytes, count) == 0;
    if (!same)
        printf("# mcopy of %s: exit code %d, %zu bytes for %zu\n", name, code, there, count);
    free(read);
    unlink(out);
    return same;
}
