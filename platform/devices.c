/*
 * Device memory: the physical addresses that are left when everything that may be memory is taken away.
 *
 *     0 |RAM|     |reserved|ACPI|      |kept registers|      |RAM, above 4 GiB| ............ limit
 *           ^^^^^                ^^^^^^                ^^^^^^                  ^^^^^^^^^^^^^^
 *
 * A range that the firmware calls reserved stays nobody's: it may be the firmware's own memory. Pages that such a range
 * touches are taken whole. Cost: O(ranges^2) for all stretches; boot only.
 */
#include <platform/parse.h>

struct search {
    uint64_t base; /* nothing covers it, as far as is known */
    uint64_t end;  /* nothing begins before it */
    bool moved;
};

/* [base, end) may be memory. One that wraps reaches to the end of all. */
static void cover(struct search *search, uint64_t base, uint64_t end)
{
    if (base == end)
        return;
    base = qy_align_down(base, QY_PAGE_BYTES);
    end = end < base || end > UINT64_MAX - QY_PAGE_MASK ? UINT64_MAX
                                                        : qy_align_up(end, QY_PAGE_BYTES);
    if (base <= search->base && search->base < end) {
        search->base = end;
        search->moved = true;
    } else if (base > search->base && base < search->end) {
        search->end = base;
    }
}

static void cover_all(struct search *search, const struct qy_boot_info *info,
                      const struct qy_topology *topology)
{
    for (uint32_t i = 0; i < info->range_count; i++)
        cover(search, info->ranges[i].base, info->ranges[i].end);
    for (uint32_t i = 0; i < info->reserved_count; i++)
        cover(search, info->reserved[i].base, info->reserved[i].end);
    for (uint32_t i = 0; i < topology->range_count; i++)
        cover(search, topology->ranges[i].base, topology->ranges[i].end);
    for (uint32_t i = 0; i < topology->kept_count; i++)
        cover(search, topology->kept[i].base, topology->kept[i].end);
}

bool qy_device_range(const struct qy_boot_info *info, const struct qy_topology *topology,
                     uint64_t limit, uint64_t *base, uint64_t *end)
{
    struct search search = {.base = *base, .moved = true};

    while (search.moved && search.base < limit) {
        search.moved = false;
        search.end = limit;
        cover_all(&search, info, topology);
    }
    if (topology->kept_full || search.base >= limit)
        return false;
    *base = search.base;
    *end = search.end;
    return true;
}
