/*
 * Small scope, completely: magazines of two stacks of two objects, the depot between them, and empty rounds, beside a
 * plain model that says for every object where it is; every call from every state that can be reached.
 *
 *     one class a slab     two CPUs, up to 22 objects live: the depot fills up, and what it has no room for goes back
 *     two a slab           two CPUs, up to 5 live: half a slab is fetched, and comes back in any order
 *     two classes          one CPU, up to 7 of each: rounds that one class has emptied serve the other
 *
 * The model is the theory of docs/adr/0017-object-caches.md: stacks are exchanged whole, what came last goes first, slabs
 * are asked when the depot has nothing. It predicts which object an allocation returns, whenever that does not come from a
 * slab, and after every call it is compared with magazines, depot and rounds, place by place; then the validators run. A
 * state is how many objects are where; which ones they are is no part of it. Would miss: arenas that run out
 * (slab_exhaustive), CPUs at the same time (mem_threads, magazines).
 */
#include "states.h"

#include <hosted/hosted.h>
#include <qy/slab.h>

#define LIMIT 2u /* objects in a stack: what an arena of 2 MiB allows of these */
#define PAGES 512u
#define OBJECT_BYTES 4000u
#define DEPOT_ROUNDS 8u /* a 32nd of the arena: 16 objects */
#define LIVE_MAX 22u

/* ---- the model ---- */

struct stack {
    unsigned count;
    void *items[LIMIT];
};

/* A CPU's use of a cache. */
struct user {
    unsigned cpu, kind;
    bool has; /* a magazine */
    bool has_previous;
    struct stack loaded, previous;
};

/* A cache's objects that no CPU has. */
struct kind {
    unsigned rounds, live;
    struct stack depot[DEPOT_ROUNDS];
    void *objects[LIVE_MAX]; /* live ones, the oldest first */
};

static struct user users[2];
static struct kind kinds[2];
static unsigned user_count, kind_count, live_max;
static unsigned empty_rounds;

/* ---- what it is the model of ---- */

static struct hosted_machine machine;
static struct qy_arena arena;
static struct qy_heap heap;
static struct qy_cache caches[2];
static struct qy_cpu_objects cpus[2];
static uint64_t calls, depot_full;

static struct qy_magazine *magazine_of(const struct user *user)
{
    return atomic_load(&cpus[user->cpu].slots[caches[user->kind].slot]);
}

static bool same(const struct stack *stack, const struct qy_rounds *rounds, size_t count)
{
    bool is_same = stack->count == count;
    for (size_t i = 0; i < count && is_same; i++)
        is_same = rounds->items[1 + i].object == stack->items[i];
    return is_same;
}

static bool user_agrees(const struct user *user)
{
    const struct qy_magazine *m = magazine_of(user);
    if ((m->cache == &caches[user->kind]) != user->has)
        return false;
    if (!user->has)
        return true;
    const struct qy_rounds *loaded = m->loaded, *previous = m->previous;
    return m->limit == LIMIT && (previous != NULL) == user->has_previous &&
           same(&user->loaded, loaded, (size_t)(qy_magazine_top(m) - &loaded->items[1])) &&
           (!previous || same(&user->previous, previous, previous->count));
}

static bool kind_agrees(const struct kind *kind, struct qy_cache *cache) QY_UNCHECKED
{
    struct qy_record_cache record;
    unsigned at = kind->rounds;
    const struct qy_rounds *rounds = cache->depot;
    for (; rounds && at; rounds = rounds->below)
        if (!same(&kind->depot[--at], rounds, rounds->count))
            return false;
    qy_cache_record(cache, &record);
    return !rounds && at == 0 && record.live == kind->live;
}

static void check(void) QY_UNCHECKED
{
    const char *broken = qy_heap_check(&heap);
    unsigned empty = 0;
    for (const struct qy_rounds *rounds = heap.rounds; rounds; rounds = rounds->below)
        empty++;
    for (unsigned i = 0; i < user_count && !broken; i++)
        broken = user_agrees(&users[i]) ? NULL : "the model of a magazine";
    for (unsigned i = 0; i < kind_count && !broken; i++)
        broken = kind_agrees(&kinds[i], &caches[i]) ? NULL : "the model of a depot";
    if (!broken && empty != empty_rounds)
        broken = "the model of empty rounds";
    if (broken)
        printf("# %s after %llu calls\n", broken, (unsigned long long)calls);
    CHECK(broken == NULL);
    calls++;
}

/* ---- what happens to stacks ---- */

static void rounds_take(void)
{
    empty_rounds -= empty_rounds != 0; /* else new ones are made */
}

static void turn(struct user *user, struct stack loaded)
{
    user->previous = user->loaded;
    user->has_previous = true;
    user->loaded = loaded;
}

static void attach(struct user *user)
{
    if (user->has)
        return;
    rounds_take();
    *user = (struct user){user->cpu, user->kind, .has = true};
}

