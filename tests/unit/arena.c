/*
 * Arenas, case by case: what is promised of each call, and each refusal by name.
 *
 * Would miss: sequences (arena_model), combinations (arena_exhaustive), other CPUs (mem_threads),
 * large machines (arena_large).
 */
#include "arena_fixture.h"

static struct qy_arena other;

static void every_order(void)
{
    uint64_t at[QY_MAX_ORDER + 1];
    make(1 << 18, 4 << 18);
    for (unsigned o = 0; o <= QY_MAX_ORDER; o++) {
        at[o] = take(o);
        CHECK_EQ(qy_frame_state(&machine.db, pfn(at[o])), QY_FRAME_OBJECT);
        CHECK_EQ(qy_frame_state(&machine.db, pfn(at[o] + (1ull << o) - 1)), QY_FRAME_OBJECT);
        CHECK(qy_arena_check(&arena) == NULL);
    }
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_OBJECT), (2ull << QY_MAX_ORDER) - 1);
    for (unsigned o = 0; o <= QY_MAX_ORDER; o++)
        CHECK_EQ(give(at[o], o), QY_OK);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 3 << 18);
    CHECK_EQ(qy_arena_largest(&arena), QY_MAX_ORDER);
    done();
}

static void refusals(void)
{
    make(512, 8192);
    pfn_t out;
    uint64_t block = take(3), page = take(0), large = take(9);
    hosted_ram_add(&machine, pfn(8192), pfn(9000));
    qy_arena_init(&other, &machine.db, 0, QY_ZONE_NORMAL, 2);
    CHECK_EQ(qy_arena_add(&other, pfn(8192), pfn(9000)), QY_OK);
    CHECK_EQ(give(block, 2), QY_NOT_ALLOCATED); /* wrong order */
    CHECK_EQ(give(block, 4), QY_NOT_ALLOCATED);
    CHECK_EQ(give(block + 1, 0), QY_NOT_ALLOCATED); /* inside a block */
    CHECK_EQ(give(block + 4, 2), QY_NOT_ALLOCATED);
    CHECK_EQ(give(large + 3, 0), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_arena_free(&arena, pfn(block), 3, QY_FRAME_USER),
             QY_NOT_ALLOCATED); /* wrong state */
    CHECK_EQ(qy_arena_free(&arena, pfn(block), 3, QY_FRAME_FREE), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_arena_free(&arena, pfn(block), 3, QY_FRAME_CHILD), QY_INVALID_ARGUMENT);
    CHECK_EQ(give(block, QY_MAX_ORDER + 1), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_arena_free(&other, pfn(block), 3, QY_FRAME_OBJECT),
             QY_NOT_OWNED); /* a foreign arena's */
    CHECK_EQ(qy_arena_free(&other, pfn(large), 9, QY_FRAME_OBJECT), QY_NOT_OWNED);
    CHECK_EQ(give(8192, 0), QY_NOT_OWNED);
    CHECK_EQ(give(100, 0), QY_NOT_OWNED);        /* reserved, in a section in use */
    CHECK_EQ(give(0, 0), QY_NOT_OWNED);          /* frame 0 */
    CHECK_EQ(give(30000, 0), QY_NOT_OWNED);      /* reserved, its block never initialised */
    CHECK_EQ(give(1ull << 40, 0), QY_NOT_OWNED); /* beyond the machine */
    CHECK_EQ(give(UINT64_MAX, 0), QY_NOT_OWNED);
    CHECK_EQ(give(page, 0), QY_OK);
    CHECK_EQ(give(page, 0), QY_NOT_ALLOCATED); /* double */
    CHECK_EQ(give(block, 3), QY_OK);
    CHECK_EQ(give(block, 3), QY_NOT_ALLOCATED);
    CHECK_EQ(give(large, 9), QY_OK);
    CHECK_EQ(give(large, 9), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_arena_alloc(&arena, QY_MAX_ORDER + 1, QY_FRAME_OBJECT, &out), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_arena_alloc(&arena, UINT32_MAX, QY_FRAME_OBJECT, &out), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_arena_alloc(&arena, 0, QY_FRAME_RESERVED, &out), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_arena_alloc(&arena, 13, QY_FRAME_OBJECT, &out), QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_arena_alloc_at(&arena, pfn(513), 1, QY_FRAME_OBJECT), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_arena_alloc_at(&arena, pfn(8192), 0, QY_FRAME_OBJECT), QY_NOT_OWNED);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), arena.total_pages);
    done();
}

