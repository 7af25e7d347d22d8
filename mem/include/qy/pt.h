/*
 * Page tables over entry formats that are data: x86-64 (4 levels) and RISC-V Sv48 run on any host.
 *
 * A level is 1 for the table of 4 KiB pages, 2 for 2 MiB, 3 for 1 GiB, 4 for the root. Nothing here takes a lock,
 * allocates or flushes: the caller holds the tables' lock, supplies table frames, and invalidates what a call
 * says has been replaced.
 *
 *     address   63..48   47..39   38..30   29..21   20..12   11..0
 *               = bit 47  root     level 3  level 2  level 1  in the page
 *
 * Entries are single 64-bit words, written by one atomic store or exchange: the CPU that walks them meanwhile sees
 * the old or the new one. A store releases what it points at, a load that goes down acquires it.
 *
 * Accessed and dirty bits: every page is mapped with ACCESSED set, and DIRTY if writable, in the kernel's half and in
 * programs'. So it makes no difference whether the CPU sets these bits, faults for them, or (x86-64) takes a bus lock.
 * A harvest (qy/swap.h) takes ACCESSED away from pages of programs; a CPU that faults for it is given it by the fault.
 *
 * Invariants
 *   EXACT        a call changes the translations named and no other
 *   ATOMIC       a call that fails has changed nothing
 *   WXOR         an entry is never writable and executable
 *   ISOLATED     pages of the lower half are USER and not GLOBAL, those of the upper half are not USER; page 0 is never mapped
 *   PT-RESERVED  no entry has a bit that its format does not define, or that Quarry does not use
 *   PT-EMPTY     an entry that is not valid is zero, or a mark
 *   PT-TREE      no table lies under itself
 * Cost: O(levels) a call, and O(pages) for runs and ranges. References: Intel SDM volume 3A, section 4.5; RISC-V
 * Privileged Architecture 1.12, sections 4.3.2, 4.5 and chapter 6 (Svpbmt).
 */
#ifndef QY_PT_H
#define QY_PT_H

#include <qy/port.h>
#include <qy/types.h>
#include <stdatomic.h>

#define QY_PT_LEVELS 4u
#define QY_PT_ENTRIES 512u
#define QY_PT_LARGEST_PAGE 3u /* level of the largest page */

/*
 * Rights and attributes of a mapping, independent of the format. READ goes with every mapping: x86-64 cannot refuse
 * it, and Sv48 has no writable page without it. ACCESSED and DIRTY are only reported. SOFT_0 and SOFT_1 are bits that
 * the CPU ignores, for the caller's use.
 */
/* X(NAME, bit) */
#define QY_PT_FLAGS(X)                                                                             \
    X(READ, 0)                                                                                     \
    X(WRITE, 1)                                                                                    \
    X(EXEC, 2)                                                                                     \
    X(WRITE_THROUGH, 3)                                                                            \
    X(UNCACHED, 4)                                                                                 \
    X(USER, 5)                                                                                     \
    X(GLOBAL, 6)                                                                                   \
    X(ACCESSED, 7)                                                                                 \
    X(DIRTY, 8)                                                                                    \
    X(SOFT_0, 9)                                                                                   \
    X(SOFT_1, 10)

enum qy_pt_flag {
#define X(NAME, bit) QY_PT_##NAME = 1 << (bit),
    QY_PT_FLAGS(X)
#undef X
};

enum qy_pt_flag_bit {
#define X(NAME, bit) QY_PT_BIT_##NAME = (bit),
    QY_PT_FLAGS(X)
#undef X
};

#define QY_PT_FLAG_COUNT 11u
#define QY_PT_RIGHTS_AND_TYPES 127u /* READ to GLOBAL: what the CPU acts on */
#define QY_PT_MAPPABLE (QY_PT_RIGHTS_AND_TYPES | QY_PT_SOFT_0 | QY_PT_SOFT_1) /* what a mapping can be asked for */

/* A flag is on in an entry whose bits under mask equal value. */
struct qy_pt_bits {
    uint64_t mask;
    uint64_t value;
};

