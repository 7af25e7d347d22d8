/*
 * A workload that looks at every byte: fills more memory than it has, with pages of several kinds, and reads them back.
 *
  *     swapped PAGES   fills, reads, lets a twin be made of it, changes a third, reads
 *     its twin        finds the pages as they were then, changes others, reads
 *
 * A page's bytes follow from its number and a seed, so that a page of another time, place or process is found out.
 */
#include "swapping.h"

#include <lib/string.h>
#include <user/print.h>
#include <user/program.h>
#include <user/space.h>

#define WORDS (PAGE_BYTES / sizeof(uint64_t))

/* Of eight pages one holds one word, four compress, three do not. */
static uint64_t word_of(uint64_t page, uint64_t seed, unsigned i)
{
    uint64_t mixed = (page * 0x9e3779b97f4a7c15ull) ^ seed;
    if (page % 8 == 0)
        return mixed;
    if (page % 8 < 5 && i % 16 > 2)
        return 0x7061676520746578ull;
    mixed += (i + 1) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ mixed >> 30) * 0x94d049bb133111ebull;
    return mixed ^ mixed >> 31;
}

static void write_page(uint64_t page, uint64_t seed)
{
    volatile uint64_t *at = (volatile uint64_t *)(SWAPPED_HEAP + page * PAGE_BYTES);
    for (unsigned i = 0; i < WORDS; i++)
        at[i] = word_of(page, seed, i);
}

static bool read_page(uint64_t page, uint64_t seed)
{
    const volatile uint64_t *at = (const volatile uint64_t *)(SWAPPED_HEAP + page * PAGE_BYTES);
    for (unsigned i = 0; i < WORDS; i++)
        if (at[i] != word_of(page, seed, i)) {
            print("swapped: page %llu, word %u is %llx\n", (unsigned long long)page, i,
                  (unsigned long long)at[i]);
            return false;
        }
    return true;
}

/* Pages whose number leaves `rest` by 3 have the seed `changed`, all others `first`. */
static bool read_all(uint64_t pages, uint64_t first, uint64_t rest, uint64_t changed)
{
    for (uint64_t n = 0; n < pages; n++) {
        uint64_t page = n * 7 % pages; /* not in order: pages is no multiple of 7 */
        if (!read_page(page, page % 3 == rest ? changed : first))
            return false;
    }
    return true;
}

static bool change(uint64_t pages, uint64_t rest, uint64_t seed)
{
    for (uint64_t page = rest; page < pages; page += 3)
        write_page(page, seed);
    return true;
}

/* The twin's thread: it has a copy of everything, and the same capabilities. */
static void twin(uint64_t pages)
{
    uint64_t code = !read_all(pages, 1, 3, 0)                         ? 5
                    : change(pages, 2, 3) && read_all(pages, 1, 2, 3) ? 0
                                                                      : 6;
    thread_exit(endpoint_send(PROGRAM_PARENT, SWAPPED_TWIN_ENDS, code, 0, 0));
}

static int fill(uint64_t pages)
{
    static unsigned char stack[4 * PAGE_BYTES] __attribute__((aligned(16)));
    uint64_t address = SWAPPED_HEAP;
    struct message answer;
    if (space_map_region(QY_SLOT_SPACE, &address, pages * PAGE_BYTES,
                         QY_MAP_READ | QY_MAP_WRITE | QY_REGION(QY_REGION_HEAP), 0) != QY_OK)
        return 1;
    for (uint64_t page = 0; page < pages; page++)
        write_page(page, 1);
    if (!read_all(pages, 1, 3, 0))
        return 2;
    if (endpoint_call(PROGRAM_PARENT, SWAPPED_SAYS_FILLED, pages, (uintptr_t)twin,
                      (uintptr_t)stack + sizeof(stack), &answer) != QY_OK ||
        answer.label)
        return 3;
    return change(pages, 1, 2) && read_all(pages, 1, 1, 2) ? 0 : 4;
}

int main(int argc, char *argv[])
{
    uint64_t pages = 0;
    if (argc < 2)
        return 7;
    for (const char *digit = argv[1]; *digit; digit++)
        pages = 10 * pages + (uint64_t)(*digit - '0');
    return fill(pages);
}
