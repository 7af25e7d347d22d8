/*
 * Exhaustion: tasks that take all that they can get, beside one that has to go on.
 *
 *     hog on each CPU, in a budget of its own:  retypes every type of object; maps regions, frames and pages of a memory
 *                                               object; forks a space; starts threads that queue up as senders:
 *                                               a little of each in turn, until none of them can be had
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
#define TRIES_MORE 6u /* of each kind, all of which fail */
/* Slots of a task's own node. */
#define SLOT_NODE 1u
#define SLOT_UNTYPED 2u
#define SLOT_SPACE 3u
#define FIRST_SLOT 4u
#define NODE_PAGES 4u
#define NODE_SLOTS 256u
#define SLOTS_OF_A_PAGE 64u
#define REGION 0x100000000000ull
#define REGION_BYTES (16 * PAGE_BYTES)
#define REGION_STEP (1ull << 30) /* from one to the next: each needs tables of its own */
#define ALIASES 0x100000u /* from the first region to where one frame is mapped again and again */

struct task {
    qy_handle_t pool;                 /* its memory, as the root task names it */
    qy_handle_t node, untyped, space; /* handles of its own node */
    atomic_uint made;                 /* objects */
    atomic_uint senders, forks, maps;
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
    for (unsigned i = 0; endpoint && i < SENDERS; i++) {
        qy_handle_t thread = make(task, QY_OBJ_THREAD, 1, (*slot)++);
        uint64_t stack = (uintptr_t)&sender_stacks[number][i][SENDER_STACK_BYTES];
        if (!thread || thread_configure(thread, task->space, task->node, 0, 0) != QY_OK ||
            thread_start(thread, (uintptr_t)sender_main, stack_for_entry(stack), endpoint,
                         QY_CPU_ANY) != QY_OK)
            break;
        atomic_fetch_add(&task->senders, 1);
    }
}

/* What a hog acts on beside its budget; handles of its own node. */
struct hoard {
    uint64_t slot;                    /* the next one of its node */
    qy_handle_t space, memory, frame; /* the space draws on the budget; the frame is mapped in it */
    uint64_t regions, pages, aliases; /* that there are */
    qy_handle_t node;                 /* where objects are put that nobody acts on */
    uint64_t at;
};

static bool has_slot(const struct hoard *hoard)
{
    return hoard->slot < NODE_SLOTS - 1;
}

static bool begin_hoard(struct task *task, struct hoard *hoard)
{
    uint64_t at = REGION;
    hoard->space = make(task, QY_OBJ_ADDRESS_SPACE, 1, hoard->slot++);
    hoard->memory = make(task, QY_OBJ_MEMORY, HOG_PAGES, hoard->slot++);
    hoard->frame = make(task, QY_OBJ_FRAME, 1, hoard->slot++);
    return hoard->space && hoard->memory && hoard->frame &&
           space_bind(hoard->space, task->untyped) == QY_OK &&
           space_map_region(hoard->space, &at, REGION_BYTES, QY_MAP_READ | QY_MAP_WRITE, 0) ==
               QY_OK;
}

/* One more region, far from the others; pages for the memory object; the frame at one more address. */
static bool map_more(struct task *task, struct hoard *hoard)
{
    uint64_t at = REGION + (hoard->regions + 1) * REGION_STEP, pages = 2;
    bool region =
        space_map_region(hoard->space, &at, REGION_BYTES, QY_MAP_READ | QY_MAP_WRITE, 0) == QY_OK;
    hoard->regions += region;
    bool page = memory_supply(hoard->memory, hoard->pages, &pages, NULL) == QY_OK;
    hoard->pages += page ? pages : 0;
    bool alias = false;
    if (has_slot(hoard)) {
        struct call_result copy = cap_copy(task->node, hoard->slot, hoard->frame, QY_RIGHT_ALL, 0);
        alias = copy.error == QY_OK &&
                frame_map(copy.value[1], hoard->space,
                          REGION + ALIASES + hoard->aliases * PAGE_BYTES, QY_MAP_READ)
                        .error == QY_OK;
        hoard->aliases += alias;
        hoard->slot += alias;
        if (copy.error == QY_OK && !alias && cap_delete(copy.value[1]) != QY_OK)
            return true; /* an error that is no want of memory: it would go on for ever, and be seen */
    }
    atomic_fetch_add(&task->maps, (unsigned)region + page + alias);
    return region || page || alias;
}

/* A clone of the space as it is; half a clone stays until the end. */
static bool fork_more(struct task *task, struct hoard *hoard)
{
    uint64_t at = REGION;
    qy_handle_t space = has_slot(hoard) ? make(task, QY_OBJ_ADDRESS_SPACE, 1, hoard->slot) : 0;
    if (!space)
        return false;
    hoard->slot++;
    if (space_bind(space, task->untyped) != QY_OK ||
        space_clone(space, hoard->space, &at, REGION + (hoard->regions + 1) * REGION_STEP) != QY_OK)
        return false;
    atomic_fetch_add(&task->forks, 1);
    return true;
}

/* One of each type, in nodes that are made when the last one is full. */
static bool retype_more(struct task *task, struct hoard *hoard)
{
    bool any = false;
    for (unsigned i = 0; i < TYPES; i++) {
        if (!hoard->node || hoard->at == SLOTS_OF_A_PAGE) {
            hoard->node = has_slot(hoard) ? make(task, QY_OBJ_CAP_NODE, 1, hoard->slot) : 0;
            if (!hoard->node)
                return any;
            hoard->slot++;
            hoard->at = 1;
        }
        bool made =
            untyped_retype(task->untyped, types[i], 1 + (hoard->at & 1), hoard->node, hoard->at, 1)
                .error == QY_OK;
        hoard->at += made;
        any |= made;
        atomic_fetch_add(&task->made, made);
    }
    return any;
}

static void hog_main(void *argument)
{
    struct task *task = argument;
    struct hoard hoard = {.slot = FIRST_SLOT};
    send_until_it_fails(task, (unsigned)(task - hogs), &hoard.slot);
    if (!begin_hoard(task, &hoard))
        thread_exit(1); /* the root task waits, and says so */
    for (bool any = true; any;) {
        any = fork_more(task, &hoard);
        any |= map_more(task, &hoard);
        any |= retype_more(task, &hoard);
    }
    /* Frames of every size take what is left; slots, too, may have run out first. */
    for (uint64_t pages = 64; pages; pages /= 2)
        while (hoard.slot < NODE_SLOTS && make(task, QY_OBJ_FRAME, pages, hoard.slot))
            hoard.slot++;
    atomic_store(&task->exhausted, true);
    for (unsigned i = 0; i < TRIES_MORE; i++) {
        (void)map_more(task, &hoard);
        (void)fork_more(task, &hoard);
        (void)retype_more(task, &hoard);
    }
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
        error = root_make(root, *budget, QY_OBJ_CAP_NODE, NODE_PAGES, &node);
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
    unsigned made = 0, senders = 0, forks = 0, maps = 0;
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
        forks += atomic_load(&hogs[i].forks);
        maps += atomic_load(&hogs[i].maps);
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
    root_check(root,
               senders == count * SENDERS && forks >= count && maps >= 10 * count &&
                   made >= 100 * count,
               "a task did not get what it could");
    print("exhaust: %u tasks made %u objects, %u forks, %u mappings and %u senders, and then no "
          "more; a neighbour went "
          "on for %u rounds, %u failed\n",
          count, made, forks, maps, senders, atomic_load(&neighbour_rounds),
          atomic_load(&neighbour_failures));
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
