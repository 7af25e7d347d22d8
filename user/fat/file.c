/*
 * Open files: bytes, length, and in which order they come to the disk. See fat.h.
 */
#include "fat_impl.h"

#include <lib/string.h>

struct fat_file *file_at(struct fat *fat, const struct place *place)
{
    uint32_t sector, offset;

    place_sector(fat, place, &sector, &offset);
    for (unsigned i = 0; i < FAT_FILES; i++) {
        struct fat_file *file = &fat->files[i];
        if (file->users && file->entry_sector == sector && file->entry_offset == offset)
            return file;
    }
    return NULL;
}

static uint32_t clusters_of(const struct fat *fat, uint32_t bytes)
{
    return bytes / cluster_bytes(fat) + (bytes % cluster_bytes(fat) != 0);
}

/* ---- chains ---- */

/* As it is here: new clusters may not be linked on the disk yet. */
static enum file_error next_of(struct fat *fat, const struct fat_file *file, uint32_t cluster,
                               uint32_t *next)
{
    if (file->link_to && cluster == file->link_from) {
        *next = file->link_to;
        return FILE_OK;
    }
    return table_next(fat, cluster, next);
}

static enum file_error cluster_at(struct fat *fat, struct fat_file *file, uint32_t index,
                                  uint32_t *out)
{
    uint32_t i = 0, cluster = file->first;

    if (file->at_cluster && file->at_index <= index) {
        i = file->at_index;
        cluster = file->at_cluster;
    }
    for (; i < index && cluster; i++)
        TRY(next_of(fat, file, cluster, &cluster));
    if (!cluster_is_good(fat, cluster))
        return FILE_CORRUPT;
    file->at_index = index;
    file->at_cluster = *out = cluster;
    return FILE_OK;
}

static enum file_error write_entry(struct fat *fat, struct fat_file *file)
{
    uint8_t *sector;

    TRY(sector_change(fat, file->entry_sector, &sector));
    entry_set_first(sector + file->entry_offset, file->first);
    put32(sector + file->entry_offset + ENTRY_SIZE, file->bytes);
    file->disk_first = file->first;
    file->disk_bytes = file->bytes;
    return FILE_OK;
}

/* What the file has beyond its first `keep` clusters goes, on the disk as here. */
static enum file_error cut(struct fat *fat, struct fat_file *file, uint32_t keep)
{
    uint32_t tail = 0, rest = file->first;

    if (keep) {
        TRY(cluster_at(fat, file, keep - 1, &tail));
        TRY(table_next(fat, tail, &rest));
    } else {
        file->first = 0;
    }
    file->at_cluster = 0;
    if (file->bytes != file->disk_bytes || file->first != file->disk_first)
        TRY(write_entry(fat, file));
    if (!rest)
        return FILE_OK;
    TRY(barrier(fat));
    if (tail) {
        TRY(table_set(fat, tail, TABLE_END));
        TRY(barrier(fat));
    }
    return chain_free(fat, rest);
}

/* Clusters for so many bytes; all, or FULL. They are linked by the next sync. */
static enum file_error grow(struct fat *fat, struct fat_file *file, uint32_t bytes)
{
    uint32_t have = clusters_of(fat, file->bytes), wanted = clusters_of(fat, bytes), tail = 0, next;

    if (wanted <= have)
        return FILE_OK;
    if (wanted - have > fat->free)
        return FILE_FULL;
    if (have) {
        TRY(cluster_at(fat, file, have - 1, &tail));
        TRY(next_of(fat, file, tail, &next));
    } else {
        next = file->first;
    }
    if (next) /* others may have left it more than its size says */
        TRY(cut(fat, file, have));
    bool linked = !file->link_to; /* the end is on the disk */
    for (; have < wanted; have++) {
        TRY(cluster_take(fat, &next));
        if (!tail)
            file->first = next;
        if (linked) {
            file->link_from = tail;
            file->link_to = next;
        } else {
            TRY(table_set(fat, tail, next));
        }
        linked = false;
        tail = next;
    }
    return FILE_OK;
}

/* ---- bytes ---- */

/* Where bytes go to, or come from; neither: zeroes are written. */
struct data {
    uint8_t *to;
    const uint8_t *from;
};

/* Whole sectors at a time where there are some: of all clusters that lie one behind the other. */
static enum file_error some_sectors(struct fat *fat, struct fat_file *file, struct data data,
                                    uint32_t offset, uint32_t bytes, uint32_t *done)
{
    uint32_t size = cluster_bytes(fat), index = offset / size, within = offset % size, cluster,
             next;

    TRY(cluster_at(fat, file, index, &cluster));
    uint32_t sector = cluster_sector(fat, cluster) + within / FAT_SECTOR, room = size - within;
    while (room < bytes) {
        TRY(cluster_at(fat, file, ++index, &next));
        if (next != ++cluster)
            break;
        room += size;
    }
    uint32_t count = (bytes < room ? bytes : room) / FAT_SECTOR;
    *done = count * FAT_SECTOR;
    if (data.to)
        return sectors_read(fat, sector, count, data.to);
    return data.from ? sectors_write(fat, sector, count, data.from)
                     : sectors_clear(fat, sector, count);
}

