/*
 * Marks, what they are to a CPU and to each call, and the classification of changes: against rules written down here from
 * the manuals, over every format. What this would miss: sequences of calls (pt_ranges, pt_exhaustive).
 */
#include "pt_fixture.h"
#include <lib/random.h>

#define R QY_PT_READ
#define RW (QY_PT_READ | QY_PT_WRITE)
#define RX (QY_PT_READ | QY_PT_EXEC)
#define U QY_PT_USER
#define MIB2 0x200000ull
#define GIB 0x40000000ull

static const uint64_t some_marks[] = {
    0,
    1,
    2,
    511,
    0x1234567890abcd,
    (1ull << 42) - 1,
    1ull << 42,
    (1ull << 57) - 1,
    1ull << 57,
    (1ull << 58) - 1,
};
#define MARKS (sizeof(some_marks) / sizeof(some_marks[0]))

/* What a CPU with the L1TF flaw takes for an address, if its cache compares `bits` address bits. */
static uint64_t flawed_address(uint64_t entry, unsigned bits)
{
    return entry & ((1ull << bits) - 1) & ~0xfffull;
}

static bool mark_is_good(const struct qy_pt_format *format, uint64_t mark)
{
    uint64_t entry = qy_pt_mark_encode(format, mark);
    bool good = entry && !(entry & 1) && qy_pt_is_mark(format, entry) &&
                !qy_pt_is_page(format, entry, 1) && !qy_pt_is_table(format, entry, 3) &&
                qy_pt_mark_decode(format, entry) == mark;
    for (unsigned bits = 44; bits <= 48; bits++)
        good = good && flawed_address(entry, bits) >= 1ull << (bits - 1);
    return good;
}

static void marks_come_back(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++) {
        const struct qy_pt_format *format = pt_formats[k].format;
        uint64_t random = 0;
        CHECK(QY_PT_MARK_BITS >= 58);
        for (unsigned i = 0; i < MARKS; i++)
            CHECK(mark_is_good(format, some_marks[i]));
        for (unsigned bit = 0; bit < QY_PT_MARK_BITS; bit++) {
            CHECK(mark_is_good(format, 1ull << bit));
            CHECK(mark_is_good(format, ((1ull << QY_PT_MARK_BITS) - 1) ^ 1ull << bit));
        }
        for (unsigned i = 0; i < 100000; i++)
            CHECK(mark_is_good(format, random_next(&random) >> 6));
        /* Small values lead high on CPUs that compare fewer bits, as 36 and 39. */
        for (uint64_t mark = 0; mark < 1ull << 22; mark += 4097) {
            uint64_t entry = qy_pt_mark_encode(format, mark);
            CHECK(flawed_address(entry, 36) >= 1ull << 35 &&
                  flawed_address(entry, 39) >= 1ull << 38);
        }
        CHECK(!qy_pt_is_mark(format, 0));
        CHECK(!qy_pt_is_mark(format, qy_pt_encode(format, paddr(0), 1, R | U)));
    }
}

