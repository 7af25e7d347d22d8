/*
 * CPUs at once: every place where the kernel works without its lock is a place where another CPU
 * acts. First the races that are known by name, then random ones from seeds.
 *
 * It would miss races of single instructions (the lock's own, the scheduler's flags): CPUs change
 * over only where the kernel yields.
 */
#include "scene.h"

#include <kernel/timer.h>
#include <lib/random.h>
#include <string.h>

#define AREA 0x40000000ull
#define STEPS_MAX 2000000u

static uint64_t random_state;

static void begin(unsigned cpu, enum qy_invocation number, uint64_t x0, uint64_t x1, uint64_t x2,
                  uint64_t x3, uint64_t x4, uint64_t x5)
{
    const uint64_t x[6] = {x0, x1, x2, x3, x4, x5};
    world_fill_tlbs();
    world_begin(cpu, number, x);
}

/* Let CPUs go on in turn until all calls have ended. */
static void finish(void)
{
    bool busy = true;
    for (unsigned steps = 0; busy; steps++) {
        busy = false;
        for (unsigned cpu = 0; cpu < WORLD_CPUS; cpu++) {
            if (world_busy(cpu)) {
                busy = true;
                world_step(cpu);
            }
            world_interrupts(cpu);
        }
        if (steps > STEPS_MAX) {
            printf("# calls wait for each other\n");
            fflush(stdout);
            abort();
        }
    }
    const char *broken = world_broken ? world_broken : world_check();
    if (broken) {
        printf("# %s\n", broken);
        fflush(stdout);
        abort();
    }
}

static void revoke_overtakes_a_retype(void)
{
    for (unsigned steps = 0; steps < 4; steps++) {
        qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 512);
        thread_on(ROOT_UNTYPED, 1, 0);
        begin(1, QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 1, ROOT_NODE, 900, 8);
        for (unsigned i = 0; i < steps && world_busy(1); i++)
            world_step(1);
        CHECK(world_busy(1)); /* it zeroes */
        begin(0, QY_CALL_cap_revoke, untyped, 0, 0, 0, 0, 0);
        CHECK(world_busy(0)); /* it waits for what is being zeroed */
        finish();
        CHECK_EQ(world_last(1).error, QY_REVOKED);
        CHECK_EQ(world_last(0).error, QY_OK);
        CHECK_EQ(CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0).x[2], 512 * QY_PAGE_BYTES);
        scene_end();
    }
}

/* Whoever waits for this CPU, a shootdown say, must not wait for all of it. */
static void a_large_frame_is_zeroed_piece_by_piece(void)
{
    unsigned yields = 0;
    begin(0, QY_CALL_untyped_retype, ROOT_UNTYPED, QY_OBJ_FRAME, 1024, ROOT_NODE, scene_slot, 1);
    for (; world_busy(0); yields++)
        world_step(0);
    CHECK_EQ(world_last(0).error, QY_OK);
    CHECK(yields >= 4); /* MiB */
    scene_end();
}

static void the_destination_goes_during_a_retype(void)
{
    qy_handle_t node = make(ROOT_UNTYPED, QY_OBJ_CAP_NODE, 1);
    thread_on(ROOT_UNTYPED, 1, 0);
    begin(1, QY_CALL_untyped_retype, ROOT_UNTYPED, QY_OBJ_FRAME, 1, node, 5, 8);
    CHECK(world_busy(1));
    CHECK_EQ(CALL(QY_CALL_cap_delete, node, 0, 0, 0, 0, 0).error, QY_OK);
    finish();
    CHECK_EQ(world_last(1).error, QY_INVALID_HANDLE);
    node = make(ROOT_UNTYPED, QY_OBJ_CAP_NODE, 1);
    begin(1, QY_CALL_untyped_retype, ROOT_UNTYPED, QY_OBJ_FRAME, 1, node, 5, 8);
    begin(0, QY_CALL_untyped_retype, ROOT_UNTYPED, QY_OBJ_REPLY, 1, node, 9,
          1); /* no zeroing: it is first */
    finish();
    CHECK_EQ(world_last(0).error, QY_OK);
    CHECK_EQ(world_last(1).error, QY_SLOT_OCCUPIED);
    scene_end();
}

/* Nothing is made by a capability that is gone: who deleted it could see the object appear afterwards. */
static void the_capability_goes_during_a_retype(void)
{
    for (unsigned steps = 0; steps < 3; steps++) {
        qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64),
                    twin = copy(untyped, QY_RIGHT_ALL, 0);
        thread_on(ROOT_UNTYPED, 1, 0);
        begin(1, QY_CALL_untyped_retype, twin, QY_OBJ_FRAME, 1, ROOT_NODE, 900, 8);
        for (unsigned i = 0; i < steps && world_busy(1); i++)
            world_step(1);
        CHECK(world_busy(1));
        CHECK_EQ(CALL(QY_CALL_cap_delete, twin, 0, 0, 0, 0, 0).error, QY_OK);
        finish();
        CHECK_EQ(world_last(1).error, QY_INVALID_HANDLE);
        CHECK_EQ(CALL(QY_CALL_cap_info, ROOT_NODE, 900, 0, 0, 0, 0).error, QY_NOT_FOUND);
        CHECK_EQ(CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0).x[2], 64 * QY_PAGE_BYTES);
        scene_end();
    }
}

