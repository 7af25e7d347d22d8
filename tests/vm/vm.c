/*
 * Address spaces, one behaviour a test, over both entry formats and a TLB that forgets nothing by itself.
 *
 * The model (model.c) tries everything in any order; here each promise of qy/vm.h is written down once.
 */
#include "fixture.h"

static struct vm_fixture f;

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)
#define AT 0x40000000ull

static void each(void (*body)(void), uint64_t pages)
{
    for (unsigned i = 0; i < sizeof(vm_formats) / sizeof(vm_formats[0]); i++) {
        vm_make(&f, &vm_formats[i], pages);
        vm_open(&f, 0);
        body();
        vm_check(&f);
        vm_done(&f);
    }
}

static void zero_fill_body(void)
{
    CHECK_EQ(vm_map(&f, 0, AT, 16 * QY_PAGE_BYTES, RW), QY_OK);
    vm_check(&f);
    for (unsigned i = 0; i < 16; i++) {
        uint64_t page = AT + i * QY_PAGE_BYTES;
        CHECK_EQ(vm_read(&f, 0, page + 4095), 0);
        CHECK_EQ(vm_write(&f, 0, page, (uint8_t)(i + 1)), QY_OK);
        vm_check(&f);
    }
    for (unsigned i = 0; i < 16; i++)
        CHECK_EQ(vm_read(&f, 0, AT + i * QY_PAGE_BYTES), (int)i + 1);
    uint8_t *at;
    CHECK_EQ(vm_touch(&f, 0, AT + 16 * QY_PAGE_BYTES, QY_ACCESS_READ, &at), QY_NOT_MAPPED);
    CHECK_EQ(vm_touch(&f, 0, AT, QY_ACCESS_EXEC, &at), QY_NO_RIGHTS);
    CHECK_EQ(vm_touch(&f, 0, 0, QY_ACCESS_READ, &at), QY_NOT_MAPPED);
    struct qy_fault fault;
    CHECK_EQ(qy_space_fault(&f.space[0], QY_USER_END, QY_ACCESS_READ, &fault), QY_INVALID_ADDRESS);
    struct qy_space_stats stats;
    qy_space_stats(&f.space[0], &stats);
    CHECK_EQ(stats.resident, 16);
    CHECK_EQ(stats.private_pages, 16);
    CHECK_EQ(stats.tables, 4);
}

static void zero_fill(void)
{
    each(zero_fill_body, 600);
}

static void unmapping_body(void)
{
    CHECK_EQ(vm_map(&f, 0, AT, 4 * MIB, RW), QY_OK);
    for (uint64_t at = AT; at < AT + 4 * MIB; at += 64 * QY_PAGE_BYTES)
        CHECK_EQ(vm_write(&f, 0, at, 7), QY_OK);
    /* Half of one table, a hole. */
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT + MIB, 2 * MIB), QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_read(&f, 0, AT + MIB), -1);
    CHECK_EQ(vm_read(&f, 0, AT), 7);
    CHECK_EQ(vm_read(&f, 0, AT + 3 * MIB), 7);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT + MIB, 2 * MIB), QY_NOT_MAPPED);
    CHECK_EQ(vm_map(&f, 0, AT + MIB - QY_PAGE_BYTES, MIB, RW), QY_ALREADY_MAPPED);
    CHECK_EQ(vm_map(&f, 0, AT + MIB, 2 * MIB, RW), QY_OK);
    CHECK_EQ(vm_read(&f, 0, AT + MIB), 0);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, 4 * MIB), QY_OK);
    struct qy_space_stats stats;
    qy_space_stats(&f.space[0], &stats);
    CHECK_EQ(stats.tables, 1);
    CHECK_EQ(stats.resident, 0);
}

static void unmapping(void)
{
    each(unmapping_body, 600);
}

