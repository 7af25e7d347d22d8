/*
 * Page tables, proved by Frama-C/WP: what mem/pt/walk.c and mem/pt/pt.c do to a flat memory of tables.
 *
 * The functions are those of the sources; their contracts stand here, and the loops' invariants in the sources. The
 * memory is an array of PROOF_FRAMES frames, `level_of` says which of them are tables and of which level. The format
 * is any: nothing is known of its bits here. What they mean is proofs/bits.c's matter, and so are the three contracts
 * that say "by bits".
 *
 * FUNCTIONS: paddr vaddr vaddr_is_canonical qy_pt_page_bytes qy_pt_slot qy_pt_is_page qy_pt_is_table qy_pt_entry_address
 * FUNCTIONS: qy_pt_load
 * FUNCTIONS: qy_pt_store proof_exchange qy_pt_is_upper qy_pt_physical_end qy_pt_has qy_pt_cpu_may_write qy_pt_supports
 * FUNCTIONS: qy_pt_descend qy_pt_walk check_entries check_run qy_pt_flags_fit find_empty find_run qy_pt_fill
 * FUNCTIONS: qy_pt_map_run qy_pt_clear qy_pt_unmap_run
 */
#include <qy/pt.h>
// clang-format off
#define WORDS (PROOF_FRAMES * 512u)
uint64_t ram[WORDS];
uint8_t level_of[PROOF_FRAMES];

/*@ // ---- entries: what the code computes, as terms of its own ----
    logic integer slot_index(integer a, integer level) = (a >> (12 + 9 * (level - 1))) & 511;
    logic integer slot_of(integer table, integer i) = table / 4096 * 512 + i;
    logic integer entry_at{L}(integer table, integer i) = ram[slot_of(table, i)];
    logic integer target{L}(struct qy_pt_format *f, integer e) =
      (uint64_t)(((e & f->address_mask) >> f->address_shift) << 12);
    predicate is_page{L}(struct qy_pt_format *f, integer e, integer level) =
      (e & f->valid) != 0 && (e & f->page[level]) != 0;
    predicate points{L}(struct qy_pt_format *f, integer e, integer level) =
      (e & f->valid) != 0 && (e & f->page[level]) == 0;

    // ---- the way down to the table of a level, and whether tables lead there ----
    logic integer way3{L}(struct qy_pt_format *f, integer root, integer a) =
      target(f, entry_at(root, slot_index(a, 4)));
    logic integer way2{L}(struct qy_pt_format *f, integer root, integer a) =
      target(f, entry_at(way3(f, root, a), slot_index(a, 3)));
    logic integer way1{L}(struct qy_pt_format *f, integer root, integer a) =
      target(f, entry_at(way2(f, root, a), slot_index(a, 2)));
    logic integer way{L}(struct qy_pt_format *f, integer root, integer a, integer level) =
      level == 4 ? root : level == 3 ? way3(f, root, a) : level == 2 ? way2(f, root, a) : way1(f, root, a);
    predicate reached3{L}(struct qy_pt_format *f, integer root, integer a) =
      points(f, entry_at(root, slot_index(a, 4)), 4);
    predicate reached2{L}(struct qy_pt_format *f, integer root, integer a) =
      reached3(f, root, a) && points(f, entry_at(way3(f, root, a), slot_index(a, 3)), 3);
    predicate reached1{L}(struct qy_pt_format *f, integer root, integer a) =
      reached2(f, root, a) && points(f, entry_at(way2(f, root, a), slot_index(a, 2)), 2);
    predicate reached{L}(struct qy_pt_format *f, integer root, integer a, integer level) =
      (level <= 3 ==> reached3(f, root, a)) && (level <= 2 ==> reached2(f, root, a)) &&
      (level <= 1 ==> reached1(f, root, a));
    logic integer last_entry{L}(struct qy_pt_format *f, integer root, integer a, integer level) =
      entry_at(way(f, root, a, level), slot_index(a, level));

    // ---- PT-TREE: what points at a table points at one of the next level ----
    predicate is_table{L}(integer t, integer level) =
      t % 4096 == 0 && 0 <= t < PROOF_FRAMES * 4096 && level_of[t / 4096] == level;
    predicate tree{L}(struct qy_pt_format *f) = \forall integer t, i, l;
      2 <= l <= 4 && 0 <= i < 512 && is_table(t, l) && points(f, entry_at(t, i), l) ==>
      is_table(target(f, entry_at(t, i)), l - 1);

    predicate format_ok{L}(struct qy_pt_format *f) = \valid_read(f) && f->address_shift < 64;
    predicate ready{L}(struct qy_pt *pt) =
      \valid_read(pt) && format_ok(pt->format) && tree(pt->format) && is_table(pt->root.raw, 4) &&
      \separated(&ram[0 .. WORDS - 1], pt) && \separated(&ram[0 .. WORDS - 1], pt->format) &&
      \separated(pt, pt->format);

    // The word of ram that holds the entry of the table of a level for an address; of a run: the first.
    logic integer first{L}(struct qy_pt *pt, integer a, integer level) =
      slot_of(way(pt->format, pt->root.raw, a, level), slot_index(a, level));

    // The words of ram outside of [from, from + count) are what they were.
    predicate others_same{L1, L2}(integer from, integer count) = \forall integer s;
      0 <= s < WORDS && !(from <= s < from + count) ==> \at(ram[s], L2) == \at(ram[s], L1);
*/

