/*
 * Heaps whose objects are guarded, as the kernel puts them together (kernel/guard/heap.c), on a window in a Linux
 * process: pieces of all sizes by random calls beside a model, resized ones too; every planted bug through a real
 * cache, and what its report says; how often an object is guarded; memory that runs out. Would miss: stale
 * translations of other CPUs (guard_model, and the boots with guard=N).
 */
#include "../../kernel/guard/guard_impl.h"

#include <arch/arch.h>
#include <hosted/window.h>
#include <kernel/heap.h>
#include <lib/random.h>
#include <qy/heap.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#define SITES_MAX 8u
#define SLOTS 96u
#define SLOT_PAGES 4u
#define BATCH 4u
#define LIVE_MAX 300u
#define OPERATIONS 12000u

static struct hosted_machine machine;
static struct hosted_window window;
static struct qy_arena arena, other_arena;
static struct qy_guard pool;
static struct qy_guard_slot slots[SLOTS];
static struct qy_heap heap, other_heap;
static struct qy_sizes sizes;
static struct qy_cache cache, other, foreign; /* the last of the other heap */
static struct cpu this_cpu;
_Thread_local struct cpu *fake_cpu_current = &this_cpu;
static struct qy_cpu_objects *const cpu = &this_cpu.objects;
static struct qy_site_counts site_counts[SITES_MAX];
static struct qy_debug debug;
static struct qy_quarantine quarantine;
static uint32_t interval, tool_flags;
static uint64_t random_state;

/* ---- what kernel/guard and kernel/heap have beside the hooks ---- */

struct qy_guard *guard_pool(void)
{
    return &pool;
}

uint32_t guard_interval(void)
{
    return interval;
}

static const struct qy_heap_hooks *guard_hooks;
static void (*debug_drain)(struct qy_cpu_objects *by, struct qy_heap *of);

static void drain_both(struct qy_cpu_objects *by, struct qy_heap *of)
{
    debug_drain(by, of);
    guard_hooks->drain(by, of);
}

const struct qy_heap_hooks *heap_tools_with(const struct qy_heap_hooks *guard)
{
    guard_hooks = guard;
    if (!tool_flags)
        return guard;
    qy_debug_init(&debug, tool_flags, tool_flags & QY_CACHE_QUARANTINED ? &quarantine : NULL,
                  1 << 14);
    debug_drain = debug.hooks.drain;
    debug.hooks.drain = drain_both;
    debug.hooks.guard_alloc = guard->guard_alloc;
    debug.hooks.guard_free = guard->guard_free;
    debug.hooks.guard_size = guard->guard_size;
    debug.hooks.guard_trailer = guard->guard_trailer;
    debug.hooks.guard_each = guard->guard_each;
    return &debug.hooks;
}

/* ---- scene ---- */

static const struct qy_cache_type widget = {"widget", 200, 8, NULL, 0};

static void make_arena(struct qy_arena *of, uint64_t base, uint64_t pages, uint32_t id)
{
    hosted_ram_add(&machine, pfn(base), pfn(base + pages));
    memset(qy_port_ram(pfn_to_paddr(pfn(base))), 0xee, pages * QY_PAGE_BYTES);
    qy_arena_init(of, &machine.db, 0, QY_ZONE_NORMAL, id);
    CHECK_EQ(qy_arena_add(of, pfn(base), pfn(base + pages)), QY_OK);
}

