/*
 * A memory tester: patterns over all the memory that its budget can give, written and read back.
 *
 *     memtest [MEBIBYTES] [plant]
 *
 *     pass      written, upwards                  then, upwards or downwards: read, compared, and the next one written
 *     address   each word its own address         finds lines of the address bus that are one
 *     ones, zeroes, stripes and their inversions  finds bits that stick, and bits that change with their neighbours
 *     random    a sequence, twice over            finds what the regular ones do not
 *
 * "plant" changes one bit between writing and reading, to show that it is found. Ends with 0, or 1 if a word was wrong.
 * Passes and order are those of March C- (A. van de Goor, Testing Semiconductor Memories, 1991), a word in place of a bit.
 */
#include <lib/random.h>
#include <lib/string.h>
#include <stdbool.h>
#include <user/print.h>
#include <user/program.h>
#include <user/space.h>

#define KEPT_PAGES 64u /* of the budget, for page tables and whatever else */
#define TOLD_MAX 8u

static volatile uint64_t *words;
static uint64_t count, wrong;

static void compare(const char *pass, uint64_t i, uint64_t wanted)
{
    uint64_t found = words[i];

    if (found == wanted)
        return;
    if (wrong++ < TOLD_MAX)
        print("memtest: %s: at %R is %R, not %R\n", pass, (uint64_t)(uintptr_t)&words[i], found,
              wanted);
}

/* Up: write; up: compare, write the inversion; down: compare that. */
static void march(const char *pass, uint64_t pattern, uint64_t planted)
{
    for (uint64_t i = 0; i < count; i++)
        words[i] = pattern;
    words[count / 2] ^= planted;
    for (uint64_t i = 0; i < count; i++) {
        compare(pass, i, pattern);
        words[i] = ~pattern;
    }
    for (uint64_t i = count; i-- > 0;)
        compare(pass, i, ~pattern);
}

static void addresses(void)
{
    for (uint64_t i = 0; i < count; i++)
        words[i] = (uintptr_t)&words[i];
    for (uint64_t i = 0; i < count; i++)
        compare("address", i, (uintptr_t)&words[i]);
}

static void randoms(void)
{
    uint64_t random = 1;

    for (uint64_t i = 0; i < count; i++)
        words[i] = random_next(&random);
    random = 1;
    for (uint64_t i = 0; i < count; i++)
        compare("random", i, random_next(&random));
}

/* As much of the budget as was asked for, or all but a little. */
static enum qy_error get_memory(uint64_t mebibytes, uint64_t *bytes)
{
    struct untyped_state budget;
    uint64_t at = 0;
    enum qy_error error = untyped_info(QY_SLOT_UNTYPED, &budget);

    if (error != QY_OK)
        return error;
    if (budget.free_bytes <= KEPT_PAGES * PAGE_BYTES)
        return QY_OUT_OF_MEMORY;
    *bytes = budget.free_bytes - KEPT_PAGES * PAGE_BYTES;
    *bytes -= *bytes / 256; /* page tables take one page in 512 */
    if (mebibytes && mebibytes << 20 < *bytes)
        *bytes = mebibytes << 20;
    *bytes &= ~(PAGE_BYTES - 1);
    error = space_map_region(QY_SLOT_SPACE, &at, *bytes,
                             QY_MAP_READ | QY_MAP_WRITE | QY_REGION(QY_REGION_DATA), 0);
    words = (volatile uint64_t *)(uintptr_t)at;
    count = *bytes / sizeof(words[0]);
    return error;
}

int main(int argc, char *argv[])
{
    static const struct {
        const char *name;
        uint64_t pattern;
    } passes[] = {{"zeroes", 0},
                  {"stripes", 0x5555555555555555ull},
                  {"wide stripes", 0x00ff00ff00ff00ffull},
                  {"single bits", 0x0102040810204080ull}};
    uint64_t mebibytes = 0, planted = 0, bytes;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "plant") == 0)
            planted = 1ull << 17;
        for (const char *at = argv[i]; *at >= '0' && *at <= '9'; at++)
            mebibytes = mebibytes * 10 + (uint64_t)(*at - '0');
    }
    if (get_memory(mebibytes, &bytes) != QY_OK) {
        print("memtest: no memory to test\n");
        return 2;
    }
    addresses();
    for (unsigned i = 0; i < sizeof(passes) / sizeof(passes[0]); i++) {
        march(passes[i].name, passes[i].pattern, planted);
        planted = 0;
    }
    randoms();
    print("memtest: %S in %u passes, %llu words wrong\n", bytes,
          (unsigned)(sizeof(passes) / sizeof(passes[0])) + 2, (unsigned long long)wrong);
    return wrong ? 1 : 0;
}
