/*
 * Size classes, case by case and by random calls beside a model: which class, alignment, what comes back
 * and what is refused, resizing in place and by moving, pages.
 *
 * The model knows the live pieces, their sizes and what is in them; the validators run on the way. Misses:
 * other CPUs at the same instant (mem_threads). TEST_SEED=n repeats a run, TEST_OPS=n changes its length.
 */
#include <hosted/hosted.h>
#include <lib/random.h>
#include <qy/frame_cache.h>
#include <qy/heap.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#define CPUS 2u
#define LIVE_MAX 800u

static struct hosted_machine machine;
static struct qy_arena arena;
static struct qy_heap heap;
static struct qy_sizes sizes;
static struct qy_cpu_frames frames[CPUS];
static struct qy_cpu_objects cpus[CPUS];
static uint64_t random_state;

static void make(uint64_t pages, uint32_t flags)
{
    CHECK(hosted_machine_make(&machine, 1ull << 27, true));
    hosted_ram_add(&machine, pfn(3), pfn(3 + pages));
    memset(qy_port_ram(paddr(3 * 4096)), 0xee, pages * 4096);
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&arena, pfn(3), pfn(3 + pages)), QY_OK);
    for (unsigned i = 0; i < CPUS; i++) {
        qy_cpu_frames_init(&frames[i], i);
        qy_cpu_objects_init(&cpus[i], i, &frames[i]);
    }
    qy_heap_init(&heap, &arena, NULL, 99);
    CHECK_EQ(qy_sizes_init(&sizes, &heap, flags), QY_OK);
}

static bool check(void)
{
    const char *broken = qy_heap_check(&heap);
    if (!broken)
        broken = qy_arena_check(&arena);
    if (broken)
        printf("# %s\n", broken);
    return broken == NULL;
}

static void done(void)
{
    qy_heap_reclaim(&heap);
    qy_frame_reclaim(&arena);
    CHECK(check());
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), arena.total_pages);
    hosted_machine_destroy(&machine);
}

static void *take(size_t bytes, size_t align) QY_UNCHECKED
{
    void *piece = NULL;
    CHECK_EQ(qy_sizes_alloc(&cpus[0], &sizes, bytes, align, &piece), QY_OK);
    return piece;
}

static enum qy_error give(void *piece) QY_UNCHECKED
{
    return qy_sizes_free(&cpus[0], &sizes, piece);
}

static bool all_bytes_are(const unsigned char *at, size_t bytes, unsigned char value)
{
    return bytes == 0 || (at[0] == value && memcmp(at, at + 1, bytes - 1) == 0);
}

/* Every size has the smallest class that holds it; at most a quarter is lost, above 64 bytes. */
static void classes(void)
{
    make(2048, 0);
    CHECK_EQ(qy_size_class(1), 0);
    CHECK_EQ(qy_size_class(QY_SIZE_CLASS_MAX), QY_SIZE_CLASSES - 1);
    for (size_t bytes = 1; bytes <= QY_SIZE_CLASS_MAX; bytes++) {
        unsigned class = qy_size_class(bytes);
        size_t room = sizes.classes[class].type->bytes;
        bool smallest = class == 0 || sizes.classes[class - 1].type->bytes < bytes;
        if (room < bytes || !smallest || (bytes > 64 && (room - bytes) * 4 > bytes))
            CHECK_EQ(bytes, room);
    }
    done();
}

static void alignments(void)
{
    for (uint64_t pages = 600; pages <= 2048; pages += 1448) {
        make(pages, 0);
        for (size_t align = 1; align <= pages * 4096 / 16; align *= 2) {
            for (size_t bytes = 1; bytes < 20000; bytes = bytes * 3 + 1) {
                unsigned char *a = take(bytes, align), *b = take(bytes, align);
                size_t room = 0;
                if (!a || !b || (qy_port_paddr(a).raw | qy_port_paddr(b).raw) % align) {
                    CHECK_EQ(bytes, align);
                    return;
                }
                CHECK(all_bytes_are(a, bytes, 0) && all_bytes_are(b, bytes, 0));
                CHECK_EQ(qy_sizes_room(&sizes, a, &room), QY_OK);
                CHECK(room >= bytes);
                memset(a, 0xff, room);
                CHECK(all_bytes_are(b, bytes, 0));
                CHECK_EQ(give(a), QY_OK);
                CHECK_EQ(give(b), QY_OK);
            }
        }
        done();
    }
}

