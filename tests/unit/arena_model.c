/*
 * A million random calls on a tree of arenas, each compared with the model; refusals are as
 * frequent as successes.
 *
 * Misses: what needs another order of events than one thread makes (arena_threads), and machines
 * beyond 1.25 GiB. The seed is printed; TEST_SEED=n repeats a run, TEST_OPS=n changes its length.
 */
#include <model/pair.h>
#include <stdlib.h>
#include <tap.h>

#define FRAMES 327680u /* ten sections */
#define LIVE_MAX 4096u

static uint64_t seed, random_state;
static struct pair pair;
static uint64_t live[LIVE_MAX]; /* starts of allocated blocks */
static unsigned live_count;

static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1dull >> 16;
}

static uint64_t below(uint64_t limit)
{
    return random_u64() % limit;
}

static unsigned random_arena(void)
{
    unsigned i;
    do
        i = (unsigned)below(MODEL_ARENAS);
    while (!pair.model.arenas[i].exists);
    return i;
}

static enum qy_frame_state random_state_of_block(void)
{
    return below(50) ? (enum qy_frame_state)(QY_FRAME_OBJECT + below(4))
                     : (enum qy_frame_state)below(12);
}

/* Small orders mostly; now and then any, too large ones among them. */
static unsigned random_order(void)
{
    unsigned span = below(8) ? 4 : below(4) ? 10 : below(4) ? 15 : 20;
    return (unsigned)below(span);
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
    uint64_t at = below(FRAMES + 100);
    if (below(10) && order <= QY_MAX_ORDER)
        at &= ~((1ull << order) - 1);
    if (live_count < LIVE_MAX &&
        pair_alloc_at(&pair, arena, at, order, random_state_of_block()) == QY_OK)
        note(at);
}

static void op_free(void)
{
    if (live_count == 0)
        return;
    unsigned i = (unsigned)below(live_count);
    uint64_t at = live[i];
    struct model_frame f = pair.model.frames[at];
    enum qy_error error = pair_free(&pair, f.arena - 1u, at, f.order, (enum qy_frame_state)f.state);
    if (error == QY_OK) {
        live[i] = live[--live_count];
        if (!below(16)) /* at once again: a double free */
            pair_free(&pair, f.arena - 1u, at, f.order, (enum qy_frame_state)f.state);
    } else { /* mapped or pinned: let go, so that memory does not fill up with it */
        while (pair_unmap(&pair, at) == QY_OK) {
        }
        while (pair.model.frames[at].pins)
            pair_pin(&pair, at, -1);
    }
}

/* Almost right: one thing about a live block is wrong. */
static void op_free_wrong(void)
{
    if (live_count == 0)
        return;
    uint64_t at = live[below(live_count)];
    struct model_frame f = pair.model.frames[at];
    unsigned arena = f.arena - 1u, order = f.order;
    enum qy_frame_state state = (enum qy_frame_state)f.state;
    switch (below(5)) {
    case 0:
        arena = random_arena();
        order = arena == f.arena - 1u ? order + 1 : order;
        break;
    case 1:
        order = random_order();
        order += order == f.order;
        break;
    case 2:
        at += 1 + below(2ull << order);
        break;
    case 3:
        state = (enum qy_frame_state)(QY_FRAME_OBJECT + (state - QY_FRAME_OBJECT + 1) % 4);
        break;
    default:
        at = below(FRAMES + 100);
        break;
    }
    if (at < FRAMES && pair.model.frames[at].head && pair.model.frames[at].arena == arena + 1 &&
        pair.model.frames[at].order == order && pair.model.frames[at].state == state)
        return; /* by chance it is right */
    pair_free(&pair, arena, at, order, state);
}

static void op_state(void)
{
    uint64_t at = live_count && below(4) ? live[below(live_count)] : below(FRAMES + 100);
    enum qy_frame_state from = at < FRAMES && below(4)
                                   ? (enum qy_frame_state)pair.model.frames[at].state
                                   : random_state_of_block();
    pair_set_state(&pair, at, from, random_state_of_block());
}

