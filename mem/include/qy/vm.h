/*
 * Address spaces: the page table is the tree of regions.
 *
 *     root      | mark | table |  0   | mark: 512 GiB each |
 *     level 3          | mark: 1 GiB | table | ...
 *     level 2                        | table | mark: 2 MiB | ...
 *     level 1                        | page | page | mark | guard | 0 | ...
 *
 * An entry that is not present is 0 (nothing), or a mark: what to do when it is touched, with which
 * rights. A mark in a higher table stands for all that is below it, and is split when a part of it
 * changes. A present entry has two bits of ours: COW (a write copies) and FOREIGN (the frame is its
 * mapper's, not the space's). What a page's mark was stands in its table: once for all pages when
 * they agree (`home`), else in a side page.
 *
 * Invariants
 *   PAID      tables, nodes of reverse maps, side pages and private frames come out of the space's
 *             budget; what is shared stays charged to whoever it came from
 *   ATOMIC    a call that fails has changed no translation and no mark
 *   EXACT     once a call returns no CPU uses an older translation
 *   ZERO      a page that appears holds zeroes, or what its owner put there
 *   WXOR      no frame is writable and executable, through any mappings of any spaces
 *   REVOKED   after a revoke of a frame or a table no entry leads to it: they are marks `revoked`
 *   VM-TREE   a table's reverse map names exactly the entries that point at it, its counters count
 *             its entries; only tables of level 1 are shared, and none of their pages is writable
 *             unless FOREIGN
 *   VM-LARGE  a large page of the space's own is one block with one mapping, and its table keeps no more tables aside
 *             than it has such pages
 *   VM-RMAP   a frame's reverse map names exactly the entries that hold it
 *
 * Whoever takes something away from a translation does it in three steps: the entries become marks
 * `moving`, which keep what they held; CPUs are made to forget; then it is let go. No lock is held
 * while CPUs are waited for; others who meet a moving entry wait for it to come to rest.
 *
 * Locking: a lock in each table's descriptor (class qy_class_space), a table's before those below
 * it, and lower addresses first. The way down takes none: tables are freed after every CPU that was
 * inside one of these calls has left it. A CPU calls with interrupts off and holds no table's lock.
 * Cost: a fault is one walk; a region of any size is at most 3 x 512 stores at each edge.
 * References: CortenMM (SOSP 2025); on-demand fork (EuroSys 2021). docs/adr/0016-address-spaces.md.
 */
#ifndef QY_VM_H
#define QY_VM_H

#include <quarry/access.h>
#include <qy/frame_cache.h>
#include <qy/pt.h>
#include <qy/slab.h>

#define QY_USER_END 0x0000800000000000ull /* one past the user half */

/* X(NAME, name): kinds of marks. KEPT and MOVING hold a frame or a table, and are ours alone. */
#define QY_MARK_KINDS(X)                                                                           \
    X(NONE, "nothing")                                                                             \
    X(ANON, "anonymous")                                                                           \
    X(OBJECT, "object")                                                                            \
    X(PAGER, "pager")                                                                              \
    X(SWAPPED, "swapped")                                                                          \
    X(GUARD, "guard")                                                                              \
    X(REVOKED, "revoked")                                                                          \
    X(KEPT, "kept")                                                                                \
    X(MOVING, "moving")

enum qy_mark_kind {
#define X(NAME, name) QY_MARK_##NAME,
    QY_MARK_KINDS(X)
#undef X
        QY_MARK_KIND_COUNT
};

/* X(NAME, name): pages that an anonymous region is filled with. What is divided later has the smaller ones that fit. */
#define QY_PAGES(X)                                                                                \
    X(SMALL, "4 KiB")                                                                              \
    X(GROW, "4 KiB, and 2 MiB when a stretch is full")                                             \
    X(2M, "2 MiB")                                                                                 \
    X(1G, "1 GiB")

enum qy_pages {
#define X(NAME, name) QY_PAGES_##NAME,
    QY_PAGES(X)
#undef X
        QY_PAGES_COUNT
};