static void addresses_body(void)
{
    static const struct {
        uint64_t address, bytes;
    } bad[] = {{0, 0},
               {AT, 0},
               {AT + 1, 4096},
               {AT, 4095},
               {QY_USER_END, 4096},
               {QY_USER_END - 4096, 8192},
               {0x800000000000ull, 4096},
               {~0ull << 47, 4096},
               {AT, 1ull << 63},
               {~0ull - 4095, 4096}};
    for (unsigned i = 1; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQ(vm_map(&f, 0, bad[i].address, bad[i].bytes, RW), QY_INVALID_ADDRESS);
        CHECK_EQ(qy_space_unmap_region(&f.space[0], bad[i].address, bad[i].bytes),
                 QY_INVALID_ADDRESS);
        CHECK_EQ(qy_space_protect_region(&f.space[0], bad[i].address, bad[i].bytes, RO),
                 QY_INVALID_ADDRESS);
    }
    CHECK_EQ(qy_space_unmap_region(&f.space[0], 0, 8192), QY_INVALID_ADDRESS);
    CHECK_EQ(vm_map(&f, 0, AT, 4096, RW | QY_PT_EXEC), QY_INVALID_FLAGS);
    CHECK_EQ(vm_map(&f, 0, AT, 4096, QY_PT_WRITE), QY_INVALID_FLAGS);
    uint64_t at = 0;
    struct qy_mark mark = vm_anon(RW);
    CHECK_EQ(qy_space_map_region(&f.space[0], &at, 3 * QY_PAGE_BYTES, &mark), QY_OK);
    CHECK(at != 0);
    uint64_t other = 0;
    CHECK_EQ(qy_space_map_region(&f.space[0], &other, 3 * MIB, &mark), QY_OK);
    CHECK(other >= at + 3 * QY_PAGE_BYTES || other + 3 * MIB <= at);
    /* The last page of the user half. */
    CHECK_EQ(vm_map(&f, 0, QY_USER_END - 4096, 4096, RW), QY_OK);
    CHECK_EQ(vm_write(&f, 0, QY_USER_END - 1, 9), QY_OK);
    CHECK_EQ(vm_map(&f, 0, 4096, 4096, RW), QY_OK);
    CHECK_EQ(vm_write(&f, 0, 4096, 9), QY_OK);
}

static void addresses(void)
{
    each(addresses_body, 600);
}

static void protection_body(void)
{
    uint8_t *at;
    CHECK_EQ(vm_map(&f, 0, AT, 8 * QY_PAGE_BYTES, RW), QY_OK);
    CHECK_EQ(vm_write(&f, 0, AT, 5), QY_OK);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, 4 * QY_PAGE_BYTES, RO), QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_write(&f, 0, AT, 6), QY_NO_RIGHTS);
    CHECK_EQ(vm_write(&f, 0, AT + QY_PAGE_BYTES, 6), QY_NO_RIGHTS);
    CHECK_EQ(vm_read(&f, 0, AT), 5);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, QY_PAGE_BYTES, RX), QY_OK);
    CHECK_EQ(vm_touch(&f, 0, AT, QY_ACCESS_EXEC, &at), QY_OK);
    CHECK_EQ(*at, 5);
    vm_check(&f);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, QY_PAGE_BYTES, RW), QY_OK);
    CHECK_EQ(vm_touch(&f, 0, AT, QY_ACCESS_EXEC, &at), QY_NO_RIGHTS);
    CHECK_EQ(vm_write(&f, 0, AT, 8), QY_OK);
    vm_check(&f);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, QY_PAGE_BYTES, 0), QY_OK);
    CHECK_EQ(vm_touch(&f, 0, AT, QY_ACCESS_READ, &at), QY_NO_RIGHTS);
    vm_check(&f);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, QY_PAGE_BYTES, RW), QY_OK);
    CHECK_EQ(vm_read(&f, 0, AT), 8);
    /* Across a hole nothing changes. */
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, 9 * QY_PAGE_BYTES, RX), QY_NOT_MAPPED);
    CHECK_EQ(vm_write(&f, 0, AT, 9), QY_OK);
    struct qy_mark mark = {.kind = QY_MARK_ANON, .rights = RO, .max = RO};
    uint64_t there = AT + GIB;
    CHECK_EQ(qy_space_map_region(&f.space[0], &there, 4096, &mark), QY_OK);
    CHECK_EQ(qy_space_protect_region(&f.space[0], there, 4096, RW), QY_NO_RIGHTS);
}

static void protection(void)
{
    each(protection_body, 600);
}

