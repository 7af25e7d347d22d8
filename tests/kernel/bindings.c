/*
 * What was set going by a capability ends with it: timers, interrupts, bound notifications, and threads that wait.
 *
 * It would miss a binding that ends late, but before anybody can tell: no CPU acts while a revoke is under way
 * (races.c).
 */
#include "scene.h"

#include <kernel/timer.h>

#define BIND(notification, thread) CALL(QY_CALL_notification_bind, notification, thread, 0, 0, 0, 0)
#define POLL(notification) CALL(QY_CALL_notification_poll, notification, 0, 0, 0, 0, 0)
#define LINE 7u

/* What can be bound, to a notification or to a thread. */
enum kind { TIMER, INTERRUPT, RECEIVE, KINDS };

/* How a binding comes to its end: by whose copy, and what happens to that. */
enum end { REVOKE_BY, REVOKE_TO, DELETE_COPIES, DELETE_BY, DELETE_TO, ENDS };

struct scene {
    qy_handle_t by, to;           /* first capabilities */
    qy_handle_t by_copy, to_copy; /* with which it was bound */
    qy_handle_t receiver, endpoint;
};

static qy_handle_t maker_of(enum kind kind)
{
    static const enum qy_object_type types[] = {QY_OBJ_TIMER, QY_OBJ_INTERRUPT,
                                                QY_OBJ_NOTIFICATION};
    return make(ROOT_UNTYPED, types[kind], 1);
}

static struct result bind(enum kind kind, qy_handle_t by, qy_handle_t to)
{
    if (kind == TIMER)
        return CALL(QY_CALL_timer_set, by, to, 10, 10, 0, 0);
    if (kind == INTERRUPT)
        return CALL(QY_CALL_interrupt_bind, by, QY_SLOT_SYSTEM, LINE, to, 0, 0);
    return BIND(by, to);
}

/* The second end of a receive is a thread that waits in one. */
static struct scene set_up(enum kind kind)
{
    struct scene s = {.by = maker_of(kind)};
    s.endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    s.to = kind == RECEIVE ? thread_on(ROOT_UNTYPED, 1, 0)
                           : make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    s.by_copy = copy(s.by, QY_RIGHT_ALL, 0);
    s.to_copy = copy(s.to, QY_RIGHT_ALL, kind == RECEIVE ? 0 : 4);
    CHECK_EQ(bind(kind, s.by_copy, s.to_copy).error, QY_OK);
    if (kind == RECEIVE)
        CHECK(CALL_ON(1, QY_CALL_endpoint_receive, s.endpoint, 0, 0, 0, 0, 0).waits);
    return s;
}

/* Does it act now? It is given the occasion. */
static bool acts(enum kind kind, const struct scene *s)
{
    if (kind == RECEIVE) {
        CHECK_EQ(CALL(QY_CALL_notification_signal, s->by, 0, 0, 0, 0, 0).error, QY_OK);
        return ((struct thread *)object_of(s->to))->state != QY_THREAD_RECEIVING;
    }
    if (kind == INTERRUPT) {
        world_line_set(LINE, true);
        world_line_set(LINE, false);
    } else {
        world_time_ns += 20;
        timer_tick();
    }
    scene_check(__FILE__, __LINE__);
    bool told = POLL(s->to).x[1] == 4;
    if (kind == INTERRUPT) /* the next one may come */
        CHECK_EQ(CALL(QY_CALL_interrupt_acknowledge, s->by, 0, 0, 0, 0, 0).error,
                 told ? QY_OK : QY_NOT_FOUND);
    return told;
}

static void end_it(enum end end, const struct scene *s)
{
    switch (end) {
    case REVOKE_BY:
        CHECK_EQ(revoke_all(s->by), QY_OK);
        break;
    case REVOKE_TO:
        CHECK_EQ(revoke_all(s->to), QY_OK);
        break;
    case DELETE_COPIES: /* what was derived from them is derived from the first ones now */
        CHECK_EQ(erase(s->by_copy), QY_OK);
        CHECK_EQ(erase(s->to_copy), QY_OK);
        break;
    default: /* every capability of one object */
        CHECK_EQ(erase(end == DELETE_BY ? s->by_copy : s->to_copy), QY_OK);
        CHECK_EQ(erase(end == DELETE_BY ? s->by : s->to), QY_OK);
    }
}

