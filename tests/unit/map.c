/*
 * The memory map: by example, at its edges, and in thousands of random operations against a model
 * that knows type, use and node of every page of a small machine. Without the model, an error in
 * one segment's end would go unseen.
 */
#include <lib/random.h>
#include <qy/map.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#include "memory.h"

#define NO_LIMIT UINT64_MAX
#define K 1024ull
#define M (1024 * K)
#define G (1024 * M)

static struct qy_segment array[64];
static struct qy_map map;

#define R(base_, end_, type_)                                                                      \
    {                                                                                              \
        .base = (base_), .end = (end_), .type = QY_MEM_##type_                                     \
    }
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BUILD(...)                                                                                 \
    ({                                                                                             \
        const struct qy_range ranges_[] = {__VA_ARGS__};                                           \
        build(ranges_, COUNT(ranges_), NO_LIMIT);                                                  \
    })

static enum qy_error build(const struct qy_range *ranges, size_t count, uint64_t limit)
{
    enum qy_error error = qy_map_build(&map, array, COUNT(array), ranges, count, limit, NULL);
    const char *broken = qy_map_check(&map);
    if (broken)
        printf("# %s\n", broken);
    CHECK(broken == NULL);
    return error;
}

/* The i-th segment is exactly this. */
static bool is(uint32_t i, uint64_t base, uint64_t end, enum qy_mem_type type, enum qy_mem_use use)
{
    if (i < map.count && array[i].base == base && array[i].end == end && array[i].type == type &&
        array[i].use == use)
        return true;
    for (uint32_t k = 0; k < map.count; k++)
        printf("# %u: %#llx %#llx %s, %s, node %u\n", k, (unsigned long long)array[k].base,
               (unsigned long long)array[k].end, qy_mem_type_name(array[k].type),
               qy_mem_use_name(array[k].use), array[k].node);
    return false;
}

static void empty_maps(void)
{
    CHECK_EQ(build(NULL, 0, NO_LIMIT), QY_NOT_FOUND);
    CHECK_EQ(map.count, 0);
    CHECK_EQ(BUILD(R(0, M, RESERVED)), QY_NOT_FOUND);
    CHECK_EQ(map.count, 0);
    CHECK_EQ(BUILD(R(0, 4 * K, USABLE)), QY_NOT_FOUND);     /* frame 0 alone */
    CHECK_EQ(BUILD(R(5 * K, 7 * K, USABLE)), QY_NOT_FOUND); /* no whole page */
}

static void unsorted_and_touching(void)
{
    CHECK_EQ(BUILD(R(2 * M, 3 * M, USABLE), R(M, 2 * M, USABLE), R(3 * M, 4 * M, RESERVED)), QY_OK);
    CHECK_EQ(map.count, 2);
    CHECK(is(0, M, 3 * M, QY_MEM_USABLE, QY_USE_FREE));
    CHECK(is(1, 3 * M, 4 * M, QY_MEM_RESERVED, QY_USE_NOT_RAM));
    CHECK_EQ(map.usable_bytes, 2 * M);
}

/* For each pair of types, in either order: the more restrictive one has what both claim. */
static void overlaps_go_to_the_more_restrictive(void)
{
    for (unsigned a = 0; a < QY_MEM_TYPE_COUNT; a++) {
        for (unsigned b = 0; b < QY_MEM_TYPE_COUNT; b++) {
            struct qy_range ranges[] = {
                R(8 * M, 9 * M, USABLE),
                R(M, 3 * M, USABLE),
                R(2 * M, 4 * M, USABLE)
            };
            ranges[1].type = a;
            ranges[2].type = b;
            CHECK_EQ(build(ranges, 3, NO_LIMIT), QY_OK);
            CHECK_EQ(qy_map_find(&map, 2 * M)->type, a > b ? a : b);
            CHECK_EQ(qy_map_find(&map, 3 * M - 1)->type, a > b ? a : b);
            CHECK_EQ(qy_map_find(&map, 2 * M - 1)->type, a);
            CHECK_EQ(qy_map_find(&map, 3 * M)->type, b);
            CHECK_EQ(map.usable_bytes, (1 + (a == 0) + (b == 0) + (a == 0 && b == 0)) * M);
        }
    }
}

