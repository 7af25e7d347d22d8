/*
 * Regions, and faults that the kernel resolves: mmap, mprotect, munmap, zeroes, copy on write, a file's pages.
 */
#define _GNU_SOURCE
#include "rows.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE)
#define TURNS 16u
#define PAGES 512u

void memory_reserve(uint64_t bytes)
{
    MUST(mmap((void *)BENCH_AT, bytes, RW, PRIVATE, -1, 0) == (void *)BENCH_AT);
}

void memory_release(uint64_t bytes)
{
    MUST(munmap((void *)BENCH_AT, bytes) == 0);
}

void memory_touch(uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += PAGE_BYTES)
        *(volatile uint64_t *)(BENCH_AT + at) = at;
}

static uint64_t touch_ticks(uint64_t page)
{
    uint64_t start = clock_ticks();
    *(volatile uint64_t *)(BENCH_AT + page * PAGE_BYTES) = 1;
    return clock_ticks() - start;
}

/* The three calls of a size, and the whole of map, touch each page, unmap. */
static void region_of(uint64_t pages)
{
    const uint64_t bytes = pages * PAGE_BYTES;
    uint64_t mapped = 0, protected = 0, unmapped = 0, whole = 0, start;

    for (unsigned i = 0; i < TURNS; i++) {
        start = clock_ticks();
        void *at = mmap((void *)BENCH_AT, bytes, RW, PRIVATE, -1, 0);
        mapped += clock_ticks() - start;
        MUST(at == (void *)BENCH_AT);
        memory_touch(bytes);
        start = clock_ticks();
        int error = mprotect((void *)BENCH_AT, bytes, PROT_READ);
        protected += clock_ticks() - start;
        MUST(error == 0);
        start = clock_ticks();
        error = munmap((void *)BENCH_AT, bytes);
        unmapped += clock_ticks() - start;
        MUST(error == 0);
        start = clock_ticks();
        memory_reserve(bytes);
        memory_touch(bytes);
        memory_release(bytes);
        whole += clock_ticks() - start;
    }
    uint64_t overhead = bench_clock(TURNS);
    bench_row_of(mapped, overhead, TURNS, "region_map_%llu", (unsigned long long)pages);
    bench_row_of(protected, overhead, TURNS, "region_protect_%llu", (unsigned long long)pages);
    bench_row_of(unmapped, overhead, TURNS, "region_unmap_%llu", (unsigned long long)pages);
    bench_row_of(whole, overhead, TURNS, "region_cycle_%llu", (unsigned long long)pages);
}

/* A neighbour that keeps the tables: what is counted is the pages'. Its rights differ, so that regions do not merge. */
static void regions(void)
{
    void *keep = (void *)(BENCH_AT + MIB + 4 * PAGE_BYTES);

    MUST(mmap(keep, PAGE_BYTES, PROT_READ, PRIVATE, -1, 0) == keep);
    MUST(*(volatile char *)keep == 0);
    region_of(1);
    region_of(16);
    MUST(munmap(keep, PAGE_BYTES) == 0);
    keep = (void *)(BENCH_AT + 8 * MIB - PAGE_BYTES);
    MUST(mmap(keep, PAGE_BYTES, PROT_READ, PRIVATE, -1, 0) == keep);
    MUST(*(volatile char *)keep == 0);
    region_of(PAGES);
    MUST(munmap(keep, PAGE_BYTES) == 0);
}

static void reserving(void)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } sizes[] = {{"1_mib", MIB}, {"1_gib", MIB << 10}, {"1_tib", MIB << 20}};

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t made = 0, gone = 0;
        for (unsigned turn = 0; turn < TURNS; turn++) {
            uint64_t start = clock_ticks();
            memory_reserve(sizes[i].bytes);
            uint64_t middle = clock_ticks();
            memory_release(sizes[i].bytes);
            gone += clock_ticks() - middle;
            made += middle - start;
        }
        bench_row_of(made, bench_clock(TURNS), TURNS, "reserve_%s", sizes[i].name);
        bench_row_of(gone, bench_clock(TURNS), TURNS, "unreserve_%s", sizes[i].name);
    }
}

