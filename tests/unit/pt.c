/*
 * Page tables, each test over every entry format: what each call does and refuses, against values
 * from the manuals and against a walker written from them. What this would miss: wrong results of
 * long sequences of calls (pt_model does those).
 */
#include "pt_fixture.h"

#define R QY_PT_READ
#define RW (QY_PT_READ | QY_PT_WRITE)
#define RX (QY_PT_READ | QY_PT_EXEC)
#define U QY_PT_USER
#define G QY_PT_GLOBAL
#define WT QY_PT_WRITE_THROUGH
#define UC QY_PT_UNCACHED
#define AD (QY_PT_ACCESSED | QY_PT_DIRTY)

static const uint64_t USER = 0x0000123456789000ull;
static const uint64_t KERNEL = 0xffff9abcdef01000ull;
#define GIB 0x40000000ull
#define MIB2 0x200000ull

static void install_all(struct fixture *f, uint64_t address, unsigned down_to)
{
    for (unsigned level = 3; level >= down_to; level--)
        CHECK_EQ(
            qy_pt_install(&f->pt, vaddr(address), fixture_frame(f), level, !(address >> 63), NULL),
            QY_OK);
}

/* Entries as the manuals' tables of bits have them, written out by hand. */
static void entries_have_the_manuals_bits(void)
{
    static const struct {
        unsigned format, level, flags;
        uint64_t frame, entry;
    } cases[] = {
        {0, 1, RW | U, 0x1234000, 0x8000000001234067},
        {0, 1, RX | U, 0x1234000, 0x0000000001234025},
        {0, 1, R | G, 0xffffffffff000, 0x800ffffffffff121},
        {0, 1, RW | UC | G, 0xfee00000, 0x80000000fee0017b},
        {0, 1, RW | WT, 0xfee00000, 0x80000000fee0006b},
        {0, 2, RW | G, 0x40200000, 0x80000000402001e3},
        {0, 3, RX | U, 0x80000000, 0x00000000800000a5},
        {1, 1, RW | U, 0x80201000, 0x00000000200804d7},
        {1, 1, RX | G, 0x80201000, 0x000000002008046b},
        {1, 2, R, 0x80200000, 0x0000000020080043},
        {1, 3, RW | G, 0xffffffc0000000, 0x003ffffff00000e7},
        {2, 1, RW | UC | G, 0x10000000, 0x40000000040000e7},
        {2, 1, RW | G, 0x10000000, 0x00000000040000e7},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct qy_pt_format *format = pt_formats[cases[i].format].format;
        CHECK(qy_pt_supports(format, cases[i].flags, cases[i].level));
        CHECK_EQ(qy_pt_encode(format, paddr(cases[i].frame), cases[i].level, cases[i].flags),
                 cases[i].entry);
        unsigned dirty = cases[i].flags & QY_PT_WRITE ? QY_PT_DIRTY : 0;
        CHECK_EQ(qy_pt_decode(format, cases[i].entry), cases[i].flags | QY_PT_ACCESSED | dirty);
        CHECK_EQ(qy_pt_entry_address(format, cases[i].entry).raw, cases[i].frame);
        CHECK(qy_pt_is_page(format, cases[i].entry, cases[i].level));
    }
}

/* Every combination of flags at every level: refused exactly where no CPU could or should give it.
 */
static void every_combination_of_flags(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++) {
        struct fixture f;
        fixture_make(&f, &pt_formats[k]);
        for (unsigned level = 1; level <= 3; level++) {
            uint64_t user = USER & ~(qy_pt_page_bytes(level) - 1) & ~(GIB * 512 - 1),
                     kernel = KERNEL & ~(GIB * 512 - 1);
            user += level * GIB;
            kernel += level * GIB;
            CHECK_EQ(qy_pt_ensure(&f.pt, vaddr(user), level, &f.tables_from), QY_OK);
            CHECK_EQ(qy_pt_ensure(&f.pt, vaddr(kernel), level, &f.tables_from), QY_OK);
            for (unsigned flags = 0; flags < 4096; flags++) {
                bool good = !(flags & ~QY_PT_MAPPABLE) && flags & R
                &&!(flags & QY_PT_WRITE && flags & QY_PT_EXEC) && !(flags & WT && flags & UC) &&
                    !(flags & U && flags & G) && (!(flags & WT) || pt_formats[k].write_through) &&
                    (!(flags & UC) || pt_formats[k].uncached);
                CHECK_EQ(qy_pt_supports(f.pt.format, flags, level), good);
                uint64_t own = flags & U ? user : kernel, other = flags & U ? kernel : user;
                CHECK_EQ(qy_pt_map(&f.pt, vaddr(other), paddr(GIB), level, flags, NULL),
                         QY_INVALID_FLAGS);
                CHECK(fixture_sees(&f, other, 0, level, 0));
                CHECK_EQ(qy_pt_map(&f.pt, vaddr(own), paddr(GIB), level, flags, NULL),
                         good ? QY_OK : QY_INVALID_FLAGS);
                CHECK(fixture_sees(&f, own, GIB, level, good ? flags : 0));
                if (good) {
                    CHECK(!qy_pt_check(&f.pt));
                    uint64_t old = 0;
                    CHECK_EQ(qy_pt_unmap(&f.pt, vaddr(own), level, &old), QY_OK);
                    CHECK_EQ(qy_pt_decode(f.pt.format, old) & QY_PT_MAPPABLE, flags);
                }
            }
            CHECK(!qy_pt_supports(f.pt.format, R, 0));
            CHECK(!qy_pt_supports(f.pt.format, R, 4));
            CHECK(!qy_pt_supports(f.pt.format, R, 5));
        }
        fixture_destroy(&f);
    }
}

