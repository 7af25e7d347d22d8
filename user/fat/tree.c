/*
 * Paths: what is opened, made, removed, renamed and listed by its name. See fat.h.
 */
#include "fat_impl.h"

#include <lib/string.h>

/* The directory of the last name of a path, and that name. */
static enum file_error find_parent(struct fat *fat, const char *path, uint32_t *parent,
                                   struct name *name)
{
    struct item item;

    *parent = fat->root;
    path += *path == '/';
    for (unsigned depth = 0; depth < FAT_DEPTH; depth++) {
        TRY(name_from_path(&path, name));
        if (!*path)
            return FILE_OK;
        path++;
        TRY(item_find(fat, *parent, name, &item));
        if (!entry_is_directory(item.entry))
            return FILE_NOT_DIRECTORY;
        *parent = entry_first(item.entry);
    }
    return FILE_TOO_MANY;
}

static enum file_error find(struct fat *fat, const char *path, struct item *out)
{
    uint32_t parent;
    struct name name;

    TRY(find_parent(fat, path, &parent, &name));
    return item_find(fat, parent, &name, out);
}

static bool is_root(const char *path)
{
    return path[path[0] == '/'] == 0;
}

/* A new entry without clusters. */
static void entry_begin(const struct fat *fat, uint8_t *entry, unsigned attributes)
{
    memset(entry, 0, ENTRY_BYTES);
    entry[ENTRY_ATTRIBUTES] = (uint8_t)attributes;
    put32(entry + 14, fat->now);       /* made */
    put16(entry + 18, fat->now >> 16); /* read */
    put32(entry + 22, fat->now);       /* written; the cluster's lower half follows */
}

/* ---- files ---- */

static enum file_error take_file(struct fat *fat, const struct item *item, struct fat_file **out)
{
    struct fat_file *file = file_at(fat, &item->place);

    for (unsigned i = 0; !file && i < FAT_FILES; i++)
        if (!fat->files[i].users)
            file = &fat->files[i];
    if (!file)
        return FILE_TOO_MANY;
    *out = file;
    if (file->users++)
        return FILE_OK;
    uint32_t first = entry_first(item->entry), bytes = get32(item->entry + ENTRY_SIZE);
    *file = (struct fat_file){
        .users = 1, .first = first, .bytes = bytes, .disk_first = first, .disk_bytes = bytes};
    place_sector(fat, &item->place, &file->entry_sector, &file->entry_offset);
    return FILE_OK;
}

enum file_error fat_open(struct fat *fat, const char *path, bool create, struct fat_file **out)
{
    uint32_t parent;
    struct name name;
    struct item item;

    TRY(find_parent(fat, path, &parent, &name));
    enum file_error error = item_find(fat, parent, &name, &item);
    if (error == FILE_NOT_FOUND && create) {
        TRY(change_begin(fat));
        entry_begin(fat, item.entry, ATTRIBUTE_ARCHIVE);
        error = item_add(fat, parent, &name, item.entry, &item.place);
    }
    TRY(error);
    return entry_is_directory(item.entry) ? FILE_IS_DIRECTORY : take_file(fat, &item, out);
}

/* ---- directories ---- */

/* "." and "..", then nothing. */
static enum file_error fill_directory(struct fat *fat, uint32_t cluster, uint32_t parent)
{
    uint8_t *sector;

    TRY(sectors_clear(fat, cluster_sector(fat, cluster), fat->cluster_sectors));
    TRY(sector_change(fat, cluster_sector(fat, cluster), &sector));
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *entry = sector + i * ENTRY_BYTES;
        entry_begin(fat, entry, ATTRIBUTE_DIRECTORY);
        memset(entry, ' ', SHORT_BYTES);
        memset(entry, '.', i + 1);
        entry_set_first(entry, i == 0 ? cluster : parent == fat->root ? 0 : parent);
    }
    return barrier(fat);
}

enum file_error fat_make_directory(struct fat *fat, const char *path)
{
    uint32_t parent, cluster;
    struct name name;
    struct item item;

    TRY(find_parent(fat, path, &parent, &name));
    enum file_error error = item_find(fat, parent, &name, &item);
    if (error != FILE_NOT_FOUND)
        return error == FILE_OK ? FILE_EXISTS : error;
    TRY(change_begin(fat));
    TRY(cluster_take(fat, &cluster));
    TRY(fill_directory(fat, cluster, parent));
    entry_begin(fat, item.entry, ATTRIBUTE_DIRECTORY);
    entry_set_first(item.entry, cluster);
    error = item_add(fat, parent, &name, item.entry, &item.place);
    if (error != FILE_OK)
        TRY(chain_free(fat, cluster));
    return error;
}

