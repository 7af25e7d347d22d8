/*
 * Benchmarks of frames: what it costs to take and give back, and what is left in large blocks.
 *
 *     cases                 all of them: lines "NAME UNIT MEDIAN LOWEST HIGHEST"
 *     cases --list          the names that can be counted
 *     cases --count NAME    run that one once, for callgrind: prints the number of operations; what is
 *                           to be counted happens inside of measured()
 *
 * Built for a peer, the first argument is the file of its library (bench/peer/peer.h), and only scenes of blocks are played.
 *
 * Each figure is the median of SAMPLES rounds, each round on the same machine further on; lowest and
 * highest say how far to trust it. An operation of a "pair" or "replace" is one block given back and
 * one taken. Misses: what the caller's cache misses cost, zeroing.
 */
#include "machine.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 7u
#define GIB (1ull << 30)
#define ENTRY_BYTES 16u /* of the frame database */
#define GONE 99u        /* order of a block that is given back just now */

struct scene {
    const char *name;
    uint64_t bytes;     /* of the machine */
    unsigned occupancy; /* per cent, taken before it begins */
    int order;          /* of the blocks that are out; -1: mixed */
    void (*run)(struct held *held, uint64_t operations, int order);
    uint64_t operations; /* a round */
};

/* The block given back is the one that was taken last. The loop's three instructions are counted. */
static inline __attribute__((always_inline)) void pairs(struct qy_cpu_frames *cpu,
                                                        uint64_t operations, unsigned order)
{
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t at;
        if (!subject_alloc(cpu, order, &at) || !subject_free(cpu, at, order))
            abort();
    }
}

static void pairs_0(struct held *held, uint64_t operations, int order)
{
    (void)order;
    pairs(held->cpu, operations, 0);
}

static void pairs_3(struct held *held, uint64_t operations, int order)
{
    (void)order;
    pairs(held->cpu, operations, 3);
}

static void pairs_4(struct held *held, uint64_t operations, int order)
{
    (void)order;
    pairs(held->cpu, operations, 4);
}

static void pairs_9(struct held *held, uint64_t operations, int order)
{
    (void)order;
    pairs(held->cpu, operations, 9);
}

#define AHEAD 16u /* blocks are drawn so long before their turn; a power of two */

/* The block whose turn it is. Its note is in the cache then: what a caller's own misses cost is not the
 * question. With `entries` its entry is too, as for a caller that has just unmapped the frame. */
static inline struct block *draw(struct held *held, struct block **drawn, uint64_t i, bool entries)
{
    struct block *now = drawn[i % AHEAD];
    struct block *b = &held->blocks[random_below(&held->random, held->count)];
    drawn[i % AHEAD] = b;
    __builtin_prefetch(b, 1);
    if (entries)
        __builtin_prefetch(machine.table[0] + drawn[(i + AHEAD / 2) % AHEAD]->at * ENTRY_BYTES, 1);
    return now;
}

/* A random frame goes, another comes. */
static inline void replace_drawn(struct held *held, uint64_t operations, bool entries)
{
    struct block *drawn[AHEAD];
    for (unsigned i = 0; i < AHEAD; i++)
        drawn[i] = &held->blocks[0];
    for (uint64_t i = 0; i < operations; i++) {
        struct block *b = draw(held, drawn, i, entries);
        if (!subject_free(held->cpu, b->at, 0) || !subject_alloc(held->cpu, 0, &b->at))
            abort();
    }
}

static void replace(struct held *held, uint64_t operations, int order)
{
    (void)order;
    replace_drawn(held, operations, false);
}

static void replace_unmapped(struct held *held, uint64_t operations, int order)
{
    (void)order;
    replace_drawn(held, operations, true);
}

/*
 * The least that replace does to memory: the entry that says what the block is, read and written. What
 * replace takes beyond it is the allocator's.
 */
