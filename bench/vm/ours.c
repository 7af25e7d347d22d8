/*
 * This library's address space as a subject: a simulated machine of 1 GiB with x86-64's tables, one CPU.
 *
 * A touch is what the kernel's fault handler calls, zeroing included. No TLB is simulated.
 */
#include "subject.h"

#include <hosted/hosted.h>
#include <qy/frame_cache.h>
#include <qy/vm.h>
#include <stdio.h>
#include <stdlib.h>

#define AT (1ull << 40)
#define BASE_FRAME 4096u
#define FRAMES (1u << 18)
#define RW (QY_PT_READ | QY_PT_WRITE)

static struct hosted_machine machine;
static struct qy_arena arena;
static struct qy_heap heap;
static struct qy_budget budget;
static struct qy_cpu_frames frames;
static struct qy_cpu_objects objects;
static struct qy_vm_cpu cpu = {.objects = &objects};
static struct qy_vm vm;
static struct qy_space space;

static void need(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "bench: %s\n", what);
        exit(1);
    }
}

/* A thread plays a CPU whose interrupts are off. */
static void map(uint64_t bytes) QY_UNCHECKED
{
    static const struct qy_mark zeroes = {.kind = QY_MARK_ANON, .rights = RW, .max = QY_PT_RIGHTS};
    uint64_t at = AT;
    need(qy_space_map_region(&space, &at, bytes, &zeroes) == QY_OK, "a region cannot be mapped");
}

static void touch(uint64_t offset) QY_UNCHECKED
{
    struct qy_fault fault;
    need(qy_space_fault(&space, AT + offset, QY_ACCESS_WRITE, &fault) == QY_OK,
         "a fault is not resolved");
}

static void protect(uint64_t bytes, bool write) QY_UNCHECKED
{
    need(qy_space_protect_region(&space, AT, bytes, write ? RW : QY_PT_READ) == QY_OK,
         "a region cannot be protected");
}

static void unmap(uint64_t bytes) QY_UNCHECKED
{
    need(qy_space_unmap_region(&space, AT, bytes) == QY_OK, "a region cannot be unmapped");
}

const struct subject ours = {"quarry", map, touch, protect, unmap};

void ours_open(void) QY_UNCHECKED
{
    need(hosted_machine_make(&machine, (BASE_FRAME + FRAMES) * QY_PAGE_BYTES, false), "no room");
    hosted_ram_add(&machine, pfn(BASE_FRAME), pfn(BASE_FRAME + FRAMES));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    need(qy_arena_add(&arena, pfn(BASE_FRAME), pfn(BASE_FRAME + FRAMES)) == QY_OK, "no arena");
    qy_cpu_frames_init(&frames, 0);
    qy_cpu_objects_init(&objects, 0, &frames);
    qy_heap_init(&heap, &arena, NULL, 0x123456789abcdefull);
    need(qy_budget_init(&budget, &heap) == QY_OK, "no budget");
    qy_vm_init(&vm, &qy_pt_x86_64, &machine.db, &cpu, 1, NULL, NULL);
    need(qy_space_init(&space, &vm, &budget, true) == QY_OK, "no address space");
}

void ours_close(void) QY_UNCHECKED
{
    const char *broken = qy_space_check(&space);
    need(!broken, broken ? broken : "");
    while (qy_space_destroy_step(&space) == QY_BUSY) {
    }
    need(qy_vm_reclaim(&vm), "tables are still being read");
    qy_heap_reclaim(&heap);
    qy_frame_reclaim(&arena);
    need(qy_arena_check(&arena) == NULL, "the arena's validator is not content");
    need(qy_arena_pages(&arena, QY_FRAME_FREE) == FRAMES, "pages are missing");
}
