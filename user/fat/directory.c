/*
 * Directories: entries by place, items by name. See fat.h.
 */
#include "fat_impl.h"

#include <lib/string.h>

#define SHORTENINGS 1000u

static uint32_t entries_per_cluster(const struct fat *fat)
{
    return cluster_bytes(fat) / ENTRY_BYTES;
}

void entry_set_first(uint8_t *entry, uint32_t cluster)
{
    put16(entry + 20, cluster >> 16);
    put16(entry + 26, cluster & 0xffff);
}

void place_sector(const struct fat *fat, const struct place *place, uint32_t *sector,
                  uint32_t *offset)
{
    uint32_t byte = place->index % entries_per_cluster(fat) * ENTRY_BYTES;

    *sector = cluster_sector(fat, place->cluster) + byte / FAT_SECTOR;
    *offset = byte % FAT_SECTOR;
}

enum file_error place_next(struct fat *fat, struct place *place)
{
    if (++place->index % entries_per_cluster(fat) == 0)
        TRY(table_next(fat, place->cluster, &place->cluster));
    return place->cluster && place->index >= ENTRIES_MAX ? FILE_CORRUPT : FILE_OK;
}

enum file_error place_get(struct fat *fat, const struct place *place, const uint8_t **entry)
{
    uint32_t number, offset;
    uint8_t *sector;

    if (!place->cluster)
        return FILE_NOT_FOUND;
    if (!cluster_is_good(fat, place->cluster))
        return FILE_CORRUPT;
    place_sector(fat, place, &number, &offset);
    TRY(sector_get(fat, number, &sector));
    *entry = sector + offset;
    return FILE_OK;
}

enum file_error item_change(struct fat *fat, const struct place *place, uint8_t **entry)
{
    uint32_t number, offset;
    uint8_t *sector;

    place_sector(fat, place, &number, &offset);
    TRY(sector_change(fat, number, &sector));
    *entry = sector + offset;
    return FILE_OK;
}

/* ---- items ---- */

enum file_error item_next(struct fat *fat, struct place *place, struct item *out)
{
    struct long_name name;
    const uint8_t *entry;

    long_begin(&name);
    for (;;) {
        struct place here = *place;
        TRY(place_get(fat, place, &entry));
        if (entry[0] == 0)
            return FILE_NOT_FOUND;
        memcpy(out->entry, entry, ENTRY_BYTES);
        TRY(place_next(fat, place));
        if (out->entry[0] != ENTRY_FREE && entry_is_long(out->entry)) {
            if (long_add(&name, out->entry) && out->entry[0] & LAST_PART)
                out->start = here;
            continue;
        }
        if (out->entry[0] != ENTRY_FREE && !(out->entry[ENTRY_ATTRIBUTES] & ATTRIBUTE_LABEL) &&
            !entry_is_dots(out->entry)) {
            out->place = here;
            break;
        }
        long_begin(&name);
    }
    if (long_is_of(&name, out->entry)) {
        out->name = name.name;
    } else {
        out->start = out->place;
        name_from_short(out->entry, &out->name);
    }
    return FILE_OK;
}

enum file_error item_find(struct fat *fat, uint32_t first, const struct name *name,
                          struct item *out)
{
    struct place place = place_begin(first);

    do
        TRY(item_next(fat, &place, out));
    while (!name_is(&out->name, name));
    return FILE_OK;
}

/* ---- adding ---- */

/* OK: no item has that short name. */
static enum file_error short_is_new(struct fat *fat, uint32_t first, const uint8_t *short_name)
{
    struct place place = place_begin(first);
    struct item item;
    enum file_error error;

    while ((error = item_next(fat, &place, &item)) == FILE_OK)
        if (memcmp(item.entry, short_name, SHORT_BYTES) == 0)
            return FILE_EXISTS;
    return error == FILE_NOT_FOUND ? FILE_OK : error;
}

