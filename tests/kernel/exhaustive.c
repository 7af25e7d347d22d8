/*
 * Small scope, completely: every state of a few capabilities, and every act from each, on the kernel and on its
 * specification.
 *
 *     a state        how it was first reached: the state before, and an act with the numbers that it chose
 *     the same state equal spellings (tests/model/spec.h): slots, handles and equal objects may change places
 *     every act      an odometer gives acts their numbers: the last one counts up, until all have been through
 *
 * A state is reached again by doing what first led to it, in a world of its own. After each act the two are compared
 * slot by slot, and all invariants of the kernel are checked (CAP-*, OBJ-COUNT, CONSERVE, EXCLUSIVE through the arenas,
 * IPC-*, NOTIFY-*, TIMER-*, INT-BOUND, PINNED).
 *
 * The scopes are small because states grow with the factorial of what is in them. TEST_SCOPE=full takes the large ones,
 * some of which end at a limit and say so; what is beyond is left to random acts (model.c) and the fuzzer.
 */
#include "acts.h"

#include <string.h>

#define DIGITS 16u
#define SPELLING 4096u

/* How a state is reached. */
struct state {
    uint32_t before;
    uint8_t act, count, digits[DIGITS];
    uint64_t hash[2];
};

struct scope {
    const char *name;
    struct acts_scope quick, full;
    const struct act *acts[12];
    uint32_t limits[2];                 /* states, quick and full */
    uint64_t states[2], transitions[2]; /* that there are, up to the limit */
};

static struct {
    uint8_t digits[DIGITS];
    unsigned limits[DIGITS], count, at;
} odometer;

static struct state *states;
static uint32_t count, room;
static uint32_t *table; /* by hash; 0 = none */
static uint32_t table_size;
static const struct scope *scope;
static bool full;

static unsigned choose(unsigned limit)
{
    if (odometer.at == DIGITS || limit > 256 || limit == 0)
        abort();
    if (odometer.at == odometer.count) {
        odometer.digits[odometer.count] = 0;
        odometer.limits[odometer.count++] = limit;
    }
    return odometer.digits[odometer.at++];
}

/* The next numbers; false if there are none left. */
static bool count_up(void)
{
    while (odometer.count &&
           odometer.digits[odometer.count - 1] + 1u == odometer.limits[odometer.count - 1])
        odometer.count--;
    if (odometer.count)
        odometer.digits[odometer.count - 1]++;
    return odometer.count != 0;
}

static void act(unsigned number)
{
    odometer.at = 0;
    acts_changed = false;
    scope->acts[number]->run();
    if (!acts_failure && acts_changed)
        acts_compare();
}

/* A new world in that state. The odometer stays as it is. */
static void reach(uint32_t number)
{
    uint32_t path[64] = {0}, length = 0;
    for (uint32_t i = number; i != 0; i = states[i].before)
        path[length++] = i;
    typeof(odometer) saved = odometer;
    acts_end();
    acts_begin(full ? &scope->full : &scope->quick);
    while (length-- && !acts_failure) {
        const struct state *step = &states[path[length]];
        odometer.count = step->count;
        memcpy(odometer.digits, step->digits, DIGITS);
        odometer.at = 0;
        scope->acts[step->act]->run();
        acts_settle();
    }
    odometer = saved;
}

static void hash(uint64_t out[2])
{
    static unsigned char spelling[SPELLING];
    size_t bytes = spec_spell(&acts_spec, 1, spelling, SPELLING);
    if (bytes > SPELLING)
        abort();
    out[0] = 0xcbf29ce484222325ull;
    out[1] = 0x9ae16a3b2f90404full;
    for (size_t i = 0; i < bytes; i++) {
        out[0] = (out[0] ^ spelling[i]) * 0x100000001b3ull;
        out[1] = (out[1] + spelling[i]) * 0xd6e8feb86659fd93ull;
        out[1] ^= out[1] >> 32;
    }
}

/* The world's state, if it has not been met yet, is reached from `before` by what the odometer says. */
static void note(uint32_t before, unsigned number)
{
    uint64_t h[2];
    hash(h);
    uint32_t at = (uint32_t)h[0] & (table_size - 1);
    for (; table[at]; at = (at + 1) & (table_size - 1))
        if (memcmp(states[table[at] - 1].hash, h, sizeof(h)) == 0)
            return;
    if (count == room)
        return;
    states[count] =
        (struct state){before, (uint8_t)number, (uint8_t)odometer.count, {0}, {h[0], h[1]}};
    memcpy(states[count].digits, odometer.digits, DIGITS);
    table[at] = ++count;
}

/* Every act from a state. Returns how many there are. */
static uint64_t go_on_from(uint32_t number)
{
    uint64_t transitions = 0;
    bool there = false;
    for (unsigned i = 0; scope->acts[i] && !acts_failure; i++) {
        odometer.count = 0;
        do {
            if (!there)
                reach(number);
            act(i);
            transitions++;
            there = !acts_changed;
            if (acts_changed && !acts_failure)
                note(number, i);
            if (acts_failure) {
                printf("# state %u, %s: %s\n", number, scope->acts[i]->name, acts_failure);
                return transitions;
            }
        } while (count_up());
    }
    return transitions;
}

