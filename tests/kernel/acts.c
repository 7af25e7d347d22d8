/*
 * Acts on the kernel and its specification: see acts.h.
 */
#include "acts.h"

#include <kernel/dma.h>
#include <kernel/memory.h>
#include <kernel/timer.h>
#include <string.h>

#define FIRST 700u /* slot of the root task's node */
#define AREA 0x40000000ull
#define PLACES 16u        /* pages that frames are mapped at */
#define WORLD_PAGES 2048u /* of which each world is made */
#define TICK_NS 10000000ull
#define SYSTEM ((qy_handle_t)QY_SLOT_SYSTEM)
#define DEVICES ((qy_handle_t)QY_SLOT_UNTYPED + 1)
#define REGISTERS 0xfe000000ull

/* Objects that stay, in the order in which the specification gets them. */
enum outer { NODE, UNTYPED, SPACE, THREAD_1, THREAD_2, OUTER };

unsigned (*acts_choose)(unsigned limit);
struct spec acts_spec;
const char *acts_failure;
bool acts_thorough;
uint64_t acts_lacking;
uint64_t acts_done[QY_CALL_COUNT];
bool acts_changed;

static const struct acts_scope *scope;
static qy_handle_t outer[OUTER], registers;
static struct object *reals[SPEC_OBJECTS];
static uint64_t baseline[QY_OBJ_COUNT], free_bytes;
static uint64_t armed; /* timers set so far: no two are due at once */

static void expect(bool condition, const char *what)
{
    if (!condition && !acts_failure)
        acts_failure = what;
}

/* ---- comparing ---- */

/* Where the kernel has that capability. */
static const struct slot *slot_of(const struct spec_cap *cap)
{
    const struct object *holder = cap->holder == SPEC_NONE ? NULL : reals[cap->holder];
    if (cap->place == SPEC_OUTER)
        return &world_root_node()->slots[cap->slot];
    if (cap->place == SPEC_SLOT)
        return &((const struct cap_node *)holder)->slots[cap->slot];
    switch ((enum qy_object_type)holder->type) {
    case QY_OBJ_THREAD:
        return &(&((const struct thread *)holder)->space)[cap->slot];
    case QY_OBJ_ADDRESS_SPACE:
        return &((const struct space *)holder)->handler;
    case QY_OBJ_MEMORY:
        return &((const struct memory *)holder)->pager;
    case QY_OBJ_TIMER:
        return &(&((const struct timer *)holder)->binding.by)[cap->slot];
    case QY_OBJ_INTERRUPT:
        return &(&((const struct interrupt *)holder)->binding.by)[cap->slot];
    default:
        return &(&((const struct notification *)holder)->binding.by)[cap->slot];
    }
}

static void compare_cap(const struct spec_cap *cap, const struct slot *slot) QY_UNCHECKED
{
    struct space *space;
    unsigned rights;
    expect(slot == slot_of(cap), "which capability is where in the tree");
    expect(slot->object == reals[cap->object], "object");
    expect(slot->rights == cap->rights, "rights");
    if (type_has_queue(slot->type))
        expect(slot->badge == cap->badge, "badge");
    expect(!(slot->flags & SLOT_PINNED) == (cap->dma == SPEC_NONE), "whether it pins");
    if (slot->type == QY_OBJ_FRAME && cap->place == SPEC_SLOT)
        expect((frame_is_mapped(slot, &space, &rights) ? slot->address : 0) == cap->address,
               "mapping");
}

/* A list of siblings, and what was derived from each; `only`: of that object. */
static void compare_list(int cap, const struct slot *slot, const struct object *only)
{
    for (; !acts_failure; slot = slot_next(slot), cap = acts_spec.caps[cap].next) {
        while (only && slot && slot->object != only)
            slot = slot_next(slot);
        expect((cap == SPEC_NONE) == (slot == NULL), "how many capabilities were derived");
        if (cap == SPEC_NONE || acts_failure)
            return;
        compare_cap(&acts_spec.caps[cap], slot);
        if (!acts_failure)
            compare_list(acts_spec.caps[cap].child, slot->child, NULL);
    }
}

/* Slots of a node: those that should be empty are, and generations are right. */
static void compare_node(int node)
{
    const struct spec_object *o = &acts_spec.objects[node];
    const struct slot *slots = ((const struct cap_node *)reals[node])->slots + o->first_slot;
    unsigned used = 0, expected = 0;
    for (uint32_t i = 0; i < SPEC_SLOTS; i++) {
        used += slots[i].type != QY_OBJ_NONE;
        expect(slots[i].generation == o->generations[i], "generation");
    }
    for (int i = 0; i < acts_spec.caps_used; i++)
        expected += acts_spec.caps[i].used && acts_spec.caps[i].place == SPEC_SLOT &&
                    acts_spec.caps[i].holder == node;
    expect(used == expected, "how many slots are in use");
}