static void mapped_and_pinned_stay(void)
{
    make(512, 1024);
    pfn_t at;
    CHECK_EQ(qy_arena_alloc(&arena, 1, QY_FRAME_USER, &at), QY_OK);
    CHECK_EQ(qy_frame_map(&machine.db, pfn(at.raw + 1), true, false), QY_OK);
    CHECK_EQ(qy_arena_free(&arena, at, 1, QY_FRAME_USER), QY_BUSY);
    CHECK_EQ(qy_frame_set_state(&machine.db, at, QY_FRAME_USER, QY_FRAME_OBJECT), QY_BUSY);
    qy_frame_unmap(&machine.db, at);
    CHECK_EQ(qy_frame_pin(&machine.db, at), QY_OK);
    CHECK_EQ(qy_arena_free(&arena, at, 1, QY_FRAME_USER), QY_BUSY);
    CHECK_EQ(qy_frame_unpin(&machine.db, at), QY_OK);
    CHECK_EQ(qy_frame_unpin(&machine.db, at), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_arena_free(&arena, at, 1, QY_FRAME_USER), QY_OK);
    done();
}

static void at_an_address(void)
{
    if (QY_MAX_ORDER < 18)
        SKIP("built for blocks smaller than 1 GiB");
    make(1 << 18, 2 << 18);
    uint64_t at = (1 << 18) + 77777;
    CHECK_EQ(qy_arena_alloc_at(&arena, pfn(at), 0, QY_FRAME_OBJECT), QY_OK);
    CHECK_EQ(qy_arena_alloc_at(&arena, pfn(at), 0, QY_FRAME_OBJECT), QY_BUSY);
    CHECK_EQ(qy_arena_alloc_at(&arena, pfn(at & ~15ull), 4, QY_FRAME_OBJECT), QY_BUSY);
    CHECK_EQ(qy_arena_alloc_at(&arena, pfn((at & ~15ull) + 16), 4, QY_FRAME_OBJECT), QY_OK);
    CHECK_EQ(qy_arena_alloc_at(&arena, pfn(3 << 17), 17, QY_FRAME_OBJECT), QY_OK);
    CHECK(qy_arena_check(&arena) == NULL);
    CHECK_EQ(give(at, 0), QY_OK);
    CHECK_EQ(give((at & ~15ull) + 16, 4), QY_OK);
    CHECK_EQ(give(3 << 17, 17), QY_OK);
    CHECK_EQ(qy_arena_largest(&arena), 18);
    done();
}

/* Exactly n pages: the tail stays free, and only the same n pages go back at once. */
static void exact_runs(void)
{
    make(512, 8192);
    uint64_t all = arena.total_pages;
    for (uint64_t pages = 1; pages < 3000; pages = pages * 3 / 2 + 1) {
        pfn_t at, start;
        unsigned order;
        CHECK_EQ(qy_arena_alloc_pages(&arena, pages, QY_FRAME_USER, &at), QY_OK);
        CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_USER), pages);
        CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), all - pages);
        for (uint64_t i = 0; i < pages; i += 1ull << order) { /* blocks, one after the other */
            CHECK_EQ(qy_frame_block(&machine.db, pfn(at.raw + i), &start, &order, NULL), QY_OK);
            CHECK_EQ(start.raw, at.raw + i);
        }
        CHECK(qy_frame_state(&machine.db, pfn(at.raw + pages)) == QY_FRAME_FREE);
        CHECK_EQ(qy_arena_free_pages(&arena, at, pages + 1, QY_FRAME_USER), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_arena_free_pages(&arena, at, pages, QY_FRAME_SLAB), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_frame_pin(&machine.db, start), QY_OK); /* its last block */
        CHECK_EQ(qy_arena_free_pages(&arena, at, pages, QY_FRAME_USER), QY_BUSY);
        CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_USER), pages);
        CHECK_EQ(qy_frame_unpin(&machine.db, start), QY_OK);
        CHECK_EQ(qy_arena_free_pages(&arena, at, pages, QY_FRAME_USER), QY_OK);
        CHECK_EQ(qy_arena_free_pages(&arena, at, pages, QY_FRAME_USER), QY_NOT_ALLOCATED);
        CHECK(qy_arena_check(&arena) == NULL);
    }
    pfn_t at;
    CHECK_EQ(qy_arena_alloc_pages(&arena, 0, QY_FRAME_USER, &at), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_arena_alloc_pages(&arena, all + 1, QY_FRAME_USER, &at), QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_arena_alloc_pages(&arena, UINT64_MAX, QY_FRAME_USER, &at), QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_arena_free_pages(&arena, pfn(512), UINT64_MAX, QY_FRAME_USER), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_arena_free_pages(&arena, pfn(UINT64_MAX), 3, QY_FRAME_USER), QY_NOT_OWNED);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), all);
    done();
}

