/*
 * Two CPUs in one space, step by step: one is in the middle of a change when the other comes.
 *
 * Between the steps of a change entries are `moving`: the flush, which the core calls then, plays the other CPU. Whoever
 * meets such an entry has to wait; that CPU's wait (qy_port_relax, wrapped at link time) ends its call, so that a call that
 * does not wait is one that comes back. Missed without these: waits left out, tables that stay when their last page has gone,
 * memory that another CPU keeps.
 */
#include "fixture.h"

#include <setjmp.h>

static struct vm_fixture f;

#define MIB (1ull << 20)
#define AT 0x40000000ull

void __real_qy_port_relax(void);
void __wrap_qy_port_relax(void);

static pfn_t lent; /* a frame of another owner */
static jmp_buf waiting;
static bool other_runs;
static unsigned waits, intrusions;

void __wrap_qy_port_relax(void)
{
    if (other_runs)
        longjmp(waiting, 1);
    __real_qy_port_relax();
}

static void each(void (*body)(void))
{
    for (unsigned i = 0; i < sizeof(vm_formats) / sizeof(vm_formats[0]); i++) {
        vm_make(&f, &vm_formats[i], 1200);
        vm_open(&f, 0);
        body();
        vm_check(&f);
        vm_done(&f);
    }
}

/* What the other CPU tries: any of these touches the page. */
static void intrude(unsigned what)
{
    struct qy_fault fault;
    struct qy_region region;
    struct qy_mark mark = vm_anon(RW);
    uint64_t at = AT;
    unsigned missing;
    switch (what) {
    case 0:
        (void)!qy_space_fault(&f.space[0], AT, QY_ACCESS_WRITE, &fault);
        break;
    case 1:
        (void)!qy_space_fault(&f.space[0], AT, QY_ACCESS_READ, &fault);
        break;
    case 2:
        (void)!qy_space_unmap_region(&f.space[0], AT, QY_PAGE_BYTES);
        break;
    case 3:
        (void)!qy_space_protect_region(&f.space[0], AT, QY_PAGE_BYTES, RO);
        break;
    case 4:
        (void)!qy_space_map_region(&f.space[0], &at, QY_PAGE_BYTES, &mark);
        break;
    case 5:
        (void)!qy_space_query(&f.space[0], AT, &region);
        break;
    case 6:
        (void)!qy_space_map_frame(&f.space[0], AT, lent, 1, RO, RO, false, &missing);
        break;
    default:
        (void)!qy_space_clone(&f.space[2], &f.space[0], AT, AT + 2 * MIB);
    }
}
#define INTRUSIONS 8u

static unsigned intrusion;

static void flush_with_another(void *context, struct qy_space *space, vaddr_t start, uint64_t end,
                               unsigned level)
{
    if (!other_runs && space == &f.space[0] && intrusion < INTRUSIONS) {
        unsigned now = intrusion;
        bool claimed =
            atomic_load(&space->claimed); /* by this call; one that waits for ever keeps nothing */
        intrusion = INTRUSIONS;           /* once */
        intrusions++;
        other_runs = true;
        hosted_cpu_set(1);
        if (setjmp(waiting) == 0)
            intrude(now);
        else
            waits++;
        atomic_store(&space->claimed, claimed);
        atomic_store(&f.space[2].claimed, false);
        hosted_cpu_set(0);
        other_runs = false;
    }
    vm_flush_counted(context, space, start, end, level);
}

/* A change that takes a translation away, and has to make CPUs forget it before it goes on. */
static void change(unsigned what)
{
    unsigned wanted = intrusion;
    struct qy_fault fault;
    switch (what) {
    case 0:
        CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, QY_PAGE_BYTES), QY_OK);
        break;
    case 1:
        CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, 2 * MIB), QY_OK); /* the table as a whole */
        break;
    case 2:
        CHECK_EQ(qy_space_protect_region(&f.space[0], AT, QY_PAGE_BYTES, RX), QY_OK);
        break;
    case 3:
        CHECK_EQ(qy_space_protect_region(&f.space[0], AT, QY_PAGE_BYTES, 0), QY_OK);
        break;
    case 4: /* the leaf table is shared: it is copied */
        vm_open(&f, 1);
        intrusion = INTRUSIONS;
        CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], AT, AT + 2 * MIB), QY_OK);
        intrusion = wanted;
        CHECK_EQ(qy_space_fault(&f.space[0], AT, QY_ACCESS_WRITE, &fault), QY_OK);
        break;
    default:
        break;
    }
}
#define CHANGES 5u

