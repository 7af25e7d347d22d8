/*
 * Layout of the frame database's descriptors, and how they are read. Private to mem/phys and
 * mem/slab.
 *
 * All three descriptors begin with a tag, one atomic word:
 *
 *     63                                20 19      12 11   9 8     4 3     0
 *     | owner: arena's address >> 4 (44)  | aux (8)  | kind | order | state |
 *
 *   kind NONE   no block begins here: inside a larger one, or nobody's
 *        HEAD   a block of 2^order frames begins here, free or allocated
 *        SPLIT  (section) look at its block descriptors
 *        MAP    (block) one owner; a bit of the map = a free frame; allocated blocks have a HEAD
 *               frame entry
 *        FINE   (block) frames have owners of their own; every block in it, free or not, has a HEAD
 *               frame entry
 *   aux  allocated: number of pins (7 bits); free in a FINE block: bits 30..33 of the previous one
 *        in its list
 *
 * Whoever looks for the block around a frame goes down (section, block, frame) and, at each size,
 * to the heads that could cover it: at most 4 + 6 + 9 words. Nothing below a section is read before
 * that section's tag says SPLIT, and no frame entry but an allocated block's head before its
 * block's tag says MAP or FINE.
 *
 * Invariants: FRAME-HEAD heads cover disjoint ranges, so the search finds one block at most; FRAME-STALE
 * the tag of an initialised entry at which no block begins is 0.
 */
#ifndef QY_FRAMEDB_IMPL_H
#define QY_FRAMEDB_IMPL_H

#include <qy/arena.h>
#include <qy/framedb.h>

#define QY_NIL 0xffffffffu
#define QY_FRAMES_MAX (1ull << 34) /* 64 TiB: a link between frames has 34 bits */
#define QY_FINE_NIL 0ull           /* no frame: frame 0 is in no arena (FRAME-ZERO) */
#define QY_SECTION_BLOCKS (QY_SECTION_PAGES / QY_BLOCK_PAGES)
#define QY_MAP_WORDS (QY_BLOCK_PAGES / 64)
#define QY_UNLISTED 0xff

enum qy_kind { QY_KIND_NONE, QY_KIND_HEAD, QY_KIND_SPLIT, QY_KIND_MAP, QY_KIND_FINE };

typedef uint64_t qy_tag_t;

#define QY_TAG_AUX_SHIFT 12u
#define QY_TAG_AUX_MASK (0xffull << QY_TAG_AUX_SHIFT)
#define QY_TAG_OWNER_SHIFT 20u
#define QY_TAG_OWNER_MASK (~0ull << QY_TAG_OWNER_SHIFT)
#define QY_PINS_MAX 127u

struct qy_frame {
    _Atomic qy_tag_t tag;
    _Atomic uint64_t word; /* free in a FINE block: next (34 bits), previous (30); USER: mappings;
                              else the owner's */
};

struct qy_block {
    _Atomic qy_tag_t tag;
    uint32_t next, prev;             /* list of its arena; QY_NIL ends it */
    uint8_t list;                    /* MAP: the list it is on, QY_UNLISTED if none */
    uint16_t free;                   /* MAP: free frames */
    uint16_t orders;                 /* MAP: bit o set: counts[o] is not 0 */
    uint16_t counts[QY_BLOCK_ORDER]; /* MAP: free blocks of each order */
    uint64_t keeper;                 /* MAP: for whom it is kept, 0 = nobody (arena_keep.c) */
    _Alignas(64) _Atomic uint64_t map[QY_MAP_WORDS]; /* MAP: bit set = frame free */
};

struct qy_section {
    _Atomic qy_tag_t tag;
    uint32_t next, prev;            /* list of its arena; QY_NIL ends it */
    bool blocks_ready;              /* its block descriptors are initialised; stays so */
    bool counted;                   /* in sections_total */
    _Atomic uint64_t entries_ready; /* bit b: the frame entries of its block b are; stays so */
};

_Static_assert(sizeof(struct qy_frame) == 16, "a frame costs 16 bytes");
_Static_assert(sizeof(struct qy_block) == QY_BLOCK_DESCRIPTOR_BYTES, "two cache lines");
_Static_assert(offsetof(struct qy_block, tag) == 0, "a descriptor begins with its tag");
_Static_assert(sizeof(struct qy_section) == 32, "a section descriptor is half a cache line");
_Static_assert(QY_FRAME_STATE_COUNT <= 16, "a state has four bits");

static inline qy_tag_t qy_tag(enum qy_kind kind, unsigned order, enum qy_frame_state state,
                              const struct qy_arena *owner)
{
    uint64_t address = (uint64_t)(uintptr_t)owner;
    return (qy_tag_t)state | (qy_tag_t)order << 4 | (qy_tag_t)kind << 9 |
           address >> 4 << QY_TAG_OWNER_SHIFT;
}