static void one_inside_the_other(void)
{
    CHECK_EQ(BUILD(R(M, 9 * M, USABLE), R(4 * M, 5 * M, RESERVED), R(2 * M, 8 * M, USABLE)), QY_OK);
    CHECK_EQ(map.count, 3);
    CHECK(is(0, M, 4 * M, QY_MEM_USABLE, QY_USE_FREE));
    CHECK(is(2, 5 * M, 9 * M, QY_MEM_USABLE, QY_USE_FREE));
}

static void nonsense_is_left_out_and_counted(void)
{
    const struct qy_range ranges[] = {
        R(M, M, USABLE),
        R(3 * M, 2 * M, RESERVED),
        R(4 * M, 5 * M, USABLE),
        R(UINT64_MAX - 4095, 4096, USABLE)
    };
    uint32_t ignored = 99;
    CHECK_EQ(qy_map_build(&map, array, COUNT(array), ranges, COUNT(ranges), NO_LIMIT, &ignored),
             QY_OK);
    CHECK_EQ(ignored, 3);
    CHECK_EQ(map.count, 1);
    CHECK(is(0, 4 * M, 5 * M, QY_MEM_USABLE, QY_USE_FREE));
}

static void unknown_types_are_reserved(void)
{
    const struct qy_range ranges[] = { R(M, 3 * M, USABLE), {.base = M, .end = 2 * M, .type = 77} };
    CHECK_EQ(build(ranges, 2, NO_LIMIT), QY_OK);
    CHECK(is(0, M, 2 * M, QY_MEM_RESERVED, QY_USE_NOT_RAM));
    CHECK(is(1, 2 * M, 3 * M, QY_MEM_USABLE, QY_USE_FREE));
}

static void pages_are_rounded_inwards(void)
{
    CHECK_EQ(BUILD(R(M + 1, 2 * M + 1, USABLE)), QY_OK);
    CHECK_EQ(map.count, 3);
    CHECK(is(0, M + 1, M + 4 * K, QY_MEM_USABLE, QY_USE_ROUNDED));
    CHECK(is(1, M + 4 * K, 2 * M, QY_MEM_USABLE, QY_USE_FREE));
    CHECK(is(2, 2 * M, 2 * M + 1, QY_MEM_USABLE, QY_USE_ROUNDED));
    CHECK_EQ(map.usable_bytes, M);
    /* one page exactly, one byte, a page's width across a boundary */
    CHECK_EQ(
        BUILD(R(8 * K, 12 * K, USABLE), R(20 * K, 20 * K + 1, USABLE), R(30 * K, 34 * K, USABLE)),
        QY_OK);
    CHECK_EQ(map.count, 3);
    CHECK(is(0, 8 * K, 12 * K, QY_MEM_USABLE, QY_USE_FREE));
    CHECK(is(1, 20 * K, 20 * K + 1, QY_MEM_USABLE, QY_USE_ROUNDED));
    CHECK(is(2, 30 * K, 34 * K, QY_MEM_USABLE, QY_USE_ROUNDED));
    /* two halves of a page make a page; a page that is shared with a reserved range is none */
    CHECK_EQ(
        BUILD(R(8 * K, 10 * K, USABLE), R(10 * K, 13 * K, USABLE), R(13 * K, 14 * K, RESERVED)),
        QY_OK);
    CHECK(is(0, 8 * K, 12 * K, QY_MEM_USABLE, QY_USE_FREE));
    CHECK(is(1, 12 * K, 13 * K, QY_MEM_USABLE, QY_USE_ROUNDED));
}

