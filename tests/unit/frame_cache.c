/*
 * Per-CPU frame caches, several CPUs played by one thread: what is refused, what comes back, and a
 * random run beside a plain model.
 *
 * The model knows every frame's owner and state; counters are compared after every call, the
 * validator runs every 64th. Misses: what needs two CPUs in the same instant (frame_cache_threads).
 * TEST_SEED=n repeats a run, TEST_OPS=n changes its length.
 */
#include <hosted/hosted.h>
#include <lib/random.h>
#include <qy/frame_cache.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#define FRAMES 131072u
#define CPUS 4u

static struct hosted_machine machine;
static struct qy_arena arena, other;
static struct qy_cpu_frames cpus[CPUS];

static void setup(uint64_t pages)
{
    CHECK(hosted_machine_make(&machine, FRAMES * QY_PAGE_BYTES, true));
    hosted_ram_add(&machine, pfn(1), pfn(FRAMES));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    qy_arena_init(&other, &machine.db, 0, QY_ZONE_NORMAL, 2);
    CHECK_EQ(qy_arena_add(&arena, pfn(5), pfn(5 + pages)), QY_OK);
    CHECK_EQ(qy_arena_add(&other, pfn(FRAMES - 5000), pfn(FRAMES)), QY_OK);
    for (unsigned i = 0; i < CPUS; i++)
        qy_cpu_frames_init(&cpus[i], i);
    qy_irq_is_off();
}

/* Everything is back, and nobody has a cache. */
static void finish(void)
{
    qy_frame_reclaim(&arena);
    qy_frame_reclaim(&other);
    CHECK(qy_arena_check(&arena) == NULL && qy_arena_check(&other) == NULL);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), arena.total_pages);
    CHECK_EQ(qy_arena_pages(&other, QY_FRAME_FREE), other.total_pages);
    hosted_machine_destroy(&machine);
}

/* Give the CPU a cache of the arena: allocate until it has one, and give all of it back. */
static void warm(unsigned cpu, struct qy_arena *from) QY_REQUIRES(qy_irq_off)
{
    pfn_t held[8];
    for (unsigned i = 0; i < 8; i++)
        CHECK_EQ(qy_frame_try_alloc(&cpus[cpu], from, 0, QY_FRAME_USER, &held[i]), QY_OK);
    for (unsigned i = 8; i-- > 0;)
        CHECK_EQ(qy_frame_free(&cpus[cpu], from, held[i], 0, QY_FRAME_USER), QY_OK);
}

static uint64_t cached(struct qy_arena *from)
{
    return qy_arena_pages(from, QY_FRAME_CACHED);
}

static void taken_on_repeated_use(void)
{
    setup(100000);
    qy_irq_is_off();
    pfn_t a = {0}, b = {0};
    CHECK_EQ(qy_frame_try_alloc(&cpus[0], &arena, 0, QY_FRAME_USER, &a), QY_OK);
    CHECK(!qy_arena_is_cached(&arena)); /* once is not repeatedly */
    CHECK_EQ(qy_frame_free(&cpus[0], &arena, a, 0, QY_FRAME_USER), QY_OK);
    warm(0, &arena);
    CHECK(qy_arena_is_cached(&arena));
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_METADATA), 1); /* it pays the page */
    CHECK(cached(&arena) > 8 && cached(&arena) <= QY_CACHE_FRAMES);
    CHECK_EQ(qy_frame_try_alloc(&cpus[0], &arena, 0, QY_FRAME_USER, &a), QY_OK);
    CHECK_EQ(qy_frame_free(&cpus[0], &arena, a, 0, QY_FRAME_USER), QY_OK);
    CHECK_EQ(qy_frame_try_alloc(&cpus[0], &arena, 0, QY_FRAME_TABLE, &b), QY_OK);
    CHECK_EQ(a.raw, b.raw); /* freed last, used first */
    CHECK_EQ(qy_frame_state(&machine.db, b), QY_FRAME_TABLE);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_TABLE), 1);
    CHECK_EQ(qy_frame_free(&cpus[1], &arena, b, 0, QY_FRAME_TABLE), QY_OK);
    finish();
}

static void small_arenas_have_none(void)
{
    setup(QY_CACHE_MIN_PAGES - 1);
    qy_irq_is_off();
    pfn_t held[300];
    for (unsigned i = 0; i < 300; i++)
        CHECK_EQ(qy_frame_try_alloc(&cpus[0], &arena, 0, QY_FRAME_USER, &held[i]), QY_OK);
    CHECK(!qy_arena_is_cached(&arena));
    for (unsigned i = 0; i < 300; i++)
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, held[i], 0, QY_FRAME_USER), QY_OK);
    finish();
}

