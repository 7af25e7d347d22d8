/*
 * More memory than there is: fills several times its budget with known bytes, which the swapper keeps, and reads every one
 * back, on all CPUs, with a fork, a shared map and moving pages in the mix.
 *
 *     overcommit [TIMES]     TIMES: of its budget, 4 if it is not said
 *
 *     workers, one a CPU     fill --> read ------------------> change a third, read
 *     a fork of it all                 '--> read as it was --> change another third, read
 *     a thread                                                 moves pages to other frames all the while
 *
 * A page's bytes follow from its number and a seed, so that a page of another time, place or process is found out. A page
 * that the swapper could not keep is told at the page, by a fault; it counts as lost, never as right. Codes: 0 all was right;
 * 1 there is no swapper; 2 something could not be made; 3 there was no room; 4 a byte was wrong; 5 pages were lost, and told.
 */
#include "../swap/service.h"

#include <lib/string.h>
#include <stdatomic.h>
#include <user/print.h>
#include <user/process.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>
#include <user/thread.h>

#define WORKERS_MAX 8u
#define WORDS (PAGE_BYTES / sizeof(uint64_t))
#define RW (QY_MAP_READ | QY_MAP_WRITE)
#define LABEL_DONE 1u  /* of a worker */
#define LABEL_MOVED 2u /* of the mover */
#define BADGE_WORKER 2u
#define CHILD 3u
#define CHILD_PART 4u /* of the budget, for the fork */
#define COUNTERS 16u  /* in pages of the shared object */
#define COUNTS 500u
#define GO 1u /* beside the first: the fork may begin */
#define RETRIES 64u
#define MOVED 16u /* pages together */

enum seed { SEED_FIRST = 1, SEED_PARENT, SEED_CHILD };
enum { CODE_NO_SWAPPER = 1, CODE_NOT_MADE, CODE_NO_ROOM, CODE_WRONG, CODE_LOST };

static struct {
    volatile uint64_t *heap;
    volatile uint8_t *lost; /* a byte for each page */
    uint64_t pages;
    _Atomic uint64_t *counters; /* of the shared object, one a page */
    qy_handle_t ear, reply, nest;
    uint64_t nest_pages;
    struct thread workers[WORKERS_MAX], mover;
    unsigned worker_count;
    uint64_t rest;             /* pages with this remainder of 3 are changed, or have been */
    enum seed seed;            /* to that */
    atomic_uint wrong, moving; /* a byte was; the mover goes on */
    atomic_ullong moved;       /* calls that moved some */
    uint64_t lost_count;
    bool mover_done;
    int code; /* of the fork; below 0: it has not ended */
} w;

/* ---- pages ---- */

/* Of sixteen pages eight hold one word, seven compress, one does not. */
static uint64_t word_of(uint64_t page, uint64_t seed, unsigned i)
{
    uint64_t mixed = (page * 0x9e3779b97f4a7c15ull) ^ seed;
    if (page % 16 < 8)
        return mixed;
    if (page % 16 < 15 && i % 16 > 1)
        return 0x7061676520746578ull;
    mixed += (i + 1) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ mixed >> 30) * 0x94d049bb133111ebull;
    return mixed ^ mixed >> 31;
}

static void write_page(uint64_t page, enum seed seed)
{
    w.lost[page] = 0; /* from now on */
    for (unsigned i = 0; i < WORDS; i++)
        w.heap[page * WORDS + i] = word_of(page, seed, i);
}

static void read_page(uint64_t page, enum seed seed)
{
    for (unsigned i = 0; i < WORDS && !w.lost[page]; i++) {
        uint64_t is = w.heap[page * WORDS + i];
        if (is == word_of(page, seed, i) || w.lost[page])
            continue;
        if (!atomic_exchange(&w.wrong, true))
            print("overcommit: page %llu, word %u is %R\n", (unsigned long long)page, i, is);
        return;
    }
}

/* What that page is filled with: a third was changed. */
static enum seed seed_of(uint64_t page)
{
    return page % 3 == w.rest ? w.seed : SEED_FIRST;
}

/* ---- workers ---- */

static uint64_t done(void)
{
    print_flush();
    return endpoint_send(w.ear, LABEL_DONE, 0, 0, 0);
}

static uint64_t fill(void *first)
{
    for (uint64_t page = (uintptr_t)first; page < w.pages; page += w.worker_count)
        write_page(page, SEED_FIRST);
    return done();
}

