/*
 * Which thread runs where: priorities, turns, threads that move, and the node that memory is on.
 */
#include "scene.h"

#define SCHEDULE(thread, priority, cpu)                                                            \
    CALL(QY_CALL_thread_schedule, thread, priority, cpu, 0, 0, 0)

static struct result told(qy_handle_t thread)
{
    return CALL(QY_CALL_thread_info, thread, 0, 0, 0, 0, 0);
}

static bool runs(unsigned cpu, qy_handle_t thread)
{
    return world_pick(cpu) == (thread ? object_of(thread) : NULL);
}

static void the_highest_priority_runs(void)
{
    qy_handle_t low = thread_on(ROOT_UNTYPED, 1, 0), middle = thread_on(ROOT_UNTYPED, 1, 0),
                high = thread_on(ROOT_UNTYPED, 1, 0);
    CHECK(runs(1, low));
    CHECK_EQ(SCHEDULE(high, 32, 1).error, QY_OK);
    CHECK(runs(1, low)); /* equals wait for their turn */
    CHECK_EQ(SCHEDULE(low, 0, 1).error, QY_OK);
    CHECK_EQ(SCHEDULE(middle, 1, 1).error, QY_OK);
    CHECK(runs(1, high));
    CHECK_EQ(told(high).x[2], 1 | 32ull << 32);
    sched_tick(cpu_at(1));
    CHECK(runs(1, high)); /* there is no equal */
    CHECK_EQ(CALL(QY_CALL_thread_suspend, high, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK(runs(1, middle));
    CHECK_EQ(SCHEDULE(low, 1, 1).error, QY_OK);
    CHECK(runs(1, middle)); /* no turn lost */
    sched_tick(cpu_at(1));
    CHECK(runs(1, low));
    CHECK_EQ(CALL(QY_CALL_thread_resume, high, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK(runs(1, high));
    CHECK_EQ(CALL(QY_CALL_thread_suspend, high, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK(runs(1, low)); /* who was pushed aside is the first again */
    scene_end();
}

static void wrong_schedules_are_refused(void)
{
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    CHECK_EQ(SCHEDULE(thread, 33, 1).error, QY_NO_RIGHTS); /* the caller has 32 */
    CHECK_EQ(SCHEDULE(thread, QY_PRIORITIES, 1).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(SCHEDULE(thread, 1, WORLD_CPUS).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(SCHEDULE(thread, 1, ~0ull).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(SCHEDULE(copy(thread, QY_RIGHT_READ, 0), 1, 1).error, QY_NO_RIGHTS);
    CHECK_EQ(told(thread).x[2], 1 | 32ull << 32);
    CHECK_EQ(SCHEDULE(ROOT_THREAD, 31, 0).error, QY_OK); /* and never gets back up */
    CHECK_EQ(SCHEDULE(ROOT_THREAD, 32, 0).error, QY_NO_RIGHTS);
    ((struct thread *)object_of(ROOT_THREAD))->priority = 32;
    scene_end();
}

static void a_thread_moves_in_whatever_it_does(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t running = thread_on(ROOT_UNTYPED, 1, 0), waiting = thread_on(ROOT_UNTYPED, 1, 0);
    /* It runs: its CPU lets go of it at its next choice. */
    CHECK_EQ(SCHEDULE(running, 32, 2).error, QY_OK);
    CHECK(runs(1, waiting));
    CHECK(runs(2, running));
    /* It is in line. */
    qy_handle_t third = thread_on(ROOT_UNTYPED, 1, 0);
    CHECK_EQ(SCHEDULE(third, 32, 2).error, QY_OK);
    CHECK_EQ(told(third).x[2] & 0xffffffff, 2);
    sched_tick(cpu_at(2));
    CHECK(runs(2, third));
    /* It waits: it goes on elsewhere. */
    CHECK(CALL_ON(1, QY_CALL_endpoint_receive, endpoint, 0, 0, 0, 0, 0).waits);
    CHECK(runs(1, 0));
    CHECK_EQ(SCHEDULE(waiting, 40, 2).error, QY_NO_RIGHTS);
    CHECK_EQ(SCHEDULE(waiting, 32, 2).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_endpoint_send, endpoint, 1, 2, 3, 4, 0).error, QY_OK);
    CHECK(runs(1, 0));
    sched_tick(cpu_at(2));
    CHECK(runs(2, running));
    sched_tick(cpu_at(2));
    CHECK(runs(2, waiting));
    CHECK_EQ(world_result(object_of(waiting)).x[2], 1);
    /* It is suspended. */
    CHECK_EQ(CALL(QY_CALL_thread_suspend, waiting, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK(runs(2, third));
    CHECK_EQ(SCHEDULE(waiting, 32, 1).error, QY_OK);
    CHECK(runs(1, 0));
    CHECK_EQ(CALL(QY_CALL_thread_resume, waiting, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK(runs(1, waiting));
    scene_end();
    CHECK(runs(1, 0));
    CHECK(runs(2, 0));
}

/* Two nodes: CPU 0 on node 0, CPUs 1 and 2 on node 1, where all memory is said to be. */
static void a_thread_without_a_cpu_stays_with_its_memory(void)
{
    static uint64_t memory[64];
    const uint8_t distances[2][2] = {{10, 20}, {20, 10}};
    struct qy_nodes kept = world_arenas.nodes;
    struct qy_arena *arena = ((struct untyped *)object_of(ROOT_UNTYPED))->arena;
    qy_nodes_init(&world_arenas.nodes, memory, 2, &distances[0][0], 2);
    arena->node = cpu_at(1)->node = cpu_at(2)->node = 1;
    for (unsigned i = 0; i < WORLD_CPUS; i++)
        place_online(cpu_at(i));
    qy_handle_t fixed = thread_on(ROOT_UNTYPED, 1, 0);
    world_pick(2);
    place_idle(cpu_at(2), true);
    qy_handle_t threads[4];
    unsigned used = 0;
    for (unsigned i = 0; i < 4; i++) {
        threads[i] = make(ROOT_UNTYPED, QY_OBJ_THREAD, 1);
        CHECK_EQ(CALL(QY_CALL_thread_configure, threads[i], ROOT_SPACE, ROOT_NODE, 0, 0, 0).error,
                 QY_OK);
        CHECK_EQ(CALL(QY_CALL_thread_start, threads[i], 0x400000, 0x401ff0, 7, QY_CPU_ANY, 0).error,
                 QY_OK);
        used |= 1u << (told(threads[i]).x[2] & 0xffffffff);
        if (i == 0) {
            CHECK_EQ(used, 1u << 2); /* it idles */
            CHECK(runs(2, threads[0]));
        }
    }
    CHECK_EQ(used, 1u << 1 | 1u << 2);
    /* It was elsewhere, and comes back. */
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    CHECK_EQ(SCHEDULE(threads[0], 32, 2).error, QY_OK);
    CHECK(runs(2, threads[0]));
    CHECK(CALL_ON(2, QY_CALL_endpoint_receive, endpoint, 0, 0, 0, 0, 0).waits);
    CHECK_EQ(SCHEDULE(threads[0], 32, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_endpoint_send, endpoint, 1, 2, 3, 4, 0).error, QY_OK);
    CHECK_EQ(told(threads[0]).x[2] & 0xffffffff, 0);
    CHECK_EQ(SCHEDULE(threads[0], 32, QY_CPU_ANY).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_suspend, threads[0], 0, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_resume, threads[0], 0, 0, 0, 0, 0).error, QY_OK);
    CHECK(told(threads[0]).x[2] & 3);
    /* Resumed without having been suspended: it is in line already, and stays there though another CPU idles. */
    unsigned cpu = told(threads[0]).x[2] & 3;
    place_idle(cpu_at(3 - cpu), true);
    CHECK_EQ(CALL(QY_CALL_thread_resume, threads[0], 0, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(told(threads[0]).x[2] & 3, cpu);
    CHECK(runs(1, fixed));
    scene_end();
    for (unsigned i = 1; i < WORLD_CPUS; i++)
        CHECK(runs(i, 0));
    arena->node = cpu_at(1)->node = cpu_at(2)->node = 0;
    world_arenas.nodes = kept;
}

static const struct test tests[] = {
    {"the highest priority runs", the_highest_priority_runs},
    {"wrong schedules are refused", wrong_schedules_are_refused},
    {"a thread moves in whatever it does", a_thread_moves_in_whatever_it_does},
    {"a thread without a CPU stays with its memory", a_thread_without_a_cpu_stays_with_its_memory},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