/* A frame is deleted while its unmap, by another CPU, still waits for the shootdown: its memory
 * must wait too. */
static void delete_overtakes_an_unmap(void)
{
    for (unsigned steps = 0; steps < 3; steps++) {
        qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 8);
        qy_handle_t frame = make(untyped, QY_OBJ_FRAME, 4);
        tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
        thread_on(ROOT_UNTYPED, 1, 0);
        thread_on(ROOT_UNTYPED, 2, 0);
        CHECK_EQ(map(frame, ROOT_SPACE, AREA, RW).error, QY_OK);
        begin(1, QY_CALL_frame_unmap, frame, ROOT_SPACE, AREA, 0, 0, 0);
        for (unsigned i = 0; i < steps && world_busy(1); i++)
            world_step(1);
        CHECK(world_busy(1));
        begin(0, QY_CALL_cap_delete, frame, 0, 0, 0, 0, 0);
        CHECK(world_busy(0));
        /* CPU 2 would take the memory at once, if it were free: the check is in the zeroing. */
        begin(2, QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 4, ROOT_NODE, 900, 1);
        finish();
        CHECK_EQ(world_last(0).error, QY_OK);
        CHECK_EQ(world_last(1).error, QY_OK);
        CHECK_EQ(world_last(2).error, QY_OUT_OF_MEMORY);
        CHECK_EQ(CALL(QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 4, ROOT_NODE, 900, 1).error,
                 QY_OK);
        scene_end();
    }
}

static void a_table_is_not_moved_while_it_is_walked(void)
{
    qy_handle_t table = make(ROOT_UNTYPED, QY_OBJ_PAGE_TABLE, 1);
    thread_on(ROOT_UNTYPED, 1, 0);
    CHECK_EQ(CALL(QY_CALL_table_map, table, ROOT_SPACE, 9ull << 39, 3, 0, 0).error, QY_OK);
    begin(1, QY_CALL_table_unmap, table, 0, 0, 0, 0, 0);
    CHECK(world_busy(1));
    begin(0, QY_CALL_table_map, table, ROOT_SPACE, 10ull << 39, 3, 0, 0);
    CHECK_EQ(world_last(0).error, QY_BUSY);
    finish();
    CHECK_EQ(CALL(QY_CALL_table_map, table, ROOT_SPACE, 10ull << 39, 3, 0, 0).error, QY_OK);
    scene_end();
}

static void two_threads_delete_each_other(void)
{
    qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    (void)frame;
    qy_handle_t a = thread_on(ROOT_UNTYPED, 1, 0), b = thread_on(ROOT_UNTYPED, 2, 0);
    begin(1, QY_CALL_cap_delete, b, 0, 0, 0, 0, 0);
    CHECK(world_busy(1)); /* CPU 2 is in user mode, and has to leave */
    begin(2, QY_CALL_cap_delete, a, 0, 0, 0, 0, 0);
    finish();
    /* Whoever's lock came first is deleted by the other, or both are. */
    CHECK_EQ(info(b).error, QY_NOT_FOUND);
    CHECK(world_pick(2) == NULL);
    scene_end();
}

/* Each CPU revokes the untyped in which the other's thread, node and space live. */
static void two_tasks_revoke_each_other(void)
{
    for (unsigned first = 0; first < 12; first++) {
        qy_handle_t untyped[2], space[2], thread[2];
        for (unsigned i = 0; i < 2; i++) {
            untyped[i] = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 256);
            space[i] = make(untyped[i], QY_OBJ_ADDRESS_SPACE, 1);
            thread[i] = make(untyped[i], QY_OBJ_THREAD, 1);
            tables(untyped[i], space[i], AREA, 1);
            for (unsigned j = 0; j < 20; j++)
                CHECK_EQ(
                    map(make(untyped[i], QY_OBJ_FRAME, 1), space[i], AREA + j * 0x1000, RW).error,
                    QY_OK);
        }
        for (unsigned i = 0; i < 2; i++) {
            qy_handle_t node = make(untyped[i], QY_OBJ_CAP_NODE, 1);
            CHECK_EQ(CALL(QY_CALL_cap_copy, node, 3, untyped[1 - i], QY_RIGHT_ALL, 0, 0).error,
                     QY_OK);
            CHECK_EQ(CALL(QY_CALL_thread_configure, thread[i], space[i], node, 0, 0, 0).error,
                     QY_OK);
            CHECK_EQ(CALL(QY_CALL_thread_start, thread[i], 0x400000, 0, 0, 1 + i, 0).error, QY_OK);
            world_pick(1 + i);
        }
        begin(1, QY_CALL_cap_revoke, 3, 0, 0, 0, 0, 0);
        for (unsigned i = 0; i < first && world_busy(1); i++)
            world_step(1);
        if (world_pick(2) || cpu_at(2)->current)
            begin(2, QY_CALL_cap_revoke, 3, 0, 0, 0, 0, 0);
        finish();
        CHECK(world_pick(2) == NULL); /* its untyped was revoked by CPU 1 in any case */
        CHECK_EQ(CALL(QY_CALL_untyped_info, untyped[1], 0, 0, 0, 0, 0).x[2], 256 * QY_PAGE_BYTES);
        scene_end();
    }
}

