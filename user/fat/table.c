/*
 * The table of clusters and the map of those in use. See fat.h.
 */
#include "fat_impl.h"

#define ENTRIES (FAT_SECTOR / 4)

enum file_error table_get(struct fat *fat, uint32_t cluster, uint32_t *value)
{
    uint8_t *sector;

    TRY(sector_get(fat, fat->table + cluster / ENTRIES, &sector));
    *value = get32(sector + cluster % ENTRIES * 4) & TABLE_MASK;
    return FILE_OK;
}

/* The highest four bits are not ours. */
enum file_error table_set(struct fat *fat, uint32_t cluster, uint32_t value)
{
    uint8_t *sector;

    TRY(sector_change(fat, fat->table + cluster / ENTRIES, &sector));
    uint8_t *at = sector + cluster % ENTRIES * 4;
    put32(at, (get32(at) & ~TABLE_MASK) | value);
    return FILE_OK;
}

enum file_error table_next(struct fat *fat, uint32_t cluster, uint32_t *next)
{
    uint32_t value;

    if (!cluster_is_good(fat, cluster))
        return FILE_CORRUPT;
    TRY(table_get(fat, cluster, &value));
    *next = value >= TABLE_END_LEAST ? 0 : value;
    return *next == 0 || cluster_is_good(fat, value) ? FILE_OK : FILE_CORRUPT;
}

static uint32_t find_free(const struct fat *fat)
{
    uint32_t end = fat->clusters + CLUSTER_FIRST, words = (end + 63) / 64;

    for (uint32_t i = 0, word = fat->next / 64; i < words; i++, word++) {
        word = word < words ? word : 0;
        uint64_t free = ~fat->map[word];
        if (free)
            return word * 64 + (uint32_t)__builtin_ctzll(free);
    }
    return 0;
}

enum file_error cluster_take(struct fat *fat, uint32_t *cluster)
{
    uint32_t found = fat->free ? find_free(fat) : 0;

    if (!found)
        return FILE_FULL;
    TRY(table_set(fat, found, TABLE_END));
    map_set(fat, found);
    fat->free--;
    fat->next = found;
    *cluster = found;
    return FILE_OK;
}

/* A chain that leads to itself comes to a cluster that is free by then. */
enum file_error chain_free(struct fat *fat, uint32_t cluster)
{
    while (cluster) {
        uint32_t next;
        TRY(table_next(fat, cluster, &next));
        if (!map_has(fat, cluster))
            return FILE_CORRUPT;
        TRY(table_set(fat, cluster, 0));
        fat->map[cluster / 64] &= ~(1ull << cluster % 64);
        fat->free++;
        cluster = next;
    }
    return FILE_OK;
}

/* Bits that stand for no cluster are as of clusters in use. */
void map_clear(struct fat *fat)
{
    uint32_t end = fat->clusters + CLUSTER_FIRST, bits = (end + 63) / 64 * 64;

    for (uint32_t i = 0; i < bits / 64; i++)
        fat->map[i] = 0;
    for (uint32_t i = end; i < bits; i++)
        map_set(fat, i);
    for (uint32_t i = 0; i < CLUSTER_FIRST; i++)
        map_set(fat, i);
    fat->free = fat->clusters;
    fat->next = CLUSTER_FIRST;
}

enum file_error map_read(struct fat *fat)
{
    uint32_t value;

    map_clear(fat);
    for (uint32_t i = CLUSTER_FIRST; i < fat->clusters + CLUSTER_FIRST; i++) {
        TRY(table_get(fat, i, &value));
        if (value == 0)
            continue;
        map_set(fat, i);
        fat->free--;
    }
    return FILE_OK;
}

const char *fat_check(struct fat *fat)
{
    uint32_t value, free = 0;

    for (uint32_t i = CLUSTER_FIRST; i < fat->clusters + CLUSTER_FIRST; i++) {
        if (table_get(fat, i, &value) != FILE_OK)
            return "FAT-FREE: the table cannot be read";
        if ((value != 0) != map_has(fat, i))
            return "FAT-FREE";
        free += value == 0;
    }
    if (free != fat->free)
        return "FAT-FREE";
    for (unsigned i = 0; i < FAT_FILES; i++) {
        const char *broken = file_check(fat, &fat->files[i]);
        if (broken)
            return broken;
    }
    return NULL;
}
