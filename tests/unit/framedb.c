/*
 * The frame database: which bytes it needs, what it says of any number, and the rules for mappings.
 */
#include <hosted/hosted.h>
#include <string.h>
#include <tap.h>

static struct hosted_machine machine;
static struct qy_arena arena;

static void make(void)
{
    CHECK(hosted_machine_make(&machine, 3ull << 27, true));
    hosted_ram_add(&machine, pfn(100), pfn(40000));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&arena, pfn(100), pfn(40000)), QY_OK);
}

static uint64_t user_block(unsigned order)
{
    pfn_t at = {0};
    CHECK_EQ(qy_arena_alloc(&arena, order, QY_FRAME_USER, &at), QY_OK);
    return at.raw;
}

static void spans(void)
{
    struct qy_framedb_span s[3];
    qy_framedb_spans(pfn(32768 + 5), pfn(3 * 32768 - 7), s);
    CHECK_EQ(s[0].base, 32768 * 16);
    CHECK_EQ(s[0].end, 3 * 32768 * 16);
    CHECK_EQ(s[1].base, 64 * 128);
    CHECK_EQ(s[1].end, 3 * 64 * 128);
    CHECK_EQ(s[2].base, 0);
    CHECK_EQ(s[2].end, 3 * 32);
    CHECK(s[0].table == 0 && s[1].table == 1 && s[2].table == 2);
}

/* 16 bytes a frame, and what blocks and sections add is below 1/100 of that... and holes cost
 * nothing but sections. */
static void overhead(void)
{
    struct qy_framedb_span s[3];
    uint64_t tib = 1ull << 28, bytes = 0;
    qy_framedb_spans(pfn(0), pfn(tib), s);
    for (unsigned i = 0; i < 3; i++)
        bytes += s[i].end - s[i].base;
    CHECK(bytes <= tib * 17);
    qy_framedb_spans(pfn(63 * tib), pfn(64 * tib), s);
    CHECK(s[0].end - s[0].base == tib * 16);
    CHECK(s[2].end == 64 * tib / QY_SECTION_PAGES * 32 && s[2].end <= 16ull << 20);
}

/* Every number has an answer, and none needs memory that is not there: holes are inaccessible here.
 */
static void any_number(void)
{
    make();
    static const uint64_t reserved[] = {0,     1,     99,         40000,      65535,     65536,
                                        98303, 98304, 1ull << 34, 1ull << 52, UINT64_MAX};
    for (unsigned i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        CHECK_EQ(qy_frame_state(&machine.db, pfn(reserved[i])), QY_FRAME_RESERVED);
        CHECK(qy_arena_of(&machine.db, pfn(reserved[i])) == NULL);
        CHECK_EQ(qy_frame_block(&machine.db, pfn(reserved[i]), NULL, NULL, NULL), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_frame_map(&machine.db, pfn(reserved[i]), true, false), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_frame_mappings(&machine.db, pfn(reserved[i])), 0);
        CHECK_EQ(qy_frame_pin(&machine.db, pfn(reserved[i])), QY_NOT_ALLOCATED);
    }
    for (uint64_t f = 100; f < 40000; f++)
        if (qy_frame_state(&machine.db, pfn(f)) != QY_FRAME_FREE ||
            qy_arena_of(&machine.db, pfn(f)) != &arena)
            CHECK_EQ(f, 0);
    CHECK(strcmp(qy_frame_state_name(QY_FRAME_TABLE), "table") == 0);
    CHECK(strcmp(qy_frame_state_name(QY_FRAME_STATE_COUNT), "?") == 0);
    hosted_machine_destroy(&machine);
}

