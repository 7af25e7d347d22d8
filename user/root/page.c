/*
 * First part of the demonstration: a page of memory is retyped, mapped with the tables that it
 * lacks, written, read, and given back. Every step is a call of the kernel, and the kernel's
 * answers are printed.
 */
#include "root.h"

#define PATTERN 0x9e3779b97f4a7c15ull

static bool all_zero(const volatile uint64_t *page)
{
    for (unsigned i = 0; i < PAGE_BYTES / sizeof(*page); i++)
        if (page[i])
            return false;
    return true;
}

static bool holds_pattern(volatile uint64_t *page)
{
    for (unsigned i = 0; i < PAGE_BYTES / sizeof(*page); i++)
        page[i] = PATTERN * (i + 1);
    for (unsigned i = 0; i < PAGE_BYTES / sizeof(*page); i++)
        if (page[i] != PATTERN * (i + 1))
            return false;
    return true;
}

/* Lowest level first: a table must be empty to be taken out. */
static void drop_tables(struct root *root, const struct tables *tables)
{
    for (unsigned i = tables->count; i-- > 0;) {
        enum qy_error error = table_unmap(tables->handle[i]);
        if (error == QY_OK)
            error = cap_delete(tables->handle[i]);
        root_said(error, "take the table of level %u out and delete it", tables->level[i]);
        root_check(root, error == QY_OK, "a page table could not be deleted");
    }
}

/* Map, look, write, unmap. The frame exists. */
static void use_frame(struct root *root, qy_handle_t frame, struct tables *tables)
{
    volatile uint64_t *page = (volatile uint64_t *)ROOT_PAGE_ADDRESS;
    enum qy_error error = root_map(root, root->untyped, frame, ROOT_PAGE_ADDRESS,
                                   QY_MAP_READ | QY_MAP_WRITE, true, tables);

    if (!root_check(root, error == QY_OK, "the frame could not be mapped"))
        return;
    root_check(root, tables->count == 3, "the kernel did not ask for the three missing tables");
    bool zero = all_zero(page);
    print("   %-60s  %s\n", "read its 4096 bytes: nothing of an earlier owner is left",
          zero ? "all zero" : "NO");
    root_check(root, zero, "new memory was not zero");
    bool held = holds_pattern(page);
    print("   %-60s  %s\n", "fill it with a pattern and read it back", held ? "as written" : "NO");
    root_check(root, held, "memory did not hold what was written");
    uint64_t start = clock_ticks();
    error = frame_unmap(frame, QY_SLOT_SPACE, ROOT_PAGE_ADDRESS);
    root_cost(root, "unmap a frame", clock_ticks() - start);
    root_said(error, "unmap the frame");
    root_check(root, error == QY_OK, "the frame could not be unmapped");
}

void show_page(struct root *root)
{
    uint32_t mark = root_mark(root);
    struct untyped_state before, after;
    struct tables tables = {0};
    qy_handle_t frame;

    print("\n2. A page of memory, mapped by hand\n");
    if (!root_check(root, untyped_info(root->untyped, &before) == QY_OK,
                    "the untyped cannot be asked"))
        return;
    uint64_t start = clock_ticks();
    enum qy_error error = root_make(root, root->untyped, QY_OBJ_FRAME, 1, &frame);
    root_cost(root, "retype a frame", clock_ticks() - start);
    root_said(error, "retype a frame of 4 KiB out of untyped %u", QY_HANDLE_INDEX(root->untyped));
    if (!root_check(root, error == QY_OK, "no frame could be made"))
        return;
    print("   it shall appear at address %R\n", ROOT_PAGE_ADDRESS);
    use_frame(root, frame, &tables);
    start = clock_ticks();
    error = cap_delete(frame);
    root_cost(root, "delete a frame", clock_ticks() - start);
    root_said(error, "delete the frame");
    root_check(root, error == QY_OK, "the frame could not be deleted");
    drop_tables(root, &tables);
    root_release(root, mark);
    bool same =
        untyped_info(root->untyped, &after) == QY_OK && after.free_bytes == before.free_bytes;
    print("   free in the untyped: %llu bytes before, %llu after\n",
          (unsigned long long)before.free_bytes, (unsigned long long)after.free_bytes);
    root_check(root, same, "the page and its tables were not given back whole");
}
