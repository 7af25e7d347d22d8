/*
 * Threads, messages, faults, and the calls on the machine.
 */
#include "scene.h"

#include <kernel/trace.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEND(cpu, endpoint, label)                                                                 \
    CALL_ON(cpu, QY_CALL_endpoint_send, endpoint, label, 10, 11, 12, 0)
#define ASK(cpu, endpoint, label)                                                                  \
    CALL_ON(cpu, QY_CALL_endpoint_call, endpoint, label, 10, 11, 12, 0)
#define RECEIVE(cpu, endpoint, reply)                                                              \
    CALL_ON(cpu, QY_CALL_endpoint_receive, endpoint, reply, 0, 0, 0, 0)
#define ANSWER(cpu, reply, label) CALL_ON(cpu, QY_CALL_reply_send, reply, label, 20, 21, 22, 0)

static uint64_t state_of(qy_handle_t thread)
{
    return CALL(QY_CALL_thread_info, thread, 0, 0, 0, 0, 0).x[1];
}

static void check_message(struct result result, uint64_t badge, uint64_t label)
{
    CHECK_EQ(result.error, QY_OK);
    CHECK_EQ(result.x[1], badge);
    CHECK_EQ(result.x[2], label);
    CHECK_EQ(result.x[3], 10);
    CHECK_EQ(result.x[4], 11);
    CHECK_EQ(result.x[5], 12);
}

static void messages_arrive_whoever_comes_first(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t badged = copy(endpoint, QY_RIGHT_WRITE, 55);
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    struct thread *other = object_of(thread);
    /* The receiver waits. */
    CHECK(RECEIVE(1, endpoint, 0).waits);
    CHECK_EQ(state_of(thread), QY_THREAD_RECEIVING);
    CHECK(world_pick(1) == NULL);
    CHECK_EQ(SEND(0, badged, 3).error, QY_OK);
    CHECK_EQ(world_pick(1) == other, 1);
    check_message(world_result(other), 55, 3);
    /* The sender waits. */
    CHECK(SEND(1, endpoint, 4).waits);
    CHECK_EQ(state_of(thread), QY_THREAD_SENDING);
    check_message(RECEIVE(0, endpoint, 0), 0, 4);
    CHECK_EQ(world_pick(1) == other, 1);
    CHECK_EQ(world_result(other).error, QY_OK);
    scene_end();
}

static void queues_are_first_come_first_served(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    struct thread *threads[4];
    for (unsigned i = 0; i < 4; i++) {
        threads[i] = object_of(thread_on(ROOT_UNTYPED, 1, 0));
        CHECK_EQ(world_pick(1) == threads[i], 1); /* the ones before wait */
        CHECK(SEND(1, endpoint, 100 + i).waits);
    }
    caps_acquire();
    ipc_cancel(threads[2]); /* one gives up: the others keep their places */
    thread_complete(threads[2], QY_DEAD, NULL);
    caps_release();
    for (unsigned i = 0; i < 4; i++) {
        if (i != 2)
            check_message(RECEIVE(0, endpoint, 0), 0, 100 + i);
    }
    scene_end();
}

static void a_call_is_answered_once(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1),
                second = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    struct thread *client = object_of(thread);
    for (unsigned server_first = 0; server_first < 2; server_first++) {
        qy_handle_t used = server_first ? second : reply;
        if (server_first) {
            qy_handle_t server = thread_on(ROOT_UNTYPED, 2, 0);
            CHECK(RECEIVE(2, endpoint, used).waits);
            CHECK_EQ(RECEIVE(0, endpoint, used).error, QY_BUSY); /* offered already */
            CHECK(ASK(1, endpoint, 9).waits);
            check_message(world_result(object_of(server)), 0, 9);
        } else {
            CHECK(ASK(1, endpoint, 9).waits);
            check_message(RECEIVE(0, endpoint, used), 0, 9);
        }
        CHECK_EQ(state_of(thread), QY_THREAD_CALLING);
        CHECK_EQ(RECEIVE(0, endpoint, used).error, QY_BUSY); /* somebody waits for it */
        CHECK_EQ(ANSWER(0, used, 6).error, QY_OK);
        CHECK_EQ(ANSWER(0, used, 6).error, QY_NOT_FOUND);
        CHECK_EQ(world_pick(1) == client, 1);
        struct result result = world_result(client);
        CHECK_EQ(result.error, QY_OK);
        CHECK_EQ(result.x[1], 0);
        CHECK_EQ(result.x[2], 6);
        CHECK_EQ(result.x[5], 22);
    }
    scene_end();
}