static const struct thread *thread_of(int actor)
{
    return actor == SPEC_NONE ? NULL
           : actor == 0       ? world_root_thread()
                              : (const struct thread *)reals[acts_spec.actors[actor].thread];
}

static void compare_untyped(int object)
{
    uint64_t count = 0;
    for (int i = 0; i < acts_spec.objects_used; i++)
        count += acts_spec.objects[i].alive && acts_spec.objects[i].untyped == object;
    expect(((const struct untyped *)reals[object])->objects == count, "objects of an untyped");
    if (acts_spec.objects[object].anchor != SPEC_NONE || count == 0)
        compare_list(acts_spec.objects[object].anchor,
                     ((const struct untyped *)reals[object])->anchor.child, NULL);
}

/* What it is bound to. */
static const struct object *target_of(const struct object *real)
{
    return real->type == QY_OBJ_TIMER ? (struct object *)((const struct timer *)real)->notification
           : real->type == QY_OBJ_INTERRUPT
               ? (struct object *)((const struct interrupt *)real)->notification
               : (struct object *)((const struct notification *)real)->bound;
}

static void compare_object(int object)
{
    const struct spec_object *o = &acts_spec.objects[object];
    const struct object *real = reals[object];
    expect(real->id == o->id && real->type == o->type, "the object itself");
    expect(real->capabilities == o->capabilities, "number of capabilities");
    switch (o->type) {
    case QY_OBJ_UNTYPED:
        compare_untyped(object);
        break;
    case QY_OBJ_CAP_NODE:
        compare_node(object);
        break;
    case QY_OBJ_REPLY:
        expect(((const struct reply *)real)->caller == thread_of(o->caller),
               "who waits for a reply");
        expect(((const struct reply *)real)->receiver == thread_of(o->receiver),
               "who offers a reply");
        break;
    case QY_OBJ_NOTIFICATION:
        expect(((const struct notification *)real)->word == o->word, "word");
        break;
    case QY_OBJ_INTERRUPT:
        expect(o->to == SPEC_NONE || (((const struct interrupt *)real)->taken == o->taken &&
                                      ((const struct interrupt *)real)->again == o->again),
               "whether a line was taken");
        break;
    case QY_OBJ_MEMORY:
        expect(((const struct memory *)real)->vm.pages == o->pages, "pages of a memory object");
        break;
    case QY_OBJ_DMA:
        expect(((const struct dma *)real)->count == o->pins, "pins");
        break;
    default:
        break;
    }
    if (o->type == QY_OBJ_TIMER || o->type == QY_OBJ_INTERRUPT || o->type == QY_OBJ_NOTIFICATION)
        expect(target_of(real) == (o->to == SPEC_NONE ? NULL : reals[o->to]),
               "what it is bound to");
}

static void compare_mappings(void) QY_UNCHECKED
{
    const struct space *space = (const struct space *)reals[SPACE];
    for (unsigned place = 0; place < PLACES; place++) {
        uint64_t address = AREA + place * QY_PAGE_BYTES;
        unsigned all = 0;
        bool mapped = qy_pt_translate(SPACE_PT(space), vaddr(address), NULL, &all, NULL) == QY_OK;
        int cap = 0;
        while (cap < acts_spec.caps_used &&
               !(acts_spec.caps[cap].used && acts_spec.caps[cap].address == address))
            cap++;
        bool expected = cap < acts_spec.caps_used;
        expect(mapped == expected, "what is mapped");
        expect(!mapped || !expected || (all & QY_MAP_ALL) == acts_spec.caps[cap].flags,
               "flags of a mapping");
    }
}

/* What threads wait for; what those get whose wait is over. */
void acts_settle(void)
{
    static const enum qy_thread_state states[] = {QY_THREAD_RUNNING, QY_THREAD_SENDING,
                                                  QY_THREAD_CALLING, QY_THREAD_RECEIVING,
                                                  QY_THREAD_WAITING, QY_THREAD_CALLING};
    for (int i = 1; i < SPEC_ACTORS; i++) {
        struct spec_actor *a = &acts_spec.actors[i];
        const struct thread *thread = thread_of(i);
        world_pick((unsigned)i);
        expect(thread->state == states[a->wait], "what a thread waits for");
        expect(thread->receive_slot == a->receive_slot, "where the next capability is to come");
        if (!a->completed)
            continue;
        struct result result = world_result(thread);
        expect(result.error == a->error, "error of a call that waited");
        expect(a->error != QY_OK || (result.x[1] == a->values[0] && result.x[2] == a->values[1]),
               "what a call that waited returns");
        acts_done[thread->frame.call] += a->error == QY_OK;
        a->completed = false;
    }
}

