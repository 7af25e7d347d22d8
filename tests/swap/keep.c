/*
 * Contents of slots beside a model, on disks that work and on disks that do not: never another byte, whatever the disk
 * does, and nothing lost that has not been told as lost.
 *
 * The disk is an array that remembers what was written before. It misses what real devices do beside: that is the driver's
 * (tests/unit/virtio.c) and the booted kernel's.
 */
#define _GNU_SOURCE /* memmem */
#include "keep.h"

#include <lib/random.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#define POOL 24u
#define SLOTS 600u
#define BLOCKS 400u

static struct keep keep;
static struct seal seal;
static struct store_page pool_pages[POOL];
static struct keep_slot slots[SLOTS];
static struct keep_block blocks[BLOCKS];
static uint64_t scratch[STORE_SCRATCH_BYTES / 8];
static unsigned char pool[POOL][4096], buffer[KEEP_CLUSTER][4096];
static unsigned char image[BLOCKS + 50][4096], older[BLOCKS + 50][4096];
static uint64_t seed;

/* How the disk behaves. */
static enum fault {
    FINE,
    FLIPS_BITS,
    REPLAYS, /* what was there before */
    SWAPS,   /* another block's */
    SHORT,   /* the second half is not there */
    REFUSES_WRITES,
    LOSES_WRITES, /* says that they are done */
    TEARS_WRITES, /* half of a block */
    VANISHES,
    FAULTS
} fault;
static unsigned one_in; /* transfers that fail */
static bool plain_text; /* something that was put stands on the disk as it was */

static unsigned pick(unsigned below)
{
    return (unsigned)random_below(&seed, below);
}

static bool fails(void)
{
    return fault != FINE && pick(one_in) == 0;
}

static bool disk_read(void *context, uint32_t block, uint32_t count)
{
    (void)context;
    CHECK(count >= 1 && count <= KEEP_CLUSTER && block >= 50 && block + count <= 50 + BLOCKS);
    for (uint32_t i = 0; i < count; i++)
        memcpy(buffer[i], image[block + i], 4096);
    if (!fails())
        return true;
    uint32_t at = pick(count);
    if (fault == FLIPS_BITS)
        buffer[at][pick(4096)] ^= (unsigned char)(1u << pick(8));
    else if (fault == REPLAYS)
        memcpy(buffer[at], older[block + at], 4096);
    else if (fault == SWAPS)
        memcpy(buffer[at], image[50 + pick(BLOCKS)], 4096);
    return fault != VANISHES && (fault != SHORT || block + count <= 50 + BLOCKS / 2);
}

static bool disk_write(void *context, uint32_t block, uint32_t count)
{
    (void)context;
    CHECK(count >= 1 && count <= KEEP_CLUSTER && block >= 50 && block + count <= 50 + BLOCKS);
    bool fail = fails();
    if (fail && (fault == REFUSES_WRITES || fault == VANISHES || fault == SHORT))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(older[block + i], image[block + i], 4096);
        if (!(fail && fault == LOSES_WRITES))
            memcpy(image[block + i], buffer[i], fail && fault == TEARS_WRITES ? 2048 : 4096);
        plain_text |= memmem(buffer[i], 4096, "itself", 6) != NULL;
    }
    return true;
}

static struct keep_disk disk = {disk_read, disk_write, NULL, buffer[0], 50 + BLOCKS};

static void begin(bool with_disk)
{
    uint8_t key[SEAL_KEY_BYTES];
    for (unsigned i = 0; i < SEAL_KEY_BYTES; i++)
        key[i] = (uint8_t)pick(256);
    seal_begin(&seal, key);
    for (unsigned i = 0; i < SEAL_KEY_BYTES; i++)
        CHECK_EQ(key[i], 0);
    memset(&keep, 0, sizeof(keep));
    disk.blocks = with_disk ? 50 + BLOCKS : 0;
    keep = (struct keep){.seal = &seal,
                         .owner = 7,
                         .disk = &disk,
                         .slots = slots,
                         .blocks = blocks,
                         .slot_count = SLOTS,
                         .first_block = 50,
                         .block_count = BLOCKS};
    store_begin(&keep.store, pool, pool_pages, POOL, scratch);
    keep_begin(&keep);
    fault = FINE;
    plain_text = false;
}

