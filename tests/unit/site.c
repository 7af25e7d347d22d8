/*
 * Sites and origins: sites are found without registration, counters and sums say what lives and who made
 * it, two points in time are compared, and a profile is written as stacks. Would miss: other CPUs
 * (debug_threads), the kernel's owners (kernel-leaks).
 */
#include "debug_fixture.h"

#include <hosted/profile.h>

static const struct qy_cache_type thing = {.name = "thing", .bytes = 100, .align = 8};
static const struct qy_cache_type other = {.name = "other", .bytes = 40, .align = 8};

static const struct qy_site *first(void)
{
    return QY_SITE("a thing");
}

static const struct qy_site *second(void)
{
    return QY_SITE("another thing");
}

static const struct qy_site table[3] QY_SITES = {QY_SITE_HERE("a table", "one"),
                                                 QY_SITE_HERE("a table", "two"),
                                                 QY_SITE_HERE("a table", "three")};

/* Take one for an owner whose numbers all follow from `number`. */
static void *take_for(const struct qy_site *site, uint64_t number, uint64_t payer) QY_UNCHECKED
{
    void *object = take_from(&cache, site);
    struct qy_owner owner = {payer, payer * 10, 1, number, 1000, number * 7};
    qy_origin_set(&cpu, &cache, object, &owner);
    return object;
}

static void sites_are_listed(void)
{
    unsigned found = 0, count = 0;
    const struct qy_site *const ours[] = {first(), second(), &table[0], &table[1], &table[2]};
    for (; qy_site_at(count); count++) {
        const struct qy_site *site = qy_site_at(count);
        CHECK_EQ(qy_site_number(site), count);
        CHECK(site->file && site->function && site->what && site->line > 0);
        for (unsigned i = 0; i < 5; i++)
            found += site == ours[i];
    }
    CHECK_EQ(found, 5);
    CHECK(qy_site_at(UINT64_MAX) == NULL);
    CHECK(first() == first() && first() != second());
    CHECK(strcmp(first()->file, "site.c") == 0 && strcmp(first()->function, "first") == 0);
    CHECK(strcmp(first()->what, "a thing") == 0 && second()->line == first()->line + 5);
    CHECK(strcmp(table[2].what, "three") == 0);
}

/* SITE-COUNT: the counters against what the objects themselves say. */
static void counters_agree(const struct qy_site *site)
{
    struct qy_tally_row rows[64];
    struct qy_tally tally;
    uint64_t live = 0, bytes = 0;
    qy_tally_begin(&tally, rows, 64);
    qy_leaks(&heap, 0, &tally);
    CHECK_EQ(tally.lost.count, 0);
    for (size_t i = 0; i < tally.used; i++) {
        if (rows[i].key[QY_LEAK_SITE] != qy_site_number(site))
            continue;
        live += rows[i].count;
        bytes += rows[i].bytes;
    }
    CHECK_EQ(sums_of(site).live, live);
    CHECK_EQ(sums_of(site).live_bytes, bytes);
}

static void count(uint64_t pages, uint32_t kinds)
{
    void *objects[40];
    struct qy_site_sums before = sums_of(first());
    make_heap(pages, kinds, 1 << 14);
    make_cache(&thing);
    for (unsigned turn = 0; turn < 3; turn++) { /* then there is a magazine, if the heap is large */
        for (unsigned i = 0; i < 40; i++) {
            objects[i] = i % 2 ? take_from(&cache, first()) : take_for(first(), i + 1, i % 3);
            counters_agree(first());
        }
        CHECK_EQ(sums_of(first()).live, 40);
        CHECK_EQ(sums_of(first()).live_bytes, 20 * 100 + 20 * 1000);
        for (unsigned i = 0; i < 40; i++) {
            void *object = objects[turn == 1 ? i * 7 % 40 : 39 - i];
            CHECK_EQ(give_to(&cache, object), QY_OK);
            CHECK(give_to(&cache, object) != QY_OK); /* refused: counted once */
            counters_agree(first());
        }
    }
    CHECK_EQ(sums_of(first()).live, 0);
    CHECK_EQ(sums_of(first()).live_bytes, 0);
    CHECK_EQ(sums_of(first()).total, before.total + 120);
    CHECK_EQ(sums_of(first()).total_bytes, before.total_bytes + 3 * (20 * 100 + 20 * 1000));
    CHECK_EQ(sums_of(second()).live, 0);
    CHECK_EQ(qy_heap_is_cached(&heap), pages >= QY_MAGAZINE_MIN_PAGES);
    end_heap();
}

