/*
 * Every schedule of two operations on two CPUs, on the arena and its frame caches: the library's own code, with a point at
 * each atomic operation, each lock taken and each wait (yield.h).
 *
 * All pairs of the operations below run from a state where each CPU has a cache, with up to 4 preemptions, or as many
 * as TEST_RUNS runs a pair allow; how many that were is printed. A failure prints its schedule;
 * TEST_SCHEDULE=pair/schedule replays it. After each run the frames handed out are different ones and say so
 * themselves, and when all is given back and reclaimed, the arena is whole (arena_check). It would miss what takes three
 * CPUs, more preemptions, or memory that is weaker than sequentially consistent.
 */
#include "schedule.h"

#include <hosted/hosted.h>
#include <qy/frame_cache.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <tap.h>
#include <unistd.h>

#define FIRST 512u
#define END 2048u
#define FRAMES 32768u
#define PIECES 16u

static struct hosted_machine machine;
static struct qy_arena arena;
static struct qy_cpu_frames cpus[2];
static pfn_t held[2], shared; /* frames that each CPU has; and one that both map */
static pfn_t got[2];          /* what an operation took */
static enum qy_error result[2];
static uint64_t runs_most = 100000;
static bool is_map[2]; /* the operation mapped `shared` */

/* ---- the state that every run begins with ---- */

static struct {
    void *at;
    size_t bytes;
    void *copy;
} pieces[PIECES];
static unsigned piece_count;

static void keep(void *at, size_t bytes)
{
    pieces[piece_count].at = at;
    pieces[piece_count].bytes = bytes;
    pieces[piece_count].copy = malloc(bytes);
    memcpy(pieces[piece_count++].copy, at, bytes);
}

static void reset(void)
{
    for (unsigned i = 0; i < piece_count; i++)
        memcpy(pieces[i].at, pieces[i].copy, pieces[i].bytes);
    memset(got, 0, sizeof got);
    memset(is_map, 0, sizeof is_map);
}

static bool make(void)
{
    if (!hosted_machine_make(&machine, FRAMES * QY_PAGE_BYTES, false))
        return false;
    hosted_ram_add(&machine, pfn(FIRST), pfn(END));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    bool made = qy_arena_add(&arena, pfn(FIRST), pfn(END)) == QY_OK;
    qy_irq_is_off();
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        pfn_t warm[8];
        qy_cpu_frames_init(&cpus[cpu], cpu);
        for (unsigned i = 0; i < 8; i++)
            made &= qy_frame_try_alloc(&cpus[cpu], &arena, 0, QY_FRAME_USER, &warm[i]) == QY_OK;
        for (unsigned i = 1; i < 8; i++)
            made &= qy_frame_free(&cpus[cpu], &arena, warm[i], 0, QY_FRAME_USER) == QY_OK;
        held[cpu] = warm[0];
    }
    made &= qy_arena_alloc(&arena, 0, QY_FRAME_USER, &shared) == QY_OK;
    keep(&machine.db, sizeof machine.db);
    keep((char *)machine.db.frames + FIRST * 16u, (END - FIRST) * 16u);
    keep((char *)machine.db.blocks, (size_t)END / QY_BLOCK_PAGES * QY_BLOCK_DESCRIPTOR_BYTES);
    keep(machine.db.sections, 32);
    keep(&arena, sizeof arena);
    keep(cpus, sizeof cpus);
    for (uint64_t frame = FIRST; frame < END && piece_count < PIECES; frame++)
        if (qy_frame_state(&machine.db, pfn(frame)) == QY_FRAME_METADATA)
            keep(qy_port_ram(pfn_to_paddr(pfn(frame))), QY_PAGE_BYTES);
    return made && piece_count < PIECES && qy_arena_is_cached(&arena);
}

/* ---- the port ---- */

void __wrap_qy_port_relax(void);
void __wrap_qy_port_relax(void)
{
    schedule_wait();
}

unsigned __wrap_qy_port_cpu(void);
unsigned __wrap_qy_port_cpu(void)
{
    return schedule_cpu;
}

void __wrap_qy_port_fence_cpu(unsigned cpu);
void __wrap_qy_port_fence_cpu(unsigned cpu)
{
    (void)cpu;
}

_Noreturn void __wrap_qy_port_broken(const char *invariant, const char *what, uint64_t number);
_Noreturn void __wrap_qy_port_broken(const char *invariant, const char *what, uint64_t number)
{
    printf("# %s: %s %#llx\n", invariant, what, (unsigned long long)number);
    schedule_stop(invariant);
}

/* ---- operations; each says in result what came of it ---- */

static void take_one(void)
{
    unsigned me = schedule_cpu;
    qy_irq_is_off();
    result[me] = qy_frame_try_alloc(&cpus[me], &arena, 0, QY_FRAME_USER, &got[me]);
}

static void give_one(void)
{
    unsigned me = schedule_cpu;
    qy_irq_is_off();
    result[me] = qy_frame_free(&cpus[me], &arena, held[me], 0, QY_FRAME_USER);
    held[me] = pfn(0);
}

static void take_from_arena(void)
{
    unsigned me = schedule_cpu;
    result[me] = qy_arena_alloc(&arena, 0, QY_FRAME_USER, &got[me]);
}

static void drain(void)
{
    unsigned me = schedule_cpu;
    qy_irq_is_off();
    qy_frame_drain(&cpus[me], &arena);
    result[me] = QY_OK;
}

static void reclaim(void)
{
    unsigned me = schedule_cpu;
    qy_frame_reclaim(&arena);
    result[me] = QY_OK;
}