/* One more arena than slots, each of at least one slot's worth of use: the last ones displace others. */
static void slots_are_displaced(void)
{
    static struct qy_arena children[QY_CACHE_SLOTS + 1];
    setup(100000);
    qy_irq_is_off();
    for (unsigned i = 0; i <= QY_CACHE_SLOTS; i++)
        CHECK_EQ(qy_arena_carve(&arena, &children[i], 1000, 10 + i), QY_OK);
    for (unsigned i = 0; i <= QY_CACHE_SLOTS; i++)
        for (unsigned turn = 0; turn < 40; turn++)
            warm(0, &children[i]);
    CHECK(qy_arena_is_cached(&children[QY_CACHE_SLOTS]));
    unsigned have = 0;
    for (unsigned i = 0; i <= QY_CACHE_SLOTS; i++)
        have += qy_arena_is_cached(&children[i]);
    CHECK(have <= QY_CACHE_SLOTS);
    qy_frame_drain(&cpus[0], NULL);
    for (unsigned i = 0; i <= QY_CACHE_SLOTS; i++) {
        CHECK(!qy_arena_is_cached(&children[i]));
        CHECK(qy_arena_check(&children[i]) == NULL);
        CHECK_EQ(qy_arena_return(&children[i]), QY_OK);
    }
    finish();
}

/* Two arenas want the same slot: the cache in it takes nothing of the other one, however it was got. */
static void one_slot_for_two(void)
{
    setup(100000);
    qy_irq_is_off();
    other.cache_slot = arena.cache_slot;
    for (unsigned order = 0; order <= QY_BLOCK_ORDER; order++) {
        pfn_t a = {0}, b = {0};
        warm(0, &arena);
        CHECK_EQ(qy_frame_try_alloc(&cpus[0], &arena, order, QY_FRAME_SLAB, &a), QY_OK);
        CHECK_EQ(qy_frame_try_alloc(&cpus[0], &other, order, QY_FRAME_SLAB, &b), QY_OK);
        uint64_t before = cached(&arena);
        CHECK_EQ(qy_frame_free(&cpus[0], &other, a, order, QY_FRAME_SLAB), QY_NOT_OWNED);
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, b, order, QY_FRAME_SLAB), QY_NOT_OWNED);
        CHECK_EQ(qy_frame_free(&cpus[0], &other, b, order, QY_FRAME_SLAB), QY_OK);
        CHECK_EQ(cached(&arena), before);
        CHECK_EQ(cached(&other), 0);
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, a, order, QY_FRAME_SLAB), QY_OK);
        CHECK(qy_arena_check(&arena) == NULL && qy_arena_check(&other) == NULL);
    }
    finish();
}

/* Whoever lies about a frame is refused, wherever the frame is, and nothing changes. */
static void lies_are_refused(void)
{
    static const unsigned orders[] = {0, 1, 3, 4, 8, 9};
    setup(100000);
    qy_irq_is_off();
    warm(0, &arena);
    warm(1, &arena);
    warm(0, &other);
    for (unsigned i = 0; i < 6; i++) {
        unsigned order = orders[i];
        pfn_t a = {0};
        CHECK_EQ(qy_frame_try_alloc(&cpus[0], &arena, order, QY_FRAME_USER, &a), QY_OK);
        uint64_t before = cached(&arena);
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, a, order, QY_FRAME_TABLE), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, a, order + 1, QY_FRAME_USER), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, a, order, QY_FRAME_CACHED), QY_INVALID_ARGUMENT);
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, a, 19, QY_FRAME_USER), QY_INVALID_ARGUMENT);
        CHECK_EQ(qy_frame_free(&cpus[0], &other, a, order, QY_FRAME_USER), QY_NOT_OWNED);
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, pfn(FRAMES + 7), order, QY_FRAME_USER),
                 QY_NOT_OWNED);
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, pfn(0), order, QY_FRAME_USER), QY_NOT_OWNED);
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, pfn(FRAMES - 9000), order, QY_FRAME_USER),
                 QY_NOT_OWNED);
        if (order)
            CHECK_EQ(qy_frame_free(&cpus[0], &arena, pfn(a.raw + 1), 0, QY_FRAME_USER),
                     QY_NOT_ALLOCATED);
        CHECK_EQ(qy_frame_map(&machine.db, a, true, false), QY_OK);
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, a, order, QY_FRAME_USER), QY_BUSY);
        qy_frame_unmap(&machine.db, a);
        CHECK_EQ(qy_frame_pin(&machine.db, a), QY_OK);
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, a, order, QY_FRAME_USER), QY_BUSY);
        CHECK_EQ(qy_frame_unpin(&machine.db, a), QY_OK);
        CHECK_EQ(cached(&arena), before);
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, a, order, QY_FRAME_USER), QY_OK);
        /* again, from here, from elsewhere, past the caches */
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, a, order, QY_FRAME_USER), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_frame_free(&cpus[1], &arena, a, order, QY_FRAME_USER), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_arena_free(&arena, a, order, QY_FRAME_USER), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_arena_alloc_at(&arena, a, order, QY_FRAME_USER), QY_BUSY);
        CHECK_EQ(qy_frame_pin(&machine.db, a), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_frame_map(&machine.db, a, true, false), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_frame_block(&machine.db, a, NULL, NULL, NULL), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_frame_state(&machine.db, a), QY_FRAME_CACHED);
        CHECK(qy_arena_check(&arena) == NULL);
    }
    finish();
}

