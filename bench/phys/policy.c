/*
 * Which free block to take: policies compared by what they leave in large blocks after long random
 * runs, for docs/adr/0011-placement-policy.md.
 *
 * Every policy sees the same requests. Those that are not the arena's own choose an address from a
 * map of their own, and take it with qy_arena_alloc_at: the allocator is the real one. Choosing looks
 * at all 2 MiB blocks; its time says nothing.
 */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES (1ull << 30)
#define FRAMES (BYTES / QY_PAGE_BYTES)
#define BLOCKS (FRAMES / QY_BLOCK_PAGES)
#define BASE (1ull << 18)
#define STEPS 2000000u

struct map {
    bool used[QY_BLOCK_PAGES];
    unsigned free;
    unsigned orders; /* bit o: it has a free block of order o that is no part of a larger one */
};

static struct map maps[BLOCKS];

static bool all_free(const struct map *m, unsigned start, unsigned order)
{
    return memchr(&m->used[start], true, 1u << order) == NULL;
}

/* The lowest free place of that order in a block, part of a larger free one or not. */
static unsigned lowest(const struct map *m, unsigned order)
{
    unsigned start = 0;
    while (!all_free(m, start, order))
        start += 1u << order;
    return start;
}

/* The lowest place that is a free block of exactly that order. */
static unsigned lowest_exact(const struct map *m, unsigned order)
{
    for (unsigned start = 0;; start += 1u << order)
        if (all_free(m, start, order) &&
            (order == QY_BLOCK_ORDER || !all_free(m, start ^ 1u << order, order)))
            return start;
}

static void update(uint64_t at, unsigned order, bool used)
{
    struct map *m = &maps[(at - BASE) / QY_BLOCK_PAGES];
    memset(&m->used[at % QY_BLOCK_PAGES], used, 1ull << order);
    m->free += used ? 0u - (1u << order) : 1u << order;
    m->orders = 0;
    for (unsigned start = 0; start < QY_BLOCK_PAGES;) {
        unsigned o = 0;
        if (m->used[start]) {
            start++;
            continue;
        }
        while (o < QY_BLOCK_ORDER && start % (2u << o) == 0 && all_free(m, start, o + 1))
            o++;
        m->orders |= 1u << o;
        start += 1u << o;
    }
}

static unsigned fit(const struct map *m, unsigned order)
{
    unsigned mask = m->orders >> order;
    return mask ? order + (unsigned)__builtin_ctz(mask) : 99;
}

/* How good a block is for an order: less is better, UINT64_MAX is no place. */
typedef uint64_t rank_function(uint64_t block, unsigned order);

static uint64_t rank_lowest(uint64_t block, unsigned order)
{
    return fit(&maps[block], order) == 99 ? UINT64_MAX : block;
}

static uint64_t rank_smallest(uint64_t block, unsigned order)
{
    unsigned f = fit(&maps[block], order);
    return f == 99 ? UINT64_MAX : f * BLOCKS + block;
}

static uint64_t rank_fullest(uint64_t block, unsigned order)
{
    return fit(&maps[block], order) == 99 ? UINT64_MAX : maps[block].free * BLOCKS + block;
}

static uint64_t rank_emptiest(uint64_t block, unsigned order)
{
    return fit(&maps[block], order) == 99 ? UINT64_MAX
                                          : (QY_BLOCK_PAGES - maps[block].free) * BLOCKS + block;
}

static const struct {
    const char *name;
    rank_function *rank; /* null: the arena's own choice */
    bool exact; /* in the block, the smallest free block that fits; else the lowest place */
} policies[] = {
    {"the arena's own", NULL, false},
    {"lowest address", rank_lowest, false},
    {"lowest block, smallest fit", rank_lowest, true},
    {"smallest fit, lowest address", rank_smallest, true},
    {"fullest block, smallest fit", rank_fullest, true},
    {"emptiest block (the worst)", rank_emptiest, true},
};

static bool take(unsigned policy, unsigned order, uint64_t *at)
{
    uint64_t best = UINT64_MAX, block = 0;
    if (!policies[policy].rank)
        return subject_alloc(&cpus[0], order, at);
    for (uint64_t b = 0; b < BLOCKS; b++) {
        uint64_t rank = policies[policy].rank(b, order);
        if (rank < best) {
            best = rank;
            block = b;
        }
    }
    if (best == UINT64_MAX)
        return false;
    unsigned start = policies[policy].exact ? lowest_exact(&maps[block], fit(&maps[block], order))
                                            : lowest(&maps[block], order);
    *at = BASE + block * QY_BLOCK_PAGES + start;
    return qy_arena_alloc_at(&arena, pfn(*at), order, QY_FRAME_USER) == QY_OK;
}

static uint64_t refused;

static void grow(struct held *held, unsigned policy)
{
    struct block b = {.order = random_order(&held->random)};
    if (!take(policy, b.order, &b.at)) {
        refused++;
        return;
    }
    if (policies[policy].rank)
        update(b.at, b.order, true);
    held->blocks[held->count++] = b;
    held->pages += 1ull << b.order;
}

/* Nine of ten live shortly: they are among the youngest. */
static void shrink(struct held *held, unsigned policy, bool lives)
{
    uint64_t young = held->count < 2000 ? held->count : 2000;
    uint64_t index = lives && random_below(&held->random, 10)
                         ? held->count - 1 - random_below(&held->random, young)
                         : random_below(&held->random, held->count);
    struct block b = held->blocks[index];
    held_free(held, index);
    if (policies[policy].rank)
        update(b.at, b.order, false);
}

/* The occupancy stays, or swings between 30 % and 90 % and ends in the middle; per cent of what is
 * free that is in 2 MiB blocks. */
static unsigned run(unsigned policy, unsigned occupancy, bool swings, bool lives)
{
    struct held held;
    machine_make(BYTES);
    held_make(&held, 0, FRAMES);
    memset(maps, 0, sizeof(maps));
    for (unsigned b = 0; b < BLOCKS; b++)
        maps[b] = (struct map){.free = QY_BLOCK_PAGES, .orders = 1u << QY_BLOCK_ORDER};
    refused = 0;
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned wanted = occupancy;
        if (swings && i < STEPS / 10 * 9)
            wanted = i / (STEPS / 20) % 2 ? 30 : 90;
        uint64_t pages = FRAMES / 100 * wanted;
        if (held.pages < pages)
            grow(&held, policy);
        else
            shrink(&held, policy, lives);
    }
    unsigned share = free_in_large_blocks();
    held_destroy(&held);
    machine_destroy();
    return share;
}

int main(void)
{
    printf("%% of free memory in blocks of 2 MiB and more, after %u steps in 1 GiB\n", STEPS);
    printf("%-30s %25s %25s %12s\n", "", "uniform lives 50 75 90 %", "short lives 50 75 90 %",
           "swings to 50");
    for (unsigned p = 0; p < sizeof(policies) / sizeof(policies[0]); p++) {
        printf("%-30s", policies[p].name);
        for (unsigned lives = 0; lives < 2; lives++) {
            printf("       ");
            for (unsigned i = 0; i < 3; i++)
                printf("%6u", run(p, (unsigned[]){50, 75, 90}[i], false, lives));
        }
        printf("%10u", run(p, 50, true, false));
        printf("%6u\n", run(p, 50, true, true));
        fflush(stdout);
    }
    return 0;
}