static uint64_t check(void *first)
{
    for (uint64_t page = (uintptr_t)first; page < w.pages; page += w.worker_count)
        read_page(page, seed_of(page));
    return done();
}

static uint64_t change(void *first)
{
    for (uint64_t page = (uintptr_t)first; page < w.pages; page += w.worker_count) {
        if (page % 3 == w.rest)
            write_page(page, w.seed);
        if (page % COUNTERS == 0 && page / COUNTERS < COUNTS)
            for (unsigned i = 0; i < COUNTERS; i++)
                atomic_fetch_add(&w.counters[i * WORDS], 1);
    }
    return done();
}

/* Pages go to other frames of the same budget while they are used. */
static uint64_t move(void *unused)
{
    const uint64_t start = (uintptr_t)w.heap, end = start + w.pages * PAGE_BYTES;
    (void)unused;
    for (uint64_t at = start; atomic_load(&w.moving) && at < end;) {
        uint64_t to = at + MOVED * PAGE_BYTES < end ? at + MOVED * PAGE_BYTES : end;
        w.moved += space_migrate(QY_SLOT_SPACE, QY_SLOT_UNTYPED, &at, to) == QY_OK;
        at = to;
        yield();
    }
    print_flush();
    return endpoint_send(w.ear, LABEL_MOVED, 0, 0, 0);
}

/* ---- the main thread hears of them ---- */

_Noreturn static void give_up(int code, const char *why)
{
    print("overcommit: %s\n", why);
    program_exit(atomic_load(&w.wrong) ? CODE_WRONG : code);
}

/* A page that could not be kept: a new one in its place, and it is known as lost. */
static bool replace(uint64_t address)
{
    uint64_t at = address & ~(PAGE_BYTES - 1), page = (at - (uintptr_t)w.heap) / PAGE_BYTES;
    if (at < (uintptr_t)w.heap || page >= w.pages)
        return false;
    w.lost[page] = 1;
    w.lost_count++;
    return space_unmap_region(QY_SLOT_SPACE, at, PAGE_BYTES) == QY_OK &&
           space_map_region(QY_SLOT_SPACE, &at, PAGE_BYTES, RW | QY_REGION(QY_REGION_HEAP), 0) ==
               QY_OK;
}

static bool relieve(void)
{
    for (unsigned i = 0; i < RETRIES; i++) {
        struct untyped_state budget;
        if (swap_reclaim(PROGRAM_SWAP, 64))
            return true;
        /* Others may have made room meanwhile. */
        if (untyped_info(QY_SLOT_UNTYPED, &budget) == QY_OK && budget.free_bytes > 8 * PAGE_BYTES)
            return true;
        yield();
    }
    return false;
}

/* A thread of ours, or of the fork, waits at a fault. */
static void answer_fault(const struct process_event *event)
{
    uint64_t answer = QY_FAULT_RESUME;
    if (event->fault.mark == QY_FOUND_EXHAUSTED && !relieve())
        give_up(CODE_NO_ROOM, "there is no room for its pages");
    if (event->fault.mark == QY_FOUND_REVOKED && event->number == CHILD)
        answer = QY_FAULT_KILL;
    else if (event->fault.mark == QY_FOUND_REVOKED && !replace(event->fault.address))
        give_up(CODE_LOST, "a page of its own was lost, and told");
    else if (event->fault.mark != QY_FOUND_REVOKED && event->fault.mark != QY_FOUND_EXHAUSTED)
        give_up(CODE_WRONG, "a fault that should not be");
    if (reply_send(w.reply, answer, 0, 0, 0) != QY_OK && answer == QY_FAULT_RESUME)
        give_up(CODE_WRONG, "a thread does not go on");
}

/* Until so many threads are done, and, if they are waited for, the fork and the mover have ended. */
static void listen(unsigned threads, bool rest)
{
    while (threads || (rest && (w.code < 0 || !w.mover_done))) {
        struct process_event event;
        struct message message;
        if (endpoint_receive(w.ear, w.reply, &message) != QY_OK)
            give_up(CODE_NOT_MADE, "it cannot hear its threads");
        if (message.badge == 0 && message.label == LABEL_DONE) {
            threads--;
            continue;
        }
        if (message.badge == 0 && message.label == LABEL_MOVED) {
            w.mover_done = true;
            continue;
        }
        process_event_from(&message, &event);
        if (message.badge == BADGE_WORKER && fault_from(&message, &event.fault))
            event.news = PROCESS_FAULTED;
        if (event.news == PROCESS_EXITED) {
            w.code = event.code;
        } else if (event.news == PROCESS_FAULTED) {
            answer_fault(&event);
            if (event.number == CHILD && event.fault.mark == QY_FOUND_REVOKED)
                w.code = CODE_LOST;
        }
    }
}

