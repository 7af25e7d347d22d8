/*
 * Arenas, case by case: what is promised of each call, each refusal by name, and what large
 * machines cost.
 *
 * Would miss: sequences (arena_model), combinations (arena_exhaustive), other CPUs (arena_threads).
 */
#include <hosted/hosted.h>
#include <string.h>
#include <tap.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define UNDER_SANITIZER
#endif
#endif

static struct hosted_machine machine;
static struct qy_arena arena, child, other;

static void make(uint64_t base, uint64_t end)
{
    uint64_t limit = qy_align_up(end, QY_SECTION_PAGES);
    if (!hosted_machine_make(&machine, limit * QY_PAGE_BYTES, end - base < 1u << 20))
        perror("hosted machine");
    hosted_ram_add(&machine, pfn(base), pfn(end));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&arena, pfn(base), pfn(end)), QY_OK);
    CHECK(qy_arena_check(&arena) == NULL);
}

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

static void done(void)
{
    const char *broken = qy_arena_check(&arena);
    CHECK(broken == NULL);
    if (broken)
        printf("# %s\n", broken);
    hosted_machine_destroy(&machine);
}

static uint64_t take(unsigned order)
{
    pfn_t out = {0};
    CHECK_EQ(qy_arena_alloc(&arena, order, QY_FRAME_OBJECT, &out), QY_OK);
    CHECK_EQ(out.raw % (1ull << order), 0);
    return out.raw;
}

static enum qy_error give(uint64_t at, unsigned order)
{
    return qy_arena_free(&arena, pfn(at), order, QY_FRAME_OBJECT);
}

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
    CHECK_EQ(r.allocations, 1);
    CHECK_EQ(r.failures, 1);
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
    {"retyping keeps the counters", retyping_keeps_the_counters},
    {"children of any size, and back", children},
    {"512 GiB initialises the sections it splits", half_a_terabyte},
    {"a child of 9 TiB", half_of_16_tib},
    {"the top of 64 TiB", top_of_64_tib},
    {"large blocks stay whole", large_blocks_stay_whole},
    {"two roots share a 2 MiB block", two_roots_in_one_block},
    {"the record says what happened", record},
    {"the validator sees damage", validator_sees_damage},
    {"damage is found in use", damage_is_found_in_use},
};
TEST_MAIN(tests)
