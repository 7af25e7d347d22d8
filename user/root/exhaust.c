/*
 * Exhaustion: tasks that take all that they can get, beside one that has to go on.
 *
 *     hog on each CPU, in a budget of its own:  every type of object, address spaces that it binds, fills and clones,
 *                                               threads that queue up as senders, until every call fails
 *     neighbour:                                makes, uses and deletes objects of its own budget, and never fails
 *
 * The root task waits until the hogs have nothing left to take and the neighbour has gone on for a while, takes the
 * budgets back under them, and finds its memory whole to the byte. The hogs share the root task's address space for their
 * code alone: no capability of theirs names it but for starting threads.
 */
#include "root.h"
#include <stdatomic.h>

#define HOG_PAGES 400u
#define NEIGHBOUR_PAGES 64u
#define HOGS_MAX 8u
#define SENDERS 24u
#define STACK_BYTES 4096u
#define SENDER_STACK_BYTES 512u
#define ROUNDS_MORE 20u
#define TRIES_MORE 100u
/* Slots of a task's own node. */
#define SLOT_NODE 1u
#define SLOT_UNTYPED 2u
#define SLOT_SPACE 3u
#define FIRST_SLOT 4u
#define NODE_SLOTS 64u
#define REGION 0x100000000000ull
#define REGION_BYTES (16 * PAGE_BYTES)

struct task {
    qy_handle_t pool;                 /* its memory, as the root task names it */
    qy_handle_t node, untyped, space; /* handles of its own node */
    atomic_uint made;                 /* objects */
    atomic_uint senders;
    atomic_bool exhausted;
};

static struct task hogs[HOGS_MAX], neighbour;
static atomic_uint neighbour_rounds, neighbour_failures;
static char stacks[HOGS_MAX + 1][STACK_BYTES] __attribute__((aligned(16)));
static char sender_stacks[HOGS_MAX][SENDERS][SENDER_STACK_BYTES] __attribute__((aligned(16)));

static const enum qy_object_type types[] = {
    QY_OBJ_FRAME,  QY_OBJ_PAGE_TABLE,   QY_OBJ_ADDRESS_SPACE, QY_OBJ_THREAD,    QY_OBJ_ENDPOINT,
    QY_OBJ_REPLY,  QY_OBJ_NOTIFICATION, QY_OBJ_TIMER,         QY_OBJ_INTERRUPT, QY_OBJ_IO_PORTS,
    QY_OBJ_MEMORY, QY_OBJ_UNTYPED,      QY_OBJ_CAP_NODE};
#define TYPES (sizeof(types) / sizeof(types[0]))

static qy_handle_t make(struct task *task, enum qy_object_type type, uint64_t pages, uint64_t slot)
{
    struct call_result r = untyped_retype(task->untyped, type, pages, task->node, slot, 1);
    if (r.error != QY_OK)
        return 0;
    atomic_fetch_add(&task->made, 1);
    return r.value[1];
}

static void sender_main(void *argument)
{
    if (endpoint_send((uintptr_t)argument, 1, 2, 3, 4) != QY_OK)
        yield();
    thread_exit(0);
}

/* Threads that stand in line for a receiver who never comes. */
static void send_until_it_fails(struct task *task, unsigned number, uint64_t *slot)
{
    qy_handle_t endpoint = make(task, QY_OBJ_ENDPOINT, 1, (*slot)++);
    for (unsigned i = 0; endpoint && i < SENDERS && *slot < NODE_SLOTS / 2; i++) {
        qy_handle_t thread = make(task, QY_OBJ_THREAD, 1, (*slot)++);
        uint64_t stack = (uintptr_t)&sender_stacks[number][i][SENDER_STACK_BYTES];
        if (!thread || thread_configure(thread, task->space, task->node, 0, 0) != QY_OK ||
            thread_start(thread, (uintptr_t)sender_main, stack_for_entry(stack), endpoint,
                         QY_CPU_ANY) != QY_OK)
            break;
        atomic_fetch_add(&task->senders, 1);
    }
}