static void start(uint64_t (*function)(void *))
{
    for (unsigned i = 0; i < w.worker_count; i++)
        if (thread_create(&w.workers[i], function, (void *)(uintptr_t)i, i, w.ear, BADGE_WORKER) !=
            QY_OK)
            give_up(CODE_NOT_MADE, "a worker could not be made");
}

static void join(void)
{
    uint64_t result;
    for (unsigned i = 0; i < w.worker_count; i++)
        if (thread_join(&w.workers[i], &result) != QY_OK || result != QY_OK)
            give_up(CODE_NOT_MADE, "a worker did not end well");
}

static void all(uint64_t (*function)(void *))
{
    start(function);
    listen(w.worker_count, false);
    join();
}

/* ---- the fork ---- */

/* It finds all as it was at the fork, changes a third of its own, and finds that. */
static int be_the_fork(void)
{
    while (!atomic_load(&w.counters[GO]))
        yield();
    for (uint64_t i = 0; i < w.pages; i++)
        read_page(i, seed_of(i));
    w.rest = 2;
    w.seed = SEED_CHILD;
    for (uint64_t page = w.rest; page < w.pages; page += 3)
        write_page(page, w.seed);
    for (uint64_t i = 0; i < w.pages; i++)
        read_page(w.pages - 1 - i, seed_of(w.pages - 1 - i));
    for (unsigned n = 0; n < COUNTS; n++)
        for (unsigned i = 0; i < COUNTERS; i++)
            atomic_fetch_add(&w.counters[i * WORDS], 1);
    return atomic_load(&w.wrong) ? CODE_WRONG : 0;
}

/* What they share is nobody's to take: it becomes the fork's own before that goes on. */
static enum qy_error part(const struct process *child)
{
    const uint64_t pages = w.nest_pages / 2;
    uint64_t at = PAGE_BYTES;
    enum qy_error error =
        swap_join(PROGRAM_SWAP, child->space, child->budget, pages / 16, pages / 8);
    while (error == QY_OK && (error = space_settle(child->space, &at)) == QY_OUT_OF_MEMORY)
        error = relieve() ? QY_OK : QY_OUT_OF_MEMORY;
    atomic_store(&w.counters[GO], 1);
    return error;
}

/* Little is to be there when it is copied. */
static void make_fork(struct process *child)
{
    const struct process_plan plan = {.untyped = w.nest,
                                      .budget_pages = w.nest_pages * 3 / 4,
                                      .endpoint = w.ear,
                                      .number = CHILD,
                                      .console = QY_SLOT_CONSOLE};
    bool is_child = false;
    enum qy_error error = QY_OUT_OF_MEMORY;
    for (unsigned i = 0; i < RETRIES && swap_reclaim(PROGRAM_SWAP, 1024); i++)
        ;
    for (unsigned i = 0; i < RETRIES && error == QY_OUT_OF_MEMORY; i++) {
        error = process_fork(&plan, child, &is_child);
        if (is_child)
            program_exit(error == QY_OK ? be_the_fork() : CODE_NOT_MADE);
        if (error == QY_OUT_OF_MEMORY && !relieve())
            break;
    }
    if (error == QY_OK)
        error = part(child);
    if (error != QY_OK)
        give_up(CODE_NO_ROOM, "it could not fork");
}

/* ---- beginning ---- */

