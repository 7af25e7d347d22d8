/*
 * Random operations beside a plain model: paths with bytes. Each operation has the error and the effect that the model
 * says; from time to time the disk is mounted afresh, and fsck.vfat and mtools look at it.
 */
#include "image.h"

#define FILES 24u
#define DIRECTORIES 3u
#define BYTES_MAX 20000u
#define STEPS 400u
#define SEEDS 6u

struct model_file {
    bool there;
    size_t count;
    uint8_t bytes[BYTES_MAX];
};

static struct model_file files[FILES];
static bool made[DIRECTORIES]; /* the last one is the root */
static struct image image;
static uint64_t random_state;

static unsigned pick(unsigned below)
{
    return (unsigned)(random_next(&random_state) % below);
}

static unsigned directory_of(unsigned i)
{
    return i % DIRECTORIES;
}

/* Short names, long ones, in all directories. */
static void path_of(unsigned i, char *path)
{
    static const char *const forms[] = {"F%u.TXT", "file number %u",
                                        "a rather long name, for more than one entry, %u.text"};
    char name[64];

    snprintf(name, sizeof(name), forms[i / DIRECTORIES % 3], i);
    if (directory_of(i) == DIRECTORIES - 1)
        snprintf(path, 100, "%s", name);
    else
        snprintf(path, 100, "directory %u/%s", directory_of(i), name);
}

/* Write, or change the length, in one or more parts while it is open. */
static void change_file(unsigned i)
{
    static uint8_t bytes[BYTES_MAX];
    struct model_file *model = &files[i];
    struct fat_file *file;
    char path[100];

    path_of(i, path);
    enum file_error error = fat_open(&image.fat, path, true, &file);
    if (!made[directory_of(i)]) {
        CHECK_EQ(error, FILE_NOT_FOUND);
        return;
    }
    CHECK_EQ(error, FILE_OK);
    if (error != FILE_OK)
        return;
    if (!model->there)
        model->count = 0;
    model->there = true;
    for (unsigned turns = 1 + pick(4); turns; turns--) {
        size_t at = pick(pick(2) ? BYTES_MAX : 1500), count = pick(BYTES_MAX - (unsigned)at + 1);
        for (size_t k = 0; k < count; k++)
            bytes[k] = (uint8_t)random_next(&random_state);
        if (pick(3) == 0) {
            CHECK_EQ(fat_resize(&image.fat, file, at), FILE_OK);
            if (at > model->count)
                memset(model->bytes + model->count, 0, at - model->count);
            model->count = at;
        } else if (count) {
            CHECK_EQ(fat_write(&image.fat, file, at, bytes, count), FILE_OK);
            if (at > model->count)
                memset(model->bytes + model->count, 0, at - model->count);
            memcpy(model->bytes + at, bytes, count);
            model->count = at + count > model->count ? at + count : model->count;
        }
    }
    CHECK_EQ(fat_close(&image.fat, file), FILE_OK);
}

static void remove_file(unsigned i)
{
    char path[100];

    path_of(i, path);
    CHECK_EQ(fat_remove(&image.fat, path), files[i].there ? FILE_OK : FILE_NOT_FOUND);
    files[i].there = false;
}

static void rename_file(unsigned from, unsigned to)
{
    char a[100], b[100];

    path_of(from, a);
    path_of(to, b);
    bool can = files[from].there && made[directory_of(to)];
    CHECK_EQ(fat_rename(&image.fat, a, b), can ? FILE_OK : FILE_NOT_FOUND);
    if (!can || from == to)
        return;
    files[to] = files[from];
    files[from].there = false;
}

static void change_directory(unsigned d)
{
    char path[32];
    bool empty = true;

    snprintf(path, sizeof(path), "directory %u", d);
    for (unsigned i = 0; i < FILES; i++)
        empty &= directory_of(i) != d || !files[i].there;
    if (!made[d]) {
        CHECK_EQ(fat_make_directory(&image.fat, path), FILE_OK);
        made[d] = true;
    } else if (pick(2)) {
        CHECK_EQ(fat_make_directory(&image.fat, path), FILE_EXISTS);
    } else {
        CHECK_EQ(fat_remove(&image.fat, path), empty ? FILE_OK : FILE_NOT_EMPTY);
        made[d] = !empty;
    }
}