#define QY_PT_RIGHTS (QY_PT_READ | QY_PT_WRITE | QY_PT_EXEC)
#define QY_BINDING_MAX 1023u

/* What an entry stands for. */
struct qy_mark {
    enum qy_mark_kind kind;
    enum qy_region_kind region;
    unsigned rights;  /* of QY_PT_RIGHTS; 0 = no access; GUARD: of the pages that it leaves behind */
    unsigned max;     /* rights that it can be given */
    bool shared;      /* a clone sees the same pages, not a copy */
    unsigned binding; /* OBJECT, PAGER: index in the space's bindings */
    uint64_t offset;  /* ANON: enum qy_pages; OBJECT, PAGER: page; of a fault's SWAPPED: slot (qy/swap.h); GUARD: pages that it may still move */
};

/* What pays for tables, nodes and frames: an arena, and its heap for what is smaller than a page. */
struct qy_budget {
    struct qy_arena *arena;
    struct qy_cache tables, nodes;
};

/* It stays in place as long as the heap; no memory is taken. Errors: TOO_MANY (caches in the heap). */
enum qy_error qy_budget_init(struct qy_budget *budget, struct qy_heap *heap) QY_MUST_USE;

struct qy_space;
struct qy_object;  /* qy/object.h */
struct qy_binding;
struct qy_table; /* vm_impl.h */
struct qy_vm;

/*
 * After OUT_OF_MEMORY: what CPUs keep of the budget for later comes back to it, and tables that have left every CPU.
 * The calls below do not do this themselves: it waits for other CPUs, so it is for whoever holds no lock at all.
 * True: try once more.
 */
bool qy_budget_reclaim(struct qy_vm *vm, struct qy_budget *budget)
    QY_EXCLUDES(qy_class_caps, qy_class_sched, qy_class_space, qy_class_slab, qy_class_arena);

/* A CPU's part; only that CPU writes it. */
struct qy_vm_cpu {
    _Alignas(64) _Atomic uint64_t inside; /* epoch at which it entered; 0 = outside */
    struct qy_cpu_objects *objects; /* and its frames */
};

/* What all spaces of a machine share. */
struct qy_vm {
    const struct qy_pt_format *format; /* of all its spaces */
    struct qy_framedb *db;
    struct qy_vm_cpu *cpus; /* by qy_port_cpu() */
    unsigned cpu_count;
    /*
     * Make every CPU forget what it has of [start, end) of the space. level: of the smallest pages in it; 0: tables
     * on the way to them have gone, too. Called without locks; may wait for CPUs.
     */
    void (*flush)(void *context, struct qy_space *space, vaddr_t start, uint64_t end, unsigned level);
    /*
     * Between two steps of a call on a range: no lock is held, and of a budget only tables that have left their trees.
     * Null: nothing. May be set after qy_vm_init.
     */
    void (*pause)(void *context);
    /*
     * The object of the core's (qy/object.h) that a binding names: its pages are brought when they are touched. WOULD_WAIT, or
     * null: it is something of the embedder's, who is asked for them. REVOKED: it is gone. Called with a table's lock, takes
     * none, and the object stays until the fault is over. Null as qy_vm_init leaves it.
     */
    enum qy_error (*object)(void *context, const struct qy_binding *binding, struct qy_object **out);
    /* Pages from base on have changed from one level's size to another, without a copy. Null: nobody is told. No lock is held. */
    void (*resized)(void *context, struct qy_space *space, vaddr_t base, unsigned from, unsigned to);
    void *context;
    _Alignas(64) _Atomic uint64_t epoch;
    _Alignas(64) struct qy_lock limbo_lock;
    struct qy_table *limbo; /* tables that CPUs may still read */
    unsigned limbo_count;
};

/* cpus: one each, zeroed but for `objects`. flush may be null: nothing is cached. */
void qy_vm_init(struct qy_vm *vm, const struct qy_pt_format *format, struct qy_framedb *db, struct qy_vm_cpu *cpus, unsigned cpu_count,
                void (*flush)(void *, struct qy_space *, vaddr_t, uint64_t, unsigned), void *context);

