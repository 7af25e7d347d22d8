/*
 * Benchmarks of address spaces: this library's beside the host's own, in one run of one process.
 *
 *     cases            all of them: lines "SCENE ns SUBJECT MEDIAN LOWEST HIGHEST"
 *     cases --quick    three rounds of few operations
 *
 * quarry: qy_space_map_region, _fault, _protect_region, _unmap_region on a simulated machine; linux: mmap, a write, mprotect,
 * munmap. The host's include what the library's users have in their kernel and pay for, too: the system call, the trap of a
 * fault, the flush of the CPU's TLB. So this is what a program of the host would have to beat, not a race of equals: for that
 * see the machine suite. Pages are of 4 KiB on both sides, and zeroed on both.
 * A round plays one scene with both, another first each time; a figure is the median of the rounds.
 */
#include "../timing.h"
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 15u
#define QUICK_ROUNDS 3u
#define PAGE 4096ull
#define TIB (1ull << 40)

struct scene {
    const char *name;
    void (*run)(const struct subject *subject, uint64_t operations, uint64_t pages);
    uint64_t pages, operations;
};

/* Map, write each page, unmap. */
static void cycle(const struct subject *subject, uint64_t operations, uint64_t pages)
{
    for (uint64_t i = 0; i < operations; i++) {
        subject->map(pages * PAGE);
        for (uint64_t page = 0; page < pages; page++)
            subject->touch(page * PAGE);
        subject->unmap(pages * PAGE);
    }
}

/* Map and unmap, nothing touched. */
static void reserve(const struct subject *subject, uint64_t operations, uint64_t pages)
{
    for (uint64_t i = 0; i < operations; i++) {
        subject->map(pages * PAGE);
        subject->unmap(pages * PAGE);
    }
}

/* An operation is a page's first write; mapping and unmapping is shared by all the pages. */
static void faults(const struct subject *subject, uint64_t operations, uint64_t pages)
{
    cycle(subject, operations / pages, pages);
}

/* Of pages that are there: read only, and back. */
static void protect(const struct subject *subject, uint64_t operations, uint64_t pages)
{
    subject->map(pages * PAGE);
    for (uint64_t page = 0; page < pages; page++)
        subject->touch(page * PAGE);
    for (uint64_t i = 0; i < operations; i++)
        subject->protect(pages * PAGE, i % 2 != 0);
    subject->unmap(pages * PAGE);
}

static const struct scene scenes[] = {
    {"reserve_1_page", reserve, 1, 20000}, {"reserve_1_tib", reserve, TIB / PAGE, 20000},
    {"cycle_1_page", cycle, 1, 10000},     {"cycle_16_pages", cycle, 16, 2000},
    {"cycle_512_pages", cycle, 512, 100},  {"page_of_65536", faults, 65536, 65536},
    {"protect_1_page", protect, 1, 20000}, {"protect_512_pages", protect, 512, 2000},
};
#define SCENES (sizeof(scenes) / sizeof(scenes[0]))

static void time_scene(const struct scene *scene, unsigned rounds)
{
    double samples[SUBJECTS][ROUNDS];
    uint64_t operations = scene->operations;

    if (rounds == QUICK_ROUNDS && scene->run != faults)
        operations = operations / 20 + 1;
    for (unsigned round = 0; round <= rounds; round++) { /* the first warms up */
        for (unsigned i = 0; i < SUBJECTS; i++) {
            unsigned at = (i + round) % SUBJECTS;
            double start = now_ns();
            scene->run(subjects[at], operations, scene->pages);
            if (round)
                samples[at][round - 1] = (now_ns() - start) / (double)operations;
        }
    }
    for (unsigned i = 0; i < SUBJECTS; i++) {
        qsort(samples[i], rounds, sizeof(samples[i][0]), by_value);
        printf("%s ns %s %.1f %.1f %.1f\n", scene->name, subjects[i]->name, samples[i][rounds / 2],
               samples[i][0], samples[i][rounds - 1]);
    }
    fflush(stdout);
}

int main(int count, char **arguments)
{
    bool quick = count == 2 && strcmp(arguments[1], "--quick") == 0;

    if (count != 1 && !quick) {
        fprintf(stderr, "usage: cases [--quick]\n");
        return 2;
    }
    ours_open();
    linux_open();
    for (unsigned i = 0; i < SCENES; i++)
        time_scene(&scenes[i], quick ? QUICK_ROUNDS : ROUNDS);
    ours_close();
    return 0;
}
