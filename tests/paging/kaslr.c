/*
 * The places of what stands in the kernel's windows, when they are chosen at random: each inside of its window, each of
 * its bits as likely 0 as 1, no two related; as many bits as are told; none without entropy. What this would miss: a
 * generator that is bad (lib/secret.h has tests of its own), and what the machine's own random numbers are worth.
 */
#include "fixture.h"

#define CHOICES 4096u

struct place {
    const char *what;
    const uint64_t *base;
    uint64_t first, last, unit, bytes;
};

/* By hand, from docs/layout.md. */
static void places_of(struct place places[5], uint64_t ram_end)
{
    places[0] = (struct place){
        "direct map", &kernel_base.direct_map, 0xffff800000000000, 0xffffbfffffffffff, GIB,
        ram_end};
    places[1] = (struct place){
        "frame database", &kernel_base.frame_db, 0xffffc00000000000, 0xffffc07fffffffff,
        2 * MIB,          384 * GIB + 32 * MIB};
    places[2] = (struct place){"stacks and guarded allocations",
                               &kernel_base.heap,
                               0xffffd00000000000,
                               0xffffd07fffffffff,
                               65536,
                               GIB + (128 * 9 + 1) * 4096};
    places[3] = (struct place){"per-CPU areas",
                               &kernel_base.cpu_areas,
                               0xffffff8000000000,
                               0xffffff81ffffffff,
                               4096,
                               boot.kind->cpus * 16 * MIB};
    places[4] = (struct place){
        "device registers", &kernel_base.devices, 0xffffffffc0000000, 0xffffffffffffffff, 2 * MIB,
        128 * MIB};
}

static uint64_t count_of(const struct place *place)
{
    uint64_t count = 1;
    while (count * place->unit + place->bytes - 1 <= place->last - place->first)
        count += count > 1u << 20 ? 4096 : 1; /* near enough for the largest */
    return count;
}

static void choose(const char *words)
{
    struct qy_boot_info info = {.version = QY_BOOT_INFO_VERSION};
    format_to(info.command_line, sizeof(info.command_line), "%s", words);
    console_bytes = 0;
    kaslr_choose(&info, &boot.map, &boot.topology);
}

static uint64_t told_bits(const struct place *place)
{
    const char *at = strstr(console, place->what);
    return at ? strtoull(at + strlen(place->what), NULL, 10) : 99;
}

static void watch(const struct place *place, const uint64_t *chosen)
{
    uint64_t count = count_of(place), least = UINT64_MAX, most = 0;
    unsigned bits = 63 - (unsigned)__builtin_clzll(count), ones[64] = {0};
    CHECK_EQ(told_bits(place), bits);
    for (unsigned i = 0; i < CHOICES; i++) {
        uint64_t n = (chosen[i] - place->first) / place->unit;
        CHECK(chosen[i] >= place->first && chosen[i] % place->unit == 0);
        CHECK(chosen[i] + (place->bytes - 1) <= place->last);
        least = n < least ? n : least;
        most = n > most ? n : most;
        for (unsigned bit = 0; bit + 5 < bits; bit++)
            ones[bit] += n >> bit & 1;
    }
    /*
     * All of the room is used, and each bit is 1 half of the time: 6 standard deviations are 192. The number of places
     * is no power of two, so the highest bits are not even.
     */
    CHECK(least <= count / 256 && most >= count - 1 - count / 256);
    for (unsigned bit = 0; bit + 5 < bits; bit++)
        CHECK(ones[bit] > CHOICES / 2 - 192 && ones[bit] < CHOICES / 2 + 192);
}