/* A damaged entry of a cached frame is found when the frame is handed out. */
static void damage_is_found_in_use(void)
{
    setup(100000);
    qy_irq_is_off();
    warm(0, &arena);
    pfn_t a = {0}, b = {0};
    CHECK_EQ(qy_frame_try_alloc(&cpus[0], &arena, 0, QY_FRAME_USER, &a), QY_OK);
    CHECK_EQ(qy_frame_free(&cpus[0], &arena, a, 0, QY_FRAME_USER), QY_OK);
    uint64_t *entry = (uint64_t *)(void *)(machine.table[0] + a.raw * 16);
    uint64_t was = *entry;
    *entry ^= 1;
    jmp_buf jump;
    if (setjmp(*hosted_catch(&jump)) == 0)
        CHECK_EQ(qy_frame_try_alloc(&cpus[0], &arena, 0, QY_FRAME_USER, &b), QY_OK + 1000);
    hosted_catch(NULL);
    CHECK(hosted_broken.invariant && strcmp(hosted_broken.invariant, "EXCLUSIVE") == 0);
    CHECK(hosted_broken.number == a.raw);
    *entry = was;
    qy_percpu_leave(&cpus[0].own);
    finish();
}

/* CPUs that fetch in turn never get frames whose entries share a cache line. */
static void lines_of_entries(void)
{
    setup(100000);
    qy_irq_is_off();
    static uint8_t line_of[FRAMES / 4];
    memset(line_of, 0, sizeof(line_of));
    for (unsigned i = 0; i < CPUS; i++)
        warm(i, &arena);
    unsigned shared = 0;
    static pfn_t held[CPUS][600];
    for (unsigned n = 0; n < 600; n++) {
        for (unsigned i = 0; i < CPUS; i++) {
            CHECK_EQ(qy_frame_try_alloc(&cpus[i], &arena, 0, QY_FRAME_USER, &held[i][n]), QY_OK);
            uint8_t *line = &line_of[held[i][n].raw / 4];
            shared += n >= 8 && *line != 0 && *line != i + 1; /* the first few came one by one */
            *line = (uint8_t)(i + 1);
        }
    }
    CHECK_EQ(shared, 0);
    for (unsigned n = 0; n < 600; n++)
        for (unsigned i = 0; i < CPUS; i++)
            CHECK_EQ(qy_frame_free(&cpus[i], &arena, held[i][n], 0, QY_FRAME_USER), QY_OK);
    CHECK(cached(&arena) <= CPUS * QY_CACHE_FRAMES);
    finish();
}