/* One object in `every` is guarded; the heap's arena has so many pages; its caches get these flags. */
static void make(uint32_t every, uint64_t pages, uint32_t flags)
{
    static struct qy_guard_ops ops;
    interval = every;
    tool_flags = flags;
    CHECK(hosted_machine_make(&machine, 64ull << 20, true));
    CHECK(hosted_window_make(&window, &machine, qy_guard_window_bytes(SLOTS, SLOT_PAGES)));
    make_arena(&arena, 512, pages, 7);
    make_arena(&other_arena, 8192, 512, 8);
    ops = hosted_guard_ops;
    ops.freeing = guard_freeing;
    struct qy_guard_config config = {.window = window.base,
                                     .slots = slots,
                                     .slot_count = SLOTS,
                                     .slot_pages = SLOT_PAGES,
                                     .batch = BATCH,
                                     .ops = &ops,
                                     .context = &window};
    CHECK_EQ(qy_guard_init(&pool, &config), QY_OK);
    guard_heap_init(&heap, &arena, 77);
    guard_heap_init(&other_heap, &other_arena, 78);
    CHECK_EQ(qy_sizes_init(&sizes, &heap, 0), QY_OK);
    CHECK_EQ(qy_cache_init(&cache, &heap, &widget), QY_OK);
    CHECK_EQ(qy_cache_init(&other, &heap, &widget), QY_OK);
    CHECK_EQ(qy_cache_init(&foreign, &other_heap, &widget), QY_OK);
    qy_cpu_objects_init(cpu, 0, NULL);
    memset(site_counts, 0, sizeof(site_counts));
    CHECK(qy_site_count() <= SITES_MAX);
    qy_sites_count(cpu, site_counts);
    random_state = every * 0x9e3779b97f4a7c15ull | 1;
}

static void check(void)
{
    struct qy_debug_report report;
    const char *broken = qy_heap_check(&heap);
    broken = broken ? broken : qy_guard_check(&pool);
    broken = broken ? broken : hosted_window_check(&window, &pool);
    broken = broken ? broken : qy_arena_check(&arena);
    if (!broken && tool_flags && !qy_debug_check(&debug, &heap, &report))
        broken = report.invariant;
    if (broken)
        printf("# %s\n", broken);
    CHECK(!broken);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_OBJECT), qy_guard_pages(&pool, &arena)); /* PAID */
    CHECK_EQ(qy_arena_pages(&other_arena, QY_FRAME_OBJECT), qy_guard_pages(&pool, &other_arena));
}

static void done(void) QY_UNCHECKED
{
    qy_heap_drain(cpu, &heap);
    qy_heap_reclaim(&heap);
    qy_guard_gather(&pool, NULL);
    check();
    CHECK_EQ(guard_live(&heap), 0);
    CHECK_EQ(qy_heap_pages(&heap), 0);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), arena.total_pages);
    hosted_window_destroy(&window);
    hosted_machine_destroy(&machine);
}

static bool is_guarded(const void *object)
{
    return qy_guard_holds(&pool, object);
}

/* ---- random calls ---- */

static struct live {
    unsigned char *piece;
    size_t bytes;
    unsigned char fill;
} live[LIVE_MAX];
static unsigned live_count;
static uint64_t guarded, guarded_resized, refused;

static const struct qy_site *piece_site(void)
{
    return QY_SITE("a piece");
}

static bool is(const unsigned char *at, size_t bytes, unsigned char value)
{
    return bytes == 0 || (at[0] == value && memcmp(at, at + 1, bytes - 1) == 0);
}

static size_t some_bytes(void)
{
    return 1 + (size_t)random_below(&random_state, random_below(&random_state, 8) ? 3000 : 12000);
}

static void take_piece(void) QY_UNCHECKED
{
    size_t bytes = some_bytes(),
           align = random_below(&random_state, 4) ? 1 : 1ull << random_below(&random_state, 11),
           room;
    void *piece;
    enum qy_error error = qy_sizes_alloc_from(cpu, &sizes, bytes, align, piece_site(), &piece);
    if (error != QY_OK || live_count == LIVE_MAX) {
        CHECK(error != QY_OK || qy_sizes_free(cpu, &sizes, piece) == QY_OK);
        return;
    }
    CHECK(is(piece, bytes, 0) && (uintptr_t)piece % align == 0);
    CHECK_EQ(qy_sizes_room(&sizes, piece, &room), QY_OK);
    CHECK(is_guarded(piece) ? room == bytes : room >= bytes);
    guarded += is_guarded(piece);
    live[live_count] =
        (struct live){piece, bytes, (unsigned char)(1 + random_below(&random_state, 255))};
    memset(piece, live[live_count++].fill, bytes);
}