void acts_compare(void) QY_UNCHECKED
{
    uint64_t live[QY_OBJ_COUNT] = {0};
    acts_settle();
    int child = acts_spec.objects[UNTYPED].anchor;
    if (child != SPEC_NONE)
        compare_list(child, ((const struct untyped *)reals[UNTYPED])->anchor.child,
                     reals[acts_spec.caps[child].object]);
    compare_node(NODE);
    for (int i = THREAD_1; i <= THREAD_2; i++)
        compare_list(acts_spec.caps[i].child, slot_of(&acts_spec.caps[i])->child, NULL);
    for (int i = OUTER; i < acts_spec.objects_used && !acts_failure; i++) {
        if (!acts_spec.objects[i].alive)
            continue;
        live[acts_spec.objects[i].type]++;
        compare_object(i);
    }
    for (unsigned type = 1; type < QY_OBJ_COUNT; type++)
        expect(object_totals((enum qy_object_type)type).live == live[type] + baseline[type],
               "number of objects");
    compare_mappings();
    if (!acts_failure && !acts_thorough) {
        uint64_t slots = 0;
        acts_failure = world_broken ? world_broken : system_check(&slots);
    }
}

/* ---- calling and choosing ---- */

static struct result act(int actor, enum qy_invocation number, uint64_t x0, uint64_t x1,
                         uint64_t x2, uint64_t x3, uint64_t x4, uint64_t x5)
{
    struct result result =
        acts_thorough
            ? scene_call(__FILE__, __LINE__, (unsigned)actor, number, x0, x1, x2, x3, x4, x5)
            : world_call((unsigned)actor, number, x0, x1, x2, x3, x4, x5);
    acts_done[number] += !result.waits && result.error == QY_OK;
    acts_changed |= result.waits || result.error == QY_OK || result.error == QY_REVOKED ||
                    result.error == QY_DEAD;
    return result;
}

#define ACT(...) act(0, __VA_ARGS__)

static bool is_free(int actor)
{
    return actor == 0 || acts_spec.actors[actor].wait == SPEC_RUNS;
}

/* One that was, or will be. */
static qy_handle_t stale(void)
{
    uint32_t slot = FIRST + (scope->small ? 0 : acts_choose(SPEC_SLOTS));
    return (uint64_t)(spec_generation(&acts_spec, NODE, slot) - 1) << 32 | slot;
}

/*
 * The n-th of the capabilities that handles name, in the order of slots: of that type (NONE: of any), or not of it.
 * NONE if there are fewer; then *count is how many.
 */
static int nth(enum qy_object_type type, bool is, unsigned n, unsigned *count)
{
    *count = 0;
    for (uint32_t slot = FIRST; slot < FIRST + SPEC_SLOTS; slot++) {
        int cap = spec_at(&acts_spec, NODE, slot);
        if (cap != SPEC_NONE &&
            (type == QY_OBJ_NONE ||
             (acts_spec.objects[acts_spec.caps[cap].object].type == type) == is) &&
            (*count)++ == n)
            return cap;
    }
    return SPEC_NONE;
}

/* A capability of that type, or, now and then, another or none. */
static qy_handle_t choose_typed(enum qy_object_type type)
{
    unsigned count, others;
    nth(type, true, ~0u, &count);
    nth(type, false, ~0u, &others);
    if (scope->small) {
        unsigned n = acts_choose(count + 1);
        return n < count ? spec_handle(&acts_spec, nth(type, true, n, &count)) : stale();
    }
    unsigned wrong = acts_choose(16);
    if (count && wrong > 1) { /* some more often than others, so that calls meet */
        unsigned among = count > 2 && wrong > 5 ? 2 : count;
        return spec_handle(&acts_spec, nth(type, true, acts_choose(among), &count));
    }
    if (type != QY_OBJ_NONE && others && wrong == 1)
        return spec_handle(&acts_spec, nth(type, false, acts_choose(others), &others));
    return stale();
}

static qy_handle_t choose_any(void)
{
    return choose_typed(QY_OBJ_NONE);
}

struct destination {
    qy_handle_t node;
    uint64_t slot;
};

/* A slot of the root task's node or of another: an empty one, as a rule. */
static struct destination choose_slot(bool wrong)
{
    unsigned nodes;
    nth(QY_OBJ_CAP_NODE, true, ~0u, &nodes);
    unsigned n = scope->small ? acts_choose(nodes + 1 + (wrong ? 2 : 0)) : acts_choose(16);
    if (!scope->small)
        n = n < 9 || !nodes ? 0 : n < 14 ? 1 + acts_choose(nodes) : nodes + n - 13;
    struct destination to = {outer[NODE], FIRST};
    int node = NODE;
    uint32_t first = FIRST;
    if (n >= 1 && n <= nodes) {
        int cap = nth(QY_OBJ_CAP_NODE, true, n - 1, &nodes);
        to.node = spec_handle(&acts_spec, cap);
        node = acts_spec.caps[cap].object;
        first = 1;
    }
    if (n == nodes + 1) { /* the first one that is in use */
        while (to.slot < FIRST + SPEC_SLOTS - 1 &&
               spec_at(&acts_spec, NODE, (uint32_t)to.slot) == SPEC_NONE)
            to.slot++;
        return to;
    }
    if (n == nodes + 2)
        return scope->small ? (struct destination){outer[NODE], 0}
                            : (struct destination){choose_any(), 0};
    for (to.slot = first + (scope->small ? 0 : acts_choose(SPEC_SLOTS - 4));
         scope->small && to.slot < first + SPEC_SLOTS - 2 &&
         spec_at(&acts_spec, node, (uint32_t)to.slot) != SPEC_NONE;)
        to.slot++;
    return to;
}