static void make(unsigned char page[4096])
{
    static const char text[] = "a page of text that repeats itself, ";
    unsigned kind = pick(8);
    uint64_t word = pick(5) ? 0 : seed;
    for (unsigned i = 0; i < 4096; i++)
        page[i] = kind == 0                    ? (unsigned char)(word >> i % 8 * 8)
                  : kind < 6 && i % 1024 > 256 ? (unsigned char)text[i % (sizeof(text) - 1)]
                                               : (unsigned char)pick(256);
    if (kind) /* no two alike */
        memcpy(page, &seed, 8);
}

static void check(void)
{
    const char *broken = keep_check(&keep);
    CHECK(broken == NULL);
    if (broken) {
        printf("# %s\n", broken);
        exit(1);
    }
    for (unsigned i = 0; i < KEEP_CLUSTER; i++) /* no plain text is left in the scratch */
        CHECK(!disk.blocks || memmem(buffer[i], 4096, "itself", 6) == NULL);
}

/* ---- beside a model ---- */

static unsigned char whole[SLOTS][4096];
static bool there[SLOTS];

static struct counts {
    unsigned put, refused, got, damaged, ahead;
} counts;

static void step(void)
{
    static unsigned char pages[KEEP_CLUSTER][4096];
    uint32_t slot, count;
    if (pick(2)) {
        uint32_t wanted = 1 + pick(16), room = keep_room(&keep, wanted, &slot);
        CHECK(room <= wanted && (!room || slot / 64 == (slot + room - 1) / 64));
        uint32_t sure = keep_reserve(&keep, room);
        for (uint32_t i = 0; i < room; i++) {
            CHECK(!there[slot + i]);
            make(whole[slot + i]);
            there[slot + i] = keep_put(&keep, slot + i, whole[slot + i]) == KEEP_OK;
            counts.put += there[slot + i];
            counts.refused += !there[slot + i];
            CHECK(there[slot + i] || i >= sure);
            check();
        }
        return;
    }
    slot = pick(SLOTS);
    enum keep_result result = keep_get(&keep, slot, 1 + pick(KEEP_CLUSTER), pages, &count);
    CHECK_EQ(result == KEEP_EMPTY, !there[slot]);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(there[slot + i]);
        CHECK(memcmp(pages[i], whole[slot + i], 4096) == 0);
    }
    counts.got += result == KEEP_OK;
    counts.ahead += count > 1;
    counts.damaged += result == KEEP_DAMAGED;
    if (result == KEEP_DAMAGED && fault != REPLAYS && fault != FLIPS_BITS && fault != SWAPS)
        count = pick(2); /* its owner is told; or asks again later */
    if (result == KEEP_OK && pick(3))
        count = 0; /* looked at, and left */
    for (uint32_t i = 0; i < count || (result == KEEP_DAMAGED && i == 0 && pick(2)); i++) {
        keep_drop(&keep, slot + i);
        there[slot + i] = false;
    }
    check();
}

static void run(enum fault how, unsigned steps)
{
    counts = (struct counts){0};
    memset(there, 0, sizeof(there));
    fault = how;
    one_in = 4;
    for (unsigned i = 0; i < steps; i++)
        step();
}

static void memory_then_disk(void)
{
    seed = 3;
    begin(true);
    run(FINE, 6000);
    CHECK_EQ(counts.damaged, 0);
    CHECK(counts.put > 1000 && counts.got > 1000 && counts.ahead > 50);
    printf("# spilled %u written %u ahead %u\n", (unsigned)keep.spilled, (unsigned)keep.written,
           (unsigned)keep.ahead);
    CHECK(keep.spilled > 100 && keep.written > keep.spilled && keep.ahead > 50);
    CHECK(!plain_text);
    for (uint32_t i = 0; i < SLOTS; i++)
        keep_drop(&keep, i);
    check();
    CHECK_EQ(keep.used, 0);
    CHECK_EQ(keep.store.free_pages, POOL);
}

