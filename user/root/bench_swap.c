/*
 * What a page costs that goes and returns: compressed, and sealed as for a disk, without the device's time.
 *
 * Pages go and return 16 at a time; a figure is of one of them. `compress`: text, to a fifth of its size.
 */
#include "../swap/seal.h"
#include "../swap/store.h"
#include "bench.h"
#include <lib/string.h>

#define PAGES 128u
#define BATCH 16u
#define POOL (BENCH_AT + 4096 * PAGE_BYTES)
#define WINDOW (BENCH_AT + 400 * PAGE_BYTES) /* in the table of the pages */

static struct {
    struct store store;
    struct store_page pages[PAGES];
    struct store_ref refs[PAGES];
    struct seal_mark marks[PAGES];
    struct seal seal;
    uint64_t scratch[STORE_SCRATCH_BYTES / sizeof(uint64_t)];
} b;

static unsigned char *const pool = (unsigned char *)POOL;

/* A batch in the frame, kept or brought back one way or the other. */
static bool compress(unsigned first, bool out)
{
    bool ok = true;
    for (unsigned i = 0; i < BATCH; i++) {
        unsigned char *page = (unsigned char *)(WINDOW + i * PAGE_BYTES);
        ok &= out ? store_put(&b.store, page, false, &b.refs[first + i]) == STORE_OK
                  : store_get(&b.store, &b.refs[first + i], page);
        if (!out)
            store_drop(&b.store, &b.refs[first + i]);
    }
    return ok;
}

static bool seal(unsigned first, bool out)
{
    bool ok = true;
    for (unsigned i = 0; i < BATCH; i++) {
        unsigned char *page = (unsigned char *)(WINDOW + i * PAGE_BYTES),
                      *block = pool + (first + i) * PAGE_BYTES;
        if (!out)
            memcpy(page, block, PAGE_BYTES);
        ok &= out ? seal_close(&b.seal, 1, first + i, page, &b.marks[first + i])
                  : seal_open(&b.seal, 1, first + i, page, &b.marks[first + i]);
        if (out)
            memcpy(block, page, PAGE_BYTES);
    }
    return ok;
}

static bool nothing(unsigned first, bool out)
{
    (void)first, (void)out;
    return true;
}

/* So many pages go, then all of them return. */
static bool round_trip(qy_handle_t area, qy_handle_t frame, unsigned pages,
                       bool (*keep)(unsigned first, bool out), uint64_t ticks[2])
{
    bool ok = true;
    for (unsigned out = 2; out-- > 0;) {
        for (unsigned first = 0; ok && first < pages; first += BATCH) {
            uint64_t bits = 0, start = clock_ticks();
            if (out)
                ok = space_evict(QY_SLOT_SPACE, BENCH_AT + first * PAGE_BYTES, BATCH, area, first,
                                 frame, &bits) == QY_OK &&
                     bits == (1u << BATCH) - 1 && keep(first, true);
            else
                ok = keep(first, false) &&
                     memory_restore(area, first, BATCH, frame, 0, &bits) == QY_OK && !bits;
            ticks[out] += clock_ticks() - start;
        }
    }
    return ok;
}

static void write_pages(void)
{
    static const char text[] = "pages of memory that nobody has used for long, ";
    for (unsigned i = 0; i < PAGES * PAGE_BYTES; i++)
        ((volatile char *)BENCH_AT)[i] =
            i % 1024 < 128 ? (char)(i * 2654435761u >> 13) : text[i % (sizeof(text) - 1)];
}

static void swapping(struct root *root, qy_handle_t budget)
{
    static const struct {
        const char *name;
        unsigned pages;
        bool (*keep)(unsigned first, bool out);
    } ways[] = {{"evict", BATCH, nothing}, {"compress", PAGES, compress}, {"swap", PAGES, seal}};
    uint8_t key[SEAL_KEY_BYTES] = {1};
    uint64_t at = BENCH_AT, pool_at = POOL;
    qy_handle_t area, frame;
    bool ok = space_map_region(QY_SLOT_SPACE, &at, PAGES * PAGE_BYTES, QY_MAP_READ | QY_MAP_WRITE,
                               0) == QY_OK;
    ok = ok && space_map_region(QY_SLOT_SPACE, &pool_at, PAGES * PAGE_BYTES,
                                QY_MAP_READ | QY_MAP_WRITE, 0) == QY_OK;
    if (ok)
        write_pages();
    if (ok)
        memset(pool, 1, PAGES * PAGE_BYTES); /* what is counted is not its first touch */
    ok = ok && root_make(root, budget, QY_OBJ_MEMORY, 0, &area) == QY_OK &&
         root_make(root, budget, QY_OBJ_FRAME, BATCH, &frame) == QY_OK &&
         frame_map(frame, QY_SLOT_SPACE, WINDOW, QY_MAP_READ | QY_MAP_WRITE).error == QY_OK;
    store_begin(&b.store, pool, b.pages, PAGES, b.scratch);
    seal_begin(&b.seal, key);
    for (unsigned i = 0; ok && i < sizeof(ways) / sizeof(ways[0]); i++) {
        uint64_t ticks[2] = {0}, overhead = bench_clock(ways[i].pages / BATCH);
        ok = round_trip(area, frame, ways[i].pages, ways[i].keep, ticks);
        bench_row_of(ticks[1], overhead, ways[i].pages, "%s_page_out", ways[i].name);
        bench_row_of(ticks[0], overhead, ways[i].pages, "%s_page_in", ways[i].name);
    }
    seal_end(&b.seal);
    root_check(root, ok, "pages could not go and return");
}

void bench_swap(struct root *root)
{
    bench_with_bound(root, 1024, swapping);
}
