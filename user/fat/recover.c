/*
 * What a power cut left is put right: one walk through all directories, then the table agrees with what they reach.
 *
 *     walk    each chain into the map; chains longer than their size end; parts of long names without an entry go
 *     marked  the old name of a rename that was cut goes, if the new one is there
 *     table   clusters that nobody has are free; copies of the table are the same
 *
 * A cut in the middle of it leaves what a cut leaves. Cost: one look at each entry and at each table entry; no memory but
 * the map and a place for each level of directories.
 */
#include "fat_impl.h"

#include <lib/string.h>

#define MARKED_MAX 8u
#define TABLE_CLEAN 0x08000000u

struct recovery {
    struct fat *fat;
    struct place stack[FAT_DEPTH + 1]; /* where the walk is in each directory on its way */
    unsigned depth;
    struct item marked[MARKED_MAX];
    unsigned marked_count;
};

/* At most *count clusters of a chain, of which it leaves what is missing; *last of them, and the *rest behind it. */
static enum file_error claim(struct fat *fat, uint32_t first, uint32_t *count, uint32_t *last,
                             uint32_t *rest)
{
    uint32_t cluster = first;

    *last = 0;
    for (; cluster && *count; (*count)--) {
        if (!cluster_is_good(fat, cluster) || map_has(fat, cluster))
            return FILE_CORRUPT;
        map_set(fat, cluster);
        fat->free--;
        *last = cluster;
        TRY(table_next(fat, cluster, &cluster));
    }
    *rest = cluster;
    return FILE_OK;
}

static enum file_error claim_file(struct fat *fat, const struct item *item)
{
    uint32_t first = entry_first(item->entry), bytes = get32(item->entry + ENTRY_SIZE), last, rest;
    uint32_t size = cluster_bytes(fat), missing = bytes / size + (bytes % size != 0);
    uint8_t *entry;

    TRY(claim(fat, first, &missing, &last, &rest));
    if (missing)
        return FILE_CORRUPT;
    if (rest && last)
        return table_set(fat, last, TABLE_END);
    if (rest) {
        TRY(item_change(fat, &item->place, &entry));
        entry_set_first(entry, 0);
    }
    return FILE_OK;
}

/* Parts of long names between *place and the entry with that number, or the end. */
static enum file_error drop_parts(struct fat *fat, struct place place, uint32_t end)
{
    const uint8_t *entry;
    uint8_t *part;

    for (; place.cluster && place.index < end;) {
        TRY(place_get(fat, &place, &entry));
        if (entry[0] == 0)
            break;
        if (entry[0] != ENTRY_FREE && entry_is_long(entry)) {
            TRY(item_change(fat, &place, &part));
            part[0] = ENTRY_FREE;
        }
        TRY(place_next(fat, &place));
    }
    return FILE_OK;
}

/* Parts of long names that no short entry follows. */
static enum file_error drop_strays(struct fat *fat, uint32_t first)
{
    struct place place = place_begin(first), behind = place;
    struct item item;
    enum file_error error;

    while ((error = item_next(fat, &place, &item)) == FILE_OK) {
        TRY(drop_parts(fat, behind, item.start.index));
        behind = place;
    }
    return error == FILE_NOT_FOUND ? drop_parts(fat, behind, ENTRIES_MAX) : error;
}

static enum file_error enter(struct recovery *r, uint32_t first)
{
    uint32_t last, rest, missing = UINT32_MAX;

    if (r->depth > FAT_DEPTH)
        return FILE_UNSUPPORTED;
    TRY(claim(r->fat, first, &missing, &last, &rest));
    if (!last)
        return FILE_CORRUPT;
    TRY(drop_strays(r->fat, first));
    r->stack[r->depth++] = place_begin(first);
    return FILE_OK;
}

static enum file_error claim_item(struct recovery *r, const struct item *item)
{
    return entry_is_directory(item->entry) ? enter(r, entry_first(item->entry))
                                           : claim_file(r->fat, item);
}

static enum file_error walk(struct recovery *r)
{
    struct item item;

    while (r->depth) {
        enum file_error error = item_next(r->fat, &r->stack[r->depth - 1], &item);
        if (error == FILE_NOT_FOUND) {
            r->depth--;
            continue;
        }
        TRY(error);
        if (!(item.entry[ENTRY_FLAGS] & FLAG_RENAMED))
            TRY(claim_item(r, &item));
        else if (r->marked_count < MARKED_MAX)
            r->marked[r->marked_count++] = item;
        else
            return FILE_CORRUPT;
    }
    return FILE_OK;
}

static enum file_error settle_marked(struct recovery *r, const struct item *item)
{
    uint32_t first = entry_first(item->entry);
    uint8_t *entry;

    if (first && cluster_is_good(r->fat, first) && map_has(r->fat, first))
        return item_remove(r->fat, item);
    TRY(item_change(r->fat, &item->place, &entry));
    entry[ENTRY_FLAGS] &= (uint8_t)~FLAG_RENAMED;
    TRY(claim_item(r, item));
    return walk(r);
}

static enum file_error free_the_lost(struct fat *fat)
{
    uint32_t value;

    for (uint32_t i = CLUSTER_FIRST; i < fat->clusters + CLUSTER_FIRST; i++) {
        TRY(table_get(fat, i, &value));
        if (value == TABLE_BAD) {
            map_set(fat, i);
            fat->free--;
        } else if (value && !map_has(fat, i)) {
            TRY(table_set(fat, i, 0));
        }
    }
    return FILE_OK;
}

/* A changed sector of the table is written to all copies. */
static enum file_error copy_table(struct fat *fat)
{
    uint8_t copy[FAT_SECTOR], *sector;

    for (uint32_t i = 0; i < fat->table_sectors; i++)
        for (uint32_t k = 1; k < fat->tables; k++) {
            TRY(sectors_read(fat, fat->table + k * fat->table_sectors + i, 1, copy));
            TRY(sector_get(fat, fat->table + i, &sector));
            if (memcmp(copy, sector, FAT_SECTOR) != 0)
                TRY(sector_change(fat, fat->table + i, &sector));
        }
    return FILE_OK;
}

enum file_error recover(struct fat *fat)
{
    static struct recovery r; /* one thread; too large for a stack */
    uint32_t value;

    memset(&r, 0, sizeof(r));
    r.fat = fat;
    map_clear(fat);
    TRY(enter(&r, fat->root));
    TRY(walk(&r));
    for (unsigned i = 0; i < r.marked_count; i++)
        TRY(settle_marked(&r, &r.marked[i]));
    TRY(barrier(fat));
    TRY(free_the_lost(fat));
    TRY(table_get(fat, 1, &value));
    TRY(table_set(fat, 1, value | TABLE_CLEAN));
    TRY(copy_table(fat));
    return barrier(fat);
}
