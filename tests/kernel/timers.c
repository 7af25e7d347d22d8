/*
 * Timers: they signal in the order of their time, whatever is armed, set anew, disarmed and deleted.
 */
#include "scene.h"

#include <kernel/timer.h>
#include <lib/random.h>

#define SET(timer, notification, delay, period)                                                    \
    CALL(QY_CALL_timer_set, timer, notification, delay, period, 0, 0)
#define POLL(notification) CALL(QY_CALL_notification_poll, notification, 0, 0, 0, 0, 0)

static struct result told(qy_handle_t timer)
{
    return CALL(QY_CALL_timer_info, timer, 0, 0, 0, 0, 0);
}

static void at(uint64_t time_ns)
{
    world_time_ns = time_ns;
    timer_tick();
    scene_check(__FILE__, __LINE__);
}

static void a_timer_signals_once_or_again_and_again(void)
{
    qy_handle_t notification = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    qy_handle_t badged = copy(notification, QY_RIGHT_WRITE, 4);
    qy_handle_t once = make(ROOT_UNTYPED, QY_OBJ_TIMER, 1);
    qy_handle_t always = make(ROOT_UNTYPED, QY_OBJ_TIMER, 1);
    world_time_ns = 1000;
    CHECK_EQ(SET(once, notification, 100, 0).error, QY_OK);
    CHECK_EQ(SET(always, badged, 50, 70).error, QY_OK);
    CHECK_EQ(told(once).x[1], 1000);
    CHECK_EQ(told(once).x[2], 1100);
    at(1049);
    CHECK_EQ(POLL(notification).error, QY_WOULD_WAIT);
    at(1050);
    CHECK_EQ(POLL(notification).x[1], 4);
    CHECK_EQ(told(always).x[2], 1120);
    at(1100);
    CHECK_EQ(POLL(notification).x[1], 1);
    CHECK_EQ(told(once).x[2], 0);
    at(1330); /* 1120, 1190, 1260, 1330: one signal, three missed */
    CHECK_EQ(POLL(notification).x[1], 4);
    CHECK_EQ(told(always).x[4], 3);
    CHECK_EQ(told(always).x[2], 1400);
    CHECK_EQ(SET(always, 0, 0, 0).error, QY_OK);
    at(5000);
    CHECK_EQ(POLL(notification).error, QY_WOULD_WAIT);
    scene_end();
}

static void who_waits_is_woken(void)
{
    qy_handle_t notification = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    qy_handle_t timer = make(ROOT_UNTYPED, QY_OBJ_TIMER, 1);
    struct thread *thread = object_of(thread_on(ROOT_UNTYPED, 1, 0));
    CHECK(CALL_ON(1, QY_CALL_notification_wait, notification, 0, 0, 0, 0, 0).waits);
    CHECK_EQ(SET(timer, notification, 10, 0).error, QY_OK);
    at(world_time_ns + 10);
    CHECK_EQ(world_pick(1) == thread, 1);
    CHECK_EQ(world_result(thread).x[1], 1);
    scene_end();
}

static void wrong_settings_are_refused(void)
{
    qy_handle_t notification = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    qy_handle_t reader = copy(notification, QY_RIGHT_READ, 0);
    qy_handle_t timer = make(ROOT_UNTYPED, QY_OBJ_TIMER, 1);
    CHECK_EQ(SET(timer, notification, 10, 0).error, QY_OK);
    uint64_t due = told(timer).x[2];
    CHECK_EQ(SET(timer, reader, 1, 0).error, QY_NO_RIGHTS);
    CHECK_EQ(SET(timer, timer, 1, 0).error, QY_WRONG_TYPE);
    CHECK_EQ(SET(timer, 0, 1, 0).error, QY_INVALID_HANDLE);
    CHECK_EQ(SET(timer, notification, UINT64_MAX, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(SET(timer, notification, 1, TIMER_LONGEST_NS + 1).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(told(timer).x[2], due); /* and changed nothing */
    scene_end();
}

static void what_goes_takes_its_timers_along(void)
{
    qy_handle_t notification = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    qy_handle_t first = make(ROOT_UNTYPED, QY_OBJ_TIMER, 1),
                second = make(ROOT_UNTYPED, QY_OBJ_TIMER, 1);
    CHECK_EQ(SET(first, notification, 10, 10).error, QY_OK);
    CHECK_EQ(SET(second, notification, 20, 10).error, QY_OK);
    CHECK_EQ(erase(first), QY_OK);
    at(world_time_ns + 100);
    CHECK_EQ(POLL(notification).error, QY_OK);
    CHECK_EQ(erase(notification), QY_OK);
    at(world_time_ns + 100);
    CHECK_EQ(told(second).x[2], 0);
    scene_end();
}

#define TIMERS 60u
#define STEPS 4000u

static uint64_t random_state;

/* Random settings beside an array of due times; each signals a notification of its own. */
static void random_settings_agree_with_a_list(void)
{
    static qy_handle_t timers[TIMERS], notes[TIMERS];
    uint64_t due[TIMERS] = {0};
    for (unsigned i = 0; i < TIMERS; i++) {
        timers[i] = make(ROOT_UNTYPED, QY_OBJ_TIMER, 1);
        notes[i] = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)random_below(&random_state, TIMERS);
        uint64_t delay = 1 + random_below(&random_state, 1000);
        if (random_below(&random_state, 4) == 0) {
            CHECK_EQ(SET(timers[i], 0, 0, 0).error, QY_OK);
            due[i] = 0;
        } else {
            CHECK_EQ(SET(timers[i], notes[i], delay, 0).error, QY_OK);
            due[i] = world_time_ns + delay;
        }
        if (random_below(&random_state, 3) != 0)
            continue;
        world_time_ns += random_below(&random_state, 200);
        for (unsigned tick = 0; tick < TIMERS / TIMERS_A_TICK + 1; tick++)
            at(world_time_ns);
        for (unsigned j = 0; j < TIMERS; j++) {
            bool late = due[j] && due[j] <= world_time_ns;
            CHECK_EQ(POLL(notes[j]).error, late ? QY_OK : QY_WOULD_WAIT);
            due[j] = late ? 0 : due[j];
        }
    }
    scene_end();
}

static const struct test tests[] = {
    {"a timer signals once or again and again", a_timer_signals_once_or_again_and_again},
    {"who waits is woken", who_waits_is_woken},
    {"wrong settings are refused", wrong_settings_are_refused},
    {"what goes takes its timers along", what_goes_takes_its_timers_along},
    {"random settings agree with a list", random_settings_agree_with_a_list},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
