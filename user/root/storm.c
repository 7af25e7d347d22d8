/*
 * A storm of calls: threads on every CPU do whatever they can to objects that all of them share, and to each other.
 *
 *     root task                          players (any CPU, any priority)     stirrers (one on each CPU, never wait)
 *     a node and an untyped for all -->  retype copy move delete revoke      the same without what waits, so that
 *     waits 0.4 s, twice                 send call receive reply signal      somebody is always awake
 *     every validator, in between  <-->  map fault schedule suspend start
 *     revokes the budget under them all; every validator; memory back to the byte; the next round
 *
 * Every player draws its calls from a seed, so a round is as random as CPUs that run beside each other make it; what
 * must hold does so in any order. Errors of single calls mean nothing here. Stacks lie in the root task's own memory,
 * one for each thread of a round, never two.
 */
#include "root.h"
#include <stdatomic.h>

#define ROUNDS 8u
#define PAUSE_NS 400000000ull
#define BUDGET_PAGES 4000u
#define PLAY_PAGES 2500u
#define PLAYERS_A_CPU 3u
#define STACKS 192u
#define THREADS_MAX 96u
#define STACK_BYTES 4096u
#define FAULTS_A_ROUND 24
#define AREA (ROOT_CHILD_ADDRESS + 0x40000000)
#define AREA_PAGES 16u
/* Slots of the players' node. */
#define SLOT_NODE 1u
#define SLOT_UNTYPED 2u
#define SLOT_SPACE 3u
#define FIRST_SLOT 4u
#define SLOTS 60u

/* What the players share. Handles are those of their node. */
static struct {
    qy_handle_t node, untyped, space;
    unsigned cpus;
    uint64_t seed;
    atomic_uint stacks;
    atomic_int faults;
    _Atomic uint64_t calls;
} storm;

static char stacks[STACKS][STACK_BYTES] __attribute__((aligned(16)));

struct player {
    uint64_t random;
    bool stirs; /* it does nothing that waits */
};

static uint64_t below(struct player *player, uint64_t limit)
{
    player->random ^= player->random << 13;
    player->random ^= player->random >> 7;
    player->random ^= player->random << 17;
    return (player->random >> 32) % limit;
}

static uint64_t any_slot(struct player *player)
{
    return FIRST_SLOT + below(player, SLOTS);
}

/* A handle of that type, if a few tries find one; else of anything. */
static qy_handle_t any(struct player *player, enum qy_object_type type)
{
    struct cap_state cap = {0};
    for (unsigned i = 0; i < 12; i++)
        if (cap_info(storm.node, any_slot(player), &cap) == QY_OK &&
            (type == QY_OBJ_NONE || cap.type == type))
            break;
    return cap.handle;
}

static void player_main(void *argument);

/* The next stack of the round; 0 = there is none left. */
static uint64_t new_stack(void)
{
    unsigned n = atomic_fetch_add(&storm.stacks, 1);
    return n < STACKS ? (uint64_t)(uintptr_t)&stacks[n][STACK_BYTES] : 0;
}

static uint64_t any_cpu(struct player *player)
{
    return below(player, 4) ? below(player, storm.cpus) : QY_CPU_ANY;
}

static void play_thread(struct player *player)
{
    qy_handle_t thread = any(player, QY_OBJ_THREAD);
    struct thread_status status;
    enum qy_error ignored = QY_OK;
    switch (below(player, 8)) {
    case 0:
        ignored = thread_suspend(thread);
        break;
    case 1:
    case 2:
        ignored = thread_resume(thread);
        break;
    case 3:
    case 4:
        ignored = thread_schedule(thread, below(player, 33), any_cpu(player));
        break;
    default:
        if (thread_info(thread, &status) != QY_OK ||
            (status.state != QY_THREAD_NEW && status.state != QY_THREAD_DEAD) || below(player, 4) ||
            atomic_load(&storm.stacks) >= STACKS)
            break;
        ignored = thread_configure(thread, storm.space, storm.node,
                                   below(player, 3) ? any(player, QY_OBJ_ENDPOINT) : 0, 0);
        uint64_t stack = ignored == QY_OK ? new_stack() : 0;
        if (stack)
            ignored = thread_start(thread, (uintptr_t)player_main, stack_for_entry(stack),
                                   (uintptr_t)below(player, ~0u), any_cpu(player));
    }
    (void)ignored;
}

