/*
 * Power cuts: random operations with a sync here and there, on a disk that keeps a log of sectors and flushes. For every
 * prefix of the log, the disk as it may be after a cut there: all that was flushed, and of the sectors behind the last
 * flush all, the last one, or any of them. Each is mounted.
 *
 *     log   ... w w F w w w | w w F w w ...
 *               flushed -^   ^- the cut: any of these three, each sector old or new
 *
 * A cut lies between the last sync that had ended and the operation under way; the states of the model from the one to the
 * other are what may be there (FAT-SYNCED):
 *   - a path that every state has is there; one that no state has is not
 *   - a file is one that a state has at that path: of a length that it had, and each byte is one that it had there
 *   - a file that every state has, under whatever name, is there under one of them
 * Before it is mounted fsck.vfat complains of what FAT-CUT names and nothing else; afterwards of nothing.
 */
#include "image.h"

#define PATHS 10u
#define BYTES_MAX 2600u
#define OPERATIONS 90u
#define SUBSETS 4u
#define LOOKS_FROM_OUTSIDE 50u /* one in so many disks */

/* A directory has no bytes. */
struct content {
    unsigned id; /* of the file, whatever it is called; 0: none */
    bool directory;
    size_t count;
    uint8_t bytes[BYTES_MAX];
};

struct state {
    struct content at[PATHS];
    size_t log_end; /* steps of the log when it was reached */
    bool synced;    /* by the operation that ended in it */
};

/* Some long enough that their entries lie in two sectors. */
#define LONG                                                                                       \
    "a name that is so long that the parts of it do not fit into what is left of a sector, "       \
    "whatever else stands there, "
static const char *const paths[PATHS] = {
    "A",    "file b", LONG LONG "1", LONG "2",    "in/file c", "in/" LONG LONG "3",
    "in/D", "E.TXT",  "folder one",  "folder two"};
#define FIRST_FOLDER 8u

static struct state states[OPERATIONS + 2];
static unsigned state_count;
static struct image image;
static uint64_t random_state;
static unsigned next_id, cuts;

static unsigned pick(unsigned below)
{
    return (unsigned)(random_next(&random_state) % below);
}

/* ---- the operations ---- */

static void change_file(struct content *content, const char *path, bool sync)
{
    static uint8_t bytes[BYTES_MAX];
    struct fat_file *file;

    if (fat_open(&image.fat, path, true, &file) != FILE_OK) {
        CHECK(false);
        return;
    }
    if (!content->id)
        *content = (struct content){.id = ++next_id};
    size_t at = pick(BYTES_MAX), count = 1 + pick(BYTES_MAX - (unsigned)at);
    if (pick(4) == 0) {
        CHECK_EQ(fat_resize(&image.fat, file, at), FILE_OK);
        if (at > content->count)
            memset(content->bytes + content->count, 0, at - content->count);
        content->count = at;
    } else {
        for (size_t k = 0; k < count; k++)
            bytes[k] = (uint8_t)random_next(&random_state);
        CHECK_EQ(fat_write(&image.fat, file, at, bytes, count), FILE_OK);
        if (at > content->count)
            memset(content->bytes + content->count, 0, at - content->count);
        memcpy(content->bytes + at, bytes, count);
        content->count = at + count > content->count ? at + count : content->count;
    }
    if (sync)
        CHECK_EQ(fat_sync(&image.fat), FILE_OK);
    CHECK_EQ(fat_close(&image.fat, file), FILE_OK);
}

static void change_folder(struct content *content, const char *path)
{
    if (content->id) {
        CHECK_EQ(fat_remove(&image.fat, path), FILE_OK);
        content->id = 0;
    } else {
        CHECK_EQ(fat_make_directory(&image.fat, path), FILE_OK);
        *content = (struct content){.id = ++next_id, .directory = true};
    }
}

static void rename_any(struct state *state, unsigned from, unsigned to)
{
    if (!state->at[from].id || from == to || (from >= FIRST_FOLDER && state->at[to].id))
        return;
    CHECK_EQ(fat_rename(&image.fat, paths[from], paths[to]), FILE_OK);
    state->at[to] = state->at[from];
    state->at[from].id = 0;
}

/* The next state of the model and of the disk. */
static void operate(void)
{
    struct state *state = &states[state_count];
    unsigned i = pick(FIRST_FOLDER), folder = FIRST_FOLDER + pick(2);

    *state = states[state_count - 1];
    state->synced = false;
    switch (pick(11)) {
    case 0:
        change_folder(&state->at[folder], paths[folder]);
        break;
    case 9:
        rename_any(state, folder, 2 * FIRST_FOLDER + 1 - folder);
        break;
    case 1:
    case 2:
    case 3:
        rename_any(state, i, pick(FIRST_FOLDER));
        break;
    case 4:
        if (state->at[i].id)
            CHECK_EQ(fat_remove(&image.fat, paths[i]), FILE_OK);
        state->at[i].id = 0;
        break;
    case 5:
        CHECK_EQ(fat_sync(&image.fat), FILE_OK);
        state->synced = true;
        break;
    default:
        state->synced = pick(8) == 0;
        change_file(&state->at[i], paths[i], state->synced);
    }
    state->log_end = image.steps;
    state_count++;
}

