/*
 * Every function of mem/phys and mem/slab that can fail for want of memory, made to fail in every way:
 * its n-th inner allocation for each n, alone and with all that follow, and an arena that has only n pages left. After each failure
 * the validators hold and nothing has changed, what a piece holds included.
 *
 * Linked with --wrap for what takes memory out of an arena on behalf of somebody: qy_arena_alloc, _pages, _in and _at
 * for what a heap asks for, and qy_batch_take (a refill). The functions on arenas themselves have no inner allocation: they find a
 * place or not, so they are called at every level of exhaustion. Misses: page tables (pt), objects
 * (kernel-caps).
 */
#include <hosted/hosted.h>
#include <qy/debug.h>
#include <qy/frame_cache.h>
#include <qy/heap.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#define BASE 512u
#define FRAMES 2048u

static struct hosted_machine machine;
static struct qy_arena arena, child;
static struct qy_heap heap;
static const struct qy_heap_hooks *hooks;
static struct qy_cache cache;
static struct qy_sizes sizes;
static unsigned char *piece; /* of size classes, kept from one call to the next */
static size_t piece_bytes;
static struct qy_cpu_frames cpu;
static struct qy_cpu_objects slabs;
static unsigned fail_at, inner; /* the n-th fails, 0 = none; inner allocations so far */
static bool and_after;          /* and all after it */

static bool fails(void)
{
    inner++;
    return fail_at && (inner == fail_at || (and_after && inner > fail_at));
}

enum qy_error __real_qy_arena_alloc(struct qy_arena *from, unsigned order,
                                    enum qy_frame_state state, pfn_t *out);
enum qy_error __wrap_qy_arena_alloc(struct qy_arena *from, unsigned order,
                                    enum qy_frame_state state, pfn_t *out);
enum qy_error __wrap_qy_arena_alloc(struct qy_arena *from, unsigned order,
                                    enum qy_frame_state state, pfn_t *out)
{
    return fails() ? QY_OUT_OF_MEMORY : __real_qy_arena_alloc(from, order, state, out);
}

/* The same of what heaps ask for beside blocks: runs of pages, aligned ones, and what lies behind a piece. */
#define RUN (struct qy_arena * from, uint64_t pages, enum qy_frame_state state, pfn_t * out)
enum qy_error __real_qy_arena_alloc_pages RUN;
enum qy_error __wrap_qy_arena_alloc_pages RUN;
enum qy_error __wrap_qy_arena_alloc_pages RUN
{
    return fails() ? QY_OUT_OF_MEMORY : __real_qy_arena_alloc_pages(from, pages, state, out);
}

#define BOUNDED                                                                                    \
    (struct qy_arena * from, uint64_t pages, const struct qy_bounds *bounds,                       \
     enum qy_frame_state state, pfn_t *out)
enum qy_error __real_qy_arena_alloc_in BOUNDED;
enum qy_error __wrap_qy_arena_alloc_in BOUNDED;
enum qy_error __wrap_qy_arena_alloc_in BOUNDED
{
    return fails() ? QY_OUT_OF_MEMORY : __real_qy_arena_alloc_in(from, pages, bounds, state, out);
}

#define AT (struct qy_arena * from, pfn_t at, unsigned order, enum qy_frame_state state)
enum qy_error __real_qy_arena_alloc_at AT;
enum qy_error __wrap_qy_arena_alloc_at AT;
enum qy_error __wrap_qy_arena_alloc_at AT
{
    return fails() ? QY_BUSY : __real_qy_arena_alloc_at(from, at, order, state);
}

#if QY_CONFIG_FRAME_CACHES
unsigned __real_qy_batch_take(struct qy_arena *from, unsigned order, unsigned want, uint64_t *out);
unsigned __wrap_qy_batch_take(struct qy_arena *from, unsigned order, unsigned want, uint64_t *out);
unsigned __wrap_qy_batch_take(struct qy_arena *from, unsigned order, unsigned want, uint64_t *out)
{
    return fails() ? 0 : __real_qy_batch_take(from, order, want, out);
}
#endif