/* The last frame can be had, and what others cache is taken before anybody is refused. */
static void everything_before_failing(void)
{
    setup(3000);
    qy_irq_is_off();
    static pfn_t held[3000];
    unsigned n = 0;
    for (unsigned i = 0; i < CPUS; i++)
        warm(i, &arena);
    for (unsigned i = 1; i < CPUS; i++) /* zeroed frames count as well */
        while (qy_frame_zero_one(&cpus[i])) {
        }
    while (n < 3000 && qy_frame_try_alloc(&cpus[0], &arena, 0, QY_FRAME_USER, &held[n]) == QY_OK)
        n++;
    CHECK(n < 3000); /* without waiting for others it fails while they have some */
    CHECK(cached(&arena) > 0);
    while (n < 3000 && qy_frame_alloc(&cpus[0], &arena, 0, QY_FRAME_USER, &held[n]) == QY_OK)
        n++;
    CHECK_EQ(n, 3000);
    CHECK_EQ(qy_frame_alloc(&cpus[0], &arena, 0, QY_FRAME_USER, &held[0]), QY_OUT_OF_MEMORY);
    CHECK(qy_arena_check(&arena) == NULL);
    for (; n > 0; n--)
        CHECK_EQ(qy_frame_free(&cpus[n % CPUS], &arena, held[n - 1], 0, QY_FRAME_USER), QY_OK);
    /* The largest block, whole, out of what the caches would not let merge. */
    pfn_t block;
    for (unsigned i = 0; i < CPUS; i++)
        warm(i, &arena);
    CHECK_EQ(qy_frame_alloc(&cpus[0], &arena, 10, QY_FRAME_USER, &block), QY_OK);
    CHECK_EQ(qy_frame_free(&cpus[0], &arena, block, 10, QY_FRAME_USER), QY_OK);
    finish();
}

static void an_arena_is_whole_again(void)
{
    static struct qy_arena child;
    setup(100000);
    qy_irq_is_off();
    CHECK_EQ(qy_arena_carve(&arena, &child, 8000, 3), QY_OK);
    for (unsigned i = 0; i < CPUS; i++)
        warm(i, &child);
    CHECK_EQ(qy_arena_return(&child), QY_BUSY);
    qy_arena_mark_dying(&child);
    qy_frame_reclaim(&child);
    pfn_t a;
    for (unsigned i = 0; i < 20; i++)
        CHECK_EQ(qy_frame_try_alloc(&cpus[1], &child, 0, QY_FRAME_USER, &a), QY_REVOKED);
    CHECK_EQ(qy_arena_return(&child), QY_OK);
    finish();
}

/* ZERO: what the pool hands out is zero, though every frame was poisoned before. */
static void zeroed_frames(void)
{
    setup(20000);
    qy_irq_is_off();
    static pfn_t held[4000];
    for (unsigned i = 0; i < 4000; i++) {
        CHECK_EQ(qy_frame_try_alloc(&cpus[0], &arena, 0, QY_FRAME_USER, &held[i]), QY_OK);
        memset(qy_port_ram(pfn_to_paddr(held[i])), 0xa5, QY_PAGE_BYTES);
    }
    for (unsigned i = 0; i < 4000; i++)
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, held[i], 0, QY_FRAME_USER), QY_OK);
    unsigned made = 0, known = 0;
    while (qy_frame_zero_one(&cpus[0]))
        made++;
    CHECK_EQ(made, QY_CACHE_ZEROED);
    CHECK(qy_arena_check(&arena) == NULL);
    for (unsigned i = 0; i < 100; i++) {
        bool zeroed;
        CHECK_EQ(qy_frame_try_alloc_zeroed(&cpus[0], &arena, 0, QY_FRAME_USER, &held[i], &zeroed),
                 QY_OK);
        const unsigned char *at = qy_port_ram(pfn_to_paddr(held[i]));
        unsigned ones = 0;
        for (unsigned k = 0; k < QY_PAGE_BYTES; k++)
            ones += at[k] != 0;
        CHECK(!zeroed || ones == 0);
        CHECK(zeroed || ones != 0); /* and the rest really was poisoned */
        known += zeroed;
    }
    CHECK_EQ(known, made);
    for (unsigned i = 0; i < 100; i++)
        CHECK_EQ(qy_frame_free(&cpus[0], &arena, held[i], 0, QY_FRAME_USER), QY_OK);
    CHECK(!qy_frame_zero_one(&cpus[1])); /* nothing to do for a CPU without caches */
    finish();
}

