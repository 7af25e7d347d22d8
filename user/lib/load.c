/*
 * Loading: the bytes of images, into pages of memory objects, into regions. See user/process.h.
 *
 *     not writable   object of the image, one for all processes (or the process's own)   private, r-x or r--
 *     writable       the process's own object, relocated for it                          private, rw-; RELRO r--
 *     beyond the file                                                                     zeroes, when touched
 *
 * Private: what is written is a copy, so a fork of the process shares it and a settle of the fork takes it along. Checking
 * and relocating are platform/elf*.c's, which are fuzzed.
 */
#include "load.h"

#include <lib/string.h>
#include <platform/parse.h>
#include <user/program.h>
#include <user/secret.h>
#include <user/slots.h>

#define SPAN_MAX                                                                                   \
    (1ull << 40) /* of all images of a process: so much room is behind any place that one gets */

struct file boot_archive(uint64_t bytes)
{
    uint64_t at = program ? program->archive : QY_ROOT_ARCHIVE_ADDRESS;

    return (struct file){(const unsigned char *)at, bytes};
}

enum qy_error archive_find(struct file archive, const char *name, struct file *out)
{
    struct qy_file found;
    enum qy_error error = qy_cpio_find((struct qy_bytes){archive.at, archive.bytes}, name, &found);
    if (error == QY_OK)
        *out = (struct file){found.data.at, found.data.count};
    return error;
}

/* ---- reading ---- */

static enum qy_error add(struct load *load, const struct process_plan *plan, struct file file,
                         const char *name, const char **why)
{
    struct qy_elf *elf = &load->elf[load->count];
    enum qy_error error = image_check(file, elf, why);

    if (error != QY_OK)
        return error;
    if (load->count ? !elf->movable || elf->tls.memory_bytes : !elf->entry) {
        *why = load->count ? "a library that cannot be moved, or has thread-local storage"
                           : "a library is no program";
        return QY_CORRUPT;
    }
    *why = "no memory or no slot for an image that is shared";
    if (plan->images)
        error = images_find(plan->images, elf, &load->shared[load->count]);
    load->part[load->count].elf = elf;
    load->name[load->count++] = name;
    return error;
}

static bool has(const struct load *load, const char *name)
{
    for (unsigned i = 1; i < load->count; i++)
        if (strcmp(load->name[i], name) == 0)
            return true;
    return false;
}

static enum qy_error add_libraries(struct load *load, const struct process_plan *plan,
                                   const char **why)
{
    for (unsigned i = 0; i < load->count; i++)
        for (unsigned n = 0; n < load->elf[i].needed_count; n++) {
            const char *name = load->elf[i].needed[n];
            struct file file;
            if (has(load, name))
                continue;
            *why = "it needs more than 4 libraries";
            if (load->count == LOAD_PARTS)
                return QY_TOO_MANY;
            *why = "a library that it needs is not there";
            enum qy_error error =
                plan->libraries.bytes ? archive_find(plan->libraries, name, &file) : QY_NOT_FOUND;
            if (error == QY_OK)
                error = add(load, plan, file, name, why);
            if (error != QY_OK)
                return error;
        }
    return QY_OK;
}

enum qy_error load_read(struct load *load, const struct process_plan *plan, const char **why)
{
    load->count = 0;
    for (unsigned i = 0; i < LOAD_PARTS; i++)
        load->shared[i] = 0;
    enum qy_error error = add(load, plan, plan->image, "", why);
    if (error == QY_OK)
        error = add_libraries(load, plan, why);
    if (error == QY_OK)
        error = qy_elf_link(load->part, load->count, why);
    uint64_t span = 0;
    for (unsigned i = 0; error == QY_OK && i < load->count; i++) {
        uint64_t bytes = load->elf[i].end - load->elf[i].start + PAGE_BYTES;
        if (load->elf[i].movable && bytes > SPAN_MAX - span) {
            *why = "its images are longer than 1 TiB";
            error = QY_TOO_MANY;
        }
        span += load->elf[i].movable ? bytes : 0;
    }
    return error;
}

