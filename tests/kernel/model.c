/*
 * A plain model of capabilities against the kernel's: what every slot holds, what every object
 * counts, after every call.
 *
 * The model is written from docs and headers, with parents instead of threaded lists and recursion
 * instead of steps. It predicts the error of every call but OUT_OF_MEMORY, which depends on
 * fragmentation; that one must change nothing.
 */
#include "scene.h"

#include <kernel/timer.h>
#include <lib/random.h>
#include <string.h>

#define OBJECTS 600
#define CAPS 1200
#define ROOT_SLOTS 40u /* of the root task's node that the model uses */
#define FIRST_SLOT 700u
#define AREA 0x40000000ull
#define PLACES 64u /* pages that frames are mapped at */

enum { NOBODY = -1 };

struct object_model {
    bool alive;
    enum qy_object_type type;
    int untyped; /* NOBODY: made at boot */
    unsigned capabilities;
    uint64_t id;
};

struct cap_model {
    bool used;
    int object, parent; /* parent NOBODY: the untyped's anchor */
    int node;           /* object; NOBODY: the root task's node */
    uint32_t slot;
    unsigned rights;
    uint64_t badge, generation;
    uint64_t address; /* where it maps its frame; 0 = nowhere */
    uint64_t flags;
};

/* A timer that is armed for a notification, or a notification bound to a thread. */
struct binding_model {
    bool used;
    int by, to; /* objects; the first one acts */
    int by_parent,
        to_parent; /* capabilities that the ends are derived from; NOBODY: of the anchor */
};

#define BINDINGS 300

static struct object_model objects[OBJECTS];
static struct binding_model bindings[BINDINGS];
static struct cap_model caps[CAPS];
static uint32_t generations[OBJECTS][64]; /* of slots of nodes */
static uint32_t root_generations[ROOT_SLOTS];
static uint64_t random_state;
static uint64_t baseline[QY_OBJ_COUNT];
static qy_handle_t mail; /* an endpoint outside of the model, and who receives there */
static const struct thread *receiver;

/* ---- the model ---- */

static int cap_at(int node, uint32_t slot)
{
    for (int i = 0; i < CAPS; i++) {
        if (caps[i].used && caps[i].node == node && caps[i].slot == slot)
            return i;
    }
    return NOBODY;
}

static uint32_t *generation_of(int node, uint32_t slot)
{
    return node == NOBODY ? &root_generations[slot - FIRST_SLOT] : &generations[node][slot];
}

static int cap_new(int object, int parent, int node, uint32_t slot, unsigned rights, uint64_t badge)
{
    for (int i = 0; i < CAPS; i++) {
        if (caps[i].used)
            continue;
        caps[i] = (struct cap_model){true, object, parent, node, slot, rights, badge, 0, 0, 0};
        caps[i].generation = *generation_of(node, slot);
        objects[object].capabilities++;
        return i;
    }
    abort();
}

static int object_new(enum qy_object_type type, int untyped)
{
    for (int i = 0; i < OBJECTS; i++) {
        if (objects[i].alive)
            continue;
        objects[i] = (struct object_model){true, type, untyped, 0, 0};
        memset(generations[i], 0, sizeof(generations[i]));
        return i;
    }
    abort();
}

static struct binding_model *binding_of(int by)
{
    for (int i = 0; i < BINDINGS; i++)
        if (bindings[i].used && bindings[i].by == by)
            return &bindings[i];
    return NULL;
}

static bool is_bound_to(int object)
{
    for (int i = 0; i < BINDINGS; i++)
        if (bindings[i].used && bindings[i].to == object)
            return true;
    return false;
}

static void binding_new(int by, int to)
{
    for (int i = 0; i < BINDINGS; i++) {
        if (bindings[i].used)
            continue;
        bindings[i] = (struct binding_model){true, caps[by].object, caps[to].object, by, to};
        return;
    }
    abort();
}

static void cap_delete(int cap);

