/*
 * A storm of calls: threads on every CPU do whatever they can to objects that all of them share, and to each other.
 *
 *     root task                          players (any CPU, any priority)     stirrers (one on each CPU, never wait)
 *     a node and an untyped for all -->  retype copy move delete revoke      the same without what waits, so that
 *     waits for 10,000 calls             send call receive reply signal      somebody is always awake
 *     every validator, in between  <-->  map fault regions clone objects
 *     revokes the budget under them all; every validator; memory back to the byte; the next round
 *
 * Every player draws its calls from a seed (word seed=N), so a round is as random as CPUs that run beside each other make
 * it; what must hold does so in any order. An emulator that counts instructions repeats a run to the last one: the boot
 * variant `counted` of tests/boot/matrix with the seed that was printed. Errors of single calls mean nothing here, but
 * calls of each kind must succeed now and then. Stacks lie in the root task's own memory, one for each thread of a round,
 * never two.
 */
#include "root.h"
#include <lib/random.h>
#include <stdatomic.h>

#define CALLS_A_ROUND 10000u
#define PAUSE_NS 10000000ull
#define BUDGET_PAGES 4000u
#define PLAY_PAGES 2500u
#define PLAYERS_A_CPU 3u
#define STACKS 192u
#define THREADS_MAX 96u
#define STACK_BYTES 4096u
#define STACK_AREA (ROOT_CHILD_ADDRESS + 0x4000000000)
#define STACK_PAGES 256u /* a frame's: a power of two */
#define FAULTS_A_ROUND 24
#define AREA (ROOT_CHILD_ADDRESS + 0x40000000)
#define AREA_PAGES 16u
/* Slots of the players' node. */
#define SLOT_NODE 1u
#define SLOT_UNTYPED 2u
#define SLOT_SPACE 3u
#define SLOT_SYSTEM 4u
#define FIRST_SLOT 5u
#define SLOTS 59u
#define REGIONS (ROOT_CHILD_ADDRESS + 0x8000000000)
#define REGION_BYTES 0x200000ull
#define LINES 24u

/* Kinds of calls. X(NAME, name) */
#define KINDS_OF_PLAY(X)                                                                           \
    X(CAPABILITY, capability)                                                                      \
    X(THREAD, thread)                                                                              \
    X(MAPPING, mapping)                                                                            \
    X(REGION, region)                                                                              \
    X(OBJECT, object)                                                                              \
    X(SWAP, swap)                                                                                  \
    X(DEVICE, device)                                                                              \
    X(SIGNAL, signal)                                                                              \
    X(MESSAGE, message)
enum play {
#define X(NAME, name) PLAY_##NAME,
    KINDS_OF_PLAY(X)
#undef X
        PLAYS
};

/* What the players share. Handles are those of their node. */
static struct {
    qy_handle_t node, untyped, space, system;
    unsigned cpus;
    uint64_t seed;
    atomic_uint stacks;
    atomic_int faults;
    _Atomic uint64_t calls;            /* of this round */
    _Atomic uint64_t succeeded[PLAYS]; /* of all rounds, by kind */
} storm;

struct player {
    uint64_t random;
    bool stirs; /* it does nothing that waits */
};

static uint64_t below(struct player *player, uint64_t limit)
{
    return random_below(&player->random, limit);
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
    return n < STACKS ? STACK_AREA + (n + 1) * STACK_BYTES : 0;
}

static uint64_t any_cpu(struct player *player)
{
    return below(player, 4) ? below(player, storm.cpus) : QY_CPU_ANY;
}

static enum qy_error play_thread(struct player *player)
{
    qy_handle_t thread = any(player, QY_OBJ_THREAD);
    struct thread_status status;
    enum qy_error error = QY_WOULD_WAIT;
    switch (below(player, 8)) {
    case 0:
        error = thread_suspend(thread);
        break;
    case 1:
    case 2:
        error = thread_resume(thread);
        break;
    case 3:
    case 4:
        error = thread_schedule(thread, below(player, 33), any_cpu(player));
        break;
    default:
        if (thread_info(thread, &status) != QY_OK ||
            (status.state != QY_THREAD_NEW && status.state != QY_THREAD_DEAD) || below(player, 4) ||
            atomic_load(&storm.stacks) >= STACKS)
            break;
        error = thread_configure(thread, storm.space, storm.node,
                                 below(player, 3) ? any(player, QY_OBJ_ENDPOINT) : 0, 0);
        uint64_t stack = error == QY_OK ? new_stack() : 0;
        if (stack)
            error = thread_start(thread, (uintptr_t)player_main, stack_for_entry(stack),
                                 (uintptr_t)below(player, ~0u), any_cpu(player));
    }
    return error;
}