static void maps_each_page_size(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++) {
        static const uint64_t bases[] = {0x40000000ull, 0x00007fffc0000000ull,
                                         0xffff800000000000ull, 0xffffffffc0000000ull};
        for (unsigned b = 0; b < 4; b++)
            for (unsigned level = 1; level <= 3; level++) {
                struct fixture f;
                fixture_make(&f, &pt_formats[k]);
                uint64_t bytes = qy_pt_page_bytes(level),
                         base = bases[b] + (level < 3 ? GIB - bytes : 0);
                unsigned flags = b < 2 ? RW | U : RX | G, got_flags = 0, got_level = 0, missing = 9;
                paddr_t got = paddr(0);
                for (unsigned table = 3; table >= level; table--) {
                    CHECK_EQ(qy_pt_map(&f.pt, vaddr(base), paddr(3 * GIB), level, flags, &missing),
                             QY_MISSING_TABLE);
                    CHECK_EQ(missing, table);
                    CHECK_EQ(
                        qy_pt_install(&f.pt, vaddr(base), fixture_frame(&f), missing, b < 2, NULL),
                        QY_OK);
                }
                CHECK_EQ(qy_pt_translate(&f.pt, vaddr(base), &got, NULL, NULL), QY_NOT_MAPPED);
                CHECK_EQ(qy_pt_map(&f.pt, vaddr(base), paddr(3 * GIB), level, flags, &missing),
                         QY_OK);
                CHECK_EQ(
                    qy_pt_translate(&f.pt, vaddr(base + bytes - 1), &got, &got_flags, &got_level),
                    QY_OK);
                CHECK_EQ(got.raw, 3 * GIB + bytes - 1);
                CHECK_EQ(got_flags,
                         flags | QY_PT_ACCESSED | (flags & QY_PT_WRITE ? QY_PT_DIRTY : 0));
                CHECK_EQ(got_level, level);
                CHECK(fixture_sees(&f, base + bytes - 1, 3 * GIB + bytes - 1, level, flags));
                CHECK(fixture_sees(&f, base - 1, 0, level, 0));
                CHECK(fixture_sees(&f, base + bytes, 0, level, 0));
                CHECK_EQ(qy_pt_map(&f.pt, vaddr(base), paddr(0), level, flags, NULL),
                         QY_ALREADY_MAPPED);
                if (level > 1) /* below a page, and a table where a page is */
                    CHECK_EQ(qy_pt_map(&f.pt, vaddr(base), paddr(0), level - 1, flags, NULL),
                             QY_ALREADY_MAPPED);
                if (level < 3) /* a page where a table is */
                    CHECK_EQ(qy_pt_map(&f.pt, vaddr(base & ~(512 * bytes - 1)), paddr(0), level + 1,
                                       flags, NULL),
                             QY_ALREADY_MAPPED);
                CHECK(!qy_pt_check(&f.pt));
                fixture_destroy(&f);
            }
    }
}

