/*
 * The programs' heap: every size, any order, pages that run out. heap_check after each step; what blocks hold is
 * compared, so blocks that overlap or move are found.
 */
#include <stdlib.h>
#include <string.h>
#include <tap.h>
#include <user/heap.h>

#define BLOCKS 400

#define TAKEN_MAX 4096

static void *taken[TAKEN_MAX]; /* what the heap has; null: free */
static size_t pages_out;       /* its bytes */
static unsigned until_out;     /* takes that succeed until one fails; 0: all do */

static void *take(void *context, size_t bytes)
{
    void *pages;

    (void)context;
    if (until_out && --until_out == 0)
        return NULL;
    if (posix_memalign(&pages, SPAN_BYTES, bytes))
        return NULL;
    memset(pages, 0, bytes);
    pages_out += bytes;
    unsigned i = 0;
    while (taken[i])
        CHECK(++i < TAKEN_MAX);
    taken[i] = pages;
    return pages;
}

static void give(void *context, void *pages, size_t bytes)
{
    (void)context;
    unsigned i = 0;
    while (taken[i] != pages)
        CHECK(++i < TAKEN_MAX);
    taken[i] = NULL;
    pages_out -= bytes;
    memset(pages, 0xdd, bytes);
    free(pages);
}

/* What a heap keeps goes with its test. */
static void end(void)
{
    for (unsigned i = 0; i < TAKEN_MAX; i++) {
        free(taken[i]);
        taken[i] = NULL;
    }
    pages_out = 0;
}

static const struct heap_pages pages = {take, give, NULL};

static bool whole(const struct heap *heap)
{
    const char *broken = heap_check(heap);
    if (broken)
        printf("# %s\n", broken);
    return !broken && heap->page_bytes == pages_out;
}

static void every_size(void)
{
    struct heap heap = {.pages = &pages};

    for (size_t bytes = 0; bytes <= HEAP_BLOCK_MAX + 5000; bytes++) {
        unsigned char *a = heap_take(&heap, bytes), *b = heap_take(&heap, bytes);
        CHECK(a && b && (uintptr_t)a % HEAP_ALIGN == 0 && (uintptr_t)b % HEAP_ALIGN == 0);
        CHECK(heap_room(a) >= bytes);
        /* A quarter larger at most, 16 bytes, or what is left of a page. */
        CHECK(heap_room(a) <= bytes + bytes / 4 + 16 || bytes > HEAP_BLOCK_MAX);
        memset(a, 1, bytes);
        memset(b, 2, bytes);
        CHECK(!bytes || (a[0] == 1 && a[bytes - 1] == 1));
        CHECK(heap_give(&heap, a) && heap_give(&heap, b));
        if (!whole(&heap)) {
            CHECK(false);
            return;
        }
    }
    CHECK_EQ(heap.live_blocks, 0);
    CHECK_EQ(heap.live_bytes, 0);
    CHECK(heap_take(&heap, SIZE_MAX) == NULL && heap_take(&heap, SIZE_MAX - 100) == NULL);
    end();
}

static void wrong_frees(void)
{
    struct heap heap = {.pages = &pages};
    char *a = heap_take(&heap, 100), *b = heap_take(&heap, 100);

    CHECK(heap_give(&heap, NULL));
    CHECK(!heap_give(&heap, a + 1));
    CHECK(!heap_give(&heap, a + 16));
    CHECK(!heap_give(&heap, b + (b - a))); /* never handed out */
    CHECK(heap_give(&heap, a));
    CHECK(!heap_give(&heap, a));
    CHECK(heap_take(&heap, 100) == a);
    CHECK(whole(&heap));
    end();
}

/* Random calls; every n-th take of pages fails if n is not 0. Nothing may be lost then. */
static void random_calls(unsigned n)
{
    struct heap heap = {.pages = &pages};
    static struct {
        unsigned char *at;
        size_t bytes;
    } kept[BLOCKS];
    size_t refused = 0;

    memset(kept, 0, sizeof(kept));
    until_out = 0;
    for (unsigned step = 0; step < 100000; step++) {
        unsigned i = (unsigned)rand() % BLOCKS;
        size_t bytes = (size_t)rand() % (rand() % 8 ? 300 : rand() % 8 ? 12000 : 200000);
        if (n && !until_out)
            until_out = n;
        if (kept[i].at) {
            for (size_t k = 0; k < kept[i].bytes; k += 61)
                CHECK(kept[i].at[k] == (unsigned char)i);
            CHECK(heap_give(&heap, kept[i].at));
            kept[i].at = NULL;
        } else {
            kept[i].at = heap_take(&heap, bytes);
            kept[i].bytes = bytes;
            refused += !kept[i].at;
            if (kept[i].at)
                memset(kept[i].at, (int)i, bytes);
        }
        if (step % 64 == 0 && (heap_check(&heap) || heap.page_bytes != pages_out)) {
            CHECK(whole(&heap));
            return;
        }
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        CHECK(heap_give(&heap, kept[i].at));
    CHECK_EQ(heap.live_blocks, 0);
    CHECK(heap.page_bytes <= HEAP_CLASSES * SPAN_BYTES); /* one of each class stays */
    CHECK((n == 0) == (refused == 0));
    until_out = 0;
    end();
}

static void any_order(void)
{
    srand(1);
    random_calls(0);
}

static void pages_run_out(void)
{
    srand(2);
    random_calls(1);
    random_calls(3);
}

static const struct test tests[] = {
    {"every size", every_size},
    {"what is no live block is refused", wrong_frees},
    {"any order", any_order},
    {"pages run out", pages_run_out},
};

TEST_MAIN(tests)
