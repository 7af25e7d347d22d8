/*
 * What comes with a message and beside it: capabilities, notifications, answering and receiving in
 * one call, and capabilities that move.
 */
#include "scene.h"

#define SEND(cpu, endpoint, capability)                                                            \
    CALL_ON(cpu, QY_CALL_endpoint_send, endpoint, 5, 10, 11, 12, capability)
#define ASK(cpu, endpoint, capability)                                                             \
    CALL_ON(cpu, QY_CALL_endpoint_call, endpoint, 5, 10, 11, 12, capability)
#define RECEIVE(cpu, endpoint, reply)                                                              \
    CALL_ON(cpu, QY_CALL_endpoint_receive, endpoint, reply, 0, 0, 0, 0)
#define RECEIVE_SLOT(cpu, node, slot) CALL_ON(cpu, QY_CALL_receive_slot, node, slot, 0, 0, 0, 0)
#define SIGNAL(cpu, notification)                                                                  \
    CALL_ON(cpu, QY_CALL_notification_signal, notification, 0, 0, 0, 0, 0)
#define WAIT(cpu, notification) CALL_ON(cpu, QY_CALL_notification_wait, notification, 0, 0, 0, 0, 0)
#define POLL(notification) CALL(QY_CALL_notification_poll, notification, 0, 0, 0, 0, 0)
#define BIND(notification, thread) CALL(QY_CALL_notification_bind, notification, thread, 0, 0, 0, 0)

#define ARRIVED (5 | QY_LABEL_CAPABILITY)

/* A thread on a CPU with a node of its own, in which it has nothing but that capability, in slot 1. */
static qy_handle_t stranger(unsigned cpu, qy_handle_t given, qy_handle_t *node)
{
    *node = make(ROOT_UNTYPED, QY_OBJ_CAP_NODE, 1);
    CHECK_EQ(CALL(QY_CALL_cap_copy, *node, 1, given, QY_RIGHT_ALL, 0, 0).error, QY_OK);
    qy_handle_t thread = make(ROOT_UNTYPED, QY_OBJ_THREAD, 1);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_SPACE, *node, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0x401ff0, 7, cpu, 0).error, QY_OK);
    world_pick(cpu);
    return thread;
}

static struct result in_slot(qy_handle_t node, uint64_t slot)
{
    return CALL(QY_CALL_cap_info, node, slot, 0, 0, 0, 0);
}

static void a_capability_goes_with_a_message(void)
{
    for (unsigned receiver_first = 0; receiver_first < 2; receiver_first++) {
        qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1), node;
        qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
        qy_handle_t other = stranger(1, endpoint, &node);
        qy_handle_t reader = copy(frame, QY_RIGHT_READ | QY_RIGHT_GRANT, 0);
        CHECK_EQ(RECEIVE_SLOT(0, ROOT_NODE, scene_slot).error, QY_OK);
        /* The stranger gets a node of ours first, to name a slot of its own with. */
        CHECK_EQ(CALL(QY_CALL_cap_copy, node, 2, node, QY_RIGHT_ALL, 0, 0).error, QY_OK);
        CHECK_EQ(RECEIVE_SLOT(1, 2, 9).error, QY_OK);
        struct result got;
        if (receiver_first) {
            CHECK(RECEIVE(1, 1, 0).waits);
            CHECK_EQ(SEND(0, endpoint, reader).error, QY_OK);
        } else {
            world_begin(0, QY_CALL_endpoint_send, (uint64_t[6]){endpoint, 5, 10, 11, 12, reader});
            CHECK(world_last(0).waits);
            CHECK_EQ(RECEIVE(1, 1, 0).error, QY_OK);
        }
        got = receiver_first ? world_result(object_of(other)) : world_last(1);
        CHECK_EQ(got.x[2], ARRIVED);
        CHECK_EQ(got.x[3], 10);
        world_pick(0);
        struct result there = in_slot(node, 9);
        CHECK_EQ(there.error, QY_OK);
        CHECK_EQ(there.x[1], QY_OBJ_FRAME | (QY_RIGHT_READ | QY_RIGHT_GRANT) << 8);
        CHECK_EQ(revoke_all(reader), QY_OK); /* it was derived from the sender's */
        CHECK_EQ(in_slot(node, 9).error, QY_NOT_FOUND);
        scene_end();
    }
}