static void huge_body(void)
{
    CHECK_EQ(vm_map(&f, 0, TIB, TIB, RW), QY_OK);
    struct qy_space_stats stats;
    qy_space_stats(&f.space[0], &stats);
    CHECK_EQ(stats.tables, 1);
    CHECK_EQ(vm_write(&f, 0, TIB + 777 * GIB + 5, 42), QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_read(&f, 0, TIB + 777 * GIB + 5), 42);
    CHECK_EQ(qy_space_protect_region(&f.space[0], TIB + 100 * QY_PAGE_BYTES, 900 * GIB, RO), QY_OK);
    vm_check(&f);
    struct qy_region region;
    CHECK_EQ(qy_space_query(&f.space[0], 5, &region), QY_OK);
    CHECK_EQ(region.start, TIB);
    CHECK_EQ(region.end, TIB + 100 * QY_PAGE_BYTES);
    CHECK_EQ(qy_space_query(&f.space[0], region.end, &region), QY_OK);
    CHECK_EQ(region.end, TIB + 100 * QY_PAGE_BYTES + 900 * GIB);
    CHECK_EQ(region.mark.rights, RO);
    CHECK_EQ(vm_write(&f, 0, TIB + 777 * GIB + 5, 43), QY_NO_RIGHTS);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], TIB, TIB), QY_OK);
    qy_space_stats(&f.space[0], &stats);
    CHECK_EQ(stats.tables, 1);
}

static void huge(void)
{
    each(huge_body, 600);
}

static void cow_body(void)
{
    CHECK_EQ(vm_map(&f, 0, AT, 2 * MIB + 64 * QY_PAGE_BYTES, RW), QY_OK);
    for (unsigned i = 0; i < 20; i++)
        CHECK_EQ(vm_write(&f, 0, AT + i * 27 * QY_PAGE_BYTES, (uint8_t)(i + 1)), QY_OK);
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], QY_PAGE_BYTES, QY_USER_END), QY_OK);
    vm_check(&f);
    struct qy_space_stats stats;
    qy_space_stats(&f.space[1], &stats);
    CHECK_EQ(stats.shared_tables, 2);
    CHECK_EQ(stats.resident, 20);
    for (unsigned i = 0; i < 20; i++)
        CHECK_EQ(vm_read(&f, 1, AT + i * 27 * QY_PAGE_BYTES), (int)i + 1);
    CHECK_EQ(vm_write(&f, 1, AT, 99), QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_read(&f, 0, AT), 1);
    CHECK_EQ(vm_write(&f, 0, AT + 27 * QY_PAGE_BYTES, 98), QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_read(&f, 1, AT + 27 * QY_PAGE_BYTES), 2);
    /* The last sharer writes in place. */
    uint64_t pages = qy_arena_pages(&f.arena[0], QY_FRAME_USER);
    CHECK_EQ(vm_write(&f, 0, AT, 97), QY_OK);
    CHECK_EQ(qy_arena_pages(&f.arena[0], QY_FRAME_USER), pages);
    CHECK_EQ(vm_read(&f, 1, AT), 99);
    vm_check(&f);
    /* The parent goes first; its frames stay while they are shared. */
    vm_close(&f, 0);
    vm_check(&f);
    for (unsigned i = 2; i < 20; i++)
        CHECK_EQ(vm_read(&f, 1, AT + i * 27 * QY_PAGE_BYTES), (int)i + 1);
    uint64_t cursor = QY_PAGE_BYTES;
    while (cursor < QY_USER_END) {
        CHECK_EQ(qy_space_settle_step(&f.space[1], &cursor), QY_OK);
        vm_check(&f);
    }
    qy_irq_is_off();
    CHECK(qy_vm_reclaim(&f.vm));
    qy_heap_reclaim(&f.heap[0]);
    qy_frame_reclaim(&f.arena[0]);
    CHECK_EQ(qy_arena_pages(&f.arena[0], QY_FRAME_FREE), f.arena[0].total_pages);
    for (unsigned i = 2; i < 20; i++)
        CHECK_EQ(vm_read(&f, 1, AT + i * 27 * QY_PAGE_BYTES), (int)i + 1);
}

static void cow(void)
{
    each(cow_body, 600);
}

