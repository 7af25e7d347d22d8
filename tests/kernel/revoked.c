/*
 * After a revoke nothing is reached through what has gone, and nothing arrives from it: each type of object, in each way
 * that it can be in use.
 *
 * A row uses an object that is made of an untyped of its own; whoever uses it, and what it acts on, is made of another
 * and stays. It goes in two ways: its untyped is revoked; or it was used by a copy, and that is revoked, so that the
 * object itself is still there to be given the occasion to act. Afterwards the row looks whether anything happens to
 * those who stay, and the untyped is one free whole. Invariants and TLBs are checked around every call (scene.h).
 *
 * Objects in the middle of a change by another CPU are in races.c; this would miss what takes longer than the revoke.
 */
#include "regions.h"

#include <kernel/dma.h>
#include <kernel/timer.h>

#define SYSTEM ((qy_handle_t)QY_SLOT_SYSTEM)
#define DEVICES ((qy_handle_t)QY_SLOT_UNTYPED + 1)
#define REGISTERS 0xfe000000ull
#define AREA 0x40000000ull
#define LINE 7u
#define PAGES_OF_UNTYPED 128u

enum way { UNTYPED_GOES, COPY_GOES };

static enum way way;
static qy_handle_t mem, object; /* what goes; the object's first capability */
static qy_handle_t peer, other; /* made by the row, and staying */
static struct thread *first, *second;
static qy_handle_t first_thread;

/* ---- those who stay ---- */

static struct thread *user(unsigned cpu)
{
    qy_handle_t thread = thread_on(ROOT_UNTYPED, cpu, 0);
    if (cpu == 1)
        first_thread = thread;
    return object_of(thread);
}

static bool got(struct thread *thread, enum qy_error error)
{
    world_pick(1);
    world_pick(2);
    return thread->state == QY_THREAD_RUNNING && world_result(thread).error == error;
}

static bool waits(const struct thread *thread, enum qy_thread_state state)
{
    world_pick(1);
    world_pick(2);
    return thread->state == state;
}

static qy_handle_t make_peer(enum qy_object_type type)
{
    return make(ROOT_UNTYPED, type, 1);
}

/* Nobody is there to receive: whoever sends by the capability that is left waits. */
static void send_waits(qy_handle_t endpoint)
{
    second = user(2);
    CHECK(CALL_ON(2, QY_CALL_endpoint_send, endpoint, 9, 0, 0, 0, 0).waits);
}

/* Nobody is there to send: who receives waits. */
static void receive_waits(qy_handle_t endpoint)
{
    second = user(2);
    CHECK(CALL_ON(2, QY_CALL_endpoint_receive, endpoint, 0, 0, 0, 0, 0).waits);
}

static uint64_t word(qy_handle_t notification)
{
    return CALL(QY_CALL_notification_poll, notification, 0, 0, 0, 0, 0).x[1];
}

/* ---- endpoints ---- */

static void a_sender_waits(qy_handle_t used)
{
    first = user(1);
    CHECK(CALL_ON(1, QY_CALL_endpoint_send, used, 5, 0, 0, 0, 0).waits);
}

static void a_caller_waits(qy_handle_t used)
{
    first = user(1);
    CHECK(CALL_ON(1, QY_CALL_endpoint_call, used, 5, 0, 0, 0, 0).waits);
}

static void a_receiver_waits(qy_handle_t used)
{
    first = user(1);
    peer = make_peer(QY_OBJ_REPLY);
    CHECK(CALL_ON(1, QY_CALL_endpoint_receive, used, peer, 0, 0, 0, 0).waits);
}

static void the_message_is_not_there(void)
{
    CHECK(got(first, QY_DEAD));
    if (way == COPY_GOES)
        receive_waits(object);
}

static void the_receiver_is_not_there(void)
{
    CHECK(got(first, QY_DEAD));
    if (way == COPY_GOES)
        send_waits(object);
}

/* A thread has faulted, and its handler's message has not been taken. */
static void a_fault_waits(qy_handle_t used)
{
    first = object_of(thread_on(ROOT_UNTYPED, 1, used));
    world_fault(1, 0x70000000, QY_ACCESS_WRITE, 0x400123);
    CHECK(waits(first, QY_THREAD_FAULTED));
}

/* ... of its space. */
static void a_fault_waits_for_its_space(qy_handle_t used)
{
    begin(64);
    CHECK_EQ(CALL(QY_CALL_space_handler, space, used, 0, 0, 0, 0).error, QY_OK);
    first = object_of(run_in(space, 1, 0));
    CHECK(touch(1, AT, QY_ACCESS_READ) == NULL);
    CHECK(waits(first, QY_THREAD_FAULTED));
}

