/*
 * Reading the kernel's records: those that are numbered, those that come in a chain, and regions of spaces.
 *
 * What the kernel tells in stretches, because a call of its looks at a bounded part, is put together here: a run or a
 * region is told as long as it is. Locking: none; each walk belongs to its caller. Cost: a call for each record.
 */
#ifndef ROOT_RECORDS_H
#define ROOT_RECORDS_H

#include "root.h"
#include <quarry/records.h>

/* How the records of a kind are found. */
enum record_order { RECORD_NUMBERED, RECORD_CHAINED, RECORD_OF_SPACES };

struct record_kind {
    const char *name;
    enum record_order order;
    unsigned count; /* of fields; of chained ones the first only says where to go on */
    const char *const *fields;
};

struct record_kind record_kind(enum qy_record_kind kind);

union record {
    uint64_t values[64];
#define R(NAME, value, name, table) struct qy_record_##name name;
    QY_RECORDS(R)
#undef R
};

/* A walk through all records of a kind; zeroed but for the kind, and the space of regions. */
struct record_walk {
    enum qy_record_kind kind;
    uint64_t space; /* of regions */
    uint64_t index, at;
    bool ended, held;
    union record next; /* if `held`: read, not told yet */
};

/* The next record; false: there is no more. *error (may be null): OK, or why the first could not be read. */
bool record_next(struct record_walk *walk, union record *out, enum qy_error *error);

/* What all regions of a space say together: flags and addresses mean nothing. */
void record_space_sum(uint64_t space, struct qy_record_region *out);

#endif