static void compare(unsigned i)
{
    static uint8_t bytes[BYTES_MAX + 1];
    struct fat_file *file;
    char path[100];
    size_t count;

    path_of(i, path);
    enum file_error error = fat_open(&image.fat, path, false, &file);
    CHECK_EQ(error, files[i].there ? FILE_OK : FILE_NOT_FOUND);
    if (error != FILE_OK)
        return;
    CHECK_EQ(fat_read(&image.fat, file, 0, bytes, sizeof(bytes), &count), FILE_OK);
    CHECK_EQ(count, files[i].count);
    CHECK(count != files[i].count || memcmp(bytes, files[i].bytes, count) == 0);
    if (count > 600) {
        size_t at = pick((unsigned)count), part;
        CHECK_EQ(fat_read(&image.fat, file, at, bytes, 600, &part), FILE_OK);
        CHECK(part == (count - at < 600 ? count - at : 600) &&
              memcmp(bytes, files[i].bytes + at, part) == 0);
    }
    CHECK_EQ(fat_close(&image.fat, file), FILE_OK);
}

/* Directories list what is in them, no more and no less. */
static void compare_lists(void)
{
    for (unsigned d = 0; d < DIRECTORIES; d++) {
        struct fat_info info;
        char path[32] = "", name[100];
        uint32_t position = 0;
        unsigned listed = 0, wanted = 0;
        if (d < DIRECTORIES - 1)
            snprintf(path, sizeof(path), "directory %u", d);
        if (!made[d])
            continue;
        while (fat_list(&image.fat, path, &position, &info) == FILE_OK) {
            bool known = info.directory && path[0] == 0;
            for (unsigned i = 0; i < FILES && !known; i++) {
                path_of(i, name);
                const char *own = strchr(name, '/');
                known = directory_of(i) == d && files[i].there && info.bytes == files[i].count &&
                        strcmp(info.name, own ? own + 1 : name) == 0;
            }
            CHECK(known);
            listed += !info.directory;
        }
        for (unsigned i = 0; i < FILES; i++)
            wanted += directory_of(i) == d && files[i].there;
        CHECK_EQ(listed, wanted);
    }
}

static void look_from_outside(unsigned i)
{
    char path[100];

    CHECK_EQ(fat_unmount(&image.fat), FILE_OK);
    CHECK(image_is_clean(&image));
    path_of(i, path);
    if (files[i].there && image.fat.clusters >= 65525)
        CHECK(image_mtools_reads(&image, path, files[i].bytes, files[i].count));
    CHECK_EQ(image_mount(&image), FILE_OK);
}

static void run(uint64_t seed, unsigned kib, unsigned cluster_sectors)
{
    random_state = seed;
    memset(files, 0, sizeof(files));
    memset(made, 0, sizeof(made));
    made[DIRECTORIES - 1] = true;
    bool begun = image_make(&image, kib, cluster_sectors) && image_mount(&image) == FILE_OK;
    CHECK(begun);
    for (unsigned step = 0; begun && step < STEPS && !tap_failures; step++) {
        unsigned i = pick(FILES);
        switch (pick(8)) {
        case 0:
            remove_file(i);
            break;
        case 1:
            rename_file(i, pick(FILES));
            break;
        case 2:
            change_directory(pick(DIRECTORIES - 1));
            break;
        case 3:
            CHECK_EQ(fat_sync(&image.fat), FILE_OK);
            break;
        default:
            change_file(i);
        }
        compare(i);
        const char *broken = fat_check(&image.fat);
        if (broken)
            printf("# %s\n", broken);
        CHECK(!broken);
        if (step % 50 == 49) {
            compare_lists();
            for (unsigned k = 0; k < FILES; k++)
                compare(k);
            look_from_outside(i);
        }
    }
    if (tap_failures)
        printf("# seed %llu\n", (unsigned long long)seed);
    image_free(&image);
}

static void small_clusters(void)
{
    for (unsigned seed = 1; seed <= SEEDS; seed++)
        run(seed, 1500, 1);
}

static void large_clusters(void)
{
    for (unsigned seed = 1; seed <= SEEDS; seed++)
        run(100 + seed, 3000, 16);
}

static void with_mtools(void)
{
    run(200, 34000, 1);
}

static const struct test tests[] = {
    {"operations on clusters of a sector", small_clusters},
    {"operations on clusters of 16 sectors", large_clusters},
    {"operations on a disk that mtools reads", with_mtools},
};
TEST_MAIN(tests)