/* Is there room for more in this scope? */
static bool has_room(unsigned new_objects)
{
    unsigned objects = 0, caps = 0;
    for (int i = OUTER; i < acts_spec.objects_used; i++)
        objects += acts_spec.objects[i].alive;
    for (int i = OUTER; i < acts_spec.caps_used; i++)
        caps += acts_spec.caps[i].used;
    return objects + new_objects <= scope->objects && caps + 1 <= scope->caps;
}

/* ---- derivation ---- */

static void note_made(const int *made, struct destination to, uint64_t count)
{
    const struct cap_node *node =
        (const struct cap_node *)reals[acts_spec.caps[spec_find(&acts_spec, to.node)].object];
    for (uint64_t i = 0; i < count; i++) {
        reals[made[i]] = node->slots[to.slot + i].object;
        expect(reals[made[i]] != NULL, "a slot should be filled");
        if (reals[made[i]])
            acts_spec.objects[made[i]].id = reals[made[i]]->id;
    }
}

/* No memory: was there really none? */
static void expect_shortage(qy_handle_t from, uint64_t pages, const struct result *result)
{
    const struct untyped *untyped =
        (const struct untyped *)reals[acts_spec.caps[spec_find(&acts_spec, from)].object];
    uint64_t longest = result->x[2] + 1 == 0 ? 0 : 1ull << result->x[2];
    acts_lacking++;
    expect(qy_arena_largest(untyped->arena) >= (int)result->x[2],
           "what a shortage says"); /* the first of two went */
    expect(result->x[1] > longest || pages > longest, "whether there is too little memory");
}

static void do_retype(void)
{
    static const uint64_t more[] = {40, 100, 333};
    if (!has_room(1))
        return;
    enum qy_object_type type = scope->types[acts_choose(scope->type_count)];
    qy_handle_t from = choose_typed(QY_OBJ_UNTYPED);
    struct destination to = choose_slot(true);
    uint64_t pages = 1, count = scope->small ? 1 : 1 + acts_choose(2);
    int made[2];
    if (type == QY_OBJ_UNTYPED)
        pages = scope->small ? 8 : more[acts_choose(3)];
    if (type == QY_OBJ_MEMORY)
        pages = scope->small ? 2 : acts_choose(64);
    struct result result = ACT(QY_CALL_untyped_retype, from, type, pages, to.node, to.slot, count);
    bool lacks = result.error == QY_OUT_OF_MEMORY;
    enum qy_error expected =
        spec_retype(&acts_spec, from, type, pages, to.node, to.slot, count, lacks, made);
    expect(result.error == expected, "error of retype");
    if (expected == QY_OUT_OF_MEMORY && !acts_failure)
        expect_shortage(from, pages, &result);
    if (expected == QY_OK && !acts_failure)
        note_made(made, to, count);
}

/* The handle that a call returned names what it made. */
static void expect_handle(enum qy_error expected, const struct result *result,
                          struct destination to)
{
    int node = expected == QY_OK ? spec_find(&acts_spec, to.node) : SPEC_NONE;
    if (node == SPEC_NONE)
        return;
    uint32_t slot = (uint32_t)to.slot;
    expect(
        result->x[1] ==
            ((uint64_t)spec_generation(&acts_spec, acts_spec.caps[node].object, slot) << 32 | slot),
        "handle of a new capability");
}

static void do_copy(void)
{
    if (!has_room(0))
        return;
    qy_handle_t source = choose_any();
    struct destination to = choose_slot(!scope->small);
    int cap = spec_find(&acts_spec, source);
    unsigned rights = scope->rights         ? scope->rights[acts_choose(scope->rights_count)]
                      : acts_choose(8) == 0 ? acts_choose(18)
                      : cap == SPEC_NONE
                          ? QY_RIGHT_ALL
                          : acts_spec.caps[cap].rights & ~(acts_choose(4) ? 0 : acts_choose(16));
    uint64_t badge = scope->small || acts_choose(2) ? acts_choose(scope->badges + 1) : 0;
    struct result result = ACT(QY_CALL_cap_copy, to.node, to.slot, source, rights, badge, 0);
    enum qy_error expected = spec_copy(&acts_spec, to.node, to.slot, source, rights, badge);
    expect(result.error == expected, "error of copy");
    expect_handle(expected, &result, to);
}