/* By level: index 1..4. */
struct qy_pt_format {
    const char *name;
    uint64_t valid;         /* set in every entry that means something to the CPU */
    uint64_t table_kernel;  /* bits of an entry that points at a table of the upper half ... */
    uint64_t table_user;    /* ... and of the lower half */
    uint64_t table_allowed; /* bits that such entries may have */
    uint64_t address_mask;  /* bits that hold a frame number ... */
    unsigned address_shift; /* ... shifted left by this */
    uint64_t page[QY_PT_LEVELS + 1];         /* a valid entry maps a page if it has one of these bits */
    uint64_t page_base[QY_PT_LEVELS + 1];    /* bits that entries of pages of this level have beside leaf[] */
    uint64_t page_allowed[QY_PT_LEVELS + 1]; /* bits that they may have; 0 = no pages of this level */
    uint64_t accessed_dirty;
    uint64_t mark_ones; /* bits that every mark has */
    struct qy_pt_bits flags[QY_PT_FLAG_COUNT]; /* by the flag's bit number */
    uint64_t leaf[QY_PT_RIGHTS_AND_TYPES + 1]; /* entry bits, by flags; 0 = the format cannot give these flags */
};

/*
 * x86-64: NX is in use (EFER.NXE = 1), the page attribute table is as after reset: PWT = write-through, PCD and PWT =
 * uncached.
 */
extern const struct qy_pt_format qy_pt_x86_64;
/*
 * Sv48 without Svpbmt: the physical memory attributes alone decide, so device registers are uncached without a bit. No
 * memory type can be asked for, since none would be given: INVALID_FLAGS.
 */
extern const struct qy_pt_format qy_pt_sv48;
/* Sv48 with Svpbmt (menvcfg.PBMTE = 1): UNCACHED is type IO. There is no write-through: INVALID_FLAGS. */
extern const struct qy_pt_format qy_pt_sv48_pbmt;

struct qy_pt {
    const struct qy_pt_format *format;
    paddr_t root;
};

/* Bytes of a page mapped at that level. */
static inline uint64_t qy_pt_page_bytes(unsigned level)
{
    return QY_PAGE_BYTES << (9 * (level - 1));
}

/* Index of the entry for an address in a table of that level. */
static inline unsigned qy_pt_index(vaddr_t address, unsigned level)
{
    return address.raw >> (QY_PAGE_SHIFT + 9 * (level - 1)) & (QY_PT_ENTRIES - 1);
}

/* An entry of a table, for those who remember where it is. */
static inline _Atomic uint64_t *qy_pt_slot(paddr_t table, unsigned index)
{
    return (_Atomic uint64_t *)qy_port_ram(table) + index;
}

/* Can pages of that level have these flags (of QY_PT_MAPPABLE)? level: 1 to 3. */
static inline bool qy_pt_supports(const struct qy_pt_format *format, unsigned flags, unsigned level)
{
    return level >= 1 && level <= QY_PT_LEVELS && format->page_allowed[level] && !(flags & ~QY_PT_MAPPABLE) &&
           format->leaf[flags & QY_PT_RIGHTS_AND_TYPES];
}

/* The entry of a page; the flags are supported, the frame is aligned to the page. */
static inline uint64_t qy_pt_encode(const struct qy_pt_format *format, paddr_t frame, unsigned level,
                                    unsigned flags)
{
    uint64_t soft = (flags & QY_PT_SOFT_0 ? format->flags[QY_PT_BIT_SOFT_0].value : 0) |
                    (flags & QY_PT_SOFT_1 ? format->flags[QY_PT_BIT_SOFT_1].value : 0);
    return frame.raw >> QY_PAGE_SHIFT << format->address_shift | format->page_base[level] |
           format->leaf[flags & QY_PT_RIGHTS_AND_TYPES] | soft;
}

/* Is one flag on in the entry of a page? */
static inline bool qy_pt_has(const struct qy_pt_format *format, uint64_t entry, enum qy_pt_flag_bit flag)
{
    return (entry & format->flags[flag].mask) == format->flags[flag].value;
}