/* Each row: why the capability stays, and what the sender and the receiver hear. */
static void a_message_arrives_without_its_capability(void)
{
    enum { NO_SLOT, OCCUPIED, NODE_GONE, USED_UP, SOURCE_GONE, ROWS };
    for (unsigned row = 0; row < ROWS; row++) {
        qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
        qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
        qy_handle_t node = make(ROOT_UNTYPED, QY_OBJ_CAP_NODE, 1);
        struct thread *other = object_of(thread_on(ROOT_UNTYPED, 1, 0));
        if (row != NO_SLOT)
            CHECK_EQ(RECEIVE_SLOT(1, node, 3).error, QY_OK);
        if (row == OCCUPIED)
            CHECK_EQ(CALL(QY_CALL_cap_copy, node, 3, frame, QY_RIGHT_READ, 0, 0).error, QY_OK);
        if (row == NODE_GONE)
            CHECK_EQ(erase(node), QY_OK);
        if (row == SOURCE_GONE) { /* it is deleted while its holder waits to send it */
            CHECK(SEND(1, endpoint, frame).waits);
            CHECK_EQ(erase(frame), QY_OK);
            CHECK_EQ(RECEIVE_SLOT(0, node, 4).error, QY_OK);
            CHECK_EQ(RECEIVE(0, endpoint, 0).x[2], 5);
            CHECK_EQ(in_slot(node, 4).error, QY_NOT_FOUND);
            scene_end();
            continue;
        }
        CHECK(RECEIVE(1, endpoint, 0).waits);
        CHECK_EQ(SEND(0, endpoint, frame).error, QY_OK);
        world_pick(1);
        CHECK_EQ(world_result(other).x[2], row == USED_UP ? ARRIVED : 5);
        if (row == USED_UP) {
            CHECK(RECEIVE(1, endpoint, 0).waits);
            CHECK_EQ(SEND(0, endpoint, frame).error, QY_OK);
            CHECK_EQ(world_result(other).x[2], 5);
        }
        scene_end();
    }
}

