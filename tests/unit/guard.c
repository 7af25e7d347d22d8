/*
 * Guarded allocations in a window onto simulated RAM: each kind of bug is planted, faults at the very
 * byte, and is explained; frames and slots come back when, and only when, a flush is done.
 *
 * What this would miss: a page that is unmapped here and reachable through a CPU's old translation in
 * the kernel; the kernel's own tests plant the same bugs there.
 */
#include <hosted/window.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <tap.h>

#define SLOTS 8u
#define SLOT_PAGES 4u
#define BATCH 4u
#define ARENA_PAGES 1024u

static struct hosted_machine machine;
static struct hosted_window window;
static struct qy_arena arena;
static struct qy_guard_slot slots[SLOTS];
static struct qy_guard guard;
static struct qy_guard_ops ops;
static const char heap_tag, other_tag, cache_tag;

/* ---- faults ---- */

static sigjmp_buf resume;
static volatile uintptr_t faulted;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    faulted = (uintptr_t)info->si_addr;
    siglongjmp(resume, 1);
}

static bool faults(volatile unsigned char *at)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, before;
    bool faulting = true;
    sigaction(SIGSEGV, &action, &before);
    faulted = 0;
    if (sigsetjmp(resume, 1) == 0) {
        *at = 1;
        faulting = false;
    }
    sigaction(SIGSEGV, &before, NULL);
    return faulting && faulted == (uintptr_t)at;
}

/* ---- the pool ---- */

static struct qy_guard_report last_slack;
static unsigned slack_reports;

static void on_slack(void *context, const struct qy_guard_report *report)
{
    (void)context;
    last_slack = *report;
    slack_reports++;
}

static void make(void)
{
    uint64_t bytes = qy_guard_window_bytes(SLOTS, SLOT_PAGES);
    CHECK(hosted_machine_make(&machine, 64ull << 20, true));
    CHECK(hosted_window_make(&window, &machine, bytes));
    hosted_ram_add(&machine, pfn(16), pfn(16 + ARENA_PAGES));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 7);
    CHECK_EQ(qy_arena_add(&arena, pfn(16), pfn(16 + ARENA_PAGES)), QY_OK);
    memset(qy_port_ram(pfn_to_paddr(pfn(16))), 0x77, ARENA_PAGES * QY_PAGE_BYTES);
    ops = hosted_guard_ops;
    ops.slack = on_slack;
    slack_reports = 0;
    struct qy_guard_config config = {.window = window.base,
                                     .slots = slots,
                                     .slot_count = SLOTS,
                                     .slot_pages = SLOT_PAGES,
                                     .batch = BATCH,
                                     .ops = &ops,
                                     .context = &window};
    CHECK_EQ(qy_guard_init(&guard, &config), QY_OK);
}

static void check_all(void)
{
    const char *broken = qy_guard_check(&guard);
    broken = broken ? broken : hosted_window_check(&window, &guard);
    broken = broken ? broken : qy_arena_check(&arena);
    if (broken)
        printf("# %s\n", broken);
    CHECK(!broken);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_OBJECT), qy_guard_pages(&guard, &arena));
}

static void destroy(void)
{
    qy_guard_gather(&guard, &arena);
    check_all();
    hosted_window_destroy(&window);
    hosted_machine_destroy(&machine);
}

static __attribute__((noinline)) unsigned char *take_aligned(size_t bytes, uint32_t align)
{
    void *object = NULL;
    struct qy_guard_what what = {.arena = &arena,
                                 .heap = &heap_tag,
                                 .cache = &cache_tag,
                                 .name = "widget",
                                 .site = (const struct qy_site *)(const void *)&other_tag,
                                 .align = align};
    enum qy_error error = qy_guard_alloc(&guard, &what, bytes, &object);
    CHECK_EQ(error, QY_OK);
    check_all();
    return object;
}

static unsigned char *take(size_t bytes)
{
    return take_aligned(bytes, 1);
}

static void give(void *object)
{
    CHECK_EQ(qy_guard_free(&guard, &heap_tag, &cache_tag, object), QY_OK);
    check_all();
}

/* The next object lies against that edge of its slot. */
static unsigned char *take_at(bool upper, size_t bytes)
{
    unsigned char *object = take(bytes);
    bool at_end = ((uintptr_t)object + bytes) % QY_PAGE_BYTES == 0;
    bool at_start = (uintptr_t)object % QY_PAGE_BYTES == 0;
    if (upper ? at_end : at_start)
        return object;
    unsigned char *other = take(bytes);
    give(object);
    CHECK(upper ? ((uintptr_t)other + bytes) % QY_PAGE_BYTES == 0
                : (uintptr_t)other % QY_PAGE_BYTES == 0);
    return other;
}

