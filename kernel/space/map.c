/*
 * Mapping frames: which entries, with which flags, and who has to be told. See kernel/space.h.
 */
#include <arch/arch.h>
#include <kernel/trace.h>

#include "space_impl.h"

/* QY_MAP_* and QY_PT_* agree in these bits, so nothing is translated. */
_Static_assert(QY_PT_READ == QY_MAP_READ && QY_PT_WRITE == QY_MAP_WRITE &&
                   QY_PT_EXEC == QY_MAP_EXEC && QY_PT_WRITE_THROUGH == QY_MAP_WRITE_THROUGH &&
                   QY_PT_UNCACHED == QY_MAP_UNCACHED,
               "flags of the ABI are those of the page tables");

static struct frame *frame_of(const struct slot *slot)
{
    return (struct frame *)slot->object;
}

/* Count a mapping in the frame database, which knows RAM only: nobody can execute device memory (WXOR). */
static enum qy_error frame_count(const struct frame *frame, uint64_t flags)
{
    if (frame->object.flags & OBJECT_DEVICE)
        return QY_OK;
    return qy_frame_map(frame->object.untyped->arena->db, frame->first, flags & QY_MAP_WRITE,
                        flags & QY_MAP_EXEC);
}

void frame_uncount(const struct frame *frame)
{
    if (!(frame->object.flags & OBJECT_DEVICE))
        qy_frame_unmap(frame->object.untyped->arena->db, frame->first);
}

/* Entries of a mapping with pages of that level. */
static uint64_t entries_of(unsigned order, unsigned level)
{
    return 1ull << (order - 9 * (level - 1));
}

vaddr_t frame_address(const struct slot *slot)
{
    return vaddr(slot->table->base.raw + slot->index * qy_pt_page_bytes(slot->level));
}

#define MEMORY_TYPES (QY_MAP_WRITE_THROUGH | QY_MAP_UNCACHED)

/* RAM is cached; of device memory the caller says how it is to be read and written, and not both ways. */
static bool memory_type_fits(const struct slot *slot, uint64_t flags)
{
    uint64_t type = flags & MEMORY_TYPES;
    return slot->object->flags & OBJECT_DEVICE ? type && type != MEMORY_TYPES : !type;
}

/* Where the format has no uncached pages, physical addresses have a type of their own, and device memory's is uncached
 * (RISC-V without Svpbmt). */
static unsigned pt_flags(const struct qy_pt_format *format, uint64_t flags)
{
    unsigned wanted = (unsigned)flags | QY_PT_USER;
    return qy_pt_supports(format, QY_PT_READ | QY_PT_USER | QY_PT_UNCACHED, 1)
               ? wanted
               : wanted & ~(unsigned)QY_PT_UNCACHED;
}

static enum qy_error flags_check(const struct slot *slot, const struct qy_pt_format *format,
                                 uint64_t flags)
{
    unsigned rights = slot->rights;
    if ((flags & ~(uint64_t)QY_MAP_ALL) || !memory_type_fits(slot, flags) ||
        !(flags & QY_MAP_READ) || ((flags & QY_MAP_WRITE) && (flags & QY_MAP_EXEC)))
        return QY_INVALID_FLAGS;
    if (!qy_pt_supports(format, pt_flags(format, flags), 1)) /* a type that this CPU has not */
        return QY_INVALID_FLAGS;
    if (((flags & QY_MAP_WRITE) && !(rights & QY_RIGHT_WRITE)) ||
        ((flags & QY_MAP_EXEC) && !(rights & QY_RIGHT_EXEC)) || !(rights & QY_RIGHT_READ))
        return QY_NO_RIGHTS;
    return QY_OK;
}

/* Point the entries of a mapping at its frame. */
static void entries_set(const struct slot *slot, const struct qy_pt_format *format, unsigned flags)
{
    const struct frame *frame = frame_of(slot);
    for (unsigned i = 0; i < entries_of(frame->order, slot->level); i++) {
        paddr_t at = paddr(pfn_to_paddr(frame->first).raw + i * qy_pt_page_bytes(slot->level));
        entry_set(slot->table, slot->index + i, qy_pt_encode(format, at, slot->level, flags));
    }
}

