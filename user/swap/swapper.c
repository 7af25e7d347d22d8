/*
 * Taking pages and giving them back. See swapper.h.
 */
#include "swapper.h"

#include <user/slots.h>

#define AHEAD 8u    /* slots that return together, if they lie beside each other */
#define TURNS 3u    /* of the hand: the first finds all pages used */
#define RETRIES 64u /* of a page that has nowhere to return to */
#define LOOKS                                                                                      \
    (1u << 18) /* harvests of one reclaim, so that no owner keeps the swapper from the others */
#define END (1ull << 47)

void swapper_collect(struct swap_owner *owner)
{
    uint64_t used, released;
    if (memory_slots(owner->area, 0, &used, &released) != QY_OK || released == owner->released)
        return;
    owner->released = released;
    for (uint32_t first = 0; first < owner->keep.slot_count; first += 64) {
        if (memory_slots(owner->area, first, &used, &released) != QY_OK)
            return;
        for (uint32_t i = 0; i < 64; i++)
            if (!(used >> i & 1))
                keep_drop(&owner->keep, first + i);
    }
}

/*
 * Some pages beside each other go, at most `count`. Every page that has gone has a place; one that is refused in spite of
 * that would be lost, and is said to be.
 */
static uint32_t take_run(const struct swapper *swapper, struct swap_owner *owner, uint64_t address,
                         uint32_t count)
{
    uint32_t slot = 0, gone = 0;
    uint64_t taken;
    count = keep_reserve(&owner->keep, count < KEEP_CLUSTER ? count : KEEP_CLUSTER);
    count = count ? keep_room(&owner->keep, count, &slot) : 0;
    if (!count || space_evict(owner->spaces[owner->space].space, address, count, owner->area, slot,
                              swapper->out, &taken) != QY_OK)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!(taken >> i & 1))
            continue;
        gone++;
        if (keep_put(&owner->keep, slot + i, swapper->out_at + i * PAGE_BYTES) != KEEP_OK)
            (void)!memory_lose(owner->area, slot + i, 1);
    }
    seal_wipe(swapper->out_at, (size_t)count * PAGE_BYTES);
    owner->evicted += gone;
    return gone;
}

/* Those of 64 pages that have not been used. */
static uint64_t take_cold(const struct swapper *swapper, struct swap_owner *owner,
                          const struct space_harvest *seen, uint64_t wanted)
{
    uint64_t cold = seen->pages & ~seen->accessed, gone = 0;
    while (cold && gone < wanted) {
        uint32_t first = (uint32_t)__builtin_ctzll(cold), count = 1;
        while (first + count < 64 && cold >> (first + count) & 1 && count < KEEP_CLUSTER &&
               gone + count < wanted)
            count++;
        uint32_t now = take_run(swapper, owner, seen->address + first * PAGE_BYTES, count);
        if (!now)
            break;
        gone += now;
        cold &= ~(((1ull << count) - 1) << first);
    }
    return gone;
}

bool swapper_scarce(const struct swap_space *space)
{
    struct untyped_state budget;
    return !space->budget || untyped_info(space->budget, &budget) != QY_OK ||
           budget.free_bytes < space->high * PAGE_BYTES;
}

/* The hand goes on to the next space. */
static void next_space(struct swap_owner *owner)
{
    owner->space = (owner->space + 1) % SWAP_SPACES;
}

void swapper_forget(struct swap_space *space)
{
    slot_delete(space->space);
    slot_delete(space->budget);
    *space = (struct swap_space){0};
}

/* Some turns of the hand, over the spaces that are scarce, or over all. */
static uint64_t go_round(const struct swapper *swapper, struct swap_owner *owner, uint64_t wanted,
                         bool scarce)
{
    uint64_t gone = 0;
    for (unsigned ends = 0, looks = 0; gone < wanted && ends < TURNS * SWAP_SPACES && looks < LOOKS;
         looks++) {
        struct space_harvest seen = {0};
        struct swap_space *space = &owner->spaces[owner->space];
        if (!space->space || space->hand >= END || (scarce && !swapper_scarce(space))) {
            space->hand = space->hand >= END ? 0 : space->hand;
            next_space(owner);
            ends++;
            continue;
        }
        if (space_harvest(space->space, space->hand, END, &seen) != QY_OK) {
            swapper_forget(space);
            continue;
        }
        space->hand = seen.next;
        gone += take_cold(swapper, owner, &seen, wanted - gone);
    }
    return gone;
}

uint64_t swapper_reclaim(const struct swapper *swapper, struct swap_owner *owner, uint64_t wanted)
{
    swapper_collect(owner);
    uint64_t gone = go_round(swapper, owner, wanted, true);
    return gone ? gone : go_round(swapper, owner, wanted, false);
}

/* The first of them is there now, or nobody waits for it any more. */
static bool give_back(const struct swapper *swapper, struct swap_owner *owner, uint32_t slot,
                      uint32_t count)
{
    uint64_t used;
    enum qy_error error = memory_restore(owner->area, slot, count, swapper->in, 0, &used);
    for (uint32_t i = 0; error == QY_OK && i < count; i++) {
        owner->restored += !(used >> i & 1);
        if (!(used >> i & 1))
            keep_drop(&owner->keep, slot + i);
    }
    return error == QY_OK;
}

enum swap_answer swapper_restore(const struct swapper *swapper, struct swap_owner *owner,
                                 uint32_t slot)
{
    uint32_t count = 0;
    owner->faults++;
    enum keep_result result = keep_get(&owner->keep, slot, AHEAD, swapper->in_at, &count);
    if (result == KEEP_EMPTY) /* another thread was first */
        return SWAP_GO_ON;
    if (result == KEEP_DAMAGED) {
        keep_drop(&owner->keep, slot);
        return memory_lose(owner->area, slot, 1) == QY_OK ? SWAP_GO_ON : SWAP_SCARCE;
    }
    bool back = false;
    for (unsigned i = 0; i < RETRIES && !back; i++) {
        back = give_back(swapper, owner, slot, i ? 1 : count);
        if (back)
            break;
        next_space(owner); /* it may be any one's budget that is empty */
        if (!swapper_reclaim(swapper, owner, 2 * AHEAD))
            break;
    }
    seal_wipe(swapper->in_at, (size_t)count * PAGE_BYTES);
    return back ? SWAP_GO_ON : SWAP_SCARCE;
}
