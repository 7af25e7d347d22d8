/*
 * What the files of mem/vm share: descriptors of tables, what pays for them, and the steps down. Private.
 *
 *     entry -> table's frame -> its frame entry's word -> struct qy_table
 */
#ifndef QY_VM_IMPL_H
#define QY_VM_IMPL_H

#include "entry_impl.h"

#include <lib/string.h>
#include <qy/trace.h>

struct qy_table {
    struct qy_lock lock;
    uint8_t level;
    bool given;    /* its frame is its owner's */
    uint16_t live; /* entries of the user half that are not 0 */
    uint16_t held; /* entries that hold a frame: present, KEPT, MOVING */
    pfn_t frame;
    struct qy_budget *budget;
    struct qy_space *space;   /* of a root */
    _Atomic uint64_t parents; /* entries that point here: as the word of a frame */
    uint64_t home;            /* mark behind the held entries, when there is no side page */
    uint64_t *side;           /* marks behind the held entries, one each; null: all are `home` */
    struct qy_table *next;    /* in limbo, in a reserve, or aside */
    uint64_t kept;            /* level 1: the block that is kept for its pages (huge.c); 0: none */
    struct qy_table *aside;   /* what its large pages can be divided into (huge.c), by `next` */
    struct qy_table *aside_of; /* aside: whose */
    uint64_t retired;         /* in limbo: the epoch in which it left the tree */
};

/* ---- tables ---- */

static inline struct qy_table *qy_table_of(const struct qy_framedb *db, pfn_t frame)
{
    return (struct qy_table *)(uintptr_t)atomic_load_explicit(&db->frames[frame.raw].word,
                                                              memory_order_relaxed);
}

static inline _Atomic uint64_t *qy_table_slots(const struct qy_table *table)
{
    return qy_pt_slot(pfn_to_paddr(table->frame), 0);
}

static inline uint64_t qy_slot_get(const _Atomic uint64_t *slot)
{
    return atomic_load_explicit(slot, memory_order_acquire);
}

/* Is somebody to be told that an entry changes? Every write of an entry that leads somewhere, or did, is told. */
static inline void qy_slot_trace(const _Atomic uint64_t *slot, uint64_t entry)
{
    if (qy_traces(QY_TRACE_ENTRIES_CHANGE))
        qy_trace_entry(slot, atomic_load_explicit(slot, memory_order_relaxed), entry);
}

/* The same for who sees to that itself, or knows that the entry leads nowhere before and after. */
static inline void qy_slot_store(_Atomic uint64_t *slot, uint64_t entry)
{
    atomic_store_explicit(slot, entry, memory_order_release);
}

static inline void qy_slot_put(_Atomic uint64_t *slot, uint64_t entry)
{
    qy_slot_trace(slot, entry);
    qy_slot_store(slot, entry);
}

static inline void qy_table_lock(struct qy_table *table) QY_UNCHECKED
{
    qy_lock_acquire(&table->lock);
}

static inline void qy_table_unlock(struct qy_table *table) QY_UNCHECKED
{
    qy_lock_release(&table->lock);
}

static inline bool qy_table_is_shared(struct qy_table *table)
{
    return qy_word_load(&table->parents) & QY_WORD_LIST;
}

/*
 * A table that others have too, or another budget's: what is charged to this space must not get into it. Tables that
 * their owners installed stay where they are.
 */
static inline bool qy_table_is_strange(const struct qy_space *space, struct qy_table *table)
{
    return qy_table_is_shared(table) || (table->budget != space->budget && !table->given);
}

/* Is it empty, and the tree's to take out? Its lock is held. */
static inline bool qy_table_may_go(const struct qy_table *table)
{
    return table->live == 0 && !table->given && !table->space;
}

/* Write an entry and keep the counts. The table's lock is held. */
void qy_table_set(const struct qy_pt_format *format, struct qy_table *table, unsigned index,
                  uint64_t entry);

