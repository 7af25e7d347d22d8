/*
 * Magazines and depots, case by case: how much they may hold, that it comes back, what a magazine may still believe
 * of an object that it handed out, and that no pointer but an object's start gets into one. Would miss: CPUs at the
 * same instant (mem_threads), long sequences (slab_model).
 */
#include "../../mem/slab/slab_impl.h"

#include <hosted/hosted.h>
#include <qy/heap.h>
#include <string.h>
#include <tap.h>

#define CPUS 2u
#define OBJECTS 3000u
#define PAGES_MAX 4096u

static struct hosted_machine machine;
static struct qy_arena arena;
static struct qy_heap heap;
static struct qy_cache cache;
static struct qy_cache_type type;
static struct qy_cpu_objects cpus[CPUS];
static unsigned char *objects[OBJECTS];

/* Slabs of their own from the first object on. Memory reads as if live objects' states lay everywhere. */
static void make(uint64_t pages, uint32_t bytes)
{
    CHECK(hosted_machine_make(&machine, 1ull << 27, true));
    hosted_ram_add(&machine, pfn(16), pfn(16 + pages));
    memset(qy_port_ram(pfn_to_paddr(pfn(16))), QY_OBJECT_LIVE, pages * QY_PAGE_BYTES);
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&arena, pfn(16), pfn(16 + pages)), QY_OK);
    qy_heap_init(&heap, &arena, NULL, 0xabcdef);
    type = (struct qy_cache_type){"thing", bytes, 8, NULL, QY_CACHE_UNZEROED};
    CHECK_EQ(qy_cache_init(&cache, &heap, &type), QY_OK);
    cache.granules = 0;
    for (unsigned i = 0; i < CPUS; i++)
        qy_cpu_objects_init(&cpus[i], i, NULL);
}

static void check(void)
{
    const char *broken = qy_heap_check(&heap);
    if (broken)
        printf("# %s\n", broken);
    CHECK(!broken && !qy_arena_check(&arena));
}

static void done(void)
{
    check();
    hosted_machine_destroy(&machine);
}

static void *take(unsigned cpu) QY_UNCHECKED
{
    void *object = NULL;
    return qy_cache_alloc(&cpus[cpu], &cache, &object) == QY_OK ? object : NULL;
}

static enum qy_error give(unsigned cpu, void *object) QY_UNCHECKED
{
    return qy_cache_free(&cpus[cpu], &cache, object);
}

/* As many as there are, or as fit into objects[]. */
static unsigned take_all(unsigned cpu)
{
    unsigned count = 0;
    while (count < OBJECTS && (objects[count] = take(cpu)))
        count++;
    return count;
}

static void give_all(unsigned cpu, unsigned count)
{
    while (count)
        CHECK_EQ(give(cpu, objects[--count]), QY_OK);
}

/* Repeated use: it has a magazine afterwards, if the arena allows one. */
static struct qy_magazine *warm(unsigned cpu)
{
    for (unsigned i = 0; i < 16; i++)
        CHECK_EQ(give(cpu, take(cpu)), QY_OK);
    struct qy_magazine *magazine = atomic_load(&cpus[cpu].slots[cache.slot]);
    return magazine->cache == &cache ? magazine : NULL;
}

/* What lies `place` objects above the lowest, whether below the top or left over above it. */
static unsigned char *object_at(const struct qy_magazine *magazine, unsigned place)
{
    return qy_magazine_loaded(magazine)->items[1 + place].object;
}

static uint64_t cached(void)
{
    struct qy_record_cache record;
    qy_cache_record(&cache, &record);
    return record.cached;
}

/* ---- limits ---- */