/* ... of the memory object that it touched. */
static void a_fault_waits_for_a_pager(qy_handle_t used)
{
    begin(64);
    peer = make(ROOT_UNTYPED, QY_OBJ_MEMORY, 16);
    CHECK_EQ(CALL(QY_CALL_memory_pager, peer, used, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(
        CALL(QY_CALL_space_map_region, space, AT, PAGES(4), DATA | QY_REGION_OBJECT, 0, peer).error,
        QY_OK);
    first = object_of(run_in(space, 1, 0));
    CHECK(touch(1, AT, QY_ACCESS_READ) == NULL);
    CHECK(waits(first, QY_THREAD_FAULTED));
}

static void the_thread_has_ended(void)
{
    CHECK(waits(first, QY_THREAD_DEAD));
    if (way == COPY_GOES)
        receive_waits(object);
}

/* ---- reply objects ---- */

static void a_caller_waits_for_it(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_ENDPOINT);
    first = user(1);
    second = user(2);
    CHECK(CALL_ON(1, QY_CALL_endpoint_call, peer, 5, 0, 0, 0, 0).waits);
    CHECK_EQ(CALL_ON(2, QY_CALL_endpoint_receive, peer, used, 0, 0, 0, 0).error, QY_OK);
    CHECK(waits(first, QY_THREAD_CALLING));
}

static void a_fault_waits_for_it(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_ENDPOINT);
    a_fault_waits(peer);
    CHECK_EQ(CALL(QY_CALL_endpoint_receive, peer, used, 0, 0, 0, 0).error, QY_OK);
    CHECK(waits(first, QY_THREAD_FAULTED));
}

static void it_is_offered(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_ENDPOINT);
    first = user(1);
    CHECK(CALL_ON(1, QY_CALL_endpoint_receive, peer, used, 0, 0, 0, 0).waits);
}

static void the_caller_is_told(void)
{
    CHECK(got(first, QY_DEAD));
}

static void the_fault_ends_the_thread(void)
{
    CHECK(waits(first, QY_THREAD_DEAD));
}

/* The message does arrive: it comes from elsewhere. No answer to it can. */
static void nobody_can_answer(void)
{
    CHECK(waits(first, QY_THREAD_RECEIVING));
    second = user(2);
    CHECK_EQ(CALL_ON(2, QY_CALL_endpoint_call, peer, 5, 0, 0, 0, 0).error, QY_DEAD);
    CHECK(got(first, QY_OK));
}

/* ---- notifications, and what signals them ---- */

static void a_thread_waits(qy_handle_t used)
{
    first = user(1);
    CHECK(CALL_ON(1, QY_CALL_notification_wait, used, 0, 0, 0, 0, 0).waits);
}

static void the_signal_wakes_nobody(void)
{
    CHECK(got(first, QY_DEAD));
    if (way == COPY_GOES) {
        CHECK_EQ(CALL(QY_CALL_notification_signal, object, 0, 0, 0, 0, 0).error, QY_OK);
        CHECK(got(first, QY_DEAD));
        CHECK_EQ(word(object), 1);
    }
}

static void it_ends_a_receive(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_ENDPOINT);
    first = user(1);
    CHECK_EQ(CALL(QY_CALL_notification_bind, used, first_thread, 0, 0, 0, 0).error, QY_OK);
    CHECK(CALL_ON(1, QY_CALL_endpoint_receive, peer, 0, 0, 0, 0, 0).waits);
}

static void the_receive_goes_on(void)
{
    if (way == COPY_GOES)
        CHECK_EQ(CALL(QY_CALL_notification_signal, object, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK(waits(first, QY_THREAD_RECEIVING) && !first->notification);
}

static enum qy_error arm(qy_handle_t timer, qy_handle_t notification)
{
    return CALL(QY_CALL_timer_set, timer, notification, 1000, 1000, 0, 0).error;
}

static enum qy_error bind_line(qy_handle_t interrupt, qy_handle_t notification)
{
    return CALL(QY_CALL_interrupt_bind, interrupt, SYSTEM, LINE, notification, 0, 0).error;
}

static void a_timer_will_signal_it(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_TIMER);
    CHECK_EQ(arm(peer, used), QY_OK);
}

static void an_interrupt_will_signal_it(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_INTERRUPT);
    CHECK_EQ(bind_line(peer, used), QY_OK);
}