static void a_binding_ends_with_either_capability(void)
{
    for (enum kind kind = TIMER; kind < KINDS; kind++) {
        for (enum end end = REVOKE_BY; end < DELETE_BY; end++) {
            struct scene s = set_up(kind);
            if (kind != RECEIVE)
                CHECK(acts(kind, &s));
            end_it(end, &s);
            CHECK_EQ(acts(kind, &s), end == DELETE_COPIES);
            if (end != DELETE_COPIES) /* nothing is left of it */
                CHECK_EQ(bind(kind, s.by, s.to).error, QY_OK);
            scene_end();
        }
    }
}

/* And does not keep an object that nobody else names. */
static void an_object_without_capabilities_ends_its_bindings(void) QY_UNCHECKED
{
    for (enum kind kind = TIMER; kind < KINDS; kind++) {
        for (enum end end = DELETE_BY; end < ENDS; end++) {
            struct scene s = set_up(kind);
            const enum qy_object_type type =
                (enum qy_object_type)info(end == DELETE_BY ? s.by : s.to).x[1] & 0xff;
            uint64_t live = object_totals(type).live;
            end_it(end, &s);
            CHECK_EQ(object_totals(type).live, live - 1);
            if (end == DELETE_TO) {
                qy_handle_t other = kind == RECEIVE ? thread_on(ROOT_UNTYPED, 2, 0)
                                                    : make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
                CHECK_EQ(bind(kind, s.by, other).error, QY_OK);
            }
            scene_end();
        }
    }
}

static void memory_that_goes_ends_bindings_across_it(void)
{
    for (unsigned which = 0; which < 2; which++) {
        qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
        qy_handle_t timer = make(which ? untyped : ROOT_UNTYPED, QY_OBJ_TIMER, 1);
        qy_handle_t notification = make(which ? ROOT_UNTYPED : untyped, QY_OBJ_NOTIFICATION, 1);
        CHECK_EQ(bind(TIMER, timer, notification).error, QY_OK);
        CHECK_EQ(revoke_all(untyped), QY_OK);
        world_time_ns += 20;
        timer_tick();
        scene_check(__FILE__, __LINE__);
        if (which)
            CHECK_EQ(POLL(notification).error, QY_WOULD_WAIT);
        else
            CHECK_EQ(CALL(QY_CALL_timer_info, timer, 0, 0, 0, 0, 0).x[2], 0);
        scene_end();
    }
}

/* ---- threads that wait ---- */

enum wait { SENDS, CALLS, RECEIVES, WAITS, FAULTS, WAIT_KINDS };

static void begin_wait(enum wait wait, qy_handle_t by)
{
    if (wait == FAULTS)
        world_fault(1, 0x123000, QY_ACCESS_READ, 0x400000);
    else if (wait == SENDS || wait == CALLS)
        CHECK(CALL_ON(1, wait == SENDS ? QY_CALL_endpoint_send : QY_CALL_endpoint_call, by, 5, 6, 7,
                      8, 0)
                  .waits);
    else
        CHECK(CALL_ON(1, wait == RECEIVES ? QY_CALL_endpoint_receive : QY_CALL_notification_wait,
                      by, 0, 0, 0, 0, 0)
                  .waits);
    world_pick(1);
}

/* The other side comes. Returns whether it met the thread. */
static bool is_met(enum wait wait, qy_handle_t object)
{
    if (wait == WAITS) {
        CHECK_EQ(CALL(QY_CALL_notification_signal, object, 0, 0, 0, 0, 0).error, QY_OK);
        return POLL(object).error == QY_WOULD_WAIT;
    }
    qy_handle_t server = thread_on(ROOT_UNTYPED, 2, 0), reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    if (wait == RECEIVES)
        CALL_ON(2, QY_CALL_endpoint_send, object, 1, 2, 3, 4, 0);
    else
        CALL_ON(2, QY_CALL_endpoint_receive, object, reply, 0, 0, 0, 0);
    return !((struct thread *)object_of(server))->queue;
}