/* What callers can see of the arena: each frame's state and block; what caches hold, their own
 * pages, and slabs (which may go back) count as free. */
struct picture {
    struct {
        uint8_t state, order;
        uint64_t start;
    } frames[FRAMES];
    uint64_t pages[QY_FRAME_STATE_COUNT];
    uint64_t live, large; /* objects, pages of large pieces */
};

static void look(struct picture *p) QY_UNCHECKED
{
    memset(p, 0, sizeof(*p));
    for (uint64_t i = 0; i < FRAMES; i++) {
        pfn_t start = {0};
        unsigned order = 0;
        enum qy_frame_state state = QY_FRAME_FREE;
        if (qy_frame_block(&machine.db, pfn(BASE + i), &start, &order, &state) != QY_OK ||
            state == QY_FRAME_METADATA || state == QY_FRAME_SLAB)
            continue;
        p->frames[i].state = (uint8_t)state;
        p->frames[i].order = (uint8_t)order;
        p->frames[i].start = start.raw;
    }
    for (unsigned s = 0; s < QY_FRAME_STATE_COUNT; s++)
        p->pages[s == QY_FRAME_CACHED || s == QY_FRAME_METADATA || s == QY_FRAME_SLAB
                     ? QY_FRAME_FREE
                     : s] += qy_arena_pages(&arena, (enum qy_frame_state)s);
    struct qy_record_cache record;
    qy_cache_record(&cache, &record);
    p->live = record.live;
    for (unsigned i = 0; i < QY_SIZE_CLASSES; i++) {
        qy_cache_record(&sizes.classes[i], &record);
        p->live += record.live;
    }
    p->large = heap.large_pages;
}

static void make(void)
{
    static const struct qy_cache_type type = {"object", 3000, 8, NULL, 0};
    CHECK(hosted_machine_make(&machine, (BASE + FRAMES) * QY_PAGE_BYTES, true));
    hosted_ram_add(&machine, pfn(BASE), pfn(BASE + FRAMES));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&arena, pfn(BASE), pfn(BASE + FRAMES)), QY_OK);
    qy_heap_init(&heap, &arena, hooks, 1);
    CHECK_EQ(qy_cache_init(&cache, &heap, &type), QY_OK);
    CHECK_EQ(qy_sizes_init(&sizes, &heap, 0), QY_OK);
    piece = NULL;
    qy_cpu_frames_init(&cpu, 0);
    qy_cpu_objects_init(&slabs, 0, &cpu);
    fail_at = 0;
}

/* ---- calls that allocate inside ---- */

static enum qy_error call_slab(void) QY_UNCHECKED
{
    void *object;
    return qy_cache_alloc(&slabs, &cache, &object);
}

/* One object in eight is freed at once, into the quarantine. */
static enum qy_error call_debugged(void) QY_UNCHECKED
{
    static unsigned turn;
    void *object;
    enum qy_error error = qy_cache_alloc(&slabs, &cache, &object);
    if (error == QY_OK && turn++ % 8 == 0)
        CHECK_EQ(qy_cache_free(&slabs, &cache, object), QY_OK);
    return error;
}

static enum qy_error call_size(size_t bytes, size_t align) QY_UNCHECKED
{
    void *out;
    return qy_sizes_alloc(&slabs, &sizes, bytes, align, &out);
}

static enum qy_error call_class(void)
{
    return call_size(1500, 1);
}

static enum qy_error call_aligned_class(void)
{
    return call_size(1100, 512);
}

static enum qy_error call_block_piece(void)
{
    return call_size(4 * 4096, 1);
}

static enum qy_error call_run_piece(void)
{
    return call_size(5 * 4096 - 7, 1);
}

