/*
 * What a CPU would do with page tables, written from the manuals alone: it shares no code, constant
 * or macro with mem/pt.
 *
 * x86-64: Intel SDM volume 3A, 4.5.4 (4-level paging), 4.6.1 (access rights, with CR0.WP, SMEP,
 * SMAP and EFER.NXE set, EFLAGS.AC clear), 4.5.5 (reserved bits; MAXPHYADDR given), 4.9.2 (memory
 * types, page attribute table as after reset). Sv48: RISC-V Privileged Architecture 1.12, 4.3.2
 * (the algorithm, with SUM = 0, MXR = 0; the variant that faults when the accessed or dirty bit has
 * to be set) and 4.5; chapter 6 for Svpbmt.
 */
#ifndef TESTS_MANUAL_WALK_H
#define TESTS_MANUAL_WALK_H

#include <qy/port.h>
#include <stdbool.h>
#include <stdint.h>

enum manual_machine { MANUAL_X86, MANUAL_SV48, MANUAL_SV48_PBMT };
enum manual_access { MANUAL_READ, MANUAL_WRITE, MANUAL_EXECUTE };
enum manual_type { MANUAL_WRITE_BACK, MANUAL_WRITE_THROUGH, MANUAL_UNCACHED };

struct manual_result {
    bool ok; /* false: a page fault */
    uint64_t physical;
    unsigned page_bits; /* the page is 2^page_bits bytes */
    bool global;
    enum manual_type type;
};

static inline uint64_t manual_read(uint64_t physical)
{
    return *(const uint64_t *)qy_port_ram((paddr_t){physical});
}

static inline struct manual_result manual_fault(void)
{
    return (struct manual_result){false, 0, 0, false, MANUAL_WRITE_BACK};
}

static inline struct manual_result manual_walk_x86(uint64_t cr3, uint64_t linear,
                                                   enum manual_access access, bool user)
{
    const uint64_t physical_bits = 52;
    const uint64_t above = ~((1ull << physical_bits) - 1) & 0x000fffffffffffffull;
    bool writable = true, user_page = true, no_execute = false;
    if ((int64_t)(linear << 16) >> 16 != (int64_t)linear)
        return manual_fault();
    uint64_t table = cr3 & 0x000ffffffffff000ull, entry = 0;
    unsigned bits = 39;
    for (;; bits -= 9) {
        entry = manual_read(table + (linear >> bits & 511) * 8);
        if (!(entry & 1) || entry & above)
            return manual_fault();
        writable = writable && entry & 2;
        user_page = user_page && entry & 4;
        no_execute = no_execute || entry >> 63;
        if (bits == 39 && entry & 0x80)
            return manual_fault(); /* PS is reserved in a PML4E */
        if (bits == 12 || (entry & 0x80 && bits <= 30))
            break;
        table = entry & 0x000ffffffffff000ull;
    }
    /* A large page: bits 20:13 or 29:13 are reserved, bit 12 is PAT. */
    uint64_t offset_mask = (1ull << bits) - 1;
    if (bits > 12 && entry & offset_mask & ~0x1fffull)
        return manual_fault();
    if (user && !user_page)
        return manual_fault();
    if (access == MANUAL_WRITE && !writable)
        return manual_fault();
    if (access == MANUAL_EXECUTE && (no_execute || (!user && user_page)))
        return manual_fault(); /* NX; SMEP */
    if (access != MANUAL_EXECUTE && !user && user_page)
        return manual_fault(); /* SMAP */
    unsigned pat =
        (entry >> 3 & 1) | (entry >> 4 & 1) << 1 | (entry >> (bits > 12 ? 12 : 7) & 1) << 2;
    static const enum manual_type types[4] = {MANUAL_WRITE_BACK, MANUAL_WRITE_THROUGH,
                                              MANUAL_UNCACHED, MANUAL_UNCACHED};
    uint64_t base = entry & 0x000ffffffffff000ull & ~offset_mask;
    return (struct manual_result){true, base | (linear & offset_mask), bits, entry >> 8 & 1,
                                  types[pat & 3]};
}

static inline struct manual_result
manual_walk_sv48(uint64_t root, uint64_t va, enum manual_access access, bool user, bool svpbmt)
{
    uint64_t a = root, pte = 0;
    int i;
    if ((int64_t)(va << 16) >> 16 != (int64_t)va)
        return manual_fault();
    bool global = false;
    for (i = 3;; i--) {
        pte = manual_read(a + (va >> (12 + 9 * i) & 511) * 8);
        bool v = pte & 1, r = pte & 2, w = pte & 4, x = pte & 8;
        if (!v || (!r && w) || pte >> 54 & 0x7f || pte >> 63)
            return manual_fault();
        if (pte >> 61 & 3 && (!svpbmt || (pte >> 61 & 3) == 3))
            return manual_fault();
        global = global || pte & 0x20;
        if (r || x)
            break;
        if (pte & 0xd0 || pte >> 61 & 3 || i == 0)
            return manual_fault(); /* D, A, U, PBMT are reserved in a pointer */
        a = (pte >> 10 & 0xfffffffffffull) << 12;
    }
    bool r = pte & 2, w = pte & 4, x = pte & 8, u = pte & 0x10;
    if (user != u)
        return manual_fault(); /* SUM = 0; and S-mode never executes a U page */
    if ((access == MANUAL_READ && !r) || (access == MANUAL_WRITE && !w) ||
        (access == MANUAL_EXECUTE && !x))
        return manual_fault();
    uint64_t ppn = pte >> 10 & 0xfffffffffffull;
    if (i > 0 && ppn & ((1ull << 9 * i) - 1))
        return manual_fault(); /* misaligned superpage */
    if (!(pte & 0x40) || (access == MANUAL_WRITE && !(pte & 0x80)))
        return manual_fault();
    uint64_t offset_mask = (1ull << (12 + 9 * i)) - 1;
    return (struct manual_result){true, (ppn << 12 & ~offset_mask) | (va & offset_mask),
                                  12 + 9 * (unsigned)i, global,
                                  pte >> 61 & 3 ? MANUAL_UNCACHED : MANUAL_WRITE_BACK};
}

static inline struct manual_result manual_walk(enum manual_machine machine, uint64_t root,
                                               uint64_t address, enum manual_access access,
                                               bool user)
{
    if (machine == MANUAL_X86)
        return manual_walk_x86(root, address, access, user);
    return manual_walk_sv48(root, address, access, user, machine == MANUAL_SV48_PBMT);
}

/*
 * Does the CPU see exactly this at an address: a page of 2^page_bits bytes with these rights and
 * type, or (ok false in `want`) nothing at all? All six kinds of access are tried.
 */
static inline bool manual_agrees(enum manual_machine machine, uint64_t root, uint64_t address,
                                 struct manual_result want, bool writable, bool executable,
                                 bool user_page)
{
    for (int user = 0; user < 2; user++)
        for (enum manual_access access = MANUAL_READ; access <= MANUAL_EXECUTE; access++) {
            struct manual_result got = manual_walk(machine, root, address, access, user);
            bool may = want.ok && user_page == (bool)user &&
                       (access == MANUAL_READ || (access == MANUAL_WRITE ? writable : executable));
            if (got.ok != may)
                return false;
            if (may && (got.physical != want.physical || got.page_bits != want.page_bits ||
                        got.global != want.global || got.type != want.type))
                return false;
        }
    return true;
}

#endif