/* A cluster of free entries behind the last one; it is on the disk before anything leads to it. */
static enum file_error extend(struct fat *fat, const struct place *last, struct place *out)
{
    uint32_t cluster;

    if (last->index + 1 + entries_per_cluster(fat) > ENTRIES_MAX)
        return FILE_FULL;
    TRY(cluster_take(fat, &cluster));
    TRY(sectors_clear(fat, cluster_sector(fat, cluster), fat->cluster_sectors));
    TRY(barrier(fat));
    TRY(table_set(fat, last->cluster, cluster));
    *out = (struct place){last->first, cluster, last->index + 1};
    return FILE_OK;
}

/* So many free entries in a row. *end: the one that is to be the end of the directory; no cluster: none has to. */
static enum file_error find_room(struct fat *fat, uint32_t first, unsigned needed,
                                 struct place *start, struct place *end)
{
    struct place place = place_begin(first), last = place;
    bool behind = false; /* the end: all entries are free, whatever they hold */
    unsigned run = 0;

    while (run < needed) {
        const uint8_t *entry;
        if (!place.cluster)
            TRY(extend(fat, &last, &place));
        TRY(place_get(fat, &place, &entry));
        behind |= entry[0] == 0;
        if (!behind && entry[0] != ENTRY_FREE)
            run = 0;
        else if (run++ == 0)
            *start = place;
        last = place;
        TRY(place_next(fat, &place));
    }
    *end = place;
    if (!behind)
        end->cluster = 0;
    return FILE_OK;
}

/* All parts of the name and the end mark; they are on the disk before the short entry if it is in another sector. */
static enum file_error put_name(struct fat *fat, const struct name *name, const uint8_t *short_name,
                                unsigned parts, const struct place *end, struct place *place)
{
    uint32_t first, sector, offset;
    uint8_t *entry;

    place_sector(fat, place, &first, &offset);
    for (unsigned n = parts; n > 0; n--) {
        TRY(item_change(fat, place, &entry));
        long_part(name, n, short_name, entry);
        TRY(place_next(fat, place));
    }
    place_sector(fat, place, &sector, &offset);
    bool apart = sector != first;
    if (end->cluster) {
        TRY(item_change(fat, end, &entry));
        entry[0] = 0;
        place_sector(fat, end, &first, &offset);
        apart |= sector != first;
    }
    return apart ? barrier(fat) : FILE_OK;
}

enum file_error item_add(struct fat *fat, uint32_t first, const struct name *name, uint8_t *entry,
                         struct place *place)
{
    struct place end;
    uint8_t *at;
    bool is_short = name_to_short(name, entry);
    enum file_error taken = is_short ? short_is_new(fat, first, entry) : FILE_EXISTS;

    is_short = taken == FILE_OK;
    for (unsigned i = 0; taken == FILE_EXISTS && i < SHORTENINGS; i++) {
        name_shorten(name, i, entry);
        taken = short_is_new(fat, first, entry);
    }
    TRY(taken);
    unsigned parts = is_short ? 0 : long_parts(name);
    TRY(find_room(fat, first, parts + 1, place, &end));
    TRY(put_name(fat, name, entry, parts, &end, place));
    TRY(item_change(fat, place, &at));
    memcpy(at, entry, ENTRY_BYTES);
    return FILE_OK;
}

/* The short entry goes first: without it the parts of the long name are nothing. */
enum file_error item_remove(struct fat *fat, const struct item *item)
{
    struct place place = item->start;
    uint32_t sector, own, offset;
    uint8_t *entry;

    TRY(item_change(fat, &item->place, &entry));
    entry[0] = ENTRY_FREE;
    place_sector(fat, &item->place, &own, &offset);
    place_sector(fat, &place, &sector, &offset);
    if (sector != own)
        TRY(barrier(fat));
    while (place.index != item->place.index) {
        TRY(item_change(fat, &place, &entry));
        entry[0] = ENTRY_FREE;
        TRY(place_next(fat, &place));
    }
    return FILE_OK;
}
