/*
 * Frames of every size that a page can have, mapped by a program (word `large`): the kernel maps each with the largest
 * page, and every 2 MiB of it is its own.
 */
#include "root.h"

#define PLACE 0x300000000000ull
#define STEP (2ull << 20)
#define RW (QY_MAP_READ | QY_MAP_WRITE)

/* What was written at every step stands there, and the rest of those pages is zero. */
static bool holds(uint64_t bytes)
{
    bool good = true;

    for (uint64_t at = PLACE; at < PLACE + bytes; at += STEP)
        *(volatile uint64_t *)at = at ^ bytes;
    for (uint64_t at = PLACE; at < PLACE + bytes && good; at += STEP)
        good = *(volatile uint64_t *)at == (at ^ bytes) && !((volatile uint64_t *)at)[1];
    volatile uint64_t *last = (volatile uint64_t *)(PLACE + bytes) - 1;
    good = good && !*last;
    *last = 1;
    return good && *last == 1;
}

static void try_size(struct root *root, uint64_t bytes)
{
    uint32_t mark = root_mark(root);
    struct space_region region = {0};
    struct untyped_state before = {0};
    struct tables made = {0};
    qy_handle_t frame = 0;
    enum qy_error error = untyped_info(root->untyped, &before);

    if (error == QY_OK)
        error = root_make(root, root->untyped, QY_OBJ_FRAME, bytes / PAGE_BYTES, &frame);
    if (error == QY_OUT_OF_MEMORY && bytes > STEP) {
        print("large: the machine has no free block of %S\n", bytes);
        return;
    }
    if (error == QY_OK)
        error = root_map(root, root->untyped, frame, PLACE, RW, false, &made);
    if (error == QY_OK)
        error = space_query(QY_SLOT_SPACE, PLACE, &region);
    bool good = error == QY_OK && region.page_bytes == bytes &&
                region.end - region.start == bytes && holds(bytes);
    print("large: a frame of %S, on pages of %S: %s\n", bytes, region.page_bytes,
          good ? "each part its own" : "WRONG");
    root_check(root, good, "a large frame is not what it should be");
    error = frame_unmap(frame, QY_SLOT_SPACE, PLACE);
    while (error == QY_OK && made.count)
        error = cap_delete(made.handle[--made.count]);
    if (error == QY_OK)
        error = cap_delete(frame);
    root_check(root, error == QY_OK, "a large frame could not be given back");
    root_release(root, mark);
    root_conserved(root, &before, "a large frame was not given back whole");
}

void large_run(struct root *root)
{
    for (uint64_t bytes = PAGE_BYTES; bytes <= 1ull << 30; bytes <<= 9)
        try_size(root, bytes);
}
