/*
 * Swapping as a service: what a program says to the swapper, and its side of it.
 *
 *     root task                        swapper                          a program, or whoever starts it
 *     ADMIT(owner n; an untyped)   ->  area, pool, slots, blocks
 *     starts it with an endpoint ---------------------------------->    badge n
 *                                      looks at its pages           <-  SPACE(its address space), BUDGET(what pays)
 *                                      marks: evict, compress, write
 *                                      faults of the area: restore
 *     DISMISS(n)                   ->  nothing of it is left
 *
 * An owner is told by the badge of its endpoint capability, and has no more of pool and disk than it was admitted with:
 * that is made of an untyped of its own, which only the manager can take back. Any number of its processes may hand over
 * their spaces, which share slots, so that forks do. What an owner gives is its own: it can revoke it at any time, and hurts
 * itself only. An owner with a pager is asked first: its notification is signalled when memory is scarce, and pages are
 * taken if it is scarce still a moment later.
 *
 * One thread serves. Locking: none.
 */
#ifndef SWAP_SERVICE_H
#define SWAP_SERVICE_H

#include <user/call.h>

#define SWAP_OWNERS 16u           /* badges 1 to SWAP_OWNERS */
#define SWAP_MANAGER (1ull << 32) /* badge of whoever may admit, dismiss and ask */

/* X(NAME, words: results). Labels of requests; the answer's label is an enum qy_error. */
#define SWAP_REQUESTS(X)                                                                                 \
    X(ADMIT)   /* owner, pool pages, slots; with an untyped of swap_reserve_pages. Manager */            \
    X(DISMISS) /* owner. Manager */                                                                      \
    X(REPORT)  /* : fills the page that it was started with (struct swap_report). Manager */             \
    X(WATCH) /* low, high; with an untyped of a node: all pagers are asked when it is scarce. Manager */ \
    X(SPACE)   /* with an address space (WRITE; READ to be counted): index */                            \
    X(BUDGET)  /* index, low, high: pages; with the untyped that pays for that space (WRITE) */          \
    X(PAGER)   /* with a notification (WRITE), in place of the one before */                             \
    X(RECLAIM) /* pages at most: pages that went */                                                      \
    X(STATE) /* : pages that went and returned since it was admitted; times that nothing was free */

enum swap_request {
    SWAP_NOTHING,
#define X(NAME) SWAP_##NAME,
    SWAP_REQUESTS(X)
#undef X
};

/* What whoever starts the program `swapper` gives it. REPORT: a page; DISK: a driver, or nothing. */
enum swap_given { SWAP_GIVEN_ENDPOINT, SWAP_GIVEN_REPORT, SWAP_GIVEN_DISK };

/* The state of an owner. X(name, unit) */
#define SWAP_REPORT(X)                                                                             \
    X(spaces, "")                                                                                  \
    X(resident, "pages")                                                                           \
    X(pool, "pages")                                                                               \
    X(pool_free, "pages")                                                                          \
    X(compressed, "pages")                                                                         \
    X(compressed_bytes, "bytes")                                                                   \
    X(filled, "pages")                                                                             \
    X(on_disk, "pages")                                                                            \
    X(slots, "")                                                                                   \
    X(slots_used, "")                                                                              \
    X(blocks, "")                                                                                  \
    X(evicted, "pages")                                                                            \
    X(restored, "pages")                                                                           \
    X(faults, "")                                                                                  \
    X(ahead, "pages")                                                                              \
    X(written, "pages")                                                                            \
    X(read, "pages")                                                                               \
    X(clusters, "writes")                                                                          \
    X(told, "times, by a mark")                                                                    \
    X(asked, "times, with nothing free")                                                           \
    X(refused, "pages, for want of room")                                                          \
    X(damaged, "pages")                                                                            \
    X(broken, "1: a validator complains")

struct swap_report_owner {
#define X(name, unit) uint64_t name;
    SWAP_REPORT(X)
#undef X
};

struct swap_report {
    uint64_t disk_blocks, disk_free, disk_failed; /* failed: transfers */
    uint64_t scarce; /* times that an untyped of WATCH has come below its mark, or back */
    struct swap_report_owner owner[SWAP_OWNERS]; /* by badge - 1; slots 0: there is none */
};
_Static_assert(sizeof(struct swap_report) <= 4096, "it is a page");

/* A request with at most one capability (0: none), which the caller keeps. */
static inline CALL_MUST_USE enum qy_error swap_call(qy_handle_t endpoint, enum swap_request request,
                                                    uint64_t a, uint64_t b, uint64_t c,
                                                    qy_handle_t capability, uint64_t *result)
{
    struct call_result r = qy_call(QY_CALL_endpoint_call, endpoint, request, a, b, c, capability);
    if (result)
        *result = r.value[3];
    return r.error == QY_OK ? (enum qy_error)r.value[2] : r.error;
}

/* A space's pages may go from now on, so that its budget has `high` free when it has fewer than `low`. */
static inline CALL_MUST_USE enum qy_error swap_join(qy_handle_t endpoint, qy_handle_t space,
                                                    qy_handle_t budget, uint64_t low, uint64_t high)
{
    uint64_t index = 0;
    enum qy_error error = swap_call(endpoint, SWAP_SPACE, 0, 0, 0, space, &index);
    return error == QY_OK ? swap_call(endpoint, SWAP_BUDGET, index, low, high, budget, NULL)
                          : error;
}

/* A thread of the owner has met an empty budget: some pages go. False: none can. */
static inline CALL_MUST_USE bool swap_reclaim(qy_handle_t endpoint, uint64_t pages)
{
    uint64_t gone = 0;
    return swap_call(endpoint, SWAP_RECLAIM, pages, 0, 0, 0, &gone) == QY_OK && gone;
}

#define SWAP_SLOT_BYTES 24u  /* of what is kept of a slot, */
#define SWAP_BLOCK_BYTES 32u /* of a block of a disk, */
#define SWAP_PIECE_BYTES 24u /* and of a page of the pool */

static inline uint64_t swap_pages_of(uint64_t bytes)
{
    return (bytes + 4095) / 4096;
}

/* Pages of the untyped that an owner needs for so many pages of pool and so many slots, with as many blocks of a disk. */
static inline uint64_t swap_reserve_pages(uint64_t pool, uint64_t slots)
{
    uint64_t pages =
        pool + swap_pages_of(pool * SWAP_PIECE_BYTES) + swap_pages_of(slots * SWAP_SLOT_BYTES) +
        swap_pages_of(slots * SWAP_BLOCK_BYTES) + swap_pages_of(slots * sizeof(uint64_t));
    return pages + pages / 64 + 32; /* what objects and their trees take */
}

#endif
