/*
 * Swap areas: pages of a space that are somewhere else, in slots that a program keeps.
 *
 *     before      entry: page  --> frame;  frame's word --> entry          (reverse map, qy/rmap.h)
 *     evicted     entry: SWAPPED --> slot; slot's word --> entry           contents: the caller's
 *     restored    entry: page  --> frame of the budget that pays for the entry's table
 *
 * A slot is what is left of a frame when its contents go: the word with its reverse map. So whatever copies, drops or
 * revokes entries treats one that names a slot as one that holds a frame; a clone's entries name the same slot, and a
 * slot whose word is 0 is free. What the page's region is stays with its table, as for a page that is there: an
 * eviction and a return take no memory but the page's, and no call but these tells the difference.
 *
 * Which pages go, when, and what becomes of their contents is the policy of whoever calls. A page goes if it is the
 * space's own, in a table and a frame that it shares with nobody, and not pinned.
 *
 * Invariants
 *   SWAP-WORD  a slot's word names exactly the entries that name the slot
 *   PAID       the words of an area are paid by its budget, what returns by the budget of the entry's table
 *   REVOKED    once a slot is discarded, or its area destroyed, no entry names it: they are marks `revoked`
 *   ZERO       contents go to the caller once no CPU can write them, and their frame is still the space's
 *
 * Locking: as qy/vm.h; words have a lock bit, inside a table's lock. Words stay where they are until the area goes.
 * Cost: evict a lock and a copy a page, and one flush a call; restore a lock and a copy an entry. References:
 * docs/adr/0031-pressure-and-swap.md.
 */
#ifndef QY_SWAP_H
#define QY_SWAP_H

#include <qy/vm.h>

#define QY_SWAP_SLOTS_MAX (1ull << 25) /* 128 GiB */
#define QY_SWAP_BATCH 64u              /* pages of one evict or harvest: the bits of a word */

struct qy_swap {
    struct qy_vm *vm;
    struct qy_budget *budget;
    uint64_t cookie;              /* the embedder's; faults' bindings have it, and the area as their object */
    _Atomic uint64_t root;        /* address of the first page of the tree of words; 0 = none */
    _Atomic uint64_t released;    /* slots that became free because no entry names them any more */
    struct qy_lock lock;          /* of those who add pages of words */
};

/* An area without slots. */
void qy_swap_init(struct qy_swap *swap, struct qy_vm *vm, struct qy_budget *budget, uint64_t cookie);

/*
 * One step of taking it apart: OK = it is gone, BUSY = call again. Entries that name its slots become `revoked`. The
 * caller sees to it that nobody is in another call on it any more.
 */
enum qy_error qy_swap_destroy_step(struct qy_swap *swap) QY_MUST_USE;

/* Slots can be used from now on. Errors: INVALID_ARGUMENT (there are no such slots), OUT_OF_MEMORY, REVOKED. */
enum qy_error qy_swap_reserve(struct qy_swap *swap, uint64_t first, uint64_t slots) QY_MUST_USE;

/*
 * Pages of a range leave the space: that of page i to slot first + i and to `into`, i pages on. *taken: bit i: it went;
 * the others stay as they are. pages: at most QY_SWAP_BATCH; the slots are reserved. A slot that is in use takes
 * nothing. Errors: INVALID_ADDRESS, INVALID_ARGUMENT (pages), REVOKED.
 */
enum qy_error qy_space_evict(struct qy_space *space, uint64_t address, unsigned pages, struct qy_swap *swap,
                             uint64_t first, void *into, uint64_t *taken) QY_MUST_USE;

/*
 * The contents of a slot return to the entries that name it and were touched meanwhile, or to the only one. *filled:
 * entries that are pages now. Errors: OUT_OF_MEMORY (of one of those that could not be; another may have been filled).
 */
enum qy_error qy_swap_restore(struct qy_swap *swap, uint64_t slot, const void *from, unsigned *filled) QY_MUST_USE;

/* One step: the contents are lost, entries that name the slot become `revoked`. BUSY: call again. */
enum qy_error qy_swap_discard_step(struct qy_swap *swap, uint64_t slot) QY_MUST_USE;

/* Which of the 64 slots from `first` on, a multiple of 64, are in use: bit i. */
uint64_t qy_swap_used(struct qy_swap *swap, uint64_t first);

struct qy_harvest {
    uint64_t address;  /* of the page of bit 0, a multiple of QY_SWAP_BATCH pages */
    uint64_t pages;    /* that may be evicted */
    uint64_t accessed; /* that have been used since the last harvest, others too */
    uint64_t swapped;  /* in slots */
    uint64_t next;     /* where to go on */
};

/*
 * What a clock hand sees from an address on: the first pages from there that are there or in slots, up to
 * QY_SWAP_BATCH; they count as not used from now on. Nothing before `end`: next = end, no bits. A call may see nothing
 * and want to be called again. Errors: INVALID_ADDRESS, REVOKED.
 */
enum qy_error qy_space_harvest(struct qy_space *space, uint64_t address, uint64_t end,
                               struct qy_harvest *out) QY_MUST_USE;

/* Null, or the id of the first invariant that does not hold. Nobody else uses it meanwhile. O(slots). */
const char *qy_swap_check(struct qy_swap *swap);

#endif