static void touch(struct held *held, uint64_t operations, int order)
{
    struct block *drawn[AHEAD];
    (void)order;
    for (unsigned i = 0; i < AHEAD; i++)
        drawn[i] = &held->blocks[0];
    for (uint64_t i = 0; i < operations; i++) {
        const struct block *b = draw(held, drawn, i, false);
        volatile uint64_t *entry = (uint64_t *)(void *)(machine.table[0] + b->at * ENTRY_BYTES);
        *entry = *entry;
    }
}

/* One miss after the other: where the next entry is follows from the one before. */
static void chase(struct held *held, uint64_t operations, int order)
{
    uint64_t draw = 1;
    (void)order;
    for (uint64_t i = 0; i < operations; i++) {
        const struct block *b = &held->blocks[random_below(&held->random, held->count)];
        draw ^= *(const uint64_t *)(const void *)(machine.table[0] + b->at * ENTRY_BYTES);
        held->random ^= draw & 1;
    }
}

/* Many random frames go, and then as many others come: more than a cache holds. An operation is one of
 * them. */
static void replace_many(struct held *held, uint64_t operations, int order)
{
    struct block *out[1000];
    (void)order;
    for (uint64_t i = 0; i < operations; i += 1000) {
        for (unsigned n = 0; n < 1000; n++) {
            out[n] = &held->blocks[random_below(&held->random, held->count)];
            if (out[n]->order == GONE || !subject_free(held->cpu, out[n]->at, 0))
                out[n] = NULL; /* drawn twice */
            else
                out[n]->order = GONE;
        }
        for (unsigned n = 0; n < 1000; n++) {
            if (out[n] && !subject_alloc(held->cpu, 0, &out[n]->at))
                abort();
            if (out[n])
                out[n]->order = 0;
        }
    }
}

/* The same with orders drawn at random; the occupancy stays where it is within a block. */
static void replace_mixed(struct held *held, uint64_t operations, int order)
{
    uint64_t pages = held->pages;
    (void)order;
    for (uint64_t i = 0; i < operations; i++) {
        while (held->pages >= pages)
            held_free(held, random_below(&held->random, held->count));
        struct block b = {.order = random_order(&held->random)};
        if (!subject_alloc(held->cpu, b.order, &b.at))
            continue; /* at 90 % the large orders run out */
        held->blocks[held->count++] = b;
        held->pages += 1ull << b.order;
    }
}

/* All of the arena, then back in the order of taking. An operation is one frame taken and given
 * back. */
static void bulk(struct held *held, uint64_t operations, int order)
{
    held_fill(held, operations, order);
    for (uint64_t i = 0; i < held->count; i++)
        if (!subject_free(held->cpu, held->blocks[i].at, held->blocks[i].order))
            abort();
    held->count = held->pages = 0;
}

static const struct scene scenes[] = {
    {"pair_order_0", GIB, 50, -1, pairs_0, 200000},
    {"pair_order_3", GIB, 50, -1, pairs_3, 200000},
    {"pair_order_4", GIB, 50, -1, pairs_4, 200000},
    {"pair_order_9", GIB, 50, -1, pairs_9, 200000},
    {"pair_that_splits_1_gib", 2 * GIB, 0, 0, pairs_0, 50000},
    {"bulk_order_0", GIB, 0, 0, bulk, GIB / 4096},
    {"replace_order_0_50_of_16_gib", 16 * GIB, 50, 0, replace, 200000},
    {"replace_unmapped_50_of_16_gib", 16 * GIB, 50, 0, replace_unmapped, 200000},
    {"floor_one_entry_50_of_16_gib", 16 * GIB, 50, 0, touch, 200000},
    {"floor_two_misses_50_of_16_gib", 16 * GIB, 50, 0, chase, 200000},
    {"replace_order_0_90_of_1_gib", GIB, 90, 0, replace, 200000},
    {"replace_unmapped_90_of_1_gib", GIB, 90, 0, replace_unmapped, 200000},
    {"replace_1000_order_0_50_of_16_gib", 16 * GIB, 50, 0, replace_many, 200000},
    {"replace_mixed_50", GIB, 50, -1, replace_mixed, 100000},
    {"replace_mixed_75", GIB, 75, -1, replace_mixed, 100000},
    {"replace_mixed_90", GIB, 90, -1, replace_mixed, 100000},
};
#define SCENES (sizeof(scenes) / sizeof(scenes[0]))