/* A mark in the table of each level: nothing to the CPU and to reads, in the way of every change but its own. */
static void neither_mapped_nor_empty(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++)
        for (unsigned level = 1; level <= 4; level++)
            for (unsigned i = 0; i < MARKS; i++) {
                struct fixture f;
                struct qy_pt_region region;
                unsigned missing = 0;
                const uint64_t mark = some_marks[i];
                fixture_make(&f, &pt_formats[k]);
                struct qy_pt *pt = &f.pt;
                vaddr_t at = vaddr(level == 4 ? 512 * GIB : qy_pt_page_bytes(level));
                uint64_t page = qy_pt_encode(pt->format, paddr(GIB), level < 4 ? level : 1, R | U);
                if (level < 4) {
                    CHECK_EQ(qy_pt_mark_run(pt, at, level, 2, mark, &missing), QY_MISSING_TABLE);
                    CHECK_EQ(missing, 3);
                    CHECK_EQ(qy_pt_ensure(pt, at, level, &f.tables_from), QY_OK);
                }
                CHECK_EQ(qy_pt_mark_run(pt, at, level, 2, 1ull << 58, NULL), QY_INVALID_ARGUMENT);
                CHECK_EQ(qy_pt_mark_run(pt, at, level, 513, mark, NULL), QY_INVALID_ARGUMENT);
                CHECK_EQ(qy_pt_mark_run(pt, at, 5, 1, mark, NULL), QY_INVALID_ARGUMENT);
                CHECK_EQ(qy_pt_mark_run(pt, vaddr(at.raw + 8), level, 1, mark, NULL),
                         QY_INVALID_ADDRESS);
                CHECK_EQ(qy_pt_mark_run(pt, at, level, 2, mark, NULL), QY_OK);
                CHECK_EQ(qy_pt_mark_run(pt, at, level, 1, mark, NULL), QY_ALREADY_MAPPED);
                CHECK(!qy_pt_check(pt));

                struct qy_pt_walk walk = qy_pt_walk(pt, vaddr(at.raw + 5));
                CHECK(!walk.leaf && walk.level == level && qy_pt_is_mark(pt->format, walk.entry));
                CHECK_EQ(qy_pt_mark_decode(pt->format, walk.entry), mark);
                CHECK(fixture_sees(&f, at.raw, 0, 1, 0));
                CHECK_EQ(qy_pt_translate(pt, at, NULL, NULL, NULL), QY_NOT_MAPPED);
                CHECK_EQ(qy_pt_region(pt, vaddr(0), &region), QY_NOT_FOUND);

                CHECK_EQ(qy_pt_map_range(pt, at, paddr(0), 0x1000, 3, R | U, &f.tables_from),
                         QY_ALREADY_MAPPED);
                CHECK_EQ(qy_pt_unmap_range(pt, at, 0x1000, NULL, NULL, NULL), QY_NOT_MAPPED);
                CHECK_EQ(qy_pt_protect_range(pt, at, 0x1000, R | U, NULL, NULL), QY_NOT_MAPPED);
                if (level < 4) {
                    CHECK_EQ(qy_pt_map(pt, at, paddr(0), level, R | U, NULL), QY_ALREADY_MAPPED);
                    CHECK_EQ(qy_pt_unmap(pt, at, level, NULL), QY_NOT_MAPPED);
                    CHECK_EQ(qy_pt_protect(pt, at, level, R | U, NULL, NULL), QY_NOT_MAPPED);
                }
                if (level > 1) {
                    CHECK_EQ(qy_pt_map(pt, at, paddr(0), level - 1, R | U, NULL),
                             QY_ALREADY_MAPPED);
                    CHECK_EQ(qy_pt_install(pt, at, fixture_frame(&f), level - 1, true, NULL),
                             QY_ALREADY_MAPPED);
                    CHECK_EQ(qy_pt_ensure(pt, at, level - 1, &f.tables_from), QY_ALREADY_MAPPED);
                }
                if (level < 4) { /* a table with a mark is not empty */
                    paddr_t out;
                    CHECK_EQ(qy_pt_remove(pt, at, level, &out), QY_BUSY);
                }

                uint64_t other = qy_pt_mark_encode(pt->format, mark ^ 3);
                CHECK_EQ(qy_pt_replace_mark(pt, at, level, mark ^ 1, 0), QY_NOT_MAPPED);
                CHECK_EQ(qy_pt_replace_mark(pt, at, level, mark, other), QY_OK);
                CHECK_EQ(qy_pt_replace_mark(pt, at, level, mark, 0), QY_NOT_MAPPED);
                if (level < 4) {
                    CHECK_EQ(qy_pt_replace_mark(pt, at, level, mark ^ 3, page), QY_OK);
                    CHECK(fixture_sees(&f, at.raw, GIB, level, R | U));
                    CHECK_EQ(qy_pt_replace_mark(pt, at, level, mark ^ 3, 0), QY_NOT_MAPPED);
                }
                CHECK(!qy_pt_check(pt));
                walk = qy_pt_walk(pt, at);
                atomic_store(qy_pt_slot(walk.table, walk.index), other & ~(1ull << 45));
                CHECK(qy_pt_check(pt) && strcmp(qy_pt_check(pt), "PT-EMPTY") == 0);
                fixture_destroy(&f);
            }
}

