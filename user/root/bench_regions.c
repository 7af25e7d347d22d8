/*
 * What regions cost: reserving, mapping, protecting, unmapping; faults; clones.
 *
 * All pages are of 4 KiB. `populated`: each page was touched. A figure is of the whole operation, not of a page.
 */
#include "bench.h"

#define RW (QY_MAP_READ | QY_MAP_WRITE)
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)
#define TURNS 16u /* of what takes long */

static enum qy_error reserve(uint64_t bytes)
{
    uint64_t at = BENCH_AT;

    return space_map_region(QY_SLOT_SPACE, &at, bytes, RW, 0);
}

static void touch(uint64_t bytes, uint64_t step)
{
    for (uint64_t at = 0; at < bytes; at += step)
        *(volatile uint64_t *)(BENCH_AT + at) = at;
}

/* Reserve, populate, protect, unmap: a row for each call of a size, and one for the whole of reserve, populate, unmap. */
static void region_of(struct root *root, uint64_t pages)
{
    const uint64_t bytes = pages * PAGE_BYTES;
    uint64_t mapped = 0, protected = 0, unmapped = 0, whole = 0, start;
    bool ok = true;

    for (unsigned i = 0; ok && i < TURNS; i++) {
        start = clock_ticks();
        ok &= reserve(bytes) == QY_OK;
        mapped += clock_ticks() - start;
        touch(bytes, PAGE_BYTES);
        start = clock_ticks();
        ok &= space_protect_region(QY_SLOT_SPACE, BENCH_AT, bytes, QY_MAP_READ) == QY_OK;
        protected += clock_ticks() - start;
        start = clock_ticks();
        ok &= space_unmap_region(QY_SLOT_SPACE, BENCH_AT, bytes) == QY_OK;
        unmapped += clock_ticks() - start;
        start = clock_ticks();
        ok &= reserve(bytes) == QY_OK;
        touch(bytes, PAGE_BYTES);
        ok &= space_unmap_region(QY_SLOT_SPACE, BENCH_AT, bytes) == QY_OK;
        whole += clock_ticks() - start;
    }
    if (!root_check(root, ok, "a region could not be mapped, protected and unmapped"))
        return;
    uint64_t overhead = bench_clock(TURNS);
    bench_row_of(mapped, overhead, TURNS, "region_map_%llu", (unsigned long long)pages);
    bench_row_of(protected, overhead, TURNS, "region_protect_%llu", (unsigned long long)pages);
    bench_row_of(unmapped, overhead, TURNS, "region_unmap_%llu", (unsigned long long)pages);
    bench_row_of(whole, overhead, TURNS, "region_cycle_%llu", (unsigned long long)pages);
}

/* A second region keeps the tables: what is counted is the pages'. */
static void regions(struct root *root, qy_handle_t budget)
{
    uint64_t keep = BENCH_AT + 8 * MIB - PAGE_BYTES, beside = BENCH_AT + MIB + 4 * PAGE_BYTES;

    (void)budget;
    bool ok = space_map_region(QY_SLOT_SPACE, &keep, PAGE_BYTES, RW, 0) == QY_OK &&
              space_map_region(QY_SLOT_SPACE, &beside, PAGE_BYTES, RW, 0) == QY_OK;
    if (!root_check(root, ok, "the regions that keep the tables could not be made"))
        return;
    region_of(root, 1);
    region_of(root, 16);
    ok = space_unmap_region(QY_SLOT_SPACE, beside, PAGE_BYTES) == QY_OK;
    if (root_check(root, ok, "a region could not be unmapped"))
        region_of(root, 512);
}

static void reserving(struct root *root, qy_handle_t budget)
{
    const struct {
        const char *name;
        uint64_t bytes;
    } sizes[] = {{"1_mib", MIB}, {"1_gib", GIB}, {"1_tib", TIB}};

    (void)budget;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t made = 0, gone = 0, start;
        bool ok = true;
        for (unsigned turn = 0; ok && turn < TURNS; turn++) {
            start = clock_ticks();
            ok &= reserve(sizes[i].bytes) == QY_OK;
            made += clock_ticks() - start;
            start = clock_ticks();
            ok &= space_unmap_region(QY_SLOT_SPACE, BENCH_AT, sizes[i].bytes) == QY_OK;
            gone += clock_ticks() - start;
        }
        if (!root_check(root, ok, "a region could not be reserved and unmapped"))
            return;
        bench_row_of(made, bench_clock(TURNS), TURNS, "reserve_%s", sizes[i].name);
        bench_row_of(gone, bench_clock(TURNS), TURNS, "unreserve_%s", sizes[i].name);
    }
}

