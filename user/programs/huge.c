/*
 * Large pages of a program's own memory: stretches that become one page where they lie, regions of 2 MiB and 1 GiB pages,
 * and what divides them again. `./quarry run` with the word run=huge.
 *
 *     workers     0   1   2   3   0   1   2   3 ...   one on each CPU: they touch the pages of a stretch in turns, all at once
 *     stretch   | . | . | . | . | . | . | . | . ...   whoever touches the last one puts it together
 */
#include <user/call.h>
#include <user/print.h>
#include <user/program.h>
#include <user/space.h>
#include <user/thread.h>

#define PLACE 0x500000000000ull
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define STRETCH (2 * MIB)
#define STRETCHES 4u
#define WORKERS_MAX 4u
#define ROUNDS 24u
#define RW (QY_MAP_READ | QY_MAP_WRITE)

static struct space_pages at_start;
static unsigned workers;

static volatile uint64_t *word(uint64_t page)
{
    return (volatile uint64_t *)(PLACE + page * PAGE_BYTES);
}

static uint64_t value(uint64_t page)
{
    return page * 0x9e3779b97f4a7c15ull | 1;
}

/* What has happened since the start. */
static struct space_pages now(void)
{
    struct space_pages pages = {0};

    if (space_pages(QY_SLOT_SPACE, &pages) != QY_OK)
        print("huge: the kernel does not count large pages\n");
    pages.promoted -= at_start.promoted;
    pages.divided -= at_start.divided;
    pages.reserved -= at_start.reserved;
    pages.broken -= at_start.broken;
    return pages;
}

static bool said(bool good, const char *what)
{
    struct space_pages pages = now();

    print("huge: %s: %lu of 2 MiB, %lu of 1 GiB; %lu promoted, %lu divided: %s\n", what,
          pages.pages_2m, pages.pages_1g, pages.promoted, pages.divided, good ? "ok" : "WRONG");
    return good;
}

static bool map(uint64_t bytes, uint64_t flags)
{
    uint64_t at = PLACE;

    return space_map_region(QY_SLOT_SPACE, &at, bytes, RW | flags, 0) == QY_OK;
}

/* Pages of [first, end), but one, are what was written to them. */
static bool holds(uint64_t first, uint64_t end, uint64_t but)
{
    for (uint64_t i = first; i < end; i++)
        if (i != but && *word(i) != value(i))
            return false;
    return true;
}

/* Every so manieth page, from its number on; each is zero before. */
static uint64_t touch(void *argument)
{
    const uint64_t pages = STRETCHES * STRETCH / PAGE_BYTES;
    bool zero = true;

    for (uint64_t i = (uintptr_t)argument; i < pages; i += workers) {
        zero &= *word(i) == 0;
        *word(i) = value(i);
    }
    return zero;
}

/* Write and read the pages of the first stretch that are its own, while the last of them comes and goes. */
static uint64_t use(void *argument)
{
    const uint64_t pages = STRETCH / PAGE_BYTES - 1;
    bool good = true;

    for (unsigned round = 0; round < ROUNDS; round++)
        for (uint64_t i = (uintptr_t)argument; i < pages; i += workers) {
            good &= *word(i) == value(i);
            *word(i) = value(i);
        }
    return good;
}

static bool all(uint64_t (*body)(void *))
{
    static struct thread threads[WORKERS_MAX];
    uint64_t result;
    bool good = true;

    for (unsigned i = 0; i < workers; i++)
        good &= thread_create(&threads[i], body, (void *)(uintptr_t)i, i % program->cpus, 0, 0) ==
                QY_OK;
    for (unsigned i = 0; good && i < workers; i++)
        good &= thread_join(&threads[i], &result) == QY_OK && result;
    return good;
}

/* Four stretches, filled by all CPUs at once. */
static bool grow(void)
{
    bool good = map(STRETCHES * STRETCH, QY_REGION_GROW) && all(touch) &&
                holds(0, STRETCHES * STRETCH / PAGE_BYTES, ~0ull);
    struct space_pages pages = now();

    good &= pages.pages_2m == STRETCHES && pages.promoted == STRETCHES;
    return said(good, "8 MiB touched by all CPUs");
}

