/*
 * What arenas cost on large machines: work and memory by ranges and edges, not by frames.
 *
 * Would miss: times (bench/phys).
 */
#include "arena_fixture.h"

#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define UNDER_SANITIZER
#endif
#endif

/* Whether a machine of that size can be simulated here; always, but under a sanitizer. */
static bool can_reserve(uint64_t tib)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || defined(UNDER_SANITIZER)
    if (!hosted_machine_make(&machine, tib << 40, false))
        return false;
    hosted_machine_destroy(&machine);
#endif
    return tib > 0;
}

/* 512 GiB: adding and carving touch section descriptors and the edges only. */
static void half_a_terabyte(void)
{
    if (QY_MAX_ORDER < 18)
        SKIP("built for blocks smaller than 1 GiB");
    uint64_t end = (512ull << 18) + 12345;
    make(1, end);
    CHECK_EQ(qy_framedb_sections_total(&machine.db), 4097);
    CHECK_EQ(qy_framedb_sections_initialised(&machine.db),
             2); /* where it begins and where it ends */
    uint64_t at = take(0);
    CHECK_EQ(qy_framedb_sections_initialised(&machine.db), 2);
    CHECK_EQ(qy_arena_carve(&arena, &child, 300ull << 18, 2), QY_OK);
    CHECK_EQ(qy_framedb_sections_initialised(&machine.db), 2);
    pfn_t page;
    CHECK_EQ(qy_arena_alloc(&child, 0, QY_FRAME_USER, &page), QY_OK);
    CHECK_EQ(qy_framedb_sections_initialised(&machine.db), 3);
    CHECK(qy_arena_check(&child) == NULL);
    CHECK_EQ(qy_arena_free(&child, page, 0, QY_FRAME_USER), QY_OK);
    CHECK_EQ(qy_arena_alloc(&child, 18, QY_FRAME_USER, &page), QY_OK);
    CHECK_EQ(qy_frame_map(&machine.db, pfn(page.raw + 99999), true, false), QY_OK);
    qy_frame_unmap(&machine.db, page);
    CHECK_EQ(qy_arena_free(&child, page, 18, QY_FRAME_USER), QY_OK);
    CHECK_EQ(qy_framedb_sections_initialised(&machine.db), 3);
    CHECK_EQ(qy_arena_return(&child), QY_OK);
    CHECK_EQ(give(at, 0), QY_OK);
    CHECK_EQ(qy_arena_carve(&arena, &child, end - 1, 2), QY_OK);
    CHECK_EQ(qy_arena_return(&child), QY_OK);
    CHECK_EQ(qy_framedb_sections_initialised(&machine.db), 3);
    done();
}

/* Pages of the tables [from, to) that exist: each was touched. */
static uint64_t touched(const unsigned char *from, uint64_t bytes)
{
    static unsigned char in_core[1u << 20];
    uint64_t count = 0, pages = bytes / 4096;
    unsigned char *start = (unsigned char *)qy_align_down((uintptr_t)from, 4096);
    for (uint64_t at = 0; at < pages; at += sizeof(in_core)) {
        uint64_t some = pages - at < sizeof(in_core) ? pages - at : sizeof(in_core);
        if (mincore(start + at * 4096, some * 4096, in_core) != 0)
            return UINT64_MAX;
        for (uint64_t i = 0; i < some; i++)
            count += in_core[i] & 1;
    }
    return count;
}

/* 1 TiB in three ranges: what is written is the section table and the ranges' edges, whatever their
 * length. */
static void one_terabyte(void)
{
    const uint64_t end = 1ull << 28,
                   ranges[3][2] = {{77, 1u << 20}, {3 << 20, 99999999}, {1 << 27, end}};
    CHECK(hosted_machine_make(&machine, end * QY_PAGE_BYTES, false));
    for (unsigned i = 0; i < 2;
         i++) /* or one touch would be 512 pages; refused where there are none */
        (void)madvise((void *)qy_align_down((uintptr_t)machine.table[i], 4096), end * 16 >> 6 * i,
                      MADV_NOHUGEPAGE);
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    for (unsigned i = 0; i < 3; i++) {
        hosted_ram_add(&machine, pfn(ranges[i][0]), pfn(ranges[i][1]));
        CHECK_EQ(qy_arena_add(&arena, pfn(ranges[i][0]), pfn(ranges[i][1])), QY_OK);
    }
    CHECK_EQ(qy_framedb_sections_initialised(&machine.db), 2);
    uint64_t frames = touched(machine.table[0], end * 16),
             blocks = touched(machine.table[1], end / 4);
    CHECK(frames >= 1 && frames <= 3 * 3); /* 8 KiB of entries an edge */
    CHECK(blocks >= 1 && blocks <= 3 * 3); /* 8 KiB of descriptors an edge */
    done();
}

