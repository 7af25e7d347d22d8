/*
 * Runs of frames that are alike, for whoever draws or sums the machine's memory. See qy/framedb.h.
 */
#include "framedb_impl.h"

static bool alike(const struct qy_found *a, const struct qy_found *b)
{
    return a->state == b->state && a->owner == b->owner && a->order == b->order &&
           (a->level == QY_AT_NOTHING) == (b->level == QY_AT_NOTHING);
}

struct qy_run qy_framedb_run(const struct qy_framedb *db, uint64_t frame, uint64_t end)
{
    struct qy_found first = qy_framedb_find(db, frame), found = first;
    struct qy_run run = {.frame = frame, .state = first.state, .owner = first.owner};
    for (unsigned i = 0; i < QY_RUN_BLOCKS && frame < end && alike(&found, &first); i++) {
        frame = found.start + (1ull << found.order);
        found = qy_framedb_find(db, frame);
    }
    run.order = first.level == QY_AT_NOTHING ? 0 : first.order;
    run.pages = (frame < end ? frame : end) - run.frame;
    return run;
}