static void every_bit_is_chance(void)
{
    static uint64_t chosen[5][CHOICES];
    for (size_t k = 0; k < BOOT_MACHINES; k++) {
        struct place places[5];
        uint64_t end = 0;
        boot_make(&boot_machines[k], SEGMENTS);
        for (unsigned i = 0; i < 8; i++)
            if (qy_mem_type_is_ram((enum qy_mem_type)boot.kind->ranges[i].type))
                end = boot.kind->ranges[i].end > end ? boot.kind->ranges[i].end : end;
        places_of(places, end < boot.kind->limit ? end : boot.kind->limit);
        for (unsigned i = 0; i < CHOICES; i++) {
            choose("kaslr=on");
            for (unsigned p = 0; p < 5; p++)
                chosen[p][i] = *places[p].base;
        }
        for (unsigned p = 0; p < 5; p++)
            watch(&places[p], chosen[p]);
        /* The lowest bits of two places agree half of the time. */
        for (unsigned p = 1; p < 5; p++) {
            unsigned agree = 0;
            for (unsigned i = 0; i < CHOICES; i++)
                agree += ((chosen[p][i] / places[p].unit ^ chosen[0][i] / GIB) & 1) == 0;
            CHECK(agree > CHOICES / 2 - 192 && agree < CHOICES / 2 + 192);
        }
        CHECK_EQ(boot_build(), QY_OK);
        boot_load();
        CHECK(!kernel_layout_check(&boot.f.pt, &boot.topology));
        boot_destroy();
    }
}

static bool nothing_has_moved(void)
{
    static const struct kernel_base first = KERNEL_FIRST_BYTES;
    return memcmp(&kernel_base, &first, sizeof(first)) == 0;
}

/* The image: not over the linker's place, and all of it in its window. */
static void image_has_room(void)
{
    const uint64_t bytes = 0xad000, least = 2 * MIB, window = 512 * MIB;
    uint64_t nearest = UINT64_MAX, farthest = 0;
    for (unsigned i = 0; i < CHOICES; i++) {
        uint64_t distance = kaslr_choose_image(least, bytes);
        CHECK(distance % 4096 == 0 && distance >= least && distance + bytes <= window);
        nearest = distance < nearest ? distance : nearest;
        farthest = distance > farthest ? distance : farthest;
    }
    CHECK(nearest < 4 * MIB && farthest > window - 4 * MIB);
    boot_make(&boot_machines[0], SEGMENTS);
    choose("kaslr=on");
    CHECK(strstr(console, "kernel image 16,")); /* of 130,387 places */
    boot_destroy();
}

static void only_if_asked_and_with_entropy(void)
{
    static const struct kernel_base first = KERNEL_FIRST_BYTES;
    boot_make(&boot_machines[0], SEGMENTS);
    kernel_base = first;
    choose("");
    CHECK(nothing_has_moved() && console_bytes == 0);
    choose("verbose kaslr=off notkaslr=on");
    CHECK(nothing_has_moved() && console_bytes == 0);
    choose("kaslr=on");
    CHECK(!nothing_has_moved() && strstr(console, "out of what the processor and firmware gave"));
    CHECK(!strstr(console, "moved"));
    choose("kaslr=show");
    CHECK(strstr(console, "kaslr moved direct map by"));
    boot_destroy();
}

/* The first test: what was gathered once stays. */
static void without_entropy_it_says_so(void)
{
    boot_random = 0;
    boot_make(&boot_machines[0], SEGMENTS);
    choose("kaslr=on");
    CHECK(nothing_has_moved() && strstr(console, "kaslr: no entropy"));

    struct qy_boot_info info = {.entropy_bytes = 32, .entropy = {1, 2, 3}};
    format_to(info.command_line, sizeof(info.command_line), "kaslr=on");
    console_bytes = 0;
    kaslr_choose(&info, &boot.map, &boot.topology);
    CHECK(!nothing_has_moved() && strstr(console, "out of what firmware gave"));
    boot_random = 1;
    boot_destroy();
}

static const struct test tests[] = {
    {"without entropy it says so", without_entropy_it_says_so},
    {"only if asked, and with entropy", only_if_asked_and_with_entropy},
    {"the image has room", image_has_room},
    {"every bit is chance", every_bit_is_chance},
};
TEST_MAIN(tests)
