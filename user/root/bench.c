/*
 * What single calls cost, in ticks of the clock that programs can read. Under an emulator that
 * counts instructions the figures are exact and repeat; elsewhere they are averages over BENCH_COUNT
 * repetitions.
 *
 * Each row times BENCH_COUNT repetitions one by one or as one loop, and takes off what the clock or the
 * empty loop costs by the same method. What stands between two readings of the clock is the call
 * alone; preparation is not counted.
 */
#include "bench.h"
#include <lib/format.h>

#define BUDGET_PAGES 64u
#define PAGED 200u /* faults that a pager answers with a frame */
#define TOUCHED (ROOT_CHILD_ADDRESS + 0x200000)

void bench_row(const char *name, uint64_t ticks, uint64_t overhead, uint64_t count)
{
    uint64_t net = ticks > overhead ? ticks - overhead : 0;
    print("bench: %s %llu ticks\n", name, (unsigned long long)((net + count / 2) / count));
}

void bench_row_of(uint64_t ticks, uint64_t overhead, uint64_t count, const char *format, ...)
{
    char name[48];
    va_list arguments;

    va_start(arguments, format);
    (void)format_to_v(name, sizeof(name), format, arguments);
    va_end(arguments);
    bench_row(name, ticks, overhead, count);
}

uint64_t bench_clock(unsigned count)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t start = clock_ticks();
        sum += clock_ticks() - start;
    }
    return sum;
}

static void bench_null_call(struct root *root)
{
    bool ok = true;
    uint64_t start = clock_ticks();
    for (unsigned i = 0; i < BENCH_COUNT; i++)
        __asm__ volatile("");
    uint64_t loop = clock_ticks() - start;

    start = clock_ticks();
    for (unsigned i = 0; i < BENCH_COUNT; i++)
        ok &= null_call() == QY_OK;
    uint64_t ticks = clock_ticks() - start;
    if (root_check(root, ok, "null_call failed"))
        bench_row("null_call", ticks, loop, BENCH_COUNT);
}

static void bench_map(struct root *root, qy_handle_t budget)
{
    const uint64_t flags = QY_MAP_READ | QY_MAP_WRITE;
    uint64_t map_ticks = 0, unmap_ticks = 0;
    qy_handle_t frame;
    bool ok = root_make(root, budget, QY_OBJ_FRAME, 1, &frame) == QY_OK &&
              root_map(root, budget, frame, ROOT_PAGE_ADDRESS, flags, false, NULL) == QY_OK &&
              frame_unmap(frame, QY_SLOT_SPACE, ROOT_PAGE_ADDRESS) == QY_OK;

    for (unsigned i = 0; ok && i < BENCH_COUNT; i++) {
        uint64_t start = clock_ticks();
        struct call_result r = frame_map(frame, QY_SLOT_SPACE, ROOT_PAGE_ADDRESS, flags);
        uint64_t middle = clock_ticks();
        enum qy_error error = frame_unmap(frame, QY_SLOT_SPACE, ROOT_PAGE_ADDRESS);
        unmap_ticks += clock_ticks() - middle;
        map_ticks += middle - start;
        ok = r.error == QY_OK && error == QY_OK;
    }
    if (!root_check(root, ok, "map_frame or unmap_frame failed"))
        return;
    bench_row("map_frame", map_ticks, bench_clock(BENCH_COUNT), BENCH_COUNT);
    bench_row("unmap_frame", unmap_ticks, bench_clock(BENCH_COUNT), BENCH_COUNT);
}

static void toucher_main(void *argument)
{
    *(volatile uint64_t *)argument = 1;
    thread_exit(0);
}

/*
 * The handler resumes the thread without mapping anything, so it faults again: a round is fault,
 * message, reply, return to the faulting instruction. What mapping a page costs is a row of its
 * own.
 */
static void bench_fault(struct root *root, qy_handle_t budget)
{
    static struct child child;
    struct message message;
    bool ok = child_make(root, budget, BENCH_STACK_PAGE, &child) == QY_OK &&
              child_start(&child, toucher_main, (void *)TOUCHED, 0) == QY_OK &&
              endpoint_receive(child.endpoint, child.reply, &message) == QY_OK;

    uint64_t start = clock_ticks();
    for (unsigned i = 0; ok && i < BENCH_COUNT; i++)
        ok = endpoint_reply_receive(child.endpoint, child.reply, QY_FAULT_RESUME, 0, 0, 0,
                                    &message) == QY_OK;
    uint64_t ticks = clock_ticks() - start;
    qy_handle_t frame;
    ok = ok && root_make(root, budget, QY_OBJ_FRAME, 1, &frame) == QY_OK &&
         root_map(root, budget, frame, TOUCHED, QY_MAP_READ | QY_MAP_WRITE, false, NULL) == QY_OK &&
         reply_send(child.reply, QY_FAULT_RESUME, 0, 0, 0) == QY_OK && child_wait_dead(&child);
    if (root_check(root, ok, "fault_round_trip failed"))
        bench_row("fault_round_trip", ticks, 0, BENCH_COUNT);
}

