/*
 * Trace: the filter, the rings, and records as lines of the console. See kernel/trace.h.
 *
 *     trace: 17 at 123456 cause 0:42 cpu 0 thread 7 process 3 untyped 12 page_mapped table=0x81f index=0x40 ...
 *
 * How long a freed frame was held comes from a table of births, a word for each frame that is direct-mapped by the
 * frame's number: where memory is larger than BIRTHS_MAX frames, two may meet in one word, and the earlier one's time
 * is not known (held 0).
 */
#include <arch/arch.h>
#include <kernel/panic.h>
#include <kernel/print.h>
#include <kernel/space.h>
#include <kernel/thread.h>
#include <kernel/trace.h>
#include <lib/string.h>
#include <platform/parse.h>

#define RING_KIB_DEFAULT 64u
#define RING_KIB_MAX 65536u
#define BIRTHS_MAX (1ull << 20)
#define BIRTH_BITS 46u /* of a clock */
#define BIRTH_MASK ((1ull << BIRTH_BITS) - 1)
#define PANIC_EVENTS 32u

_Atomic uint64_t qy_trace_mask;
struct qy_ring *trace_rings;
unsigned trace_ring_count;

static _Atomic uint64_t next_number = 1;
static uint64_t wanted_mask;
static uint64_t ring_bytes; /* of each CPU; 0: nobody asked */
static bool to_console;
static _Atomic uint64_t *births; /* clock, and above it what tells frames of one word apart */
static uint64_t births_mask;

struct event {
    const char *name;
    const char *fields[QY_TRACE_FIELDS + 1];
};

static const struct event events[QY_TRACE_COUNT] = {
#define F(field) #field,
#define T(NAME, bit, name, fields) [bit] = {#name, {fields NULL}},
    QY_TRACE_EVENTS(T)
#undef T
#undef F
};

/* ---- the command line ---- */

static bool contains(const char *text, const char *word, size_t bytes)
{
    for (; strlen(text) >= bytes; text++) {
        if (strncmp(text, word, bytes) == 0)
            return true;
    }
    return false;
}

static bool is(const char *word, size_t bytes, const char *name)
{
    return bytes == strlen(name) && strncmp(word, name, bytes) == 0;
}

/* The events that a word selects. */
static uint64_t select(const char *word, size_t bytes)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < QY_TRACE_COUNT; i++) {
        if (is(word, bytes, "all") || contains(events[i].name, word, bytes))
            mask |= 1ull << i;
    }
    return mask & ~QY_TRACE_SNAPSHOT;
}

static void read_words(const char *words)
{
    for (const char *word = words; *word;) {
        size_t bytes = 0;
        while (word[bytes] && word[bytes] != ',')
            bytes++;
        bool console = is(word, bytes, "console");
        uint64_t mask = bytes && !console ? select(word, bytes) : 0;
        if (bytes && !mask && !console)
            print("trace: no event has \"%.*s\" in its name\n", (int)bytes, word);
        to_console |= console;
        wanted_mask |= mask;
        word += bytes + (word[bytes] == ',');
    }
}

void trace_init(const char *command_line)
{
    char words[128];
    uint64_t kib = 0;
    wanted_mask = 0;
    to_console = false;
    bool asked = qy_option(command_line, "tracing", words, sizeof(words));
    if (qy_option(command_line, "trace", words, sizeof(words))) {
        asked = true;
        read_words(words);
    }
    if (qy_option(command_line, "trace_ring", words, sizeof(words))) {
        for (const char *at = words; *at >= '0' && *at <= '9' && kib <= RING_KIB_MAX; at++)
            kib = kib * 10 + (uint64_t)(*at - '0');
        if (kib == 0 || kib > RING_KIB_MAX)
            print("trace: trace_ring=%s is not 1 to %u KiB\n", words, RING_KIB_MAX);
        kib = kib > RING_KIB_MAX ? 0 : kib;
        asked = true;
    }
    ring_bytes = asked ? (kib ? kib : RING_KIB_DEFAULT) * 1024 : 0;
}

/* ---- making ---- */

static uint64_t births_words(uint64_t frames)
{
    uint64_t words = 1;
    while (words < frames && words < BIRTHS_MAX)
        words *= 2;
    return words;
}

uint64_t trace_bytes(unsigned cpus, uint64_t frames)
{
    if (!ring_bytes)
        return 0;
    return qy_align_up(cpus * sizeof(struct qy_ring), QY_PAGE_BYTES) +
           cpus * qy_align_up(ring_bytes, QY_PAGE_BYTES) +
           qy_align_up(births_words(frames) * sizeof(uint64_t), QY_PAGE_BYTES);
}

