/*
 * Unmapping one page, the commonest change of a range: nothing is planned, its table is found once. See range.c.
 */
#include "range_impl.h"

/* A page of that level at a locked entry of a table of the space's own. */
static bool is_simple(const struct qy_space *space, const struct qy_at *at, unsigned level,
                      uint64_t only)
{
    const struct qy_pt_format *format = space->format;
    return at->level == level && qy_pt_is_page(format, at->entry, level) &&
           !qy_table_is_shared(at->table) &&
           (!only ||
            (at->entry & qy_bit_foreign(format) && qy_entry_frame(format, at->entry).raw == only));
}

/* Its table is locked; meanwhile it is not. Whoever met the moving entry instead of us has finished it. */
static void take_out(struct qy_space *space, vaddr_t address, const struct qy_at *at)
{
    const struct qy_pt_format *format = space->format;
    const pfn_t frame = qy_entry_frame(format, at->entry);
    const bool foreign = at->entry & qy_bit_foreign(format);
    const uint64_t moving =
        qy_mark_entry(format, qy_held_mark(QY_MARK_MOVING, frame, 0, qy_port_cpu(), foreign));
    struct qy_gone gone;
    qy_gone_begin(&gone);
    qy_slot_put(at->slot, moving); /* it holds what it held */
    qy_table_unlock(at->table);
    qy_vm_flush(space, address, address.raw + qy_pt_page_bytes(at->level), at->level);
    qy_table_lock(at->table);
    if (qy_slot_get(at->slot) == moving) {
        qy_vm_let_go(space->vm, at->table, at->index, frame, foreign, &gone);
        qy_table_set(format, at->table, at->index, 0);
        qy_gone_send(space->vm, &gone);
    }
}

enum qy_error qy_vm_unmap_page(struct qy_space *space, uint64_t address, uint64_t bytes,
                               uint64_t only)
{
    struct qy_at at;
    unsigned level = 1;
    while (level < QY_PT_LARGEST_PAGE && bytes > qy_pt_page_bytes(level))
        level++;
    if (bytes != qy_pt_page_bytes(level))
        return QY_BUSY;
    qy_vm_enter(space->vm);
    if (!qy_vm_lock_at(space, vaddr(address), level, &at)) {
        qy_vm_leave(space->vm);
        return QY_REVOKED;
    }
    bool simple = is_simple(space, &at, level, only);
    if (simple)
        take_out(space, vaddr(address), &at);
    bool hollow = simple && qy_table_may_go(at.table);
    qy_table_unlock(at.table);
    qy_vm_leave(space->vm);
    if (hollow)
        qy_vm_prune(space, vaddr(address));
    return simple ? QY_OK : QY_BUSY;
}