static enum qy_error call_aligned_piece(void)
{
    return call_size(3 * 4096, 1 << 14);
}

/* The piece gets the next of these sizes, in place or elsewhere; it holds what it held, whether that works or not. */
static enum qy_error call_resize(void) QY_UNCHECKED
{
    static const size_t wanted[] = {100, 112, 3000, 40, 3 * 4096, 21 * 4096, 70 * 4096, 4097, 2000};
    static unsigned turn;
    size_t bytes = wanted[turn % (sizeof(wanted) / sizeof(wanted[0]))];
    void *at = piece;
    enum qy_error error = at ? qy_sizes_resize(&slabs, &sizes, &at, bytes)
                             : qy_sizes_alloc(&slabs, &sizes, bytes, 1, &at);
    if (piece && error != QY_OK)
        CHECK(at == piece);
    if (piece)
        for (size_t i = 0; i < (error == QY_OK && bytes < piece_bytes ? bytes : piece_bytes); i++)
            if (((unsigned char *)at)[i] != i % 251)
                CHECK_EQ(i, piece_bytes);
    if (error != QY_OK)
        return error;
    piece = at;
    piece_bytes = bytes;
    for (size_t i = 0; i < bytes; i++)
        piece[i] = (unsigned char)(i % 251);
    turn++;
    return QY_OK;
}

static enum qy_error call_frame(unsigned order) QY_UNCHECKED
{
    pfn_t out;
    return qy_frame_try_alloc(&cpu, &arena, order, QY_FRAME_USER, &out);
}

static enum qy_error call_frame_0(void)
{
    return call_frame(0);
}

static enum qy_error call_frame_2(void)
{
    return call_frame(2);
}

static enum qy_error call_frame_9(void)
{
    return call_frame(9);
}

static enum qy_error call_frame_reclaiming(void) QY_UNCHECKED
{
    pfn_t out;
    return qy_frame_alloc(&cpu, &arena, 1, QY_FRAME_USER, &out);
}

static enum qy_error call_zeroed(void) QY_UNCHECKED
{
    pfn_t out;
    bool zeroed;
    return qy_frame_try_alloc_zeroed(&cpu, &arena, 0, QY_FRAME_TABLE, &out, &zeroed);
}

/* A call that fails has changed nothing; one that gets over its n-th failure has worked. Called so
 * often that caches are taken and refilled on the way. */
static void every_nth(enum qy_error (*call)(void))
{
    static struct picture before, after;
    unsigned failed = 0, met = 0;
    make();
    for (unsigned turn = 0; turn < 40; turn++) {
        bool more = true;
        and_after = turn % 2;
        for (unsigned n = 1; more; n++) {
            look(&before);
            fail_at = n;
            inner = 0;
            enum qy_error error = call();
            more = inner >= n;
            fail_at = 0;
            met += more;
            look(&after);
            CHECK(qy_arena_check(&arena) == NULL && qy_heap_check(&heap) == NULL);
            if (error == QY_OK)
                continue;
            failed++;
            CHECK_EQ(error, QY_OUT_OF_MEMORY);
            CHECK(memcmp(&before, &after, sizeof(before)) == 0);
        }
        if (qy_arena_pages(&arena, QY_FRAME_FREE) < 600)
            break;
    }
    printf("# %u inner allocations failed, %u calls\n", met, failed);
    CHECK(met > 0 && failed > 0);
    hosted_machine_destroy(&machine);
}

/* ---- calls that only find a place or not ---- */

static pfn_t run;

static enum qy_error call_pages(void)
{
    return qy_arena_alloc_pages(&arena, 11, QY_FRAME_USER, &run);
}

static enum qy_error call_within(void)
{
    struct qy_bounds bounds = {pfn(BASE + 700), pfn(BASE + 1300), 2};
    return qy_arena_alloc_in(&arena, 11, &bounds, QY_FRAME_USER, &run);
}