static void object_destroy(int object)
{
    objects[object].alive = false;
    for (int i = 0; i < BINDINGS; i++)
        if (bindings[i].by == object || bindings[i].to == object)
            bindings[i].used = false;
    for (int i = 0; i < CAPS; i++) {
        if (caps[i].used && objects[object].type == QY_OBJ_UNTYPED &&
            objects[caps[i].object].untyped == object)
            cap_delete(i);
        else if (caps[i].used && objects[object].type == QY_OBJ_CAP_NODE && caps[i].node == object)
            cap_delete(i);
    }
}

static void cap_delete(int cap)
{
    struct cap_model *gone = &caps[cap];
    gone->used = false;
    ++*generation_of(gone->node, gone->slot);
    for (int i = 0; i < CAPS; i++) {
        if (caps[i].used && caps[i].parent == cap)
            caps[i].parent = gone->parent;
    }
    for (int i = 0; i < BINDINGS; i++) {
        if (bindings[i].by_parent == cap)
            bindings[i].by_parent = gone->parent;
        if (bindings[i].to_parent == cap)
            bindings[i].to_parent = gone->parent;
    }
    if (--objects[gone->object].capabilities == 0 && objects[gone->object].alive)
        object_destroy(gone->object);
}

static void cap_revoke(int cap)
{
    for (int i = 0; i < CAPS; i++) {
        if (caps[i].used && caps[i].parent == cap) {
            cap_delete(i);
            i = -1;
        }
    }
    for (int i = 0; i < BINDINGS; i++) /* what moved up */
        if (bindings[i].by_parent == cap || bindings[i].to_parent == cap)
            bindings[i].used = false;
    for (int i = 0; i < CAPS; i++) {
        if (objects[caps[cap].object].type == QY_OBJ_UNTYPED && caps[i].used &&
            objects[caps[i].object].untyped == caps[cap].object) {
            cap_delete(i);
            i = -1;
        }
    }
}

/* ---- comparing ---- */

static const char *failure;

static void expect(bool condition, const char *what)
{
    if (!condition && !failure)
        failure = what;
}

static struct cap_node *node_of(int node)
{
    if (node == NOBODY)
        return world_root_node();
    for (int i = 0; i < CAPS;
         i++) { /* through any capability of it in the root node, or by the object's id */
        if (caps[i].used && caps[i].object == node) {
            struct cap_node *holder = node_of(caps[i].node == node ? NOBODY : caps[i].node);
            if (caps[i].node != node)
                return (struct cap_node *)holder->slots[caps[i].slot].object;
        }
    }
    return NULL;
}

/* What a timer or a notification acts on. */
static void compare_binding(const struct slot *slot, int object)
{
    const struct binding_model *binding = binding_of(object);
    const struct object *to = NULL;
    if (slot->type == QY_OBJ_TIMER)
        to = (const struct object *)((const struct timer *)slot->object)->notification;
    else if (slot->type == QY_OBJ_NOTIFICATION)
        to = (const struct object *)((const struct notification *)slot->object)->bound;
    expect((to != NULL) == (binding != NULL), "whether it is bound");
    if (to && binding)
        expect(to->id == objects[binding->to].id, "what it is bound to");
}

static void compare_slot(int node, const struct cap_node *real, uint32_t index) QY_UNCHECKED
{
    const struct slot *slot = &real->slots[index];
    int cap = cap_at(node, index);
    expect(slot->generation == *generation_of(node, index), "generation");
    if (cap == NOBODY) {
        expect(slot->type == QY_OBJ_NONE, "a slot should be empty");
        return;
    }
    const struct cap_model *model = &caps[cap];
    struct space *space;
    unsigned rights;
    expect(slot->type == objects[model->object].type, "type");
    expect(slot->rights == model->rights, "rights");
    if (slot->type == QY_OBJ_NONE)
        return;
    expect(slot->object->id == objects[model->object].id, "object");
    expect(slot->object->capabilities == objects[model->object].capabilities,
           "number of capabilities");
    if (type_has_queue(slot->type))
        expect(slot->badge == model->badge, "badge");
    compare_binding(slot, model->object);
    if (slot->type == QY_OBJ_FRAME)
        expect((frame_is_mapped(slot, &space, &rights) ? slot->address : 0) == model->address,
               "mapping");
    unsigned children = 0;
    for (int i = 0; i < CAPS; i++)
        children += caps[i].used && caps[i].parent == cap;
    for (int i = 0; i < BINDINGS; i++)
        children +=
            bindings[i].used ? (bindings[i].by_parent == cap) + (bindings[i].to_parent == cap) : 0;
    unsigned counted = 0;
    for (const struct slot *child = slot->child; child; child = slot_next(child))
        counted++;
    expect(counted == children, "number of derived capabilities");
}

