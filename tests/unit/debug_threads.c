/*
 * Debug hooks from several CPUs at once: objects are allocated here and freed there, somebody looks at
 * origins meanwhile, and in the end counters, redzones and quarantine agree. Run under ThreadSanitizer too;
 * TEST_OPS=n changes the length.
 */
#include "debug_fixture.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS 3u
#define PLACES 64u /* objects that lie about between threads */

static const struct qy_cache_type thing = {.name = "thing", .bytes = 100, .align = 8};
static struct qy_cpu_objects cpus[THREADS];
static struct qy_site_counts counts[THREADS][SITES_MAX];
static unsigned char *_Atomic places[PLACES];
static atomic_uint failures, running;
static _Atomic uint64_t numbers;
static uint64_t ops;

static const struct qy_site *site(void)
{
    return QY_SITE("a thing");
}

static void fill(unsigned char *object)
{
    memset(object, (int)((uintptr_t)object >> 4 & 0x7f), thing.bytes);
}

static bool is_filled(const unsigned char *object)
{
    unsigned char value = (uintptr_t)object >> 4 & 0x7f;
    return object[0] == value && memcmp(object, object + 1, thing.bytes - 1) == 0;
}

/* Over all CPUs, the fixture's too. */
static struct qy_site_sums counted(void)
{
    struct qy_site_sums sums = sums_of(site());
    for (unsigned i = 0; i < THREADS; i++)
        qy_site_read(site(), &cpus[i], &sums);
    return sums;
}

static bool step(struct qy_cpu_objects *own, unsigned thread, uint64_t number) QY_UNCHECKED
{
    void *object;
    if (qy_cache_alloc_from(own, &cache, site(), &object) != QY_OK)
        return false;
    qy_origin_set(own, &cache, object,
                  &(struct qy_owner){thread, thread, 1, atomic_fetch_add(&numbers, 1) + 1, 256, 0});
    fill(object);
    unsigned char *found = atomic_exchange(&places[number * 7 % PLACES], object);
    return !found || (is_filled(found) && qy_cache_free(own, &cache, found) == QY_OK);
}

static void *run(void *argument)
{
    unsigned thread = (unsigned)(uintptr_t)argument;
    hosted_cpu_set(thread);
    for (uint64_t i = 0; i < ops; i++)
        if (!step(&cpus[thread], thread, i * THREADS + thread))
            atomic_fetch_add(&failures, 1);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void here_and_there(uint32_t kinds)
{
    pthread_t threads[THREADS];
    struct qy_tally_row rows[64];
    struct qy_tally tally;
    uint64_t looks = 0;
    struct qy_site_sums before = counted();
    make_heap(512, kinds, 1 << 14);
    make_cache(&thing);
    running = THREADS;
    for (unsigned i = 0; i < THREADS; i++) {
        qy_cpu_objects_init(&cpus[i], i, NULL);
        qy_sites_count(&cpus[i], counts[i]);
        CHECK_EQ(pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)i), 0);
    }
    while (atomic_load(&running)) {
        qy_tally_begin(&tally, rows, 64);
        qy_leaks(&heap, 0, &tally);
        CHECK(tally.lost.count == 0); /* owners half written too: a few rows each */
        looks++;
        sched_yield();
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(failures, 0);
    qy_tally_begin(&tally, rows, 64);
    qy_leaks(&heap, 0, &tally);
    uint64_t live = 0;
    for (size_t i = 0; i < tally.used; i++)
        live += rows[i].count;
    CHECK_EQ(live, PLACES);
    CHECK_EQ(counted().live, live);
    CHECK_EQ(counted().live_bytes, live * 256);
    CHECK_EQ(counted().total - before.total, THREADS * ops);
    CHECK(qy_debug_check(&debug, &heap, &report));
    CHECK_EQ(qy_quarantine_count(&quarantine) > 0, (kinds & QY_CACHE_QUARANTINED) != 0);
    for (unsigned i = 0; i < PLACES; i++)
        CHECK_EQ(give_to(&cache, atomic_exchange(&places[i], NULL)), QY_OK);
    CHECK_EQ(counted().live, 0);
    printf("# %llu looks meanwhile\n", (unsigned long long)looks);
    end_heap();
}

static void all_kinds(void)
{
    here_and_there(ALL_KINDS);
}

/* Magazines and depot, without hooks. */
static void only_tracked(void)
{
    here_and_there(QY_CACHE_TRACKED);
}

static const struct test tests[] = {{"allocated here, freed there, looked at", all_kinds},
                                    {"the same, only tracked", only_tracked}};

int main(void)
{
    const char *text = getenv("TEST_OPS");
    ops = text ? strtoull(text, NULL, 0) : 20000;
    return tap_run(tests, 2);
}