static void do_move(void)
{
    qy_handle_t source = choose_any();
    struct destination to = choose_slot(true);
    struct result result = ACT(QY_CALL_cap_move, to.node, to.slot, source, 0, 0, 0);
    enum qy_error expected = spec_move(&acts_spec, to.node, to.slot, source);
    expect(result.error == expected, "error of move");
    expect_handle(expected, &result, to);
}

static void do_delete(void)
{
    qy_handle_t handle = choose_any();
    struct result result = ACT(QY_CALL_cap_delete, handle, 0, 0, 0, 0, 0);
    expect(result.error == spec_delete(&acts_spec, handle), "error of delete");
}

static void do_revoke(void)
{
    qy_handle_t handle = choose_any();
    struct result result = ACT(QY_CALL_cap_revoke, handle, 0, 0, 0, 0, 0);
    expect(result.error == spec_revoke(&acts_spec, handle), "error of revoke");
}

/* An object's own capabilities are derived from those that the call names. */
static void do_configure(void)
{
    qy_handle_t thread = choose_typed(QY_OBJ_THREAD), space = choose_typed(QY_OBJ_ADDRESS_SPACE),
                node = choose_typed(QY_OBJ_CAP_NODE), handler = choose_typed(QY_OBJ_ENDPOINT);
    uint64_t badge = acts_choose(scope->badges + 1);
    if (acts_choose(3) == 0)
        handler = 0;
    struct result result = ACT(QY_CALL_thread_configure, thread, space, node, handler, badge, 0);
    expect(result.error == spec_configure(&acts_spec, thread, space, node, handler, badge),
           "error of configure");
}

static void do_handler(void)
{
    bool memory = acts_choose(2);
    enum qy_invocation call = memory ? QY_CALL_memory_pager : QY_CALL_space_handler;
    qy_handle_t of = choose_typed(memory ? QY_OBJ_MEMORY : QY_OBJ_ADDRESS_SPACE),
                endpoint = choose_typed(QY_OBJ_ENDPOINT);
    uint64_t badge = acts_choose(scope->badges + 1);
    if (acts_choose(4) == 0)
        endpoint = 0;
    struct result result = ACT(call, of, endpoint, badge, 0, 0, 0);
    expect(result.error == spec_handler(&acts_spec, call, of, endpoint, badge),
           "error of a handler");
}

const struct act acts_derive[] = {{"retype", do_retype},  {"copy", do_copy},
                                  {"move", do_move},      {"delete", do_delete},
                                  {"revoke", do_revoke},  {"configure", do_configure},
                                  {"handler", do_handler}};
const unsigned acts_derive_count = sizeof(acts_derive) / sizeof(acts_derive[0]);

/* ---- bindings and signals ---- */

static void do_arm(void)
{
    qy_handle_t timer = choose_typed(QY_OBJ_TIMER), to = choose_typed(QY_OBJ_NOTIFICATION);
    bool disarm = acts_choose(4) == 0;
    uint64_t delay_ns = scope->small ? TIMER_LONGEST_NS : (1 + acts_choose(3)) * TICK_NS + ++armed;
    uint64_t period_ns = scope->small || acts_choose(2) ? 0 : 3 * TICK_NS + 64 * armed;
    if (disarm)
        to = delay_ns = period_ns = 0;
    enum qy_error expected = spec_arm(&acts_spec, timer, to, world_time_ns, delay_ns, period_ns);
    expect(ACT(QY_CALL_timer_set, timer, to, delay_ns, period_ns, 0, 0).error == expected,
           "error of arming");
}

/* A tick looks at sixteen timers. */
static void do_time(void)
{
    acts_changed = true;
    world_time_ns += TICK_NS;
    spec_time(&acts_spec, world_time_ns);
    for (unsigned i = 0; i < SPEC_OBJECTS / 16; i++)
        timer_tick();
}

static void do_line_bind(void)
{
    qy_handle_t interrupt = choose_typed(QY_OBJ_INTERRUPT), to = choose_typed(QY_OBJ_NOTIFICATION);
    uint32_t line = scope->small ? 3 : acts_choose(SPEC_LINES);
    struct result result = ACT(QY_CALL_interrupt_bind, interrupt, SYSTEM, line, to, 0, 0);
    expect(result.error == spec_line_bind(&acts_spec, interrupt, line, to),
           "error of binding a line");
}

static void do_line(void)
{
    uint32_t line = scope->small ? 3 : acts_choose(SPEC_LINES);
    acts_changed = true;
    world_line_set(line, true);
    world_line_set(line, false);
    spec_line_raised(&acts_spec, line);
}

static void do_acknowledge(void)
{
    qy_handle_t interrupt = choose_typed(QY_OBJ_INTERRUPT);
    struct result result = ACT(QY_CALL_interrupt_acknowledge, interrupt, 0, 0, 0, 0, 0);
    expect(result.error == spec_acknowledge(&acts_spec, interrupt), "error of acknowledging");
}

