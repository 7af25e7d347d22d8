/*
 * Small scope, completely: every state that a mixed slab with eight free granules can get into, and every
 * state of a cache of three objects a slab in four pages with two CPUs' magazines; every call from each.
 *
 * States are found breadth first and rebuilt by repeating the calls that led there. A mixed slab's state
 * says what begins at which granule, and the model says where the next object must go: where the first run
 * that fits begins. A cache's state says how many objects of each slab are free, cached by whom and live;
 * which of them they are, and the order of slabs, are no part of it. After every call the validators run.
 */
#include "states.h"

#include <hosted/hosted.h>
#include <qy/frame_cache.h>
#include <qy/slab.h>
#include <string.h>

static struct hosted_machine machine;
static struct qy_arena arena;
static struct qy_heap heap;
static struct qy_cpu_objects cpus[2];
static uint64_t calls;

static void check(void)
{
    const char *broken = qy_heap_check(&heap);
    if (!broken)
        broken = qy_arena_check(&arena);
    if (broken) {
        printf("# %s after %llu calls\n", broken, (unsigned long long)calls);
        CHECK(broken == NULL);
    }
    calls++;
}

static void make(uint64_t pages)
{
    CHECK(hosted_machine_make(&machine, 1ull << 27, true));
    hosted_ram_add(&machine, pfn(3), pfn(3 + pages));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&arena, pfn(3), pfn(3 + pages)), QY_OK);
    for (unsigned i = 0; i < 2; i++)
        qy_cpu_objects_init(&cpus[i], i, NULL);
    qy_heap_init(&heap, &arena, NULL, 0xfeed);
    calls = 0;
}

/* ---- mixed slabs ---- */

#define OPEN 8u /* granules that are not taken for good */

static struct qy_cache types_of_3[3], filler;
static unsigned char *open_base;
static unsigned char *at[OPEN]; /* the object that begins at a granule, or null */
static uint8_t begins[OPEN];    /* model: granules of the object that begins there */

static uint64_t mixed_key(void)
{
    uint64_t key = 0;
    for (unsigned i = 0; i < OPEN; i++)
        key = key * 4 + begins[i];
    return key;
}

/* Where an object of n granules must go; OPEN if nowhere. */
static unsigned first_fit(unsigned n)
{
    bool used[OPEN] = {false};
    for (unsigned i = 0; i < OPEN; i++)
        for (unsigned k = 0; k < begins[i]; k++)
            used[i + k] = true;
    for (unsigned i = 0; i + n <= OPEN; i++) {
        bool fits = true;
        for (unsigned k = 0; k < n; k++)
            fits &= !used[i + k];
        if (fits)
            return i;
    }
    return OPEN;
}

/* Calls 0 to 2 allocate; 3 + i frees what begins at granule i. */
static void mixed_call(unsigned call) QY_UNCHECKED
{
    if (call < 3) {
        void *object;
        unsigned place = first_fit(call + 1);
        enum qy_error error = qy_cache_alloc(&cpus[0], &types_of_3[call], &object);
        CHECK_EQ(error, place < OPEN ? QY_OK : QY_OUT_OF_MEMORY);
        if (error != QY_OK)
            return;
        CHECK(object == open_base + place * 64);
        at[place] = object;
        begins[place] = (uint8_t)(call + 1);
        return;
    }
    unsigned i = call - 3;
    CHECK_EQ(qy_cache_free(&cpus[0], &types_of_3[begins[i] - 1], at[i]), QY_OK);
    begins[i] = 0;
}

static void mixed_go_to(unsigned state) QY_UNCHECKED
{
    uint8_t path[STATES_CALLS_MAX];
    unsigned count = states_path(state, path);
    for (unsigned i = 0; i < OPEN; i++)
        if (begins[i])
            mixed_call(3 + i);
    for (unsigned i = 0; i < count; i++)
        mixed_call(path[i]);
    CHECK_EQ(mixed_key(), states[state].key);
}

/* Every pointer into the open granules, to every cache: only the start of its live object is taken. */
static void mixed_wrong_frees(void) QY_UNCHECKED
{
    for (unsigned type = 0; type < 3; type++)
        for (unsigned i = 0; i < 2 * OPEN; i++)
            if (i % 2 || begins[i / 2] != type + 1)
                CHECK(qy_cache_free(&cpus[0], &types_of_3[type], open_base + i * 32) != QY_OK);
    check();
}

static void mixed_slab(void) QY_UNCHECKED
{
    static const struct qy_cache_type types[3] = {
        {"one", 64, 8, NULL, 0}, {"two", 128, 8, NULL, 0}, {"three", 190, 8, NULL, 0}};
    static const struct qy_cache_type filling = {"filler", 1000, 8, NULL, 0};
    static const struct qy_cache_type rest = {"rest", 384, 8, NULL, 0};
    static struct qy_cache last;
    void *object;
    make(1);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(qy_cache_init(&types_of_3[i], &heap, &types[i]), QY_OK);
    CHECK_EQ(qy_cache_init(&filler, &heap, &filling), QY_OK);
    CHECK_EQ(qy_cache_init(&last, &heap, &rest), QY_OK);
    for (unsigned i = 0; i < 3; i++) /* 48 of 62 granules */
        CHECK_EQ(qy_cache_alloc(&cpus[0], &filler, &object), QY_OK);
    CHECK_EQ(qy_cache_alloc(&cpus[0], &last, &object), QY_OK); /* and 6 */
    open_base = (unsigned char *)object + 384;
    memset(begins, 0, sizeof(begins));
    states_begin(0);
    for (unsigned s = 0; s < state_count; s++) {
        mixed_go_to(s);
        mixed_wrong_frees();
        for (unsigned call = 0; call < 3 + OPEN; call++) {
            if (call >= 3 && !begins[call - 3])
                continue;
            mixed_call(call);
            check();
            states_note(mixed_key(), s, call);
            mixed_go_to(s);
        }
    }
    printf("# a mixed slab of 8 granules: %u states, %llu calls checked\n", state_count,
           (unsigned long long)calls);
    CHECK_EQ(state_count, 1388);
    hosted_machine_destroy(&machine);
}