/* ---- placing ---- */

void load_place(struct load *load, const struct process_plan *plan, struct process_places *out)
{
    uint64_t next;

#define X(name, base, bits, unit, down)                                                            \
    out->name = plan->fixed ? (base)                                                               \
                : (down)    ? (base)-secret_bits(bits) * (unit)                                    \
                            : (base) + secret_bits(bits) * (unit);
    PROCESS_PLACES(X)
#undef X
    next = out->image;
    for (unsigned i = 0; i < load->count; i++) {
        const struct qy_elf *elf = &load->elf[i];
        load->part[i].bias = elf->movable ? next - elf->start : 0;
        if (elf->movable) /* and a page that nothing is at */
            next += elf->end - elf->start + PAGE_BYTES;
    }
    out->image = load->part[0].bias + load->elf[0].start;
    out->image_end = load->elf[0].movable ? next : load->elf[0].end;
    out->entry = load->part[0].bias + load->elf[0].entry;
}

/* ---- mapping ---- */

static bool is_shared(const struct load *load, unsigned i, const struct qy_elf_segment *segment)
{
    return load->shared[i] && !(segment->flags & QY_MAP_WRITE);
}

uint64_t load_pages(const struct load *load)
{
    uint64_t pages = 0;

    for (unsigned i = 0; i < load->count; i++)
        for (unsigned k = 0; k < load->elf[i].segments; k++) {
            struct qy_elf_segment segment = qy_elf_segment(load->elf[i].file, k);
            pages += is_shared(load, i, &segment) ? 0 : image_pages(&segment);
        }
    return pages;
}

/* What the file has, and zeroes behind. */
static enum qy_error map_segment(qy_handle_t space, uint64_t bias,
                                 const struct qy_elf_segment *segment, qy_handle_t object,
                                 uint64_t first)
{
    uint64_t at = (segment->address & ~(PAGE_BYTES - 1)) + bias;
    uint64_t rest = at + image_pages(segment) * PAGE_BYTES;
    uint64_t end = PAGE_ALIGN(segment->address + segment->memory_bytes) + bias;
    uint64_t kind = segment->flags & QY_MAP_EXEC ? QY_REGION_CODE : QY_REGION_DATA;
    uint64_t flags = segment->flags | QY_MAP_READ | QY_REGION(kind);
    enum qy_error error = QY_OK;

    if (at < rest)
        error = space_map_object(space, &at, rest - at, flags | QY_REGION_PRIVATE, object, first);
    if (error == QY_OK && rest < end)
        error = space_map_region(space, &rest, end - rest, flags, 0);
    return error;
}

/* One image; *first moves on by the pages of the object that it took. */
static enum qy_error map_part(const struct load *load, unsigned i, qy_handle_t space,
                              qy_handle_t object, uint64_t *first)
{
    const struct qy_elf *elf = &load->elf[i];
    uint64_t bias = load->part[i].bias, shared = 0;
    enum qy_error error = QY_OK;

    for (unsigned k = 0; error == QY_OK && k < elf->segments; k++) {
        struct qy_elf_segment segment = qy_elf_segment(elf->file, k);
        bool own = !is_shared(load, i, &segment);
        uint64_t *page = own ? first : &shared;
        if (own)
            error = image_supply(object, *page, &segment, load->part, load->count, i);
        if (error == QY_OK)
            error = map_segment(space, bias, &segment, own ? object : load->shared[i], *page);
        *page += image_pages(&segment);
    }
    if (error == QY_OK && elf->relro.start < elf->relro.end)
        error = space_protect_region(space, elf->relro.start + bias,
                                     elf->relro.end - elf->relro.start, QY_MAP_READ);
    return error;
}

enum qy_error load_map(const struct load *load, qy_handle_t space, qy_handle_t object,
                       uint64_t first)
{
    enum qy_error error = QY_OK;

    for (unsigned i = 0; error == QY_OK && i < load->count; i++)
        error = map_part(load, i, space, object, &first);
    return error;
}
