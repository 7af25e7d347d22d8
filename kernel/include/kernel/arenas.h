/*
 * The machine's root arenas, one per node and zone, and the kernel's own, carved out of one of them.
 *
 * Filled once at boot; what remains in the roots is handed to the root task as untypeds.
 */
#ifndef KERNEL_ARENAS_H
#define KERNEL_ARENAS_H

#include <platform/topology.h>
#include <qy/arena.h>
#include <qy/map.h>
#include <qy/nodes.h>

struct kernel_arenas {
    struct qy_arena kernel;
    uint64_t header_bytes;   /* of the roots and nodes: memory of the kernel's that is in no arena */
    unsigned count;          /* of roots that hold memory */
    struct qy_nodes nodes;   /* the roots by node and zone, nearest first */
    struct qy_arena *roots;  /* an array, as long as the machine runs */
};

/*
 * Build the roots from what is free in the map and carve the kernel's arena; the map's uses become UNTYPED and
 * KERNEL_ARENA. Stops with a clear line when there is too little memory. The result lives as long as the kernel.
 */
struct kernel_arenas *kernel_arenas_make(struct qy_map *map, struct qy_framedb *db,
                                         const struct qy_topology *topology);

/* The nodes of the machine and their order of fallback. */
const struct qy_nodes *kernel_nodes(void);

/* Hand what only the start needed (use `from`) to the root arenas. Returns the bytes. */
uint64_t kernel_arenas_give_back(struct qy_map *map, enum qy_mem_use from);

#endif