static void two_cpus_revoke_one_untyped(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 512);
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    thread_on(ROOT_UNTYPED, 1, 0);
    for (unsigned i = 0; i < 100; i++)
        CHECK_EQ(map(make(untyped, QY_OBJ_FRAME, 1), ROOT_SPACE, AREA + i * 0x1000, RW).error,
                 QY_OK);
    begin(1, QY_CALL_cap_revoke, untyped, 0, 0, 0, 0, 0);
    CHECK(world_busy(1));
    begin(0, QY_CALL_cap_revoke, untyped, 0, 0, 0, 0, 0);
    CHECK_EQ(world_last(0).error, QY_REVOKED);
    begin(0, QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 1, ROOT_NODE, 950, 1);
    CHECK_EQ(world_last(0).error, QY_REVOKED);
    begin(0, QY_CALL_cap_copy, ROOT_NODE, 951, untyped, QY_RIGHT_ALL, 0, 0);
    CHECK_EQ(world_last(0).error, QY_REVOKED);
    begin(0, QY_CALL_cap_delete, untyped, 0, 0, 0, 0,
          0); /* it is overtaken by the end of the untyped itself */
    finish();
    CHECK_EQ(world_last(0).error, QY_OK);
    CHECK_EQ(world_last(1).error, QY_REVOKED);
    scene_end();
}

/* What a revoke works on is deleted, and its place taken by something new, which is none of its
 * business. */
static void a_revoke_does_not_touch_what_takes_its_place(void)
{
    for (unsigned of_untyped = 0; of_untyped < 2; of_untyped++) {
        const enum qy_object_type type = of_untyped ? QY_OBJ_UNTYPED : QY_OBJ_ENDPOINT;
        const uint64_t pages = of_untyped ? 256 : 1;
        qy_handle_t root = make(ROOT_UNTYPED, type, pages);
        uint32_t index = QY_HANDLE_INDEX(root);
        for (unsigned i = 0; i < 150; i++)
            of_untyped ? make(root, QY_OBJ_ENDPOINT, 1) : copy(root, QY_RIGHT_ALL, 0);
        thread_on(ROOT_UNTYPED, 1, 0);
        begin(1, QY_CALL_cap_revoke, root, 0, 0, 0, 0, 0);
        CHECK(world_busy(1)); /* the first batch is done */
        begin(0, QY_CALL_cap_delete, root, 0, 0, 0, 0, 0);
        while (world_busy(0))
            world_step(0);
        begin(0, QY_CALL_untyped_retype, ROOT_UNTYPED, type, pages, ROOT_NODE, index, 1);
        qy_handle_t again = world_last(0).x[1];
        CHECK_EQ(QY_HANDLE_INDEX(again), index);
        if (of_untyped)
            begin(0, QY_CALL_untyped_retype, again, QY_OBJ_ENDPOINT, 1, ROOT_NODE, 950, 1);
        else
            begin(0, QY_CALL_cap_copy, ROOT_NODE, 950, again, QY_RIGHT_ALL, 0, 0);
        CHECK_EQ(world_last(0).error, QY_OK);
        finish();
        CHECK_EQ(world_last(1).error, QY_REVOKED);
        CHECK_EQ(info(950).error, QY_OK);
        scene_end();
    }
}

static void a_space_stays_until_every_cpu_has_left_it(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64),
                space = make(untyped, QY_OBJ_ADDRESS_SPACE, 1);
    qy_handle_t thread = make(ROOT_UNTYPED, QY_OBJ_THREAD, 1);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, space, ROOT_NODE, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0, 0, 1, 0).error, QY_OK);
    world_pick(1);
    begin(0, QY_CALL_cap_revoke, untyped, 0, 0, 0, 0, 0);
    CHECK(world_busy(0));
    world_step(0);
    CHECK(world_busy(0)); /* CPU 1 has not taken its interrupt yet */
    finish();
    CHECK(cpu_space(cpu_at(1)) == NULL);
    scene_end();
}

/* A table goes; until every CPU has forgotten it, what was mapped through it may still be used by
 * one. */
