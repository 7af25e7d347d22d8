/*
 * Images as memory objects: one object a segment, shared by all processes of the image. See pager.h.
 */
#include "pager.h"

#include <lib/string.h>
#include <platform/parse.h>
#include <user/slots.h>
#include <user/space.h>

/* An object whose pages are asked of the pager; made out of the pool. */
static enum qy_error segment_make(const struct pager *pager, uint64_t badge,
                                  const struct qy_elf_segment *from, struct pager_segment *out)
{
    uint64_t start = from->address & ~(PAGE_BYTES - 1), skip = from->address - start;

    if (skip) /* user.ld begins every segment on a page of its own */
        return QY_UNSUPPORTED;
    *out = (struct pager_segment){.address = start,
                                  .pages = PAGE_ALIGN(from->memory_bytes) / PAGE_BYTES,
                                  .flags = from->flags | QY_MAP_READ,
                                  .file = {from->data.at, from->data.count}};
    enum qy_error error = slot_make(pager->pool, QY_OBJ_MEMORY, out->pages, &out->object);
    return error == QY_OK ? memory_pager(out->object, pager->endpoint, badge) : error;
}

enum qy_error pager_image_find(struct pager *pager, struct file file, struct pager_image **out)
{
    unsigned i = 0;

    while (i < PAGER_IMAGES && pager->images[i].file.at && pager->images[i].file.at != file.at)
        i++;
    if (i == PAGER_IMAGES)
        return QY_TOO_MANY;
    struct pager_image *image = *out = &pager->images[i];
    if (image->file.at)
        return QY_OK;
    enum qy_error error = QY_OK;
    struct pager_image made = {.file = file};
    for (;; made.segments++) {
        struct qy_elf_segment segment =
            qy_elf_segment((struct qy_bytes){file.at, file.bytes}, made.segments);
        if (!segment.memory_bytes) /* there are no more */
            break;
        error = made.segments < PAGER_SEGMENTS
                    ? segment_make(pager, BADGE_IMAGE | (i * PAGER_SEGMENTS + made.segments),
                                   &segment, &made.segment[made.segments])
                    : QY_TOO_MANY;
        if (error != QY_OK)
            break;
    }
    if (error == QY_OK)
        *image = made;
    for (unsigned k = 0; error != QY_OK && k < PAGER_SEGMENTS; k++)
        slot_delete(made.segment[k].object);
    return error;
}

enum qy_error pager_image_map(const struct pager_image *image, const struct process *process)
{
    enum qy_error error = QY_OK;

    for (unsigned i = 0; error == QY_OK && i < image->segments; i++) {
        const struct pager_segment *segment = &image->segment[i];
        uint64_t address = segment->address, flags = segment->flags;
        flags |= flags & QY_MAP_EXEC ? QY_REGION(QY_REGION_CODE) : QY_REGION(QY_REGION_DATA);
        if (flags & QY_MAP_WRITE)
            flags |= QY_REGION_PRIVATE;
        error = space_map_object(process->space, &address, segment->pages * PAGE_BYTES, flags,
                                 segment->object, 0);
    }
    return error;
}

bool pager_image_supply(struct pager *pager, const struct pager_segment *segment, uint64_t page)
{
    static unsigned char batch[PAGER_BATCH * PAGE_BYTES] __attribute__((aligned(16)));
    uint64_t first = page - page % PAGER_BATCH, pages = segment->pages - first;
    uint64_t offset = first * PAGE_BYTES;
    struct memory_state state;

    if (memory_info(segment->object, page, &state) != QY_OK || !state.run)
        return false;
    if (state.there) /* another process was first */
        return true;
    if (pages > PAGER_BATCH)
        pages = PAGER_BATCH;
    uint64_t bytes = segment->file.bytes > offset ? segment->file.bytes - offset : 0;
    if (bytes > pages * PAGE_BYTES)
        bytes = pages * PAGE_BYTES;
    memcpy(batch, segment->file.at + offset, bytes);
    memset(batch + bytes, 0, pages * PAGE_BYTES - bytes);
    pager->image_faults++;
    if (memory_supply(segment->object, first, &pages, batch) != QY_OK || first + pages <= page)
        return false;
    pager->image_pages += pages;
    return true;
}

void pager_images_end(struct pager *pager)
{
    for (unsigned i = 0; i < PAGER_IMAGES; i++)
        for (unsigned k = 0; k < pager->images[i].segments; k++)
            slot_delete(pager->images[i].segment[k].object);
}
