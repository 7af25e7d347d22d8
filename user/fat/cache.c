/*
 * Sectors in memory, written when a barrier comes or when their place is needed: nothing that changes between two
 * barriers depends on the order. See fat.h.
 */
#include "fat_impl.h"

#include <lib/string.h>

#define BOOT_STATE 0x41u
#define STATE_IN_USE 0x01u
#define INFO_FREE 488u
#define INFO_UNKNOWN 0xffffffffu

/* After a failure nobody knows what is on the disk: nothing more is written. */
static enum file_error fail(struct fat *fat)
{
    fat->failed = FILE_IO;
    return FILE_IO;
}

/* A sector of the table goes to every copy of it. */
static enum file_error write_back(struct fat *fat, struct fat_cached *cached)
{
    uint32_t copies = 1, sector = cached->sector;

    if (sector >= fat->table && sector - fat->table < fat->table_sectors)
        copies = fat->tables;
    for (uint32_t i = 0; i < copies; i++)
        if (!fat->disk->write(fat->disk->context, sector + i * fat->table_sectors, 1, cached->data))
            return fail(fat);
    cached->dirty = false;
    return FILE_OK;
}

static struct fat_cached *find(struct fat *fat, uint32_t sector)
{
    for (unsigned i = 0; i < FAT_CACHED; i++)
        if (fat->cache[i].used && fat->cache[i].sector == sector)
            return &fat->cache[i];
    return NULL;
}

/* The one that was not touched for longest. */
static enum file_error replace(struct fat *fat, uint32_t sector, struct fat_cached **out)
{
    struct fat_cached *oldest = &fat->cache[0];

    for (unsigned i = 0; i < FAT_CACHED && oldest->used; i++)
        if (!fat->cache[i].used || fat->cache[i].touched < oldest->touched)
            oldest = &fat->cache[i];
    if (oldest->used && oldest->dirty)
        TRY(write_back(fat, oldest));
    oldest->used = false;
    if (!fat->disk->read(fat->disk->context, sector, 1, oldest->data))
        return FILE_IO;
    oldest->sector = sector;
    oldest->used = true;
    oldest->dirty = false;
    *out = oldest;
    return FILE_OK;
}

static enum file_error get(struct fat *fat, uint32_t sector, struct fat_cached **out)
{
    *out = find(fat, sector);
    if (!*out)
        TRY(replace(fat, sector, out));
    (*out)->touched = ++fat->clock;
    return FILE_OK;
}

enum file_error sector_get(struct fat *fat, uint32_t sector, uint8_t **at)
{
    struct fat_cached *cached;

    TRY(get(fat, sector, &cached));
    *at = cached->data;
    return FILE_OK;
}

enum file_error sector_change(struct fat *fat, uint32_t sector, uint8_t **at)
{
    struct fat_cached *cached;

    if (fat->failed != FILE_OK)
        return FILE_READ_ONLY;
    TRY(get(fat, sector, &cached));
    cached->dirty = true;
    *at = cached->data;
    return FILE_OK;
}

enum file_error barrier(struct fat *fat)
{
    if (fat->failed != FILE_OK)
        return FILE_READ_ONLY;
    for (unsigned i = 0; i < FAT_CACHED; i++)
        if (fat->cache[i].used && fat->cache[i].dirty)
            TRY(write_back(fat, &fat->cache[i]));
    return fat->disk->flush(fat->disk->context) ? FILE_OK : fail(fat);
}

/* What of [sector, sector + count) is in memory is newer than the disk. */
enum file_error sectors_read(struct fat *fat, uint32_t sector, uint32_t count, void *to)
{
    if (!fat->disk->read(fat->disk->context, sector, count, to))
        return FILE_IO;
    for (unsigned i = 0; i < FAT_CACHED; i++) {
        const struct fat_cached *cached = &fat->cache[i];
        if (cached->used && cached->dirty && cached->sector - sector < count)
            memcpy((uint8_t *)to + (size_t)(cached->sector - sector) * FAT_SECTOR, cached->data,
                   FAT_SECTOR);
    }
    return FILE_OK;
}

enum file_error sectors_write(struct fat *fat, uint32_t sector, uint32_t count, const void *from)
{
    if (fat->failed != FILE_OK)
        return FILE_READ_ONLY;
    for (unsigned i = 0; i < FAT_CACHED; i++)
        if (fat->cache[i].sector - sector < count)
            fat->cache[i].used = false;
    return fat->disk->write(fat->disk->context, sector, count, from) ? FILE_OK : fail(fat);
}

enum file_error sectors_clear(struct fat *fat, uint32_t sector, uint32_t count)
{
    static const uint8_t zeroes[8 * FAT_SECTOR];

    while (count) {
        uint32_t part = count < 8 ? count : 8;
        TRY(sectors_write(fat, sector, part, zeroes));
        sector += part;
        count -= part;
    }
    return FILE_OK;
}

/* How many clusters are free is written when the disk is left; in between it is unknown, which is never wrong. */
static enum file_error say_in_use(struct fat *fat, bool in_use)
{
    uint8_t *sector;

    if (fat->info) {
        TRY(sector_change(fat, fat->info, &sector));
        put32(sector + INFO_FREE, in_use ? INFO_UNKNOWN : fat->free);
        put32(sector + INFO_FREE + 4, in_use ? INFO_UNKNOWN : fat->next);
    }
    TRY(sector_change(fat, 0, &sector));
    if (in_use)
        sector[BOOT_STATE] |= STATE_IN_USE;
    else
        sector[BOOT_STATE] &= (uint8_t)~STATE_IN_USE;
    return barrier(fat);
}

enum file_error change_begin(struct fat *fat)
{
    if (fat->disk->read_only || fat->failed != FILE_OK)
        return FILE_READ_ONLY;
    if (fat->dirty)
        return FILE_OK;
    TRY(say_in_use(fat, true));
    fat->dirty = true;
    return FILE_OK;
}

enum file_error fat_unmount(struct fat *fat)
{
    if (!fat->dirty)
        return FILE_OK;
    TRY(fat_sync(fat));
    TRY(say_in_use(fat, false));
    fat->dirty = false;
    return FILE_OK;
}