static void wrong_arguments(void) QY_UNCHECKED
{
    void *out = &arena;
    size_t room;
    make(1024, 0);
    CHECK_EQ(qy_sizes_alloc(&cpus[0], &sizes, 0, 1, &out), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_sizes_alloc(&cpus[0], &sizes, 10, 0, &out), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_sizes_alloc(&cpus[0], &sizes, 10, 24, &out), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_sizes_alloc(&cpus[0], &sizes, SIZE_MAX, 1, &out), QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_sizes_alloc(&cpus[0], &sizes, SIZE_MAX - 4094, 8, &out), QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_sizes_alloc(&cpus[0], &sizes, 10, 1ull << 63, &out), QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_sizes_alloc(&cpus[0], &sizes, 1025 * 4096, 1, &out), QY_OUT_OF_MEMORY);
    CHECK(out == &arena);
    unsigned char *small = take(100, 1), *large = take(50000, 1), *page = take(4096, 1);
    pfn_t other;
    CHECK_EQ(qy_arena_alloc(&arena, 0, QY_FRAME_SLAB, &other), QY_OK);
    CHECK_EQ(give(NULL), QY_NOT_OWNED);
    CHECK_EQ(give(&out), QY_NOT_OWNED);
    CHECK_EQ(give(qy_port_ram(pfn_to_paddr(other))), QY_NOT_ALLOCATED);
    CHECK_EQ(give(small + 16), QY_NOT_ALLOCATED);
    CHECK_EQ(give(large + 1), QY_NOT_ALLOCATED);
    for (unsigned i = 1; i < 13; i++)
        CHECK_EQ(give(large + i * 4096), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_sizes_room(&sizes, large, &room), QY_OK);
    CHECK_EQ(room, 13 * 4096); /* exact pages */
    CHECK_EQ(qy_sizes_room(&sizes, small + 1, &room), QY_NOT_ALLOCATED);
    CHECK_EQ(give(small), QY_OK);
    CHECK_EQ(give(large), QY_OK);
    CHECK_EQ(give(page), QY_OK);
    CHECK(give(small) == QY_NOT_ALLOCATED && give(large) == QY_NOT_OWNED &&
          give(page) == QY_NOT_OWNED);
    CHECK_EQ(qy_sizes_room(&sizes, large, &room), QY_NOT_OWNED);
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &out, 5), QY_NOT_OWNED);
    void *freed[3] = {small, large, page};
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &freed[i], 5),
                 i ? QY_NOT_OWNED : QY_NOT_ALLOCATED);
    pfn_t user; /* what was a piece is a program's now */
    while (qy_arena_alloc(&arena, 0, QY_FRAME_USER, &user) == QY_OK &&
           qy_port_ram(pfn_to_paddr(user)) != large) {
    }
    CHECK(give(large) == QY_NOT_OWNED && give(qy_port_ram(paddr(0))) == QY_NOT_OWNED);
    CHECK(give((void *)(uintptr_t)0x400000) == QY_NOT_OWNED &&
          give((void *)(uintptr_t)wrong_arguments) == QY_NOT_OWNED);
    CHECK(give((void *)UINTPTR_MAX) == QY_NOT_OWNED && give("text") == QY_NOT_OWNED);
    unsigned back = 0;
    for (uint64_t frame = 3; frame < 1027; frame++)
        back += qy_arena_free(&arena, pfn(frame), 0, QY_FRAME_USER) == QY_OK;
    CHECK(back > 0);
    CHECK_EQ(qy_arena_free(&arena, other, 0, QY_FRAME_SLAB), QY_OK);
    done();
}