/* ---- what may be there ---- */

/* Could a file be what is there? `from` to `to`: the states. */
static bool is_like(unsigned id, bool directory, const uint8_t *bytes, size_t count, unsigned from,
                    unsigned to)
{
    static bool known[BYTES_MAX];
    bool length = count == 0; /* of one that is new since the last sync, it was just made */

    for (unsigned p = 0; p < PATHS; p++)
        length &= states[from].at[p].id != id;

    memset(known, 0, sizeof(known));
    for (unsigned s = from; s <= to; s++)
        for (unsigned p = 0; p < PATHS; p++) {
            const struct content *had = &states[s].at[p];
            if (had->id != id || had->directory != directory)
                continue;
            length |= had->count == count;
            for (size_t i = 0; i < count && i < had->count; i++)
                known[i] |= had->bytes[i] == bytes[i];
        }
    for (size_t i = 0; i < count && length; i++)
        length = known[i];
    return length;
}

/* What is at a path on the disk. False: nothing. */
static bool look(struct image *cut, unsigned p, bool *directory, uint8_t *bytes, size_t *count)
{
    struct fat_info info;
    struct fat_file *file;

    if (fat_look(&cut->fat, paths[p], &info) != FILE_OK)
        return false;
    *directory = info.directory;
    *count = 0;
    if (info.directory)
        return true;
    CHECK(info.bytes <= BYTES_MAX);
    CHECK_EQ(fat_open(&cut->fat, paths[p], false, &file), FILE_OK);
    CHECK_EQ(fat_read(&cut->fat, file, 0, bytes, BYTES_MAX, count), FILE_OK);
    CHECK_EQ(fat_close(&cut->fat, file), FILE_OK);
    return *count == info.bytes;
}

/* A directory lists those names and no others. */
static bool lists(struct image *cut, const char *directory)
{
    size_t prefix = strlen(directory) + (*directory != 0);
    struct fat_info info;
    uint32_t position = 0;

    while (fat_list(&cut->fat, directory, &position, &info) == FILE_OK) {
        bool known = *directory == 0 && strcmp(info.name, "in") == 0;
        for (unsigned p = 0; p < PATHS; p++)
            known |= strncmp(paths[p], directory, prefix - (prefix != 0)) == 0 &&
                     strcmp(paths[p] + prefix, info.name) == 0;
        if (!known) {
            printf("# %s is there, which was never made\n", info.name);
            return false;
        }
    }
    return true;
}

static bool is_right(struct image *cut, unsigned from, unsigned to)
{
    static uint8_t bytes[BYTES_MAX];
    bool directory = false, present[PATHS], found[OPERATIONS * 2 + 2] = {0};
    size_t count = 0;

    for (unsigned p = 0; p < PATHS; p++) {
        bool always = true, like = false;
        present[p] = look(cut, p, &directory, bytes, &count);
        for (unsigned s = from; s <= to; s++) {
            unsigned id = states[s].at[p].id;
            always &= id != 0;
            if (present[p] && id && is_like(id, directory, bytes, count, from, to))
                like = found[id] = true;
        }
        if ((always && !present[p]) || (present[p] && !like)) {
            printf("# %.20s is %s\n", paths[p], present[p] ? "not what it was" : "not there");
            return false;
        }
    }
    for (unsigned p = 0; p < PATHS; p++) {
        unsigned id = states[from].at[p].id, in = 0;
        for (unsigned s = from; s <= to && id; s++)
            for (unsigned q = 0; q < PATHS; q++)
                in += states[s].at[q].id == id;
        if (id && in == to - from + 1 && !found[id]) {
            printf("# %.20s is lost, under all its names\n", paths[p]);
            return false;
        }
    }
    return lists(cut, "") && lists(cut, "in");
}

/* ---- cuts ---- */

/* What of the steps [flush, end) of a log is on the disk. */
static void apply(uint8_t *bytes, const struct image *logged, size_t flush, size_t end,
                  unsigned subset)
{
    for (size_t i = flush; i < end; i++) {
        bool kept = subset == 0 || (subset == 1 ? i + 1 == end : pick(2));
        if (kept && logged->log[i].sector != IMAGE_FLUSH)
            memcpy(bytes + logged->log[i].sector * FAT_SECTOR, logged->log[i].data, FAT_SECTOR);
    }
}

/* A cut while the last one is put right. */
static void try_cut_again(const uint8_t *bytes, const struct image *logged, unsigned from,
                          unsigned to)
{
    size_t end = logged->steps ? pick((unsigned)logged->steps) + 1 : 0, flush = end;
    struct image cut;

    while (flush && logged->log[flush - 1].sector != IMAGE_FLUSH)
        flush--;
    image_from(&cut, bytes, logged->sectors);
    apply(cut.bytes, logged, 0, flush, 0);
    apply(cut.bytes, logged, flush, end, 2);
    CHECK_EQ(image_mount(&cut), FILE_OK);
    CHECK(!fat_check(&cut.fat) && is_right(&cut, from, to));
    CHECK_EQ(fat_unmount(&cut.fat), FILE_OK);
    image_free(&cut);
}