static void disks_that_fail(void)
{
    for (enum fault how = FLIPS_BITS; how < FAULTS; how++) {
        seed = 40 + how;
        begin(true);
        run(how, 3000);
        bool writes = how == REFUSES_WRITES || how == VANISHES || how == SHORT;
        CHECK(counts.got > 300);
        if (how != REFUSES_WRITES && counts.damaged <= 20)
            printf("# %u: %u\n", how, counts.damaged);
        CHECK(how == REFUSES_WRITES || counts.damaged > 20);
        CHECK(!writes || counts.refused > 20);
    }
}

/* The pool full, no disk: refused, and what is there stays. Then a full disk. */
static void no_room(void)
{
    seed = 9;
    for (unsigned with_disk = 0; with_disk < 2; with_disk++) {
        uint32_t slot, count;
        unsigned char page[4096], back[KEEP_CLUSTER][4096];
        unsigned refused = 0;
        begin(with_disk);
        keep.block_count = 10;
        for (unsigned i = 0; i < SLOTS; i++) {
            CHECK_EQ(keep_room(&keep, 1, &slot), 1);
            make(whole[slot]);
            there[slot] = keep_put(&keep, slot, whole[slot]) == KEEP_OK;
            refused += !there[slot];
            check();
        }
        CHECK(refused > 10);
        CHECK_EQ(keep.used + refused, SLOTS);
        for (uint32_t i = 0; i < SLOTS; i++) {
            CHECK_EQ(keep_get(&keep, i, 1, back, &count), there[i] ? KEEP_OK : KEEP_EMPTY);
            CHECK(!there[i] || memcmp(back, whole[i], 4096) == 0);
        }
        keep_drop(&keep, 5);
        make(page);
        CHECK_EQ(keep_room(&keep, 4, &slot), 1);
        keep.block_count = BLOCKS;
    }
}

/* The same page, block and owner give another text each time; and every field is authenticated. */
static void what_is_sealed(void)
{
    unsigned char page[4096], first[4096], second[4096];
    struct seal_mark mark, again;
    seed = 5;
    begin(true);
    make(page);
    memcpy(first, page, 4096);
    memcpy(second, page, 4096);
    CHECK(seal_close(&seal, 1, 2, first, &mark) && seal_close(&seal, 1, 2, second, &again));
    CHECK(memcmp(first, second, 4096) != 0 && memcmp(mark.tag, again.tag, 16) != 0);
    CHECK_EQ(again.counter, mark.counter + 1);
    for (unsigned what = 0; what < 7; what++) {
        unsigned char copy[4096];
        struct seal_mark given = what == 3 ? again : mark;
        memcpy(copy, first, 4096);
        given.counter += what == 4;
        given.tag[5] ^= what == 5;
        copy[4095] ^= what == 6;
        CHECK_EQ(seal_open(&seal, what == 1 ? 2 : 1, what == 2 ? 3 : 2, copy, &given), what == 0);
        for (unsigned i = 0; i < 4096; i++)
            CHECK_EQ(copy[i], what ? 0 : page[i]);
    }
    seal.counter = UINT64_MAX;
    CHECK(!seal_close(&seal, 1, 2, first, &mark));
    uint8_t key[SEAL_KEY_BYTES] = {1};
    seal_begin(&seal, key); /* another boot */
    CHECK(!seal_open(&seal, 1, 2, second, &again));
    seal_end(&seal);
    for (size_t i = 0; i < sizeof(seal); i++)
        CHECK_EQ(((const unsigned char *)&seal)[i], 0);
}

static const struct test tests[] = {
    {"pages go to memory, then sealed to the disk, and return with those beside them",
     memory_then_disk},
    {"disks that flip, replay, mix up, lose, tear, refuse, end early or vanish: an error, never a "
     "byte",
     disks_that_fail},
    {"no room: a put is refused, and what is there stays", no_room},
    {"owner, block, counter and boot are authenticated; no text twice; the key is wiped",
     what_is_sealed},
};
TEST_MAIN(tests)
