/*
 * Any bytes as calls on size classes and a cache in one heap, by two CPUs, with inner allocations that fail
 * when the input says so.
 *
 *     input   | kinds | op | a | b | op | a | b | ...     op's high bits: the n-th inner allocation fails;
 *                                                         kinds: which debug kinds the heap has (qy/debug.h)
 *
 * Linked with --wrap=qy_arena_alloc. Live pieces carry a pattern; a stale or crooked pointer is given back
 * now and then. Where the heap is tracked, the counters of sites are compared with what lives. The validators run
 * after every call; at the end the arena is one free whole.
 */
#include "fuzz.h"

#include <hosted/hosted.h>
#include <qy/debug.h>
#include <qy/frame_cache.h>
#include <qy/heap.h>
#include <string.h>

#define PAGES 1024u
#define CALLS_MAX 150u
#define HELD 96u
#define SITES_MAX 8u

static struct hosted_machine machine;
static struct qy_arena arena;
static struct qy_heap heap;
static struct qy_sizes sizes;
static struct qy_cache cache;
static struct qy_cpu_frames frames[2];
static struct qy_cpu_objects cpus[2];
static struct qy_debug debug;
static struct qy_quarantine quarantine;
static struct qy_site_counts counts[2][SITES_MAX];
static unsigned fail_at; /* 0 = none, 1 = the next inner allocation, ... */

static struct {
    unsigned char *at;
    size_t bytes;
    bool is_object;
} held[HELD];
static unsigned count;

enum qy_error __real_qy_arena_alloc(struct qy_arena *from, unsigned order,
                                    enum qy_frame_state state, pfn_t *out);
enum qy_error __wrap_qy_arena_alloc(struct qy_arena *from, unsigned order,
                                    enum qy_frame_state state, pfn_t *out);
enum qy_error __wrap_qy_arena_alloc(struct qy_arena *from, unsigned order,
                                    enum qy_frame_state state, pfn_t *out)
{
    if (fail_at && --fail_at == 0)
        return QY_OUT_OF_MEMORY;
    return __real_qy_arena_alloc(from, order, state, out);
}

static void begin(uint32_t kinds)
{
    static const struct qy_cache_type type = {"fuzz", 200, 8, NULL, 0};
    CHECK(hosted_machine_make(&machine, (PAGES + 16) * QY_PAGE_BYTES, true));
    hosted_ram_add(&machine, pfn(1), pfn(PAGES + 1));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK(qy_arena_add(&arena, pfn(1), pfn(PAGES + 1)) == QY_OK);
    for (unsigned i = 0; i < 2; i++) {
        qy_cpu_frames_init(&frames[i], i);
        qy_cpu_objects_init(&cpus[i], i, &frames[i]);
        qy_sites_count(&cpus[i], counts[i]);
    }
    CHECK(qy_site_count() <= SITES_MAX);
    memset(counts, 0, sizeof(counts));
    memset(&quarantine, 0, sizeof(quarantine));
    if (QY_CONFIG_HEAP_TOOLS)
        qy_debug_init(&debug, kinds, kinds & QY_CACHE_QUARANTINED ? &quarantine : NULL, 1 << 14);
    qy_heap_init(&heap, &arena, QY_CONFIG_HEAP_TOOLS && kinds ? &debug.hooks : NULL, 3);
    CHECK(qy_sizes_init(&sizes, &heap, 0) == QY_OK);
    CHECK(qy_cache_init(&cache, &heap, &type) == QY_OK);
    count = fail_at = 0;
}

static void fill(unsigned i)
{
    memset(held[i].at, (int)(held[i].bytes % 251) + 1, held[i].bytes);
}

static void look(unsigned i, size_t bytes)
{
    for (size_t k = 0; k < bytes; k++)
        CHECK(held[i].at[k] == held[i].bytes % 251 + 1);
}

/* Objects are of one site, pieces of another, or of none. */
static const struct qy_site *site_of(bool is_object, size_t bytes)
{
    return is_object ? QY_SITE("an object") : bytes % 3 ? QY_SITE("a piece") : NULL;
}

static void take(struct qy_cpu_objects *cpu, bool is_object, size_t bytes,
                 size_t align) QY_UNCHECKED
{
    void *at;
    const struct qy_site *site = site_of(is_object, bytes);
    if (count == HELD ||
        (is_object ? qy_cache_alloc_from(cpu, &cache, site, &at)
                   : qy_sizes_alloc_from(cpu, &sizes, bytes, align, site, &at)) != QY_OK)
        return;
    held[count].at = at;
    held[count].bytes = is_object ? 200 : bytes;
    held[count].is_object = is_object;
    CHECK(qy_port_paddr(at).raw % (is_object ? 8 : align) == 0);
    for (size_t k = 0; k < held[count].bytes; k++)
        CHECK(held[count].at[k] == 0);
    fill(count++);
}

