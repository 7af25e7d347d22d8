/*
 * Benchmarks of small objects: this heap beside the host's allocators, in one run of one process.
 *
 *     cases                          all of them: lines "SCENE ns SUBJECT MEDIAN LOWEST HIGHEST"
 *     cases --list                   lines "SCENE SUBJECT" that can be counted
 *     cases --count SCENE SUBJECT    run that one once, for callgrind: prints the number of operations;
 *                                    what is to be counted happens inside of measured()
 *     cases --peer FILE.so ...       measure that library too (bench/peer/peer.h)
 *
 * A round runs one scene with every subject, each time another first; a figure is the median of SAMPLES rounds,
 * lowest and highest say how far to trust it. An operation is one object allocated, its first word written, and freed.
 * Misses: what the memory costs afterwards (who returns it when, who spreads objects over how many pages).
 */
#include "../timing.h"
#include "peers.h"

#include <lib/random.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 15u
#define BATCH 1000u
#define LIVE 4096u /* objects of mixed sizes that live at a time */
#define RING 1024u /* objects on their way from one thread to the other */

struct task {
    const struct subject *subject;
    uint64_t operations;
    uint64_t random;
    void *objects[LIVE];
    size_t sizes[LIVE];
};

struct scene {
    const char *name;
    void (*run)(struct task *task);
    uint64_t operations; /* a round */
    bool mixed;          /* objects of many sizes */
    bool threads;        /* it makes its own: instructions of one thread say nothing */
};

static inline void *take(const struct subject *subject, size_t bytes)
{
    void *object = subject->alloc(bytes);
    if (!object) {
        fprintf(stderr, "bench: %s has no memory\n", subject->name);
        exit(1);
    }
    *(uint64_t *)object = bytes;
    return object;
}

static void pair(struct task *task)
{
    const struct subject subject = *task->subject;
    for (uint64_t i = 0; i < task->operations; i++)
        subject.free(take(&subject, FIXED_BYTES));
}

/* The order in which a batch is freed: a permutation of it. */
static uint16_t lifo[BATCH], fifo[BATCH], scattered[BATCH];

static void orders_make(void)
{
    uint64_t dice = 0;
    for (unsigned i = 0; i < BATCH; i++) {
        fifo[i] = scattered[i] = (uint16_t)i;
        lifo[i] = (uint16_t)(BATCH - 1 - i);
    }
    for (unsigned i = BATCH; i > 1; i--) {
        uint64_t other = random_below(&dice, i);
        uint16_t kept = scattered[i - 1];
        scattered[i - 1] = scattered[other];
        scattered[other] = kept;
    }
}

static inline void batch(struct task *task, const uint16_t *order)
{
    const struct subject subject = *task->subject;
    for (uint64_t done = 0; done < task->operations; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++)
            task->objects[i] = take(&subject, FIXED_BYTES);
        for (unsigned i = 0; i < BATCH; i++)
            subject.free(task->objects[order[i]]);
    }
}

static void batch_lifo(struct task *task)
{
    batch(task, lifo);
}

static void batch_fifo(struct task *task)
{
    batch(task, fifo);
}

static void batch_random(struct task *task)
{
    batch(task, scattered);
}

/* 16 bytes to 4 KiB, each power of two as often as the next; one of 64 up to 64 KiB. */
static size_t random_size(struct task *task)
{
    unsigned shift = 4 + (unsigned)random_below(&task->random, 8);
    if (random_below(&task->random, 64) == 0)
        shift += 4;
    return (1ull << shift) + random_below(&task->random, 1ull << shift);
}

static void mixed(struct task *task)
{
    const struct subject subject = *task->subject;
    for (uint64_t i = 0; i < task->operations; i++) {
        uint64_t at = random_below(&task->random, LIVE);
        if (task->objects[at])
            subject.free(task->objects[at]);
        task->objects[at] = take(&subject, random_size(task));
    }
    for (unsigned i = 0; i < LIVE; i++) {
        if (task->objects[i])
            subject.free(task->objects[i]);
        task->objects[i] = NULL;
    }
}

/* One thread allocates, the other frees. */
struct ring {
    const struct subject *subject;
    uint64_t operations;
    _Alignas(64) atomic_ulong written;
    _Alignas(64) atomic_ulong read;
    _Alignas(64) void *objects[RING];
};

static void *consume(void *argument)
{
    struct ring *ring = argument;
    const struct subject subject = *ring->subject;
    subjects_cpu(1);
    for (uint64_t i = 0; i < ring->operations;) {
        uint64_t end = atomic_load_explicit(&ring->written, memory_order_acquire);
        if (i == end)
            sched_yield();
        for (; i < end; i++)
            subject.free(ring->objects[i % RING]);
        atomic_store_explicit(&ring->read, i, memory_order_release);
    }
    return NULL;
}

static void producer_consumer(struct task *task)
{
    static struct ring ring;
    pthread_t consumer;
    ring.subject = task->subject;
    ring.operations = task->operations;
    atomic_store(&ring.written, 0);
    atomic_store(&ring.read, 0);
    if (pthread_create(&consumer, NULL, consume, &ring) != 0)
        abort();
    for (uint64_t i = 0; i < task->operations;) {
        uint64_t end = atomic_load_explicit(&ring.read, memory_order_acquire) + RING;
        end = end < task->operations ? end : task->operations;
        if (i == end)
            sched_yield();
        for (; i < end; i++)
            ring.objects[i % RING] = take(task->subject, FIXED_BYTES);
        atomic_store_explicit(&ring.written, i, memory_order_release);
    }
    pthread_join(consumer, NULL);
}

