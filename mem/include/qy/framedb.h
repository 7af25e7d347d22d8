/*
 * The frame database: what every physical frame is, in three sizes of descriptor.
 *
 *     section   128 MiB   32 bytes: tag, links, initialised; valid from boot on
 *     block       2 MiB   128 bytes: tag, links, counts, 512-bit free map; valid once its section
 *                         is initialised
 *     frame       4 KiB   16 bytes: tag and one word by state; valid once its block is
 *                         initialised
 *
 * The three tables are sparse arrays indexed by number from physical address 0. Whoever sets the
 * database up backs them with memory where qy_framedb_spans says (only where there is RAM, but for
 * the small section table) and zeroes only the section table: nothing else is read before it is
 * written. A section is initialised when its first block is split, a block when its first frames
 * are, so 512 GiB of untouched memory costs descriptors of sections.
 *
 * Invariants
 *   EXCLUSIVE   a frame is in exactly one state; a transition from any but the expected one is
 *               refused
 *   FRAME-ZERO  frame 0 is in no arena: nobody is ever handed physical address 0
 *   FREE-UNTOUCHED  (debug builds) nobody writes to frames that are free in an arena
 * Locking: tags are single words, read and written atomically, so anyone may look; only the arena
 * that owns a block changes them, under its lock. docs/adr/0003-frame-entry.md gives the layout and
 * shows what is built on it.
 */
#ifndef QY_FRAMEDB_H
#define QY_FRAMEDB_H

#include <quarry/uses.h>
#include <qy/lock.h>
#include <qy/types.h>

#define QY_BLOCK_DESCRIPTOR_BYTES 128u

struct qy_frame;   /* framedb_impl.h */
struct qy_block;   /* framedb_impl.h */
struct qy_section; /* framedb_impl.h */

struct qy_framedb {
    struct qy_frame *frames;     /* indexed by frame number */
    struct qy_block *blocks;     /* indexed by frame number / 512 */
    struct qy_section *sections; /* indexed by frame number / 32768 */
    pfn_t limit;                 /* frames at or above are never RAM */
    uint64_t section_count;      /* entries of sections: what limit needs, rounded up */
    struct qy_lock lock;         /* class qy_class_section: giving frames to a root arena */
    uint64_t poison;             /* 0, or what free frames are filled with is made of it */
    _Atomic uint64_t sections_initialised, sections_total;
};

/* The first word of the descriptor of a frame's 2 MiB block. */
static inline _Atomic uint64_t *qy_framedb_block_tag(const struct qy_framedb *db, uint64_t frame)
{
    return (_Atomic uint64_t *)(void *)((char *)db->blocks +
                                        frame / QY_BLOCK_PAGES * QY_BLOCK_DESCRIPTOR_BYTES);
}

/* A part of one of the three tables, in bytes from that table's start. */
struct qy_framedb_span {
    unsigned table; /* 0 = frames, 1 = blocks, 2 = sections */
    uint64_t base;
    uint64_t end;
};

/*
 * The bytes of each table that must be backed for RAM at frames [base, end): for frames and blocks
 * whole sections, for sections everything from 0 on. Spans of neighbouring ranges overlap: back
 * each page once, and zero the section table's.
 */
void qy_framedb_spans(pfn_t base, pfn_t end, struct qy_framedb_span spans[3]);

/* Set up; the section table is backed and zero up to limit. limit: at most 2^34 frames (64 TiB). */
void qy_framedb_init(struct qy_framedb *db, void *frames, void *blocks, void *sections,
                     pfn_t limit);

/*
 * From here on, in debug builds (QY_CONFIG_DEBUG), frames that become free are filled with a pattern, and looked at
 * before they are handed out again: invariant FREE-UNTOUCHED. The seed should be another one at each boot, since memory
 * may live longer than a boot. Only for RAM that is there: qy_port_ram leads to it.
 */
static inline void qy_framedb_poison(struct qy_framedb *db, uint64_t seed)
{
    db->poison = seed | 1ull << 63;
}

/* State of a frame; RESERVED for what no arena was ever given. O(log n), no lock. */
enum qy_frame_state qy_frame_state(const struct qy_framedb *db, pfn_t frame);
const char *qy_frame_state_name(enum qy_frame_state state);