static void frame_zero_is_withheld(void)
{
    uint64_t taken;
    paddr_t at;

    CHECK_EQ(BUILD(R(0, 640 * K, USABLE)), QY_OK);
    CHECK(is(0, 0, 4 * K, QY_MEM_USABLE, QY_USE_FRAME_ZERO));
    CHECK(is(1, 4 * K, 640 * K, QY_MEM_USABLE, QY_USE_FREE));
    CHECK_EQ(qy_map_reserve(&map, 0, 8 * K, QY_USE_BOOT_DATA, &taken), QY_OK);
    CHECK_EQ(taken, 4 * K);
    CHECK_EQ(qy_map_change(&map, 0, 4 * K, QY_USE_FRAME_ZERO, QY_USE_FREE), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_map_alloc(&map, 4 * K, 4 * K, 0, 8 * K, QY_ANY_NODE, QY_USE_BOOT_DATA, &at),
             QY_OUT_OF_MEMORY);
    CHECK(qy_map_check(&map) == NULL);
}

static void beyond_the_physical_limit(void)
{
    const struct qy_range ranges[] = { R(M, 4 * G, USABLE), R(8 * G, 9 * G, USABLE) };
    CHECK_EQ(build(ranges, 2, 2 * G + 5), QY_OK);
    CHECK_EQ(map.count, 3);
    CHECK(is(0, M, 2 * G, QY_MEM_USABLE, QY_USE_FREE));
    CHECK(is(1, 2 * G, 4 * G, QY_MEM_USABLE, QY_USE_BEYOND));
    CHECK(is(2, 8 * G, 9 * G, QY_MEM_USABLE, QY_USE_BEYOND));
    CHECK_EQ(build(ranges, 2, M), QY_NOT_FOUND);
    CHECK_EQ(build(ranges, 2, 0), QY_NOT_FOUND);
}

static void to_the_last_byte(void)
{
    CHECK_EQ(BUILD(R(0, UINT64_MAX, USABLE), R(UINT64_MAX - 100, UINT64_MAX, RESERVED)), QY_OK);
    CHECK(is(1, 4 * K, UINT64_MAX - 4095, QY_MEM_USABLE, QY_USE_FREE));
    CHECK(is(2, UINT64_MAX - 4095, UINT64_MAX - 100, QY_MEM_USABLE, QY_USE_ROUNDED));
    CHECK_EQ(qy_map_reserve(&map, UINT64_MAX - 10 * K, UINT64_MAX, QY_USE_BOOT_DATA, NULL), QY_OK);
    CHECK_EQ(qy_map_reserve(&map, UINT64_MAX - 1, UINT64_MAX, QY_USE_BOOT_DATA, NULL), QY_OK);
    CHECK_EQ(qy_map_set_node(&map, UINT64_MAX - 9 * K, UINT64_MAX, 3), QY_OK);
    CHECK(qy_map_check(&map) == NULL);
    CHECK_EQ(BUILD(R(UINT64_MAX - 4000, UINT64_MAX, USABLE), R(M, 2 * M, USABLE)), QY_OK);
    CHECK(is(1, UINT64_MAX - 4000, UINT64_MAX, QY_MEM_USABLE, QY_USE_ROUNDED));
}

static void more_segments_than_room(void)
{
    struct qy_range ranges[200];
    struct qy_segment room[200];

    for (unsigned i = 0; i < 200; i++)
        ranges[i] = (struct qy_range)R((2 * i + 1) * M, (2 * i + 2) * M, USABLE);
    CHECK_EQ(qy_map_build(&map, room, 199, ranges, 200, NO_LIMIT, NULL), QY_TOO_MANY);
    CHECK_EQ(map.count, 0);
    CHECK_EQ(map.usable_bytes, 0);
    CHECK_EQ(qy_map_build(&map, room, 200, ranges, 200, NO_LIMIT, NULL), QY_OK);
    CHECK_EQ(map.count, 200);
    CHECK_EQ(map.usable_bytes, 200 * M);
    for (unsigned i = 0; i < 200; i++) {
        CHECK(qy_map_find(&map, ranges[i].base) == &room[i]);
        CHECK(qy_map_find(&map, ranges[i].end - 1) == &room[i]);
        CHECK(qy_map_find(&map, ranges[i].end) == NULL);
    }
    CHECK(qy_map_find(&map, 0) == NULL);
    CHECK(qy_map_find(&map, UINT64_MAX) == NULL);
}

