/*
 * Sorts a file that is larger than the machine's memory, through maps of it.
 *
 *     sort [MIB]       makes disk/numbers of so many MiB, 24 if it is not said, and sorts it into disk/sorted
 *
 *     numbers   | run | run | run | ...      each sorted in place, through the map: a run fits the server's memory
 *                  \     |     /             then all are read side by side, the smallest first (a heap of runs)
 *     sorted    | ...                        written through its map, one page behind the other
 *
 * The file server brings pages that are touched and takes them away when its memory is full, so neither file is ever in
 * memory as a whole. In the end `sorted` is read once more: its order, and that it has the numbers that were made, by their
 * count, sum and mixed sum. Needs a disk with the file server's FAT32. Codes: 0 right, 1 no server, 2 an error of it, 3 wrong.
 */
#include "../files/client.h"

#include <lib/string.h>
#include <user/print.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>

#define MIB (1ull << 20)
#define MIB_MAX 2048u
#define RUN_BYTES (2 * MIB)
#define RUN_KEYS (RUN_BYTES / sizeof(uint64_t))
#define RUNS_MAX (MIB_MAX * MIB / RUN_BYTES)
#define BUFFER 0x0000320000000000ull
#define INSERT_BELOW 16u

struct sums {
    uint64_t sum, mixed;
};

static const struct files_client client = {PROGRAM_FILES, (char *)BUFFER};

/* Keys of a run that have not been merged yet. */
struct run {
    volatile uint64_t *at, *end;
};

static void add(struct sums *sums, uint64_t key)
{
    uint64_t mixed = (key ^ key >> 31) * 0x9e3779b97f4a7c15ull;
    sums->sum += key;
    sums->mixed += mixed ^ mixed >> 29;
}

/* ---- a run, in place ---- */

static void swap(volatile uint64_t *a, volatile uint64_t *b)
{
    uint64_t was = *a;
    *a = *b;
    *b = was;
}

static void insert(volatile uint64_t *keys, uint64_t count)
{
    for (uint64_t i = 1; i < count; i++) {
        uint64_t key = keys[i], to = i;
        for (; to && keys[to - 1] > key; to--)
            keys[to] = keys[to - 1];
        keys[to] = key;
    }
}

/* C. A. R. Hoare's, the middle of three as pivot; the smaller part first, so that it nests log2(count) deep. */
static void sort(volatile uint64_t *keys, uint64_t count)
{
    while (count > INSERT_BELOW) {
        volatile uint64_t *middle = keys + count / 2, *last = keys + count - 1;
        if (*middle < *keys)
            swap(middle, keys);
        if (*last < *keys)
            swap(last, keys);
        if (*last < *middle)
            swap(last, middle);
        const uint64_t pivot = *middle;
        uint64_t low = 0, high = count - 1;
        for (;;) {
            while (keys[low] < pivot)
                low++;
            while (keys[high] > pivot)
                high--;
            if (low >= high)
                break;
            swap(&keys[low++], &keys[high--]);
        }
        uint64_t left = high + 1;
        if (left <= count - left) {
            sort(keys, left);
            keys += left;
            count -= left;
        } else {
            sort(keys + left, count - left);
            count = left;
        }
    }
    insert(keys, count);
}

/* ---- all runs, side by side ---- */

/* heap[at] may be larger than those below it: it sinks. */
static void sink(struct run *heap, uint64_t count, uint64_t at)
{
    const struct run run = heap[at];
    for (uint64_t below; (below = 2 * at + 1) < count; at = below) {
        if (below + 1 < count && *heap[below + 1].at < *heap[below].at)
            below++;
        if (*run.at <= *heap[below].at)
            break;
        heap[at] = heap[below];
    }
    heap[at] = run;
}

static void merge(volatile uint64_t *keys, uint64_t count, volatile uint64_t *out)
{
    static struct run heap[RUNS_MAX];
    uint64_t runs = 0;
    for (uint64_t first = 0; first < count; first += RUN_KEYS)
        heap[runs++] = (struct run){keys + first,
                                    keys + (first + RUN_KEYS < count ? first + RUN_KEYS : count)};
    for (uint64_t i = runs / 2; i-- > 0;)
        sink(heap, runs, i);
    while (runs) {
        *out++ = *heap[0].at++;
        if (heap[0].at == heap[0].end)
            heap[0] = heap[--runs];
        sink(heap, runs ? runs : 1, 0);
    }
}

