/*
 * The map of a 2 MiB block: 512 bits, one a free frame, and how many free blocks of each order they
 * make.
 *
 *     map     1111 0011 0100 0000 ...     free blocks: order 2 at 0, order 1 at 6, order 0 at 9
 *     counts  [0]=1 [1]=1 [2]=1           orders = 0b111
 *
 * A free block of order k is an aligned run of 2^k ones that is not half of a larger such run; so
 * merging and splitting are a matter of counts, and a map can hold no free buddies. Invariant
 * MAP-COUNT: counts, orders and free say what the bits say. Locking: that of the arena that owns
 * the block; bits are read by others, so they are atomic words. Cost: at most 9 steps and 8 words.
 */
#include "arena_impl.h"

/* One bit in every `period`. */
#define EVERY(period) (~0ull / ((1ull << (period)) - 1))

/* Bits at multiples of 2^k. */
static const uint64_t starts[7] = {~0ull, EVERY(2), EVERY(4), EVERY(8), EVERY(16), EVERY(32), 1};

static uint64_t ones(unsigned order)
{
    return order >= 6 ? ~0ull : (1ull << (1u << order)) - 1;
}

/* The aligned runs of 2^order ones in a word, marked at their starts. order <= 6. */
static uint64_t runs(uint64_t word, unsigned order)
{
    for (unsigned i = 0; i < order; i++)
        word &= word >> (1u << i) & starts[i + 1];
    return word;
}

static bool range_is_free(const struct qy_block *block, unsigned start, unsigned order)
{
    if (order < 6)
        return (qy_word_load(&block->map[start / 64]) >> start % 64 & ones(order)) == ones(order);
    for (unsigned w = start / 64; w < (start + (1u << order)) / 64; w++)
        if (qy_word_load(&block->map[w]) != ~0ull)
            return false;
    return true;
}

static void range_set(struct qy_block *block, unsigned start, unsigned order, bool free)
{
    if (order < 6) {
        _Atomic uint64_t *word = &block->map[start / 64];
        uint64_t mask = ones(order) << start % 64, old = qy_word_load(word);
        qy_word_store(word, free ? old | mask : old & ~mask);
        return;
    }
    for (unsigned w = start / 64; w < (start + (1u << order)) / 64; w++)
        qy_word_store(&block->map[w], free ? ~0ull : 0);
}

static void count_up(struct qy_block *block, unsigned order)
{
    block->counts[order]++;
    block->orders |= (uint16_t)(1u << order);
}

static void count_down(struct qy_block *block, unsigned order)
{
    if (--block->counts[order] == 0)
        block->orders &= (uint16_t) ~(1u << order);
}

void qy_block_map_empty(struct qy_block *block)
{
    for (unsigned w = 0; w < QY_MAP_WORDS; w++)
        qy_word_store(&block->map[w], 0);
    for (unsigned o = 0; o < QY_BLOCK_ORDER; o++)
        block->counts[o] = 0;
    block->free = 0;
    block->orders = 0;
    block->keeper = 0;
    block->list = QY_UNLISTED;
}

unsigned qy_block_map_order_at(const struct qy_block *block, unsigned index)
{
    unsigned order = 0;
    while (order < QY_BLOCK_ORDER &&
           range_is_free(block, (unsigned)qy_align_down(index, 2ull << order), order + 1))
        order++;
    return order;
}

unsigned qy_block_map_first(const struct qy_block *block, unsigned order)
{
    if (order < 6) {
        for (unsigned w = 0; w < QY_MAP_WORDS; w++) {
            uint64_t exact = runs(qy_word_load(&block->map[w]), order);
            uint64_t larger = exact & exact >> (1u << order) & starts[order + 1];
            exact &= ~(larger | larger << (1u << order));
            if (exact)
                return w * 64 + (unsigned)__builtin_ctzll(exact);
        }
    } else {
        unsigned step = 1u << order;
        for (unsigned start = 0; start < QY_BLOCK_PAGES; start += step)
            if (range_is_free(block, start, order) && !range_is_free(block, start ^ step, order))
                return start;
    }
    qy_port_broken("MAP-COUNT", "a block's map lacks a free block that it counts, of order", order);
}

