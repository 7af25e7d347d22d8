/*
 * Settle: what a space shares with others becomes its own, by copies into its budget.
 *
 * One table or one page a call; the address is the bookmark, so the work can stop anywhere and be taken up by anybody.
 * Afterwards the arenas of the others can be revoked, and this space has lost nothing but FOREIGN frames.
 */
#include "vm_impl.h"

/* A frame that others have too, or another arena's. */
static bool is_strange(const struct qy_space *space, const struct qy_at *at, pfn_t *frame)
{
    bool foreign;
    if (!qy_entry_holds(space->format, at->entry, at->level, frame, &foreign) || foreign)
        return false;
    const struct qy_frame *entry = &space->vm->db->frames[frame->raw];
    return qy_word_load(&entry->word) & QY_WORD_LIST ||
           qy_tag_owner(qy_load(&entry->tag)) != space->budget->arena;
}

/* Rights of a held entry as its region has them. */
static unsigned rights_of(const struct qy_pt_format *format, uint64_t entry)
{
    return qy_is_present(format, entry) ? qy_entry_rights(format, entry)
                                        : qy_mark_rights(qy_entry_mark(format, entry));
}

enum qy_error qy_space_settle_step(struct qy_space *space, uint64_t *address)
{
    struct qy_vm *vm = space->vm;
    struct qy_at at;
    pfn_t frame, fresh;
    bool again = false, table = false;
    *address = qy_vm_next(space, *address, QY_USER_END);
    if (*address >= QY_USER_END)
        return QY_OK;
    vaddr_t page = vaddr(qy_align_down(*address, QY_PAGE_BYTES));
    qy_vm_enter(vm);
    if (!qy_vm_lock_at(space, page, 1, &at)) {
        qy_vm_leave(vm);
        return QY_REVOKED;
    }
    enum qy_error error = QY_OK;
    uint64_t next = qy_span_base(page, at.level).raw + qy_pt_page_bytes(at.level);
    table = at.level == 1 && qy_table_is_strange(space, at.table);
    again = table || qy_is_moving(space->format, at.entry);
    if (!again && at.level == 1 && is_strange(space, &at, &frame)) {
        error = qy_vm_frame_alloc(vm, space->budget, QY_FRAME_USER, &fresh);
        if (error == QY_OK) {
            again = !qy_vm_replace(space, page, &at, rights_of(space->format, at.entry), fresh);
            if (again)
                qy_vm_frame_free(vm, fresh, QY_FRAME_USER);
        } else {
            qy_table_unlock(at.table);
        }
    } else {
        qy_table_unlock(at.table);
    }
    qy_vm_leave(vm);
    if (table)
        error = qy_vm_unshare(space, page, true);
    else if (error == QY_OK && !again)
        *address = next;
    qy_vm_pause(vm);
    return error;
}
