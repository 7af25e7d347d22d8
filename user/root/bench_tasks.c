/*
 * What tasks cost: messages and switches between threads of one space and of two, a program that forks, ends, is gone.
 */
#include "bench.h"

#define SWITCHES 500u /* of each of two threads */
#define FORKS 16u
#define LARGE (64ull << 20)
#define TASK_PAGES 1024u
#define STACK_TOP (BENCH_STACK_PAGE + PAGE_BYTES)

/* ---- messages ---- */

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
static void round_trips(struct root *root, struct child *child, bool made, const char *name)
{
    struct message reply;
    bool ok = made && child_start(child, server_main, child, 0) == QY_OK &&
              endpoint_call(child->endpoint, 0, 0, 0, 0, &reply) == QY_OK;

    uint64_t start = clock_ticks();
    for (unsigned i = 0; ok && i < BENCH_COUNT; i++)
        ok = endpoint_call(child->endpoint, 0, 0, 0, 0, &reply) == QY_OK;
    uint64_t ticks = clock_ticks() - start;
    if (root_check(root, ok, "messages could not be exchanged"))
        bench_row(name, ticks, 0, BENCH_COUNT);
}

static void messages(struct root *root, qy_handle_t budget)
{
    static struct child child;
    bool ok = child_make(root, budget, BENCH_STACK_PAGE, &child) == QY_OK;
    round_trips(root, &child, ok, "ipc_round_trip");
}

/* The other thread has a space of its own; the page that tells it its capabilities is cloned once it is written. */
static void messages_apart(struct root *root, qy_handle_t budget)
{
    struct child *child = (struct child *)BENCH_AT;
    uint64_t at = BENCH_AT;
    struct child made;
    qy_handle_t payer;
    bool ok =
        space_map_region(QY_SLOT_SPACE, &at, PAGE_BYTES, QY_MAP_READ | QY_MAP_WRITE, 0) == QY_OK &&
        root_make(root, root->untyped, QY_OBJ_UNTYPED, TASK_PAGES, &payer) == QY_OK &&
        child_make_apart(root, payer, STACK_TOP, 0, &made) == QY_OK;

    (void)budget;
    if (ok) {
        *child = made;
        ok = space_clone(made.space, QY_SLOT_SPACE, &at, BENCH_AT + PAGE_BYTES) == QY_OK;
    }
    round_trips(root, child, ok, "ipc_round_trip_apart");
    ok = ok && cap_revoke(payer) == QY_OK && cap_delete(payer) == QY_OK;
    root_check(root, ok, "the second space could not be taken back");
}

/* ---- switches ---- */

static void yielder_main(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < SWITCHES + 2; i++)
        yield();
    thread_exit(0);
}

/* Two threads of one CPU take turns; a figure is of one switch, the call included. */
static void switches(struct root *root, const struct child *child, const char *name)
{
    bool ok = child_start(child, yielder_main, NULL, 0) == QY_OK;

    yield();
    uint64_t start = clock_ticks();
    for (unsigned i = 0; i < SWITCHES; i++)
        yield();
    uint64_t ticks = clock_ticks() - start;
    if (root_check(root, ok && child_wait_dead(child), "a thread that yields does not end"))
        bench_row(name, ticks, 0, 2 * SWITCHES);
}

static void switch_thread(struct root *root, qy_handle_t budget)
{
    struct child child;

    if (root_check(root, child_make(root, budget, BENCH_STACK_PAGE, &child) == QY_OK,
                   "a thread could not be made"))
        switches(root, &child, "switch_thread");
}

static void switch_space(struct root *root, qy_handle_t budget)
{
    struct child child;

    if (root_check(root, child_make_apart(root, budget, STACK_TOP, 0, &child) == QY_OK,
                   "a thread in a space of its own could not be made"))
        switches(root, &child, "switch_space");
}

/* ---- programs ---- */

static void exit_main(void *argument)
{
    (void)argument;
    thread_exit(0);
}

/*
 * This program (its code, and 1.2 MiB of data), and so many bytes of memory, in a space of its own that shares the pages, with
 * a stack, and endpoint and reply to hear its faults: made, run to its end, waited for, and all its memory back.
 */
static bool fork_once(struct root *root, qy_handle_t payer, uint64_t bytes)
{
    struct child child;
    uint64_t at = BENCH_AT;
    bool ok = child_make_apart(root, payer, STACK_TOP, 0, &child) == QY_OK;

    if (bytes)
        ok = ok && space_clone(child.space, QY_SLOT_SPACE, &at, BENCH_AT + bytes) == QY_OK;
    return ok && child_start(&child, exit_main, NULL, 0) == QY_OK && child_wait_dead(&child) &&
           cap_revoke(payer) == QY_OK;
}

static void forks(struct root *root, uint64_t bytes, const char *name)
{
    uint32_t mark = root_mark(root);
    qy_handle_t payer;
    uint64_t ticks = 0;
    bool ok = root_make(root, root->untyped, QY_OBJ_UNTYPED, TASK_PAGES, &payer) == QY_OK;

    for (unsigned i = 0; ok && i < FORKS; i++) {
        uint32_t made = root_mark(root);
        uint64_t start = clock_ticks();
        ok = fork_once(root, payer, bytes);
        ticks += clock_ticks() - start;
        root_release(root, made);
    }
    ok = ok && cap_delete(payer) == QY_OK;
    root_release(root, mark);
    if (root_check(root, ok, "a fork could not be made, ended and taken back"))
        bench_row(name, ticks, bench_clock(FORKS), FORKS);
}

static void fork_small(struct root *root, qy_handle_t budget)
{
    (void)budget;
    forks(root, 0, "fork_exit_small");
}

static void fork_large(struct root *root, qy_handle_t budget)
{
    uint64_t at = BENCH_AT;

    (void)budget;
    if (!root_check(root,
                    space_map_region(QY_SLOT_SPACE, &at, LARGE, QY_MAP_READ | QY_MAP_WRITE, 0) ==
                        QY_OK,
                    "a region to fork could not be reserved"))
        return;
    for (uint64_t i = 0; i < LARGE; i += PAGE_BYTES)
        *(volatile uint64_t *)(BENCH_AT + i) = i;
    forks(root, LARGE, "fork_exit_64_mib");
}

void bench_tasks(struct root *root)
{
    bench_with_budget(root, 64, messages);
    bench_with_bound(root, 64, messages_apart);
    bench_with_budget(root, 64, switch_thread);
    bench_with_budget(root, TASK_PAGES, switch_space);
    bench_with_bound(root, 64, fork_small);
    bench_with_bound(root, 20480, fork_large);
}
