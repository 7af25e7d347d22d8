/*
 * What small objects cost in instructions, counted by callgrind, the loop around them included: a pair of
 * 64 bytes, zeroed and not; a thousand taken and given back in scattered order; the same from size classes.
 *
 * The program runs itself twice under valgrind for each row, with different numbers of rounds, and divides
 * the difference; so what is counted does not depend on starting up. Skipped where valgrind is absent, and
 * in builds for sanitizers or without optimisation, which count other things.
 */
#include <counted.h>
#include <hosted/hosted.h>
#include <qy/frame_cache.h>
#include <qy/heap.h>

#define BATCH 1000u

static struct hosted_machine machine;
static struct qy_arena arena;
static struct qy_heap heap;
static struct qy_sizes sizes;
static struct qy_cache cache;
static struct qy_cache_type type = {"counted", 64, 16, NULL, 0};
static struct qy_cpu_frames frames;
static struct qy_cpu_objects cpu;

static bool make(uint32_t flags)
{
    type.flags = flags;
    if (!hosted_machine_make(&machine, 64ull << 20, false))
        return false;
    hosted_ram_add(&machine, pfn(1), pfn(16384));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    qy_cpu_frames_init(&frames, 0);
    qy_cpu_objects_init(&cpu, 0, &frames);
    qy_heap_init(&heap, &arena, NULL, 1);
    return qy_arena_add(&arena, pfn(1), pfn(16384)) == QY_OK &&
           qy_cache_init(&cache, &heap, &type) == QY_OK &&
           qy_sizes_init(&sizes, &heap, flags) == QY_OK;
}

static bool pairs(unsigned long rounds) QY_UNCHECKED
{
    for (unsigned long i = 0; i < rounds; i++) {
        void *object;
        if (qy_cache_alloc(&cpu, &cache, &object) != QY_OK ||
            qy_cache_free(&cpu, &cache, object) != QY_OK)
            return false;
    }
    return true;
}

static bool piece_pairs(unsigned long rounds) QY_UNCHECKED
{
    for (unsigned long i = 0; i < rounds; i++) {
        void *piece;
        if (qy_sizes_alloc(&cpu, &sizes, 64, 1, &piece) != QY_OK ||
            qy_sizes_free(&cpu, &sizes, piece) != QY_OK)
            return false;
    }
    return true;
}

/* Freed in an order in which neighbours in time are far apart. */
static bool batches(unsigned long rounds) QY_UNCHECKED
{
    static void *held[BATCH];
    for (unsigned long i = 0; i < rounds; i++) {
        for (unsigned k = 0; k < BATCH; k++)
            if (qy_cache_alloc(&cpu, &cache, &held[k]) != QY_OK)
                return false;
        for (unsigned k = 0, at = 0; k < BATCH; k++, at = (at + 617) % BATCH)
            if (qy_cache_free(&cpu, &cache, held[at]) != QY_OK)
                return false;
    }
    return true;
}

static const struct row {
    const char *name;
    bool (*run)(unsigned long rounds);
    uint32_t flags;
    unsigned long few, many, each; /* rounds, and operations in one */
    double most;
} rows[] = {
    {"a pair of 64 bytes, zeroed", pairs, 0, 10000, 110000, 1, 70},
    {"a pair of 64 bytes, as it is", pairs, QY_CACHE_UNZEROED, 10000, 110000, 1, 54},
    {"a pair of 64 bytes by size, as it is", piece_pairs, QY_CACHE_UNZEROED, 10000, 110000, 1, 66},
    {"one of 1000 scattered, as it is", batches, QY_CACHE_UNZEROED, 10, 110, BATCH, 115},
};

static void instructions(void)
{
    COUNT_OR_SKIP();
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned long few = counted(i, rows[i].few), many = counted(i, rows[i].many);
        CHECK(few != 0 && many > few);
        double each = (double)(many - few) / (double)((rows[i].many - rows[i].few) * rows[i].each);
        printf("# %s: %.1f instructions\n", rows[i].name, each);
        CHECK(each <= rows[i].most);
    }
}

static const struct test tests[] = {{"what small objects cost", instructions}};

int main(int count, char **words)
{
    if (count == 3) {
        const struct row *row = &rows[strtoul(words[1], NULL, 10) % 4];
        return !(make(row->flags) && row->run(strtoul(words[2], NULL, 10)) &&
                 qy_heap_check(&heap) == NULL);
    }
    counted_program = words[0];
    return tap_run(tests, 1);
}
