/*
 * Random calls on a tree of arenas, each compared with the model; refusals are as frequent as
 * successes. All counters are compared after every call, the validators run every 4,096 calls; on
 * small arenas (64 frames and fewer) they run, and every frame is compared, after every call.
 *
 * Misses: what needs another order of events than one thread makes (arena_threads), and machines
 * beyond 1.25 GiB. The seed is printed; TEST_SEED=n repeats a run, TEST_OPS=n changes its length from a
 * million (the suite "long": ten).
 */
#include <lib/random.h>
#include <model/pair.h>
#include <stdlib.h>
#include <tap.h>

#define LIVE_MAX 4096u
#define RUNS_MAX 64u

static uint64_t seed, random_state, frames;
static struct pair pair;
static uint64_t live[LIVE_MAX]; /* starts of allocated blocks */
static unsigned live_count;
static struct {
    uint64_t at, pages;
    unsigned arena;
    enum qy_frame_state state;
} runs[RUNS_MAX]; /* of pages, taken by one call each */
static unsigned run_count;

static unsigned random_arena(void)
{
    unsigned i;
    do
        i = (unsigned)random_below(&random_state, MODEL_ARENAS);
    while (!pair.model.arenas[i].exists);
    return i;
}

static enum qy_frame_state random_state_of_block(void)
{
    return random_below(&random_state, 50)
               ? (enum qy_frame_state)(QY_FRAME_OBJECT + random_below(&random_state, 4))
               : (enum qy_frame_state)random_below(&random_state, 12);
}

/* Small orders mostly; now and then any, too large ones among them. */
static unsigned random_order(void)
{
    unsigned span = random_below(&random_state, 8)   ? 4
                    : random_below(&random_state, 4) ? 10
                    : random_below(&random_state, 4) ? 15
                                                     : 20;
    return (unsigned)random_below(&random_state, span);
}

static void note(uint64_t at)
{
    live[live_count++] = at;
}

static void op_alloc(void)
{
    uint64_t at;
    if (live_count < LIVE_MAX &&
        pair_alloc(&pair, random_arena(), random_order(), random_state_of_block(), &at) == QY_OK)
        note(at);
}

static void op_alloc_at(void)
{
    unsigned order = random_order(), arena = random_arena();
    uint64_t at = random_below(&random_state, frames + 100);
    if (random_below(&random_state, 10) && order <= QY_MAX_ORDER)
        at &= ~((1ull << order) - 1);
    if (live_count < LIVE_MAX &&
        pair_alloc_at(&pair, arena, at, order, random_state_of_block()) == QY_OK)
        note(at);
}

static void op_free(void)
{
    if (live_count == 0)
        return;
    unsigned i = (unsigned)random_below(&random_state, live_count);
    uint64_t at = live[i];
    struct model_frame f = pair.model.frames[at];
    enum qy_error error = pair_free(&pair, f.arena - 1u, at, f.order, (enum qy_frame_state)f.state);
    if (error == QY_OK) {
        live[i] = live[--live_count];
        if (!random_below(&random_state, 16)) /* at once again: a double free */
            pair_free(&pair, f.arena - 1u, at, f.order, (enum qy_frame_state)f.state);
    } else { /* mapped or pinned: let go, so that memory does not fill up with it */
        while (pair_unmap(&pair, at) == QY_OK) {
        }
        while (pair.model.frames[at].pins)
            pair_pin(&pair, at, -1);
    }
}

static void note_run(unsigned arena, uint64_t at, uint64_t pages, enum qy_frame_state state)
{
    runs[run_count].arena = arena;
    runs[run_count].at = at;
    runs[run_count].pages = pages;
    runs[run_count++].state = state;
}

static uint64_t random_pages(void)
{
    return random_below(&random_state, random_below(&random_state, 6)   ? 40
                                       : random_below(&random_state, 4) ? 1500
                                                                        : 2 * frames);
}

static void op_alloc_pages(void)
{
    unsigned arena = random_arena();
    uint64_t pages = random_pages(), at;
    enum qy_frame_state state = random_state_of_block();
    if (run_count < RUNS_MAX && pair_alloc_pages(&pair, arena, pages, state, &at) == QY_OK)
        note_run(arena, at, pages, state);
}

static void op_alloc_in(void)
{
    unsigned arena = random_arena();
    const struct model_arena *a = &pair.model.arenas[arena];
    uint64_t pages = random_pages(), at,
             base = a->base + random_below(&random_state, a->end - a->base);
    enum qy_frame_state state = random_state_of_block();
    struct qy_bounds bounds = {
        pfn(random_below(&random_state, 3) ? base : random_below(&random_state, frames)), pfn(0),
        (unsigned)random_below(&random_state, 5)};
    bounds.end = pfn(random_below(&random_state, 20)
                         ? bounds.base.raw + random_below(&random_state, 3 * pages + 10)
                         : random_below(&random_state, frames + 100));
    if (!random_below(&random_state, 10))
        bounds.align_order = (unsigned)random_below(&random_state, 40);
    if (run_count < RUNS_MAX && pair_alloc_in(&pair, arena, pages, &bounds, state, &at) == QY_OK)
        note_run(arena, at, pages, state);
}