/* A change that needs more segments than there is room for leaves the map as it was. */
static void a_failed_change_changes_nothing(void)
{
    static const struct qy_range all = R(M, 9 * M, USABLE);
    struct qy_segment room[2], before[2];
    paddr_t at = paddr(77);

    CHECK_EQ(qy_map_build(&map, room, 2, &all, 1, NO_LIMIT, NULL), QY_OK);
    CHECK_EQ(qy_map_reserve(&map, M, 2 * M, QY_USE_KERNEL_TEXT, NULL), QY_OK);
    memcpy(before, room, sizeof(room));
    CHECK_EQ(qy_map_reserve(&map, 4 * M, 5 * M, QY_USE_BOOT_DATA, NULL), QY_TOO_MANY);
    CHECK_EQ(qy_map_set_node(&map, 3 * M, 5 * M, 1), QY_TOO_MANY);
    CHECK_EQ(qy_map_alloc(&map, M, M, 0, 8 * M, QY_ANY_NODE, QY_USE_BOOT_DATA, &at), QY_TOO_MANY);
    CHECK_EQ(at.raw, 77);
    CHECK_EQ(qy_map_change(&map, 3 * M, 4 * M, QY_USE_FREE, QY_USE_UNTYPED), QY_TOO_MANY);
    CHECK_EQ(qy_map_change(&map, M, 3 * M, QY_USE_KERNEL_TEXT, QY_USE_FREE), QY_NOT_ALLOCATED);
    CHECK_EQ(map.count, 2);
    CHECK(memcmp(before, room, sizeof(room)) == 0);
    CHECK_EQ(qy_map_change(&map, M, 2 * M, QY_USE_KERNEL_TEXT, QY_USE_FREE), QY_OK);
    CHECK_EQ(map.count, 1);
}

static void arguments_are_checked(void)
{
    paddr_t at;

    CHECK_EQ(BUILD(R(M, 9 * M, USABLE), R(16 * M, 17 * M, RESERVED)), QY_OK);
    CHECK_EQ(qy_map_reserve(&map, 2 * M, 2 * M, QY_USE_BOOT_DATA, NULL), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_map_reserve(&map, 3 * M, 2 * M, QY_USE_BOOT_DATA, NULL), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_map_reserve(&map, 2 * M, 3 * M, QY_USE_NOT_RAM, NULL), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_map_reserve(&map, 2 * M, 3 * M, QY_USE_FREE, NULL), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_map_reserve(&map, 2 * M, 3 * M, QY_USE_COUNT, NULL), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_map_change(&map, 2 * M, 3 * M, QY_USE_FREE, QY_USE_COUNT), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_map_alloc(&map, 0, 4 * K, 0, NO_LIMIT, QY_ANY_NODE, QY_USE_BOOT_DATA, &at),
             QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_map_alloc(&map, 5 * K, 4 * K, 0, NO_LIMIT, QY_ANY_NODE, QY_USE_BOOT_DATA, &at),
             QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_map_alloc(&map, 4 * K, 12 * K, 0, NO_LIMIT, QY_ANY_NODE, QY_USE_BOOT_DATA, &at),
             QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_map_alloc(&map, 4 * K, 2 * K, 0, NO_LIMIT, QY_ANY_NODE, QY_USE_BOOT_DATA, &at),
             QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_map_alloc(&map, 16 * M, 4 * K, 0, NO_LIMIT, QY_ANY_NODE, QY_USE_BOOT_DATA, &at),
             QY_OUT_OF_MEMORY);
    CHECK_EQ(
        qy_map_alloc(&map, 1ull << 63, 1ull << 63, 0, NO_LIMIT, QY_ANY_NODE, QY_USE_BOOT_DATA, &at),
        QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_map_alloc(&map, M, 4 * K, 5 * M, 4 * M, QY_ANY_NODE, QY_USE_BOOT_DATA, &at),
             QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_map_alloc(&map, M, M, 0, NO_LIMIT, QY_ANY_NODE, QY_USE_FREE, &at),
             QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_map_change(&map, 2 * M + 1, 3 * M, QY_USE_FREE, QY_USE_UNTYPED),
             QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_map_change(&map, 16 * M, 17 * M, QY_USE_FREE, QY_USE_UNTYPED), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_map_change(&map, 8 * M, 10 * M, QY_USE_FREE, QY_USE_UNTYPED), QY_NOT_ALLOCATED);
    CHECK_EQ(map.count, 2);
}