void qy_block_map_take(struct qy_block *block, unsigned start, unsigned order, unsigned from)
{
    range_set(block, start, order, false);
    block->free = (uint16_t)(block->free - (1u << order));
    if (from < QY_BLOCK_ORDER)
        count_down(block, from);
    for (unsigned o = order; o < from; o++)
        count_up(block, o);
}

unsigned qy_block_map_give(struct qy_block *block, unsigned start, unsigned order)
{
    range_set(block, start, order, true);
    block->free = (uint16_t)(block->free + (1u << order));
    while (order < QY_BLOCK_ORDER && range_is_free(block, start ^ 1u << order, order)) {
        count_down(block, order);
        start &= ~(1u << order);
        order++;
    }
    if (order < QY_BLOCK_ORDER)
        count_up(block, order);
    return order;
}

unsigned qy_block_map_next(const struct qy_block *block, unsigned index, bool free)
{
    uint64_t below = (1ull << index % 64) - 1;
    for (unsigned w = index / 64; w < QY_MAP_WORDS; w++) {
        uint64_t word = qy_word_load(&block->map[w]);
        word = (free ? word : ~word) & ~below;
        if (word)
            return w * 64 + (unsigned)__builtin_ctzll(word);
        below = 0;
    }
    return QY_BLOCK_PAGES;
}

bool qy_block_map_check(const struct qy_block *block)
{
    unsigned counts[QY_BLOCK_ORDER + 1] = {0}, free = 0;
    for (unsigned i = 0; i < QY_BLOCK_PAGES;) {
        if (!range_is_free(block, i, 0)) {
            i++;
            continue;
        }
        unsigned order = qy_block_map_order_at(block, i);
        counts[order]++;
        free += 1u << order;
        i += 1u << order;
    }
    for (unsigned o = 0; o < QY_BLOCK_ORDER; o++)
        if (counts[o] != block->counts[o] || (counts[o] != 0) != (block->orders >> o & 1))
            return false;
    return free == block->free && counts[QY_BLOCK_ORDER] == 0;
}

/* Count a word's free blocks below order 6, once or off; it is not all ones. */
static void count_word(struct qy_block *block, uint64_t word, int sign)
{
    uint64_t run = word; /* runs of 2^order ones, marked at their starts */
    for (unsigned order = 0; order < 6 && run; order++) {
        uint64_t larger = run & run >> (1u << order) & starts[order + 1];
        uint64_t exact = run & ~(larger | larger << (1u << order));
        run = larger;
        if (!exact)
            continue;
        int counted = block->counts[order] + sign * __builtin_popcountll(exact);
        block->counts[order] = (uint16_t)counted;
        block->orders = (uint16_t)((block->orders & ~(1u << order)) | (counted != 0) << order);
    }
}

static void word_change(struct qy_block *block, unsigned index, uint64_t from, uint64_t to)
{
    count_word(block, from, -1);
    count_word(block, to, 1);
    block->free = (uint16_t)(block->free + __builtin_popcountll(to) - __builtin_popcountll(from));
    qy_word_store(&block->map[index], to);
}

void qy_block_map_take_bits(struct qy_block *block, unsigned index, uint64_t bits)
{
    uint64_t word = qy_word_load(&block->map[index]), rest = word & ~bits;
    if (~word == 0) {
        qy_block_map_take(block, index * 64, 6, qy_block_map_order_at(block, index * 64));
        word = 0;
    }
    word_change(block, index, word, rest);
}

void qy_block_map_give_bits(struct qy_block *block, unsigned index, uint64_t bits)
{
    uint64_t word = qy_word_load(&block->map[index]), whole = word | bits;
    if (~whole != 0) {
        word_change(block, index, word, whole);
        return;
    }
    word_change(block, index, word, 0);
    qy_block_map_give(block, index * 64, 6);
}