/*@ axiomatic Encoding { // a pure function of its arguments and the constant format
      logic uint64_t encoded{L}(struct qy_pt_format *f, integer frame, integer level, integer flags)
        reads f->address_mask, f->address_shift, f->page_base[0 .. 4], f->leaf[0 .. 127], f->flags[0 .. 10];
      logic uint64_t table_entry{L}(struct qy_pt_format *f, integer table, integer address)
        reads f->address_shift, f->table_kernel, f->table_user;
    }
*/

// ---- small functions ----

/*@ assigns \nothing; ensures \result.raw == raw; */
paddr_t paddr(uint64_t raw);
/*@ assigns \nothing; ensures \result.raw == raw; */
vaddr_t vaddr(uint64_t raw);
/*@ assigns \nothing; */
bool vaddr_is_canonical(uint64_t raw);
/*@ requires 1 <= level <= 4; assigns \nothing;
    ensures \result < 512; ensures \result == slot_index(address.raw, level); */ // by bits: index_of_a_table
unsigned qy_pt_index(vaddr_t address, unsigned level);
/*@ requires 1 <= level <= 4; assigns \nothing; */
uint64_t qy_pt_page_bytes(unsigned level);
/*@ requires table.raw / 4096 < PROOF_FRAMES && table.raw % 4096 == 0 && index < 512;
    assigns \result \from table, index; ensures \result == &ram[slot_of(table.raw, index)]; */
_Atomic uint64_t *qy_pt_slot(paddr_t table, unsigned index);
/*@ requires format_ok(format) && 1 <= level <= 4; assigns \nothing;
    ensures \result <==> is_page(format, entry, level); */
bool qy_pt_is_page(const struct qy_pt_format *format, uint64_t entry, unsigned level);
/*@ requires format_ok(format) && 1 <= level <= 4; assigns \nothing;
    ensures \result <==> level > 1 && points(format, entry, level); */
bool qy_pt_is_table(const struct qy_pt_format *format, uint64_t entry, unsigned level);
/*@ requires format_ok(format); assigns \nothing; ensures \result.raw == target(format, entry); */
paddr_t qy_pt_entry_address(const struct qy_pt_format *format, uint64_t entry);
/*@ requires format_ok(format) && 1 <= level <= 4; assigns \nothing;
    ensures \result == encoded(format, frame.raw, level, flags); */ // by bits: its own definition
uint64_t qy_pt_encode(const struct qy_pt_format *format, paddr_t frame, unsigned level, unsigned flags);

#include "../mem/pt/pt.c"
#include "../mem/pt/walk.c"

/*@ requires \valid_read(slot); assigns \nothing; ensures \result == *slot; */
uint64_t qy_pt_load(const _Atomic uint64_t *slot);
/*@ requires \valid(slot); assigns *slot; ensures *slot == entry; */
void qy_pt_store(_Atomic uint64_t *slot, uint64_t entry);
/*@ requires \valid(p); assigns *p; ensures *p == v; ensures \result == \old(*p); */
uint64_t proof_exchange(uint64_t *p, uint64_t v);
/*@ assigns \nothing; ensures 0 <= \result <= 1; */
bool qy_pt_is_upper(vaddr_t address);
/*@ requires format_ok(format); assigns \nothing; */
uint64_t qy_pt_physical_end(const struct qy_pt_format *format);
/*@ requires format_ok(format); assigns \nothing;
    ensures \result == table_entry(format, table.raw, address.raw); */ // by bits: its own definition
uint64_t qy_pt_table_entry(const struct qy_pt_format *format, paddr_t table, vaddr_t address);
/*@ requires format_ok(format) && 0 <= flag < 11; assigns \nothing; */
bool qy_pt_has(const struct qy_pt_format *format, uint64_t entry, enum qy_pt_flag_bit flag);
/*@ requires format_ok(format); assigns \nothing; */
bool qy_pt_cpu_may_write(const struct qy_pt_format *format, uint64_t entry);
/*@ requires format_ok(format); assigns \nothing; ensures \result ==> 1 <= level <= 4; */
bool qy_pt_supports(const struct qy_pt_format *format, unsigned flags, unsigned level);

