/*
 * A space with every kind of page that regions make, left as it is: with translations=last the kernel prints what it
 * maps when the machine is switched off, and the emulator's monitor is asked the same (tests/boot/seen.sh).
 *
 *     AT      written | read | read only | no rights | shared with a clone | copied from it | never touched
 *     LARGE   one page of 2 MiB, and one that is split: its first 4 KiB are read only, CODE of it are executable
 */
#include "root.h"

#define AT (ROOT_CHILD_ADDRESS + 0x10000000000ull)
#define LARGE (AT + 0x40000000ull)
#define LARGE_PAGES 512u
#define LARGE_BYTES (LARGE_PAGES * PAGE_BYTES)
#define CODE 5u
#define RW (QY_MAP_READ | QY_MAP_WRITE)

/* An instruction that returns. */
#ifdef __x86_64__
static const uint32_t returns = 0xc3;
#else
static const uint32_t returns = 0x00008067;
#endif

static volatile uint64_t *page(unsigned i)
{
    return (volatile uint64_t *)(AT + i * PAGE_BYTES);
}

static enum qy_error regions(struct root *root)
{
    uint64_t at = AT, shared = AT;
    qy_handle_t budget, other, space;
    enum qy_error error = root_make(root, root->untyped, QY_OBJ_UNTYPED, 256, &budget);

    if (error == QY_OK)
        error = root_make(root, root->untyped, QY_OBJ_UNTYPED, 256, &other);
    if (error == QY_OK)
        error = root_make(root, other, QY_OBJ_ADDRESS_SPACE, 1, &space);
    if (error == QY_OK)
        error = space_bind(QY_SLOT_SPACE, budget);
    if (error == QY_OK)
        error = space_bind(space, other);
    if (error == QY_OK)
        error = space_map_region(QY_SLOT_SPACE, &at, 8 * PAGE_BYTES, RW, 0);
    if (error != QY_OK)
        return error;
    for (unsigned i = 0; i < 6; i++)
        if (i != 1)
            *page(i) = i;
    (void)*page(1);
    error = space_protect_region(QY_SLOT_SPACE, AT + 2 * PAGE_BYTES, PAGE_BYTES, QY_MAP_READ);
    if (error == QY_OK)
        error = space_protect_region(QY_SLOT_SPACE, AT + 3 * PAGE_BYTES, PAGE_BYTES, 0);
    if (error == QY_OK)
        error = space_clone(space, QY_SLOT_SPACE, &shared, AT + 8 * PAGE_BYTES);
    if (error == QY_OK) {
        *page(5) = 55;
        (void)*page(2);
    }
    return error;
}

static enum qy_error large_page(struct root *root, uint64_t at)
{
    qy_handle_t frame;
    enum qy_error error = root_make(root, root->untyped, QY_OBJ_FRAME, LARGE_PAGES, &frame);

    return error == QY_OK ? root_map(root, root->untyped, frame, at, RW, false, NULL) : error;
}

/* One page of a large one is written, then executed; what lies beside it is still written. */
static enum qy_error code_among_data(uint64_t at)
{
    volatile uint32_t *code = (volatile uint32_t *)(at + CODE * PAGE_BYTES);
    volatile uint32_t *before = (volatile uint32_t *)(at + CODE * PAGE_BYTES - sizeof(*code));
    volatile uint32_t *behind = (volatile uint32_t *)(at + (CODE + 1) * PAGE_BYTES);
    *code = returns;
    enum qy_error error =
        space_protect_region(QY_SLOT_SPACE, (uintptr_t)code, PAGE_BYTES, QY_MAP_READ | QY_MAP_EXEC);
    if (error == QY_OK) {
        ((void (*)(void))(uintptr_t)code)();
        *before = *behind = *code;
    }
    return error;
}

void seen_run(struct root *root)
{
    enum qy_error error = regions(root);

    if (error == QY_OK)
        error = large_page(root, LARGE);
    if (error == QY_OK)
        error = large_page(root, LARGE + LARGE_BYTES);
    if (error == QY_OK)
        error = space_protect_region(QY_SLOT_SPACE, LARGE + LARGE_BYTES, PAGE_BYTES, QY_MAP_READ);
    if (error == QY_OK)
        error = code_among_data(LARGE + LARGE_BYTES);
    root_said(error, "pages of all kinds, of regions and of large frames");
    root_check(root, error == QY_OK, "the pages to look at could not be made");
}
