/*
 * Ranges over page tables beside the reference of pt_atoms.h: map, unmap, protect, marks and the cursor, with the
 * n-th table refused; each step in all three formats, and every translation after it. Arguments: seed, steps.
 *
 * What this would miss: ranges cut at places that no window has; two CPUs (the CPU that sets bits apart).
 */
#include "pt_atoms.h"

#include <lib/random.h>
#include <pthread.h>

#define R QY_PT_READ
#define RW (QY_PT_READ | QY_PT_WRITE)
#define U QY_PT_USER
#define MIB2 0x200000ull
#define GIB 0x40000000ull
#define CUT_COUNT 11u

#define AROUND(b)                                                                                  \
    {                                                                                              \
        (b) - GIB, (b)-4 * MIB2, (b)-MIB2, (b)-0x1000, (b), (b) + 0x1000, (b) + 0x3000,            \
            (b) + MIB2, (b) + 2 * MIB2, (b) + GIB - MIB2, (b) + GIB + 0                            \
    }

static const uint64_t windows[][CUT_COUNT + 1] = {
    AROUND(0x0000008000000000ull), /* user, across two entries of the root */
    AROUND(0xffffc00000000000ull), /* kernel, likewise */
    {0x7fff00000000, 0x7fff40000000, 0x7fff40001000, 0x7fff40200000, 0x7fff40400000, 0x7fff80000000,
     0x7fffc0000000, 0x7fffffc00000, 0x7fffffe00000, 0x7fffffffe000, 0x7ffffffff000,
     0x800000000000},
    {0xffffffff00000000, 0xffffffff40000000, 0xffffffff40001000, 0xffffffff40200000,
     0xffffffff40400000, 0xffffffff80000000, 0xffffffffc0000000, 0xffffffffffc00000,
     0xffffffffffe00000, 0xffffffffffffe000, 0xfffffffffffff000, 0},
};
#define WINDOWS (sizeof(windows) / sizeof(windows[0]))

static unsigned atoms_of(unsigned window)
{
    return window < 2 ? CUT_COUNT - 1 : CUT_COUNT;
}

static uint64_t random_state, seed = 1;
static unsigned steps = 60;

static unsigned random_flags(const struct atoms *a)
{
    static const unsigned rights[] = { R, RW, R | QY_PT_EXEC, RW, R, RW | QY_PT_EXEC };
    static const unsigned more[] = {
        0, 0, 0, QY_PT_UNCACHED, QY_PT_SOFT_0, QY_PT_WRITE_THROUGH, QY_PT_SOFT_1, QY_PT_GLOBAL};
    return rights[random_below(&random_state, random_below(&random_state, 8) ? 5 : 6)] |
           more[random_below(&random_state, 8)] |
           (atoms_user(a) == (random_below(&random_state, 32) != 0) ? U : 0);
}

/* Frames with every alignment to pages of the atom's address. */
static uint64_t random_frame(const struct atoms *a, unsigned from)
{
    static const uint64_t off[] = {0, 0, GIB, MIB2, 3 * MIB2, 0x1000};
    return (a->cuts[from] & (512 * GIB - 1)) + 8 * GIB +
           off[random_below(&random_state, random_below(&random_state, 16) ? 5 : 6)];
}

static bool step(struct atoms *a)
{
    unsigned from = (unsigned)random_below(&random_state, a->count);
    unsigned to =
        from + 1 +
        (unsigned)random_below(&random_state, random_below(&random_state, 2) ? 2 : a->count - from);
    unsigned left = random_below(&random_state, 4) ? ~0u : (unsigned)random_below(&random_state, 6);
    if (to > a->count)
        to = a->count;
    switch (random_below(&random_state, 10)) {
    case 0:
    case 1:
    case 2:
    case 3:
        return atoms_map(a, from, to, random_frame(a, from),
                         1 + (unsigned)random_below(&random_state, 3), random_flags(a),
                         left) == QY_OK;
    case 4:
    case 5:
        return atoms_unmap(a, from, to, left) == QY_OK;
    case 6:
    case 7:
        return atoms_protect(a, from, to, random_flags(a), left) == QY_OK;
    case 8:
        return atoms_mark(a, from, random_state >> 6) == QY_OK;
    default:
        atoms_replace_marks(a, from, random_below(&random_state, 4) == 0, random_state >> 6);
        return false;
    }
}

