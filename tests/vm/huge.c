/*
 * Large pages of a space's own: filled at once, promoted where they lie, divided again, and what else happens meanwhile.
 *
 * Over both formats and a TLB that forgets nothing by itself; each page has a byte of its own, so that a part that came out at
 * the wrong place shows; the validators of spaces, frames and arenas are called after each step, and every arena is one free whole
 * at the end. Missed without these: a stretch that is promoted with a page that is another's, a stale translation of the other
 * size, a table aside that is lost, a reservation that makes an allocation fail.
 */
#include "each_format.h"

#include "../../mem/vm/vm_impl.h"

#define PAGES 512u

static uint64_t page(unsigned i)
{
    return AT + i * QY_PAGE_BYTES;
}

static uint8_t byte(unsigned i)
{
    return (uint8_t)(i * 7 + i / 256 + 1);
}

static enum qy_error map(unsigned n, uint64_t address, uint64_t bytes, enum qy_pages pages)
{
    struct qy_mark mark = vm_anon(RW);
    mark.offset = pages;
    return qy_space_map_region(&f.space[n], &address, bytes, &mark);
}

static void check_arenas(void)
{
    vm_check(&f);
    for (unsigned i = 0; i < VM_SPACES; i++)
        CHECK(qy_arena_check(&f.arena[i]) == NULL);
}

/* Pages of one size in a space. */
static uint64_t large(unsigned n)
{
    struct qy_space_stats stats;
    qy_space_stats(&f.space[n], &stats);
    return stats.level[1] / PAGES;
}

static void fill(unsigned n, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        CHECK_EQ(vm_write(&f, n, page(i), byte(i)), QY_OK);
}

static void expect(unsigned n, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        CHECK_EQ(vm_read(&f, n, page(i)), byte(i));
}

/* Two stretches, the first of them one page. */
static void promoted(void)
{
    CHECK_EQ(map(0, AT, 4 * MIB, QY_PAGES_GROW), QY_OK);
    fill(0, 0, PAGES);
    CHECK_EQ(large(0), 1);
    check_arenas();
}

static void promotion_body(void)
{
    struct qy_space_stats stats;
    struct qy_region region;
    CHECK_EQ(map(0, AT, 4 * MIB, QY_PAGES_GROW), QY_OK);
    fill(0, 1, 2);
    CHECK_EQ(f.space[0].kept_made, 1);
    CHECK_EQ(qy_arena_kept(&f.arena[0]), PAGES - 1);
    fill(0, 0, 1);
    fill(0, 2, PAGES - 1);
    CHECK_EQ(large(0), 0);
    CHECK_EQ(qy_arena_kept(&f.arena[0]), 1);
    check_arenas();
    fill(0, PAGES - 1, PAGES);
    CHECK_EQ(large(0), 1);
    CHECK_EQ(f.space[0].promoted, 1);
    CHECK_EQ(qy_arena_kept(&f.arena[0]), 0);
    check_arenas();
    expect(0, 0, PAGES);
    fill(0, PAGES, PAGES + 3);
    qy_space_stats(&f.space[0], &stats);
    CHECK_EQ(stats.resident, PAGES + 3);
    CHECK_EQ(stats.private_pages, PAGES + 3);
    CHECK_EQ(stats.tables, 5); /* root, 3, 2, one of level 1, and one aside */
    CHECK_EQ(qy_arena_pages(&f.arena[0], QY_FRAME_TABLE), 5);
    CHECK_EQ(qy_space_query(&f.space[0], AT, &region), QY_OK);
    CHECK_EQ(region.end, AT + 4 * MIB);
    CHECK_EQ(region.level, 2);
    CHECK_EQ(region.mark.offset, QY_PAGES_GROW);
}

/* What divides it, and leaves the rest as it was, in its frames. */
static void division_body(void)
{
    promoted();
    uint8_t *before, *after;
    CHECK_EQ(vm_touch(&f, 0, page(9), QY_ACCESS_READ, &before), QY_OK);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], page(5), QY_PAGE_BYTES), QY_OK);
    CHECK_EQ(large(0), 0);
    CHECK_EQ(f.space[0].demoted, 1);
    check_arenas();
    CHECK_EQ(vm_touch(&f, 0, page(9), QY_ACCESS_READ, &after), QY_OK);
    CHECK(before == after);
    expect(0, 0, 5);
    expect(0, 6, PAGES);
    CHECK_EQ(vm_read(&f, 0, page(5)), -1);
    CHECK_EQ(qy_space_protect_region(&f.space[0], page(100), 50 * QY_PAGE_BYTES, RO), QY_OK);
    CHECK_EQ(vm_write(&f, 0, page(120), 1), QY_NO_RIGHTS);
    expect(0, 6, PAGES);
}

