/*
 * Address spaces, one behaviour a test, over both entry formats and a TLB that forgets nothing by itself.
 *
 * The model (model.c) tries everything in any order; here each promise of qy/vm.h is written down once. What spaces
 * share is in clone.c.
 */
#include "each_format.h"

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

/* Looks at a space that has much come in parts, and the parts are the whole. */
static void parts_body(void)
{
    struct qy_space *space = &f.space[0];
    struct qy_region region;
    struct qy_space_stats stats, sum = {0};
    const unsigned count = 2 * QY_STATS_TABLES;
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
    for (at = 0; at < QY_USER_END && steps < 100; steps++)
        qy_space_stats_step(space, &at, QY_USER_END, &sum);
    CHECK(steps > 2 && steps <= count);
    CHECK(memcmp(&stats, &sum, sizeof(sum)) == 0);
    /* Stretches that end anywhere, in the middle of tables and of steps, count each page and table once. */
    sum = (struct qy_space_stats){0};
    uint64_t end = 0;
    for (at = 0, steps = 0; at < QY_USER_END && steps < 1000; steps++) {
        if (at >= end)
            end = at + 3 * MIB < AT || at > AT + count * 2 * MIB ? QY_USER_END : at + 3 * MIB;
        if (at < AT && end > AT)
            end = AT + 5 * QY_PAGE_BYTES;
        qy_space_stats_step(space, &at, end, &sum);
    }
    CHECK_EQ(sum.tables, stats.tables);
    CHECK_EQ(sum.resident, stats.resident);
    CHECK(steps > count / 2 && memcmp(&stats, &sum, sizeof(sum)) == 0);
    CHECK_EQ(stats.proportional_bytes, count * QY_PAGE_BYTES);
}

static void parts(void)
{
    each(parts_body, 800);
}

/*
 * A CPU that has seen that nothing is there, at any level, finds what appears: if who resolves the fault makes it forget. Left
 * out, Sv48's faults for ever.
 */
static void absent_body(void)
{
    const enum qy_error kept = f.kind->machine == MANUAL_SV48 ? QY_BUSY : QY_OK;
    for (unsigned planted = 0; planted < 2; planted++)
        for (unsigned cpu = 0; cpu < 2; cpu++) {
            uint64_t at = TIB + planted * GIB + cpu * 2 * MIB;
            uint8_t *byte;
            f.fault_keeps = planted;
            for (f.cpu = 0; f.cpu < 2; f.cpu++) /* both know: first no table, then no page */
                CHECK_EQ(vm_touch(&f, 0, at, QY_ACCESS_READ, &byte), QY_NOT_MAPPED);
            CHECK_EQ(vm_map(&f, 0, at, 2 * QY_PAGE_BYTES, RW), QY_OK);
            f.cpu = cpu;
            CHECK_EQ(vm_touch(&f, 0, at, QY_ACCESS_WRITE, &byte), planted ? kept : QY_OK);
            f.cpu = !cpu; /* the page is there: not a fault of the tables' */
            CHECK_EQ(vm_touch(&f, 0, at, QY_ACCESS_WRITE, &byte), planted ? kept : QY_OK);
            /* Fewer rights are remembered, too. */
            f.fault_keeps = false;
            CHECK_EQ(vm_touch(&f, 0, at, QY_ACCESS_WRITE, &byte), QY_OK);
            CHECK_EQ(qy_space_protect_region(&f.space[0], at, QY_PAGE_BYTES, RO), QY_OK);
            CHECK_EQ(vm_touch(&f, 0, at, QY_ACCESS_READ, &byte), QY_OK);
            CHECK_EQ(qy_space_protect_region(&f.space[0], at, QY_PAGE_BYTES, RW), QY_OK);
            f.fault_keeps = planted;
            CHECK_EQ(vm_touch(&f, 0, at, QY_ACCESS_WRITE, &byte), planted ? kept : QY_OK);
            f.fault_keeps = false;
            CHECK_EQ(vm_touch(&f, 0, at, QY_ACCESS_WRITE, &byte), QY_OK);
        }
    f.cpu = 0;
}

static void absent(void)
{
    each(absent_body, 600);
}

static const struct test tests[] = {
    {"what was absent is found when it has appeared", absent},
    {"anonymous pages appear zeroed, once", zero_fill},
    {"unmap: parts, holes, tables that become empty", unmapping},
    {"addresses and rights that are refused; addresses that are chosen", addresses},
    {"protect: narrower, executable, none, and back", protection},
    {"a terabyte is two entries, split where it is touched", huge},
    {"tables and large frames of their owners", explicit_mapping},
    {"a guard moves on, as far as it may", growth},
    {"an object's pages are the pager's to supply", pager},
    {"a look at a large space comes in parts", parts},
};
TEST_MAIN(tests)
