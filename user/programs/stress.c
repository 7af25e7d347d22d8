/*
 * Hard use of memory by one program: its heap and its address space at random, everything checked.
 *
 *     stress [SEED]      SEED: a word; the same word does the same
 *
 * Blocks of the heap and regions of the space are taken, grown, filled, made read only and given back. Each knows what it
 * was filled with. In the end all are given back, and the budget is what it was at first, but for what the heap keeps, and
 * page tables.
 */
#include <lib/random.h>
#include <lib/string.h>
#include <stdbool.h>
#include <user/malloc.h>
#include <user/print.h>
#include <user/program.h>
#include <user/space.h>

#define STEPS 20000u
#define PIECES 64u
#define BLOCK_MAX 20000u
#define REGION_PAGES_MAX 32u
#define TABLE_PAGES 64u /* that stay for the addresses that were used */
#define RW (QY_MAP_READ | QY_MAP_WRITE)

static struct piece {
    unsigned char *at; /* null: none */
    uint64_t bytes;
    bool region;
    unsigned char fill;
} pieces[PIECES];

static uint64_t random_state, wrong, refused;

static uint64_t below(uint64_t limit)
{
    return random_below(&random_state, limit);
}

/* A few bytes of each page tell. */
static void fill(struct piece *piece)
{
    piece->fill = (unsigned char)below(256);
    for (uint64_t i = 0; i < piece->bytes; i += 509)
        piece->at[i] = piece->fill;
}

static void check(const struct piece *piece)
{
    for (uint64_t i = 0; i < piece->bytes; i += 509)
        wrong += piece->at[i] != piece->fill;
}

static void take(struct piece *piece)
{
    uint64_t at = 0;

    piece->region = below(3) == 0;
    if (piece->region) {
        piece->bytes = (1 + below(REGION_PAGES_MAX)) * PAGE_BYTES;
        enum qy_error error =
            space_map_region(QY_SLOT_SPACE, &at, piece->bytes, RW | QY_REGION(QY_REGION_DATA), 0);
        piece->at = error == QY_OK ? (unsigned char *)(uintptr_t)at : NULL;
    } else {
        piece->bytes = 1 + below(BLOCK_MAX);
        piece->at = malloc(piece->bytes);
    }
    if (piece->at)
        fill(piece);
    else
        refused++;
}

static void give(struct piece *piece)
{
    check(piece);
    if (!piece->region)
        free(piece->at);
    else if (space_unmap_region(QY_SLOT_SPACE, (uintptr_t)piece->at, piece->bytes) != QY_OK)
        wrong++;
    piece->at = NULL;
}

/* A block grows or shrinks; a region is read only for a while. */
static void change(struct piece *piece)
{
    uint64_t bytes = 1 + below(BLOCK_MAX);

    check(piece);
    if (piece->region) {
        for (unsigned i = 0; i < 2; i++) {
            if (space_protect_region(QY_SLOT_SPACE, (uintptr_t)piece->at, piece->bytes,
                                     i ? RW : QY_MAP_READ) != QY_OK)
                wrong++;
            check(piece);
        }
        return;
    }
    unsigned char *moved = realloc(piece->at, bytes);
    if (!moved) {
        refused++;
        return;
    }
    *piece = (struct piece){moved, bytes < piece->bytes ? bytes : piece->bytes, false, piece->fill};
    check(piece);
    piece->bytes = bytes;
    fill(piece);
}

int main(int argc, char *argv[])
{
    struct untyped_state before = {0}, after = {0};
    bool asked = untyped_info(QY_SLOT_UNTYPED, &before) == QY_OK;

    for (const char *at = argc > 1 ? argv[1] : ""; *at; at++)
        random_state = random_state * 256 + (unsigned char)*at;
    for (unsigned i = 0; i < STEPS; i++) {
        struct piece *piece = &pieces[below(PIECES)];
        if (!piece->at)
            take(piece);
        else if (below(3))
            give(piece);
        else
            change(piece);
    }
    for (unsigned i = 0; i < PIECES; i++)
        if (pieces[i].at)
            give(&pieces[i]);
    struct heap heap = malloc_state();
    asked = asked && untyped_info(QY_SLOT_UNTYPED, &after) == QY_OK;
    const char *broken = malloc_check();
    uint64_t given = before.free_bytes - after.free_bytes;
    if (!asked || given > heap.page_bytes + TABLE_PAGES * PAGE_BYTES)
        broken = "the budget has lost memory";
    print("stress: %u steps, %llu refused, %llu wrong; %llu blocks left, the heap keeps %S, the "
          "budget gave %S%s%s\n",
          STEPS, (unsigned long long)refused, (unsigned long long)wrong,
          (unsigned long long)heap.live_blocks, heap.page_bytes, given, broken ? "; broken: " : "",
          broken ? broken : "");
    return wrong || broken || heap.live_blocks ? 1 : 0;
}
