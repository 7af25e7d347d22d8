/*
 * Rings of trace records. See qy/ring.h.
 *
 * Fences: the writer's store of `begun` comes before its words, which the release fence orders; the reader's words
 * come before its second look at `begun`, which the acquire fence orders. So whoever has read a word of record p sees
 * begun > p, and knows that the slot's old record is gone.
 */
#include <qy/ring.h>

#include <lib/string.h>

_Static_assert(sizeof(struct qy_trace_record) % sizeof(uint64_t) == 0, "a record is whole words");

void qy_ring_init(struct qy_ring *ring, void *memory, uint64_t bytes)
{
    uint64_t fit = bytes / sizeof(struct qy_trace_record);
    memset(ring, 0, sizeof(*ring));
    ring->capacity = fit ? 1ull << (63 - (unsigned)__builtin_clzll(fit)) : 0;
    ring->words = memory;
}

static _Atomic uint64_t *slot(const struct qy_ring *ring, uint64_t position)
{
    return ring->words + (position & (ring->capacity - 1)) * QY_RING_WORDS;
}

void qy_ring_write(struct qy_ring *ring, const struct qy_trace_record *record)
{
    uint64_t words[QY_RING_WORDS];
    uint64_t at = atomic_load_explicit(&ring->begun, memory_order_relaxed);
    atomic_store_explicit(&ring->begun, at + 1, memory_order_relaxed);
    if (ring->capacity) {
        _Atomic uint64_t *to = slot(ring, at);
        memcpy(words, record, sizeof(words));
        atomic_thread_fence(memory_order_release);
        for (unsigned i = 0; i < QY_RING_WORDS; i++)
            atomic_store_explicit(&to[i], words[i], memory_order_relaxed);
    }
    atomic_store_explicit(&ring->written, at + 1, memory_order_release);
}

/* The oldest record that the writer has not begun to overwrite. */
static uint64_t oldest(const struct qy_ring *ring)
{
    uint64_t begun = atomic_load_explicit(&ring->begun, memory_order_relaxed);
    return begun > ring->capacity ? begun - ring->capacity : 0;
}

static uint64_t skip_to(uint64_t from, uint64_t to, uint64_t *lost)
{
    if (to > from)
        *lost += to - from;
    return to > from ? to : from;
}

unsigned qy_ring_read(const struct qy_ring *ring, uint64_t *position, struct qy_trace_record *out,
                      unsigned most, uint64_t *lost)
{
    uint64_t written = atomic_load_explicit(&ring->written, memory_order_acquire);
    uint64_t from = *position < written ? skip_to(*position, oldest(ring), lost) : written;
    uint64_t end = from < written && written - from > most ? from + most : written;
    if (from >= end) { /* all of it is gone already, or nothing is new */
        *position = from;
        return 0;
    }
    for (uint64_t at = from; at < end; at++) {
        uint64_t words[QY_RING_WORDS];
        const _Atomic uint64_t *of = slot(ring, at);
        for (unsigned i = 0; i < QY_RING_WORDS; i++)
            words[i] = atomic_load_explicit(&of[i], memory_order_relaxed);
        memcpy(&out[at - from], words, sizeof(words));
    }
    atomic_thread_fence(memory_order_acquire);
    uint64_t whole = skip_to(from, oldest(ring), lost);
    *position = whole > end ? whole : end;
    if (whole >= end)
        return 0;
    memmove(out, &out[whole - from], (end - whole) * sizeof(*out));
    return (unsigned)(end - whole);
}

const char *qy_ring_check(const struct qy_ring *ring)
{
    uint64_t begun = atomic_load_explicit(&ring->begun, memory_order_relaxed);
    bool power = (ring->capacity & (ring->capacity - 1)) == 0;
    return power && atomic_load_explicit(&ring->written, memory_order_acquire) == begun
               ? NULL
               : "RING-ORDER";
}
