/*
 * Random calls on a pool of guarded allocations, over two arenas, and every short sequence of calls on a small
 * one, against a model that knows which objects live and what a machine with CPUs that remember translations
 * would still reach.
 *
 * The model's CPUs forget a page only when a flush is done, which the test decides: a frame that goes
 * back to its arena, or a page that is mapped again, while one of them may remember it, shows. Each
 * n-th request for frames fails too. TEST_SEED=n repeats a run, TEST_OPS=n changes its length.
 */
#include <hosted/hosted.h>
#include <lib/random.h>
#include <qy/guard.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <tap.h>

#define SLOTS 12u
#define SLOT_PAGES 3u
#define WINDOW_PAGES (SLOTS * (SLOT_PAGES + 1) + 1)
#define BATCH 4u
#define ARENAS 2u
#define ARENA_PAGES 24u /* so few that it runs out */

static struct hosted_machine machine;
static struct qy_arena arenas[ARENAS];
static struct qy_guard_slot slots[SLOTS];
static struct qy_guard guard;
static unsigned char *window;
static uint64_t random_state, taken, refused_slot, refused_frames, refused_frees, fail_every, asked;
static bool wrong;

/* ---- a machine that remembers ---- */

static uint64_t mapped[WINDOW_PAGES];     /* frame; 0: nothing */
static uint64_t remembered[WINDOW_PAGES]; /* by some CPU, until a flush is done */
static bool to_forget[WINDOW_PAGES];      /* was unmapped before the flush under way began */
static uint64_t tickets, done;

static void differ(const char *what)
{
    if (!wrong)
        printf("# pool and model differ: %s\n", what);
    wrong = true;
}

static uint64_t page_of(const void *at)
{
    return (uint64_t)((const unsigned char *)at - window) / QY_PAGE_BYTES;
}

static void model_map(void *context, void *at, pfn_t first, unsigned pages)
{
    (void)context;
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t page = page_of(at) + i;
        if (mapped[page])
            differ("a page is mapped twice");
        if (remembered[page])
            differ("a page is mapped while a CPU may remember what was there");
        mapped[page] = remembered[page] = first.raw + i;
    }
}

static void model_unmap(void *context, void *at, unsigned pages)
{
    (void)context;
    for (uint64_t i = 0; i < pages; i++) {
        if (!mapped[page_of(at) + i])
            differ("a page is unmapped that is not mapped");
        mapped[page_of(at) + i] = 0;
    }
}

static uint64_t model_flush_begin(void *context)
{
    (void)context;
    if (done != tickets)
        differ("two flushes at a time");
    for (uint64_t page = 0; page < WINDOW_PAGES; page++)
        to_forget[page] = !mapped[page];
    return ++tickets;
}

static bool model_flush_done(void *context, uint64_t ticket)
{
    (void)context;
    return done >= ticket;
}

static void flush_finishes(void)
{
    if (done == tickets)
        return;
    done = tickets;
    for (uint64_t page = 0; page < WINDOW_PAGES; page++)
        if (to_forget[page])
            remembered[page] = 0;
}

static const struct qy_guard_ops operations = {.map = model_map,
                                               .unmap = model_unmap,
                                               .flush_begin = model_flush_begin,
                                               .flush_done = model_flush_done};

/* A flush that somebody waits for finishes some time. */
void __real_qy_port_relax(void);
void __wrap_qy_port_relax(void);
void __wrap_qy_port_relax(void)
{
    flush_finishes();
}

/* A frame that a CPU can reach does not go back. */
enum qy_error __real_qy_arena_free_pages(struct qy_arena *arena, pfn_t start, uint64_t pages,
                                         enum qy_frame_state state);
enum qy_error __wrap_qy_arena_free_pages(struct qy_arena *arena, pfn_t start, uint64_t pages,
                                         enum qy_frame_state state);