static void entries_clear(const struct slot *slot)
{
    for (unsigned i = 0; i < entries_of(frame_of(slot)->order, slot->level); i++)
        entry_set(slot->table, slot->index + i, 0);
}

/* The largest page size that the frame has and the CPU gives these flags; 0 = none. */
static unsigned page_level(const struct qy_pt_format *format, unsigned order, unsigned flags)
{
    unsigned level = 1 + order / 9;
    while (level > 1 && (level > arch_max_page_level() || !qy_pt_supports(format, flags, level)))
        level--;
    return qy_pt_supports(format, flags, level) && entries_of(order, level) <= QY_PT_ENTRIES ? level
                                                                                             : 0;
}

static void mapping_link(struct slot *slot, struct table *table, unsigned index, unsigned level)
{
    slot->table = table;
    slot->index = index % QY_PT_ENTRIES;
    slot->level = level & 7;
    slot->map_prev = NULL;
    slot->map_next = table->mappings;
    if (table->mappings)
        table->mappings->map_prev = slot;
    table->mappings = slot;
    table->leaves = (uint16_t)(table->leaves + entries_of(frame_of(slot)->order, level));
}

static void mapping_unlink(struct slot *slot)
{
    struct table *table = slot->table;
    if (slot->map_prev)
        slot->map_prev->map_next = slot->map_next;
    else
        table->mappings = slot->map_next;
    if (slot->map_next)
        slot->map_next->map_prev = slot->map_prev;
    table->leaves = (uint16_t)(table->leaves - entries_of(frame_of(slot)->order, slot->level));
    slot->map_next = slot->map_prev = NULL;
    slot->table = NULL;
}

void mapping_moved(struct slot *from, struct slot *to)
{
    if (from->map_prev)
        from->map_prev->map_next = to;
    else
        to->table->mappings = to;
    if (from->map_next)
        from->map_next->map_prev = to;
    from->map_next = from->map_prev = NULL;
    from->table = NULL;
}

/* The place of a mapping: a table of the right level whose entries are empty. */
static enum qy_error place_find(struct space *space, uint64_t address, unsigned level,
                                uint64_t entries, struct table **out, unsigned *missing)
{
    struct table *table = space_table(space, address, level);
    unsigned index = table_index(table, address);
    if (table->level != level) {
        if (entry_get(table, index))
            return QY_ALREADY_MAPPED;
        *missing = table->level - 1u;
        return QY_MISSING_TABLE;
    }
    for (uint64_t i = 0; i < entries; i++) {
        if (entry_get(table, index + (unsigned)i))
            return QY_ALREADY_MAPPED;
    }
    *out = table;
    return QY_OK;
}

enum qy_error frame_map(struct slot *slot, struct space *space, uint64_t address, uint64_t flags,
                        unsigned *level)
{
    const struct frame *frame = frame_of(slot);
    uint64_t bytes = QY_PAGE_BYTES << frame->order;
    struct table *table;
    enum qy_error error = flags_check(slot, space->pt.format, flags);
    if (error != QY_OK)
        return error;
    if (address < QY_PAGE_BYTES || address >= USER_END || bytes > USER_END - address ||
        address % bytes)
        return QY_INVALID_ADDRESS;
    if (slot->table)
        return QY_ALREADY_MAPPED;
    unsigned page = page_level(space->pt.format, frame->order, pt_flags(space->pt.format, flags));
    if (page == 0)
        return QY_UNSUPPORTED;
    error = place_find(space, address, page, entries_of(frame->order, page), &table, level);
    if (error != QY_OK)
        return error;
    error = frame_count(frame, flags);
    if (error != QY_OK)
        return error;
    mapping_link(slot, table, table_index(table, address), page);
    entries_set(slot, space->pt.format, pt_flags(space->pt.format, flags));
    trace_page_mapped(space->object.id, address, entry_get(table, slot->index), page);
    return QY_OK;
}