/* One page of shared memory that exists is mapped and unmapped; a neighbour keeps the table. */
static void shared_page(void)
{
    const int flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
    uint64_t mapped = 0, unmapped = 0;
    int file = memfd_create("page", 0);
    char *at = (char *)BENCH_AT;

    MUST(file >= 0 && ftruncate(file, 2 * PAGE_BYTES) == 0);
    MUST(mmap(at + 4 * PAGE_BYTES, PAGE_BYTES, RW, flags, file, PAGE_BYTES) != MAP_FAILED);
    MUST(pwrite(file, "", 1, 0) == 1);
    for (unsigned i = 0; i < BENCH_COUNT; i++) {
        uint64_t start = clock_ticks();
        void *got = mmap(at, PAGE_BYTES, RW, flags, file, 0);
        uint64_t middle = clock_ticks();
        int error = munmap(at, PAGE_BYTES);
        unmapped += clock_ticks() - middle;
        mapped += middle - start;
        MUST(got == at && error == 0);
    }
    MUST(munmap(at + 4 * PAGE_BYTES, PAGE_BYTES) == 0 && close(file) == 0);
    bench_row_of(mapped, bench_clock(BENCH_COUNT), BENCH_COUNT, "map_frame");
    bench_row_of(unmapped, bench_clock(BENCH_COUNT), BENCH_COUNT, "unmap_frame");
}

/* Pages 1 to 511 of what is mapped are written: the table is there. */
static uint64_t touch_rest(void)
{
    uint64_t ticks = 0;

    (void)touch_ticks(0);
    for (unsigned i = 1; i < PAGES; i++)
        ticks += touch_ticks(i);
    return ticks;
}

static void fault_row(const char *name)
{
    bench_row_of(touch_rest(), bench_clock(PAGES - 1), PAGES - 1, "%s", name);
}

static void demand_zero(void)
{
    memory_reserve(PAGES * PAGE_BYTES);
    fault_row("fault_zero_page");
    memory_release(PAGES * PAGE_BYTES);
}

/* A child shares the pages until the pipe is closed. */
static void copy_on_write(void)
{
    int until[2], status;
    char byte;

    memory_reserve(PAGES * PAGE_BYTES);
    memory_touch(PAGES * PAGE_BYTES);
    for (unsigned alone = 0; alone < 2; alone++) {
        MUST(pipe(until) == 0);
        pid_t child = fork();
        MUST(child >= 0);
        if (child == 0) {
            close(until[1]);
            _exit(read(until[0], &byte, 1) != 0);
        }
        close(until[0]);
        if (!alone)
            fault_row("fault_copy_page");
        close(until[1]);
        MUST(waitpid(child, &status, 0) == child && status == 0);
        if (alone)
            fault_row("fault_last_sharer");
    }
    memory_release(PAGES * PAGE_BYTES);
}

/*
 * The file's pages are in memory, and are touched one by one through a shared mapping. Reading, a fault maps the 16 pages
 * around it: a figure is of a page, not of a fault. Writing, it maps one.
 */
static void file_pages(const char *name, bool write_them)
{
    static const char zeroes[PAGE_BYTES];
    int file = memfd_create("file", 0);
    uint64_t ticks = 0;

    MUST(file >= 0);
    for (unsigned i = 0; i < PAGES; i++)
        MUST(write(file, zeroes, sizeof(zeroes)) == (ssize_t)sizeof(zeroes));
    MUST(mmap((void *)BENCH_AT, PAGES * PAGE_BYTES, RW, MAP_SHARED | MAP_FIXED, file, 0) ==
         (void *)BENCH_AT);
    if (write_them)
        ticks = touch_rest();
    for (unsigned i = 0; i < PAGES && !write_them; i++) {
        uint64_t start = clock_ticks();
        (void)*(volatile uint64_t *)(BENCH_AT + i * PAGE_BYTES);
        ticks += i ? clock_ticks() - start : 0;
    }
    bench_row_of(ticks, bench_clock(PAGES - 1), PAGES - 1, "%s", name);
    memory_release(PAGES * PAGE_BYTES);
    MUST(close(file) == 0);
}

void bench_memory(void)
{
    regions();
    reserving();
    shared_page();
    demand_zero();
    copy_on_write();
    file_pages("file_fault_warm.read", false);
    file_pages("file_fault_warm.write", true);
}