static struct qy_guard_report explain(const void *at)
{
    struct qy_guard_report report = {.bug = QY_GUARD_BUG_COUNT};
    CHECK(qy_guard_explain(&guard, (uintptr_t)at, &report));
    CHECK_EQ(report.address, (uintptr_t)at);
    return report;
}

static void check_report(const struct qy_guard_report *report, enum qy_guard_bug bug,
                         const void *object, size_t bytes, uint64_t distance)
{
    CHECK_EQ(report->bug, bug);
    CHECK_EQ(report->object, (uintptr_t)object);
    CHECK_EQ(report->bytes, bytes);
    CHECK_EQ(report->distance, distance);
    CHECK(strcmp(report->name, "widget") == 0);
    CHECK(report->site == (const void *)&other_tag);
    CHECK_EQ(report->arena, 7);
    CHECK(report->allocated.depth >= 3);
}

static const size_t sizes[] = {1, 16, 100, 4095, 4096, 4097, 9000, SLOT_PAGES * 4096};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* ---- tests ---- */

static void overflow(void)
{
    make();
    for (size_t i = 0; i < SIZES; i++) {
        unsigned char *object = take_at(true, sizes[i]);
        memset(object, 0xff, sizes[i]);
        CHECK(faults(object + sizes[i]));
        struct qy_guard_report report = explain(object + sizes[i]);
        check_report(&report, QY_GUARD_OVERFLOW, object, sizes[i], 0);
        CHECK(!report.is_freed);
        CHECK(faults(object + sizes[i] + 99));
        report = explain(object + sizes[i] + 99);
        check_report(&report, QY_GUARD_OVERFLOW, object, sizes[i], 99);
        give(object);
    }
    destroy();
}

static void underflow(void)
{
    make();
    for (size_t i = 0; i < SIZES; i++) {
        unsigned char *object = take_at(false, sizes[i]);
        memset(object, 0xff, sizes[i]);
        CHECK(faults(object - 1));
        struct qy_guard_report report = explain(object - 1);
        check_report(&report, QY_GUARD_UNDERFLOW, object, sizes[i], 1);
        give(object);
    }
    destroy();
}

/* The page next to the object's, inside the slot, is no more accessible than a guard page. */
static void far_side(void)
{
    make();
    unsigned char *upper = take_at(true, 100), *lower = take_at(false, 100);
    CHECK(faults(upper + 99 - QY_PAGE_BYTES));
    struct qy_guard_report report = explain(upper - QY_PAGE_BYTES);
    check_report(&report, QY_GUARD_UNDERFLOW, upper, 100, QY_PAGE_BYTES);
    CHECK(faults(lower + QY_PAGE_BYTES));
    report = explain(lower + QY_PAGE_BYTES);
    check_report(&report, QY_GUARD_OVERFLOW, lower, 100, QY_PAGE_BYTES - 100);
    give(upper);
    give(lower);
    destroy();
}

static void use_after_free(void)
{
    make();
    unsigned char *objects[SLOTS];
    for (unsigned i = 0; i < SLOTS; i++)
        objects[i] = take(200);
    for (unsigned i = 0; i < SLOTS; i++)
        give(objects[i]);
    for (unsigned round = 0; round < 2; round++) { /* before the flush, and after it */
        for (unsigned i = 0; i < SLOTS; i++) {
            CHECK(faults(objects[i] + 8));
            struct qy_guard_report report = explain(objects[i] + 8);
            check_report(&report, QY_GUARD_USE_AFTER_FREE, objects[i], 200, 8);
            CHECK(report.is_freed && report.freed.depth >= 3);
            CHECK_EQ(report.number, i + 1);
        }
        qy_guard_gather(&guard, NULL);
    }
    destroy();
}

static void edges_of_the_window(void)
{
    make();
    for (unsigned i = 0; i < SLOTS; i++)
        (void)take(SLOT_PAGES * QY_PAGE_BYTES);
    uint64_t bytes = qy_guard_window_bytes(SLOTS, SLOT_PAGES);
    struct qy_guard_report report;
    unsigned accessible = 0;
    for (uint64_t page = 0; page < bytes / QY_PAGE_BYTES; page++) {
        bool guarded = page % (SLOT_PAGES + 1) == 0;
        bool fault = faults(window.base + page * QY_PAGE_BYTES);
        CHECK_EQ(fault, guarded);
        accessible += !fault;
        CHECK_EQ(qy_guard_explain(&guard, (uintptr_t)window.base + page * QY_PAGE_BYTES, &report),
                 guarded);
    }
    CHECK_EQ(accessible, SLOTS * SLOT_PAGES);
    CHECK(!qy_guard_explain(&guard, (uintptr_t)window.base - 1, &report));
    CHECK(!qy_guard_explain(&guard, (uintptr_t)window.base + bytes, &report));
    destroy();
}