static void a_frame_below_a_table_that_goes_stays_too(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 8),
                frame = make(untyped, QY_OBJ_FRAME, 4);
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 2);
    qy_handle_t table = make(ROOT_UNTYPED, QY_OBJ_PAGE_TABLE, 1);
    CHECK_EQ(CALL(QY_CALL_table_map, table, ROOT_SPACE, AREA, 1, 0, 0).error, QY_OK);
    CHECK_EQ(map(frame, ROOT_SPACE, AREA, RW).error, QY_OK);
    thread_on(ROOT_UNTYPED, 1, 0);
    thread_on(ROOT_UNTYPED, 2, 0);
    begin(1, QY_CALL_cap_delete, table, 0, 0, 0, 0, 0);
    CHECK(world_busy(1));
    begin(0, QY_CALL_cap_delete, frame, 0, 0, 0, 0, 0);
    begin(2, QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 4, ROOT_NODE, 950, 1);
    finish();
    CHECK_EQ(world_last(0).error, QY_OK);
    CHECK_EQ(world_last(1).error, QY_OK);
    scene_end();
}

/* A thread is deleted in the middle of its own long call; its memory becomes another thread. */
static void the_results_of_a_dead_thread_go_nowhere(void)
{
    qy_handle_t root = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    for (unsigned i = 0; i < 150; i++)
        copy(root, QY_RIGHT_ALL, 0);
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    struct thread *memory = object_of(thread);
    begin(1, QY_CALL_cap_revoke, root, 0, 0, 0, 0, 0);
    begin(0, QY_CALL_cap_delete, thread, 0, 0, 0, 0, 0);
    while (world_busy(1) && cpu_at(1)->current)
        world_step(1); /* it lets go of its thread */
    while (world_busy(0))
        world_step(0);
    begin(0, QY_CALL_untyped_retype, ROOT_UNTYPED, QY_OBJ_THREAD, 1, ROOT_NODE, 950, 1);
    CHECK(world_object(950) == &memory->object);
    CHECK(world_busy(1));
    memory->frame.number = 12345;
    finish();
    CHECK_EQ(memory->frame.number, 12345);
    CHECK_EQ(info(root).x[5], 0); /* the call was finished all the same */
    scene_end();
}

/* A thread that is doomed already comes with a call: it does nothing. */
static void a_doomed_thread_makes_no_calls(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                thread = thread_on(ROOT_UNTYPED, 1, 0);
    begin(0, QY_CALL_cap_delete, thread, 0, 0, 0, 0, 0);
    CHECK(world_busy(0));
    begin(1, QY_CALL_cap_copy, ROOT_NODE, 950, endpoint, QY_RIGHT_ALL, 0, 0);
    finish();
    CHECK_EQ(info(950).error, QY_NOT_FOUND);
    scene_end();
}

/* ---- what is made of capabilities while they are being revoked ---- */

/* CPU 1 has begun to revoke what 150 copies were made of, and deleted some of them; [149] is the last one to go. */
static qy_handle_t begin_revoke(qy_handle_t copies[150])
{
    qy_handle_t root = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    thread_on(ROOT_UNTYPED, 1, 0);
    for (unsigned i = 150; i-- > 0;)
        copies[149 - i] = copy(root, QY_RIGHT_ALL, 0);
    begin(1, QY_CALL_cap_revoke, root, 0, 0, 0, 0, 0);
    CHECK(world_busy(1));
    return root;
}

/* The first copy stands at the end of the line. A move does not save it; what the revoke works on is not moved. */
static void a_move_does_not_escape_a_revoke(void)
{
    qy_handle_t copies[150], root = begin_revoke(copies);
    begin(0, QY_CALL_cap_move, ROOT_NODE, 950, copies[0], 0, 0, 0);
    CHECK_EQ(world_last(0).error, QY_OK);
    begin(0, QY_CALL_cap_copy, ROOT_NODE, 951, world_last(0).x[1], QY_RIGHT_ALL, 0, 0);
    CHECK_EQ(world_last(0).error, QY_OK);
    begin(0, QY_CALL_cap_move, ROOT_NODE, 952, root, 0, 0, 0);
    CHECK_EQ(world_last(0).error, QY_REVOKED);
    finish();
    CHECK_EQ(world_last(1).error, QY_OK);
    CHECK_EQ(info(950).error, QY_NOT_FOUND);
    CHECK_EQ(info(951).error, QY_NOT_FOUND);
    CHECK_EQ(info(root).x[5], 0);
    scene_end();
}

/* A message carries a copy away: of the root it stays behind, of a copy it goes with the rest. */
static void a_message_does_not_save_from_a_revoke(void)
{
    for (unsigned of_root = 0; of_root < 2; of_root++) {
        qy_handle_t copies[150], root = begin_revoke(copies);
        qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
        struct thread *receiver = object_of(thread_on(ROOT_UNTYPED, 2, 0));
        begin(2, QY_CALL_receive_slot, ROOT_NODE, 950, 0, 0, 0, 0);
        begin(2, QY_CALL_endpoint_receive, endpoint, 0, 0, 0, 0, 0);
        begin(0, QY_CALL_endpoint_send, endpoint, 5, 0, 0, 0, of_root ? root : copies[0]);
        CHECK_EQ(world_last(0).error, QY_OK);
        CHECK_EQ(world_result(receiver).x[2], of_root ? 5 : 5 | QY_LABEL_CAPABILITY);
        finish();
        CHECK_EQ(info(950).error, QY_NOT_FOUND);
        scene_end();
    }
}