// ---- going down ----

/*@ requires ready(pt) && 1 <= level <= 4 && \valid(out) && \valid(missing);
    requires \separated(out, pt, &ram[0 .. WORDS - 1], pt->format);
    requires \separated(missing, pt, &ram[0 .. WORDS - 1], pt->format);
    requires \separated(missing, out);
    assigns *out, *missing;
    ensures one: \result == QY_OK || \result == QY_MISSING_TABLE || \result == QY_ALREADY_MAPPED;
    ensures there: \result == QY_OK ==> \old(reached(pt->format, pt->root.raw, address.raw, level));
    ensures table: \result == QY_OK ==> \old(is_table(way(pt->format, pt->root.raw, address.raw, level), level));
    ensures slot: \result == QY_OK ==>
      *out == \old(&ram[first(pt, address.raw, level)]);
    ensures inside: \result == QY_OK ==> 0 <= \old(first(pt, address.raw, level)) &&
      \old(first(pt, address.raw, level) - slot_index(address.raw, level)) <= WORDS - 512;
    ensures absent: \result == QY_MISSING_TABLE ==> level <= *missing <= 3;
    ensures absent_3: \result == QY_MISSING_TABLE && *missing == 3 ==>
      \old(last_entry(pt->format, pt->root.raw, address.raw, 4)) == 0;
    ensures absent_2: \result == QY_MISSING_TABLE && *missing == 2 ==>
      \old(last_entry(pt->format, pt->root.raw, address.raw, 3)) == 0;
    ensures absent_1: \result == QY_MISSING_TABLE && *missing == 1 ==>
      \old(last_entry(pt->format, pt->root.raw, address.raw, 2)) == 0;
    ensures not_there: \old(reached(pt->format, pt->root.raw, address.raw, level)) ==> \result == QY_OK;
*/
static inline enum qy_error qy_pt_descend(const struct qy_pt *pt, vaddr_t address, unsigned level,
                                          _Atomic uint64_t **out, unsigned *missing);

/*@ requires ready(pt);
    assigns \nothing;
    ensures table: 1 <= \result.level <= 4 && is_table(\result.table.raw, \result.level);
    ensures way: reached(pt->format, pt->root.raw, address.raw, \result.level) &&
      \result.table.raw == way(pt->format, pt->root.raw, address.raw, \result.level);
    ensures entry: \result.index == slot_index(address.raw, \result.level) &&
      \result.entry == last_entry(pt->format, pt->root.raw, address.raw, \result.level);
    ensures leaf: \result.leaf <==> is_page(pt->format, \result.entry, \result.level);
    ensures end: \result.level > 1 ==> !points(pt->format, \result.entry, \result.level);
*/
struct qy_pt_walk qy_pt_walk(const struct qy_pt *pt, vaddr_t address);

// ---- runs of pages ----

/*@ assigns \nothing;
    ensures \result == QY_OK ==> 1 <= level <= 4 && 1 <= pages <= 512 - slot_index(address.raw, level); */
enum qy_error check_entries(vaddr_t address, unsigned level, unsigned pages);
/*@ assigns \nothing;
    ensures \result == QY_OK ==> 1 <= level <= 3 && 1 <= pages <= 512 - slot_index(address.raw, level); */
enum qy_error check_run(vaddr_t address, unsigned level, unsigned pages);
/*@ requires \valid_read(pt) && format_ok(pt->format); assigns \nothing; ensures \result ==> 1 <= level <= 4; */
bool qy_pt_flags_fit(const struct qy_pt *pt, vaddr_t address, unsigned level, unsigned flags);

/*@ requires ready(pt) && 1 <= level <= 4 && 1 <= pages <= 512 - slot_index(address.raw, level);
    requires \valid(out) && (missing == \null || \valid(missing));
    requires \separated(out, pt, &ram[0 .. WORDS - 1], pt->format);
    requires missing != \null ==> \separated(missing, pt, &ram[0 .. WORDS - 1], pt->format) && \separated(missing, out);
    assigns *out, *missing;
    ensures there: \result == QY_OK ==> \old(reached(pt->format, pt->root.raw, address.raw, level));
    ensures table: \result == QY_OK ==> \old(is_table(way(pt->format, pt->root.raw, address.raw, level), level));
    ensures slot: \result == QY_OK ==>
      *out == \old(&ram[first(pt, address.raw, level)]);
    ensures empty: \result == QY_OK ==> \forall integer k; 0 <= k < pages ==> ram[\old(first(pt, address.raw, level)) + k] == 0;
    ensures inside: \result == QY_OK ==> 0 <= \old(first(pt, address.raw, level)) <= WORDS - pages;
*/
enum qy_error find_empty(const struct qy_pt *pt, vaddr_t address, unsigned level, unsigned pages,
                         _Atomic uint64_t **out, unsigned *missing);