/* What callgrind counts. */
__attribute__((noinline)) void measured(const struct scene *s, struct held *held,
                                        uint64_t operations);
void measured(const struct scene *s, struct held *held, uint64_t operations)
{
    s->run(held, operations, s->order);
}

static void print(const char *name, unsigned threads, double *samples)
{
    qsort(samples, SAMPLES, sizeof(*samples), by_value);
    printf("%s%s ns %.1f %.1f %.1f\n", name, threads > 1 ? "_2_threads" : "", samples[SAMPLES / 2],
           samples[0], samples[SAMPLES - 1]);
    fflush(stdout);
}

struct worker {
    const struct scene *scene;
    struct held held;
    unsigned cpu;
    uint64_t operations; /* a round */
    pthread_barrier_t *barrier;
    double *samples; /* of the first worker */
};

static void *work(void *argument)
{
    struct worker *w = argument;
    hosted_cpu_set(w->cpu);
    for (unsigned i = 0; i <= SAMPLES; i++) { /* the first round warms up */
        pthread_barrier_wait(w->barrier);
        double start = now_ns();
        measured(w->scene, &w->held, w->operations);
        pthread_barrier_wait(w->barrier);
        if (w->samples && i)
            w->samples[i - 1] = (now_ns() - start) / (double)w->operations;
    }
    return NULL;
}

/* With two threads each has half of what is out; the figure is the time of one operation in one. */
static void time_scene(const struct scene *s, unsigned threads)
{
    double samples[SAMPLES];
    struct worker workers[2];
    pthread_t ids[2];
    pthread_barrier_t barrier;
    uint64_t frames = s->bytes / QY_PAGE_BYTES;
    machine_make(s->bytes);
    pthread_barrier_init(&barrier, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){s, .cpu = i, .barrier = &barrier};
        workers[i].samples = i == 0 ? samples : NULL;
        /* fair locks wait for whom the host does not run */
        workers[i].operations = s->operations / (threads == 1 ? 1 : 20);
        hosted_cpu_set(i);
        held_make(&workers[i].held, i, frames);
        held_fill(&workers[i].held, frames * s->occupancy / 100 / threads, s->order);
    }
    for (unsigned i = 1; i < threads; i++)
        if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0)
            abort();
    work(&workers[0]); /* sets this thread's CPU again */
    for (unsigned i = 1; i < threads; i++)
        pthread_join(ids[i], NULL);
    print(s->name, threads, samples);
    for (unsigned i = 0; i < threads; i++)
        held_destroy(&workers[i].held);
    machine_destroy();
}

static int count_scene(const char *name)
{
    for (unsigned i = 0; i < SCENES; i++) {
        const struct scene *s = &scenes[i];
        struct held held;
        if (strcmp(s->name, name) != 0)
            continue;
        uint64_t bytes = s->bytes > 2 * GIB ? GIB : s->bytes, frames = bytes / QY_PAGE_BYTES;
        uint64_t operations = s->run == bulk ? s->operations : s->operations / 10;
        machine_make(bytes);
        held_make(&held, 0, frames);
        held_fill(&held, frames * s->occupancy / 100, s->order);
        if (s->run != bulk)
            s->run(&held, operations, s->order);
        measured(s, &held, operations);
        printf("%llu\n", (unsigned long long)operations);
        held_destroy(&held);
        machine_destroy();
        return 0;
    }
    fprintf(stderr, "cases: no case %s\n", name);
    return 2;
}