/* The mark behind a held entry. */
static inline uint64_t qy_table_origin(const struct qy_table *table, unsigned index)
{
    return table->side ? table->side[index] : table->home;
}

/* A mark as tables remember it: rights are the page's. */
static inline uint64_t qy_mark_behind(uint64_t mark)
{
    return qy_mark_with_rights(mark, 0);
}

/* Does remembering this mark need a side page that is not there? */
static inline bool qy_table_needs_side(const struct qy_table *table, uint64_t mark)
{
    return qy_mark_behind(mark) != table->home && table->held && !table->side;
}

/* The table gets its side page, zeroed or not. */
void qy_table_give_side(struct qy_table *table, pfn_t *side);

/* Remember it; before the entry holds its frame. *side: a frame, used if one is needed, 0 then. */
static inline void qy_table_remember(struct qy_table *table, unsigned index, uint64_t mark,
                                     pfn_t *side)
{
    if (qy_table_needs_side(table, mark))
        qy_table_give_side(table, side);
    if (table->side)
        table->side[index] = qy_mark_behind(mark);
    else
        table->home = qy_mark_behind(mark);
}

/* An empty shell: its zeroed frame and its descriptor. Errors: OUT_OF_MEMORY, REVOKED. */
enum qy_error qy_table_make(struct qy_vm *vm, struct qy_budget *budget,
                            struct qy_table **out) QY_MUST_USE;
/* So many of them, linked by `next`; all or none. */
enum qy_error qy_tables_reserve(struct qy_vm *vm, struct qy_budget *budget, unsigned count,
                                struct qy_table **list) QY_MUST_USE;
void qy_tables_release(struct qy_vm *vm, struct qy_table **list);
/* The entries of an empty one become the parts of a mark of the level above; 0: none. */
void qy_table_fill(const struct qy_pt_format *format, struct qy_table *table, unsigned level,
                   uint64_t mark);
/* A table that has no parent goes into a tree. The lock of `above` is held. */
void qy_table_link(const struct qy_pt_format *format, struct qy_table *above, unsigned index,
                   struct qy_table *table);
/* One that was never in a tree, or has left every CPU. */
void qy_table_free(struct qy_vm *vm, struct qy_table *table);
/* It has left the tree and CPUs have forgotten it; others may still read it on their way. */
void qy_table_retire(struct qy_vm *vm, struct qy_table *table);

/*
 * What nobody has any more, on its way back: private frames, sent together, and tables, taken apart one at a time.
 * Begun, added to, ended.
 */
struct qy_gone {
    uint64_t tag; /* of all frames */
    unsigned count;
    struct qy_table *tables; /* by `next`; no entry leads to them, CPUs may still be inside */
    uint64_t frames[QY_FREE_FRAMES_MAX];
};
void qy_gone_send(struct qy_vm *vm, struct qy_gone *gone);
/* One table; those below it come to the others. Sends its frames. True: there are more. */
bool qy_gone_step(struct qy_vm *vm, struct qy_gone *gone) QY_MUST_USE;
/* All of it. For whoever holds locks, of tables that are in trees: for a few. */
void qy_gone_end(struct qy_vm *vm, struct qy_gone *gone);

static inline void qy_gone_begin(struct qy_gone *gone)
{
    gone->tag = 0;
    gone->count = 0;
    gone->tables = NULL;
}

static inline void qy_gone_add(struct qy_vm *vm, struct qy_gone *gone, pfn_t frame, uint64_t tag)
{
    if (__builtin_expect(tag != gone->tag || gone->count == QY_FREE_FRAMES_MAX, 0)) {
        qy_gone_send(vm, gone);
        gone->tag = tag;
    }
    gone->frames[gone->count++] = frame.raw;
}

static inline struct qy_cpu_objects *qy_vm_objects(const struct qy_vm *vm)
{
    return vm->cpus[qy_port_cpu()].objects;
}