static void counters(void)
{
    count(64, ALL_KINDS);
    count(64, QY_CACHE_TRACKED);
    count(1024, ALL_KINDS);
    count(1024, QY_CACHE_TRACKED);
}

/* A trailer is one of the last owner's until somebody says whose the object is now. */
static void nobody_says(void)
{
    struct qy_allocation a;
    make_heap(1024, QY_CACHE_TRACKED, 0);
    make_cache(&thing);
    for (unsigned i = 0; i < 20; i++) {
        void *object = take_for(first(), 7, 3);
        CHECK(qy_allocation_read(&cache, object, &a) && a.owner.payer == 3 && a.owner.time == 49);
        CHECK_EQ(give_to(&cache, object), QY_OK);
        object = take_from(&cache, second());
        CHECK(qy_allocation_read(&cache, object, &a) && a.site == second() && !a.freed);
        CHECK(a.owner.bytes == 100 && a.owner.number == 0 && a.owner.payer == 0 &&
              a.owner.thread == 0 && a.owner.call == 0 && a.owner.time == 0);
        CHECK_EQ(give_to(&cache, object), QY_OK);
    }
    end_heap();
}

/* One call for object, site and owner is as an allocation and word of its owner. */
static void at_once(void) QY_UNCHECKED
{
    static const struct qy_owner owner = {3, 30, 1, 9, 500, 70};
    static const uint32_t kinds[] = {ALL_KINDS, QY_CACHE_TRACKED};
    struct qy_allocation a;
    void *objects[30];
    for (unsigned k = 0; k < 2; k++) {
        struct qy_site_sums before = sums_of(first());
        make_heap(1024, kinds[k], 1 << 14);
        make_cache(&thing);
        for (unsigned i = 0; i < 30; i++) {
            CHECK_EQ(qy_cache_alloc_for(&cpu, &cache, first(), &owner, &objects[i]), QY_OK);
            CHECK(qy_allocation_read(&cache, objects[i], &a) && a.site == first());
            CHECK(memcmp(&a.owner, &owner, sizeof(owner)) == 0);
            counters_agree(first());
        }
        CHECK_EQ(sums_of(first()).total_bytes, before.total_bytes + 30 * 500);
        for (unsigned i = 0; i < 30; i++)
            CHECK_EQ(give_to(&cache, objects[i]), QY_OK);
        CHECK_EQ(sums_of(first()).live_bytes, 0);
        end_heap();
    }
}

static void by_whom(void)
{
    struct qy_tally_row rows[8];
    struct qy_tally tally;
    make_heap(64, ALL_KINDS, 1 << 14);
    make_cache(&thing);
    void *objects[6] = {take_for(first(), 1, 3), take_for(first(), 2, 3), take_for(second(), 3, 3),
                        take_for(first(), 4, 4), take_for(first(), 5, 3), take_from(&cache, NULL)};
    qy_tally_begin(&tally, rows, 8);
    qy_leaks(&heap, 0, &tally);
    qy_tally_sort(&tally);
    CHECK_EQ(tally.used, 4);
    CHECK(rows[0].count == 3 && rows[0].bytes == 3000 && rows[0].oldest == 1);
    CHECK(rows[0].key[QY_LEAK_PAYER] == 3 && rows[0].key[QY_LEAK_THREAD] == 30 &&
          rows[0].key[QY_LEAK_CALL] == 1 && rows[0].key[QY_LEAK_TYPE] == (uintptr_t)&thing &&
          rows[0].key[QY_LEAK_SITE] == qy_site_number(first()));
    CHECK(rows[1].count == 1 && rows[2].count == 1 &&
          rows[1].key[QY_LEAK_SITE] + rows[2].key[QY_LEAK_SITE] ==
              qy_site_number(first()) + qy_site_number(second()));
    CHECK(rows[3].bytes == 100 && rows[3].key[QY_LEAK_SITE] == UINT64_MAX); /* without a site */
    for (unsigned i = 0; i < 6; i++)
        CHECK_EQ(give_to(&cache, objects[i]), QY_OK);
    end_heap();
}