static enum qy_error begin(uint64_t times)
{
    struct untyped_state budget;
    uint64_t heap = 0, lost = 0, shared = 0;
    qy_handle_t object;
    enum qy_error error = untyped_info(QY_SLOT_UNTYPED, &budget);
    w.pages = times * (budget.total_bytes / PAGE_BYTES);
    w.nest_pages = budget.total_bytes / PAGE_BYTES / CHILD_PART;
    w.worker_count = program->cpus < WORKERS_MAX ? program->cpus : WORKERS_MAX;
    w.rest = 3;
    w.code = -1;
    if (error == QY_OK)
        error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_UNTYPED, w.nest_pages, &w.nest);
    if (error == QY_OK)
        error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &w.ear);
    if (error == QY_OK)
        error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &w.reply);
    if (error == QY_OK)
        error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_MEMORY, COUNTERS, &object);
    if (error == QY_OK)
        error = space_map_object(QY_SLOT_SPACE, &shared, COUNTERS * PAGE_BYTES,
                                 RW | QY_REGION(QY_REGION_MAPPED), object, 0);
    if (error == QY_OK)
        error = space_map_region(QY_SLOT_SPACE, &lost, PAGE_ALIGN(w.pages),
                                 RW | QY_REGION(QY_REGION_DATA), 0);
    if (error == QY_OK)
        error = space_map_region(QY_SLOT_SPACE, &heap, w.pages * PAGE_BYTES,
                                 RW | QY_REGION(QY_REGION_HEAP), 0);
    w.heap = (volatile uint64_t *)(uintptr_t)heap;
    w.lost = (volatile uint8_t *)(uintptr_t)lost;
    w.counters = (_Atomic uint64_t *)(uintptr_t)shared;
    return error;
}

static bool report(void)
{
    struct message state = {0};
    bool counted = true;
    for (unsigned i = 0; i < COUNTERS; i++)
        counted &= atomic_load(&w.counters[i * WORDS]) ==
                   COUNTS * (w.code == 0) +
                       (w.pages / COUNTERS < COUNTS ? (w.pages + COUNTERS - 1) / COUNTERS : COUNTS);
    enum qy_error error = endpoint_call(PROGRAM_SWAP, SWAP_STATE, 0, 0, 0, &state);
    print("overcommit: a fork found all as it was and changed a third: code %d\n", w.code);
    print("overcommit: meanwhile its parent changed another third; pages moved %s; shared counters "
          "%s\n",
          w.moved ? "meanwhile, too" : "NEVER", counted ? "are right" : "are WRONG");
    print(
        "overcommit: %llu pages went, %llu returned, %llu were lost, %llu times nothing was free\n",
        (unsigned long long)state.word[0], (unsigned long long)state.word[1],
        (unsigned long long)w.lost_count, (unsigned long long)state.word[2]);
    print("overcommit: %s\n", atomic_load(&w.wrong) ? "a byte was WRONG" : "no byte was wrong");
    return error == QY_OK && w.moved && (counted || w.code) && state.word[0] > w.pages / 2;
}

int main(int argc, char *argv[])
{
    static struct process child;
    struct cap_state swapper;
    uint64_t times = argc > 1 ? (uint64_t)(argv[1][0] - '0') : 4, result;
    if (argc > 1 && argv[1][0] && argv[1][1])
        times = times * 10 + (uint64_t)(argv[1][1] - '0');
    if (cap_info(QY_SLOT_NODE, PROGRAM_SWAP, &swapper) != QY_OK)
        give_up(CODE_NO_SWAPPER, "there is no swapper: the word swap, or a disk, brings one");
    if (!times || times > 99 || begin(times) != QY_OK)
        give_up(CODE_NOT_MADE, "overcommit [TIMES]: its memory could not be made");
    print("overcommit: %llu pages, %llu times its budget, by %u workers\n",
          (unsigned long long)w.pages, (unsigned long long)times, w.worker_count);
    all(fill);
    all(check);
    print("overcommit: filled, and read back\n");
    make_fork(&child);
    atomic_store(&w.moving, true);
    if (thread_create(&w.mover, move, NULL, QY_CPU_ANY, w.ear, BADGE_WORKER) != QY_OK)
        give_up(CODE_NOT_MADE, "no thread could be made");
    w.rest = 1;
    w.seed = SEED_PARENT;
    all(change);
    all(check);
    atomic_store(&w.moving, false);
    listen(0, true);
    if (thread_join(&w.mover, &result) != QY_OK)
        give_up(CODE_NOT_MADE, "the thread that moves pages did not end");
    bool right = report() && process_destroy(&child) == QY_OK;
    if (!right || atomic_load(&w.wrong) || (w.code != 0 && w.code != CODE_LOST))
        return CODE_WRONG;
    return w.lost_count || w.code ? CODE_LOST : 0;
}
