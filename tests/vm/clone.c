/*
 * What address spaces share, one behaviour a test, over both entry formats: clones and whoever writes first, forks of
 * forks, frames that are revoked from all, and memory that runs out in the middle of it.
 */
#include "each_format.h"

static void cow_body(void)
{
    CHECK_EQ(vm_map(&f, 0, AT, 2 * MIB + 64 * QY_PAGE_BYTES, RW), QY_OK);
    for (unsigned i = 0; i < 20; i++)
        CHECK_EQ(vm_write(&f, 0, AT + i * 27 * QY_PAGE_BYTES, (uint8_t)(i + 1)), QY_OK);
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], QY_PAGE_BYTES, QY_USER_END), QY_OK);
    vm_check(&f);
    struct qy_space_stats stats;
    qy_space_stats(&f.space[1], &stats);
    CHECK_EQ(stats.shared_tables, 2);
    CHECK_EQ(stats.resident, 20);
    for (unsigned i = 0; i < 20; i++)
        CHECK_EQ(vm_read(&f, 1, AT + i * 27 * QY_PAGE_BYTES), (int)i + 1);
    CHECK_EQ(vm_write(&f, 1, AT, 99), QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_read(&f, 0, AT), 1);
    CHECK_EQ(vm_write(&f, 0, AT + 27 * QY_PAGE_BYTES, 98), QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_read(&f, 1, AT + 27 * QY_PAGE_BYTES), 2);
    /* The last sharer writes in place. */
    uint64_t pages = qy_arena_pages(&f.arena[0], QY_FRAME_USER);
    CHECK_EQ(vm_write(&f, 0, AT, 97), QY_OK);
    CHECK_EQ(qy_arena_pages(&f.arena[0], QY_FRAME_USER), pages);
    CHECK_EQ(vm_read(&f, 1, AT), 99);
    vm_check(&f);
    /* The parent goes first; its frames stay while they are shared. */
    vm_close(&f, 0);
    vm_check(&f);
    for (unsigned i = 2; i < 20; i++)
        CHECK_EQ(vm_read(&f, 1, AT + i * 27 * QY_PAGE_BYTES), (int)i + 1);
    uint64_t cursor = QY_PAGE_BYTES;
    while (cursor < QY_USER_END) {
        CHECK_EQ(qy_space_settle_step(&f.space[1], &cursor), QY_OK);
        vm_check(&f);
    }
    qy_irq_is_off();
    CHECK(qy_vm_reclaim(&f.vm));
    qy_heap_reclaim(&f.heap[0]);
    qy_frame_reclaim(&f.arena[0]);
    CHECK_EQ(qy_arena_pages(&f.arena[0], QY_FRAME_FREE), f.arena[0].total_pages);
    for (unsigned i = 2; i < 20; i++)
        CHECK_EQ(vm_read(&f, 1, AT + i * 27 * QY_PAGE_BYTES), (int)i + 1);
}

static void cow(void)
{
    each(cow_body, 600);
}

static void revoke_body(void)
{
    unsigned missing = 0;
    pfn_t frame;
    CHECK_EQ(qy_arena_alloc(&f.foreign, 0, QY_FRAME_USER, &frame), QY_OK);
    memset(qy_port_ram(pfn_to_paddr(frame)), 0, QY_PAGE_BYTES);
    struct qy_space *space = &f.space[0];
    CHECK_EQ(qy_space_map_frame(space, AT, frame, 1, RW, QY_PT_RIGHTS, false, &missing),
             QY_MISSING_TABLE);
    CHECK_EQ(missing, 3);
    CHECK_EQ(vm_map(&f, 0, AT + QY_PAGE_BYTES, 4096, RW), QY_OK);
    CHECK_EQ(qy_space_map_frame(space, AT, frame, 1, RW, QY_PT_RIGHTS, false, &missing), QY_OK);
    CHECK_EQ(qy_space_map_frame(space, AT, frame, 1, RW, QY_PT_RIGHTS, false, &missing),
             QY_ALREADY_MAPPED);
    CHECK_EQ(qy_space_map_frame(space, AT + 8192, frame, 1, RX, QY_PT_RIGHTS, false, &missing),
             QY_INVALID_FLAGS);
    CHECK_EQ(qy_space_map_frame(space, AT + 8192, frame, 1, RO, QY_PT_RIGHTS, false, &missing),
             QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_write(&f, 0, AT, 66), QY_OK);
    CHECK_EQ(vm_read(&f, 0, AT + 8192), 66);
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], space, AT, AT + 2 * MIB), QY_OK);
    CHECK_EQ(vm_read(&f, 1, AT), 66);
    CHECK_EQ(vm_write(&f, 1, AT, 67), QY_OK);
    CHECK_EQ(vm_read(&f, 0, AT), 67);
    vm_check(&f);
    CHECK_EQ(qy_arena_free(&f.foreign, frame, 0, QY_FRAME_USER), QY_BUSY);
    CHECK(!qy_vm_revoke(&f.vm, frame));
    vm_check(&f);
    uint8_t *at;
    for (unsigned n = 0; n < 2; n++) {
        CHECK_EQ(vm_touch(&f, n, AT, QY_ACCESS_READ, &at), QY_REVOKED);
        CHECK_EQ(vm_touch(&f, n, AT + 8192, QY_ACCESS_READ, &at), QY_REVOKED);
    }
    CHECK_EQ(qy_arena_free(&f.foreign, frame, 0, QY_FRAME_USER), QY_OK);
    /* An arena is taken from the one who shares it with its owner. */
    CHECK_EQ(vm_write(&f, 0, AT + QY_PAGE_BYTES, 5), QY_OK);
    uint64_t cursor = 0;
    while (!qy_vm_revoke_arena_step(&f.vm, &f.arena[0], &cursor))
        vm_check(&f);
    CHECK_EQ(vm_read(&f, 0, AT + QY_PAGE_BYTES), -1);
}