static void refuses_bad_arguments(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++) {
        struct fixture f;
        fixture_make(&f, &pt_formats[k]);
        struct qy_pt *pt = &f.pt;
        uint64_t end = k == 0 ? 1ull << 52 : 1ull << 56, old;
        paddr_t out;
        install_all(&f, 0, 1);
        install_all(&f, KERNEL, 1);
        install_all(&f, 0x7fffffe00000, 1);
        install_all(&f, 0xffffffffffe00000, 1);
        const struct {
            uint64_t address, frame;
            unsigned level, pages;
            enum qy_error error;
        } cases[] = {
            {0x0000800000000000, 0, 1, 1, QY_INVALID_ADDRESS},
            {0xffff7ffffffff000, 0, 1, 1, QY_INVALID_ADDRESS},
            {0x8000000000001000, 0, 1, 1, QY_INVALID_ADDRESS},
            {0, 0x1000, 1, 1, QY_INVALID_ADDRESS},
            {0, 0, 2, 1, QY_INVALID_ADDRESS},
            {0, 0, 3, 1, QY_INVALID_ADDRESS},
            {0x1001, 0x1000, 1, 1, QY_INVALID_ADDRESS},
            {0x1000, 0x1800, 1, 1, QY_INVALID_ADDRESS},
            {MIB2 + 0x1000, 0, 2, 1, QY_INVALID_ADDRESS},
            {MIB2, 0x1000, 2, 1, QY_INVALID_ADDRESS},
            {GIB, MIB2, 3, 1, QY_INVALID_ADDRESS},
            {0x1000, end, 1, 1, QY_INVALID_ADDRESS},
            {0x1000, end - 0x1000, 1, 2, QY_INVALID_ADDRESS},
            {0x1000, 0xfffffffffffff000, 1, 1, QY_INVALID_ADDRESS},
            {0x1000, 0, 0, 1, QY_INVALID_ARGUMENT},
            {0x1000, 0, 4, 1, QY_INVALID_ARGUMENT},
            {0x1000, 0, ~0u, 1, QY_INVALID_ARGUMENT},
            {0x1000, 0, 1, 0, QY_INVALID_ARGUMENT},
            {0x1000, 0, 1, 512, QY_INVALID_ARGUMENT},
            {0x1000, 0, 1, ~0u, QY_INVALID_ARGUMENT},
            {0x1000, 0, 1, 511, QY_OK},
            {0x2000, 0, 1, 1, QY_ALREADY_MAPPED},
            {0x00007ffffffff000, end - 0x1000, 1, 1, QY_OK},
            {0x00007ffffffff000, 0, 1, 2, QY_INVALID_ARGUMENT},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
            CHECK_EQ(qy_pt_map_run(pt, vaddr(cases[i].address), paddr(cases[i].frame),
                                   cases[i].level, cases[i].pages, RW | U, NULL),
                     cases[i].error);
        CHECK(fixture_sees(&f, 0, 0, 1, 0));
        CHECK(fixture_sees(&f, 0x1fffff, 510 * 0x1000 + 0xfff, 1, RW | U));
        CHECK(fixture_sees(&f, 0x7fffffffffff, end - 1, 1, RW | U));
        CHECK_EQ(qy_pt_map(pt, vaddr(0xfffffffffffff000), paddr(0x5000), 1, RW | G, NULL), QY_OK);
        CHECK(fixture_sees(&f, ~0ull, 0x5fff, 1, RW | G));

        CHECK_EQ(qy_pt_unmap(pt, vaddr(0x800000000000), 1, &old), QY_INVALID_ADDRESS);
        CHECK_EQ(qy_pt_unmap(pt, vaddr(0x1001), 1, &old), QY_INVALID_ADDRESS);
        CHECK_EQ(qy_pt_unmap(pt, vaddr(0x1000), 0, &old), QY_INVALID_ARGUMENT);
        CHECK_EQ(qy_pt_unmap(pt, vaddr(0), 1, &old), QY_NOT_MAPPED);
        CHECK_EQ(qy_pt_unmap(pt, vaddr(0), 2, &old), QY_NOT_MAPPED);
        CHECK_EQ(qy_pt_unmap(pt, vaddr(GIB), 1, &old), QY_NOT_MAPPED);
        CHECK_EQ(qy_pt_protect(pt, vaddr(GIB), 1, R | U, &old, NULL), QY_NOT_MAPPED);
        CHECK_EQ(qy_pt_protect(pt, vaddr(0x1000), 1, RW | QY_PT_EXEC | U, &old, NULL),
                 QY_INVALID_FLAGS);
        CHECK_EQ(qy_pt_protect(pt, vaddr(0x1000), 1, RW, &old, NULL), QY_INVALID_FLAGS);
        CHECK_EQ(qy_pt_translate(pt, vaddr(0x800000000000), NULL, NULL, NULL), QY_INVALID_ADDRESS);

        paddr_t table = fixture_frame(&f);
        CHECK_EQ(qy_pt_install(pt, vaddr(GIB), table, 4, true, NULL), QY_INVALID_ARGUMENT);
        CHECK_EQ(qy_pt_install(pt, vaddr(GIB), table, 0, true, NULL), QY_INVALID_ARGUMENT);
        CHECK_EQ(qy_pt_install(pt, vaddr(GIB), table, 2, false, NULL), QY_INVALID_ADDRESS);
        CHECK_EQ(qy_pt_install(pt, vaddr(KERNEL + GIB), table, 2, true, NULL), QY_INVALID_ADDRESS);
        CHECK_EQ(qy_pt_install(pt, vaddr(GIB), paddr(table.raw + 8), 2, true, NULL),
                 QY_INVALID_ADDRESS);
        CHECK_EQ(qy_pt_install(pt, vaddr(GIB), paddr(end), 2, true, NULL), QY_INVALID_ADDRESS);
        CHECK_EQ(qy_pt_install(pt, vaddr(1ull << 47), table, 2, true, NULL), QY_INVALID_ADDRESS);
        CHECK_EQ(qy_pt_install(pt, vaddr(0x1000), table, 1, true, NULL), QY_ALREADY_MAPPED);
        CHECK_EQ(qy_pt_remove(pt, vaddr(GIB), 2, &out), QY_NOT_MAPPED);
        CHECK_EQ(qy_pt_remove(pt, vaddr(GIB), 4, &out), QY_INVALID_ARGUMENT);
        CHECK_EQ(qy_pt_remove(pt, vaddr(1ull << 47), 1, &out), QY_INVALID_ADDRESS);
        CHECK(!qy_pt_check(pt));
        fixture_destroy(&f);
    }
}