static enum file_error part_of_sector(struct fat *fat, struct fat_file *file, struct data data,
                                      uint32_t offset, uint32_t bytes, uint32_t *done)
{
    uint32_t size = cluster_bytes(fat), cluster, skip = offset % FAT_SECTOR;
    uint8_t *sector;

    TRY(cluster_at(fat, file, offset / size, &cluster));
    uint32_t number = cluster_sector(fat, cluster) + offset % size / FAT_SECTOR;
    *done = bytes < FAT_SECTOR - skip ? bytes : FAT_SECTOR - skip;
    if (data.to) {
        TRY(sector_get(fat, number, &sector));
        memcpy(data.to, sector + skip, *done);
        return FILE_OK;
    }
    TRY(sector_change(fat, number, &sector));
    if (data.from)
        memcpy(sector + skip, data.from, *done);
    else
        memset(sector + skip, 0, *done);
    return FILE_OK;
}

static enum file_error move(struct fat *fat, struct fat_file *file, struct data data,
                            uint32_t offset, size_t bytes)
{
    while (bytes) {
        uint32_t part = (uint32_t)bytes, done = 0;
        bool whole = offset % FAT_SECTOR == 0 && part >= FAT_SECTOR;
        TRY(whole ? some_sectors(fat, file, data, offset, part, &done)
                  : part_of_sector(fat, file, data, offset, part, &done));
        offset += done;
        if (data.to)
            data.to += done;
        if (data.from)
            data.from += done;
        bytes -= done;
    }
    return FILE_OK;
}

enum file_error fat_read(struct fat *fat, struct fat_file *file, uint64_t offset, void *to,
                         size_t bytes, size_t *done)
{
    *done = 0;
    if (offset >= file->bytes)
        return FILE_OK;
    size_t part = bytes < file->bytes - offset ? bytes : (size_t)(file->bytes - offset);
    TRY(move(fat, file, (struct data){.to = to}, (uint32_t)offset, part));
    *done = part;
    return FILE_OK;
}

/* At least that long, with zeroes up to `offset`. */
static enum file_error reach(struct fat *fat, struct fat_file *file, uint64_t offset, uint64_t end)
{
    if (end > FAT_FILE_MAX)
        return FILE_TOO_LARGE;
    TRY(change_begin(fat));
    if (end <= file->bytes)
        return FILE_OK;
    TRY(grow(fat, file, (uint32_t)end));
    if (offset > file->bytes)
        TRY(move(fat, file, (struct data){0}, file->bytes, (size_t)(offset - file->bytes)));
    return FILE_OK;
}

enum file_error fat_write(struct fat *fat, struct fat_file *file, uint64_t offset, const void *from,
                          size_t bytes)
{
    if (offset > FAT_FILE_MAX || bytes > FAT_FILE_MAX)
        return FILE_TOO_LARGE;
    if (bytes == 0)
        return FILE_OK;
    TRY(reach(fat, file, offset, offset + bytes));
    TRY(move(fat, file, (struct data){.from = from}, (uint32_t)offset, bytes));
    if (offset + bytes > file->bytes)
        file->bytes = (uint32_t)(offset + bytes);
    return FILE_OK;
}

enum file_error fat_resize(struct fat *fat, struct fat_file *file, uint64_t bytes)
{
    TRY(reach(fat, file, bytes, bytes));
    if (bytes >= file->bytes) {
        file->bytes = (uint32_t)bytes;
        return FILE_OK;
    }
    TRY(fat_sync(fat)); /* then all that it has is on the disk as it is here */
    file->bytes = (uint32_t)bytes;
    return cut(fat, file, clusters_of(fat, file->bytes));
}

/* ---- sync ---- */

static bool has_grown(const struct fat_file *file)
{
    return file->users && (file->first != file->disk_first || file->bytes != file->disk_bytes);
}

enum file_error fat_sync(struct fat *fat)
{
    bool links = false, entries = false;

    if (!fat->dirty)
        return FILE_OK;
    TRY(barrier(fat));
    for (unsigned i = 0; i < FAT_FILES; i++) {
        struct fat_file *file = &fat->files[i];
        entries |= has_grown(file);
        if (!file->users || !file->link_to)
            continue;
        if (file->link_from)
            TRY(table_set(fat, file->link_from, file->link_to));
        links |= file->link_from != 0;
        file->link_from = file->link_to = 0;
    }
    if (links)
        TRY(barrier(fat));
    for (unsigned i = 0; i < FAT_FILES; i++)
        if (has_grown(&fat->files[i]))
            TRY(write_entry(fat, &fat->files[i]));
    return entries ? barrier(fat) : FILE_OK;
}

enum file_error fat_close(struct fat *fat, struct fat_file *file)
{
    if (file->users == 1 && (file->link_to || has_grown(file)))
        TRY(fat_sync(fat));
    file->users--;
    return FILE_OK;
}

const char *file_check(struct fat *fat, struct fat_file *file)
{
    uint32_t cluster = file->first;

    for (uint32_t i = clusters_of(fat, file->bytes); file->users && i; i--)
        if (!cluster_is_good(fat, cluster) || !map_has(fat, cluster) ||
            next_of(fat, file, cluster, &cluster) != FILE_OK)
            return "FAT-REACHED";
    return NULL;
}