/* Writable and executable exclude each other over all mappings of a block, until none is left. */
static void write_xor_execute(void)
{
    make();
    for (unsigned order = 0; order <= 12; order += 3) {
        uint64_t at = user_block(order), last = at + (1ull << order) - 1;
        struct qy_framedb *db = &machine.db;
        CHECK_EQ(qy_frame_map(db, pfn(at), true, true), QY_INVALID_FLAGS);
        CHECK_EQ(qy_frame_map(db, pfn(at), false, false), QY_OK);
        CHECK_EQ(qy_frame_map(db, pfn(last), true, false), QY_OK);
        CHECK_EQ(qy_frame_map(db, pfn(at), false, true), QY_INVALID_FLAGS);
        CHECK_EQ(qy_frame_mappings(db, pfn(at)), 2);
        CHECK_EQ(qy_frame_remap(db, pfn(at), false, true), QY_INVALID_FLAGS);
        qy_frame_unmap(db, pfn(last));
        CHECK_EQ(qy_frame_map(db, pfn(at), false, true),
                 QY_INVALID_FLAGS); /* the class stays to the last mapping */
        CHECK_EQ(qy_frame_remap(db, pfn(at), false, true), QY_OK); /* which may change it */
        CHECK_EQ(qy_frame_map(db, pfn(at), true, false), QY_INVALID_FLAGS);
        CHECK_EQ(qy_frame_map(db, pfn(at), false, true), QY_OK);
        qy_frame_unmap(db, pfn(at));
        qy_frame_unmap(db, pfn(at));
        CHECK_EQ(qy_frame_remap(db, pfn(at), true, false), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_frame_map(db, pfn(at), true, false), QY_OK);
        qy_frame_unmap(db, pfn(at));
        CHECK_EQ(qy_frame_mappings(db, pfn(at)), 0);
        CHECK_EQ(qy_arena_free(&arena, pfn(at), order, QY_FRAME_USER), QY_OK);
        CHECK_EQ(qy_frame_map(db, pfn(at), true, false), QY_NOT_ALLOCATED);
    }
    hosted_machine_destroy(&machine);
}

static void counts_do_not_overflow(void)
{
    make();
    uint64_t at = user_block(0);
    for (unsigned i = 0; i < QY_FRAME_MAPPINGS_MAX; i++)
        if (qy_frame_map(&machine.db, pfn(at), false, true) != QY_OK)
            CHECK_EQ(i, 0);
    CHECK_EQ(qy_frame_map(&machine.db, pfn(at), false, true), QY_TOO_MANY);
    CHECK_EQ(qy_frame_mappings(&machine.db, pfn(at)), QY_FRAME_MAPPINGS_MAX);
    for (unsigned i = 0; i < 127; i++)
        CHECK_EQ(qy_frame_pin(&machine.db, pfn(at)), QY_OK);
    CHECK_EQ(qy_frame_pin(&machine.db, pfn(at)), QY_TOO_MANY);
    CHECK_EQ(qy_frame_state(&machine.db, pfn(at)), QY_FRAME_USER);
    CHECK(qy_arena_of(&machine.db, pfn(at)) == &arena);
    hosted_machine_destroy(&machine);
}

/* Bugs of the caller that have no error to return are reported, not survived. */
static void bugs_are_reported(void)
{
    jmp_buf jump;
    make();
    volatile unsigned reports = 0;
    uint64_t at = user_block(0);
    if (setjmp(*hosted_catch(&jump)) == 0)
        qy_frame_unmap(&machine.db, pfn(at));
    else
        reports += strcmp(hosted_broken.invariant, "EXCLUSIVE") == 0 && hosted_broken.number == at;
    if (setjmp(*hosted_catch(&jump)) == 0)
        qy_frame_set_word(&machine.db, pfn(at + 1), 1);
    else
        reports++;
    static _Alignas(16) unsigned char bytes[sizeof(struct qy_arena) + 16];
    if (setjmp(*hosted_catch(&jump)) == 0)
        qy_arena_init((struct qy_arena *)(void *)(bytes + 8), &machine.db, 0, QY_ZONE_DMA32, 0);
    else
        reports += strcmp(hosted_broken.invariant, "ARENA-OWNER") == 0;
    hosted_catch(NULL);
    CHECK_EQ(reports, 3);
    hosted_machine_destroy(&machine);
}

static const struct test tests[] = {
    {"the bytes that the tables need", spans},
    {"what the database costs", overhead},
    {"any frame number has a state", any_number},
    {"writable or executable, over all aliases", write_xor_execute},
    {"counts do not overflow", counts_do_not_overflow},
    {"bugs without an error code are reported", bugs_are_reported},
};
TEST_MAIN(tests)
