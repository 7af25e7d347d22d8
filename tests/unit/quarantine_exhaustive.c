/*
 * Small scope, completely: a quarantine of a few bytes that two heaps share, beside a plain model; every call from
 * every state that can be reached, for every limit that makes a difference.
 *
 *     heap 0   a page: three objects of the smaller type, live and in quarantine together
 *     heap 1   a page: two of the larger
 *
 * The model is a queue: what is freed goes to its end, the oldest go until the rest fits, what is larger than the limit
 * does not go there. It says which objects are live, which wait and in which order, and when a heap's own go at once: when
 * it is drained, or when its arena has nothing else for an allocation. After every call ring, bytes and counters are
 * compared with it, a second free of whatever waits is refused and reported, and the validators run. The ring begins
 * near its end, so that it wraps. Would miss: CPUs at the same time (debug_threads).
 */
#include "debug_fixture.h"
#include "states.h"

#define WAITING_MAX 5u
#define HEAPS 2u

static struct qy_arena arenas[HEAPS];
static struct qy_heap heaps[HEAPS];
static struct qy_cache caches[HEAPS];
static const unsigned room[HEAPS] = {3, 2}; /* objects in its page */
static uint64_t calls, limit;

/* ---- the model ---- */

static struct waiting {
    unsigned heap;
    void *object;
} queue[WAITING_MAX]; /* the oldest first */
static unsigned waiting;
static void *live[HEAPS][3];
static unsigned live_count[HEAPS];

static uint64_t queue_bytes(void)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < waiting; i++)
        bytes += caches[queue[i].heap].stride;
    return bytes;
}

static unsigned waiting_of(unsigned h)
{
    unsigned count = 0;
    for (unsigned i = 0; i < waiting; i++)
        count += queue[i].heap == h;
    return count;
}

static void queue_remove(unsigned index)
{
    memmove(&queue[index], &queue[index + 1], (--waiting - index) * sizeof(queue[0]));
}

static void queue_drain(unsigned h)
{
    for (unsigned i = waiting; i > 0; i--)
        if (queue[i - 1].heap == h)
            queue_remove(i - 1);
}

/* ---- calls: the heap's, and the model's ---- */

static void take(unsigned h) QY_UNCHECKED
{
    void *object = NULL;
    enum qy_error error = qy_cache_alloc(&cpu, &caches[h], &object);
    CHECK_EQ(error, live_count[h] < room[h] ? QY_OK : QY_OUT_OF_MEMORY);
    if (live_count[h] + waiting_of(h) == room[h]) /* what waits goes before anything fails */
        queue_drain(h);
    if (error != QY_OK)
        return;
    for (unsigned i = 0; i < waiting; i++)
        CHECK(queue[i].object != object);
    for (unsigned i = 0; i < live_count[h]; i++)
        CHECK(live[h][i] != object);
    live[h][live_count[h]++] = object;
}

static void give(unsigned h, unsigned which)
{
    void *object = live[h][which];
    memmove(&live[h][which], &live[h][which + 1], (--live_count[h] - which) * sizeof(void *));
    CHECK_EQ(give_to(&caches[h], object), QY_OK);
    if (caches[h].stride > limit)
        return;
    while (queue_bytes() + caches[h].stride > limit)
        queue_remove(0);
    queue[waiting++] = (struct waiting){h, object};
}

/* 0, 1: allocate; 2 to 4, 5 to 7: free the first, second, third live; 8, 9: drain a heap; 10: only its tools. */
#define CALLS 11u

static bool call(unsigned number) QY_UNCHECKED
{
    if (number < 2) {
        take(number);
    } else if (number < 8) {
        unsigned h = number < 5 ? 0 : 1, which = (number - 2) % 3;
        if (which >= live_count[h])
            return false;
        give(h, which);
    } else {
        unsigned h = number % 2;
        queue_drain(h);
        if (number == 10)
            drain_tools(&heaps[h]);
        else
            qy_heap_drain(&cpu, &heaps[h]);
    }
    return true;
}

/* ---- what is true after each ---- */

static void refused_action(void *at)
{
    const struct waiting *w = at;
    qy_debug_refused(&debug, &caches[w->heap], w->object);
}