/* A node that only its own slots name is beyond the reach of handles; its contents are compared by
 * count only. */
static void compare_all(void) QY_UNCHECKED
{
    uint64_t live[QY_OBJ_COUNT] = {0};
    for (uint32_t i = 0; i < ROOT_SLOTS; i++)
        compare_slot(NOBODY, world_root_node(), FIRST_SLOT + i);
    for (int object = 0; object < OBJECTS; object++) {
        if (!objects[object].alive)
            continue;
        live[objects[object].type]++;
        int direct = NOBODY;
        for (int i = 0; i < CAPS; i++) {
            if (caps[i].used && caps[i].object == object && caps[i].node == NOBODY)
                direct = i;
        }
        if (objects[object].type != QY_OBJ_CAP_NODE || direct == NOBODY)
            continue;
        const struct cap_node *node = node_of(object);
        for (uint32_t i = 0; i < 64; i++)
            compare_slot(object, node, i);
    }
    for (unsigned type = 1; type < QY_OBJ_COUNT; type++)
        expect(object_totals((enum qy_object_type)type).live == live[type] + baseline[type],
               "number of objects");
    const struct space *space = (const struct space *)world_object(QY_SLOT_SPACE);
    for (unsigned place = 0; place < PLACES; place++) {
        uint64_t address = AREA + place * QY_PAGE_BYTES;
        unsigned flags = 0, all = 0;
        bool mapped = qy_pt_translate(SPACE_PT(space), vaddr(address), NULL, &all, NULL) == QY_OK;
        bool expected = false;
        for (int i = 0; i < CAPS; i++) {
            if (caps[i].used && caps[i].address == address) {
                expected = true;
                flags = (unsigned)caps[i].flags;
            }
        }
        expect(mapped == expected, "what is mapped");
        expect(!mapped || (all & QY_MAP_ALL) == flags, "flags of a mapping");
    }
}

/* ---- acting on both ---- */

struct choice {
    int cap; /* in the root node, or NOBODY: the handle names nothing */
    qy_handle_t handle;
};

static struct choice choose(void)
{
    uint32_t slot = FIRST_SLOT + random_below(&random_state, ROOT_SLOTS);
    int cap = cap_at(NOBODY, slot);
    uint64_t generation = *generation_of(NOBODY, slot);
    if (random_below(&random_state, 30) == 0) {
        generation ^= 1; /* stale, or not yet */
        cap = NOBODY;
    }
    return (struct choice){cap, generation << 32 | slot};
}

static struct choice choose_typed(enum qy_object_type type)
{
    struct choice choice = choose();
    for (unsigned i = 0;
         i < 60 && (choice.cap == NOBODY || objects[caps[choice.cap].object].type != type); i++)
        choice = choose();
    return choice;
}

/* What looking a handle up must give. */
static enum qy_error lookup(struct choice choice, enum qy_object_type type, unsigned rights)
{
    if (choice.cap == NOBODY)
        return QY_INVALID_HANDLE;
    if (objects[caps[choice.cap].object].type != type)
        return QY_WRONG_TYPE;
    return rights & ~caps[choice.cap].rights ? QY_NO_RIGHTS : QY_OK;
}

