/*
 * Pages that move to another budget while they are used, over both entry formats and a TLB that forgets nothing by itself.
 *
 * Every page has a byte of its own, written through one CPU and read through both, before and after: a page that was
 * copied too early, a frame that somebody still reaches, or one that nobody pays would show.
 */
#include "each_format.h"

#define PAGES 64u

static uint64_t page(unsigned i)
{
    return AT + i * QY_PAGE_BYTES;
}

static uint64_t user_pages(struct qy_arena *arena)
{
    return qy_arena_pages(arena, QY_FRAME_USER);
}

/* A region of which every third page was never touched. */
static void fill(unsigned n)
{
    CHECK_EQ(vm_map(&f, n, AT, PAGES * QY_PAGE_BYTES, RW), QY_OK);
    for (unsigned i = 0; i < PAGES; i++) {
        f.cpu = i & 1;
        if (i % 3)
            CHECK_EQ(vm_write(&f, n, page(i), (uint8_t)(i + 1)), QY_OK);
    }
}

static void expect(unsigned n, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        for (f.cpu = 0; f.cpu < 2; f.cpu++)
            CHECK_EQ(vm_read(&f, n, page(i)), i % 3 ? (int)i + 1 : 0);
    f.cpu = 0;
}

static enum qy_error migrate(unsigned n, struct qy_budget *payer, uint64_t *address, uint64_t end)
{
    enum qy_error error = QY_OK;
    while (error == QY_OK && *address < end) {
        error = qy_space_migrate_step(&f.space[n], payer, address, end);
        vm_check(&f);
    }
    return error;
}

static void there_and_back_body(void)
{
    uint64_t touched = PAGES - (PAGES + 2) / 3;
    fill(0);
    CHECK_EQ(user_pages(&f.arena[0]), touched);
    for (unsigned round = 0; round < 3; round++) {
        uint64_t at = QY_PAGE_BYTES;
        CHECK_EQ(migrate(0, &f.budget[1], &at, QY_USER_END), QY_OK);
        CHECK_EQ(user_pages(&f.arena[0]), 0);
        CHECK_EQ(user_pages(&f.arena[1]), touched);
        for (unsigned i = 1; i < PAGES; i += 3) {
            f.cpu = 1;
            CHECK_EQ(vm_write(&f, 0, page(i), (uint8_t)(i + 1)), QY_OK);
        }
        at = QY_PAGE_BYTES;
        CHECK_EQ(migrate(0, &f.budget[0], &at, QY_USER_END), QY_OK);
        CHECK_EQ(user_pages(&f.arena[1]), 0);
    }
    expect(0, 0, PAGES);
    /* It is one region still, and what is new comes out of the space's own budget. */
    struct qy_region region;
    CHECK_EQ(qy_space_query(&f.space[0], AT, &region), QY_OK);
    CHECK_EQ(region.end, page(PAGES));
}

static void there_and_back(void)
{
    each(there_and_back_body, 600);
}

/* Rights and kinds go along: code, constants, pages that may not be touched now; a part of the range only. */
static void parts_body(void)
{
    fill(0);
    CHECK_EQ(qy_space_protect_region(&f.space[0], page(8), 8 * QY_PAGE_BYTES, RX), QY_OK);
    CHECK_EQ(qy_space_protect_region(&f.space[0], page(16), 8 * QY_PAGE_BYTES, RO), QY_OK);
    CHECK_EQ(qy_space_protect_region(&f.space[0], page(24), 8 * QY_PAGE_BYTES, 0), QY_OK);
    uint64_t at = page(4), before = user_pages(&f.arena[0]);
    CHECK_EQ(migrate(0, &f.budget[1], &at, page(28)), QY_OK);
    CHECK_EQ(before - user_pages(&f.arena[0]), 16);
    CHECK_EQ(user_pages(&f.arena[1]), 16);
    expect(0, 0, 24);
    expect(0, 32, PAGES);
    uint8_t *byte;
    CHECK_EQ(vm_touch(&f, 0, page(10), QY_ACCESS_EXEC, &byte), QY_OK);
    CHECK(vm_write(&f, 0, page(10), 1) != QY_OK && vm_write(&f, 0, page(17), 1) != QY_OK);
    CHECK_EQ(vm_read(&f, 0, page(25)), -1);
    CHECK_EQ(qy_space_protect_region(&f.space[0], page(8), 24 * QY_PAGE_BYTES, RW), QY_OK);
    expect(0, 0, PAGES);
}

