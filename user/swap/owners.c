/*
 * The swapper's owners. See owners.h.
 */
#include "owners.h"

#include <lib/string.h>
#include <user/slots.h>
#include <user/space.h>

#define WINDOWS 0x500000000000ull
#define WINDOW_BYTES (1ull << 36)
#define POOL_PAGES_MAX (1ull << 22)
#define SLOTS_MOST (1ull << 25) /* of an area */

_Static_assert(sizeof(struct keep_slot) <= SWAP_SLOT_BYTES &&
                   sizeof(struct keep_block) <= SWAP_BLOCK_BYTES &&
                   sizeof(struct store_page) <= SWAP_PIECE_BYTES,
               "swap_reserve_pages is enough");

struct service service;

struct owner *owner_find(uint64_t number)
{
    bool is = number >= 1 && number <= SWAP_OWNERS && service.owner[number - 1].mapped;
    return is ? &service.owner[number - 1] : NULL;
}

/* Blocks that no owner has, behind each other, at most `wanted`: the first such range, or the longest. */
static uint32_t free_blocks(uint32_t wanted, uint32_t *first)
{
    uint32_t best = 0;
    for (unsigned i = 0; i <= SWAP_OWNERS && best < wanted; i++) {
        const struct keep *before = i ? &service.owner[i - 1].swap.keep : NULL;
        uint32_t start = before ? before->first_block + before->block_count : 0;
        uint32_t end = service.disk.blocks;
        for (unsigned j = 0; j < SWAP_OWNERS; j++) {
            const struct keep *other = &service.owner[j].swap.keep;
            if (other->block_count && other->first_block <= start &&
                start < other->first_block + other->block_count)
                end = start;
            else if (other->block_count && other->first_block > start && other->first_block < end)
                end = other->first_block;
        }
        uint32_t there = end > start ? end - start : 0;
        if (there > best) {
            best = there < wanted ? there : wanted;
            *first = start;
        }
    }
    return best;
}

/* All pages of the object are there, so that no touch needs memory when there is none. */
static enum qy_error fill(qy_handle_t object, uint64_t pages)
{
    enum qy_error error = QY_OK;
    for (uint64_t page = 0, some; error == QY_OK && page < pages; page += some) {
        some = pages - page < QY_SUPPLY_MAX ? pages - page : QY_SUPPLY_MAX;
        error = memory_supply(object, page, &some, NULL);
    }
    return error;
}

/* What the untyped is for. */
static enum qy_error make(struct owner *owner, unsigned number, uint64_t bytes)
{
    uint64_t at = WINDOWS + number * WINDOW_BYTES;
    const uint64_t badge = SWAP_BADGE | number;
    enum qy_error error =
        slot_make(owner->untyped, QY_OBJ_MEMORY, bytes / PAGE_BYTES, &owner->object);
    if (error == QY_OK)
        error = fill(owner->object, bytes / PAGE_BYTES);
    if (error == QY_OK)
        error = space_map_object(QY_SLOT_SPACE, &at, bytes,
                                 QY_MAP_READ | QY_MAP_WRITE | QY_REGION(QY_REGION_MAPPED),
                                 owner->object, 0);
    if (error == QY_OK) {
        owner->mapped = bytes;
        for (uint64_t page = 0; page < bytes; page += PAGE_BYTES) /* its tables, too */
            *(volatile uint8_t *)(uintptr_t)(at + page) = 0;
        error = slot_make(owner->untyped, QY_OBJ_MEMORY, 0, &owner->swap.area);
    }
    if (error == QY_OK)
        error = memory_pager(owner->swap.area, service.endpoint, badge);
    if (error != QY_OK)
        return error;
    uint32_t slot = slot_take();
    struct call_result copy =
        slot ? cap_copy(QY_SLOT_NODE, slot, service.bell, QY_RIGHT_WRITE, 1ull << (number - 1))
             : (struct call_result){.error = QY_TOO_MANY};
    if (copy.error == QY_OK)
        owner->bell = copy.value[1];
    else if (slot)
        slot_give(slot);
    return copy.error;
}

