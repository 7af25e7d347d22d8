/*
 * Events of the machine, streamed to a disk (word `tracing`).
 *
 *     rings --trace_read--> chunk in a buffer --block_call--> driver --> disk      one thread, one CPU, all rings
 *
 *     begin: table, snapshot ... records while others work ... end: snapshot, rest, end mark
 *
 * All that it needs is made before the first snapshot, so that between begin and end of a snapshot nothing of the
 * machine's memory changes by it. It sleeps when the rings have nothing; what they lose because it is too slow is
 * counted in the chunks (and a larger trace_ring= helps).
 */
#include "drive.h"
#include <lib/format.h>
#include <lib/string.h>
#include <quarry/trace.h>
#include <stdatomic.h>
#include <user/slots.h>

#define AT (ROOT_CHILD_ADDRESS + 0x30000000)
#define STACK (AT + 0x800000)
#define CLIENT_PAGES 64u
#define BUFFER_PAGES 16u
#define BUFFER_BYTES (BUFFER_PAGES * PAGE_BYTES)
#define CPUS_MAX 512u
#define SLOTS 64u
#define PAUSE_NS 2000000u
#define STEPS_A_TURN 8u /* of a snapshot, between two looks at the rings */

static char *const buffer = (char *)AT;
static struct qy_trace_chunk *const chunk = (struct qy_trace_chunk *)AT;

static struct {
    struct drive drive;
    qy_handle_t frame; /* the buffer */
    struct block_info info;
    struct child thread;
    qy_handle_t timer, pause, told; /* what the thread sleeps by; what it says to the root task */
    uint64_t sector, records, lost, number;
    uint64_t position[CPUS_MAX];
    atomic_bool stop;
    bool runs, is_full;
} tracing;

/* ---- chunks ---- */

static enum qy_error request(enum block_label label, uint64_t sector, uint64_t bytes)
{
    return block_call(tracing.drive.given[BLOCK_ENDPOINT], label, tracing.frame, sector, 0, bytes);
}

static void chunk_begin(enum qy_trace_chunk_kind kind, uint64_t cpu)
{
    *chunk = (struct qy_trace_chunk){
        .magic = QY_TRACE_MAGIC, .kind = kind, .cpu = (uint32_t)cpu, .number = tracing.number};
}

/* A disk that is full, or fails, ends the trace: what is on it is good. */
static void chunk_end(void)
{
    uint64_t bytes = sizeof(*chunk) + chunk->bytes;
    uint64_t whole = (bytes + VIRTIO_SECTOR - 1) / VIRTIO_SECTOR * VIRTIO_SECTOR;
    uint64_t sectors = whole / VIRTIO_SECTOR;
    memset(buffer + bytes, 0, whole - bytes);
    if (tracing.is_full || sectors > tracing.info.sectors - tracing.sector ||
        request(BLOCK_WRITE, tracing.sector, whole) != QY_OK) {
        tracing.is_full = true;
        return;
    }
    tracing.sector += sectors;
}

static void line(const char *kind, uint64_t number, const char *name, const char *fields)
{
    size_t room = BUFFER_BYTES - sizeof(*chunk) - chunk->bytes;
    int length = format_to(buffer + sizeof(*chunk) + chunk->bytes, room, "%s %llu %s%s\n", kind,
                           (unsigned long long)number, name, fields);
    if (length > 0 && (size_t)length < room)
        chunk->bytes += (uint64_t)length;
}

/* What the numbers in records mean: whoever reads the file needs nothing else. */
static void write_table(const struct qy_root_info *info)
{
    chunk_begin(QY_TRACE_CHUNK_TABLE, 0);
    line("machine", info->cpus, info->machine, "");
    line("clock", info->clock_hz, "ticks a second", "");
#define F(field) " " #field
#define T(NAME, bit, name, fields) line("event", bit, #name, fields);
    QY_TRACE_EVENTS(T)
#undef T
#undef F
#define X(number, name, type, rights, arguments, results) line("call", number, #name, "");
    QY_INVOCATIONS(X)
#undef X
#define X(name, value, sentence) line("error", value, #name, "");
    QY_ERRORS(X)
#undef X
#define X(NAME, value, name, retype) line("object", value, name, "");
    QY_OBJECTS(X)
#undef X
    chunk_end();
}

/* ---- records ---- */

/* What the ring of a CPU has, a buffer of it at most; whether that was all. (Reading is an event, too.) */
static bool pump_ring(uint64_t cpu)
{
    const uint64_t room = BUFFER_BYTES - sizeof(*chunk);
    uint64_t most;
    struct trace_progress progress;
    chunk_begin(QY_TRACE_CHUNK_RECORDS, cpu);
    do {
        most = (room - chunk->bytes) / sizeof(struct qy_trace_record);
        most = most < QY_TRACE_READ_MAX ? most : QY_TRACE_READ_MAX;
        if (trace_read(QY_SLOT_SYSTEM, cpu, tracing.position[cpu],
                       buffer + sizeof(*chunk) + chunk->bytes, room - chunk->bytes,
                       &progress) != QY_OK)
            return true;
        tracing.position[cpu] = progress.position;
        tracing.records += progress.records;
        tracing.lost += progress.lost;
        tracing.number = chunk->number = progress.number;
        chunk->lost += progress.lost;
        chunk->bytes += progress.records * sizeof(struct qy_trace_record);
    } while (progress.records == most && most);
    if (chunk->bytes || chunk->lost)
        chunk_end();
    return progress.records < most;
}

static void pump(void)
{
    for (uint64_t cpu = 0; cpu < tracing.drive.root->info->cpus; cpu++)
        while (!pump_ring(cpu))
            ;
}