/* Flags of the entry of a page. */
unsigned qy_pt_decode(const struct qy_pt_format *format, uint64_t entry);

/* Does a valid entry of a table of that level map a page (and not point at a table)? */
static inline bool qy_pt_is_page(const struct qy_pt_format *format, uint64_t entry, unsigned level)
{
    return entry & format->valid && entry & format->page[level];
}

/* Does an entry of a table of that level point at a table? */
static inline bool qy_pt_is_table(const struct qy_pt_format *format, uint64_t entry, unsigned level)
{
    return level > 1 && entry & format->valid && !qy_pt_is_page(format, entry, level);
}

/* The frame that a valid entry maps or the table that it points at. */
static inline paddr_t qy_pt_entry_address(const struct qy_pt_format *format, uint64_t entry)
{
    return paddr((entry & format->address_mask) >> format->address_shift << QY_PAGE_SHIFT);
}

/*
 * A mark: what software keeps in an entry that is not valid. It is any value of QY_PT_MARK_BITS bits, 0 too.
 *
 *     63 ........... 48   47 .. 43    42 ............ 1   0
 *     ~mark, bits 57..42  1 1 1 1 1   ~mark, bits 41..0   0
 *
 * x86-64: a CPU with the L1TF flaw takes bits 12 and up of such an entry for a frame number, and may read what its
 * cache has there. With the ones every mark leads into the upper half of what 44 to 48 address bits reach, where no
 * machine with that flaw has RAM; nearly all of them compare 44 or 46. The inversion leads small values high on the
 * rest of them. Sv48 looks at bit 0 alone, and has the same layout. An entry of 0 stays "nothing".
 */
#define QY_PT_MARK_BITS 58u
#define QY_PT_MARK_LOW_BITS 42u /* below the ones */

/* The entry of a mark: never 0, not valid. */
static inline uint64_t qy_pt_mark_encode(const struct qy_pt_format *format, uint64_t mark)
{
    uint64_t low = (1ull << QY_PT_MARK_LOW_BITS) - 1;
    return (~mark & low) << 1 | ~mark >> QY_PT_MARK_LOW_BITS << 48 | format->mark_ones;
}

/* The mark of an entry that is one. */
static inline uint64_t qy_pt_mark_decode(const struct qy_pt_format *format, uint64_t entry)
{
    (void)format;
    uint64_t low = (1ull << QY_PT_MARK_LOW_BITS) - 1;
    return (~entry >> 1 & low) | ~entry >> 48 << QY_PT_MARK_LOW_BITS;
}

/* Is it a mark, and neither valid nor nothing? */
static inline bool qy_pt_is_mark(const struct qy_pt_format *format, uint64_t entry)
{
    return entry && !(entry & format->valid);
}

/*
 * What the change of an entry means to CPUs that may hold a translation, from harmless to not. The change of several
 * entries is the largest one.
 */
enum qy_pt_change {
    QY_PT_UNCHANGED, /* the same to a CPU */
    QY_PT_FRESH,     /* not valid before: a CPU may fault once more at most, and finds it when it tries again */
    QY_PT_WIDEN,     /* the same page with more rights: likewise */
    QY_PT_REPLACE,   /* anything else: CPUs have to be told before the old page is anyone else's */
};

/*
 * The change from one entry to another, both of a table of `level`. More rights are WRITE, EXEC, and ACCESSED and
 * DIRTY set; a CPU that holds a translation as dirty would not set a DIRTY that has been cleared.
 */
enum qy_pt_change qy_pt_classify(const struct qy_pt_format *format, uint64_t old, uint64_t new, unsigned level);

/* Where a walk ended. */
struct qy_pt_walk {
    unsigned level;  /* of the table that holds the entry: 4 = the root */
    paddr_t table;   /* that table */
    unsigned index;  /* of the entry in it */
    uint64_t entry;  /* as read; 0 = nothing; or a mark */
    bool leaf;       /* it maps a page */
};