/* A run that changed meanwhile goes back block by block. */
static void break_run(unsigned i)
{
    for (uint64_t at = runs[i].at; at < runs[i].at + runs[i].pages;) {
        note(at);
        at += 1ull << pair.model.frames[at].order;
    }
}

/* Almost right: a run of another arena or state is refused; a part of one may be what some call
 * could have taken. */
static void free_pages_wrong(unsigned i)
{
    unsigned other = random_arena();
    enum qy_frame_state state = (enum qy_frame_state)pair.model.frames[runs[i].at].state;
    uint64_t part = 1 + random_below(&random_state, runs[i].pages);
    if (other != runs[i].arena)
        pair_free_pages(&pair, other, runs[i].at, runs[i].pages, runs[i].state);
    state = state == QY_FRAME_USER ? QY_FRAME_SLAB : QY_FRAME_USER;
    pair_free_pages(&pair, runs[i].arena, runs[i].at, runs[i].pages, state);
    if (part < runs[i].pages &&
        pair_free_pages(&pair, runs[i].arena, runs[i].at, part, runs[i].state) == QY_OK) {
        runs[i].at += part;
        runs[i].pages -= part;
    }
}

static void op_free_pages(void)
{
    if (run_count == 0 || live_count > LIVE_MAX - 64)
        return;
    unsigned i = (unsigned)random_below(&random_state, run_count);
    if (!random_below(&random_state, 4))
        free_pages_wrong(i);
    if (pair_free_pages(&pair, runs[i].arena, runs[i].at, runs[i].pages, runs[i].state) != QY_OK)
        break_run(i);
    else if (!random_below(&random_state, 8))
        pair_free_pages(&pair, runs[i].arena, runs[i].at, runs[i].pages, runs[i].state);
    runs[i] = runs[--run_count];
}

/* Almost right: one thing about a live block is wrong. */
static void op_free_wrong(void)
{
    if (live_count == 0)
        return;
    uint64_t at = live[random_below(&random_state, live_count)];
    struct model_frame f = pair.model.frames[at];
    unsigned arena = f.arena - 1u, order = f.order;
    enum qy_frame_state state = (enum qy_frame_state)f.state;
    switch (random_below(&random_state, 5)) {
    case 0:
        arena = random_arena();
        order = arena == f.arena - 1u ? order + 1 : order;
        break;
    case 1:
        order = random_order();
        order += order == f.order;
        break;
    case 2:
        at += 1 + random_below(&random_state, 2ull << order);
        break;
    case 3:
        state = (enum qy_frame_state)(QY_FRAME_OBJECT + (state - QY_FRAME_OBJECT + 1) % 4);
        break;
    default:
        at = random_below(&random_state, frames + 100);
        break;
    }
    if (at < frames && pair.model.frames[at].head && pair.model.frames[at].arena == arena + 1 &&
        pair.model.frames[at].order == order && pair.model.frames[at].state == state)
        return; /* by chance it is right */
    pair_free(&pair, arena, at, order, state);
}

static void op_state(void)
{
    uint64_t at = live_count && random_below(&random_state, 4)
                      ? live[random_below(&random_state, live_count)]
                      : random_below(&random_state, frames + 100);
    enum qy_frame_state from = at < frames && random_below(&random_state, 4)
                                   ? (enum qy_frame_state)pair.model.frames[at].state
                                   : random_state_of_block();
    pair_set_state(&pair, at, from, random_state_of_block());
}

static void op_mapping(void)
{
    uint64_t at = live_count && random_below(&random_state, 8)
                      ? live[random_below(&random_state, live_count)]
                      : random_below(&random_state, frames + 100);
    bool w = random_below(&random_state, 2), x = !random_below(&random_state, 3);
    if (at < frames && pair.model.frames[at].head)
        at += random_below(&random_state, 1ull << pair.model.frames[at].order);
    switch (random_below(&random_state, 4)) {
    case 0:
        pair_unmap(&pair, at);
        break;
    case 1:
        pair_remap(&pair, at, w, x);
        break;
    case 2:
        pair_pin(&pair, at, random_below(&random_state, 2) ? 1 : -1);
        break;
    default:
        pair_map(&pair, at, w, x);
        break;
    }
}

static void op_carve(void)
{
    unsigned child = 0, parent = random_arena();
    while (child < MODEL_ARENAS && pair.model.arenas[child].exists)
        child++;
    uint64_t span = random_below(&random_state, 4)   ? 64
                    : random_below(&random_state, 3) ? 3000
                                                     : 150000;
    if (child < MODEL_ARENAS)
        pair_carve(&pair, parent, child, random_below(&random_state, span));
}

static void op_return(void)
{
    pair_return(&pair, random_arena());
}