/* A destination: the root node, or one that a handle names. Returns the error that it leads to. */
static enum qy_error destination(qy_handle_t *handle, int *node, uint32_t *slot)
{
    *handle = ROOT_NODE;
    *node = NOBODY;
    *slot = FIRST_SLOT + random_below(&random_state, ROOT_SLOTS);
    if (random_below(&random_state, 3))
        return QY_OK;
    struct choice choice = choose_typed(QY_OBJ_CAP_NODE);
    *handle = choice.handle;
    *slot = 1 + random_below(&random_state, 63);
    enum qy_error error = lookup(choice, QY_OBJ_CAP_NODE, QY_RIGHT_WRITE);
    if (error == QY_OK)
        *node = caps[choice.cap].object;
    return error;
}

static void do_retype(void)
{
    static const enum qy_object_type types[] = {
        QY_OBJ_UNTYPED,      QY_OBJ_FRAME,         QY_OBJ_FRAME,    QY_OBJ_CAP_NODE,
        QY_OBJ_THREAD,       QY_OBJ_ENDPOINT,      QY_OBJ_ENDPOINT, QY_OBJ_REPLY,
        QY_OBJ_PAGE_TABLE,   QY_OBJ_ADDRESS_SPACE, QY_OBJ_TIMER,    QY_OBJ_TIMER,
        QY_OBJ_NOTIFICATION, QY_OBJ_NOTIFICATION};
    enum qy_object_type type = types[random_below(&random_state, sizeof(types) / sizeof(types[0]))];
    struct choice from = choose_typed(QY_OBJ_UNTYPED);
    qy_handle_t handle;
    int node;
    uint32_t slot;
    enum qy_error expected = lookup(from, QY_OBJ_UNTYPED, QY_RIGHT_WRITE);
    enum qy_error other = destination(&handle, &node, &slot);
    uint64_t pages = type == QY_OBJ_UNTYPED ? 32 + random_below(&random_state, 500) : 1;
    uint64_t count = 1 + random_below(&random_state, 2);
    if (expected == QY_OK)
        expected = other;
    if (expected == QY_OK && node == NOBODY && slot + count > FIRST_SLOT + ROOT_SLOTS)
        return;
    if (expected == QY_OK && node != NOBODY && slot + count > 64)
        expected = QY_INVALID_ARGUMENT;
    for (uint64_t i = 0; i < count && expected == QY_OK; i++) {
        if (cap_at(node, slot + (uint32_t)i) != NOBODY)
            expected = QY_SLOT_OCCUPIED;
    }
    struct result result =
        CALL(QY_CALL_untyped_retype, from.handle, type, pages, handle, slot, count);
    if (result.error == QY_OUT_OF_MEMORY && expected == QY_OK)
        return;
    expect(result.error == expected, "error of retype");
    if (result.error != QY_OK || failure)
        return;
    for (uint64_t i = 0; i < count; i++) {
        int object = object_new(type, caps[from.cap].object);
        cap_new(object, NOBODY, node, slot + (uint32_t)i, QY_RIGHT_ALL, 0);
        objects[object].id = node_of(node)->slots[slot + i].object->id;
    }
}

static void do_copy(void)
{
    struct choice source = choose();
    qy_handle_t handle;
    int node;
    uint32_t slot;
    enum qy_error expected = destination(&handle, &node, &slot);
    unsigned rights =
        random_below(&random_state, 4) ? QY_RIGHT_ALL : random_below(&random_state, 18);
    uint64_t badge = random_below(&random_state, 3) ? 0 : 1 + random_below(&random_state, 9);
    if (random_below(&random_state, 2) && source.cap != NOBODY)
        rights &= caps[source.cap].rights;
    const struct cap_model *from = source.cap == NOBODY ? NULL : &caps[source.cap];
    bool has_badge = from && type_has_queue(objects[from->object].type);
    if (expected == QY_OK && !from)
        expected = QY_INVALID_HANDLE;
    else if (expected == QY_OK && rights > QY_RIGHT_ALL)
        expected = QY_INVALID_ARGUMENT;
    else if (expected == QY_OK && (!(from->rights & QY_RIGHT_GRANT) || rights & ~from->rights))
        expected = QY_NO_RIGHTS;
    else if (expected == QY_OK && badge && (!has_badge || from->badge))
        expected = QY_INVALID_ARGUMENT;
    else if (expected == QY_OK && cap_at(node, slot) != NOBODY)
        expected = QY_SLOT_OCCUPIED;
    struct result result = CALL(QY_CALL_cap_copy, handle, slot, source.handle, rights, badge, 0);
    expect(result.error == expected, "error of copy");
    if (result.error != QY_OK || failure)
        return;
    int cap = cap_new(from->object, source.cap, node, slot, rights,
                      has_badge ? badge ? badge : from->badge : 0);
    expect(result.x[1] == (caps[cap].generation << 32 | slot), "handle of copy");
}