/* Every pair of flags, with each state of ACCESSED and DIRTY, and other frames: the rule as it is said in qy/pt.h. */
static void changes_are_classified(void)
{
    for (size_t k = 0; k < PT_FORMATS; k++)
        for (unsigned level = 1; level <= 3; level++) {
            const struct qy_pt_format *format = pt_formats[k].format;
            const uint64_t accessed = format->flags[QY_PT_BIT_ACCESSED].value,
                           dirty = format->flags[QY_PT_BIT_DIRTY].value;
            uint64_t mark = qy_pt_mark_encode(format, 77);
            unsigned kinds[4] = {0};
            for (unsigned a = 0; a < 128 * 4; a++) {
                if (!qy_pt_supports(format, a & 127, level))
                    continue;
                uint64_t old =
                    qy_pt_encode(format, paddr(2 * GIB), level, a & 127) & ~(accessed | dirty);
                old |= (a & 128 ? accessed : 0) | (a & 256 ? dirty : 0);
                for (unsigned b = 0; b < 128 * 4; b++) {
                    if (!qy_pt_supports(format, b & 127, level))
                        continue;
                    uint64_t new =
                        qy_pt_encode(format, paddr(2 * GIB), level, b & 127) & ~(accessed | dirty);
                    new |= (b & 128 ? accessed : 0) | (b & 256 ? dirty : 0);
                    const unsigned more = QY_PT_WRITE | QY_PT_EXEC | 128 | 256;
                    enum qy_pt_change want = a == b ? QY_PT_UNCHANGED
                                             : (a & ~more) == (b & ~more) && !(a & ~b)
                                                 ? QY_PT_WIDEN
                                                 : QY_PT_REPLACE;
                    CHECK_EQ(qy_pt_classify(format, old, new, level), want);
                    kinds[want]++;
                }
                CHECK_EQ(qy_pt_classify(format, 0, old, level), QY_PT_FRESH);
                CHECK_EQ(qy_pt_classify(format, mark, old, level), QY_PT_FRESH);
                CHECK_EQ(qy_pt_classify(format, old, 0, level), QY_PT_REPLACE);
                CHECK_EQ(qy_pt_classify(format, old, mark, level), QY_PT_REPLACE);
                uint64_t soft =
                    format->flags[QY_PT_BIT_SOFT_0].value | format->flags[QY_PT_BIT_SOFT_1].value;
                CHECK_EQ(qy_pt_classify(format, old, old | soft, level), QY_PT_UNCHANGED);
                CHECK_EQ(qy_pt_classify(format, old | soft, old, level), QY_PT_UNCHANGED);
                uint64_t beside = qy_pt_encode(format, paddr(3 * GIB), level, a & 127);
                CHECK_EQ(qy_pt_classify(format, old, beside, level), QY_PT_REPLACE);
                if (level > 1) {
                    uint64_t table = 5ull << format->address_shift | format->table_user;
                    CHECK_EQ(qy_pt_classify(format, old, table, level), QY_PT_REPLACE);
                    CHECK_EQ(qy_pt_classify(format, table, old, level), QY_PT_REPLACE);
                    CHECK_EQ(qy_pt_classify(format, table, table, level), QY_PT_UNCHANGED);
                    CHECK_EQ(qy_pt_classify(format, 0, table, level), QY_PT_FRESH);
                    CHECK_EQ(qy_pt_classify(format, table, 0, level), QY_PT_REPLACE);
                }
            }
            CHECK(kinds[QY_PT_UNCHANGED] && kinds[QY_PT_WIDEN] && kinds[QY_PT_REPLACE]);
            CHECK_EQ(qy_pt_classify(format, mark, 0, level), QY_PT_UNCHANGED);
            CHECK_EQ(qy_pt_classify(format, 0, mark, level), QY_PT_UNCHANGED);
        }
}

static void runs_say_their_change(void)
{
    static const struct {
        unsigned from, to;
        enum qy_pt_change change;
    } cases[] = {
        {RW | U, RW | U, QY_PT_UNCHANGED},
        {R | U, RW | U, QY_PT_WIDEN},
        {R | U, RX | U, QY_PT_WIDEN},
        {RW | U, R | U, QY_PT_REPLACE},
        {RW | U, RX | U, QY_PT_REPLACE},
        {RX | U, RW | U, QY_PT_REPLACE},
        {R | U, R | U | QY_PT_SOFT_0, QY_PT_UNCHANGED},
    };
    for (size_t k = 0; k < PT_FORMATS; k++)
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct fixture f;
            enum qy_pt_change change = QY_PT_FRESH;
            fixture_make(&f, &pt_formats[k]);
            CHECK_EQ(qy_pt_map_range(&f.pt, vaddr(0x3000), paddr(0), 0x5000, 1, cases[i].from,
                                     &f.tables_from),
                     QY_OK);
            CHECK_EQ(qy_pt_protect_run(&f.pt, vaddr(0x4000), 1, 3, cases[i].to, NULL, &change),
                     QY_OK);
            CHECK_EQ(change, cases[i].change);
            /* one page of several decides */
            CHECK_EQ(qy_pt_protect_range(&f.pt, vaddr(0x3000), 0x5000, cases[i].to, NULL, &change),
                     QY_OK);
            CHECK_EQ(change, cases[i].change);
            fixture_destroy(&f);
        }
}

static const struct test tests[] = {
    {"marks come back", marks_come_back},
    {"neither mapped nor empty", neither_mapped_nor_empty},
    {"changes are classified", changes_are_classified},
    {"runs say their change", runs_say_their_change},
};
TEST_MAIN(tests)