static void random_ranges(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++)
        for (unsigned w = 0; w < WINDOWS; w++) {
            static struct atoms a;
            unsigned worked = 0;
            atoms_make(&a, &pt_formats[k], windows[w], atoms_of(w));
            random_state = seed * 0x9e3779b97f4a7c15ull + w * 4 + k + 1;
            for (unsigned i = 0; i < steps && !a.wrong; i++) {
                worked += step(&a);
                atoms_check(&a, random_below(&random_state, ~0ull));
                if (i % 16 == 0) {
                    unsigned from = (unsigned)random_below(&random_state, a.count);
                    atoms_check_cursor(
                        &a, from, from + 1 + (unsigned)random_below(&random_state, a.count - from));
                }
                if (a.wrong)
                    printf("# %s, window %u, seed %llu, step %u: %s\n", a.f.kind->format->name, w,
                           (unsigned long long)seed, i, a.wrong);
            }
            CHECK(!a.wrong);
            CHECK(worked > steps / 16); /* or the run means little */
            fixture_destroy(&a.f);
        }
}

/* No memory for the n-th table of one call, for every n: nothing has changed. */
static void nth_failure_of_each_call(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++) {
        unsigned swept[3] = {0};
        unsigned flags = RW | U;
        for (unsigned op = 0; op < 3; op++)
            for (unsigned n = 0, done = 0; !done; n++) {
                static struct atoms a;
                atoms_make(&a, &pt_formats[k], windows[0], atoms_of(0));
                /* [-8 MiB, 12 KiB) into nothing; [-4 KiB, 12 KiB) of two 1 GiB pages. */
                if (op > 0)
                    CHECK_EQ(atoms_map(&a, 0, 10, 0, 3, flags, ~0u), QY_OK);
                enum qy_error error = op == 0   ? atoms_map(&a, 1, 6, 0x7f800000, 3, flags, n)
                                      : op == 1 ? atoms_unmap(&a, 3, 6, n)
                                                : atoms_protect(&a, 3, 6, R | U, n);
                CHECK(error == QY_OK || error == QY_OUT_OF_MEMORY);
                atoms_check(&a, n);
                CHECK(!a.wrong);
                done = error == QY_OK;
                swept[op] = n;
                fixture_destroy(&a.f);
            }
        CHECK_EQ(swept[0], 5); /* levels 3 and 2, and 3 to 1, below two root entries */
        CHECK_EQ(swept[1], 4); /* 2 for each of two 1 GiB pages */
        CHECK_EQ(swept[2], 4);
    }
}

static void refuses_bad_ranges(void)
{
    static const struct {
        uint64_t address, bytes;
        enum qy_error error;
    } bad[] = {
        {0x1000, 0, QY_INVALID_ADDRESS},
        {0x1000, 0x800, QY_INVALID_ADDRESS},
        {0x1001, 0x1000, QY_INVALID_ADDRESS},
        {0x7ffffffff000, 0x2000, QY_INVALID_ADDRESS},
        {0x800000000000, 0x1000, QY_INVALID_ADDRESS},
        {0xfffffffffffff000, 0x2000, QY_INVALID_ADDRESS},
        {0x1000, 1ull << 63, QY_INVALID_ADDRESS},
        {0x1000, ~0xfffull, QY_INVALID_ADDRESS},
        {0, 0x1000, QY_NOT_MAPPED},
        {0x5000, 0x3000, QY_NOT_MAPPED}, /* a hole in the middle */
        {0x5000, 0x1000, QY_OK},
    };
    for (size_t k = 0; k < PT_FORMATS; k++)
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            struct fixture f;
            fixture_make(&f, &pt_formats[k]);
            struct qy_pt *pt = &f.pt;
            for (uint64_t at = 0x5000; at < 0x8000; at += 0x2000)
                CHECK_EQ(
                    qy_pt_map_range(pt, vaddr(at), paddr(at), 0x1000, 3, RW | U, &f.tables_from),
                    QY_OK);
            CHECK_EQ(qy_pt_map_range(pt, vaddr(0), paddr(0), 0x1000, 3, RW | U, &f.tables_from),
                     QY_INVALID_ADDRESS); /* page 0 */
            CHECK_EQ(
                qy_pt_protect_range(pt, vaddr(bad[i].address), bad[i].bytes, R | U, NULL, NULL),
                bad[i].error);
            CHECK_EQ(qy_pt_protect_range(pt, vaddr(0x5000), 0x1000, QY_PT_WRITE | U, NULL, NULL),
                     QY_INVALID_FLAGS); /* W without R */
            CHECK_EQ(qy_pt_protect_range(pt, vaddr(0x5000), 0x1000, R, NULL, NULL),
                     QY_INVALID_FLAGS);
            CHECK_EQ(qy_pt_unmap_range(pt, vaddr(bad[i].address), bad[i].bytes, NULL, NULL, NULL),
                     bad[i].error);
            CHECK(bad[i].error == QY_OK || fixture_sees(&f, 0x5000, 0x5000, 1, RW | U));
            CHECK(fixture_sees(&f, 0x7000, 0x7000, 1, RW | U));
            /* No source of tables: refused where some are needed. */
            CHECK_EQ(qy_pt_map_range(pt, vaddr(GIB), paddr(0), 0x1000, 3, RW | U, NULL),
                     QY_OUT_OF_MEMORY);
            CHECK_EQ(qy_pt_ensure(pt, vaddr(GIB), 1, NULL), QY_OUT_OF_MEMORY);
            CHECK_EQ(qy_pt_ensure(pt, vaddr(GIB), 0, NULL), QY_INVALID_ARGUMENT);
            CHECK_EQ(qy_pt_ensure(pt, vaddr(1ull << 47), 1, NULL), QY_INVALID_ADDRESS);
            CHECK(!qy_pt_check(pt));
            fixture_destroy(&f);
        }
}

