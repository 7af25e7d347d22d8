/*
 * Power cuts of a machine: QEMU has kept a log of what Quarry wrote to a disk and when it flushed (driver blklogwrites,
 * in the format of Linux' dm-log-writes), while the program `cutting` went on round by round. The disk as it may be
 * after a cut at any entry of the log: all that was flushed, and of what came behind the last flush all, the last one, or
 * any sectors. Each is mounted, and must hold what the witness of the rounds says at that moment (user/files/rounds.h).
 *
 *     cut_log BASE LOG                       every cut, SUBSETS disks each
 *     cut_log IMAGE                          one disk, of a machine that was killed
 *     cut_log BASE LOG ENTRY SEED IMAGE      makes that disk, for whoever wants to boot on it
 *     cut_log BASE until ROUNDS              makes a disk one for rounds: writes its first witness
 *
 * Of some of the disks more is asked: fsck.vfat finds what FAT-CUT names and nothing else, and nothing at all after
 * the mount; and if it is not us but fsck.vfat -a that repairs them, what was synced is there, too.
 */
#include "image.h"

#include <rounds.h>

#define SUBSETS 3u
#define FAT32_CLUSTERS 65525u  /* fewer are another FAT for some */
#define LOOKS_FROM_OUTSIDE 41u /* one in so many disks */
#define LOG_MAGIC 0x6a736677736872ull

enum { LOG_FLUSH = 1, LOG_FUA = 2, LOG_DISCARD = 4, LOG_MARK = 8 };

struct entry {
    uint64_t sector, sectors, flags;
    const uint8_t *data;
};

static struct {
    uint8_t *base;
    uint64_t sectors;
    struct entry *entries;
    size_t count;
    uint64_t random;
} cuts;

static uint8_t *load(const char *name, size_t *bytes)
{
    FILE *file = fopen(name, "rb");
    long size = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    uint8_t *all = size >= 0 ? malloc((size_t)size + 1) : NULL;

    *bytes = (size_t)size;
    if (!all || (rewind(file), fread(all, 1, *bytes, file) != *bytes)) {
        printf("FAIL: %s cannot be read\n", name);
        exit(2);
    }
    fclose(file);
    return all;
}

static void save(const char *name, const uint8_t *bytes, size_t count)
{
    FILE *file = fopen(name, "wb");

    if (!file || fwrite(bytes, 1, count, file) != count || fclose(file) != 0) {
        printf("FAIL: %s cannot be written\n", name);
        exit(2);
    }
}

static uint64_t number_at(const uint8_t *at)
{
    uint64_t number = 0;

    for (unsigned i = 8; i-- > 0;)
        number = number << 8 | at[i];
    return number;
}

/* QEMU has no trim here, so an entry is a write or a flush. Entries stand behind each other, to the end of the file. */
static void read_log(const char *name)
{
    size_t bytes;
    const uint8_t *log = load(name, &bytes);

    if (bytes < FAT_SECTOR || number_at(log) != LOG_MAGIC || log[24] != 0 || log[25] != 2) {
        printf("FAIL: %s is no log of writes with sectors of 512 bytes\n", name);
        exit(2);
    }
    cuts.entries = calloc(bytes / FAT_SECTOR, sizeof(*cuts.entries));
    for (size_t at = FAT_SECTOR; cuts.entries && at + FAT_SECTOR <= bytes;) {
        struct entry entry = {number_at(log + at), number_at(log + at + 8),
                              number_at(log + at + 16), log + at + FAT_SECTOR};
        at += FAT_SECTOR;
        if (entry.flags & LOG_MARK)
            continue;
        if (!(entry.flags & (LOG_FLUSH | LOG_FUA)) && entry.sectors == 0)
            break; /* behind the last */
        if (entry.flags & LOG_DISCARD || entry.sectors > (bytes - at) / FAT_SECTOR ||
            entry.sector > cuts.sectors || entry.sectors > cuts.sectors - entry.sector) {
            printf("FAIL: %s: an entry that is no write to the disk\n", name);
            exit(2);
        }
        at += entry.sectors * FAT_SECTOR;
        cuts.entries[cuts.count++] = entry;
    }
}

/* Rounds that the last witness of the first `end` entries says were synced, whether it is on the disk or not. */
static struct rounds_witness witness_at(size_t end)
{
    struct rounds_witness witness;

    memcpy(&witness, cuts.base + (size_t)ROUNDS_SECTOR * FAT_SECTOR, sizeof(witness));
    for (size_t i = 0; i < end; i++)
        if (cuts.entries[i].sectors == 1 && cuts.entries[i].sector == ROUNDS_SECTOR)
            memcpy(&witness, cuts.entries[i].data, sizeof(witness));
    return witness;
}

static size_t flushed_before(size_t end)
{
    while (end && !(cuts.entries[end - 1].flags & LOG_FLUSH))
        end--;
    return end;
}

/* Sectors of the entries [from, to) of the log. subset 0: all, 1: of the last entry only, 2: any. */
static void apply(uint8_t *bytes, size_t from, size_t to, unsigned subset)
{
    for (size_t i = from; i < to; i++)
        for (uint64_t k = 0; k < cuts.entries[i].sectors; k++)
            if (subset == 0 || (subset == 1 ? i + 1 == to : random_below(&cuts.random, 2)))
                memcpy(bytes + (cuts.entries[i].sector + k) * FAT_SECTOR,
                       cuts.entries[i].data + k * FAT_SECTOR, FAT_SECTOR);
}

static enum file_error read_file(void *context, const char *path, uint64_t offset, void *to,
                                 size_t bytes, size_t *done)
{
    struct image *image = context;
    struct fat_file *file;
    enum file_error error = fat_open(&image->fat, path, false, &file);

    *done = 0;
    if (error != FILE_OK)
        return error;
    error = fat_read(&image->fat, file, offset, to, bytes, done);
    enum file_error closed = fat_close(&image->fat, file);
    return error == FILE_OK ? closed : error;
}

