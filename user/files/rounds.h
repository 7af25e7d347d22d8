/*
 * What a program writes to a disk round by round, so that whoever finds the disk after a power cut can say what must be
 * on it. The same code tells it in Quarry and on the host (tests/fat/cut_log.c).
 *
 *     round 4g      a file is made, under a long name; the one of 16 rounds ago is removed
 *     round 4g + 1  a record is appended to "grown"
 *     round 4g + 2  a third of the pages of "mapped" is written, through a map that is shared
 *     round 4g + 3  "new" is written, synced, and renamed to "replaced"
 *
 * After the sync that ends a round the program writes the round's number to a sector that no file has, the *witness*:
 * what it says was synced when the power was cut. Rounds up to that must be there, byte for byte; the next one may be
 * there, or not, or in part, as the file system promises it (fat.h).
 */
#ifndef FILES_ROUNDS_H
#define FILES_ROUNDS_H

#include "../fat/file_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROUNDS_FOLDER "rounds"
#define ROUNDS_GROWN "rounds/grown"
#define ROUNDS_MAPPED "rounds/mapped"
#define ROUNDS_NEW "rounds/new"
#define ROUNDS_REPLACED "rounds/replaced"

#define ROUNDS_KEPT 16u /* a file that was made is removed so many rounds later */
#define ROUNDS_RECORD 700u
#define ROUNDS_PAGES 24u /* of "mapped" */
#define ROUNDS_BYTES_MAX 49152u
#define ROUNDS_PATH_BYTES 64u

enum rounds_kind { ROUNDS_MAKE, ROUNDS_GROW, ROUNDS_MAP, ROUNDS_REPLACE };

static inline enum rounds_kind rounds_kind(uint64_t round)
{
    return (enum rounds_kind)(round % 4);
}

/* The path of the file that a round makes, below the disk. */
void rounds_made_path(uint64_t round, char path[ROUNDS_PATH_BYTES]);

/* Bytes of the file that a round makes or puts in another's place; where a record goes. */
size_t rounds_bytes(uint64_t round);
static inline size_t rounds_grown(uint64_t round)
{
    return (size_t)(round + 3) / 4 * ROUNDS_RECORD;
}

/* A round of kind MAP writes that page. */
static inline bool rounds_writes_page(uint64_t round, uint64_t page)
{
    return (page + round / 4) % 3 == 0;
}

/* What stands at an offset, by round; of a page of "mapped", its 512 words count from page * 512. */
uint64_t rounds_word(uint64_t round, uint64_t index);
/* The bytes of a file or record of that round. */
void rounds_fill(uint64_t round, uint8_t *to, size_t bytes);

/* The witness: a sector that FAT32 reserves and nobody uses. */
#define ROUNDS_SECTOR 16u
#define ROUNDS_MAGIC "quarry rounds: "
struct rounds_witness {
    char magic[16];
    uint64_t synced; /* rounds */
    uint64_t until;  /* which whoever made the disk wants */
};

/* Read of a file; *done less than asked for: it ends there. */
struct rounds_files {
    enum file_error (*read)(void *context, const char *path, uint64_t offset, void *to,
                            size_t bytes, size_t *done);
    void *context;
};

/* What was found on a disk after `synced` rounds. */
struct rounds_report {
    uint64_t right, unreadable; /* bytes, files */
    char wrong[96];             /* empty: nothing is */
};

/* All files of all rounds. What cannot be read for an error of the disk is counted and not wrong. */
void rounds_check(const struct rounds_files *files, uint64_t synced, struct rounds_report *report);

#endif