/* 600 free frames in a row that no block holds: 300 on either side of a 2 MiB boundary. */
static void runs_across_blocks(void)
{
    make(512, 4096);
    pfn_t at = {0};
    for (unsigned i = 512; i < 4096; i++)
        take(0);
    for (unsigned i = 1024 - 300; i < 1024 + 300; i++)
        CHECK_EQ(give(i, 0), QY_OK);
    CHECK_EQ(give(2000, 0), QY_OK);
    CHECK_EQ(qy_arena_alloc_pages(&arena, 601, QY_FRAME_USER, &at), QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_arena_alloc_pages(&arena, 600, QY_FRAME_USER, &at), QY_OK);
    CHECK_EQ(at.raw, 1024 - 300);
    CHECK_EQ(qy_arena_alloc_pages(&arena, 2, QY_FRAME_USER, &at), QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_arena_free_pages(&arena, pfn(1024 - 300), 600, QY_FRAME_USER), QY_OK);
    CHECK_EQ(qy_arena_carve(&arena, &child, 600, 2), QY_OK);
    CHECK_EQ(child.base.raw, 1024 - 300);
    CHECK_EQ(qy_arena_return(&child), QY_OK);
    done();
}

/* Below a limit, between two addresses, aligned; found whenever there is a place. */
static void within_bounds(void)
{
    make(512, 65536);
    struct qy_bounds low = {pfn(0), pfn(1024), 0}, gap = {pfn(20001), pfn(20011), 0},
                     aligned = {pfn(30001), pfn(40000), 10}, none = {pfn(9), pfn(9), 0};
    pfn_t at;
    for (unsigned i = 0; i < 512; i++) {
        CHECK_EQ(qy_arena_alloc_in(&arena, 1, &low, QY_FRAME_USER, &at), QY_OK);
        CHECK(at.raw >= 512 && at.raw < 1024);
    }
    CHECK_EQ(qy_arena_alloc_in(&arena, 1, &low, QY_FRAME_USER, &at), QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_arena_alloc_in(&arena, 10, &gap, QY_FRAME_USER, &at), QY_OK);
    CHECK_EQ(at.raw, 20001);
    CHECK_EQ(qy_arena_free_pages(&arena, at, 10, QY_FRAME_USER), QY_OK);
    CHECK_EQ(qy_arena_alloc_in(&arena, 11, &gap, QY_FRAME_USER, &at), QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_arena_alloc_in(&arena, 1025, &aligned, QY_FRAME_USER, &at), QY_OK);
    CHECK_EQ(at.raw % 1024, 0);
    CHECK(at.raw >= 30001 && at.raw + 1025 <= 40000);
    CHECK_EQ(qy_arena_alloc_in(&arena, 1, &none, QY_FRAME_USER, &at), QY_INVALID_ARGUMENT);
    aligned.align_order = QY_BOUNDS_ALIGN_MAX + 1;
    CHECK_EQ(qy_arena_alloc_in(&arena, 1, &aligned, QY_FRAME_USER, &at), QY_INVALID_ARGUMENT);
    aligned.align_order = 63;
    CHECK_EQ(qy_arena_alloc_in(&arena, 1, &aligned, QY_FRAME_USER, &at), QY_INVALID_ARGUMENT);
    aligned.align_order = QY_BOUNDS_ALIGN_MAX;
    CHECK_EQ(qy_arena_alloc_in(&arena, 1, &aligned, QY_FRAME_USER, &at), QY_OUT_OF_MEMORY);
    done();
}