static void it_is_armed(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_NOTIFICATION);
    CHECK_EQ(arm(used, peer), QY_OK);
}

static void it_is_bound_to_a_line(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_NOTIFICATION);
    CHECK_EQ(bind_line(used, peer), QY_OK);
}

static void pulse(void)
{
    world_line_set(LINE, true);
    world_line_set(LINE, false);
}

/* Signalled, not acknowledged, and signalled once more: that is held back. */
static void it_holds_a_line_back(qy_handle_t used)
{
    it_is_bound_to_a_line(used);
    pulse();
    pulse();
    CHECK_EQ(word(peer), 1);
}

static void nothing_is_signalled(qy_handle_t notification)
{
    world_time_ns += 1000000;
    timer_tick();
    pulse();
    scene_check(__FILE__, __LINE__);
    if (notification)
        CHECK_EQ(word(notification), 0);
    CHECK(!world_lines[LINE].enabled);
    /* The line is free for the next one, which finds nothing left from before. */
    other = make_peer(QY_OBJ_INTERRUPT);
    qy_handle_t note = make_peer(QY_OBJ_NOTIFICATION);
    CHECK_EQ(bind_line(other, note), QY_OK);
    CHECK_EQ(word(note), 0);
    CHECK_EQ(erase(other), QY_OK);
}

static void no_signal_arrives(void)
{
    nothing_is_signalled(way == COPY_GOES ? object : 0);
}

static void no_signal_comes(void)
{
    nothing_is_signalled(peer);
}

/* ---- threads ---- */

static struct thread *start(qy_handle_t thread, qy_handle_t handler)
{
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_SPACE, ROOT_NODE, handler, 0, 0).error,
             QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0x401ff0, 7, 1, 0).error, QY_OK);
    world_pick(1);
    return object_of(thread);
}

static void it_runs(qy_handle_t used)
{
    first = start(used, 0);
    CHECK(waits(first, QY_THREAD_RUNNING));
}

static void it_is_suspended(qy_handle_t used)
{
    first = start(used, 0);
    CHECK_EQ(CALL(QY_CALL_thread_suspend, used, 0, 0, 0, 0, 0).error, QY_OK);
}

static void it_sends(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_ENDPOINT);
    first = start(used, 0);
    CHECK(CALL_ON(1, QY_CALL_endpoint_send, peer, 5, 0, 0, 0, peer).waits);
}

static void it_calls(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_ENDPOINT);
    other = make_peer(QY_OBJ_REPLY);
    first = start(used, 0);
    CHECK(CALL_ON(1, QY_CALL_endpoint_call, peer, 5, 0, 0, 0, 0).waits);
}

static void it_waits_for_an_answer(qy_handle_t used)
{
    it_calls(used);
    CHECK_EQ(CALL(QY_CALL_endpoint_receive, peer, other, 0, 0, 0, 0).error, QY_OK);
}

static void it_receives(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_ENDPOINT);
    other = make_peer(QY_OBJ_REPLY);
    first = start(used, 0);
    CHECK(CALL_ON(1, QY_CALL_endpoint_receive, peer, other, 0, 0, 0, 0).waits);
}

static void it_waits_for_a_signal(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_NOTIFICATION);
    first = start(used, 0);
    CHECK(CALL_ON(1, QY_CALL_notification_wait, peer, 0, 0, 0, 0, 0).waits);
}

static void it_has_faulted(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_ENDPOINT);
    first = start(used, peer);
    world_fault(1, 0x70000000, QY_ACCESS_WRITE, 0x400123);
    CHECK(waits(first, QY_THREAD_FAULTED));
}

static void it_is_bound(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_NOTIFICATION);
    CHECK_EQ(CALL(QY_CALL_notification_bind, peer, used, 0, 0, 0, 0).error, QY_OK);
}

static void no_cpu_runs_it(void)
{
    CHECK(world_pick(1) == NULL);
}

static void it_sends_nothing(void)
{
    no_cpu_runs_it();
    receive_waits(peer);
}

static void it_can_be_answered_no_more(void)
{
    CHECK_EQ(CALL(QY_CALL_reply_send, other, 5, 0, 0, 0, 0).error, QY_NOT_FOUND);
    it_sends_nothing();
}

static void it_takes_nothing(void)
{
    no_cpu_runs_it();
    send_waits(peer);
    CHECK_EQ(CALL(QY_CALL_endpoint_receive, peer, other, 0, 0, 0, 0).error,
             QY_OK); /* it is offered by nobody */
}