/* Zeroed. */
static inline QY_MUST_USE enum qy_error qy_vm_frame_alloc_zeroed(struct qy_vm *vm,
                                                                 const struct qy_budget *budget,
                                                                 enum qy_frame_state state,
                                                                 pfn_t *out)
{
    bool zeroed;
    qy_irq_is_off();
    enum qy_error error =
        qy_frame_try_alloc_zeroed(qy_vm_objects(vm)->frames, budget->arena, 0, state, out, &zeroed);
    if (error == QY_OK && !zeroed)
        memset(qy_port_ram(pfn_to_paddr(*out)), 0, QY_PAGE_BYTES);
    return error;
}

/* Not zeroed. */
enum qy_error qy_vm_frame_alloc(struct qy_vm *vm, struct qy_budget *budget,
                                enum qy_frame_state state, pfn_t *out) QY_MUST_USE;
/* A block of any order. */
void qy_vm_frame_free(struct qy_vm *vm, pfn_t frame, enum qy_frame_state state);
/* A node for a mapping in a table is paid by the table's budget; null frees nothing. */
enum qy_error qy_vm_node_alloc(struct qy_vm *vm, struct qy_budget *budget,
                               struct qy_rmap_node **out) QY_MUST_USE;
void qy_vm_node_free(struct qy_vm *vm, struct qy_budget *budget, struct qy_rmap_node *node);
/* One more on a list, by `next`; all of them back. */
enum qy_error qy_vm_nodes_add(struct qy_vm *vm, struct qy_budget *budget,
                              struct qy_rmap_node **list) QY_MUST_USE;
void qy_vm_nodes_free(struct qy_vm *vm, struct qy_budget *budget, struct qy_rmap_node **list);
/* One that qy_rmap_remove has freed, to whoever paid for it; null: nothing. */
void qy_vm_node_return(struct qy_vm *vm, struct qy_rmap_node *node);
/* A zeroed descriptor. */
enum qy_error qy_vm_table_alloc(struct qy_vm *vm, struct qy_budget *budget,
                                struct qy_table **out) QY_MUST_USE;
void qy_vm_table_free(struct qy_vm *vm, struct qy_table *table);

/* A frame that no database entry stands for: nobody frees it, and it has no reverse map. */
static inline bool qy_frame_is_raw(const struct qy_framedb *db, pfn_t frame)
{
    return qy_framedb_find(db, frame.raw).level == QY_AT_NOTHING;
}

/* The word of the USER block that a frame is part of; null if it is not one. */
_Atomic uint64_t *qy_frame_rmap(const struct qy_framedb *db, pfn_t frame);
/* The mapping of a page of `level` that begins at that frame of such a block, as qy_rmap_add wants it. */
uint64_t qy_block_mapping(const struct qy_framedb *db, pfn_t table, unsigned index, pfn_t frame, unsigned level);

/* An entry of that table lets go of a frame; the last one frees a private frame. */
void qy_vm_let_go(struct qy_vm *vm, struct qy_table *table, unsigned index, pfn_t frame,
                  bool foreign, struct qy_gone *gone);

/* The same for a private frame: most have one mapping, in place, which one exchange removes. */
static inline void qy_vm_let_go_own(struct qy_vm *vm, const struct qy_leaf *leaf,
                                    struct qy_table *table, unsigned index, pfn_t frame,
                                    struct qy_gone *gone)
{
    struct qy_frame *entry = &leaf->frames[frame.raw];
    uint64_t old = qy_word_load(&entry->word), mapping = leaf->place | (uint64_t)index << 34;
    if ((old & ~QY_WORD_CLASS) == mapping << QY_WORD_PLACE_SHIFT &&
        atomic_compare_exchange_strong_explicit(&entry->word, &old, 0, memory_order_acq_rel,
                                                memory_order_relaxed))
        qy_gone_add(vm, gone, frame, qy_load(&entry->tag));
    else
        qy_vm_let_go(vm, table, index, frame, false, gone);
}

