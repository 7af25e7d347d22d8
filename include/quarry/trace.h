/*
 * Events, written once: the kernel's rings, the trace file, CTF and the debugger read these.
 *
 *     record = head (who, when, why) + six fields, whose meaning is the event's
 *
 * All are 64-bit words. `number` counts the machine's records in one order: of two that concern the same frame, table
 * or object the earlier has the lower number, on whatever CPU; a number that is missing is a record that was lost.
 * `cause` names the kernel entry (call, fault, interrupt) that made it happen: (CPU << 48) + a counter of that CPU; the
 * entry is itself an event (call, fault), with the same cause, so chains can be followed up. `untyped` is the arena of
 * the memory that it is about, or that pays; 0: none.
 */
#ifndef QUARRY_TRACE_H
#define QUARRY_TRACE_H

#include <stdint.h>

#define QY_TRACE_FIELDS 6u
#define QY_TRACE_READ_MAX 256u /* records that one trace_read returns at most */

/*
 * T(NAME, bit of the filter, name, F-list). Entries are those of the machine's page tables: `table` is the frame of the
 * table, `index` the entry's place in it, `before` and `entry` what it held and holds.
 */
#define QY_TRACE_EVENTS(T)                                                                         \
    T(FRAME_ALLOCATED, 0, frame_allocated, F(frame) F(order) F(node) F(zone) F(state))             \
    T(FRAME_FREED, 1, frame_freed, F(frame) F(order) F(node) F(zone) F(state) F(held))             \
    T(FRAME_CHANGED, 2, frame_changed, F(frame) F(order) F(from) F(state))                         \
    T(RANGE_MOVED, 3, range_moved, F(frame) F(pages) F(from))                                      \
    T(CACHE_REFILLED, 4, cache_refilled, F(order) F(blocks) F(free_pages))                         \
    T(CACHE_DRAINED, 5, cache_drained, F(order) F(blocks) F(free_pages))                           \
    T(OBJECT_RETYPED, 6, object_retyped, F(object) F(type) F(bytes))                               \
    T(OBJECT_DELETED, 7, object_deleted, F(object) F(type) F(bytes))                               \
    T(OBJECT_REVOKED, 8, object_revoked, F(object) F(type))                                        \
    T(SPACE_ROOT, 9, space_root, F(space) F(frame) F(kind))                                        \
    T(PAGE_MAPPED, 10, page_mapped, F(table) F(index) F(entry) F(before) F(level))                 \
    T(PAGE_UNMAPPED, 11, page_unmapped, F(table) F(index) F(entry) F(before) F(level))             \
    T(PAGE_PROTECTED, 12, page_protected, F(table) F(index) F(entry) F(before) F(level))           \
    T(PAGE_MIGRATED, 13, page_migrated, F(table) F(index) F(entry) F(before) F(level))             \
    T(TABLE_LINKED, 14, table_linked, F(table) F(index) F(entry) F(before) F(level))               \
    T(TABLE_UNLINKED, 15, table_unlinked, F(table) F(index) F(entry) F(before) F(level))           \
    T(FAULT, 16, fault, F(address) F(access) F(instruction) F(resolution) F(cost) F(because))      \
    T(CALL, 17, call, F(number) F(handle) F(error) F(because))                                     \
    T(ERROR, 18, error, F(number) F(error) F(wanted) F(found))                                     \
    T(SHOOTDOWN, 19, shootdown, F(space) F(address) F(pages) F(cpus) F(wait))                      \
    T(PRESSURE, 20, pressure, F(level) F(free_pages) F(low) F(high) F(action))                     \
    T(PAGE_EVICTED, 21, page_evicted, F(space) F(address) F(pages) F(memory) F(slot))              \
    T(PAGE_RESTORED, 22, page_restored, F(memory) F(slot) F(pages) F(filled))                      \
    T(NOTE, 23, note, F(kind) F(first) F(second) F(third))                                         \
    T(FRAME_RUN, 24, frame_run, F(frame) F(pages) F(state))                                        \
    T(ENTRY, 25, entry, F(space) F(address) F(table) F(index) F(entry) F(level))                   \
    T(PAGE_PROMOTED, 26, page_promoted, F(space) F(address) F(from_level) F(level))                \
    T(PAGE_DEMOTED, 27, page_demoted, F(space) F(address) F(from_level) F(level))

