/*
 * A fault is one walk: the core goes down from the root once, and once in the tree of an object whose page is touched.
 *
 * The core is compiled to tell of each entry of a table that it reads on its way down (qy_walk_step): a descent begins at the
 * root. Every row is exact, so one that begins with a look, or that looks again, is found; so is a walk that reads an entry
 * twice. What another CPU changes meanwhile may take further looks: it is not counted here.
 */
#include "fixture.h"

static struct vm_fixture f;
static struct qy_object object;

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)
#define AT 0x40000000ull
#define PAGE(n) ((n)*QY_PAGE_BYTES)

void qy_walk_step(paddr_t root, unsigned level);

static struct walked {
    paddr_t root;
    unsigned descents, steps;
} trees[3]; /* of space 0, of the object, of anything else */

void qy_walk_step(paddr_t root, unsigned level)
{
    unsigned i = 0;
    while (i < 2 && trees[i].root.raw != root.raw)
        i++;
    trees[i].descents += level == QY_PT_LEVELS;
    trees[i].steps++;
}

/* One fault: descents and entries read, in the space and in the object. */
static void expect(const char *what, uint64_t address, enum qy_access access, unsigned descents,
                   unsigned steps, unsigned object_descents, unsigned object_steps)
{
    struct qy_fault fault;
    memset(trees, 0, sizeof(trees));
    trees[0].root = f.space[0].root;
    trees[1].root = object.tree.root;
    CHECK_EQ(qy_space_fault(&f.space[0], address, access, &fault), QY_OK);
    bool same = trees[0].descents == descents && trees[0].steps == steps &&
                trees[1].descents == object_descents && trees[1].steps == object_steps &&
                trees[2].steps == 0;
    if (!same)
        printf("# %s: %u descents of %u entries, %u of %u in the object, %u elsewhere\n", what,
               trees[0].descents, trees[0].steps, trees[1].descents, trees[1].steps,
               trees[2].steps);
    CHECK(same);
    vm_check(&f);
}

static void begin(unsigned kind)
{
    vm_make(&f, &vm_formats[kind], 1200);
    vm_open(&f, 0);
    vm_open(&f, 1);
    CHECK_EQ(qy_object_init(&object, &f.vm, &f.budget[3], 1ull << 30), QY_OK);
}

static void end(void)
{
    while (qy_object_destroy_step(&object) == QY_BUSY)
        continue;
    vm_done(&f);
}

static void zeroes(void)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        begin(kind);
        CHECK_EQ(vm_map(&f, 0, TIB, TIB, RW), QY_OK);
        expect("512 GiB", TIB + 5, QY_ACCESS_READ, 1, 1, 0, 0);
        expect("a page beside it", TIB + PAGE(1), QY_ACCESS_WRITE, 1, 4, 0, 0);
        expect("2 MiB", TIB + 2 * MIB, QY_ACCESS_WRITE, 1, 3, 0, 0);
        expect("1 GiB", TIB + GIB, QY_ACCESS_WRITE, 1, 2, 0, 0);
        expect("a page that is there", TIB + PAGE(1), QY_ACCESS_READ, 1, 4, 0, 0);
        CHECK_EQ(qy_space_protect_region(&f.space[0], TIB + PAGE(1), PAGE(1), RX), QY_OK);
        expect("rights that were kept back", TIB + PAGE(1), QY_ACCESS_EXEC, 1, 4, 0, 0);
        pfn_t frame;
        unsigned missing;
        CHECK_EQ(qy_arena_alloc(&f.foreign, 0, QY_FRAME_USER, &frame), QY_OK);
        CHECK_EQ(qy_space_unmap_region(&f.space[0], TIB + PAGE(2), PAGE(1)), QY_OK);
        CHECK_EQ(qy_space_map_frame(&f.space[0], TIB + PAGE(2), frame, 1, RW, RW | QY_PT_EXEC,
                                    false, &missing),
                 QY_OK);
        CHECK_EQ(qy_space_protect_region(&f.space[0], TIB + PAGE(2), PAGE(1), RX), QY_OK);
        expect("of a frame of its owner's", TIB + PAGE(2), QY_ACCESS_EXEC, 1, 4, 0, 0);
        CHECK(!qy_vm_revoke(&f.vm, frame));
        CHECK_EQ(qy_arena_free(&f.foreign, frame, 0, QY_FRAME_USER), QY_OK);
        end();
    }
}

static void copies(void)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        begin(kind);
        CHECK_EQ(vm_map(&f, 0, AT, 2 * MIB, RW), QY_OK);
        for (unsigned i = 0; i < 4; i++)
            CHECK_EQ(vm_write(&f, 0, AT + PAGE(i), 1), QY_OK);
        CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], AT, AT + 2 * MIB), QY_OK);
        expect("the table is shared, too: looked at, copied, looked at", AT, QY_ACCESS_WRITE, 3,
               4 + 3 + 4, 0, 0);
        expect("a copy", AT + PAGE(1), QY_ACCESS_WRITE, 1, 4, 0, 0);
        vm_close(&f, 1);
        expect("nobody else has it", AT + PAGE(2), QY_ACCESS_WRITE, 1, 4, 0, 0);
        end();
    }
}

static void map(uint64_t address, uint64_t bytes, uint64_t first, bool shared)
{
    struct qy_mark mark = {.kind = QY_MARK_OBJECT,
                           .region = QY_REGION_MAPPED,
                           .rights = RW,
                           .max = QY_PT_RIGHTS,
                           .shared = shared,
                           .offset = first};
    CHECK_EQ(qy_space_bind(&f.space[0], &object, VM_OBJECT, &mark.binding), QY_OK);
    CHECK_EQ(qy_space_map_region(&f.space[0], &address, bytes, &mark), QY_OK);
}

static void objects(void)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        begin(kind);
        map(TIB, GIB, 0, true);
        map(TIB + 2 * GIB, GIB, 0, false);
        expect("no tables, no page", TIB + PAGE(7), QY_ACCESS_READ, 1, 2, 1, 1);
        expect("no page", TIB + PAGE(8), QY_ACCESS_WRITE, 1, 4, 1, 4);
        expect("neither table nor page", TIB + 2 * MIB, QY_ACCESS_WRITE, 1, 3, 1, 3);
        expect("private, no tables, to be read", TIB + 2 * GIB + PAGE(7), QY_ACCESS_READ, 1, 2, 1,
               4);
        expect("private, to be written", TIB + 2 * GIB + PAGE(8), QY_ACCESS_WRITE, 1, 4, 1, 4);
        expect("private, written after it was read", TIB + 2 * GIB + PAGE(7), QY_ACCESS_WRITE, 1, 4,
               0, 0);
        expect("private, no page", TIB + 2 * GIB + PAGE(9), QY_ACCESS_WRITE, 1, 4, 1, 4);
        CHECK_EQ(vm_write(&f, 0, TIB + PAGE(9) + 1, 5), QY_OK);
        CHECK_EQ(vm_read(&f, 0, TIB + 2 * GIB + PAGE(9) + 1), 0);
        CHECK(qy_object_check(&object) == NULL);
        end();
    }
}

static const struct test tests[] = {
    {"pages of zeroes", zeroes},
    {"copies on write", copies},
    {"pages of objects", objects},
};
TEST_MAIN(tests)