/* In place where the class or the pages allow it; else what it holds moves, and nothing is lost if it
 * cannot. */
static void resizing(void) QY_UNCHECKED
{
    make(1024, 0);
    void *piece = take(100, 1), *before = piece;
    memset(piece, 7, 112);
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, 112), QY_OK);
    CHECK(piece == before);
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, 0), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, 1ull << 40), QY_OUT_OF_MEMORY);
    CHECK(piece == before && all_bytes_are(piece, 112, 7));
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, 3000), QY_OK);
    CHECK(piece != before && all_bytes_are(piece, 112, 7));
    CHECK(all_bytes_are((unsigned char *)piece + 112, 3000 - 112, 0));
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, 30), QY_OK);
    CHECK(all_bytes_are(piece, 30, 7));
    CHECK_EQ(give(piece), QY_OK);
    piece = before = take(5 * 4096, 1);
    memset(piece, 9, 5 * 4096);
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, 70 * 4096), QY_OK);
    CHECK(piece == before); /* the arena is empty behind it */
    CHECK(all_bytes_are(piece, 5 * 4096, 9));
    CHECK(all_bytes_are((unsigned char *)piece + 5 * 4096, 65 * 4096, 0));
    CHECK_EQ(heap.large_pages, 70);
    memset(piece, 9, 70 * 4096);
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, 60 * 4096 - 5), QY_OK);
    CHECK(piece == before && heap.large_pages >= 60 && heap.large_pages < 70);
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, 3 * 4096), QY_OK);
    CHECK(all_bytes_are(piece, 3 * 4096, 9));
    CHECK(heap.large_pages <= 4);
    void *in_the_way = take(2 * 4096, 1);
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, 40 * 4096), QY_OK);
    CHECK(all_bytes_are(piece, 3 * 4096, 9));
    CHECK_EQ(give(in_the_way), QY_OK);
    CHECK_EQ(give(piece), QY_OK);
    CHECK_EQ(heap.large_pages, 0);
    CHECK(check());
    done();
}

/* A piece that has become smaller in place and grows again holds zeroes there, not what was there before. */
static void what_is_new_is_zero(void) QY_UNCHECKED
{
    static const size_t sizes_of[][2] = {
        {112, 100}, {2048, 1100}, {3 * 4096, 2 * 4096 + 1}, {16 * 4096, 12 * 4096}};
    make(1024, 0);
    for (unsigned i = 0; i < 4; i++) {
        size_t large = sizes_of[i][0], small = sizes_of[i][1];
        void *piece = take(large, 1), *before = piece;
        memset(piece, 7, large);
        CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, small), QY_OK);
        CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, large), QY_OK);
        CHECK(piece == before && all_bytes_are(piece, small, 7));
        CHECK(all_bytes_are((unsigned char *)piece + small, large - small, 0));
        CHECK_EQ(give(piece), QY_OK);
    }
    done();
}

/* A piece that shrinks does not keep what others could use, unless nothing smaller is to be had. */
static void what_shrinks_gives_back(void) QY_UNCHECKED
{
    size_t room = 0;
    pfn_t page;
    make(256, 0);
    void *piece = take(1000, 1);
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, 30), QY_OK);
    CHECK(qy_sizes_room(&sizes, piece, &room) == QY_OK && room == 32);
    CHECK_EQ(give(piece), QY_OK);
    piece = take(64 * 4096, 1); /* one block, which cannot be cut */
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, 3 * 4096), QY_OK);
    CHECK(heap.large_pages <= 4);
    CHECK_EQ(give(piece), QY_OK);
    done();
    make(64, 0);
    void *small;
    CHECK(take(3000, 1) != NULL); /* the first one shares its page */
    void *before = piece = take(3000, 1);
    while (qy_arena_alloc(&arena, 0, QY_FRAME_USER, &page) == QY_OK) {
    }
    while (qy_sizes_alloc(&cpus[0], &sizes, 40, 1, &small) == QY_OK) { /* with these */
    }
    memset(piece, 5, 3000);
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, 40), QY_OK);
    CHECK(piece == before && all_bytes_are(piece, 40, 5));
    CHECK_EQ(qy_sizes_resize(&cpus[0], &sizes, &piece, 5000), QY_OUT_OF_MEMORY);
    CHECK(piece == before && all_bytes_are(piece, 40, 5));
    CHECK_EQ(give(piece), QY_OK); /* its slab is empty now, and kept */
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 0);
    CHECK_EQ(qy_sizes_alloc(&cpus[0], &sizes, 4096, 1, &piece),
             QY_OK); /* the slab goes back for it */
    hosted_machine_destroy(&machine);
}

