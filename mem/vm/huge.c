/*
 * Large pages of a space's own: filled at once, or put together where they lie when the last page is there; and divided.
 *
 *     first fault     block of 2 MiB   |U.......|   kept for the table of level 1 (qy_arena_keep); the rest is free
 *     each fault                       |UUUU....|   its frame of the block, in place
 *     the last one                     |UUUUUUUU|
 *     promoted        level 2  | table | -> level 1      ->      level 2  | 2 MiB |      level 1 table: aside
 *     divided         level 2  | 2 MiB |                 ->      level 2  | table | -> level 1, which was aside
 *
 * A large page is one block of the arena (order 9 or 18), whose word is its one mapping: so it is revoked, unmapped and
 * given back as a page is. Whatever would change a part of it, or share it, divides it first and then has pages of 4 KiB: unmap,
 * protect, clone, settle, evict and migrate know nothing else of it. The table that it was is kept aside, or taken with it, so
 * dividing 2 MiB takes no memory; the 512 pages that 1 GiB is divided into have none aside, and may be OUT_OF_MEMORY.
 *
 * Promoting and dividing break before they make: the entry is `moving` while CPUs forget what they have, so none ever has two
 * sizes of a page. Who meets it waits. While it is, a revoke may take pages out of the table: the promotion looks again,
 * under all locks, and if it is not whole any more nothing has happened. Calls that claim a space (clones, long ranges) divide
 * first what they change later: no promotion begins meanwhile.
 *
 * Tables aside keep their entries, as old as they are: who is still on its way down through one finds no hole, and looks again,
 * since the entry that led there has changed. References: Navarro et al., Practical, transparent operating system support for
 * superpages (OSDI 2002); docs/adr/0033-large-pages.md.
 */
#include "vm_impl.h"

/* Zeroed while a lock is held. */
#define ZERO_PAGES 16u