/* Parts change; the rest stays. */
static bool divide(void)
{
    const uint64_t a_stretch = STRETCH / PAGE_BYTES;
    bool good =
        space_unmap_region(QY_SLOT_SPACE, PLACE + 5 * PAGE_BYTES, PAGE_BYTES) == QY_OK &&
        space_protect_region(QY_SLOT_SPACE, PLACE + STRETCH, PAGE_BYTES, QY_MAP_READ) == QY_OK;

    good &= holds(0, STRETCHES * a_stretch, 5);
    struct space_pages pages = now();
    good &= pages.pages_2m == STRETCHES - 2 && pages.divided == 2;
    good = said(good, "a page unmapped, another protected");
    return space_unmap_region(QY_SLOT_SPACE, PLACE, STRETCHES * STRETCH) == QY_OK && good;
}

/* The last page of a stretch comes and goes, while all CPUs use the others. */
static bool race(void)
{
    const uint64_t last = STRETCH / PAGE_BYTES - 1;
    static struct thread threads[WORKERS_MAX];
    uint64_t result;
    bool good = true;

    for (unsigned round = 0; round < ROUNDS && good; round++) {
        good = map(STRETCH, QY_REGION_GROW);
        for (uint64_t i = 0; good && i < last; i++)
            *word(i) = value(i);
        for (unsigned i = 0; good && i < workers; i++)
            good &= thread_create(&threads[i], use, (void *)(uintptr_t)i, i % program->cpus, 0,
                                  0) == QY_OK;
        *word(last) = value(last); /* put together, */
        good &= space_unmap_region(QY_SLOT_SPACE, PLACE + last * PAGE_BYTES, PAGE_BYTES) == QY_OK;
        for (unsigned i = 0; i < workers; i++)
            good &= thread_join(&threads[i], &result) == QY_OK && result;
        good &= holds(0, last, ~0ull); /* and divided under their hands */
        good &= space_unmap_region(QY_SLOT_SPACE, PLACE, STRETCH) == QY_OK;
    }
    struct space_pages pages = now();
    good &=
        pages.promoted > STRETCHES; /* CPUs keep freed pages: a whole block is not free each time */
    return said(good, "put together and divided in use");
}

/* Pages of one size; and none is there where the budget has no block of it. */
static bool whole(uint64_t bytes, uint64_t flag, const char *what)
{
    struct untyped_state budget = {0};
    struct space_region region = {0};
    unsigned order = bytes == GIB ? 18 : 9;

    if (untyped_info(QY_SLOT_UNTYPED, &budget) != QY_OK || budget.largest_order < order ||
        budget.largest_order > 63) {
        print("huge: the budget has no free block of %S\n", bytes);
        return true;
    }
    bool good = map(bytes, flag) && *word(0) == 0 && *word(bytes / PAGE_BYTES - 1) == 0;
    for (uint64_t i = 0; good && i < bytes / PAGE_BYTES; i += 129)
        *word(i) = value(i);
    for (uint64_t i = 0; good && i < bytes / PAGE_BYTES; i += 129)
        good = *word(i) == value(i);
    good &= space_query(QY_SLOT_SPACE, PLACE, &region) == QY_OK && region.page_bytes == bytes;
    good = said(good, what);
    good &= space_unmap_region(QY_SLOT_SPACE, PLACE + PAGE_BYTES, PAGE_BYTES) == QY_OK &&
            *word(0) == value(0) && *word(129) == value(129);
    return space_unmap_region(QY_SLOT_SPACE, PLACE, bytes) == QY_OK && good;
}

int main(int argc, char *argv[])
{
    (void)argc, (void)argv;
    workers = program->cpus < WORKERS_MAX ? program->cpus : WORKERS_MAX;
    bool good = space_pages(QY_SLOT_SPACE, &at_start) == QY_OK;
    good &= grow() && divide();
    good &= race();
    good &= whole(STRETCH, QY_REGION_PAGES_2M, "a region of a 2 MiB page");
    good &= whole(GIB, QY_REGION_PAGES_1G, "a region of a 1 GiB page");
    struct space_pages pages = now();
    print("huge: %lu stretches reserved, %lu needed elsewhere, %lu pages reserved and not used\n",
          pages.reserved, pages.broken, pages.kept);
    return good && pages.pages_2m == 0 && pages.pages_1g == 0 && pages.kept == 0 ? 0 : 1;
}