/* A space that draws on the budget, and clones of it. */
static void clone_until_it_fails(struct task *task, uint64_t *slot)
{
    qy_handle_t first = 0;
    while (*slot < NODE_SLOTS / 2 + 8) {
        uint64_t address = REGION;
        qy_handle_t space = make(task, QY_OBJ_ADDRESS_SPACE, 1, (*slot)++);
        if (!space || space_bind(space, task->untyped) != QY_OK)
            return;
        if (!first) {
            uint64_t at = REGION;
            if (space_map_region(space, &at, REGION_BYTES, QY_MAP_READ | QY_MAP_WRITE, 0) != QY_OK)
                return;
            first = space;
        } else if (space_clone(space, first, &address, REGION + REGION_BYTES) != QY_OK) {
            return;
        }
    }
}

/* Whole nodes full of each type; then one by one, until not one of any type is to be had. */
static void retype_until_it_fails(struct task *task, uint64_t *slot)
{
    bool any = true;
    for (unsigned round = 0; any; round++) {
        any = false;
        qy_handle_t node = *slot < NODE_SLOTS ? make(task, QY_OBJ_CAP_NODE, 1, *slot) : 0;
        if (!node)
            return;
        ++*slot;
        for (unsigned at = 1; at < NODE_SLOTS; at++) {
            bool made = false;
            for (unsigned i = 0; i < TYPES && !made; i++)
                made = untyped_retype(task->untyped, types[(round + at + i) % TYPES],
                                      1 + (at & 1) * (round % 2), node, at, 1)
                           .error == QY_OK;
            any |= made;
            atomic_fetch_add(&task->made, made);
        }
    }
}

static void hog_main(void *argument)
{
    struct task *task = argument;
    uint64_t slot = FIRST_SLOT;
    send_until_it_fails(task, (unsigned)(task - hogs), &slot);
    clone_until_it_fails(task, &slot);
    retype_until_it_fails(task, &slot);
    /* What is left of slots; the memory has been used up in any case by frames of every size. */
    for (uint64_t pages = 64; pages; pages /= 2)
        while (slot < NODE_SLOTS && make(task, QY_OBJ_FRAME, pages, slot))
            slot++;
    atomic_store(&task->exhausted, true);
    for (unsigned i = 0; i < TRIES_MORE; i++)
        if (untyped_retype(task->untyped, QY_OBJ_FRAME, 1, task->node, NODE_SLOTS - 1, 1).error ==
            QY_OK)
            atomic_fetch_add(&task->made, 1);
    thread_exit(0); /* what it made stays */
}

static void neighbour_main(void *argument)
{
    struct task *task = argument;
    for (;;) {
        bool ok = true;
        for (unsigned i = 0; i < TYPES; i++) {
            qy_handle_t object = make(task, types[i], 1, FIRST_SLOT);
            ok &= object &&
                  cap_copy(task->node, FIRST_SLOT + 1, object, QY_RIGHT_ALL, 0).error == QY_OK;
            ok &= cap_revoke(object) == QY_OK && cap_delete(object) == QY_OK;
        }
        atomic_fetch_add(&neighbour_failures, !ok);
        atomic_fetch_add(&neighbour_rounds, 1);
    }
}

/* A task with a budget, a node, and capabilities of these and the space alone. */
static enum qy_error start(struct root *root, struct task *task, uint64_t pages,
                           void (*entry)(void *), unsigned number, unsigned cpu,
                           qy_handle_t *budget)
{
    qy_handle_t node = 0, untyped = 0, thread = 0;
    enum qy_error error = root_make(root, root->untyped, QY_OBJ_UNTYPED, 2 * pages, budget);
    if (error == QY_OK)
        error = root_make(root, *budget, QY_OBJ_CAP_NODE, 1, &node);
    if (error == QY_OK)
        error = root_make(root, *budget, QY_OBJ_UNTYPED, pages, &untyped);
    if (error == QY_OK)
        error = root_make(root, *budget, QY_OBJ_THREAD, 1, &thread);
    task->pool = untyped;
    const struct {
        qy_handle_t *handle, source;
        uint64_t slot;
    } given[] = {{&task->node, node, SLOT_NODE},
                 {&task->untyped, untyped, SLOT_UNTYPED},
                 {&task->space, QY_SLOT_SPACE, SLOT_SPACE}};
    for (unsigned i = 0; error == QY_OK && i < 3; i++) {
        struct call_result r = cap_copy(node, given[i].slot, given[i].source, QY_RIGHT_ALL, 0);
        *given[i].handle = r.value[1];
        error = r.error;
    }
    if (error == QY_OK)
        error = thread_configure(thread, QY_SLOT_SPACE, node, 0, 0);
    if (error == QY_OK)
        error = thread_schedule(thread, 8, cpu);
    uint64_t stack = (uintptr_t)&stacks[number][STACK_BYTES];
    return error == QY_OK ? thread_start(thread, (uintptr_t)entry, stack_for_entry(stack),
                                         (uintptr_t)task, cpu)
                          : error;
}

