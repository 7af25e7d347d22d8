/*
 * A heap: memory of any size, in spans of pages that come from whoever gives pages.
 *
 *     span, SPAN_BYTES and aligned to as much:  | head | block | block | ...        blocks of one size class
 *     large:                                    | head | one block, any number of pages |
 *
 * The address of a block, rounded down to SPAN_BYTES, is its span's head. Classes are four to a doubling, so a block is
 * at most a quarter larger than asked for. A span whose blocks are all free goes back, but one of each class; a large
 * block goes back at once.
 *
 * Invariants (heap_check)
 *   HEAP-LIST   spans with a free block are in their class's list, once; full ones are not
 *   HEAP-COUNT  live blocks + free ones + those never used = blocks of the span
 *   HEAP-FREE   a free block lies in its span, at a multiple of its size, once in the list
 * Locking: the caller's. Cost: O(1), and what pages cost. Failure: null, and nothing has changed. A block that is freed
 * twice in a row, or was never one, is refused; of a block used after its free the heap knows nothing.
 * Reference: D. Leijen, B. Zorn, L. de Moura, Mimalloc: Free List Sharding in Action (2019).
 */
#ifndef USER_HEAP_H
#define USER_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPAN_BYTES 0x10000u
#define HEAP_BLOCK_MAX 0x3000u /* larger ones get spans of their own */
#define HEAP_CLASSES 34u
#define HEAP_ALIGN 16u

/* Where pages come from. */
struct heap_pages {
    /* Zeroed, aligned to SPAN_BYTES, a multiple of a page long; null: there are none. */
    void *(*take)(void *context, size_t bytes);
    void (*give)(void *context, void *pages, size_t bytes);
    void *context;
};

struct span;

struct heap {
    const struct heap_pages *pages;
    struct span *classes[HEAP_CLASSES]; /* spans with free blocks */
    uint64_t live_blocks,
        live_bytes;      /* handed out; bytes with what a block has more than was asked for */
    uint64_t page_bytes; /* taken */
};

/* The heap begins zeroed but for `pages`. */

/* At least `bytes`, aligned to HEAP_ALIGN; null: no memory, or more than half of all addresses. 0 bytes count as 1. */
void *heap_take(struct heap *heap, size_t bytes);

/* False: it is no live block of a heap. Null is let pass. */
bool heap_give(struct heap *heap, void *block);

/* Bytes that a live block has room for. */
size_t heap_room(const void *block);

/* Null, or the invariant that does not hold. O(blocks). */
const char *heap_check(const struct heap *heap);

#endif
