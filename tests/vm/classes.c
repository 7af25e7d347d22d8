/*
 * Writable here, executable there: of the pages of one block each has a class of its own (WXOR), in every space.
 *
 * Over both formats; validators after each step, and one that is shown a broken entry. Missed without these: a class kept for
 * a whole block refuses what no page forbids, and one that forgets its aliases allows what some page does.
 */
#include "fixture.h"

static struct vm_fixture f;

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define AT 0x40000000ull
#define FIRST 300u /* the page that differs */

static pfn_t block;

static uint64_t page(unsigned i)
{
    return AT + i * QY_PAGE_BYTES;
}

static void begin(unsigned kind, unsigned order)
{
    vm_make(&f, &vm_formats[kind], 1200);
    for (unsigned n = 0; n < 3; n++) {
        vm_open(&f, n);
        CHECK_EQ(vm_map(&f, n, AT + 4 * MIB, 4096, RW), QY_OK); /* tables over AT */
    }
    CHECK_EQ(qy_arena_alloc(&f.foreign, order, QY_FRAME_USER, &block), QY_OK);
}

static void end(unsigned order)
{
    vm_check(&f);
    CHECK(!qy_vm_revoke(&f.vm, block));
    CHECK_EQ(qy_arena_free(&f.foreign, block, order, QY_FRAME_USER), QY_OK);
    vm_done(&f);
}

static enum qy_error map(unsigned n, unsigned level, unsigned count, unsigned rights)
{
    unsigned missing = 0;
    enum qy_error error =
        qy_space_map_block(&f.space[n], AT, block, level, count, rights, QY_PT_RIGHTS, &missing);
    vm_check(&f);
    return error;
}

static enum qy_error protect(unsigned n, unsigned i, unsigned count, unsigned rights)
{
    enum qy_error error =
        qy_space_protect_region(&f.space[n], page(i), count * QY_PAGE_BYTES, rights);
    vm_check(&f);
    return error;
}

static enum qy_error touch(unsigned n, unsigned i, enum qy_access access)
{
    uint8_t *at;
    enum qy_error error = vm_touch(&f, n, page(i), access, &at);
    vm_check(&f);
    return error;
}

/* Page FIRST of a writable large page becomes executable; aliases of each page get what that page allows. */
static void split(void)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        begin(kind, 9);
        CHECK_EQ(map(0, 2, 1, RW), QY_OK);
        CHECK_EQ(map(1, 2, 1, RX), QY_INVALID_FLAGS);
        CHECK_EQ(map(1, 2, 1, RO), QY_OK);
        CHECK_EQ(touch(0, FIRST, QY_ACCESS_WRITE), QY_OK);
        CHECK_EQ(protect(0, FIRST, 1, RX), QY_OK);
        CHECK_EQ(touch(0, FIRST, QY_ACCESS_EXEC), QY_OK);
        CHECK_EQ(touch(0, FIRST, QY_ACCESS_WRITE), QY_NO_RIGHTS);
        CHECK_EQ(touch(0, FIRST - 1, QY_ACCESS_WRITE), QY_OK);
        CHECK_EQ(touch(0, FIRST + 1, QY_ACCESS_WRITE), QY_OK);
        CHECK_EQ(touch(0, FIRST - 1, QY_ACCESS_EXEC), QY_NO_RIGHTS);
        /* Another space: all of it neither writable nor executable, its pages what they are here. */
        CHECK_EQ(map(2, 2, 1, RW), QY_INVALID_FLAGS);
        CHECK_EQ(map(2, 2, 1, RX), QY_INVALID_FLAGS);
        CHECK_EQ(map(2, 2, 1, RO), QY_OK);
        CHECK_EQ(qy_space_unmap_region(&f.space[2], AT, 2 * MIB), QY_OK);
        CHECK_EQ(protect(1, 0, 512, RW), QY_INVALID_FLAGS);
        CHECK_EQ(protect(1, 0, 512, RX), QY_INVALID_FLAGS);
        CHECK_EQ(protect(1, FIRST, 1, RW), QY_INVALID_FLAGS);
        CHECK_EQ(protect(1, FIRST - 1, 2, RX), QY_INVALID_FLAGS);
        CHECK_EQ(protect(1, FIRST, 1, RX), QY_OK);
        CHECK_EQ(touch(1, FIRST, QY_ACCESS_EXEC), QY_OK);
        CHECK_EQ(protect(1, 0, FIRST, RW), QY_OK);
        CHECK_EQ(touch(1, FIRST - 1, QY_ACCESS_WRITE), QY_OK);
        /* Back again, as soon as nobody executes it. */
        CHECK_EQ(protect(0, FIRST, 1, RW), QY_INVALID_FLAGS);
        CHECK_EQ(qy_space_unmap_region(&f.space[1], page(FIRST), QY_PAGE_BYTES), QY_OK);
        CHECK_EQ(protect(0, FIRST, 1, RW), QY_OK);
        CHECK_EQ(touch(0, FIRST, QY_ACCESS_WRITE), QY_OK);
        CHECK_EQ(map(2, 2, 1, RW), QY_OK);
        CHECK_EQ(protect(0, FIRST, 1, RX), QY_INVALID_FLAGS); /* by the large page there */
        end(9);
    }
}

