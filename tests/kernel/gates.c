/*
 * The lock of capabilities and the gates that pass it, with a thread for each CPU.
 *
 * A word for each CPU stands for what only its messages change. They do so behind its gate, and read one that stands for
 * the rest; whoever holds the lock changes all of them. Nothing is atomic, so an access that is not ordered shows under
 * ThreadSanitizer, and one that is lost in the sums. TEST_OPS=n changes the length.
 */
#include <kernel/cap.h>
#include <kernel/cpu.h>
#include <lib/random.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <tap.h>

#define CPUS 4u

_Thread_local struct cpu *fake_cpu_current;

static struct cpu cpus[CPUS];
static uint64_t own[CPUS], all; /* of each CPU's messages; of calls alone */
static uint64_t messages[CPUS], calls[CPUS];
static atomic_uint failures;
static uint64_t ops;

/* One of `among` steps is a call, the others are messages. */
struct mix {
    unsigned cpu, among;
};

/* One more; in between, now and then, somebody else runs. */
static void add(uint64_t *sum)
{
    uint64_t before = *(volatile uint64_t *)sum;
    if (before % 16 == 0)
        sched_yield();
    *(volatile uint64_t *)sum = before + 1;
}

static void call(unsigned cpu)
{
    caps_acquire();
    for (unsigned i = 0; i < CPUS; i++)
        add(&own[i]);
    add(&all);
    caps_release();
    calls[cpu]++;
}

static void message(unsigned cpu)
{
    gate_enter(&cpus[cpu]);
    uint64_t before = all;
    add(&own[cpu]);
    if (all != before)
        atomic_fetch_add(&failures, 1);
    gate_leave(&cpus[cpu]);
    messages[cpu]++;
}

static void *work(void *argument)
{
    const struct mix *mix = argument;
    uint64_t r = mix->cpu + 1;
    fake_cpu_current = &cpus[mix->cpu];
    for (uint64_t i = 0; i < ops; i++) {
        if (mix->among && random_below(&r, mix->among) == 0)
            call(mix->cpu);
        else
            message(mix->cpu);
    }
    return NULL;
}

static void with_calls_of(unsigned among)
{
    pthread_t threads[CPUS];
    struct mix mixes[CPUS];
    for (unsigned i = 0; i < CPUS; i++) {
        mixes[i] = (struct mix){i, among};
        CHECK_EQ(pthread_create(&threads[i], NULL, work, &mixes[i]), 0);
    }
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(threads[i], NULL);
    uint64_t made = 0;
    for (unsigned i = 0; i < CPUS; i++)
        made += calls[i];
    CHECK_EQ(all, made);
    for (unsigned i = 0; i < CPUS; i++)
        CHECK_EQ(own[i], made + messages[i]);
    CHECK_EQ(atomic_load(&failures), 0);
}

static void messages_alone(void)
{
    with_calls_of(0);
}

static void a_call_now_and_then(void)
{
    with_calls_of(1000);
}

static void as_many_calls_as_messages(void)
{
    with_calls_of(2);
}

int main(void)
{
    const char *text = getenv("TEST_OPS");
    ops = text ? strtoull(text, NULL, 10) : 20000;
    for (unsigned i = 0; i < CPUS; i++)
        cpus[i].index = i;
    static const struct test tests[] = {
        {"messages of four CPUs", messages_alone},
        {"a call now and then closes the gates", a_call_now_and_then},
        {"as many calls as messages", as_many_calls_as_messages},
    };
    return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