/* At no time more than its share of the arena, and the depot neither; without a share of four objects, none. */
static void a_share_of_the_arena(void)
{
    static const uint32_t sizes[] = {16, 64, 200, 1000, 4000, 9000, 32000};
    static const uint64_t arenas[] = {511, 512, 1024, PAGES_MAX};
    unsigned with = 0, without = 0;
    for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]) * 4; k++) {
        uint64_t pages = arenas[k % 4], bytes = pages * QY_PAGE_BYTES;
        make(pages, sizes[k / 4]);
        uint64_t share = bytes / 128 / cache.stride, most = 0, most_in_depot = 0;
        share = share < QY_MAGAZINE_OBJECTS ? share & ~1ull : QY_MAGAZINE_OBJECTS;
        struct qy_magazine *magazine = warm(0);
        CHECK_EQ(magazine != NULL, pages >= QY_MAGAZINE_MIN_PAGES && share >= 4);
        unsigned all = take_all(0), count = all * 3 / 4;
        while (all > count) /* room for a magazine that comes anew */
            CHECK_EQ(give(0, objects[--all]), QY_OK);
        for (unsigned turn = 0; turn < 3 * count && magazine; turn++) {
            if (turn < count || turn >= 2 * count)
                CHECK_EQ(give(0, objects[turn % count]), QY_OK);
            else
                CHECK((objects[turn % count] = take(0)) != NULL);
            magazine = atomic_load(&cpus[0].slots[cache.slot]); /* it goes when memory runs out */
            uint64_t here = magazine->cache == &cache ? qy_magazine_count(magazine) : 0;
            most = here > most ? here : most;
            uint64_t depot = qy_depot_count(&cache);
            most_in_depot = depot > most_in_depot ? depot : most_in_depot;
        }
        CHECK(most <= share);
        CHECK(most_in_depot <= 2048 && most_in_depot * cache.stride <= bytes / 32);
        with += most == share;
        without += magazine == NULL;
        if (!magazine)
            CHECK_EQ(cached(), 0);
        done();
    }
    printf("# %u times full to the limit, %u times none\n", with, without);
    CHECK(with >= 8 && without >= 7);
}

/*
 * What another CPU keeps is not had at once, and is all had after qy_heap_reclaim: not one object less than when nobody
 * keeps any. (That the kernel reclaims before it says OUT_OF_MEMORY: kernel-caches.)
 */
static void what_others_keep_comes_back(void)
{
    make(512, 1000);
    unsigned all = take_all(0);
    give_all(0, all);
    qy_heap_reclaim(&heap);
    CHECK_EQ(qy_heap_pages(&heap), 0);
    CHECK(warm(1) != NULL);
    for (unsigned i = 0; i < 300; i++)
        objects[i] = take(1);
    give_all(1, 300);
    uint64_t kept = cached();
    CHECK(kept > 4);
    unsigned first = take_all(0);
    CHECK(first < all && take(0) == NULL);
    CHECK(qy_heap_is_cached(&heap));
    check();
    qy_heap_reclaim(&heap);
    CHECK(!qy_heap_is_cached(&heap));
    unsigned char *before[OBJECTS];
    memcpy(before, objects, sizeof(before));
    unsigned more = take_all(0);
    CHECK_EQ(first + more, all);
    give_all(0, more);
    memcpy(objects, before, sizeof(before));
    give_all(0, first);
    qy_heap_reclaim(&heap);
    CHECK_EQ(qy_heap_pages(&heap), 0);
    done();
}

/* A CPU that is inside a function of the heap, and what another saw of it while it waited. */
static struct qy_percpu *inside;
static uint64_t cached_meanwhile;

void __real_qy_port_relax(void);
void __wrap_qy_port_relax(void);
void __wrap_qy_port_relax(void)
{
    if (inside) {
        cached_meanwhile = cached();
        qy_percpu_leave(inside);
        inside = NULL;
    }
    __real_qy_port_relax();
}

/* A magazine is taken apart when its CPU has done with it, not before. */
static void nothing_is_taken_from_a_cpu_at_work(void)
{
    make(512, 200);
    CHECK(warm(1) != NULL);
    uint64_t kept = cached();
    CHECK(kept > 0);
    cached_meanwhile = 0;
    inside = &cpus[1].own;
    qy_percpu_enter(inside);
    qy_heap_reclaim(&heap);
    CHECK(inside == NULL && cached_meanwhile == kept);
    CHECK_EQ(qy_heap_pages(&heap), 0);
    done();
}

