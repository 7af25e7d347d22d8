/*
 * On which node memory lies: policies of a program that has untypeds of several nodes.
 *
 *     bind         out of one node's memory, or not at all
 *     preferred    out of one node's memory, else of the next that has enough, in the order of the table
 *     interleave   stripe by stripe out of all nodes' memory, in turn
 *
 * A region is mapped from memory objects, one of each untyped that takes part: which node a page comes from is decided by
 * which object it is of, when it is first touched, by whomever. Who runs where is not asked. The regions that a space
 * has already move by space_migrate. Locking: one thread of a program maps at a time, here or elsewhere: the place is
 * chosen first, and filled then.
 */
#ifndef USER_NUMA_H
#define USER_NUMA_H

#include <user/call.h>

#define NUMA_NODES_MAX 8u
#define NUMA_STRIPE_BYTES 0x10000ull

enum numa_policy { NUMA_BIND, NUMA_PREFERRED, NUMA_INTERLEAVE };

/* Untypeds that the program may use, one a node, in the order in which they are to be tried. */
struct numa {
    unsigned count;
    qy_handle_t untyped[NUMA_NODES_MAX];
};

/* A mapped region and what it is made of. */
struct numa_region {
    uint64_t address, bytes;
    unsigned count;
    qy_handle_t object[NUMA_NODES_MAX];
};

/*
 * Map bytes (a multiple of a page) with rights of QY_MAP_*. BIND and PREFERRED begin with untyped[first]. Errors:
 * INVALID_ARGUMENT, TOO_MANY (slots), OUT_OF_MEMORY (BIND, PREFERRED: so much is not free there now), those of
 * space_map_region. Nothing is left of a call that fails.
 */
enum qy_error numa_map(const struct numa *numa, enum numa_policy policy, unsigned first,
                       uint64_t bytes, uint64_t rights, struct numa_region *out) CALL_MUST_USE;

/* Unmap it and give its memory back. */
enum qy_error numa_unmap(struct numa_region *region) CALL_MUST_USE;

#endif