/* ---- snapshots ---- */

static bool frames_step(uint64_t at[2])
{
    struct call_result r = system_trace(QY_SLOT_SYSTEM, QY_TRACE_ACTION_FRAMES, at[0], 0);
    at[0] = r.value[1];
    return r.error == QY_OK && at[0] != 0;
}

static bool entries_step(uint64_t at[2])
{
    struct call_result r = system_trace(QY_SLOT_SYSTEM, QY_TRACE_ACTION_ENTRIES, at[0], at[1]);
    at[0] = r.value[1];
    at[1] = r.value[2];
    return r.error == QY_OK && at[0] != 0;
}

static void walk(bool (*step)(uint64_t at[2]))
{
    uint64_t at[2] = {0};
    bool more = true;
    while (more) {
        for (unsigned i = 0; i < STEPS_A_TURN && more; i++)
            more = step(at);
        pump();
    }
}

static void snapshot(void)
{
    pump();
    chunk_begin(QY_TRACE_CHUNK_SNAPSHOT, 0);
    chunk_end();
    walk(frames_step);
    walk(entries_step);
    chunk_begin(QY_TRACE_CHUNK_TAKEN, 0);
    chunk_end();
}

/* ---- the thread ---- */

static void tell(void)
{
    if (notification_signal(tracing.told) != QY_OK)
        tracing.is_full = true;
}

static void stream(void *unused)
{
    uint64_t word;
    (void)unused;
    snapshot();
    tell();
    while (!atomic_load(&tracing.stop)) {
        pump();
        if (timer_set(tracing.timer, tracing.pause, PAUSE_NS, 0) == QY_OK &&
            notification_wait(tracing.pause, &word) != QY_OK)
            yield();
    }
    snapshot();
    pump();
    chunk_begin(QY_TRACE_CHUNK_END, 0);
    chunk_end();
    if (request(BLOCK_FLUSH, 0, 0) != QY_OK)
        tracing.is_full = true;
    tell();
    thread_exit(0);
}

/* Memory for all this, and the buffer. */
static enum qy_error client_make(struct drive *drive)
{
    enum qy_error error =
        slot_make(drive->root->untyped, QY_OBJ_UNTYPED, CLIENT_PAGES, &drive->memory);
    if (error == QY_OK)
        error = slot_make(drive->memory, QY_OBJ_FRAME, BUFFER_PAGES, &tracing.frame);
    return error == QY_OK ? drive_map(drive->memory, tracing.frame, AT, 0) : error;
}

/* The first disk that begins with the magic, driven; NOT_FOUND: there is none. */
static enum qy_error disk_find(void)
{
    struct drive *drive = &tracing.drive;
    enum qy_error error = client_make(drive);
    for (unsigned n = 0; error == QY_OK; n++) {
        error = bus_find(drive->root, drive->memory, n, &drive->place);
        if (error == QY_OK)
            error = drive_start(drive);
        if (error == QY_OK)
            error = request(BLOCK_READ, 0, VIRTIO_SECTOR);
        if (error != QY_OK || memcmp(buffer, QY_TRACE_DISK, sizeof(QY_TRACE_DISK) - 1) == 0)
            break;
        error = process_destroy(&drive->process);
    }
    return error == QY_OK ? block_info(drive->given[BLOCK_ENDPOINT], &tracing.info) : error;
}

static enum qy_error prepare(struct root *root)
{
    slots_begin(root->next_slot, SLOTS);
    enum qy_error error = disk_find();
    root->next_slot += SLOTS;
    const qy_handle_t memory = tracing.drive.memory;
    if (error == QY_OK)
        error = root_make(root, memory, QY_OBJ_TIMER, 1, &tracing.timer);
    if (error == QY_OK)
        error = root_make(root, memory, QY_OBJ_NOTIFICATION, 1, &tracing.pause);
    if (error == QY_OK)
        error = root_make(root, memory, QY_OBJ_NOTIFICATION, 1, &tracing.told);
    if (error == QY_OK)
        error = child_make(root, memory, STACK, &tracing.thread);
    return error;
}

void tracing_begin(struct root *root)
{
    uint64_t word;
    tracing.drive.root = root;
    tracing.sector = 1;
    enum qy_error error = root->info->cpus <= CPUS_MAX ? prepare(root) : QY_TOO_MANY;
    if (error != QY_OK)
        print("tracing: no disk that begins with \"" QY_TRACE_DISK "\": %s\n",
              qy_error_name(error));
    if (!root_check(root, error == QY_OK, "there is no disk for the trace that can be used"))
        return;
    write_table(root->info);
    struct call_result r =
        system_trace(QY_SLOT_SYSTEM, QY_TRACE_ACTION_FILTER, (1ull << QY_TRACE_COUNT) - 1, 0);
    error = r.error;
    if (error == QY_OK)
        error = child_start(&tracing.thread, stream, NULL, root->info->cpus - 1);
    if (error == QY_OK)
        error = notification_wait(tracing.told, &word);
    tracing.runs = root_check(root, error == QY_OK, "the trace cannot be streamed");
}

void tracing_end(void)
{
    uint64_t word;
    if (!tracing.runs)
        return;
    tracing.runs = false;
    atomic_store(&tracing.stop, true);
    enum qy_error error = notification_wait(tracing.told, &word);
    print("tracing: %llu events, %llu lost, %llu KiB on the disk%s\n",
          (unsigned long long)tracing.records, (unsigned long long)tracing.lost,
          (unsigned long long)tracing.sector / 2,
          error != QY_OK || tracing.is_full ? "; it is NOT complete" : "");
}
