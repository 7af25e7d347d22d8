/*
 * What arithmetic on bits promises, for all arguments: each theorem_NAME must be true whatever its arguments are.
 *
 * proofs/bits.py asks z3, which knows 64-bit words and nothing else. The functions are those of the kernel and the
 * library, as clang compiled them with -O2; nothing is copied. REQUIRE names what the caller has to see to.
 * Trusted: clang's front end and optimiser, bits.py, z3.
 */
#include "../kernel/cap/slot.c"
#include "../mem/phys/arena_block.c"
#include "../mem/phys/arena_range.c"
#include "../mem/phys/frame_word.h"
#include "../mem/pt/fmt_sv48.c"
#include "../mem/pt/fmt_x86_64.c"
#include "../mem/pt/walk.c"
#include "../platform/bytes_impl.h"

#define THEOREM(name, ...)                                                                         \
    bool theorem_##name(__VA_ARGS__);                                                              \
    bool theorem_##name(__VA_ARGS__)
#define REFUTED(name, ...)                                                                         \
    bool refuted_##name(__VA_ARGS__);                                                              \
    bool refuted_##name(__VA_ARGS__)
#define REQUIRE(x)                                                                                 \
    do {                                                                                           \
        if (!(x))                                                                                  \
            return true;                                                                           \
    } while (0)

/* ---- addresses and ranges ---- */

THEOREM(canonical_is_sign_extended, uint64_t a)
{
    return vaddr_is_canonical(a) == ((uint64_t)((int64_t)(a << 16) >> 16) == a);
}

THEOREM(align_down, uint64_t value, unsigned shift)
{
    REQUIRE(shift < 64);
    uint64_t r = qy_align_down(value, 1ull << shift);
    return r >> shift << shift == r && r <= value && value - r < 1ull << shift;
}

THEOREM(align_up, uint64_t value, unsigned shift)
{
    REQUIRE(shift < 64 && value <= UINT64_MAX - ((1ull << shift) - 1));
    uint64_t r = qy_align_up(value, 1ull << shift);
    return r >> shift << shift == r && r >= value && r - value < 1ull << shift;
}

THEOREM(order_of_is_the_smallest, uint64_t pages)
{
    REQUIRE(pages >= 1 && pages <= 1ull << 63);
    unsigned order = qy_order_of(pages);
    return order < 64 && pages <= 1ull << order && (order == 0 || pages > 1ull << (order - 1));
}

THEOREM(frame_and_address, uint64_t frame)
{
    REQUIRE(frame < 1ull << 52);
    return paddr_to_pfn(pfn_to_paddr(pfn(frame))).raw == frame;
}

THEOREM(bytes_hold_without_wrapping, size_t held, size_t offset, uint64_t count)
{
    bool wraps = offset + count < offset;
    return qy_bytes_hold((struct qy_bytes){NULL, held}, offset, count) ==
           (!wraps && offset + count <= held);
}

THEOREM(range_end_never_wraps_unseen, uint64_t base, uint64_t length)
{
    uint64_t end = qy_range_end(base, length);
    bool fits = length <= UINT64_MAX - base;
    return fits ? end == base + length : (base + length == 0 ? end == UINT64_MAX : end < base);
}

REFUTED(align_up_without_its_requirement, uint64_t value)
{
    return qy_align_up(value, 4096) >= value;
}

/* ---- entries of page tables, for each format and each size of page ---- */

/* What qy_pt_map_run has checked before it encodes. */
static bool may_be_mapped(const struct qy_pt_format *f, uint64_t frame, unsigned level,
                          unsigned flags)
{
    return qy_pt_supports(f, flags, level) && !(frame & (qy_pt_page_bytes(level) - 1)) &&
           frame < qy_pt_physical_end(f);
}

