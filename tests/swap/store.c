/*
 * Compressed pages beside a model that has them whole: any order of puts, gets and drops, until the pool is full and
 * empty again; the validator after each step. It would miss what LZ4's own tests are for.
 */
#include "store.h"

#include <lib/random.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#define POOL 64u
#define PAGES 900u

static struct store store;
static struct store_page pages[POOL];
static uint64_t scratch[STORE_SCRATCH_BYTES / 8];
static unsigned char *pool;
static uint64_t seed = 1;

static unsigned pick(unsigned below)
{
    return (unsigned)random_below(&seed, below);
}

/* kind 0: one word; 1: text; 2: sparse; 3: noise */
static void make(unsigned kind, unsigned char page[STORE_PAGE_BYTES])
{
    memset(page, 0, STORE_PAGE_BYTES);
    uint64_t word = (uint64_t)pick(1u << 30) << 20;
    for (unsigned i = 0; i < STORE_PAGE_BYTES; i++)
        page[i] =
            kind == 0 ? (unsigned char)(word >> i % 8 * 8)
            : kind == 1
                ? (unsigned char)("a page of text that repeats itself, "[i % 36] + (pick(8) == 0))
            : kind == 2 ? (unsigned char)(pick(20) ? 0 : pick(256))
                        : (unsigned char)pick(256);
}

static void begin(void)
{
    pool = malloc((size_t)POOL * STORE_PAGE_BYTES);
    memset(pool, 0xee, (size_t)POOL * STORE_PAGE_BYTES);
    store_begin(&store, pool, pages, POOL, scratch);
    CHECK(store_check(&store) == NULL);
}

static void words_and_noise(void)
{
    unsigned char page[STORE_PAGE_BYTES], back[STORE_PAGE_BYTES];
    struct store_ref ref = {0};
    begin();
    for (unsigned i = 0; i < 50; i++) {
        make(0, page);
        CHECK_EQ(store_put(&store, page, false, &ref), STORE_OK);
        CHECK_EQ(ref.kind, STORE_FILL);
        CHECK_EQ(store.free_pages, POOL); /* it takes nothing */
        CHECK(store_get(&store, &ref, back) && memcmp(page, back, sizeof(page)) == 0);
        page[pick(STORE_PAGE_BYTES)] ^= 1;
        CHECK_EQ(store_put(&store, page, false, &ref), STORE_OK);
        CHECK_EQ(ref.kind, STORE_PIECE);
        CHECK(store_get(&store, &ref, back) && memcmp(page, back, sizeof(page)) == 0);
        store_drop(&store, &ref);
        CHECK(store_check(&store) == NULL);
        make(3, page);
        CHECK_EQ(store_put(&store, page, false, &ref), STORE_POOR);
        CHECK_EQ(store_put(&store, page, true, &ref), STORE_OK);
        CHECK(store_get(&store, &ref, back) && memcmp(page, back, sizeof(page)) == 0);
        store_drop(&store, &ref);
    }
    for (size_t i = 0; i < (size_t)POOL * STORE_PAGE_BYTES; i++) /* dropped pieces are wiped */
        if (pool[i] != 0xee && pool[i] != 0)
            CHECK(0);
    free(pool);
}

static void any_order(void)
{
    static unsigned char whole[PAGES][STORE_PAGE_BYTES], back[STORE_PAGE_BYTES];
    static struct store_ref refs[PAGES];
    unsigned full = 0, kept = 0;
    begin();
    memset(refs, 0, sizeof(refs));
    for (unsigned step = 0; step < 20000; step++) {
        unsigned n = pick(PAGES);
        if (refs[n].kind == STORE_NOT) {
            make(n % 9 ? pick(3) : 3, whole[n]);
            enum store_result result = store_put(&store, whole[n], n % 9 == 0, &refs[n]);
            CHECK(result != STORE_POOR);
            if (result == STORE_FULL)
                CHECK_EQ(refs[n].kind, STORE_NOT);
            full += result == STORE_FULL;
            kept += result == STORE_OK;
        } else {
            CHECK(store_get(&store, &refs[n], back) && memcmp(back, whole[n], sizeof(back)) == 0);
            if (pick(full > 200 && step % 4000 < 2000 ? 8 : 3) == 0)
                store_drop(&store, &refs[n]);
        }
        const char *broken = store_check(&store);
        CHECK(broken == NULL);
        if (broken)
            printf("# %s\n", broken);
    }
    CHECK(full > 50);
    CHECK(kept > 1000);
    for (unsigned n = 0; n < PAGES; n++)
        store_drop(&store, &refs[n]);
    CHECK_EQ(store.free_pages, POOL);
    CHECK_EQ(store.live_bytes, 0);
    CHECK(store_check(&store) == NULL);
    free(pool);
}

/* Whatever a piece says, get stays in the page and tells. */
static void damaged_pieces(void)
{
    unsigned char page[STORE_PAGE_BYTES], back[STORE_PAGE_BYTES + 64];
    struct store_ref ref = {0};
    unsigned told = 0;
    begin();
    for (unsigned i = 0; i < 3000; i++) {
        make(1 + pick(2), page);
        CHECK_EQ(store_put(&store, page, false, &ref), STORE_OK);
        unsigned char *piece = pool;
        for (unsigned n = 1 + pick(8); n > 0; n--)
            piece[pick(2048)] = (unsigned char)pick(256);
        memset(back + STORE_PAGE_BYTES, 0xab, 64);
        told += !store_get(&store, &ref, back);
        for (unsigned n = 0; n < 64; n++)
            CHECK_EQ(back[STORE_PAGE_BYTES + n], 0xab);
        store_drop(&store, &ref);
    }
    CHECK(told > 100);
    free(pool);
}

static const struct test tests[] = {
    {"a page of one word takes nothing; noise is not kept; pieces are wiped", words_and_noise},
    {"20,000 puts, gets and drops in any order beside a model", any_order},
    {"damaged pieces stay inside the page", damaged_pieces},
};
TEST_MAIN(tests)