static void a_call_that_nobody_can_answer_is_dead(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    struct thread *client = object_of(thread_on(ROOT_UNTYPED, 1, 0));
    CHECK(ASK(1, endpoint, 9).waits); /* the receiver offers no reply */
    check_message(RECEIVE(0, endpoint, 0), 0, 9);
    world_pick(1);
    CHECK_EQ(world_result(client).error, QY_DEAD);
    CHECK(ASK(1, endpoint, 9).waits); /* the reply object goes */
    check_message(RECEIVE(0, endpoint, reply), 0, 9);
    CHECK_EQ(erase(reply), QY_OK);
    world_pick(1);
    CHECK_EQ(world_result(client).error, QY_DEAD);
    CHECK(ASK(1, endpoint, 9).waits); /* the endpoint goes */
    CHECK_EQ(erase(endpoint), QY_OK);
    world_pick(1);
    CHECK_EQ(world_result(client).error, QY_DEAD);
    endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    CHECK(RECEIVE(1, endpoint, 0).waits); /* so does a receiver's */
    CHECK_EQ(erase(endpoint), QY_OK);
    world_pick(1);
    CHECK_EQ(world_result(client).error, QY_DEAD);
    /* The reply that a waiting receiver offered goes: what arrives then cannot be answered. */
    endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    CHECK(RECEIVE(1, endpoint, reply).waits);
    CHECK_EQ(erase(reply), QY_OK);
    CHECK_EQ(ASK(0, endpoint, 9).error, QY_DEAD);
    world_pick(1);
    check_message(world_result(client), 0, 9);
    scene_end();
}

static void a_thread_that_goes_leaves_queues_and_replies(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    CHECK(ASK(1, endpoint, 1).waits);
    CHECK_EQ(erase(thread), QY_OK);
    CHECK(((struct endpoint *)object_of(endpoint))->waiting.first == NULL);
    thread = thread_on(ROOT_UNTYPED, 1, 0);
    CHECK(ASK(1, endpoint, 1).waits);
    check_message(RECEIVE(0, endpoint, reply), 0, 1);
    CHECK_EQ(erase(thread), QY_OK);
    CHECK_EQ(ANSWER(0, reply, 1).error, QY_NOT_FOUND);
    thread = thread_on(ROOT_UNTYPED, 1, 0);
    CHECK(RECEIVE(1, endpoint, reply).waits);
    CHECK_EQ(erase(thread), QY_OK);
    CHECK(((struct reply *)object_of(reply))->receiver == NULL);
    scene_end();
}

static void a_fault_is_a_message_and_a_reply_resumes(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t handler = copy(endpoint, QY_RIGHT_WRITE, 99),
                reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, handler);
    struct thread *child = object_of(thread);
    world_fault(1, 0x70000000, QY_ACCESS_WRITE, 0x400123);
    CHECK_EQ(state_of(thread), QY_THREAD_FAULTED);
    struct result result = RECEIVE(0, endpoint, reply);
    CHECK_EQ(result.x[1], 99);
    CHECK_EQ(result.x[2], QY_FAULT_LABEL(QY_ACCESS_WRITE, QY_FOUND_NOTHING));
    CHECK_EQ(result.x[3], 0x70000000);
    CHECK_EQ(result.x[4], 0x400123);
    CHECK_EQ(result.x[5], child->object.id);
    CHECK_EQ(ANSWER(0, reply, 7).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(ANSWER(0, reply, QY_FAULT_RESUME).error, QY_OK);
    CHECK_EQ(world_pick(1) == child, 1);
    CHECK_EQ(child->frame.instruction, 0x400123);
    /* What is mapped, but not for that, is called so; then the handler ends the thread. */
    world_fault(1, 0x400000, QY_ACCESS_WRITE, 0x400124);
    result = RECEIVE(0, endpoint, reply);
    CHECK_EQ(result.x[2], QY_FAULT_LABEL(QY_ACCESS_WRITE, QY_FOUND_PROTECTED));
    CHECK_EQ(ANSWER(0, reply, QY_FAULT_KILL).error, QY_OK);
    CHECK_EQ(state_of(thread), QY_THREAD_DEAD);
    CHECK(strstr(world_console, "its fault handler ended it") != NULL);
    CHECK_EQ(CALL(QY_CALL_thread_info, thread, 0, 0, 0, 0, 0).x[3], QY_CONFIG_STATISTICS * 2);
    scene_end();
}

