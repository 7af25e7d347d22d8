/*
 * Any bytes as what is done with an owner's slots (user/swap/keep.h) and with the disk below them, beside a plain model: pages
 * are put, read and dropped; the disk refuses, forgets, and has its blocks changed, moved and brought back. What is read is
 * what was put or an error, nothing else than a disk that misbehaves makes an error, and the validators hold after each step.
 *
 *     input: | operation | argument | argument | ...      three bytes a step; a page follows from its two arguments
 */
#include "fuzz.h"

#include <keep.h>
#include <lib/random.h>
#include <string.h>

#define POOL 6u
#define SLOTS 128u
#define BLOCKS 48u
#define FIRST 3u /* block */
#define STEPS_MAX 2000u

static struct keep keep;
static struct seal seal;
static struct store_page pool_pages[POOL];
static struct keep_slot slots[SLOTS];
static struct keep_block blocks[BLOCKS];
static uint64_t scratch[STORE_SCRATCH_BYTES / 8];
static uint8_t pool[POOL * STORE_PAGE_BYTES], buffer[KEEP_CLUSTER * STORE_PAGE_BYTES];
static uint8_t image[FIRST + BLOCKS][STORE_PAGE_BYTES], older[FIRST + BLOCKS][STORE_PAGE_BYTES];
static uint8_t whole[SLOTS][STORE_PAGE_BYTES];
static bool there[SLOTS];
static unsigned refuse; /* transfers from now on */
static bool hostile;    /* the disk has done something */

static bool transfer(uint32_t block, uint32_t count)
{
    CHECK(count >= 1 && count <= KEEP_CLUSTER && block >= FIRST && block + count <= FIRST + BLOCKS);
    if (!refuse)
        return true;
    refuse--;
    return false;
}

static bool disk_read(void *context, uint32_t block, uint32_t count)
{
    (void)context;
    bool well = transfer(block, count);
    memcpy(buffer, image[block], (size_t)(well ? count : 0) * STORE_PAGE_BYTES);
    return well;
}

static bool disk_write(void *context, uint32_t block, uint32_t count)
{
    (void)context;
    bool well = transfer(block, count);
    memcpy(older[block], image[block], (size_t)count * STORE_PAGE_BYTES);
    /* A write that is refused may have been done in part. */
    memcpy(image[block], buffer, (size_t)count * STORE_PAGE_BYTES / (well ? 1 : 2));
    return well;
}

static struct keep_disk disk = {disk_read, disk_write, NULL, buffer, FIRST + BLOCKS};

static void begin(uint8_t how)
{
    uint8_t key[SEAL_KEY_BYTES] = {how};
    seal_begin(&seal, key);
    memset(there, 0, sizeof(there));
    memset(image, how, sizeof(image));
    memset(older, 0, sizeof(older));
    refuse = 0;
    hostile = false;
    disk.blocks = how & 1 ? FIRST + BLOCKS : 0;
    keep = (struct keep){.seal = &seal,
                         .owner = how,
                         .disk = &disk,
                         .slots = slots,
                         .blocks = blocks,
                         .slot_count = SLOTS,
                         .first_block = FIRST,
                         .block_count = how & 1 ? BLOCKS : 0};
    store_begin(&keep.store, pool, pool_pages, POOL, scratch);
    keep_begin(&keep);
}

/* One word, text, or noise. */
static void make(uint8_t page[STORE_PAGE_BYTES], uint8_t a, uint8_t b)
{
    uint64_t state = a * 256u + b;
    for (unsigned i = 0; i < STORE_PAGE_BYTES; i++) {
        page[i] = a % 4 == 0                ? b
                  : i < 16u * (a % 4 * 80u) ? (uint8_t)random_next(&state)
                                            : (uint8_t)("pages of text, "[i % 15] + b);
    }
}

static void put(uint8_t a, uint8_t b)
{
    uint32_t slot, sure = keep_reserve(&keep, 1);
    if (!keep_room(&keep, 1, &slot))
        return;
    CHECK(slot < SLOTS && !there[slot]);
    make(whole[slot], a, b);
    there[slot] = keep_put(&keep, slot, whole[slot]) == KEEP_OK;
    CHECK(there[slot] || !sure);
}

static void get(uint8_t a, uint8_t b)
{
    static uint8_t pages[KEEP_CLUSTER][STORE_PAGE_BYTES];
    const uint32_t slot = a % (SLOTS + 2), most = 1 + b % KEEP_CLUSTER;
    uint32_t count;
    enum keep_result result = keep_get(&keep, slot, most, pages, &count);
    CHECK((result == KEEP_EMPTY) == (slot >= SLOTS || !there[slot]));
    CHECK(result == KEEP_OK ? count >= 1 && count <= most : count == 0);
    CHECK(result != KEEP_DAMAGED || hostile);
    for (uint32_t i = 0; i < count; i++)
        CHECK(there[slot + i] && memcmp(pages[i], whole[slot + i], STORE_PAGE_BYTES) == 0);
}

/* What a disk may do by itself. */
static void change_disk(uint8_t a, uint8_t b)
{
    uint8_t *block = image[FIRST + a % BLOCKS];
    hostile = true;
    switch (b % 4) {
    case 0:
        block[b * 16u] ^= (uint8_t)(1u + b / 4);
        break;
    case 1:
        memcpy(block, older[FIRST + a % BLOCKS], STORE_PAGE_BYTES);
        break;
    case 2:
        memmove(block, image[FIRST + b % BLOCKS], STORE_PAGE_BYTES);
        break;
    default:
        refuse = b / 4;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count < 1)
        return 0;
    begin(data[0]);
    for (size_t at = 1, steps = 0; at + 3 <= count && steps < STEPS_MAX; at += 3, steps++) {
        const uint8_t a = data[at + 1], b = data[at + 2];
        switch (data[at] % 8) {
        case 0:
            change_disk(a, b);
            break;
        case 1:
            keep_drop(&keep, a % SLOTS);
            there[a % SLOTS] = false;
            break;
        case 2:
        case 3:
            get(a, b);
            break;
        default:
            put(a, b);
        }
        const char *broken = keep_check(&keep);
        CHECK(broken == NULL);
    }
    for (uint32_t i = 0; i < SLOTS; i++)
        keep_drop(&keep, i);
    CHECK(keep_check(&keep) == NULL && keep.used == 0 && keep.store.free_pages == POOL);
    seal_end(&seal);
    return 0;
}
