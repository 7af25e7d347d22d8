/*
 * Debug builds: whoever writes to free memory is found out when the memory is handed out again, wherever in the frame
 * it wrote; and what was never filled is not looked at. It would miss a write that leaves the word as it was.
 */
#include "arena_fixture.h"

#include <qy/port.h>

static jmp_buf jump;

static uint64_t *words_of(uint64_t frame)
{
    return qy_port_ram(pfn_to_paddr(pfn(frame)));
}

/* Whether handing out that block is refused, and where the first word written to is. */
static bool is_found_out(uint64_t at, unsigned order, uint64_t *where)
{
    bool found = true;
    if (setjmp(*hosted_catch(&jump)) == 0)
        found = qy_arena_alloc_at(&arena, pfn(at), order, QY_FRAME_OBJECT) != QY_OK;
    hosted_catch(NULL);
    *where = hosted_broken.number;
    return found && strcmp(hosted_broken.invariant, "FREE-UNTOUCHED") == 0;
}

/* One word of one frame of a freed block; every end of both, and in between. */
static void a_write_is_found_out(void)
{
    static const unsigned words[] = {0, 1, 255, 510, 511};
    for (unsigned order = 0; order <= 9; order += 3) {
        for (unsigned i = 0; i < 15; i++) {
            uint64_t where;
            make(512, 4096);
            uint64_t at = take(order);
            CHECK_EQ(give(at, order), QY_OK);
            uint64_t frame = at + ((1ull << order) - 1) * (i / 5) / 2;
            words_of(frame)[words[i % 5]] ^= 1ull << 40;
            hosted_broken = (struct hosted_broken){"", "", 0};
            CHECK(is_found_out(at, order, &where));
            CHECK_EQ(where, frame * QY_PAGE_BYTES + 8 * words[i % 5]);
            hosted_machine_destroy(&machine); /* the arena's lock is held for ever */
        }
    }
}

static void what_is_in_order_is_handed_out(void)
{
    make(512, 4096);
    for (uint64_t frame = 512; frame < 4096; frame++) /* never freed: anything may be there */
        memset(words_of(frame), (int)frame, QY_PAGE_BYTES);
    uint64_t at = take(11);
    memset(words_of(at), 0, QY_PAGE_BYTES << 11);
    CHECK_EQ(give(at, 11), QY_OK);
    CHECK(words_of(at)[7] != 0 && words_of(at)[7] != words_of(at + 1)[7]);
    for (unsigned i = 0; i < 3000; i++)
        take(0);
    done();
}

/* A child gives its memory back with whatever state it is in; a run of frames is filled as blocks are. */
static void children_and_runs(void)
{
    pfn_t run;
    uint64_t where;
    make(512, 4096);
    CHECK_EQ(qy_arena_carve(&arena, &child, 700, 2), QY_OK);
    CHECK_EQ(qy_arena_alloc_pages(&child, 11, QY_FRAME_USER, &run), QY_OK);
    CHECK_EQ(qy_arena_free_pages(&child, run, 11, QY_FRAME_USER), QY_OK);
    CHECK_EQ(qy_arena_return(&child), QY_OK);
    words_of(run.raw + 10)[3]++;
    hosted_broken = (struct hosted_broken){"", "", 0};
    CHECK(is_found_out(run.raw + 10, 0, &where));
    hosted_machine_destroy(&machine);
}

static const struct test tests[] = {
    {"a write to free memory is found out", a_write_is_found_out},
    {"what is in order is handed out", what_is_in_order_is_handed_out},
    {"children and runs of frames", children_and_runs},
};
TEST_MAIN(tests)
