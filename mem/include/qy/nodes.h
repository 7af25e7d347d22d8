/*
 * The NUMA nodes of a machine: its root arenas by node and zone, and where to look when one is full.
 *
 *     distances      0  1  2        order of fallback
 *     node 0        10 15 20        0, 1, 2
 *     node 1        15 10 15        1, 2, 0     equally far: the next numbers first, round about,
 *     node 2        20 15 10        2, 1, 0     so that not all nodes spill onto one
 *
 * An allocation names the node that it prefers. It is served by the zone NORMAL of that node, then of
 * the others in order of distance; a node without NORMAL memory is served by its DMA32 there. DMA32
 * memory of nodes that have both comes last, again in order of distance, unless it is asked for: then
 * nothing else will do. A pinned allocation looks at its node only.
 *
 * Invariants
 *   NODE-ORDER  a node's order names every node once, itself first, by distances that do not fall
 *   NODE-ROOT   an arena stands under its own node and zone
 * Locking: none of its own; filled at boot, then read only, but for the counters (atomic). Cost: init
 * O(n log n) for each of n nodes; an allocation O(nodes that are full) times the arena's.
 */
#ifndef QY_NODES_H
#define QY_NODES_H

#include <qy/frame_cache.h>

#define QY_DISTANCE_LOCAL 10u

struct qy_node {
    struct qy_arena *zones[QY_ZONE_COUNT]; /* null: it has no such memory */
    _Atomic uint64_t local;                /* requests that preferred it and were served by it, */
    _Atomic uint64_t remote;               /* by another node, */
    _Atomic uint64_t failed;               /* or not at all */
};

struct qy_nodes {
    unsigned count;
    const struct qy_framedb *db; /* of the arenas entered */
    struct qy_node *nodes;
    uint16_t *order;   /* count rows of count */
    uint8_t *distance; /* likewise */
};

/* Memory that so many nodes need, aligned to 8 bytes. */
size_t qy_nodes_bytes(unsigned count);

/*
 * Nodes 0..count-1 (at most 65535) without arenas. memory stays the caller's and in place. distance
 * has a row of row_bytes for each node, of which the first count are read.
 */
void qy_nodes_init(struct qy_nodes *nodes, void *memory, unsigned count, const uint8_t *distance,
                   size_t row_bytes);

/*
 * Enter a root arena by its node and zone; once more is no error. Errors: NUMA_NODE_NOT_FOUND,
 * BUSY (another arena stands there); nothing has changed then.
 */
enum qy_error qy_nodes_enter(struct qy_nodes *nodes, struct qy_arena *arena) QY_MUST_USE;

enum qy_placement {
    QY_PLACE_PINNED = 1, /* this node or none */
    QY_PLACE_DMA32 = 2,  /* this zone or none */
};

/*
 * Take a block as qy_arena_alloc does, by the rules above; flags: of enum qy_placement. cpu: whose
 * caches are used; null: none. Errors: NUMA_NODE_NOT_FOUND (no such node), OUT_OF_MEMORY (no arena
 * that may serve has one), INVALID_ARGUMENT (order, state, flags).
 */
enum qy_error qy_nodes_alloc(struct qy_nodes *nodes, struct qy_cpu_frames *cpu, unsigned node,
                             unsigned flags, unsigned order, enum qy_frame_state state,
                             pfn_t *out) QY_MUST_USE QY_REQUIRES(qy_irq_off);

/* Give it back to the arena that it came from. Errors: as qy_arena_free, NOT_OWNED (no root's). */
enum qy_error qy_nodes_free(struct qy_nodes *nodes, struct qy_cpu_frames *cpu, pfn_t block,
                            unsigned order, enum qy_frame_state state) QY_MUST_USE
    QY_REQUIRES(qy_irq_off);

/* Carve a child arena as qy_arena_carve does, by the same rules. Errors: both. */
enum qy_error qy_nodes_carve(struct qy_nodes *nodes, unsigned node, unsigned flags,
                             struct qy_arena *child, uint64_t pages, uint32_t id) QY_MUST_USE;

/* The i-th node to look at for one that prefers `node`: i = 0 is itself. Both below count. */
static inline unsigned qy_nodes_at(const struct qy_nodes *nodes, unsigned node, unsigned i)
{
    return nodes->order[node * nodes->count + i];
}

static inline unsigned qy_nodes_distance(const struct qy_nodes *nodes, unsigned from, unsigned to)
{
    return nodes->distance[from * nodes->count + to];
}

/* Errors: NUMA_NODE_NOT_FOUND. `cpus` is left to the caller. */
enum qy_error qy_nodes_record(const struct qy_nodes *nodes, unsigned node,
                              struct qy_record_node *out) QY_MUST_USE;

/* Null, or the id of the first invariant that does not hold. O(nodes^2). */
const char *qy_nodes_check(const struct qy_nodes *nodes);

#endif
