/*
 * Address spaces and page tables: where frames are mapped, and how to find out.
 *
 *     space.root (level 4)        a capability slot of a frame says where that capability maps it:
 *        | by index                   slot.table, slot.index, slot.level
 *     page table (level 3)        a table lists the slots that map through it:
 *        |                            table.mappings
 *     page table (level 2)        so taking a table or a space away finds every mapping in it, and
 *        |                        taking a frame away finds its entries without a walk
 *     page table (level 1)
 *        | mappings
 *     slot <-> slot <-> slot
 *
 * Tables belong to their PAGE_TABLE objects: destroying a space takes them out, empties them and
 * leaves them to their owners.
 *
 * Invariants
 *   SPACE-MAP   each recorded mapping's entries point at its frame with its page size; a frame's
 *               mapping count is the number of slots that map it and of those whose shootdown is
 *               under way
 *   SPACE-TREE  a table is installed at one place, the one that its record names
 *   WXOR, EXACT, ISOLATED (the user half only)
 *
 * Locking: qy_class_caps. Cost: map O(levels), with up to 32 steps a level to find a table among
 * its neighbours; unmap O(entries of the frame).
 */
#ifndef KERNEL_SPACE_H
#define KERNEL_SPACE_H

#include <kernel/cpu.h>
#include <kernel/teardown.h>
#include <qy/pt.h>
#include <qy/tlb.h>

#define USER_END 0x0000800000000000ull /* one past the user half */

#define TABLE_BUCKETS 16u

struct table {
    struct table *parent; /* null: a root, or not installed */
    struct space *space;  /* of a root; of a table taken out, until every CPU has forgotten it */
    pfn_t frame;
    uint8_t level;   /* 1 = its entries map 4 KiB pages; 4 = root */
    uint16_t index;  /* in the parent */
    uint16_t tables; /* installed in it */
    uint16_t leaves; /* entries that map pages and are recorded */
    vaddr_t base;    /* of what it translates */
    struct slot *mappings;
    struct table *buckets[TABLE_BUCKETS]; /* tables installed in it, by index modulo buckets */
    struct table *next, *prev;            /* in the parent's bucket */
};

struct page_table {
    struct object object;
    struct table table;
};

struct space {
    struct object object;
    struct qy_pt pt;
    struct qy_tlb_space tlb;
    struct table root;
};

/* The space whose tables a CPU has loaded; null: the kernel's own. */
static inline struct space *cpu_space(const struct cpu *cpu)
{
    struct qy_tlb_space *tlb = atomic_load(&cpu->tlb.space);
    return tlb ? (struct space *)((char *)tlb - offsetof(struct space, tlb)) : NULL;
}

/* The kernel's half of every space comes from these tables; they never change in the root
 * afterwards. */
void space_setup(const struct qy_pt *kernel_tables);

/* The zeroed root frame becomes one with the kernel's half. */
void space_finish(struct space *space);

/*
 * Map the frame of a capability at address with these QY_MAP_* flags, with the largest pages that
 * the format has; RAM write-back, device memory with the memory type of the flags. Errors: ALREADY_MAPPED (something is there, or the capability maps it elsewhere),
 * INVALID_FLAGS, NO_RIGHTS, INVALID_ADDRESS (the address is aligned to the frame's size),
 * MISSING_TABLE (*level), UNSUPPORTED, TOO_MANY, REVOKED.
 */
enum qy_error frame_map(struct slot *slot, struct space *space, uint64_t address, uint64_t flags,
                        unsigned *level) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/*
 * Map one page of RAM that belongs to no object, read-only: the boot archive. Boot. Errors:
 * ALREADY_MAPPED, MISSING_TABLE
 * (*level).
 */
enum qy_error space_map_reserved(struct space *space, uint64_t address, paddr_t page,
                                 unsigned *level) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/* Take out a mapping; the teardown has room. slot->table is not null. */
void frame_unmap(struct slot *slot, struct teardown *teardown) QY_REQUIRES(qy_class_caps);

/* A mapping of the frame is gone, and no CPU translates to it by that mapping any more. */
void frame_uncount(const struct frame *frame) QY_REQUIRES(qy_class_caps);

/* The capability of a mapping has moved to another slot, whose fields are the old one's. */
void mapping_moved(struct slot *from, struct slot *to) QY_REQUIRES(qy_class_caps);

/*
 * Change the flags of a mapping. What takes rights away is done in two steps: the first leaves only what the
 * old flags and the new ones allow, and has the teardown tell the CPUs. When it has run, and *again says so, call
 * again: only then does the frame stop counting as writable or executable. fenced: CPUs have been told
 * that there is new code, which pages that become executable need (arch_fence_code).
 * Errors: INVALID_FLAGS, NO_RIGHTS.
 */
enum qy_error frame_protect(struct slot *slot, uint64_t flags, bool fenced, struct teardown *teardown,
                            bool *again) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/* Where a capability maps its frame, and in which space; the slot maps it. */
vaddr_t frame_address(const struct slot *slot);
struct space *table_space(const struct table *table);

/* Install a table over address. Errors: ALREADY_MAPPED, INVALID_ADDRESS, INVALID_ARGUMENT (level),
 * MISSING_TABLE, BUSY, REVOKED. */
enum qy_error table_map(struct page_table *object, struct space *space, uint64_t address,
                        unsigned level, unsigned *missing) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/* Take out an empty table. Errors: NOT_MAPPED, BUSY (something is mapped through it). */
enum qy_error table_unmap(struct page_table *object, struct teardown *teardown) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

enum dismantle space_dismantle(struct space *space, struct teardown *teardown)
    QY_REQUIRES(qy_class_caps);
enum dismantle table_dismantle(struct page_table *object, struct teardown *teardown)
    QY_REQUIRES(qy_class_caps);

/* Null, or the id of the first invariant that does not hold in a space. O(entries). */
const char *space_check(struct space *space) QY_REQUIRES(qy_class_caps);

#endif
