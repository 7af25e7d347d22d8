/*
 * A pool of guarded allocations from several threads: objects are taken here and freed there, two
 * threads free one object at once, and flushes finish at any time. Run under ThreadSanitizer too;
 * TEST_OPS=n changes the length.
 *
 * An object carries its own address and its taker's word: one that is handed out twice, or a page that
 * another object's frame shows through, shows.
 */
#include <hosted/window.h>
#include <lib/random.h>
#include <pthread.h>
#include <stdlib.h>
#include <tap.h>

#define THREADS 4u /* at most */
#define SLOTS 32u
#define SLOT_PAGES 2u
#define BATCH 4u
#define BOXES 8u
#define HELD 6u

static struct hosted_machine machine;
static struct hosted_window window;
static struct qy_arena arena;
static struct qy_guard_slot slots[SLOTS];
static struct qy_guard guard;
static uint64_t *_Atomic boxes[BOXES];
static atomic_uint failures;
static _Atomic uint64_t taken, swapped, refused;
static uint64_t ops;

struct worker {
    uint64_t random;
    unsigned number, held_count;
    uint64_t *held[HELD];
};

static void fail(const char *what)
{
    if (atomic_fetch_add(&failures, 1) < 5)
        printf("# %s\n", what);
}

static void take(struct worker *w)
{
    struct qy_guard_what what = {
        .arena = &arena, .heap = &guard, .cache = &arena, .name = "word", .align = 16};
    size_t bytes = 16 + 16 * random_below(&w->random, 300);
    void *object;
    if (qy_guard_alloc(&guard, &what, bytes, &object) != QY_OK) {
        atomic_fetch_add(&refused, 1);
        return;
    }
    uint64_t *words = object;
    for (size_t i = 0; i < bytes / 8; i++)
        if (words[i])
            fail("not zeroed");
    words[0] = (uintptr_t)object;
    words[1] = w->random;
    w->held[w->held_count++] = words;
    atomic_fetch_add(&taken, 1);
}

static void give(uint64_t *object)
{
    if (object[0] != (uintptr_t)object)
        fail("an object is somebody else's");
    object[0] = 0;
    if (qy_guard_free(&guard, &guard, &arena, object) != QY_OK)
        fail("a free is refused");
}

static void *work(void *context)
{
    struct worker *w = context;
    hosted_cpu_set(w->number);
    for (uint64_t i = 0; i < ops; i++) {
        uint64_t what = random_below(&w->random, 8);
        if (what == 7)
            atomic_store(&window.hold, random_below(&w->random, 2));
        if (w->held_count == 0 || (what < 4 && w->held_count < HELD)) {
            take(w);
            continue;
        }
        uint64_t *object = w->held[--w->held_count];
        if (what >= 6) {
            object = atomic_exchange(&boxes[random_below(&w->random, BOXES)], object);
            atomic_fetch_add(&swapped, object != NULL);
        }
        if (object)
            give(object);
    }
    while (w->held_count)
        give(w->held[--w->held_count]);
    return NULL;
}

static void make(void)
{
    struct qy_guard_config config = {.slots = slots,
                                     .slot_count = SLOTS,
                                     .slot_pages = SLOT_PAGES,
                                     .batch = BATCH,
                                     .ops = &hosted_guard_ops,
                                     .context = &window};
    const char *text = getenv("TEST_OPS");
    ops = text ? strtoull(text, NULL, 0) : 4000;
    atomic_store(&failures, 0);
    atomic_store(&taken, 0);
    atomic_store(&swapped, 0);
    CHECK(hosted_machine_make(&machine, 64ull << 20, true));
    CHECK(hosted_window_make(&window, &machine, qy_guard_window_bytes(SLOTS, SLOT_PAGES)));
    hosted_ram_add(&machine, pfn(512), pfn(2048));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&arena, pfn(512), pfn(2048)), QY_OK);
    config.window = window.base;
    CHECK_EQ(qy_guard_init(&guard, &config), QY_OK);
}

static void destroy(void)
{
    atomic_store(&window.hold, false);
    qy_guard_gather(&guard, &arena);
    CHECK(!qy_guard_check(&guard));
    CHECK(!hosted_window_check(&window, &guard));
    CHECK(!qy_arena_check(&arena));
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_OBJECT), 0);
    CHECK_EQ(atomic_load(&failures), 0);
    hosted_window_destroy(&window);
    hosted_machine_destroy(&machine);
}

static void exchange(unsigned threads)
{
    pthread_t thread[THREADS];
    struct worker workers[THREADS] = {0};
    make();
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.random = i + 1, .number = i};
        CHECK(pthread_create(&thread[i], NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < BOXES; i++) {
        uint64_t *object = atomic_exchange(&boxes[i], NULL);
        if (object)
            give(object);
    }
    CHECK(atomic_load(&taken) > ops / 20 && atomic_load(&swapped) > 0);
    destroy();
}

static void two_threads(void)
{
    exchange(2);
}

static void four_threads(void)
{
    exchange(4);
}

/* Two threads free the same object at the same time: one of them does, the other is told. */
static void *_Atomic shared;
static atomic_uint ready, freed, told;

static void *free_shared(void *context)
{
    hosted_cpu_set(context ? 1 : 0);
    for (unsigned round = 0; round < 300; round++) {
        atomic_fetch_add(&ready, 1);
        while (atomic_load(&ready) < 2 * round + 2)
            qy_port_relax();
        enum qy_error error = qy_guard_free(&guard, &guard, &arena, atomic_load(&shared));
        atomic_fetch_add(error == QY_OK ? &freed : &told, 1);
        if (error != QY_OK && error != QY_NOT_ALLOCATED)
            fail("another error");
        while (atomic_load(&freed) + atomic_load(&told) < 2 * round + 2)
            qy_port_relax();
        if (!context) { /* the next one */
            struct qy_guard_what what = {
                .arena = &arena, .heap = &guard, .cache = &arena, .name = "word", .align = 16};
            void *object;
            while (qy_guard_alloc(&guard, &what, 64, &object) != QY_OK)
                qy_port_relax();
            atomic_store(&shared, object);
        }
    }
    return NULL;
}

static void double_free_at_once(void)
{
    make();
    struct qy_guard_what what = {
        .arena = &arena, .heap = &guard, .cache = &arena, .name = "word", .align = 16};
    void *object;
    pthread_t other;
    CHECK_EQ(qy_guard_alloc(&guard, &what, 64, &object), QY_OK);
    atomic_store(&shared, object);
    CHECK(pthread_create(&other, NULL, free_shared, &arena) == 0);
    free_shared(NULL);
    pthread_join(other, NULL);
    CHECK_EQ(atomic_load(&freed), 300);
    CHECK_EQ(atomic_load(&told), 300);
    CHECK_EQ(qy_guard_free(&guard, &guard, &arena, atomic_load(&shared)), QY_OK);
    destroy();
}

static const struct test tests[] = {
    {"two threads exchange objects", two_threads},
    {"four threads exchange objects", four_threads},
    {"one of two frees at the same time", double_free_at_once},
};
TEST_MAIN(tests)