static bool is_right(struct image *image, size_t end)
{
    const struct rounds_files files = {read_file, image};
    struct rounds_report report;

    rounds_check(&files, witness_at(end).synced, &report);
    if (!report.wrong[0] && !report.unreadable)
        return true;
    printf("# cut at entry %zu, after %llu rounds: %s\n", end,
           (unsigned long long)witness_at(end).synced,
           report.wrong[0] ? report.wrong : "something cannot be read");
    return false;
}

/* Repaired by others: in the middle of a rename they take the two names for a mistake, and may cut one of them short. */
static void try_repair(const uint8_t *bytes, size_t end)
{
    struct image image;

    if (rounds_kind(witness_at(end).synced + 1) == ROUNDS_REPLACE)
        return;
    image_from(&image, bytes, cuts.sectors);
    CHECK(image_run(&image, "fsck.vfat -a $image >/dev/null 2>&1") <= 1);
    CHECK_EQ(image_mount(&image), FILE_OK);
    CHECK(is_right(&image, end));
    image_free(&image);
}

/* mtools finds what we find, on a disk that is large enough to be a FAT32 for it. */
static bool is_read_by_others(struct image *image)
{
    static uint8_t bytes[1 << 16];
    size_t done;
    enum file_error error = read_file(image, ROUNDS_GROWN, 0, bytes, sizeof(bytes), &done);

    return error != FILE_OK || image->fat.clusters < FAT32_CLUSTERS ||
           image_mtools_reads(image, ROUNDS_GROWN, bytes, done);
}

static void try_cut(const uint8_t *bytes, size_t end, bool outside)
{
    static char found[FOUND_BYTES];
    struct image image;

    if (outside)
        try_repair(bytes, end);
    image_from(&image, bytes, cuts.sectors);
    if (outside) {
        (void)image_fsck(&image, found);
        CHECK(image_is_cut(found));
    }
    CHECK_EQ(image_mount(&image), FILE_OK);
    CHECK(!fat_check(&image.fat));
    CHECK(is_right(&image, end));
    CHECK_EQ(fat_unmount(&image.fat), FILE_OK);
    CHECK(!outside || (image_is_clean(&image) && is_read_by_others(&image)));
    image_free(&image);
}

static unsigned try_all(void)
{
    uint8_t *flushed = malloc(cuts.sectors * FAT_SECTOR);
    uint8_t *bytes = malloc(cuts.sectors * FAT_SECTOR);
    unsigned disks = 0;
    size_t flush = 0;

    if (!flushed || !bytes)
        exit(2);
    memcpy(flushed, cuts.base, cuts.sectors * FAT_SECTOR);
    for (size_t end = 1; end <= cuts.count && !tap_failures; end++) {
        for (unsigned subset = 0; subset < SUBSETS; subset++) {
            memcpy(bytes, flushed, cuts.sectors * FAT_SECTOR);
            apply(bytes, flush, end, subset);
            try_cut(bytes, end, disks++ % LOOKS_FROM_OUTSIDE == 0);
        }
        if (!(cuts.entries[end - 1].flags & LOG_FLUSH))
            continue;
        apply(flushed, flush, end, 0);
        flush = end;
    }
    free(flushed);
    free(bytes);
    return disks;
}

/* Any of what was not flushed, and the witness. */
static void make(size_t end, const char *name)
{
    const struct rounds_witness witness = witness_at(end);
    size_t flush = flushed_before(end);

    apply(cuts.base, 0, flush, 0);
    apply(cuts.base, flush, end, 2);
    memcpy(cuts.base + (size_t)ROUNDS_SECTOR * FAT_SECTOR, &witness, sizeof(witness));
    save(name, cuts.base, cuts.sectors * FAT_SECTOR);
    printf("%llu rounds of %zu entries\n", (unsigned long long)witness.synced, end);
}

int main(int argc, char *argv[])
{
    size_t bytes;

    if (argc < 2 || argc == 5 || argc > 6) {
        printf("usage: cut_log BASE LOG [ENTRY SEED IMAGE]; cut_log IMAGE; cut_log BASE until "
               "ROUNDS\n");
        return 2;
    }
    cuts.base = load(argv[1], &bytes);
    cuts.sectors = bytes / FAT_SECTOR;
    if (cuts.sectors <= ROUNDS_SECTOR)
        return 2;
    if (argc == 4) {
        struct rounds_witness witness = {ROUNDS_MAGIC, 0, strtoull(argv[3], NULL, 10)};
        memcpy(cuts.base + (size_t)ROUNDS_SECTOR * FAT_SECTOR, &witness, sizeof(witness));
        save(argv[1], cuts.base, cuts.sectors * FAT_SECTOR);
        return 0;
    }
    if (argc == 2) {
        try_cut(cuts.base, 0, true);
        printf("%s: %llu rounds\n", tap_failures ? "FAIL" : "ok",
               (unsigned long long)witness_at(0).synced);
        return tap_failures != 0;
    }
    read_log(argv[2]);
    if (argc == 6) {
        cuts.random = strtoull(argv[4], NULL, 10);
        make(strtoull(argv[3], NULL, 10) % (cuts.count + 1), argv[5]);
        return 0;
    }
    unsigned disks = try_all();
    printf("%s: %u disks after a cut at %zu entries of the log, %llu rounds\n",
           tap_failures ? "FAIL" : "ok", disks, cuts.count,
           (unsigned long long)witness_at(cuts.count).synced);
    return tap_failures || witness_at(cuts.count).synced == 0;
}
