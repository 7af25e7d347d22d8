/*
 * Walks through the kernel's records. See records.h.
 */
#include "records.h"
#include <lib/string.h>

#define F(field, meaning) #field,
#define R(NAME, value, name, table) static const char *const fields_##name[] = {table(F)};
QY_RECORDS(R)
#undef R
#undef F

static enum record_order order_of(enum qy_record_kind kind)
{
    switch (kind) {
    case QY_RECORD_KIND_ALLOCATION:
    case QY_RECORD_KIND_RUN:
    case QY_RECORD_KIND_UNTYPED:
    case QY_RECORD_KIND_SPACE:
        return RECORD_CHAINED;
    case QY_RECORD_KIND_REGION:
        return RECORD_OF_SPACES;
    default:
        return RECORD_NUMBERED;
    }
}

struct record_kind record_kind(enum qy_record_kind kind)
{
    static const struct record_kind kinds[QY_RECORD_KIND_COUNT] = {
#define R(NAME, value, name_, table)                                                               \
    [value] = {.name = #name_,                                                                     \
               .count = sizeof(fields_##name_) / sizeof(fields_##name_[0]),                        \
               .fields = fields_##name_},
        QY_RECORDS(R)
#undef R
    };
    struct record_kind found = kinds[kind];

    found.order = order_of(kind);
    return found;
}

/* Does a chained record say anything beside where to go on? */
static bool says_something(enum qy_record_kind kind, const union record *record)
{
    switch (kind) {
    case QY_RECORD_KIND_RUN:
        return record->run.pages;
    case QY_RECORD_KIND_REGION:
        return record->region.start || record->region.tables;
    default: /* the number of an object, an untyped, a space */
        return record->values[1];
    }
}

/* One record from the kernel; false: the end. */
static bool read(struct record_walk *walk, union record *out, enum qy_error *error)
{
    enum record_order order = order_of(walk->kind);

    memset(out, 0, sizeof(*out));
    if (walk->ended)
        return false;
    *error =
        order == RECORD_OF_SPACES
            ? system_record_at(QY_SLOT_SYSTEM, walk->kind, walk->space, walk->at, out, sizeof(*out))
            : system_record(QY_SLOT_SYSTEM, walk->kind, walk->index, out, sizeof(*out));
    if (*error != QY_OK) {
        walk->ended = true;
        return false;
    }
    if (order == RECORD_NUMBERED)
        walk->index++;
    else if (order == RECORD_CHAINED)
        walk->index = out->values[0];
    else
        walk->at = out->values[0];
    walk->ended = order == RECORD_CHAINED && walk->index == 0;
    return true;
}

/* `next` goes on where `record` ends, and is of one piece with it: it becomes part of it. */
static bool join(enum qy_record_kind kind, union record *record, const union record *next)
{
    struct qy_record_run *run = &record->run;
    struct qy_record_region *region = &record->region;

    if (kind == QY_RECORD_KIND_RUN) {
        const struct qy_record_run *more = &next->run;
        if (run->frame + run->pages != more->frame || run->state != more->state ||
            run->use != more->use || run->order != more->order || run->owner != more->owner ||
            run->node != more->node)
            return false;
        run->pages += more->pages;
        return true;
    }
    if (kind != QY_RECORD_KIND_REGION || region->end != next->region.start || !region->start ||
        (region->flags ^ next->region.flags) & ~QY_QUERY_MORE ||
        region->page_bytes != next->region.page_bytes)
        return false;
    struct qy_record_region sum = *region;
#define F(field, meaning) sum.field += next->region.field;
    QY_RECORD_REGION(F)
#undef F
    sum.start = region->start;
    sum.end = next->region.end;
    sum.flags = region->flags;
    sum.page_bytes = region->page_bytes;
    *region = sum;
    return true;
}

bool record_next(struct record_walk *walk, union record *out, enum qy_error *error)
{
    enum qy_error why = QY_OK;
    bool chained = order_of(walk->kind) != RECORD_NUMBERED;

    while (!walk->held && read(walk, &walk->next, &why))
        walk->held = !chained || says_something(walk->kind, &walk->next);
    if (error)
        *error = why;
    if (!walk->held)
        return false;
    *out = walk->next;
    walk->held = false;
    while (chained && !walk->held && read(walk, &walk->next, &why))
        walk->held = says_something(walk->kind, &walk->next) && !join(walk->kind, out, &walk->next);
    return true;
}

void record_space_sum(uint64_t space, struct qy_record_region *out)
{
    struct record_walk walk = {.kind = QY_RECORD_KIND_REGION, .space = space};
    union record record;

    memset(out, 0, sizeof(*out));
    while (record_next(&walk, &record, NULL)) {
#define F(field, meaning) out->field += record.region.field;
        QY_RECORD_REGION(F)
#undef F
    }
}
