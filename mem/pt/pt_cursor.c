/*
 * A cursor over the entries of a range, and what visits pages with it.
 *
 *     root     | . | table | . |                at the end of a table: up, over, and down again
 *     level 2      | page | table | empty |     stops: page, (table: down), empty
 *     level 1             | page | mark | ...   stops: page, mark, ...
 *
 * Locking: none here. A walk beside a writer sees each entry as it was before or after; the caller
 * sees to it that a table is not freed under the cursor. Cost: one load a stop, and one for each
 * table that is entered.
 */
#include "pt_impl.h"

/* Stop at the entry for `at` in the table of c->level, or below it. */
static void stop_at(struct qy_pt_cursor *c, uint64_t at)
{
    const struct qy_pt_format *format = c->format;
    for (;;) {
        c->slot = qy_pt_slot(c->tables[c->level], qy_pt_index(vaddr(at), c->level));
        c->entry = qy_pt_load(c->slot);
        if (!qy_pt_is_table(format, c->entry, c->level))
            break;
        c->level--;
        c->tables[c->level] = qy_pt_entry_address(format, c->entry);
    }
    c->address = vaddr(qy_align_down(at, qy_pt_page_bytes(c->level)));
}

void qy_pt_cursor_begin(struct qy_pt_cursor *c, const struct qy_pt *pt, vaddr_t first, vaddr_t last)
{
    c->format = pt->format;
    c->first = first;
    c->last = last;
    c->level = QY_PT_LEVELS;
    c->tables[QY_PT_LEVELS] = pt->root;
    stop_at(c, first.raw);
}

bool qy_pt_cursor_turn(struct qy_pt_cursor *c)
{
    uint64_t bytes = qy_pt_page_bytes(c->level), next = c->address.raw + bytes;
    if (c->last.raw - c->address.raw < bytes)
        return false;
    if (!vaddr_is_canonical(next))
        next = 0xffff800000000000ull;
    while (c->level < QY_PT_LEVELS && qy_pt_index(vaddr(next), c->level) == 0)
        c->level++;
    stop_at(c, next);
    return true;
}

void qy_pt_cursor_enter(struct qy_pt_cursor *c)
{
    stop_at(c, c->address.raw > c->first.raw ? c->address.raw : c->first.raw);
}

void qy_pt_each_in(const struct qy_pt *pt, vaddr_t first, vaddr_t last,
                   bool (*visit)(void *context, vaddr_t address, uint64_t entry, unsigned level),
                   void *context)
{
    struct qy_pt_cursor c;
    if (first.raw > last.raw)
        return;
    qy_pt_cursor_begin(&c, pt, first, last);
    do {
        if (qy_pt_is_page(pt->format, c.entry, c.level) &&
            !visit(context, c.address, c.entry, c.level))
            return;
    } while (qy_pt_cursor_next(&c));
}

void qy_pt_each(const struct qy_pt *pt,
                bool (*visit)(void *context, vaddr_t address, uint64_t entry, unsigned level),
                void *context)
{
    qy_pt_each_in(pt, vaddr(0), vaddr(~0ull), visit, context);
}