/* A private frame that has one mapping gets a second one. False: it has more, or is being looked at. */
static inline bool qy_vm_hold_own(const struct qy_leaf *leaf, unsigned index, pfn_t frame, uint64_t class,
                                  struct qy_rmap_node *node)
{
    _Atomic uint64_t *word = &leaf->frames[frame.raw].word;
    uint64_t old = qy_word_load(word), all = (old & QY_WORD_CLASS) | class;
    if ((old & QY_WORD_LOCK) || !qy_word_in_place(old) || all == QY_WORD_CLASS)
        return false;
    node->mapping = leaf->place | (uint64_t)index << 34 | class << QY_WORD_PLACE_BITS;
    node->next = qy_word_record(old) << 1 | QY_NODE_TAIL;
    return atomic_compare_exchange_strong_explicit(word, &old, qy_word_list((uint64_t)(uintptr_t)node, 2, all),
                                                   memory_order_acq_rel, memory_order_relaxed);
}

/*
 * The entry at `index` of a table, which leads nowhere any more, lets go of the table below: a shared one loses a
 * parent, another has gone, with all below it.
 */
void qy_vm_let_go_table(struct qy_vm *vm, struct qy_table *above, unsigned index, pfn_t frame,
                        struct qy_gone *gone);

/*
 * What an entry that is not 0 has goes: a page, a frame that is kept or moving, a table likewise; the entry is the
 * caller's to clear.
 */
void qy_vm_let_go_entry(struct qy_vm *vm, struct qy_table *table, unsigned index, uint64_t entry,
                        struct qy_gone *gone);

/* Between two steps of a long call. The caller is outside and holds no lock; nothing is moving by its doing. */
static inline void qy_vm_pause(const struct qy_vm *vm)
{
    if (vm->pause)
        vm->pause(vm->context);
}

/* A clone of a space, which shares its tables, and a protect in steps, which has made them its own, take turns. */
static inline void qy_space_claim(struct qy_space *space)
{
    while (atomic_exchange_explicit(&space->claimed, true, memory_order_acquire)) {
        qy_port_relax();
        qy_vm_pause(space->vm);
    }
}

static inline void qy_space_disclaim(struct qy_space *space)
{
    atomic_store_explicit(&space->claimed, false, memory_order_release);
}

/* ---- pages in slots of a swap area (swap.c) ---- */

/* The word of the slot that a SWAPPED mark names: a reverse map, of the entries that do. */
static inline _Atomic uint64_t *qy_swap_word(uint64_t mark)
{
    uint64_t index = (mark & QY_MARK_BINDING_MASK) >> QY_MARK_BINDING_SHIFT;
    return (_Atomic uint64_t *)qy_port_ram(pfn_to_paddr(pfn(mark & QY_MARK_OFFSET_MASK))) + index;
}

/* An entry of a locked table names its slot no more. */
void qy_swap_let_go(struct qy_vm *vm, struct qy_table *table, unsigned index, uint64_t entry);

/* Where the slot of a mark is: it stays as long as the lock of the entry's table. */
struct qy_binding qy_swap_place(const struct qy_vm *vm, uint64_t mark, uint64_t *slot);

/* ---- ways down ---- */

/* An entry of a table of that level is read on a way down from the root. tests/vm/walks.c counts them; else it is nothing. */
#ifdef QY_COUNT_WALKS
void qy_walk_step(paddr_t root, unsigned level);
#else
static inline void qy_walk_step(paddr_t root, unsigned level)
{
    (void)root;
    (void)level;
}
#endif

