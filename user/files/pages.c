/*
 * What of a file is in memory: a memory object whose pager is the server. See server.h.
 *
 * The server sees an object through a window of its own, which it only reads, and only where a page was written: so it
 * never waits for itself.
 */
#include "server.h"

#include <lib/string.h>
#include <user/slots.h>
#include <user/space.h>

#define WINDOWS 0x0000310000000000ull /* on what of each file is in memory */
#define WINDOW_BYTES 0x0000000100000000ull
#define AHEAD 16u /* pages that come together */

static uint8_t *window_of(const struct open_file *open)
{
    return (uint8_t *)(uintptr_t)(WINDOWS + (uint64_t)(open - server.files) * WINDOW_BYTES);
}

enum file_error pages_write_back_part(const struct open_file *open, uint64_t offset, uint64_t bytes)
{
    uint64_t end = pages_of(open), first = offset / PAGE_BYTES;

    if (!open->object || !open->file || first >= end)
        return FILE_OK;
    if (bytes <= (end - first) * PAGE_BYTES - offset % PAGE_BYTES)
        end = PAGE_ALIGN(offset + bytes) / PAGE_BYTES;
    for (; first < end; first += QY_WRITTEN_MAX) {
        uint64_t written, pages = end - first < QY_WRITTEN_MAX ? end - first : QY_WRITTEN_MAX;
        if (memory_written(open->object, first, pages, &written) != QY_OK)
            return FILE_IO;
        for (; written; written &= written - 1) {
            uint64_t at = (first + (unsigned)__builtin_ctzll(written)) * PAGE_BYTES;
            uint64_t rest = bytes_of(open) - at;
            enum file_error error = fat_write(&server.fat, open->file, at, window_of(open) + at,
                                              rest < PAGE_BYTES ? rest : PAGE_BYTES);
            if (error != FILE_OK)
                return error;
        }
    }
    return FILE_OK;
}

enum file_error pages_write_back(const struct open_file *open)
{
    return pages_write_back_part(open, 0, UINT64_MAX);
}

enum file_error pages_write_back_all(void)
{
    enum file_error error = FILE_OK;

    for (unsigned i = 0; i < OPEN_MAX && error == FILE_OK; i++)
        error = server.files[i].users ? pages_write_back(&server.files[i]) : FILE_OK;
    return error;
}

enum file_error pages_refresh(const struct open_file *open, uint64_t from)
{
    uint64_t pages = pages_of(open), first = from / PAGE_BYTES;

    if (!open->object)
        return FILE_OK;
    enum qy_error error = memory_resize(open->object, pages);
    if (error == QY_OK && first < pages)
        error = memory_discard(open->object, first, pages - first);
    return error == QY_OK ? FILE_OK : FILE_IO;
}

/* So much stays free: writing back takes page tables of our own, and a fault of ours for want of memory nobody would serve. */
#define SPARE_PAGES 48u

static bool memory_is_scarce(void)
{
    struct untyped_state budget;

    return untyped_info(QY_SLOT_UNTYPED, &budget) == QY_OK &&
           budget.free_bytes < (AHEAD + SPARE_PAGES) * PAGE_BYTES;
}

/* Memory is used up: nothing has to be in it. */
static enum file_error give_memory_back(void)
{
    clients_look();
    enum file_error error = pages_write_back_all();

    for (unsigned i = 0; i < OPEN_MAX && error == FILE_OK; i++)
        if (server.files[i].users)
            error = pages_refresh(&server.files[i], 0);
    return error;
}

/* What the file has from a page on; behind its end, zeroes. */
static enum file_error read_batch(const struct open_file *open, uint64_t page,
                                  uint8_t batch[AHEAD * PAGE_BYTES])
{
    uint64_t offset = page * PAGE_BYTES, left = bytes_of(open) - offset;
    size_t bytes = AHEAD * PAGE_BYTES, done = bytes < left ? bytes : (size_t)left;
    enum file_error error = FILE_OK;

    if (open->file)
        error = fat_read(&server.fat, open->file, offset, batch, done, &done);
    else
        memcpy(batch, open->archive.at + offset, done);
    if (error == FILE_OK)
        memset(batch + done, 0, bytes - done);
    return error;
}

enum file_error pages_supply(const struct open_file *open, uint64_t page)
{
    static uint8_t batch[AHEAD * PAGE_BYTES] __attribute__((aligned(16)));
    enum qy_error supplied = QY_OUT_OF_MEMORY;
    enum file_error error = FILE_OK;

    for (unsigned turn = 0; turn < 2 && error == FILE_OK && supplied == QY_OUT_OF_MEMORY; turn++) {
        uint64_t pages = pages_of(open) - page;
        pages = pages < AHEAD ? pages : AHEAD;
        if (turn || memory_is_scarce())
            error = give_memory_back();
        if (error == FILE_OK) /* after that: what is taken out of memory comes to the file first */
            error = read_batch(open, page, batch);
        if (error == FILE_OK)
            supplied = memory_supply(open->object, page, &pages, batch);
    }
    return error == FILE_OK && supplied != QY_OK ? FILE_NO_MEMORY : error;
}

enum file_error pages_map(struct open_file *open)
{
    uint64_t at = (uintptr_t)window_of(open), written;
    unsigned rights = QY_RIGHT_READ | QY_RIGHT_GRANT | (open->file ? QY_RIGHT_WRITE : 0);

    if (open->object)
        return FILE_OK;
    enum qy_error error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_MEMORY, pages_of(open), &open->object);
    if (error == QY_OK)
        error =
            memory_pager(open->object, server.endpoint, PAGER | (uint64_t)(open - server.files));
    if (error == QY_OK)
        error = memory_written(open->object, 0, 0, &written); /* from now on reads are no writes */
    if (error == QY_OK)
        error = space_map_object(QY_SLOT_SPACE, &at, WINDOW_BYTES,
                                 QY_MAP_READ | QY_REGION(QY_REGION_MAPPED), open->object, 0);
    if (error == QY_OK) {
        struct call_result r = cap_copy(QY_SLOT_NODE, slot_take(), open->object, rights, 1);
        error = r.error;
        open->view = r.value[1];
    }
    if (error != QY_OK) {
        slot_delete(open->object);
        open->object = 0;
    }
    return error == QY_OK ? FILE_OK : FILE_NO_MEMORY;
}

enum file_error pages_end(struct open_file *open)
{
    if (!open->object)
        return FILE_OK;
    enum qy_error error =
        space_unmap_region(QY_SLOT_SPACE, (uintptr_t)window_of(open), WINDOW_BYTES);
    if (error == QY_OK)
        error = cap_revoke(open->object);
    slot_forget(open->view);
    slot_delete(open->object);
    open->object = 0;
    return error == QY_OK ? FILE_OK : FILE_IO;
}