static void the_signal_is_kept(void)
{
    no_cpu_runs_it();
    CHECK_EQ(CALL(QY_CALL_notification_signal, peer, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(word(peer), 1);
}

static void another_can_be_bound(void)
{
    first = user(1);
    CHECK_EQ(CALL(QY_CALL_notification_bind, peer, first_thread, 0, 0, 0, 0).error, QY_OK);
}

/* ---- what threads run in ---- */

static void a_thread_runs_in(qy_handle_t in_space, qy_handle_t in_node)
{
    qy_handle_t thread = make_peer(QY_OBJ_THREAD);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, in_space, in_node, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0x401ff0, 7, 1, 0).error, QY_OK);
    world_pick(1);
    first = object_of(thread);
    CHECK(waits(first, QY_THREAD_RUNNING));
}

static void a_cpu_has_it_loaded(qy_handle_t used)
{
    a_thread_runs_in(used, ROOT_NODE);
}

static void a_thread_names_by_it(qy_handle_t used)
{
    a_thread_runs_in(ROOT_SPACE, used);
}

static void the_thread_stands_still(void)
{
    CHECK(world_pick(1) == NULL);
    CHECK(first->suspended);
}

static void a_capability_is_to_come_there(qy_handle_t used)
{
    peer = make_peer(QY_OBJ_ENDPOINT);
    first = user(1);
    CHECK_EQ(CALL_ON(1, QY_CALL_receive_slot, used, 5, 0, 0, 0, 0).error, QY_OK);
    CHECK(CALL_ON(1, QY_CALL_endpoint_receive, peer, 0, 0, 0, 0, 0).waits);
}

static void the_message_comes_without_it(void)
{
    CHECK_EQ(CALL(QY_CALL_endpoint_send, peer, 5, 0, 0, 0, peer).error, QY_OK);
    CHECK(got(first, QY_OK));
    CHECK_EQ(world_result(first).x[2], 5);
}

/* ---- memory ---- */

static bool is_mapped(uint64_t address)
{
    const struct space *in = (const struct space *)world_object(QY_SLOT_SPACE);
    return qy_pt_translate(SPACE_PT(in), vaddr(address), NULL, NULL, NULL) == QY_OK;
}

static void it_is_mapped(qy_handle_t used)
{
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    first = user(1);
    CHECK_EQ(map(used, ROOT_SPACE, AREA, RW).error, QY_OK);
    world_fill_tlbs();
    CHECK(is_mapped(AREA));
}

/* A table with a frame that stays below it. */
static void it_is_installed(qy_handle_t used)
{
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 2);
    CHECK_EQ(CALL(QY_CALL_table_map, used, ROOT_SPACE, AREA, 1, 0, 0).error, QY_OK);
    peer = make_peer(QY_OBJ_FRAME);
    CHECK_EQ(map(peer, ROOT_SPACE, AREA, RW).error, QY_OK);
    world_fill_tlbs();
    CHECK(is_mapped(AREA));
}

/* scene_check has asked every TLB. */
static void nothing_is_mapped(void)
{
    CHECK(!is_mapped(AREA));
}

static qy_handle_t device(void)
{
    qy_handle_t dma = make_peer(QY_OBJ_DMA);
    struct result registers =
        CALL(QY_CALL_device_frame, DEVICES, ROOT_UNTYPED, REGISTERS, 1, ROOT_NODE, scene_slot++);
    world_register = (struct world_register){.delay = 2};
    CHECK_EQ(CALL(QY_CALL_dma_bind, dma, SYSTEM, registers.x[1], 0, 4, 1).error, QY_OK);
    return dma;
}

static void a_device_has_it(qy_handle_t used)
{
    CHECK_EQ(CALL(QY_CALL_frame_pin, used, device(), 0, 0, 0, 0).error, QY_OK);
}

static void it_has_a_frame(qy_handle_t used)
{
    struct result registers =
        CALL(QY_CALL_device_frame, DEVICES, ROOT_UNTYPED, REGISTERS, 1, ROOT_NODE, scene_slot++);
    peer = make_peer(QY_OBJ_FRAME);
    world_register = (struct world_register){.delay = 2};
    CHECK_EQ(CALL(QY_CALL_dma_bind, used, SYSTEM, registers.x[1], 0, 4, 1).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_frame_pin, peer, used, 0, 0, 0, 0).error, QY_OK);
}

static void the_device_has_stopped(void)
{
    CHECK(world_register.stopped && world_register.writes == 1);
}