static void a_fault_that_needs_nothing_just_goes_on(void)
{
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    world_fault(1, 0x401000, QY_ACCESS_WRITE, 0x400001); /* mapped writable */
    CHECK_EQ(state_of(thread), QY_THREAD_RUNNING);
    /* It went on, and needs nothing once more, because another CPU protected and unprotected it. */
    CHECK_EQ(CALL_ON(1, QY_CALL_yield, 0, 0, 0, 0, 0, 0).error, QY_OK);
    world_fault(1, 0x401000, QY_ACCESS_WRITE, 0x400001);
    CHECK_EQ(state_of(thread), QY_THREAD_RUNNING);
    /* At once again may be a coincidence, a clone for instance; again and again is none. */
    world_fault(1, 0x401000, QY_ACCESS_WRITE, 0x400001);
    CHECK_EQ(state_of(thread), QY_THREAD_RUNNING);
    for (unsigned i = 0; i < 64 && state_of(thread) == QY_THREAD_RUNNING; i++)
        world_fault(1, 0x401000, QY_ACCESS_WRITE, 0x400001);
    CHECK_EQ(state_of(thread), QY_THREAD_DEAD);
    scene_end();
}

static void a_fault_that_nobody_takes_ends_the_thread(void)
{
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    world_fault(1, 0x123456, QY_ACCESS_READ, 0x400040);
    CHECK_EQ(state_of(thread), QY_THREAD_DEAD);
    CHECK(strstr(world_console,
                 "read from 0x0000000000123456 (nothing mapped there) at instruction "
                 "0x0000000000400040") != NULL);
    CHECK(strstr(world_console, "it has no fault handler") != NULL);
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    thread = thread_on(ROOT_UNTYPED, 1, endpoint);
    world_fault(1, 0x123456, QY_ACCESS_READ, 0x400040);
    RECEIVE(0, endpoint, reply);
    CHECK_EQ(erase(reply), QY_OK);
    CHECK_EQ(state_of(thread), QY_THREAD_DEAD);
    CHECK(strstr(world_console, "the reply object of its fault handler has gone") != NULL);
    thread = thread_on(ROOT_UNTYPED, 1, endpoint);
    world_fault(1, 0x123456, QY_ACCESS_READ, 0x400040);
    CHECK_EQ(revoke_all(endpoint),
             QY_OK); /* the binding goes, and with it the message in the queue */
    CHECK_EQ(state_of(thread), QY_THREAD_DEAD);
    CHECK(strstr(world_console, "its fault handler has gone") != NULL);
    endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    thread = thread_on(ROOT_UNTYPED, 1, endpoint);
    world_fault(1, 0x123456, QY_ACCESS_READ, 0x400040);
    RECEIVE(0, endpoint, 0);
    CHECK_EQ(state_of(thread), QY_THREAD_DEAD);
    CHECK(strstr(world_console, "without a reply object") != NULL);
    scene_end();
}