/*
 * The allocated block that a frame is part of: its first frame, its order and its state.
 * Errors: NOT_ALLOCATED (free, cached or reserved). Any of the results may be null.
 */
enum qy_error qy_frame_block(const struct qy_framedb *db, pfn_t frame, pfn_t *start,
                             unsigned *order, enum qy_frame_state *state) QY_MUST_USE;

/* Frames in a row of one state and owner, in blocks of one order; owner null: no arena was ever given them. */
struct qy_run {
    uint64_t frame, pages;
    enum qy_frame_state state;
    unsigned order;
    struct qy_arena *owner;
};

/*
 * The run from a frame on, below `end`: of at most QY_RUN_BLOCKS blocks, so the next one may be more of the same. No
 * lock: exact where nobody changes anything meanwhile, else each block is as it was when it was looked at.
 */
#define QY_RUN_BLOCKS 256u
struct qy_run qy_framedb_run(const struct qy_framedb *db, uint64_t frame, uint64_t end);

/*
 * Change the state of an allocated block, named by its first frame, between two states that a block
 * can be handed out in. Its word is cleared. Errors: NOT_ALLOCATED (not the start of a block in
 * state `from`), BUSY (mapped or pinned), INVALID_ARGUMENT (a state that no block is handed out
 * in).
 */
enum qy_error qy_frame_set_state(struct qy_framedb *db, pfn_t start, enum qy_frame_state from,
                                 enum qy_frame_state to) QY_MUST_USE;

/*
 * One word that the owner of an allocated block keeps with it (OBJECT, SLAB, TABLE, METADATA; USER and
 * DEVICE blocks use it for their mappings, and are BUSY while there are any); 0 after allocation. `start` is the
 * first frame of the block.
 */
uint64_t qy_frame_word(const struct qy_framedb *db, pfn_t start);
void qy_frame_set_word(struct qy_framedb *db, pfn_t start, uint64_t word);

#define QY_FRAME_MAPPINGS_MAX 0x3ffffu

/*
 * Mappings of a USER block (`frame` is any frame of it) and its class: once it has been mapped
 * writable it is not mapped executable, and the reverse, until no mapping is left (WXOR, O(1)).
 * Called before a mapping is committed. Errors: INVALID_FLAGS (writable and executable at once, or
 * the other class is in use), NOT_ALLOCATED (not a USER frame), TOO_MANY (the count would
 * overflow), BUSY (it has a reverse map, qy/rmap.h); nothing has changed then.
 */
enum qy_error qy_frame_map(struct qy_framedb *db, pfn_t frame, bool writable,
                           bool executable) QY_MUST_USE;

/* One mapping less. It is the caller's bug, reported through qy_port_broken, if there is none. */
void qy_frame_unmap(struct qy_framedb *db, pfn_t frame);

/* One existing mapping changes its rights; the only mapping may change the class. Errors: as
 * qy_frame_map. */
enum qy_error qy_frame_remap(struct qy_framedb *db, pfn_t frame, bool writable,
                             bool executable) QY_MUST_USE;

/* Mappings of the block that the frame is part of; 0 if it is not a USER frame. */
uint32_t qy_frame_mappings(const struct qy_framedb *db, pfn_t frame);

/*
 * Pin or unpin an allocated block: it is not given back while pinned. Errors: NOT_ALLOCATED,
 * TOO_MANY (127 pins); unpinning what is not pinned: NOT_ALLOCATED.
 */
enum qy_error qy_frame_pin(struct qy_framedb *db, pfn_t start) QY_MUST_USE;
enum qy_error qy_frame_unpin(struct qy_framedb *db, pfn_t start) QY_MUST_USE;
bool qy_frame_is_pinned(const struct qy_framedb *db, pfn_t start);

/*
 * What frames are from one on, as frame_run events: some of them. Returns the frame to go on with, 0: that was all.
 * What a CPU caches is free. The caller sees to it that arenas stay; exact for what nobody changes meanwhile.
 */
#define QY_TRACE_LOOKS 1024u
#define QY_TRACE_RUNS 16u
uint64_t qy_framedb_trace(const struct qy_framedb *db, uint64_t from);

/* Sections initialised so far, and sections of which an arena was given something. */
uint64_t qy_framedb_sections_initialised(const struct qy_framedb *db);
uint64_t qy_framedb_sections_total(const struct qy_framedb *db);

#endif