enum qy_error __wrap_qy_arena_free_pages(struct qy_arena *arena, pfn_t start, uint64_t pages,
                                         enum qy_frame_state state)
{
    for (uint64_t page = 0; page < WINDOW_PAGES; page++)
        if (remembered[page] >= start.raw && remembered[page] < start.raw + pages)
            differ("a frame goes back that a CPU may still reach");
    return __real_qy_arena_free_pages(arena, start, pages, state);
}

enum qy_error __real_qy_arena_alloc_pages(struct qy_arena *arena, uint64_t pages,
                                          enum qy_frame_state state, pfn_t *out);
enum qy_error __wrap_qy_arena_alloc_pages(struct qy_arena *arena, uint64_t pages,
                                          enum qy_frame_state state, pfn_t *out);
enum qy_error __wrap_qy_arena_alloc_pages(struct qy_arena *arena, uint64_t pages,
                                          enum qy_frame_state state, pfn_t *out)
{
    if (fail_every && ++asked % fail_every == 0)
        return QY_OUT_OF_MEMORY;
    return __real_qy_arena_alloc_pages(arena, pages, state, out);
}

/* ---- the model ---- */

static struct {
    unsigned char *object;
    size_t bytes;
    unsigned arena;
} live[SLOTS];
static unsigned live_count;
static unsigned char *freed[64]; /* some that were */
static unsigned freed_count;

static void take(unsigned a, size_t bytes, uint32_t align)
{
    struct qy_guard_what what = {
        .arena = &arenas[a], .heap = &arenas[a], .cache = &live, .name = "object", .align = align};
    void *object;
    enum qy_error error = qy_guard_alloc(&guard, &what, bytes, &object);
    refused_slot += error == QY_TOO_MANY;
    refused_frames += error == QY_OUT_OF_MEMORY;
    if (error == QY_TOO_MANY && live_count == 0 && done == tickets &&
        qy_guard_pages(&guard, NULL) == 0)
        differ("no slot, though none is used");
    if (error != QY_OK)
        return;
    if ((uintptr_t)object % align)
        differ("not aligned");
    for (uint64_t page = page_of(object); page <= page_of((unsigned char *)object + bytes - 1);
         page++)
        if (page >= WINDOW_PAGES || page % (SLOT_PAGES + 1) == 0 || !mapped[page])
            differ("a part of the object is not mapped");
    for (unsigned i = 0; i < live_count; i++)
        if ((unsigned char *)object < live[i].object + live[i].bytes &&
            live[i].object < (unsigned char *)object + bytes)
            differ("two objects overlap");
    if (live_count == SLOTS) {
        differ("more objects than slots");
        return;
    }
    live[live_count].object = object;
    live[live_count].bytes = bytes;
    live[live_count++].arena = a;
    taken++;
}

static void op_take(void)
{
    take((unsigned)random_below(&random_state, ARENAS),
         1 + random_below(&random_state, SLOT_PAGES * QY_PAGE_BYTES),
         1u << random_below(&random_state, 13));
}

static void give(unsigned i)
{
    if (qy_guard_free(&guard, &arenas[live[i].arena], random_below(&random_state, 2) ? &live : NULL,
                      live[i].object) != QY_OK)
        differ("free refused");
    freed[freed_count++ % 64] = live[i].object;
    live[i] = live[--live_count];
}

static void op_give(void)
{
    if (live_count)
        give((unsigned)random_below(&random_state, live_count));
}

static bool is_live(const unsigned char *object)
{
    for (unsigned i = 0; i < live_count; i++)
        if (live[i].object == object)
            return true;
    return false;
}

static void op_wrong_free(void)
{
    unsigned char *object =
        freed_count && random_below(&random_state, 2)
            ? freed[random_below(&random_state, freed_count < 64 ? freed_count : 64)]
            : window + random_below(&random_state, WINDOW_PAGES * QY_PAGE_BYTES);
    if (is_live(object))
        return;
    enum qy_error error =
        qy_guard_free(&guard, &arenas[random_below(&random_state, ARENAS)], NULL, object);
    if (error == QY_OK)
        differ("a wrong free is obeyed");
    refused_frees++;
    if (live_count &&
        qy_guard_free(&guard, &arenas[!live[0].arena], NULL, live[0].object) != QY_NOT_OWNED)
        differ("another heap's free is obeyed");
    refused_frees += live_count != 0;
}