static enum qy_error play_capability(struct player *player)
{
    static const enum qy_object_type types[] = {
        QY_OBJ_UNTYPED,  QY_OBJ_FRAME,         QY_OBJ_FRAME,  QY_OBJ_PAGE_TABLE,
        QY_OBJ_CAP_NODE, QY_OBJ_THREAD,        QY_OBJ_THREAD, QY_OBJ_ENDPOINT,
        QY_OBJ_ENDPOINT, QY_OBJ_REPLY,         QY_OBJ_REPLY,  QY_OBJ_NOTIFICATION,
        QY_OBJ_TIMER,    QY_OBJ_ADDRESS_SPACE, QY_OBJ_MEMORY, QY_OBJ_INTERRUPT,
        QY_OBJ_IO_PORTS, QY_OBJ_ADDRESS_SPACE};
    enum qy_object_type type = types[below(player, sizeof(types) / sizeof(types[0]))];
    qy_handle_t node = below(player, 4) ? storm.node : any(player, QY_OBJ_CAP_NODE);
    uint64_t pages = type == QY_OBJ_UNTYPED  ? 8 + below(player, 60)
                     : type == QY_OBJ_MEMORY ? 1 + below(player, 20)
                                             : 1;
    enum qy_error error = QY_WOULD_WAIT;
    switch (below(player, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        error = untyped_retype(below(player, 2) ? storm.untyped : any(player, QY_OBJ_UNTYPED), type,
                               pages, node, any_slot(player), 1 + below(player, 3))
                    .error;
        break;
    case 4:
    case 5:
    case 6:
        error = cap_copy(node, any_slot(player), any(player, QY_OBJ_NONE),
                         below(player, 4) ? QY_RIGHT_ALL : below(player, 16),
                         below(player, 3) ? 0 : 1 + below(player, 8))
                    .error;
        break;
    case 7:
    case 8:
        error = cap_move(node, any_slot(player), any(player, QY_OBJ_NONE)).error;
        break;
    case 9:
    case 10:
        error = cap_delete(any(player, QY_OBJ_NONE));
        break;
    default:
        if (below(player, 12) == 0)
            error = cap_revoke(below(player, 20) ? any(player, QY_OBJ_NONE) : storm.untyped);
    }
    return error;
}

static enum qy_error play_mapping(struct player *player)
{
    uint64_t address = AREA + below(player, AREA_PAGES) * PAGE_BYTES;
    static const uint64_t flags[] = {QY_MAP_READ, QY_MAP_READ | QY_MAP_WRITE,
                                     QY_MAP_READ | QY_MAP_EXEC};
    enum qy_error error = QY_WOULD_WAIT;
    switch (below(player, 6)) {
    case 0:
    case 1:
        error = frame_map(any(player, QY_OBJ_FRAME), storm.space, address, flags[below(player, 3)])
                    .error;
        break;
    case 2:
        error = frame_unmap(any(player, QY_OBJ_FRAME), storm.space, address);
        break;
    case 3:
        error =
            frame_protect(any(player, QY_OBJ_FRAME), storm.space, address, flags[below(player, 3)]);
        break;
    case 4:
        error = table_map(any(player, QY_OBJ_PAGE_TABLE), storm.space,
                          AREA + ((1 + below(player, 4)) << 30), 1 + below(player, 3))
                    .error;
        break;
    default:
        /* A fault; it ends with the thread, with a reply, or with what its handler maps there. */
        if (!player->stirs && below(player, 8) == 0 && atomic_fetch_sub(&storm.faults, 1) > 0)
            *(volatile uint64_t *)address = player->random;
    }
    return error;
}

/* In spaces of their own: what the root task's has is not to be touched. */
static enum qy_error play_region(struct player *player)
{
    qy_handle_t space = any(player, QY_OBJ_ADDRESS_SPACE);
    uint64_t address = REGIONS + below(player, 16) * REGION_BYTES / 2;
    uint64_t bytes = below(player, 4) ? (1 + below(player, 64)) * PAGE_BYTES : REGION_BYTES;
    const uint64_t flags = below(player, 4) ? QY_MAP_READ | QY_MAP_WRITE : QY_MAP_READ;
    struct space_region region;
    struct space_state state;
    switch (below(player, 12)) {
    case 0:
    case 1:
        return space_bind(space, any(player, QY_OBJ_UNTYPED));
    case 2:
        return space_map_region(space, &address, bytes, flags | QY_REGION(below(player, 6)), 0);
    case 3:
        return space_map_region(space, &address, bytes, flags | QY_REGION_PAGER, 0);
    case 4:
    case 5:
        return space_map_object(space, &address, bytes,
                                flags | (below(player, 2) ? QY_REGION_PRIVATE : 0),
                                any(player, QY_OBJ_MEMORY), below(player, 8));
    case 6:
        return space_unmap_region(space, address, bytes);
    case 7:
        return space_protect_region(space, address, bytes, flags);
    case 8:
        return space_clone(space, any(player, QY_OBJ_ADDRESS_SPACE), &address, address + bytes);
    case 9:
        return space_settle(space, &address);
    case 10:
        return space_handler(space, any(player, QY_OBJ_ENDPOINT), 1);
    default:
        return below(player, 2) ? space_query(space, address, &region) : space_info(space, &state);
    }
}

static enum qy_error play_object(struct player *player)
{
    qy_handle_t memory = any(player, QY_OBJ_MEMORY);
    uint64_t pages = 1 + below(player, 8), page = below(player, 16);
    struct memory_state state;
    switch (below(player, 6)) {
    case 0:
        return memory_resize(memory, below(player, 30));
    case 1:
    case 2:
        return memory_supply(memory, page, &pages, NULL);
    case 3:
        return memory_discard(memory, page, pages);
    case 4:
        return memory_pager(memory, below(player, 2) ? any(player, QY_OBJ_ENDPOINT) : 0, 1);
    default:
        return memory_info(memory, page, &state);
    }
}

/* Pages go to slots and return, with whatever the frame holds. */
static enum qy_error play_swap(struct player *player)
{
    qy_handle_t area = any(player, QY_OBJ_MEMORY), frame = any(player, QY_OBJ_FRAME);
    qy_handle_t space = below(player, 2) ? storm.space : any(player, QY_OBJ_ADDRESS_SPACE);
    uint64_t address = REGIONS + below(player, 512) * PAGE_BYTES, slot = below(player, 64), bits,
             more;
    struct space_harvest harvest;
    switch (below(player, 8)) {
    case 0:
    case 1:
    case 2:
        return space_evict(space, address, 1 + below(player, 2), area, slot, frame, &bits);
    case 3:
    case 4:
        return memory_restore(area, slot, 1, frame, 0, &bits);
    case 5:
        return space_harvest(space, address, REGIONS + REGION_BYTES, &harvest);
    case 6:
        return below(player, 4) ? memory_slots(area, slot & ~63ull, &bits, &more)
                                : memory_lose(area, slot, 1);
    default:
        return untyped_watch(below(player, 2) ? storm.untyped : any(player, QY_OBJ_UNTYPED),
                             any(player, QY_OBJ_NOTIFICATION), below(player, 100),
                             100 + below(player, 100));
    }
}

static enum qy_error play_device(struct player *player)
{
    switch (below(player, 5)) {
    case 0:
    case 1:
        return interrupt_bind(any(player, QY_OBJ_INTERRUPT), storm.system, below(player, LINES),
                              any(player, QY_OBJ_NOTIFICATION));
    case 2:
        return interrupt_acknowledge(any(player, QY_OBJ_INTERRUPT));
    case 3:
        return ports_bind(any(player, QY_OBJ_IO_PORTS), storm.system, below(player, 2 * QY_PORTS),
                          below(player, 64));
    default:
        return below(player, 2)
                   ? frame_pin(any(player, QY_OBJ_FRAME), any(player, QY_OBJ_DMA)).error
                   : frame_unpin(any(player, QY_OBJ_FRAME));
    }
}

static enum qy_error play_signal(struct player *player)
{
    uint64_t word;
    enum qy_error error = QY_WOULD_WAIT;
    switch (below(player, 9)) {
    case 0:
        error = notification_signal(any(player, QY_OBJ_NOTIFICATION));
        break;
    case 1:
        error = notification_poll(any(player, QY_OBJ_NOTIFICATION), &word);
        break;
    case 2:
        error = notification_bind(any(player, QY_OBJ_NOTIFICATION),
                                  below(player, 3) ? any(player, QY_OBJ_THREAD) : 0);
        break;
    case 3:
        error = timer_set(any(player, QY_OBJ_TIMER), any(player, QY_OBJ_NOTIFICATION),
                          below(player, 30000000), below(player, 3) ? 0 : below(player, 9000000));
        break;
    case 4:
        error = receive_slot(storm.node, any_slot(player));
        break;
    case 5:
        error = reply_map(any(player, QY_OBJ_REPLY), any(player, QY_OBJ_FRAME),
                          QY_MAP_READ | QY_MAP_WRITE)
                    .error;
        break;
    default:
        error = reply_send(any(player, QY_OBJ_REPLY), below(player, 2), 1, 2, 3);
    }
    return error;
}

static enum qy_error play_message(struct player *player)
{
    qy_handle_t endpoint = any(player, QY_OBJ_ENDPOINT), reply = any(player, QY_OBJ_REPLY);
    struct message message;
    uint64_t word;
    enum qy_error error = QY_WOULD_WAIT;
    switch (below(player, 7)) {
    case 0:
        error = endpoint_send(endpoint, 1, 2, 3, 4);
        break;
    case 1:
        error = endpoint_grant(endpoint, 1, any(player, QY_OBJ_NONE));
        break;
    case 2:
        error = endpoint_call(endpoint, 1, 2, 3, 4, &message);
        break;
    case 3:
    case 4:
        error = endpoint_receive(endpoint, reply, &message);
        break;
    case 5:
        error = endpoint_reply_receive(endpoint, reply, below(player, 2), 1, 2, 3, &message);
        break;
    default:
        error = notification_wait(any(player, QY_OBJ_NOTIFICATION), &word);
    }
    return error;
}

/* Which kinds, and how often; nothing: it yields. */
static void play_once(struct player *player)
{
    static const enum play plays[] = {
        PLAY_CAPABILITY, PLAY_CAPABILITY, PLAY_CAPABILITY, PLAY_CAPABILITY, PLAY_THREAD,
        PLAY_THREAD,     PLAY_MAPPING,    PLAY_MAPPING,    PLAY_REGION,     PLAY_REGION,
        PLAY_OBJECT,     PLAY_SWAP,       PLAY_SWAP,       PLAY_DEVICE,     PLAY_SIGNAL,
        PLAY_SIGNAL,     PLAY_SIGNAL,     PLAY_MESSAGE,    PLAY_MESSAGE,    PLAYS};
    static enum qy_error (*const play[])(struct player * player) = {
#define X(NAME, name) [PLAY_##NAME] = play_##name,
        KINDS_OF_PLAY(X)
#undef X
    };
    enum play kind = plays[below(player, sizeof(plays) / sizeof(plays[0]))];
    if (kind == PLAYS)
        yield();
    else if ((kind != PLAY_MESSAGE || !player->stirs) && play[kind](player) == QY_OK)
        atomic_fetch_add_explicit(&storm.succeeded[kind], 1, memory_order_relaxed);
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
                  {&storm.space, QY_SLOT_SPACE, SLOT_SPACE},
                  {&storm.system, QY_SLOT_SYSTEM, SLOT_SYSTEM}};
    for (unsigned i = 0; error == QY_OK && i < sizeof(shared) / sizeof(shared[0]); i++) {
        struct call_result r = cap_copy(node, shared[i].slot, shared[i].source, QY_RIGHT_ALL, 0);
        *shared[i].handle = r.value[1];
        error = r.error;
    }
    storm.seed = (root_word(root, "seed=", 1) + round) * 0x2545f4914f6cdd1dull;
    atomic_store(&storm.calls, 0);
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

/* The players have made their calls. Looked at now and then: nobody is to wake the root task. */
static bool wait_for_calls(qy_handle_t timer, qy_handle_t notification)
{
    uint64_t word;
    while (atomic_load(&storm.calls) < CALLS_A_ROUND)
        if (timer_set(timer, notification, PAUSE_NS, 0) != QY_OK ||
            notification_wait(notification, &word) != QY_OK)
            return false;
    return true;
}

/* One round; false if anything is wrong. */
static bool blow(struct root *root, qy_handle_t timer, qy_handle_t notification, uint64_t round,
                 uint64_t *calls)
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
    bool ok = root_check(root, begun, "a round could not begin") &&
              wait_for_calls(timer, notification) && all_holds(root, "in the storm");
    *calls += atomic_load(&storm.calls);
    bool gone = cap_revoke(budget) == QY_OK && cap_delete(budget) == QY_OK;
    root_release(root, mark);
    ok &= root_check(root, gone, "the budget could not be taken back") &&
          all_holds(root, "after the storm");
    bool same = untyped_info(root->untyped, &after) == QY_OK &&
                after.free_bytes == before.free_bytes && after.objects == before.objects;
    return ok & root_check(root, same, "memory is missing after a round");
}