static void nothing_is_bound_to_what_is_being_revoked(void)
{
    qy_handle_t copies[150], root = begin_revoke(copies);
    qy_handle_t timer = make(ROOT_UNTYPED, QY_OBJ_TIMER, 1);
    begin(0, QY_CALL_timer_set, timer, root, 1, 1, 0, 0);
    CHECK_EQ(world_last(0).error, QY_REVOKED);
    begin(0, QY_CALL_notification_bind, root, ROOT_THREAD, 0, 0, 0, 0);
    CHECK_EQ(world_last(0).error, QY_REVOKED);
    begin(0, QY_CALL_untyped_watch, ROOT_UNTYPED, root, 1, 1, 0, 0);
    CHECK_EQ(world_last(0).error, QY_REVOKED);
    begin(0, QY_CALL_timer_set, timer, copies[0], 1, 1, 0, 0);
    CHECK_EQ(world_last(0).error, QY_OK);
    finish();
    CHECK_EQ(CALL(QY_CALL_timer_info, timer, 0, 0, 0, 0, 0).x[2], 0);
    scene_end();
}

/* ---- suspend is over when the thread stands still ---- */

static void a_suspended_thread_stands_still(void)
{
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    begin(0, QY_CALL_thread_suspend, thread, 0, 0, 0, 0, 0);
    for (unsigned i = 0; i < 3; i++, world_step(0)) {
        CHECK(world_busy(0)); /* its CPU has not taken the interrupt */
        CHECK(cpu_at(1)->current == object_of(thread));
    }
    world_interrupts(1);
    CHECK(cpu_at(1)->current == NULL);
    world_step(0);
    CHECK(!world_busy(0));
    CHECK_EQ(world_last(0).error, QY_OK);
    /* Itself: at once; a resume by somebody else ends the wait, too. */
    CHECK_EQ(CALL(QY_CALL_thread_resume, thread, 0, 0, 0, 0, 0).error, QY_OK);
    world_pick(1);
    thread_on(ROOT_UNTYPED, 2, 0);
    begin(0, QY_CALL_thread_suspend, thread, 0, 0, 0, 0, 0);
    CHECK(world_busy(0));
    begin(2, QY_CALL_thread_resume, thread, 0, 0, 0, 0, 0);
    world_step(0);
    CHECK(!world_busy(0));
    begin(1, QY_CALL_thread_suspend, thread, 0, 0, 0, 0, 0);
    finish();
    CHECK(world_pick(1) == NULL);
    scene_end();
}

static void two_threads_suspend_each_other(void)
{
    qy_handle_t a = thread_on(ROOT_UNTYPED, 1, 0), b = thread_on(ROOT_UNTYPED, 2, 0);
    begin(1, QY_CALL_thread_suspend, b, 0, 0, 0, 0, 0);
    CHECK(world_busy(1));
    begin(2, QY_CALL_thread_suspend, a, 0, 0, 0, 0, 0);
    finish(); /* else they wait for each other */
    CHECK(world_pick(1) == NULL);
    CHECK(world_pick(2) == NULL);
    scene_end();
}

/* A thread is deleted while another CPU waits for it to stand still: its memory stays until that one has seen it. */
static void who_waits_for_a_thread_keeps_it(void)
{
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    thread_on(ROOT_UNTYPED, 2, 0);
    begin(2, QY_CALL_thread_suspend, thread, 0, 0, 0, 0, 0);
    CHECK(world_busy(2));
    begin(0, QY_CALL_cap_delete, thread, 0, 0, 0, 0, 0);
    world_interrupts(1);
    for (unsigned i = 0; i < 3; i++)
        world_step(0);
    CHECK(world_busy(0));
    finish();
    CHECK_EQ(world_last(2).error, QY_OK);
    scene_end();
}

/* ---- threads that change CPUs ---- */

static void schedule(qy_handle_t thread, unsigned cpu)
{
    begin(0, QY_CALL_thread_schedule, thread, 31, cpu, 0, 0, 0);
    CHECK_EQ(world_last(0).error, QY_OK);
}

/* A thread waits in a receive; its CPU is still on its way out of that call. */
static qy_handle_t on_its_way_out(qy_handle_t endpoint)
{
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    world_yields_at_exit = true;
    begin(1, QY_CALL_endpoint_receive, endpoint, 0, 0, 0, 0, 0);
    world_yields_at_exit = false;
    CHECK(world_busy(1));
    return thread;
}