/* To a thread of the world, or to one that calls and waits. */
static void do_bind(void)
{
    qy_handle_t by = choose_typed(QY_OBJ_NOTIFICATION), to = 0;
    unsigned n = acts_choose(4);
    if (n == 0)
        to = choose_typed(QY_OBJ_THREAD);
    else if (n < SPEC_ACTORS)
        to = outer[THREAD_1 + n - 1];
    struct result result = ACT(QY_CALL_notification_bind, by, to, 0, 0, 0, 0);
    expect(result.error == spec_bind(&acts_spec, by, to), "error of binding");
}

static void do_signal(void)
{
    qy_handle_t handle = choose_typed(QY_OBJ_NOTIFICATION);
    struct result result = ACT(QY_CALL_notification_signal, handle, 0, 0, 0, 0, 0);
    expect(result.error == spec_signal(&acts_spec, handle), "error of signal");
}

static void do_poll(void)
{
    qy_handle_t handle = choose_typed(QY_OBJ_NOTIFICATION);
    struct result result = ACT(QY_CALL_notification_poll, handle, 0, 0, 0, 0, 0);
    enum qy_error expected = spec_poll(&acts_spec, 0, handle);
    expect(result.error == expected, "error of poll");
    expect(expected != QY_OK || result.x[1] == acts_spec.actors[0].values[0],
           "the word that was taken");
}

static void do_wait(void)
{
    int actor = 1 + (int)acts_choose(SPEC_ACTORS - 1);
    bool waits;
    if (!is_free(actor))
        return;
    qy_handle_t handle = choose_typed(QY_OBJ_NOTIFICATION);
    struct result result = act(actor, QY_CALL_notification_wait, handle, 0, 0, 0, 0, 0);
    enum qy_error expected = spec_wait(&acts_spec, actor, handle, &waits);
    expect(result.waits == waits, "whether a thread waits");
    if (waits)
        return;
    expect(result.error == expected, "error of wait");
    expect(expected != QY_OK || result.x[1] == acts_spec.actors[actor].values[0],
           "the word that was waited for");
}

const struct act acts_bind[] = {{"arm", do_arm},
                                {"bind a line", do_line_bind},
                                {"line", do_line},
                                {"signal", do_signal},
                                {"acknowledge", do_acknowledge},
                                {"bind", do_bind},
                                {"wait", do_wait},
                                {"poll", do_poll},
                                {"time", do_time}};
const unsigned acts_bind_count = sizeof(acts_bind) / sizeof(acts_bind[0]);

/* ---- messages ---- */

/* Who does it: the root task's thread only does what does not wait. */
static int choose_actor(bool root)
{
    int actor = root ? (int)acts_choose(SPEC_ACTORS) : 1 + (int)acts_choose(SPEC_ACTORS - 1);
    return scope->small || is_free(actor) ? actor : 3 - actor;
}

static void expect_message(int actor, enum qy_error expected, bool waits,
                           const struct result *result)
{
    const struct spec_actor *a = &acts_spec.actors[actor];
    expect(result->waits == waits, "whether a thread waits");
    if (waits)
        return;
    expect(result->error == expected, "error of a message");
    expect(expected != QY_OK || (result->x[1] == a->values[0] && result->x[2] == a->values[1]),
           "what is received");
}

static qy_handle_t choose_capability(void)
{
    return acts_choose(2) ? choose_any() : 0;
}

static void do_send(void)
{
    bool waits;
    enum qy_invocation call = acts_choose(2) ? QY_CALL_endpoint_call : QY_CALL_endpoint_send;
    int actor = choose_actor(false);
    if (!is_free(actor))
        return;
    qy_handle_t endpoint = choose_typed(QY_OBJ_ENDPOINT), capability = choose_capability();
    struct result result = act(actor, call, endpoint, 5, 0, 0, 0, capability);
    enum qy_error expected = spec_send(&acts_spec, actor, call, endpoint, 5, capability, &waits);
    acts_spec.actors[actor].values[0] = acts_spec.actors[actor].values[1] = 0;
    expect_message(actor, expected, waits, &result);
}

static void do_receive(void)
{
    bool waits;
    int actor = choose_actor(false);
    if (!is_free(actor))
        return;
    qy_handle_t endpoint = choose_typed(QY_OBJ_ENDPOINT),
                reply = acts_choose(3) ? choose_typed(QY_OBJ_REPLY) : 0;
    struct result result = act(actor, QY_CALL_endpoint_receive, endpoint, reply, 0, 0, 0, 0);
    enum qy_error expected = spec_receive(&acts_spec, actor, endpoint, reply, &waits);
    expect_message(actor, expected, waits, &result);
}

