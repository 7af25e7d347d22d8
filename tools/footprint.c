/*
 * Bytes that a running kernel takes beside its image, from the headers that decide them: per CPU, per frame, per object;
 * and what is lost in an untyped's slabs that hold the header of one object of each type, by filling them.
 */
#include "../mem/phys/framedb_impl.h"

#include <hosted/hosted.h>
#include <kernel/boot.h>
#include <kernel/device.h>
#include <kernel/dma.h>
#include <kernel/ipc.h>
#include <kernel/layout.h>
#include <kernel/memory.h>
#include <kernel/space.h>
#include <kernel/thread.h>
#include <kernel/timer.h>
#include <qy/slab.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool rows_only; /* "NAME BYTES", for ./quarry bench footprint, of rows that have a name */

static void row(const char *what, const char *name, uint64_t bytes)
{
    if (!rows_only)
        printf("%-44s %9llu\n", what, (unsigned long long)bytes);
    else if (name)
        printf("%s %llu\n", name, (unsigned long long)bytes);
}

/* Their sizes are those of the architecture whose headers this file is built with. */
static const struct qy_cache_type headers[] = {
#define H(type)                                                                                    \
    {                                                                                              \
#type, sizeof(struct type), 16, NULL, 0                                                    \
    }
    H(untyped), H(frame), H(page_table),   H(space),     H(cap_node), H(thread), H(endpoint),
    H(reply),   H(timer), H(notification), H(interrupt), H(io_ports), H(dma),    H(memory),
#undef H
};
#define HEADERS (sizeof(headers) / sizeof(headers[0]))

/* Types that can be made from an untyped: each has its row. */
enum { RANGE = 1, PAGES = 1, PAGE = 1, SMALL = 1, NEVER = 0 };
#define X(NAME, value, name, retype) +retype
_Static_assert(HEADERS == 0 QY_OBJECTS(X), "a type of object is missing above");
#undef X

/*
 * Bytes of the slabs in an arena of so many pages with one header of each type, beyond the headers' own: there more headers
 * would find room.
 */
static uint64_t lost(uint64_t pages, uint64_t *own) QY_UNCHECKED
{
    static struct qy_cache caches[HEADERS];
    static struct qy_cpu_objects cpu;
    struct hosted_machine machine;
    struct qy_arena arena;
    struct qy_heap heap;
    void *object;
    if (!hosted_machine_make(&machine, 1ull << 27, false))
        exit(1);
    hosted_ram_add(&machine, pfn(1), pfn(1 + pages));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    if (qy_arena_add(&arena, pfn(1), pfn(1 + pages)) != QY_OK)
        exit(1);
    qy_cpu_objects_init(&cpu, 0, NULL);
    qy_heap_init(&heap, &arena, NULL, 1);
    *own = 0;
    for (unsigned i = 0; i < HEADERS; i++) {
        if (qy_cache_init(&caches[i], &heap, &headers[i]) != QY_OK ||
            qy_cache_alloc(&cpu, &caches[i], &object) != QY_OK)
            exit(1);
        *own += headers[i].bytes;
    }
    uint64_t bytes = qy_heap_pages(&heap) * QY_PAGE_BYTES;
    hosted_machine_destroy(&machine);
    return bytes - *own;
}

static void tables(void)
{
    uint64_t frame = sizeof(struct qy_frame), block = sizeof(struct qy_block);
    uint64_t section = sizeof(struct qy_section);
    row("  for each CPU: stacks", "per_cpu_stacks", KERNEL_STACK_KINDS * KERNEL_STACK_BYTES);
    row("  for each CPU: area", "per_cpu_area", KERNEL_CPU_AREA_BACKED_BYTES);
    row("  for each frame of 4 KiB", "per_frame", frame);
    row("  for each block of 2 MiB", "per_2_mib", block);
    row("  for each section of 128 MiB", "per_128_mib", section);
    row("  for each GiB of RAM, all of them", "per_gib_of_ram",
        (frame << 18) + block * 512 + section * 8);
    row("  for each address space: header", "per_space", sizeof(struct space));
    row("  for each address space: root table", "per_space_tables", QY_PAGE_BYTES);
    row("  for each thread", "per_thread", sizeof(struct thread));
    row("  for each endpoint", "per_endpoint", sizeof(struct endpoint));
    row("  for each notification", "per_notification", sizeof(struct notification));
    row("  for each slot of a capability", "per_capability_slot", sizeof(struct slot));
    row("  for each untyped", "per_untyped", sizeof(struct untyped));
    row("  for each arena", NULL, sizeof(struct qy_arena));
    row("  for each heap", NULL, sizeof(struct qy_heap));
    row("  for each slab cache", NULL, sizeof(struct qy_cache));
}

int main(int count, char **arguments)
{
    static const unsigned untypeds[] = {4, 16, 256};

    rows_only = count == 2 && strcmp(arguments[1], "--rows") == 0;
    if (count > 1 && !rows_only) {
        fprintf(stderr, "usage: footprint [--rows]\n");
        return 2;
    }
    if (!rows_only)
        printf("%-44s %9s\n", "tables", "bytes");
    tables();
    if (rows_only)
        return 0;
    printf("\n%-44s %9s %9s %9s\n", "one header of each type in an untyped of", "headers", "lost",
           "percent");
    for (unsigned i = 0; i < 3; i++) {
        uint64_t own, beside = lost(untypeds[i], &own);
        printf("  %3u pages %35llu %9llu %8.1f\n", untypeds[i], (unsigned long long)own,
               (unsigned long long)beside,
               (double)beside * 100 / ((double)untypeds[i] * QY_PAGE_BYTES));
    }
    return 0;
}