/* ---- files ---- */

/* A new file of so many bytes, mapped. Null: the server's error is said. */
static volatile uint64_t *make(const char *path, uint64_t bytes, uint64_t *file)
{
    uint64_t had;
    enum file_error error = files_by_path(&client, FILES_REMOVE, 0, path, "", NULL);
    if (error == FILE_OK || error == FILE_NOT_FOUND)
        error = files_open(&client, path, true, file, &had);
    if (error == FILE_OK)
        error = files_call(client.server, FILES_RESIZE, *file, bytes, 0, NULL);
    volatile uint64_t *at =
        error == FILE_OK ? files_map(&client, *file, bytes / PAGE_BYTES, true, true) : NULL;
    if (!at)
        print("sort: %s: %s\n", path,
              error == FILE_OK ? "it cannot be mapped" : file_error_sentence(error));
    return at;
}

static enum file_error synced(void)
{
    enum file_error error = files_call(client.server, FILES_SYNC, 0, 0, 0, NULL);
    if (error != FILE_OK)
        print("sort: the disk: %s\n", file_error_sentence(error));
    return error;
}

static uint64_t mebibytes(int argc, char *argv[])
{
    uint64_t number = 0;
    if (argc < 2)
        return 24;
    for (const char *digit = argv[1]; *digit; digit++)
        number = *digit >= '0' && *digit <= '9' && number <= MIB_MAX
                     ? 10 * number + (uint64_t)(*digit - '0')
                     : MIB_MAX + 1;
    return number;
}

static bool verify(volatile uint64_t *keys, uint64_t count, const struct sums *made)
{
    struct sums found = {0};
    uint64_t before = 0, wrong = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t key = keys[i];
        wrong += key < before;
        before = key;
        add(&found, key);
    }
    bool same = found.sum == made->sum && found.mixed == made->mixed;
    print("sort: read once more: %llu of %llu out of order, sums %s\n", (unsigned long long)wrong,
          (unsigned long long)count, same ? "as made" : "WRONG");
    return !wrong && same;
}

int main(int argc, char *argv[])
{
    const uint64_t size = mebibytes(argc, argv), bytes = size * MIB,
                   count = bytes / sizeof(uint64_t);
    uint64_t numbers, result, state = 1;
    struct sums made = {0};
    if (!size || size > MIB_MAX) {
        print("sort [MIB]: 1 to %u\n", MIB_MAX);
        return 2;
    }
    if (!files_attach(&client)) {
        print("sort: there is no file server: it needs a disk with its FAT32\n");
        return 1;
    }
    volatile uint64_t *keys = make("disk/numbers", bytes, &numbers);
    if (!keys)
        return 2;
    for (uint64_t i = 0; i < count; i++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        keys[i] = state ^ state >> 33;
        add(&made, keys[i]);
    }
    print("sort: %llu MiB of numbers, in runs of %llu MiB\n", (unsigned long long)size,
          (unsigned long long)(RUN_BYTES / MIB));
    for (uint64_t first = 0; first < count; first += RUN_KEYS)
        sort(keys + first, count - first < RUN_KEYS ? count - first : RUN_KEYS);
    if (synced() != FILE_OK)
        return 2;
    volatile uint64_t *out = make("disk/sorted", bytes, &result);
    if (!out)
        return 2;
    merge(keys, count, out);
    bool right = synced() == FILE_OK && verify(out, count, &made);
    enum file_error error = files_call(client.server, FILES_CLOSE, numbers, 0, 0, NULL);
    if (error == FILE_OK)
        error = files_call(client.server, FILES_CLOSE, result, 0, 0, NULL);
    if (error == FILE_OK)
        error = files_by_path(&client, FILES_REMOVE, 0, "disk/numbers", "", NULL);
    if (error == FILE_OK)
        error = synced();
    return error != FILE_OK ? 2 : right ? 0 : 3;
}