/* Between two objects the live one is blamed, then the nearer. */
static void between_two(void)
{
    make();
    unsigned char *all[SLOTS];
    for (unsigned i = 0; i < SLOTS; i++)
        all[i] = take(SLOT_PAGES * QY_PAGE_BYTES);
    unsigned char *end = all[2] + SLOT_PAGES * QY_PAGE_BYTES;
    CHECK(end + QY_PAGE_BYTES == all[3]);
    CHECK_EQ(explain(end + 10).object, (uintptr_t)all[2]);
    CHECK_EQ(explain(all[3] - 10).object, (uintptr_t)all[3]);
    give(all[2]);
    CHECK_EQ(explain(end + 10).object, (uintptr_t)all[3]);
    CHECK_EQ(explain(end + 10).bug, QY_GUARD_UNDERFLOW);
    give(all[3]);
    CHECK_EQ(explain(end + 10).object, (uintptr_t)all[2]);
    CHECK_EQ(explain(end + 10).bug, QY_GUARD_USE_AFTER_FREE);
    destroy();
}

static void nothing_was_there(void)
{
    make();
    struct qy_guard_report report;
    CHECK(faults(window.base + 2 * QY_PAGE_BYTES));
    CHECK(!qy_guard_explain(&guard, (uintptr_t)window.base + 2 * QY_PAGE_BYTES, &report));
    destroy();
}

static void slack(void)
{
    make();
    for (size_t i = 0; i < SIZES; i++)
        for (unsigned upper = 0; upper < 2; upper++) {
            unsigned char *object = take_at(upper, sizes[i]);
            size_t room = -sizes[i] % QY_PAGE_BYTES;
            if (room == 0) {
                give(object);
                continue;
            }
            unsigned char *wrong = upper ? object - 1 : object + sizes[i];
            *wrong ^= 0x10;
            CHECK(strcmp(qy_guard_check(&guard), "GUARD-SLACK") == 0);
            unsigned before = slack_reports;
            give(object);
            CHECK_EQ(slack_reports, before + 1);
            check_report(&last_slack, QY_GUARD_SLACK, object, sizes[i], upper ? 1 : sizes[i]);
            CHECK_EQ(last_slack.address, (uintptr_t)wrong);
            CHECK(last_slack.is_freed && last_slack.freed.depth >= 3);
        }
    struct qy_guard_counters counters;
    qy_guard_count(&guard, &counters);
    CHECK_EQ(counters.slack, slack_reports);
    destroy();
}

/* An embedder that does not want to hear of it stops. */
static void slack_without_ear(void)
{
    jmp_buf jump;
    make();
    ops.slack = NULL;
    unsigned char *object = take_at(false, 40);
    object[40] = 1;
    if (setjmp(*hosted_catch(&jump)) == 0) {
        (void)!qy_guard_free(&guard, &heap_tag, &cache_tag, object);
        CHECK(!"the free returned");
    }
    hosted_catch(NULL);
    CHECK(strcmp(hosted_broken.invariant, "GUARD-SLACK") == 0);
    CHECK_EQ(hosted_broken.number, (uintptr_t)(object + 40));
    hosted_window_destroy(&window);
    hosted_machine_destroy(&machine);
}

static void wrong_frees(void)
{
    make();
    size_t bytes;
    unsigned char *object = take(100), *second = take(100);
    CHECK_EQ(qy_guard_free(&guard, &heap_tag, &cache_tag, object + 1), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_guard_free(&guard, &other_tag, &cache_tag, object), QY_NOT_OWNED);
    CHECK_EQ(qy_guard_free(&guard, &heap_tag, &other_tag, object), QY_NOT_OWNED);
    CHECK_EQ(qy_guard_free(&guard, &heap_tag, NULL, window.base), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_guard_free(&guard, &heap_tag, NULL, window.base - 1), QY_NOT_OWNED);
    CHECK_EQ(qy_guard_free(&guard, &heap_tag, NULL, &window), QY_NOT_OWNED);
    CHECK_EQ(qy_guard_free(&guard, &heap_tag, NULL,
                           window.base + qy_guard_window_bytes(SLOTS, SLOT_PAGES) - 1),
             QY_NOT_ALLOCATED);
    CHECK_EQ(qy_guard_size(&guard, &heap_tag, object, &bytes), QY_OK);
    CHECK_EQ(bytes, 100);
    CHECK_EQ(qy_guard_size(&guard, &other_tag, object, &bytes), QY_NOT_OWNED);
    check_all();
    give(object);
    CHECK_EQ(qy_guard_free(&guard, &heap_tag, &cache_tag, object), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_guard_size(&guard, &heap_tag, object, &bytes), QY_NOT_ALLOCATED);
    qy_guard_gather(&guard, &arena);
    CHECK_EQ(qy_guard_free(&guard, &heap_tag, &cache_tag, object), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_guard_free(&guard, &heap_tag, NULL, second), QY_OK); /* of whichever cache */
    struct qy_guard_counters counters;
    qy_guard_count(&guard, &counters);
    CHECK_EQ(counters.refused_frees, 9);
    CHECK_EQ(counters.live, 0);
    destroy();
}

