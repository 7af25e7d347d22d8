/*
 * The machine's memory map: from the firmware's ranges to the owner of every byte.
 *
 * One sorted list of segments does three jobs: it normalises what the firmware says, it is the early allocator
 * (before the frame database exists), and it prints the table "firmware's range -> our use -> owner".
 *
 *     firmware   |-- usable ------------------------------|- reserved -|----- usable ------|
 *     segments   |0|-- free --|- kernel -|-- free --|arch.|  (reserved)|-- free --|fr.db|..|
 *
 * Invariants
 *   MAP-SORTED   segments are sorted, not empty, and do not overlap
 *   MAP-MERGED   no two touching segments have the same type, use and node
 *   MAP-WHOLE    a usable segment begins and ends on page boundaries, unless its use is ROUNDED
 *   MAP-USE      a segment's use is NOT_RAM exactly if its type is not USABLE
 *   MAP-ZERO     frame 0 is never free, nor of any use that could give it out
 *   MAP-TOTAL    the bytes of usable segments add up to usable_bytes, always
 * The list is out of band: nothing is ever written to free memory. Boot only, one CPU, no lock. Cost: O(segments) a
 * call; qy_map_build O(ranges^2), since it needs no memory beyond the caller's array.
 */
#ifndef QY_MAP_H
#define QY_MAP_H

#include <quarry/uses.h>
#include <qy/types.h>

/* What the firmware says a range is, least restrictive first: where ranges overlap, the later one wins. */
/* X(NAME, name, is RAM that the direct map may cover) */
#define QY_MEM_TYPES(X)                                                                            \
    X(USABLE, "usable", 1)                                                                         \
    X(ACPI_RECLAIM, "ACPI tables", 1)                                                              \
    X(ACPI_NVS, "ACPI NVS", 1)                                                                     \
    X(RESERVED, "reserved", 0)                                                                     \
    X(FIRMWARE, "firmware runtime", 0)                                                             \
    X(SPECIAL, "special purpose", 0)                                                               \
    X(HOTPLUG, "hot-pluggable", 0)                                                                 \
    X(UNACCEPTED, "unaccepted", 0)                                                                 \
    X(PERSISTENT, "persistent", 0)                                                                 \
    X(MMIO, "device", 0)                                                                           \
    X(BAD, "defective", 0)

enum qy_mem_type {
#define X(NAME, name, ram) QY_MEM_##NAME,
    QY_MEM_TYPES(X)
#undef X
        QY_MEM_TYPE_COUNT
};

const char *qy_mem_type_name(enum qy_mem_type type);
const char *qy_mem_use_name(enum qy_mem_use use);
const char *qy_mem_use_owner(enum qy_mem_use use);
bool qy_mem_type_is_ram(enum qy_mem_type type);

/* [base, end) in bytes, as the firmware or a parser reports it. */
struct qy_range {
    uint64_t base;
    uint64_t end;
    uint32_t type; /* enum qy_mem_type */
    uint32_t firmware_type; /* the firmware's own number, for messages */
};

struct qy_segment {
    uint64_t base; /* bytes, [base, end) */
    uint64_t end;
    uint8_t type; /* enum qy_mem_type */
    uint8_t use;  /* enum qy_mem_use; NOT_RAM unless type is USABLE */
    uint16_t node;
};

struct qy_map {
    struct qy_segment *segments; /* the caller's array; stays the caller's */
    uint32_t count;
    uint32_t capacity;
    uint64_t usable_bytes; /* RAM that the firmware calls usable, overlaps resolved */
};

/*
 * Make the map from what the firmware reported, in any order, overlapping or not. Ranges that wrap past 2^64
 * or are empty are left out and counted in *ignored (may be null). Usable segments are rounded inwards to whole
 * pages (the rest: use ROUNDED), frame 0 is withheld, memory at or beyond physical_limit gets use BEYOND.
 * A type that is none counts as RESERVED. The ranges stay the caller's and unchanged.
 * Errors: TOO_MANY (capacity), NOT_FOUND (no usable page at all). The map is empty after an error.
 */
enum qy_error qy_map_build(struct qy_map *map, struct qy_segment *array, uint32_t capacity,
                           const struct qy_range *ranges, size_t count, uint64_t physical_limit,
                           uint32_t *ignored) QY_MUST_USE;

/*
 * Take [base, end), rounded outwards to pages, out of what is free and give it a use. Parts that are not
 * usable, or have another use already, stay as they are; *taken (may be null) is the number of bytes that changed.
 * Errors: TOO_MANY, INVALID_ARGUMENT (empty or wrapping, or FREE or one of the uses that only qy_map_build gives:
 * NOT_RAM, FRAME_ZERO, ROUNDED, BEYOND); nothing has changed then.
 */
enum qy_error qy_map_reserve(struct qy_map *map, uint64_t base, uint64_t end, enum qy_mem_use use,
                             uint64_t *taken) QY_MUST_USE;

/*
 * Say which node the RAM in [base, end) belongs to; both ends are rounded down to pages, so a page belongs to the node
 * of its last byte. All RAM is on node 0 before. Errors: TOO_MANY; nothing has changed then.
 */
enum qy_error qy_map_set_node(struct qy_map *map, uint64_t base, uint64_t end, uint16_t node) QY_MUST_USE;

#define QY_ANY_NODE 0xffffu

/*
 * The early allocator: the highest free aligned `bytes` in [min, max) on that node (or QY_ANY_NODE).
 * bytes: a multiple of the page size; align: a power of two, at least a page.
 * Errors: OUT_OF_MEMORY, TOO_MANY, INVALID_ARGUMENT; nothing has changed then.
 */
enum qy_error qy_map_alloc(struct qy_map *map, uint64_t bytes, uint64_t align, uint64_t min, uint64_t max,
                           uint16_t node, enum qy_mem_use use, paddr_t *out) QY_MUST_USE;

/*
 * Give [base, end) back (whole pages, all of it usable and of use `from`), or hand it to another use.
 * Errors: NOT_ALLOCATED (not all of it has that use), INVALID_ARGUMENT (empty, not whole pages, or a use that only
 * qy_map_build gives), TOO_MANY; nothing has changed then.
 */
enum qy_error qy_map_change(struct qy_map *map, uint64_t base, uint64_t end, enum qy_mem_use from,
                            enum qy_mem_use to) QY_MUST_USE;

/* Bytes of usable memory by use; the sum equals map->usable_bytes. */
void qy_map_totals(const struct qy_map *map, uint64_t bytes[QY_USE_COUNT]);

/* The segment that holds an address, or null. */
const struct qy_segment *qy_map_find(const struct qy_map *map, uint64_t address);

/* Null, or the id of the first invariant that does not hold. */
const char *qy_map_check(const struct qy_map *map);

#endif
