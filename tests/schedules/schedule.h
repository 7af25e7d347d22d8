/*
 * Two CPUs as coroutines, and every way in which they can take turns with a bounded number of preemptions.
 *
 * A schedule says which CPU begins and at which points it is preempted: "1:12.40" is CPU 1, until the 12th point at which
 * the other could go on; then the other, until the 40th. A CPU that waits for the other, or has ended, lets it go on:
 * that is no preemption. The same schedule always does the same, so a failure is replayed by its string.
 */
#ifndef TESTS_SCHEDULE_H
#define TESTS_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#define SCHEDULE_MOST 4u

struct schedule {
    unsigned first;              /* the CPU that begins */
    unsigned count;              /* preemptions ... */
    unsigned at[SCHEDULE_MOST];  /* ... and their points, ascending */
};

/* What is run: reset, then act of each CPU by some schedule, then check: null, or what is wrong. */
struct schedule_case {
    const char *name;
    void (*reset)(void);
    void (*act[2])(void);
    const char *(*check)(void);
};

/* The CPU that runs; 0 outside of a run. */
extern unsigned schedule_cpu;

/* Null, or what went wrong: check's, what schedule_stop was told, or that they wait for each other. *points: passed. */
const char *schedule_run(const struct schedule_case *c, const struct schedule *schedule, unsigned *points);

/*
 * All schedules with as many preemptions as there may be, 0 to most, in at most `limit` runs: *preemptions says how many
 * that are. Null, or what went wrong in *schedule.
 */
const char *schedule_all(const struct schedule_case *c, unsigned most, uint64_t limit, struct schedule *schedule,
                         unsigned *preemptions, uint64_t *runs);

/* The schedule's string, and the reverse; false if it is none. */
void schedule_print(const struct schedule *schedule, char text[64]);
bool schedule_parse(const char *text, struct schedule *schedule);

/* The code that runs has found itself broken: the run ends. Does not return. */
_Noreturn void schedule_stop(const char *why);

/* The CPU that runs waits for the other. */
void schedule_wait(void);

#endif