/* What was derived from it, and the bindings that were made with it, go with it. */
static void do_move(void)
{
    struct choice source = choose();
    qy_handle_t handle;
    int node;
    uint32_t slot;
    enum qy_error expected = destination(&handle, &node, &slot);
    if (expected == QY_OK && source.cap == NOBODY)
        expected = QY_INVALID_HANDLE;
    else if (expected == QY_OK && cap_at(node, slot) != NOBODY)
        expected = QY_SLOT_OCCUPIED;
    struct result result = CALL(QY_CALL_cap_move, handle, slot, source.handle, 0, 0, 0);
    expect(result.error == expected, "error of move");
    if (result.error != QY_OK || failure)
        return;
    struct cap_model *moved = &caps[source.cap];
    ++*generation_of(moved->node, moved->slot);
    moved->node = node;
    moved->slot = slot;
    moved->generation = *generation_of(node, slot);
    expect(result.x[1] == (moved->generation << 32 | slot), "handle of move");
}

static void do_arm(void)
{
    struct choice timer = choose_typed(QY_OBJ_TIMER), to = choose_typed(QY_OBJ_NOTIFICATION);
    bool disarm = random_below(&random_state, 5) == 0;
    enum qy_error expected = lookup(timer, QY_OBJ_TIMER, QY_RIGHT_WRITE);
    if (expected == QY_OK && !disarm)
        expected = lookup(to, QY_OBJ_NOTIFICATION, QY_RIGHT_WRITE);
    struct result result = CALL(QY_CALL_timer_set, timer.handle, disarm ? 0 : to.handle,
                                disarm ? 0 : TIMER_LONGEST_NS, 0, 0, 0);
    expect(result.error == expected, "error of arming");
    if (result.error != QY_OK || failure)
        return;
    struct binding_model *before = binding_of(caps[timer.cap].object);
    if (before)
        before->used = false;
    if (!disarm)
        binding_new(timer.cap, to.cap);
}

static void do_bind(void)
{
    struct choice by = choose_typed(QY_OBJ_NOTIFICATION), to = choose_typed(QY_OBJ_THREAD);
    bool unbind = random_below(&random_state, 5) == 0;
    enum qy_error expected = lookup(by, QY_OBJ_NOTIFICATION, QY_RIGHT_READ);
    if (expected == QY_OK && !unbind)
        expected = lookup(to, QY_OBJ_THREAD, QY_RIGHT_WRITE);
    struct binding_model *before = expected == QY_OK ? binding_of(caps[by.cap].object) : NULL;
    if (expected == QY_OK && !unbind && (before || is_bound_to(caps[to.cap].object)))
        expected = QY_BUSY;
    struct result result =
        CALL(QY_CALL_notification_bind, by.handle, unbind ? 0 : to.handle, 0, 0, 0, 0);
    expect(result.error == expected, "error of binding");
    if (result.error != QY_OK || failure)
        return;
    if (unbind && before)
        before->used = false;
    if (!unbind)
        binding_new(by.cap, to.cap);
}

