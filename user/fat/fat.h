/*
 * FAT32, read and written, so that a power cut at any moment loses nothing that was synced.
 *
 *     | boot | information | ... | table | its copy | cluster 2 | cluster 3 | ...
 *                                    |
 *                                    +-- one number a cluster: free, the next of its chain, or the end
 *
 *     directory:  | long name | long name | short entry: first cluster, size | ...
 *
 * A disk keeps what it was given before a flush; of what came after, any sectors may be there after a cut, and others
 * not (each is whole). So what is written between two flushes must not depend on each other, and each change goes in
 * this order, with a flush (a *barrier*) at each arrow:
 *
 *     longer      data, table of the new clusters -> link behind the old end -> size in the entry
 *     shorter     size in the entry -> end mark in the table -> the rest is free
 *     created     cluster of a directory -> long name -> short entry
 *     removed     short entry -> long name; clusters are free
 *     renamed     mark in the old entry -> new entry -> old entry goes -> clusters of one that was replaced are free
 *
 * Invariants
 *   FAT-SYNCED    what had been synced is there after a cut, every byte, until it is changed itself; a file that is
 *                 replaced by rename is the old one or the new one, one that is removed is whole or gone
 *   FAT-REACHED   no entry names a cluster whose table entry is not on the disk; no chain is shorter than its size
 *   FAT-CUT       a disk after a cut has, beyond that: the dirty bit; clusters that no file has, chains longer than
 *                 their size, copies of the table that differ, parts of long names without an entry, and two names of
 *                 a file in the middle of its rename. fat_mount puts all of that right, then fsck.vfat finds nothing
 *   FAT-FREE      the map of free clusters says what the table says
 *
 * Names are UTF-8 outside, at most 255 units of UTF-16 on the disk; upper and lower case of ASCII are the same. A path
 * has '/' between its names, and neither "." nor "..". Bytes above 127 of names without a long form read as Latin-1.
 * There is no clock: new entries have the date `now` of struct fat.
 *
 * Locking: none, one thread. Cost: a walk along a chain is one look at the table a cluster, from where the last one
 * ended; sync is at most three flushes. Failure: an error, and nothing has changed on the disk but what a cut could
 * leave; after an error of the disk nothing is written any more (READ_ONLY) until it is mounted again.
 * References: Microsoft, FAT32 File System Specification 1.03 (2000). docs/adr/0030-files.md.
 */
#ifndef FAT_FAT_H
#define FAT_FAT_H

#include "file_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAT_SECTOR 512u
#define FAT_NAME_BYTES 766u /* of UTF-8, with the 0 */
#define FAT_FILES 32u       /* open at a time */
#define FAT_DEPTH 64u       /* names in a path */
#define FAT_CACHED 64u      /* sectors of tables and directories in memory */
#define FAT_FILE_MAX 0xffffffffu

#define FAT_MUST_USE __attribute__((warn_unused_result))

/* The disk, by whoever has it. Calls return false if the device failed. */
struct fat_disk {
    bool (*read)(void *context, uint64_t sector, uint32_t count, void *to);
    bool (*write)(void *context, uint64_t sector, uint32_t count, const void *from);
    bool (*flush)(void *context);
    void *context;
    uint64_t sectors;
    bool read_only;
};

/* A file that is open. Only its users may be counted by others. */
struct fat_file {
    unsigned users;                      /* 0: not in use */
    uint32_t entry_sector, entry_offset; /* of its short entry */
    uint32_t first, bytes;               /* cluster, 0: none */
    uint32_t disk_first, disk_bytes;     /* as the entry on the disk says */
    uint32_t link_from, link_to;         /* not on the disk yet: new clusters behind the old end */
    uint32_t at_index, at_cluster;       /* where a walk ended */
};

struct fat_cached {
    uint32_t sector;
    bool used, dirty;
    uint64_t touched;
    uint8_t data[FAT_SECTOR];
};

