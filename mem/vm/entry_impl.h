/*
 * Marks as words, and what entries say: pure functions on words. Private to mem/vm.
 */
#ifndef QY_VM_ENTRY_IMPL_H
#define QY_VM_ENTRY_IMPL_H

#include "../phys/frame_word.h"
#include "../phys/framedb_impl.h"

#include <qy/rmap.h>
#include <qy/trace.h>
#include <qy/vm.h>

/* ---- marks as words of QY_PT_MARK_BITS bits ----
 *
 *     57..54  53..51   50..48  47..45   44       43..34    33..0
 *     kind    rights   max     region   shared   binding   offset
 *
 * KEPT and MOVING: offset = frame, region = memory type, binding = CPU that moves it, and QY_HELD_FOREIGN.
 * SWAPPED: offset = frame of the slot's words, binding = index in it, shared = somebody waits for it (swap.c).
 */
#define QY_MARK_OFFSET_BITS 34u
#define QY_MARK_OFFSET_MASK ((1ull << QY_MARK_OFFSET_BITS) - 1)
#define QY_MARK_BINDING_SHIFT 34u
#define QY_MARK_BINDING_MASK ((uint64_t)QY_BINDING_MAX << QY_MARK_BINDING_SHIFT)
#define QY_MARK_CPU_MASK 511u
#define QY_HELD_FOREIGN (1ull << 43)
#define QY_MARK_SHARED (1ull << 44)
#define QY_MARK_REGION_SHIFT 45u
#define QY_MARK_MAX_SHIFT 48u
#define QY_MARK_RIGHTS_SHIFT 51u
#define QY_MARK_RIGHTS_MASK (7ull << QY_MARK_RIGHTS_SHIFT)
#define QY_MARK_KIND_SHIFT 54u

_Static_assert(QY_MARK_KIND_SHIFT + 4 == QY_PT_MARK_BITS, "a mark fits");
_Static_assert(QY_CONFIG_MAX_CPUS <= QY_MARK_CPU_MASK + 1, "a CPU's number fits");
_Static_assert((1ull << QY_MARK_OFFSET_BITS) >= QY_FRAMES_MAX, "a frame's number fits");

static inline enum qy_mark_kind qy_mark_kind(uint64_t mark)
{
    return (enum qy_mark_kind)(mark >> QY_MARK_KIND_SHIFT);
}

/* The kind of the mark in an entry that is not present, and not 0: it stands in the highest bits. */
static inline enum qy_mark_kind qy_entry_kind(uint64_t entry)
{
    return (enum qy_mark_kind)(~entry >> (48 + QY_MARK_KIND_SHIFT - QY_PT_MARK_LOW_BITS));
}

static inline unsigned qy_mark_rights(uint64_t mark)
{
    return (unsigned)(mark >> QY_MARK_RIGHTS_SHIFT) & 7;
}

static inline uint64_t qy_mark_with_rights(uint64_t mark, unsigned rights)
{
    return (mark & ~QY_MARK_RIGHTS_MASK) | (uint64_t)rights << QY_MARK_RIGHTS_SHIFT;
}

/* Can what this mark stands for be given these rights? */
static inline bool qy_mark_may_have(uint64_t origin, unsigned rights)
{
    return !(rights & ~(unsigned)(origin >> QY_MARK_MAX_SHIFT & 7));
}

uint64_t qy_mark_pack(const struct qy_mark *mark);
struct qy_mark qy_mark_unpack(uint64_t mark);

/* Does the offset count pages? */
static inline bool qy_mark_advances(uint64_t mark)
{
    enum qy_mark_kind kind = qy_mark_kind(mark);
    return kind == QY_MARK_OBJECT || kind == QY_MARK_PAGER;
}

/* Is that behind a page which an object shares? Then COW means that it is to notice a write first (qy/object.h). */
static inline bool qy_is_noticed(uint64_t origin)
{
    return qy_mark_kind(origin) == QY_MARK_OBJECT && origin & QY_MARK_SHARED;
}