static void threads_refuse(void)
{
    qy_handle_t thread = make(ROOT_UNTYPED, QY_OBJ_THREAD, 1),
                endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t badged = copy(endpoint, QY_RIGHT_WRITE, 5),
                reader = copy(endpoint, QY_RIGHT_READ, 0);
    CHECK_EQ(state_of(thread), QY_THREAD_NEW);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_thread_suspend, thread, 0, 0, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_thread_resume, thread, 0, 0, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, 0, ROOT_NODE, 0, 0, 0).error,
             QY_INVALID_HANDLE);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_NODE, ROOT_NODE, 0, 0, 0).error,
             QY_WRONG_TYPE);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_SPACE, ROOT_SPACE, 0, 0, 0).error,
             QY_WRONG_TYPE);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_SPACE, ROOT_NODE, reader, 0, 0).error,
             QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_SPACE, ROOT_NODE, badged, 6, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_SPACE, ROOT_NODE, 0, 6, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_thread_configure, ROOT_THREAD, ROOT_SPACE, ROOT_NODE, 0, 0, 0).error,
             QY_BUSY);
    CHECK_EQ(info(ROOT_SPACE).x[5], 1); /* nothing was bound */
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_SPACE, ROOT_NODE, badged, 0, 0).error,
             QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_SPACE, ROOT_NODE, badged, 0, 0).error,
             QY_OK);
    CHECK_EQ(info(ROOT_SPACE).x[5], 2);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, USER_END, 0, 0, 0, 0).error, QY_INVALID_ADDRESS);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 1ull << 63, 0, 0, 0, 0).error, QY_INVALID_ADDRESS);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, USER_END + 8, 0, 0, 0).error,
             QY_INVALID_ADDRESS);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0, 0, WORLD_CPUS, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0, 0, 1ull << 32, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0, 0, 1, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0, 0, 1, 0).error, QY_BUSY);
    CHECK_EQ(CALL(QY_CALL_thread_start, ROOT_THREAD, 0x400000, 0, 0, 1, 0).error, QY_BUSY);
    scene_end();
}

