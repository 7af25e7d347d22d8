/*
 * A key-value store in shared memory: several processes, one memory object, no server.
 *
 *     this process   makes the object, starts the writers, then a reader, and compares
 *     writer N       rw-   puts keys of its own, and adds to counters that all of them add to
 *     reader         r--   finds every key; writing is a fault, by its rights
 *
 *     object:  | bucket | bucket | ...    a bucket: a lock, and entries of (key, value); open addressing by buckets
 *
 * Invariants: STORE-ONCE (a key stands in one entry), STORE-LOCK (an entry of a bucket changes under its lock; the value
 * of a key that is there is one atomic word). Who waits for a lock lets others run. Failure: put says that it is full.
 */
#include <lib/format.h>
#include <lib/random.h>
#include <lib/string.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <user/print.h>
#include <user/process.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>

#define WRITERS 4u
#define KEYS 2000u /* of each writer */
#define COUNTERS 16u
#define ENTRIES 15u
#define STORE_PAGES 64u
#define PLACE 0x500000000000ull

struct entry {
    _Atomic uint64_t key, value; /* key 0: free */
};

struct bucket {
    atomic_uint lock;
    uint32_t unused[3];
    struct entry entry[ENTRIES];
};

#define BUCKETS (STORE_PAGES * PAGE_BYTES / sizeof(struct bucket))

static struct bucket *const store = (struct bucket *)PLACE;

static uint64_t hash(uint64_t key)
{
    return random_next(&key);
}

/* The entry of a key in its bucket or those behind it; null: it is not there. */
static struct entry *find(uint64_t key)
{
    uint64_t first = hash(key);

    for (uint64_t i = 0; i < BUCKETS; i++) {
        struct bucket *bucket = &store[(first + i) % BUCKETS];
        for (unsigned k = 0; k < ENTRIES; k++) {
            uint64_t there = atomic_load(&bucket->entry[k].key);
            if (there == key)
                return &bucket->entry[k];
            if (!there) /* nothing is ever taken out, so what comes behind is free, too */
                return NULL;
        }
    }
    return NULL;
}

static void lock(struct bucket *bucket)
{
    while (atomic_exchange_explicit(&bucket->lock, 1, memory_order_acquire))
        yield();
}

/* Add to a key's value; a new key begins with 0. The locks are those on its way, one after another. */
static bool add(uint64_t key, uint64_t amount)
{
    uint64_t first = hash(key);

    for (uint64_t i = 0; i < BUCKETS; i++) {
        struct bucket *bucket = &store[(first + i) % BUCKETS];
        struct entry *entry = NULL;
        lock(bucket);
        for (unsigned k = 0; k < ENTRIES && !entry; k++) {
            uint64_t there = atomic_load(&bucket->entry[k].key);
            if (there != key && there)
                continue;
            entry = &bucket->entry[k];
            atomic_fetch_add(&entry->value, amount);
            atomic_store(&entry->key, key);
        }
        atomic_store_explicit(&bucket->lock, 0, memory_order_release);
        if (entry)
            return true;
    }
    return false;
}

static uint64_t own_key(unsigned writer, unsigned i)
{
    return COUNTERS + 1 + (uint64_t)writer * KEYS + i;
}

static int write_keys(unsigned writer)
{
    for (unsigned i = 0; i < KEYS; i++)
        if (!add(own_key(writer, i), own_key(writer, i) * 3) || !add(1 + i % COUNTERS, 1))
            return 1;
    return 0;
}

/* Every key with its value. Then it writes, which must end it. */
static int read_keys(void)
{
    for (unsigned writer = 0; writer < WRITERS; writer++)
        for (unsigned i = 0; i < KEYS; i++) {
            const struct entry *entry = find(own_key(writer, i));
            if (!entry || atomic_load(&entry->value) != own_key(writer, i) * 3)
                return 1;
        }
    for (unsigned i = 0; i < COUNTERS; i++) {
        const struct entry *entry = find(1 + i);
        if (!entry || atomic_load(&entry->value) != WRITERS * KEYS / COUNTERS)
            return 2;
    }
    print("store: the reader found %u keys, and %u counters at %u\n", WRITERS * KEYS, COUNTERS,
          WRITERS * KEYS / COUNTERS);
    print_flush();
    (void)add(1, 1);
    return 3;
}

static enum qy_error map_store(qy_handle_t object, uint64_t rights)
{
    uint64_t at = PLACE;

    return space_map_object(QY_SLOT_SPACE, &at, STORE_PAGES * PAGE_BYTES,
                            rights | QY_REGION(QY_REGION_MAPPED), object, 0);
}

/* What the processes that this program starts do: writers by their number, then the reader. */
static int work(unsigned number)
{
    uint64_t rights = number < WRITERS ? QY_MAP_READ | QY_MAP_WRITE : QY_MAP_READ;

    /* More than it was given, it cannot get. */
    if (number == WRITERS && map_store(PROGRAM_GIVEN(0), rights | QY_MAP_WRITE) != QY_NO_RIGHTS)
        return 4;
    if (map_store(PROGRAM_GIVEN(0), rights) != QY_OK)
        return 5;
    return number < WRITERS ? write_keys(number) : read_keys();
}

static enum qy_error start(struct process *process, qy_handle_t object, qy_handle_t endpoint,
                           unsigned number)
{
    const char digit[] = {(char)('0' + number), 0};
    const char *const argv[] = {"store", digit, NULL};
    const char *why;
    enum qy_error error = process_spawn(argv, 256, endpoint, number + 1, process, &why);

    if (error == QY_OK)
        error = process_give(process, 0, object,
                             number < WRITERS ? QY_RIGHT_READ | QY_RIGHT_WRITE : QY_RIGHT_READ, 0);
    return error == QY_OK ? process_start(process, QY_CPU_ANY) : error;
}

/* Start [from, to), hear all their ends, take back what they had. Returns how many ended with 0, or by a fault. */
static unsigned run(qy_handle_t object, qy_handle_t endpoint, unsigned from, unsigned to,
                    unsigned *faults)
{
    struct process processes[WRITERS + 1] = {0};
    struct process_event event;
    unsigned started = 0, well = 0;

    while (from + started < to &&
           start(&processes[started], object, endpoint, from + started) == QY_OK)
        started++;
    for (unsigned i = 0; i < started && process_wait(endpoint, 0, &event) == QY_OK; i++) {
        well += event.news == PROCESS_EXITED && event.code == 0;
        *faults += event.news == PROCESS_FAULTED && event.fault.access == QY_ACCESS_WRITE;
    }
    for (unsigned i = 0; i < sizeof(processes) / sizeof(processes[0]); i++)
        if (process_destroy(&processes[i]) != QY_OK)
            well = 0;
    return well;
}

int main(int argc, char *argv[])
{
    qy_handle_t object, endpoint;
    unsigned faults = 0;

    if (argc > 1)
        return work((unsigned)(argv[1][0] - '0'));
    if (slot_make(QY_SLOT_UNTYPED, QY_OBJ_MEMORY, STORE_PAGES, &object) != QY_OK ||
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &endpoint) != QY_OK)
        return 6;
    unsigned wrote = run(object, endpoint, 0, WRITERS, &faults);
    unsigned read = run(object, endpoint, WRITERS, WRITERS + 1, &faults);
    print("store: %u of %u writers done; the reader %s\n", wrote, WRITERS,
          faults == 1 && read == 0 ? "may not write: a fault" : "did NOT end by a fault");
    return wrote == WRITERS && read == 0 && faults == 1 ? 0 : 7;
}