/* Somebody else has said that it takes the magazine: its own CPU, which gives up all it has, leaves it to them. */
static void what_is_taken_away_is_left_alone(void) QY_UNCHECKED
{
    make(512, 200);
    struct qy_magazine *magazine = warm(1);
    uint64_t kept = cached();
    magazine->leaving = true;
    qy_heap_drain(&cpus[1], &heap);
    CHECK(atomic_load(&cpus[1].slots[cache.slot]) != magazine);
    CHECK(qy_heap_is_cached(&heap) && cached() == kept);
    magazine->leaving = false; /* now they do it */
    qy_heap_reclaim(&heap);
    CHECK_EQ(qy_heap_pages(&heap), 0);
    done();
}

/* ---- what it may believe ---- */

/*
 * What lies above the top was handed out once. Its slab has gone back to the arena since, and where its state was lies
 * what reads as LIVE: when the magazine has learnt of it (epoch), the object above the top is nobody's.
 */
static void forgotten_with_the_slab(void) QY_UNCHECKED
{
    static pfn_t pages[1024];
    unsigned count = 0, held = 0;
    make(1024, 1000);
    struct qy_magazine *magazine = warm(0);
    unsigned limit = magazine->limit, half = (limit + 1) / 2;
    unsigned slab = qy_slab_capacity(cache.stride, cache.order), refill = half < slab ? half : slab;
    for (unsigned i = 0; i < 4 * half; i++)
        objects[i] = take(0);
    give_all(0, 4 * half);
    while (count < 4 * half || qy_magazine_count(magazine) != 0)
        objects[count++] = take(0);
    unsigned char *stale = object_at(magazine, refill); /* where the top will be */
    CHECK(stale != NULL);
    give_all(1, count);
    qy_heap_drain(&cpus[1], &heap);
    CHECK(qy_heap_pages(&heap) > 0 && atomic_load(&cpus[0].slots[cache.slot]) == magazine);
    CHECK_EQ(cache.slabs, 0);
    CHECK(object_at(magazine, refill) == stale && qy_magazine_count(magazine) == 0);
    while (qy_arena_alloc(&arena, 0, QY_FRAME_OBJECT, &pages[held]) == QY_OK)
        memset(qy_port_ram(pfn_to_paddr(pages[held++])), QY_OBJECT_LIVE, QY_PAGE_BYTES);
    uint64_t where = qy_port_paddr(stale).raw >> (QY_PAGE_SHIFT + QY_SLAB_MAX_ORDER);
    for (unsigned i = 0; i < held; i++)
        if (pages[i].raw >> QY_SLAB_MAX_ORDER != where) /* not the slab's place */
            CHECK_EQ(qy_arena_free(&arena, pages[i], 0, QY_FRAME_OBJECT), QY_OK);
    CHECK_EQ(give(0, stale), QY_NOT_OWNED); /* by the epoch */
    CHECK_EQ(give(0, take(0)), QY_OK);
    CHECK_EQ(qy_magazine_count(magazine), refill);
    CHECK_EQ(magazine->epoch, atomic_load(&cache.epoch));
    CHECK_EQ(give(0, stale), QY_NOT_OWNED); /* it was forgotten */
    const struct qy_rounds *other = qy_magazine_previous(magazine);
    CHECK(other && other->items[limit].object); /* which still knows what it had */
    for (count = 0; count < limit + 1u; count++)
        CHECK((objects[count] = take(0)) != NULL);
    give_all(0, count);
    CHECK(qy_magazine_loaded(magazine) == other && qy_magazine_top(magazine)->object == NULL);
    check();
    hosted_machine_destroy(&machine);
}

/*
 * Every byte of every slab is given back, magazines on and off, by cache and by address alone: only where a live object
 * begins it is taken. The colour before the places and the slack behind them read as states of live objects would.
 */