/* Free what has left every CPU. False: something is still being read; try again. */
bool qy_vm_reclaim(struct qy_vm *vm);

struct qy_binding {
    void *object; /* null: free */
    uint64_t cookie;
};
#define QY_BINDING_PAGES 4u
#define QY_BINDING_WORDS ((QY_BINDING_MAX + 1) / 64)

struct qy_space {
    struct qy_vm *vm;
    const struct qy_pt_format *format;
    paddr_t root;
    struct qy_budget *budget;
    bool delegated;    /* regions and faults may draw on the budget */
    bool is_object;    /* part of a qy_object: no CPU runs it, its pages' mappers are told (qy/object.h) */
    atomic_bool dying;
    bool forgotten;        /* CPUs have been made to forget it: it is dying */
    atomic_uint claimed;   /* a clone or a long protect is under way, one at a time; a word: RISC-V exchanges no bytes */
    _Atomic uint64_t hint; /* where the next region may go */
    _Atomic uint64_t promoted, demoted;      /* stretches put together and divided */
    _Atomic uint64_t kept_made, kept_broken; /* reservations: made, and found to have ended before they were full */
    struct qy_binding *_Atomic bindings[QY_BINDING_PAGES];
    struct qy_lock bindings_lock;
    uint64_t left[QY_BINDING_WORDS]; /* indices that are not bound again: marks of dropped bindings may be left */
    void *context; /* the embedder's */
};

/*
 * A space with an empty user half; its root table, and all that it needs, comes out of the budget. The
 * upper half of the root (entries 256 to 511) is the embedder's to fill. Not delegated: only
 * explicit mapping. Errors: OUT_OF_MEMORY, REVOKED.
 */
enum qy_error qy_space_init(struct qy_space *space, struct qy_vm *vm,
                            struct qy_budget *budget, bool delegated) QY_MUST_USE;

/*
 * One step of taking it apart, at most 1 GiB of its tables' entries of one level: OK = it is gone, and so is
 * everything that it had; BUSY = call again. No CPU runs it any more. From the first step on every other
 * call fails with REVOKED.
 */
enum qy_error qy_space_destroy_step(struct qy_space *space) QY_MUST_USE;

/*
 * An index for an object, the one that it has if it has. Errors: OUT_OF_MEMORY, TOO_MANY, INVALID_ARGUMENT (null),
 * UNSUPPORTED (not delegated).
 */
enum qy_error qy_space_bind(struct qy_space *space, void *object, uint64_t cookie,
                            unsigned *index) QY_MUST_USE;
/*
 * Bind an object, and reserve as qy_space_map_region with mark->binding set: when no index is free, those that no mark
 * names any more are. Errors: those of both; TOO_MANY: marks name QY_BINDING_MAX + 1 others. O(entries of the space)
 * then, in steps.
 */
enum qy_error qy_space_map_object(struct qy_space *space, void *object, uint64_t cookie, uint64_t *address,
                                  uint64_t bytes, struct qy_mark *mark) QY_MUST_USE;
/* The index is free again; faults on marks that still name it are as on revoked ones. */
void qy_space_unbind(struct qy_space *space, unsigned index);
/* All of them, and their memory: what pays for it is going. */
void qy_space_drop_bindings(struct qy_space *space);
/* Null object: there is none. */
struct qy_binding qy_space_binding(struct qy_space *space, unsigned index);

/*
 * Reserve [*address, *address + bytes); *address 0 = choose. mark: ANON, OBJECT, PAGER or GUARD; ANON of large pages:
 * whole ones.
 * Errors: INVALID_ADDRESS, INVALID_FLAGS (rights), INVALID_ARGUMENT (mark), ALREADY_MAPPED (some of it is
 * taken), OUT_OF_MEMORY, UNSUPPORTED (not delegated), REVOKED.
 */
