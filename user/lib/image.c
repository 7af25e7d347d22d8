/*
 * See user/image.h.
 */
#include <lib/string.h>
#include <user/image.h>
#include <user/slots.h>
#include <user/space.h>

#if defined(__riscv)
#define MACHINE_ELF 243u
#else
#define MACHINE_ELF 62u
#endif

#define USER_END 0x0000800000000000ull
#define CHUNK_PAGES 16u
#define WRITABLE 2u

enum qy_error image_check(struct file file, struct qy_elf *out, const char **why)
{
    return qy_elf_read((struct qy_bytes){file.at, file.bytes}, MACHINE_ELF, USER_END, out, why);
}

uint64_t image_pages(const struct qy_elf_segment *segment)
{
    return PAGE_ALIGN(segment->address % PAGE_BYTES + segment->data.count) / PAGE_BYTES;
}

/* The bytes of a segment that lie in [address, address + bytes), zeroes around them. */
static void fill(unsigned char *chunk, uint64_t address, uint64_t bytes,
                 const struct qy_elf_segment *segment)
{
    uint64_t start = segment->address, end = start + segment->data.count;
    uint64_t from = start > address ? start : address;
    uint64_t to = end < address + bytes ? end : address + bytes;

    memset(chunk, 0, bytes);
    if (from < to)
        memcpy(chunk + (from - address), segment->data.at + (from - start), to - from);
}

enum qy_error image_supply(qy_handle_t object, uint64_t first, const struct qy_elf_segment *segment,
                           const struct qy_elf_part *parts, unsigned count, unsigned which)
{
    static unsigned char chunk[CHUNK_PAGES * PAGE_BYTES] __attribute__((aligned(16)));
    uint64_t address = segment->address & ~(PAGE_BYTES - 1);
    uint64_t left = image_pages(segment);
    enum qy_error error = QY_OK;

    while (left && error == QY_OK) {
        uint64_t pages = left < CHUNK_PAGES ? left : CHUNK_PAGES;
        fill(chunk, address, pages * PAGE_BYTES, segment);
        if (segment->flags & WRITABLE)
            qy_elf_relocate(parts, count, which, address, chunk, pages * PAGE_BYTES);
        error = memory_supply(object, first, &pages, chunk);
        address += pages * PAGE_BYTES;
        first += pages;
        left -= pages;
    }
    return error;
}

/* All that is not writable. */
static enum qy_error image_fill(const struct image *image)
{
    enum qy_error error = QY_OK;
    uint64_t first = 0;

    for (unsigned i = 0; error == QY_OK && i < image->elf.segments; i++) {
        struct qy_elf_segment segment = qy_elf_segment(image->elf.file, i);
        if (segment.flags & WRITABLE)
            continue;
        error = image_supply(image->object, first, &segment, NULL, 0, 0);
        first += image_pages(&segment);
    }
    return error;
}

static uint64_t constant_pages(const struct qy_elf *elf)
{
    uint64_t pages = 0;

    for (unsigned i = 0; i < elf->segments; i++) {
        struct qy_elf_segment segment = qy_elf_segment(elf->file, i);
        pages += segment.flags & WRITABLE ? 0 : image_pages(&segment);
    }
    return pages;
}

enum qy_error images_find(struct images *images, const struct qy_elf *elf, qy_handle_t *object)
{
    for (unsigned i = 0; i < images->count; i++)
        if (images->image[i].elf.file.at == elf->file.at) {
            *object = images->image[i].object;
            return QY_OK;
        }
    if (images->count == IMAGES_MAX)
        return QY_TOO_MANY;
    struct image *image = &images->image[images->count];
    *image = (struct image){.elf = *elf};
    enum qy_error error =
        slot_make(images->untyped, QY_OBJ_MEMORY, constant_pages(elf), &image->object);
    if (error != QY_OK)
        return error;
    error = image_fill(image);
    if (error != QY_OK) {
        slot_delete(image->object);
        return error;
    }
    images->count++;
    *object = image->object;
    return QY_OK;
}

void images_end(struct images *images)
{
    while (images->count)
        slot_delete(images->image[--images->count].object);
}