static void protect_body(void)
{
    promoted();
    uint64_t flushes = f.flushes;
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, 2 * MIB, RO), QY_OK);
    CHECK_EQ(f.flushes, flushes + 1);
    CHECK_EQ(large(0), 1);
    check_arenas();
    CHECK_EQ(vm_write(&f, 0, page(3), 1), QY_NO_RIGHTS);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, 2 * MIB, RW), QY_OK);
    CHECK_EQ(vm_write(&f, 0, page(3), byte(3)),
             QY_OK); /* whoever wrote finds that nobody else has it */
    check_arenas();
    CHECK_EQ(large(0), 1);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, 2 * MIB, 0), QY_OK);
    check_arenas();
    CHECK_EQ(vm_read(&f, 0, page(3)), -1);
    CHECK_EQ(qy_space_protect_region(&f.space[0], page(1), QY_PAGE_BYTES, RO),
             QY_OK); /* divided, kept */
    check_arenas();
    CHECK_EQ(vm_read(&f, 0, page(1)), byte(1));
    CHECK_EQ(vm_read(&f, 0, page(2)), -1);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, 2 * MIB, RX), QY_OK);
    expect(0, 0, PAGES);
    check_arenas();
}

static void unmap_body(void)
{
    promoted();
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, 2 * MIB), QY_OK);
    CHECK_EQ(f.space[0].demoted, 0);
    check_arenas();
    CHECK_EQ(vm_read(&f, 0, page(0)), -1);
    fill(0, PAGES, 2 * PAGES);
    CHECK_EQ(large(0), 1);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT - MIB, 6 * MIB), QY_OK);
    CHECK(qy_vm_reclaim(&f.vm));
    CHECK_EQ(qy_arena_pages(&f.arena[0], QY_FRAME_TABLE), 1);
    check_arenas();
}

/* Long ranges that begin and end in large pages; every rest stays. */
static void edges_body(void)
{
    promoted();
    fill(0, PAGES, 2 * PAGES);
    CHECK_EQ(large(0), 2);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], page(300), 424 * QY_PAGE_BYTES), QY_OK);
    check_arenas();
    expect(0, 0, 300);
    expect(0, 724, 2 * PAGES);
    for (unsigned i = 300; i < 724; i++)
        CHECK_EQ(vm_read(&f, 0, page(i)), -1);
    CHECK_EQ(map(0, page(300), 424 * QY_PAGE_BYTES, QY_PAGES_GROW), QY_OK);
    fill(0, 300, 724);
    expect(0, 0, 2 * PAGES);
    CHECK_EQ(qy_space_protect_region(&f.space[0], page(10), 1000 * QY_PAGE_BYTES, RO), QY_OK);
    expect(0, 0, 2 * PAGES);
    check_arenas();
}

/* A clone has the pages, divided; who writes copies 4 KiB. */
static void clone_body(void)
{
    promoted();
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], AT, AT + 4 * MIB), QY_OK);
    check_arenas();
    CHECK_EQ(large(0) + large(1), 0);
    expect(1, 0, PAGES);
    CHECK_EQ(vm_write(&f, 1, page(7), 99), QY_OK);
    CHECK_EQ(vm_write(&f, 0, page(8), 98), QY_OK);
    CHECK_EQ(vm_read(&f, 0, page(7)), byte(7));
    CHECK_EQ(vm_read(&f, 1, page(8)), byte(8));
    check_arenas();
    for (unsigned i = PAGES; i < 2 * PAGES; i++)
        CHECK_EQ(vm_write(&f, 1, page(i), byte(i)), QY_OK);
    CHECK_EQ(large(1), 1); /* in the clone's own budget */
    CHECK_EQ(large(0), 0);
    check_arenas();
    vm_close(&f, 0);
    expect(1, 9, 2 * PAGES);
}

/* A clone while a stretch is being filled: neither puts together what both have. */
static void clone_half_body(void)
{
    CHECK_EQ(map(0, AT, 2 * MIB, QY_PAGES_GROW), QY_OK);
    fill(0, 0, PAGES / 2);
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], AT, AT + 2 * MIB), QY_OK);
    fill(0, PAGES / 2, PAGES);
    fill(1, PAGES / 2, PAGES);
    check_arenas();
    CHECK_EQ(large(0) + large(1), 0);
    expect(0, 0, PAGES);
    expect(1, 0, PAGES);
}