/* A block that is mapped with small pages from the first, and clones of its table. */
static void small_pages(void)
{
    uint8_t *at;
    for (unsigned kind = 0; kind < 2; kind++) {
        begin(kind, 4);
        CHECK_EQ(vm_map(&f, 0, AT + 20 * QY_PAGE_BYTES, QY_PAGE_BYTES, RW), QY_OK);
        CHECK_EQ(vm_write(&f, 0, AT + 20 * QY_PAGE_BYTES, 1), QY_OK);
        CHECK_EQ(map(0, 1, 16, RW), QY_OK);
        CHECK_EQ(protect(0, 3, 2, RX), QY_OK);
        CHECK_EQ(touch(0, 3, QY_ACCESS_EXEC), QY_OK);
        CHECK_EQ(touch(0, 2, QY_ACCESS_WRITE), QY_OK);
        vm_close(&f, 1);
        vm_open(&f, 1);
        CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], AT, AT + 2 * MIB), QY_OK);
        CHECK_EQ(vm_write(&f, 1, AT + 20 * QY_PAGE_BYTES, 2), QY_OK); /* a table of its own */
        vm_check(&f);
        CHECK_EQ(touch(1, 3, QY_ACCESS_EXEC), QY_OK);
        CHECK_EQ(touch(1, 2, QY_ACCESS_WRITE), QY_OK);
        CHECK_EQ(protect(1, 3, 1, RW), QY_INVALID_FLAGS);
        CHECK_EQ(protect(1, 2, 1, RX), QY_INVALID_FLAGS);
        CHECK_EQ(qy_space_unmap_region(&f.space[0], page(2), QY_PAGE_BYTES), QY_OK);
        CHECK_EQ(protect(1, 2, 1, RX), QY_OK);
        CHECK_EQ(vm_touch(&f, 1, page(2), QY_ACCESS_EXEC, &at), QY_OK);
        end(4);
    }
}

/* 1 GiB: one page of it is executable, both levels around it writable. */
static void gigabyte(void)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        unsigned missing;
        uint8_t *at;
        const uint64_t there = GIB + 14 * MIB + 9 * QY_PAGE_BYTES;
        vm_make_frames(&f, &vm_formats[kind], 600, 3ull << 18);
        for (unsigned n = 0; n < 2; n++) {
            vm_open(&f, n);
            CHECK_EQ(vm_map(&f, n, 4 * GIB, 4096, RW), QY_OK);
        }
        CHECK_EQ(qy_arena_alloc(&f.root, 18, QY_FRAME_USER, &block), QY_OK);
        CHECK_EQ(
            qy_space_map_frame(&f.space[0], GIB, block, 3, RW, RW | QY_PT_EXEC, false, &missing),
            QY_OK);
        CHECK_EQ(qy_space_protect_region(&f.space[0], there, QY_PAGE_BYTES, RX), QY_OK);
        vm_check(&f);
        CHECK_EQ(vm_touch(&f, 0, there, QY_ACCESS_EXEC, &at), QY_OK);
        CHECK_EQ(vm_write(&f, 0, there + QY_PAGE_BYTES, 1), QY_OK);
        CHECK_EQ(vm_write(&f, 0, GIB + 16 * MIB, 1), QY_OK);
        vm_check(&f);
        CHECK_EQ(qy_space_map_frame(&f.space[1], GIB, block, 3, RW, RW, false, &missing),
                 QY_INVALID_FLAGS);
        CHECK_EQ(qy_space_map_frame(&f.space[1], GIB, block, 3, RO, RW, false, &missing), QY_OK);
        CHECK_EQ(qy_space_protect_region(&f.space[1], GIB + 14 * MIB, 2 * MIB, RW),
                 QY_INVALID_FLAGS);
        CHECK_EQ(qy_space_protect_region(&f.space[1], GIB + 16 * MIB, 2 * MIB, RW), QY_OK);
        vm_check(&f);
        CHECK(!qy_vm_revoke(&f.vm, block));
        CHECK_EQ(qy_arena_free(&f.root, block, 18, QY_FRAME_USER), QY_OK);
        vm_done(&f);
    }
}

/* The slot of a page of space n. */
static _Atomic uint64_t *slot_of(unsigned n, unsigned i)
{
    struct qy_pt pt = {f.kind->format, f.space[n].root};
    struct qy_pt_walk walk = qy_pt_walk(&pt, vaddr(page(i)));
    return qy_pt_slot(walk.table, walk.index);
}

/* The validator finds a page that has become writable behind its back where another executes it. */
static void validator(void)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        begin(kind, 9);
        CHECK_EQ(map(0, 2, 1, RW), QY_OK);
        CHECK_EQ(map(1, 2, 1, RO), QY_OK);
        CHECK_EQ(protect(0, FIRST, 1, RX), QY_OK);
        CHECK_EQ(touch(0, FIRST, QY_ACCESS_EXEC), QY_OK);
        CHECK_EQ(protect(1, FIRST - 1, 2, RO), QY_OK);
        for (unsigned i = FIRST - 1; i <= FIRST; i++) {
            _Atomic uint64_t *slot = slot_of(1, i);
            uint64_t entry = *slot;
            *slot = entry | f.kind->format->flags[QY_PT_BIT_WRITE].value;
            const char *broken = qy_space_check(&f.space[1]);
            CHECK(broken && strcmp(broken, "WXOR") == 0);
            *slot = entry;
        }
        end(9);
    }
}

static const struct test tests[] = {
    {"a page of a large page is executable, the others writable", split},
    {"pages of a block mapped one by one, and of its clones", small_pages},
    {"a page of a gigabyte is executable", gigabyte},
    {"the validator sees a writable alias of what is executable", validator},
};
TEST_MAIN(tests)