/* A thread outside of the model has named a slot, and waits; a message brings it a capability. */
static void do_send(void)
{
    struct choice source = choose();
    uint32_t slot = FIRST_SLOT + random_below(&random_state, ROOT_SLOTS);
    const struct cap_model *from = source.cap == NOBODY ? NULL : &caps[source.cap];
    enum qy_error expected = !from                           ? QY_INVALID_HANDLE
                             : from->rights & QY_RIGHT_GRANT ? QY_OK
                                                             : QY_NO_RIGHTS;
    bool arrives = expected == QY_OK && cap_at(NOBODY, slot) == NOBODY;
    CHECK_EQ(CALL_ON(1, QY_CALL_receive_slot, ROOT_NODE, slot, 0, 0, 0, 0).error, QY_OK);
    CHECK(CALL_ON(1, QY_CALL_endpoint_receive, mail, 0, 0, 0, 0, 0).waits);
    struct result result = CALL(QY_CALL_endpoint_send, mail, 5, 0, 0, 0, source.handle);
    expect(result.error == expected, "error of send");
    if (result.error != QY_OK) /* the receiver still waits */
        CHECK_EQ(CALL(QY_CALL_endpoint_send, mail, 5, 0, 0, 0, 0).error, QY_OK);
    world_pick(1);
    expect(world_result(receiver).x[2] == (arrives ? 5 | QY_LABEL_CAPABILITY : 5),
           "whether the capability arrives");
    if (arrives && !failure)
        cap_new(from->object, source.cap, NOBODY, slot, from->rights, from->badge);
}

static void do_delete(void)
{
    struct choice choice = choose();
    enum qy_error error = erase(choice.handle);
    expect(error == (choice.cap == NOBODY ? QY_INVALID_HANDLE : QY_OK), "error of delete");
    if (error == QY_OK && choice.cap != NOBODY)
        cap_delete(choice.cap);
}

static void do_revoke(void)
{
    struct choice choice = choose();
    const unsigned needed = QY_RIGHT_WRITE | QY_RIGHT_GRANT;
    enum qy_error expected = choice.cap == NOBODY ? QY_INVALID_HANDLE : QY_OK;
    if (expected == QY_OK && objects[caps[choice.cap].object].type == QY_OBJ_UNTYPED &&
        (caps[choice.cap].rights & needed) != needed)
        expected = QY_NO_RIGHTS;
    enum qy_error error = revoke_all(choice.handle);
    if (expected == QY_OK) {
        cap_revoke(choice.cap);
        /* The last capability of the memory around it may have been in a node that went. */
        expected = caps[choice.cap].used ? QY_OK : QY_REVOKED;
    }
    expect(error == expected, "error of revoke");
}

static void do_map(void)
{
    static const uint64_t kinds[] = {QY_MAP_READ, RW, QY_MAP_READ | QY_MAP_EXEC};
    struct choice choice = choose_typed(QY_OBJ_FRAME);
    uint64_t address = AREA + random_below(&random_state, PLACES) * QY_PAGE_BYTES,
             flags = kinds[random_below(&random_state, 3)];
    enum qy_error expected = lookup(choice, QY_OBJ_FRAME, QY_RIGHT_READ);
    struct cap_model *cap = choice.cap == NOBODY ? NULL : &caps[choice.cap];
    unsigned wanted =
        (flags & QY_MAP_WRITE ? QY_RIGHT_WRITE : 0) | (flags & QY_MAP_EXEC ? QY_RIGHT_EXEC : 0);
    if (expected == QY_OK && wanted & ~cap->rights)
        expected = QY_NO_RIGHTS;
    if (expected == QY_OK && cap->address)
        expected = QY_ALREADY_MAPPED;
    bool writable = false, executable = false;
    for (int i = 0; i < CAPS && expected == QY_OK; i++) {
        if (caps[i].used && caps[i].address == address)
            expected = QY_ALREADY_MAPPED;
        if (caps[i].used && caps[i].address && caps[i].object == cap->object) {
            writable |= (caps[i].flags & QY_MAP_WRITE) != 0;
            executable |= (caps[i].flags & QY_MAP_EXEC) != 0;
        }
    }
    struct result result = map(choice.handle, ROOT_SPACE, address, flags);
    bool clash = (flags & QY_MAP_WRITE && executable) || (flags & QY_MAP_EXEC && writable);
    if (expected == QY_OK && clash)
        expected = QY_INVALID_FLAGS;
    /* The class of a frame lasts as long as it is mapped at all, even if the mapping that set it is
     * gone. */
    if (expected == QY_OK && result.error == QY_INVALID_FLAGS &&
        wanted & (QY_RIGHT_WRITE | QY_RIGHT_EXEC))
        return;
    expect(result.error == expected, "error of map");
    if (result.error == QY_OK && cap) {
        cap->address = address;
        cap->flags = flags;
    }
}