static void depot_drain(struct kind *kind)
{
    empty_rounds += kind->rounds;
    kind->rounds = 0;
}

static void detach(struct user *user)
{
    if (user->has)
        empty_rounds += user->has_previous ? 2 : 1;
    user->has = false;
}

/* The stack that the user works on is full, and the other is too, or is none. */
static void make_room(struct user *user, struct kind *kind)
{
    bool fits = kind->rounds < DEPOT_ROUNDS;
    depot_full += user->has_previous && !fits;
    if (user->has_previous && fits)
        kind->depot[kind->rounds++] = user->previous;
    if (!user->has_previous || fits)
        rounds_take();
    turn(user, (struct stack){0}); /* without room, what was in the older one goes to slabs */
}

static bool is_known(const struct kind *kind, const void *object)
{
    bool found = false;
    for (unsigned i = 0; i < kind->live; i++)
        found |= kind->objects[i] == object;
    for (unsigned i = 0; i < user_count; i++)
        for (unsigned k = 0; k < LIMIT; k++)
            found |= users[i].has &&
                     ((k < users[i].loaded.count && users[i].loaded.items[k] == object) ||
                      (users[i].has_previous && k < users[i].previous.count &&
                       users[i].previous.items[k] == object));
    for (unsigned i = 0; i < kind->rounds; i++)
        for (unsigned k = 0; k < kind->depot[i].count; k++)
            found |= kind->depot[i].items[k] == object;
    return found;
}

/* A slab has given one object, and perhaps another one of the same slab that stays in the magazine. */
static void fetched(struct user *user, const struct kind *kind, const void *object)
{
    const struct qy_magazine *m = magazine_of(user);
    CHECK(m->cache == &caches[user->kind] && !is_known(kind, object));
    unsigned more = (unsigned)(qy_magazine_top(m) - &m->loaded->items[1]);
    void *other = m->loaded->items[1].object;
    CHECK(more == 0 || (more == 1 && other != object && !is_known(kind, other)));
    user->loaded = (struct stack){more, {other}};
}

/* ---- calls: the heap's, and the model's ---- */

/* This CPU has missed the cache so often that it gets a magazine with the next call. */
static void let_attach(const struct user *user)
{
    cpus[user->cpu].wishes[caches[user->kind].slot].cache = &caches[user->kind];
    cpus[user->cpu].wishes[caches[user->kind].slot].misses = 7;
}

static void take(struct user *user) QY_UNCHECKED
{
    struct kind *kind = &kinds[user->kind];
    void *object = NULL;
    let_attach(user);
    attach(user);
    if (user->loaded.count == 0 && user->has_previous && user->previous.count) {
        turn(user, user->previous);
    } else if (user->loaded.count == 0 && kind->rounds) {
        empty_rounds += user->has_previous;
        turn(user, kind->depot[--kind->rounds]);
    }
    CHECK_EQ(qy_cache_alloc(&cpus[user->cpu], &caches[user->kind], &object), QY_OK);
    if (user->loaded.count)
        CHECK(object == user->loaded.items[--user->loaded.count]);
    else
        fetched(user, kind, object);
    kind->objects[kind->live++] = object;
}

static void give(struct user *user, unsigned which) QY_UNCHECKED
{
    struct kind *kind = &kinds[user->kind];
    void *object = kind->objects[which];
    let_attach(user);
    attach(user);
    if (user->loaded.count == LIMIT && user->has_previous && user->previous.count < LIMIT)
        turn(user, user->previous);
    else if (user->loaded.count == LIMIT)
        make_room(user, kind);
    user->loaded.items[user->loaded.count++] = object;
    memmove(&kind->objects[which], &kind->objects[which + 1],
            (--kind->live - which) * sizeof(void *));
    CHECK_EQ(qy_cache_free(&cpus[user->cpu], &caches[user->kind], object), QY_OK);
    for (unsigned i = 0; i < 2; i++)
        CHECK(qy_cache_free(&cpus[i], &caches[user->kind], object) != QY_OK);
}

static void drain(unsigned cpu) QY_UNCHECKED
{
    for (unsigned i = 0; i < user_count; i++)
        if (users[i].cpu == cpu)
            detach(&users[i]);
    for (unsigned i = 0; i < kind_count; i++)
        depot_drain(&kinds[i]);
    empty_rounds = 0;
    qy_heap_drain(&cpus[cpu], &heap);
}

static void reclaim(void)
{
    for (unsigned i = 0; i < user_count; i++)
        detach(&users[i]);
    for (unsigned i = 0; i < kind_count; i++)
        kinds[i].rounds = 0;
    empty_rounds = 0;
    qy_heap_reclaim(&heap);
}

/* The depot of the cache that was made last goes first. */
static void drain_step(void)
{
    unsigned i = kind_count;
    while (i > 0 && kinds[i - 1].rounds == 0)
        i--;
    CHECK_EQ(qy_heap_keeps_batches(&heap), i > 0);
    CHECK_EQ(qy_heap_drain_step(&heap), i > 0);
    if (i > 0) {
        kinds[i - 1].rounds--;
        empty_rounds++;
    }
}