static inline void qy_vm_enter(struct qy_vm *vm)
{
    struct qy_vm_cpu *cpu = &vm->cpus[qy_port_cpu()];
    atomic_store_explicit(&cpu->inside, atomic_load_explicit(&vm->epoch, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void qy_vm_leave(struct qy_vm *vm)
{
    atomic_store_explicit(&vm->cpus[qy_port_cpu()].inside, 0, memory_order_release);
}

/* An entry, and the one that leads to its table (null for the root). */
struct qy_at {
    struct qy_table *table;
    _Atomic uint64_t *slot, *link;
    uint64_t entry, link_entry;
    unsigned level, index;
};

/*
 * Go down to the table of `level` over address, or as far as there are tables, and lock that table: at->entry is 0, a
 * mark, a page, or at->level == level. The caller is inside (qy_vm_enter). False: the space is dying.
 */
bool qy_vm_lock_at(struct qy_space *space, vaddr_t address, unsigned level,
                   struct qy_at *at) QY_MUST_USE;

static inline vaddr_t qy_span_base(vaddr_t address, unsigned level)
{
    return vaddr(qy_align_down(address.raw, qy_pt_page_bytes(level)));
}

/* Whoever maps the pages of an object's tree in a range lets go of them. The caller is outside. */
void qy_object_withdraw(struct qy_space *tree, uint64_t start, uint64_t end);

/*
 * One mapping of a frame less: its entry has the mark behind it again, or one `revoked`; CPUs have forgotten it.
 * False: it is somebody else's at the moment. *own: it was a private frame. The caller is inside.
 */
bool qy_vm_take_mapping(struct qy_vm *vm, _Atomic uint64_t *word, uint64_t mapping, bool revoked,
                        bool *own) QY_MUST_USE;

static inline unsigned qy_access_right(enum qy_access access)
{
    return access == QY_ACCESS_WRITE  ? QY_PT_WRITE
           : access == QY_ACCESS_EXEC ? QY_PT_EXEC
                                      : QY_PT_READ;
}

static inline void qy_vm_flush(struct qy_space *space, vaddr_t start, uint64_t end, unsigned level)
{
    if (space->is_object)
        qy_object_withdraw(space, start.raw, end);
    else if (space->vm->flush)
        space->vm->flush(space->vm->context, space, start, end, level);
}

/*
 * The table of level 1 over address, if it is shared (or, settle: another budget's), is replaced by a copy that is
 * this space's own; nothing else changes. The caller is outside. Errors: OUT_OF_MEMORY, TOO_MANY, REVOKED.
 */
enum qy_error qy_vm_unshare(struct qy_space *space, vaddr_t address, bool settle) QY_MUST_USE;


/* Fill [start, end), which is empty, with a mark; 0: do nothing. As qy_space_map_region. */
enum qy_error qy_vm_put(struct qy_space *space, uint64_t start, uint64_t end,
                        uint64_t mark) QY_MUST_USE;

/*
 * A large page, present or kept, at address is replaced by a table of pages one level below that say the same; no
 * translation changes. Nothing to do where there is none. The caller is outside. Errors: OUT_OF_MEMORY, TOO_MANY
 * (mappings of the block), REVOKED.
 */
enum qy_error qy_vm_split(struct qy_space *space, vaddr_t address) QY_MUST_USE;

/* ---- large pages of a space's own (huge.c) ---- */

static inline enum qy_pages qy_mark_pages(uint64_t mark)
{
    return qy_mark_kind(mark) == QY_MARK_ANON ? (enum qy_pages)(mark & QY_MARK_OFFSET_MASK)
                                              : QY_PAGES_SMALL;
}

/* The level of the page that fills an entry of that level with such a mark. */
static inline unsigned qy_pages_level(enum qy_pages pages, unsigned level)
{
    unsigned largest = pages < QY_PAGES_2M ? 1u : pages == QY_PAGES_2M ? 2u : 3u;
    return largest < level ? largest : level;
}

/* Order of the block that is one page of a level. */
static inline unsigned qy_page_order(unsigned level)
{
    return (level - 1) * 9;
}

/* An entry that holds a large page of the space's own: present or kept. A table in hand is held by a moving one. */
bool qy_is_own_large(const struct qy_space *space, uint64_t entry, unsigned level);

/*
 * The frame of the block that is kept for a locked table's stretch, zeroed; from its first page on, if it may be. False: it
 * is any frame that is wanted.
 */
bool qy_vm_frame_in_place(struct qy_space *space, struct qy_table *leaf, unsigned index,
                          enum qy_pages pages, pfn_t *out) QY_MUST_USE;
/* The 2 MiB around an address become one page, if its table is full of pages that are one block; else nothing changes. */
void qy_vm_promote(struct qy_space *space, vaddr_t address);
/*
 * A large page of the space's own at a locked entry becomes a table of pages one level below; unlocks. BUSY: look
 * again. Errors: OUT_OF_MEMORY (no table was aside), REVOKED.
 */
enum qy_error qy_vm_divide(struct qy_space *space, vaddr_t address, struct qy_at *at) QY_MUST_USE;
/*
 * A page of that level fills the anonymous mark over address, zeroed in steps; meanwhile it is `moving`. OK: or something
 * else is there by now. The caller is outside. Errors: OUT_OF_MEMORY, REVOKED.
 */
enum qy_error qy_vm_fill_large(struct qy_space *space, vaddr_t address, unsigned level) QY_MUST_USE;
/* A large page of a locked table has gone: so does a table kept aside for it. */
void qy_vm_drop_aside(struct qy_vm *vm, struct qy_table *table);
/* A table that is aside is so no longer, and goes; else nothing. The caller is inside. */
void qy_vm_leave_aside(struct qy_vm *vm, struct qy_table *table);

#define QY_BINDINGS_A_PAGE ((unsigned)(QY_PAGE_BYTES / sizeof(struct qy_binding)))

/*
 * What indices mean in a space they mean in another, too. Errors: INVALID_ARGUMENT (one means something else there, or
 * has), OUT_OF_MEMORY, UNSUPPORTED (not delegated).
 */
enum qy_error qy_bindings_copy(struct qy_space *to, struct qy_space *from) QY_MUST_USE;
/*
 * Free the indices that no mark names. The space is claimed, the caller is outside. Errors: TOO_MANY (all are named),
 * REVOKED.
 */
enum qy_error qy_bindings_sweep(struct qy_space *space) QY_MUST_USE;

/* See to it that there is a table of `level` over address; where a mark is, it is split. The caller is outside. */
enum qy_error qy_vm_ensure(struct qy_space *space, vaddr_t address, unsigned level) QY_MUST_USE;

/* Take out the tables over address that have nothing in them. The caller is outside. */
void qy_vm_prune(struct qy_space *space, vaddr_t address);

/*
 * The entry for an address, its level and the first address that it stands for. No lock: a look. The caller is
 * inside.
 */
uint64_t qy_vm_peek(const struct qy_space *space, uint64_t address, unsigned *level,
                    paddr_t *table);

/*
 * Replace the private frame at a locked entry of level 1 by a copy of the caller's own, with these rights (0: kept);
 * unlocks. False: it has changed meanwhile, try again. fresh: a frame, the entry's afterwards; not if it returns
 * false.
 */
bool qy_vm_replace(struct qy_space *space, vaddr_t page, struct qy_at *at, unsigned rights,
                   pfn_t fresh) QY_MUST_USE;

/* A private frame that nobody has yet becomes the page at an entry of a locked table, with these rights (0: kept). */
void qy_vm_put_fresh(struct qy_space *space, struct qy_table *table, unsigned index, pfn_t frame,
                     unsigned rights);

/* All errors of a range of user addresses; part of every call. */
enum qy_error qy_vm_range_check(const struct qy_space *space, uint64_t start,
                                uint64_t bytes) QY_MUST_USE;

/* Where a table lies: the space and the first address of what it translates, by one of its parents. */
struct qy_space *qy_table_place(const struct qy_vm *vm, struct qy_table *table, unsigned parent,
                                vaddr_t *base);

#endif
