/*
 * Threads and memory: workers on all CPUs share one heap and one queue.
 *
 * Each worker takes numbers from a queue, keeps a block of memory for each as large as the number says, checks them and
 * frees them. A number is taken once, so the sum of what the workers took is the sum of what was put in.
 */
#include <user/malloc.h>
#include <user/print.h>
#include <user/program.h>
#include <user/thread.h>

#define WORKERS 4u
#define NUMBERS 300u
#define QUEUE 32u
#define KEPT 16u

static struct {
    struct mutex mutex;
    struct condition filled, emptied;
    uint64_t numbers[QUEUE];
    unsigned first, count;
} queue;

static void put(uint64_t number)
{
    mutex_lock(&queue.mutex);
    while (queue.count == QUEUE)
        condition_wait(&queue.emptied, &queue.mutex);
    queue.numbers[(queue.first + queue.count++) % QUEUE] = number;
    condition_signal(&queue.filled);
    mutex_unlock(&queue.mutex);
}

static uint64_t get(void)
{
    mutex_lock(&queue.mutex);
    while (!queue.count)
        condition_wait(&queue.filled, &queue.mutex);
    uint64_t number = queue.numbers[queue.first];
    queue.first = (queue.first + 1) % QUEUE;
    queue.count--;
    condition_signal(&queue.emptied);
    mutex_unlock(&queue.mutex);
    return number;
}

/* Check and free a block, whose first and last word say how many it has; make another of so many bytes (0: none). */
static bool replace(uint64_t **kept, uint64_t bytes)
{
    uint64_t words = bytes / sizeof(**kept);
    bool whole = !*kept || (*kept)[(*kept)[0] - 1] == (*kept)[0];
    free(*kept);
    *kept = words ? malloc(bytes) : NULL;
    if (*kept)
        (*kept)[0] = (*kept)[words - 1] = words;
    return whole && (*kept || !words);
}

/* Numbers until 0 comes; their sum, or 0 if a block was not what it should be. */
static uint64_t work(void *argument)
{
    uint64_t *kept[KEPT] = {NULL};
    uint64_t number, sum = 0;
    bool good = true;

    (void)argument;
    for (unsigned i = 0; (number = get()) != 0; i++, sum += number)
        good &= replace(&kept[i % KEPT], number);
    for (unsigned i = 0; i < KEPT; i++)
        good &= replace(&kept[i], 0);
    return good ? sum : 0;
}

int main(int argc, char *argv[])
{
    static struct thread workers[WORKERS];
    uint64_t put_in = 0, taken = 0, sum;

    (void)argc, (void)argv;
    if (mutex_make(&queue.mutex) || condition_make(&queue.filled) || condition_make(&queue.emptied))
        return 1;
    for (unsigned i = 0; i < WORKERS; i++)
        if (thread_create(&workers[i], work, NULL, i % program->cpus, 0, 0) != QY_OK)
            return 2;
    for (uint64_t i = 1, number; i <= NUMBERS; i++, put_in += number)
        put(number = (i * 7919 % 2500 + 1) * sizeof(number));
    for (unsigned i = 0; i < WORKERS; i++)
        put(0);
    for (unsigned i = 0; i < WORKERS; i++) {
        if (thread_join(&workers[i], &sum) != QY_OK)
            return 3;
        taken += sum;
    }
    struct heap heap = malloc_state();
    const char *broken = malloc_check();
    print("threads: %u workers took %lu of %lu bytes; %lu blocks are left, %s\n", WORKERS, taken,
          put_in, heap.live_blocks, broken ? broken : "heap whole");
    return taken == put_in && !heap.live_blocks && !broken ? 0 : 4;
}
