/*
 * Small scope, completely: every state of an arena of 8 units (16 in the suite "long"), and every
 * call from each, compared with the model.
 *
 * A state says which aligned blocks are allocated; with free buddies merged there are 677 (458,330).
 * States are canonical: the order of lists is no part of one. A unit is 1 page up to 32 MiB, so that all three sizes of descriptor and both crossings between them are
 * walked through: as bits of a map, as fine blocks at a ragged edge, as 2 MiB blocks and across
 * sections. After every call the validator runs and the call is undone; the state must be the same
 * again.
 */
#include <model/pair.h>
#include <tap.h>

#ifndef UNITS
#define UNITS 8u
#endif
#define LEVELS (UNITS == 8 ? 4u : 5u)        /* orders 0..3 (4) in units */
#define STATES (UNITS == 8 ? 677u : 458330u) /* s(0) = 2, s(n + 1) = s(n)^2 + 1 */

static struct pair pair;
static uint64_t base; /* of the arena's units */
static unsigned unit_order;
static uint64_t states, calls;

static uint64_t frame_of(unsigned unit)
{
    return base + ((uint64_t)unit << unit_order);
}

static const struct model_frame *unit_head(unsigned unit)
{
    return &pair.model.frames[frame_of(unit)];
}

static void check(void)
{
    pair_check(&pair, false);
    calls++;
}

/* After a call that was refused or undone. With 16 units only counters are compared then, by the
 * call itself, and the validator runs once a state. */
static void check_unchanged(void)
{
    calls++;
    if (UNITS == 8)
        pair_check(&pair, false);
}

static void try_alloc(unsigned order)
{
    uint64_t at;
    if (pair_alloc(&pair, 0, order, QY_FRAME_TABLE, &at) == QY_OK) {
        check();
        pair_free(&pair, 0, at, order, QY_FRAME_TABLE);
    }
    check_unchanged();
}

static void try_alloc_at(uint64_t at, unsigned order)
{
    if (pair_alloc_at(&pair, 0, at, order, QY_FRAME_TABLE) == QY_OK) {
        check();
        pair_free(&pair, 0, at, order, QY_FRAME_TABLE);
    }
    check_unchanged();
}

static void try_free(uint64_t at, unsigned order, enum qy_frame_state state)
{
    if (pair_free(&pair, 0, at, order, state) == QY_OK) {
        check();
        pair_free(&pair, 0, at, order, state);
        pair_alloc_at(&pair, 0, at, order, state);
    }
    check_unchanged();
}

static void try_set_state(uint64_t at)
{
    if (pair_set_state(&pair, at, QY_FRAME_OBJECT, QY_FRAME_USER) == QY_OK) {
        check();
        pair_set_state(&pair, at, QY_FRAME_OBJECT, QY_FRAME_TABLE);
        pair_set_state(&pair, at, QY_FRAME_USER, QY_FRAME_OBJECT);
    }
    check_unchanged();
}

/* Carve, use the child a little, and return it; a child in use is not returned. */
static void try_carve(uint64_t pages)
{
    if (pair_carve(&pair, 0, 1, pages) != QY_OK)
        return;
    uint64_t at;
    check();
    if (pair_alloc(&pair, 1, 0, QY_FRAME_SLAB, &at) == QY_OK) {
        pair_return(&pair, 1);
        pair_free(&pair, 0, at, 0, QY_FRAME_SLAB); /* the parent's? refused */
        check();
        pair_free(&pair, 1, at, 0, QY_FRAME_SLAB);
    }
    pair_return(&pair, 1);
    check_unchanged();
}

/* A run of pages, anywhere or within bounds; it goes back as a whole only. */
static void try_pages(uint64_t pages, const struct qy_bounds *bounds)
{
    uint64_t at;
    enum qy_error error = bounds ? pair_alloc_in(&pair, 0, pages, bounds, QY_FRAME_TABLE, &at)
                                 : pair_alloc_pages(&pair, 0, pages, QY_FRAME_TABLE, &at);
    if (error == QY_OK) {
        check();
        pair_free_pages(&pair, 0, at, pages + 1, QY_FRAME_TABLE);
        pair_free_pages(&pair, 0, at, pages, QY_FRAME_OBJECT);
        pair_free_pages(&pair, 0, at, pages, QY_FRAME_TABLE);
    }
    check_unchanged();
}