static void parts(void)
{
    each(parts_body, 600);
}

/* A clone's pages move; its parent keeps its own. Then the payer takes back what it paid. */
static void clones_body(void)
{
    fill(0);
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], QY_PAGE_BYTES, QY_USER_END), QY_OK);
    uint64_t at = AT, before = user_pages(&f.arena[0]);
    CHECK_EQ(migrate(1, &f.budget[2], &at, page(PAGES)), QY_OK);
    CHECK_EQ(user_pages(&f.arena[0]), before);
    CHECK_EQ(user_pages(&f.arena[2]), before);
    CHECK_EQ(vm_write(&f, 1, page(1), 99), QY_OK);
    expect(0, 0, PAGES);
    expect(1, 2, PAGES);
    at = page(32);
    CHECK_EQ(migrate(1, &f.budget[1], &at, page(PAGES)), QY_OK);
    uint64_t cursor = 0;
    while (!qy_vm_revoke_arena_step(&f.vm, &f.arena[2], &cursor)) {
    }
    vm_check(&f);
    uint8_t *byte;
    CHECK_EQ(vm_touch(&f, 1, page(1), QY_ACCESS_READ, &byte), QY_REVOKED);
    expect(1, 32, PAGES);
    expect(0, 0, PAGES);
}

static void clones(void)
{
    each(clones_body, 600);
}

/* Payers of every size: what does not fit stays where it is, and the address says from where on. */
static void payers_end(void)
{
    unsigned ended = 0;
    for (unsigned kind = 0; kind < 2; kind++)
        for (uint64_t left = 0; left < 50; left += 7) {
            pfn_t taken;
            vm_make(&f, &vm_formats[kind], 600);
            vm_open(&f, 0);
            fill(0);
            CHECK_EQ(qy_arena_alloc_pages(&f.arena[1], 600 - left, QY_FRAME_OBJECT, &taken), QY_OK);
            uint64_t at = AT;
            enum qy_error error = migrate(0, &f.budget[1], &at, page(PAGES));
            ended += error == QY_OUT_OF_MEMORY;
            CHECK(error == QY_OUT_OF_MEMORY ? at < page(PAGES) : at >= page(PAGES));
            expect(0, 0, PAGES);
            uint64_t moved = user_pages(&f.arena[1]);
            CHECK(error == QY_OK || moved == left);
            CHECK_EQ(qy_arena_free_pages(&f.arena[1], taken, 600 - left, QY_FRAME_OBJECT), QY_OK);
            CHECK_EQ(migrate(0, &f.budget[1], &at, page(PAGES)), QY_OK);
            at = AT; /* what was read since then is there, too */
            CHECK_EQ(migrate(0, &f.budget[1], &at, page(PAGES)), QY_OK);
            CHECK_EQ(user_pages(&f.arena[0]), 0);
            expect(0, 0, PAGES);
            vm_done(&f);
        }
    CHECK(ended >= 10);
}

/* Frames that capabilities map, and pages of objects, are not the space's to move. */
static void what_stays_body(void)
{
    unsigned missing;
    pfn_t frame;
    CHECK_EQ(qy_arena_alloc(&f.foreign, 0, QY_FRAME_USER, &frame), QY_OK);
    fill(0);
    CHECK_EQ(
        qy_space_map_frame(&f.space[0], page(PAGES), frame, 1, RW, QY_PT_RIGHTS, false, &missing),
        QY_OK);
    CHECK_EQ(vm_write(&f, 0, page(PAGES), 77), QY_OK);
    uint64_t at = AT;
    CHECK_EQ(migrate(0, &f.budget[1], &at, page(PAGES + 1)), QY_OK);
    CHECK_EQ(*(uint8_t *)qy_port_ram(pfn_to_paddr(frame)), 77);
    CHECK_EQ(vm_read(&f, 0, page(PAGES)), 77);
    CHECK(!qy_vm_revoke(&f.vm, frame));
    CHECK_EQ(vm_read(&f, 0, page(PAGES)), -1);
    CHECK_EQ(qy_arena_free(&f.foreign, frame, 0, QY_FRAME_USER), QY_OK);
}

static void what_stays(void)
{
    each(what_stays_body, 600);
}

static const struct test tests[] = {
    {"there and back, used by two CPUs", there_and_back},
    {"a part of a range, with its rights", parts},
    {"a clone's pages, and what its payer takes back", clones},
    {"payers that end at every page", payers_end},
    {"frames of capabilities stay", what_stays},
};
TEST_MAIN(tests)