static void allocates_the_highest_place(void)
{
    paddr_t at;
    uint64_t totals[QY_USE_COUNT];

    CHECK_EQ(BUILD(R(M, 16 * M, USABLE), R(8 * M, 9 * M, RESERVED), R(5 * G, 6 * G, USABLE)),
             QY_OK);
    CHECK_EQ(qy_map_set_node(&map, 5 * G, 6 * G, 1), QY_OK);
    CHECK_EQ(qy_map_alloc(&map, M, 4 * K, 0, NO_LIMIT, QY_ANY_NODE, QY_USE_FRAME_DB, &at), QY_OK);
    CHECK_EQ(at.raw, 6 * G - M);
    CHECK_EQ(qy_map_alloc(&map, M, 2 * M, 0, NO_LIMIT, 0, QY_USE_FRAME_DB, &at), QY_OK);
    CHECK_EQ(at.raw, 14 * M);
    CHECK_EQ(qy_map_alloc(&map, 2 * M, 4 * K, 0, 10 * M, 0, QY_USE_CPU_AREAS, &at), QY_OK);
    CHECK_EQ(at.raw, 6 * M);
    CHECK_EQ(qy_map_alloc(&map, 4 * K, 4 * K, 0, NO_LIMIT, 2, QY_USE_CPU_AREAS, &at),
             QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_map_change(&map, 6 * M, 7 * M, QY_USE_CPU_AREAS, QY_USE_FREE), QY_OK);
    CHECK(qy_map_check(&map) == NULL);
    qy_map_totals(&map, totals);
    CHECK_EQ(totals[QY_USE_FRAME_DB], 2 * M);
    CHECK_EQ(totals[QY_USE_CPU_AREAS], M);
    CHECK_EQ(totals[QY_USE_FREE], 14 * M + G - 3 * M);
    CHECK_EQ(totals[QY_USE_NOT_RAM], 0);
}

static void reserves_outwards_and_only_what_is_free(void)
{
    uint64_t taken;

    CHECK_EQ(BUILD(R(M, 2 * M, USABLE), R(3 * M, 4 * M, USABLE)), QY_OK);
    CHECK_EQ(qy_map_reserve(&map, M + 5, M + 6, QY_USE_BOOT_ARCHIVE, &taken), QY_OK);
    CHECK_EQ(taken, 4 * K);
    CHECK(is(0, M, M + 4 * K, QY_MEM_USABLE, QY_USE_BOOT_ARCHIVE));
    CHECK_EQ(qy_map_reserve(&map, 0, 9 * M, QY_USE_BOOT_DATA, &taken), QY_OK);
    CHECK_EQ(taken, 2 * M - 4 * K);
    CHECK(is(0, M, M + 4 * K, QY_MEM_USABLE, QY_USE_BOOT_ARCHIVE));
    CHECK_EQ(map.count, 3);
    CHECK_EQ(qy_map_reserve(&map, 0, 9 * M, QY_USE_BOOT_DATA, &taken), QY_OK);
    CHECK_EQ(taken, 0);
}

static void a_page_belongs_to_one_node(void)
{
    CHECK_EQ(BUILD(R(M, 4 * M, USABLE), R(4 * M, 5 * M, ACPI_RECLAIM), R(5 * M, 6 * M, RESERVED)),
             QY_OK);
    CHECK_EQ(qy_map_set_node(&map, 2 * M + 100, 8 * M, 2), QY_OK);
    CHECK_EQ(qy_map_find(&map, 2 * M - 1)->node, 0);
    CHECK_EQ(qy_map_find(&map, 2 * M)->node, 2);
    CHECK_EQ(qy_map_find(&map, 4 * M)->node, 2);
    CHECK_EQ(qy_map_find(&map, 5 * M)->node, 0);                 /* not RAM */
    CHECK_EQ(qy_map_set_node(&map, 3 * M, 3 * M + 5, 1), QY_OK); /* no whole page */
    CHECK_EQ(qy_map_find(&map, 3 * M)->node, 2);
    CHECK(qy_map_check(&map) == NULL);
}