static void every_byte_of_a_slab(void) QY_UNCHECKED
{
    static const uint32_t sizes[] = {16, 24, 200, 1000, 1300, 3000, 9000};
    static struct qy_sizes pieces = {.heap =
                                         &heap}; /* nothing else is asked for what a slab holds */
    uint64_t refused = 0;
    for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]) * 2; k++) {
        make(k % 2 ? 1024 : 64, sizes[k / 2]);
        CHECK_EQ(warm(0) != NULL, k % 2 == 1 && sizes[k / 2] < 9000);
        unsigned count = 0;
        while (cache.slabs < 3)
            objects[count++] = take(0);
        memset(objects[count - 1], QY_OBJECT_LIVE, sizes[k / 2]);
        for (struct qy_slab *slab = cache.full; slab; slab = slab->next) {
            unsigned char *base = qy_slab_base(slab), *end = base + qy_slab_bytes(slab->order);
            for (unsigned char *at = base; at < end; at++) {
                bool starts = at >= slab->places && at < slab->places + slab->span_bytes &&
                              (at - slab->places) % cache.stride == 0;
                if (starts)
                    continue;
                enum qy_error by_cache = give(0, at),
                              by_size = qy_sizes_free(&cpus[0], &pieces, at),
                              by_address = qy_heap_free(&cpus[0], &heap, NULL, at);
                if (by_cache != QY_NOT_ALLOCATED || by_size != QY_NOT_ALLOCATED ||
                    by_address != QY_NOT_ALLOCATED)
                    CHECK_EQ((uint64_t)(at - base), sizes[k / 2]);
                refused += 3;
            }
        }
        give_all(0, count);
        done();
    }
    printf("# %llu pointers refused\n", (unsigned long long)refused);
    CHECK(refused > 100000);
}

/* Magazines lie in memory that may have been a piece: an old pointer does not free them. */
static void magazines_are_nobodys_objects(void) QY_UNCHECKED
{
    make(PAGES_MAX, 64);
    struct qy_magazine *magazine = warm(0);
    CHECK(magazine != NULL);
    CHECK_EQ(qy_heap_free(&cpus[0], &heap, NULL, magazine), QY_NOT_OWNED);
    CHECK_EQ(qy_heap_free(&cpus[0], &heap, NULL, qy_magazine_loaded(magazine)), QY_NOT_OWNED);
    CHECK_EQ(give(0, magazine), QY_NOT_OWNED);
    done();
}

/* An arena that has grown has larger magazines; what a full one gives to the depot is more than an older one holds. */
static void rounds_of_a_larger_magazine(void)
{
    make(512, 1000);
    const struct qy_magazine *small = warm(0);
    hosted_ram_add(&machine, pfn(16 + 512), pfn(16 + PAGES_MAX));
    CHECK_EQ(qy_arena_add(&arena, pfn(16 + 512), pfn(16 + PAGES_MAX)), QY_OK);
    const struct qy_magazine *large = warm(1);
    CHECK(small && large && small->limit < large->limit / 2);
    for (unsigned i = 0; i < 300; i++)
        objects[i] = take(1);
    give_all(1, 300);
    CHECK(qy_depot_count(&cache) > 2u * large->limit);
    for (unsigned turn = 0; turn < 3; turn++) {
        for (unsigned i = 0; i < 150; i++) {
            CHECK((objects[i] = take(0)) != NULL);
            check();
        }
        for (unsigned i = 150; i-- > 0;) { /* what lies above the top is what comes back next */
            CHECK_EQ(give(0, objects[i]), QY_OK);
            CHECK_EQ(give(0, objects[i]), QY_NOT_ALLOCATED);
            check();
        }
    }
    qy_heap_reclaim(&heap);
    CHECK_EQ(qy_heap_pages(&heap), 0);
    done();
}

static const struct test tests[] = {
    {"a share of the arena", a_share_of_the_arena},
    {"what other CPUs keep comes back", what_others_keep_comes_back},
    {"nothing is taken from a CPU at work", nothing_is_taken_from_a_cpu_at_work},
    {"what is taken away is left alone", what_is_taken_away_is_left_alone},
    {"what was handed out is forgotten with its slab", forgotten_with_the_slab},
    {"rounds of a larger magazine", rounds_of_a_larger_magazine},
    {"every byte of a slab is given back", every_byte_of_a_slab},
    {"magazines are nobody's objects", magazines_are_nobodys_objects},
};
TEST_MAIN(tests)