/* A child of most of a machine of 16 TiB, which no single block is near. */
static void half_of_16_tib(void)
{
    if (!can_reserve(16))
        SKIP("a sanitizer's own maps leave no 16 TiB of addresses");
    make(1, 16ull << 28);
    CHECK_EQ(qy_arena_carve(&arena, &child, (9ull << 28) + 54321, 2), QY_OK);
    CHECK(qy_arena_check(&child) == NULL);
    CHECK_EQ(qy_arena_return(&child), QY_OK);
    done();
}

/* More free blocks than are looked around one by one, and one pair among them that is a run: it is
 * found, and the lock is let go while it is looked for. */
static void a_run_among_fragments(void)
{
    enum { BLOCKS = 4400, PAIR = 2001 };
    const struct qy_bounds all = {pfn(0), pfn(1 << 24), 0};
    pfn_t at = {0};
    make(QY_BLOCK_PAGES, (BLOCKS + 1) * QY_BLOCK_PAGES);
    for (unsigned i = 0; i < BLOCKS; i++)
        take(QY_BLOCK_ORDER);
    CHECK_EQ(give(PAIR * QY_BLOCK_PAGES, QY_BLOCK_ORDER), QY_OK); /* the last of its list */
    CHECK_EQ(give((PAIR + 1) * QY_BLOCK_PAGES, QY_BLOCK_ORDER), QY_OK);
    for (unsigned i = 4; i < BLOCKS; i += 4)
        if (i != PAIR - 1 && i != PAIR + 3)
            CHECK_EQ(give(i * QY_BLOCK_PAGES, QY_BLOCK_ORDER), QY_OK);
    CHECK(qy_arena_pages(&arena, QY_FRAME_FREE) / QY_BLOCK_PAGES > QY_SWEEP_LOOKS + 2);
    CHECK_EQ(qy_arena_carve(&arena, &child, 2 * QY_BLOCK_PAGES, 2), QY_OK);
    CHECK_EQ(child.base.raw, PAIR * QY_BLOCK_PAGES);
    CHECK_EQ(qy_arena_return(&child), QY_OK);
    unsigned before = arena.lock.next;
    CHECK_EQ(qy_arena_alloc_pages(&arena, 2 * QY_BLOCK_PAGES + 1, QY_FRAME_USER, &at),
             QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_arena_alloc_in(&arena, 2 * QY_BLOCK_PAGES + 1, &all, QY_FRAME_USER, &at),
             QY_OUT_OF_MEMORY);
    unsigned holds = arena.lock.next - before;
    CHECK(holds >= 2 * (BLOCKS / QY_SWEEP_LOOKS) && holds < BLOCKS / 64);
    CHECK_EQ(qy_arena_alloc_in(&arena, 2 * QY_BLOCK_PAGES, &all, QY_FRAME_USER, &at), QY_OK);
    CHECK_EQ(at.raw, PAIR * QY_BLOCK_PAGES);
    done();
}

/* The last gigabytes of 64 TiB, ragged, so that links between frames need all their 34 bits. */
static void top_of_64_tib(void)
{
    uint64_t top = 1ull << 34, at[300];
    if (!can_reserve(64))
        SKIP("a sanitizer's own maps leave no 64 TiB of addresses");
    make(top - 40000 - 300, top - 5);
    for (unsigned turn = 0; turn < 3; turn++) {
        for (unsigned i = 0; i < 300; i++)
            at[i] = take(0);
        for (unsigned i = 0; i < 300; i += 2) /* no buddies: long lists */
            CHECK_EQ(give(at[i], 0), QY_OK);
        CHECK(qy_arena_check(&arena) == NULL);
        for (unsigned i = 1; i < 300; i += 2)
            CHECK_EQ(give(at[(i * 7 + turn) % 300 | 1], 0), QY_OK);
        CHECK(qy_arena_check(&arena) == NULL);
    }
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), arena.total_pages);
    CHECK_EQ(take(0) >> 30, 15);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_OBJECT), 1);
    done();
}

static const struct test tests[] = {
    {"512 GiB initialises the sections it splits", half_a_terabyte},
    {"1 TiB in three ranges touches their edges", one_terabyte},
    {"a child of 9 TiB", half_of_16_tib},
    {"a run among fragments is found, in steps", a_run_among_fragments},
    {"the top of 64 TiB", top_of_64_tib},
};
TEST_MAIN(tests)