/* A page of zeroes appears: the table is there. */
static void demand_zero(struct root *root, qy_handle_t budget)
{
    uint64_t ticks = 0;

    (void)budget;
    if (!root_check(root, reserve(512 * PAGE_BYTES) == QY_OK, "a region could not be reserved"))
        return;
    *(volatile uint64_t *)BENCH_AT = 1;
    for (unsigned i = 1; i < 512; i++) {
        uint64_t start = clock_ticks();
        *(volatile uint64_t *)(BENCH_AT + i * PAGE_BYTES) = 1;
        ticks += clock_ticks() - start;
    }
    bench_row("fault_zero_page", ticks, bench_clock(511), 511);
}

/* One other space, which the same budget pays for. */
static bool make_space(struct root *root, qy_handle_t budget, qy_handle_t *space,
                       qy_handle_t *payer)
{
    bool ok = root_make(root, budget, QY_OBJ_UNTYPED, 1024, payer) == QY_OK &&
              root_make(root, budget, QY_OBJ_ADDRESS_SPACE, 1, space) == QY_OK &&
              space_bind(*space, *payer) == QY_OK;
    return root_check(root, ok, "a second space could not be made");
}

/* A copy is made of a page that two spaces share; the tables are there. */
static void copy_on_write(struct root *root, qy_handle_t budget)
{
    uint64_t at = BENCH_AT, ticks = 0, last = 0, start;
    qy_handle_t space, payer;
    bool ok = make_space(root, root->untyped, &space, &payer) && reserve(512 * PAGE_BYTES) == QY_OK;

    (void)budget;
    if (ok)
        touch(512 * PAGE_BYTES, PAGE_BYTES);
    ok = ok && space_clone(space, QY_SLOT_SPACE, &at, BENCH_AT + 512 * PAGE_BYTES) == QY_OK;
    for (unsigned i = 0; ok && i < 512; i++) {
        start = clock_ticks();
        *(volatile uint64_t *)(BENCH_AT + i * PAGE_BYTES) = 1;
        if (i)
            ticks += clock_ticks() - start;
    }
    /* The sharer has gone: no copy, the page is the last one's. */
    at = BENCH_AT;
    ok = ok && space_unmap_region(space, BENCH_AT, 512 * PAGE_BYTES) == QY_OK &&
         space_clone(space, QY_SLOT_SPACE, &at, BENCH_AT + 512 * PAGE_BYTES) == QY_OK &&
         space_unmap_region(space, BENCH_AT, 512 * PAGE_BYTES) == QY_OK;
    for (unsigned i = 0; ok && i < 512; i++) {
        start = clock_ticks();
        *(volatile uint64_t *)(BENCH_AT + i * PAGE_BYTES) = 1;
        if (i)
            last += clock_ticks() - start;
    }
    if (!root_check(root, ok, "pages could not be cloned"))
        return;
    bench_row("fault_copy_page", ticks, bench_clock(511), 511);
    bench_row("fault_last_sharer", last, bench_clock(511), 511);
    ok = cap_delete(space) == QY_OK && cap_revoke(payer) == QY_OK && cap_delete(payer) == QY_OK;
    root_check(root, ok, "the second space could not be deleted");
}

/* Fork of so many bytes in which each `step` has a page. */
static void clone_of(struct root *root, const char *name, uint64_t bytes, uint64_t step)
{
    uint64_t at = BENCH_AT;
    qy_handle_t space, payer;
    uint32_t mark = root_mark(root);
    bool ok = make_space(root, root->untyped, &space, &payer) && reserve(bytes) == QY_OK;

    if (!root_check(root, ok, "a region to clone could not be made"))
        return;
    touch(bytes, step);
    uint64_t start = clock_ticks();
    enum qy_error error = space_clone(space, QY_SLOT_SPACE, &at, BENCH_AT + bytes);
    uint64_t ticks = clock_ticks() - start;
    if (root_check(root, error == QY_OK, "a region could not be cloned"))
        bench_row_of(ticks, bench_clock(1), 1, "clone_%s", name);
    start = clock_ticks();
    error = cap_delete(space);
    ticks = clock_ticks() - start;
    if (root_check(root, error == QY_OK, "a clone could not be deleted"))
        bench_row_of(ticks, bench_clock(1), 1, "destroy_clone_%s", name);
    ok = space_unmap_region(QY_SLOT_SPACE, BENCH_AT, bytes) == QY_OK &&
         cap_revoke(payer) == QY_OK && cap_delete(payer) == QY_OK;
    root_check(root, ok, "what a clone left could not be taken back");
    root_release(root, mark);
}