/* ---- two CPUs free one piece ---- */

/* What a CPU took last is quick to give back: to its own heap, and once. */
static void the_last_piece(void) QY_UNCHECKED
{
    static struct qy_arena child;
    static struct qy_heap second;
    static struct qy_sizes others;
    void *piece, *other;
    make(4096, 0);
    CHECK_EQ(qy_arena_carve(&arena, &child, 1024, 1), QY_OK);
    qy_heap_init(&second, &child, NULL, 7);
    CHECK_EQ(qy_sizes_init(&others, &second, 0), QY_OK);
    for (unsigned i = 0; i < 100; i++) { /* until both have magazines, and then */
        piece = take(64, 1);
        CHECK_EQ(qy_sizes_free(&cpus[0], &others, piece), QY_NOT_OWNED);
        CHECK_EQ(give(piece), QY_OK);
        CHECK_EQ(give(piece), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_sizes_alloc(&cpus[0], &others, 64, 1, &other), QY_OK);
        CHECK_EQ(give(other), QY_NOT_OWNED);
        CHECK_EQ(qy_sizes_free(&cpus[0], &others, other), QY_OK);
        CHECK_EQ(qy_sizes_free(&cpus[0], &others, other), QY_NOT_ALLOCATED);
    }
    CHECK(qy_heap_is_cached(&heap) && qy_heap_is_cached(&second));
    qy_heap_reclaim(&second);
    qy_frame_reclaim(&child);
    CHECK(qy_heap_check(&second) == NULL && qy_heap_pages(&second) == 0);
    CHECK_EQ(qy_arena_return(&child), QY_OK);
    done();
}

static void *again; /* what the other CPU frees as soon as the first one gives memory back */
static unsigned freed_again;

#define BLOCK (struct qy_arena * from, pfn_t block, unsigned order, enum qy_frame_state state)
enum qy_error __real_qy_arena_free BLOCK;
enum qy_error __wrap_qy_arena_free BLOCK;
enum qy_error __wrap_qy_arena_free BLOCK QY_UNCHECKED
{
    void *piece = again;
    again = NULL;
    if (piece)
        freed_again += qy_sizes_free(&cpus[1], &sizes, piece) == QY_OK;
    return __real_qy_arena_free(from, block, order, state);
}

/* Who comes second finds no piece, from the moment at which the first knows that it is the one who frees it. */
static void freed_in_the_middle_of_a_free(void) QY_UNCHECKED
{
    static const size_t pieces[] = {4096, 5 * 4096, 8 * 4096, 600 * 4096};
    make(2048, 0);
    qy_cpu_objects_init(&cpus[0], 0, NULL); /* straight to the arena */
    for (unsigned i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        void *piece = take(pieces[i], 1);
        freed_again = 0;
        again = piece;
        CHECK_EQ(give(piece), QY_OK);
        CHECK(again == NULL && freed_again == 0);
    }
    done();
}

/* ---- random calls ---- */

static struct live {
    unsigned char *piece;
    size_t bytes;
    unsigned char fill;
} live[LIVE_MAX];
static unsigned live_count, refused;

static size_t some_size(void)
{
    uint64_t kind = random_below(&random_state, 100);
    return kind < 60   ? 1 + random_below(&random_state, 300)
           : kind < 90 ? 1 + random_below(&random_state, 4000)
                       : 1 + random_below(&random_state, 40000);
}