/* Each way of waiting, with the capability revoked, deleted, or only moved to another slot. */
static void who_waits_goes_with_the_capability(void)
{
    enum { REVOKED_WHILE, DELETED_WHILE, MOVED_WHILE, HOWS };
    for (enum wait wait = SENDS; wait < WAIT_KINDS; wait++) {
        for (unsigned how = REVOKED_WHILE; how < HOWS; how++) {
            if (wait == FAULTS &&
                how != REVOKED_WHILE) /* it waits by the thread's own capability */
                continue;
            qy_handle_t object =
                make(ROOT_UNTYPED, wait == WAITS ? QY_OBJ_NOTIFICATION : QY_OBJ_ENDPOINT, 1);
            qy_handle_t by = copy(object, QY_RIGHT_ALL, 9);
            struct thread *thread = object_of(thread_on(ROOT_UNTYPED, 1, wait == FAULTS ? by : 0));
            begin_wait(wait, by);
            if (how == REVOKED_WHILE)
                CHECK_EQ(revoke_all(object), QY_OK);
            else if (how == DELETED_WHILE)
                CHECK_EQ(erase(by), QY_OK);
            else
                CHECK_EQ(CALL(QY_CALL_cap_move, ROOT_NODE, scene_slot++, by, 0, 0, 0).error, QY_OK);
            if (how == MOVED_WHILE) {
                CHECK(is_met(wait, object));
            } else {
                if (wait == FAULTS)
                    CHECK_EQ(thread->state, QY_THREAD_DEAD);
                else
                    CHECK_EQ(world_result(thread).error, QY_DEAD);
                CHECK(!is_met(wait, object));
            }
            scene_end();
        }
    }
}

/* Many wait by one capability, others by another: the right ones go, in batches, whichever order they came in. */
static void only_those_go_who_came_by_it(void)
{
    enum { THREADS = 200 };
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t by[2] = {copy(endpoint, QY_RIGHT_ALL, 1), copy(endpoint, QY_RIGHT_ALL, 2)};
    struct thread *threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = object_of(thread_on(ROOT_UNTYPED, 1, 0));
        CHECK(CALL_ON(1, QY_CALL_endpoint_send, by[i % 3 == 0], i, 0, 0, 0, 0).waits);
    }
    CHECK_EQ(erase(by[1]), QY_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        bool gone = i % 3 == 0;
        CHECK_EQ(threads[i]->state == QY_THREAD_SENDING, !gone);
        if (gone)
            CHECK_EQ(world_result(threads[i]).error, QY_DEAD);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        if (i % 3 == 0)
            continue;
        struct result got = CALL(QY_CALL_endpoint_receive, endpoint, 0, 0, 0, 0, 0);
        CHECK_EQ(got.x[1], 1);
        CHECK_EQ(got.x[2], i);
    }
    scene_end();
}

/* The message has been taken: the answer comes from the reply object, which is another one. */
static void an_answer_needs_the_reply_object_only(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    qy_handle_t by = copy(endpoint, QY_RIGHT_ALL, 9);
    struct thread *caller = object_of(thread_on(ROOT_UNTYPED, 1, 0));
    begin_wait(CALLS, by);
    CHECK_EQ(CALL(QY_CALL_endpoint_receive, endpoint, reply, 0, 0, 0, 0).x[1], 9);
    CHECK_EQ(revoke_all(endpoint), QY_OK);
    CHECK_EQ(caller->state, QY_THREAD_CALLING);
    CHECK_EQ(CALL(QY_CALL_reply_send, reply, 77, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(world_result(caller).error, QY_OK);
    CHECK_EQ(world_result(caller).x[2], 77);
    scene_end();
}

static const struct test tests[] = {
    {"a binding ends with either capability", a_binding_ends_with_either_capability},
    {"an object without capabilities ends its bindings",
     an_object_without_capabilities_ends_its_bindings},
    {"memory that goes ends bindings across it", memory_that_goes_ends_bindings_across_it},
    {"who waits goes with the capability", who_waits_goes_with_the_capability},
    {"only those go who came by it", only_those_go_who_came_by_it},
    {"an answer needs the reply object only", an_answer_needs_the_reply_object_only},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
