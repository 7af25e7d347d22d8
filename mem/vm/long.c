/*
 * Unmapping and protecting long ranges, a part of bounded length after the other.
 *
 *     look     where memory may be needed, or something be refused: an unmap's edges, all of a protect. Shared tables
 *              become the space's own, marks and large pages at the edges are split: no translation changes, so it may
 *              stay if the call ends here
 *     change   every part. What cannot be changed now has come since the look, and so after the call
 *
 * Between two parts others map, unmap and fault as they like. What they put into the range after the look may have old
 * rights or new ones, as if it had come after this call or before, and never more than it may have. A clone would share
 * tables again, which takes memory to undo: it waits until the call is over. A shootdown a part; tables that an unmap
 * covers are one part, however many, and are taken apart one by one.
 */
#include "range_impl.h"

#define EDGE_PART (256 * QY_PAGE_BYTES)
#define BLOCK_PART (64 * QY_PAGE_BYTES) /* each page is looked for in its block's reverse map, */
#define CLASS_PART (4 * QY_PAGE_BYTES)  /* or compared with all that is in it */

/* No mark reaches over an edge of the range. A hole, or a large page, is found by whoever looks. */
static enum qy_error cut(struct qy_space *space, uint64_t edge)
{
    unsigned level = 1, at;
    paddr_t table;
    while (level < QY_PT_LEVELS && edge % qy_pt_page_bytes(level + 1) == 0)
        level++;
    if (level == QY_PT_LEVELS)
        return QY_OK;
    qy_vm_enter(space->vm);
    bool hole = qy_vm_peek(space, edge, &at, &table) == 0;
    qy_vm_leave(space->vm);
    enum qy_error error = hole ? QY_OK : qy_vm_ensure(space, vaddr(edge), level);
    return error == QY_ALREADY_MAPPED ? QY_OK : error;
}

/* NOT_MAPPED: there was nothing in it. */
static enum qy_error part(const struct qy_range *op, enum qy_range_pass pass, uint64_t start,
                          uint64_t end)
{
    struct qy_range one = *op;
    if (start >= end)
        return QY_NOT_MAPPED;
    one.pass = pass;
    one.start = start;
    one.end = end;
    if (op->only)
        one.only = op->only + ((start - op->start) >> QY_PAGE_SHIFT);
    enum qy_error error = qy_range_run(&one);
    qy_vm_pause(op->space->vm);
    return error;
}

/* Parts of so many bytes. NOT_MAPPED: there was nothing in any. */
static enum qy_error parts(const struct qy_range *op, enum qy_range_pass pass, uint64_t start,
                           uint64_t end, uint64_t bytes)
{
    enum qy_error result = QY_NOT_MAPPED, error;
    for (uint64_t next; start < end; start = next) {
        next = qy_align_down(start, bytes) + bytes;
        error = part(op, pass, start, next < end ? next : end);
        if (error == QY_OK)
            result = QY_OK;
        else if (error != QY_NOT_MAPPED || op->only)
            return error;
    }
    return result;
}

/* The pages at the edges, and all tables in between. */
static enum qy_error unmap(const struct qy_range *op)
{
    uint64_t whole = qy_pt_page_bytes(2), low = qy_align_up(op->start, whole);
    low = low < op->end ? low : op->end;
    uint64_t high = qy_align_down(op->end, whole);
    high = high > low ? high : low;
    enum qy_error error = part(op, QY_RANGE_LOOK, op->start, low);
    if (error == QY_OK || error == QY_NOT_MAPPED)
        error = part(op, QY_RANGE_LOOK, high, op->end);
    if (error != QY_OK && error != QY_NOT_MAPPED)
        return error;
    bool any = parts(op, QY_RANGE_SURE, op->start, low, EDGE_PART) == QY_OK;
    any |= part(op, QY_RANGE_SURE, low, high) == QY_OK;
    any |= parts(op, QY_RANGE_SURE, high, op->end, EDGE_PART) == QY_OK;
    return any ? QY_OK : QY_NOT_MAPPED;
}

/* A foreign block that is mapped by many pages: all of it is there, in place, or nothing changes. */
static enum qy_error block(const struct qy_range *op)
{
    uint64_t bytes = op->what == QY_RANGE_PROTECT ? CLASS_PART : BLOCK_PART;
    enum qy_error error = parts(op, QY_RANGE_LOOK, op->start, op->end, bytes);
    for (uint64_t at = op->start; at < op->end && error == QY_OK; at += bytes)
        (void)part(op, QY_RANGE_SURE, at, at + bytes);
    return error;
}

/*
 * Where the part at `start` ends: with its table of level 1, or where entries of a higher one lead to tables again. Pages
 * that are to be moved cost more, so they come in smaller parts.
 */
static uint64_t part_end(const struct qy_range *op, uint64_t start)
{
    uint64_t bytes = qy_pt_page_bytes(2) >> (op->rights & QY_PT_EXEC || !op->rights ? 2 : 0), next;
    const struct qy_space *space = op->space;
    unsigned level;
    paddr_t table;
    qy_vm_enter(space->vm);
    (void)qy_vm_peek(space, start, &level, &table);
    if (level == 1) {
        next = qy_align_down(start, bytes) + bytes;
    } else {
        unsigned from = qy_pt_index(vaddr(start), level), index = from + 1;
        while (index < QY_PT_ENTRIES &&
               !qy_pt_is_table(space->format, qy_slot_get(qy_pt_slot(table, index)), level))
            index++;
        next = qy_span_base(vaddr(start), level).raw + (index - from) * qy_pt_page_bytes(level);
    }
    qy_vm_leave(space->vm);
    return next < op->end ? next : op->end;
}

static enum qy_error protect(const struct qy_range *op, enum qy_range_pass pass)
{
    enum qy_error error = QY_OK;
    for (uint64_t at = op->start, next; at < op->end && error == QY_OK; at = next) {
        next = part_end(op, at);
        error = part(op, pass, at, next);
        if (pass == QY_RANGE_SURE && error != QY_REVOKED)
            error = QY_OK;
    }
    return error;
}

/* A foreign block that is one large page. */
static bool is_one_page(const struct qy_range *op)
{
    unsigned level = 1;
    paddr_t table;
    qy_vm_enter(op->space->vm);
    if (op->only)
        (void)qy_vm_peek(op->space, op->start, &level, &table);
    qy_vm_leave(op->space->vm);
    return level > 1;
}

enum qy_error qy_range_run_long(struct qy_range *op)
{
    if (is_one_page(op))
        return qy_range_run(op);
    qy_space_claim(op->space);
    enum qy_error error = op->only ? QY_OK : cut(op->space, op->start);
    if (error == QY_OK && !op->only)
        error = cut(op->space, op->end);
    if (error == QY_OK && op->only) {
        error = block(op);
    } else if (error == QY_OK && op->what == QY_RANGE_UNMAP) {
        error = unmap(op);
    } else if (error == QY_OK) {
        error = protect(op, QY_RANGE_LOOK);
        if (error == QY_OK)
            error = protect(op, QY_RANGE_SURE);
    }
    qy_space_disclaim(op->space);
    return error;
}