static void splits_a_page(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++)
        for (unsigned bits = 0; bits < 4; bits++) {
            struct fixture f;
            fixture_make(&f, &pt_formats[k]);
            const unsigned flags =
                RW | U | QY_PT_SOFT_1 | (pt_formats[k].uncached ? QY_PT_UNCACHED : 0);
            CHECK_EQ(
                qy_pt_map_range(&f.pt, vaddr(GIB), paddr(4 * GIB), GIB, 3, flags, &f.tables_from),
                QY_OK);
            struct qy_pt_walk walk = qy_pt_walk(&f.pt, vaddr(GIB));
            uint64_t ad = f.pt.format->accessed_dirty, keep = 0;
            keep |= bits & 1 ? f.pt.format->flags[QY_PT_BIT_ACCESSED].value : 0;
            keep |= bits & 2 ? f.pt.format->flags[QY_PT_BIT_DIRTY].value : 0;
            atomic_store(qy_pt_slot(walk.table, walk.index), (walk.entry & ~ad) | keep);
            paddr_t tables[2] = {fixture_frame(&f), fixture_frame(&f)};
            memset(qy_port_ram(tables[0]), 0x5a, QY_PAGE_BYTES); /* of any content */
            CHECK_EQ(qy_pt_split(&f.pt, vaddr(GIB), 1, tables[1]), QY_NOT_MAPPED);
            CHECK_EQ(qy_pt_split(&f.pt, vaddr(GIB), 3, tables[1]), QY_INVALID_ARGUMENT);
            CHECK_EQ(qy_pt_split(&f.pt, vaddr(GIB), 2, paddr(tables[1].raw + 8)),
                     QY_INVALID_ADDRESS);
            CHECK_EQ(qy_pt_split(&f.pt, vaddr(GIB + 12345), 2, tables[0]), QY_OK);
            CHECK_EQ(qy_pt_split(&f.pt, vaddr(2 * GIB - 1), 1, tables[1]), QY_OK);
            for (uint64_t at = 0; at < GIB; at += at < GIB - MIB2 ? MIB2 : 0x1000) {
                unsigned got = 0, level = 0;
                paddr_t out = paddr(0);
                CHECK_EQ(qy_pt_translate(&f.pt, vaddr(GIB + at), &out, &got, &level), QY_OK);
                CHECK_EQ(out.raw, 4 * GIB + at);
                CHECK_EQ(level, at < GIB - MIB2 ? 2 : 1);
                CHECK_EQ(got,
                         flags | (bits & 1 ? QY_PT_ACCESSED : 0) | (bits & 2 ? QY_PT_DIRTY : 0));
            }
            CHECK(!qy_pt_check(&f.pt));
            fixture_destroy(&f);
        }
}

