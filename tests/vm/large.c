/*
 * Large pages of their owners: parts of them change, clones have them, revokes take them away whole or in parts.
 *
 * Over both formats and a TLB that forgets nothing by itself; every page of a block has a byte of its own, so that a part that
 * came out at the wrong place shows. Missed without these: parts with the frame of the first, lost memory types and
 * objects' offsets, mappings that a revoke does not find.
 */
#include "fixture.h"

static struct vm_fixture f;

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define AT 0x40000000ull
#define PAGES 512u

static pfn_t block; /* 2 MiB */

static uint8_t *frame_byte(unsigned i)
{
    return qy_port_ram(pfn_to_paddr(pfn(block.raw + i)));
}

static uint64_t page(unsigned i)
{
    return AT + i * QY_PAGE_BYTES;
}

static void each(void (*body)(void), uint64_t budget)
{
    for (unsigned i = 0; i < sizeof(vm_formats) / sizeof(vm_formats[0]); i++) {
        vm_make(&f, &vm_formats[i], budget);
        vm_open(&f, 0);
        CHECK_EQ(qy_arena_alloc(&f.foreign, 9, QY_FRAME_USER, &block), QY_OK);
        for (unsigned k = 0; k < PAGES; k++)
            *frame_byte(k) = (uint8_t)(k * 7 + 1);
        body();
        vm_check(&f);
        (void)!qy_vm_revoke(&f.vm, block);
        CHECK_EQ(qy_arena_free(&f.foreign, block, 9, QY_FRAME_USER), QY_OK);
        vm_check(&f);
        vm_done(&f);
    }
}

static void map_block(unsigned n, unsigned flags)
{
    unsigned missing;
    CHECK_EQ(vm_map(&f, n, AT + 4 * MIB, 4096, RW), QY_OK);
    CHECK_EQ(qy_space_map_frame(&f.space[n], AT, block, 2, flags, QY_PT_RIGHTS, false, &missing),
             QY_OK);
}

/* The pages of a range are the block's. */
static void expect(unsigned n, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        CHECK_EQ(vm_read(&f, n, page(i)), (uint8_t)(i * 7 + 1));
}

static void parts_body(void)
{
    struct qy_region region;
    struct qy_space_stats stats;
    map_block(0, RW);
    expect(0, 0, PAGES); /* the TLB has it all */
    uint64_t flushes = f.flushes;
    CHECK_EQ(qy_space_protect_region(&f.space[0], page(7), QY_PAGE_BYTES, RW), QY_OK);
    CHECK_EQ(qy_frame_mappings(&f.machine.db, block), PAGES);
    CHECK_EQ(f.flushes, flushes + 1); /* no right is lost, but no CPU keeps two sizes of a page */
    CHECK_EQ(qy_space_unmap_region(&f.space[0], page(100), 2 * QY_PAGE_BYTES), QY_OK);
    vm_check(&f);
    CHECK_EQ(qy_frame_mappings(&f.machine.db, block), 510);
    expect(0, 0, 100);
    expect(0, 102, PAGES);
    CHECK_EQ(vm_read(&f, 0, page(100)), -1);
    CHECK_EQ(vm_read(&f, 0, page(101)), -1);
    CHECK_EQ(qy_space_protect_region(&f.space[0], page(200), 10 * QY_PAGE_BYTES, RO), QY_OK);
    CHECK_EQ(vm_write(&f, 0, page(205), 1), QY_NO_RIGHTS);
    CHECK_EQ(vm_write(&f, 0, page(199), (uint8_t)(199 * 7 + 1)), QY_OK);
    expect(0, 102, PAGES);
    /* A page becomes executable among writable ones, and writable again. */
    CHECK_EQ(qy_space_protect_region(&f.space[0], page(300), QY_PAGE_BYTES, RX), QY_OK);
    CHECK_EQ(qy_space_protect_region(&f.space[0], page(300), QY_PAGE_BYTES, RW), QY_OK);
    CHECK_EQ(qy_space_query(&f.space[0], page(102), &region), QY_OK);
    CHECK_EQ(region.end, page(200));
    CHECK(region.foreign);
    CHECK_EQ(qy_space_query(&f.space[0], page(200), &region), QY_OK);
    CHECK_EQ(region.end, page(210));
    CHECK_EQ(region.mark.rights, RO);
    qy_space_stats(&f.space[0], &stats);
    CHECK_EQ(stats.resident, 510);
    /* Something else in the hole; it stays when the block goes. */
    CHECK_EQ(vm_map(&f, 0, page(100), QY_PAGE_BYTES, RW), QY_OK);
    CHECK_EQ(vm_write(&f, 0, page(100), 77), QY_OK);
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], QY_PAGE_BYTES, QY_USER_END), QY_OK);
    vm_check(&f);
    expect(1, 102, PAGES);
    CHECK_EQ(vm_write(&f, 1, page(100), 78), QY_OK);
    CHECK(!qy_vm_revoke(&f.vm, block));
    vm_check(&f);
    uint8_t *at;
    for (unsigned n = 0; n < 2; n++) {
        CHECK_EQ(vm_read(&f, n, page(100)), 77 + (int)n);
        for (unsigned i = 102; i < PAGES; i++)
            CHECK_EQ(vm_touch(&f, n, page(i), QY_ACCESS_READ, &at), QY_REVOKED);
    }
}