static void revoke_body(void)
{
    unsigned missing = 0;
    pfn_t frame;
    CHECK_EQ(qy_arena_alloc(&f.foreign, 0, QY_FRAME_USER, &frame), QY_OK);
    memset(qy_port_ram(pfn_to_paddr(frame)), 0, QY_PAGE_BYTES);
    struct qy_space *space = &f.space[0];
    CHECK_EQ(qy_space_map_frame(space, AT, frame, 1, RW, QY_PT_RIGHTS, false, &missing),
             QY_MISSING_TABLE);
    CHECK_EQ(missing, 3);
    CHECK_EQ(vm_map(&f, 0, AT + QY_PAGE_BYTES, 4096, RW), QY_OK);
    CHECK_EQ(qy_space_map_frame(space, AT, frame, 1, RW, QY_PT_RIGHTS, false, &missing), QY_OK);
    CHECK_EQ(qy_space_map_frame(space, AT, frame, 1, RW, QY_PT_RIGHTS, false, &missing),
             QY_ALREADY_MAPPED);
    CHECK_EQ(qy_space_map_frame(space, AT + 8192, frame, 1, RX, QY_PT_RIGHTS, false, &missing),
             QY_INVALID_FLAGS);
    CHECK_EQ(qy_space_map_frame(space, AT + 8192, frame, 1, RO, QY_PT_RIGHTS, false, &missing),
             QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_write(&f, 0, AT, 66), QY_OK);
    CHECK_EQ(vm_read(&f, 0, AT + 8192), 66);
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], space, AT, AT + 2 * MIB), QY_OK);
    CHECK_EQ(vm_read(&f, 1, AT), 66);
    CHECK_EQ(vm_write(&f, 1, AT, 67), QY_OK);
    CHECK_EQ(vm_read(&f, 0, AT), 67);
    vm_check(&f);
    CHECK_EQ(qy_arena_free(&f.foreign, frame, 0, QY_FRAME_USER), QY_BUSY);
    CHECK(!qy_vm_revoke(&f.vm, frame));
    vm_check(&f);
    uint8_t *at;
    for (unsigned n = 0; n < 2; n++) {
        CHECK_EQ(vm_touch(&f, n, AT, QY_ACCESS_READ, &at), QY_REVOKED);
        CHECK_EQ(vm_touch(&f, n, AT + 8192, QY_ACCESS_READ, &at), QY_REVOKED);
    }
    CHECK_EQ(qy_arena_free(&f.foreign, frame, 0, QY_FRAME_USER), QY_OK);
    /* An arena is taken from the one who shares it with its owner. */
    CHECK_EQ(vm_write(&f, 0, AT + QY_PAGE_BYTES, 5), QY_OK);
    uint64_t cursor = 0;
    while (!qy_vm_revoke_arena_step(&f.vm, &f.arena[0], &cursor))
        vm_check(&f);
    CHECK_EQ(vm_read(&f, 0, AT + QY_PAGE_BYTES), -1);
}

static void revoke(void)
{
    each(revoke_body, 600);
}

static void explicit_body(void)
{
    unsigned missing = 0;
    pfn_t table[3], block;
    struct qy_space *space = &f.space[0];
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(qy_arena_alloc(&f.foreign, 0, QY_FRAME_TABLE, &table[i]), QY_OK);
        enum qy_error error =
            qy_space_install_table(space, AT, 1, table[i], &f.foreign_budget, &missing);
        CHECK_EQ(error, QY_MISSING_TABLE);
        CHECK_EQ(missing, 3 - i);
        if (i == 2)
            missing = 1;
        CHECK_EQ(qy_space_install_table(space, AT, 3 - i, table[i], &f.foreign_budget, &missing),
                 QY_OK);
        if (i == 1)
            break;
        vm_check(&f);
    }
    CHECK_EQ(qy_arena_alloc(&f.foreign, 9, QY_FRAME_USER, &block), QY_OK);
    memset(qy_port_ram(pfn_to_paddr(block)), 3, 2 * MIB);
    CHECK_EQ(qy_space_map_frame(space, AT + 4096, block, 2, RW, QY_PT_RIGHTS, false, &missing),
             QY_INVALID_ADDRESS);
    CHECK_EQ(qy_space_map_frame(space, AT, block, 2, RW, QY_PT_RIGHTS, false, &missing), QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_read(&f, 0, AT + MIB), 3);
    CHECK_EQ(qy_space_remove_table(space, AT, 2), QY_BUSY);
    CHECK_EQ(qy_space_unmap_region(space, AT, MIB), QY_OK);
    CHECK_EQ(vm_read(&f, 0, AT + MIB), 3);
    CHECK_EQ(qy_space_unmap_region(space, AT, 2 * MIB), QY_OK);
    CHECK_EQ(vm_read(&f, 0, AT + MIB), -1);
    CHECK_EQ(qy_arena_free(&f.foreign, block, 9, QY_FRAME_USER), QY_OK);
    CHECK_EQ(qy_space_remove_table(space, AT, 2), QY_OK);
    vm_check(&f);
    CHECK(!qy_vm_revoke(&f.vm, table[0]));
    vm_check(&f);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(qy_vm_reclaim(&f.vm));
        CHECK(!qy_table_is_installed(&f.vm, table[i]));
        CHECK_EQ(qy_arena_free(&f.foreign, table[i], 0, QY_FRAME_TABLE), QY_OK);
    }
}

