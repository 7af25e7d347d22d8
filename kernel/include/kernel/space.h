/*
 * Address spaces and page tables: the kernel's side of qy/vm.h, where the tables are the tree of regions.
 *
 *     capability of a frame   (space's id, address) --+        +-- budget: an untyped that pays for regions
 *     capability of a table   frame                   |        |
 *                                                     v        v
 *     space = qy_space (tree of tables, marks) + qy_tlb_space (tags, who has it loaded)
 *
 * What a frame's capability remembers is a claim: the tree says whether it still holds. A mapping may go with its
 * space, with a table, or by space_unmap_region; then the claim is stale, and nobody is told. The reverse way,
 * from a frame to what holds it, is the frame's reverse map; so an object that goes is taken from everybody,
 * copies that a clone made included, and what they touch is `revoked`.
 *
 * Who pays: tables, descriptors and nodes for explicit mapping are paid by the untyped that the space or the
 * PAGE_TABLE object was made of. space_bind names an untyped that pays for regions and faults from then on. It
 * stays bound until it is revoked or destroyed, which takes away all that was made of it and leaves the space
 * as it was before; then another may be bound. The binding is no capability: deleting one leaves it.
 *
 * Invariants
 *   SPACE-BOUND  a space is in the list of the untyped that is bound to it, and delegated; in no other
 *   WXOR, EXACT, ISOLATED, PAID, REVOKED and VM-*: qy/vm.h
 *
 * Locking: objects, claims and bindings by qy_class_caps; trees by the locks of their tables. Whatever may make
 * CPUs forget is called without qy_class_caps: the objects are pinned, the lock let go. A CPU is in a section
 * while it is in qy/vm.h, so that who takes a budget away knows when nobody uses it any more.
 */
#ifndef KERNEL_SPACE_H
#define KERNEL_SPACE_H

#include <kernel/cpu.h>
#include <kernel/teardown.h>
#include <qy/tlb.h>
#include <qy/vm.h>

#define USER_END QY_USER_END

struct page_table {
    struct object object;
    pfn_t frame;
};

struct space {
    struct object object;
    struct qy_space vm;
    struct qy_tlb_space tlb;
    struct space *next, *prev;             /* of those whose id has the same low bits */
    struct untyped *budget;                /* bound to it; null: none */
    struct space *bound_next, *bound_prev; /* of those that it is bound to */
    struct slot handler; /* an endpoint: of PAGER regions, and of threads that have none; may be empty */
};

/* The space whose tables a CPU has loaded; null: the kernel's own. */
static inline struct space *cpu_space(const struct cpu *cpu)
{
    struct qy_tlb_space *tlb = atomic_load(&cpu->tlb.space);
    return tlb ? (struct space *)((char *)tlb - offsetof(struct space, tlb)) : NULL;
}

extern struct qy_vm kernel_vm;