/* All that is reserved is there for whoever needs it, below 2 MiB; the stretch goes on with other frames. */
static void pressure_body(void)
{
    static pfn_t taken[4096];
    unsigned n = 0;
    CHECK_EQ(map(0, AT, 2 * MIB, QY_PAGES_GROW), QY_OK);
    fill(0, 0, 1);
    uint64_t free = qy_arena_pages(&f.arena[0], QY_FRAME_FREE);
    CHECK_EQ(qy_arena_kept(&f.arena[0]), PAGES - 1);
    while (n < 4096 && qy_arena_alloc(&f.arena[0], 0, QY_FRAME_OBJECT, &taken[n]) == QY_OK)
        n++;
    CHECK_EQ(n, free);
    CHECK_EQ(qy_arena_kept(&f.arena[0]), 0);
    check_arenas();
    (void)vm_write(&f, 0, page(1), byte(1)); /* if the CPU has kept a frame */
    CHECK_EQ(f.space[0].kept_broken, 1);
    while (n > 0)
        CHECK_EQ(qy_arena_free(&f.arena[0], taken[--n], 0, QY_FRAME_OBJECT), QY_OK);
    fill(0, 1, PAGES);
    CHECK_EQ(large(0), 0);
    expect(0, 0, PAGES);
    check_arenas();
}

/* Blocks of any order below 9 come out of a kept one, as if it was not. */
static void orders_body(void)
{
    pfn_t at;
    for (unsigned order = 0; order < 9; order++) {
        static pfn_t taken[8];
        unsigned n = 0;
        uint64_t stretch = AT + order * 2 * MIB;
        CHECK_EQ(map(0, stretch, 2 * MIB, QY_PAGES_GROW), QY_OK);
        CHECK_EQ(vm_write(&f, 0, stretch, 1), QY_OK);
        while (n < 8 && qy_arena_alloc(&f.arena[0], 9, QY_FRAME_OBJECT, &taken[n]) == QY_OK)
            n++;
        uint64_t kept = qy_arena_kept(&f.arena[0]), got = 0;
        static pfn_t small[4096];
        while (got < 4096 && qy_arena_kept(&f.arena[0]) &&
               qy_arena_alloc(&f.arena[0], order, QY_FRAME_OBJECT, &at) == QY_OK)
            small[got++] = at;
        CHECK(kept == 0 || got > 0);
        CHECK_EQ(qy_arena_kept(&f.arena[0]), 0);
        check_arenas();
        while (got > 0)
            CHECK_EQ(qy_arena_free(&f.arena[0], small[--got], order, QY_FRAME_OBJECT), QY_OK);
        while (n > 0)
            CHECK_EQ(qy_arena_free(&f.arena[0], taken[--n], 9, QY_FRAME_OBJECT), QY_OK);
        CHECK_EQ(qy_space_unmap_region(&f.space[0], stretch, 2 * MIB), QY_OK);
        check_arenas();
    }
}

/* The budget goes: large pages, half full stretches and tables aside with it. */
static void revoke_body(void)
{
    promoted();
    fill(0, PAGES, PAGES + 9);
    uint64_t cursor = 0;
    unsigned steps = 0;
    qy_arena_mark_dying(&f.arena[0]);
    while (!qy_vm_revoke_arena_step(&f.vm, &f.arena[0], &cursor) && steps++ < 10000)
        vm_check(&f);
    CHECK(steps < 10000);
    uint8_t *at;
    for (unsigned i = 0; i < PAGES + 9; i++)
        CHECK(vm_touch(&f, 0, page(i), QY_ACCESS_READ, &at) != QY_OK);
    vm_close(&f, 0);
    CHECK(qy_vm_reclaim(&f.vm));
    qy_heap_reclaim(&f.heap[0]);
    qy_frame_reclaim(&f.arena[0]);
    CHECK_EQ(qy_arena_pages(&f.arena[0], QY_FRAME_FREE), f.arena[0].total_pages);
}

/* 2 MiB at a time; what is divided has 4 KiB from then on; no block: OUT_OF_MEMORY, and nothing has changed. */
static void explicit_body(void)
{
    CHECK_EQ(map(0, AT, 2 * MIB + QY_PAGE_BYTES, QY_PAGES_2M), QY_INVALID_ADDRESS);
    CHECK_EQ(map(0, AT + QY_PAGE_BYTES, 2 * MIB, QY_PAGES_2M), QY_INVALID_ADDRESS);
    CHECK_EQ(map(0, AT, 64 * MIB, QY_PAGES_2M), QY_OK);
    fill(0, 700, 701);
    CHECK_EQ(large(0), 1);
    check_arenas();
    CHECK_EQ(vm_read(&f, 0, page(PAGES)), 0);
    CHECK_EQ(vm_read(&f, 0, page(2 * PAGES - 1)), 0);
    CHECK_EQ(vm_read(&f, 0, page(700)), byte(700));
    CHECK_EQ(large(0), 1);
    fill(0, 0, 1);
    CHECK_EQ(large(0), 2);
    unsigned filled = 2;
    uint8_t *at;
    while (vm_touch(&f, 0, AT + filled * 2 * MIB, QY_ACCESS_WRITE, &at) == QY_OK)
        filled++;
    CHECK_EQ(vm_touch(&f, 0, AT + filled * 2 * MIB, QY_ACCESS_WRITE, &at), QY_OUT_OF_MEMORY);
    CHECK_EQ(large(0), filled);
    check_arenas();
    CHECK_EQ(qy_space_unmap_region(&f.space[0], page(10), QY_PAGE_BYTES),
             QY_OK); /* a table was aside */
    CHECK_EQ(large(0), filled - 1);
    CHECK_EQ(vm_read(&f, 0, page(0)), byte(0));
    CHECK_EQ(vm_read(&f, 0, page(10)), -1);
    check_arenas();
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, 64 * MIB), QY_OK);
    check_arenas();
}