enum qy_error qy_space_map_region(struct qy_space *space, uint64_t *address, uint64_t bytes,
                                  const struct qy_mark *mark) QY_MUST_USE;

/*
 * Empty a range, holes included. Errors: INVALID_ADDRESS, NOT_MAPPED (nothing is there), OUT_OF_MEMORY (a split),
 * TOO_MANY (parts of a large block), REVOKED.
 */
enum qy_error qy_space_unmap_region(struct qy_space *space, uint64_t address, uint64_t bytes) QY_MUST_USE;

/*
 * Change the rights of a range without holes. Errors: as above, NO_RIGHTS (more than its `max`), INVALID_FLAGS
 * (writable and executable, here or through an alias of a foreign frame).
 */
enum qy_error qy_space_protect_region(struct qy_space *space, uint64_t address, uint64_t bytes,
                                      unsigned rights) QY_MUST_USE;

/* A region as users see it: neighbours that differ in nothing but presence. */
struct qy_region {
    uint64_t start, end;
    struct qy_mark mark; /* of its first page */
    bool foreign;        /* frames that somebody mapped */
    unsigned type;       /* of their memory: QY_PT_WRITE_THROUGH, QY_PT_UNCACHED */
    unsigned level;      /* of its first entry */
    bool more;           /* it goes on at `end`: that was all that a call looks at */
};

/*
 * The first region that ends above address. Errors: NOT_FOUND, INVALID_ADDRESS, REVOKED. O(entries of it), at most
 * QY_QUERY_ENTRIES.
 */
#define QY_QUERY_ENTRIES 4096u
enum qy_error qy_space_query(struct qy_space *space, uint64_t address, struct qy_region *out) QY_MUST_USE;

/* The first address from `start` on at which there is anything, a mark or a page; `end` if there is none before. */
uint64_t qy_vm_next(const struct qy_space *space, uint64_t start, uint64_t end);

/*
 * Pages of 4 KiB; tables include the root, and those kept aside. Counted by a walk: O(tables + pages), or a step at a time: so many tables,
 * those on the way down among them.
 */
#define QY_STATS_TABLES 6u /* more than there are levels */
struct qy_space_stats {
    uint64_t resident, private_pages, shared_pages, tables, shared_tables;
    uint64_t swapped;                /* in slots */
    uint64_t level[QY_PT_LEVELS];    /* of resident: in pages of a level, from 1 */
    uint64_t proportional_bytes;     /* a page of n mappings counts for a nth; of blocks of several pages, the mean */
};
void qy_space_stats(struct qy_space *space, struct qy_space_stats *out);
/*
 * Add what is from *address on, below `end`, to *out; *address moves on, it is `end` when all is counted. Of tables,
 * those that begin there.
 */
void qy_space_stats_step(struct qy_space *space, uint64_t *address, uint64_t end,
                         struct qy_space_stats *out);

struct qy_fault {
    struct qy_mark mark;       /* what the entry said; if OK, of objects only */
    struct qy_binding binding; /* OBJECT, likewise; SWAPPED: the area */
    bool code;                 /* OK: an executable page has appeared; see qy_tlb_gather_code */
};

/*
 * A thread touched an address. OK: touch it again. One descent from the root, and one in the tree of an object whose page it
 * is; two more if the page's table is shared by clones, and becomes the space's own. Errors: WOULD_WAIT (for the pager:
 * OBJECT, out->mark.offset of it; PAGER and SWAPPED), NOT_MAPPED (nothing, a guard that cannot move, or behind an object's
 * end), NO_RIGHTS, INVALID_FLAGS (WXOR), REVOKED (the page, see out->mark, or the space), OUT_OF_MEMORY (the space's or the
 * object's budget), TOO_MANY (mappings), MISSING_TABLE (not delegated), INVALID_ADDRESS.
 */
enum qy_error qy_space_fault(struct qy_space *space, uint64_t address, enum qy_access access,
                             struct qy_fault *out) QY_MUST_USE;