static void explore(const struct scope *with)
{
    uint64_t transitions = 0;
    scope = with;
    room = scope->limits[full];
    for (table_size = 1; table_size < 2 * room;)
        table_size *= 2;
    states = calloc(room, sizeof(*states));
    table = calloc(table_size, sizeof(*table));
    count = odometer.count = 0;
    acts_choose = choose;
    acts_begin(full ? &scope->full : &scope->quick);
    note(0, 0);
    uint32_t done = 0;
    for (; done < count && !acts_failure; done++)
        transitions += go_on_from(done);
    acts_end();
    CHECK(acts_failure == NULL);
    printf("# %s: %u states, %llu transitions%s\n", scope->name, done,
           (unsigned long long)transitions, count == room ? " (there are more states)" : "");
    fflush(stdout);
    CHECK_EQ(done, scope->states[full]);
    CHECK_EQ(transitions, scope->transitions[full]);
    free(states);
    free(table);
}

static const unsigned rights[] = {QY_RIGHT_ALL, QY_RIGHT_ALL & ~QY_RIGHT_GRANT,
                                  QY_RIGHT_READ | QY_RIGHT_GRANT};
static const enum qy_object_type shape_types[] = {QY_OBJ_UNTYPED, QY_OBJ_REPLY};
static const enum qy_object_type node_types[] = {QY_OBJ_CAP_NODE, QY_OBJ_REPLY};
static const enum qy_object_type derivation_types[] = {QY_OBJ_UNTYPED, QY_OBJ_CAP_NODE,
                                                       QY_OBJ_ENDPOINT};
static const enum qy_object_type binding_types[] = {QY_OBJ_NOTIFICATION, QY_OBJ_TIMER,
                                                    QY_OBJ_INTERRUPT};
static const enum qy_object_type message_types[] = {QY_OBJ_ENDPOINT, QY_OBJ_REPLY};

/* The first rights of the list, badges; objects, the untyped among them, and capabilities. */
#define SCOPE(types, rights_used, badges, objects, caps)                                           \
    {                                                                                              \
        64, types, sizeof(types) / sizeof((types)[0]), rights, rights_used, badges, objects, caps, \
            true                                                                                   \
    }
#define DERIVE &acts_derive[0], &acts_derive[1], &acts_derive[2], &acts_derive[3], &acts_derive[4]

/* Trees of all shapes: of an untyped, those below it, and objects. */
static void shapes(void)
{
    static const struct scope shapes = {"shapes",
                                        SCOPE(shape_types, 1, 0, 6, 6),
                                        SCOPE(shape_types, 1, 0, 6, 7),
                                        {DERIVE},
                                        {100000, 100000},
                                        {2425, 11881},
                                        {101925, 566897}};
    explore(&shapes);
}

/* Capabilities in nodes, nodes in themselves and in each other. */
static void nodes(void)
{
    static const struct scope nodes = {"nodes",
                                       SCOPE(node_types, 1, 0, 4, 4),
                                       SCOPE(node_types, 1, 0, 6, 6),
                                       {DERIVE},
                                       {1000, 40000},
                                       {1000, 40000},
                                       {20022, 1459180}};
    explore(&nodes);
}

/* Rights and badges too. */
static void derivation(void)
{
    static const struct scope derivation = {"derivation",
                                            SCOPE(derivation_types, 3, 1, 3, 3),
                                            SCOPE(derivation_types, 3, 1, 4, 4),
                                            {DERIVE},
                                            {100000, 100000},
                                            {859, 59138},
                                            {17711, 1269451}};
    explore(&derivation);
}

static void bindings(void)
{
    static const struct scope bindings = {"bindings",
                                          SCOPE(binding_types, 1, 1, 3, 3),
                                          SCOPE(binding_types, 1, 1, 3, 4),
                                          {DERIVE, &acts_bind[0], &acts_bind[1], &acts_bind[2],
                                           &acts_bind[3], &acts_bind[4], &acts_bind[5]},
                                          {100000, 100000},
                                          {358, 5954},
                                          {17344, 347015}};
    explore(&bindings);
}

/* Two threads that send, call, receive and answer, with capabilities; all but moves. */
static void messages(void)
{
    static const struct scope messages = {"messages",
                                          SCOPE(message_types, 1, 1, 3, 3),
                                          SCOPE(message_types, 1, 1, 3, 4),
                                          {&acts_derive[0], &acts_derive[1], &acts_derive[3],
                                           &acts_derive[4], &acts_talk[0], &acts_talk[1],
                                           &acts_talk[2], &acts_talk[3], &acts_talk[4]},
                                          {1000, 5000},
                                          {1000, 5000},
                                          {45266, 346454}};
    explore(&messages);
}

static const struct test tests[] = {
    {"every shape of a tree", shapes},
    {"capabilities in nodes", nodes},
    {"rights and badges", derivation},
    {"bindings and signals", bindings},
    {"messages", messages},
};

int main(void)
{
    const char *wanted = getenv("TEST_SCOPE");
    full = wanted && strcmp(wanted, "full") == 0;
    world_make(64);
    acts_make();
    return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