/* A kind that never succeeds tests nothing. x86-64 alone has ports, and not every machine a line that is free. */
static void check_kinds(struct root *root)
{
    static const char *const names[] = {
#define X(NAME, name) [PLAY_##NAME] = #name,
        KINDS_OF_PLAY(X)
#undef X
    };
    for (unsigned i = 0; i < PLAYS; i++) {
        uint64_t succeeded = atomic_load(&storm.succeeded[i]);
        print("storm: %s: %llu calls succeeded\n", names[i], (unsigned long long)succeeded);
        root_check(root, succeeded || i == PLAY_DEVICE, "calls of one kind never succeed");
    }
}

void storm_run(struct root *root)
{
    uint32_t mark = root_mark(root);
    qy_handle_t timer = 0, notification = 0, stacks = 0;
    struct tables tables = {0};
    uint64_t wanted = root_word(root, "storm=", 5 * CALLS_A_ROUND), calls = 0, rounds = 0;

    print("storm: threads of %u CPUs make %llu calls, seed %llu\n", (unsigned)root->info->cpus,
          (unsigned long long)wanted, (unsigned long long)root_word(root, "seed=", 1));
    storm.cpus = root->info->cpus;
    bool ok = root_make(root, root->untyped, QY_OBJ_TIMER, 1, &timer) == QY_OK &&
              root_make(root, root->untyped, QY_OBJ_NOTIFICATION, 1, &notification) == QY_OK;
    root_check(root, ok, "no timer could be made");
    ok = ok && root_make(root, root->untyped, QY_OBJ_FRAME, STACK_PAGES, &stacks) == QY_OK &&
         root_map(root, root->untyped, stacks, STACK_AREA, QY_MAP_READ | QY_MAP_WRITE, false,
                  &tables) == QY_OK;
    root_check(root, ok, "the players' stacks could not be mapped");
    for (; ok && calls < wanted; rounds += ok)
        ok = blow(root, timer, notification, rounds, &calls);
    bool gone = cap_delete(timer) == QY_OK && cap_delete(notification) == QY_OK &&
                cap_delete(stacks) == QY_OK;
    while (gone && tables.count)
        gone = cap_delete(tables.handle[--tables.count]) == QY_OK;
    root_check(root, gone, "the timer and the stacks could not be deleted");
    root_release(root, mark);
    check_kinds(root);
    if (ok)
        print("storm: %llu rounds, %llu calls; every invariant held, memory back to the byte\n",
              (unsigned long long)rounds, (unsigned long long)calls);
}
