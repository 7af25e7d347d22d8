/*
 * The validator of page tables.
 *
 * It cannot tell whether a translation is the one that was asked for: that is the reference model's
 * work in the tests.
 */
#include "pt_impl.h"

struct check {
    const struct qy_pt_format *format;
    paddr_t path[QY_PT_LEVELS + 1]; /* by level: the table being looked at */
    bool upper;                     /* the half of the root entry being looked at */
};

static const char *check_page(const struct check *check, uint64_t entry, unsigned level,
                              bool page_zero)
{
    unsigned flags = qy_pt_decode(check->format, entry);
    if (entry & ~check->format->page_allowed[level])
        return "PT-RESERVED";
    if (flags & QY_PT_WRITE && flags & QY_PT_EXEC)
        return "WXOR";
    if (page_zero || !(flags & QY_PT_USER) != check->upper ||
        (flags & QY_PT_USER && flags & QY_PT_GLOBAL))
        return "ISOLATED";
    /* What is left over is what no combination of flags encodes to, such as write without read. */
    uint64_t encoded = qy_pt_supports(check->format, flags & QY_PT_MAPPABLE, level)
                           ? qy_pt_encode(check->format, paddr(0), level, flags & QY_PT_MAPPABLE)
                           : 0;
    uint64_t rest = ~(check->format->address_mask | check->format->accessed_dirty);
    return (entry & rest) == (encoded & rest) ? NULL : "PT-RESERVED";
}

static const char *check_table(struct check *check, paddr_t table, unsigned level, bool lowest)
{
    check->path[level] = table;
    for (unsigned i = 0; i < QY_PT_ENTRIES; i++) {
        const char *broken = NULL;
        uint64_t entry = qy_pt_load(qy_pt_slot(table, i));
        if (level == QY_PT_LEVELS)
            check->upper = i >= QY_PT_ENTRIES / 2;
        if (!(entry & check->format->valid)) {
            if (entry && ~entry & check->format->mark_ones)
                return "PT-EMPTY";
            continue;
        }
        bool first = lowest && i == 0;
        if (entry & check->format->page[level]) {
            broken = check_page(check, entry, level, first);
        } else if (level == 1 || entry & ~check->format->table_allowed) {
            broken = "PT-RESERVED";
        } else {
            paddr_t below = qy_pt_entry_address(check->format, entry);
            uint64_t bits = entry & ~check->format->address_mask;
            uint64_t own = check->upper ? check->format->table_kernel : check->format->table_user;
            if (bits != own)
                return bits & ~own ? "ISOLATED" : "PT-RESERVED";
            for (unsigned above = level; above <= QY_PT_LEVELS; above++)
                if (check->path[above].raw == below.raw)
                    return "PT-TREE";
            broken = check_table(check, below, level - 1, first);
        }
        if (broken)
            return broken;
    }
    return NULL;
}

const char *qy_pt_check(const struct qy_pt *pt)
{
    struct check check = {.format = pt->format};
    return check_table(&check, pt->root, QY_PT_LEVELS, true);
}
