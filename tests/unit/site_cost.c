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
    static const struct qy_owner owner = {1, 2, 3, 4, 64, 6};
    void *object;
    if (qy_cache_alloc_for(&cpu, &cache, QY_SITE("a thing"), &owner, &object) != QY_OK ||
        qy_cache_free_from(&cpu, &cache, object, QY_SITE("its end")) != QY_OK)
        abort();
}

/* kind: 0 without sites, 1 with sites that are off, 2 with sites that are on */
static int run(unsigned kind, unsigned long count)
{
    make_heap(4096, kind == 2 ? QY_CACHE_TRACKED : 0, 0);
    make_cache(&thing);
    for (unsigned long i = 0; i < count; i++)
        (kind == 0 ? without : with)();
    return 0;
}

static void a_pair(void)
{
    COUNT_OR_SKIP();
    static const char *const names[] = {"without sites", "sites off", "sites on"};
    double each[3];
    for (unsigned kind = 0; kind < 3; kind++) {
        unsigned long few = counted(kind, FEW), many = counted(kind, MANY);
        CHECK(few != 0 && many > few);
        each[kind] = (double)(many - few) / (double)(MANY - FEW);
        printf("# instructions of a pair, %s: %.1f\n", names[kind], each[kind]);
    }
    CHECK(each[1] <= each[0] + 1); /* clang has the site in a register early */
    CHECK(each[2] > each[1] && each[2] <= each[0] + 420);
}

static const struct test tests[] = {{"a pair without sites, with them off, and on", a_pair}};

int main(int words_count, char **words)
{
    if (words_count == 3)
        return run((unsigned)atoi(words[1]), strtoul(words[2], NULL, 10));
    counted_program = words[0];
    return tap_run(tests, 1);
}