static void parts(void)
{
    each(parts_body, 1200);
}

/* A clone of all of it maps it once more; of a part of it, splits it. */
static void clones_body(void)
{
    struct qy_space_stats stats;
    map_block(0, RW);
    for (unsigned n = 1; n < 3; n++)
        vm_open(&f, n);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], AT, AT + 2 * MIB), QY_OK);
    vm_check(&f);
    CHECK_EQ(qy_frame_mappings(&f.machine.db, block), 2);
    expect(1, 0, PAGES);
    CHECK_EQ(vm_write(&f, 1, page(3), 99), QY_OK);
    CHECK_EQ(vm_read(&f, 0, page(3)), 99);
    *frame_byte(3) = 3 * 7 + 1;
    CHECK_EQ(qy_space_clone(&f.space[2], &f.space[0], page(10), page(20)), QY_OK);
    vm_check(&f);
    expect(2, 10, 20);
    expect(0, 0, PAGES);
    CHECK_EQ(vm_read(&f, 2, page(9)), -1);
    CHECK_EQ(vm_read(&f, 2, page(20)), -1);
    qy_space_stats(&f.space[2], &stats);
    CHECK_EQ(stats.resident, 10);
    vm_close(&f, 0);
    vm_check(&f);
    CHECK_EQ(qy_frame_mappings(&f.machine.db, block), 11);
}

static void clones(void)
{
    each(clones_body, 1200);
}

/* Rights that CPUs are not to have yet: a whole page is kept, cloned, split. */
static void kept_body(void)
{
    uint8_t *at;
    map_block(0, RW);
    CHECK_EQ(vm_write(&f, 0, AT, 1), QY_OK);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, 2 * MIB, 0), QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_touch(&f, 0, AT, QY_ACCESS_READ, &at), QY_NO_RIGHTS);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, 2 * MIB, RX), QY_OK);
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], AT, AT + 4 * MIB), QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_touch(&f, 1, page(8), QY_ACCESS_EXEC, &at), QY_OK);
    CHECK_EQ(*at, 8 * 7 + 1);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], page(500), 12 * QY_PAGE_BYTES), QY_OK);
    vm_check(&f);
    expect(0, 0, 500);
    CHECK_EQ(vm_touch(&f, 0, page(7), QY_ACCESS_EXEC, &at), QY_OK);
    CHECK_EQ(vm_read(&f, 0, page(500)), -1);
    vm_check(&f);
}

static void kept(void)
{
    each(kept_body, 1200);
}