static bool nap(qy_handle_t timer, qy_handle_t notification)
{
    uint64_t word;
    return timer_set(timer, notification, 10000000, 0) == QY_OK &&
           notification_wait(notification, &word) == QY_OK;
}

/* The neighbour goes on for a while, whatever the others do. */
static bool neighbour_goes_on(qy_handle_t timer, qy_handle_t notification)
{
    unsigned until = atomic_load(&neighbour_rounds) + ROUNDS_MORE;
    while (atomic_load(&neighbour_rounds) < until)
        if (!nap(timer, notification))
            return false;
    return atomic_load(&neighbour_failures) == 0;
}

static bool all_holds(void)
{
    char broken[SYSTEM_CHECK_NAME];
    bool asked = system_check(QY_SLOT_SYSTEM, broken) == QY_OK;
    if (broken[0])
        print("exhaust: %s does not hold\n", broken);
    return asked && !broken[0];
}

static void play(struct root *root, unsigned count, qy_handle_t timer, qy_handle_t notification)
{
    qy_handle_t budgets[HOGS_MAX + 1];
    unsigned made = 0, senders = 0;
    bool begun = start(root, &neighbour, NEIGHBOUR_PAGES, neighbour_main, HOGS_MAX, 0,
                       &budgets[HOGS_MAX]) == QY_OK;
    for (unsigned i = 0; begun && i < count; i++)
        begun = start(root, &hogs[i], HOG_PAGES, hog_main, i, i % root->info->cpus, &budgets[i]) ==
                QY_OK;
    if (!root_check(root, begun, "the tasks could not be started"))
        return;
    for (unsigned i = 0; i < count; i++) {
        while (!atomic_load(&hogs[i].exhausted))
            if (!nap(timer, notification))
                break;
        root_check(
            root,
            untyped_retype(hogs[i].pool, QY_OBJ_FRAME, 1, QY_SLOT_NODE, root->next_slot, 1).error ==
                QY_OUT_OF_MEMORY,
            "a task that took everything left something");
        made += atomic_load(&hogs[i].made);
        senders += atomic_load(&hogs[i].senders);
    }
    root_check(root, neighbour_goes_on(timer, notification),
               "a task that takes everything harmed its neighbour");
    root_check(root, all_holds(), "an invariant does not hold");
    for (unsigned i = 0; i < count; i++)
        root_check(root, cap_revoke(budgets[i]) == QY_OK && cap_delete(budgets[i]) == QY_OK,
                   "a budget could not be taken back");
    root_check(root, neighbour_goes_on(timer, notification), "the end of others harmed a task");
    root_check(root,
               cap_revoke(budgets[HOGS_MAX]) == QY_OK && cap_delete(budgets[HOGS_MAX]) == QY_OK,
               "a budget could not be taken back");
    print("exhaust: %u tasks made %u objects and %u senders, and then no more; a neighbour went on "
          "for %u rounds, %u failed\n",
          count, made, senders, atomic_load(&neighbour_rounds), atomic_load(&neighbour_failures));
}

void exhaust_run(struct root *root)
{
    uint32_t mark = root_mark(root);
    qy_handle_t timer = 0, notification = 0;
    struct untyped_state before, after;
    unsigned count = root->info->cpus < HOGS_MAX ? root->info->cpus : HOGS_MAX;
    bool ok = untyped_info(root->untyped, &before) == QY_OK &&
              root_make(root, root->untyped, QY_OBJ_TIMER, 1, &timer) == QY_OK &&
              root_make(root, root->untyped, QY_OBJ_NOTIFICATION, 1, &notification) == QY_OK;
    if (root_check(root, ok, "no timer could be made"))
        play(root, count, timer, notification);
    ok = cap_delete(timer) == QY_OK && cap_delete(notification) == QY_OK;
    root_check(root, ok, "the timer could not be deleted");
    root_release(root, mark);
    ok = untyped_info(root->untyped, &after) == QY_OK && after.free_bytes == before.free_bytes &&
         after.objects == before.objects;
    if (root_check(root, ok && all_holds(), "memory is missing afterwards"))
        print("exhaust: every invariant held, memory back to the byte\n");
}