static void waits_body(void)
{
    CHECK_EQ(qy_arena_alloc(&f.foreign, 0, QY_FRAME_USER, &lent), QY_OK);
    for (unsigned c = 0; c < CHANGES; c++)
        for (unsigned i = 0; i < INTRUSIONS; i++) {
            unsigned before = waits, tried = intrusions;
            CHECK_EQ(vm_map(&f, 0, AT, 8 * QY_PAGE_BYTES, RW), QY_OK);
            CHECK_EQ(vm_write(&f, 0, AT, 1), QY_OK);
            CHECK_EQ(vm_write(&f, 0, AT + QY_PAGE_BYTES, 1), QY_OK);
            vm_open(&f, 2);
            f.vm.flush = flush_with_another;
            intrusion = i;
            change(c);
            intrusion = INTRUSIONS;
            f.vm.flush = vm_flush_counted;
            CHECK_EQ(intrusions, tried + 1);
            CHECK_EQ(waits, before + 1);
            if (waits != before + 1)
                printf("# change %u: call %u does not wait\n", c, i);
            vm_check(&f);
            vm_close(&f, 2);
            if (f.alive[1])
                vm_close(&f, 1);
            (void)!qy_space_unmap_region(&f.space[0], AT, 8 * QY_PAGE_BYTES);
            vm_check(&f);
        }
    CHECK_EQ(qy_arena_free(&f.foreign, lent, 0, QY_FRAME_USER), QY_OK);
}

static void moving_entries(void)
{
    waits = intrusions = 0;
    each(waits_body);
    printf("# %u changes met in the middle, %u waits\n", intrusions, waits);
}

/* Tables go with their last page or mark, wherever in a range they lie. */
static void hollow_body(void)
{
    struct qy_space_stats stats;
    for (unsigned touched = 0; touched < 2; touched++)
        for (unsigned tables = 1; tables <= 2; tables++) {
            uint64_t from = AT + 2 * MIB - (tables - 1) * 8 * QY_PAGE_BYTES,
                     end = AT + 2 * MIB + 8 * QY_PAGE_BYTES;
            CHECK_EQ(vm_map(&f, 0, from, end - from, RW), QY_OK);
            for (uint64_t at = from; touched && at < end; at += QY_PAGE_BYTES)
                CHECK_EQ(vm_write(&f, 0, at, 5), QY_OK);
            qy_space_stats(&f.space[0], &stats);
            CHECK_EQ(stats.tables, 3 + tables);
            CHECK_EQ(qy_space_unmap_region(&f.space[0], from, end - from), QY_OK);
            vm_check(&f);
            qy_space_stats(&f.space[0], &stats);
            CHECK_EQ(stats.tables, 1);
        }
}

static void hollow_tables(void)
{
    each(hollow_body);
}

/* Tables of each level that an unmap takes as a whole, between neighbours that stay: CPUs forget them, too. */
static void whole_body(void)
{
    for (unsigned level = 2; level <= 4; level++) {
        uint64_t bytes = qy_pt_page_bytes(level), from = 8 * qy_pt_page_bytes(level);
        CHECK_EQ(vm_map(&f, 0, from - bytes, 3 * bytes, RW), QY_OK);
        for (unsigned cpu = 0; cpu < 2; cpu++)
            for (unsigned i = 0; i < 3; i++) {
                f.cpu = cpu;
                CHECK_EQ(vm_read(&f, 0, from - bytes + i * bytes), 0);
            }
        CHECK_EQ(qy_space_unmap_region(&f.space[0], from, bytes), QY_OK);
        vm_check(&f);
        CHECK_EQ(vm_read(&f, 0, from), -1);
        CHECK_EQ(qy_space_unmap_region(&f.space[0], from - bytes, 3 * bytes), QY_OK);
        vm_check(&f);
    }
}