static void retyping_keeps_the_counters(void)
{
    make(512, 1024);
    uint64_t at = take(2);
    qy_frame_set_word(&machine.db, pfn(at), 42);
    CHECK_EQ(qy_frame_word(&machine.db, pfn(at)), 42);
    CHECK_EQ(qy_frame_set_state(&machine.db, pfn(at), QY_FRAME_OBJECT, QY_FRAME_TABLE), QY_OK);
    CHECK_EQ(qy_frame_word(&machine.db, pfn(at)), 0);
    CHECK_EQ(qy_frame_state(&machine.db, pfn(at + 3)), QY_FRAME_TABLE);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_TABLE), 4);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_OBJECT), 0);
    CHECK_EQ(qy_frame_set_state(&machine.db, pfn(at), QY_FRAME_OBJECT, QY_FRAME_TABLE),
             QY_NOT_ALLOCATED);
    CHECK_EQ(qy_frame_set_state(&machine.db, pfn(at + 1), QY_FRAME_TABLE, QY_FRAME_OBJECT),
             QY_NOT_ALLOCATED);
    CHECK_EQ(qy_frame_set_state(&machine.db, pfn(at), QY_FRAME_TABLE, QY_FRAME_FREE),
             QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_frame_set_state(&machine.db, pfn(3), QY_FRAME_TABLE, QY_FRAME_OBJECT),
             QY_NOT_ALLOCATED);
    done();
}

static void children(void)
{
    static struct qy_arena grandchild;
    make(1, 30000);
    uint64_t before = take(0);
    CHECK_EQ(qy_arena_carve(&arena, &child, 1000, 2), QY_OK);
    CHECK_EQ(child.end.raw - child.base.raw, 1000);
    CHECK_EQ(qy_arena_carve(&child, &grandchild, 333, 3), QY_OK);
    CHECK(qy_arena_of(&machine.db, grandchild.base) == &grandchild);
    CHECK(qy_arena_of(&machine.db, child.base) ==
          (grandchild.base.raw == child.base.raw ? &grandchild : &child));
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_CHILD), 1000);
    CHECK_EQ(qy_arena_pages(&child, QY_FRAME_CHILD), 333);
    CHECK_EQ(qy_arena_return(&child), QY_BUSY);
    CHECK_EQ(qy_arena_return(&arena), QY_INVALID_ARGUMENT);
    CHECK(!qy_arena_check(&arena) && !qy_arena_check(&child) && !qy_arena_check(&grandchild));
    CHECK_EQ(qy_arena_return(&grandchild), QY_OK);
    qy_arena_mark_dying(&child);
    pfn_t at;
    CHECK_EQ(qy_arena_alloc(&child, 0, QY_FRAME_USER, &at), QY_REVOKED);
    CHECK_EQ(qy_arena_carve(&child, &grandchild, 1, 4), QY_REVOKED);
    CHECK_EQ(qy_arena_return(&child), QY_OK);
    CHECK_EQ(qy_arena_alloc(&child, 0, QY_FRAME_USER, &at), QY_REVOKED); /* it has gone back */
    CHECK_EQ(qy_arena_carve(&arena, &child, 0, 2), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_arena_carve(&arena, &child, 30000, 2), QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_arena_carve(&arena, &child, UINT64_MAX, 2), QY_OUT_OF_MEMORY);
    CHECK_EQ(give(before, 0), QY_OK);
    CHECK_EQ(qy_arena_carve(&arena, &child, 29999, 2), QY_OK); /* all of it, ragged as it is */
    CHECK(qy_arena_check(&child) == NULL);
    CHECK_EQ(qy_arena_return(&child), QY_OK);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 29999);
    done();
}

/* Small allocations stay together: after many, nearly all 2 MiB blocks are whole. */
static void large_blocks_stay_whole(void)
{
    uint64_t at[2000];
    make(1 << 15, 3 << 15);
    for (unsigned i = 0; i < 2000; i++)
        at[i] = take(i % 3);
    unsigned blocks = 0;
    pfn_t block;
    while (qy_arena_alloc(&arena, 9, QY_FRAME_USER, &block) == QY_OK)
        blocks++;
    CHECK(blocks >= 128 - (2000 / 3 * 7 + 511) / 512 - 1);
    for (unsigned i = 0; i < 2000; i++)
        CHECK_EQ(give(at[i], i % 3), QY_OK);
    done();
}

