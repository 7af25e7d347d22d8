/*
 * Inside of the file system: sectors, the table, entries of directories, names. See fat.h.
 */
#ifndef FAT_FAT_IMPL_H
#define FAT_FAT_IMPL_H

#include "fat.h"

#define CLUSTER_FIRST 2u
#define TABLE_MASK 0x0fffffffu
#define TABLE_BAD 0x0ffffff7u
#define TABLE_END 0x0fffffffu /* as it is written; all from TABLE_END_LEAST on mean it */
#define TABLE_END_LEAST 0x0ffffff8u

#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum file_error try_ = (call);                                                             \
        if (try_ != FILE_OK)                                                                       \
            return try_;                                                                           \
    } while (0)

static inline uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static inline uint32_t get32(const uint8_t *at)
{
    return get16(at) | get16(at + 2) << 16;
}

static inline void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static inline void put32(uint8_t *at, uint32_t value)
{
    put16(at, value);
    put16(at + 2, value >> 16);
}

/* ---- sectors (cache.c) ---- */

/* A sector in memory; *at is good until the next call here. */
enum file_error sector_get(struct fat *fat, uint32_t sector, uint8_t **at) FAT_MUST_USE;
/* The same, to be changed: it is on the disk after the next barrier. */
enum file_error sector_change(struct fat *fat, uint32_t sector, uint8_t **at) FAT_MUST_USE;
/* All that was changed and written before is on the disk before anything that comes afterwards. */
enum file_error barrier(struct fat *fat) FAT_MUST_USE;
/* Whole sectors of data, not kept in memory. */
enum file_error sectors_read(struct fat *fat, uint32_t sector, uint32_t count,
                             void *to) FAT_MUST_USE;
enum file_error sectors_write(struct fat *fat, uint32_t sector, uint32_t count,
                              const void *from) FAT_MUST_USE;
enum file_error sectors_clear(struct fat *fat, uint32_t sector, uint32_t count) FAT_MUST_USE;
/* Before the first change since the mount the disk says that it is in use. READ_ONLY, or what failed. */
enum file_error change_begin(struct fat *fat) FAT_MUST_USE;

/* ---- the table (table.c) ---- */

static inline uint32_t cluster_bytes(const struct fat *fat)
{
    return fat->cluster_sectors * FAT_SECTOR;
}

static inline uint32_t cluster_sector(const struct fat *fat, uint32_t cluster)
{
    return fat->data + (cluster - CLUSTER_FIRST) * fat->cluster_sectors;
}

static inline bool cluster_is_good(const struct fat *fat, uint32_t cluster)
{
    return cluster >= CLUSTER_FIRST && cluster - CLUSTER_FIRST < fat->clusters;
}

static inline bool map_has(const struct fat *fat, uint32_t cluster)
{
    return fat->map[cluster / 64] >> cluster % 64 & 1;
}

static inline void map_set(struct fat *fat, uint32_t cluster)
{
    fat->map[cluster / 64] |= 1ull << cluster % 64;
}

/* What the table says of a cluster, whatever it is. */
enum file_error table_get(struct fat *fat, uint32_t cluster, uint32_t *value) FAT_MUST_USE;
enum file_error table_set(struct fat *fat, uint32_t cluster, uint32_t value) FAT_MUST_USE;
/* The next of a chain; 0: the end. CORRUPT: neither. */
enum file_error table_next(struct fat *fat, uint32_t cluster, uint32_t *next) FAT_MUST_USE;
/* A free cluster, as the end of a chain. FULL. */
enum file_error cluster_take(struct fat *fat, uint32_t *cluster) FAT_MUST_USE;
/* Clusters of a chain that nothing on the disk leads to any more. 0 is let pass. */
enum file_error chain_free(struct fat *fat, uint32_t cluster) FAT_MUST_USE;
/* Nothing is in use. */
void map_clear(struct fat *fat);
/* The map of the mounted disk, as the table is. */
enum file_error map_read(struct fat *fat) FAT_MUST_USE;

/* ---- names (name.c) ---- */

#define NAME_UNITS 255u
#define SHORT_BYTES 11u
#define LONG_UNITS 13u  /* in one entry */
#define LAST_PART 0x40u /* with the number of a part: it is the last, and stands first */

struct name {
    uint16_t unit[NAME_UNITS + 1];
    unsigned length;
};