/* The n-th allocation fails: nothing has changed, and the next try succeeds. */
static void sweep_body(void)
{
    for (unsigned pages = QY_PAGES_GROW; pages <= QY_PAGES_2M; pages++) {
        CHECK_EQ(map(0, AT, 2 * MIB, (enum qy_pages)pages), QY_OK);
        uint8_t *at;
        uint64_t left = qy_arena_pages(&f.arena[0], QY_FRAME_FREE);
        static pfn_t taken[8192];
        for (unsigned leave = 0; leave < 8; leave++) {
            unsigned n = 0;
            while (n < left - leave &&
                   qy_arena_alloc(&f.arena[0], 0, QY_FRAME_OBJECT, &taken[n]) == QY_OK)
                n++;
            (void)vm_touch(&f, 0, AT, QY_ACCESS_WRITE, &at);
            check_arenas();
            while (n > 0)
                CHECK_EQ(qy_arena_free(&f.arena[0], taken[--n], 0, QY_FRAME_OBJECT), QY_OK);
            check_arenas();
        }
        CHECK_EQ(vm_touch(&f, 0, AT, QY_ACCESS_WRITE, &at), QY_OK);
        CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, 2 * MIB), QY_OK);
        qy_heap_reclaim(&f.heap[0]);
        qy_frame_reclaim(&f.arena[0]);
    }
}

/* Pages move to another budget: those of a large page one by one. */
static void migrate_body(void)
{
    promoted();
    uint64_t address = AT;
    while (address < AT + 4 * MIB)
        if (qy_space_migrate_step(&f.space[0], &f.budget[1], &address, AT + 4 * MIB) != QY_OK)
            break;
    CHECK(address >= AT + 4 * MIB);
    check_arenas();
    CHECK_EQ(large(0), 0);
    CHECK_EQ(qy_arena_pages(&f.arena[1], QY_FRAME_USER), PAGES);
    expect(0, 0, PAGES);
    address = AT;
    while (address < AT + 4 * MIB)
        if (qy_space_settle_step(&f.space[0], &address) != QY_OK)
            break;
    expect(0, 0, PAGES);
    check_arenas();
}

static void promotion(void)
{
    each(promotion_body, 3000);
}

static void division(void)
{
    each(division_body, 3000);
}

static void protect(void)
{
    each(protect_body, 3000);
}

static void unmap(void)
{
    each(unmap_body, 3000);
}

static void edges(void)
{
    each(edges_body, 3000);
}

static void clone(void)
{
    each(clone_body, 3000);
}

static void clone_half(void)
{
    each(clone_half_body, 3000);
}

static void pressure(void)
{
    each(pressure_body, 2000);
}

static void orders(void)
{
    each(orders_body, 3000);
}

static void revoke(void)
{
    each(revoke_body, 3000);
}

static void explicit(void)
{
    each(explicit_body, 4000);
}

static void sweep(void)
{
    each(sweep_body, 3000);
}

static void migrate(void)
{
    each(migrate_body, 4000);
}

static const struct test tests[] = {
    {"a stretch that is full becomes one page, in place", promotion},
    {"a part of it is unmapped, another protected", division},
    {"rights of all of it", protect},
    {"all of it is unmapped, and a range beyond it", unmap},
    {"long ranges that end inside large pages", edges},
    {"a clone: pages are copied one by one", clone},
    {"a clone while a stretch is filled", clone_half},
    {"what is reserved is there for others", pressure},
    {"blocks of every order come out of what is reserved", orders},
    {"the budget is revoked", revoke},
    {"regions of 2 MiB pages", explicit},
    {"memory that ends at each point of the first fault", sweep},
    {"pages move to another budget and back", migrate},
};
TEST_MAIN(tests)
