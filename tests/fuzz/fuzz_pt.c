/*
 * Any bytes as calls on ranges of page tables beside the reference (tests/unit/pt_atoms.h), whose n-th table is refused
 * when the input says so.
 *
 *     input   | format, window | op | range | a | op | range | a | ...     op's high bits: tables that may be taken
 *
 * Every translation is compared after every call; at the end all is unmapped.
 */
#include "fuzz.h"

#include "../unit/pt_atoms.h"

#define CALLS_MAX 120u
#define ATOMS 8u
#define GIB 0x40000000ull

static const uint64_t windows[2][ATOMS + 1] = {
    {0x7fc0000000, 0x7fffe00000, 0x7ffffff000, 0x8000000000, 0x8000001000, 0x8000200000,
     0x8000400000, 0x803fe00000, 0x8040000000},
    {-2 * GIB, -GIB - 0x200000, -GIB - 0x1000, -GIB, -GIB + 0x200000, -0x400000ull, -0x200000ull,
     -0x1000ull, 0},
};

static struct atoms atoms;

static unsigned flags_of(unsigned a)
{
    static const unsigned rights[4] = {QY_PT_READ, QY_PT_READ | QY_PT_WRITE,
                                       QY_PT_READ | QY_PT_EXEC, QY_PT_WRITE};
    static const unsigned more[4] = {0, QY_PT_UNCACHED, QY_PT_SOFT_0, QY_PT_WRITE_THROUGH};
    return rights[a & 3] | more[a >> 2 & 3] | (atoms_user(&atoms) ? QY_PT_USER : QY_PT_GLOBAL);
}

static void call(unsigned op, unsigned range, unsigned a)
{
    static const uint64_t off[4] = {0, GIB, 0x200000, 0x1000};
    unsigned from = range % ATOMS, to = from + 1 + (range >> 3) % (ATOMS - from);
    unsigned left = op >> 4 == 15 ? ~0u : op >> 4;
    bool large = atoms.cuts[to] - atoms.cuts[from] > 0x400000; /* not as 4 KiB pages: too many */
    uint64_t frame = (atoms.cuts[from] & (512 * GIB - 1)) + off[large ? (a >> 6) % 3 : a >> 6];
    unsigned max_level = large ? 2 + (a >> 4 & 1) : 1 + (a >> 4 & 3) % 3;
    switch (op % 8) {
    case 0:
    case 1:
    case 2:
        (void)atoms_map(&atoms, from, to, frame, max_level, flags_of(a), left);
        break;
    case 3:
    case 4:
        (void)atoms_unmap(&atoms, from, to, left);
        break;
    case 5:
        (void)atoms_protect(&atoms, from, to, flags_of(a), left);
        break;
    case 6:
        (void)atoms_mark(&atoms, from, a);
        break;
    default:
        atoms_replace_marks(&atoms, from, a & 1, a);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count < 1)
        return 0;
    atoms_make(&atoms, &pt_formats[data[0] % PT_FORMATS], windows[data[0] >> 7], ATOMS);
    data++;
    count--;
    for (unsigned i = 0; i < CALLS_MAX && count >= 3; i++, data += 3, count -= 3) {
        call(data[0], data[1], data[2]);
        atoms_check(&atoms, data[2] * 4096ull + data[1]);
        if (data[0] == 0)
            atoms_check_cursor(&atoms, 0, ATOMS);
        CHECK(!atoms.wrong);
    }
    for (unsigned i = 0; i < ATOMS; i++) {
        atoms_replace_marks(&atoms, i, false, 0);
        (void)atoms_unmap(&atoms, i, i + 1, ~0u);
    }
    atoms_check(&atoms, 0);
    struct qy_pt_region region;
    CHECK(!atoms.wrong && qy_pt_region(&atoms.f.pt, vaddr(0), &region) == QY_NOT_FOUND);
    fixture_destroy(&atoms.f);
    return 0;
}
