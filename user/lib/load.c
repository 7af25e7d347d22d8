/*
 * Loading: the bytes of an image, into frames of a process's budget. See user/process.h.
 *
 *     file bytes --copy--> frame, mapped at the loader's WINDOW, rw-
 *                          unmapped there; mapped in the process with the segment's rights
 *                          its capability moves into the process's node
 *
 * Frames are as large as alignment and length allow, so that an image takes few capabilities: the last pages of a
 * segment are smaller ones. Checking is platform/elf.c's, which is fuzzed.
 */
#include "load.h"

#include <lib/string.h>
#include <platform/parse.h>
#include <user/program.h>
#include <user/slots.h>

#if defined(__riscv)
#define MACHINE_ELF 243u
#else
#define MACHINE_ELF 62u
#endif

#define USER_END 0x0000800000000000ull
#define WINDOW 0x0000600000000000ull
#define ORDER_MAX 6u

struct file boot_archive(uint64_t bytes)
{
    return (struct file){(const unsigned char *)QY_ROOT_ARCHIVE_ADDRESS, bytes};
}

enum qy_error archive_find(struct file archive, const char *name, struct file *out)
{
    struct qy_file found;
    enum qy_error error = qy_cpio_find((struct qy_bytes){archive.at, archive.bytes}, name, &found);
    if (error == QY_OK)
        *out = (struct file){found.data.at, found.data.count};
    return error;
}

enum qy_error load_check(struct file image, uint64_t *entry, const char **why)
{
    unsigned segments;

    return qy_elf_check((struct qy_bytes){image.at, image.bytes}, MACHINE_ELF, USER_END, entry,
                        &segments, why);
}

/* Put a capability of ours into the process's node; its slot here is free again. */
static enum qy_error hand_over(struct process *process, qy_handle_t handle)
{
    enum qy_error error = cap_move(process->node, process->next_slot, handle).error;

    /* INVALID_ARGUMENT: its node ends here. */
    if (error != QY_OK)
        return error == QY_INVALID_ARGUMENT ? QY_TOO_MANY : error;
    process->next_slot++;
    slot_give(QY_HANDLE_INDEX(handle));
    return QY_OK;
}

/* What a frame is to hold: zeroes, the file's bytes, zeroes. */
struct filling {
    uint64_t skip; /* of the frame, before them */
    const unsigned char *from;
    size_t bytes;
};

/* Copy into a frame through the window, which is closed again when this returns. */
static enum qy_error fill_frame(const struct process *process, qy_handle_t frame,
                                const struct filling *filling)
{
    struct tables tables;

    if (!filling->bytes)
        return QY_OK;
    enum qy_error error = space_map_frame(process->budget, QY_SLOT_SPACE, frame, WINDOW,
                                          QY_MAP_READ | QY_MAP_WRITE, &tables);
    if (error == QY_OK) {
        memcpy((unsigned char *)WINDOW + filling->skip, filling->from, filling->bytes);
        error = frame_unmap(frame, QY_SLOT_SPACE, WINDOW);
    }
    tables_delete(&tables);
    return error;
}

static enum qy_error map_frame(struct process *process, qy_handle_t frame, uint64_t address,
                               uint64_t flags)
{
    struct tables tables;
    enum qy_error error =
        space_map_frame(process->budget, process->space, frame, address, flags, &tables);
    for (unsigned i = 0; error == QY_OK && i < tables.count; i++) {
        error = hand_over(process, tables.handle[i]);
        if (error == QY_OK)
            tables.handle[i] = 0;
    }
    if (error == QY_OK)
        error = hand_over(process, frame);
    else
        tables_delete(&tables);
    return error;
}

/* The largest frame that begins at a page, is no longer than `pages`, and that the budget has. */
static enum qy_error take_frame(const struct process *process, uint64_t page, uint64_t pages,
                                unsigned *order, qy_handle_t *frame)
{
    enum qy_error error;

    *order = ORDER_MAX;
    while ((1ull << *order) > pages || page % (PAGE_BYTES << *order))
        (*order)--;
    while ((error = slot_make(process->budget, QY_OBJ_FRAME, 1ull << *order, frame)) ==
               QY_OUT_OF_MEMORY &&
           *order)
        (*order)--;
    return error;
}

/* Frames up to the last page that holds something of the file. */
static enum qy_error load_frames(struct process *process, uint64_t page, struct filling all,
                                 uint64_t flags)
{
    uint64_t pages = PAGE_ALIGN(all.skip + all.bytes) / PAGE_BYTES;
    enum qy_error error = QY_OK;

    while (pages && error == QY_OK) {
        struct filling part = all;
        qy_handle_t frame;
        unsigned order;
        error = take_frame(process, page, pages, &order, &frame);
        if (error != QY_OK)
            break;
        uint64_t room = (PAGE_BYTES << order) - all.skip;
        part.bytes = all.bytes < room ? all.bytes : room;
        error = fill_frame(process, frame, &part);
        if (error == QY_OK)
            error = map_frame(process, frame, page, flags);
        if (error != QY_OK)
            slot_delete(frame);
        all = (struct filling){0, all.from + part.bytes, all.bytes - part.bytes};
        page += PAGE_BYTES << order;
        pages -= 1ull << order;
    }
    return error;
}

enum qy_error load_bytes(struct process *process, uint64_t address, struct file file,
                         uint64_t bytes, uint64_t flags)
{
    uint64_t page = address & ~(PAGE_BYTES - 1), skip = address - page;
    uint64_t rest = page + PAGE_ALIGN(skip + file.bytes), end = PAGE_ALIGN(address + bytes);
    enum qy_region_kind kind = flags & QY_MAP_EXEC ? QY_REGION_CODE : QY_REGION_DATA;
    enum qy_error error =
        load_frames(process, page, (struct filling){skip, file.at, file.bytes}, flags);

    if (error == QY_OK && rest < end)
        error = space_map_region(process->space, &rest, end - rest, flags | QY_REGION(kind), 0);
    return error;
}

enum qy_error load_image(struct process *process, struct file image)
{
    struct qy_bytes file = {image.at, image.bytes};
    struct qy_elf_segment segment;
    enum qy_error error = QY_OK;

    for (unsigned i = 0; error == QY_OK; i++) {
        segment = qy_elf_segment(file, i);
        if (!segment.memory_bytes) /* there are no more */
            break;
        error =
            load_bytes(process, segment.address, (struct file){segment.data.at, segment.data.count},
                       segment.memory_bytes, segment.flags | QY_MAP_READ);
    }
    return error;
}