/* Walk towards `address` as far as there are tables. address is canonical. */
struct qy_pt_walk qy_pt_walk(const struct qy_pt *pt, vaddr_t address);

/*
 * Map `pages` neighbouring pages of `level` (1, 2 or 3) to neighbouring frames, all through one table: one descent,
 * one store a page; the change is QY_PT_FRESH. *missing (may be null) is the level of the table that has to be
 * installed first. Errors: INVALID_ARGUMENT (level, no pages, or they do not lie in one table), INVALID_ADDRESS (not
 * canonical, address or frame not aligned to the page or too large, page 0), INVALID_FLAGS (not supported, or USER
 * where the address is in the kernel's half, or the reverse), ALREADY_MAPPED (a page, or a table below, is there),
 * MISSING_TABLE.
 */
enum qy_error qy_pt_map_run(struct qy_pt *pt, vaddr_t address, paddr_t frame, unsigned level, unsigned pages,
                            unsigned flags, unsigned *missing) QY_MUST_USE;

/*
 * Unmap such pages; old (may be null) has room for the entries that were there, in their last state; the change is
 * QY_PT_REPLACE.
 * Errors: INVALID_ARGUMENT, INVALID_ADDRESS as above, NOT_MAPPED (a page is not there, or has another size).
 */
enum qy_error qy_pt_unmap_run(struct qy_pt *pt, vaddr_t address, unsigned level, unsigned pages, uint64_t *old)
    QY_MUST_USE;

/*
 * Change the flags of such pages; old as above, *change (may be null): what the CPUs have to know. ACCESSED and DIRTY
 * that are on stay on. Errors: as above, INVALID_FLAGS.
 */
enum qy_error qy_pt_protect_run(struct qy_pt *pt, vaddr_t address, unsigned level, unsigned pages, unsigned flags,
                                uint64_t *old, enum qy_pt_change *change) QY_MUST_USE;

/* The same for one page. */
static inline QY_MUST_USE enum qy_error qy_pt_map(struct qy_pt *pt, vaddr_t address, paddr_t frame, unsigned level,
                                                  unsigned flags, unsigned *missing)
{
    return qy_pt_map_run(pt, address, frame, level, 1, flags, missing);
}

static inline QY_MUST_USE enum qy_error qy_pt_unmap(struct qy_pt *pt, vaddr_t address, unsigned level, uint64_t *old)
{
    return qy_pt_unmap_run(pt, address, level, 1, old);
}

static inline QY_MUST_USE enum qy_error qy_pt_protect(struct qy_pt *pt, vaddr_t address, unsigned level,
                                                      unsigned flags, uint64_t *old, enum qy_pt_change *change)
{
    return qy_pt_protect_run(pt, address, level, 1, flags, old, change);
}

/*
 * Install a zeroed frame as the table of `level` (1, 2 or 3) over address (of any alignment).
 * Errors: INVALID_ARGUMENT (level), INVALID_ADDRESS (not canonical, frame not aligned or too large, or `user` is
 * not the half that address lies in), ALREADY_MAPPED (a table or a page is there), MISSING_TABLE (a higher one is
 * missing, *missing).
 */
enum qy_error qy_pt_install(struct qy_pt *pt, vaddr_t address, paddr_t table, unsigned level, bool user,
                            unsigned *missing) QY_MUST_USE;

/*
 * Take out the table of `level` over address; it must be empty. *out: its frame, the caller's again once no CPU
 * walks it. Errors: INVALID_ARGUMENT (level), INVALID_ADDRESS, NOT_MAPPED (no such table), BUSY (not empty).
 */
enum qy_error qy_pt_remove(struct qy_pt *pt, vaddr_t address, unsigned level, paddr_t *out) QY_MUST_USE;

/* What address translates to. Errors: NOT_MAPPED, INVALID_ADDRESS. Any of the results may be null. */
enum qy_error qy_pt_translate(const struct qy_pt *pt, vaddr_t address, paddr_t *out, unsigned *flags,
                              unsigned *level) QY_MUST_USE;