/* The n-th allocation of a sequence finds the arena empty, for every n: everything stays sound. */
static void every_allocation_fails_once(void)
{
    for (unsigned n = 0; n < 40; n++) {
        setup(600);
        qy_irq_is_off();
        static pfn_t held[700];
        unsigned have = 0, failed = 0;
        while (qy_arena_pages(&arena, QY_FRAME_FREE) > n)
            CHECK_EQ(qy_arena_alloc(&arena, 0, QY_FRAME_OBJECT, &held[have++]), QY_OK);
        unsigned first = have;
        for (unsigned i = 0; i < 50; i++) {
            enum qy_error error =
                qy_frame_alloc(&cpus[i % 2], &arena, 0, QY_FRAME_USER, &held[have]);
            have += error == QY_OK;
            failed += error == QY_OUT_OF_MEMORY;
            CHECK(error == QY_OK || error == QY_OUT_OF_MEMORY);
            CHECK(qy_arena_check(&arena) == NULL);
        }
        CHECK_EQ(have - first, n); /* the caches' own pages were no obstacle */
        CHECK_EQ(failed, 50 - n);
        while (have > first)
            CHECK_EQ(qy_frame_free(&cpus[0], &arena, held[--have], 0, QY_FRAME_USER), QY_OK);
        while (have > 0)
            CHECK_EQ(qy_arena_free(&arena, held[--have], 0, QY_FRAME_OBJECT), QY_OK);
        finish();
    }
}

/* ---- random calls beside a model ---- */

static uint64_t random_state;

static struct {
    uint8_t state, order; /* of the block that begins here; 0 = none */
    bool covered;
} model[FRAMES];
static uint64_t counts[QY_FRAME_STATE_COUNT], blocks[2];

static struct {
    uint64_t at;
    unsigned order;
} live[4000];
static unsigned live_count;

static void model_take(uint64_t at, unsigned order, enum qy_frame_state state)
{
    for (uint64_t f = at; f < at + (1ull << order); f++) {
        CHECK(!model[f].covered && f >= 5 && f < 5 + arena.total_pages);
        model[f].covered = true;
    }
    CHECK_EQ(at % (1ull << order), 0);
    model[at].state = (uint8_t)state;
    model[at].order = (uint8_t)order;
    counts[state] += 1ull << order;
    blocks[0]++;
    live[live_count].at = at;
    live[live_count++].order = order;
}

static void model_give(unsigned i)
{
    uint64_t at = live[i].at;
    counts[model[at].state] -= 1ull << live[i].order;
    for (uint64_t f = at; f < at + (1ull << live[i].order); f++)
        model[f].covered = false;
    model[at].state = 0;
    blocks[1]++;
    live[i] = live[--live_count];
}

static void random_alloc(struct qy_cpu_frames *cpu) QY_REQUIRES(qy_irq_off)
{
    static const unsigned orders[] = {0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 9, 10};
    unsigned order = orders[random_below(&random_state, 12)];
    enum qy_frame_state state = (enum qy_frame_state)(
        QY_FRAME_OBJECT + random_below(&random_state, 4)); /* OBJECT SLAB TABLE USER */
    pfn_t out;
    bool zeroed = false;
    enum qy_error error;
    if (live_count >= 4000)
        return;
    if (random_below(&random_state, 3) == 0)
        error = qy_frame_try_alloc_zeroed(cpu, &arena, order, state, &out, &zeroed);
    else
        error = qy_frame_alloc(cpu, &arena, order, state, &out);
    if (error == QY_OK) {
        model_take(out.raw, order, state);
        unsigned char *at = qy_port_ram(pfn_to_paddr(out));
        CHECK(!zeroed || (at[0] == 0 && at[4095] == 0 && memcmp(at, at + 1, 4095) == 0));
        at[random_below(&random_state, 4096)] = 0xee;
    }
}

static void random_free(struct qy_cpu_frames *cpu) QY_REQUIRES(qy_irq_off)
{
    if (live_count == 0)
        return;
    unsigned i = random_below(&random_state, 4)
                     ? live_count - 1 -
                           (unsigned)random_below(&random_state, live_count < 20 ? live_count : 20)
                     : (unsigned)random_below(&random_state, live_count);
    uint64_t at = live[i].at;
    unsigned order = live[i].order;
    enum qy_frame_state state = (enum qy_frame_state)model[at].state;
    enum qy_error error = random_below(&random_state, 20)
                              ? qy_frame_free(cpu, &arena, pfn(at), order, state)
                              : qy_arena_free(&arena, pfn(at), order, state);
    CHECK_EQ(error, QY_OK);
    model_give(i);
    if (random_below(&random_state, 8) == 0)
        CHECK_EQ(
            qy_frame_free(&cpus[random_below(&random_state, CPUS)], &arena, pfn(at), order, state),
            QY_NOT_ALLOCATED);
}