#ifndef SUBJECT_PEER /* these look into the arena */

/* What a long random run leaves, at each occupancy. */
static void fragmentation(void)
{
    static const unsigned occupancies[] = {50, 75, 90};
    for (unsigned i = 0; i < 3; i++) {
        struct held held;
        machine_make(GIB);
        held_make(&held, 0, GIB / QY_PAGE_BYTES);
        held_fill(&held, GIB / QY_PAGE_BYTES * occupancies[i] / 100, -1);
        replace_mixed(&held, 3000000, -1);
        int order = qy_arena_largest(&arena);
        printf("largest_free_order_%u order %d %d %d\n", occupancies[i], order, order, order);
        unsigned share = free_in_large_blocks();
        printf("free_in_2_mib_blocks_%u %% %u %u %u\n", occupancies[i], share, share, share);
        held_destroy(&held);
        machine_destroy();
    }
}

/* One TiB: the time, and what of the frame database was written. */
static void initialise(void)
{
    double samples[SAMPLES];
    uint64_t sections = 0;
    for (unsigned i = 0; i < SAMPLES; i++) {
        const uint64_t end = 1ull << 28;
        if (!hosted_machine_make(&machine, end * QY_PAGE_BYTES, false))
            abort();
        hosted_ram_add(&machine, pfn(12345), pfn(end - 678));
        double start = now_ns();
        qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
        if (qy_arena_add(&arena, pfn(12345), pfn(end - 678)) != QY_OK)
            abort();
        samples[i] = now_ns() - start;
        sections = qy_framedb_sections_initialised(&machine.db);
        hosted_machine_destroy(&machine);
    }
    print("initialise_1_tib", 1, samples);
    printf("initialise_1_tib_sections sections %llu %llu %llu\n", (unsigned long long)sections,
           (unsigned long long)sections, (unsigned long long)sections);
}

/* A request that no run serves looks at everything: 64 GiB, a frame taken in each 2 MiB. */
static void sweep(void)
{
    double samples[SAMPLES];
    machine_make(64 * GIB);
    const struct qy_bounds all = {arena.base, arena.end, 0};
    pfn_t out;
    for (uint64_t at = arena.base.raw; at < arena.end.raw; at += QY_BLOCK_PAGES)
        if (qy_arena_alloc_at(&arena, pfn(at), 0, QY_FRAME_USER) != QY_OK)
            abort();
    for (unsigned i = 0; i < SAMPLES; i++) {
        double start = now_ns();
        if (qy_arena_alloc_in(&arena, QY_BLOCK_PAGES, &all, QY_FRAME_USER, &out) == QY_OK)
            abort();
        samples[i] = now_ns() - start;
    }
    print("sweep_64_gib_divided", 1, samples);
    machine_destroy();
}

#endif

int main(int count, char **arguments)
{
#ifdef SUBJECT_PEER
    if (count < 2) {
        fprintf(stderr, "usage: cases LIBRARY [--list | --count NAME]\n");
        return 2;
    }
    subject_open(arguments[1]);
    count--;
    arguments++;
#endif
    if (count == 3 && strcmp(arguments[1], "--count") == 0)
        return count_scene(arguments[2]);
    if (count == 2 && strcmp(arguments[1], "--list") == 0) {
        for (unsigned i = 0; i < SCENES; i++)
            printf("%s\n", scenes[i].name);
        return 0;
    }
    if (count != 1) {
        fprintf(stderr, "usage: cases [--list | --count NAME]\n");
        return 2;
    }
    for (unsigned i = 0; i < SCENES; i++)
        for (unsigned threads = 1; threads <= (scenes[i].run == bulk ? 1 : 2); threads++)
            time_scene(&scenes[i], threads);
#ifndef SUBJECT_PEER
    fragmentation();
    initialise();
    sweep();
#endif
    return 0;
}