static void give_piece(void) QY_UNCHECKED
{
    unsigned i = (unsigned)random_below(&random_state, live_count);
    struct live l = live[i];
    live[i] = live[--live_count];
    CHECK(is(l.piece, l.bytes, l.fill));
    if (l.bytes > 1)
        CHECK_EQ(qy_sizes_free(cpu, &sizes, l.piece + 1 + random_below(&random_state, l.bytes - 1)),
                 QY_NOT_ALLOCATED);
    CHECK(qy_cache_free(cpu, &cache, l.piece) != QY_OK); /* no object of that cache */
    CHECK_EQ(qy_sizes_free(cpu, &sizes, l.piece), QY_OK);
    CHECK(qy_sizes_free(cpu, &sizes, l.piece) != QY_OK);
    refused += 3;
}

static void resize_piece(void) QY_UNCHECKED
{
    struct live *l = &live[random_below(&random_state, live_count)];
    size_t bytes = some_bytes(), kept = bytes < l->bytes ? bytes : l->bytes, room;
    void *piece = l->piece;
    bool was_guarded = is_guarded(piece);
    if (qy_sizes_resize(cpu, &sizes, &piece, bytes) != QY_OK) {
        CHECK(piece == l->piece && is(piece, l->bytes, l->fill));
        return;
    }
    CHECK(is(piece, kept, l->fill));
    CHECK(is((unsigned char *)piece + kept, bytes - kept, 0));
    CHECK(qy_sizes_room(&sizes, piece, &room) == QY_OK && room >= bytes);
    if (piece != l->piece)
        CHECK(qy_sizes_free(cpu, &sizes, l->piece) != QY_OK);
    guarded_resized += was_guarded;
    *l = (struct live){piece, bytes, l->fill};
    memset(piece, l->fill, bytes);
}

static struct qy_site_sums sums_of(const struct qy_site *site)
{
    struct qy_site_sums sums = {0};
    qy_site_read(site, cpu, &sums);
    return sums;
}

/* SITE-COUNT: every piece, guarded or not, is counted at its site and is in the list of what lives, resized or not. */
static void count_sites(void)
{
    struct qy_tally_row rows[64];
    struct qy_tally tally;
    uint64_t count = 0, bytes = 0, asked = 0;
    if (!(tool_flags & QY_CACHE_TRACKED))
        return;
    qy_tally_begin(&tally, rows, 64);
    qy_leaks(&heap, 0, &tally);
    for (size_t i = 0; i < tally.used; i++) {
        CHECK_EQ(rows[i].key[QY_LEAK_SITE], qy_site_number(piece_site()));
        count += rows[i].count;
        bytes += rows[i].bytes;
    }
    CHECK_EQ(count, live_count);
    CHECK_EQ(sums_of(piece_site()).live, live_count);
    CHECK_EQ(sums_of(piece_site()).live_bytes, bytes);
    for (unsigned i = 0; i < live_count; i++)
        asked += live[i].bytes > QY_SIZE_CLASS_MAX && !is_guarded(live[i].piece)
                     ? qy_align_up(live[i].bytes, QY_PAGE_BYTES)
                     : live[i].bytes;
    CHECK_EQ(bytes, asked);
}

static void random_pieces(uint32_t every, uint64_t pages, uint32_t flags)
{
    make(every, pages, flags);
    live_count = 0;
    guarded = guarded_resized = refused = 0;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        uint64_t what = random_below(&random_state, 100);
        if (live_count == 0 || what < (i / 2000 % 2 ? 35u : 52u))
            take_piece();
        else if (what < 85)
            give_piece();
        else
            resize_piece();
        if (i % 64 == 0) {
            check();
            count_sites();
        }
    }
    CHECK(guarded > OPERATIONS / every / 10 && (guarded_resized > 0 || every > 10));
    while (live_count)
        give_piece();
    count_sites();
    done();
}