static void revoke(void)
{
    each(revoke_body, 600);
}

/* A region as a query sees it, and the byte of its first page, or -1: what a failed call must not change. */
static uint64_t digest(unsigned n)
{
    struct qy_region region;
    uint64_t sum = 0, at = 0;
    for (; qy_space_query(&f.space[n], at, &region) == QY_OK && at < QY_USER_END; at = region.end)
        sum = sum * 1000003 + region.start + region.end * 3 + region.mark.kind * 5 +
              region.mark.rights * 7;
    return sum;
}

static unsigned sweep_step(unsigned i)
{
    uint64_t cursor = AT;
    switch (i) {
    case 0:
        return vm_map(&f, 0, AT - MIB, 4 * MIB, RW);
    case 1:
        return vm_write(&f, 0, AT, 1);
    case 2:
        return vm_write(&f, 0, AT - QY_PAGE_BYTES, 2);
    case 3:
        return qy_space_protect_region(&f.space[0], AT + MIB / 2, 2 * MIB, RO);
    case 4:
        return qy_space_clone(&f.space[1], &f.space[0], AT - MIB / 2, AT + MIB);
    case 5:
        return vm_write(&f, 1, AT, 3);
    case 6:
        return qy_space_protect_region(&f.space[1], AT - MIB / 2, MIB, RO);
    case 7:
        return qy_space_unmap_region(&f.space[0], AT + QY_PAGE_BYTES, MIB / 2);
    case 8:
        return vm_map(&f, 1, TIB, 300 * GIB + QY_PAGE_BYTES, RW);
    case 9:
        return vm_write(&f, 1, TIB + 7 * GIB, 4);
    case 10:
        return qy_space_settle_step(&f.space[1], &cursor);
    default:
        return qy_space_unmap_region(&f.space[1], TIB + GIB / 2, 5 * GIB);
    }
}

/* Budgets that end at every page: each step is done, or refused and without a trace; nothing is lost. */
static void budgets_end(void)
{
    unsigned refused = 0, done = 0;
    for (uint64_t pages = 2; pages < 60; pages++) {
        vm_make(&f, &vm_formats[pages % 2], pages);
        for (unsigned n = 0; n < 2; n++)
            f.alive[n] = qy_space_init(&f.space[n], &f.vm, &f.budget[n], true) == QY_OK;
        for (unsigned i = 0; f.alive[0] && f.alive[1] && i < 12; i++) {
            uint64_t before[2] = {digest(0), digest(1)};
            unsigned error = sweep_step(i);
            vm_check(&f);
            refused += error == QY_OUT_OF_MEMORY;
            done += error == QY_OK;
            if (error != QY_OK) {
                CHECK_EQ(digest(0), before[0]);
                CHECK_EQ(digest(1), before[1]);
            }
            if (pages == 59)
                CHECK_EQ(error, QY_OK);
        }
        vm_done(&f);
    }
    printf("# %u done, %u refused\n", done, refused);
    CHECK(refused > 20);
    CHECK(done > 200);
}

/* A page handed down a chain of forks, each generation writing its own; the middle dies first. */
static void fork_tree_body(void)
{
    CHECK_EQ(vm_map(&f, 0, AT, 8 * QY_PAGE_BYTES, RW), QY_OK);
    for (unsigned i = 0; i < 8; i++)
        CHECK_EQ(vm_write(&f, 0, AT + i * QY_PAGE_BYTES, 10), QY_OK);
    for (unsigned n = 1; n < VM_SPACES; n++) {
        vm_open(&f, n);
        CHECK_EQ(qy_space_clone(&f.space[n], &f.space[n - 1], QY_PAGE_BYTES, QY_USER_END), QY_OK);
        CHECK_EQ(vm_write(&f, n, AT + n * QY_PAGE_BYTES, (uint8_t)(10 + n)), QY_OK);
        vm_check(&f);
    }
    vm_close(&f, 1);
    vm_check(&f);
    vm_close(&f, 2);
    vm_check(&f);
    CHECK_EQ(vm_write(&f, 0, AT + 7 * QY_PAGE_BYTES, 99), QY_OK);
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(vm_read(&f, 0, AT + i * QY_PAGE_BYTES), i == 7 ? 99 : 10);
        CHECK_EQ(vm_read(&f, 3, AT + i * QY_PAGE_BYTES), i >= 1 && i <= 3 ? 10 + (int)i : 10);
    }
    /* The arena of the first is taken away: what it still shares with the last becomes `revoked`, never zeroes. */
    uint64_t cursor = 0;
    while (!qy_vm_revoke_arena_step(&f.vm, &f.arena[0], &cursor)) {
    }
    vm_check(&f);
    CHECK_EQ(vm_read(&f, 3, AT + 3 * QY_PAGE_BYTES), 13);
    uint8_t *at;
    CHECK_EQ(vm_touch(&f, 3, AT + 7 * QY_PAGE_BYTES, QY_ACCESS_READ, &at), QY_REVOKED);
}

static void fork_tree(void)
{
    each(fork_tree_body, 600);
}

static const struct test tests[] = {
    {"copy on write: leaf tables, pages, the last sharer, settle", cow},
    {"revoke takes a frame from every entry", revoke},
    {"budgets that end at every page", budgets_end},
    {"a chain of forks, whose middle and whose memory go", fork_tree},
};
TEST_MAIN(tests)
