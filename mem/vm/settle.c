/*
 * Pages move while they are used: to the space's own budget, or to another one.
 *
 * Settle: what a space shares with others becomes its own, by copies into its budget. Afterwards the arenas of the others
 * can be revoked, and this space has lost nothing but FOREIGN frames. Migrate: the same into a budget that others pay, on
 * another node, or to empty this one.
 *
 * One table or a few pages a call; the address is the bookmark, so the work can stop anywhere and be taken up by anybody.
 * Pages that nobody shares move together, behind one flush: they are `moving` meanwhile, and who touches one waits.
 */
#include "vm_impl.h"

/* A frame that others have too, or of another arena than the payer's. */
static bool is_strange(const struct qy_space *space, const struct qy_budget *payer,
                       const struct qy_at *at, pfn_t *frame)
{
    bool foreign;
    if (!qy_entry_holds(space->format, at->entry, at->level, frame, &foreign) || foreign)
        return false;
    const struct qy_frame *entry = &space->vm->db->frames[frame->raw];
    return qy_word_load(&entry->word) & QY_WORD_LIST ||
           qy_tag_owner(qy_load(&entry->tag)) != payer->arena;
}

/* A large page of the space's own that another pays. */
static bool is_strange_large(const struct qy_space *space, const struct qy_budget *payer,
                             const struct qy_at *at)
{
    pfn_t frame;
    return qy_is_own_large(space, at->entry, at->level) && is_strange(space, payer, at, &frame);
}

/* Rights of a held entry as its region has them. */
static unsigned rights_of(const struct qy_pt_format *format, uint64_t entry)
{
    return qy_is_present(format, entry) ? qy_entry_rights(format, entry)
                                        : qy_mark_rights(qy_entry_mark(format, entry));
}

/* Pages of one table that move together. */
#define BATCH 16u

struct batch {
    struct qy_space *space;
    struct qy_table *table;
    unsigned count;
    struct {
        unsigned index, rights;
        pfn_t from, to;
        uint64_t moving; /* the entry meanwhile */
    } page[BATCH];
};

/* Everything from index on, below `end`, that one space has alone and another paid, up to what needs more than that. */
static enum qy_error plan(struct batch *b, struct qy_budget *payer, unsigned *index, unsigned end)
{
    const struct qy_pt_format *format = b->space->format;
    const struct qy_leaf leaf = qy_leaf_of(b->space->vm, b->table->frame);
    for (; *index < end && b->count < BATCH; ++*index) {
        struct qy_at at = {.table = b->table, .index = *index, .level = 1};
        at.entry = qy_slot_get(qy_table_slots(b->table) + *index);
        pfn_t frame, fresh;
        if (qy_is_moving(format, at.entry))
            break;
        if (!is_strange(b->space, payer, &at, &frame))
            continue;
        if (!qy_leaf_is_own(&leaf, at.entry) ||
            qy_word_load(&leaf.frames[frame.raw].word) & QY_WORD_LIST)
            break;
        enum qy_error error = qy_vm_frame_alloc(b->space->vm, payer, QY_FRAME_USER, &fresh);
        if (error != QY_OK)
            return b->count ? QY_OK : error;
        unsigned rights = qy_entry_rights(format, at.entry), n = b->count++;
        uint64_t mark = qy_held_mark(QY_MARK_MOVING, frame, rights, qy_port_cpu(), false);
        b->page[n].index = *index;
        b->page[n].rights = rights;
        b->page[n].from = frame;
        b->page[n].to = fresh;
        b->page[n].moving = qy_mark_entry(format, mark);
        qy_table_set(format, b->table, *index, b->page[n].moving);
    }
    return QY_OK;
}

