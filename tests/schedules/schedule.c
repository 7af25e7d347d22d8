/*
 * Running and enumerating schedules. A run is deterministic, so all of them are found by adding one preemption to each
 * shorter one, after its last.
 */
#include "schedule.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#define STACK_BYTES (256u * 1024u)
#define WAITS_MOST 2000u /* of one run: more is a deadlock */

void schedule_point(void);

unsigned schedule_cpu;

static struct {
    ucontext_t outside, cpu[2];
    char stack[2][STACK_BYTES];
    bool ended[2], running;
    const struct schedule_case *what;
    const struct schedule *schedule;
    unsigned points, taken, waits;
    const char *wrong;
    jmp_buf checked; /* where schedule_stop goes from a check */
    bool checking;
} world;

static void go_to(unsigned cpu)
{
    unsigned from = schedule_cpu;
    schedule_cpu = cpu;
    swapcontext(&world.cpu[from], &world.cpu[cpu]);
}

void schedule_point(void)
{
    if (!world.running || world.ended[!schedule_cpu])
        return;
    world.points++;
    if (world.taken == world.schedule->count || world.schedule->at[world.taken] != world.points)
        return;
    world.taken++;
    go_to(!schedule_cpu);
}

_Noreturn void schedule_stop(const char *why)
{
    world.wrong = why;
    if (world.checking)
        longjmp(world.checked, 1);
    if (world.running)
        setcontext(&world.outside);
    printf("# outside of a run: %s\n", why);
    fflush(stdout);
    abort();
}

void schedule_wait(void)
{
    if (++world.waits > WAITS_MOST)
        schedule_stop("a CPU waits for what does not come");
    if (world.running && !world.ended[!schedule_cpu])
        go_to(!schedule_cpu);
}

static void body(void)
{
    world.what->act[schedule_cpu]();
    world.ended[schedule_cpu] = true;
    if (world.ended[!schedule_cpu])
        setcontext(&world.outside);
    schedule_cpu = !schedule_cpu;
    setcontext(&world.cpu[schedule_cpu]);
}

const char *schedule_run(const struct schedule_case *c, const struct schedule *schedule,
                         unsigned *points)
{
    schedule_cpu = 0;
    c->reset();
    world.what = c;
    world.schedule = schedule;
    world.points = world.taken = world.waits = 0;
    world.wrong = NULL;
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        world.ended[cpu] = false;
        getcontext(&world.cpu[cpu]);
        world.cpu[cpu].uc_stack.ss_sp = world.stack[cpu];
        world.cpu[cpu].uc_stack.ss_size = STACK_BYTES;
        world.cpu[cpu].uc_link = NULL;
        makecontext(&world.cpu[cpu], body, 0);
    }
    world.running = true;
    schedule_cpu = schedule->first;
    swapcontext(&world.outside, &world.cpu[schedule_cpu]);
    world.running = false;
    schedule_cpu = 0;
    *points = world.points;
    world.waits = 0;
    world.checking = !world.wrong;
    if (world.checking && setjmp(world.checked) == 0) {
        const char *wrong = c->check();
        world.wrong = wrong;
    }
    world.checking = false;
    return world.wrong;
}

/* The schedule, and all that add up to `more` preemptions to it. */
static const char *deeper(const struct schedule_case *c, struct schedule *schedule, unsigned more,
                          uint64_t *runs)
{
    unsigned points;
    const char *wrong = more == 0 ? schedule_run(c, schedule, &points) : NULL;
    if (more == 0) {
        ++*runs;
        return wrong;
    }
    /* Its own run only says how many points there are: it was made when fewer preemptions were explored. */
    wrong = schedule_run(c, schedule, &points);
    if (wrong)
        return wrong;
    unsigned from = schedule->count ? schedule->at[schedule->count - 1] + 1 : 1;
    for (unsigned n = from; n <= points; n++) {
        schedule->at[schedule->count++] = n;
        wrong = deeper(c, schedule, more - 1, runs);
        if (wrong)
            return wrong;
        schedule->count--;
    }
    return NULL;
}

/* Runs that one preemption more takes, about: each point of the longest run once more. */
static uint64_t estimate(uint64_t runs, unsigned preemptions, unsigned points)
{
    return runs * points / (preemptions + 1) + 1;
}

const char *schedule_all(const struct schedule_case *c, unsigned most, uint64_t limit,
                         struct schedule *schedule, unsigned *preemptions, uint64_t *runs)
{
    uint64_t last = 2;
    unsigned points = 0;
    *runs = 0;
    for (unsigned p = 0; p <= most; p++) {
        if (p > 0 && estimate(last, p - 1, points) > limit)
            return NULL;
        uint64_t before = *runs;
        for (unsigned first = 0; first < 2; first++) {
            unsigned passed;
            *schedule = (struct schedule){.first = first};
            const char *wrong = schedule_run(c, schedule, &passed);
            points = passed > points ? passed : points;
            if (!wrong)
                wrong = deeper(c, schedule, p, runs);
            if (wrong)
                return wrong;
        }
        last = *runs - before;
        *preemptions = p;
    }
    return NULL;
}

void schedule_print(const struct schedule *schedule, char text[64])
{
    int length = snprintf(text, 64, "%u:", schedule->first);
    for (unsigned i = 0; i < schedule->count; i++)
        length += snprintf(text + length, 64 - (size_t)length, i ? ".%u" : "%u", schedule->at[i]);
}

bool schedule_parse(const char *text, struct schedule *schedule)
{
    *schedule = (struct schedule){.first = text[0] == '1'};
    if ((text[0] != '0' && text[0] != '1') || text[1] != ':')
        return false;
    for (const char *at = text + 2; *at;) {
        char *end;
        unsigned long n = strtoul(at, &end, 10);
        if (end == at || schedule->count == SCHEDULE_MOST || (*end && *end != '.') ||
            (schedule->count && n <= schedule->at[schedule->count - 1]))
            return false;
        schedule->at[schedule->count++] = (unsigned)n;
        at = *end ? end + 1 : end;
    }
    return true;
}
