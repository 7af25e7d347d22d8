/*
 * Frame caches with a thread for each CPU: frames go from one to another, caches are taken away in
 * the middle of their use, and the arena is small enough that this happens all the time.
 *
 * Every frame has an owner word, set and cleared by whoever holds it: two holders show at once. Run
 * under ThreadSanitizer too; TEST_OPS=n changes the length.
 */
#include <hosted/hosted.h>
#include <lib/random.h>
#include <pthread.h>
#include <qy/frame_cache.h>
#include <stdlib.h>
#include <tap.h>

#define CPUS 4u
#define FRAMES 32768u
#define HELD 300u

static struct hosted_machine machine;
static struct qy_arena arena, children[CPUS];
static struct qy_cpu_frames cpus[CPUS];
static atomic_uint owner[FRAMES], failures, refusals;
static _Atomic uint64_t mailbox[64];
static uint64_t ops;

static void fail(const char *what)
{
    if (atomic_fetch_add(&failures, 1) < 5)
        printf("# %s\n", what);
}

static void hold(uint64_t at, unsigned who)
{
    if (atomic_exchange(&owner[at], who) != 0)
        fail("a frame was handed out twice");
}

static void give(struct qy_cpu_frames *cpu, uint64_t at, unsigned who) QY_REQUIRES(qy_irq_off)
{
    if (atomic_exchange(&owner[at], 0) != who)
        fail("a held frame was taken");
    if (qy_frame_free(cpu, &arena, pfn(at), 0, QY_FRAME_USER) != QY_OK)
        fail("a free was refused");
}

/* Frames are allocated here and freed there; now and then everybody's caches are taken away. */
static void *churn(void *argument)
{
    unsigned who = (unsigned)(uintptr_t)argument;
    struct qy_cpu_frames *cpu = &cpus[who - 1];
    uint64_t r = who, held[HELD];
    unsigned n = 0;
    hosted_cpu_set(who - 1);
    qy_irq_is_off();
    for (uint64_t i = 0; i < ops; i++) {
        pfn_t out;
        if (n < HELD && random_below(&r, 100) < 60) {
            enum qy_error error = random_below(&r, 2)
                                      ? qy_frame_alloc(cpu, &arena, 0, QY_FRAME_USER, &out)
                                      : qy_frame_try_alloc(cpu, &arena, 0, QY_FRAME_USER, &out);
            if (error == QY_OK) {
                hold(out.raw, who);
                held[n++] = out.raw;
            } else {
                atomic_fetch_add(&refusals, 1);
            }
        } else if (n > 0) {
            unsigned k = (unsigned)random_below(&r, n);
            uint64_t mine = held[k], theirs;
            held[k] = held[--n];
            if (random_below(&r, 2)) {
                give(cpu, mine, who);
                continue;
            }
            atomic_store(&owner[mine], 100); /* in the post */
            theirs = atomic_exchange(&mailbox[random_below(&r, 64)], mine);
            if (theirs)
                give(cpu, theirs, 100);
        }
        if (random_below(&r, 500) == 0)
            qy_frame_reclaim(&arena);
        if (random_below(&r, 300) == 0)
            qy_frame_zero_one(cpu);
        if (random_below(&r, 700) == 0)
            qy_frame_drain(cpu, NULL);
        if (random_below(&r, 200) == 0 && qy_arena_pages(&arena, QY_FRAME_FREE) > arena.total_pages)
            fail("more is free than there is");
    }
    while (n > 0)
        give(cpu, held[--n], who);
    return NULL;
}

/* Each thread gives up an arena that all of them use: caches of it come and go on every CPU. */
static void *whole_again(void *argument)
{
    unsigned who = (unsigned)(uintptr_t)argument;
    struct qy_cpu_frames *cpu = &cpus[who - 1];
    uint64_t r = who + 50;
    hosted_cpu_set(who - 1);
    qy_irq_is_off();
    for (uint64_t i = 0; i < ops / 4; i++) {
        struct qy_arena *from = &children[random_below(&r, CPUS)];
        pfn_t out[6];
        unsigned n = 0;
        for (; n < 6; n++)
            if (qy_frame_try_alloc(cpu, from, 0, QY_FRAME_TABLE, &out[n]) != QY_OK)
                break;
        while (n > 0)
            if (qy_frame_free(cpu, from, out[--n], 0, QY_FRAME_TABLE) != QY_OK)
                fail("a free was refused");
        if (random_below(&r, 30) == 0)
            qy_frame_reclaim(&children[who - 1]);
    }
    return NULL;
}

static void run(void *(*body)(void *), uint64_t pages)
{
    pthread_t threads[CPUS];
    const char *text = getenv("TEST_OPS");
    ops = text ? strtoull(text, NULL, 0) : 300000;
    atomic_store(&refusals, 0);
    CHECK(hosted_machine_make(&machine, FRAMES * QY_PAGE_BYTES, true));
    hosted_ram_add(&machine, pfn(5), pfn(FRAMES));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&arena, pfn(5), pfn(5 + pages)), QY_OK);
    for (unsigned i = 0; i < CPUS; i++)
        qy_cpu_frames_init(&cpus[i], i);
    bool with_children = body == whole_again;
    for (unsigned i = 0; i < CPUS && with_children; i++)
        CHECK_EQ(qy_arena_carve(&arena, &children[i], 3001, 2 + i), QY_OK);
    for (uintptr_t i = 0; i < CPUS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, body, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < CPUS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    qy_irq_is_off();
    for (unsigned i = 0; i < 64; i++) {
        uint64_t left = atomic_exchange(&mailbox[i], 0);
        if (left)
            give(&cpus[0], left, 100);
    }
    for (unsigned i = 0; i < CPUS && with_children; i++) {
        CHECK(qy_arena_check(&children[i]) == NULL);
        qy_frame_reclaim(&children[i]);
        CHECK_EQ(qy_arena_return(&children[i]), QY_OK);
    }
    CHECK(qy_arena_check(&arena) == NULL);
    qy_frame_reclaim(&arena);
    CHECK(qy_arena_check(&arena) == NULL);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), arena.total_pages);
    CHECK_EQ(atomic_load(&failures), 0);
    hosted_machine_destroy(&machine);
}

static void plenty(void)
{
    run(churn, 20000);
    CHECK_EQ(atomic_load(&refusals), 0);
}

static void never_enough(void)
{
    run(churn, 700);
    CHECK(atomic_load(&refusals) > 0);
}

static void arenas_shared(void)
{
    run(whole_again, 20000);
}

static const struct test tests[] = {
    {"frames go from CPU to CPU", plenty},
    {"an arena that is always nearly empty", never_enough},
    {"caches are taken away in the middle of their use", arenas_shared},
};
TEST_MAIN(tests)