static void runs_are_all_or_nothing(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++) {
        struct fixture f;
        fixture_make(&f, &pt_formats[k]);
        uint64_t base = USER & ~(MIB2 - 1), old[512];
        install_all(&f, base, 1);
        CHECK_EQ(qy_pt_map(&f.pt, vaddr(base + 300 * 4096), paddr(0x7000), 1, RX | U, NULL), QY_OK);
        CHECK_EQ(qy_pt_map_run(&f.pt, vaddr(base), paddr(0x100000), 1, 512, RW | U, NULL),
                 QY_ALREADY_MAPPED);
        CHECK_EQ(qy_pt_map_run(&f.pt, vaddr(base), paddr(0x100000), 1, 300, RW | U, NULL), QY_OK);
        CHECK_EQ(
            qy_pt_map_run(&f.pt, vaddr(base + 301 * 4096), paddr(0x800000), 1, 210, RW | U, NULL),
            QY_OK);
        /* page 511 is not there */
        CHECK_EQ(qy_pt_unmap_run(&f.pt, vaddr(base), 1, 512, old), QY_NOT_MAPPED);
        CHECK_EQ(qy_pt_protect_run(&f.pt, vaddr(base), 1, 512, R | U, old, NULL), QY_NOT_MAPPED);
        for (uint64_t i = 0; i < 512; i++)
            CHECK(fixture_sees(&f, base + i * 4096,
                               i < 300    ? 0x100000 + i * 4096
                               : i == 300 ? 0x7000
                                          : 0x800000 + (i - 301) * 4096,
                               1,
                               i == 511   ? 0
                               : i == 300 ? RX | U
                                          : RW | U));
        CHECK_EQ(qy_pt_protect_run(&f.pt, vaddr(base + 4096), 1, 510, R | U, old, NULL), QY_OK);
        CHECK_EQ(qy_pt_decode(f.pt.format, old[0]), RW | U | AD);
        CHECK_EQ(qy_pt_decode(f.pt.format, old[299]), RX | U | QY_PT_ACCESSED);
        CHECK(fixture_sees(&f, base, 0x100000, 1, RW | U));
        CHECK(fixture_sees(&f, base + 4096, 0x101000, 1, R | U));
        CHECK(fixture_sees(&f, base + 300 * 4096, 0x7000, 1, R | U));
        CHECK_EQ(qy_pt_unmap_run(&f.pt, vaddr(base), 1, 511, old), QY_OK);
        CHECK_EQ(qy_pt_entry_address(f.pt.format, old[299]).raw, 0x100000 + 299 * 4096);
        CHECK_EQ(qy_pt_entry_address(f.pt.format, old[510]).raw, 0x800000 + 209 * 4096);
        struct qy_pt_region region;
        CHECK_EQ(qy_pt_region(&f.pt, vaddr(0), &region), QY_NOT_FOUND);
        fixture_destroy(&f);
    }
}

/* The bits that the CPU writes: kept by protect, reported by unmap, whatever state they are in. */
static void accessed_and_dirty(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++) {
        struct fixture f;
        fixture_make(&f, &pt_formats[k]);
        install_all(&f, USER, 1);
        for (unsigned bits = 0; bits < 4; bits++)
            for (unsigned writable = 0; writable < 2; writable++) {
                unsigned flags = writable ? RW | U : R
                | U;
                CHECK_EQ(qy_pt_map(&f.pt, vaddr(USER), paddr(0x5000), 1, flags, NULL), QY_OK);
                struct qy_pt_walk walk = qy_pt_walk(&f.pt, vaddr(USER));
                CHECK(walk.leaf && walk.level == 1 && walk.index == qy_pt_index(vaddr(USER), 1));
                uint64_t cleared = walk.entry & ~f.pt.format->accessed_dirty;
                cleared |= bits & 1 ? f.pt.format->flags[QY_PT_BIT_ACCESSED].value : 0;
                cleared |= bits & 2 ? f.pt.format->flags[QY_PT_BIT_DIRTY].value : 0;
                atomic_store(qy_pt_slot(walk.table, walk.index), cleared);
                unsigned expected =
                    flags | (bits & 1 ? QY_PT_ACCESSED : 0) | (bits & 2 ? QY_PT_DIRTY : 0);
                uint64_t old = 0;
                CHECK_EQ(qy_pt_protect(&f.pt, vaddr(USER), 1, R | U, &old, NULL), QY_OK);
                CHECK_EQ(qy_pt_decode(f.pt.format, old), expected);
                CHECK_EQ(qy_pt_unmap(&f.pt, vaddr(USER), 1, &old), QY_OK);
                CHECK_EQ(qy_pt_decode(f.pt.format, old),
                         R | U | QY_PT_ACCESSED | (bits & 2 ? QY_PT_DIRTY : 0));
            }
        fixture_destroy(&f);
    }
}