static void every_run(uint64_t unit)
{
    for (unsigned n = 1; n <= UNITS; n++) {
        try_pages(n * unit, NULL);
        pair_free_pages(&pair, 0, frame_of(UNITS / 2), n * unit, QY_FRAME_TABLE);
        for (unsigned u = 0; u + n <= UNITS; u += UNITS == 16 ? 7 : unit < 512 ? 1 : 3) {
            struct qy_bounds bounds = {pfn(frame_of(u)), pfn(frame_of(UNITS)), u % 3};
            try_pages(n * unit, &bounds);
            bounds.end = pfn(frame_of(u + n));
            try_pages(n * unit, &bounds);
        }
    }
}

static void every_call(void)
{
    uint64_t unit = 1ull << unit_order;
    for (unsigned o = 0; o <= LEVELS; o++)
        try_alloc(unit_order + o);
    for (unsigned u = 0; u < UNITS; u++) {
        for (unsigned o = 0; o < LEVELS; o++) {
            try_alloc_at(frame_of(u), unit_order + o);
            try_free(frame_of(u), unit_order + o, QY_FRAME_OBJECT);
        }
        try_free(frame_of(u), unit_order, QY_FRAME_TABLE);
        try_set_state(frame_of(u));
    }
    every_run(unit);
    for (unsigned n = 1; n <= UNITS; n++) {
        try_carve(n * unit);
        if (unit > 1)
            try_carve(n * unit - unit / 2 - 1);
    }
    if (unit > 1)
        try_free(frame_of(3) + 1, 0, QY_FRAME_OBJECT);
    try_free(base - 1, 0, QY_FRAME_OBJECT);
}

/* Put units [unit, UNITS) into every state in turn; those before are in one. */
static void every_state(unsigned unit)
{
    if (pair.wrong)
        return;
    if (unit == UNITS) {
        states++;
        every_call();
        check();
        return;
    }
    every_state(unit + 1); /* free */
    for (unsigned o = 0; o < LEVELS && unit % (1u << o) == 0; o++) {
        if (pair_alloc_at(&pair, 0, frame_of(unit), unit_order + o, QY_FRAME_OBJECT) != QY_OK)
            break;
        every_state(unit + (1u << o));
        pair_free(&pair, 0, frame_of(unit), unit_order + o, QY_FRAME_OBJECT);
    }
}

static void finish(void)
{
    pair_check(&pair, true);
    CHECK(pair.wrong == NULL);
    CHECK(unit_head(0)->state == QY_FRAME_FREE);
    printf("# %llu states, %llu calls checked\n", (unsigned long long)states,
           (unsigned long long)calls);
    pair_destroy(&pair);
    states = calls = 0;
}

static void run(unsigned order, uint64_t frames, uint64_t arena_base, uint64_t arena_end)
{
    unit_order = order;
    base = arena_base;
    pair_make(&pair, frames);
    CHECK_EQ(pair_add(&pair, 0, arena_base, arena_end), QY_OK);
    every_state(0);
    /* s(0) = 2, s(n + 1) = s(n)^2 + 1, without the last one where no block is that large */
    CHECK_EQ(states, order + LEVELS - 1 <= QY_MAX_ORDER ? STATES : STATES - 1);
    finish();
}

/* The arena owns a whole 2 MiB block, all of which but 8 frames is allocated: bits of a map. */
static void map_frames(void)
{
    uint64_t at[512];
    unit_order = 0;
    base = 512 + 96;
    pair_make(&pair, 4096);
    CHECK_EQ(pair_add(&pair, 0, 512, 1024), QY_OK);
    for (unsigned i = 0; i < 512; i++)
        CHECK_EQ(pair_alloc(&pair, 0, 0, QY_FRAME_METADATA, &at[i]), QY_OK);
    for (unsigned i = 0; i < UNITS; i++)
        CHECK_EQ(pair_free(&pair, 0, base + i, 0, QY_FRAME_METADATA), QY_OK);
    every_state(0);
    CHECK_EQ(states, STATES);
    finish();
}

static void fine_frames(void)
{
    run(0, 4096, 512 + 48, 512 + 48 + UNITS);
}

#if UNITS == 8
static void half_megabytes(void)
{
    run(7, 8192, 4096, 4096 + 1024);
}

static void blocks(void)
{
    run(9, 16384, 4096, 8192);
}

static void sections(void)
{
    run(13, 3 << 16, 1 << 16, 2 << 16);
}

static const struct test tests[] = {
    {"8 frames in the map of a block", map_frames},       {"8 frames in a fine block", fine_frames},
    {"8 times 512 KiB: maps and blocks", half_megabytes}, {"8 blocks of 2 MiB", blocks},
    {"8 times 32 MiB: blocks and sections", sections},
};
#else
static const struct test tests[] = {
    {"16 frames in a fine block", fine_frames},
    {"16 frames in the map of a block", map_frames},
};
#endif
TEST_MAIN(tests)
