/*
 * A heap with debug hooks on a small hosted machine, one CPU, and what the hooks report.
 */
#ifndef TESTS_UNIT_DEBUG_FIXTURE_H
#define TESTS_UNIT_DEBUG_FIXTURE_H

#include <hosted/hosted.h>
#include <qy/debug.h>
#include <qy/heap.h>
#include <string.h>
#include <tap.h>

#define ALL_KINDS (QY_CACHE_TRACKED | QY_CACHE_REDZONED | QY_CACHE_POISONED | QY_CACHE_QUARANTINED)

#define SITES_MAX 16u /* of a test */

static struct hosted_machine machine;
static struct qy_arena arena;
static struct qy_heap heap;
static struct qy_cache cache;
static struct qy_cpu_objects cpu;
static struct qy_site_counts site_counts[SITES_MAX];
static struct qy_debug debug;
static struct qy_quarantine quarantine;
static jmp_buf reported;
static struct qy_debug_report report;

static inline void keep_report(const struct qy_debug_report *r)
{
    report = *r;
    longjmp(reported, 1);
}

/* Whether an action ends in a report. */
static inline bool reports(void (*action)(void *argument), void *argument)
{
    memset(&report, 0, sizeof(report));
    if (setjmp(reported) != 0)
        return true;
    action(argument);
    return false;
}

static inline void make_heap(uint64_t pages, uint32_t flags, uint64_t quarantine_bytes)
{
    CHECK(hosted_machine_make(&machine, 1ull << 27, true));
    hosted_ram_add(&machine, pfn(16), pfn(16 + pages));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&arena, pfn(16), pfn(16 + pages)), QY_OK);
    memset(&quarantine, 0, sizeof(quarantine));
    qy_debug_init(&debug, flags, &quarantine, quarantine_bytes);
    debug.report = keep_report;
    qy_heap_init(&heap, &arena, &debug.hooks, 77);
    qy_cpu_objects_init(&cpu, 0, NULL);
    CHECK(qy_site_count() <= SITES_MAX);
    qy_sites_count(&cpu, site_counts);
}

static inline void make_cache(const struct qy_cache_type *type)
{
    CHECK_EQ(qy_cache_init(&cache, &heap, type), QY_OK);
}

static __attribute__((noinline, unused)) void *take_from(struct qy_cache *from,
                                                         const struct qy_site *site) QY_UNCHECKED
{
    void *object = NULL;
    return qy_cache_alloc_from(&cpu, from, site, &object) == QY_OK ? object : NULL;
}

static __attribute__((noinline, unused)) enum qy_error give_to(struct qy_cache *to,
                                                               void *object) QY_UNCHECKED
{
    return qy_cache_free(&cpu, to, object);
}

/* What all CPUs have counted of a site: those of the fixture, one. */
static inline struct qy_site_sums sums_of(const struct qy_site *site)
{
    struct qy_site_sums sums = {0};
    qy_site_read(site, &cpu, &sums);
    return sums;
}

/* What the hooks keep becomes free. */
static inline void drain_tools(struct qy_heap *of)
{
    debug.hooks.drain(&cpu, of);
}

static inline void reclaim(struct qy_heap *of) QY_UNCHECKED
{
    qy_heap_drain(&cpu, of);
    qy_heap_reclaim(of);
}

/* Everything went back; no memory is missing. */
static inline void end_heap(void)
{
    reclaim(&heap);
    const char *broken = qy_heap_check(&heap);
    CHECK(broken == NULL);
    if (broken)
        printf("# %s\n", broken);
    CHECK_EQ(qy_heap_pages(&heap), 0);
    CHECK(qy_arena_check(&arena) == NULL);
    hosted_machine_destroy(&machine);
}

#endif