void trace_start(struct qy_arena *arena, unsigned cpus, uint64_t frames)
{
    pfn_t first;
    uint64_t bytes = trace_bytes(cpus, frames);
    if (!bytes)
        return;
    enum qy_error error =
        qy_arena_alloc_pages(arena, bytes >> QY_PAGE_SHIFT, QY_FRAME_METADATA, &first);
    if (error != QY_OK)
        kernel_stop("out of memory for %u rings of events (%S together); ask for smaller ones by "
                    "trace_ring=KIB",
                    cpus, bytes);
    uint8_t *at = qy_port_ram(pfn_to_paddr(first));
    memset(at, 0, bytes);
    struct qy_ring *rings = (struct qy_ring *)at;
    at += qy_align_up(cpus * sizeof(struct qy_ring), QY_PAGE_BYTES);
    for (unsigned i = 0; i < cpus; i++, at += qy_align_up(ring_bytes, QY_PAGE_BYTES))
        qy_ring_init(&rings[i], at, ring_bytes);
    births = (_Atomic uint64_t *)at;
    births_mask = births_words(frames) - 1;
    trace_ring_count = cpus;
    trace_rings = rings;
    atomic_store(&qy_trace_mask, wanted_mask);
    print("trace: %u rings of %llu records\n", cpus, (unsigned long long)rings[0].capacity);
}

/* ---- recording ---- */

uint64_t trace_number(void)
{
    return atomic_load(&next_number);
}

static uint64_t birth(uint64_t frame, uint64_t time)
{
    return frame / (births_mask + 1) << BIRTH_BITS | (time & BIRTH_MASK);
}

/* How long the frame that a record is about was held. */
static void note_life(struct qy_trace_record *record)
{
    uint64_t frame = record->fields[0];
    _Atomic uint64_t *word = &births[frame & births_mask];
    if (record->event == QY_TRACE_FRAME_ALLOCATED) {
        atomic_store_explicit(word, birth(frame, record->time), memory_order_relaxed);
    } else {
        uint64_t born = atomic_load_explicit(word, memory_order_relaxed);
        if (born && born >> BIRTH_BITS == birth(frame, 0) >> BIRTH_BITS)
            record->fields[5] = (record->time - born) & BIRTH_MASK;
    }
}

static void print_record(const struct qy_trace_record *record)
{
    const struct event *event = &events[record->event];
    print("trace: %llu at %llu cause %u:%llu cpu %u thread %llu process %llu untyped %llu %s",
          (unsigned long long)record->number, (unsigned long long)record->time,
          (unsigned)(record->cause >> 48), (unsigned long long)(record->cause & 0xffffffffffffull),
          record->cpu, (unsigned long long)record->thread, (unsigned long long)record->process,
          (unsigned long long)record->untyped, event->name);
    for (unsigned i = 0; event->fields[i]; i++)
        print(" %s=0x%llx", event->fields[i], (unsigned long long)record->fields[i]);
    print("\n");
}

void qy_trace_write(enum qy_trace_event event, uint64_t untyped,
                    const uint64_t fields[QY_TRACE_FIELDS])
{
    const struct cpu *cpu = cpu_this();
    const struct space *space = cpu_space(cpu);
    if (!trace_rings)
        return;
    struct qy_trace_record record = {
        .number = atomic_fetch_add_explicit(&next_number, 1, memory_order_relaxed),
        .time = arch_clock(),
        .cause = cpu->cause,
        .thread = cpu->current ? cpu->current->object.id : 0,
        .process = space ? space->object.id : 0,
        .untyped = untyped,
        .cpu = cpu->index,
        .event = event};
    memcpy(record.fields, fields, sizeof(record.fields));
    if (event == QY_TRACE_FRAME_ALLOCATED || event == QY_TRACE_FRAME_FREED)
        note_life(&record);
    qy_ring_write(&trace_rings[cpu->index], &record);
    if (to_console)
        print_record(&record);
}

void qy_trace_entry(const _Atomic uint64_t *slot, uint64_t before, uint64_t entry)
{
    qy_vm_trace_entry(&kernel_vm, slot, before, entry);
}

/* ---- after a panic ---- */

/* The newest record of any ring that is older than `below`; false: there is none. */
static bool newest_below(uint64_t below, struct qy_trace_record *out)
{
    struct qy_trace_record record;
    bool found = false;
    for (unsigned i = 0; i < trace_ring_count; i++) {
        const struct qy_ring *ring = &trace_rings[i];
        uint64_t at = atomic_load(&ring->written), lost = 0;
        for (uint64_t back = 1; back <= ring->capacity && back <= at; back++) {
            uint64_t position = at - back;
            if (qy_ring_read(ring, &position, &record, 1, &lost) == 0)
                break;
            if (record.number < below) {
                if (!found || record.number > out->number)
                    *out = record;
                found = true;
                break;
            }
        }
    }
    return found;
}

void trace_print_last(void)
{
    static struct qy_trace_record last[PANIC_EVENTS];
    uint64_t from = UINT64_MAX;
    unsigned there = 0;
    if (!trace_rings)
        return;
    atomic_store(&qy_trace_mask, 0);
    for (; there < PANIC_EVENTS && newest_below(from, &last[there]); there++)
        from = last[there].number;
    if (there)
        print("  the last %u events\n", there);
    while (there > 0)
        print_record(&last[--there]);
}