/*
 * Map a frame of its owner's (USER or DEVICE) at an address; it is not freed with the mapping. level: 1 to 3. supply:
 * the entry is a mark (OBJECT if not shared, PAGER, ANON), kept behind the page; else it is empty, or
 * `revoked`. flags: rights and, for DEVICE, a memory type; max: rights that protect_region may give it. *missing: the
 * level of the table that is missing.
 * Errors: INVALID_ADDRESS, INVALID_FLAGS, ALREADY_MAPPED, NOT_MAPPED (supply, no mark), NO_RIGHTS (supply, more than
 * the region may have), MISSING_TABLE, OUT_OF_MEMORY, TOO_MANY, NOT_ALLOCATED, REVOKED.
 */
enum qy_error qy_space_map_frame(struct qy_space *space, uint64_t address, pfn_t frame, unsigned level,
                                 unsigned flags, unsigned max, bool supply,
                                 unsigned *missing) QY_MUST_USE;

/*
 * The same for `count` pages of that level, of one block and in one table: all or none.
 */
enum qy_error qy_space_map_block(struct qy_space *space, uint64_t address, pfn_t frame, unsigned level,
                                 unsigned count, unsigned flags, unsigned max,
                                 unsigned *missing) QY_MUST_USE;

/*
 * The same for raw frames, which no entry of the database stands for (device registers, what firmware left): they
 * have no reverse map, so revoke does not find them; whoever mapped them knows where. Never executable. Errors:
 * INVALID_ARGUMENT (the database has the frame).
 */
enum qy_error qy_space_map_raw(struct qy_space *space, uint64_t address, pfn_t frame, unsigned level,
                               unsigned count, unsigned flags, unsigned max,
                               unsigned *missing) QY_MUST_USE;

/* Does the entry over address hold that foreign frame, as its first? *flags: rights as the region has them, and
 * the memory type. */
bool qy_space_holds_frame(struct qy_space *space, uint64_t address, pfn_t frame, unsigned *flags) QY_MUST_USE;

/*
 * Unmap or protect a range that holds the block beginning at that foreign frame, all of it and in place. Errors: as
 * for regions; NOT_MAPPED: it does not, and nothing has changed.
 */
enum qy_error qy_space_unmap_frame(struct qy_space *space, uint64_t address, uint64_t bytes,
                                   pfn_t frame) QY_MUST_USE;
enum qy_error qy_space_protect_frame(struct qy_space *space, uint64_t address, uint64_t bytes, pfn_t frame,
                                     unsigned rights) QY_MUST_USE;

/*
 * Take back what has been mapped: where pages of the block that begins at that foreign frame stand in the range, each at its
 * place, marks `revoked` are left; a batch of pages a shootdown. Who touches them is told, until something else is mapped there
 * or the range is unmapped. Errors: INVALID_ADDRESS, NOT_MAPPED (none is there), OUT_OF_MEMORY, TOO_MANY (a table that clones
 * share has to be copied), REVOKED (the space).
 */
enum qy_error qy_space_revoke_frame(struct qy_space *space, uint64_t address, uint64_t bytes,
                                    pfn_t frame) QY_MUST_USE;

/* Undo a mapping with `supply`, if it still is there: the mark behind it is the entry again. */
void qy_space_take_frame(struct qy_space *space, uint64_t address, pfn_t frame);

/*
 * Install a frame (TABLE, zeroed, its owner's) as the table of that level; `payer` pays for its descriptor. Errors:
 * as qy_pt_install, OUT_OF_MEMORY, REVOKED.
 */
enum qy_error qy_space_install_table(struct qy_space *space, uint64_t address, unsigned level, pfn_t frame,
                                     struct qy_budget *payer, unsigned *missing) QY_MUST_USE;

/* Take out an installed table, which is empty but for marks `revoked`. Errors: INVALID_ADDRESS, NOT_MAPPED (no such table), BUSY, REVOKED. */
enum qy_error qy_space_remove_table(struct qy_space *space, uint64_t address, unsigned level) QY_MUST_USE;

