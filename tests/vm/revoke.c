/*
 * Revoke in steps: how much one takes, and that everything is valid between two of them.
 *
 * What it would miss: other CPUs at the same time; threads.c and the kernel's races have that.
 */
#include "fixture.h"

static struct vm_fixture f;

#define MIB (1ull << 20)
#define AT 0x40000000ull

/* 512 mappings of one block in one table: 32 of them go by one shootdown. */
static void many_mappings(void)
{
    unsigned missing, steps = 0;
    bool own = false;
    pfn_t block;
    CHECK_EQ(qy_arena_alloc(&f.foreign, 9, QY_FRAME_USER, &block), QY_OK);
    CHECK_EQ(vm_map(&f, 0, AT + 2 * MIB, QY_PAGE_BYTES, RW), QY_OK);
    CHECK_EQ(qy_vm_is_mapped(&f.vm, block), false);
    CHECK_EQ(vm_map(&f, 0, AT, QY_PAGE_BYTES, RW), QY_OK); /* a table of level 1 */
    CHECK_EQ(qy_space_map_block(&f.space[0], AT + QY_PAGE_BYTES, pfn(block.raw + 1), 1, 511, RW,
                                QY_PT_RIGHTS, &missing),
             QY_OK);
    uint64_t before = f.flushes;
    for (bool done = false; !done; steps++) {
        done = qy_vm_revoke_step(&f.vm, block, &own);
        vm_check(&f);
    }
    CHECK(!own);
    CHECK_EQ(f.flushes - before, 511 / QY_REVOKE_BATCH + 1);
    CHECK(steps <= 511 / QY_REVOKE_BATCH + 2);
    CHECK_EQ(qy_arena_free(&f.foreign, block, 9, QY_FRAME_USER), QY_OK);
}

/* A table of level 2 goes from below: one of the tables in it at a time. */
static void tables_below(void)
{
    unsigned missing, steps = 0;
    bool own = false;
    pfn_t table[2];
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(qy_arena_alloc(&f.foreign, 0, QY_FRAME_TABLE, &table[i]), QY_OK);
        CHECK_EQ(
            qy_space_install_table(&f.space[0], AT, 3 - i, table[i], &f.foreign_budget, &missing),
            QY_OK);
    }
    CHECK_EQ(vm_map(&f, 0, AT, 6 * MIB, RW), QY_OK);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(vm_write(&f, 0, AT + i * 2 * MIB, 7), QY_OK);
    while (!qy_vm_revoke_step(&f.vm, table[1], &own)) {
        vm_check(&f);
        steps++;
        for (unsigned i = 0; i < 3; i++)
            CHECK_EQ(vm_read(&f, 0, AT + i * 2 * MIB), i < steps ? -1 : 7);
        CHECK(steps < 16);
    }
    CHECK(steps >= 4);
    (void)qy_vm_revoke(&f.vm, table[0]);
    for (unsigned i = 0; i < 2; i++)
        CHECK_EQ(qy_arena_free(&f.foreign, table[i], 0, QY_FRAME_TABLE), QY_OK);
}

static void each(void (*body)(void))
{
    for (unsigned i = 0; i < sizeof(vm_formats) / sizeof(vm_formats[0]); i++) {
        vm_make(&f, &vm_formats[i], 600);
        vm_open(&f, 0);
        body();
        vm_check(&f);
        vm_done(&f);
    }
}

static void batches(void)
{
    each(many_mappings);
}

static void from_below(void)
{
    each(tables_below);
}

static const struct test tests[] = {
    {"32 mappings of a frame go by one shootdown", batches},
    {"a table is taken away from below, a table at each step", from_below},
};
TEST_MAIN(tests)