static void pieces_beside_a_model(void)
{
    static const uint32_t flags[] = {0, QY_CACHE_TRACKED, QY_CACHE_HOOKED};
    static const uint32_t every[] = {1, 3, 10, 500};
    for (unsigned i = 0; i < 12; i++)
        random_pieces(every[i % 4], i % 2 ? 600 : 4000, flags[i / 4]);
}

/* An owner is that of a guarded piece like of any other, and stays its own when it is resized. */
static void owner_of_a_guarded_piece(void) QY_UNCHECKED
{
    struct qy_tally_row rows[4];
    struct qy_tally tally;
    void *piece;
    make(1, 600, QY_CACHE_TRACKED);
    CHECK_EQ(qy_sizes_alloc_from(cpu, &sizes, 100, 1, piece_site(), &piece), QY_OK);
    CHECK(is_guarded(piece));
    qy_sizes_origin_set(cpu, &sizes, piece, &(struct qy_owner){3, 30, 1, 5, 100, 0});
    qy_tally_begin(&tally, rows, 4);
    qy_leaks(&heap, 0, &tally);
    CHECK(tally.used == 1 && rows[0].key[QY_LEAK_PAYER] == 3 && rows[0].oldest == 5);
    CHECK_EQ(qy_sizes_resize(cpu, &sizes, &piece, 2000), QY_OK);
    qy_tally_begin(&tally, rows, 4);
    qy_leaks(&heap, 0, &tally);
    CHECK(tally.used == 1 && rows[0].key[QY_LEAK_SITE] == qy_site_number(piece_site()));
    CHECK_EQ(sums_of(piece_site()).live_bytes, 2000);
    CHECK_EQ(qy_sizes_free(cpu, &sizes, piece), QY_OK);
    done();
}

/* ---- planted bugs ---- */

static sigjmp_buf resume;
static volatile uintptr_t faulted;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    faulted = (uintptr_t)info->si_addr;
    siglongjmp(resume, 1);
}

/* Whether a write or a read faults there, and is explained as that bug of that object by its cache and site. */
static void is_caught(volatile unsigned char *at, bool write, enum qy_guard_bug bug,
                      const void *object, const struct qy_site *site)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, before;
    struct qy_guard_report report = {.bug = QY_GUARD_BUG_COUNT};
    volatile bool caught = true;
    sigaction(SIGSEGV, &action, &before);
    faulted = 0;
    if (sigsetjmp(resume, 1) == 0) {
        if (write)
            *at = 1;
        else
            (void)*at;
        caught = false;
    }
    sigaction(SIGSEGV, &before, NULL);
    CHECK(caught && faulted == (uintptr_t)at);
    CHECK(qy_guard_explain(&pool, (uintptr_t)at, &report));
    CHECK(report.bug == bug && report.object == (uintptr_t)object && report.bytes == widget.bytes);
    CHECK(strcmp(report.name, "widget") == 0 && report.arena == 7 && report.site == site);
    CHECK(report.allocated.depth >= 3 &&
          (bug != QY_GUARD_USE_AFTER_FREE || report.freed.depth >= 3));
}

static unsigned char *take_widget(const struct qy_site *site, bool upper) QY_UNCHECKED
{
    void *object[2];
    for (unsigned i = 0; i < 2; i++) /* against the two edges by turns */
        CHECK(qy_cache_alloc_from(cpu, &cache, site, &object[i]) == QY_OK && is_guarded(object[i]));
    bool second = ((uintptr_t)object[1] % QY_PAGE_BYTES != 0) == upper;
    CHECK_EQ(qy_cache_free(cpu, &cache, object[!second]), QY_OK);
    return object[second];
}