/* Frames that others have written to are handed out zeroed, at every alignment. */
static void zeroed_and_aligned(void)
{
    make();
    for (uint32_t align = 1; align <= QY_PAGE_BYTES; align *= 2)
        for (size_t i = 0; i < SIZES; i++) {
            unsigned char *object = take_aligned(sizes[i], align);
            CHECK_EQ((uintptr_t)object % align, 0);
            unsigned char any = 0;
            for (size_t b = 0; b < sizes[i]; b++)
                any |= object[b];
            CHECK_EQ(any, 0);
            memset(object, 0xee, sizes[i]);
            give(object);
        }
    destroy();
}

static void refused(void)
{
    make();
    void *object;
    struct qy_guard_what what = {.arena = &arena, .heap = &heap_tag, .name = "widget", .align = 8};
    CHECK_EQ(qy_guard_alloc(&guard, &what, 0, &object), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_guard_alloc(&guard, &what, SLOT_PAGES * QY_PAGE_BYTES + 1, &object),
             QY_INVALID_ARGUMENT);
    what.align = 24;
    CHECK_EQ(qy_guard_alloc(&guard, &what, 8, &object), QY_INVALID_ARGUMENT);
    what.align = 8192;
    CHECK_EQ(qy_guard_alloc(&guard, &what, 8, &object), QY_INVALID_ARGUMENT);
    what.align = 8;
    check_all();

    unsigned char *all[SLOTS];
    for (unsigned i = 0; i < SLOTS; i++)
        all[i] = take(10);
    CHECK_EQ(qy_guard_alloc(&guard, &what, 8, &object), QY_TOO_MANY);
    check_all();
    for (unsigned i = 0; i < SLOTS; i++)
        give(all[i]);
    qy_guard_gather(&guard, NULL);

    pfn_t hog[ARENA_PAGES];
    unsigned held = 0;
    while (qy_arena_alloc(&arena, 0, QY_FRAME_USER, &hog[held]) == QY_OK)
        held++;
    CHECK_EQ(held, ARENA_PAGES);
    CHECK_EQ(qy_guard_alloc(&guard, &what, 8, &object), QY_OUT_OF_MEMORY);
    check_all();
    while (held)
        CHECK_EQ(qy_arena_free(&arena, hog[--held], 0, QY_FRAME_USER), QY_OK);
    unsigned char *live = take(10);
    qy_arena_mark_dying(&arena);
    CHECK_EQ(qy_guard_alloc(&guard, &what, 8, &object), QY_REVOKED);
    give(live); /* what is out can be given back */
    struct qy_guard_counters counters;
    qy_guard_count(&guard, &counters);
    CHECK_EQ(counters.no_slot, 1);
    CHECK_EQ(counters.no_frames, 2);
    CHECK_EQ(counters.sampled, SLOTS + 1);
    destroy();
}

/* Frames stay with a freed object until the flush of its batch is done, and its slot is the last to be taken again. */
static void batches(void)
{
    make();
    unsigned char *objects[SLOTS];
    struct qy_guard_counters counters;
    for (unsigned i = 0; i < SLOTS; i++)
        objects[i] = take(5000);
    atomic_store(&window.hold, true);
    for (unsigned i = 0; i < SLOTS; i++) {
        give(objects[i]);
        CHECK_EQ(atomic_load(&window.flushes), i + 1 >= BATCH);
        CHECK_EQ(qy_guard_freed_pages(&guard, &arena), 2 * (i + 1));
    }
    void *object;
    struct qy_guard_what what = {.arena = &arena, .heap = &heap_tag, .name = "widget", .align = 8};
    CHECK_EQ(qy_guard_alloc(&guard, &what, 8, &object), QY_TOO_MANY);
    qy_guard_count(&guard, &counters);
    CHECK_EQ(counters.held, SLOTS);
    CHECK_EQ(counters.flushes, 1);
    atomic_store(&window.hold, false);
    unsigned char *next = take(5000); /* retires the first batch, begins the second */
    qy_guard_count(&guard, &counters);
    CHECK_EQ(counters.held, SLOTS - BATCH);
    CHECK_EQ(counters.unused, BATCH - 1);
    CHECK_EQ(counters.flushes, 2);
    CHECK((uint64_t)(next - window.base) < (SLOT_PAGES + 1) * QY_PAGE_BYTES); /* as objects[0] */
    give(next);
    destroy();
}

