/*
 * Sums by key, for whoever reads records: how many, how many bytes, since when.
 *
 *     key: TALLY_KEYS numbers | count | bytes | oldest      a row for each different key
 *
 * Invariant TALLY-SUM: the rows and `lost` together hold everything that was added; nothing is left out silently when
 * the table is full. No allocation, no lock: a tally belongs to its caller. Cost: adding O(rows), sorting O(rows^2).
 */
#ifndef QUARRY_TALLY_H
#define QUARRY_TALLY_H

#include <stddef.h>
#include <stdint.h>

#define QY_TALLY_KEYS 5

struct qy_tally_row {
    uint64_t key[QY_TALLY_KEYS];
    uint64_t count, bytes;
    uint64_t oldest; /* the smallest time that was added */
};

struct qy_tally {
    struct qy_tally_row *rows; /* the caller's */
    size_t capacity, used;
    struct qy_tally_row lost; /* what had no row; its key means nothing */
};

static inline void qy_tally_begin(struct qy_tally *tally, struct qy_tally_row *rows, size_t capacity)
{
    *tally = (struct qy_tally){.rows = rows, .capacity = capacity, .lost = {.oldest = UINT64_MAX}};
}

static inline int qy_tally_compare(const struct qy_tally_row *a, const struct qy_tally_row *b)
{
    for (unsigned i = 0; i < QY_TALLY_KEYS; i++)
        if (a->key[i] != b->key[i])
            return a->key[i] < b->key[i] ? -1 : 1;
    return 0;
}

/* Add a row to the one with the same key. */
static inline void qy_tally_add(struct qy_tally *tally, const struct qy_tally_row *add)
{
    struct qy_tally_row *row = &tally->lost;
    size_t i = 0;
    while (i < tally->used && qy_tally_compare(&tally->rows[i], add) != 0)
        i++;
    if (i < tally->capacity) {
        row = &tally->rows[i];
        if (i == tally->used) {
            *row = *add;
            tally->used++;
            return;
        }
    }
    row->count += add->count;
    row->bytes += add->bytes;
    row->oldest = add->oldest < row->oldest ? add->oldest : row->oldest;
}

/* Most bytes first; equal ones in the order of their keys. */
static inline void qy_tally_sort(struct qy_tally *tally)
{
    for (size_t i = 1; i < tally->used; i++) {
        struct qy_tally_row row = tally->rows[i];
        size_t at = i;
        for (; at > 0; at--) {
            const struct qy_tally_row *before = &tally->rows[at - 1];
            if (row.bytes < before->bytes ||
                (row.bytes == before->bytes && qy_tally_compare(&row, before) > 0))
                break;
            tally->rows[at] = *before;
        }
        tally->rows[at] = row;
    }
}

#endif