static void installs_and_removes_tables(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++)
        for (unsigned upper = 0; upper < 2; upper++) {
            struct fixture f;
            fixture_make(&f, &pt_formats[k]);
            uint64_t at = upper ? KERNEL : USER;
            paddr_t tables[4], out = paddr(0);
            unsigned missing = 0;
            CHECK_EQ(qy_pt_install(&f.pt, vaddr(at), fixture_frame(&f), 1, !upper, &missing),
                     QY_MISSING_TABLE);
            CHECK_EQ(missing, 3);
            for (unsigned level = 3; level >= 1; level--) {
                tables[level] = fixture_frame(&f);
                CHECK_EQ(qy_pt_install(&f.pt, vaddr(at + 123), tables[level], level, !upper, NULL),
                         QY_OK);
                CHECK_EQ(qy_pt_install(&f.pt, vaddr(at), tables[level], level, !upper, NULL),
                         QY_ALREADY_MAPPED);
            }
            struct qy_pt_walk walk = qy_pt_walk(&f.pt, vaddr(at));
            CHECK(walk.level == 1 && walk.table.raw == tables[1].raw && walk.entry == 0 &&
                  !walk.leaf);
            CHECK_EQ(qy_pt_map(&f.pt, vaddr(at), paddr(0), 1, upper ? R : R | U, NULL), QY_OK);
            CHECK_EQ(qy_pt_remove(&f.pt, vaddr(at), 1, &out), QY_BUSY);
            CHECK_EQ(qy_pt_remove(&f.pt, vaddr(at), 2, &out), QY_BUSY);
            CHECK_EQ(qy_pt_remove(&f.pt, vaddr(at), 3, &out), QY_BUSY);
            CHECK_EQ(qy_pt_unmap(&f.pt, vaddr(at), 1, NULL), QY_OK);
            for (unsigned level = 1; level <= 3; level++) {
                CHECK_EQ(qy_pt_remove(&f.pt, vaddr(at), level, &out), QY_OK);
                CHECK_EQ(out.raw, tables[level].raw);
                CHECK_EQ(qy_pt_remove(&f.pt, vaddr(at), level, &out), QY_NOT_MAPPED);
            }
            /* a page is no table */
            install_all(&f, at, 2);
            CHECK_EQ(
                qy_pt_map(&f.pt, vaddr(at & ~(MIB2 - 1)), paddr(0), 2, upper ? R : R | U, NULL),
                QY_OK);
            CHECK_EQ(qy_pt_remove(&f.pt, vaddr(at), 1, &out), QY_NOT_MAPPED);
            CHECK_EQ(qy_pt_install(&f.pt, vaddr(at), fixture_frame(&f), 1, !upper, NULL),
                     QY_ALREADY_MAPPED);
            fixture_destroy(&f);
        }
}

struct seen {
    uint64_t address[16];
    unsigned level[16], count, stop;
};

static bool see(void *context, vaddr_t address, uint64_t entry, unsigned level)
{
    struct seen *seen = context;
    (void)entry;
    seen->address[seen->count] = address.raw;
    seen->level[seen->count++] = level;
    return seen->count != seen->stop;
}

