/*
 * Choosing where what stands in the kernel's windows begins: see kernel/kaslr.h and docs/adr/0036.
 *
 *     window   | .......... what stands in it .......... |
 *              first byte   base                         last byte
 *              <- n units ->
 *
 * n is a random number of those that leave what stands there inside of its window, each as likely as any other but for
 * one part in 2^64 divided by their number. So the rights, the check of the live tables and the root table's entries are
 * those of the windows, which stay. The numbers are independent of each other.
 */
#include <arch/arch.h>
#include <kernel/entropy.h>
#include <kernel/image.h>
#include <kernel/kaslr.h>
#include <kernel/layout.h>
#include <kernel/print.h>
#include <lib/string.h>
#include <platform/parse.h>
#include <qy/roots.h>

struct kernel_base kernel_base = KERNEL_FIRST_BYTES;

uint64_t kernel_ram = KERNEL_DIRECT_MAP_BASE;

static const struct place {
    uint64_t *base;
    uint64_t first, last, unit;
    const char *what;
} places[] = {
#define X(name, window, unit, what)                                                                \
    {&kernel_base.name, KERNEL_##window##_BASE, KERNEL_##window##_LAST, unit, what},
    KERNEL_PLACES(X)
#undef X
};
#define PLACES (sizeof(places) / sizeof(places[0]))

enum wish { OFF, ON, SHOW };

static enum wish wish_of(const struct qy_boot_info *info)
{
    static const char *const values[] = {"off", "on", "show"};
    char value[8];
    if (!qy_option(info->command_line, "kaslr", value, sizeof(value)))
        return OFF;
    for (unsigned i = OFF; i <= SHOW; i++)
        if (strcmp(value, values[i]) == 0)
            return (enum wish)i;
    kernel_stop("kaslr=%s is neither on, show nor off", value);
}

static bool is_ram(const struct qy_segment *segment)
{
    return qy_mem_type_is_ram((enum qy_mem_type)segment->type);
}

/* The end of what the direct map will hold. */
static uint64_t ram_end(const struct qy_map *map)
{
    uint64_t base, end, last = 0, limit = arch_physical_limit();
    for (; qy_map_next_run(map, last, is_ram, &base, &end); last = end) {
    }
    return last < limit ? last : limit;
}

/* A distance of whole units, so that so many bytes fit into so much room; and the bits of chance of that. */
static uint64_t choose(uint64_t room, uint64_t bytes, uint64_t unit, unsigned *bits)
{
    uint64_t count = bytes < room ? (room - bytes) / unit + 1 : 1, random;
    entropy_draw(&random, sizeof(random));
    *bits = 63 - (unsigned)__builtin_clzll(count);
    return (uint64_t)((unsigned __int128)random * count >> 64) * unit;
}

bool kaslr_is_wanted(const struct qy_boot_info *info)
{
    return wish_of(info) != OFF;
}

static unsigned image_bits;

uint64_t kaslr_choose_image(uint64_t least, uint64_t bytes)
{
    uint64_t room = KERNEL_IMAGE_LAST - KERNEL_IMAGE_BASE + 1;
    return least + choose(room - least, bytes, KERNEL_IMAGE_UNIT, &image_bits);
}

void kaslr_choose(const struct qy_boot_info *info, const struct qy_map *map,
                  const struct qy_topology *topology)
{
    enum wish wish = wish_of(info);
    if (wish == OFF)
        return;
    entropy_gather(info);
    if (!entropy_sources()) {
        print("kaslr: no entropy, neither of the processor nor of firmware: nothing is moved\n");
        return;
    }
    const struct kernel_base bytes = {
        .direct_map = ram_end(map),
        .frame_db = KERNEL_FRAME_DB_BYTES,
        .heap = KERNEL_GUARD_OFFSET + KERNEL_GUARD_BYTES,
        .cpu_areas = topology->cpu_count * KERNEL_CPU_AREA_BYTES,
        .devices = KERNEL_DEVICES_BYTES,
    };
    print("kaslr: bits of chance, out of what %s gave:", entropy_words());
    for (unsigned i = 0; i < PLACES; i++) {
        const struct place *place = &places[i];
        unsigned bits = image_bits;
        if (place->base != &kernel_base.image)
            *place->base = place->first + choose(place->last - place->first + 1,
                                                 ((const uint64_t *)&bytes)[i], place->unit, &bits);
        print("%s %s %u", i ? "," : "", place->what, bits);
    }
    print("\n");
    if (kaslr_image_stays())
        print("kaslr: the kernel image stays where it is: %s\n", kaslr_image_stays());
    if (wish == SHOW)
        kaslr_print();
}

void kaslr_tables_are_loaded(void)
{
    kernel_ram = kernel_base.direct_map;
}

void kaslr_print(void)
{
    bool moved = false;
    for (unsigned i = 0; i < PLACES; i++)
        moved |= *places[i].base != places[i].first;
    if (!moved)
        return;
    print("  kaslr moved");
    for (unsigned i = 0; i < PLACES; i++)
        print("%s %s by %llx", i ? "," : "", places[i].what,
              (unsigned long long)(*places[i].base - places[i].first));
    print("\n");
}
