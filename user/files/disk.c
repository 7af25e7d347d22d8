/*
 * The disk's driver as the disk of a FAT32: all sectors go through one buffer, whose frame the driver gets with each
 * request. See server.h.
 */
#include "server.h"

#include "../drivers/block.h"

#include <lib/string.h>
#include <user/malloc.h>

static bool transfer(enum block_label label, uint64_t sector, uint32_t count)
{
    return block_call(server.driver, label, server.buffer, sector, 0,
                      (uint64_t)count * FAT_SECTOR) == QY_OK;
}

#define SECTORS_A_TURN (FILES_BUFFER_BYTES / FAT_SECTOR)

static bool disk_read(void *context, uint64_t sector, uint32_t count, void *to)
{
    for (uint32_t part; count; count -= part) {
        part = count < SECTORS_A_TURN ? count : SECTORS_A_TURN;
        if (!transfer(BLOCK_READ, sector, part))
            return false;
        memcpy(to, context, (size_t)part * FAT_SECTOR);
        to = (uint8_t *)to + (size_t)part * FAT_SECTOR;
        sector += part;
    }
    return true;
}

static bool disk_write(void *context, uint64_t sector, uint32_t count, const void *from)
{
    for (uint32_t part; count; count -= part) {
        part = count < SECTORS_A_TURN ? count : SECTORS_A_TURN;
        memcpy(context, from, (size_t)part * FAT_SECTOR);
        if (!transfer(BLOCK_WRITE, sector, part))
            return false;
        from = (const uint8_t *)from + (size_t)part * FAT_SECTOR;
        sector += part;
    }
    return true;
}

static bool disk_flush(void *context)
{
    (void)context;
    return block_call(server.driver, BLOCK_FLUSH, 0, 0, 0, 0) == QY_OK;
}

enum file_error disk_mount(void)
{
    struct block_info info;

    if (block_info(server.driver, &info) != QY_OK || info.sector_bytes != FAT_SECTOR)
        return FILE_IO;
    server.disk = (struct fat_disk){
        disk_read, disk_write, disk_flush, buffer_of(FILES_CLIENTS), info.sectors, info.read_only};
    size_t bytes = fat_map_bytes(info.sectors);
    void *map = malloc(bytes);
    return map ? fat_mount(&server.fat, &server.disk, map, bytes) : FILE_NO_MEMORY;
}