/* ---- a cache's own slabs, with magazines ---- */

#define OBJECTS_MAX 6u

static struct qy_cache cache;
static void *objects[OBJECTS_MAX];
static unsigned object_count;

static unsigned record_magazines(struct qy_cache *of)
{
    struct qy_record_cache r;
    qy_cache_record(of, &r);
    return (unsigned)r.magazines;
}

/* By slab: objects live, cached by CPU 0 or 1, free; sorted, so that which slab is which does not count. */
static uint64_t cache_key(void) QY_UNCHECKED
{
    uint64_t pages[16], counts[16];
    unsigned n = 0;
    for (unsigned who = 0; who < 3; who++) {
        struct qy_magazine *m = who < 2 ? atomic_load(&cpus[who].slots[cache.slot]) : NULL;
        unsigned count =
            m && m->cache == &cache ? (unsigned)(qy_magazine_top(m) - m->loaded->items) - 1 : 0;
        count = who == 2 ? object_count : count;
        for (unsigned i = 0; i < count; i++) {
            uint64_t page =
                (uintptr_t)(who == 2 ? objects[i] : m->loaded->items[i + 1].object) >> 12;
            unsigned k = 0;
            while (k < n && pages[k] != page)
                k++;
            if (k == n) {
                pages[n] = page;
                counts[n++] = 0;
            }
            counts[k] += 1ull << 2 * who;
        }
    }
    for (unsigned i = 1; i < n; i++)
        for (unsigned k = i; k > 0 && counts[k - 1] < counts[k]; k--) {
            uint64_t swap = counts[k];
            counts[k] = counts[k - 1];
            counts[k - 1] = swap;
        }
    uint64_t key = cache.slabs;
    for (unsigned i = 0; i < n; i++)
        key = key * 64 + counts[i];
    return key * 4 + record_magazines(&cache);
}

/* 0, 1: a CPU allocates; 2 to 5: it frees the oldest or the newest; 6, 7: it drains; 8: reclaim. */
#define CACHE_CALLS 9u

static void cache_call(unsigned call) QY_UNCHECKED
{
    if (call < 2) {
        void *object;
        if (object_count == OBJECTS_MAX)
            return;
        enum qy_error error = qy_cache_alloc(&cpus[call], &cache, &object);
        for (unsigned i = 0; i < object_count && error == QY_OK; i++)
            CHECK(objects[i] != object);
        if (error == QY_OK)
            objects[object_count++] = object;
        else
            CHECK_EQ(error, QY_OUT_OF_MEMORY);
    } else if (call < 6 && object_count) {
        unsigned which = call < 4 ? 0 : object_count - 1;
        void *object = objects[which];
        memmove(&objects[which], &objects[which + 1], (--object_count - which) * sizeof(void *));
        CHECK_EQ(qy_cache_free(&cpus[call % 2], &cache, object), QY_OK);
        CHECK(qy_cache_free(&cpus[0], &cache, object) != QY_OK);
        CHECK(qy_cache_free(&cpus[1], &cache, object) != QY_OK);
    } else if (call == 6 || call == 7) {
        qy_heap_drain(&cpus[call - 6], &heap);
    } else if (call == 8) {
        qy_heap_reclaim(&heap);
    }
}

static void cache_reset(void) QY_UNCHECKED
{
    while (object_count)
        CHECK_EQ(qy_cache_free(&cpus[0], &cache, objects[--object_count]), QY_OK);
    qy_heap_reclaim(&heap);
    for (unsigned i = 0; i < 2; i++)
        qy_cpu_objects_init(&cpus[i], i, NULL);
    for (unsigned who = 0; who < 2; who++) { /* both have used it often enough for a magazine */
        cpus[who].wishes[cache.slot].cache = &cache;
        cpus[who].wishes[cache.slot].misses = 7;
    }
}

static void cache_with_magazines(void) QY_UNCHECKED
{
    static const struct qy_cache_type type = {"third", 1300, 8, NULL, 0};
    pfn_t page;
    make(512);
    CHECK_EQ(qy_cache_init(&cache, &heap, &type), QY_OK);
    cache.granules = 0;
    cache.order = 0;
    for (unsigned i = 0; i < 512 - 5; i++) /* four pages, and one of magazines */
        CHECK_EQ(qy_arena_alloc(&arena, 0, QY_FRAME_OBJECT, &page), QY_OK);
    object_count = 0;
    cache_reset();
    uint8_t path[STATES_CALLS_MAX];
    states_begin(cache_key());
    for (unsigned s = 0; s < state_count; s++) {
        for (unsigned call = 0; call < CACHE_CALLS; call++) {
            cache_reset();
            unsigned count = states_path(s, path);
            for (unsigned i = 0; i < count; i++)
                cache_call(path[i]);
            CHECK_EQ(cache_key(), states[s].key);
            cache_call(call);
            check();
            states_note(cache_key(), s, call);
        }
    }
    printf("# a cache in four pages, two CPUs: %u states, %llu calls checked\n", state_count,
           (unsigned long long)calls);
    CHECK_EQ(state_count, 2647);
    cache_reset();
    CHECK_EQ(qy_heap_pages(&heap), 0);
    hosted_machine_destroy(&machine);
}

static const struct test tests[] = {
    {"every state of a mixed slab", mixed_slab},
    {"every state of a cache with two magazines", cache_with_magazines},
};
TEST_MAIN(tests)