/* An object's block: offsets go on counting in the parts, and in a query that begins inside. */
static void object_body(void)
{
    unsigned index, missing;
    int thing;
    uint64_t at = AT;
    struct qy_region region;
    struct qy_space *space = &f.space[0];
    CHECK_EQ(qy_space_bind(space, &thing, 7, &index), QY_OK);
    struct qy_mark mark = {
        .kind = QY_MARK_OBJECT, .rights = RW, .max = RW, .binding = index, .offset = 1000};
    CHECK_EQ(qy_space_map_region(space, &at, 6 * MIB, &mark), QY_OK);
    CHECK_EQ(qy_space_map_frame(space, AT + 2 * MIB, block, 2, RW, RW, true, &missing), QY_OK);
    vm_check(&f);
    for (unsigned split = 0; split < 2; split++) {
        CHECK_EQ(qy_space_query(space, AT + 2 * MIB + 5 * QY_PAGE_BYTES, &region), QY_OK);
        CHECK_EQ(region.mark.offset, 1000 + 512 + 5);
        CHECK_EQ(region.end, AT + 4 * MIB);
        CHECK(region.foreign);
        if (!split)
            CHECK_EQ(qy_space_unmap_region(space, AT + 2 * MIB, QY_PAGE_BYTES), QY_OK);
        vm_check(&f);
    }
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], space, QY_PAGE_BYTES, QY_USER_END), QY_OK);
    CHECK_EQ(qy_space_query(&f.space[1], AT + 2 * MIB + 7 * QY_PAGE_BYTES, &region), QY_OK);
    CHECK_EQ(region.mark.offset, 1000 + 512 + 7);
}

static void object(void)
{
    each(object_body, 1200);
}

/* A budget that ends in the middle of a split: refused, and everything is as it was. */
static bool split_with(unsigned left, bool unmap)
{
    pfn_t taken[64];
    unsigned count = 0;
    map_block(0, RW);
    while (qy_arena_pages(&f.arena[0], QY_FRAME_FREE) > left)
        CHECK_EQ(qy_arena_alloc(&f.arena[0], 0, QY_FRAME_OBJECT, &taken[count++]), QY_OK);
    enum qy_error error = unmap ? qy_space_unmap_region(&f.space[0], page(9), QY_PAGE_BYTES)
                                : qy_space_protect_region(&f.space[0], page(9), QY_PAGE_BYTES, RO);
    bool done = error == QY_OK;
    CHECK(done || error == QY_OUT_OF_MEMORY);
    vm_check(&f);
    expect(0, 0, 9);
    expect(0, 10, PAGES);
    CHECK_EQ(qy_frame_mappings(&f.machine.db, block), !done ? 1 : unmap ? PAGES - 1 : PAGES);
    CHECK_EQ(vm_write(&f, 0, page(9), 64), !done ? QY_OK : unmap ? QY_NOT_MAPPED : QY_NO_RIGHTS);
    while (count > 0)
        CHECK_EQ(qy_arena_free(&f.arena[0], taken[--count], 0, QY_FRAME_OBJECT), QY_OK);
    return done;
}

static bool split_done;
static unsigned split_left;

static void refused_body(void)
{
    split_done = split_with(split_left / 2, split_left % 2);
}

static void refused(void)
{
    unsigned refusals = 0;
    for (split_left = 0, split_done = false; !split_done; split_left++) {
        each(refused_body, 40);
        refusals += !split_done;
        CHECK(split_left < 60);
    }
    printf("# %u refused\n", refusals);
    CHECK(refusals >= 4);
}