static void check(void) QY_UNCHECKED
{
    CHECK_EQ(quarantine.count, waiting);
    CHECK_EQ(quarantine.bytes, queue_bytes());
    CHECK(quarantine.bytes <= limit);
    for (unsigned i = 0; i < waiting; i++) {
        unsigned at = (quarantine.first + i) % QY_QUARANTINE_OBJECTS;
        CHECK(quarantine.ring[at].object == queue[i].object &&
              quarantine.ring[at].cache == &caches[queue[i].heap]);
        CHECK_EQ(give_to(&caches[queue[i].heap], queue[i].object), QY_NOT_ALLOCATED);
        CHECK(reports(refused_action, &queue[i]) && report.object.object == queue[i].object &&
              strcmp(report.invariant, "DOUBLE-FREE") == 0);
    }
    for (unsigned h = 0; h < HEAPS; h++) {
        struct qy_record_cache record;
        qy_cache_record(&caches[h], &record);
        CHECK(record.live == live_count[h] && record.held == waiting_of(h));
        const char *broken = qy_heap_check(&heaps[h]);
        if (broken)
            printf("# %s after %llu calls\n", broken, (unsigned long long)calls);
        CHECK(!broken && !qy_arena_check(&arenas[h]));
        CHECK(qy_debug_check(&debug, &heaps[h], &report));
        for (unsigned i = 0; i < live_count[h]; i++)
            CHECK(!reports(refused_action, &(struct waiting){h, live[h][i]}));
    }
    calls++;
}

/* ---- from state to state ---- */

/* Whose what waits is, in order; live objects. */
static uint64_t key(void)
{
    uint64_t key = 1;
    for (unsigned i = 0; i < waiting; i++)
        key = key * 2 + queue[i].heap;
    return (key * 4 + live_count[0]) * 4 + live_count[1];
}

static void reset(void) QY_UNCHECKED
{
    for (unsigned h = 0; h < HEAPS; h++) {
        while (live_count[h])
            give(h, 0);
        queue_drain(h);
        qy_heap_drain(&cpu, &heaps[h]);
    }
    quarantine.first = QY_QUARANTINE_OBJECTS - 2;
}

static void make(void)
{
    static const struct qy_cache_type types[HEAPS] = {{"smaller", 1100, 8, NULL, 0},
                                                      {"larger", 1800, 8, NULL, 0}};
    CHECK(hosted_machine_make(&machine, 1ull << 27, true));
    memset(&quarantine, 0, sizeof(quarantine));
    qy_debug_init(&debug, ALL_KINDS, &quarantine, 0);
    debug.report = keep_report;
    for (unsigned h = 0; h < HEAPS; h++) {
        hosted_ram_add(&machine, pfn(16 + h), pfn(17 + h));
        qy_arena_init(&arenas[h], &machine.db, 0, QY_ZONE_NORMAL, h + 1);
        CHECK_EQ(qy_arena_add(&arenas[h], pfn(16 + h), pfn(17 + h)), QY_OK);
        qy_heap_init(&heaps[h], &arenas[h], &debug.hooks, 77);
        CHECK_EQ(qy_cache_init(&caches[h], &heaps[h], &types[h]), QY_OK);
    }
    qy_cpu_objects_init(&cpu, 0, NULL);
    calls = 0;
}

static unsigned states_of(uint64_t bytes)
{
    limit = quarantine.limit_bytes = bytes;
    reset();
    states_begin(key());
    for (unsigned s = 0; s < state_count; s++)
        for (unsigned number = 0; number < CALLS; number++) {
            uint8_t path[STATES_CALLS_MAX];
            unsigned count = states_path(s, path);
            reset();
            for (unsigned i = 0; i < count; i++)
                call(path[i]);
            CHECK_EQ(key(), states[s].key);
            if (!call(number))
                continue;
            check();
            states_note(key(), s, number);
        }
    reset();
    return state_count;
}

static void every_state(void)
{
    static const unsigned expected[] = {12, 21, 29, 35, 47, 54, 66, 105};
    make();
    uint64_t a = caches[0].stride, b = caches[1].stride;
    const uint64_t limits[] = {0, a, b, 2 * a, a + b, 2 * b, 2 * a + b, 3 * a + 2 * b};
    for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        unsigned found = states_of(limits[i]);
        printf("# a quarantine of %llu bytes: %u states\n", (unsigned long long)limits[i], found);
        CHECK_EQ(found, expected[i]);
    }
    printf("# %llu calls checked\n", (unsigned long long)calls);
    for (unsigned h = 0; h < HEAPS; h++)
        CHECK_EQ(qy_heap_pages(&heaps[h]), 0);
    hosted_machine_destroy(&machine);
}

static const struct test tests[] = {{"every state of a quarantine of two heaps", every_state}};
TEST_MAIN(tests)
