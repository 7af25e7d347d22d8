/*
 * From the memory map to what stands on it from boot on: the parts of the frame database that RAM needs, and one
 * root arena per node and zone.
 *
 *     map         |-- free, node 0 ------------|hole|-- free, node 0 --|-- free, node 1 --|
 *     zones       |-- DMA32 -----------|      4 GiB |-- NORMAL -----------------------------
 *     roots       |-- 0, DMA32 --------|--- 0, NORMAL -----------------|-- 1, NORMAL -----|
 *     database    |- extent -----------------------|    |- extent --------------------------
 *
 * The kernel uses this at boot, and so does whatever asks how the kernel would use a machine. Boot only, one CPU, no
 * lock. Cost: O(segments^2) in all.
 */
#ifndef QY_ROOTS_H
#define QY_ROOTS_H

#include <qy/arena.h>
#include <qy/map.h>

/* Where the zone DMA32 ends: devices with 32-bit addresses reach what is below. */
#define QY_DMA32_END 0x100000000ull

/* The zone of the RAM at an address. */
enum qy_zone qy_zone_of(uint64_t address);
const char *qy_zone_name(enum qy_zone zone);

/* True for RAM whose frames the frame database describes: all that can ever be given out. */
bool qy_segment_is_described(const struct qy_segment *segment);

/*
 * The first run of touching segments of a kind at or above `from`, in bytes. It is found by address, since the map's
 * uses, though not its types, change while tables are built. False: there is none.
 */
bool qy_map_next_run(const struct qy_map *map, uint64_t from,
                     bool (*kind)(const struct qy_segment *segment), uint64_t *base, uint64_t *end);

/* One past the last frame that is described: the limit of the frame database. */
pfn_t qy_map_ram_end(const struct qy_map *map);

/*
 * The next part of a table of the database (0 = frames, 1 = blocks, 2 = sections) that needs memory behind it: bytes
 * [*base, *end) from the table's start, in whole pages, neighbours and overlaps joined. *from is 0 at first, and the
 * caller's bookmark afterwards. False: there is no further one.
 */
bool qy_framedb_next_extent(const struct qy_map *map, unsigned table, uint64_t *from, uint64_t *base,
                            uint64_t *end);

struct qy_roots {
    struct qy_arena *arenas; /* the caller's, zeroed; stays in place */
    unsigned count;          /* that hold memory */
    unsigned capacity;       /* nodes x QY_ZONE_COUNT always suffice */
    struct qy_framedb *db;
};

/*
 * Give every segment of use `from` to the root arena of its node and zone, split where the zones meet; its use becomes
 * UNTYPED. *bytes: how much that was. Roots are numbered from 1 in the order in which they get memory.
 * Errors: TOO_MANY (the map's array or `capacity`), NOT_OWNED (an arena has it already), INVALID_ARGUMENT (`from` is a
 * use that is never given out, or frame 0, or memory beyond the database). What was given before the segment at fault
 * stays given; *fault (may be null) is that segment.
 */
enum qy_error qy_roots_give(struct qy_roots *roots, struct qy_map *map, enum qy_mem_use from,
                            uint64_t *bytes, struct qy_segment *fault) QY_MUST_USE;

#endif