/*
 * A CPU that sets the dirty bit as hardware does, by compare-and-exchange of what it has read, while the entry is
 * changed: each bit that it set is seen in an old entry. A page goes round through split, protect and unmap.
 */
static struct {
    struct qy_pt pt;
    _Atomic unsigned long set;
    _Atomic unsigned long walks; /* begun and ended: odd in between */
    _Atomic bool stop;
} cpu;

/* No walk goes on that began before: what a shootdown is for, before a table that was taken out is used again. */
static void let_walks_end(void)
{
    unsigned long now = atomic_load(&cpu.walks);
    while (now % 2 && atomic_load(&cpu.walks) == now)
        qy_port_relax();
}

static void *cpu_writes(void *unused)
{
    const struct qy_pt_format *format = cpu.pt.format;
    uint64_t dirty = format->flags[QY_PT_BIT_DIRTY].value;
    while (!atomic_load(&cpu.stop)) {
        atomic_fetch_add(&cpu.walks, 1);
        struct qy_pt_walk walk = qy_pt_walk(&cpu.pt, vaddr(MIB2));
        uint64_t entry = walk.entry;
        if (walk.leaf && qy_pt_has(format, entry, QY_PT_BIT_WRITE) && !(entry & dirty) &&
            atomic_compare_exchange_strong(qy_pt_slot(walk.table, walk.index), &entry,
                                           entry | dirty))
            atomic_fetch_add(&cpu.set, 1);
        atomic_fetch_add(&cpu.walks, 1);
    }
    return unused;
}

static void note_dirty(void *context, vaddr_t address, uint64_t entry, unsigned level)
{
    unsigned long *seen = context;
    (void)level;
    *seen += address.raw == MIB2 && qy_pt_has(cpu.pt.format, entry, QY_PT_BIT_DIRTY);
}

static void no_dirty_bit_is_lost(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++) {
        struct fixture f;
        pthread_t thread;
        unsigned long seen = 0;
        fixture_make(&f, &pt_formats[k]);
        cpu.pt = f.pt;
        cpu.set = 0;
        cpu.stop = false;
        CHECK_EQ(qy_pt_ensure(&f.pt, vaddr(MIB2), 2, &f.tables_from), QY_OK);
        CHECK_EQ(pthread_create(&thread, NULL, cpu_writes, NULL), 0);
        struct qy_pt_walk walk = qy_pt_walk(&f.pt, vaddr(MIB2));
        _Atomic uint64_t *slot = qy_pt_slot(walk.table, walk.index);
        paddr_t table = fixture_frame(&f);
        uint64_t clean = qy_pt_encode(f.pt.format, paddr(GIB), 2, RW | U) &
                         ~f.pt.format->flags[QY_PT_BIT_DIRTY].value;
        for (unsigned i = 0; i < 20000 || (atomic_load(&cpu.set) < 200 && i < 20000000); i++) {
            atomic_store(slot, clean);
            for (unsigned wait = 0; wait < i % 64; wait++)
                qy_port_relax();
            if (i % 2)
                CHECK_EQ(qy_pt_split(&f.pt, vaddr(MIB2), 1, table), QY_OK);
            if (i % 3 == 0)
                CHECK_EQ(qy_pt_protect_range(&f.pt, vaddr(MIB2), MIB2, R | U, NULL, NULL), QY_OK);
            CHECK_EQ(qy_pt_unmap_range(&f.pt, vaddr(MIB2), MIB2, NULL, note_dirty, &seen), QY_OK);
            let_walks_end();
        }
        atomic_store(&cpu.stop, true);
        pthread_join(thread, NULL);
        printf("# %s: the CPU set a dirty bit %lu times\n", f.pt.format->name, cpu.set);
        CHECK(cpu.set > 0);
        CHECK_EQ(seen, cpu.set);
        fixture_destroy(&f);
    }
}

static const struct test tests[] = {
    {"random ranges beside the reference", random_ranges},
    {"the n-th failure of each call changes nothing", nth_failure_of_each_call},
    {"refuses bad ranges", refuses_bad_ranges},
    {"splits a page", splits_a_page},
    {"no dirty bit is lost", no_dirty_bit_is_lost},
};

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    if (argc > 2)
        steps = (unsigned)strtoull(argv[2], NULL, 0);
    return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