/* A run of pages with the same flags and page size; their frames may lie anywhere. */
struct qy_pt_region {
    vaddr_t start;
    uint64_t end; /* one past; 0 = the end of the address space */
    unsigned flags; /* without ACCESSED and DIRTY */
    unsigned level;
};

/*
 * The first region that begins with the page that holds address, or above; neighbours above it are merged, those below
 * are not looked at. O(pages). Errors: NOT_FOUND, INVALID_ADDRESS (not canonical).
 */
enum qy_error qy_pt_region(const struct qy_pt *pt, vaddr_t address, struct qy_pt_region *out) QY_MUST_USE;

/*
 * Call visit for every page in [first, last] (both canonical; pages that reach into it too), in order; stop when it
 * returns false.
 */
void qy_pt_each_in(const struct qy_pt *pt, vaddr_t first, vaddr_t last,
                   bool (*visit)(void *context, vaddr_t address, uint64_t entry, unsigned level), void *context);

/* The same for the whole address space. */
void qy_pt_each(const struct qy_pt *pt,
                bool (*visit)(void *context, vaddr_t address, uint64_t entry, unsigned level), void *context);

/* ---- marks, by their slots ---- */

/*
 * Put the same mark into `pages` neighbouring empty entries of a table of `level` (1 to 4: marks may stand for 512
 * GiB). Errors: INVALID_ARGUMENT, INVALID_ADDRESS as qy_pt_map_run, ALREADY_MAPPED (a page, a table or a mark is
 * there), MISSING_TABLE.
 */
enum qy_error qy_pt_mark_run(struct qy_pt *pt, vaddr_t address, unsigned level, unsigned pages, uint64_t mark,
                             unsigned *missing) QY_MUST_USE;

/*
 * Put `entry` where `mark` is: 0, another mark's (qy_pt_mark_encode), or a page's (qy_pt_encode). It is one
 * compare-and-exchange, so that of two who try, one succeeds. Errors: INVALID_ARGUMENT, INVALID_ADDRESS as above,
 * NOT_MAPPED (that mark is not there).
 */
enum qy_error qy_pt_replace_mark(struct qy_pt *pt, vaddr_t address, unsigned level, uint64_t mark, uint64_t entry)
    QY_MUST_USE;

/* ---- ranges: validate, reserve, commit ---- */

/* Where the tables come from that a call needs: zeroed frames, below the format's limit. */
struct qy_pt_tables {
    enum qy_error (*alloc)(void *context, paddr_t *out);
    void (*free)(void *context, paddr_t table); /* zeroed, unused; null: a failure is the end of everything */
    void *context;
};

/*
 * See to it that there is a table of `level` (1 to 3) over address, with those above it. Errors: INVALID_ARGUMENT,
 * INVALID_ADDRESS (not canonical), ALREADY_MAPPED (a page or a mark is in the way), and those of tables->alloc;
 * nothing has changed then.
 */
enum qy_error qy_pt_ensure(struct qy_pt *pt, vaddr_t address, unsigned level, const struct qy_pt_tables *tables)
    QY_MUST_USE;

/*
 * Put a table of `level` (1 or 2) in the place of the page of the level above that holds address: 512 pages with the
 * same frames, flags, ACCESSED and DIRTY. table: a frame of any content. To a CPU it is QY_PT_REPLACE, since it may
 * not hold two sizes of a page forever; invalidating one address of the page is enough. Errors: INVALID_ARGUMENT
 * (level), INVALID_ADDRESS (not canonical; table not aligned or too large), NOT_MAPPED (no such page).
 */
enum qy_error qy_pt_split(struct qy_pt *pt, vaddr_t address, unsigned level, paddr_t table) QY_MUST_USE;

