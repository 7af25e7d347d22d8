/*
 * Random calls by two CPUs on several caches over two arenas, with and without magazines, compared with a model that knows only which
 * objects are live.
 *
 * Every live object is filled with its own pattern, which is looked at when it is freed: objects
 * that overlap, or a free list that writes into a live one, show. TEST_SEED=n repeats a run,
 * TEST_OPS=n changes its length.
 */
#include <hosted/hosted.h>
#include <lib/random.h>
#include <qy/debug.h>
#include <qy/frame_cache.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#define CACHES 6u
#define CPUS 2u
#define LIVE_MAX 3000u

struct live {
    unsigned char *object;
    uint8_t cache;
    uint8_t fill;
};

static const size_t sizes[CACHES] = {16, 24, 72, 512, 1400, 9000};
static struct hosted_machine machine;
static struct qy_arena arenas[2];
static struct qy_heap heaps[2];
static const struct qy_heap_hooks *hooks; /* of both, or null */
static struct qy_cache caches[CACHES];
static struct qy_cache_type types[CACHES];
static struct qy_cpu_frames frames[CPUS];
static struct qy_cpu_objects cpus[CPUS];
static struct live live[LIVE_MAX];
static unsigned live_count;
static uint64_t per_cache[CACHES], random_state, refused, taken, out_of_memory;
static bool wrong, magazines_seen;

static void differ(const char *what)
{
    if (!wrong)
        printf("# allocator and model differ: %s\n", what);
    wrong = true;
}

static bool all_bytes_are(const unsigned char *at, size_t bytes, unsigned char value)
{
    return bytes == 0 || (at[0] == value && memcmp(at, at + 1, bytes - 1) == 0);
}

static struct qy_cpu_objects *some_cpu(void)
{
    return &cpus[random_below(&random_state, CPUS)];
}

static void op_alloc(void) QY_UNCHECKED
{
    unsigned c = (unsigned)random_below(&random_state, CACHES);
    void *object;
    if (live_count == LIVE_MAX)
        return;
    enum qy_error error = qy_cache_alloc(some_cpu(), &caches[c], &object);
    if (error != QY_OK) { /* only when there is no page for the smallest slab */
        if (error != QY_OUT_OF_MEMORY ||
            qy_arena_largest(caches[c].heap->arena) >= (int)caches[c].min_order)
            differ("alloc refused");
        out_of_memory++;
        return;
    }
    if (!all_bytes_are(object, types[c].bytes, 0))
        differ("not zeroed");
    live[live_count] =
        (struct live){object, (uint8_t)c, (uint8_t)(1 + random_below(&random_state, 255))};
    memset(object, live[live_count].fill, types[c].bytes);
    live_count++;
    per_cache[c]++;
    taken++;
}

static void op_free(void) QY_UNCHECKED
{
    if (live_count == 0)
        return;
    unsigned i = (unsigned)random_below(&random_state, live_count);
    struct live l = live[i];
    if (!all_bytes_are(l.object, types[l.cache].bytes, l.fill))
        differ("object changed");
    if (qy_cache_free(some_cpu(), &caches[l.cache], l.object) != QY_OK)
        differ("free refused");
    live[i] = live[--live_count];
    per_cache[l.cache]--;
    if (random_below(&random_state, 8) == 0) {
        enum qy_error error = qy_cache_free(some_cpu(), &caches[l.cache], l.object);
        if (error != QY_NOT_ALLOCATED && error != QY_NOT_OWNED)
            differ("double free");
        refused++;
    }
}

static void op_free_wrong(void) QY_UNCHECKED
{
    if (live_count == 0)
        return;
    struct live l = live[random_below(&random_state, live_count)];
    unsigned other = (l.cache + 1 + (unsigned)random_below(&random_state, CACHES - 1)) % CACHES;
    if (qy_cache_free(some_cpu(), &caches[other], l.object) != QY_NOT_OWNED)
        differ("free into another cache");
    if (qy_cache_free(some_cpu(), &caches[l.cache],
                      l.object + 1 + random_below(&random_state, types[l.cache].bytes - 1)) !=
        QY_NOT_ALLOCATED)
        differ("free inside an object");
    refused += 2;
}

static void check_tools(struct qy_heap *heap)
{
    struct qy_debug_report report;
    if (QY_CONFIG_HEAP_TOOLS && !qy_debug_check((const struct qy_debug *)hooks, heap, &report))
        differ(report.what);
}