enum qy_trace_event {
#define F(field)
#define T(NAME, bit, name, fields) QY_TRACE_##NAME = (bit),
    QY_TRACE_EVENTS(T)
#undef T
#undef F
        QY_TRACE_COUNT
};

/* The events that change whose a frame is and where it is mapped: enough to rebuild both. */
#define QY_TRACE_REPLAY (((1ull << (QY_TRACE_TABLE_UNLINKED + 1)) - 1) & ~(1ull << QY_TRACE_OBJECT_REVOKED))
/* Snapshots: what is, not what happened; written when they are asked for, whatever the filter is. */
#define QY_TRACE_SNAPSHOT (1ull << QY_TRACE_FRAME_RUN | 1ull << QY_TRACE_ENTRY)

struct qy_trace_record {
    uint64_t number;
    uint64_t time;    /* clock ticks */
    uint64_t cause;   /* kernel entry that caused it */
    uint64_t thread;  /* object, 0 = none */
    uint64_t process; /* its address space, 0 = none */
    uint64_t untyped;
    uint32_t cpu;
    uint32_t event; /* enum qy_trace_event */
    uint64_t fields[QY_TRACE_FIELDS];
};

/* What an event's name is; "?" for a number that is none. */
static inline const char *qy_trace_name(uint32_t event)
{
    static const char *const names[] = {
#define F(field)
#define T(NAME, bit, name, fields) [bit] = #name,
        QY_TRACE_EVENTS(T)
#undef T
#undef F
    };
    return event < QY_TRACE_COUNT ? names[event] : "?";
}

/* What system_trace does. X(NAME, value, meaning) */
#define QY_TRACE_ACTIONS(X)                                                                        \
    X(FILTER, 0, "word0 = the events to record from now on, as bits; word0 = those before, word1 = rings, word2 = records in one")       \
    X(FRAMES, 1, "write what frames are from frame word0 on, as some frame_run; word0 = where to go on, 0 = that was all")        \
    X(ENTRIES, 2, "write the entries of space word0, 0 = the first, from address word1 on; word0, word1 = where to go on, word0 = 0: all")     \
    X(NOTE, 3, "write a note with word0 to word3, if notes are recorded")

enum qy_trace_action {
#define X(NAME, value, meaning) QY_TRACE_ACTION_##NAME = (value),
    QY_TRACE_ACTIONS(X)
#undef X
        QY_TRACE_ACTION_COUNT
};

/* Resolutions of a fault; kinds of a tree. */
enum qy_trace_resolution { QY_TRACE_RESOLVED, QY_TRACE_SENT, QY_TRACE_FATAL };
enum qy_trace_tree { QY_TRACE_TREE_GONE, QY_TRACE_TREE_SPACE };

/*
 * The trace as it leaves the machine: a disk whose first sector begins with QY_TRACE_DISK, and from the second on
 * chunks, each a header and its bytes, filled up with zeroes to a whole number of sectors of 512 bytes. The first has
 * no magic: there are no more. K(NAME, value, meaning)
 */
#define QY_TRACE_DISK "quarry trace disk"
#define QY_TRACE_MAGIC 0x3145434152545951ull /* "QYTRACE1" */
#define QY_TRACE_CHUNKS(K)                                                                         \
    K(TABLE, 0, "text: lines of a kind, a number, a name; an event's fields follow")               \
    K(RECORDS, 1, "records of the ring of `cpu`")                                                  \
    K(SNAPSHOT, 2, "records numbered from here on are of a snapshot")                              \
    K(TAKEN, 3, "to here")                                                                         \
    K(END, 4, "the trace is complete")

enum qy_trace_chunk_kind {
#define K(NAME, value, meaning) QY_TRACE_CHUNK_##NAME = (value),
    QY_TRACE_CHUNKS(K)
#undef K
};

struct qy_trace_chunk {
    uint64_t magic;
    uint32_t kind;
    uint32_t cpu;
    uint64_t bytes;  /* behind this header */
    uint64_t lost;   /* records of that CPU that were gone before they were read, since the chunk before */
    uint64_t number; /* that the machine's next record gets */
    uint64_t none[3];
};

#endif