/* Nobody else may run it before; and it does not wait behind another one there. */
static void a_thread_moves_only_once_its_cpu_has_left_it(void)
{
    for (unsigned sent_first = 0; sent_first < 2; sent_first++) {
        qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
        qy_handle_t other = make(ROOT_UNTYPED, QY_OBJ_THREAD, 1);
        qy_handle_t thread = on_its_way_out(endpoint);
        begin(0, QY_CALL_thread_schedule, thread, 31, 1, 0, 0, 0);
        begin(0, QY_CALL_thread_configure, other, ROOT_SPACE, ROOT_NODE, 0, 0, 0);
        begin(0, QY_CALL_thread_start, other, 0x400000, 0, 0, 1, 0);
        if (!sent_first)
            schedule(thread, 2);
        begin(0, QY_CALL_endpoint_send, endpoint, 1, 2, 3, 4, 0);
        CHECK_EQ(world_last(0).error, QY_OK);
        if (sent_first)
            schedule(thread, 2);
        CHECK(world_pick(2) == NULL);
        CHECK(world_check() == NULL);
        finish();
        CHECK(cpu_at(1)->current == object_of(other));
        CHECK(cpu_at(2)->current == object_of(thread));
        scene_end();
    }
}

static void a_thread_stays_until_its_cpu_has_left_it(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t thread = on_its_way_out(endpoint);
    begin(0, QY_CALL_endpoint_send, endpoint, 1, 2, 3, 4, 0);
    schedule(thread, 2);
    begin(0, QY_CALL_cap_delete, thread, 0, 0, 0, 0, 0);
    CHECK(world_busy(0));
    finish();
    CHECK_EQ(world_last(0).error, QY_OK);
    scene_end();
}

/*
 * CPU 1 sends its thread to CPU 2, for which it needs no lock of capabilities. CPU 0 has read where the thread is, and
 * waits for that CPU's lock; by the time that it has it, the thread is elsewhere.
 */
static void a_thread_moves_while_another_cpu_looks_for_it(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    thread_on(ROOT_UNTYPED, 2, 0);
    world_yields_at_load = true;
    begin(2, QY_CALL_endpoint_receive, endpoint, 0, 0, 0, 0, 0);
    world_yields_at_load = false;
    CHECK(world_busy(2)); /* it has its own lock */
    schedule(thread, 2);
    begin(1, QY_CALL_null, 0, 0, 0, 0, 0, 0);
    CHECK(world_busy(1)); /* it has its lock, and waits for that of CPU 2 */
    begin(0, QY_CALL_thread_suspend, thread, 0, 0, 0, 0, 0);
    CHECK(world_busy(0)); /* it waits for that of CPU 1 */
    world_step(2);
    world_step(1);
    CHECK(((struct thread *)object_of(thread))->cpu == cpu_at(2));
    world_step(0);
    CHECK_EQ(world_last(0).error, QY_OK);
    CHECK(world_check() == NULL);
    finish();
    CHECK(world_pick(2) == NULL);
    scene_end();
}

/* ---- random ---- */

#define SLOTS 48u
#define FIRST_SLOT 700u

static qy_handle_t any_handle(void)
{
    uint32_t index = FIRST_SLOT + random_below(&random_state, SLOTS);
    return slot_handle(&world_root_node()->slots[index], index);
}

/* A handle of that type if there is one, else any. */
static qy_handle_t handle_of(enum qy_object_type type)
{
    uint32_t start = random_below(&random_state, SLOTS);
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint32_t index = FIRST_SLOT + (start + i) % SLOTS;
        const struct slot *slot = &world_root_node()->slots[index];
        if (slot->type == type)
            return slot_handle(slot, index);
    }
    return any_handle();
}

static qy_handle_t any_space(void)
{
    return random_below(&random_state, 2) ? ROOT_SPACE : handle_of(QY_OBJ_ADDRESS_SPACE);
}

/* CPU 0 does not wait for messages and signals: somebody has to go on. */
static void random_message(unsigned cpu, uint64_t x[6], enum qy_invocation *number)
{
    static const enum qy_invocation calls[] = {QY_CALL_endpoint_send, QY_CALL_endpoint_call,
                                               QY_CALL_endpoint_receive,
                                               QY_CALL_endpoint_reply_receive};
    *number = cpu == 0 ? QY_CALL_reply_send : calls[random_below(&random_state, 4)];
    bool receives =
        *number == QY_CALL_endpoint_receive || *number == QY_CALL_endpoint_reply_receive;
    x[0] = handle_of(cpu == 0 ? QY_OBJ_REPLY : QY_OBJ_ENDPOINT);
    x[1] = receives ? handle_of(QY_OBJ_REPLY) : random_below(&random_state, 2);
    x[5] = receives || random_below(&random_state, 2) ? 0 : any_handle();
}

static void random_signal(unsigned cpu, uint64_t x[6], enum qy_invocation *number)
{
    static const enum qy_invocation calls[] = {QY_CALL_notification_signal,
                                               QY_CALL_notification_poll, QY_CALL_notification_bind,
                                               QY_CALL_notification_wait};
    *number = calls[random_below(&random_state, cpu == 0 ? 3 : 4)];
    x[0] = handle_of(QY_OBJ_NOTIFICATION);
    x[1] = random_below(&random_state, 4) ? handle_of(QY_OBJ_THREAD) : 0;
}

