/*
 * Calls, messages, switches, processes.
 *
 * Who switches by sched_yield runs under SCHED_FIFO, where it really gives the CPU to the other; all else under the
 * scheduler that programs have.
 */
#define _GNU_SOURCE
#include "rows.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SWITCHES 500u /* of each of two tasks */
#define FORKS 16u

static void null_call(void)
{
    uint64_t start = clock_ticks();
    for (unsigned i = 0; i < BENCH_COUNT; i++)
        __asm__ volatile("");
    uint64_t loop = clock_ticks() - start;

    start = clock_ticks();
    for (unsigned i = 0; i < BENCH_COUNT; i++)
        (void)syscall(SYS_getppid);
    bench_row_of(clock_ticks() - start, loop, BENCH_COUNT, "null_call");
}

/* ---- messages: one there, one back, as a thread or another process answers ---- */

struct peer {
    int there[2], back[2];            /* pipes */
    _Atomic uint32_t asked, answered; /* futexes */
};
static struct peer *peer; /* in shared memory */

static void pipe_send(int to)
{
    MUST(write(to, peer, 8) == 8);
}

static void pipe_receive(int from)
{
    uint64_t word;
    MUST(read(from, &word, sizeof(word)) == (ssize_t)sizeof(word));
}

static void futex_send(_Atomic uint32_t *word)
{
    atomic_fetch_add(word, 1);
    (void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void futex_receive(_Atomic uint32_t *word, uint32_t seen)
{
    while (atomic_load(word) == seen)
        (void)syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void *answer_pipe(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i <= BENCH_COUNT; i++) {
        pipe_receive(peer->there[0]);
        pipe_send(peer->back[1]);
    }
    return NULL;
}

static void *answer_futex(void *argument)
{
    (void)argument;
    for (uint32_t i = 0; i <= BENCH_COUNT; i++) {
        futex_receive(&peer->asked, i);
        futex_send(&peer->answered);
    }
    return NULL;
}

static void ask_pipe(uint32_t turn)
{
    (void)turn;
    pipe_send(peer->there[1]);
    pipe_receive(peer->back[0]);
}

static void ask_futex(uint32_t turn)
{
    futex_send(&peer->asked);
    futex_receive(&peer->answered, turn);
}

static void round_trips(const char *name, bool apart, void *(*answer)(void *),
                        void (*ask)(uint32_t turn))
{
    pthread_t thread;
    pid_t child = 0;
    int status = 0;

    memset(peer, 0, sizeof(*peer));
    MUST(pipe(peer->there) == 0 && pipe(peer->back) == 0);
    if (!apart)
        MUST(pthread_create(&thread, NULL, answer, NULL) == 0);
    else if ((child = fork()) == 0)
        _exit(answer(NULL) != NULL);
    MUST(child >= 0);
    ask(0);
    uint64_t start = clock_ticks();
    for (uint32_t i = 1; i <= BENCH_COUNT; i++)
        ask(i);
    bench_row_of(clock_ticks() - start, 0, BENCH_COUNT, "%s", name);
    if (apart)
        MUST(waitpid(child, &status, 0) == child && status == 0);
    else
        MUST(pthread_join(thread, NULL) == 0);
    for (unsigned i = 0; i < 2; i++)
        MUST(close(peer->there[i]) == 0 && close(peer->back[i]) == 0);
}

/* ---- switches ---- */

static void *yielder(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < SWITCHES + 2; i++)
        sched_yield();
    return NULL;
}

static void switches_row(const char *name)
{
    sched_yield();
    uint64_t start = clock_ticks();
    for (unsigned i = 0; i < SWITCHES; i++)
        sched_yield();
    bench_row_of(clock_ticks() - start, 0, 2 * SWITCHES, "%s", name);
}

static void switches(void)
{
    struct sched_param first = {.sched_priority = 1}, usual = {0};
    pthread_t thread;
    int status;

    MUST(sched_setscheduler(0, SCHED_FIFO, &first) == 0);
    MUST(pthread_create(&thread, NULL, yielder, NULL) == 0);
    switches_row("switch_thread");
    MUST(pthread_join(thread, NULL) == 0);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0)
        _exit(yielder(NULL) != NULL);
    switches_row("switch_space");
    MUST(waitpid(child, &status, 0) == child && status == 0);
    MUST(sched_setscheduler(0, SCHED_OTHER, &usual) == 0);
}

/* ---- processes ---- */

/* The data of the program that is forked on the other side, all of it there. */
#define PROGRAM_DATA (308 * PAGE_BYTES)

/* fork by itself, and the whole of fork, exit, wait; the process holds so many bytes beside the program. */
static void fork_of(const char *name, uint64_t bytes)
{
    uint64_t forked = 0, whole = 0;
    int status;

    memory_reserve(bytes);
    memory_touch(bytes);
    for (unsigned i = 0; i < FORKS; i++) {
        uint64_t start = clock_ticks();
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        forked += clock_ticks() - start;
        pid_t dead = waitpid(child, &status, 0);
        whole += clock_ticks() - start;
        MUST(child > 0 && dead == child && status == 0);
    }
    bench_row_of(forked, bench_clock(FORKS), FORKS, "clone_%s", name);
    bench_row_of(whole, bench_clock(FORKS), FORKS, "fork_exit_%s", name);
    memory_release(bytes);
}

void bench_tasks(void)
{
    peer = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(peer != MAP_FAILED);
    null_call();
    round_trips("ipc_round_trip.pipe", false, answer_pipe, ask_pipe);
    round_trips("ipc_round_trip.futex", false, answer_futex, ask_futex);
    round_trips("ipc_round_trip_apart.pipe", true, answer_pipe, ask_pipe);
    round_trips("ipc_round_trip_apart.futex", true, answer_futex, ask_futex);
    switches();
    fork_of("small", PROGRAM_DATA);
    fork_of("64_mib", PROGRAM_DATA + 64 * MIB);
}
