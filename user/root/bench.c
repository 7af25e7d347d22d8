/*
 * What single calls cost, in ticks of the clock that programs can read. Under an emulator that
 * counts instructions the figures are exact and repeat; elsewhere they are averages over COUNT
 * repetitions.
 *
 * Each row times COUNT repetitions one by one or as one loop, and takes off what the clock or the
 * empty loop costs by the same method. What stands between two readings of the clock is the call
 * alone; preparation is not counted.
 */
#include "root.h"

#define COUNT 1000u
#define BUDGET_PAGES 64u
#define STACK_PAGE (ROOT_CHILD_ADDRESS + 0x10000)
#define TOUCHED (ROOT_CHILD_ADDRESS + 0x200000)

static void row(const char *name, uint64_t ticks, uint64_t overhead, uint64_t count)
{
    uint64_t net = ticks > overhead ? ticks - overhead : 0;
    print("bench: %s %llu ticks\n", name, (unsigned long long)((net + count / 2) / count));
}

/* What COUNT pairs of clock readings cost by themselves. */
static uint64_t clock_cost(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        uint64_t start = clock_ticks();
        sum += clock_ticks() - start;
    }
    return sum;
}

static void bench_null_call(struct root *root)
{
    bool ok = true;
    uint64_t start = clock_ticks();
    for (unsigned i = 0; i < COUNT; i++)
        __asm__ volatile("");
    uint64_t loop = clock_ticks() - start;

    start = clock_ticks();
    for (unsigned i = 0; i < COUNT; i++)
        ok &= null_call() == QY_OK;
    uint64_t ticks = clock_ticks() - start;
    if (root_check(root, ok, "null_call failed"))
        row("null_call", ticks, loop, COUNT);
}

static void bench_retype(struct root *root)
{
    uint64_t ticks = 0;
    bool ok = true;

    for (unsigned i = 0; ok && i < COUNT; i++) {
        uint64_t start = clock_ticks();
        struct call_result r =
            untyped_retype(root->untyped, QY_OBJ_FRAME, 1, QY_SLOT_NODE, root->next_slot, 1);
        ticks += clock_ticks() - start;
        ok = r.error == QY_OK && cap_delete(r.value[1]) == QY_OK;
    }
    if (root_check(root, ok, "retype_frame failed"))
        row("retype_frame", ticks, clock_cost(), COUNT);
}

static void bench_map(struct root *root, qy_handle_t budget)
{
    const uint64_t flags = QY_MAP_READ | QY_MAP_WRITE;
    uint64_t map_ticks = 0, unmap_ticks = 0;
    qy_handle_t frame;
    bool ok = root_make(root, budget, QY_OBJ_FRAME, 1, &frame) == QY_OK &&
              root_map(root, budget, frame, ROOT_PAGE_ADDRESS, flags, false, NULL) == QY_OK &&
              frame_unmap(frame, QY_SLOT_SPACE, ROOT_PAGE_ADDRESS) == QY_OK;

    for (unsigned i = 0; ok && i < COUNT; i++) {
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
    row("map_frame", map_ticks, clock_cost(), COUNT);
    row("unmap_frame", unmap_ticks, clock_cost(), COUNT);
}

/* Answers every call on its endpoint until it is destroyed. */
static void server_main(void *argument)
{
    const struct child *self = argument;
    struct message message;

    while (endpoint_reply_receive(self->endpoint, self->reply, 0, 0, 0, 0, &message) == QY_OK)
        ;
    thread_exit(0);
}

/* endpoint_call here, endpoint_reply_receive in the other thread. */
static void bench_ipc(struct root *root, qy_handle_t budget)
{
    static struct child child;
    struct message reply;
    bool ok = child_make(root, budget, STACK_PAGE, &child) == QY_OK &&
              child_start(&child, server_main, &child, 0) == QY_OK &&
              endpoint_call(child.endpoint, 0, 0, 0, 0, &reply) == QY_OK;

    uint64_t start = clock_ticks();
    for (unsigned i = 0; ok && i < COUNT; i++)
        ok = endpoint_call(child.endpoint, 0, 0, 0, 0, &reply) == QY_OK;
    uint64_t ticks = clock_ticks() - start;
    if (root_check(root, ok, "ipc_round_trip failed"))
        row("ipc_round_trip", ticks, 0, COUNT);
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
    bool ok = child_make(root, budget, STACK_PAGE, &child) == QY_OK &&
              child_start(&child, toucher_main, (void *)TOUCHED, 0) == QY_OK &&
              endpoint_receive(child.endpoint, child.reply, &message) == QY_OK;

    uint64_t start = clock_ticks();
    for (unsigned i = 0; ok && i < COUNT; i++)
        ok = endpoint_reply_receive(child.endpoint, child.reply, QY_FAULT_RESUME, 0, 0, 0,
                                    &message) == QY_OK;
    uint64_t ticks = clock_ticks() - start;
    qy_handle_t frame;
    ok = ok && root_make(root, budget, QY_OBJ_FRAME, 1, &frame) == QY_OK &&
         root_map(root, budget, frame, TOUCHED, QY_MAP_READ | QY_MAP_WRITE, false, NULL) == QY_OK &&
         reply_send(child.reply, QY_FAULT_RESUME, 0, 0, 0) == QY_OK && child_wait_dead(&child);
    if (root_check(root, ok, "fault_round_trip failed"))
        row("fault_round_trip", ticks, 0, COUNT);
}

/* Run one part with a budget of its own, and take everything back. */
static void with_budget(struct root *root, void (*part)(struct root *root, qy_handle_t budget))
{
    uint32_t mark = root_mark(root);
    qy_handle_t budget;

    if (!root_check(root,
                    root_make(root, root->untyped, QY_OBJ_UNTYPED, BUDGET_PAGES, &budget) == QY_OK,
                    "no budget could be made"))
        return;
    part(root, budget);
    bool gone = cap_revoke(budget) == QY_OK && cap_delete(budget) == QY_OK;
    root_check(root, gone, "the budget could not be taken back");
    root_release(root, mark);
}

void bench_run(struct root *root)
{
    print("bench: %u repetitions each, in %s\n", COUNT, CLOCK_NAME);
    bench_null_call(root);
    bench_retype(root);
    with_budget(root, bench_map);
    with_budget(root, bench_ipc);
    with_budget(root, bench_fault);
}
