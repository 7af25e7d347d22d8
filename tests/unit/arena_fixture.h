/*
 * A machine with one arena, for tests: made, checked after use, and calls on it in short.
 */
#ifndef TESTS_ARENA_FIXTURE_H
#define TESTS_ARENA_FIXTURE_H

#include <hosted/hosted.h>
#include <stdio.h>
#include <string.h>
#include <tap.h>

static struct hosted_machine machine;
static struct qy_arena arena, child;

static inline void make(uint64_t base, uint64_t end)
{
    uint64_t limit = qy_align_up(end, QY_SECTION_PAGES);
    if (!hosted_machine_make(&machine, limit * QY_PAGE_BYTES, end - base < 1u << 20))
        perror("hosted machine");
    hosted_ram_add(&machine, pfn(base), pfn(end));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&arena, pfn(base), pfn(end)), QY_OK);
    CHECK(qy_arena_check(&arena) == NULL);
}

static inline void done(void)
{
    const char *broken = qy_arena_check(&arena);
    CHECK(broken == NULL);
    if (broken)
        printf("# %s\n", broken);
    hosted_machine_destroy(&machine);
}

static inline uint64_t take(unsigned order)
{
    pfn_t out = {0};
    CHECK_EQ(qy_arena_alloc(&arena, order, QY_FRAME_OBJECT, &out), QY_OK);
    CHECK_EQ(out.raw % (1ull << order), 0);
    return out.raw;
}

static inline enum qy_error give(uint64_t at, unsigned order)
{
    return qy_arena_free(&arena, pfn(at), order, QY_FRAME_OBJECT);
}

#endif
