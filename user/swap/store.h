/*
 * Compressed pages in memory of a fixed size: what an owner has set aside for them.
 *
 *     pool page of class c:   | piece | piece | piece | rest |      pieces of one size a page
 *     piece:                  | LZ4 block of one page |             its size is in the reference
 *
 * A page that holds one word over and over is that word, and takes nothing of the pool. Any other is compressed, and kept
 * if it fits a piece of half a page; else as it is, or the caller keeps it elsewhere. A put needs no memory but the pool's and the store's own, which
 * are there from the beginning, so it works when nothing is free anywhere; it is refused only when the pool is full.
 *
 * Invariants (store_check)
 *   STORE-PIECE  a page's live pieces are the bits of its map; a page without any is free
 *   STORE-LIST   pages of a class with a free piece are in its list, once; free ones in the list of those
 * Locking: the caller's. Cost: LZ4's, and O(1). Failure: FULL, POOR (it does not compress), and nothing has changed; a
 * damaged piece is told by get.
 */
#ifndef SWAP_STORE_H
#define SWAP_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_PAGE_BYTES 4096u
#define STORE_CLASSES 18u
#define STORE_SCRATCH_BYTES (16u * 1024 + 64) /* LZ4's table */

/* A pool page as the store sees it. */
struct store_page {
    uint64_t live;       /* bit i: piece i */
    uint32_t next, prev; /* in a list: number + 1, 0 = none */
    uint8_t class;       /* STORE_CLASSES: free */
};

struct store {
    uint8_t *pool; /* pages of it, one after the other */
    struct store_page *pages;
    uint32_t count;
    uint32_t free, open[STORE_CLASSES];    /* lists */
    void *scratch;                         /* STORE_SCRATCH_BYTES, aligned to 8 */
    uint64_t live, live_bytes, free_pages; /* pieces, what is in them, pages without any */
};

/* Where a page is; two words that the caller keeps. */
enum store_kind { STORE_NOT, STORE_FILL, STORE_PIECE };
struct store_ref {
    uint64_t fill;  /* FILL: the word */
    uint32_t page;  /* PIECE */
    uint16_t bytes; /* of the LZ4 block */
    uint8_t piece, kind;
};

enum store_result { STORE_OK, STORE_FULL, STORE_POOR };

/* pages: one for each page of the pool. */
void store_begin(struct store *store, void *pool, struct store_page *pages, uint32_t count,
                 void *scratch);

/* raw: what does not compress is kept as it is, in a page of the pool. */
enum store_result store_put(struct store *store, const void *page, bool raw, struct store_ref *out);

/* The page again. False: its piece does not say one; nothing of `page` means anything then. */
bool store_get(const struct store *store, const struct store_ref *ref, void *page);

/* Its piece is free. */
void store_drop(struct store *store, struct store_ref *ref);

/* Null, or the invariant that does not hold. O(pages). */
const char *store_check(const struct store *store);

#endif
