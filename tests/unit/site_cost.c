/*
 * What sites cost, in instructions of an allocation and its free, counted by callgrind: nothing where they are
 * off; and what they take where they are on.
 *
 * The program runs itself under valgrind with different numbers of pairs and divides the difference, as
 * frame_cache_cost does. Skipped where valgrind is absent, and in builds that count other things.
 */
#include "debug_fixture.h"

#include <counted.h>

#define FEW 10000ul
#define MANY 60000ul
#define ON_MOST 67    /* instructions more than a pair with sites that are off: clang 59, gcc 66 */
#define OWNER_MOST 12 /* and more than one that has no owner */
#define MANY_MOST 67  /* the same of one of many */
#define BATCH 1000u

static const struct qy_cache_type thing = {.name = "thing", .bytes = 64, .align = 8};

static void without(void) QY_UNCHECKED
{
    void *object;
    if (qy_cache_alloc(&cpu, &cache, &object) != QY_OK ||
        qy_cache_free(&cpu, &cache, object) != QY_OK)
        abort();
}

static void with(void) QY_UNCHECKED
{
    void *object;
    if (qy_cache_alloc_from(&cpu, &cache, QY_SITE("a thing"), &object) != QY_OK ||
        qy_cache_free_from(&cpu, &cache, object, QY_SITE("its end")) != QY_OK)
        abort();
}

static void with_owner(void) QY_UNCHECKED
{
    static const struct qy_owner owner = {1, 2, 3, 4, 64, 6};
    void *object;
    if (qy_cache_alloc_for(&cpu, &cache, QY_SITE("a thing"), &owner, &object) != QY_OK ||
        qy_cache_free_from(&cpu, &cache, object, QY_SITE("its end")) != QY_OK)
        abort();
}

/* Of many, in an order in which no object is the one that was handed out last. */
static void batch(void) QY_UNCHECKED
{
    static void *held[BATCH];
    for (unsigned i = 0; i < BATCH; i++)
        if (qy_cache_alloc_from(&cpu, &cache, QY_SITE("one of many"), &held[i]) != QY_OK)
            abort();
    for (unsigned i = 0, at = 0; i < BATCH; i++, at = (at + 617) % BATCH)
        if (qy_cache_free_from(&cpu, &cache, held[at], QY_SITE("its end")) != QY_OK)
            abort();
}

static const struct row {
    const char *name;
    void (*pair)(void);
    uint32_t flags;
    unsigned each; /* pairs in one */
} rows[] = {
    {"without sites", without, 0, 1},
    {"with sites, off", with, 0, 1},
    {"with sites, on", with, QY_CACHE_TRACKED, 1},
    {"with sites and owners, on", with_owner, QY_CACHE_TRACKED, 1},
    {"of many, off", batch, 0, BATCH},
    {"of many, on", batch, QY_CACHE_TRACKED, BATCH},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static int run(const struct row *row, unsigned long count)
{
    make_heap(4096, row->flags, 0);
    make_cache(&thing);
    for (unsigned long i = 0; i < count / row->each; i++)
        row->pair();
    return 0;
}

static void a_pair(void)
{
    COUNT_OR_SKIP();
    double each[ROWS];
    for (unsigned i = 0; i < ROWS; i++) {
        unsigned long few = counted(i, FEW), many = counted(i, MANY);
        CHECK(few != 0 && many > few);
        each[i] = (double)(many - few) / (double)(MANY - FEW);
        printf("# instructions of a pair, %s: %.1f\n", rows[i].name, each[i]);
    }
    CHECK(each[1] <= each[0] + 1); /* clang has the site in a register early */
    CHECK(each[2] > each[1] && each[2] <= each[1] + ON_MOST);
    CHECK(each[3] > each[2] && each[3] <= each[2] + OWNER_MOST);
    CHECK(each[5] > each[4] && each[5] <= each[4] + MANY_MOST);
}

static const struct test tests[] = {{"a pair without sites, with them off, and on", a_pair}};

int main(int words_count, char **words)
{
    if (words_count == 3)
        return run(&rows[strtoul(words[1], NULL, 10) % ROWS], strtoul(words[2], NULL, 10));
    counted_program = words[0];
    return tap_run(tests, 1);
}
