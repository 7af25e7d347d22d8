/*
 * Preemption points: long calls pass them often enough, and whatever other CPUs do there, everything stays valid.
 *
 * Other CPUs go on at the points only, so this would miss what needs two CPUs in one stretch; races.c and the storm
 * in the booted kernel have that. How long stretches are in instructions the word `revoke` of the root task tells.
 */
#include "scene.h"

#define AREA 0x40000000ull
#define STRETCH 64u /* slots and objects that a revoke takes at a time */
#define STEPS_MAX 200000u

static void begin(unsigned cpu, enum qy_invocation number, uint64_t x0, uint64_t x1, uint64_t x2,
                  uint64_t x3, uint64_t x4, uint64_t x5)
{
    const uint64_t x[6] = {x0, x1, x2, x3, x4, x5};
    world_fill_tlbs();
    world_begin(cpu, number, x);
}

static void finish(unsigned cpu)
{
    unsigned steps = 0;
    for (; world_busy(cpu) && steps < STEPS_MAX; steps++) {
        world_step(cpu);
        for (unsigned other = 0; other < WORLD_CPUS; other++)
            world_interrupts(other);
    }
    CHECK(steps < STEPS_MAX);
}

static bool is_whole(qy_handle_t untyped)
{
    struct result result = CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0);
    return result.x[1] == result.x[2];
}

static unsigned points_of(enum qy_invocation number, uint64_t x0, uint64_t x1, uint64_t x2,
                          uint64_t x3, uint64_t x4, uint64_t x5)
{
    world_preemption_points = 0;
    CHECK_EQ(CALL(number, x0, x1, x2, x3, x4, x5).error, QY_OK);
    return world_preemption_points;
}

/* Frames, and a node that is full of them, from inside out. */
static void revoke_and_delete_have_points(void)
{
    const unsigned frames = 3 * 200;
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 2048);
    for (unsigned round = 0; round < 2; round++) {
        qy_handle_t node = make(ROOT_UNTYPED, QY_OBJ_CAP_NODE, 16);
        for (unsigned i = 0; i < frames; i += 200)
            CHECK_EQ(CALL(QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 1, node, i + 1, 200).error,
                     QY_OK);
        unsigned points = round == 0 ? points_of(QY_CALL_cap_revoke, untyped, 0, 0, 0, 0, 0)
                                     : points_of(QY_CALL_cap_delete, node, 0, 0, 0, 0, 0);
        CHECK(points >= frames / STRETCH);
        CHECK(is_whole(untyped));
    }
    scene_end();
}

static void retype_has_points(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 2048);
    CHECK(points_of(QY_CALL_untyped_retype, untyped, QY_OBJ_ENDPOINT, 1, ROOT_NODE, 700, 200) >=
          200 / STRETCH);
    CHECK(points_of(QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 512, ROOT_NODE, 640, 1) >= 31);
    scene_end();
}

/* A revoke comes at the n-th point of a retype: it gets nothing, and the revoke is complete. */
static void retype_is_preempted_and_revoked(void)
{
    unsigned late = 0;
    for (unsigned n = 0; n < 12; n++) {
        qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 1024);
        thread_on(ROOT_UNTYPED, 1, 0);
        begin(1, QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 1, ROOT_NODE, 700, 200);
        for (unsigned i = 0; i < n && world_busy(1); i++)
            world_step(1);
        late += !world_busy(1);
        begin(0, QY_CALL_cap_revoke, untyped, 0, 0, 0, 0, 0);
        for (unsigned i = 0; i < STEPS_MAX && (world_busy(0) || world_busy(1)); i++) {
            if (world_busy(1))
                world_step(1);
            if (world_busy(0))
                world_step(0);
        }
        CHECK_EQ(world_last(0).error, QY_OK);
        CHECK(world_last(1).error == QY_REVOKED || n >= 12 - late);
        CHECK(is_whole(untyped));
        scene_end();
    }
    CHECK(late < 6); /* most came in between */
}

/* What another CPU tries at a point of a revoke, by turns. */
static void try(qy_handle_t untyped, const qy_handle_t *frames, unsigned turn)
{
    qy_handle_t frame = frames[turn % 200];
    switch (turn % 5) {
    case 0:
        begin(1, QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 1, ROOT_NODE, 980, 4);
        break;
    case 1:
        begin(1, QY_CALL_frame_map, frame, ROOT_SPACE, AREA + (turn % 512) * QY_PAGE_BYTES, RW, 0,
              0);
        break;
    case 2:
        begin(1, QY_CALL_cap_delete, frames[(turn + 7) % 200], 0, 0, 0, 0, 0);
        break;
    case 3:
        begin(1, QY_CALL_cap_copy, ROOT_NODE, 900 + turn % 64, frame, QY_RIGHT_ALL, 0, 0);
        break;
    default:
        begin(1, QY_CALL_cap_revoke, turn % 2 ? untyped : frame, 0, 0, 0, 0, 0);
        break;
    }
}

static void others_act_at_the_points_of_a_revoke(void)
{
    static qy_handle_t frames[200];
    unsigned refused = 0, turns = 0;
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 1024);
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    thread_on(ROOT_UNTYPED, 1, 0);
    for (unsigned i = 0; i < 200; i++) {
        frames[i] = make(untyped, QY_OBJ_FRAME, 1);
        if (i % 2)
            CHECK_EQ(map(frames[i], ROOT_SPACE, AREA + i * QY_PAGE_BYTES, RW).error, QY_OK);
    }
    begin(0, QY_CALL_cap_revoke, untyped, 0, 0, 0, 0, 0);
    for (; world_busy(0) && turns < STEPS_MAX; turns++) {
        if (!world_busy(1)) {
            refused += turns && world_last(1).error == QY_REVOKED;
            try(untyped, frames, turns);
        }
        if (world_busy(1))
            world_step(1);
        world_step(0);
        for (unsigned cpu = 0; cpu < WORLD_CPUS; cpu++)
            world_interrupts(cpu);
    }
    finish(1);
    scene_check(__FILE__, __LINE__);
    CHECK_EQ(world_last(0).error, QY_OK);
    CHECK(turns >= 10 && refused > 0);
    CHECK(is_whole(untyped));
    scene_end();
}

/* What comes after an interrupt does not go by its number in traces. */
static uint64_t interrupts_number;

static void interrupt(void)
{
    interrupts_number = ++cpu_this()->cause;
}

static void a_call_has_numbers_of_its_own(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 1024);
    world_at_preemption = interrupt;
    CHECK_EQ(CALL(QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 1, ROOT_NODE, 700, 200).error,
             QY_OK);
    CHECK(points_of(QY_CALL_cap_revoke, untyped, 0, 0, 0, 0, 0) > 0);
    CHECK(cpu_at(0)->cause > interrupts_number);
    world_at_preemption = NULL;
    scene_end();
}

static const struct test tests[] = {
    {"revoke and delete have preemption points", revoke_and_delete_have_points},
    {"retype has preemption points", retype_has_points},
    {"a retype is preempted and its untyped revoked", retype_is_preempted_and_revoked},
    {"others act at the preemption points of a revoke", others_act_at_the_points_of_a_revoke},
    {"interrupts at a preemption point have numbers of their own", a_call_has_numbers_of_its_own},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