static void op_explain(void)
{
    struct qy_guard_report report;
    uint64_t address =
        (uintptr_t)window + random_below(&random_state, WINDOW_PAGES * QY_PAGE_BYTES);
    bool known = qy_guard_explain(&guard, address, &report);
    for (unsigned i = 0; i < live_count; i++) {
        uint64_t start = (uintptr_t)live[i].object, end = start + live[i].bytes;
        if (known && report.object == start && !report.is_freed &&
            report.bug != (address < start ? QY_GUARD_UNDERFLOW : QY_GUARD_OVERFLOW))
            differ("wrong explanation");
        if (known && address >= start && address < end)
            differ("a live object is explained away");
    }
}

static void check(void)
{
    uint64_t pages[ARENAS] = {0};
    struct qy_guard_counters counters;
    const char *broken = qy_guard_check(&guard);
    for (unsigned a = 0; a < ARENAS; a++) {
        broken = broken ? broken : qy_arena_check(&arenas[a]);
        if (qy_arena_pages(&arenas[a], QY_FRAME_OBJECT) != qy_guard_pages(&guard, &arenas[a]))
            differ("frames and slots");
    }
    if (broken)
        differ(broken);
    for (uint64_t page = 0; page < WINDOW_PAGES; page++) {
        pfn_t frame;
        if (qy_guard_page(&guard, page, &frame) ? mapped[page] != frame.raw : mapped[page] != 0)
            differ("GUARD-MAP");
    }
    for (unsigned i = 0; i < live_count; i++)
        pages[live[i].arena] += qy_align_up(live[i].bytes, QY_PAGE_BYTES) / QY_PAGE_BYTES;
    for (unsigned a = 0; a < ARENAS; a++)
        if (qy_guard_pages(&guard, &arenas[a]) - qy_guard_freed_pages(&guard, &arenas[a]) !=
            pages[a])
            differ("pages of live objects");
    qy_guard_count(&guard, &counters);
    if (counters.live != live_count || counters.sampled != taken ||
        counters.no_slot != refused_slot || counters.no_frames != refused_frames ||
        counters.refused_frees != refused_frees)
        differ("counters");
}