static void visits_and_merges_in_order(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++) {
        struct fixture f;
        fixture_make(&f, &pt_formats[k]);
        static const struct {
            uint64_t address;
            unsigned level, pages, flags;
        } pages[] = {
            {0x1000, 1, 2, RW | U},
            {0x3000, 1, 1, R | U},
            {MIB2, 2, 2, R | U},
            {3 * MIB2, 1, 1, R | U},
            {0x7fffc0000000, 3, 1, RX | U},
            {0xffff800000000000, 3, 1, RW | G},
            {0xffffffffffe00000, 1, 512, R | G},
        };
        const unsigned count = sizeof(pages) / sizeof(pages[0]);
        uint64_t frame = 0;
        for (unsigned i = 0; i < count; i++) {
            CHECK_EQ(qy_pt_ensure(&f.pt, vaddr(pages[i].address), pages[i].level, &f.tables_from),
                     QY_OK);
            CHECK_EQ(qy_pt_map_run(&f.pt, vaddr(pages[i].address), paddr(frame), pages[i].level,
                                   pages[i].pages, pages[i].flags, NULL),
                     QY_OK);
            frame += GIB;
        }
        struct qy_pt_region region;
        uint64_t at = 0;
        for (unsigned i = 0; i < count; i++) {
            CHECK_EQ(qy_pt_region(&f.pt, vaddr(at), &region), QY_OK);
            CHECK_EQ(region.start.raw, pages[i].address);
            CHECK_EQ(region.end,
                     pages[i].address + pages[i].pages * qy_pt_page_bytes(pages[i].level));
            CHECK_EQ(region.flags, pages[i].flags);
            CHECK_EQ(region.level, pages[i].level);
            at = vaddr_is_canonical(region.end) ? region.end : 0xffff800000000000ull;
        }
        CHECK_EQ(at, 0);
        CHECK_EQ(qy_pt_region(&f.pt, vaddr(0x2000), &region), QY_OK); /* begins in the middle */
        CHECK_EQ(region.start.raw, 0x2000);
        CHECK_EQ(qy_pt_region(&f.pt, vaddr(MIB2 + 0x5123), &region),
                 QY_OK); /* the page that holds it */
        CHECK_EQ(region.start.raw, MIB2);
        CHECK_EQ(qy_pt_region(&f.pt, vaddr(1ull << 47), &region), QY_INVALID_ADDRESS);

        struct seen seen = {.stop = 0};
        qy_pt_each_in(&f.pt, vaddr(0x2fff), vaddr(0xffff800000000000), see, &seen);
        static const uint64_t expected[] = {
            0x2000, 0x3000, MIB2, 2 * MIB2, 3 * MIB2, 0x7fffc0000000, 0xffff800000000000};
        CHECK_EQ(seen.count, 7);
        for (unsigned i = 0; i < seen.count; i++)
            CHECK_EQ(seen.address[i], expected[i]);
        seen = (struct seen){.stop = 3};
        qy_pt_each(&f.pt, see, &seen);
        CHECK_EQ(seen.count, 3);
        CHECK(!qy_pt_check(&f.pt));
        fixture_destroy(&f);
    }
}

/* Every page is there, as large as can be, and nothing beside the range. */
static void check_range(const struct fixture *f, uint64_t address, uint64_t frame, uint64_t bytes,
                        unsigned max_level, unsigned flags)
{
    for (uint64_t at = 0; at < bytes;) {
        unsigned level = max_level;
        while (level > 1 &&
               ((address + at) % qy_pt_page_bytes(level) ||
                (frame + at) % qy_pt_page_bytes(level) || at + qy_pt_page_bytes(level) > bytes))
            level--;
        CHECK(fixture_sees(f, address + at, frame + at, level, flags));
        at += qy_pt_page_bytes(level);
        CHECK(fixture_sees(f, address + at - 1, frame + at - 1, level, flags));
    }
    CHECK(fixture_sees(f, address - 1, 0, 1, 0));
    CHECK(fixture_sees(f, address + bytes, 0, 1, 0));
}

static void ranges_take_the_largest_pages(void)
{
    static const struct {
        uint64_t address, frame, bytes;
        unsigned max_level;
    } cases[] = {
        {0xffff800000001000, 0x1000, 2 * GIB + 3 * MIB2 + 0x5000, 3},
        {0xffff800000001000, 0x1000, 2 * GIB + 3 * MIB2 + 0x5000, 2},
        {0xffff800000000000, 0x0, 3 * GIB, 3},
        {0xffffbfffffe00000, 0x200000, 2 * MIB2, 3},
        {0xffff9fffc0000000, 4 * GIB, 2 * GIB, 3}, /* across a root entry */
        {0xffff800000200000, 0x1000, 4 * MIB2, 3}, /* never aligned */
        {0xffff8000001ff000, 0x5ff000, 0x3000, 3},
        {0xffff800000000000, 0x0, 0x200000, 1},
        {0xffffffffc0000000, 0x80000000, GIB, 3}, /* to the last byte */
    };
    for (size_t k = 0; k < PT_FORMATS; k++)
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct fixture f;
            fixture_make(&f, &pt_formats[k]);
            CHECK_EQ(qy_pt_map_range(&f.pt, vaddr(cases[i].address), paddr(cases[i].frame),
                                     cases[i].bytes, cases[i].max_level, RW | G, &f.tables_from),
                     QY_OK);
            if (cases[i].address + cases[i].bytes)
                check_range(&f, cases[i].address, cases[i].frame, cases[i].bytes,
                            cases[i].max_level, RW | G);
            else
                CHECK(fixture_sees(&f, ~0ull, cases[i].frame + cases[i].bytes - 1, 3, RW | G));
            CHECK(!qy_pt_check(&f.pt));
            fixture_destroy(&f);
        }
}