static void random_call(unsigned cpu, uint64_t x[6], enum qy_invocation *number)
{
    static const enum qy_object_type types[] = {
        QY_OBJ_UNTYPED,      QY_OBJ_FRAME,      QY_OBJ_FRAME,         QY_OBJ_FRAME,
        QY_OBJ_PAGE_TABLE,   QY_OBJ_PAGE_TABLE, QY_OBJ_ADDRESS_SPACE, QY_OBJ_CAP_NODE,
        QY_OBJ_THREAD,       QY_OBJ_THREAD,     QY_OBJ_ENDPOINT,      QY_OBJ_REPLY,
        QY_OBJ_NOTIFICATION, QY_OBJ_TIMER};
    enum qy_object_type type = types[random_below(&random_state, sizeof(types) / sizeof(types[0]))];
    uint64_t address = AREA + (uint64_t)random_below(&random_state, 16) * QY_PAGE_BYTES;
    qy_handle_t node = random_below(&random_state, 4) ? ROOT_NODE : handle_of(QY_OBJ_CAP_NODE);
    uint64_t slot = node == ROOT_NODE ? FIRST_SLOT + random_below(&random_state, SLOTS)
                                      : 1 + random_below(&random_state, 20);
    memset(x, 0, 6 * sizeof(x[0]));
    switch (random_below(&random_state, 24)) {
    case 0:
    case 1:
    case 2:
    case 3:
        *number = QY_CALL_untyped_retype;
        x[0] = random_below(&random_state, 2) ? ROOT_UNTYPED : handle_of(QY_OBJ_UNTYPED);
        x[1] = type;
        x[2] = type == QY_OBJ_UNTYPED ? 16 + random_below(&random_state, 600) : 1;
        x[3] = node;
        x[4] = slot;
        x[5] = 1 + random_below(&random_state, 3);
        break;
    case 4:
    case 5:
        *number = random_below(&random_state, 3) ? QY_CALL_cap_copy : QY_CALL_cap_move;
        x[0] = node;
        x[1] = slot;
        x[2] = any_handle();
        x[3] = QY_RIGHT_ALL;
        break;
    case 6:
    case 7:
        *number = QY_CALL_cap_delete;
        x[0] = any_handle();
        break;
    case 8:
        *number = QY_CALL_cap_revoke;
        x[0] = random_below(&random_state, 3) ? handle_of(QY_OBJ_UNTYPED) : any_handle();
        break;
    case 9:
    case 10:
        *number = QY_CALL_frame_map;
        x[0] = handle_of(QY_OBJ_FRAME);
        x[1] = any_space();
        x[2] = address;
        x[3] = random_below(&random_state, 4) ? RW : QY_MAP_READ | QY_MAP_EXEC;
        break;
    case 11:
        *number = random_below(&random_state, 2) ? QY_CALL_frame_unmap : QY_CALL_frame_protect;
        x[0] = handle_of(QY_OBJ_FRAME);
        x[1] = any_space();
        {
            const struct slot *frame = &world_root_node()->slots[QY_HANDLE_INDEX(x[0])];
            x[2] = frame->type == QY_OBJ_FRAME && frame->space ? frame->address : address;
        }
        x[3] = QY_MAP_READ;
        break;
    case 12:
        *number = random_below(&random_state, 4) ? QY_CALL_table_map : QY_CALL_table_unmap;
        x[0] = handle_of(QY_OBJ_PAGE_TABLE);
        x[1] = any_space();
        x[2] = address;
        x[3] = 1 + random_below(&random_state, 3);
        break;
    case 13:
        *number = QY_CALL_thread_configure;
        x[0] = handle_of(QY_OBJ_THREAD);
        x[1] = any_space();
        x[2] = node;
        x[3] = random_below(&random_state, 2) ? handle_of(QY_OBJ_ENDPOINT) : 0;
        break;
    case 14:
        *number = random_below(&random_state, 3) ? QY_CALL_thread_start : QY_CALL_thread_suspend;
        x[0] = handle_of(QY_OBJ_THREAD);
        x[1] = 0x400000;
        x[4] = 1 + random_below(&random_state, WORLD_CPUS - 1);
        break;
    case 15:
    case 16:
        *number = random_below(&random_state, 3) ? QY_CALL_thread_schedule : QY_CALL_thread_resume;
        x[0] = handle_of(QY_OBJ_THREAD);
        x[1] = random_below(&random_state, 33);
        x[2] = 1 + random_below(&random_state, WORLD_CPUS - 1);
        break;
    case 17:
    case 18:
        random_signal(cpu, x, number);
        break;
    case 19:
        *number = QY_CALL_receive_slot;
        x[0] = node;
        x[1] = slot;
        break;
    case 20:
        *number = random_below(&random_state, 2) ? QY_CALL_reply_map : QY_CALL_timer_set;
        x[0] = handle_of(*number == QY_CALL_reply_map ? QY_OBJ_REPLY : QY_OBJ_TIMER);
        x[1] = handle_of(*number == QY_CALL_reply_map ? QY_OBJ_FRAME : QY_OBJ_NOTIFICATION);
        x[2] = *number == QY_CALL_reply_map ? RW : random_below(&random_state, 500);
        x[3] = *number == QY_CALL_reply_map ? 0 : random_below(&random_state, 500);
        break;
    default:
        random_message(cpu, x, number);
        break;
    }
}