static void one_op(void)
{
    uint64_t kind = random_below(&random_state, 100);
    if (live_count > 2500 ? kind < 16 : kind < 24)
        op_alloc();
    else if (kind < 29)
        op_alloc_at();
    else if (kind < 31)
        op_alloc_pages();
    else if (kind < 33)
        op_alloc_in();
    else if (kind < 37)
        op_free_pages();
    else if (kind < 68)
        op_free();
    else if (kind < 78)
        op_free_wrong();
    else if (kind < 84)
        op_state();
    else if (kind < 93)
        op_mapping();
    else if (kind < 96)
        op_carve();
    else
        op_return();
}

/* Everything goes back: blocks, children from the youngest generation up; the roots are as they
 * were at first. */
static void give_all_back(void)
{
    while (run_count) {
        op_free_pages();
        op_free();
    }
    for (unsigned left = live_count + 1; live_count && left; left = live_count ? left : 0)
        op_free();
    for (unsigned turn = 0; turn < MODEL_ARENAS; turn++)
        for (unsigned i = 0; i < MODEL_ARENAS; i++)
            if (pair.model.arenas[i].exists && pair.model.arenas[i].parent >= 0)
                pair_return(&pair, i);
}

static void setup_large(void)
{
    frames = 327680; /* ten sections */
    pair_make(&pair, frames);
    /* two roots that meet inside a 2 MiB block, a hole, and a ragged end */
    CHECK_EQ(pair_add(&pair, 0, 1, 40001), QY_OK);
    CHECK_EQ(pair_add(&pair, 1, 40001, 70003), QY_OK);
    CHECK_EQ(pair_add(&pair, 0, 70600, frames - 77), QY_OK);
    CHECK_EQ(pair_add(&pair, 1, 70500, 70700), QY_NOT_OWNED);
    CHECK_EQ(pair_add(&pair, 1, 0, 1), QY_INVALID_ARGUMENT);
}

/* 64, 17 and 39 frames, two of them next to each other. */
static void setup_small(void)
{
    frames = 1024;
    pair_make(&pair, frames);
    CHECK_EQ(pair_add(&pair, 0, 520, 584), QY_OK);
    CHECK_EQ(pair_add(&pair, 1, 584, 601), QY_OK);
    CHECK_EQ(pair_add(&pair, 2, 1, 40), QY_OK);
}

static void check_step(uint64_t i, uint64_t every, uint64_t every_frame)
{
    pair_check_counts(&pair);
    if (i % every == 0)
        pair_check(&pair, i % every_frame == 0);
    if (pair.wrong)
        printf("# at call %llu\n", (unsigned long long)i);
}

static void check_whole(const int *largest)
{
    give_all_back();
    pair_check(&pair, true);
    CHECK(pair.wrong == NULL);
    CHECK_EQ(live_count, 0);
    for (unsigned i = 0; i < 3; i++) {
        if (!pair.model.arenas[i].exists)
            continue;
        CHECK_EQ(qy_arena_largest(pair.arenas[i]), largest[i]);
        CHECK_EQ(qy_arena_pages(pair.arenas[i], QY_FRAME_FREE), pair.arenas[i]->total_pages);
    }
}

static void random_calls(uint64_t ops, uint64_t every, uint64_t every_frame)
{
    int largest[3];
    printf("# seed %llu, %llu calls\n", (unsigned long long)seed, (unsigned long long)ops);
    for (unsigned i = 0; i < 3; i++)
        largest[i] = pair.model.arenas[i].exists ? model_largest(&pair.model, i) : 0;
    pair_check(&pair, true);
    for (uint64_t i = 0; i < ops && !pair.wrong; i++) {
        one_op();
        check_step(i, every, every_frame);
    }
    CHECK(pair.wrong == NULL);
    pair_check(&pair, true);
    check_whole(largest);
    printf(
        "# blocks or runs taken %llu, given back %llu; arenas carved %llu, returned %llu; refused "
        "%llu\n",
        (unsigned long long)pair.done[0], (unsigned long long)pair.done[1],
        (unsigned long long)pair.done[2], (unsigned long long)pair.done[3],
        (unsigned long long)pair.refused);
    CHECK(pair.refused > ops / 20 && pair.done[0] > ops / 20 && pair.done[2] > ops / 2000);
    CHECK(pair.done[0] <= pair.done[1] && pair.done[2] == pair.done[3]);
    pair_destroy(&pair);
}

static uint64_t begin(void)
{
    const char *seed_text = getenv("TEST_SEED"), *ops_text = getenv("TEST_OPS");
    seed = seed_text ? strtoull(seed_text, NULL, 0) : 20240;
    random_state = seed * 2 + 1;
    return ops_text ? strtoull(ops_text, NULL, 0) : 1000000;
}

static void large_arenas(void)
{
    uint64_t ops = begin();
    setup_large();
    random_calls(ops, 4096, 64 * 4096);
}

static void small_arenas(void)
{
    uint64_t ops = begin();
    setup_small();
    random_calls(ops / 10, 1, 1);
}

static const struct test tests[] = {{"random calls agree with the model", large_arenas},
                                    {"small arenas, checked after every call", small_arenas}};
TEST_MAIN(tests)