/* The same by its frame, wherever it is. Errors: NOT_MAPPED (nowhere), BUSY. */
enum qy_error qy_vm_remove_table(struct qy_vm *vm, pfn_t frame) QY_MUST_USE;

/* Is there any mapping of a block that its owner has? */
bool qy_vm_is_mapped(const struct qy_vm *vm, pfn_t frame) QY_MUST_USE;
/* Has nobody who maps the block executed it, so that it may be written? */
bool qy_vm_may_write(const struct qy_vm *vm, pfn_t frame) QY_MUST_USE;

/* Is it a table of some space? A frame whose tables were torn down is its owner's again. */
bool qy_table_is_installed(const struct qy_vm *vm, pfn_t frame);

/*
 * Take a frame or a table away from everybody: afterwards no entry leads to it, entries that did are marks `revoked`.
 * A step takes up to QY_REVOKE_BATCH mappings in one table by one shootdown, or one table that has none below it.
 * True: done. *own is set if the frame was a space's private one, which is the caller's now. The caller sees to it
 * that no new mappings are made.
 */
#define QY_REVOKE_BATCH 32u
bool qy_vm_revoke_step(struct qy_vm *vm, pfn_t frame, bool *own) QY_MUST_USE;
/* All of it. True: it is the caller's. */
bool qy_vm_revoke(struct qy_vm *vm, pfn_t frame);

/*
 * Take all frames and tables of an arena away from the spaces that have them, and free those that are the spaces'
 * own; such a step each call. *cursor 0 at first. True: done.
 */
bool qy_vm_revoke_arena_step(struct qy_vm *vm, struct qy_arena *arena, uint64_t *cursor);

/*
 * Copy on write: [start, end) of `from` appears in `to` at the same addresses. Leaf tables are shared. The
 * range is empty in `to`, and so are the 2 MiB around a table of `from` that reaches out of it; nobody maps
 * anything there meanwhile. Errors: INVALID_ADDRESS, INVALID_ARGUMENT (the same space, another machine's, or other
 * bindings), UNSUPPORTED (raw frames), ALREADY_MAPPED, OUT_OF_MEMORY (to's budget), REVOKED.
 */
enum qy_error qy_space_clone(struct qy_space *to, struct qy_space *from, uint64_t start,
                             uint64_t end) QY_MUST_USE;

/*
 * Make everything at and above *address the space's own, by copies into its budget: one table or page a
 * call, and *address moves on; it is QY_USER_END when done. FOREIGN frames stay. Errors: OUT_OF_MEMORY (*address:
 * where), REVOKED.
 */
enum qy_error qy_space_settle_step(struct qy_space *space, uint64_t *address) QY_MUST_USE;

/*
 * The same below `end`, into frames that the payer pays, whoever paid the old ones: pages of 4 KiB, while CPUs use them.
 * Who revokes the payer's arena takes them away. Tables become the space's own. Errors: OUT_OF_MEMORY (of either budget;
 * *address: where), REVOKED.
 */
enum qy_error qy_space_migrate_step(struct qy_space *space, struct qy_budget *payer,
                                    uint64_t *address, uint64_t end) QY_MUST_USE;

/* What qy_trace_entry (qy/trace.h) is to record: the event that this change of an entry is, if that is recorded. */
void qy_vm_trace_entry(const struct qy_vm *vm, const _Atomic uint64_t *slot, uint64_t before,
                       uint64_t entry);

/*
 * The entries of a space's user half from *address on that lead somewhere, tables before what is in them, as `entry`
 * events of the space `id`: some of them. *address moves on. False: that was all.
 */
bool qy_space_trace(const struct qy_space *space, uint64_t id, uint64_t *address);

/* Null, or the id of the first invariant that does not hold. Nobody else uses the space's tables meanwhile. */
const char *qy_space_check(struct qy_space *space);

/* The same from the side of the frames of a root arena, those of its children included: what frame entries say of tables and mappings
 * is so. O(blocks that it is divided into + mappings). */
const char *qy_vm_check_frames(const struct qy_vm *vm, const struct qy_arena *arena);

#endif