static void the_device_has_let_go(void)
{
    the_device_has_stopped();
    CHECK(((const struct frame *)object_of(peer))->dma == NULL);
}

/* A region of it in a space that stays; a page has been touched. */
static void a_region_shows_it(qy_handle_t used)
{
    begin(64);
    first = object_of(run_in(space, 1, 0));
    CHECK_EQ(
        CALL(QY_CALL_space_map_region, space, AT, PAGES(4), DATA | QY_REGION_OBJECT, 0, used).error,
        QY_OK);
    CHECK(touch(1, AT, QY_ACCESS_WRITE) != NULL);
}

/* What was behind a region is revoked: no zeroes, and the thread has no handler. */
static void the_region_shows_nothing(void)
{
    CHECK(!seen(1, AT, 0));
    CHECK(touch(1, AT, QY_ACCESS_READ) == NULL);
    CHECK(waits(first, QY_THREAD_DEAD));
}

static void it_pays_for_a_space(qy_handle_t used)
{
    space = make_peer(QY_OBJ_ADDRESS_SPACE);
    CHECK_EQ(CALL(QY_CALL_space_bind, space, used, 0, 0, 0, 0).error, QY_OK);
    first = object_of(run_in(space, 1, 0));
    CHECK_EQ(CALL(QY_CALL_space_map_region, space, AT, PAGES(4), DATA, 0, 0).error, QY_OK);
    CHECK(touch(1, AT, QY_ACCESS_WRITE) != NULL);
}

static void the_space_has_nothing_of_it(void)
{
    CHECK(!seen(1, AT, 0));
    CHECK_EQ(
        CALL(QY_CALL_space_bind, space, make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 16), 0, 0, 0, 0).error,
        QY_OK);
}

static enum qy_error bind_ports(qy_handle_t ports)
{
    return CALL(QY_CALL_ports_bind, ports, SYSTEM, 0x60, 8, 0, 0).error;
}

static void it_has_ports(qy_handle_t used)
{
    CHECK_EQ(bind_ports(used), QY_OK);
}

static void the_ports_are_free(void)
{
    CHECK_EQ(bind_ports(make_peer(QY_OBJ_IO_PORTS)), QY_OK);
}

/* ---- all of them ---- */