static void explicit_mapping(void)
{
    each(explicit_body, 600);
}

static void growth_body(void)
{
    struct qy_mark guard = {
        .kind = QY_MARK_GUARD, .region = QY_REGION_STACK, .rights = RW, .max = RW, .offset = 3};
    uint64_t top = AT + 2 * MIB, bottom = top - 2 * QY_PAGE_BYTES, at = bottom - QY_PAGE_BYTES;
    struct qy_mark stack = {
        .kind = QY_MARK_ANON, .region = QY_REGION_STACK, .rights = RW, .max = RW};
    CHECK_EQ(qy_space_map_region(&f.space[0], &bottom, 2 * QY_PAGE_BYTES, &stack), QY_OK);
    CHECK_EQ(qy_space_map_region(&f.space[0], &at, QY_PAGE_BYTES, &guard), QY_OK);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(vm_write(&f, 0, at - i * QY_PAGE_BYTES, (uint8_t)(i + 1)), QY_OK);
        vm_check(&f);
    }
    CHECK_EQ(vm_write(&f, 0, at - 3 * QY_PAGE_BYTES, 1), QY_NOT_MAPPED); /* no pages left */
    struct qy_region region;
    CHECK_EQ(qy_space_query(&f.space[0], AT, &region), QY_OK);
    CHECK_EQ(region.mark.kind, QY_MARK_GUARD);
    CHECK_EQ(qy_space_query(&f.space[0], region.end, &region), QY_OK);
    CHECK_EQ(region.end - region.start, 5 * QY_PAGE_BYTES);
    /* A heap grows upwards, until something is there. */
    guard.region = QY_REGION_HEAP;
    at = AT + 4 * MIB;
    CHECK_EQ(qy_space_map_region(&f.space[0], &at, QY_PAGE_BYTES, &guard), QY_OK);
    CHECK_EQ(vm_map(&f, 0, at + 2 * QY_PAGE_BYTES, QY_PAGE_BYTES, RW), QY_OK);
    CHECK_EQ(vm_write(&f, 0, at, 1), QY_OK);
    CHECK_EQ(vm_write(&f, 0, at + QY_PAGE_BYTES, 1), QY_NOT_MAPPED);
}

static void growth(void)
{
    each(growth_body, 600);
}

static void pager_body(void)
{
    unsigned index, missing;
    int thing;
    struct qy_space *space = &f.space[0];
    CHECK_EQ(qy_space_bind(space, &thing, 77, &index), QY_OK);
    struct qy_mark mark = {.kind = QY_MARK_OBJECT,
                           .region = QY_REGION_MAPPED,
                           .rights = RW,
                           .max = RW,
                           .binding = index,
                           .offset = 1000};
    uint64_t at = AT;
    CHECK_EQ(qy_space_map_region(space, &at, GIB, &mark), QY_OK);
    struct qy_fault fault;
    CHECK_EQ(qy_space_fault(space, AT + 5 * MIB, QY_ACCESS_WRITE, &fault), QY_WOULD_WAIT);
    CHECK(fault.binding.object == &thing);
    CHECK_EQ(fault.mark.offset, 1000 + 5 * 256);
    pfn_t frame;
    CHECK_EQ(qy_arena_alloc(&f.foreign, 0, QY_FRAME_USER, &frame), QY_OK);
    memset(qy_port_ram(pfn_to_paddr(frame)), 12, QY_PAGE_BYTES);
    CHECK_EQ(qy_space_map_frame(space, AT + 5 * MIB, frame, 1, RO, RW, true, &missing), QY_OK);
    vm_check(&f);
    CHECK_EQ(vm_read(&f, 0, AT + 5 * MIB), 12);
    struct qy_region region;
    CHECK_EQ(qy_space_query(space, AT + 5 * MIB, &region), QY_OK);
    CHECK_EQ(region.mark.offset, 1000 + 5 * 256);
    CHECK_EQ(region.mark.kind, QY_MARK_OBJECT);
    CHECK(!qy_vm_revoke(&f.vm, frame));
    CHECK_EQ(qy_arena_free(&f.foreign, frame, 0, QY_FRAME_USER), QY_OK);
    qy_space_unbind(space, index);
    CHECK_EQ(qy_space_fault(space, AT, QY_ACCESS_WRITE, &fault), QY_REVOKED);
}