static void random_lie(struct qy_cpu_frames *cpu) QY_REQUIRES(qy_irq_off)
{
    uint64_t at = random_below(&random_state, FRAMES + 100);
    unsigned order = (unsigned)random_below(&random_state, 11);
    enum qy_frame_state state =
        (enum qy_frame_state)(QY_FRAME_OBJECT + random_below(&random_state, 4));
    if (live_count && random_below(&random_state, 2)) {
        at = live[random_below(&random_state, live_count)].at;
        order = random_below(&random_state, 2) ? model[at].order : order;
    }
    if (at < FRAMES && model[at].state == state && model[at].order == order)
        return;
    CHECK(qy_frame_free(cpu, &arena, pfn(at), order, state) != QY_OK);
}

static void compare(bool whole)
{
    struct qy_record_arena record;
    qy_arena_record(&arena, &record);
    uint64_t sum = 0;
    for (unsigned s = QY_FRAME_OBJECT; s <= QY_FRAME_USER; s++)
        CHECK_EQ(qy_arena_pages(&arena, (enum qy_frame_state)s), counts[s]);
    for (unsigned s = 0; s < QY_FRAME_STATE_COUNT; s++)
        sum += qy_arena_pages(&arena, (enum qy_frame_state)s);
    CHECK_EQ(sum, arena.total_pages);
    if (QY_CONFIG_STATISTICS)
        CHECK_EQ(record.allocations - record.frees - qy_arena_pages(&arena, QY_FRAME_METADATA),
                 blocks[0] - blocks[1]);
    CHECK_EQ(record.cache_bytes, cached(&arena) * QY_PAGE_BYTES);
    if (whole) {
        const char *broken = qy_arena_check(&arena);
        if (broken)
            printf("# %s\n", broken);
        CHECK(broken == NULL);
    }
}

static void random_calls(void)
{
    const char *seed_text = getenv("TEST_SEED"), *ops_text = getenv("TEST_OPS");
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : 1966;
    uint64_t ops = ops_text ? strtoull(ops_text, NULL, 0) : 400000;
    random_state = seed * 2 + 1;
    printf("# seed %llu, %llu calls\n", (unsigned long long)seed, (unsigned long long)ops);
    setup(30000);
    qy_irq_is_off();
    for (uint64_t i = 0; i < ops && !tap_failures; i++) {
        struct qy_cpu_frames *cpu = &cpus[random_below(&random_state, CPUS)];
        uint64_t kind = random_below(&random_state, 1000),
                 phase = i / 20000 % 4; /* fills up, empties, wanders */
        uint64_t allocs = phase == 0 ? 700 : phase == 1 ? 250 : 480;
        if (kind < allocs)
            random_alloc(cpu);
        else if (kind < 930)
            random_free(cpu);
        else if (kind < 980)
            random_lie(cpu);
        else if (kind < 990)
            qy_frame_zero_one(cpu);
        else if (kind < 995)
            qy_frame_drain(cpu, random_below(&random_state, 2) ? &arena : NULL);
        else
            qy_frame_reclaim(&arena);
        compare(i % 64 == 0);
    }
    while (live_count) {
        uint64_t at = live[live_count - 1].at;
        CHECK_EQ(qy_frame_free(&cpus[random_below(&random_state, CPUS)], &arena, pfn(at),
                               live[live_count - 1].order, (enum qy_frame_state)model[at].state),
                 QY_OK);
        model_give(live_count - 1);
    }
    printf("# blocks taken %llu, given back %llu\n", (unsigned long long)blocks[0],
           (unsigned long long)blocks[1]);
    finish();
}

static const struct test tests[] = {
    {"a CPU takes a cache on repeated use, and the arena pays", taken_on_repeated_use},
    {"arenas under 2 MiB have none", small_arenas_have_none},
    {"slots are displaced", slots_are_displaced},
    {"two arenas, one slot", one_slot_for_two},
    {"lies about a frame are refused", lies_are_refused},
    {"a damaged entry is found in use", damage_is_found_in_use},
    {"CPUs do not share lines of frame entries", lines_of_entries},
    {"what others cache is had before an allocation fails", everything_before_failing},
    {"a child arena is whole again", an_arena_is_whole_again},
    {"zeroed frames are zero", zeroed_frames},
    {"every allocation fails once", every_allocation_fails_once},
    {"random calls beside a model", random_calls},
};
TEST_MAIN(tests)
