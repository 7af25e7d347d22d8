/*
 * What events say of blocks, and what frames are, as events. Out of line: whoever hands out a block from a cache only
 * tests a word.
 */
#include "arena_impl.h"

void qy_arena_trace_block(enum qy_trace_event event, const struct qy_arena *arena, uint64_t frame,
                          unsigned order, enum qy_frame_state state)
{
    qy_trace_write(
        event, arena->id,
        (const uint64_t[QY_TRACE_FIELDS]){frame, order, arena->node, arena->zone, state});
}

/* What a CPU's cache has is its arena's free memory. */
static enum qy_frame_state state_of(const struct qy_found *found)
{
    return found->state == QY_FRAME_CACHED ? QY_FRAME_FREE : found->state;
}

static void run_write(const struct qy_arena *owner, uint64_t start, uint64_t end,
                      enum qy_frame_state state)
{
    if (owner)
        qy_trace_write(QY_TRACE_FRAME_RUN, owner->id,
                       (const uint64_t[QY_TRACE_FIELDS]){start, end - start, state});
}

uint64_t qy_framedb_trace(const struct qy_framedb *db, uint64_t from)
{
    const struct qy_arena *owner = NULL;
    enum qy_frame_state state = QY_FRAME_RESERVED;
    uint64_t start = from, at = from;
    unsigned runs = 0;
    for (unsigned looks = 0; at < db->limit.raw && looks < QY_TRACE_LOOKS; looks++) {
        struct qy_found found = qy_framedb_find(db, at);
        if (found.owner != owner || state_of(&found) != state) {
            run_write(owner, start, at, state);
            runs += owner != NULL;
            start = at;
            owner = found.owner;
            state = state_of(&found);
            if (runs == QY_TRACE_RUNS)
                return at;
        }
        at = found.start + (1ull << found.order);
    }
    run_write(owner, start, at, state);
    return at < db->limit.raw ? at : 0;
}