/* For each user: allocate, free the oldest, free the newest, drain its CPU; then reclaim, and a step of draining. */
#define CALLS_A_USER 4u

static void call(unsigned number)
{
    struct user *user = &users[number / CALLS_A_USER % 2];
    struct kind *kind = &kinds[user->kind];
    if (number == user_count * CALLS_A_USER)
        reclaim();
    else if (number > user_count * CALLS_A_USER)
        drain_step();
    else if (number % CALLS_A_USER == 0 && kind->live < live_max)
        take(user);
    else if (number % CALLS_A_USER == 1 && kind->live)
        give(user, 0);
    else if (number % CALLS_A_USER == 2 && kind->live)
        give(user, kind->live - 1);
    else if (number % CALLS_A_USER == 3)
        drain(user->cpu);
}

/* How many objects are where, and how many slabs are whole, in part and not in use. */
static uint64_t key(void)
{
    uint64_t key = empty_rounds != 0;
    for (unsigned i = 0; i < user_count; i++)
        key =
            key * 13 + (users[i].has ? 1 + users[i].loaded.count * 4 +
                                           (users[i].has_previous ? 1 + users[i].previous.count : 0)
                                     : 0);
    for (unsigned i = 0; i < kind_count; i++) {
        key = (key * (DEPOT_ROUNDS + 1) + kinds[i].rounds) * (LIVE_MAX + 1) + kinds[i].live;
        key = key * 64 + caches[i].slabs;
    }
    return key;
}

/* ---- from state to state ---- */

static void reset(void)
{
    for (unsigned i = 0; i < user_count; i++)
        while (kinds[users[i].kind].live)
            give(&users[i], 0);
    reclaim();
}

static void go_to(unsigned state)
{
    uint8_t path[STATES_CALLS_MAX];
    unsigned count = states_path(state, path);
    reset();
    for (unsigned i = 0; i < count; i++)
        call(path[i]);
    CHECK_EQ(key(), states[state].key);
}

static void make(unsigned order)
{
    static const struct qy_cache_type type = {"object", OBJECT_BYTES, 8, NULL, QY_CACHE_UNZEROED};
    CHECK(hosted_machine_make(&machine, 1ull << 27, true));
    hosted_ram_add(&machine, pfn(512), pfn(512 + PAGES));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&arena, pfn(512), pfn(512 + PAGES)), QY_OK);
    qy_heap_init(&heap, &arena, NULL, 0xfeed);
    for (unsigned i = 0; i < kind_count; i++) {
        CHECK_EQ(qy_cache_init(&caches[i], &heap, &type), QY_OK);
        caches[i].granules = 0; /* all in slabs of their own */
        caches[i].order = (uint8_t)order;
    }
    for (unsigned i = 0; i < 2; i++)
        qy_cpu_objects_init(&cpus[i], i, NULL);
    calls = depot_full = 0;
}

/* expected: how many states there are. */
static void every_state(const char *what, unsigned order, unsigned expected)
{
    make(order);
    states_begin(key());
    for (unsigned s = 0; s < state_count; s++)
        for (unsigned number = 0; number < user_count * CALLS_A_USER + 2; number++) {
            go_to(s);
            call(number);
            check();
            states_note(key(), s, number);
        }
    printf("# %s: %u states, %llu calls checked, %llu of them found the depot full\n", what,
           state_count, (unsigned long long)calls, (unsigned long long)depot_full);
    CHECK_EQ(state_count, expected);
    reset();
    CHECK_EQ(qy_heap_pages(&heap), 0);
    CHECK(qy_arena_check(&arena) == NULL);
    hosted_machine_destroy(&machine);
}

static void two_users(unsigned cpu, unsigned kind, unsigned live)
{
    users[0] = (struct user){.cpu = 0, .kind = 0};
    users[1] = (struct user){.cpu = cpu, .kind = kind};
    memset(kinds, 0, sizeof(kinds));
    user_count = 2;
    kind_count = kind + 1;
    live_max = live;
    empty_rounds = 0;
}

static void one_a_slab(void)
{
    two_users(1, 0, LIVE_MAX);
    every_state("one object a slab, two CPUs, 22 objects", 0, 40740);
    CHECK(depot_full > 0);
}

static void two_a_slab(void)
{
    two_users(1, 0, 5);
    every_state("two objects a slab, two CPUs, 5 objects", 1, 4439);
}

static void two_classes(void)
{
    two_users(0, 1, 7);
    every_state("two classes, one CPU, 7 objects of each", 0, 16918);
}

static const struct test tests[] = {
    {"every state of magazines and a depot that fills up", one_a_slab},
    {"every state of magazines over slabs of two", two_a_slab},
    {"every state of two classes that share rounds", two_classes},
};
TEST_MAIN(tests)