/* The mark `pages` further on in the same region. */
static inline uint64_t qy_mark_at(uint64_t mark, uint64_t pages)
{
    return qy_mark_advances(mark) ? mark + pages : mark;
}

/* 0 is no mark, and no entry. */
static inline uint64_t qy_mark_entry(const struct qy_pt_format *format, uint64_t mark)
{
    return mark ? qy_pt_mark_encode(format, mark) : 0;
}

/* The entry is not present. */
static inline uint64_t qy_entry_mark(const struct qy_pt_format *format, uint64_t entry)
{
    return entry ? qy_pt_mark_decode(format, entry) : 0;
}

static inline uint64_t qy_held_mark(enum qy_mark_kind kind, pfn_t frame, unsigned rights, unsigned cpu,
                                    bool foreign)
{
    return (uint64_t)kind << QY_MARK_KIND_SHIFT | (uint64_t)rights << QY_MARK_RIGHTS_SHIFT |
           (uint64_t)cpu << QY_MARK_BINDING_SHIFT | (foreign ? QY_HELD_FOREIGN : 0) | frame.raw;
}

/* ---- entries ---- */

static inline bool qy_is_present(const struct qy_pt_format *format, uint64_t entry)
{
    return entry & format->valid;
}

/* The two bits of ours. */
static inline uint64_t qy_bit_cow(const struct qy_pt_format *format)
{
    return format->flags[QY_PT_BIT_SOFT_0].value;
}

static inline uint64_t qy_bit_foreign(const struct qy_pt_format *format)
{
    return format->flags[QY_PT_BIT_SOFT_1].value;
}

/* Rights of a present page as its region has them: COW counts as writable. */
static inline unsigned qy_entry_rights(const struct qy_pt_format *format, uint64_t entry)
{
    bool write = qy_pt_has(format, entry, QY_PT_BIT_WRITE) || (entry & qy_bit_cow(format));
    return QY_PT_READ | (write ? QY_PT_WRITE : 0) |
           (qy_pt_has(format, entry, QY_PT_BIT_EXEC) ? QY_PT_EXEC : 0);
}

static inline pfn_t qy_entry_frame(const struct qy_pt_format *format, uint64_t entry)
{
    return pfn((entry & format->address_mask) >> format->address_shift);
}

static inline uint64_t qy_table_entry(const struct qy_pt_format *format, pfn_t frame)
{
    return frame.raw << format->address_shift | format->table_user;
}

static inline uint64_t qy_page_entry(const struct qy_pt_format *format, pfn_t frame, unsigned level,
                                     unsigned rights)
{
    return qy_pt_encode(format, pfn_to_paddr(frame), level, (rights & QY_PT_RIGHTS_AND_TYPES) | QY_PT_USER);
}

/* What an entry holds: the frame of a page, or of a KEPT or MOVING mark. */
static inline bool qy_entry_holds(const struct qy_pt_format *format, uint64_t entry, unsigned level,
                                  pfn_t *frame, bool *foreign)
{
    if (qy_pt_is_page(format, entry, level)) {
        *frame = qy_entry_frame(format, entry);
        *foreign = entry & qy_bit_foreign(format);
        return true;
    }
    if (!entry || qy_is_present(format, entry) || qy_entry_kind(entry) < QY_MARK_KEPT)
        return false;
    uint64_t mark = qy_pt_mark_decode(format, entry);
    *frame = pfn(mark & QY_MARK_OFFSET_MASK);
    *foreign = mark & QY_HELD_FOREIGN;
    return true;
}

/*
 * Held entries differ in their frames only, where the rest is the same: the one with frame f is the one with frame 0,
 * with f flipped into it. So loops make them, and know them, with two instructions.
 */
static inline uint64_t qy_held_entry(uint64_t of_frame_0, pfn_t frame)
{
    return of_frame_0 ^ frame.raw << 1;
}

/* Is an entry one of those? Its frame then. */
static inline bool qy_is_held_like(uint64_t of_frame_0, uint64_t entry, pfn_t *frame)
{
    *frame = pfn((entry ^ of_frame_0) >> 1);
    return !((entry ^ of_frame_0) & ~(QY_MARK_OFFSET_MASK << 1));
}