static void run(uint64_t ops)
{
    for (uint64_t i = 0; i < ops && !wrong; i++) {
        uint64_t what = random_below(&random_state, 100);
        if (what < 45)
            op_take();
        else if (what < 80)
            op_give();
        else if (what < 85)
            op_wrong_free();
        else if (what < 90)
            op_explain();
        else if (what < 99)
            flush_finishes();
        else
            qy_guard_gather(&guard, random_below(&random_state, 2)
                                        ? &arenas[random_below(&random_state, ARENAS)]
                                        : NULL);
        check();
    }
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void make_machine(void)
{
    CHECK(hosted_machine_make(&machine, 16ull << 20, true));
    hosted_ram_add(&machine, pfn(16), pfn(16 + ARENAS * ARENA_PAGES));
    for (unsigned a = 0; a < ARENAS; a++) {
        pfn_t base = pfn(16 + a * ARENA_PAGES);
        qy_arena_init(&arenas[a], &machine.db, 0, QY_ZONE_NORMAL, a);
        CHECK_EQ(qy_arena_add(&arenas[a], base, pfn(base.raw + ARENA_PAGES)), QY_OK);
    }
    /* All of it accessible: the model, not the hardware, says what may be reached. */
    window = mmap(NULL, WINDOW_PAGES * QY_PAGE_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(window != MAP_FAILED);
}

static void make_pool(uint32_t slot_count, uint32_t batch)
{
    struct qy_guard_config config = {.window = window,
                                     .slots = slots,
                                     .slot_count = slot_count,
                                     .slot_pages = SLOT_PAGES,
                                     .batch = batch,
                                     .ops = &operations};
    CHECK_EQ(qy_guard_init(&guard, &config), QY_OK);
    memset(mapped, 0, sizeof(mapped));
    memset(remembered, 0, sizeof(remembered));
    tickets = done = 0;
    live_count = freed_count = 0;
    taken = refused_slot = refused_frames = refused_frees = 0;
}

static void make(void)
{
    make_machine();
    make_pool(SLOTS, BATCH);
}

/* All is given back, and the arenas are whole. */
static void give_all(void)
{
    while (live_count)
        give(live_count - 1);
    qy_guard_gather(&guard, NULL);
    check();
    for (unsigned a = 0; a < ARENAS; a++)
        CHECK_EQ(qy_arena_pages(&arenas[a], QY_FRAME_FREE), ARENA_PAGES);
    CHECK(!wrong);
}

static void destroy_machine(void)
{
    munmap(window, WINDOW_PAGES * QY_PAGE_BYTES);
    hosted_machine_destroy(&machine);
}

static void destroy(void)
{
    give_all();
    destroy_machine();
}

static void random_calls(void)
{
    uint64_t seed = number_from("TEST_SEED", 1), ops = number_from("TEST_OPS", 30000);
    for (uint64_t run_seed = seed; run_seed < seed + 4; run_seed++) {
        random_state = run_seed * 0x9e3779b97f4a7c15ull | 1;
        fail_every = 0;
        make();
        run(ops / 4);
        CHECK(taken > ops / 40 && refused_slot > 0 && refused_frames > 0 && refused_frees > 0);
        if (wrong)
            printf("# TEST_SEED=%llu\n", (unsigned long long)run_seed);
        destroy();
    }
}

static void every_nth_failure(void)
{
    for (fail_every = 1; fail_every <= 9; fail_every++) {
        random_state = fail_every;
        make();
        run(1500);
        CHECK(refused_frames > 0);
        CHECK(taken > 0 || fail_every == 1);
        destroy();
    }
    fail_every = 0;
}

/* ---- small scope, completely ---- */

#define FEW_SLOTS 3u
#define CALLS 6u
#define KINDS 6u

static void call(unsigned kind)
{
    switch (kind) {
    case 0: /* one arena's, then the other's */
    case 1:
        take(kind, kind ? QY_PAGE_BYTES + 1 : 100, 8);
        break;
    case 2: /* freed first, or last */
    case 3:
        if (live_count)
            give(kind == 2 ? 0 : live_count - 1);
        break;
    case 4:
        flush_finishes();
        break;
    default:
        qy_guard_drain(&guard);
    }
}

/* Every sequence of so many calls on a pool of three slots whose batches are of two: the model agrees after each. */
static void every_sequence(void)
{
    uint64_t sequences = 1, took = 0;
    for (unsigned i = 0; i < CALLS; i++)
        sequences *= KINDS;
    fail_every = 0;
    random_state = 1;
    make_machine();
    for (uint64_t sequence = 0; sequence < sequences && !wrong; sequence++) {
        uint64_t rest = sequence;
        make_pool(FEW_SLOTS, 2);
        for (unsigned i = 0; i < CALLS; i++, rest /= KINDS) {
            call(rest % KINDS);
            check();
        }
        if (wrong)
            printf("# sequence %llu\n", (unsigned long long)sequence);
        took += taken;
        give_all();
    }
    destroy_machine();
    printf("# %llu sequences, %llu objects\n", (unsigned long long)sequences,
           (unsigned long long)took);
    CHECK(took > sequences);
}

static const struct test tests[] = {
    {"every sequence of calls on three slots", every_sequence},
    {"random calls agree with the model", random_calls},
    {"every n-th request for frames fails", every_nth_failure},
};
TEST_MAIN(tests)