static void give(struct qy_cpu_objects *cpu, unsigned i, bool by_cache) QY_UNCHECKED
{
    unsigned char *at = held[i].at;
    look(i, held[i].bytes);
    if (by_cache && !held[i].is_object)
        CHECK(qy_cache_free(cpu, &cache, at) == QY_NOT_OWNED);
    CHECK((by_cache && held[i].is_object ? qy_cache_free(cpu, &cache, at)
                                         : qy_sizes_free(cpu, &sizes, at)) == QY_OK);
    CHECK(qy_sizes_free(cpu, &sizes, at) != QY_OK);
    held[i] = held[--count];
}

static void resize(struct qy_cpu_objects *cpu, unsigned i, size_t bytes) QY_UNCHECKED
{
    void *at = held[i].at;
    size_t kept = bytes < held[i].bytes ? bytes : held[i].bytes;
    if (qy_sizes_resize(cpu, &sizes, &at, bytes) != QY_OK) {
        CHECK(at == held[i].at);
        look(i, held[i].bytes);
        return;
    }
    held[i].at = at;
    look(i, kept);
    held[i].bytes = bytes;
    held[i].is_object = false; /* it may have moved to a class */
    fill(i);
}

static void call(unsigned op, unsigned a, unsigned b) QY_UNCHECKED
{
    struct qy_cpu_objects *cpu = &cpus[op >> 3 & 1];
    size_t bytes = 1 + (b % 8 == 7 ? a * 97u : a * (b % 8 + 1));
    switch (op & 7) {
    case 0:
    case 1:
        take(cpu, false, bytes, 1ull << b / 8 % 14);
        break;
    case 2:
        for (unsigned i = 0; i < 1 + b % 8; i++)
            take(cpu, true, 0, 0);
        break;
    case 3:
    case 4:
        for (unsigned i = 0; i < 1 + b % 4 && count; i++)
            give(cpu, a % count, b & 4);
        break;
    case 5:
        if (count && !held[a % count].is_object)
            resize(cpu, a % count, bytes);
        break;
    case 6: /* crooked: inside a piece, or anywhere */
        if (count && held[a % count].bytes > 1)
            CHECK(qy_sizes_free(cpu, &sizes,
                                held[a % count].at + 1 + b % (held[a % count].bytes - 1)) != QY_OK);
        break;
    default:
        if (b & 4 && count)
            qy_sizes_origin_set(cpu, &sizes, held[a % count].at,
                                &(struct qy_owner){b % 3, a, 1, a + 1u, 100u * a, b});
        else if (b % 2)
            qy_heap_drain(cpu, &heap);
        else
            qy_heap_reclaim(&heap);
    }
}

/* SITE-COUNT, and that everything which lives is in the list. */
static void check_sites(void)
{
    struct qy_tally_row rows[HELD];
    struct qy_tally tally;
    uint64_t live = 0, live_bytes = 0, listed = 0, counted = 0, counted_bytes = 0;
    qy_tally_begin(&tally, rows, HELD);
    qy_leaks(&heap, 0, &tally);
    for (size_t i = 0; i < tally.used; i++) {
        bool is_counted = rows[i].key[QY_LEAK_SITE] != UINT64_MAX;
        live += is_counted ? rows[i].count : 0;
        live_bytes += is_counted ? rows[i].bytes : 0;
        listed += rows[i].count;
    }
    for (uint64_t n = 0; qy_site_at(n); n++) {
        struct qy_site_sums sums = {0};
        for (unsigned i = 0; i < 2; i++)
            qy_site_read(qy_site_at(n), &cpus[i], &sums);
        counted += sums.live;
        counted_bytes += sums.live_bytes;
    }
    CHECK(listed == count && counted == live && counted_bytes == live_bytes);
}

static void check_tools(void)
{
    if (QY_CONFIG_HEAP_TOOLS && heap.hooks && heap.hooks->flags & QY_CACHE_TRACKED)
        check_sites();
    struct qy_debug_report report;
    if (QY_CONFIG_HEAP_TOOLS && heap.hooks)
        CHECK(qy_debug_check(&debug, &heap, &report));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) QY_UNCHECKED
{
    if (size == 0)
        return 0;
    begin(data[0] & QY_CACHE_HOOKED);
    data++;
    size--;
    for (unsigned i = 0; i < CALLS_MAX && size >= 3; i++, data += 3, size -= 3) {
        fail_at = data[0] >> 4 & 3;
        call(data[0] & 15, data[1], data[2]);
        CHECK(qy_heap_check(&heap) == NULL);
        check_tools();
        if (i % 8 == 0)
            CHECK(qy_arena_check(&arena) == NULL);
    }
    fail_at = 0;
    while (count)
        give(&cpus[count % 2], count - 1, false);
    qy_heap_drain(&cpus[0], &heap); /* the quarantine */
    qy_heap_reclaim(&heap);
    qy_frame_reclaim(&arena);
    CHECK(qy_heap_pages(&heap) == 0 && qy_arena_check(&arena) == NULL);
    CHECK(qy_arena_pages(&arena, QY_FRAME_FREE) == PAGES);
    hosted_machine_destroy(&machine);
    return 0;
}