static void check_all(void)
{
    for (unsigned c = 0; c < CACHES; c++) {
        struct qy_record_cache r;
        qy_cache_record(&caches[c], &r);
        if (r.live != per_cache[c])
            differ("count");
        magazines_seen |= r.magazines != 0;
    }
    for (unsigned a = 0; a < 2; a++) {
        const char *broken = qy_heap_check(&heaps[a]);
        if (hooks)
            check_tools(&heaps[a]);
        if (broken || qy_arena_check(&arenas[a]))
            differ(broken ? broken : "arena");
    }
}

static void setup(void)
{
    CHECK(hosted_machine_make(&machine, 1ull << 27, true));
    hosted_ram_add(&machine, pfn(17), pfn(900));
    memset(qy_port_ram(paddr(17 * 4096)), 0xee, (900 - 17) * 4096);
    for (unsigned a = 0; a < 2; a++) {
        qy_arena_init(&arenas[a], &machine.db, 0, QY_ZONE_NORMAL, a);
        CHECK_EQ(qy_arena_add(&arenas[a], pfn(a ? 150 : 17), pfn(a ? 900 : 150)), QY_OK);
        qy_heap_init(&heaps[a], &arenas[a], hooks, random_state);
    }
    for (unsigned i = 0; i < CPUS; i++) {
        qy_cpu_frames_init(&frames[i], i);
        qy_cpu_objects_init(&cpus[i], i, &frames[i]);
    }
    for (unsigned c = 0; c < CACHES; c++) {
        types[c] = (struct qy_cache_type){"thing", (uint32_t)sizes[c], 8, NULL, 0};
        CHECK_EQ(qy_cache_init(&caches[c], &heaps[c % 2], &types[c]), QY_OK);
    }
}

static void take_back(void) QY_UNCHECKED
{
    unsigned a = (unsigned)random_below(&random_state, 2);
    if (random_below(&random_state, 2))
        qy_heap_drain(some_cpu(), &heaps[a]);
    else
        qy_heap_reclaim(&heaps[a]);
}

static void run(uint64_t share) QY_UNCHECKED
{
    const char *seed = getenv("TEST_SEED"), *text = getenv("TEST_OPS");
    uint64_t ops = text ? strtoull(text, NULL, 0) : 1000000;
    ops /= share;
    taken = refused = out_of_memory = 0;
    random_state = (seed ? strtoull(seed, NULL, 0) : 77) * 2 + 1;
    setup();
    for (uint64_t i = 0; i < ops && !wrong; i++) {
        uint64_t kind = random_below(&random_state, 100),
                 fill = i / 50000 % 2 ? 38 : 56; /* fill up, then empty */
        if (kind < fill)
            op_alloc();
        else if (kind < 95)
            op_free();
        else if (kind < 99)
            op_free_wrong();
        else if (random_below(&random_state, 8) == 0)
            take_back();
        if (i % 1024 == 0)
            check_all();
    }
    while (live_count && !wrong)
        op_free();
    for (unsigned a = 0; a < 2; a++) {
        qy_heap_drain(some_cpu(), &heaps[a]);
        qy_heap_reclaim(&heaps[a]);
        qy_frame_reclaim(&arenas[a]);
        CHECK_EQ(qy_heap_pages(&heaps[a]), 0);
    }
    check_all();
    CHECK(!wrong && (magazines_seen || hooks));
    for (unsigned a = 0; a < 2; a++)
        CHECK_EQ(qy_arena_pages(&arenas[a], QY_FRAME_FREE), arenas[a].total_pages);
    printf("# objects taken %llu, out of memory %llu, wrong frees refused %llu\n",
           (unsigned long long)taken, (unsigned long long)out_of_memory,
           (unsigned long long)refused);
    CHECK(taken > ops / 4 && refused > ops / 50 && out_of_memory > 0);
    hosted_machine_destroy(&machine);
}

static void random_calls(void)
{
    run(1);
}

/* The same calls and the same model, with every debug kind. */
static void random_calls_with_hooks(void)
{
    static struct qy_debug debug;
    static struct qy_quarantine quarantine;
    if (!QY_CONFIG_HEAP_TOOLS)
        SKIP("a build without heap_tools");
    qy_debug_init(&debug, QY_CACHE_HOOKED, &quarantine, 1 << 16);
    hooks = &debug.hooks;
    run(4);
}

static const struct test tests[] = {
    {"random calls agree with the model", random_calls},
    {"random calls agree with the model, with every debug kind", random_calls_with_hooks},
};
TEST_MAIN(tests)