static void pager(void)
{
    each(pager_body, 600);
}

/* A region as a query sees it, and the byte of its first page, or -1: what a failed call must not change. */
static uint64_t digest(unsigned n)
{
    struct qy_region region;
    uint64_t sum = 0, at = 0;
    for (; qy_space_query(&f.space[n], at, &region) == QY_OK && at < QY_USER_END; at = region.end)
        sum = sum * 1000003 + region.start + region.end * 3 + region.mark.kind * 5 +
              region.mark.rights * 7;
    return sum;
}

static unsigned sweep_step(unsigned i)
{
    uint64_t cursor = AT;
    switch (i) {
    case 0:
        return vm_map(&f, 0, AT - MIB, 4 * MIB, RW);
    case 1:
        return vm_write(&f, 0, AT, 1);
    case 2:
        return vm_write(&f, 0, AT - QY_PAGE_BYTES, 2);
    case 3:
        return qy_space_protect_region(&f.space[0], AT + MIB / 2, 2 * MIB, RO);
    case 4:
        return qy_space_clone(&f.space[1], &f.space[0], AT - MIB / 2, AT + MIB);
    case 5:
        return vm_write(&f, 1, AT, 3);
    case 6:
        return qy_space_protect_region(&f.space[1], AT - MIB / 2, MIB, RO);
    case 7:
        return qy_space_unmap_region(&f.space[0], AT + QY_PAGE_BYTES, MIB / 2);
    case 8:
        return vm_map(&f, 1, TIB, 300 * GIB + QY_PAGE_BYTES, RW);
    case 9:
        return vm_write(&f, 1, TIB + 7 * GIB, 4);
    case 10:
        return qy_space_settle_step(&f.space[1], &cursor);
    default:
        return qy_space_unmap_region(&f.space[1], TIB + GIB / 2, 5 * GIB);
    }
}

/* Budgets that end at every page: each step is done, or refused and without a trace; nothing is lost. */
static void budgets_end(void)
{
    unsigned refused = 0, done = 0;
    for (uint64_t pages = 2; pages < 60; pages++) {
        vm_make(&f, &vm_formats[pages % 2], pages);
        for (unsigned n = 0; n < 2; n++)
            f.alive[n] = qy_space_init(&f.space[n], &f.vm, &f.budget[n], true) == QY_OK;
        for (unsigned i = 0; f.alive[0] && f.alive[1] && i < 12; i++) {
            uint64_t before[2] = {digest(0), digest(1)};
            unsigned error = sweep_step(i);
            vm_check(&f);
            refused += error == QY_OUT_OF_MEMORY;
            done += error == QY_OK;
            if (error != QY_OK) {
                CHECK_EQ(digest(0), before[0]);
                CHECK_EQ(digest(1), before[1]);
            }
            if (pages == 59)
                CHECK_EQ(error, QY_OK);
        }
        vm_done(&f);
    }
    printf("# %u done, %u refused\n", done, refused);
    CHECK(refused > 20);
    CHECK(done > 200);
}