static void walker_main(void *argument)
{
    for (unsigned i = 0; i <= PAGED; i++)
        *(volatile uint64_t *)((uint64_t)argument + i * PAGE_BYTES) = 1;
    thread_exit(0);
}

/* A pager that supplies: fault, message, a frame mapped there by the answer, return to the faulting instruction. */
static void bench_pager(struct root *root, qy_handle_t budget)
{
    static struct child child;
    struct message message;
    uint32_t slot;
    qy_handle_t first;
    bool ok =
        root_make(root, budget, QY_OBJ_FRAME, 1, &first) == QY_OK &&
        root_map(root, budget, first, TOUCHED, QY_MAP_READ | QY_MAP_WRITE, false, NULL) == QY_OK &&
        child_make(root, budget, BENCH_STACK_PAGE, &child) == QY_OK &&
        child_start(&child, walker_main, (void *)TOUCHED, 0) == QY_OK &&
        endpoint_receive(child.endpoint, child.reply, &message) == QY_OK;
    slot = root->next_slot;
    ok = ok && untyped_retype(budget, QY_OBJ_FRAME, 1, QY_SLOT_NODE, slot, PAGED).error == QY_OK;

    uint64_t ticks = 0;
    for (unsigned i = 0; ok && i < PAGED; i++) {
        struct cap_state frame;
        ok = cap_info(QY_SLOT_NODE, slot + i, &frame) == QY_OK;
        uint64_t start = clock_ticks();
        ok = ok && reply_map(child.reply, frame.handle, QY_MAP_READ | QY_MAP_WRITE).error == QY_OK;
        if (i + 1 < PAGED)
            ok = ok && endpoint_receive(child.endpoint, child.reply, &message) == QY_OK;
        ticks += i + 1 < PAGED ? clock_ticks() - start : 0;
    }
    ok = ok && child_wait_dead(&child);
    if (root_check(root, ok, "fault_mapped_round_trip failed"))
        bench_row("fault_mapped_round_trip", ticks, bench_clock(PAGED - 1), PAGED - 1);
}

void bench_with_budget(struct root *root, uint64_t pages,
                       void (*part)(struct root *root, qy_handle_t budget))
{
    uint32_t mark = root_mark(root);
    qy_handle_t budget;

    if (!root_check(root, root_make(root, root->untyped, QY_OBJ_UNTYPED, pages, &budget) == QY_OK,
                    "no budget could be made"))
        return;
    part(root, budget);
    bool gone = cap_revoke(budget) == QY_OK && cap_delete(budget) == QY_OK;
    root_check(root, gone, "the budget could not be taken back");
    root_release(root, mark);
}

void bench_with_bound(struct root *root, uint64_t pages,
                      void (*part)(struct root *root, qy_handle_t budget))
{
    uint32_t mark = root_mark(root);
    qy_handle_t budget;
    bool bound = root_make(root, root->untyped, QY_OBJ_UNTYPED, pages, &budget) == QY_OK &&
                 space_bind(QY_SLOT_SPACE, budget) == QY_OK;

    if (!root_check(root, bound, "no budget could be bound"))
        return;
    part(root, budget);
    bool gone = cap_revoke(budget) == QY_OK && cap_delete(budget) == QY_OK;
    root_check(root, gone, "a bound budget could not be taken back");
    /* what was revoked is said until somebody unmaps it */
    enum qy_error cleared =
        space_unmap_region(QY_SLOT_SPACE, BENCH_AT & ~((1ull << 39) - 1), 3ull << 39);
    root_check(root, cleared == QY_OK || cleared == QY_NOT_MAPPED,
               "revoked memory could not be unmapped");
    root_release(root, mark);
}

void bench_run(struct root *root)
{
    bench_row("boot", clock_ticks(), 0, 1); /* since reset, firmware included */
    print("bench: in %s\n", CLOCK_NAME);
    bench_null_call(root);
    bench_with_budget(root, BUDGET_PAGES, bench_map);
    bench_with_budget(root, BUDGET_PAGES, bench_fault);
    bench_with_budget(root, BUDGET_PAGES + PAGED, bench_pager);
    bench_regions(root);
    bench_tasks(root);
    bench_files(root);
#ifdef QUARRY_SWAP
    bench_swap(root);
#endif
    bench_objects(root);
}
