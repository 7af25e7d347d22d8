/*
 * Layout of the word of a USER block: its mappings, and their class. Private to mem. See qy/rmap.h.
 */
#ifndef QY_FRAME_WORD_H
#define QY_FRAME_WORD_H

#include <stdatomic.h>
#include <stdint.h>

#define QY_WORD_W 1ull
#define QY_WORD_X 2ull
#define QY_WORD_LOCK 4ull
#define QY_WORD_LIST 8ull
#define QY_WORD_CLASS (QY_WORD_W | QY_WORD_X)
#define QY_WORD_PLACE_SHIFT 4u /* a mapping in place: table 34 bits, index 9 */
#define QY_WORD_PLACE_BITS 43u
#define QY_WORD_PLACE_MASK (((1ull << QY_WORD_PLACE_BITS) - 1) << QY_WORD_PLACE_SHIFT)
#define QY_WORD_TABLE_MASK (((1ull << 34) - 1) << QY_WORD_PLACE_SHIFT)
#define QY_WORD_NODE_MASK (((1ull << 44) - 1) << 4)
#define QY_WORD_LIST_SHIFT 48u
#define QY_WORD_COUNT_SHIFT 46u

/* A mapping stands in place; table frames are never 0 (FRAME-ZERO). */
static inline int qy_word_in_place(uint64_t word)
{
    return !(word & QY_WORD_LIST) && (word & QY_WORD_TABLE_MASK);
}

/* The mapping in place as nodes have it, with its class. */
static inline uint64_t qy_word_record(uint64_t word)
{
    return (word & QY_WORD_PLACE_MASK) >> QY_WORD_PLACE_SHIFT |
           (word & QY_WORD_CLASS) << QY_WORD_PLACE_BITS;
}

/* A list by its first node's address; the last node's `next` may be a mapping that was in place, with the tail bit. */
#define QY_NODE_TAIL 1ull
static inline uint64_t qy_word_list(uint64_t first, uint64_t count, uint64_t class)
{
    return (first & QY_WORD_NODE_MASK) | count << QY_WORD_LIST_SHIFT | QY_WORD_LIST | class;
}

static inline uint64_t qy_word_class(int writable, int executable)
{
    return (writable ? QY_WORD_W : 0) | (executable ? QY_WORD_X : 0);
}

#endif