static void do_reply(void)
{
    int actor = choose_actor(true);
    if (!is_free(actor))
        return;
    qy_handle_t reply = choose_typed(QY_OBJ_REPLY), capability = choose_capability();
    struct result result = act(actor, QY_CALL_reply_send, reply, 6, 0, 0, 0, capability);
    expect(result.error == spec_reply(&acts_spec, actor, reply, 6, capability), "error of a reply");
}

static void do_reply_receive(void)
{
    bool waits;
    int actor = choose_actor(false);
    if (!is_free(actor))
        return;
    qy_handle_t endpoint = choose_typed(QY_OBJ_ENDPOINT), reply = choose_typed(QY_OBJ_REPLY);
    struct result result = act(actor, QY_CALL_endpoint_reply_receive, endpoint, reply, 7, 0, 0, 0);
    enum qy_error expected = spec_reply_receive(&acts_spec, actor, endpoint, reply, 7, &waits);
    expect_message(actor, expected, waits, &result);
}

static void do_receive_slot(void)
{
    int actor = choose_actor(false);
    if (!is_free(actor))
        return;
    struct destination to = choose_slot(false);
    struct result result = act(actor, QY_CALL_receive_slot, to.node, to.slot, 0, 0, 0, 0);
    expect(result.error == spec_receive_slot(&acts_spec, actor, to.node, to.slot),
           "error of receive_slot");
}

const struct act acts_talk[] = {{"send", do_send},
                                {"receive", do_receive},
                                {"reply", do_reply},
                                {"reply and receive", do_reply_receive},
                                {"receive slot", do_receive_slot}};
const unsigned acts_talk_count = sizeof(acts_talk) / sizeof(acts_talk[0]);

/* ---- memory ---- */

static void do_map(void)
{
    static const unsigned kinds[] = {QY_MAP_READ, QY_MAP_READ | QY_MAP_WRITE,
                                     QY_MAP_READ | QY_MAP_EXEC};
    qy_handle_t frame = choose_typed(QY_OBJ_FRAME);
    uint64_t address = AREA + acts_choose(PLACES) * QY_PAGE_BYTES;
    unsigned flags = kinds[acts_choose(3)];
    struct result result = ACT(QY_CALL_frame_map, frame, outer[SPACE], address, flags, 0, 0);
    enum qy_error expected =
        spec_map(&acts_spec, frame, address, flags, result.error == QY_INVALID_FLAGS);
    expect(result.error == expected, "error of map");
}

static void do_unmap(void)
{
    qy_handle_t frame = choose_typed(QY_OBJ_FRAME);
    int cap = spec_find(&acts_spec, frame);
    uint64_t address = cap != SPEC_NONE && acts_choose(4) ? acts_spec.caps[cap].address : AREA;
    struct result result = ACT(QY_CALL_frame_unmap, frame, outer[SPACE], address, 0, 0, 0);
    expect(result.error == spec_unmap(&acts_spec, frame, address), "error of unmap");
}

static void do_dma_bind(void)
{
    qy_handle_t dma = choose_typed(QY_OBJ_DMA);
    struct result result = ACT(QY_CALL_dma_bind, dma, SYSTEM, registers, 0, 4, 1);
    expect(result.error == spec_dma_bind(&acts_spec, dma), "error of binding a device");
}

static void do_pin(void)
{
    qy_handle_t frame = choose_typed(QY_OBJ_FRAME);
    if (acts_choose(3) == 0) {
        struct result result = ACT(QY_CALL_frame_unpin, frame, 0, 0, 0, 0, 0);
        expect(result.error == spec_unpin(&acts_spec, frame), "error of unpin");
    } else {
        qy_handle_t dma = choose_typed(QY_OBJ_DMA);
        struct result result = ACT(QY_CALL_frame_pin, frame, dma, 0, 0, 0, 0);
        expect(result.error == spec_pin(&acts_spec, frame, dma), "error of pin");
    }
}

static void do_supply(void)
{
    qy_handle_t memory = choose_typed(QY_OBJ_MEMORY);
    uint64_t page = acts_choose(64), pages = 1 + acts_choose(6);
    struct result result = ACT(QY_CALL_memory_supply, memory, page, pages, 0, 0, 0);
    uint64_t supplied = result.x[1];
    bool lacks = result.error == QY_OUT_OF_MEMORY || (result.error == QY_OK && supplied < pages);
    enum qy_error expected = spec_supply(&acts_spec, memory, page, pages, lacks, &supplied);
    expect(result.error == expected, "error of supply");
    expect(expected != QY_OK || result.x[1] == supplied, "pages supplied");
}