/* Of what is made and freed before and after a mark, the rest after it is found: nothing else. */
static void two_points_in_time(void)
{
    void *before[20], *after[20];
    struct qy_tally_row rows[8];
    struct qy_tally tally;
    make_heap(64, ALL_KINDS, 1 << 14);
    make_cache(&thing);
    for (unsigned i = 0; i < 20; i++)
        before[i] = take_for(first(), 1 + i, 3);
    for (unsigned i = 0; i < 10; i++)
        CHECK_EQ(give_to(&cache, before[i]), QY_OK);
    for (unsigned i = 0; i < 20; i++)
        after[i] = take_for(second(), 21 + i, 4);
    for (unsigned i = 0; i < 20; i++)
        if (i != 13)
            CHECK_EQ(give_to(&cache, after[i]), QY_OK);
    qy_tally_begin(&tally, rows, 8);
    qy_leaks(&heap, 20, &tally);
    CHECK(tally.used == 1 && rows[0].count == 1 && rows[0].oldest == 34);
    qy_tally_begin(&tally, rows, 8);
    qy_leaks(&heap, 40, &tally);
    CHECK_EQ(tally.used, 0);
    for (unsigned i = 10; i < 20; i++)
        CHECK_EQ(give_to(&cache, before[i]), QY_OK);
    CHECK_EQ(give_to(&cache, after[13]), QY_OK);
    end_heap();
}

/* Pieces of whole pages are listed like any: with their pages, where they were made and whose they are; resized too. */
static void large_pieces(void) QY_UNCHECKED
{
    static struct qy_sizes sizes;
    struct qy_tally_row rows[8];
    struct qy_tally tally;
    struct qy_owner owner = {3, 30, 1, 5, 6 * 4096, 0};
    void *pages, *run, *small;
    uint64_t live = sums_of(first()).live, bytes = sums_of(first()).live_bytes;
    make_heap(64, QY_CACHE_TRACKED, 0);
    CHECK_EQ(qy_sizes_init(&sizes, &heap, 0), QY_OK);
    CHECK_EQ(qy_sizes_alloc_from(&cpu, &sizes, 4096, 1, first(), &pages), QY_OK);
    CHECK_EQ(qy_sizes_alloc_from(&cpu, &sizes, 5 * 4096, 1, first(), &run), QY_OK);
    CHECK_EQ(qy_sizes_alloc_from(&cpu, &sizes, 100, 1, first(), &small), QY_OK);
    CHECK_EQ(sums_of(first()).live, live + 3);
    CHECK_EQ(sums_of(first()).live_bytes, bytes + 6 * 4096 + 100);
    CHECK_EQ(qy_sizes_resize(&cpu, &sizes, &run, 6 * 4096), QY_OK);
    CHECK_EQ(sums_of(first()).live_bytes, bytes + 7 * 4096 + 100);
    CHECK_EQ(qy_sizes_resize(&cpu, &sizes, &small, 2 * 4096), QY_OK);
    CHECK_EQ(sums_of(first()).live_bytes, bytes + 9 * 4096);
    CHECK_EQ(qy_sizes_resize(&cpu, &sizes, &small, 100), QY_OK);
    qy_sizes_origin_set(&cpu, &sizes, run, &owner);
    qy_tally_begin(&tally, rows, 8);
    qy_leaks(&heap, 0, &tally);
    qy_tally_sort(&tally);
    CHECK_EQ(tally.used, 3);
    CHECK(rows[0].bytes == 6 * 4096 && rows[0].oldest == 5 && rows[0].key[QY_LEAK_PAYER] == 3);
    CHECK(rows[1].bytes == 4096 && rows[2].bytes == 100);
    for (unsigned i = 0; i < 3; i++)
        CHECK(rows[i].key[QY_LEAK_SITE] == qy_site_number(first()));
    CHECK(qy_heap_check(&heap) == NULL && qy_arena_check(&arena) == NULL);
    CHECK(qy_sizes_free(&cpu, &sizes, run) == QY_OK &&
          qy_sizes_free(&cpu, &sizes, pages) == QY_OK &&
          qy_sizes_free(&cpu, &sizes, small) == QY_OK && qy_sizes_free(&cpu, &sizes, run) != QY_OK);
    CHECK(sums_of(first()).live == live && sums_of(first()).live_bytes == bytes);
    end_heap();
}