static void whole_tables(void)
{
    each(whole_body);
}

/* What one CPU keeps is another's after qy_budget_reclaim; when there is nothing, it says so. */
static void reclaim_body(void)
{
    struct qy_fault fault;
    enum qy_error error = QY_OK;
    uint64_t at = AT;
    CHECK_EQ(vm_map(&f, 0, AT, 64 * MIB, RW), QY_OK);
    hosted_cpu_set(1);
    for (unsigned i = 0; i < 300; i++)
        CHECK_EQ(
            qy_space_fault(&f.space[0], AT + 32 * MIB + i * QY_PAGE_BYTES, QY_ACCESS_WRITE, &fault),
            QY_OK);
    hosted_cpu_set(0);
    for (; error == QY_OK; at += QY_PAGE_BYTES)
        error = qy_space_fault(&f.space[0], at, QY_ACCESS_WRITE, &fault);
    CHECK_EQ(error, QY_OUT_OF_MEMORY);
    CHECK(qy_budget_reclaim(&f.vm, &f.budget[0]));
    CHECK_EQ(qy_space_fault(&f.space[0], at, QY_ACCESS_WRITE, &fault), QY_OK);
    vm_check(&f);
    for (error = QY_OK; error == QY_OK; at += QY_PAGE_BYTES)
        error = qy_space_fault(&f.space[0], at + QY_PAGE_BYTES, QY_ACCESS_WRITE, &fault);
    for (unsigned i = 0; i < 3 && qy_budget_reclaim(&f.vm, &f.budget[0]); i++)
        CHECK(i < 2);
}

static void reclaim(void)
{
    each(reclaim_body);
}

/* Another CPU executes the page until it has forgotten it: before that nobody may write to it, and the reverse. */
static void classes_body(void)
{
    unsigned missing;
    uint8_t *at;
    f.vm.flush = flush_with_another;
    for (unsigned foreign = 0; foreign < 2; foreign++)
        for (unsigned first = 0; first < 2; first++) {
            unsigned before = waits, had = first ? RX : RW, gets = first ? RW : RX;
            CHECK_EQ(vm_map(&f, 0, AT, 2 * QY_PAGE_BYTES, had), QY_OK);
            if (foreign) {
                CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, QY_PAGE_BYTES), QY_OK);
                CHECK_EQ(qy_arena_alloc(&f.foreign, 0, QY_FRAME_USER, &lent), QY_OK);
                CHECK_EQ(qy_space_map_frame(&f.space[0], AT, lent, 1, had, RW | QY_PT_EXEC, false,
                                            &missing),
                         QY_OK);
            }
            CHECK_EQ(vm_touch(&f, 0, AT, first ? QY_ACCESS_EXEC : QY_ACCESS_WRITE, &at), QY_OK);
            intrusion = 0; /* it writes */
            CHECK_EQ(qy_space_protect_region(&f.space[0], AT, QY_PAGE_BYTES, gets), QY_OK);
            CHECK_EQ(waits, before + 1);
            vm_check(&f);
            CHECK_EQ(vm_touch(&f, 0, AT, first ? QY_ACCESS_WRITE : QY_ACCESS_EXEC, &at), QY_OK);
            intrusion = INTRUSIONS;
            CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, 2 * QY_PAGE_BYTES), QY_OK);
            if (foreign)
                CHECK_EQ(qy_arena_free(&f.foreign, lent, 0, QY_FRAME_USER), QY_OK);
        }
}

static void classes(void)
{
    each(classes_body);
}

static const struct test tests[] = {
    {"writable and executable take turns", classes},
    {"whoever meets a moving entry waits", moving_entries},
    {"tables go with the last of their entries", hollow_tables},
    {"tables that go as a whole are forgotten", whole_tables},
    {"memory that another CPU keeps", reclaim},
};
TEST_MAIN(tests)