#define ENTRIES(F, format, level)                                                                  \
    THEOREM(F##_page_##level##_keeps_its_frame, uint64_t frame, unsigned flags)                    \
    {                                                                                              \
        REQUIRE(may_be_mapped(&format, frame, level, flags));                                      \
        return qy_pt_entry_address(&format, qy_pt_encode(&format, paddr(frame), level, flags))     \
                   .raw == frame;                                                                  \
    }                                                                                              \
    THEOREM(F##_page_##level##_keeps_its_flags, uint64_t frame, unsigned flags)                    \
    {                                                                                              \
        REQUIRE(may_be_mapped(&format, frame, level, flags));                                      \
        unsigned had = qy_pt_decode(&format, qy_pt_encode(&format, paddr(frame), level, flags));   \
        return (had & QY_PT_MAPPABLE) == flags && had & QY_PT_ACCESSED &&                          \
               !(had & QY_PT_DIRTY) == !(flags & QY_PT_WRITE);                                     \
    }                                                                                              \
    THEOREM(F##_page_##level##_is_a_page, uint64_t frame, unsigned flags)                          \
    {                                                                                              \
        REQUIRE(may_be_mapped(&format, frame, level, flags));                                      \
        uint64_t entry = qy_pt_encode(&format, paddr(frame), level, flags);                        \
        return entry && qy_pt_is_page(&format, entry, level) &&                                    \
               !qy_pt_is_table(&format, entry, level) && !qy_pt_is_mark(&format, entry) &&         \
               !(entry & ~format.page_allowed[level]);                                             \
    }                                                                                              \
    THEOREM(F##_page_##level##_is_not_writable_and_executable, uint64_t frame, unsigned flags)     \
    {                                                                                              \
        REQUIRE(may_be_mapped(&format, frame, level, flags));                                      \
        uint64_t entry = qy_pt_encode(&format, paddr(frame), level, flags);                        \
        return !(qy_pt_has(&format, entry, QY_PT_BIT_WRITE) &&                                     \
                 qy_pt_has(&format, entry, QY_PT_BIT_EXEC)) &&                                     \
               !(qy_pt_has(&format, entry, QY_PT_BIT_USER) &&                                      \
                 qy_pt_has(&format, entry, QY_PT_BIT_GLOBAL));                                     \
    }                                                                                              \
    THEOREM(F##_page_##level##_is_not_written_by_the_cpu, uint64_t frame, unsigned flags)          \
    {                                                                                              \
        REQUIRE(may_be_mapped(&format, frame, level, flags));                                      \
        return !qy_pt_cpu_may_write(&format, qy_pt_encode(&format, paddr(frame), level, flags));   \
    }                                                                                              \
    THEOREM(F##_page_##level##_neighbours_differ_by_a_step, uint64_t frame, unsigned flags,        \
            unsigned i)                                                                            \
    {                                                                                              \
        uint64_t bytes = qy_pt_page_bytes(level), end = qy_pt_physical_end(&format);               \
        REQUIRE(may_be_mapped(&format, frame, level, flags) && i < QY_PT_ENTRIES &&                \
                (i + 1) * bytes <= end - frame);                                                   \
        uint64_t step = bytes >> QY_PAGE_SHIFT << format.address_shift;                            \
        return qy_pt_encode(&format, paddr(frame), level, flags) + i * step ==                     \
               qy_pt_encode(&format, paddr(frame + i * bytes), level, flags);                      \
    }                                                                                              \
    THEOREM(F##_page_##level##_protect_keeps_the_frame, uint64_t frame, unsigned before,           \
            unsigned after)                                                                        \
    {                                                                                              \
        REQUIRE(may_be_mapped(&format, frame, level, before) &&                                    \
                qy_pt_supports(&format, after, level));                                            \
        uint64_t keep = format.address_mask | format.accessed_dirty;                               \
        uint64_t entry = (qy_pt_encode(&format, paddr(frame), level, before) & keep) |             \
                         qy_pt_encode(&format, paddr(0), level, after);                            \
        return qy_pt_entry_address(&format, entry).raw == frame &&                                 \
               qy_pt_is_page(&format, entry, level) &&                                             \
               (qy_pt_decode(&format, entry) & QY_PT_MAPPABLE) == after;                           \
    }

/* To a CPU a page is its frame and what it acts on. What is not REPLACE takes none of it away. */
#define FORMAT(F, format)                                                                          \
    ENTRIES(F, format, 1)                                                                          \
    ENTRIES(F, format, 2)                                                                          \
    ENTRIES(F, format, 3)                                                                          \
    THEOREM(F##_supports_no_page_both_writable_and_executable, unsigned flags, unsigned level)     \
    {                                                                                              \
        REQUIRE(level >= 1 && level <= QY_PT_LARGEST_PAGE);                                        \
        return !(flags & QY_PT_WRITE && flags & QY_PT_EXEC &&                                      \
                 qy_pt_supports(&format, flags, level));                                           \
    }                                                                                              \
    THEOREM(F##_table_entry, uint64_t table, uint64_t address, unsigned level)                     \
    {                                                                                              \
        REQUIRE(!(table & QY_PAGE_MASK) && table < qy_pt_physical_end(&format) && level >= 2 &&    \
                level <= 4);                                                                       \
        uint64_t entry = qy_pt_table_entry(&format, paddr(table), vaddr(address));                 \
        return qy_pt_is_table(&format, entry, level) && !(entry & ~format.table_allowed) &&        \
               qy_pt_entry_address(&format, entry).raw == table;                                   \
    }                                                                                              \
    THEOREM(F##_mark, uint64_t mark)                                                               \
    {                                                                                              \
        REQUIRE(!(mark >> QY_PT_MARK_BITS));                                                       \
        uint64_t entry = qy_pt_mark_encode(&format, mark);                                         \
        return qy_pt_mark_decode(&format, entry) == mark && qy_pt_is_mark(&format, entry) &&       \
               (entry >> 43 & 31) == 31;                                                           \
    }                                                                                              \
    THEOREM(F##_what_is_not_replaced_loses_nothing, uint64_t old, uint64_t new, unsigned level)    \
    {                                                                                              \
        REQUIRE(level >= 1 && level <= QY_PT_LARGEST_PAGE && qy_pt_is_page(&format, old, level) && \
                qy_pt_classify(&format, old, new, level) != QY_PT_REPLACE);                        \
        unsigned more = QY_PT_WRITE | QY_PT_EXEC | QY_PT_ACCESSED | QY_PT_DIRTY;                   \
        unsigned had = qy_pt_decode(&format, old), has = qy_pt_decode(&format, new);               \
        return qy_pt_entry_address(&format, old).raw == qy_pt_entry_address(&format, new).raw &&   \
               !(had & more & ~has) && !((had ^ has) & QY_PT_RIGHTS_AND_TYPES & ~more);            \
    }                                                                                              \
    THEOREM(F##_what_was_not_there_is_fresh, uint64_t old, uint64_t new, unsigned level)           \
    {                                                                                              \
        REQUIRE(level >= 1 && level <= QY_PT_LEVELS && !(old & format.valid));                     \
        return qy_pt_classify(&format, old, new, level) ==                                         \
               (new &format.valid ? QY_PT_FRESH : QY_PT_UNCHANGED);                                \
    }                                                                                              \
    THEOREM(F##_what_goes_is_replaced, uint64_t old, uint64_t new, unsigned level)                 \
    {                                                                                              \
        REQUIRE(level >= 1 && level <= QY_PT_LEVELS && old & format.valid &&                       \
                !(new &format.valid));                                                             \
        return qy_pt_classify(&format, old, new, level) == QY_PT_REPLACE;                          \
    }

FORMAT(x86_64, qy_pt_x86_64)
FORMAT(sv48, qy_pt_sv48)
FORMAT(sv48_pbmt, qy_pt_sv48_pbmt)

THEOREM(index_of_a_table, uint64_t address, unsigned level)
{
    REQUIRE(level >= 1 && level <= QY_PT_LEVELS);
    return qy_pt_index(vaddr(address), level) == (address >> (3 + 9 * level)) % 512;
}

REFUTED(every_flag_is_supported, unsigned flags)
{
    return qy_pt_supports(&qy_pt_x86_64, flags & QY_PT_MAPPABLE, 1);
}

REFUTED(every_change_is_a_replacement, uint64_t old, uint64_t new)
{
    return qy_pt_classify(&qy_pt_sv48, old, new, 1) == QY_PT_REPLACE;
}

/* ---- what a frame is ---- */

THEOREM(tag_holds_what_was_put_in, unsigned kind, unsigned order, unsigned state, uint64_t owner)
{
    REQUIRE(kind < 8 && order < 32 && state < 16 && vaddr_is_canonical(owner) && !(owner & 15));
    qy_tag_t tag = qy_tag((enum qy_kind)kind, order, (enum qy_frame_state)state,
                          (struct qy_arena *)(uintptr_t)owner);
    return (unsigned)qy_tag_kind(tag) == kind && qy_tag_order(tag) == order &&
           (unsigned)qy_tag_state(tag) == state &&
           (uint64_t)(uintptr_t)qy_tag_owner(tag) == owner && qy_tag_aux(tag) == 0;
}

THEOREM(tag_aux_changes_nothing_else, uint64_t tag, unsigned aux)
{
    REQUIRE(aux < 256);
    uint64_t with = qy_tag_with_aux(tag, aux);
    return qy_tag_aux(with) == aux && qy_tag_kind(with) == qy_tag_kind(tag) &&
           qy_tag_order(with) == qy_tag_order(tag) && qy_tag_state(with) == qy_tag_state(tag) &&
           qy_tag_owner(with) == qy_tag_owner(tag);
}

THEOREM(what_is_handed_out_is_not_free, unsigned state)
{
    REQUIRE(qy_state_is_handed_out((enum qy_frame_state)state));
    return state != QY_FRAME_FREE && state != QY_FRAME_RESERVED && state < QY_FRAME_STATE_COUNT;
}

THEOREM(word_of_a_list_keeps_its_first_node, uint64_t first, uint64_t count, unsigned class)
{
    REQUIRE(!(first & 15) && vaddr_is_canonical(first) && count < 1ull << 16 &&
            class <= QY_WORD_CLASS);
    uint64_t word = qy_word_list(first, count, class);
    return (word & QY_WORD_NODE_MASK) == (first & QY_WORD_NODE_MASK) &&
           word >> QY_WORD_LIST_SHIFT == count && (word & QY_WORD_CLASS) == class &&
           !qy_word_in_place(word) && !(word & QY_WORD_LOCK);
}

THEOREM(word_of_a_mapping_in_place, uint64_t table, unsigned index, unsigned class)
{
    REQUIRE(table && table < 1ull << 34 && index < 512 && class <= QY_WORD_CLASS);
    uint64_t place = table | (uint64_t)index << 34;
    uint64_t word = place << QY_WORD_PLACE_SHIFT | class;
    return qy_word_in_place(word) &&
           qy_word_record(word) == (place | (uint64_t) class << QY_WORD_PLACE_BITS);
}

/* ---- the map of a block, a word at a time ---- */

/* Bit i is marked exactly if an aligned run of 2^order ones begins there. */
#define RUNS(order)                                                                                \
    THEOREM(runs_of_order_##order, uint64_t word, unsigned i)                                      \
    {                                                                                              \
        REQUIRE(i < 64);                                                                           \
        bool begins = i % (1u << order) == 0 && (word >> i & ones(order)) == ones(order);          \
        return (runs(word, order) >> i & 1) == begins;                                             \
    }
RUNS(0)
RUNS(1)
RUNS(2)
RUNS(3)
RUNS(4)
RUNS(5)
RUNS(6)

/* A buddy is the other half of the pair; the pair begins at the lower one. */
THEOREM(buddies_make_a_pair, uint64_t start, unsigned order)
{
    REQUIRE(order < 34 && start >> order << order == start && start < QY_FRAMES_MAX);
    uint64_t buddy = start ^ 1ull << order, pair = start & ~(1ull << order);
    return (buddy ^ 1ull << order) == start && pair >> (order + 1) << (order + 1) == pair &&
           pair == (start < buddy ? start : buddy) &&
           (start < buddy ? buddy - start : start - buddy) == 1ull << order;
}

/* The largest aligned block that begins at `at` and ends by `end`. */
THEOREM(largest_block_of_a_range, uint64_t at, uint64_t end)
{
    REQUIRE(at < end && end <= QY_FRAMES_MAX);
    unsigned order = qy_range_order(at, end);
    uint64_t pages = 1ull << order, twice = pages * 2;
    bool fits = order <= QY_MAX_ORDER && !(at & (pages - 1)) && pages <= end - at;
    return fits && (order == QY_MAX_ORDER || at & (twice - 1) || twice > end - at);
}

/* ---- capabilities ---- */

THEOREM(a_handle_names_its_slot, uint32_t generation, uint32_t index)
{
    struct slot slot = {.generation = generation};
    qy_handle_t handle = slot_handle(&slot, index);
    return QY_HANDLE_INDEX(handle) == index && handle >> 32 == generation;
}

/* A derived capability has no right that its source lacks (CAP-RIGHTS), and a badge is given once. */
THEOREM(only_these_capabilities_are_derived, uint8_t type, unsigned has, unsigned flags,
        uint64_t old_badge, unsigned asked, uint64_t badge)
{
    struct slot source = {
        .type = type, .rights = has & 15, .flags = flags & 15, .badge = old_badge};
    bool badge_fits = !badge || (type_has_badge(type) && !old_badge);
    bool may =
        asked <= QY_RIGHT_ALL && !(asked & ~(has & 15)) && badge_fits && !(flags & SLOT_REVOKING);
    return (slot_may_derive(&source, asked, badge) == QY_OK) == may;
}

REFUTED(every_right_may_be_derived, unsigned has, unsigned asked)
{
    struct slot source = {.type = QY_OBJ_FRAME, .rights = has & 15};
    return slot_may_derive(&source, asked & 15, 0) == QY_OK;
}

THEOREM(a_binding_is_made_of_what_is_not_being_revoked, unsigned by_flags, unsigned to_flags)
{
    struct slot by = {.flags = by_flags & 15}, to = {.flags = to_flags & 15};
    return (binding_may_be_made(&by, &to) == QY_OK) == !((by_flags | to_flags) & SLOT_REVOKING);
}