/* 1 GiB: one page of it goes; both levels are split, and no more. */
static void gigabyte(void)
{
    for (unsigned i = 0; i < 2; i++) {
        pfn_t giga;
        unsigned missing;
        vm_make_frames(&f, &vm_formats[i], 600, 3ull << 18);
        vm_open(&f, 0);
        CHECK_EQ(qy_arena_alloc(&f.root, 18, QY_FRAME_USER, &giga), QY_OK);
        CHECK_EQ(vm_map(&f, 0, 4 * GIB, 4096, RW), QY_OK);
        CHECK_EQ(qy_space_map_frame(&f.space[0], GIB, giga, 3, RW, RW, false, &missing), QY_OK);
        for (unsigned k = 0; k < PAGES; k++) {
            *(uint8_t *)qy_port_ram(pfn_to_paddr(pfn(giga.raw + k * 512 + 3))) = (uint8_t)k;
            *(uint8_t *)qy_port_ram(pfn_to_paddr(pfn(giga.raw + 7 * 512 + k))) = (uint8_t)(k + 3);
        }
        CHECK_EQ(vm_read(&f, 0, GIB + 14 * MIB + 9 * 4096), 12);
        CHECK_EQ(qy_space_unmap_region(&f.space[0], GIB + 14 * MIB + 9 * 4096, 4096), QY_OK);
        vm_check(&f);
        CHECK_EQ(qy_frame_mappings(&f.machine.db, giga), 511 + 511);
        for (unsigned k = 0; k < PAGES; k++) {
            CHECK_EQ(vm_read(&f, 0, GIB + k * 2 * MIB + 3 * 4096), (uint8_t)k);
            CHECK_EQ(vm_read(&f, 0, GIB + 14 * MIB + k * 4096),
                     k == 9 ? -1 : (uint8_t)(k == 3 ? 7 : k + 3));
        }
        CHECK(!qy_vm_revoke(&f.vm, giga));
        vm_check(&f);
        CHECK_EQ(vm_read(&f, 0, GIB), -1);
        CHECK_EQ(qy_arena_free(&f.root, giga, 18, QY_FRAME_USER), QY_OK);
        vm_done(&f);
    }
}

/* Registers of a device: their type stays in parts and clones, and the block is BUSY while it is mapped. */
static void device(void)
{
    unsigned missing, flags;
    struct qy_pt pt;
    qy_irq_is_off();
    vm_make(&f, &vm_formats[0], 600);
    vm_open(&f, 0);
    CHECK_EQ(qy_arena_alloc(&f.foreign, 9, QY_FRAME_DEVICE, &block), QY_OK);
    CHECK_EQ(vm_map(&f, 0, AT + 4 * MIB, 4096, RW), QY_OK);
    CHECK_EQ(
        qy_space_map_frame(&f.space[0], AT, block, 2, RW | QY_PT_UNCACHED, RW, false, &missing),
        QY_OK);
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], AT, AT + 2 * MIB), QY_OK);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, MIB), QY_OK);
    vm_check(&f);
    for (unsigned n = 0; n < 2; n++) {
        pt = (struct qy_pt){&qy_pt_x86_64, f.space[n].root};
        CHECK_EQ(qy_pt_translate(&pt, vaddr(AT + MIB), NULL, &flags, NULL), QY_OK);
        CHECK(flags & QY_PT_UNCACHED);
    }
    CHECK_EQ(qy_arena_free(&f.foreign, block, 9, QY_FRAME_DEVICE), QY_BUSY);
    CHECK_EQ(qy_frame_free(&f.frames[0], &f.foreign, block, 9, QY_FRAME_DEVICE), QY_BUSY);
    CHECK(!qy_vm_revoke(&f.vm, block));
    CHECK_EQ(qy_arena_free(&f.foreign, block, 9, QY_FRAME_DEVICE), QY_OK);
    vm_done(&f);
}

static const struct test tests[] = {
    {"parts are unmapped and protected, cloned, revoked", parts},
    {"clones of a large page and of a part of it", clones},
    {"large pages that are kept", kept},
    {"an object's offsets behind a large page", object},
    {"budgets that end in a split", refused},
    {"a page out of a gigabyte", gigabyte},
    {"registers of a device", device},
};
TEST_MAIN(tests)