/* Both threads work on batches of their own at the same time. */
static void *second(void *argument)
{
    struct task task = *(const struct task *)argument;
    subjects_cpu(1);
    batch(&task, scattered);
    return NULL;
}

static void two_threads(struct task *task)
{
    pthread_t other;
    if (pthread_create(&other, NULL, second, task) != 0)
        abort();
    batch(task, scattered);
    pthread_join(other, NULL);
}

static const struct scene scenes[] = {
    {"pair_64", pair, 300000, false, false},
    {"batch_1000_lifo_64", batch_lifo, 300000, false, false},
    {"batch_1000_fifo_64", batch_fifo, 300000, false, false},
    {"batch_1000_random_64", batch_random, 300000, false, false},
    {"mixed_sizes", mixed, 200000, true, false},
    {"two_threads_random_64", two_threads, 300000, false, true},
    {"producer_consumer_64", producer_consumer, 300000, false, true},
};
#define SCENES (sizeof(scenes) / sizeof(scenes[0]))

/* What callgrind counts. */
__attribute__((noinline)) void measured(const struct scene *scene, struct task *task);
void measured(const struct scene *scene, struct task *task)
{
    scene->run(task);
}

static bool plays(const struct scene *scene, const struct subject *subject)
{
    return !(scene->mixed && subject->fixed_only);
}

static void task_make(struct task *task, const struct scene *scene, const struct subject *subject)
{
    memset(task, 0, sizeof(*task));
    task->subject = subject;
    task->operations = scene->operations;
    task->random = 0x9e3779b97f4a7c15ull;
}

static void time_scene(const struct scene *scene, const struct subjects *subjects)
{
    static double samples[sizeof(subjects->of) / sizeof(subjects->of[0])][SAMPLES];
    static struct task task;
    for (unsigned round = 0; round <= SAMPLES; round++) { /* the first warms up */
        for (unsigned i = 0; i < subjects->count; i++) {
            unsigned at = (i + round) % subjects->count;
            if (!plays(scene, &subjects->of[at]))
                continue;
            task_make(&task, scene, &subjects->of[at]);
            double start = now_ns();
            measured(scene, &task);
            if (round)
                samples[at][round - 1] = (now_ns() - start) / (double)scene->operations;
        }
    }
    for (unsigned i = 0; i < subjects->count; i++) {
        if (!plays(scene, &subjects->of[i]))
            continue;
        qsort(samples[i], SAMPLES, sizeof(samples[i][0]), by_value);
        printf("%s ns %s %.1f %.1f %.1f\n", scene->name, subjects->of[i].name,
               samples[i][SAMPLES / 2], samples[i][0], samples[i][SAMPLES - 1]);
    }
    fflush(stdout);
}

static int count_scene(const struct subjects *subjects, const char *name, const char *who)
{
    static struct task task;
    for (unsigned s = 0; s < SCENES; s++) {
        for (unsigned i = 0; i < subjects->count; i++) {
            const struct subject *subject = &subjects->of[i];
            if (strcmp(scenes[s].name, name) != 0 || strcmp(subject->name, who) != 0)
                continue;
            task_make(&task, &scenes[s], subject);
            task.operations /= 10;
            scenes[s].run(&task);
            task.operations = scenes[s].operations / 10;
            measured(&scenes[s], &task);
            printf("%llu\n", (unsigned long long)task.operations);
            subjects_close();
            return 0;
        }
    }
    fprintf(stderr, "bench: no case %s %s\n", name, who);
    return 2;
}

static void list(const struct subjects *subjects)
{
    for (unsigned s = 0; s < SCENES; s++)
        for (unsigned i = 0; i < subjects->count; i++)
            if (!scenes[s].threads && plays(&scenes[s], &subjects->of[i]))
                printf("%s %s\n", scenes[s].name, subjects->of[i].name);
}

int main(int count, char **arguments)
{
    const char *libraries[4][2] = {{"libjemalloc.so.2", "jemalloc"},
                                   {"libmimalloc.so.2", "mimalloc"},
                                   {"libtcmalloc_minimal.so.4", "tcmalloc"}};
    const char *peer = NULL;
    struct subjects subjects;
    if (count >= 3 && strcmp(arguments[1], "--peer") == 0) {
        peer = arguments[2];
        count -= 2;
        arguments += 2;
    }
    orders_make();
    subjects_open(&subjects, libraries);
    if (peer)
        peer_open(&subjects, peer);
    if (count == 4 && strcmp(arguments[1], "--count") == 0)
        return count_scene(&subjects, arguments[2], arguments[3]);
    if (count == 2 && strcmp(arguments[1], "--list") == 0) {
        list(&subjects);
        return 0;
    }
    if (count != 1) {
        fprintf(stderr, "usage: cases [--peer FILE.so] [--list | --count SCENE SUBJECT]\n");
        return 2;
    }
    for (unsigned s = 0; s < SCENES; s++)
        time_scene(&scenes[s], &subjects);
    subjects_close();
    return 0;
}