/* A page handed down a chain of forks, each generation writing its own; the middle dies first. */
static void fork_tree_body(void)
{
    CHECK_EQ(vm_map(&f, 0, AT, 8 * QY_PAGE_BYTES, RW), QY_OK);
    for (unsigned i = 0; i < 8; i++)
        CHECK_EQ(vm_write(&f, 0, AT + i * QY_PAGE_BYTES, 10), QY_OK);
    for (unsigned n = 1; n < VM_SPACES; n++) {
        vm_open(&f, n);
        CHECK_EQ(qy_space_clone(&f.space[n], &f.space[n - 1], QY_PAGE_BYTES, QY_USER_END), QY_OK);
        CHECK_EQ(vm_write(&f, n, AT + n * QY_PAGE_BYTES, (uint8_t)(10 + n)), QY_OK);
        vm_check(&f);
    }
    vm_close(&f, 1);
    vm_check(&f);
    vm_close(&f, 2);
    vm_check(&f);
    CHECK_EQ(vm_write(&f, 0, AT + 7 * QY_PAGE_BYTES, 99), QY_OK);
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(vm_read(&f, 0, AT + i * QY_PAGE_BYTES), i == 7 ? 99 : 10);
        CHECK_EQ(vm_read(&f, 3, AT + i * QY_PAGE_BYTES), i >= 1 && i <= 3 ? 10 + (int)i : 10);
    }
    /* The arena of the first is taken away: what it still shares with the last becomes `revoked`, never zeroes. */
    uint64_t cursor = 0;
    while (!qy_vm_revoke_arena_step(&f.vm, &f.arena[0], &cursor)) {
    }
    vm_check(&f);
    CHECK_EQ(vm_read(&f, 3, AT + 3 * QY_PAGE_BYTES), 13);
    uint8_t *at;
    CHECK_EQ(vm_touch(&f, 3, AT + 7 * QY_PAGE_BYTES, QY_ACCESS_READ, &at), QY_REVOKED);
}

static void fork_tree(void)
{
    each(fork_tree_body, 600);
}

/* Looks at a space that has much come in parts, and the parts are the whole. */
static void parts_body(void)
{
    struct qy_space *space = &f.space[0];
    struct qy_region region;
    struct qy_space_stats stats, sum = {0};
    const unsigned count = 3 * QY_STATS_TABLES / 2;
    unsigned queries = 0, steps = 0;
    CHECK_EQ(vm_map(&f, 0, AT, count * 2 * MIB, RW), QY_OK);
    for (unsigned i = 0; i < count; i++)
        CHECK_EQ(vm_write(&f, 0, AT + i * 2 * MIB + i * QY_PAGE_BYTES, 1), QY_OK);
    uint64_t at = AT;
    do {
        CHECK_EQ(qy_space_query(space, at, &region), QY_OK);
        CHECK_EQ(region.start, at);
        CHECK(region.end - region.start <= QY_QUERY_ENTRIES * QY_PAGE_BYTES);
        at = region.end;
    } while (++queries < 1000 && region.more);
    CHECK_EQ(at, AT + count * 2 * MIB);
    CHECK_EQ(queries, (count * QY_PT_ENTRIES + QY_QUERY_ENTRIES - 1) / QY_QUERY_ENTRIES);
    qy_space_stats(space, &stats);
    CHECK_EQ(stats.resident, count);
    CHECK_EQ(stats.tables, count + 3);
    for (at = 0; at < QY_USER_END && steps < 10; steps++)
        qy_space_stats_step(space, &at, &sum);
    CHECK_EQ(steps, 2);
    CHECK(memcmp(&stats, &sum, sizeof(sum)) == 0);
}

static void parts(void)
{
    each(parts_body, 800);
}

static const struct test tests[] = {
    {"budgets that end at every page", budgets_end},
    {"a chain of forks, whose middle and whose memory go", fork_tree},
    {"anonymous pages appear zeroed, once", zero_fill},
    {"unmap: parts, holes, tables that become empty", unmapping},
    {"addresses and rights that are refused; addresses that are chosen", addresses},
    {"protect: narrower, executable, none, and back", protection},
    {"a terabyte is two entries, split where it is touched", huge},
    {"copy on write: leaf tables, pages, the last sharer, settle", cow},
    {"revoke takes a frame from every entry", revoke},
    {"tables and large frames of their owners", explicit_mapping},
    {"a guard moves on, as far as it may", growth},
    {"an object's pages are the pager's to supply", pager},
    {"a look at a large space comes in parts", parts},
};
TEST_MAIN(tests)
