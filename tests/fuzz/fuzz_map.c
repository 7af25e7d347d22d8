/*
 * Any bytes as ranges of a memory map, then as calls on the map; it is checked after each, and its
 * total never changes.
 */
#include "fuzz.h"

#define RANGE_BYTES 17u
#define CALL_BYTES 19u

static void check_map(const struct qy_map *map, uint64_t usable_bytes)
{
    uint64_t totals[QY_USE_COUNT], sum = 0;

    CHECK(qy_map_check(map) == NULL);
    qy_map_totals(map, totals);
    for (unsigned use = 0; use < QY_USE_COUNT; use++)
        sum += totals[use];
    CHECK(sum == usable_bytes && map->usable_bytes == usable_bytes);
}

static uint64_t load(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static void call(struct qy_map *map, const uint8_t *at)
{
    uint64_t a = load(at + 1), b = load(at + 9), taken = 0, align = 4096ull << (at[17] & 15);
    enum qy_mem_use use = at[17] >> 4, to = at[18] >> 4;
    paddr_t out = paddr(1);

    switch (at[0] % 4) {
    case 0:
        if (!qy_map_reserve(map, a, b, use, &taken))
            CHECK(taken <= map->usable_bytes);
        break;
    case 1:
        (void)!qy_map_set_node(map, a, b, at[18]);
        break;
    case 2:
        if (!qy_map_alloc(map, a << 12, align, b, UINT64_MAX, QY_ANY_NODE, use, &out))
            CHECK(out.raw >= 4096 && out.raw >= b && out.raw % align == 0 &&
                  qy_map_find(map, out.raw)->use == use);
        break;
    default:
        (void)!qy_map_change(map, a << 12, b << 12, use, to);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static struct qy_segment segments[32];
    struct qy_range ranges[16];
    struct qy_map map;
    size_t range_count = 0;

    if (count < 2)
        return 0;
    uint64_t limit = data[0] & 1 ? UINT64_MAX : 1ull << (data[0] >> 2);
    for (data += 1, count -= 1; range_count < 16 && count >= RANGE_BYTES && data[0] != 0xff;
         data += RANGE_BYTES, count -= RANGE_BYTES)
        ranges[range_count++] = (struct qy_range){.base = load(data + 1),
                                                  .end = load(data + 9),
                                                  .type = data[0] % (QY_MEM_TYPE_COUNT + 1)};
    enum qy_error error = qy_map_build(&map, segments, 32, ranges, range_count, limit, NULL);
    check_map(&map, map.usable_bytes);
    if (error) {
        CHECK(map.count == 0);
        return 0;
    }
    uint64_t usable_bytes = map.usable_bytes;
    for (; count >= CALL_BYTES; data += CALL_BYTES, count -= CALL_BYTES) {
        call(&map, data);
        check_map(&map, usable_bytes);
    }
    return 0;
}