/*
 * Each of the validator's complaints can be had; without this, a validator that says nothing
 * would pass.
 */
static void the_validator_sees_each_breach(void)
{
    struct qy_segment s[3] = {
        {.base = M, .end = 2 * M, .use = QY_USE_FREE},
        {.base = 2 * M, .end = 3 * M, .use = QY_USE_UNTYPED},
        {.base = 3 * M, .end = 4 * M, .type = QY_MEM_BAD, .use = QY_USE_NOT_RAM}};
    struct qy_segment good[3];
    struct qy_map m = {s, 3, 3, 2 * M};
    memcpy(good, s, sizeof(s));
#define BREACH(id, change)                                                                         \
    do {                                                                                           \
        change;                                                                                    \
        const char *said = qy_map_check(&m);                                                       \
        CHECK(said &&strcmp(said, id) == 0);                                                       \
        memcpy(s, good, sizeof(s));                                                                \
        m = (struct qy_map){s, 3, 3, 2 * M};                                                       \
    } while (0)
    CHECK(qy_map_check(&m) == NULL);
    BREACH("MAP-SORTED", s[1].base = M);
    BREACH("MAP-SORTED", s[1].end = s[1].base);
    BREACH("MAP-SORTED", m.capacity = 2);
    BREACH("MAP-MERGED", s[1].use = QY_USE_FREE);
    BREACH("MAP-WHOLE", (s[0].end--, m.usable_bytes--));
    BREACH("MAP-USE", s[2].use = QY_USE_FREE);
    BREACH("MAP-USE", s[0].use = QY_USE_NOT_RAM);
    BREACH("MAP-USE", s[0].type = QY_MEM_TYPE_COUNT);
    BREACH("MAP-USE", s[0].use = QY_USE_COUNT);
    BREACH("MAP-ZERO", (s[0].base = 0, m.usable_bytes += M));
    BREACH("MAP-ZERO", s[0].use = QY_USE_FRAME_ZERO);
    BREACH("MAP-TOTAL", m.usable_bytes++);
}

/* ---- against a model: 256 pages, each cut into quarters ---- */

#define PAGES 256u
#define QUARTERS (PAGES * 4)
#define QUARTER 1024ull
#define NOTHING 255u

struct model {
    uint8_t type[QUARTERS];
    uint8_t use[QUARTERS];
    uint16_t node[QUARTERS];
};

static struct model model;
static uint64_t seed;

static void model_build(const struct qy_range *ranges, size_t count, uint64_t limit)
{
    memset(&model, 0, sizeof(model));
    memset(model.type, NOTHING, sizeof(model.type));
    for (size_t i = 0; i < count; i++)
        for (uint64_t q = ranges[i].base / QUARTER; q < ranges[i].end / QUARTER; q++)
            if (model.type[q] == NOTHING || ranges[i].type > model.type[q])
                model.type[q] = (uint8_t)ranges[i].type;
    for (unsigned q = 0; q < QUARTERS; q++) {
        const uint8_t *page = &model.type[q & ~3u];
        bool whole = !page[0] && !page[1] && !page[2] && !page[3];
        if (model.type[q] != QY_MEM_USABLE)
            model.use[q] = QY_USE_NOT_RAM;
        else if (!whole)
            model.use[q] = QY_USE_ROUNDED;
        else if (q < 4)
            model.use[q] = QY_USE_FRAME_ZERO;
        else
            model.use[q] = q / 4 < limit / QY_PAGE_BYTES ? QY_USE_FREE : QY_USE_BEYOND;
    }
}