static void a_capability_that_may_not_go_is_an_error(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    qy_handle_t plain = copy(endpoint, QY_RIGHT_WRITE, 0);
    qy_handle_t kept = copy(frame, QY_RIGHT_READ, 0);
    CHECK_EQ(SEND(0, plain, frame).error, QY_NO_RIGHTS);   /* the endpoint lets none through */
    CHECK_EQ(SEND(0, endpoint, kept).error, QY_NO_RIGHTS); /* no copies may be derived from it */
    CHECK_EQ(SEND(0, endpoint, 590).error, QY_INVALID_HANDLE);
    CHECK_EQ(CALL(QY_CALL_endpoint_send, endpoint, QY_LABEL_CAPABILITY, 0, 0, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_endpoint_call, endpoint, QY_LABEL_NOTIFIED, 0, 0, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(RECEIVE_SLOT(0, ROOT_NODE, 1ull << 40).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(RECEIVE_SLOT(0, frame, 1).error, QY_WRONG_TYPE);
    scene_end();
}

static void an_answer_brings_a_capability(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    qy_handle_t node = make(ROOT_UNTYPED, QY_OBJ_CAP_NODE, 1);
    struct thread *client = object_of(thread_on(ROOT_UNTYPED, 1, 0));
    CHECK_EQ(RECEIVE_SLOT(1, node, 7).error, QY_OK);
    CHECK(ASK(1, endpoint, 0).waits);
    CHECK_EQ(RECEIVE(0, endpoint, reply).x[2], 5);
    CHECK_EQ(CALL(QY_CALL_reply_send, reply, 6, 1, 2, 3, frame).error, QY_OK);
    CHECK_EQ(world_result(client).x[2], 6 | QY_LABEL_CAPABILITY);
    CHECK_EQ(in_slot(node, 7).x[1] & 0xff, QY_OBJ_FRAME);
    scene_end();
}

static void a_server_answers_and_receives_in_one_call(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    struct thread *client = object_of(thread_on(ROOT_UNTYPED, 1, 0));
    struct thread *server = object_of(thread_on(ROOT_UNTYPED, 2, 0));
    const uint64_t x[6] = {endpoint, reply, 30, 31, 32, 33};
    CHECK(CALL_ON(2, QY_CALL_endpoint_reply_receive, x[0], x[1], x[2], x[3], x[4], x[5]).waits);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(ASK(1, endpoint, 0).waits);
        world_pick(2);
        CHECK_EQ(world_result(server).x[2], 5);
        CHECK(CALL_ON(2, QY_CALL_endpoint_reply_receive, x[0], x[1], x[2], x[3], x[4], x[5]).waits);
        world_pick(1);
        CHECK_EQ(world_result(client).error, QY_OK);
        CHECK_EQ(world_result(client).x[2], 30);
        CHECK_EQ(world_result(client).x[5], 33);
    }
    /* The reply object is in use by the server that waits. */
    CHECK_EQ(CALL(QY_CALL_endpoint_reply_receive, x[0], x[1], x[2], x[3], x[4], x[5]).error,
             QY_BUSY);
    CHECK_EQ(CALL(QY_CALL_endpoint_reply_receive, endpoint, endpoint, 0, 0, 0, 0).error,
             QY_WRONG_TYPE);
    CHECK_EQ(erase(endpoint), QY_OK); /* the server hears that nobody can reach it any more */
    world_pick(2);
    CHECK_EQ(world_result(server).error, QY_DEAD);
    scene_end();
}

static void signals_are_bits_that_add_up(void)
{
    qy_handle_t notification = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    qy_handle_t two = copy(notification, QY_RIGHT_WRITE, 2);
    qy_handle_t eight = copy(notification, QY_RIGHT_WRITE, 8);
    CHECK_EQ(POLL(notification).error, QY_WOULD_WAIT);
    CHECK_EQ(SIGNAL(0, two).error, QY_OK);
    CHECK_EQ(SIGNAL(0, eight).error, QY_OK);
    CHECK_EQ(SIGNAL(0, eight).error, QY_OK);
    CHECK_EQ(WAIT(0, notification).x[1], 10);
    CHECK_EQ(SIGNAL(0, notification).error, QY_OK); /* without a badge */
    CHECK_EQ(POLL(notification).x[1], 1);
    CHECK_EQ(POLL(notification).error, QY_WOULD_WAIT);
    CHECK_EQ(POLL(two).error, QY_NO_RIGHTS);
    CHECK_EQ(SIGNAL(0, copy(notification, QY_RIGHT_READ, 0)).error, QY_NO_RIGHTS);
    scene_end();
}

static void a_signal_wakes_who_waited_first(void)
{
    qy_handle_t notification = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    struct thread *first = object_of(thread_on(ROOT_UNTYPED, 1, 0));
    CHECK(WAIT(1, notification).waits);
    struct thread *second = object_of(thread_on(ROOT_UNTYPED, 2, 0));
    CHECK(WAIT(2, notification).waits);
    CHECK_EQ(CALL(QY_CALL_thread_info, ROOT_THREAD, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(SIGNAL(0, notification).error, QY_OK);
    CHECK_EQ(world_pick(1) == first, 1);
    CHECK_EQ(world_result(first).x[1], 1);
    CHECK(world_pick(2) == NULL);
    CHECK_EQ(erase(notification), QY_OK); /* the other hears that it has gone */
    CHECK_EQ(world_pick(2) == second, 1);
    CHECK_EQ(world_result(second).error, QY_DEAD);
    scene_end();
}

static void a_bound_notification_ends_a_receive(void)
{
    qy_handle_t notification = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    qy_handle_t other = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    struct thread *server = object_of(thread);
    CHECK_EQ(BIND(notification, thread).error, QY_OK);
    CHECK_EQ(BIND(notification, ROOT_THREAD).error, QY_BUSY);
    CHECK_EQ(BIND(other, thread).error, QY_BUSY);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(RECEIVE(1, endpoint, reply).waits); /* the reply object is free again each time */
        CHECK_EQ(SIGNAL(0, notification).error, QY_OK);
        world_pick(1);
        CHECK_EQ(world_result(server).x[1], 1);
        CHECK_EQ(world_result(server).x[2], QY_LABEL_NOTIFIED);
    }
    CHECK_EQ(SIGNAL(0, notification).error, QY_OK); /* it came before the receive */
    CHECK_EQ(RECEIVE(1, endpoint, reply).x[2], QY_LABEL_NOTIFIED);
    CHECK_EQ(BIND(notification, 0).error, QY_OK);
    CHECK_EQ(BIND(other, thread).error, QY_OK);
    CHECK_EQ(erase(thread), QY_OK); /* nobody is bound any more */
    CHECK_EQ(BIND(other, ROOT_THREAD).error, QY_OK);
    CHECK_EQ(erase(other), QY_OK);
    CHECK_EQ(BIND(notification, ROOT_THREAD).error, QY_OK);
    scene_end();
}

static void a_capability_moves_with_all_that_hangs_on_it(void)
{
    qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    uint64_t address = 0x40000000;
    qy_handle_t first = copy(frame, QY_RIGHT_ALL, 0), middle = copy(frame, QY_RIGHT_ALL, 0),
                last = copy(frame, QY_RIGHT_ALL, 0);
    qy_handle_t below = copy(middle, QY_RIGHT_READ, 0);
    tables(ROOT_UNTYPED, ROOT_SPACE, address, 1);
    CHECK_EQ(map(middle, ROOT_SPACE, address, RW).error, QY_OK);
    CHECK_EQ(map(last, ROOT_SPACE, address + QY_PAGE_BYTES, RW).error, QY_OK);
    qy_handle_t all[] = {frame, first, middle, last, below};
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct result moved = CALL(QY_CALL_cap_move, ROOT_NODE, scene_slot++, all[i], 0, 0, 0);
        CHECK_EQ(moved.error, QY_OK);
        CHECK_EQ(erase(all[i]), QY_INVALID_HANDLE); /* the old handle names nothing */
        all[i] = moved.x[1];
    }
    CHECK_EQ(CALL(QY_CALL_frame_protect, all[2], ROOT_SPACE, address, QY_MAP_READ, 0, 0).error,
             QY_OK);
    CHECK_EQ(revoke_all(all[2]), QY_OK);
    CHECK_EQ(erase(all[4]), QY_INVALID_HANDLE); /* still derived from it */
    CHECK_EQ(CALL(QY_CALL_frame_unmap, all[3], ROOT_SPACE, address + QY_PAGE_BYTES, 0, 0, 0).error,
             QY_OK);
    CHECK_EQ(CALL(QY_CALL_cap_move, ROOT_NODE, QY_SLOT_SPACE, all[1], 0, 0, 0).error,
             QY_SLOT_OCCUPIED);
    CHECK_EQ(CALL(QY_CALL_cap_move, ROOT_NODE, 0, all[1], 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_cap_move, ROOT_NODE, scene_slot, frame, 0, 0, 0).error,
             QY_INVALID_HANDLE);
    CHECK_EQ(revoke_all(all[0]), QY_OK);
    scene_end();
}

/* How often a CPU took the lock of capabilities. */
static uint64_t locks_of(unsigned cpu)
{
    uint64_t locks = 0;
    for (unsigned kind = 0; kind < COUNTED_KINDS; kind++)
        locks += cpu_at(cpu)->counts[kind].locks;
    return locks;
}

/* A question and its answer within a CPU; the thread that asks runs before and after. */
static void round_trip(unsigned cpu, qy_handle_t endpoint, qy_handle_t reply)
{
    CHECK(ASK(cpu, endpoint, 0).waits);
    CHECK(CALL_ON(cpu, QY_CALL_endpoint_reply_receive, endpoint, reply, 1, 2, 3, 4).waits);
}

static void messages_within_a_cpu_take_no_lock(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    qy_handle_t server = thread_on(ROOT_UNTYPED, 1, 0);
    CHECK(RECEIVE(1, endpoint, reply).waits);
    qy_handle_t client = thread_on(ROOT_UNTYPED, 1, 0);
    round_trip(1, endpoint, reply); /* it opens the gate */
    uint64_t before = locks_of(1);
    round_trip(1, endpoint, reply);
    round_trip(1, endpoint, reply);
    CHECK_EQ(locks_of(1), before);
    CHECK_EQ(info(endpoint).error, QY_OK); /* another CPU's call closes it */
    round_trip(1, endpoint, reply);
    CHECK_EQ(locks_of(1), before + QY_CONFIG_STATISTICS);
    /* The client asks from another CPU: the way of all calls, until both are on one CPU again. */
    CHECK_EQ(CALL(QY_CALL_thread_schedule, client, 32, 2, 0, 0, 0).error, QY_OK);
    CHECK_EQ(world_pick(1), NULL);
    CHECK_EQ(world_pick(2), object_of(client));
    CHECK(ASK(2, endpoint, 0).waits);
    CHECK_EQ(world_pick(1), object_of(server));
    CHECK(CALL_ON(1, QY_CALL_endpoint_reply_receive, endpoint, reply, 1, 2, 3, 4).waits);
    CHECK_EQ(CALL(QY_CALL_thread_schedule, server, 32, 2, 0, 0, 0).error, QY_OK);
    CHECK_EQ(world_pick(2), object_of(client));
    round_trip(2, endpoint, reply); /* the server receives there now: its endpoint moves with it */
    before = locks_of(2);
    round_trip(2, endpoint, reply);
    CHECK_EQ(locks_of(2), before);
    scene_end();
}

static const struct test tests[] = {
    {"a capability goes with a message", a_capability_goes_with_a_message},
    {"a message arrives without its capability", a_message_arrives_without_its_capability},
    {"a capability that may not go is an error", a_capability_that_may_not_go_is_an_error},
    {"an answer brings a capability", an_answer_brings_a_capability},
    {"a server answers and receives in one call", a_server_answers_and_receives_in_one_call},
    {"messages within a CPU take no lock", messages_within_a_cpu_take_no_lock},
    {"signals are bits that add up", signals_are_bits_that_add_up},
    {"a signal wakes who waited first", a_signal_wakes_who_waited_first},
    {"a bound notification ends a receive", a_bound_notification_ends_a_receive},
    {"a capability moves with all that hangs on it", a_capability_moves_with_all_that_hangs_on_it},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
