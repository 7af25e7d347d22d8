/*
 * Disks in memory for tests of the file system: made by mkfs.vfat, looked at by fsck.vfat and mtools, which are other
 * people's idea of what FAT is. A disk can keep a log of what is written to it, for power cuts.
 */
#ifndef TESTS_FAT_IMAGE_H
#define TESTS_FAT_IMAGE_H

#include <fat.h>
#include <lib/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#define FOUND_BYTES 65536u

/* One sector that was written, or a flush. */
struct image_step {
    uint64_t sector; /* IMAGE_FLUSH: a flush */
    uint8_t data[FAT_SECTOR];
};
#define IMAGE_FLUSH UINT64_MAX

struct image {
    uint8_t *bytes;
    uint64_t sectors;
    struct image_step *log; /* null: none is kept */
    size_t steps, room;
    uint64_t calls;      /* of the disk's functions */
    uint64_t fails_from; /* that call and all behind it fail; 0: none do */
    struct fat_disk disk;
    void *map;
    struct fat fat;
};

/* An empty file system: KiB, sectors a cluster. False: there is no mkfs.vfat. */
bool image_make(struct image *image, unsigned kib, unsigned cluster_sectors) FAT_MUST_USE;
/* A disk of those bytes, which are copied. */
void image_from(struct image *image, const uint8_t *bytes, uint64_t sectors);
void image_free(struct image *image);
enum file_error image_mount(struct image *image) FAT_MUST_USE;

/* What fsck.vfat -n says, and its exit code. */
int image_fsck(const struct image *image, char found[FOUND_BYTES]);
/* What fsck.vfat said is what a power cut may leave (FAT-CUT) and no more; says what, if it is not. Changes the text. */
bool image_is_cut(char *found);
/* Unmounted, fsck.vfat finds nothing. Says what, if it does. */
bool image_is_clean(const struct image *image);
/* What mtools reads of a file is exactly that. The path is as for the library. */
bool image_mtools_reads(const struct image *image, const char *path, const uint8_t *bytes,
                        size_t count);
/* Run a command on the image's file, which "$image" names; what it leaves there is the image. Its exit code. */
int image_run(struct image *image, const char *command);

#endif