static void op_mapping(void)
{
    uint64_t at = live_count && below(8) ? live[below(live_count)] : below(FRAMES + 100);
    bool w = below(2), x = !below(3);
    if (at < FRAMES && pair.model.frames[at].head)
        at += below(1ull << pair.model.frames[at].order);
    switch (below(4)) {
    case 0:
        pair_unmap(&pair, at);
        break;
    case 1:
        pair_remap(&pair, at, w, x);
        break;
    case 2:
        pair_pin(&pair, at, below(2) ? 1 : -1);
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
    uint64_t span = below(4) ? 64 : below(3) ? 3000 : 150000;
    if (child < MODEL_ARENAS)
        pair_carve(&pair, parent, child, below(span));
}

static void op_return(void)
{
    pair_return(&pair, random_arena());
}

static void one_op(void)
{
    uint64_t kind = below(100);
    if (live_count > 2500 ? kind < 20 : kind < 30)
        op_alloc();
    else if (kind < 36)
        op_alloc_at();
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
    for (unsigned left = live_count + 1; live_count && left; left = live_count ? left : 0)
        op_free();
    for (unsigned turn = 0; turn < MODEL_ARENAS; turn++)
        for (unsigned i = 0; i < MODEL_ARENAS; i++)
            if (pair.model.arenas[i].exists && pair.model.arenas[i].parent >= 0)
                pair_return(&pair, i);
}

static void setup(void)
{
    pair_make(&pair, FRAMES);
    /* two roots that meet inside a 2 MiB block, a hole, and a ragged end */
    CHECK_EQ(pair_add(&pair, 0, 1, 40001), QY_OK);
    CHECK_EQ(pair_add(&pair, 1, 40001, 70003), QY_OK);
    CHECK_EQ(pair_add(&pair, 0, 70600, FRAMES - 77), QY_OK);
    CHECK_EQ(pair_add(&pair, 1, 70500, 70700), QY_NOT_OWNED);
    CHECK_EQ(pair_add(&pair, 1, 0, 1), QY_INVALID_ARGUMENT);
    pair_check(&pair, true);
}

static void random_calls(void)
{
    const char *seed_text = getenv("TEST_SEED"), *ops_text = getenv("TEST_OPS");
    seed = seed_text ? strtoull(seed_text, NULL, 0) : 20240;
    uint64_t ops = ops_text ? strtoull(ops_text, NULL, 0) : 1000000;
    random_state = seed * 2 + 1;
    printf("# seed %llu, %llu calls\n", (unsigned long long)seed, (unsigned long long)ops);
    setup();
    int largest = model_largest(&pair.model, 0);
    for (uint64_t i = 0; i < ops && !pair.wrong; i++) {
        one_op();
        if (i % 4096 == 0)
            pair_check(&pair, i % (64 * 4096) == 0);
        if (pair.wrong)
            printf("# at call %llu\n", (unsigned long long)i);
    }
    CHECK(pair.wrong == NULL);
    pair_check(&pair, true);
    give_all_back();
    pair_check(&pair, true);
    CHECK(pair.wrong == NULL);
    CHECK_EQ(live_count, 0);
    CHECK_EQ(qy_arena_largest(pair.arenas[0]), largest);
    CHECK_EQ(qy_arena_pages(pair.arenas[0], QY_FRAME_FREE), pair.arenas[0]->total_pages);
    CHECK_EQ(qy_arena_pages(pair.arenas[1], QY_FRAME_FREE), pair.arenas[1]->total_pages);
    printf(
        "# blocks taken %llu, given back %llu; arenas carved %llu, returned %llu; refused %llu\n",
        (unsigned long long)pair.done[0], (unsigned long long)pair.done[1],
        (unsigned long long)pair.done[2], (unsigned long long)pair.done[3],
        (unsigned long long)pair.refused);
    CHECK(pair.refused > ops / 20 && pair.done[0] > ops / 20 && pair.done[2] > ops / 2000);
    CHECK(pair.done[0] == pair.done[1] && pair.done[2] == pair.done[3]);
    pair_destroy(&pair);
}

static const struct test tests[] = {{"random calls agree with the model", random_calls}};
TEST_MAIN(tests)