/* A table that is too small says how much it left out. */
static void a_full_table(void)
{
    struct qy_tally_row rows[2];
    struct qy_tally tally;
    void *objects[5];
    make_heap(64, ALL_KINDS, 1 << 14);
    make_cache(&thing);
    for (unsigned i = 0; i < 5; i++)
        objects[i] = take_for(first(), 1 + i, i);
    qy_tally_begin(&tally, rows, 2);
    qy_leaks(&heap, 0, &tally);
    CHECK(tally.used == 2 && tally.lost.count == 3 && tally.lost.bytes == 3000);
    for (unsigned i = 0; i < 5; i++)
        CHECK_EQ(give_to(&cache, objects[i]), QY_OK);
    end_heap();
}

/* What overwrites a trailer is not followed: no site is counted, none is read. */
static void a_broken_trailer(void)
{
    make_heap(64, QY_CACHE_TRACKED, 0);
    make_cache(&thing);
    struct qy_allocation a;
    void *object = take_for(first(), 1, 3);
    uint64_t live = sums_of(first()).live;
    memset(qy_object_trailer(&cache, object), 0x5a, QY_TRAILER_BYTES);
    CHECK(qy_allocation_read(&cache, object, &a) && a.site == NULL && a.freed == NULL);
    CHECK_EQ(give_to(&cache, object), QY_OK);
    CHECK_EQ(sums_of(first()).live, live);
    atomic_fetch_add(&cpu.counts[qy_site_number(first())].freed,
                     1); /* nobody knows any more whose it was */
    end_heap();
}

/* A cache that is not tracked counts nothing. */
static void off(void) QY_UNCHECKED
{
    struct qy_tally_row rows[2];
    struct qy_tally tally;
    struct qy_allocation a;
    make_heap(64, 0, 0);
    make_cache(&other);
    uint64_t total = sums_of(first()).total;
    void *object = take_from(&cache, first());
    qy_origin_set(&cpu, &cache, object, &(struct qy_owner){.number = 1});
    qy_tally_begin(&tally, rows, 2);
    qy_leaks(&heap, 0, &tally);
    CHECK(tally.used == 0 && !qy_allocation_read(&cache, object, &a));
    CHECK_EQ(sums_of(first()).total, total);
    CHECK_EQ(give_to(&cache, object), QY_OK);
    end_heap();
}

/* Stacks as flamegraph.pl reads them: frames with ';' between, a blank, a number. */
static void folded(void)
{
    char text[2000];
    make_heap(64, ALL_KINDS, 1 << 14);
    make_cache(&thing);
    void *objects[3] = {take_for(first(), 1, 3), take_for(first(), 2, 3), take_for(second(), 3, 4)};
    FILE *out = fmemopen(text, sizeof(text), "w");
    CHECK(out && hosted_profile_write(out, &heap));
    fclose(out);
    char line[200];
    snprintf(line, sizeof(line), "payer 3;thread 30;call 1;site.c:%u a thing 2000\n",
             first()->line);
    CHECK(strstr(text, line) == text);
    snprintf(line, sizeof(line), "payer 4;thread 40;call 1;site.c:%u another thing 1000\n",
             second()->line);
    CHECK(strcmp(text + strlen(text) - strlen(line), line) == 0);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(give_to(&cache, objects[i]), QY_OK);
    end_heap();
}

static const struct test tests[] = {
    {"sites are listed without registration", sites_are_listed},
    {"the counters of a site", counters},
    {"an owner that nobody names", nobody_says},
    {"an owner named with the allocation", at_once},
    {"what lives, and by whom", by_whom},
    {"two points in time", two_points_in_time},
    {"pieces of whole pages", large_pieces},
    {"a table that is too small says so", a_full_table},
    {"a broken trailer is not believed", a_broken_trailer},
    {"a cache that is not tracked", off},
    {"a profile as folded stacks", folded},
};
TEST_MAIN(tests)
