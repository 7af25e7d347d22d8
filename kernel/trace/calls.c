/*
 * The calls on the rings: reading them, the filter, snapshots.
 *
 * A reader's position is its own, so any number of programs may read, and none holds up another or a writer. Snapshots
 * are events, too: what frames are and what stands in tables, written to this CPU's ring a few at a time, so that
 * whoever takes one reads the ring in between. They say what was while nobody changed it; events that did stand between
 * theirs.
 */
#include <arch/arch.h>
#include <kernel/call.h>
#include <kernel/space.h>
#include <kernel/trace.h>

#define RECORDS_A_TURN 8u /* on the kernel's stack */

static const struct qy_framedb *frames;

void trace_use(const struct qy_framedb *db)
{
    frames = db;
}

/* Copy out without the lock; *position moves on behind what has arrived. */
static enum qy_error copy_out(const struct qy_ring *ring, uint64_t *position, uptr_t to,
                              uint64_t room, uint64_t *copied, uint64_t *lost)
{
    struct qy_trace_record records[RECORDS_A_TURN];
    while (*copied < room) {
        uint64_t left = room - *copied;
        unsigned count = qy_ring_read(
            ring, position, records, left < RECORDS_A_TURN ? (unsigned)left : RECORDS_A_TURN, lost);
        if (count == 0)
            break;
        if (!arch_copy_to_user(to.raw + *copied * sizeof(records[0]), records,
                               count * sizeof(records[0])))
            return QY_BAD_USER_POINTER;
        *copied += count;
    }
    return QY_OK;
}

enum qy_error call_trace_read(struct call *call)
{
    uint64_t cpu = call->arguments[1], position = call->arguments[2], copied = 0, lost = 0;
    uptr_t to = {call->arguments[3]};
    uint64_t room = call->arguments[4] / sizeof(struct qy_trace_record);
    if (!trace_rings)
        return QY_UNSUPPORTED;
    if (cpu >= trace_ring_count)
        return QY_INVALID_ARGUMENT;
    if (!user_range(to, call->arguments[4]))
        return QY_BAD_USER_POINTER;
    caps_release();
    uint64_t number = trace_number();
    enum qy_error error =
        copy_out(&trace_rings[cpu], &position, to,
                 room < QY_TRACE_READ_MAX ? room : QY_TRACE_READ_MAX, &copied, &lost);
    caps_acquire();
    if (error != QY_OK)
        return error;
    call->values[0] = copied;
    call->values[1] = position;
    call->values[2] = lost;
    call->values[3] = number;
    return QY_OK;
}

/* The space that a snapshot goes on with, or the first. */
static enum qy_error entries(struct call *call) QY_REQUIRES(qy_class_caps)
{
    uint64_t id = call->arguments[2], address = call->arguments[3];
    struct space *space = id ? space_find(id) : space_from(1);
    if (!space)
        return QY_NOT_FOUND;
    if (address == 0)
        qy_trace_write(QY_TRACE_SPACE_ROOT, space->object.untyped->object.id,
                       (const uint64_t[QY_TRACE_FIELDS]){space->object.id,
                                                         paddr_to_pfn(space->vm.root).raw,
                                                         QY_TRACE_TREE_SPACE});
    space->object.pins++;
    caps_release();
    space_enter(call->cpu);
    bool more = qy_space_trace(&space->vm, space->object.id, &address);
    space_leave(call->cpu);
    caps_acquire();
    space->object.pins--;
    const struct space *next = more ? space : space_from(space->object.id + 1);
    call->values[0] = next ? next->object.id : 0;
    call->values[1] = more ? address : 0;
    return QY_OK;
}

enum qy_error call_system_trace(struct call *call)
{
    const uint64_t *words = &call->arguments[2];
    if (!trace_rings)
        return QY_UNSUPPORTED;
    switch (call->arguments[1]) {
    case QY_TRACE_ACTION_FILTER:
        if (words[0] >> QY_TRACE_COUNT)
            return QY_INVALID_ARGUMENT;
        call->values[0] = atomic_exchange(&qy_trace_mask, words[0] & ~QY_TRACE_SNAPSHOT);
        call->values[1] = trace_ring_count;
        call->values[2] = trace_rings[0].capacity;
        return QY_OK;
    case QY_TRACE_ACTION_FRAMES:
        call->values[0] = qy_framedb_trace(frames, words[0]);
        return QY_OK;
    case QY_TRACE_ACTION_ENTRIES:
        return entries(call);
    case QY_TRACE_ACTION_NOTE:
        QY_TRACE(NOTE, 0, words[0], words[1], words[2], words[3]);
        return QY_OK;
    default:
        return QY_INVALID_ARGUMENT;
    }
}
