/*
 * Address space layout randomisation, by the addresses of many starts: where its image, heap, map and stack are.
 *
 *     started as "aslr report" it is the other process, and says where it lies
 *
 * Each bit that PROCESS_PLACES claims must be 0 and 1 in at least 4 of 64 starts, and no two starts agree in everything. If the
 * bits are fair and independent that fails once in 2^40 runs: 2 * (C(64,0) + ... + C(64,3)) / 2^64 for each of 122 bits.
 * It would miss bits that are mildly biased, or that hang together. With the word aslr=off all starts must agree.
 */
#include <lib/string.h>
#include <user/malloc.h>
#include <user/print.h>
#include <user/process.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>

#define STARTS 64u
#define AT_LEAST 4u
#define BUDGET_PAGES 96u
#define LABEL_PLACES 0x50u

enum place {
#define X(name, base, bits, unit, down) PLACE_##name,
    PROCESS_PLACES(X)
#undef X
        PLACES
};

static const struct {
    const char *name;
    uint64_t base, unit;
    unsigned bits;
    bool down;
} places[] = {
#define X(name, base, bits, unit, down) {#name, base, unit, bits, down},
    PROCESS_PLACES(X)
#undef X
};

/* What the places are for this process: by what lies there, not by what it was told. */
static uint64_t seen[STARTS][PLACES];

/* The other process: two words, each with two places in units of pages (36 bits would not do for three). */
static int report(void)
{
    uint64_t map = 0, here = (uintptr_t)&here;
    struct message answer;
    void *heap = malloc(16);

    if (!heap || space_map_region(QY_SLOT_SPACE, &map, PAGE_BYTES, QY_MAP_READ, 0) != QY_OK)
        return 1;
    uint64_t image = (uintptr_t)report - program->image < program->image_end - program->image
                         ? program->image
                         : 0;
    if (endpoint_call(PROGRAM_PARENT, LABEL_PLACES, image, (uintptr_t)heap, map, &answer) != QY_OK)
        return 2;
    return endpoint_call(PROGRAM_PARENT, LABEL_PLACES, here, 0, 0, &answer) == QY_OK ? 0 : 3;
}

/* One start; its addresses to `out`. */
static bool start(qy_handle_t endpoint, qy_handle_t reply, uint64_t out[PLACES])
{
    const char *const argv[] = {"aslr", "report", NULL};
    struct process_event event;
    struct process process;
    const char *why;
    bool right = false;

    if (process_spawn(argv, BUDGET_PAGES, endpoint, 5, &process, &why) != QY_OK) {
        print("aslr: %s\n", why);
        return false;
    }
    if (process_start(&process, QY_CPU_ANY) == QY_OK &&
        process_wait(endpoint, reply, &event) == QY_OK && event.news == PROCESS_SAID &&
        event.message.label == LABEL_PLACES) {
        out[PLACE_image] = event.message.word[0];
        out[PLACE_heap] = event.message.word[1];
        out[PLACE_map] = event.message.word[2];
        right = reply_send(reply, 0, 0, 0, 0) == QY_OK &&
                process_wait(endpoint, reply, &event) == QY_OK && event.news == PROCESS_SAID &&
                process.places.image == out[PLACE_image];
        out[PLACE_stack] = event.message.word[0];
    }
    return process_destroy(&process) == QY_OK && right;
}

/* The random number that an address was made of; UINT64_MAX: it is not where it should be. */
static uint64_t number_of(enum place place, uint64_t address)
{
    uint64_t base = places[place].base, far = places[place].down ? base - address : address - base;
    uint64_t slack =
        2ull << 20; /* a heap begins at a span, a stack is in use, a map has its first pages */

    return far < (places[place].unit << places[place].bits) + slack ? far / places[place].unit
                                                                    : UINT64_MAX;
}

/* Count ones in each bit of a place. */
static bool bits_are_random(enum place place)
{
    unsigned bits = places[place].bits, lowest = STARTS, highest = 0;

    for (unsigned bit = 0; bit < bits; bit++) {
        unsigned ones = 0;
        for (unsigned i = 0; i < STARTS; i++)
            ones += number_of(place, seen[i][place]) >> bit & 1;
        lowest = ones < lowest ? ones : lowest;
        highest = ones > highest ? ones : highest;
    }
    print("aslr: %-5s  %u bits, each 1 in %u to %u of %u starts\n", places[place].name, bits,
          lowest, highest, STARTS);
    return lowest >= AT_LEAST && highest <= STARTS - AT_LEAST;
}

static bool all_differ(void)
{
    for (unsigned i = 0; i < STARTS; i++)
        for (unsigned k = 0; k < i; k++)
            if (memcmp(seen[i], seen[k], sizeof(seen[i])) == 0)
                return false;
    return true;
}

static bool in_range(void)
{
    for (unsigned i = 0; i < STARTS; i++)
        for (enum place place = 0; place < PLACES; place++)
            if (number_of(place, seen[i][place]) == UINT64_MAX) {
                print("aslr: %s at %R\n", places[place].name, seen[i][place]);
                return false;
            }
    return true;
}

int main(int argc, char *argv[])
{
    qy_handle_t endpoint, reply;

    (void)argv;
    if (argc > 1)
        return report();
    if (slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &endpoint) != QY_OK ||
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &reply) != QY_OK)
        return 1;
    for (unsigned i = 0; i < STARTS; i++)
        if (!start(endpoint, reply, seen[i]))
            return 2;
    if (!in_range())
        return 3;
    if (program->fixed) {
        for (unsigned i = 1; i < STARTS; i++)
            if (memcmp(seen[i], seen[0], sizeof(seen[i])) != 0)
                return 4;
        print("aslr: off: %u starts at the same addresses\n", STARTS);
        return 0;
    }
    bool random = all_differ();
    for (enum place place = 0; place < PLACES; place++)
        random &= bits_are_random(place);
    if (random)
        print("aslr: %u starts, no two alike\n", STARTS);
    return random ? 0 : 5;
}