bool qy_is_own_large(const struct qy_space *space, uint64_t entry, unsigned level)
{
    pfn_t frame;
    bool foreign;
    return level > 1 && entry && !qy_is_moving(space->format, entry) &&
           qy_entry_holds(space->format, entry, level, &frame, &foreign) && !foreign;
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void tell(struct qy_space *space, vaddr_t base, unsigned from, unsigned to)
{
    if (space->vm->resized)
        space->vm->resized(space->vm->context, space, base, from, to);
}

/* ---- tables aside ---- */

static void put_aside(struct qy_table *above, struct qy_table *table)
{
    table->aside_of = above;
    table->next = above->aside;
    above->aside = table;
}

static struct qy_table *take_aside(struct qy_table *above)
{
    struct qy_table *table = above->aside;
    if (table) {
        above->aside = table->next;
        table->next = NULL;
        table->aside_of = NULL;
    }
    return table;
}

void qy_vm_drop_aside(struct qy_vm *vm, struct qy_table *above)
{
    struct qy_table *table = take_aside(above);
    if (table)
        qy_table_retire(vm, table);
}

void qy_vm_leave_aside(struct qy_vm *vm, struct qy_table *table)
{
    struct qy_table *above = table->aside_of;
    if (!above)
        return;
    qy_table_lock(above);
    struct qy_table **at = &above->aside;
    while (*at && *at != table)
        at = &(*at)->next;
    bool found = *at;
    if (found) {
        *at = table->next;
        table->aside_of = NULL;
    }
    qy_table_unlock(above);
    if (found)
        qy_table_retire(vm, table);
}

/* ---- frames in place ---- */

bool qy_vm_frame_in_place(struct qy_space *space, struct qy_table *leaf, unsigned index,
                          enum qy_pages pages, pfn_t *out)
{
    struct qy_arena *arena = space->budget->arena;
    uint64_t keeper = leaf->frame.raw;
    bool there = false;
    if (leaf->kept) {
        *out = pfn(leaf->kept + index);
        there = qy_arena_fill(arena, keeper, *out, QY_FRAME_USER) == QY_OK;
        if (!there) { /* it was needed, or the frame is somebody else's */
            qy_arena_unkeep(arena, keeper, pfn(leaf->kept));
            leaf->kept = 0;
            count(&space->kept_broken);
        }
    } else if (pages == QY_PAGES_GROW && leaf->held == 0 && leaf->live == QY_PT_ENTRIES &&
               leaf->budget == space->budget && !leaf->given && !qy_table_is_shared(leaf)) {
        there = qy_arena_keep(arena, keeper, index, QY_FRAME_USER, out) == QY_OK;
        if (there) {
            leaf->kept = out->raw - index;
            count(&space->kept_made);
        }
    }
    if (there)
        memset(qy_port_ram(pfn_to_paddr(*out)), 0, QY_PAGE_BYTES);
    return there;
}

/* ---- promotion ---- */

static uint64_t moving_entry(const struct qy_pt_format *format, pfn_t frame, unsigned rights)
{
    return qy_mark_entry(format, qy_held_mark(QY_MARK_MOVING, frame, rights, qy_port_cpu(), false));
}

/* The table at a locked entry of level 2, if it seems to be whole: the entry is `moving` then. */
static struct qy_table *begin(struct qy_space *space, struct qy_at *at, pfn_t *side)
{
    const struct qy_pt_format *format = space->format;
    if (at->level != 2 || !qy_pt_is_table(format, at->entry, 2))
        return NULL;
    struct qy_table *leaf = qy_table_of(space->vm->db, qy_entry_frame(format, at->entry));
    qy_table_lock(leaf);
    bool whole = leaf->kept && leaf->held == QY_PT_ENTRIES && !leaf->side &&
                 leaf->budget == space->budget && !qy_table_is_shared(leaf) &&
                 !atomic_load_explicit(&space->claimed, memory_order_relaxed);
    if (whole && qy_table_needs_side(at->table, leaf->home))
        whole = qy_vm_frame_alloc(space->vm, at->table->budget, QY_FRAME_METADATA, side) == QY_OK;
    if (whole) {
        qy_table_remember(at->table, at->index, leaf->home, side);
        qy_table_set(format, at->table, at->index, moving_entry(format, leaf->frame, 0));
    }
    qy_table_unlock(leaf);
    return whole ? leaf : NULL;
}

/*
 * Does a locked table hold the 512 pages of the block that was kept for it, all with the same rights and mapped here only? *word:
 * of the block as one page at `mapping`; *entry: the large page's.
 */
static bool is_whole(const struct qy_space *space, const struct qy_table *leaf, uint64_t mapping,
                     uint64_t *word, uint64_t *entry)
{
    const struct qy_pt_format *format = space->format;
    const struct qy_leaf look = qy_leaf_of(space->vm, leaf->frame);
    const uint64_t accessed = format->flags[QY_PT_BIT_ACCESSED].value;
    const _Atomic uint64_t *slots = qy_table_slots(leaf);
    const uint64_t first = qy_slot_get(&slots[0]) | accessed;
    uint64_t class = 0, used = 0;
    for (unsigned i = 0; i < QY_PT_ENTRIES; i++) {
        uint64_t at = qy_slot_get(&slots[i]);
        used |= at & accessed;
        if (!qy_leaf_is_own(&look, at) || qy_leaf_frame(&look, at).raw != leaf->kept + i ||
            ((at | accessed) ^ first) & ~look.address_mask)
            return false;
        uint64_t is = qy_word_load(&look.frames[leaf->kept + i].word);
        if ((is & ~QY_WORD_CLASS) != (look.place | (uint64_t)i << 34) << QY_WORD_PLACE_SHIFT)
            return false;
        class |= is & QY_WORD_CLASS;
    }
    bool write = qy_pt_has(format, first, QY_PT_BIT_WRITE);
    unsigned rights = qy_entry_rights(format, first) & ~(write ? 0u : (unsigned)QY_PT_WRITE);
    *word = mapping << QY_WORD_PLACE_SHIFT | class;
    *entry = (qy_page_entry(format, pfn(leaf->kept), 2, rights) & ~accessed) | used |
             (first & qy_bit_cow(format));
    return class != QY_WORD_CLASS && !leaf->side;
}

/* No CPU has the table's translations any more, and both locks are held. */
static bool put_together(struct qy_space *space, struct qy_at *at, struct qy_table *leaf)
{
    struct qy_vm *vm = space->vm;
    struct qy_rmap_node *freed;
    uint64_t mapping = qy_mapping(at->table->frame, at->index), word, entry;
    if (leaf->held != QY_PT_ENTRIES || !leaf->kept ||
        !is_whole(space, leaf, mapping, &word, &entry) ||
        qy_arena_join(space->budget->arena, pfn(leaf->kept), QY_FRAME_USER, word) != QY_OK)
        return false;
    leaf->kept = 0;
    if (!qy_rmap_remove(&leaf->parents, mapping, &freed, NULL))
        qy_port_broken("VM-TREE", "a table does not know its parent, frame", leaf->frame.raw);
    qy_vm_node_return(vm, freed);
    put_aside(at->table, leaf);
    qy_table_set(space->format, at->table, at->index, entry);
    count(&space->promoted);
    return true;
}

static bool try_promote(struct qy_space *space, vaddr_t base, pfn_t *side)
{
    struct qy_at at;
    bool done = false;
    if (!qy_vm_lock_at(space, base, 2, &at))
        return false;
    struct qy_table *leaf = begin(space, &at, side);
    qy_table_unlock(at.table);
    if (!leaf)
        return false;
    uint64_t moving = moving_entry(space->format, leaf->frame, 0);
    qy_vm_flush(space, base, base.raw + qy_pt_page_bytes(2), 0);
    qy_table_lock(at.table);
    if (qy_slot_get(at.slot) == moving) {
        qy_table_lock(leaf);
        done = put_together(space, &at, leaf);
        if (!done)
            qy_table_set(space->format, at.table, at.index,
                         qy_table_entry(space->format, leaf->frame));
        qy_table_unlock(leaf);
    }
    qy_table_unlock(at.table);
    return done;
}

void qy_vm_promote(struct qy_space *space, vaddr_t address)
{
    pfn_t side = {0};
    vaddr_t base = qy_span_base(address, 2);
    qy_vm_enter(space->vm);
    bool done = try_promote(space, base, &side);
    if (side.raw)
        qy_vm_frame_free(space->vm, side, QY_FRAME_METADATA);
    qy_vm_leave(space->vm);
    if (done)
        tell(space, base, 1, 2);
}

/* ---- division ---- */

/* The entry of the page that begins at a frame of a large one. */
static uint64_t part(const struct qy_pt_format *format, uint64_t entry, unsigned level, pfn_t frame)
{
    if (!qy_is_present(format, entry))
        return qy_mark_entry(format,
                             (qy_entry_mark(format, entry) & ~QY_MARK_OFFSET_MASK) | frame.raw);
    bool write = qy_pt_has(format, entry, QY_PT_BIT_WRITE);
    unsigned rights = qy_entry_rights(format, entry) & ~(write ? 0u : (unsigned)QY_PT_WRITE);
    return qy_page_entry(format, frame, level, rights) | (entry & qy_bit_cow(format));
}

/* A table takes the place of the large page `entry`, which no CPU has any more. The lock of `above` is held. */
static void take_apart(struct qy_space *space, const struct qy_at *at, uint64_t entry, pfn_t first,
                       struct qy_table *table)
{
    struct qy_vm *vm = space->vm;
    unsigned level = at->level - 1;
    uint64_t pages = qy_pt_page_bytes(level) >> QY_PAGE_SHIFT;
    const struct qy_frame *head = &vm->db->frames[first.raw];
    qy_table_lock(table); /* a revoke finds it by the block's parts */
    struct qy_words words = {.step = 1ull << (34 + QY_WORD_PLACE_SHIFT)};
    words.first = qy_mapping(table->frame, 0) << QY_WORD_PLACE_SHIFT |
                  (qy_word_load(&head->word) & QY_WORD_CLASS);
    table->level = (uint8_t)level;
    table->live = table->held = QY_PT_ENTRIES;
    table->home = qy_mark_behind(qy_table_origin(at->table, at->index));
    for (unsigned i = 0; i < QY_PT_ENTRIES; i++)
        qy_slot_put(qy_table_slots(table) + i,
                    part(space->format, entry, level, pfn(first.raw + i * pages)));
    qy_arena_divide(qy_tag_owner(qy_load(&head->tag)), first, qy_page_order(at->level),
                    QY_FRAME_USER, words);
    qy_table_link(space->format, at->table, at->index, table);
    qy_table_unlock(table);
    count(&space->demoted);
}

/* All CPUs forget a page that is present. False: somebody else had it meanwhile; its table is locked, before and after. */
static bool make_moving(struct qy_space *space, vaddr_t base, const struct qy_at *at, pfn_t frame)
{
    uint64_t moving = moving_entry(space->format, frame, qy_entry_rights(space->format, at->entry));
    qy_table_set(space->format, at->table, at->index, moving);
    qy_table_unlock(at->table);
    qy_vm_flush(space, base, base.raw + qy_pt_page_bytes(at->level), at->level);
    qy_table_lock(at->table);
    return qy_slot_get(at->slot) == moving;
}

enum qy_error qy_vm_divide(struct qy_space *space, vaddr_t address, struct qy_at *at)
{
    struct qy_vm *vm = space->vm;
    struct qy_table *table = take_aside(at->table);
    vaddr_t base = qy_span_base(address, at->level);
    enum qy_error error = QY_OK;
    bool foreign;
    pfn_t frame = {0};
    if (!table)
        error = qy_tables_reserve(vm, space->budget, 1, &table);
    (void)qy_entry_holds(space->format, at->entry, at->level, &frame, &foreign);
    if (error == QY_OK && qy_is_present(space->format, at->entry) &&
        !make_moving(space, base, at, frame)) {
        qy_table_retire(vm, table);
        error = QY_BUSY;
    }
    if (error == QY_OK)
        take_apart(space, at, at->entry, frame, table);
    qy_table_unlock(at->table);
    if (error == QY_OK)
        tell(space, base, at->level, at->level - 1);
    return error;
}

/* ---- large pages at once ---- */

struct filling {
    struct qy_space *space;
    vaddr_t base;
    unsigned level;
    uint64_t moving; /* the entry meanwhile */
    pfn_t frame, side;
    struct qy_table *spare;
};

/* Is there a mark that such a page is to fill? */
static bool is_wanted(const struct filling *f, const struct qy_at *at)
{
    const struct qy_pt_format *format = f->space->format;
    uint64_t mark = qy_is_present(format, at->entry) ? 0 : qy_entry_mark(format, at->entry);
    return at->level >= f->level && qy_pages_level(qy_mark_pages(mark), at->level) == f->level;
}

static enum qy_error reserve(struct filling *f, const struct qy_at *at)
{
    struct qy_space *space = f->space;
    struct qy_vm *vm = space->vm;
    qy_irq_is_off();
    enum qy_error error = qy_frame_try_alloc(qy_vm_objects(vm)->frames, space->budget->arena,
                                             qy_page_order(f->level), QY_FRAME_USER, &f->frame);
    if (error == QY_OK)
        error = qy_tables_reserve(vm, space->budget, 1, &f->spare);
    if (error == QY_OK && qy_table_needs_side(at->table, qy_entry_mark(space->format, at->entry)))
        error = qy_vm_frame_alloc(vm, at->table->budget, QY_FRAME_METADATA, &f->side);
    return error;
}

/* The block is where it belongs, and nobody reaches it yet. */
static void place(struct filling *f, const struct qy_at *at)
{
    const struct qy_pt_format *format = f->space->format;
    uint64_t mark = qy_entry_mark(format, at->entry);
    unsigned rights = qy_mark_rights(mark);
    qy_word_store(&f->space->vm->db->frames[f->frame.raw].word,
                  qy_mapping(at->table->frame, at->index) << QY_WORD_PLACE_SHIFT |
                      qy_word_class(rights & QY_PT_WRITE, rights & QY_PT_EXEC));
    qy_table_remember(at->table, at->index, mark, &f->side);
    f->moving = moving_entry(format, f->frame, rights);
    qy_table_set(format, at->table, at->index, f->moving);
    put_aside(at->table, f->spare);
    f->spare = NULL;
    f->frame.raw = 0;
}

/* MISSING_TABLE: above it. f->moving 0: something else is there. */
static enum qy_error begin_fill(struct filling *f)
{
    struct qy_space *space = f->space;
    struct qy_at at;
    qy_vm_enter(space->vm);
    enum qy_error error = QY_REVOKED;
    if (qy_vm_lock_at(space, f->base, f->level, &at)) {
        bool wanted = is_wanted(f, &at);
        error = wanted && at.level > f->level ? QY_MISSING_TABLE : QY_OK;
        if (error == QY_OK && wanted)
            error = reserve(f, &at);
        if (error == QY_OK && wanted)
            place(f, &at);
        qy_table_unlock(at.table);
    }
    if (f->frame.raw)
        qy_vm_frame_free(space->vm, f->frame, QY_FRAME_USER);
    if (f->side.raw)
        qy_vm_frame_free(space->vm, f->side, QY_FRAME_METADATA);
    qy_tables_release(space->vm, &f->spare);
    qy_vm_leave(space->vm);
    return error;
}

/* Some pages more, or the last step: the page is there. False: it has been taken away, or is there. */
static bool fill_some(struct filling *f, uint64_t *done)
{
    struct qy_space *space = f->space;
    const struct qy_pt_format *format = space->format;
    struct qy_at at;
    bool more = false;
    qy_vm_enter(space->vm);
    if (qy_vm_lock_at(space, f->base, f->level, &at)) {
        uint64_t mark = qy_entry_mark(format, f->moving);
        pfn_t frame = pfn(mark & QY_MARK_OFFSET_MASK);
        more = at.level == f->level && at.entry == f->moving &&
               *done < 1ull << qy_page_order(f->level);
        if (more)
            memset(qy_port_ram(pfn_to_paddr(pfn(frame.raw + *done))), 0,
                   ZERO_PAGES * QY_PAGE_BYTES);
        else if (at.level == f->level && at.entry == f->moving)
            qy_table_set(format, at.table, at.index,
                         qy_page_entry(format, frame, f->level, qy_mark_rights(mark)));
        qy_table_unlock(at.table);
    }
    qy_vm_leave(space->vm);
    *done += ZERO_PAGES;
    return more;
}

enum qy_error qy_vm_fill_large(struct qy_space *space, vaddr_t address, unsigned level)
{
    struct filling f = {.space = space, .base = qy_span_base(address, level), .level = level};
    enum qy_error error = begin_fill(&f);
    while (error == QY_MISSING_TABLE) {
        error = qy_vm_ensure(space, f.base, level);
        if (error == QY_OK || error == QY_ALREADY_MAPPED)
            error = begin_fill(&f);
    }
    for (uint64_t done = 0; error == QY_OK && f.moving && fill_some(&f, &done);)
        qy_vm_pause(space->vm);
    return error;
}
