/*
 * Rings of trace records: one writer, any number of readers, nobody waits.
 *
 *     begun    records that the writer has begun       words   | 5 | 6 | 7 | 8 | 1 2 3 4 are gone
 *     written  records that are complete                             ^ a reader's position
 *
 * The oldest are overwritten: what happened last is there when a machine stops. A reader keeps its own position,
 * copies, and looks at `begun` again: what the writer may have touched meanwhile it does not take (seqlock), but
 * counts as lost. The writer is one CPU, with interrupts off; it waits for nobody and never fails.
 *
 * Invariants
 *   RING-ORDER  written <= begun <= written + 1; record p stands in slot p mod capacity until p + capacity is begun
 *   RING-WHOLE  a record that a reader is given is one that was written, whole; with those counted as lost every
 *               record is counted once, in order
 * Cost: a write is the record's words and three stores. Failures: a ring of no records takes all and keeps none.
 */
#ifndef QY_RING_H
#define QY_RING_H

#include <quarry/trace.h>
#include <qy/types.h>
#include <stdatomic.h>

#define QY_RING_WORDS (sizeof(struct qy_trace_record) / sizeof(uint64_t))

struct qy_ring {
    _Alignas(64) _Atomic uint64_t begun;
    _Atomic uint64_t written;
    uint64_t capacity; /* a power of two, or 0 */
    _Atomic uint64_t *words;
};

/* An empty ring of as many records as fit in the memory, rounded down to a power of two; it stays the caller's. */
void qy_ring_init(struct qy_ring *ring, void *memory, uint64_t bytes);

/* The writer's. */
void qy_ring_write(struct qy_ring *ring, const struct qy_trace_record *record);

/*
 * Up to `most` records from *position on, oldest first; returns how many. *position goes behind the last of them and
 * *lost grows by those between the two that are gone. A position that the writer has not come to is taken as the
 * newest.
 */
unsigned qy_ring_read(const struct qy_ring *ring, uint64_t *position, struct qy_trace_record *out,
                      unsigned most, uint64_t *lost);

/* Null, or the id of the invariant that does not hold. The writer rests. */
const char *qy_ring_check(const struct qy_ring *ring);

#endif