enum qy_error space_map_reserved(struct space *space, uint64_t address, paddr_t page,
                                 unsigned *level)
{
    struct table *table;
    enum qy_error error = place_find(space, address, 1, 1, &table, level);
    if (error != QY_OK)
        return error;
    entry_set(table, table_index(table, address),
              qy_pt_encode(space->pt.format, page, 1, pt_flags(space->pt.format, QY_MAP_READ)));
    table->leaves++;
    return QY_OK;
}

void frame_unmap(struct slot *slot, struct teardown *teardown)
{
    struct table *table = slot->table;
    struct space *space = table_space(table);
    const struct frame *frame = frame_of(slot);
    if (!space) { /* the table has been taken out, and every CPU has forgotten it */
        mapping_forget(slot);
        return;
    }
    vaddr_t address = frame_address(slot);
    trace_page_unmapped(space->object.id, address.raw, entry_get(table, slot->index), slot->level);
    struct flush flush = {.space = space,
                          .memory = slot->object,
                          .address = address,
                          .entries = entries_of(frame->order, slot->level),
                          .level = slot->level,
                          .unmapped = true};
    entries_clear(slot);
    mapping_unlink(slot);
    teardown_flush(teardown, flush);
}

void mapping_forget(struct slot *slot)
{
    entries_clear(slot);
    mapping_unlink(slot);
    frame_uncount(frame_of(slot));
}

static enum qy_error class_change(const struct slot *slot, uint64_t flags)
{
    const struct frame *frame = frame_of(slot);
    if (frame->object.flags & OBJECT_DEVICE)
        return QY_OK;
    return qy_frame_remap(frame->object.untyped->arena->db, frame->first, flags & QY_MAP_WRITE,
                          flags & QY_MAP_EXEC);
}

/*
 * The frame keeps its old class until every CPU has forgotten the old rights: as long as one may write, nobody
 * may map it executable.
 */
static void protect_narrow(const struct slot *slot, unsigned left, bool replaced, bool code,
                           struct teardown *teardown) QY_REQUIRES(qy_class_caps)
{
    struct space *space = table_space(slot->table);
    struct flush flush = {.space = space, .memory = slot->object, .code = code};
    if (replaced) {
        entries_set(slot, space->pt.format, left | QY_PT_USER);
        flush.address = frame_address(slot);
        flush.entries = entries_of(frame_of(slot)->order, slot->level);
        flush.level = slot->level;
    }
    teardown_flush(teardown, flush);
}

enum qy_error frame_protect(struct slot *slot, uint64_t flags, bool fenced,
                            struct teardown *teardown, bool *again)
{
    const struct table *table = slot->table;
    const struct space *space = table_space(table);
    const struct qy_pt_format *format = space->pt.format;
    enum qy_error error = flags_check(slot, format, flags);
    *again = false;
    if (error != QY_OK)
        return error;
    unsigned wanted = pt_flags(format, flags);
    unsigned old = qy_pt_decode(format, entry_get(table, slot->index)) & QY_MAP_ALL;
    if ((old ^ wanted) & MEMORY_TYPES) /* two types of one page at a time are nobody's to have */
        return QY_INVALID_FLAGS;
    if (!qy_pt_supports(format, wanted, slot->level))
        return QY_UNSUPPORTED;
    unsigned left = old & wanted;
    bool code = arch_fence_code && (flags & ~(uint64_t)old & QY_MAP_EXEC) && !fenced;
    error = class_change(slot, flags);
    if (error != QY_OK)
        return error;
    if (left != old || code) {
        error = class_change(slot, old); /* as it was allowed before */
        protect_narrow(slot, left, left != old, code, teardown);
        *again = true;
        return error;
    }
    entries_set(slot, format, wanted);
    trace_page_protected(space->object.id, frame_address(slot).raw, entry_get(table, slot->index),
                         slot->level);
    return QY_OK;
}