/* Its size changes, or pages of it go; then it is looked at. */
static void do_memory(void)
{
    qy_handle_t memory = choose_typed(QY_OBJ_MEMORY);
    uint64_t page = acts_choose(64), pages = acts_choose(64);
    bool resize = acts_choose(2);
    struct result result = ACT(resize ? QY_CALL_memory_resize : QY_CALL_memory_discard, memory,
                               resize ? pages : page, pages, 0, 0, 0);
    expect(result.error == (resize ? spec_resize(&acts_spec, memory, pages)
                                   : spec_discard(&acts_spec, memory, page, pages)),
           "error of resize or discard");
    int cap = spec_find(&acts_spec, memory);
    result = ACT(QY_CALL_memory_info, memory, page, 0, 0, 0, 0);
    if (result.error != QY_OK || cap == SPEC_NONE)
        return;
    const struct spec_object *o = &acts_spec.objects[acts_spec.caps[cap].object];
    expect(result.x[1] == o->pages, "pages of a memory object");
    expect((result.x[3] & 1) == (o->there >> page & 1), "whether a page is there");
}

const struct act acts_memory[] = {
    {"map", do_map}, {"unmap", do_unmap},   {"bind a device", do_dma_bind},
    {"pin", do_pin}, {"supply", do_supply}, {"memory", do_memory}};
const unsigned acts_memory_count = sizeof(acts_memory) / sizeof(acts_memory[0]);

/* ---- beginning and end ---- */

static uint64_t free_now(void)
{
    return ACT(QY_CALL_untyped_info, outer[UNTYPED], 0, 0, 0, 0, 0).x[2];
}

void acts_make(void) QY_UNCHECKED
{
    outer[NODE] = ROOT_NODE;
    outer[UNTYPED] = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, WORLD_PAGES);
    outer[SPACE] = ROOT_SPACE;
    outer[THREAD_1] = thread_on(ROOT_UNTYPED, 1, 0);
    outer[THREAD_2] = thread_on(ROOT_UNTYPED, 2, 0);
    struct result result =
        CALL(QY_CALL_device_frame, DEVICES, ROOT_UNTYPED, REGISTERS, 1, ROOT_NODE, scene_slot++);
    CHECK_EQ(result.error, QY_OK);
    registers = result.x[1];
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    for (unsigned type = 0; type < QY_OBJ_COUNT; type++)
        baseline[type] = object_totals((enum qy_object_type)type).live;
    free_bytes = free_now();
}

void acts_begin(const struct acts_scope *with)
{
    static const enum qy_object_type types[OUTER] = {
        QY_OBJ_CAP_NODE, QY_OBJ_UNTYPED, QY_OBJ_ADDRESS_SPACE, QY_OBJ_THREAD, QY_OBJ_THREAD};
    int made[1];
    scope = with;
    acts_failure = NULL;
    spec_make(&acts_spec);
    for (int i = 0; i < OUTER; i++) {
        uint32_t slot = QY_HANDLE_INDEX(outer[i]);
        reals[i] = world_object(slot);
        spec_outer(&acts_spec, types[i], reals[i]->id, slot);
    }
    acts_spec.objects[NODE].first_slot = FIRST;
    for (uint32_t i = 0; i < SPEC_SLOTS; i++)
        acts_spec.objects[NODE].generations[i] = world_root_node()->slots[FIRST + i].generation;
    acts_spec.actors[1].thread = THREAD_1;
    acts_spec.actors[2].thread = THREAD_2;
    struct destination to = {ROOT_NODE, FIRST};
    struct result result = ACT(QY_CALL_untyped_retype, outer[UNTYPED], QY_OBJ_UNTYPED, scope->pages,
                               to.node, to.slot, 1);
    expect(result.error == QY_OK &&
               spec_retype(&acts_spec, outer[UNTYPED], QY_OBJ_UNTYPED, scope->pages, to.node,
                           to.slot, 1, false, made) == QY_OK,
           "the world cannot be made");
    note_made(made, to, 1);
}

bool acts_alive(void)
{
    for (int i = OUTER; i < acts_spec.caps_used; i++) {
        const struct spec_cap *cap = &acts_spec.caps[i];
        if (cap->used && cap->place == SPEC_SLOT && cap->holder == NODE &&
            cap->rights & QY_RIGHT_WRITE && acts_spec.objects[cap->object].type == QY_OBJ_UNTYPED)
            return true;
    }
    return false;
}

void acts_end(void)
{
    struct result result = ACT(QY_CALL_cap_revoke, outer[UNTYPED], 0, 0, 0, 0, 0);
    expect(result.error == QY_OK && spec_revoke(&acts_spec, outer[UNTYPED]) == QY_OK,
           "error of the last revoke");
    expect(acts_spec.objects[UNTYPED].anchor == SPEC_NONE, "everything should be gone");
    acts_compare();
    for (int i = 1; i < SPEC_ACTORS; i++)
        if (acts_spec.actors[i].receive_slot)
            (void)act(i, QY_CALL_receive_slot, ROOT_NODE, 0, 0, 0, 0, 0);
    if (!acts_failure)
        expect(free_now() == free_bytes, "memory is missing");
}
