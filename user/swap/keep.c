/*
 * The contents of slots. See keep.h.
 */
#include "keep.h"

#include <lib/string.h>

void keep_begin(struct keep *keep)
{
    memset(keep->slots, 0, keep->slot_count * sizeof(*keep->slots));
    memset(keep->blocks, 0, keep->block_count * sizeof(*keep->blocks));
    keep->used = keep->on_disk = keep->next_slot = keep->next_block = keep->hand = 0;
    keep->clusters = keep->written = keep->read = keep->ahead = keep->spilled = keep->refused =
        keep->damaged = 0;
}

uint32_t keep_room(struct keep *keep, uint32_t wanted, uint32_t *first)
{
    uint32_t looked = 0, at = keep->next_slot, count = 0;
    for (; looked < keep->slot_count; looked++, at++) {
        at = at < keep->slot_count ? at : 0;
        if (keep->slots[at].state == KEEP_FREE)
            break;
    }
    if (looked == keep->slot_count)
        return 0;
    *first = at;
    while (count < wanted && at < keep->slot_count && keep->slots[at].state == KEEP_FREE) {
        count++;
        if (++at % 64 == 0)
            break;
    }
    keep->next_slot = at;
    return count;
}

/* ---- the disk ---- */

/* Free blocks beside each other, as many as wanted or the first that there are; 0: none. */
static uint32_t find_blocks(struct keep *keep, uint32_t wanted, uint32_t *first)
{
    uint32_t at = keep->next_block, best = 0, run = 0;
    for (uint32_t looked = 0; looked < keep->block_count && best < wanted; looked++, at++) {
        if (at >= keep->block_count)
            at = run = 0; /* runs end at the end */
        run = keep->blocks[at].slot ? 0 : run + 1;
        if (run > best) {
            best = run;
            *first = at + 1 - run;
        }
    }
    keep->next_block = *first + best;
    return best;
}