/* The first name of a path, up to '/' or the end; *path moves behind it. BAD_NAME. */
enum file_error name_from_path(const char **path, struct name *out) FAT_MUST_USE;
void name_to_text(const struct name *name, char text[FAT_NAME_BYTES]);
bool name_is(const struct name *a, const struct name *b);
/* Of an entry without a long name. */
void name_from_short(const uint8_t *entry, struct name *out);
/* True: those 11 bytes say all of it, no long name is needed. */
bool name_to_short(const struct name *name, uint8_t out[SHORT_BYTES]);
/* A short name for a long one, number `attempt` of many. */
void name_shorten(const struct name *name, unsigned attempt, uint8_t out[SHORT_BYTES]);

/* A long name is put together from its parts, last part first. */
struct long_name {
    struct name name;
    unsigned missing; /* parts; the next has this number */
    bool begun;
    uint8_t sum;
};

void long_begin(struct long_name *name);
/* False: this part does not belong to what came before; what it has is forgotten. */
bool long_add(struct long_name *name, const uint8_t *entry);
/* Is it whole, and of this short entry? */
bool long_is_of(const struct long_name *name, const uint8_t *entry);
static inline unsigned long_parts(const struct name *name)
{
    return (name->length + LONG_UNITS - 1) / LONG_UNITS;
}
/* Part number n, from 1, as an entry. */
void long_part(const struct name *name, unsigned n, const uint8_t *short_name, uint8_t *entry);

/* ---- directories (directory.c) ---- */

#define ENTRY_BYTES 32u
#define ENTRIES_MAX 65536u
#define ENTRY_ATTRIBUTES 11u
#define ENTRY_FLAGS 12u
#define ENTRY_SIZE 28u
#define ENTRY_FREE 0xe5u
#define ATTRIBUTE_LABEL 0x08u
#define ATTRIBUTE_DIRECTORY 0x10u
#define ATTRIBUTE_ARCHIVE 0x20u
#define ATTRIBUTE_LONG 0x0fu
/* Of the flags: a reserved bit. If another entry has the same clusters, a rename was cut, and this is the old name. */
#define FLAG_RENAMED 0x01u

/* A place in a directory: an entry by its number. */
struct place {
    uint32_t first, cluster, index;
};

/* What a directory holds. */
struct item {
    struct place start, place; /* of its long name, or as place; of its short entry */
    uint8_t entry[ENTRY_BYTES];
    struct name name;
};

static inline uint32_t entry_first(const uint8_t *entry)
{
    return get16(entry + 20) << 16 | get16(entry + 26);
}

void entry_set_first(uint8_t *entry, uint32_t cluster);

static inline bool entry_is_directory(const uint8_t *entry)
{
    return entry[ENTRY_ATTRIBUTES] & ATTRIBUTE_DIRECTORY;
}

static inline bool entry_is_long(const uint8_t *entry)
{
    return (entry[ENTRY_ATTRIBUTES] & 0x3f) == ATTRIBUTE_LONG;
}

/* "." or ".." */
static inline bool entry_is_dots(const uint8_t *entry)
{
    return entry[0] == '.';
}

static inline struct place place_begin(uint32_t first)
{
    return (struct place){first, first, 0};
}

void place_sector(const struct fat *fat, const struct place *place, uint32_t *sector,
                  uint32_t *offset);
/* What stands there. NOT_FOUND: the directory has ended. */
enum file_error place_get(struct fat *fat, const struct place *place,
                          const uint8_t **entry) FAT_MUST_USE;
/* Behind the last entry a place has no cluster. */
enum file_error place_next(struct fat *fat, struct place *place) FAT_MUST_USE;

/* The next file or directory at or behind *place, which moves behind it. NOT_FOUND: there are no more. */
enum file_error item_next(struct fat *fat, struct place *place, struct item *out) FAT_MUST_USE;
enum file_error item_find(struct fat *fat, uint32_t first, const struct name *name,
                          struct item *out) FAT_MUST_USE;
/* Put an entry with that name into a directory; its first 11 bytes are made here. *place: where. */
enum file_error item_add(struct fat *fat, uint32_t first, const struct name *name, uint8_t *entry,
                         struct place *place) FAT_MUST_USE;
/* Take it out. Its clusters are still in use: until a barrier. */
enum file_error item_remove(struct fat *fat, const struct item *item) FAT_MUST_USE;
/* The short entry, to be changed. */
enum file_error item_change(struct fat *fat, const struct place *place,
                            uint8_t **entry) FAT_MUST_USE;

/* ---- files (file.c) ---- */

/* Null, or the invariant that an open file breaks. */
const char *file_check(struct fat *fat, struct fat_file *file);
/* Who is open at that entry; null: nobody. */
struct fat_file *file_at(struct fat *fat, const struct place *place);

/* ---- after a cut (recover.c) ---- */

/* Put right what a power cut leaves (FAT-CUT); the map is made on the way. CORRUPT: something else is wrong. */
enum file_error recover(struct fat *fat) FAT_MUST_USE;

#endif