enum file_error fat_remove(struct fat *fat, const char *path)
{
    struct item item, inside;

    TRY(find(fat, path, &item));
    if (entry_is_directory(item.entry)) {
        struct place place = place_begin(entry_first(item.entry));
        enum file_error error = item_next(fat, &place, &inside);
        if (error != FILE_NOT_FOUND)
            return error == FILE_OK ? FILE_NOT_EMPTY : error;
    } else if (file_at(fat, &item.place)) {
        return FILE_BUSY;
    }
    TRY(change_begin(fat));
    TRY(item_remove(fat, &item));
    TRY(barrier(fat));
    return chain_free(fat, entry_first(item.entry));
}

/* ---- rename ---- */

/* One sector says whose clusters the target has: at any moment it is the old file or the new one. */
static enum file_error replace(struct fat *fat, const struct item *from, const struct item *target)
{
    uint8_t *entry;

    TRY(item_change(fat, &target->place, &entry));
    memcpy(entry + ENTRY_ATTRIBUTES, from->entry + ENTRY_ATTRIBUTES, ENTRY_BYTES - SHORT_BYTES);
    entry[ENTRY_FLAGS] = target->entry[ENTRY_FLAGS] & (uint8_t)~FLAG_RENAMED;
    TRY(barrier(fat));
    TRY(item_remove(fat, from));
    return chain_free(fat, entry_first(target->entry));
}

static enum file_error give_name(struct fat *fat, struct item *from, uint32_t parent,
                                 const struct name *name)
{
    struct place place;
    struct fat_file *file = file_at(fat, &from->place);
    uint8_t entry[ENTRY_BYTES];

    memcpy(entry, from->entry, ENTRY_BYTES);
    entry[ENTRY_FLAGS] = 0;
    TRY(item_add(fat, parent, name, entry, &place));
    TRY(barrier(fat));
    if (file)
        place_sector(fat, &place, &file->entry_sector, &file->entry_offset);
    return item_remove(fat, from);
}

enum file_error fat_rename(struct fat *fat, const char *from, const char *to)
{
    uint32_t from_parent, parent;
    struct name name;
    struct item item, target;
    uint8_t *entry;

    TRY(find_parent(fat, from, &from_parent, &name));
    TRY(item_find(fat, from_parent, &name, &item));
    TRY(find_parent(fat, to, &parent, &name));
    enum file_error there = item_find(fat, parent, &name, &target);
    if (there != FILE_OK && there != FILE_NOT_FOUND)
        return there;
    bool same = there == FILE_OK && target.place.first == item.place.first &&
                target.place.index == item.place.index;
    bool replaces = there == FILE_OK && !same;
    if (replaces && (entry_is_directory(item.entry) || entry_is_directory(target.entry)))
        return FILE_EXISTS;
    if (replaces && (file_at(fat, &target.place) || file_at(fat, &item.place)))
        return FILE_BUSY;
    if (entry_is_directory(item.entry) && parent != from_parent)
        return FILE_UNSUPPORTED;
    TRY(change_begin(fat));
    TRY(item_change(fat, &item.place, &entry));
    entry[ENTRY_FLAGS] |= FLAG_RENAMED;
    TRY(barrier(fat));
    return replaces ? replace(fat, &item, &target) : give_name(fat, &item, parent, &name);
}

/* ---- looks ---- */

static void describe(const struct item *item, struct fat_info *out)
{
    name_to_text(&item->name, out->name);
    out->directory = entry_is_directory(item->entry);
    out->bytes = out->directory ? 0 : get32(item->entry + ENTRY_SIZE);
}

enum file_error fat_look(struct fat *fat, const char *path, struct fat_info *out)
{
    struct item item;

    if (is_root(path)) {
        *out = (struct fat_info){.directory = true};
        return FILE_OK;
    }
    TRY(find(fat, path, &item));
    describe(&item, out);
    const struct fat_file *file = file_at(fat, &item.place);
    if (file)
        out->bytes = file->bytes;
    return FILE_OK;
}

enum file_error fat_list(struct fat *fat, const char *path, uint32_t *position,
                         struct fat_info *out)
{
    uint32_t first = fat->root;
    struct item item;

    if (!is_root(path)) {
        TRY(find(fat, path, &item));
        if (!entry_is_directory(item.entry))
            return FILE_NOT_DIRECTORY;
        first = entry_first(item.entry);
    }
    struct place place = place_begin(first);
    while (place.index < *position && place.cluster)
        TRY(place_next(fat, &place));
    TRY(item_next(fat, &place, &item));
    *position = place.index;
    describe(&item, out);
    const struct fat_file *file = file_at(fat, &item.place);
    if (file)
        out->bytes = file->bytes;
    return FILE_OK;
}