static void play_capability(struct player *player)
{
    static const enum qy_object_type types[] = {
        QY_OBJ_UNTYPED, QY_OBJ_FRAME,        QY_OBJ_FRAME,    QY_OBJ_PAGE_TABLE,   QY_OBJ_CAP_NODE,
        QY_OBJ_THREAD,  QY_OBJ_THREAD,       QY_OBJ_ENDPOINT, QY_OBJ_ENDPOINT,     QY_OBJ_REPLY,
        QY_OBJ_REPLY,   QY_OBJ_NOTIFICATION, QY_OBJ_TIMER,    QY_OBJ_ADDRESS_SPACE};
    enum qy_object_type type = types[below(player, sizeof(types) / sizeof(types[0]))];
    qy_handle_t node = below(player, 4) ? storm.node : any(player, QY_OBJ_CAP_NODE);
    uint64_t pages = type == QY_OBJ_UNTYPED ? 8 + below(player, 60) : 1;
    enum qy_error ignored = QY_OK;
    switch (below(player, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        ignored = untyped_retype(below(player, 2) ? storm.untyped : any(player, QY_OBJ_UNTYPED),
                                 type, pages, node, any_slot(player), 1 + below(player, 3))
                      .error;
        break;
    case 4:
    case 5:
    case 6:
        ignored = cap_copy(node, any_slot(player), any(player, QY_OBJ_NONE),
                           below(player, 4) ? QY_RIGHT_ALL : below(player, 16),
                           below(player, 3) ? 0 : 1 + below(player, 8))
                      .error;
        break;
    case 7:
    case 8:
        ignored = cap_move(node, any_slot(player), any(player, QY_OBJ_NONE)).error;
        break;
    case 9:
    case 10:
        ignored = cap_delete(any(player, QY_OBJ_NONE));
        break;
    default:
        if (below(player, 12) == 0)
            ignored = cap_revoke(below(player, 20) ? any(player, QY_OBJ_NONE) : storm.untyped);
    }
    (void)ignored;
}

static void play_memory(struct player *player)
{
    uint64_t address = AREA + below(player, AREA_PAGES) * PAGE_BYTES;
    static const uint64_t flags[] = {QY_MAP_READ, QY_MAP_READ | QY_MAP_WRITE,
                                     QY_MAP_READ | QY_MAP_EXEC};
    enum qy_error ignored = QY_OK;
    switch (below(player, 6)) {
    case 0:
    case 1:
        ignored =
            frame_map(any(player, QY_OBJ_FRAME), storm.space, address, flags[below(player, 3)])
                .error;
        break;
    case 2:
        ignored = frame_unmap(any(player, QY_OBJ_FRAME), storm.space, address);
        break;
    case 3:
        ignored =
            frame_protect(any(player, QY_OBJ_FRAME), storm.space, address, flags[below(player, 3)]);
        break;
    case 4:
        ignored = table_map(any(player, QY_OBJ_PAGE_TABLE), storm.space,
                            AREA + ((1 + below(player, 4)) << 30), 1 + below(player, 3))
                      .error;
        break;
    default:
        /* A fault; it ends with the thread, with a reply, or with what its handler maps there. */
        if (!player->stirs && below(player, 8) == 0 && atomic_fetch_sub(&storm.faults, 1) > 0)
            *(volatile uint64_t *)address = player->random;
    }
    (void)ignored;
}

static void play_without_waiting(struct player *player)
{
    uint64_t word;
    enum qy_error ignored = QY_OK;
    switch (below(player, 9)) {
    case 0:
        ignored = notification_signal(any(player, QY_OBJ_NOTIFICATION));
        break;
    case 1:
        ignored = notification_poll(any(player, QY_OBJ_NOTIFICATION), &word);
        break;
    case 2:
        ignored = notification_bind(any(player, QY_OBJ_NOTIFICATION),
                                    below(player, 3) ? any(player, QY_OBJ_THREAD) : 0);
        break;
    case 3:
        ignored = timer_set(any(player, QY_OBJ_TIMER), any(player, QY_OBJ_NOTIFICATION),
                            below(player, 30000000), below(player, 3) ? 0 : below(player, 9000000));
        break;
    case 4:
        ignored = receive_slot(storm.node, any_slot(player));
        break;
    case 5:
        ignored = reply_map(any(player, QY_OBJ_REPLY), any(player, QY_OBJ_FRAME),
                            QY_MAP_READ | QY_MAP_WRITE)
                      .error;
        break;
    default:
        ignored = reply_send(any(player, QY_OBJ_REPLY), below(player, 2), 1, 2, 3);
    }
    (void)ignored;
}

static void play_message(struct player *player)
{
    qy_handle_t endpoint = any(player, QY_OBJ_ENDPOINT), reply = any(player, QY_OBJ_REPLY);
    struct message message;
    uint64_t word;
    enum qy_error ignored = QY_OK;
    switch (below(player, 7)) {
    case 0:
        ignored = endpoint_send(endpoint, 1, 2, 3, 4);
        break;
    case 1:
        ignored = endpoint_grant(endpoint, 1, any(player, QY_OBJ_NONE));
        break;
    case 2:
        ignored = endpoint_call(endpoint, 1, 2, 3, 4, &message);
        break;
    case 3:
    case 4:
        ignored = endpoint_receive(endpoint, reply, &message);
        break;
    case 5:
        ignored = endpoint_reply_receive(endpoint, reply, below(player, 2), 1, 2, 3, &message);
        break;
    default:
        ignored = notification_wait(any(player, QY_OBJ_NOTIFICATION), &word);
    }
    (void)ignored;
}

static void play_once(struct player *player)
{
    switch (below(player, 8)) {
    case 0:
    case 1:
        play_capability(player);
        break;
    case 2:
        play_thread(player);
        break;
    case 3:
        play_memory(player);
        break;
    case 4:
    case 5:
        play_without_waiting(player);
        break;
    case 6:
        yield();
        break;
    default:
        if (!player->stirs)
            play_message(player);
    }
    atomic_fetch_add_explicit(&storm.calls, 1, memory_order_relaxed);
}

static void play(uint64_t seed, bool stirs)
{
    struct player player = {.random = storm.seed ^ (seed + 1) * 0x9e3779b97f4a7c15ull,
                            .stirs = stirs};
    for (;;)
        play_once(&player);
}

static void player_main(void *argument)
{
    play((uintptr_t)argument, false);
}

static void stirrer_main(void *argument)
{
    play((uintptr_t)argument << 32, true);
}

/* A thread out of the budget that runs in the players' node. slot: of that node, for the others; 0 = they cannot
 * reach it. */
static enum qy_error add_thread(struct root *root, qy_handle_t budget, qy_handle_t node,
                                uint64_t slot, uint64_t number, qy_handle_t *thread)
{
    enum qy_error error = root_make(root, budget, QY_OBJ_THREAD, 1, thread);
    if (error == QY_OK)
        error = thread_configure(*thread, QY_SLOT_SPACE, node, 0, 0);
    if (error == QY_OK && slot)
        error = cap_copy(node, slot, *thread, QY_RIGHT_ALL, 0).error;
    return error == QY_OK ? thread_schedule(*thread, slot ? number * 7 % 33 : 12, 0) : error;
}

/* Stirrers, then players; nobody starts before all are there. */
static enum qy_error add_threads(struct root *root, qy_handle_t budget, qy_handle_t node)
{
    qy_handle_t threads[THREADS_MAX];
    unsigned players =
        PLAYERS_A_CPU * storm.cpus < SLOTS / 2 ? PLAYERS_A_CPU * storm.cpus : SLOTS / 2;
    unsigned count = storm.cpus + players;
    enum qy_error error = count > THREADS_MAX ? QY_TOO_MANY : QY_OK;
    for (unsigned i = 0; error == QY_OK && i < count; i++)
        error = add_thread(root, budget, node, i < storm.cpus ? 0 : FIRST_SLOT + i - storm.cpus, i,
                           &threads[i]);
    for (unsigned i = 0; error == QY_OK && i < count; i++) {
        error = thread_start(threads[i], (uintptr_t)(i < storm.cpus ? stirrer_main : player_main),
                             stack_for_entry(new_stack()), i, i % storm.cpus);
        if (error == QY_BUSY) /* a player was faster */
            error = QY_OK;
    }
    return error;
}

static enum qy_error begin_round(struct root *root, qy_handle_t budget, uint64_t round)
{
    qy_handle_t node = 0, untyped = 0, frame;
    enum qy_error error = root_make(root, budget, QY_OBJ_CAP_NODE, 1, &node);
    if (error == QY_OK)
        error = root_make(root, budget, QY_OBJ_UNTYPED, PLAY_PAGES, &untyped);
    if (error == QY_OK) /* the tables of the area */
        error = root_make(root, budget, QY_OBJ_FRAME, 1, &frame);
    if (error == QY_OK)
        error = root_map(root, budget, frame, AREA, QY_MAP_READ, false, NULL);
    const struct {
        qy_handle_t *handle, source;
        uint64_t slot;
    } shared[] = {{&storm.node, node, SLOT_NODE},
                  {&storm.untyped, untyped, SLOT_UNTYPED},
                  {&storm.space, QY_SLOT_SPACE, SLOT_SPACE}};
    for (unsigned i = 0; error == QY_OK && i < 3; i++) {
        struct call_result r = cap_copy(node, shared[i].slot, shared[i].source, QY_RIGHT_ALL, 0);
        *shared[i].handle = r.value[1];
        error = r.error;
    }
    storm.seed = (round + 1) * 0x2545f4914f6cdd1dull;
    atomic_store(&storm.stacks, 0);
    atomic_store(&storm.faults, FAULTS_A_ROUND);
    if (error == QY_OK)
        error = add_threads(root, budget, node);
    return error;
}

/* Every invariant of the kernel. */
static bool all_holds(struct root *root, const char *when)
{
    char broken[SYSTEM_CHECK_NAME];
    bool asked = system_check(QY_SLOT_SYSTEM, broken) == QY_OK;
    if (broken[0])
        print("storm: %s: %s does not hold\n", when, broken);
    return root_check(root, asked && !broken[0], "an invariant does not hold");
}

static bool pause(qy_handle_t timer, qy_handle_t notification)
{
    uint64_t word;
    return timer_set(timer, notification, PAUSE_NS, 0) == QY_OK &&
           notification_wait(notification, &word) == QY_OK;
}

/* One round; false if anything is wrong. */
static bool blow(struct root *root, qy_handle_t timer, qy_handle_t notification, uint64_t round)
{
    uint32_t mark = root_mark(root);
    struct untyped_state before, after;
    qy_handle_t budget;
    if (!root_check(root,
                    untyped_info(root->untyped, &before) == QY_OK &&
                        root_make(root, root->untyped, QY_OBJ_UNTYPED, BUDGET_PAGES, &budget) ==
                            QY_OK,
                    "no budget could be made"))
        return false;
    bool begun = begin_round(root, budget, round) == QY_OK;
    bool ok = root_check(root, begun, "a round could not begin") && pause(timer, notification) &&
              all_holds(root, "in the storm") && pause(timer, notification);
    bool gone = cap_revoke(budget) == QY_OK && cap_delete(budget) == QY_OK;
    root_release(root, mark);
    ok &= root_check(root, gone, "the budget could not be taken back") &&
          all_holds(root, "after the storm");
    bool same = untyped_info(root->untyped, &after) == QY_OK &&
                after.free_bytes == before.free_bytes && after.objects == before.objects;
    return ok & root_check(root, same, "memory is missing after a round");
}

void storm_run(struct root *root)
{
    uint32_t mark = root_mark(root);
    qy_handle_t timer = 0, notification = 0;
    unsigned rounds = 0;

    print("storm: threads of %u CPUs do what they can\n", (unsigned)root->info->cpus);
    storm.cpus = root->info->cpus;
    bool ok = root_make(root, root->untyped, QY_OBJ_TIMER, 1, &timer) == QY_OK &&
              root_make(root, root->untyped, QY_OBJ_NOTIFICATION, 1, &notification) == QY_OK;
    root_check(root, ok, "no timer could be made");
    for (; ok && rounds < ROUNDS; rounds += ok)
        ok = blow(root, timer, notification, rounds);
    bool gone = cap_delete(timer) == QY_OK && cap_delete(notification) == QY_OK;
    root_check(root, gone, "the timer could not be deleted");
    root_release(root, mark);
    print("storm: %u of %u rounds, %llu calls; every invariant held, memory back to the byte\n",
          rounds, ROUNDS, (unsigned long long)atomic_load(&storm.calls));
}