static void map(bool writable)
{
    unsigned me = schedule_cpu;
    result[me] = qy_frame_map(&machine.db, shared, writable, !writable);
    is_map[me] = result[me] == QY_OK;
    result[me] = QY_OK;
}

static void map_writable(void)
{
    map(true);
}

static void map_executable(void)
{
    map(false);
}

static void pin(void)
{
    result[schedule_cpu] = qy_frame_pin(&machine.db, shared);
    if (result[schedule_cpu] == QY_OK)
        result[schedule_cpu] = qy_frame_unpin(&machine.db, shared);
}

static const struct {
    const char *name;
    void (*act)(void);
} acts[] = {
    {"take", take_one},
    {"give", give_one},
    {"take from arena", take_from_arena},
    {"drain", drain},
    {"reclaim", reclaim},
    {"map writable", map_writable},
    {"pin", pin},
    {"map executable", map_executable},
};
#define ACTS (sizeof acts / sizeof *acts)

/* ---- what holds afterwards ---- */

static const char *give_back(pfn_t frame)
{
    if (frame.raw == 0)
        return NULL;
    return qy_arena_free(&arena, frame, 0, QY_FRAME_USER) == QY_OK
               ? NULL
               : "a frame that was handed out is not";
}

static const char *check(void)
{
    const char *wrong = NULL;
    if (result[0] != QY_OK || result[1] != QY_OK)
        return "an operation failed";
    if (got[0].raw && got[0].raw == got[1].raw)
        return "a frame was handed out twice";
    if (is_map[0] && is_map[1] && qy_frame_mappings(&machine.db, shared) != 2)
        return "a mapping is not counted";
    if (qy_frame_is_pinned(&machine.db, shared))
        return "a pin is left";
    while (qy_frame_mappings(&machine.db, shared))
        qy_frame_unmap(&machine.db, shared);
    pfn_t all[5] = {got[0], got[1], held[0], held[1], shared};
    for (unsigned i = 0; i < 5 && !wrong; i++)
        wrong = give_back(all[i]);
    if (wrong)
        return wrong;
    qy_frame_reclaim(&arena);
    wrong = qy_arena_check(&arena);
    if (!wrong && qy_arena_pages(&arena, QY_FRAME_FREE) != arena.total_pages)
        wrong = "CONSERVE";
    return wrong;
}

/* W^X is checked by itself: of a writable and an executable mapping one is refused. */
static const char *check_classes(void)
{
    return is_map[0] && is_map[1] ? "WXOR" : check();
}

/* ---- all pairs ---- */

/* What a fault overwrites depends on addresses: the same ones every time, so that a string shows it again. */
static __attribute__((constructor)) void same_addresses(int count, char **words)
{
    int before = personality(0xffffffff);
    (void)count;
    if (before != -1 && !(before & ADDR_NO_RANDOMIZE) &&
        personality((unsigned)before | ADDR_NO_RANDOMIZE) != -1)
        execv("/proc/self/exe", words);
}

static pfn_t held_at_first[2];

static void reset_all(void)
{
    reset();
    memcpy(held, held_at_first, sizeof held);
}

static void explore(unsigned a, unsigned b, const char *replay)
{
    bool classes = (acts[a].act == map_writable && acts[b].act == map_executable) ||
                   (acts[b].act == map_writable && acts[a].act == map_executable);
    struct schedule_case c = {.reset = reset_all,
                              .act = {acts[a].act, acts[b].act},
                              .check = classes ? check_classes : check};
    struct schedule schedule = {0};
    char text[64], pair[64];
    unsigned preemptions = 0, points;
    uint64_t runs = 0;
    snprintf(pair, sizeof pair, "%s, %s", acts[a].name, acts[b].name);
    const char *wrong;
    if (replay) {
        size_t length = strlen(pair);
        if (strncmp(replay, pair, length) != 0 || replay[length] != '/')
            return;
        CHECK(schedule_parse(replay + length + 1, &schedule));
        wrong = schedule_run(&c, &schedule, &points);
    } else {
        wrong = schedule_all(&c, SCHEDULE_MOST, runs_most, &schedule, &preemptions, &runs);
    }
    schedule_print(&schedule, text);
    if (wrong)
        printf("# %s: TEST_SCHEDULE='%s/%s'\n", wrong, pair, text);
    else
        printf("# %s: %llu schedules, up to %u preemptions\n", pair, (unsigned long long)runs,
               preemptions);
    CHECK(wrong == NULL);
}

static void all_pairs(void)
{
    const char *runs = getenv("TEST_RUNS"), *replay = getenv("TEST_SCHEDULE");
    if (runs)
        runs_most = strtoull(runs, NULL, 0);
    if (!make()) {
        CHECK(!"the machine is made");
        return;
    }
    memcpy(held_at_first, held, sizeof held);
    for (unsigned a = 0; a < ACTS; a++)
        for (unsigned b = a; b < ACTS && !tap_failures; b++)
            explore(a, b, replay);
}

static void strings_of_schedules(void)
{
    struct schedule schedule;
    char text[64];
    CHECK(schedule_parse("1:12.40", &schedule));
    schedule_print(&schedule, text);
    CHECK(strcmp(text, "1:12.40") == 0);
    CHECK(schedule_parse("0:", &schedule) && schedule.count == 0);
    CHECK(!schedule_parse("2:", &schedule) && !schedule_parse("0", &schedule));
    CHECK(!schedule_parse("0:5.5", &schedule) && !schedule_parse("0:1.2.3.4.5", &schedule));
}

static const struct test tests[] = {
    {"schedules are written and read", strings_of_schedules},
    {"every pair of operations, every schedule", all_pairs},
};
TEST_MAIN(tests)
