/*
 * Regions as users see them, read back out of the tree.
 *
 * A page that is there, or in a swap area, and the mark next to it are one region if the mark behind the page is that
 * one: presence is nobody's concern. Locking: each entry is read under its table's lock, so a region that changes meanwhile is one of
 * those that it was.
 */
#include "vm_impl.h"

#define QUERY_STEP 128u /* entries between two pauses */

/*
 * What an entry stands for at `address`; kind NONE and not foreign: nothing. A frame of a shared object is its
 * region's.
 */
static struct qy_mark mark_at(const struct qy_space *space, const struct qy_at *at,
                              uint64_t address, bool *foreign)
{
    uint64_t entry = at->entry,
             pages = (address - qy_span_base(vaddr(address), at->level).raw) >> QY_PAGE_SHIFT;
    pfn_t frame;
    *foreign = false;
    bool swapped = qy_is_swapped(space->format, entry);
    if (!swapped && !qy_entry_holds(space->format, entry, at->level, &frame, foreign))
        return qy_mark_unpack(qy_mark_at(qy_entry_mark(space->format, entry), pages));
    uint64_t origin = qy_mark_at(qy_table_origin(at->table, at->index), pages);
    if (qy_mark_kind(origin) == QY_MARK_OBJECT && origin & QY_MARK_SHARED)
        *foreign = false;
    return qy_mark_unpack(
        qy_mark_with_rights(origin, qy_is_present(space->format, entry)
                                        ? qy_entry_rights(space->format, entry)
                                        : qy_mark_rights(qy_entry_mark(space->format, entry))));
}

/* Is `next`, that many pages further on, more of the same? */
static bool goes_on(const struct qy_region *region, const struct qy_mark *next, bool foreign,
                    unsigned type)
{
    const struct qy_mark *mark = &region->mark;
    uint64_t pages = (region->end - region->start) >> QY_PAGE_SHIFT;
    bool counts = mark->kind == QY_MARK_OBJECT || mark->kind == QY_MARK_PAGER;
    return mark->kind == next->kind && mark->region == next->region &&
           mark->rights == next->rights && mark->max == next->max && mark->shared == next->shared &&
           mark->binding == next->binding && next->offset == mark->offset + (counts ? pages : 0) &&
           region->foreign == foreign && region->type == type;
}

enum qy_error qy_space_query(struct qy_space *space, uint64_t address, struct qy_region *out)
{
    bool begun = false;
    unsigned entries = 0;
    uint64_t at_address = qy_align_down(address, QY_PAGE_BYTES);
    enum qy_error error = address < QY_USER_END ? QY_OK : QY_INVALID_ADDRESS;
    while (error == QY_OK && at_address < QY_USER_END) {
        struct qy_at at;
        bool foreign = false;
        struct qy_mark mark = {0};
        unsigned type = 0;
        bool moving = false;
        if (!begun)
            at_address = qy_vm_next(space, at_address, QY_USER_END);
        if (at_address == QY_USER_END)
            break;
        qy_vm_enter(space->vm);
        if (qy_vm_lock_at(space, vaddr(at_address), 1, &at)) {
            moving = qy_is_moving(space->format, at.entry);
            mark = mark_at(space, &at, at_address, &foreign);
            type = foreign ? qy_held_type(space->format, at.entry) : 0;
            qy_table_unlock(at.table);
        } else {
            error = QY_REVOKED;
        }
        qy_vm_leave(space->vm);
        if (entries % QUERY_STEP == QUERY_STEP - 1)
            qy_vm_pause(space->vm);
        if (moving) {
            qy_port_relax();
            continue;
        }
        uint64_t end = qy_span_base(vaddr(at_address), at.level).raw + qy_pt_page_bytes(at.level);
        bool empty = error != QY_OK || (mark.kind == QY_MARK_NONE && !foreign);
        if (begun && (empty || !goes_on(out, &mark, foreign, type)))
            break;
        if (++entries > QY_QUERY_ENTRIES) {
            out->more = begun;
            break;
        }
        if (!empty && !begun)
            *out = (struct qy_region){at_address, end, mark, foreign, type, at.level, false};
        begun |= !empty;
        if (begun)
            out->end = end;
        at_address = end;
    }
    return error != QY_OK ? error : begun ? QY_OK : QY_NOT_FOUND;
}