/* Two roots in one 2 MiB block keep out of each other's way, and neither merges into the other. */
static void two_roots_in_one_block(void)
{
    make(512, 700);
    qy_arena_init(&other, &machine.db, 1, QY_ZONE_NORMAL, 2);
    hosted_ram_add(&machine, pfn(700), pfn(1024));
    CHECK_EQ(qy_arena_add(&other, pfn(699), pfn(1024)), QY_NOT_OWNED);
    CHECK_EQ(qy_arena_add(&other, pfn(700), pfn(1024)), QY_OK);
    CHECK_EQ(qy_arena_add(&other, pfn(700), pfn(701)), QY_NOT_OWNED);
    CHECK_EQ(qy_arena_largest(&arena), 7);
    CHECK_EQ(qy_arena_largest(&other), 8);
    pfn_t at;
    unsigned count = 0;
    while (qy_arena_alloc(&other, 0, QY_FRAME_USER, &at) == QY_OK) {
        CHECK(at.raw >= 700 && at.raw < 1024);
        count++;
    }
    CHECK_EQ(count, 324);
    CHECK(qy_arena_check(&other) == NULL);
    done();
}

static void record(void)
{
    make(512, 1024);
    struct qy_record_arena r;
    take(1);
    pfn_t at;
    CHECK_EQ(qy_arena_alloc(&arena, 9, QY_FRAME_USER, &at), QY_OUT_OF_MEMORY);
    qy_arena_record(&arena, &r);
    CHECK_EQ(r.total_bytes, 512 * 4096);
    CHECK_EQ(r.free_bytes, 510 * 4096);
    CHECK_EQ(r.object_bytes, 2 * 4096);
    CHECK_EQ(r.largest_order, 8);
    CHECK_EQ(r.large_bytes, 0);
    CHECK_EQ(r.allocations, QY_CONFIG_STATISTICS);
    CHECK_EQ(r.failures, QY_CONFIG_STATISTICS);
    done();
}

/* What the validator finds when memory is overwritten. */
static void validator_sees_damage(void) QY_UNCHECKED
{
    make(512, 4096);
    uint64_t at = take(0);
    unsigned char *frame = (unsigned char *)machine.db.frames + 16 * at;
    unsigned char old = *frame;
    *frame ^= 1; /* the state of the block */
    const char *broken = qy_arena_check(&arena);
    CHECK(broken != NULL && strcmp(broken, "ARENA-COUNT") == 0);
    *frame = old;
    CHECK(qy_arena_check(&arena) == NULL);
    arena.pages[QY_FRAME_OBJECT]++;
    CHECK(qy_arena_check(&arena) != NULL);
    arena.pages[QY_FRAME_OBJECT]--;
    arena.nonempty ^= 1;
    CHECK(qy_arena_check(&arena) != NULL);
    arena.nonempty ^= 1;
    arena.large_pages += 512;
    CHECK(qy_arena_check(&arena) != NULL);
    arena.large_pages -= 512;
    done();
}

/* Damage to a free block's descriptor is reported when the block is used, in release builds too. */
static void damage_is_found_in_use(void)
{
    jmp_buf jump;
    volatile unsigned reports = 0;
    for (volatile unsigned k = 0; k < 6; k++) {
        make(512 + 8, 8192); /* free: fine blocks in the first 2 MiB, then blocks of 2, 4, 8 MiB */
        unsigned char *table =
            k < 3 ? machine.table[0] + (512 + 8) * 16 : machine.table[1] + 1024 / 512 * 128;
        static const unsigned char offsets[] = {0, 3, 8, 0, 3, 8};
        table[offsets[k]] ^= 0x10; /* order, owner, next */
        if (setjmp(*hosted_catch(&jump)) == 0) {
            pfn_t out;
            CHECK_EQ(qy_arena_alloc(&arena, k < 3 ? 3 : 9, QY_FRAME_OBJECT, &out), QY_OK);
        } else {
            reports += strcmp(hosted_broken.invariant, "ARENA-LIST") == 0;
        }
        hosted_catch(NULL);
        hosted_machine_destroy(&machine);
    }
    CHECK_EQ(reports, 6);
}

static const struct test tests[] = {
    {"every order, there and back", every_order},
    {"every wrong free is refused by name", refusals},
    {"mapped and pinned blocks are not given back", mapped_and_pinned_stay},
    {"allocation at an address", at_an_address},
    {"exact runs of pages", exact_runs},
    {"runs across blocks are found", runs_across_blocks},
    {"allocation within bounds", within_bounds},
    {"retyping keeps the counters", retyping_keeps_the_counters},
    {"children of any size, and back", children},
    {"large blocks stay whole", large_blocks_stay_whole},
    {"two roots share a 2 MiB block", two_roots_in_one_block},
    {"the record says what happened", record},
    {"the validator sees damage", validator_sees_damage},
    {"damage is found in use", damage_is_found_in_use},
};
TEST_MAIN(tests)