/* The timer of a CPU in user mode. */
static void random_tick(unsigned cpu)
{
    struct cpu *before = fake_cpu_current;
    fake_cpu_current = cpu_at(cpu);
    world_time_ns += random_below(&random_state, 200);
    sched_tick(cpu_at(cpu));
    timer_tick();
    world_pick(cpu);
    fake_cpu_current = before;
}

static void random_run(uint64_t seed, unsigned calls)
{
    static const char *broken;
    random_state = seed;
    for (unsigned n = 0; n < calls; n++) {
        unsigned cpu = random_below(&random_state, WORLD_CPUS);
        if (world_busy(cpu)) {
            world_step(cpu);
            continue;
        }
        world_interrupts(cpu);
        if (random_below(&random_state, 16) == 0)
            random_tick(cpu);
        if (!cpu_at(cpu)->current && !world_pick(cpu))
            continue;
        if (random_below(&random_state, 64) == 0 && cpu != 0) {
            world_begin_fault(cpu, AREA + 0x100000, QY_ACCESS_READ, 0x400000);
            continue;
        }
        uint64_t x[6];
        enum qy_invocation number = QY_CALL_null;
        random_call(cpu, x, &number);
        bool quiet = true;
        for (unsigned i = 0; i < WORLD_CPUS; i++)
            quiet &= !world_busy(i);
        if (quiet) {
            broken = world_broken ? world_broken : world_check();
            if (broken)
                break;
            world_fill_tlbs();
        }
        world_yields_at_exit = random_below(&random_state, 4) == 0;
        world_begin(cpu, number, x);
        if (world_broken)
            broken = world_broken;
    }
    world_yields_at_exit = false;
    if (broken) {
        printf("# seed %llu: %s\n", (unsigned long long)seed, broken);
        fflush(stdout);
        abort();
    }
    finish();
}

static void random_histories(void)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        random_run(seed * 0x9e3779b97f4a7c15ull, 3000);
        /* Copies of the root's own capabilities are no descendants of the untyped. */
        for (uint32_t i = FIRST_SLOT; i < FIRST_SLOT + SLOTS; i++) {
            const struct slot *slot = &world_root_node()->slots[i];
            if (slot->type != QY_OBJ_NONE)
                CHECK_EQ(erase(slot_handle(slot, i)), QY_OK);
        }
        scene_end();
    }
}

static const struct test tests[] = {
    {"revoke overtakes a retype", revoke_overtakes_a_retype},
    {"a large frame is zeroed piece by piece", a_large_frame_is_zeroed_piece_by_piece},
    {"the destination goes during a retype", the_destination_goes_during_a_retype},
    {"delete overtakes an unmap", delete_overtakes_an_unmap},
    {"a table is not moved while it is walked", a_table_is_not_moved_while_it_is_walked},
    {"two threads delete each other", two_threads_delete_each_other},
    {"two tasks revoke each other", two_tasks_revoke_each_other},
    {"two CPUs revoke one untyped", two_cpus_revoke_one_untyped},
    {"a revoke does not touch what takes its place", a_revoke_does_not_touch_what_takes_its_place},
    {"a space stays until every CPU has left it", a_space_stays_until_every_cpu_has_left_it},
    {"a frame below a table that goes stays too", a_frame_below_a_table_that_goes_stays_too},
    {"the results of a dead thread go nowhere", the_results_of_a_dead_thread_go_nowhere},
    {"a doomed thread makes no calls", a_doomed_thread_makes_no_calls},
    {"a thread moves only once its CPU has left it", a_thread_moves_only_once_its_cpu_has_left_it},
    {"a thread stays until its CPU has left it", a_thread_stays_until_its_cpu_has_left_it},
    {"a thread moves while another CPU looks for it",
     a_thread_moves_while_another_cpu_looks_for_it},
    {"a move does not escape a revoke", a_move_does_not_escape_a_revoke},
    {"a message does not save from a revoke", a_message_does_not_save_from_a_revoke},
    {"nothing is bound to what is being revoked", nothing_is_bound_to_what_is_being_revoked},
    {"a suspended thread stands still", a_suspended_thread_stands_still},
    {"two threads suspend each other", two_threads_suspend_each_other},
    {"who waits for a thread keeps it", who_waits_for_a_thread_keeps_it},
    {"the capability goes during a retype", the_capability_goes_during_a_retype},
    {"random histories", random_histories},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