static void do_unmap(void)
{
    struct choice choice = choose_typed(QY_OBJ_FRAME);
    struct cap_model *cap = choice.cap == NOBODY ? NULL : &caps[choice.cap];
    enum qy_error expected = lookup(choice, QY_OBJ_FRAME, 0);
    uint64_t address = cap && cap->address && random_below(&random_state, 8) ? cap->address : AREA;
    if (expected == QY_OK && cap->address != address)
        expected = QY_NOT_MAPPED;
    struct result result = CALL(QY_CALL_frame_unmap, choice.handle, ROOT_SPACE, address, 0, 0, 0);
    expect(result.error == expected, "error of unmap");
    if (result.error == QY_OK && cap)
        cap->address = 0;
}

static void begin_run(void) QY_UNCHECKED
{
    memset(objects, 0, sizeof(objects));
    memset(caps, 0, sizeof(caps));
    memset(bindings, 0, sizeof(bindings));
    mail = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    receiver = object_of(thread_on(ROOT_UNTYPED, 1, 0));
    for (uint32_t i = 0; i < ROOT_SLOTS; i++)
        root_generations[i] = world_root_node()->slots[FIRST_SLOT + i].generation;
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    for (unsigned type = 0; type < QY_OBJ_COUNT; type++)
        baseline[type] = object_totals((enum qy_object_type)type).live;
    /* The model's world is a child untyped, whose first capability is in the first slot. */
    struct result result =
        CALL(QY_CALL_untyped_retype, ROOT_UNTYPED, QY_OBJ_UNTYPED, 6000, ROOT_NODE, FIRST_SLOT, 1);
    CHECK_EQ(result.error, QY_OK);
    objects[0] =
        (struct object_model){true, QY_OBJ_UNTYPED, NOBODY, 0, world_object(FIRST_SLOT)->id};
    cap_new(0, NOBODY, NOBODY, FIRST_SLOT, QY_RIGHT_ALL, 0);
}

/* Returns the calls made: a run ends early when the last capability of its memory goes. */
static unsigned run(uint64_t seed, unsigned steps)
{
    static void (*const acts[])(void) = {
        do_retype, do_retype, do_retype, do_copy, do_copy, do_copy, do_delete, do_map,  do_map,
        do_unmap,  do_move,   do_move,   do_arm,  do_arm,  do_bind, do_bind,   do_send, do_send};
    begin_run();
    random_state = seed;
    failure = NULL;
    unsigned step = 0;
    for (; step < steps && !failure && objects[0].alive; step++) {
        if (random_below(&random_state, 25) == 0)
            do_revoke();
        else
            acts[random_below(&random_state, sizeof(acts) / sizeof(acts[0]))]();
        if (!failure)
            compare_all();
    }
    if (failure)
        printf("# seed %llu, step %u: %s\n", (unsigned long long)seed, step, failure);
    CHECK(failure == NULL);
    scene_end();
    return step;
}

static void random_calls_do_what_the_model_does(void)
{
    unsigned calls = 0;
    for (uint64_t seed = 1; calls < 20000 && !failure; seed++)
        calls += run(seed * 0x9e3779b97f4a7c15ull, 1000);
}

static const struct test tests[] = {
    {"random calls do what the model does", random_calls_do_what_the_model_does},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