/* No CPU has them any more: each gets its contents and its place, unless somebody was faster. */
static void carry_out(struct batch *b)
{
    struct qy_vm *vm = b->space->vm;
    const struct qy_leaf leaf = qy_leaf_of(vm, b->table->frame);
    struct qy_gone gone;
    qy_gone_begin(&gone);
    for (unsigned n = 0; n < b->count; n++) {
        unsigned index = b->page[n].index;
        qy_table_lock(b->table); /* for a page at a time: others have work there, too */
        bool still = qy_slot_get(qy_table_slots(b->table) + index) == b->page[n].moving;
        if (still) {
            memcpy(qy_port_ram(pfn_to_paddr(b->page[n].to)),
                   qy_port_ram(pfn_to_paddr(b->page[n].from)), QY_PAGE_BYTES);
            qy_vm_let_go_own(vm, &leaf, b->table, index, b->page[n].from, &gone);
            qy_vm_put_fresh(b->space, b->table, index, b->page[n].to, b->page[n].rights);
        }
        qy_table_unlock(b->table);
        if (!still)
            qy_vm_frame_free(vm, b->page[n].to, QY_FRAME_USER);
    }
    qy_gone_send(vm, &gone);
}

/* A page that others have too, or that the CPU is not to have yet, is copied; unlocks. False: try again. */
static bool move_one(struct qy_space *space, struct qy_budget *payer, vaddr_t page,
                     struct qy_at *at, enum qy_error *error)
{
    struct qy_vm *vm = space->vm;
    pfn_t frame, fresh;
    bool strange = at->level == 1 && is_strange(space, payer, at, &frame);
    if (strange)
        *error = qy_vm_frame_alloc(vm, payer, QY_FRAME_USER, &fresh);
    if (!strange || *error != QY_OK) {
        qy_table_unlock(at->table);
        return true;
    }
    if (qy_vm_replace(space, page, at, rights_of(space->format, at->entry), fresh))
        return true;
    qy_vm_frame_free(vm, fresh, QY_FRAME_USER);
    return false;
}

/* Pages from a locked entry on; unlocks. *next: where to go on; it stays if it is to be tried again. */
static enum qy_error move(struct qy_space *space, struct qy_budget *payer, vaddr_t page,
                          uint64_t end, struct qy_at *at, uint64_t *next)
{
    struct batch batch = {.space = space, .table = at->table};
    uint64_t first = page.raw - at->index * QY_PAGE_BYTES; /* of a table of pages */
    uint64_t pages = (end - first + QY_PAGE_BYTES - 1) / QY_PAGE_BYTES;
    unsigned index = at->index;
    enum qy_error error = QY_OK;
    if (at->level == 1)
        error =
            plan(&batch, payer, &index, pages < QY_PT_ENTRIES ? (unsigned)pages : QY_PT_ENTRIES);
    if (error == QY_OK && index == at->index) {
        if (move_one(space, payer, page, at, &error) && error == QY_OK)
            *next = qy_span_base(page, at->level).raw + qy_pt_page_bytes(at->level);
        return error;
    }
    qy_table_unlock(at->table);
    if (batch.count)
        qy_vm_flush(space, page, first + index * QY_PAGE_BYTES, 1);
    carry_out(&batch);
    *next = first + index * QY_PAGE_BYTES;
    return error;
}

enum qy_error qy_space_migrate_step(struct qy_space *space, struct qy_budget *payer,
                                    uint64_t *address, uint64_t end)
{
    struct qy_vm *vm = space->vm;
    struct qy_at at;
    enum qy_error error = QY_OK;
    *address = qy_vm_next(space, *address, end);
    if (*address >= end)
        return QY_OK;
    vaddr_t page = vaddr(qy_align_down(*address, QY_PAGE_BYTES));
    qy_vm_enter(vm);
    if (!qy_vm_lock_at(space, page, 1, &at)) {
        qy_vm_leave(vm);
        return QY_REVOKED;
    }
    bool table = at.level == 1 && qy_table_is_strange(space, at.table);
    if (is_strange_large(space, payer, &at))
        error = qy_vm_divide(space, page, &at); /* the address stays: its pages are next */
    else if (table || qy_is_moving(space->format, at.entry))
        qy_table_unlock(at.table);
    else
        error = move(space, payer, page, end, &at, address);
    qy_vm_leave(vm);
    if (table)
        error = qy_vm_unshare(space, page, true);
    qy_vm_pause(vm);
    return error == QY_BUSY ? QY_OK : error;
}

enum qy_error qy_space_settle_step(struct qy_space *space, uint64_t *address)
{
    return qy_space_migrate_step(space, space->budget, address, QY_USER_END);
}