enum qy_error owner_admit(unsigned number, uint64_t pool, uint64_t slots, qy_handle_t untyped)
{
    static uint64_t scratch[STORE_SCRATCH_BYTES / sizeof(uint64_t)]; /* one page at a time */
    if (number < 1 || number > SWAP_OWNERS || !pool || pool > POOL_PAGES_MAX || !slots ||
        slots % 64 || slots > SLOTS_MOST)
        return QY_INVALID_ARGUMENT;
    if (owner_find(number))
        return QY_ALREADY_MAPPED;
    struct owner *owner = &service.owner[number - 1];
    uint32_t first = 0, blocks = free_blocks((uint32_t)slots, &first);
    const uint64_t state = PAGE_ALIGN(pool * sizeof(struct store_page)),
                   slot_bytes = PAGE_ALIGN(slots * sizeof(struct keep_slot)),
                   block_bytes = PAGE_ALIGN(blocks * sizeof(struct keep_block));
    *owner = (struct owner){.untyped = untyped};
    enum qy_error error = make(owner, number, pool * PAGE_BYTES + state + slot_bytes + block_bytes);
    if (error != QY_OK) {
        owner->untyped = 0; /* the caller's still */
        (void)!owner_dismiss(number);
        return error;
    }
    uint8_t *at = (uint8_t *)(uintptr_t)(WINDOWS + number * WINDOW_BYTES);
    struct keep *keep = &owner->swap.keep;
    *keep =
        (struct keep){.seal = &service.seal,
                      .owner = number,
                      .disk = &service.disk,
                      .slots = (struct keep_slot *)(at + pool * PAGE_BYTES + state),
                      .blocks = (struct keep_block *)(at + pool * PAGE_BYTES + state + slot_bytes),
                      .slot_count = (uint32_t)slots,
                      .first_block = first,
                      .block_count = blocks};
    store_begin(&keep->store, at, (struct store_page *)(at + pool * PAGE_BYTES), (uint32_t)pool,
                scratch);
    keep_begin(keep);
    return QY_OK;
}

enum qy_error owner_dismiss(unsigned number)
{
    struct owner *owner = number >= 1 && number <= SWAP_OWNERS ? &service.owner[number - 1] : NULL;
    if (!owner || (!owner->object && !owner->untyped))
        return QY_NOT_FOUND;
    enum qy_error error = QY_OK;
    if (owner->mapped)
        error = space_unmap_region(QY_SLOT_SPACE, WINDOWS + number * WINDOW_BYTES, owner->mapped);
    for (unsigned i = 0; i < SWAP_SPACES; i++) {
        slot_delete(owner->swap.spaces[i].space);
        slot_delete(owner->swap.spaces[i].budget);
    }
    slot_delete(owner->swap.area);
    slot_delete(owner->object);
    slot_delete(owner->pager);
    slot_delete(owner->bell);
    slot_delete(owner->untyped);
    service.waiting &= ~(1ull << (number - 1));
    *owner = (struct owner){0};
    return error;
}

static void report_owner(struct owner *owner, struct swap_report_owner *out)
{
    struct keep *keep = &owner->swap.keep;
    swapper_collect(&owner->swap);
    *out = (struct swap_report_owner){.pool = keep->store.count,
                                      .pool_free = keep->store.free_pages,
                                      .compressed = keep->store.live,
                                      .compressed_bytes = keep->store.live_bytes,
                                      .filled = keep->used - keep->on_disk - keep->store.live,
                                      .on_disk = keep->on_disk,
                                      .slots = keep->slot_count,
                                      .slots_used = keep->used,
                                      .blocks = keep->block_count,
                                      .evicted = owner->swap.evicted,
                                      .restored = owner->swap.restored,
                                      .faults = owner->swap.faults,
                                      .ahead = keep->ahead,
                                      .written = keep->written,
                                      .read = keep->read,
                                      .clusters = keep->clusters,
                                      .told = owner->told,
                                      .asked = owner->asked,
                                      .refused = keep->refused,
                                      .damaged = keep->damaged,
                                      .broken = keep_check(keep) != NULL};
    for (unsigned i = 0; i < SWAP_SPACES; i++) {
        struct space_state state;
        if (!owner->swap.spaces[i].space)
            continue;
        out->spaces++;
        if (space_info(owner->swap.spaces[i].space, &state) == QY_OK)
            out->resident += state.resident;
    }
}

void owners_report(struct swap_report *report)
{
    *report = (struct swap_report){.disk_blocks = service.disk.blocks,
                                   .disk_free = service.disk.blocks,
                                   .disk_failed = service.blocks.failed,
                                   .scarce = service.scarce};
    for (unsigned i = 0; i < SWAP_OWNERS; i++) {
        struct owner *owner = &service.owner[i];
        if (!owner->mapped)
            continue;
        report->disk_free -= owner->swap.keep.block_count;
        report_owner(owner, &report->owner[i]);
    }
}
