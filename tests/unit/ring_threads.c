/*
 * Rings of trace records: one writer and readers at random, alone and as threads.
 *
 * Every record says its own number in each word, so one that was torn, made up or given twice is seen; what a reader is
 * given and what it is told was lost must add up to what was written. It would miss an order of stores that this host's
 * processor never shows; ThreadSanitizer looks at the same threads for races.
 */
#include <lib/random.h>
#include <pthread.h>
#include <qy/ring.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#define READERS 3u
#define WRITES 200000u

static uint64_t random_state = 1;

static void fill(struct qy_trace_record *record, uint64_t number)
{
    *record = (struct qy_trace_record){.number = number,
                                       .time = number * 3,
                                       .cause = ~number,
                                       .cpu = (uint32_t)number,
                                       .event = (uint32_t)(number >> 32)};
    for (unsigned i = 0; i < QY_TRACE_FIELDS; i++)
        record->fields[i] = number + i;
}

static bool is_whole(const struct qy_trace_record *record)
{
    struct qy_trace_record wanted;
    fill(&wanted, record->number);
    return memcmp(&wanted, record, sizeof(wanted)) == 0;
}

/* One reader's account: what it has got and lost, and whether all of it was right. */
struct account {
    uint64_t position, got, lost;
    bool right;
};

static unsigned read_some(const struct qy_ring *ring, struct account *account, unsigned most)
{
    struct qy_trace_record records[64];
    uint64_t before = account->position, lost = 0;
    unsigned count = qy_ring_read(ring, &account->position, records, most, &lost);
    account->got += count;
    account->lost += lost;
    account->right &= account->position == before + count + lost;
    for (unsigned i = 0; i < count; i++)
        account->right &=
            is_whole(&records[i]) && records[i].number == account->position - count + i;
    return count;
}

static void writes_and_reads_at_random(void)
{
    static const uint64_t rooms[] = {0, 1, 103, 104, 208, 900, 8192};
    for (unsigned r = 0; r < sizeof(rooms) / sizeof(rooms[0]); r++) {
        struct qy_ring ring;
        struct account readers[READERS];
        uint64_t written = 0;
        void *memory = aligned_alloc(64, 8192);
        qy_ring_init(&ring, memory, rooms[r]);
        CHECK(ring.capacity * sizeof(struct qy_trace_record) <= rooms[r]);
        for (unsigned i = 0; i < READERS; i++)
            readers[i] = (struct account){.right = true};
        for (unsigned turn = 0; turn < 20000; turn++) {
            for (uint64_t n = random_below(&random_state, 6); n > 0; n--) {
                struct qy_trace_record record;
                fill(&record, written++);
                qy_ring_write(&ring, &record);
            }
            struct account *reader = &readers[random_below(&random_state, READERS)];
            (void)read_some(&ring, reader, (unsigned)random_below(&random_state, 65));
            CHECK(written - reader->position <= ring.capacity || reader->position <= written);
            CHECK_EQ(qy_ring_check(&ring), NULL);
        }
        for (unsigned i = 0; i < READERS; i++) {
            while (readers[i].position < written)
                if (!read_some(&ring, &readers[i], 64) && ring.capacity == 0)
                    break;
            CHECK(readers[i].right);
            CHECK_EQ(readers[i].got + readers[i].lost, readers[i].position);
        }
        free(memory);
    }
}

static void the_validator_sees_damage(void)
{
    struct qy_ring ring;
    struct qy_trace_record record;
    static _Alignas(64) uint64_t memory[4 * QY_RING_WORDS];
    qy_ring_init(&ring, memory, sizeof(memory));
    fill(&record, 0);
    qy_ring_write(&ring, &record);
    CHECK_EQ(qy_ring_check(&ring), NULL);
    ring.begun++;
    CHECK(qy_ring_check(&ring));
    ring.begun--;
    ring.capacity--;
    CHECK(qy_ring_check(&ring));
}

static void what_was_overwritten_is_counted(void)
{
    struct qy_ring ring;
    struct qy_trace_record record, records[64];
    static _Alignas(64) uint64_t memory[8 * QY_RING_WORDS];
    uint64_t position = 0, lost = 0;
    qy_ring_init(&ring, memory, sizeof(memory));
    CHECK_EQ(ring.capacity, 8);
    CHECK_EQ(qy_ring_read(&ring, &position, records, 64, &lost), 0);
    for (uint64_t i = 0; i < 20; i++) {
        fill(&record, i);
        qy_ring_write(&ring, &record);
    }
    CHECK_EQ(qy_ring_read(&ring, &position, records, 3, &lost), 3);
    CHECK_EQ(lost, 12);
    CHECK_EQ(records[0].number, 12);
    CHECK_EQ(position, 15);
    CHECK_EQ(qy_ring_read(&ring, &position, records, 64, &lost), 5);
    CHECK_EQ(lost, 12);
    position = 1000; /* a reader that is ahead of the writer starts with the next */
    CHECK_EQ(qy_ring_read(&ring, &position, records, 64, &lost), 0);
    CHECK_EQ(position, 20);
}

static struct qy_ring shared;
static atomic_bool done;

static void *reader_main(void *context)
{
    struct account *account = context;
    while (!atomic_load(&done))
        (void)read_some(&shared, account, 64);
    while (read_some(&shared, account, 64))
        ;
    return NULL;
}

static void threads_read_while_one_writes(void)
{
    static _Alignas(64) uint64_t memory[16 * QY_RING_WORDS];
    pthread_t threads[READERS];
    struct account accounts[READERS];
    qy_ring_init(&shared, memory, sizeof(memory));
    atomic_store(&done, false);
    for (unsigned i = 0; i < READERS; i++) {
        accounts[i] = (struct account){.right = true};
        CHECK_EQ(pthread_create(&threads[i], NULL, reader_main, &accounts[i]), 0);
    }
    for (uint64_t i = 0; i < WRITES; i++) {
        struct qy_trace_record record;
        fill(&record, i);
        qy_ring_write(&shared, &record);
    }
    atomic_store(&done, true);
    for (unsigned i = 0; i < READERS; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK(accounts[i].right);
        CHECK_EQ(accounts[i].position, WRITES);
        CHECK_EQ(accounts[i].got + accounts[i].lost, WRITES);
    }
}

static const struct test tests[] = {
    {"writes and reads at random", writes_and_reads_at_random},
    {"the validator sees damage", the_validator_sees_damage},
    {"what was overwritten is counted", what_was_overwritten_is_counted},
    {"threads read while one writes", threads_read_while_one_writes},
};

int main(void)
{
    return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