static bool op_alloc(bool zeroed) QY_UNCHECKED
{
    size_t bytes = some_size(),
           align = random_below(&random_state, 4) ? 1 : 1ull << random_below(&random_state, 13);
    void *piece;
    if (live_count == LIVE_MAX)
        return true;
    if (qy_sizes_alloc(&cpus[random_below(&random_state, CPUS)], &sizes, bytes, align, &piece) !=
        QY_OK) {
        refused++;
        return true;
    }
    if (qy_port_paddr(piece).raw % align || (zeroed && !all_bytes_are(piece, bytes, 0)))
        return false;
    live[live_count] =
        (struct live){piece, bytes, (unsigned char)(1 + random_below(&random_state, 255))};
    memset(piece, live[live_count++].fill, bytes);
    return true;
}

static bool op_free(void) QY_UNCHECKED
{
    if (live_count == 0)
        return true;
    unsigned i = (unsigned)random_below(&random_state, live_count);
    struct live l = live[i];
    live[i] = live[--live_count];
    if (!all_bytes_are(l.piece, l.bytes, l.fill) ||
        (l.bytes > 1 && qy_sizes_free(&cpus[0], &sizes, l.piece + 1) != QY_NOT_ALLOCATED))
        return false;
    return qy_sizes_free(&cpus[random_below(&random_state, CPUS)], &sizes, l.piece) == QY_OK &&
           qy_sizes_free(&cpus[random_below(&random_state, CPUS)], &sizes, l.piece) != QY_OK;
}

static bool op_resize(void) QY_UNCHECKED
{
    if (live_count == 0)
        return true;
    struct live *l = &live[random_below(&random_state, live_count)];
    size_t bytes = some_size(), kept = bytes < l->bytes ? bytes : l->bytes;
    void *piece = l->piece;
    enum qy_error error =
        qy_sizes_resize(&cpus[random_below(&random_state, CPUS)], &sizes, &piece, bytes);
    if (error != QY_OK)
        return error == QY_OUT_OF_MEMORY && piece == l->piece &&
               all_bytes_are(piece, l->bytes, l->fill);
    l->piece = piece;
    l->bytes = bytes;
    bool held = all_bytes_are(piece, kept, l->fill);
    memset(piece, l->fill, bytes);
    return held;
}

static void random_calls(uint64_t pages, uint32_t flags) QY_UNCHECKED
{
    const char *seed = getenv("TEST_SEED"), *text = getenv("TEST_OPS");
    uint64_t ops = text ? strtoull(text, NULL, 0) : 200000;
    random_state = (seed ? strtoull(seed, NULL, 0) : 7) * 2 + 1;
    make(pages, flags);
    live_count = refused = 0;
    bool right = true;
    for (uint64_t i = 0; i < ops && right; i++) {
        uint64_t kind = random_below(&random_state, 100), fill = i / 20000 % 2 ? 30 : 55;
        right = kind < fill ? op_alloc(flags == 0) : kind < 85 ? op_free() : op_resize();
        if (random_below(&random_state, 3000) == 0)
            qy_heap_reclaim(&heap);
        if (i % 512 == 0)
            right &= check();
        if (!right)
            CHECK_EQ(i, ops);
    }
    while (live_count && right)
        right = op_free();
    CHECK(right);
    printf("# %u refused\n", refused);
    done();
}

static void random_small(void)
{
    random_calls(200, 0);
    CHECK(refused > 0);
}

static void random_large(void)
{
    random_calls(8000, 0);
    random_calls(8000, QY_CACHE_UNZEROED);
}

static const struct test tests[] = {
    {"every size has its class", classes},
    {"alignments", alignments},
    {"wrong arguments and pointers are refused by name", wrong_arguments},
    {"resizing in place and by moving", resizing},
    {"what is new is zero", what_is_new_is_zero},
    {"what shrinks gives back", what_shrinks_gives_back},
    {"the last piece", the_last_piece},
    {"freed in the middle of a free", freed_in_the_middle_of_a_free},
    {"random calls in an arena that runs out", random_small},
    {"random calls with magazines", random_large},
};
TEST_MAIN(tests)