/* Seal what stands in the buffer, for those slots, and write it. False: nothing has changed. */
static bool write_out(struct keep *keep, const uint32_t *slots, uint32_t first, uint32_t count)
{
    const struct keep_disk *disk = keep->disk;
    struct seal_mark marks[KEEP_CLUSTER];
    for (uint32_t i = 0; i < count; i++)
        if (!seal_close(keep->seal, keep->owner, keep->first_block + first + i,
                        disk->buffer + i * STORE_PAGE_BYTES, &marks[i]))
            return false;
    if (!disk->write(disk->context, keep->first_block + first, count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct keep_slot *slot = &keep->slots[slots[i]];
        store_drop(&keep->store, &slot->ref);
        slot->state = KEEP_ON_DISK;
        slot->block = first + i;
        keep->blocks[first + i] = (struct keep_block){marks[i], slots[i] + 1};
    }
    keep->on_disk += count;
    keep->written += count;
    keep->clusters++;
    return true;
}

/*
 * The oldest compressed pages go to the disk: those that the hand comes to and that have not been put since it was
 * there last. False: nothing could go.
 */
static bool spill(struct keep *keep)
{
    const struct keep_disk *disk = keep->disk;
    uint32_t slots[KEEP_CLUSTER], first = 0, count = 0;
    uint32_t room = disk->blocks ? find_blocks(keep, KEEP_CLUSTER, &first) : 0;
    for (uint32_t looked = 0; looked < 2 * keep->slot_count && count < room; looked++) {
        keep->hand = keep->hand < keep->slot_count ? keep->hand : 0;
        struct keep_slot *slot = &keep->slots[keep->hand++];
        if (slot->state != KEEP_STORED || slot->ref.kind != STORE_PIECE)
            continue;
        if (slot->young) {
            slot->young = false;
            continue;
        }
        slot->young = true; /* not twice in two turns */
        if (store_get(&keep->store, &slot->ref, disk->buffer + count * STORE_PAGE_BYTES))
            slots[count++] = keep->hand - 1;
    }
    bool done = count && write_out(keep, slots, first, count);
    keep->spilled += done ? count : 0;
    seal_wipe(disk->buffer, count * STORE_PAGE_BYTES);
    return done;
}

/* A page that does not compress. */
static bool put_on_disk(struct keep *keep, uint32_t number, const void *page)
{
    const struct keep_disk *disk = keep->disk;
    uint32_t first = 0;
    if (!disk->blocks || !find_blocks(keep, 1, &first))
        return false;
    memcpy(disk->buffer, page, STORE_PAGE_BYTES);
    bool done = write_out(keep, &number, first, 1);
    seal_wipe(disk->buffer, STORE_PAGE_BYTES);
    return done;
}

uint32_t keep_reserve(struct keep *keep, uint32_t wanted)
{
    while (keep->store.free_pages < wanted && spill(keep))
        ;
    return keep->store.free_pages < wanted ? (uint32_t)keep->store.free_pages : wanted;
}

enum keep_result keep_put(struct keep *keep, uint32_t number, const void *page)
{
    struct keep_slot *slot = &keep->slots[number];
    enum store_result result;
    while ((result = store_put(&keep->store, page, false, &slot->ref)) == STORE_FULL)
        if (!spill(keep))
            break;
    bool on_disk = result != STORE_OK && put_on_disk(keep, number, page);
    if (result == STORE_POOR && !on_disk)
        result = store_put(&keep->store, page, true, &slot->ref);
    if (result == STORE_OK)
        slot->state = KEEP_STORED;
    else if (!on_disk) {
        keep->refused++;
        return KEEP_NO_ROOM;
    }
    slot->young = true;
    keep->used++;
    return KEEP_OK;
}

/* Slots from `number` on whose blocks lie one behind the other. */
static uint32_t beside(const struct keep *keep, uint32_t number, uint32_t most)
{
    uint32_t block = keep->slots[number].block, count = 1;
    while (count < most && number + count < keep->slot_count &&
           keep->slots[number + count].state == KEEP_ON_DISK &&
           keep->slots[number + count].block == block + count)
        count++;
    return count;
}

static enum keep_result get_from_disk(struct keep *keep, uint32_t number, uint32_t most,
                                      uint8_t *pages, uint32_t *count)
{
    const struct keep_disk *disk = keep->disk;
    uint32_t block = keep->slots[number].block, there = beside(keep, number, most);
    bool read = disk->read(disk->context, keep->first_block + block, there);
    if (!read && there > 1) /* what is ahead may be what cannot be read */
        read = disk->read(disk->context, keep->first_block + block, there = 1);
    for (*count = 0; read && *count < there; ++*count) {
        uint8_t *page = disk->buffer + *count * STORE_PAGE_BYTES;
        if (!seal_open(keep->seal, keep->owner, keep->first_block + block + *count, page,
                       &keep->blocks[block + *count].mark))
            break;
        memcpy(pages + *count * STORE_PAGE_BYTES, page, STORE_PAGE_BYTES);
    }
    seal_wipe(disk->buffer, there * STORE_PAGE_BYTES);
    keep->damaged += *count == 0;
    keep->read += *count;
    keep->ahead += *count ? *count - 1 : 0;
    return *count ? KEEP_OK : KEEP_DAMAGED;
}

enum keep_result keep_get(struct keep *keep, uint32_t number, uint32_t most, void *pages,
                          uint32_t *count)
{
    *count = 0;
    if (number >= keep->slot_count || keep->slots[number].state == KEEP_FREE)
        return KEEP_EMPTY;
    if (keep->slots[number].state == KEEP_ON_DISK)
        return get_from_disk(keep, number, most, pages, count);
    if (!store_get(&keep->store, &keep->slots[number].ref, pages)) {
        keep->damaged++;
        return KEEP_DAMAGED;
    }
    *count = 1;
    return KEEP_OK;
}

void keep_drop(struct keep *keep, uint32_t number)
{
    struct keep_slot *slot = &keep->slots[number];
    if (slot->state == KEEP_FREE)
        return;
    if (slot->state == KEEP_ON_DISK) {
        keep->blocks[slot->block] = (struct keep_block){0};
        keep->on_disk--;
    } else
        store_drop(&keep->store, &slot->ref);
    *slot = (struct keep_slot){0};
    keep->used--;
}

const char *keep_check(const struct keep *keep)
{
    uint64_t pieces = 0, used = 0, on_disk = 0, blocks = 0;
    for (uint32_t i = 0; i < keep->slot_count; i++) {
        const struct keep_slot *slot = &keep->slots[i];
        used += slot->state != KEEP_FREE;
        pieces += slot->state == KEEP_STORED && slot->ref.kind == STORE_PIECE;
        if (slot->state != KEEP_ON_DISK)
            continue;
        on_disk++;
        if (slot->block >= keep->block_count || keep->blocks[slot->block].slot != i + 1)
            return "KEEP-BLOCK";
    }
    for (uint32_t i = 0; i < keep->block_count; i++)
        blocks += keep->blocks[i].slot != 0;
    if (blocks != on_disk || on_disk != keep->on_disk || used != keep->used)
        return "KEEP-BLOCK";
    return pieces == keep->store.live ? store_check(&keep->store) : "STORE-PIECE";
}
