/*
 * What events say of page-table entries, and what stands in a space's tables, as events.
 *
 *     before \ entry   nothing         page             table
 *     nothing          -               mapped           table linked
 *     held, moving     -               protected, or migrated if the frame is another
 *     page             unmapped        protected, or migrated if the frame is another
 *     table            table unlinked  table unlinked   table linked
 *
 * A mark is nothing here: only what translates, or leads to what does. Locking: the table's, by who writes the entry.
 */
#include "vm_impl.h"

enum holds { NOTHING, PAGE, TABLE };

static enum holds what(const struct qy_pt_format *format, uint64_t entry, unsigned level)
{
    if (!qy_is_present(format, entry))
        return NOTHING;
    return qy_pt_is_page(format, entry, level) ? PAGE : TABLE;
}

static enum qy_trace_event page_event(const struct qy_pt_format *format, uint64_t before,
                                      uint64_t entry, unsigned level)
{
    pfn_t was, is;
    bool foreign;
    if (!qy_entry_holds(format, before, level, &was, &foreign))
        return QY_TRACE_PAGE_MAPPED;
    (void)qy_entry_holds(format, entry, level, &is, &foreign);
    return was.raw == is.raw ? QY_TRACE_PAGE_PROTECTED : QY_TRACE_PAGE_MIGRATED;
}

void qy_vm_trace_entry(const struct qy_vm *vm, const _Atomic uint64_t *slot, uint64_t before,
                       uint64_t entry)
{
    const struct qy_pt_format *format = vm->format;
    paddr_t place = qy_port_paddr((const void *)(uintptr_t)slot);
    pfn_t frame = paddr_to_pfn(place);
    const struct qy_table *table = qy_table_of(vm->db, frame);
    unsigned level = table && table->level ? table->level : 1;
    enum holds was = what(format, before, level), is = what(format, entry, level);
    enum qy_trace_event event;
    if (is == PAGE && was != TABLE)
        event = page_event(format, before, entry, level);
    else if (is == TABLE)
        event = QY_TRACE_TABLE_LINKED;
    else if (was == TABLE)
        event = QY_TRACE_TABLE_UNLINKED;
    else if (was == PAGE)
        event = QY_TRACE_PAGE_UNMAPPED;
    else
        return;
    if (!qy_traces(1ull << event))
        return;
    qy_trace_write(event, table && table->budget ? table->budget->arena->id : 0,
                   (const uint64_t[QY_TRACE_FIELDS]){frame.raw,
                                                     (place.raw & QY_PAGE_MASK) / sizeof(entry),
                                                     entry, before, level});
}

/* The entries on the way down to an address, of those tables that begin there; *next: the address behind the last. */
static unsigned write_path(const struct qy_space *space, uint64_t id, uint64_t address,
                           uint64_t *next)
{
    const struct qy_pt_format *format = space->format;
    paddr_t table = space->root;
    unsigned written = 0;
    for (unsigned level = QY_PT_LEVELS;; level--) {
        unsigned index = qy_pt_index(vaddr(address), level);
        uint64_t entry = qy_slot_get(qy_pt_slot(table, index));
        uint64_t begin = qy_span_base(vaddr(address), level).raw;
        *next = begin + qy_pt_page_bytes(level);
        if (!qy_is_present(format, entry))
            return written; /* the level's span is passed over */
        if (begin == address) {
            qy_trace_write(QY_TRACE_ENTRY, space->budget ? space->budget->arena->id : 0,
                           (const uint64_t[QY_TRACE_FIELDS]){id, begin, paddr_to_pfn(table).raw,
                                                             index, entry, level});
            written++;
        }
        if (!qy_pt_is_table(format, entry, level))
            return written;
        table = pfn_to_paddr(qy_entry_frame(format, entry));
    }
}

bool qy_space_trace(const struct qy_space *space, uint64_t id, uint64_t *address)
{
    unsigned written = 0;
    qy_vm_enter(space->vm);
    for (unsigned looks = 0;
         looks < QY_TRACE_LOOKS && written < QY_TRACE_RUNS && *address < QY_USER_END; looks++)
        written += write_path(space, id, *address, address);
    qy_vm_leave(space->vm);
    return *address < QY_USER_END;
}