/* Around every use of qy/vm.h. Cost: a fence. */
static inline void space_enter(struct cpu *cpu)
{
    atomic_store_explicit(&cpu->vm_section,
                          atomic_load_explicit(&cpu->vm_section, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void space_leave(struct cpu *cpu)
{
    atomic_store_explicit(&cpu->vm_section,
                          atomic_load_explicit(&cpu->vm_section, memory_order_relaxed) + 1,
                          memory_order_release);
}

/* Returns when every CPU that was in a section has left it, and tables that had left their trees by then are free. */
void space_quiesce(void) QY_EXCLUDES(qy_class_caps);

/* The kernel's half of every space comes from these tables; they never change in the root afterwards. */
void space_setup(const struct qy_pt *kernel_tables, struct qy_framedb *db);

/* The budget of an untyped, made on first use. Errors: TOO_MANY. */
enum qy_error untyped_budget(struct untyped *untyped, struct qy_budget **out) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* A reserved space gets its root table out of its untyped. Errors: OUT_OF_MEMORY. */
enum qy_error space_make(struct space *space) QY_MUST_USE QY_REQUIRES(qy_class_caps);
/* The object is complete: the kernel's half, a place among all spaces. */
void space_finish(struct space *space) QY_REQUIRES(qy_class_caps);
/* A reserved space that was never finished lets its root table go. */
void space_discard(struct space *space) QY_REQUIRES(qy_class_caps);

/* The space with that id; null: it is gone, or going. */
struct space *space_find(uint64_t id) QY_REQUIRES(qy_class_caps);
/* The space with the smallest id from that one on; null: there is none. O(spaces). */
struct space *space_from(uint64_t id) QY_REQUIRES(qy_class_caps);
/* A region's flags, as space_query tells them. */
uint64_t region_flags(const struct qy_region *region);

/* The untyped pays for regions and faults. Errors: BUSY (one is bound), REVOKED, TOO_MANY. */
enum qy_error space_bind_budget(struct space *space, struct untyped *untyped) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);
/*
 * After OUT_OF_MEMORY, by whoever holds no lock: what all CPUs keep of an untyped's memory goes back to it
 * (qy_budget_reclaim), and of what pays for a space. True: try once more. The caller sees to it that the untyped, or
 * the space, stays.
 */
bool untyped_find_more(struct untyped *untyped) QY_EXCLUDES(qy_class_caps);
bool space_find_more(struct space *space) QY_EXCLUDES(qy_class_caps);
/* No space draws on it once every CPU has left its section. */
void untyped_unbind(struct untyped *untyped) QY_REQUIRES(qy_class_caps);
/* Nor has any space or CPU anything of it: after untyped_unbind; it has no objects, and stays. */
void untyped_take_back(struct untyped *untyped) QY_EXCLUDES(qy_class_caps);

/* The CPUs that run it forget instructions fetched before. */
void space_fence_code(struct space *space) QY_EXCLUDES(qy_class_caps);

/* Does the capability map its frame, in that space? *rights: those of the pages, and their memory type. */
bool frame_is_mapped(const struct slot *slot, struct space **space, unsigned *rights)
    QY_REQUIRES(qy_class_caps);

/* Pages of the frame of a capability: level (0: the CPU has none for these flags) and number. */
unsigned frame_pages(const struct frame *frame, unsigned flags, unsigned *count);

/*
 * Map one page of RAM that belongs to no object, read-only: the boot archive. Boot. Errors: ALREADY_MAPPED,
 * MISSING_TABLE (*level).
 */
enum qy_error space_map_reserved(struct space *space, uint64_t address, paddr_t page,
                                 unsigned *level) QY_MUST_USE;

/* May a frame be mapped with these QY_MAP_* flags through that capability? Errors: INVALID_FLAGS, NO_RIGHTS. */
enum qy_error frame_flags_check(const struct slot *slot, uint64_t flags) QY_MUST_USE;

/* Is the memory type of these flags that of a mapping that has `had`? */
bool frame_type_stays(unsigned had, uint64_t flags);

/*
 * May the capability map its frame there? Errors: those, INVALID_ADDRESS (alignment), ALREADY_MAPPED (it maps it
 * elsewhere).
 */
enum qy_error frame_map_check(const struct slot *slot, uint64_t address, uint64_t flags) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* Map a frame, which a capability with these rights names. Errors: UNSUPPORTED, those of qy_space_map_frame. */
enum qy_error frame_map_in(struct space *space, const struct frame *frame, uint64_t address, unsigned flags,
                           unsigned rights, unsigned *level) QY_MUST_USE;

/*
 * The page that a region left to a pager, in place of its mark. Errors: UNSUPPORTED (a frame that is no page of one
 * size, or device memory), those of qy_space_map_frame.
 */
enum qy_error frame_supply_in(struct space *space, const struct frame *frame, uint64_t address,
                              unsigned flags, unsigned *level) QY_MUST_USE;

/* Map, and let the capability claim the mapping. Boot. */
enum qy_error frame_map_now(struct slot *slot, struct space *space, uint64_t address, uint64_t flags,
                            unsigned *level) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/* Install a table, whose descriptor `payer` pays. Errors: as qy_space_install_table. */
enum qy_error table_map_in(struct space *space, const struct page_table *table, uint64_t address,
                           unsigned level, struct qy_budget *payer, unsigned *missing) QY_MUST_USE;

enum dismantle space_dismantle(struct space *space, struct teardown *teardown)
    QY_REQUIRES(qy_class_caps);
enum dismantle table_dismantle(const struct page_table *table) QY_REQUIRES(qy_class_caps);
enum dismantle frame_dismantle(const struct frame *frame) QY_REQUIRES(qy_class_caps);

/* No space has the frame or table any more afterwards; with preemption points. */
void frame_take_from_all(pfn_t frame) QY_EXCLUDES(qy_class_caps);

/* What dismantling waits for, as far as it is in trees: done without the lock, in part if it is much. */
void space_dismantle_rest(struct object *object) QY_EXCLUDES(qy_class_caps);

/* Null, or the id of the first invariant that does not hold in a space. O(entries). */
const char *space_check(struct space *space) QY_REQUIRES(qy_class_caps);

#endif
