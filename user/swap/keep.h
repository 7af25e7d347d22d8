/*
 * What is in an owner's slots: compressed in memory that the owner has set aside, or sealed on a disk.
 *
 *     put  --> one word, or a compressed piece           (store.h)
 *      |        no room: the oldest pieces go to the disk, 16 at a time, to blocks beside each other
 *      +-----> does not compress: to the disk likewise
 *     get  <-- a piece; or blocks, with those of the following slots if they are beside it (read-ahead)
 *
 * All memory is there from the beginning: a put takes none, so that it works when nothing is free. Without a disk, or
 * when that is full or refuses, a put is refused and the caller's page stays where it was. What comes back is what was
 * put, or an error: never other bytes (seal.h).
 *
 * Invariants (keep_check)
 *   KEEP-BLOCK   a slot on the disk and its block name each other; no other block names a slot
 *   STORE-*      of the store; its live pieces are those of the slots
 * Locking: the caller's. Cost: O(1) beside LZ4, the cipher and the disk; finding what is oldest O(slots) a turn.
 */
#ifndef SWAP_KEEP_H
#define SWAP_KEEP_H

#include "seal.h"
#include "store.h"

#define KEEP_CLUSTER 16u /* blocks of one transfer */

/* Blocks of 4096 bytes to and from the beginning of `buffer`. False: an error; what was asked for may be half done. */
struct keep_disk {
    bool (*read)(void *context, uint32_t block, uint32_t count);
    bool (*write)(void *context, uint32_t block, uint32_t count);
    void *context;
    uint8_t *buffer; /* KEEP_CLUSTER pages */
    uint32_t blocks; /* 0: there is no disk */
};

enum keep_state { KEEP_FREE, KEEP_STORED, KEEP_ON_DISK };

struct keep_slot {
    struct store_ref ref;
    uint32_t block; /* ON_DISK */
    uint8_t state;
    bool young; /* put since the hand came by */
};

struct keep_block {
    struct seal_mark mark;
    uint32_t slot; /* + 1; 0 = free */
};

struct keep {
    struct store store;
    struct seal *seal;
    uint64_t owner;
    const struct keep_disk *disk;
    struct keep_slot *slots;
    struct keep_block *blocks;
    uint32_t slot_count, used, on_disk, next_slot; /* where the next search begins */
    uint32_t first_block, block_count, next_block, hand;
    uint64_t written, read, ahead, spilled, refused, damaged; /* pages, for reports */
    uint64_t clusters;                                        /* writes */
};

enum keep_result {
    KEEP_OK,
    KEEP_NO_ROOM, /* put: the pool is full, and the disk too, or it refuses */
    KEEP_DAMAGED, /* get: the disk refuses, or what it has is not what was written */
    KEEP_EMPTY    /* get: nothing is there */
};

/*
 * Set fields store (begun), seal, owner, disk, slots, blocks, counts and first_block; the rest is zeroed here. Blocks
 * [first_block, first_block + block_count) of the disk are the owner's.
 */
void keep_begin(struct keep *keep);

/* So many free slots beside each other, or fewer: their number, 0 = none. A multiple of 64 is not crossed. */
uint32_t keep_room(struct keep *keep, uint32_t wanted, uint32_t *first);

/* Of so many pages, how many can be put for certain, whatever they hold and whatever the disk does. */
uint32_t keep_reserve(struct keep *keep, uint32_t wanted);

/* A page into a free slot. */
enum keep_result keep_put(struct keep *keep, uint32_t slot, const void *page);

/*
 * The page of a slot, and, if it comes from the disk, those of up to most - 1 following ones that lie beside it.
 * *count: how many there are. They stay in their slots. most: at most KEEP_CLUSTER.
 */
enum keep_result keep_get(struct keep *keep, uint32_t slot, uint32_t most, void *pages,
                          uint32_t *count);

void keep_drop(struct keep *keep, uint32_t slot);

/* Null, or the invariant that does not hold. O(slots + blocks). */
const char *keep_check(const struct keep *keep);

#endif