static void try_cut(const uint8_t *bytes, unsigned from, unsigned to)
{
    static char found[FOUND_BYTES];
    struct image cut;
    bool outside = ++cuts % LOOKS_FROM_OUTSIDE == 0;

    image_from(&cut, bytes, image.sectors);
    if (outside) {
        (void)image_fsck(&cut, found);
        CHECK(image_is_cut(found));
    }
    cut.room = 64;
    cut.log = malloc(cut.room * sizeof(*cut.log));
    enum file_error error = image_mount(&cut);
    CHECK_EQ(error, FILE_OK);
    try_cut_again(bytes, &cut, from, to);
    if (error == FILE_OK) {
        CHECK(!fat_check(&cut.fat));
        CHECK(is_right(&cut, from, to));
        CHECK_EQ(fat_unmount(&cut.fat), FILE_OK);
        if (outside)
            CHECK(image_is_clean(&cut));
        /* Nothing was left to be put right. */
        uint32_t free_clusters = cut.fat.free;
        cut.bytes[0x41] |= 1;
        CHECK_EQ(image_mount(&cut), FILE_OK);
        CHECK_EQ(cut.fat.free, free_clusters);
    }
    image_free(&cut);
}

/* The log from its beginning; the disk of each prefix, `flushed` with some of what came after. */
static void cut_everywhere(uint8_t *flushed)
{
    uint8_t *bytes = malloc(image.sectors * FAT_SECTOR);
    unsigned from = 0, to = 0;
    size_t flush = 0;

    for (size_t end = 1; bytes && end <= image.steps && !tap_failures; end++) {
        while (states[to].log_end < end && to + 1 < state_count)
            to++;
        for (unsigned s = from; s < to; s++)
            if (states[s].synced && states[s].log_end < end)
                from = s;
        for (unsigned subset = 0; subset < SUBSETS; subset++) {
            memcpy(bytes, flushed, image.sectors * FAT_SECTOR);
            apply(bytes, &image, flush, end, subset);
            try_cut(bytes, from, to);
            if (end - flush < 2)
                break;
        }
        if (image.log[end - 1].sector != IMAGE_FLUSH)
            continue;
        apply(flushed, &image, flush, end, 0);
        flush = end;
    }
    free(bytes);
}

/* What others have left in clusters that are free. */
static void fill_with_junk(void)
{
    for (uint32_t i = 2; i < image.fat.clusters + 2; i++) {
        size_t bytes = image.fat.cluster_sectors * FAT_SECTOR;
        uint8_t *at = image.bytes + image.fat.data * FAT_SECTOR + (i - 2) * bytes;
        for (size_t k = 0; k < bytes && !(image.fat.map[i / 64] >> i % 64 & 1); k++)
            at[k] = (uint8_t)random_next(&random_state);
    }
}

static void run(uint64_t seed, unsigned cluster_sectors, unsigned operations)
{
    random_state = seed;
    memset(&states[0], 0, sizeof(states[0]));
    states[0].synced = true;
    state_count = 1;
    next_id = 0;
    bool begun = image_make(&image, 150 * cluster_sectors, cluster_sectors) &&
                 image_mount(&image) == FILE_OK &&
                 fat_make_directory(&image.fat, "in") == FILE_OK &&
                 fat_unmount(&image.fat) == FILE_OK && image_mount(&image) == FILE_OK;
    CHECK(begun);
    if (!begun)
        return;
    fill_with_junk();
    uint8_t *flushed = malloc(image.sectors * FAT_SECTOR);
    memcpy(flushed, image.bytes, image.sectors * FAT_SECTOR);
    image.room = 64;
    image.log = malloc(image.room * sizeof(*image.log));
    while (state_count <= operations && !tap_failures)
        operate();
    states[state_count] = states[state_count - 1];
    CHECK_EQ(fat_unmount(&image.fat), FILE_OK);
    states[state_count].log_end = image.steps;
    states[state_count++].synced = true;
    cut_everywhere(flushed);
    if (tap_failures)
        printf("# seed %llu\n", (unsigned long long)seed);
    free(flushed);
    image_free(&image);
}

static void cuts_with_small_clusters(void)
{
    for (unsigned seed = 1; seed <= 2 && !tap_failures; seed++)
        run(seed, 1, OPERATIONS);
}

static void cuts_with_large_clusters(void)
{
    for (unsigned seed = 11; seed <= 12 && !tap_failures; seed++)
        run(seed, 4, OPERATIONS);
    CHECK(cuts > 1000);
    printf("# %u disks after a cut, each mounted\n", cuts);
}

/* The first changes after a mount, and the end. */
static void cuts_of_short_lives(void)
{
    for (unsigned seed = 20; seed < 50 && !tap_failures; seed++)
        run(seed, 1, 1 + seed % 3);
}

static const struct test tests[] = {
    {"cuts of a mount with a few operations", cuts_of_short_lives},
    {"cuts at every write, clusters of a sector", cuts_with_small_clusters},
    {"cuts at every write, clusters of 4 sectors", cuts_with_large_clusters},
};
TEST_MAIN(tests)
