/*
 * This heap as two subjects, on a simulated machine of 1 GiB: one object cache, and size classes whose pieces are
 * freed by their address alone, as malloc's.
 */
#include "peers.h"

#include <hosted/hosted.h>
#include <qy/frame_cache.h>
#include <qy/heap.h>
#include <stdio.h>
#include <stdlib.h>

#define BASE_FRAME 4096u
#define FRAMES (1u << 18)

static const struct qy_cache_type object_type = {
    .name = "object", .bytes = FIXED_BYTES, .align = 16, .flags = QY_CACHE_UNZEROED};

static struct hosted_machine machine;
static struct qy_arena arena;
static struct qy_heap heap;
static struct qy_cache cache;
static struct qy_sizes sizes;
static struct qy_cpu_frames frames[HEAP_CPUS];
static struct qy_cpu_objects objects[HEAP_CPUS];
static _Thread_local struct qy_cpu_objects *self = &objects[0];

static void need(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "bench: %s\n", what);
        exit(1);
    }
}

/* A thread plays a CPU whose interrupts are off. */
static void *cache_alloc(size_t bytes) QY_UNCHECKED
{
    void *object;
    (void)bytes;
    return qy_cache_alloc(self, &cache, &object) == QY_OK ? object : NULL;
}

static void cache_free(void *object) QY_UNCHECKED
{
    if (qy_cache_free(self, &cache, object) != QY_OK)
        abort();
}

static void *heap_alloc(size_t bytes) QY_UNCHECKED
{
    void *piece;
    return qy_sizes_alloc(self, &sizes, bytes, 16, &piece) == QY_OK ? piece : NULL;
}

static void heap_free(void *piece) QY_UNCHECKED
{
    if (qy_sizes_free(self, &sizes, piece) != QY_OK)
        abort();
}

void subjects_open(struct subjects *subjects, const char *const (*libraries)[2])
{
    need(hosted_machine_make(&machine, (BASE_FRAME + FRAMES) * QY_PAGE_BYTES, false), "no room");
    hosted_ram_add(&machine, pfn(BASE_FRAME), pfn(BASE_FRAME + FRAMES));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    need(qy_arena_add(&arena, pfn(BASE_FRAME), pfn(BASE_FRAME + FRAMES)) == QY_OK, "no arena");
    qy_heap_init(&heap, &arena, NULL, 0x123456789abcdefull);
    need(qy_cache_init(&cache, &heap, &object_type) == QY_OK, "no cache");
    need(qy_sizes_init(&sizes, &heap, QY_CACHE_UNZEROED) == QY_OK, "no size classes");
    for (unsigned i = 0; i < HEAP_CPUS; i++) {
        qy_cpu_frames_init(&frames[i], i);
        qy_cpu_objects_init(&objects[i], i, &frames[i]);
    }
    subjects->of[0] = (struct subject){"quarry_cache", cache_alloc, cache_free, true};
    subjects->of[1] = (struct subject){"quarry_heap", heap_alloc, heap_free, false};
    subjects->count = subjects->ours = 2;
    peers_open(subjects, libraries);
}

void subjects_cpu(unsigned cpu)
{
    hosted_cpu_set(cpu);
    self = &objects[cpu];
}

void subjects_close(void) QY_UNCHECKED
{
    peers_close();
    const char *broken = qy_heap_check(&heap);
    need(!broken, broken ? broken : "");
    qy_heap_reclaim(&heap);
    qy_frame_reclaim(&arena);
    need(qy_heap_pages(&heap) == 0, "the heap has not given everything back");
    need(qy_arena_check(&arena) == NULL, "the arena's validator is not content");
    need(qy_arena_pages(&arena, QY_FRAME_FREE) == FRAMES, "pages are missing");
}