static void gather_one_arena(void)
{
    static struct qy_arena child;
    make();
    CHECK_EQ(qy_arena_carve(&arena, &child, 16, 9), QY_OK);
    void *object;
    struct qy_guard_what what = {.arena = &child, .heap = &heap_tag, .name = "widget", .align = 8};
    CHECK_EQ(qy_guard_alloc(&guard, &what, 5000, &object), QY_OK);
    unsigned char *other = take(10);
    CHECK_EQ(qy_guard_pages(&guard, &child), 2);
    CHECK_EQ(qy_guard_pages(&guard, NULL), 3);
    CHECK_EQ(qy_guard_free(&guard, &heap_tag, NULL, object), QY_OK);
    CHECK_EQ(qy_arena_return(&child), QY_BUSY);
    qy_guard_gather(&guard, &child);
    CHECK_EQ(qy_guard_pages(&guard, &child), 0);
    CHECK_EQ(qy_arena_return(&child), QY_OK);
    CHECK_EQ(explain(object).arena, 9); /* told after the arena is gone */
    give(other);
    destroy();
}

static __attribute__((noinline)) unsigned char *here(uintptr_t *inside)
{
    unsigned char *object = take(32);
    *inside = (uintptr_t)__builtin_return_address(0);
    return object;
}

static bool stack_has(const struct qy_guard_stack *stack, uintptr_t address)
{
    for (unsigned i = 0; i < stack->depth; i++)
        if (stack->at[i] == address)
            return true;
    return false;
}

static void stacks(void)
{
    make();
    uintptr_t inside;
    hosted_cpu_set(3);
    unsigned char *object = here(&inside);
    hosted_cpu_set(5);
    give(object);
    struct qy_guard_report report = explain(object);
    CHECK_EQ(report.allocated.cpu, 3);
    CHECK_EQ(report.freed.cpu, 5);
    CHECK(stack_has(&report.allocated, inside));
    CHECK(!stack_has(&report.freed, inside));
    hosted_cpu_set(0);
    destroy();
}

static void configurations(void)
{
    make();
    static const struct {
        uint32_t slots, pages, batch, off;
    } bad[] = {{0, 1, 1, 0}, {4, 0, 1, 0}, {4, QY_GUARD_PAGES_MAX + 1, 1, 0},
               {4, 1, 0, 0}, {4, 1, 5, 0}, {4, 1, 1, 8}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct qy_guard_config config = guard.config;
        config.slot_count = bad[i].slots;
        config.slot_pages = bad[i].pages;
        config.batch = bad[i].batch;
        config.window += bad[i].off;
        struct qy_guard other;
        CHECK_EQ(qy_guard_init(&other, &config), QY_INVALID_ARGUMENT);
    }
    for (unsigned bug = 0; bug < QY_GUARD_BUG_COUNT; bug++)
        CHECK(strlen(qy_guard_bug_words((enum qy_guard_bug)bug)) > 5);
    destroy();
}

static const struct test tests[] = {
    {"a write past the end faults and is explained", overflow},
    {"a write before the start faults and is explained", underflow},
    {"the rest of the slot is out of reach", far_side},
    {"a use after free faults, before the flush and after it", use_after_free},
    {"both edges of the window and all guard pages are unmapped", edges_of_the_window},
    {"between two objects the live one is blamed, then the nearer", between_two},
    {"where nothing was there is nothing to explain", nothing_was_there},
    {"a write to slack is found by the free", slack},
    {"without an ear for it, a write to slack is a broken promise", slack_without_ear},
    {"double, wild and foreign frees are refused", wrong_frees},
    {"objects are zeroed and aligned", zeroed_and_aligned},
    {"what cannot be guarded is refused and counted", refused},
    {"frames wait for the flush of their batch", batches},
    {"an arena's frames are gathered before it goes", gather_one_arena},
    {"stacks of the allocation and of the free", stacks},
    {"configurations that are none", configurations},
};
TEST_MAIN(tests)