struct fat {
    const struct fat_disk *disk;
    uint32_t table, table_sectors, tables, data; /* sectors */
    uint32_t cluster_sectors, clusters, root, info;
    uint32_t free, next; /* clusters: free ones, where to look */
    uint64_t *map;       /* a bit a cluster: in use */
    uint32_t now;        /* date << 16 | time of new entries */
    bool dirty;          /* the disk says that it is in use */
    enum file_error failed;
    uint64_t clock;
    struct fat_file files[FAT_FILES];
    struct fat_cached cache[FAT_CACHED];
};

/*
 * Mount. memory: a bit a cluster (fat_map_bytes), the caller's as long as the disk is mounted. What a power cut left is
 * put right first, unless the disk can only be read. Errors: CORRUPT, UNSUPPORTED (not FAT32, sectors of another size),
 * NO_MEMORY (`bytes` are too few), IO.
 */
enum file_error fat_mount(struct fat *fat, const struct fat_disk *disk, void *memory,
                          size_t bytes) FAT_MUST_USE;

/* Bytes that a disk of so many sectors needs at most. */
static inline size_t fat_map_bytes(uint64_t sectors)
{
    return (size_t)((sectors + 2 + 63) / 64 * 8);
}

/* Sync, and say on the disk that all is well. Nothing is open any more. */
enum file_error fat_unmount(struct fat *fat) FAT_MUST_USE;

/* All that was done before survives a power cut from now on. */
enum file_error fat_sync(struct fat *fat) FAT_MUST_USE;

/*
 * Open a file; create: make it if there is none. The same file is the same structure for all who open it. Errors:
 * NOT_FOUND, NOT_DIRECTORY, IS_DIRECTORY, BAD_NAME, TOO_MANY, FULL, READ_ONLY, CORRUPT, IO.
 */
enum file_error fat_open(struct fat *fat, const char *path, bool create,
                         struct fat_file **out) FAT_MUST_USE;
/* As often as it was opened; the last one syncs it. */
enum file_error fat_close(struct fat *fat, struct fat_file *file) FAT_MUST_USE;

/* *done: bytes read, fewer only where the file ends. */
enum file_error fat_read(struct fat *fat, struct fat_file *file, uint64_t offset, void *to,
                         size_t bytes, size_t *done) FAT_MUST_USE;
/* All of it; a gap behind the old end is zeroes. Errors: FULL and TOO_LARGE (nothing is written), READ_ONLY, ... */
enum file_error fat_write(struct fat *fat, struct fat_file *file, uint64_t offset, const void *from,
                          size_t bytes) FAT_MUST_USE;
/* Shorter, or longer by zeroes. */
enum file_error fat_resize(struct fat *fat, struct fat_file *file, uint64_t bytes) FAT_MUST_USE;

enum file_error fat_make_directory(struct fat *fat, const char *path) FAT_MUST_USE;
/* A file that nobody has open, or an empty directory. */
enum file_error fat_remove(struct fat *fat, const char *path) FAT_MUST_USE;
/*
 * A file that is there under the new name already is replaced, unless it is open (BUSY). Directories keep their parent
 * (UNSUPPORTED) and replace nothing (EXISTS).
 */
enum file_error fat_rename(struct fat *fat, const char *from, const char *to) FAT_MUST_USE;

struct fat_info {
    char name[FAT_NAME_BYTES];
    uint32_t bytes;
    bool directory;
};

/* What a path names; its name is as the disk has it. */
enum file_error fat_look(struct fat *fat, const char *path, struct fat_info *out) FAT_MUST_USE;
/* The next of a directory; *position 0 at first. NOT_FOUND: there are no more. */
enum file_error fat_list(struct fat *fat, const char *path, uint32_t *position,
                         struct fat_info *out) FAT_MUST_USE;

static inline uint64_t fat_free_bytes(const struct fat *fat)
{
    return (uint64_t)fat->free * fat->cluster_sectors * FAT_SECTOR;
}

/* Null, or the id of the first invariant that does not hold in memory. O(clusters). */
const char *fat_check(struct fat *fat) FAT_MUST_USE;

#endif