/*@ requires ready(pt) && \valid(slot);
    requires \separated(slot, pt, &ram[0 .. WORDS - 1], pt->format);
    assigns *slot;
    ensures run: \result == QY_OK ==> 1 <= level <= 3 && 1 <= pages <= 512 - slot_index(address.raw, level);
    ensures there: \result == QY_OK ==> \old(reached(pt->format, pt->root.raw, address.raw, level));
    ensures table: \result == QY_OK ==> \old(is_table(way(pt->format, pt->root.raw, address.raw, level), level));
    ensures slot: \result == QY_OK ==>
      *slot == \old(&ram[first(pt, address.raw, level)]);
    ensures pages: \result == QY_OK ==>
      \forall integer k; 0 <= k < pages ==> is_page(\old(pt->format), ram[\old(first(pt, address.raw, level)) + k], level);
    ensures inside: \result == QY_OK ==> 0 <= \old(first(pt, address.raw, level)) <= WORDS - pages;
*/
enum qy_error find_run(const struct qy_pt *pt, vaddr_t address, unsigned level, unsigned pages,
                       _Atomic uint64_t **slot);

/*@ requires format_ok(format) && 1 <= level <= 4 && pages <= 512 && \valid(slot + (0 .. pages - 1));
    requires \separated(slot + (0 .. pages - 1), format);
    assigns slot[0 .. pages - 1];
    ensures pages > 0 ==> slot[0] == \old(encoded(format, frame.raw, level, flags));
*/
void qy_pt_fill(const struct qy_pt_format *format, _Atomic uint64_t *slot, paddr_t frame, unsigned level,
                unsigned pages, unsigned flags);

/*@ requires ready(pt) && (missing == \null || \valid(missing));
    requires missing != \null ==> \separated(missing, pt, &ram[0 .. WORDS - 1], pt->format);
    assigns ram[0 .. WORDS - 1], *missing;
    ensures atomic: \result != QY_OK ==> others_same{Pre, Post}(0, 0);
    ensures exact: \result == QY_OK ==> others_same{Pre, Post}(\old(first(pt, address.raw, level)), pages);
    ensures empty: \result == QY_OK ==> \forall integer k; 0 <= k < pages ==>
      \old(ram[first(pt, address.raw, level) + k]) == 0;
    ensures mapped: \result == QY_OK ==>
      ram[\old(first(pt, address.raw, level))] ==
      \old(encoded(pt->format, frame.raw, level, flags));
    ensures there: \result == QY_OK ==> 1 <= level <= 3 && 1 <= pages <= 512 - slot_index(address.raw, level) &&
      \old(reached(pt->format, pt->root.raw, address.raw, level));
*/
enum qy_error qy_pt_map_run(struct qy_pt *pt, vaddr_t address, paddr_t frame, unsigned level, unsigned pages,
                            unsigned flags, unsigned *missing);

/*@ requires format_ok(format) && \valid(slot); requires \separated(slot, format);
    assigns *slot; ensures *slot == 0; ensures \result == \old(*slot); */
uint64_t qy_pt_clear(const struct qy_pt_format *format, _Atomic uint64_t *slot);

/*@ requires ready(pt) && (old == \null || \valid(old + (0 .. pages - 1)));
    requires old != \null ==> \separated(old + (0 .. pages - 1), pt, &ram[0 .. WORDS - 1]) &&
      \separated(old + (0 .. pages - 1), pt->format) && \separated(pt, pt->format);
    assigns ram[0 .. WORDS - 1], old[0 .. pages - 1];
    ensures atomic: \result != QY_OK ==> others_same{Pre, Post}(0, 0);
    ensures exact: \result == QY_OK ==> others_same{Pre, Post}(\old(first(pt, address.raw, level)), pages);
    ensures gone: \result == QY_OK ==> \forall integer k; 0 <= k < pages ==>
      ram[\old(first(pt, address.raw, level)) + k] == 0;
    ensures were_pages: \result == QY_OK ==> \forall integer k; 0 <= k < pages ==> 
      \old(is_page(pt->format, ram[first(pt, address.raw, level) + k], level));
*/
enum qy_error qy_pt_unmap_run(struct qy_pt *pt, vaddr_t address, unsigned level, unsigned pages, uint64_t *old);
