/*
 * The game of life on huge pages: 4096 x 4096 cells, a bit each, in one page of 2 MiB a generation.
 *
 *     now   | 64 words a row | x 4096   -->   next | ... |       and back
 *
 * 64 cells at a time: the eight neighbours of each are added with carries in three bit planes. Rows where nothing lives
 * and nothing can be born are left out. It plays the R-pentomino, which settles after 1103 generations with 116 cells
 * (M. Gardner, Scientific American, October 1970), six gliders on their way among them; the edges are dead and far.
 */
#include <lib/string.h>
#include <stdbool.h>
#include <user/print.h>
#include <user/program.h>
#include <user/space.h>

#define SIZE 4096u
#define WORDS (SIZE / 64)
#define PAGE_2M (2ull << 20)
#define PLACE 0x500000000000ull
#define GENERATIONS 1103u
#define SETTLED 116u

typedef uint64_t row_t[WORDS];

_Static_assert(sizeof(row_t) * SIZE == PAGE_2M, "a generation is a page");

/* The world, and the rows that may have life: [first, end). */
struct world {
    row_t *rows;
    unsigned first, end;
};

/* What stands left and right of each cell of a word. */
static uint64_t west(const uint64_t *row, unsigned i)
{
    return row[i] << 1 | (i ? row[i - 1] >> 63 : 0);
}

static uint64_t east(const uint64_t *row, unsigned i)
{
    return row[i] >> 1 | (i + 1 < WORDS ? row[i + 1] << 63 : 0);
}

/* Number of neighbours in bit planes; from four on it does not matter which number. */
struct sum {
    uint64_t ones, twos, fours;
};

static void add(struct sum *sum, uint64_t cells)
{
    uint64_t carry = sum->ones & cells;

    sum->ones ^= cells;
    sum->fours |= sum->twos & carry;
    sum->twos ^= carry;
}

static uint64_t step_word(const uint64_t *above, const uint64_t *row, const uint64_t *below,
                          unsigned i)
{
    struct sum sum = {0};

    add(&sum, west(above, i));
    add(&sum, above[i]);
    add(&sum, east(above, i));
    add(&sum, west(row, i));
    add(&sum, east(row, i));
    add(&sum, west(below, i));
    add(&sum, below[i]);
    add(&sum, east(below, i));
    return ~sum.fours & sum.twos & (sum.ones | row[i]);
}

static void step(const struct world *now, struct world *next)
{
    unsigned from = now->first > 1 ? now->first - 1 : 1;
    unsigned to = now->end + 1 < SIZE - 1 ? now->end + 1 : SIZE - 1;

    /* What stood there two generations ago goes. */
    for (unsigned y = next->first; y < next->end; y++)
        if (y < from || y >= to)
            memset(next->rows[y], 0, sizeof(row_t));
    next->first = SIZE;
    next->end = 0;
    for (unsigned y = from; y < to; y++) {
        uint64_t any = 0;
        for (unsigned i = 0; i < WORDS; i++)
            any |= next->rows[y][i] =
                step_word(now->rows[y - 1], now->rows[y], now->rows[y + 1], i);
        if (any && next->first == SIZE)
            next->first = y;
        if (any)
            next->end = y + 1;
    }
}

static unsigned population(const struct world *world)
{
    unsigned count = 0;

    for (unsigned y = world->first; y < world->end; y++)
        for (unsigned i = 0; i < WORDS; i++)
            count += (unsigned)__builtin_popcountll(world->rows[y][i]);
    return count;
}

/* The middle of the world, two rows of cells a line. */
static void show(const struct world *world)
{
    static const char *const halves[] = {" ", ".", "'", ":"};
    const unsigned middle = SIZE / 2, word = WORDS / 2;

    for (unsigned y = middle - 32; y < middle + 32; y += 2) {
        print("life: ");
        for (unsigned x = 64; x-- > 0;)
            print_text(
                halves[(world->rows[y][word] >> x & 1) << 1 | (world->rows[y + 1][word] >> x & 1)]);
        print("\n");
    }
}

/* A region of one page of 2 MiB for a generation: it comes, zeroed, with the first cell. */
static enum qy_error make_world(struct world *world, uint64_t place)
{
    enum qy_error error = space_map_region(QY_SLOT_SPACE, &place, PAGE_2M,
                                           QY_MAP_READ | QY_MAP_WRITE | QY_REGION_PAGES_2M, 0);

    *world = (struct world){.rows = (row_t *)(uintptr_t)place, .first = SIZE};
    return error;
}

/* Largest page at the address that the kernel maps it with. */
static uint64_t page_bytes(uint64_t address)
{
    struct space_region region = {0};

    return space_query(QY_SLOT_SPACE, address, &region) == QY_OK ? region.page_bytes : 0;
}

int main(int argc, char *argv[])
{
    static const uint64_t pentomino[] = {3, 6, 2}; /* .## / ##. / .#. */
    struct world world[2];

    for (unsigned i = 0; i < 2; i++) {
        enum qy_error error = make_world(&world[i], PLACE + i * PAGE_2M);
        if (error != QY_OK) {
            print("life: no region of a page of 2 MiB: %s\n", qy_error_sentence(error));
            return 2;
        }
    }
    world[0].first = SIZE / 2;
    world[0].end = SIZE / 2 + 3;
    for (unsigned i = 0; i < 3; i++)
        world[0].rows[SIZE / 2 + i][WORDS / 2] = pentomino[i] << 32;
    for (unsigned i = 0; i < GENERATIONS; i++)
        step(&world[i % 2], &world[(i + 1) % 2]);
    const struct world *last = &world[GENERATIONS % 2];
    if (argc > 1 && strcmp(argv[1], "show") == 0)
        show(last);
    unsigned cells = population(last);
    print("life: %u cells after %u generations in rows %u to %u, on pages of %S\n", cells,
          GENERATIONS, last->first, last->end - 1, page_bytes(PLACE));
    return cells == SETTLED && page_bytes(PLACE) == PAGE_2M ? 0 : 1;
}