/* A page of the space's own that is in a slot of a swap area (swap.c). */
static inline bool qy_is_swapped(const struct qy_pt_format *format, uint64_t entry)
{
    return entry && !qy_is_present(format, entry) && qy_entry_kind(entry) == QY_MARK_SWAPPED;
}

/* Does the table remember a mark behind it? It has a page, here or in a slot. */
static inline bool qy_entry_is_page(const struct qy_pt_format *format, uint64_t entry, unsigned level)
{
    pfn_t frame;
    bool foreign;
    return qy_entry_holds(format, entry, level, &frame, &foreign) || qy_is_swapped(format, entry);
}

/* What loops over the pages of one table of level 1 keep in registers: entries are written in between. */
struct qy_leaf {
    uint64_t own_mask, own; /* of entries of the space's own pages: present, and not FOREIGN */
    uint64_t address_mask, place;
    unsigned address_shift;
    struct qy_frame *frames;
};

static inline struct qy_leaf qy_leaf_of(const struct qy_vm *vm, pfn_t table)
{
    const struct qy_pt_format *format = vm->format;
    return (struct qy_leaf){.own_mask = format->valid | qy_bit_foreign(format),
                            .own = format->valid,
                            .address_mask = format->address_mask,
                            .place = qy_mapping(table, 0),
                            .address_shift = format->address_shift,
                            .frames = vm->db->frames};
}

/*
 * The same for loops that write entries of the space's own themselves: while changes of entries are traced, none is taken
 * as that, and all go the general way, which tells.
 */
static inline struct qy_leaf qy_leaf_to_write(const struct qy_vm *vm, pfn_t table)
{
    struct qy_leaf leaf = qy_leaf_of(vm, table);
    if (qy_traces(QY_TRACE_ENTRIES_CHANGE))
        leaf.own = UINT64_MAX;
    return leaf;
}

static inline bool qy_leaf_is_own(const struct qy_leaf *leaf, uint64_t entry)
{
    return (entry & leaf->own_mask) == leaf->own;
}

static inline pfn_t qy_leaf_frame(const struct qy_leaf *leaf, uint64_t entry)
{
    return pfn((entry & leaf->address_mask) >> leaf->address_shift);
}

static inline bool qy_is_moving(const struct qy_pt_format *format, uint64_t entry)
{
    return entry && !qy_is_present(format, entry) && qy_entry_kind(entry) == QY_MARK_MOVING;
}

/* Memory type of a page, as QY_PT flags; private frames have none. */
static inline unsigned qy_entry_type(const struct qy_pt_format *format, uint64_t entry)
{
    return entry & qy_bit_foreign(format)
               ? qy_pt_decode(format, entry) & (QY_PT_WRITE_THROUGH | QY_PT_UNCACHED)
               : 0;
}

#define QY_TYPE_SHIFT (QY_MARK_REGION_SHIFT - QY_PT_BIT_WRITE_THROUGH)
#define QY_TYPE_MASK ((uint64_t)(QY_PT_WRITE_THROUGH | QY_PT_UNCACHED) << QY_TYPE_SHIFT)

/* Memory type of an entry that holds a foreign frame. */
static inline unsigned qy_held_type(const struct qy_pt_format *format, uint64_t entry)
{
    return qy_is_present(format, entry)
               ? qy_entry_type(format, entry)
               : (unsigned)((qy_entry_mark(format, entry) & QY_TYPE_MASK) >> QY_TYPE_SHIFT);
}

/* A moving entry that this CPU's call has made. */
static inline bool qy_is_mine(const struct qy_pt_format *format, uint64_t entry)
{
    uint64_t mark = qy_entry_mark(format, entry);
    return qy_is_moving(format, entry) &&
           (mark >> QY_MARK_BINDING_SHIFT & QY_MARK_CPU_MASK) == qy_port_cpu();
}

#endif
