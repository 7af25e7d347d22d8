/*
 * Page tables over entry formats that are data: x86-64 (4 levels) and RISC-V Sv48 run on any host.
 *
 * A level is 1 for the table of 4 KiB pages, 2 for 2 MiB, 3 for 1 GiB, 4 for the root. Nothing here takes a lock,
 * allocates or flushes: the caller holds the tables' lock, supplies table frames, and invalidates what a call
 * says has been replaced.
 *
 * Invariants: EXACT (a call changes the translations named and no other), ATOMIC, WXOR for one mapping (an entry
 * is never writable and executable).
 */
#ifndef QY_PT_H
#define QY_PT_H

#include <qy/types.h>

#define QY_PT_LEVELS 4u
#define QY_PT_ENTRIES 512u

/* Rights and attributes of a mapping, independent of the format. */
#define QY_PT_READ 1u
#define QY_PT_WRITE 2u
#define QY_PT_EXEC 4u
#define QY_PT_WRITE_THROUGH 8u
#define QY_PT_UNCACHED 16u
#define QY_PT_USER 32u
#define QY_PT_GLOBAL 64u
#define QY_PT_ACCESSED 128u
#define QY_PT_DIRTY 256u
#define QY_PT_ALL 511u

struct qy_pt_format {
    const char *name;
    uint64_t present;      /* bit that makes an entry valid */
    uint64_t table;        /* bits of a valid entry that points at a table */
    uint64_t address_mask; /* bits of an entry that hold the frame number */
    unsigned address_shift; /* entry bits are (physical address >> 12) << this */
    uint64_t (*encode_leaf)(paddr_t address, unsigned level, unsigned flags);
    unsigned (*decode_leaf)(uint64_t entry, unsigned level); /* QY_PT_* flags */
    bool (*is_leaf)(uint64_t entry, unsigned level);
    bool (*supports)(unsigned flags, unsigned level); /* false: the format cannot give these flags */
};

extern const struct qy_pt_format qy_pt_x86_64; /* NX in use */
extern const struct qy_pt_format qy_pt_sv48;

struct qy_pt {
    const struct qy_pt_format *format;
    paddr_t root;
};

/* Bytes of a page mapped at that level. */
static inline uint64_t qy_pt_page_bytes(unsigned level)
{
    return QY_PAGE_BYTES << (9 * (level - 1));
}

/* Where a walk ended. */
struct qy_pt_walk {
    unsigned level;  /* of the entry: 4 = in the root */
    paddr_t table;   /* the table that holds it */
    unsigned index;  /* its index there */
    uint64_t entry;  /* as read; 0 = nothing */
    bool leaf;       /* it maps a page */
};

/* Walk towards `address` as far as there are tables. address is canonical. */
struct qy_pt_walk qy_pt_walk(const struct qy_pt *pt, vaddr_t address);

/*
 * Map one page of `level` (1, 2 or 3) at address. Errors: INVALID_ADDRESS (not canonical, address or frame not
 * aligned to the page), INVALID_FLAGS, ALREADY_MAPPED (a page, or a table below, is there), MISSING_TABLE
 * (*missing is the level of the table that has to be installed).
 */
enum qy_error qy_pt_map(struct qy_pt *pt, vaddr_t address, paddr_t frame, unsigned level, unsigned flags,
                        unsigned *missing) QY_MUST_USE;

/*
 * Install a zeroed frame as the table of `level` (1, 2 or 3) over address. Errors: INVALID_ADDRESS,
 * ALREADY_MAPPED (a table or a page is there), MISSING_TABLE (a higher one is missing, *missing).
 * user: entries below may be reachable from user mode.
 */
enum qy_error qy_pt_install(struct qy_pt *pt, vaddr_t address, paddr_t table, unsigned level, bool user,
                            unsigned *missing) QY_MUST_USE;

/* Take out the table of `level` over address; it must be empty. Errors: NOT_MAPPED, BUSY (not empty). *out: its frame. */
enum qy_error qy_pt_remove(struct qy_pt *pt, vaddr_t address, unsigned level, paddr_t *out) QY_MUST_USE;

/* Unmap the page of `level` at address. *old is its entry. Errors: NOT_MAPPED (or another page size is there). */
enum qy_error qy_pt_unmap(struct qy_pt *pt, vaddr_t address, unsigned level, uint64_t *old) QY_MUST_USE;

/* Change the flags of the page of `level` at address. Errors: NOT_MAPPED, INVALID_FLAGS. *old is its former entry. */
enum qy_error qy_pt_protect(struct qy_pt *pt, vaddr_t address, unsigned level, unsigned flags, uint64_t *old)
    QY_MUST_USE;

/* What address translates to. Errors: NOT_MAPPED, INVALID_ADDRESS. Any of the results may be null. */
enum qy_error qy_pt_translate(const struct qy_pt *pt, vaddr_t address, paddr_t *out, unsigned *flags,
                              unsigned *level) QY_MUST_USE;

/* Frame that an entry of that format points at. */
paddr_t qy_pt_entry_address(const struct qy_pt_format *format, uint64_t entry, unsigned level);

/* A run of pages with the same flags and page size. */
struct qy_pt_region {
    vaddr_t start;
    uint64_t end; /* one past; 0 = the end of the address space */
    unsigned flags; /* without ACCESSED and DIRTY */
    unsigned level;
};

/* The first region at or above address, neighbours merged. Errors: NOT_FOUND. */
enum qy_error qy_pt_region(const struct qy_pt *pt, vaddr_t address, struct qy_pt_region *out) QY_MUST_USE;

/* Call visit for every leaf in order; stop when it returns false. */
void qy_pt_each(const struct qy_pt *pt, bool (*visit)(void *context, vaddr_t address, uint64_t entry, unsigned level),
                void *context);

/* Map [address, address + bytes) to frame with the largest pages that fit, up to max_level, installing tables that
 * alloc_table supplies (zeroed frames). For the kernel's own space at boot. Errors: as above, and alloc_table's. */
enum qy_error qy_pt_map_range(struct qy_pt *pt, vaddr_t address, paddr_t frame, uint64_t bytes, unsigned max_level,
                              unsigned flags, enum qy_error (*alloc_table)(void *context, paddr_t *out),
                              void *context) QY_MUST_USE;

/* Null, or the id of the first invariant that does not hold: every reserved bit clear, W^X, no table under itself. */
const char *qy_pt_check(const struct qy_pt *pt);

#endif
