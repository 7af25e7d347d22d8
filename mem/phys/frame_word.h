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
#define QY_WORD_PLACE_MASK (((1ull << 43) - 1) << QY_WORD_PLACE_SHIFT)
#define QY_WORD_TABLE_MASK (((1ull << 34) - 1) << QY_WORD_PLACE_SHIFT)
#define QY_WORD_NODE_MASK (((1ull << 44) - 1) << 4)
#define QY_WORD_LIST_SHIFT 48u
#define QY_WORD_COUNT_SHIFT 46u

/* A mapping stands in place; table frames are never 0 (FRAME-ZERO). */
static inline int qy_word_in_place(uint64_t word)
{
    return !(word & QY_WORD_LIST) && (word & QY_WORD_TABLE_MASK);
}

static inline uint64_t qy_word_class(int writable, int executable)
{
    return (writable ? QY_WORD_W : 0) | (executable ? QY_WORD_X : 0);
}

#endif