static void round_robin_and_suspend(void)
{
    qy_handle_t a = thread_on(ROOT_UNTYPED, 1, 0), b = thread_on(ROOT_UNTYPED, 1, 0),
                c = thread_on(ROOT_UNTYPED, 1, 0);
    struct thread *order[3] = {object_of(a), object_of(b), object_of(c)};
    for (unsigned i = 0; i < 7; i++) {
        CHECK(world_pick(1) == order[i % 3]);
        CHECK(world_pick(1) == order[i % 3]); /* its turn is not over */
        CHECK_EQ(CALL_ON(1, QY_CALL_yield, 0, 0, 0, 0, 0, 0).waits, false);
    }
    CHECK(world_pick(1) == order[1]);
    CHECK_EQ(CALL(QY_CALL_thread_suspend, b, 0, 0, 0, 0, 0).error,
             QY_OK); /* runs: its CPU is interrupted */
    CHECK_EQ(state_of(b), QY_THREAD_SUSPENDED);
    CHECK(world_pick(1) == order[2]);
    CHECK_EQ(CALL(QY_CALL_thread_suspend, a, 0, 0, 0, 0, 0).error, QY_OK); /* is in the queue */
    sched_tick(cpu_at(1));
    CHECK(world_pick(1) == order[2]);
    CHECK_EQ(CALL(QY_CALL_thread_resume, b, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_resume, a, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(state_of(a), QY_THREAD_READY);
    sched_tick(cpu_at(1));
    CHECK(world_pick(1) == order[1]);
    CHECK_EQ(CALL_ON(1, QY_CALL_thread_exit, 0, 3, 0, 0, 0, 0).waits, true);
    CHECK_EQ(state_of(b), QY_THREAD_DEAD);
    CHECK(world_pick(1) == order[0]);
    scene_end();
    CHECK(world_pick(1) == NULL);
    CHECK(cpu_space(cpu_at(1)) == NULL);
}

static void a_suspended_thread_keeps_what_arrives(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    CHECK(RECEIVE(1, endpoint, 0).waits);
    CHECK_EQ(CALL(QY_CALL_thread_suspend, thread, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(SEND(0, endpoint, 8).error, QY_OK);
    CHECK(world_pick(1) == NULL);
    CHECK_EQ(state_of(thread), QY_THREAD_SUSPENDED);
    CHECK_EQ(CALL(QY_CALL_thread_resume, thread, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK(world_pick(1) == object_of(thread));
    check_message(world_result(object_of(thread)), 0, 8);
    scene_end();
}

static void a_thread_stops_when_what_it_runs_in_goes(void)
{
    qy_handle_t space = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1),
                thread = make(ROOT_UNTYPED, QY_OBJ_THREAD, 1);
    qy_handle_t lent = copy(space, QY_RIGHT_ALL, 0);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, lent, ROOT_NODE, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0, 0, 1, 0).error, QY_OK);
    world_pick(1);
    CHECK(cpu_space(cpu_at(1)) == object_of(space));
    CHECK_EQ(revoke_all(space), QY_OK);
    CHECK(world_pick(1) == NULL);
    CHECK_EQ(state_of(thread), QY_THREAD_SUSPENDED);
    CHECK_EQ(CALL(QY_CALL_thread_resume, thread, 0, 0, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(erase(space), QY_OK);
    /* The space that a thread runs in lives as long as the thread, whoever deletes its
     * capabilities. */
    space = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1);
    thread = make(ROOT_UNTYPED, QY_OBJ_THREAD, 1);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, space, ROOT_NODE, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0, 0, 1, 0).error, QY_OK);
    world_pick(1);
    CHECK_EQ(erase(space), QY_OK);
    CHECK(world_pick(1) == object_of(thread));
    CHECK_EQ(erase(thread), QY_OK);
    CHECK(cpu_space(cpu_at(1)) == NULL);
    scene_end();
}

static void a_thread_may_delete_itself(void)
{
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    CHECK(CALL_ON(1, QY_CALL_cap_delete, thread, 0, 0, 0, 0, 0).waits);
    CHECK(world_pick(1) == NULL);
    CHECK_EQ(info(thread).error, QY_NOT_FOUND);
    scene_end();
}

static void console_and_records(void)
{
    uint64_t at = 0x401000;
    struct qy_record_machine record;
    size_t before = strlen(world_console);
    CHECK(arch_copy_to_user(at, "hello\n", 6));
    CHECK_EQ(CALL(QY_CALL_console_write, QY_SLOT_CONSOLE, at, 6, 0, 0, 0).error, QY_OK);
    CHECK_EQ(strcmp(world_console + before, "hello\n"), 0);
    const struct {
        uint64_t pointer, bytes;
        enum qy_error error;
    } rows[] = {{at, 1025, QY_INVALID_ARGUMENT},
                {0, 1, QY_BAD_USER_POINTER},
                {0, 0, QY_OK},
                {at + 0xfff, 2, QY_BAD_USER_POINTER},
                {USER_END, 1, QY_BAD_USER_POINTER},
                {~0ull, 2, QY_BAD_USER_POINTER},
                {0xffff800000000000, 1, QY_BAD_USER_POINTER},
                {at, ~0ull, QY_INVALID_ARGUMENT},
                {USER_END - 1, 2, QY_BAD_USER_POINTER}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_EQ(
            CALL(QY_CALL_console_write, QY_SLOT_CONSOLE, rows[i].pointer, rows[i].bytes, 0, 0, 0)
                .error,
            rows[i].error);
    CHECK_EQ(CALL(QY_CALL_console_read, QY_SLOT_CONSOLE, 0, 0, 0, 0, 0).error, QY_WOULD_WAIT);
    CHECK_EQ(CALL(QY_CALL_system_record, QY_SLOT_SYSTEM, QY_RECORD_KIND_COUNT, 0, at, 8, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_system_record, QY_SLOT_SYSTEM, QY_RECORD_KIND_MACHINE, 1, at, 8, 0).error,
             QY_NOT_FOUND);
    /* The image's text is read-only for the kernel, too. */
    CHECK_EQ(CALL(QY_CALL_system_record, QY_SLOT_SYSTEM, QY_RECORD_KIND_MACHINE, 0, 0x400000, 8, 0)
                 .error,
             QY_BAD_USER_POINTER);
    struct result result = CALL(QY_CALL_system_record, QY_SLOT_SYSTEM, QY_RECORD_KIND_MACHINE, 0,
                                at, sizeof(record), 0);
    CHECK_EQ(result.error, QY_OK);
    CHECK_EQ(result.x[1], sizeof(record));
    CHECK(arch_copy_from_user(&record, at, sizeof(record)));
    CHECK_EQ(record.cpus, WORLD_CPUS);
    CHECK_EQ(record.usable_bytes, 64 << 20);
    make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    struct qy_record_object object;
    CHECK_EQ(CALL(QY_CALL_system_record, QY_SLOT_SYSTEM, QY_RECORD_KIND_OBJECT, QY_OBJ_ENDPOINT, at,
                  sizeof(object), 0)
                 .error,
             QY_OK);
    CHECK(arch_copy_from_user(&object, at, sizeof(object)));
    CHECK_EQ(object.live, 1);
    scene_end();
}

/* Run `act` in a process of its own; its exit code. */
static unsigned ends_with(void (*act)(void), const char *text)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        jmp_buf jump;
        if (setjmp(jump) == 0) {
            world_end = &jump;
            act();
            _exit(99);
        }
        _exit(strstr(world_console, text) ? (int)world_exit_code : 98);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return (unsigned)WEXITSTATUS(status);
}

static void exit_of_the_root_task(void)
{
    world_call(0, QY_CALL_thread_exit, 0, 42, 0, 0, 0, 0);
}

static void power_off(void)
{
    world_call(0, QY_CALL_system_power_off, QY_SLOT_SYSTEM, 7, 0, 0, 0, 0);
}

static void fault_of_the_root_task(void)
{
    world_fault(0, 0x123456, QY_ACCESS_EXEC, 0x400040);
}

static void revoke_of_its_own_space(void)
{
    world_call(0, QY_CALL_cap_revoke, ROOT_SPACE, 0, 0, 0, 0, 0);
}

static void the_machine_ends_with_the_root_task(void)
{
    CHECK_EQ(ends_with(revoke_of_its_own_space, "its address space was deleted or revoked"), 1);
    CHECK_EQ(ends_with(exit_of_the_root_task, ""), 42);
    CHECK_EQ(ends_with(power_off, ""), 7);
    CHECK_EQ(ends_with(fault_of_the_root_task, "execution at 0x0000000000123456"), 1);
}

#if QY_CONFIG_TRACE
/* The records of CPU 0 from *position on; returns how many were read into `records`. */
static unsigned records_of(uint64_t *position, struct qy_trace_record *records, unsigned room)
{
    uint64_t lost = 0;
    return qy_ring_read(&trace_rings[0], position, records, room, &lost);
}

#define RING_FRAMES 4096u

/* Rings out of the kernel's arena, as at boot. */
static void trace_begin(const char *words)
{
    trace_init(words);
    trace_start(&world_arenas.kernel, cpu_count, RING_FRAMES);
}

static void trace_end(void)
{
    pfn_t first = paddr_to_pfn(qy_port_paddr(trace_rings));
    uint64_t pages = trace_bytes(cpu_count, RING_FRAMES) >> QY_PAGE_SHIFT;
    atomic_store(&qy_trace_mask, 0);
    trace_rings = NULL;
    CHECK_EQ(qy_arena_free_pages(&world_arenas.kernel, first, pages, QY_FRAME_METADATA), QY_OK);
}

static void trace_lines_say_why(void)
{
    struct qy_trace_record records[8];
    uint64_t position = 0;
    CHECK_EQ(CALL(QY_CALL_system_trace, QY_SLOT_SYSTEM, QY_TRACE_ACTION_FILTER, 0, 0, 0, 0).error,
             QY_UNSUPPORTED);
    CHECK_EQ(CALL(QY_CALL_trace_read, QY_SLOT_SYSTEM, 0, 0, 0, 0, 0).error, QY_UNSUPPORTED);
    trace_begin("quiet trace_ring=8 trace=retyped,nonsense,console debug");
    CHECK_EQ(qy_trace_mask, 1u << QY_TRACE_OBJECT_RETYPED);
    CHECK(strstr(world_console, "no event has \"nonsense\" in its name") != NULL);
    make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    const char *line = strstr(world_console, "object_retyped");
    CHECK(line != NULL);
    CHECK(line && strstr(line, "type=0x8") != NULL);
    CHECK_EQ(records_of(&position, records, 8), 1);
    CHECK_EQ(records[0].event, QY_TRACE_OBJECT_RETYPED);
    CHECK_EQ(records[0].fields[1], QY_OBJ_REPLY);
    CHECK_EQ(CALL(QY_CALL_system_trace, QY_SLOT_SYSTEM, QY_TRACE_ACTION_FILTER,
                  1ull << QY_TRACE_COUNT, 0, 0, 0)
                 .error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_system_trace, QY_SLOT_SYSTEM, QY_TRACE_ACTION_COUNT, 0, 0, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(
        CALL(QY_CALL_system_trace, QY_SLOT_SYSTEM, QY_TRACE_ACTION_ENTRIES, 1ull << 60, 0, 0, 0)
            .error,
        QY_NOT_FOUND);
    CHECK_EQ(CALL(QY_CALL_trace_read, QY_SLOT_SYSTEM, cpu_count, 0, 0, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_trace_read, QY_SLOT_SYSTEM, 0, 0, USER_END, 8, 0).error,
             QY_BAD_USER_POINTER);
    trace_end();
    trace_begin("trace_ring=8 trace=all");
    CHECK_EQ(qy_trace_mask, ((1ull << QY_TRACE_COUNT) - 1) & ~QY_TRACE_SNAPSHOT);
    trace_end();
    trace_begin("trace=map,fault trace_ring=8");
    CHECK_EQ(qy_trace_mask,
             1u << QY_TRACE_PAGE_MAPPED | 1u << QY_TRACE_PAGE_UNMAPPED | 1u << QY_TRACE_FAULT);
    trace_end();
    scene_end();
}
#endif

static void a_thread_says_what_it_has_of_its_own(void)
{
    struct thread *thread = object_of(thread_on(ROOT_UNTYPED, 1, 0));
    CHECK_EQ(thread->pointer, 0);
    CHECK_EQ(CALL_ON(1, QY_CALL_thread_pointer, 0, USER_END, 0, 0, 0, 0).error, QY_INVALID_ADDRESS);
    CHECK_EQ(CALL_ON(1, QY_CALL_thread_pointer, 0, UINT64_MAX, 0, 0, 0, 0).error,
             QY_INVALID_ADDRESS);
    CHECK_EQ(thread->pointer, 0);
    CHECK_EQ(CALL_ON(1, QY_CALL_thread_pointer, 0, USER_END - 1, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(thread->pointer, USER_END - 1);
    CHECK(CALL_ON(1, QY_CALL_thread_exit, 0, 0, 0, 0, 0, 0).waits);
    caps_acquire(); /* a thread that starts anew has said nothing yet */
    CHECK_EQ(thread_start(thread, 0x400000, 0x401ff0, 0, 1), QY_OK);
    caps_release();
    CHECK_EQ(thread->pointer, 0);
    scene_end();
}

static const struct test tests[] = {
    {"a thread says what it has of its own", a_thread_says_what_it_has_of_its_own},
    {"messages arrive whoever comes first", messages_arrive_whoever_comes_first},
    {"queues are first come, first served", queues_are_first_come_first_served},
    {"a call is answered once", a_call_is_answered_once},
    {"a call that nobody can answer is DEAD", a_call_that_nobody_can_answer_is_dead},
    {"a thread that goes leaves queues and replies", a_thread_that_goes_leaves_queues_and_replies},
    {"a fault is a message, and a reply resumes", a_fault_is_a_message_and_a_reply_resumes},
    {"a fault that needs nothing just goes on", a_fault_that_needs_nothing_just_goes_on},
    {"a fault that nobody takes ends the thread", a_fault_that_nobody_takes_ends_the_thread},
    {"threads refuse", threads_refuse},
    {"round robin and suspend", round_robin_and_suspend},
    {"a suspended thread keeps what arrives", a_suspended_thread_keeps_what_arrives},
    {"a thread stops when what it runs in goes", a_thread_stops_when_what_it_runs_in_goes},
    {"a thread may delete itself", a_thread_may_delete_itself},
    {"console and records", console_and_records},
    {"the machine ends with the root task", the_machine_ends_with_the_root_task},
#if QY_CONFIG_TRACE
    {"trace lines say why", trace_lines_say_why},
#endif
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