static inline enum qy_frame_state qy_tag_state(qy_tag_t tag)
{
    return (enum qy_frame_state)(tag & 15);
}

static inline unsigned qy_tag_order(qy_tag_t tag)
{
    return tag >> 4 & 31;
}

static inline enum qy_kind qy_tag_kind(qy_tag_t tag)
{
    return (enum qy_kind)(tag >> 9 & 7);
}

/* A 2 MiB block that is divided into smaller ones: its frame entries are initialised. */
static inline bool qy_tag_is_divided(qy_tag_t tag)
{
    return qy_tag_kind(tag) == QY_KIND_MAP || qy_tag_kind(tag) == QY_KIND_FINE;
}

static inline unsigned qy_tag_aux(qy_tag_t tag)
{
    return (tag & QY_TAG_AUX_MASK) >> QY_TAG_AUX_SHIFT;
}

static inline qy_tag_t qy_tag_with_aux(qy_tag_t tag, unsigned aux)
{
    return (tag & ~QY_TAG_AUX_MASK) | (qy_tag_t)aux << QY_TAG_AUX_SHIFT;
}

/* 48-bit addresses, sign-extended: both halves of a four-level address space. */
static inline struct qy_arena *qy_tag_owner(qy_tag_t tag)
{
    int64_t address = (int64_t)(tag & QY_TAG_OWNER_MASK) >> 16;
    return (struct qy_arena *)(uintptr_t)(address & ~15ll);
}

static inline qy_tag_t qy_load(const _Atomic qy_tag_t *tag)
{
    return atomic_load_explicit(tag, memory_order_acquire);
}

static inline void qy_store(_Atomic qy_tag_t *tag, qy_tag_t value)
{
    atomic_store_explicit(tag, value, memory_order_release);
}

static inline uint64_t qy_word_load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void qy_word_store(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/* States in which a block's word is its mappings: while it is not 0 the block is BUSY. */
static inline bool qy_state_has_mappings(enum qy_frame_state state)
{
    return state == QY_FRAME_USER || state == QY_FRAME_DEVICE;
}

/* What a frame is in: where the answer was found, and the uniform range [start, start + 2^order)
 * that it holds for. */
enum qy_level { QY_AT_NOTHING, QY_AT_SECTION, QY_AT_BLOCK, QY_AT_MAP, QY_AT_FINE };

struct qy_found {
    uint64_t start;
    unsigned order;
    enum qy_level level; /* QY_AT_NOTHING: RESERVED, no owner, start and order are those of a
                            descriptor's range */
    enum qy_frame_state state;
    struct qy_arena *owner;
};

/* Whose and what `frame` is. Any frame number; no lock; exact for frames that the caller owns or
 * locks. */
struct qy_found qy_framedb_find(const struct qy_framedb *db, uint64_t frame);

/* Whether the entry of a frame was ever initialised. */
static inline bool qy_framedb_has_entry(const struct qy_framedb *db, uint64_t frame)
{
    if (frame >= db->limit.raw)
        return false;
    uint64_t ready = atomic_load_explicit(&db->sections[frame / QY_SECTION_PAGES].entries_ready,
                                          memory_order_acquire);
    return ready >> frame / QY_BLOCK_PAGES % QY_SECTION_BLOCKS & 1;
}

/*
 * The entry of a frame, null if it was never initialised. By FRAME-STALE whoever finds in it the HEAD tag
 * of an order below 9 needs no other descriptor. One word says so for a whole section: it stays in the
 * first cache where the blocks' own descriptors do not.
 */
static inline struct qy_frame *qy_framedb_entry(const struct qy_framedb *db, uint64_t frame)
{
    return qy_framedb_has_entry(db, frame) ? &db->frames[frame] : NULL;
}

/* The tag of a block below 2 MiB that begins at a frame, by its entry alone (FRAME-STALE); 0: none does. */
static inline qy_tag_t qy_framedb_head(const struct qy_framedb *db, uint64_t frame)
{
    const struct qy_frame *entry = qy_framedb_entry(db, frame);
    qy_tag_t tag = entry ? qy_load(&entry->tag) : 0;
    return qy_tag_kind(tag) == QY_KIND_HEAD && qy_tag_order(tag) < QY_BLOCK_ORDER ? tag : 0;
}

/* Initialise the block descriptors of a section, or the frame entries of a block, unless done
 * before. */
void qy_section_prepare(struct qy_framedb *db, uint64_t section);
void qy_block_prepare(struct qy_framedb *db, uint64_t block);

/* Order of the largest free block of a map that holds the frame `index` (which is free). */
unsigned qy_block_map_order_at(const struct qy_block *block, unsigned index);

#endif