static enum qy_error call_block(void)
{
    return qy_arena_alloc(&arena, 3, QY_FRAME_USER, &run);
}

static enum qy_error call_at(void)
{
    return qy_arena_alloc_at(&arena, pfn(BASE + 800), 3, QY_FRAME_USER);
}

static enum qy_error call_carve(void)
{
    return qy_arena_carve(&arena, &child, 21, 2);
}

static enum qy_error call_add(void)
{
    return qy_arena_add(&arena, pfn(BASE + 700), pfn(BASE + 800)); /* it has them: never */
}

static enum qy_error call_free_pages(void)
{
    return qy_arena_free_pages(&arena, pfn(BASE + 700), 6, QY_FRAME_OBJECT);
}

/* All frames are taken; they come free one by one in a scattered order, and each time the call is
 * made: it fails and nothing has changed, until it works. */
static void every_level(enum qy_error (*call)(void), bool works)
{
    static struct picture before, after;
    unsigned failed = 0;
    enum qy_error error = QY_OUT_OF_MEMORY;
    make();
    for (unsigned i = 0; i < FRAMES; i++)
        CHECK_EQ(qy_arena_alloc_at(&arena, pfn(BASE + i), 0, QY_FRAME_USER), QY_OK);
    for (unsigned i = 0; i < FRAMES && error != QY_OK; i++) {
        CHECK_EQ(qy_arena_free(&arena, pfn(BASE + i * 821 % FRAMES), 0, QY_FRAME_USER), QY_OK);
        look(&before);
        error = call();
        look(&after);
        failed += error != QY_OK;
        if (i % 16 == 0 || error == QY_OK)
            CHECK(qy_arena_check(&arena) == NULL);
        if (error != QY_OK)
            CHECK(memcmp(&before, &after, sizeof(before)) == 0);
    }
    CHECK_EQ(error == QY_OK, works);
    CHECK(failed > 8);
    hosted_machine_destroy(&machine);
}

#define NTH(name)                                                                                  \
    static void nth_##name(void)                                                                   \
    {                                                                                              \
        every_nth(call_##name);                                                                    \
    }
NTH(slab)
NTH(class)
NTH(aligned_class)
NTH(block_piece)
NTH(run_piece)
NTH(aligned_piece)
NTH(resize)
NTH(frame_0)
NTH(frame_2)
NTH(frame_9)
NTH(frame_reclaiming)
NTH(zeroed)

static void nth_debugged(void)
{
    static struct qy_debug debug;
    static struct qy_quarantine quarantine;
    if (!QY_CONFIG_HEAP_TOOLS)
        SKIP("a build without heap_tools");
    qy_debug_init(&debug, QY_CACHE_HOOKED, &quarantine, 1 << 16);
    hooks = &debug.hooks;
    every_nth(call_debugged);
    hooks = NULL;
}

static void places(void)
{
    every_level(call_pages, true);
    every_level(call_within, true);
    every_level(call_block, true);
    every_level(call_at, true);
    every_level(call_carve, true);
    every_level(call_add, false);
    every_level(call_free_pages, false);
}

static const struct test tests[] = {
    {"an object, every inner allocation failing", nth_slab},
    {"an object with every debug kind", nth_debugged},
    {"a piece of a class", nth_class},
    {"an aligned piece of a class", nth_aligned_class},
    {"a piece of one block of pages", nth_block_piece},
    {"a piece of a run of pages", nth_run_piece},
    {"an aligned piece of pages", nth_aligned_piece},
    {"a piece that is resized", nth_resize},
    {"a frame by a CPU's cache", nth_frame_0},
    {"four frames by a CPU's cache", nth_frame_2},
    {"2 MiB by a CPU's cache", nth_frame_9},
    {"frames, reclaiming those of others", nth_frame_reclaiming},
    {"a zeroed frame", nth_zeroed},
    {"every call on an arena at every level of exhaustion", places},
};
TEST_MAIN(tests)
