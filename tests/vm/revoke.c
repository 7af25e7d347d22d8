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

/* What revoke leaves of a frame that a capability mapped: the touch says so, the query says so, and it is in nobody's way. */
static void marks_of(unsigned level, unsigned count, bool kept)
{
    uint64_t page_bytes = qy_pt_page_bytes(level), bytes = page_bytes * count;
    unsigned order = (level - 1) * 9 + (unsigned)__builtin_ctz(count), missing;
    struct qy_space *space = &f.space[0];
    struct qy_region region;
    uint8_t *byte;
    pfn_t block, other;
    CHECK_EQ(qy_arena_alloc(&f.foreign, order, QY_FRAME_USER, &block), QY_OK);
    CHECK_EQ(qy_space_map_block(space, AT, block, level, count, RW, RW, &missing), QY_OK);
    CHECK_EQ(vm_write(&f, 0, AT + bytes - 1, 3), QY_OK);
    if (kept)
        CHECK_EQ(qy_space_protect_region(space, AT, QY_PAGE_BYTES, 0), QY_OK);
    uint64_t flushes = f.flushes;
    CHECK_EQ(qy_space_revoke_frame(space, AT, bytes, pfn(block.raw + 1)), QY_NOT_MAPPED);
    CHECK_EQ(qy_space_revoke_frame(space, AT, bytes, block), QY_OK);
    if (!kept)
        CHECK_EQ(f.flushes - flushes, (count + QY_REVOKE_BATCH - 1) / QY_REVOKE_BATCH);
    vm_check(&f);
    CHECK(!qy_vm_is_mapped(&f.vm, block));
    CHECK_EQ(qy_arena_free(&f.foreign, block, order, QY_FRAME_USER), QY_OK);
    for (uint64_t at = AT; at < AT + bytes; at += bytes / 2)
        CHECK_EQ(vm_touch(&f, 0, at, QY_ACCESS_READ, &byte), QY_REVOKED);
    CHECK_EQ(qy_space_query(space, AT, &region), QY_OK);
    CHECK_EQ(region.mark.kind, QY_MARK_REVOKED);
    CHECK_EQ(region.start, AT);
    CHECK(kept || region.end == AT + bytes);
    CHECK_EQ(qy_space_revoke_frame(space, AT, bytes, block), QY_NOT_MAPPED);
    /* Something else in its place; and out of the way. */
    CHECK_EQ(qy_arena_alloc(&f.foreign, order, QY_FRAME_USER, &other), QY_OK);
    enum qy_error error = qy_space_map_block(space, AT, other, level, count, RW, RW, &missing);
    CHECK(error == QY_OK || (kept && level > 1 && error == QY_ALREADY_MAPPED)); /* it was split */
    CHECK_EQ(qy_space_unmap_region(space, AT, bytes), QY_OK);
    CHECK_EQ(vm_touch(&f, 0, AT, QY_ACCESS_READ, &byte), QY_NOT_MAPPED);
    CHECK_EQ(qy_arena_free(&f.foreign, other, order, QY_FRAME_USER), QY_OK);
}

static void marks_body(void)
{
    CHECK_EQ(vm_map(&f, 0, AT + 4 * MIB, QY_PAGE_BYTES, RW), QY_OK); /* tables down to 2 MiB */
    marks_of(2, 1, false);
    marks_of(2, 1, true);
    CHECK_EQ(vm_map(&f, 0, AT + MIB, QY_PAGE_BYTES, RW), QY_OK); /* and below */
    for (unsigned kept = 0; kept < 2; kept++) {
        marks_of(1, 2, kept);
        marks_of(1, 64, kept);
    }
}

/* In a clone of the table the mapping is another's, and stays. */
static void clones_keep_body(void)
{
    unsigned missing;
    uint8_t *byte;
    pfn_t frame;
    CHECK_EQ(qy_arena_alloc(&f.foreign, 0, QY_FRAME_USER, &frame), QY_OK);
    CHECK_EQ(vm_map(&f, 0, AT + MIB, QY_PAGE_BYTES, RW), QY_OK);
    CHECK_EQ(qy_space_map_frame(&f.space[0], AT, frame, 1, RW, RW, false, &missing), QY_OK);
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], AT, AT + 2 * MIB), QY_OK);
    CHECK_EQ(qy_space_revoke_frame(&f.space[0], AT, QY_PAGE_BYTES, frame), QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_touch(&f, 0, AT, QY_ACCESS_READ, &byte), QY_REVOKED);
    CHECK_EQ(vm_touch(&f, 1, AT, QY_ACCESS_WRITE, &byte), QY_OK);
    CHECK(!qy_vm_revoke(&f.vm, frame));
    CHECK_EQ(vm_touch(&f, 1, AT, QY_ACCESS_READ, &byte), QY_REVOKED);
    CHECK_EQ(qy_arena_free(&f.foreign, frame, 0, QY_FRAME_USER), QY_OK);
}

/* Tables that their owner installed go when there are but marks in them. */
static void spent_tables_body(void)
{
    unsigned missing;
    pfn_t table[3], frame;
    struct qy_space *space = &f.space[0];
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(qy_arena_alloc(&f.foreign, 0, QY_FRAME_TABLE, &table[i]), QY_OK);
        CHECK_EQ(qy_space_install_table(space, AT, 3 - i, table[i], &f.foreign_budget, &missing),
                 QY_OK);
    }
    CHECK_EQ(qy_arena_alloc(&f.foreign, 0, QY_FRAME_USER, &frame), QY_OK);
    CHECK_EQ(qy_space_map_frame(space, AT, frame, 1, RW, RW, false, &missing), QY_OK);
    CHECK_EQ(qy_space_remove_table(space, AT, 1), QY_BUSY);
    CHECK_EQ(qy_space_revoke_frame(space, AT, QY_PAGE_BYTES, frame), QY_OK);
    CHECK_EQ(qy_arena_free(&f.foreign, frame, 0, QY_FRAME_USER), QY_OK);
    for (unsigned i = 3; i-- > 0;) {
        CHECK_EQ(qy_space_remove_table(space, AT, 3 - i), QY_OK);
        vm_check(&f);
        CHECK(qy_vm_reclaim(&f.vm));
        const uint64_t *words = qy_port_ram(pfn_to_paddr(table[i]));
        for (unsigned n = 0; n < QY_PT_ENTRIES; n++)
            CHECK_EQ(words[n], 0);
        CHECK_EQ(qy_arena_free(&f.foreign, table[i], 0, QY_FRAME_TABLE), QY_OK);
    }
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

static void marks(void)
{
    each(marks_body);
}

static void clones_keep(void)
{
    each(clones_keep_body);
}

static void spent_tables(void)
{
    each(spent_tables_body);
}

static const struct test tests[] = {
    {"a frame that was mapped and revoked is called so", marks},
    {"a clone's mapping of it is its own", clones_keep},
    {"marks are not in the way of their tables", spent_tables},
    {"32 mappings of a frame go by one shootdown", batches},
    {"a table is taken away from below, a table at each step", from_below},
};
TEST_MAIN(tests)