static bool model_agrees(void)
{
    uint64_t totals[QY_USE_COUNT], counted[QY_USE_COUNT] = {0}, sum = 0;

    for (unsigned q = 0; q < QUARTERS; q++) {
        const struct qy_segment *s = qy_map_find(&map, q * QUARTER);
        if ((s == NULL) != (model.type[q] == NOTHING))
            return false;
        if (!s)
            continue;
        if (s->type != model.type[q] || s->use != model.use[q])
            return false;
        if (qy_mem_type_is_ram(s->type) && s->node != model.node[q])
            return false;
        if (s->type == QY_MEM_USABLE)
            counted[s->use] += QUARTER;
    }
    qy_map_totals(&map, totals);
    for (unsigned use = 0; use < QY_USE_COUNT; use++) {
        if (totals[use] != counted[use])
            return false;
        sum += totals[use];
    }
    return sum == map.usable_bytes;
}

static void model_reserve(uint64_t base, uint64_t end, uint8_t use, uint64_t taken)
{
    uint64_t bytes = 0;
    for (uint64_t q = base / 4096 * 4; q < (end + 4095) / 4096 * 4 && q < QUARTERS; q++)
        if (model.type[q] == QY_MEM_USABLE && model.use[q] == QY_USE_FREE) {
            model.use[q] = use;
            bytes += QUARTER;
        }
    CHECK_EQ(bytes, taken);
}

/* The highest place in the model, or 0. */
static uint64_t model_place(uint64_t pages, uint64_t align, uint64_t min, uint64_t max,
                            uint16_t node)
{
    for (uint64_t page = PAGES - pages + 1; page-- > 0;) {
        bool fits = page * 4096 >= min && (page + pages) * 4096 <= max && page * 4096 % align == 0;
        for (uint64_t q = page * 4; fits && q < (page + pages) * 4; q++)
            fits = model.type[q] == QY_MEM_USABLE && model.use[q] == QY_USE_FREE &&
                   model.node[q] == model.node[page * 4] &&
                   (node == QY_ANY_NODE || model.node[q] == node);
        if (fits)
            return page * 4096;
    }
    return 0;
}

static void random_operation(void)
{
    static const uint8_t uses[] = {QY_USE_BOOT_DATA, QY_USE_FRAME_DB, QY_USE_UNTYPED,
                                   QY_USE_BOOT_ARCHIVE};
    uint64_t base = random_below(&seed, PAGES * 4096),
             end = base + 1 + random_below(&seed, 40 * 4096), taken = 0;
    uint8_t use = uses[random_below(&seed, COUNT(uses))];

    switch (random_below(&seed, 4)) {
    case 0:
        if (qy_map_reserve(&map, base, end, use, &taken) == QY_OK)
            model_reserve(base, end, use, taken);
        break;
    case 1: {
        uint16_t node = (uint16_t)random_below(&seed, 3);
        if (qy_map_set_node(&map, base, end, node) == QY_OK)
            for (uint64_t q = base / 4096 * 4; q < end / 4096 * 4 && q < QUARTERS; q++)
                model.node[q] = node;
        break;
    }
    case 2: {
        uint64_t pages = 1 + random_below(&seed, 12), align = 4096ull << random_below(&seed, 4),
                 min = random_below(&seed, PAGES * 4096);
        uint64_t max = min + random_below(&seed, PAGES * 4096);
        uint16_t node = random_below(&seed, 2) ? QY_ANY_NODE : (uint16_t)random_below(&seed, 3);
        paddr_t at = paddr(0);
        enum qy_error error = qy_map_alloc(&map, pages * 4096, align, min, max, node, use, &at);
        if (error == QY_TOO_MANY)
            break;
        CHECK_EQ(at.raw, model_place(pages, align, min, max, node));
        CHECK_EQ(error, at.raw ? QY_OK : QY_OUT_OF_MEMORY);
        if (!error)
            memset(&model.use[at.raw / QUARTER], use, pages * 4);
        break;
    }
    default: {
        uint8_t to = random_below(&seed, 2) ? QY_USE_FREE : uses[random_below(&seed, COUNT(uses))],
                from = random_below(&seed, 4) ? use : QY_USE_FREE;
        /* mostly ranges that can succeed: those of a segment */
        if (map.count && random_below(&seed, 4)) {
            const struct qy_segment *s = &map.segments[random_below(&seed, map.count)];
            base = s->base, end = s->end, from = s->use;
            if (base + 4096 < end && random_below(&seed, 2))
                base += 4096;
        }
        base = qy_align_down(base, 4096), end = qy_align_down(end, 4096);
        bool all = base < end && end <= PAGES * 4096;
        for (uint64_t q = base / QUARTER; all && q < end / QUARTER; q++)
            all = model.type[q] == QY_MEM_USABLE && model.use[q] == from;
        enum qy_error error = qy_map_change(&map, base, end, from, to);
        if (error == QY_TOO_MANY || error == QY_INVALID_ARGUMENT)
            break;
        CHECK_EQ(error, all ? QY_OK : QY_NOT_ALLOCATED);
        if (!error)
            memset(&model.use[base / QUARTER], to, (end - base) / QUARTER);
    }
    }
}

