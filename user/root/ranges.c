/*
 * Calls on much memory at once (word `ranges`): 64 MiB of populated pages are protected, cloned, unshared, settled, unmapped and
 * discarded, and a block of 2 MiB in parts. Needs 256 MiB of RAM.
 *
 * Every call is on a range that begins and ends inside a table of pages. What is printed is the longest stretch that let no interrupt
 * in, in ticks of the clock, up to and with each call: under an emulator that counts, instructions.
 */
#include "root.h"
#include <quarry/records.h>

#define RW (QY_MAP_READ | QY_MAP_WRITE)
#define MIB (1ull << 20)
#define PAGES (64 * MIB / PAGE_BYTES)
#define AREA (ROOT_CHILD_ADDRESS + 0x10000000000ull) /* the region begins one page further on */
#define AT (AREA + PAGE_BYTES)
#define BYTES (64 * MIB - 2 * PAGE_BYTES)
#define BLOCK_AT (AREA + 0x40000000ull)

static void tell(const struct root *root, const char *what)
{
    print("ranges: %s: longest stretch %llu ticks\n", what,
          (unsigned long long)longest_stretch(root));
}

static bool touch(uint64_t at)
{
    bool right = true;
    for (uint64_t page = 0; page < BYTES; page += PAGE_BYTES) {
        volatile uint64_t *word = (volatile uint64_t *)(at + page);
        right &= *word == 0 || *word == page;
        *word = page;
    }
    return right;
}

static bool clone(qy_handle_t to)
{
    uint64_t at = AT;
    return space_clone(to, QY_SLOT_SPACE, &at, AT + BYTES) == QY_OK;
}

static bool settle(qy_handle_t space)
{
    uint64_t at = 0;
    return space_settle(space, &at) == QY_OK;
}

static bool protect(qy_handle_t space, unsigned rights)
{
    return space_protect_region(space, AT, BYTES, rights) == QY_OK;
}

static void regions(struct root *root, qy_handle_t budget)
{
    uint64_t at = AT;
    qy_handle_t payer, space;
    bool ok = space_bind(QY_SLOT_SPACE, budget) == QY_OK &&
              space_map_region(QY_SLOT_SPACE, &at, BYTES, RW, 0) == QY_OK && touch(AT) &&
              root_make(root, root->untyped, QY_OBJ_UNTYPED, 20480, &payer) == QY_OK &&
              root_make(root, root->untyped, QY_OBJ_ADDRESS_SPACE, 1, &space) == QY_OK &&
              space_bind(space, payer) == QY_OK;
    if (!root_check(root, ok, "64 MiB could not be populated"))
        return;
    ok = protect(QY_SLOT_SPACE, QY_MAP_READ) && protect(QY_SLOT_SPACE, QY_MAP_READ | QY_MAP_EXEC) &&
         protect(QY_SLOT_SPACE, RW) && touch(AT);
    tell(root, "protect");
    ok = ok && clone(space);
    tell(root, "clone");
    ok = ok && protect(space, QY_MAP_READ) && protect(space, RW);
    tell(root, "protect of what is shared");
    ok = ok && space_unmap_region(space, AT, BYTES) == QY_OK && clone(space) && settle(space);
    tell(root, "settle");
    ok = ok && space_unmap_region(space, AT, BYTES) == QY_OK && touch(AT);
    tell(root, "unmap");
    ok = ok && clone(space) && settle(space) && cap_delete(space) == QY_OK;
    tell(root, "destroy");
    ok = ok && space_unmap_region(QY_SLOT_SPACE, AT, BYTES) == QY_OK;
    root_check(root, ok, "a call on 64 MiB failed");
    root_check(root, cap_revoke(payer) == QY_OK && cap_delete(payer) == QY_OK,
               "a payer could not be taken back");
}

static void objects(struct root *root, qy_handle_t budget)
{
    qy_handle_t object;
    uint64_t at = AT;
    bool ok = root_make(root, budget, QY_OBJ_MEMORY, PAGES, &object) == QY_OK &&
              space_map_object(QY_SLOT_SPACE, &at, BYTES, RW, object, 0) == QY_OK && touch(AT) &&
              memory_discard(object, 0, PAGES) == QY_OK && touch(AT) &&
              memory_resize(object, 0) == QY_OK &&
              space_unmap_region(QY_SLOT_SPACE, AT, BYTES) == QY_OK && cap_delete(object) == QY_OK;
    tell(root, "discard and resize");
    root_check(root, ok, "a call on an object of 64 MiB failed");
}

/* One page of the block's 2 MiB becomes read-only: it is pages from then on. */
static void block(struct root *root, qy_handle_t budget)
{
    qy_handle_t frame;
    bool ok = root_make(root, budget, QY_OBJ_FRAME, 512, &frame) == QY_OK &&
              root_map(root, budget, frame, BLOCK_AT, RW, false, NULL) == QY_OK &&
              space_protect_region(QY_SLOT_SPACE, BLOCK_AT, PAGE_BYTES, QY_MAP_READ) == QY_OK;
    tell(root, "split");
    ok = ok && frame_protect(frame, QY_SLOT_SPACE, BLOCK_AT, QY_MAP_READ) == QY_OK &&
         frame_protect(frame, QY_SLOT_SPACE, BLOCK_AT, QY_MAP_READ | QY_MAP_EXEC) == QY_OK &&
         frame_protect(frame, QY_SLOT_SPACE, BLOCK_AT, RW) == QY_OK;
    tell(root, "protect of a block in parts");
    ok = ok && frame_unmap(frame, QY_SLOT_SPACE, BLOCK_AT) == QY_OK;
    tell(root, "unmap of a block in parts");
    root_check(root, ok, "a block could not be split and unmapped");
}

void ranges_run(struct root *root)
{
    uint32_t mark = root_mark(root);
    struct untyped_state before;
    qy_handle_t budget;
    if (!root_check(root,
                    untyped_info(root->untyped, &before) == QY_OK &&
                        root_make(root, root->untyped, QY_OBJ_UNTYPED, 20480, &budget) == QY_OK,
                    "no untyped of 80 MiB could be made"))
        return;
    regions(root, budget);
    objects(root, budget);
    block(root, budget);
    root_check(root, cap_revoke(budget) == QY_OK && cap_delete(budget) == QY_OK,
               "the budget could not be taken back");
    print("ranges: longest stretch without interrupts %llu ticks\n",
          (unsigned long long)longest_stretch(root));
    root_conserved(root, &before, "memory is missing after calls on ranges");
    root_release(root, mark);
}
