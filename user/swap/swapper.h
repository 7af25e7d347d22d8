/*
 * The swapper: takes pages from spaces when their memory becomes scarce, and gives them back when they are touched.
 *
 *     untyped --marks--> notification --+                     +--> space_evict  --> keep (compress, seal, disk)
 *     space   --fault--> area's pager --+--> one thread ------+--> memory_restore <-- keep
 *
 * An owner has spaces whose pages may go, an area with slots for them, and memory that it has set aside: pool, slots and
 * blocks. All of that is there before the first page goes, so that the swapper makes nothing when memory is scarce: a
 * page goes only if there is room for it whatever it holds (keep_reserve). The swapper's own memory is in no owner's
 * spaces, so it never waits for itself.
 *
 * Which pages: the hand of a clock goes round the owner's spaces whose budgets are scarce; pages that have been used since
 * it was there last get another turn (second chance). A turn looks at a bounded number of places, however large the spaces.
 *
 * Locking: one thread. Failure: nobody is ended here; who asks is told that nothing could be taken, or that a page's
 * contents are lost, which the page's owner sees as *revoked*.
 */
#ifndef SWAP_SWAPPER_H
#define SWAP_SWAPPER_H

#include "keep.h"

#include <user/space.h>

#define SWAP_SPACES 16u
#define SWAP_BADGE (1ull << 40) /* of what an area's pager hears */

/* Both capabilities are in slots of this program, which are given back when the space has gone. */
struct swap_space {
    qy_handle_t space;  /* 0 = none */
    qy_handle_t budget; /* pays for its pages; 0 = not known: it counts as scarce */
    uint64_t low, high; /* pages that are to be free in the budget */
    uint64_t hand;      /* where the next look begins */
};

struct swap_owner {
    qy_handle_t area;
    struct swap_space spaces[SWAP_SPACES];
    struct keep keep;
    unsigned space; /* where the hand is */
    uint64_t released;
    uint64_t evicted, restored, faults; /* pages, messages */
};

/* What goes between the kernel and the swapper, a frame each way: KEEP_CLUSTER pages, mapped. */
struct swapper {
    qy_handle_t out, in;
    uint8_t *out_at, *in_at;
};

/* The space's budget has fewer free pages than it is to have, or nobody knows. */
bool swapper_scarce(const struct swap_space *space);

/* Its capabilities go, and it is none any more. */
void swapper_forget(struct swap_space *space);

/*
 * Take up to `wanted` pages from an owner's spaces; how many went. From those whose budgets are scarce; if they have nothing to take, from any. 0: all
 * pages are in use, shared, or there is no room for what they hold. A space that has gone is forgotten.
 */
uint64_t swapper_reclaim(const struct swapper *swapper, struct swap_owner *owner, uint64_t wanted);

enum swap_answer {
    SWAP_GO_ON, /* it is there, or will be known to be lost */
    SWAP_SCARCE /* the page has nowhere to return to, and nothing else could be taken */
};

/* A thread waits for a slot: it and those that lie beside it return. */
enum swap_answer swapper_restore(const struct swapper *swapper, struct swap_owner *owner,
                                 uint32_t slot);

/* Slots that nobody names any more are free. O(slots), if there are any. */
void swapper_collect(struct swap_owner *owner);

#endif