static const struct row {
    const char *name;
    enum qy_object_type type;
    uint64_t pages;
    void (*use)(qy_handle_t used);
    void (*after)(void);
    bool copies; /* it is in use by a capability: with that the use ends, though the object stays */
} rows[] = {
    {"an endpoint, a sender waits", QY_OBJ_ENDPOINT, 1, a_sender_waits, the_message_is_not_there,
     true},
    {"an endpoint, a caller waits", QY_OBJ_ENDPOINT, 1, a_caller_waits, the_message_is_not_there,
     true},
    {"an endpoint, a receiver waits", QY_OBJ_ENDPOINT, 1, a_receiver_waits,
     the_receiver_is_not_there, true},
    {"an endpoint, a thread's fault waits", QY_OBJ_ENDPOINT, 1, a_fault_waits, the_thread_has_ended,
     true},
    {"an endpoint, a fault waits for a space's handler", QY_OBJ_ENDPOINT, 1,
     a_fault_waits_for_its_space, the_thread_has_ended, true},
    {"an endpoint, a fault waits for a pager", QY_OBJ_ENDPOINT, 1, a_fault_waits_for_a_pager,
     the_thread_has_ended, true},
    {"a reply object, a caller waits", QY_OBJ_REPLY, 1, a_caller_waits_for_it, the_caller_is_told,
     false},
    {"a reply object, a fault waits", QY_OBJ_REPLY, 1, a_fault_waits_for_it,
     the_fault_ends_the_thread, false},
    {"a reply object, a receiver offers it", QY_OBJ_REPLY, 1, it_is_offered, nobody_can_answer,
     false},
    {"a notification, a thread waits", QY_OBJ_NOTIFICATION, 1, a_thread_waits,
     the_signal_wakes_nobody, true},
    {"a notification, bound to a thread that receives", QY_OBJ_NOTIFICATION, 1, it_ends_a_receive,
     the_receive_goes_on, true},
    {"a notification, a timer is armed for it", QY_OBJ_NOTIFICATION, 1, a_timer_will_signal_it,
     no_signal_arrives, true},
    {"a notification, an interrupt is bound to it", QY_OBJ_NOTIFICATION, 1,
     an_interrupt_will_signal_it, no_signal_arrives, true},
    {"a timer, armed", QY_OBJ_TIMER, 1, it_is_armed, no_signal_comes, true},
    {"an interrupt, bound", QY_OBJ_INTERRUPT, 1, it_is_bound_to_a_line, no_signal_comes, true},
    {"an interrupt, held back", QY_OBJ_INTERRUPT, 1, it_holds_a_line_back, no_signal_comes, true},
    {"a thread, on another CPU", QY_OBJ_THREAD, 1, it_runs, no_cpu_runs_it, false},
    {"a thread, suspended", QY_OBJ_THREAD, 1, it_is_suspended, no_cpu_runs_it, false},
    {"a thread, sending", QY_OBJ_THREAD, 1, it_sends, it_sends_nothing, false},
    {"a thread, calling", QY_OBJ_THREAD, 1, it_calls, it_sends_nothing, false},
    {"a thread, waiting for an answer", QY_OBJ_THREAD, 1, it_waits_for_an_answer,
     it_can_be_answered_no_more, false},
    {"a thread, receiving", QY_OBJ_THREAD, 1, it_receives, it_takes_nothing, false},
    {"a thread, waiting for a signal", QY_OBJ_THREAD, 1, it_waits_for_a_signal, the_signal_is_kept,
     false},
    {"a thread, its fault untold", QY_OBJ_THREAD, 1, it_has_faulted, it_sends_nothing, false},
    {"a thread, bound to a notification", QY_OBJ_THREAD, 1, it_is_bound, another_can_be_bound,
     true},
    {"an address space, loaded", QY_OBJ_ADDRESS_SPACE, 1, a_cpu_has_it_loaded,
     the_thread_stands_still, true},
    {"a node, a thread's", QY_OBJ_CAP_NODE, 1, a_thread_names_by_it, the_thread_stands_still, true},
    {"a node, where a capability is to come", QY_OBJ_CAP_NODE, 1, a_capability_is_to_come_there,
     the_message_comes_without_it, true},
    {"a frame, mapped", QY_OBJ_FRAME, 4, it_is_mapped, nothing_is_mapped, true},
    {"a frame, a device has it", QY_OBJ_FRAME, 4, a_device_has_it, the_device_has_stopped, true},
    {"a page table, installed", QY_OBJ_PAGE_TABLE, 1, it_is_installed, nothing_is_mapped, false},
    {"a memory object, in a region", QY_OBJ_MEMORY, 16, a_region_shows_it, the_region_shows_nothing,
     false},
    {"an untyped, a space's budget", QY_OBJ_UNTYPED, 40, it_pays_for_a_space,
     the_space_has_nothing_of_it, false},
    {"a DMA device, it has a frame", QY_OBJ_DMA, 1, it_has_a_frame, the_device_has_let_go, false},
    {"a port range, bound", QY_OBJ_IO_PORTS, 1, it_has_ports, the_ports_are_free, false},
};

static void revoke_in_use(const struct row *row, enum way how)
{
    way = how;
    world_time_ns = 0;
    mem = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, PAGES_OF_UNTYPED);
    object = make(mem, row->type, row->pages);
    row->use(how == COPY_GOES ? copy(object, QY_RIGHT_ALL, 0) : object);
    CHECK_EQ(revoke_all(how == COPY_GOES ? object : mem), QY_OK);
    row->after();
    if (how == COPY_GOES)
        CHECK_EQ(erase(object), QY_OK);
    struct result left = CALL(QY_CALL_untyped_info, mem, 0, 0, 0, 0, 0);
    CHECK_EQ(left.x[1], left.x[2]);
    CHECK_EQ(left.x[4], 0);
    scene_end();
}

static void nothing_arrives_from_what_was_revoked(void)
{
    bool seen_types[QY_OBJ_COUNT] = {false};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (unsigned how = UNTYPED_GOES; how <= (rows[i].copies ? COPY_GOES : UNTYPED_GOES);
             how++) {
            unsigned before = tap_failures;
            revoke_in_use(&rows[i], (enum way)how);
            if (tap_failures != before)
                printf("# %s, %s\n", rows[i].name,
                       how == COPY_GOES ? "by a copy that goes" : "its untyped goes");
        }
        seen_types[rows[i].type] = true;
    }
    for (unsigned type = 1; type < QY_OBJ_DEVICE_MEMORY;
         type++) /* those that are made of an untyped */
        CHECK(seen_types[type]);
}

static const struct test tests[] = {
    {"nothing arrives from what was revoked", nothing_arrives_from_what_was_revoked},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