/* No memory for the n-th table, for every n; something in the way: no translation has changed. */
static void ranges_fail_without_a_trace(void)
{
    const uint64_t base = 0xffff8000401ff000, bytes = GIB + 2 * MIB2;
    for (size_t k = 0; k < PT_FORMATS; k++) {
        unsigned needed = 1;
        for (unsigned n = 0; n < needed; n++) {
            struct fixture f;
            struct qy_pt_region region;
            fixture_make(&f, &pt_formats[k]);
            f.tables_left = n;
            CHECK_EQ(qy_pt_map_range(&f.pt, vaddr(base), paddr(0x1ff000), bytes, 3, RW | G,
                                     &f.tables_from),
                     QY_OUT_OF_MEMORY);
            CHECK_EQ(qy_pt_region(&f.pt, vaddr(0), &region), QY_NOT_FOUND);
            f.tables_left = ~0u;
            CHECK_EQ(qy_pt_map_range(&f.pt, vaddr(base), paddr(0x1ff000), bytes, 3, RW | G,
                                     &f.tables_from),
                     QY_OK);
            needed = f.tables;
            CHECK(!qy_pt_check(&f.pt));
            fixture_destroy(&f);
        }
        CHECK_EQ(needed, 5); /* one of level 3, two of level 2, two of level 1 */

        struct fixture f;
        fixture_make(&f, &pt_formats[k]);
        uint64_t in_the_way = base + bytes - 0x1000;
        CHECK_EQ(
            qy_pt_map_range(&f.pt, vaddr(in_the_way), paddr(0), 0x1000, 3, R | G, &f.tables_from),
            QY_OK);
        CHECK_EQ(
            qy_pt_map_range(&f.pt, vaddr(base), paddr(0x1ff000), bytes, 3, RW | G, &f.tables_from),
            QY_ALREADY_MAPPED);
        struct qy_pt_region region;
        CHECK_EQ(qy_pt_region(&f.pt, vaddr(0), &region), QY_OK);
        CHECK_EQ(region.start.raw, in_the_way);
        CHECK_EQ(region.end, in_the_way + 0x1000);
        CHECK_EQ(region.flags, R | G);

        static const struct {
            uint64_t address, frame, bytes;
            unsigned level, flags;
            enum qy_error error;
        } bad[] = {
            {0xffff800000000000, 0, 0, 3, RW, QY_INVALID_ADDRESS},
            {0xffff800000000000, 0, 1, 3, RW, QY_INVALID_ADDRESS},
            {0xffff800000000800, 0, 0x1000, 3, RW, QY_INVALID_ADDRESS},
            {0xffff800000000000, 0x800, 0x1000, 3, RW, QY_INVALID_ADDRESS},
            {0xfffffffffffff000, 0, 0x2000, 3, RW, QY_INVALID_ADDRESS},
            {0x00007ffffffff000, 0, 0x2000, 3, RW | U, QY_INVALID_ADDRESS},
            {0x0000800000000000, 0, 0x1000, 3, RW, QY_INVALID_ADDRESS},
            {0xffff800000000000, 0, 1ull << 63, 3, RW, QY_INVALID_ADDRESS},
            {0xffff800000000000, 0, 0x1000, 0, RW, QY_INVALID_ARGUMENT},
            {0xffff800000000000, 0, 0x1000, 4, RW, QY_INVALID_ARGUMENT},
            {0xffff800000000000, 0, 0x1000, 3, RW | RX, QY_INVALID_FLAGS},
            {0xffff800000000000, 0, 0x1000, 3, RW | U, QY_INVALID_FLAGS},
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            CHECK_EQ(qy_pt_map_range(&f.pt, vaddr(bad[i].address), paddr(bad[i].frame),
                                     bad[i].bytes, bad[i].level, bad[i].flags, &f.tables_from),
                     bad[i].error);
        fixture_destroy(&f);
    }
}

/* One broken word at a time; the validator names the invariant. */
static void the_validator_can_fail(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++) {
        struct fixture f;
        fixture_make(&f, &pt_formats[k]);
        bool x86 = k == 0;
        CHECK_EQ(
            qy_pt_map_range(&f.pt, vaddr(USER), paddr(0x5000), 0x1000, 1, R | U, &f.tables_from),
            QY_OK);
        CHECK_EQ(
            qy_pt_map_range(&f.pt, vaddr(KERNEL), paddr(0x5000), 0x1000, 1, R | G, &f.tables_from),
            QY_OK);
        CHECK_EQ(qy_pt_map_range(&f.pt, vaddr(0xffffffff80000000), paddr(0), MIB2, 2, R | G,
                                 &f.tables_from),
                 QY_OK);
        CHECK_EQ(
            qy_pt_map_range(&f.pt, vaddr(0x1000), paddr(0x5000), 0x1000, 1, R | U, &f.tables_from),
            QY_OK);
        CHECK(!qy_pt_check(&f.pt));
        struct qy_pt_walk user = qy_pt_walk(&f.pt, vaddr(USER)),
                          kernel = qy_pt_walk(&f.pt, vaddr(KERNEL));
        struct qy_pt_walk large = qy_pt_walk(&f.pt, vaddr(0xffffffff80000000));
        struct qy_pt_walk zero = qy_pt_walk(&f.pt, vaddr(0));
        const struct {
            paddr_t table;
            unsigned index;
            uint64_t entry;
            const char *broken;
        } cases[] = {
            {user.table, user.index, x86 ? 0x5067 : 0x14df, "WXOR"},
            {kernel.table, kernel.index, x86 ? 0x5163 : 0x14ef, "WXOR"},
            {kernel.table, kernel.index, kernel.entry | (x86 ? 4 : 0x10), "ISOLATED"},
            {user.table, user.index, user.entry | (x86 ? 0x100 : 0x20), "ISOLATED"},
            {user.table, user.index, user.entry & ~(x86 ? 4ull : 0x10ull), "ISOLATED"},
            {zero.table, 0, user.entry, "ISOLATED"},
            {user.table, user.index, user.entry | 1ull << 55, "PT-RESERVED"},
            {user.table, user.index, user.entry | (x86 ? 0x80 : 1ull << 63), "PT-RESERVED"},
            {user.table, user.index, user.entry | (x86 ? 0x800 : 1ull << 54), "PT-RESERVED"},
            {user.table, user.index, x86 ? user.entry | 0x10 : 0x1455,
             "PT-RESERVED"}, /* PCD alone; W without R */
            {user.table, user.index, x86 ? user.entry | 1ull << 59 : 0x1459,
             "PT-RESERVED"}, /* key; X without R */
            {user.table, user.index, user.entry | (x86 ? 0x80 : 3ull << 61), "PT-RESERVED"},
            {user.table, user.index, x86 ? user.entry | 0x80 : 0x1401,
             "PT-RESERVED"}, /* a pointer at level 1 */
            {large.table, large.index, large.entry | (x86 ? 0x1000 : 0x400), "PT-RESERVED"},
            {f.pt.root, 7, x86 ? 0x80000000000000e7 : 0xd7, "PT-RESERVED"},
            {f.pt.root, 7, x86 ? 0xa7 : 0x91, "PT-RESERVED"},
            {f.pt.root, 7, 2, "PT-EMPTY"},
            {user.table, 3, 0x5000, "PT-EMPTY"},
            {f.pt.root, 7, x86 ? f.pt.root.raw | 0x27 : f.pt.root.raw >> 2 | 1, "PT-TREE"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            _Atomic uint64_t *slot = qy_pt_slot(cases[i].table, cases[i].index);
            uint64_t good = atomic_exchange(slot, cases[i].entry);
            const char *broken = qy_pt_check(&f.pt);
            if (!broken || strcmp(broken, cases[i].broken) != 0) {
                printf("# %s, case %zu: %s, expected %s\n", f.pt.format->name, i,
                       broken ? broken : "none", cases[i].broken);
                tap_failures++;
            }
            atomic_store(slot, good);
        }
        CHECK(!qy_pt_check(&f.pt));
        if (x86) { /* a kernel table that programs may pass, by the bits of its entry */
            _Atomic uint64_t *slot = qy_pt_slot(f.pt.root, qy_pt_index(vaddr(KERNEL), 4));
            atomic_fetch_or(slot, 4);
            CHECK(qy_pt_check(&f.pt) && strcmp(qy_pt_check(&f.pt), "ISOLATED") == 0);
        }
        fixture_destroy(&f);
    }
}

static const struct test tests[] = {
    {"entries have the manuals' bits", entries_have_the_manuals_bits},
    {"every combination of flags", every_combination_of_flags},
    {"maps each page size", maps_each_page_size},
    {"refuses bad arguments", refuses_bad_arguments},
    {"runs are all or nothing", runs_are_all_or_nothing},
    {"accessed and dirty bits are kept", accessed_and_dirty},
    {"installs and removes tables", installs_and_removes_tables},
    {"visits and merges in order", visits_and_merges_in_order},
    {"ranges take the largest pages", ranges_take_the_largest_pages},
    {"ranges fail without a trace", ranges_fail_without_a_trace},
    {"the validator can fail", the_validator_can_fail},
};
TEST_MAIN(tests)
