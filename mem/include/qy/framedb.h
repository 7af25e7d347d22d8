/*
 * The frame database: what every physical frame is, in three sizes of descriptor.
 *
 *     section   128 MiB   one descriptor, valid from boot on
 *     block       2 MiB   owner arena, free count, 512-bit free map; valid once its section is initialised
 *     frame       4 KiB   two words; valid once its section is initialised
 *
 * The three tables are sparse arrays indexed by number from physical address 0; whoever sets the database up
 * backs them with memory only where there is RAM (qy_framedb_spans says which bytes), and zeroes only the section
 * descriptors. A section is initialised when its first block is split, so 512 GiB of untouched memory costs
 * nothing but descriptors of sections.
 *
 * Invariants: EXCLUSIVE (a frame is in exactly one state; a transition from any but the expected one is refused).
 * docs/adr/0003-frame-entry.md gives the layout and shows what is built on it.
 */
#ifndef QY_FRAMEDB_H
#define QY_FRAMEDB_H

#include <qy/types.h>

/* X(NAME, name): the states of a frame */
#define QY_FRAME_STATES(X)                                                                         \
    X(RESERVED, "reserved")                                                                        \
    X(FREE, "free")                                                                                \
    X(OBJECT, "object")                                                                            \
    X(SLAB, "slab")                                                                                \
    X(TABLE, "table")                                                                              \
    X(USER, "user")                                                                                \
    X(DEVICE, "device")                                                                            \
    X(CHILD, "child arena")                                                                        \
    X(METADATA, "metadata")

enum qy_frame_state {
#define X(NAME, name) QY_FRAME_##NAME,
    QY_FRAME_STATES(X)
#undef X
        QY_FRAME_STATE_COUNT
};

struct qy_frame;   /* 16 bytes, framedb_impl.h */
struct qy_block;   /* framedb_impl.h */
struct qy_section; /* framedb_impl.h */

struct qy_framedb {
    struct qy_frame *frames;     /* indexed by frame number */
    struct qy_block *blocks;     /* indexed by frame number / 512 */
    struct qy_section *sections; /* indexed by frame number / 32768 */
    pfn_t limit;                 /* frames at or above are never RAM */
};

/* A part of one of the three tables, in bytes from that table's start. */
struct qy_framedb_span {
    unsigned table; /* 0 = frames, 1 = blocks, 2 = sections */
    uint64_t base;
    uint64_t end;
};

/* The bytes of each table that describe the frames [base, end). */
void qy_framedb_spans(pfn_t base, pfn_t end, struct qy_framedb_span spans[3]);

/* Set up; the section descriptors of all RAM are backed and zero. */
void qy_framedb_init(struct qy_framedb *db, void *frames, void *blocks, void *sections, pfn_t limit);

/* State of a frame; RESERVED for what no arena was ever given. */
enum qy_frame_state qy_frame_state(const struct qy_framedb *db, pfn_t frame);
const char *qy_frame_state_name(enum qy_frame_state state);

/*
 * Mapping counts and the exec-class of a USER frame (WXOR, O(1)): called before a mapping is committed.
 * Errors: INVALID_FLAGS (the frame is executable elsewhere and this one is writable, or the reverse),
 * NOT_ALLOCATED (not a USER frame), TOO_MANY (the count would overflow).
 */
enum qy_error qy_frame_map(struct qy_framedb *db, pfn_t frame, bool writable, bool executable) QY_MUST_USE;
void qy_frame_unmap(struct qy_framedb *db, pfn_t frame);
uint32_t qy_frame_mappings(const struct qy_framedb *db, pfn_t frame);

/* Sections initialised so far, and sections that hold RAM. */
uint64_t qy_framedb_sections_initialised(const struct qy_framedb *db);
uint64_t qy_framedb_sections_total(const struct qy_framedb *db);

#endif
