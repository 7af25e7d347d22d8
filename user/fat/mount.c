/*
 * Mounting: what the boot sector says, believed only where it agrees with itself and with the disk. See fat.h.
 */
#include "fat_impl.h"

#include <lib/string.h>

#define BOOT_STATE 0x41u
#define STATE_IN_USE 0x01u
#define TABLE_CLEAN 0x08000000u /* of table entry 1, as other systems keep it */
#define CLUSTER_SECTORS_MAX 128u

static bool is_power(uint32_t value)
{
    return value && !(value & (value - 1));
}

/* Field by field, in the order of the specification (3.1 to 3.3). */
static enum file_error boot_read(struct fat *fat, const uint8_t *boot)
{
    uint32_t reserved = get16(boot + 14), sectors = get16(boot + 19), info = get16(boot + 48);

    if (boot[510] != 0x55 || boot[511] != 0xaa)
        return FILE_CORRUPT;
    if (get16(boot + 11) != FAT_SECTOR || get16(boot + 17) || get16(boot + 22))
        return FILE_UNSUPPORTED; /* other sectors, or FAT12 or FAT16 */
    if (sectors == 0)
        sectors = get32(boot + 32);
    fat->cluster_sectors = boot[13];
    fat->tables = boot[16];
    fat->table = reserved;
    fat->table_sectors = get32(boot + 36);
    fat->root = get32(boot + 44);
    fat->info = info && info < reserved ? info : 0;
    if (get16(boot + 40) & 0x80 || get16(boot + 42))
        return FILE_UNSUPPORTED; /* one table only is in use, or a later version */
    if (!is_power(fat->cluster_sectors) || fat->cluster_sectors > CLUSTER_SECTORS_MAX)
        return FILE_CORRUPT;
    if (fat->tables < 1 || fat->tables > 4 || reserved == 0 || fat->table_sectors == 0)
        return FILE_CORRUPT;
    uint64_t data = reserved + (uint64_t)fat->tables * fat->table_sectors;
    if (sectors > fat->disk->sectors || data + fat->cluster_sectors > sectors)
        return FILE_CORRUPT;
    fat->data = (uint32_t)data;
    fat->clusters = (sectors - fat->data) / fat->cluster_sectors;
    if (fat->clusters > TABLE_BAD - CLUSTER_FIRST ||
        (uint64_t)fat->table_sectors * (FAT_SECTOR / 4) < (uint64_t)fat->clusters + CLUSTER_FIRST)
        return FILE_CORRUPT;
    return cluster_is_good(fat, fat->root) ? FILE_OK : FILE_CORRUPT;
}

/* An information sector without its signatures is none. */
static enum file_error info_look(struct fat *fat)
{
    uint8_t *sector;

    if (!fat->info)
        return FILE_OK;
    TRY(sector_get(fat, fat->info, &sector));
    if (get32(sector) != 0x41615252 || get32(sector + 484) != 0x61417272)
        fat->info = 0;
    return FILE_OK;
}

enum file_error fat_mount(struct fat *fat, const struct fat_disk *disk, void *memory, size_t bytes)
{
    uint8_t *boot;
    uint32_t state;

    memset(fat, 0, sizeof(*fat));
    fat->disk = disk;
    fat->map = memory;
    fat->now = 0x00210000; /* the first day that there is */
    TRY(sector_get(fat, 0, &boot));
    TRY(boot_read(fat, boot));
    fat->dirty = boot[BOOT_STATE] & STATE_IN_USE;
    if (bytes < fat_map_bytes(fat->clusters))
        return FILE_NO_MEMORY;
    TRY(info_look(fat));
    TRY(sector_get(fat, fat->table, &boot));
    state = get32(boot + 4);
    fat->dirty |= !(state & TABLE_CLEAN);
    return fat->dirty && !disk->read_only ? recover(fat) : map_read(fat);
}