static void planted_bugs(void) QY_UNCHECKED
{
    static const uint64_t arenas[] = {64, 2048}; /* without magazines, and with */
    for (unsigned i = 0; i < 4; i++) {
        make(1, arenas[i % 2], i / 2 ? QY_CACHE_TRACKED : 0);
        const struct qy_site *site = QY_SITE("a widget");
        for (unsigned turn = 0; turn < 20; turn++) {
            unsigned char *upper = take_widget(site, true), *lower = take_widget(site, false);
            is_caught(upper + widget.bytes, turn % 2, QY_GUARD_OVERFLOW, upper, site);
            is_caught(lower - 1, turn % 2, QY_GUARD_UNDERFLOW, lower, site);
            CHECK_EQ(qy_cache_free(cpu, &other, upper), QY_NOT_OWNED);
            CHECK_EQ(qy_cache_free(cpu, &foreign, upper), QY_NOT_OWNED);
            CHECK_EQ(qy_cache_free(cpu, &cache, upper + 8), QY_NOT_ALLOCATED);
            CHECK_EQ(qy_cache_free(cpu, &cache, window.base), QY_NOT_ALLOCATED);
            check();
            CHECK_EQ(qy_cache_free(cpu, &cache, upper), QY_OK);
            for (unsigned late = 0; late < 2;
                 late++) { /* before its batch is flushed, and afterwards */
                CHECK_EQ(qy_cache_free(cpu, &cache, upper), QY_NOT_ALLOCATED);
                is_caught(upper + 8, turn % 2, QY_GUARD_USE_AFTER_FREE, upper, site);
                qy_guard_gather(&pool, NULL);
            }
            CHECK_EQ(qy_cache_free(cpu, &cache, lower), QY_OK);
        }
        done();
    }
}

/* ---- how often ---- */

static void one_in_so_many(void) QY_UNCHECKED
{
    static const uint32_t every[] = {1, 10, 500};
    for (unsigned i = 0; i < 6; i++) {
        uint32_t n = every[i % 3], count = 20000, seen = 0;
        make(n, i < 3 ? 64 : 2048, 0);
        for (uint32_t k = 0; k < count; k++) {
            void *object;
            CHECK_EQ(qy_cache_alloc(cpu, &cache, &object), QY_OK);
            seen += is_guarded(object);
            CHECK_EQ(qy_cache_free(cpu, &cache, object), QY_OK);
        }
        CHECK(seen >= count / n - 2 && seen <= count / n + 2);
        done();
    }
}

/* More than there are slots: the cache serves. None has frames left: the cache serves from what it has. */
static void slots_and_frames_run_out(void) QY_UNCHECKED
{
    static void *objects[8000];
    unsigned count = 0, seen = 0;
    make(1, 256, 0);
    for (; qy_cache_alloc(cpu, &cache, &objects[count]) == QY_OK; count++)
        seen += is_guarded(objects[count]);
    printf("# %u objects, %u guarded\n", count, seen);
    CHECK(seen == SLOTS && count > SLOTS + (256 - SLOTS) * 15);
    check();
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 0);
    atomic_store(&window.hold, true);
    for (unsigned i = 0; i < count; i++) /* freed, but not flushed: their frames are nobody's yet */
        if (is_guarded(objects[i])) {
            CHECK_EQ(qy_cache_free(cpu, &cache, objects[i]), QY_OK);
            objects[i] = NULL;
        }
    CHECK_EQ(qy_cache_alloc(cpu, &cache, &objects[count]), QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 0);
    atomic_store(&window.hold,
                 false); /* the flush is done: an allocation that would fail takes them back */
    qy_heap_guard_every(&heap, 0); /* one that is not guarded itself */
    void *more;
    CHECK_EQ(qy_cache_alloc(cpu, &cache, &more), QY_OK);
    CHECK_EQ(qy_cache_free(cpu, &cache, more), QY_OK);
    for (unsigned i = 0; i < count; i++)
        if (objects[i])
            CHECK_EQ(qy_cache_free(cpu, &cache, objects[i]), QY_OK);
    done();
}

static const struct test tests[] = {
    {"pieces of all sizes beside a model", pieces_beside_a_model},
    {"an owner of a guarded piece", owner_of_a_guarded_piece},
    {"planted bugs are caught and named", planted_bugs},
    {"one object in so many", one_in_so_many},
    {"slots and frames run out", slots_and_frames_run_out},
};
TEST_MAIN(tests)