/*
 * Map [address, address + bytes) to frame on, with the largest pages that fit, up to max_level, and that no table is
 * in the way of. Everything is checked, then the tables are taken, then written. tables may be null: it needs none.
 * The change is QY_PT_FRESH. Errors: as qy_pt_map_run (INVALID_ADDRESS also if the range is empty, wraps or leaves
 * its half), OUT_OF_MEMORY (tables are needed and there is no source), and those of tables->alloc; nothing has
 * changed then.
 */
enum qy_error qy_pt_map_range(struct qy_pt *pt, vaddr_t address, paddr_t frame, uint64_t bytes, unsigned max_level,
                              unsigned flags, const struct qy_pt_tables *tables) QY_MUST_USE;

/*
 * Unmap [address, address + bytes), of pages of any size; a large page that reaches out of it is split. gone (may be
 * null) is called for each page that goes, with its last entry. Tables stay, also when they are empty. The change is
 * QY_PT_REPLACE. Errors: INVALID_ADDRESS as above, NOT_MAPPED (some page is not there), OUT_OF_MEMORY and those of
 * tables->alloc; nothing has changed then.
 */
enum qy_error qy_pt_unmap_range(struct qy_pt *pt, vaddr_t address, uint64_t bytes, const struct qy_pt_tables *tables,
                                void (*gone)(void *context, vaddr_t address, uint64_t entry, unsigned level),
                                void *context) QY_MUST_USE;

/* Change the flags of the same; *change may be null. Errors: as above, INVALID_FLAGS. */
enum qy_error qy_pt_protect_range(struct qy_pt *pt, vaddr_t address, uint64_t bytes, unsigned flags,
                                  const struct qy_pt_tables *tables, enum qy_pt_change *change) QY_MUST_USE;

/* ---- the cursor ---- */

/*
 * It stops at each entry of a range that does not point at a table: page, mark or nothing, of any size. The next one
 * is one load, and a way up and down at the end of a table. What it stops at may be changed by qy_pt_cursor_put, and
 * by calls for addresses behind it; tables that it is in must stay.
 *
 *     qy_pt_cursor_begin(&c, pt, first, last);
 *     do { ... c.address, c.level, c.entry ... } while (qy_pt_cursor_next(&c));
 */
struct qy_pt_cursor {
    vaddr_t address;         /* of the first byte that the entry stands for: `first` may lie inside */
    uint64_t entry;          /* as read */
    unsigned level;          /* of the table that it is in */
    _Atomic uint64_t *slot;
    vaddr_t first, last;
    const struct qy_pt_format *format;
    paddr_t tables[QY_PT_LEVELS + 1]; /* the way down, by level */
};

/* Begin with the entry for `first`; both canonical, first <= last. */
void qy_pt_cursor_begin(struct qy_pt_cursor *c, const struct qy_pt *pt, vaddr_t first, vaddr_t last);

/* The way on that is not the next entry of the same table. */
bool qy_pt_cursor_turn(struct qy_pt_cursor *c);

/* The next entry; false when this one reaches `last`. */
static inline bool qy_pt_cursor_next(struct qy_pt_cursor *c)
{
    uint64_t next = c->address.raw + QY_PAGE_BYTES;
    if (c->level > 1 || c->last.raw - c->address.raw < QY_PAGE_BYTES || !qy_pt_index(vaddr(next), 1))
        return qy_pt_cursor_turn(c);
    c->address.raw = next;
    c->slot++;
    c->entry = atomic_load_explicit(c->slot, memory_order_acquire);
    return true;
}

/* Put another entry there; returns the last state of the old one. */
static inline uint64_t qy_pt_cursor_put(struct qy_pt_cursor *c, uint64_t entry)
{
    c->entry = entry;
    return atomic_exchange_explicit(c->slot, entry, memory_order_acq_rel);
}

/* A table has been put where it stops: go down to the part of the range in it. */
void qy_pt_cursor_enter(struct qy_pt_cursor *c);

/*
 * Null, or the id of the first invariant that does not hold: PT-TREE, PT-RESERVED, PT-EMPTY, WXOR, ISOLATED.
 * O(entries).
 */
const char *qy_pt_check(const struct qy_pt *pt);

#endif