static void clones(struct root *root, qy_handle_t budget)
{
    (void)budget;
    clone_of(root, "1_gib_sparse", GIB, 2 * MIB);
    clone_of(root, "64_mib", 64 * MIB, PAGE_BYTES);
}

/* Pages move to another payer, and stay where they are mapped; the copy of each is part of it. */
static void migrate(struct root *root, qy_handle_t budget)
{
    const uint64_t bytes = 512 * PAGE_BYTES;
    uint64_t at = BENCH_AT;
    qy_handle_t payer;
    bool ok = root_make(root, root->untyped, QY_OBJ_UNTYPED, 1024, &payer) == QY_OK &&
              reserve(bytes) == QY_OK;

    (void)budget;
    if (ok)
        touch(bytes, PAGE_BYTES);
    uint64_t start = clock_ticks();
    ok = ok && space_migrate(QY_SLOT_SPACE, payer, &at, BENCH_AT + bytes) == QY_OK;
    uint64_t ticks = clock_ticks() - start;
    for (uint64_t page = 0; ok && page < bytes; page += PAGE_BYTES)
        ok = *(volatile uint64_t *)(BENCH_AT + page) == page;
    ok = ok && space_unmap_region(QY_SLOT_SPACE, BENCH_AT, bytes) == QY_OK &&
         cap_revoke(payer) == QY_OK && cap_delete(payer) == QY_OK;
    if (root_check(root, ok, "pages could not be moved to another payer"))
        bench_row("migrate_page", ticks, bench_clock(1), 512);
}

/* A stretch of 2 MiB that becomes one page: ordinary faults, the one that promotes, and what divides it again. */
static void large_pages(struct root *root, qy_handle_t budget)
{
    uint64_t at = BENCH_AT, ordinary = 0, promoted = 0, divided = 0, whole = 0, start;
    struct space_pages pages = {0}, before = {0};
    const unsigned turns = 4;

    (void)budget;
    bool ok = space_pages(QY_SLOT_SPACE, &before) == QY_OK;
    for (unsigned t = 0; ok && t < turns; t++) {
        ok = space_map_region(QY_SLOT_SPACE, &at, 2 * MIB, RW | QY_REGION_GROW, 0) == QY_OK;
        for (unsigned i = 0; ok && i < 512; i++) {
            start = clock_ticks();
            *(volatile uint64_t *)(BENCH_AT + i * PAGE_BYTES) = 1;
            *(i == 511 ? &promoted : &ordinary) += i ? clock_ticks() - start : 0;
        }
        start = clock_ticks();
        ok = ok && space_protect_region(QY_SLOT_SPACE, at, PAGE_BYTES, QY_MAP_READ) == QY_OK;
        divided += clock_ticks() - start;
        ok = ok && space_unmap_region(QY_SLOT_SPACE, at, 2 * MIB) == QY_OK &&
             space_map_region(QY_SLOT_SPACE, &at, 2 * MIB, RW | QY_REGION_PAGES_2M, 0) == QY_OK;
        start = clock_ticks();
        if (ok)
            *(volatile uint64_t *)BENCH_AT = 1;
        whole += clock_ticks() - start;
        ok = ok && space_unmap_region(QY_SLOT_SPACE, at, 2 * MIB) == QY_OK;
    }
    ok = ok && space_pages(QY_SLOT_SPACE, &pages) == QY_OK &&
         pages.promoted - before.promoted == turns && pages.divided - before.divided == turns;
    if (!root_check(root, ok, "pages could not be put together and divided"))
        return;
    bench_row("fault_grow_page", ordinary, bench_clock(turns * 510), turns * 510);
    bench_row("fault_promotes", promoted, bench_clock(turns), turns);
    bench_row("divide_2_mib", divided, bench_clock(turns), turns);
    bench_row("fault_2_mib_page", whole, bench_clock(turns), turns);
}

void bench_regions(struct root *root)
{
    bench_with_bound(root, 1024, regions);
    bench_with_bound(root, 64, reserving);
    bench_with_bound(root, 1024, demand_zero);
    bench_with_bound(root, 8192, large_pages);
    bench_with_bound(root, 2048, copy_on_write);
    bench_with_bound(root, 20480, clones);
    bench_with_bound(root, 2048, migrate);
}