static void agrees_with_the_model(void)
{
    unsigned built = 0;

    for (unsigned round = 0; round < 2000 && !tap_failures; round++) {
        struct qy_range ranges[12];
        unsigned count = 1 + round % COUNT(ranges);
        seed = 0x1234567 + round * 7919ull;
        for (unsigned i = 0; i < count; i++) {
            uint64_t base = random_below(&seed, QUARTERS),
                     length = 1 + random_below(&seed, QUARTERS / 2);
            uint64_t grain = random_below(&seed, 3) ? 4 : 1; /* mostly whole pages */
            base = base / grain * grain;
            uint64_t end = (base + length) / grain * grain;
            ranges[i] = (struct qy_range){
                .base = base * QUARTER,
                .end = (end < QUARTERS ? end : QUARTERS) * QUARTER,
                .type =
                    random_below(&seed, 2) ? 0 : (uint32_t)random_below(&seed, QY_MEM_TYPE_COUNT)};
        }
        uint64_t limit = random_below(&seed, 3) ? NO_LIMIT : random_below(&seed, PAGES * 4096);
        uint32_t capacity =
            random_below(&seed, 3) ? COUNT(array) : 8 + (uint32_t)random_below(&seed, 16);
        model_build(ranges, count, limit);
        enum qy_error error = qy_map_build(&map, array, capacity, ranges, count, limit, NULL);
        CHECK(qy_map_check(&map) == NULL);
        if (error != QY_TOO_MANY)
            CHECK_EQ(error == QY_OK, memchr(model.use, QY_USE_FREE, QUARTERS) != NULL);
        if (error) {
            CHECK_EQ(map.count, 0);
            continue;
        }
        built++;
        CHECK(model_agrees());
        for (unsigned i = 0; i < 60 && !tap_failures; i++) {
            random_operation();
            CHECK(qy_map_check(&map) == NULL);
            CHECK(model_agrees());
        }
        if (tap_failures)
            printf("# round %u\n", round);
    }
    CHECK(built > 1000);
}

static const struct test tests[] = {
    {"no range, no usable page: NOT_FOUND", empty_maps},
    {"unsorted and touching ranges become one", unsorted_and_touching},
    {"overlaps go to the more restrictive type", overlaps_go_to_the_more_restrictive},
    {"a range inside another", one_inside_the_other},
    {"empty and wrapping ranges are left out and counted", nonsense_is_left_out_and_counted},
    {"unknown types are reserved", unknown_types_are_reserved},
    {"usable memory is rounded inwards to pages", pages_are_rounded_inwards},
    {"frame 0 is withheld, whatever is asked", frame_zero_is_withheld},
    {"RAM beyond the physical limit is withheld", beyond_the_physical_limit},
    {"ranges up to the last address", to_the_last_byte},
    {"more segments than the array holds: TOO_MANY", more_segments_than_room},
    {"a change that fails has changed nothing", a_failed_change_changes_nothing},
    {"arguments are checked", arguments_are_checked},
    {"the early allocator takes the highest place", allocates_the_highest_place},
    {"a reservation is rounded outwards and takes what is free",
     reserves_outwards_and_only_what_is_free},
    {"a page belongs to one node", a_page_belongs_to_one_node},
    {"the validator names each breach", the_validator_sees_each_breach},
    {"120000 random operations agree with a model of every page", agrees_with_the_model},
};
TEST_MAIN(tests)
