/*
 * The driver of virtio block devices against a device of this file, which obeys the rules or breaks them: the virtqueue
 * beside a list of what is in flight, whole devices, and PCI configuration made of bytes.
 *
 * Would miss: a wrong order of memory accesses, which no test on one host thread can see; and a device that says that it
 * did what it did not, which no driver can see.
 */
#include "../../user/drivers/virtio.h"

#include <lib/random.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

static uint64_t random_state;

/* ---- the queue ---- */

/* Each descriptor is free once, or in one chain. */
static bool queue_holds(const struct virtq *queue)
{
    bool seen[VIRTQ_SIZE] = {false};
    unsigned count = 0, chains = 0;
    for (uint16_t i = 0, at = queue->free; i < queue->free_count; i++, at = queue->next[at]) {
        if (at >= queue->size || seen[at] || queue->chain[at])
            return false;
        seen[at] = true;
        count++;
    }
    for (uint16_t head = 0; head < queue->size; head++) {
        chains += queue->chain[head] != 0;
        for (uint16_t i = 0, at = head; i < queue->chain[head]; i++, at = queue->next[at]) {
            if (at >= queue->size || seen[at])
                return false;
            seen[at] = true;
            count++;
        }
    }
    return count == queue->size && chains == queue->in_flight;
}

static void device_done(struct virtq_memory *memory, uint16_t size, uint32_t id, uint32_t bytes)
{
    memory->used.ring[memory->used.index % size].id = id;
    memory->used.ring[memory->used.index % size].bytes = bytes;
    memory->used.index++;
}

/* Chains of random length come back in any order, through more than one turn of the 16-bit indices. */
static void chains_come_back_in_any_order(void)
{
    static struct virtq_memory memory;
    struct virtq queue;
    struct {
        uint16_t head;
        uint64_t first;
        unsigned count;
    } flying[VIRTQ_SIZE];
    for (uint16_t size = 4; size <= VIRTQ_SIZE; size *= 2) {
        unsigned count = 0, free = size, seen = 0;
        uint16_t avail = 0;
        virtq_init(&queue, &memory, size);
        CHECK(queue_holds(&queue));
        while (seen <= 65536 && !tap_failures) {
            if (random_below(&random_state, 2)) {
                struct virtq_part parts[VIRTQ_SIZE + 1];
                unsigned wanted = 1 + (unsigned)random_below(&random_state, size + 1u);
                for (unsigned i = 0; i < wanted; i++)
                    parts[i] = (struct virtq_part){random_state + i, 16 * (i + 1), i & 1};
                uint16_t head = 0xffff;
                enum qy_error error = virtq_add(&queue, parts, wanted, &head);
                CHECK_EQ(error, wanted > free ? QY_TOO_MANY : QY_OK);
                if (error == QY_OK) {
                    CHECK_EQ(memory.avail.index, ++avail);
                    CHECK_EQ(memory.avail.ring[(uint16_t)(avail - 1) % size], head);
                    uint16_t at = head;
                    for (unsigned i = 0; i < wanted; i++, at = memory.desc[at].next) {
                        CHECK_EQ(memory.desc[at].address, parts[i].address);
                        CHECK_EQ(memory.desc[at].bytes, parts[i].bytes);
                        CHECK_EQ(memory.desc[at].flags, (i + 1 < wanted ? 1 : 0) | (i & 1 ? 2 : 0));
                    }
                    flying[count].head = head;
                    flying[count].count = wanted;
                    count++;
                    free -= wanted;
                }
            } else if (count) {
                unsigned which = (unsigned)random_below(&random_state, count), writable = 0;
                for (unsigned i = 1; i < flying[which].count; i += 2)
                    writable += 16 * (i + 1);
                uint32_t bytes = (uint32_t)random_below(&random_state, writable + 1), got;
                uint16_t head;
                CHECK_EQ(virtq_take(&queue, &head, &got), QY_WOULD_WAIT);
                device_done(&memory, size, flying[which].head, bytes);
                CHECK_EQ(virtq_take(&queue, &head, &got), QY_OK);
                CHECK_EQ(head, flying[which].head);
                CHECK_EQ(got, bytes);
                free += flying[which].count;
                flying[which] = flying[--count];
                seen++;
            }
            CHECK(queue_holds(&queue));
        }
    }
}

static void a_used_ring_that_cannot_be_is_refused(void)
{
    static const struct {
        uint16_t index; /* how far it goes */
        uint32_t id, bytes;
    } wrong[] = {
        {2, 0, 0},                          /* more than there are */
        {17, 0, 0},         {0xffff, 0, 0}, /* backwards */
        {0x8000, 0, 0},     {1, 1, 0},      /* inside of a chain */
        {1, 5, 0},                          /* not in flight */
        {1, VIRTQ_SIZE, 0},                 /* no descriptor */
        {1, 0x10000, 0},                    /* 0 in 16 bits */
        {1, 0xffffffff, 0}, {1, 0, 514},    /* more than it may write */
        {1, 0, 0xffffffff},
    };
    static struct virtq_memory memory;
    const struct virtq_part parts[] = {{0x1000, 16, false}, {0x2000, 512, true}, {0x3000, 1, true}};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct virtq queue, before;
        uint16_t head;
        uint32_t bytes;
        virtq_init(&queue, &memory, VIRTQ_SIZE);
        CHECK_EQ(virtq_add(&queue, parts, 3, &head), QY_OK);
        CHECK_EQ(head, 0);
        before = queue;
        memory.used.ring[0].id = wrong[i].id;
        memory.used.ring[0].bytes = wrong[i].bytes;
        memory.used.index = wrong[i].index;
        CHECK_EQ(virtq_take(&queue, &head, &bytes), QY_CORRUPT);
        CHECK(memcmp(&queue, &before, sizeof(queue)) == 0);
        memory.used.ring[0].id = 0;
        memory.used.ring[0].bytes = 513;
        memory.used.index = 1;
        CHECK_EQ(virtq_take(&queue, &head, &bytes), QY_OK);
        memory.used.ring[1].id = 0; /* the same once more */
        memory.used.index = 2;
        CHECK_EQ(virtq_take(&queue, &head, &bytes), QY_CORRUPT);
    }
}

/* ---- a device ---- */

#define SECTORS 64u
#define PHYSICAL                                                                                   \
    0x7000000000ull /* where the driver's page is for the device, and behind it the data */
#define DATA (PHYSICAL + 0x1000)
#define DATA_BYTES (8 * VIRTIO_SECTOR)

enum mischief {
    GOOD,
    NO_VERSION_1,
    FEATURES_REFUSED,
    NO_QUEUE,
    ODD_QUEUE,
    NEVER_RESETS,
    ENDLESS_CONFIG,
    HUGE_DISK,
    OPENS, /* those above are seen by virtio_blk_open */
    SILENT,
    RESETS_ITSELF,
    NEEDS_RESET,
    VANISHES,
    USED_TOO_FAR,
    USED_WRONG_ID,
    USED_TOO_LONG,
    USED_TOO_SHORT,
    NO_STATUS,
    WRONG_STATUS,
    FAILS,
    SAYS_UNSUPPORTED,
    RANDOM
};

static struct {
    enum mischief mischief;
    uint32_t registers[VIRTIO_REGISTER_COUNT];
    uint32_t features[2], accepted[2];
    bool notified;
    uint16_t avail;
    unsigned config_reads, waits, flushes, resets;
    uint8_t disk[SECTORS * VIRTIO_SECTOR];
} device;

static struct {
    struct virtio_blk_memory page;
    uint8_t rest[0x1000 - sizeof(struct virtio_blk_memory)];
    uint8_t data[DATA_BYTES];
    uint8_t fence[256];
} ram;

/* The driver may name nothing but its page and its data. */
static void *memory_at(uint64_t address, uint64_t bytes)
{
    const uint64_t end = sizeof(ram.page) + sizeof(ram.rest) + sizeof(ram.data);
    bool inside =
        address >= PHYSICAL && address - PHYSICAL <= end && bytes <= end - (address - PHYSICAL);
    CHECK(inside);
    if (!inside)
        abort();
    return (uint8_t *)&ram + (address - PHYSICAL);
}

static uint64_t pair(enum virtio_register low)
{
    return device.registers[low] | (uint64_t)device.registers[low + 1] << 32;
}

static uint8_t perform(uint32_t type, uint64_t sector, const struct virtq_part *data,
                       uint32_t *written)
{
    if (type == VIRTIO_BLK_FLUSH) {
        device.flushes++;
        return 0;
    }
    CHECK(data && sector <= SECTORS && data->bytes / VIRTIO_SECTOR <= SECTORS - sector);
    uint8_t *at = memory_at(data->address, data->bytes);
    CHECK_EQ(data->device_writes, type == VIRTIO_BLK_READ);
    if (type == VIRTIO_BLK_READ)
        memcpy(at, device.disk + sector * VIRTIO_SECTOR, data->bytes);
    else
        memcpy(device.disk + sector * VIRTIO_SECTOR, at, data->bytes);
    *written = type == VIRTIO_BLK_READ ? data->bytes : 0;
    return 0;
}

/* One chain that the driver has made available. */
static void serve(void)
{
    const uint32_t size = device.registers[VIRTIO_QUEUE_SIZE];
    struct virtq_memory *queue = memory_at(pair(VIRTIO_QUEUE_DESC), sizeof(*queue));
    CHECK_EQ(pair(VIRTIO_QUEUE_AVAIL),
             pair(VIRTIO_QUEUE_DESC) + offsetof(struct virtq_memory, avail));
    CHECK_EQ(pair(VIRTIO_QUEUE_USED),
             pair(VIRTIO_QUEUE_DESC) + offsetof(struct virtq_memory, used));
    uint16_t head = queue->avail.ring[device.avail++ % size], at = head;
    struct virtq_part parts[3] = {{0}};
    unsigned count = 0;
    do {
        if (count)
            at = queue->desc[at].next;
        parts[count++] = (struct virtq_part){queue->desc[at].address, queue->desc[at].bytes,
                                             queue->desc[at].flags & 2};
    } while ((queue->desc[at].flags & 1) && count < 3);
    const struct {
        uint32_t type, reserved;
        uint64_t sector;
    } *header = memory_at(parts[0].address, sizeof(*header));
    uint32_t written = 0, id = head, done = 1;
    CHECK(!parts[0].device_writes && parts[0].bytes == 16 && parts[count - 1].device_writes &&
          parts[count - 1].bytes == 1);
    uint8_t *status = memory_at(parts[count - 1].address, 1);
    CHECK_EQ(*status, 0xff);
    uint8_t answer = perform(header->type, header->sector, count == 3 ? &parts[1] : NULL, &written);
    written++;
    switch (device.mischief) {
    case USED_TOO_FAR:
        done = 2;
        break;
    case USED_WRONG_ID:
        id = head + 1u;
        break;
    case USED_TOO_LONG:
        written += 4096;
        break;
    case USED_TOO_SHORT:
        written--;
        break;
    case NO_STATUS:
        answer = 0xff;
        break;
    case WRONG_STATUS:
        answer = 3;
        break;
    case FAILS:
        answer = 1;
        break;
    case SAYS_UNSUPPORTED:
        answer = 2;
        break;
    case RANDOM:
        answer = (uint8_t)random_below(&random_state, 4);
        id = (uint32_t)(random_below(&random_state, 3) ? id : random_below(&random_state, 40));
        written =
            (uint32_t)(random_below(&random_state, 3) ? written
                                                      : random_below(&random_state, 1u << 20));
        done = (uint32_t)(random_below(&random_state, 3) ? 1 : random_below(&random_state, 65536));
        break;
    default:
        break;
    }
    *status = answer;
    queue->used.ring[queue->used.index % size].id = id;
    queue->used.ring[queue->used.index % size].bytes = written;
    queue->used.index = (uint16_t)(queue->used.index + done);
}

static uint32_t device_read(void *context, enum virtio_register name)
{
    (void)context;
    if (device.mischief == RANDOM && random_below(&random_state, 20) == 0)
        return (uint32_t)random_state;
    if (device.mischief == VANISHES && device.notified)
        return UINT32_MAX;
    switch (name) {
    case VIRTIO_DEVICE_FEATURES:
        return device.features[device.registers[VIRTIO_DEVICE_FEATURES_SELECT] & 1];
    case VIRTIO_GENERATION: /* once it changes in between */
        return device.mischief == ENDLESS_CONFIG || device.config_reads < 2 ? device.config_reads++
                                                                            : 2;
    case VIRTIO_CAPACITY_HIGH:
        return device.mischief == HUGE_DISK ? 1u << 24 : 0;
    case VIRTIO_CAPACITY:
        return device.config_reads < 2 ? 0xdeadbeef : SECTORS;
    case VIRTIO_QUEUE_MAX:
        return device.mischief == NO_QUEUE ? 0 : device.mischief == ODD_QUEUE ? 6 : 1024;
    case VIRTIO_STATUS:
        if (device.mischief == NEEDS_RESET && device.notified)
            return device.registers[VIRTIO_STATUS] | 64;
        if (device.mischief == FEATURES_REFUSED)
            return device.registers[VIRTIO_STATUS] & ~8u;
        return device.mischief == NEVER_RESETS ? 15 : device.registers[VIRTIO_STATUS];
    default:
        return device.registers[name];
    }
}

static void device_write(void *context, enum virtio_register name, uint32_t value)
{
    (void)context;
    device.registers[name] = value;
    if (name == VIRTIO_DRIVER_FEATURES)
        device.accepted[device.registers[VIRTIO_DRIVER_FEATURES_SELECT] & 1] = value;
    if (name == VIRTIO_STATUS && value == 0) {
        device.resets++;
        device.avail = 0;
        device.notified = false;
    }
    if (name == VIRTIO_QUEUE_NOTIFY) {
        CHECK_EQ(device.registers[VIRTIO_STATUS], 15);
        CHECK_EQ(device.registers[VIRTIO_QUEUE_READY], 1);
        device.notified = true;
    }
}

static bool device_wait(void *context, bool first)
{
    (void)context;
    device.waits = first ? 1 : device.waits + 1;
    if (device.waits == 1 && device.mischief != RANDOM)
        return true; /* a spurious wakening */
    if (device.mischief == RESETS_ITSELF)
        device.registers[VIRTIO_STATUS] = 0;
    else if (device.mischief != SILENT && device.mischief != VANISHES &&
             device.mischief != NEEDS_RESET && device.notified &&
             device.registers[VIRTIO_QUEUE_READY])
        serve();
    device.notified &= device.mischief >= SILENT && device.mischief <= VANISHES;
    return device.waits < 5;
}

static const struct virtio_device simulated = {device_read, device_write, device_wait, NULL};

static enum qy_error open_device(struct virtio_blk *blk, enum mischief mischief, uint32_t features)
{
    memset(&device.registers, 0, sizeof(device.registers));
    device.mischief = mischief;
    device.features[0] = features | 1u << 28 | 1u << 12; /* and some that nobody wants */
    device.features[1] = mischief == NO_VERSION_1 ? 0 : 1u << 0 | 1u << 2;
    device.config_reads = 0;
    device.notified = false;
    device.avail = 0;
    return virtio_blk_open(blk, &simulated, &ram.page, PHYSICAL);
}

#define FLUSH (1u << 9)
#define READ_ONLY (1u << 5)

static void what_is_written_is_read(void)
{
    static uint8_t model[SECTORS * VIRTIO_SECTOR];
    struct virtio_blk blk;
    memset(ram.fence, 0x5a, sizeof(ram.fence));
    memset(device.disk, 0, sizeof(device.disk));
    CHECK_EQ(open_device(&blk, GOOD, FLUSH), QY_OK);
    CHECK_EQ(device.accepted[0], FLUSH);
    CHECK_EQ(device.accepted[1], 1);
    CHECK_EQ(blk.sectors, SECTORS); /* not what was there before the generation changed */
    CHECK(!blk.read_only && blk.flushes);
    for (unsigned step = 0; step < 100000 && !tap_failures; step++) {
        uint64_t sectors = 1 + random_below(&random_state, DATA_BYTES / VIRTIO_SECTOR);
        uint64_t sector = random_below(&random_state, SECTORS - sectors + 1),
                 bytes = sectors * VIRTIO_SECTOR;
        uint8_t *place = model + sector * VIRTIO_SECTOR;
        if (random_below(&random_state, 2)) {
            for (unsigned i = 0; i < bytes; i += 8)
                memcpy(place + i, &(uint64_t){random_below(&random_state, UINT64_MAX)}, 8);
            memcpy(ram.data, place, bytes);
            CHECK_EQ(virtio_blk_request(&blk, VIRTIO_BLK_WRITE, sector, DATA, bytes), QY_OK);
        } else {
            memset(ram.data, 0xa5, sizeof(ram.data));
            CHECK_EQ(virtio_blk_request(&blk, VIRTIO_BLK_READ, sector, DATA, bytes), QY_OK);
            CHECK(memcmp(ram.data, place, bytes) == 0);
            CHECK(bytes == DATA_BYTES || ram.data[bytes] == 0xa5);
        }
    }
    CHECK_EQ(virtio_blk_request(&blk, VIRTIO_BLK_FLUSH, 0, 0, 0), QY_OK);
    CHECK_EQ(device.flushes, 1);
    CHECK(memcmp(model, device.disk, sizeof(model)) == 0);
    for (unsigned i = 0; i < sizeof(ram.fence); i++)
        CHECK_EQ(ram.fence[i], 0x5a);
}

static void requests_that_cannot_be_do_not_reach_the_device(void)
{
    static const uint64_t wrong[][2] = {
        {SECTORS, 512},   {SECTORS - 1, 1024},      {UINT64_MAX, 512}, {0, 0},
        {0, 511},         {0, (SECTORS + 1) * 512}, {0, 1ull << 32},   {0, UINT64_MAX},
        {1ull << 55, 512}};
    struct virtio_blk blk;
    CHECK_EQ(open_device(&blk, GOOD, FLUSH), QY_OK);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CHECK_EQ(virtio_blk_request(&blk, VIRTIO_BLK_READ, wrong[i][0], DATA, wrong[i][1]),
                 QY_INVALID_ARGUMENT);
        CHECK_EQ(virtio_blk_request(&blk, VIRTIO_BLK_WRITE, wrong[i][0], DATA, wrong[i][1]),
                 QY_INVALID_ARGUMENT);
    }
    blk.sectors = 1ull << 40; /* more bytes than a descriptor can name */
    CHECK_EQ(virtio_blk_request(&blk, VIRTIO_BLK_READ, 0, DATA, 1ull << 32), QY_INVALID_ARGUMENT);
    CHECK_EQ(device.avail, 0);
    CHECK_EQ(open_device(&blk, GOOD, READ_ONLY), QY_OK);
    CHECK_EQ(virtio_blk_request(&blk, VIRTIO_BLK_WRITE, 0, DATA, 512), QY_NO_RIGHTS);
    CHECK_EQ(virtio_blk_request(&blk, VIRTIO_BLK_FLUSH, 0, 0, 0), QY_UNSUPPORTED);
    CHECK_EQ(device.avail, 0);
    CHECK_EQ(virtio_blk_request(&blk, VIRTIO_BLK_READ, 0, DATA, 512), QY_OK);
}

static void a_device_that_cannot_be_opened_says_why(void)
{
    static const enum qy_error wanted[OPENS] = {[GOOD] = QY_OK,
                                                [NO_VERSION_1] = QY_UNSUPPORTED,
                                                [FEATURES_REFUSED] = QY_UNSUPPORTED,
                                                [NO_QUEUE] = QY_UNSUPPORTED,
                                                [ODD_QUEUE] = QY_CORRUPT,
                                                [NEVER_RESETS] = QY_DEAD,
                                                [ENDLESS_CONFIG] = QY_CORRUPT,
                                                [HUGE_DISK] = QY_CORRUPT};
    struct virtio_blk blk;
    for (unsigned i = 0; i < OPENS; i++) {
        CHECK_EQ(open_device(&blk, (enum mischief)i, FLUSH), wanted[i]);
        CHECK_EQ(blk.open, wanted[i] == QY_OK);
        CHECK(blk.open || device.registers[VIRTIO_STATUS] == 0); /* it is not left half ready */
        CHECK_EQ(virtio_blk_request(&blk, VIRTIO_BLK_READ, 0, DATA, 512),
                 blk.open ? QY_OK : QY_DEAD);
    }
}

/* An error each, a reset of the device where it is in doubt, and after virtio_blk_open all is well. */
static void a_device_that_misbehaves_is_an_error(void)
{
    static const struct {
        enum mischief mischief;
        enum qy_error error;
        bool closed;
    } cases[] = {
        {SILENT, QY_DEAD, true},           {RESETS_ITSELF, QY_DEAD, true},
        {NEEDS_RESET, QY_DEAD, true},      {VANISHES, QY_DEAD, true},
        {USED_TOO_FAR, QY_CORRUPT, true},  {USED_WRONG_ID, QY_CORRUPT, true},
        {USED_TOO_LONG, QY_CORRUPT, true}, {USED_TOO_SHORT, QY_IO_ERROR, false},
        {NO_STATUS, QY_CORRUPT, true},     {WRONG_STATUS, QY_CORRUPT, true},
        {FAILS, QY_IO_ERROR, false},       {SAYS_UNSUPPORTED, QY_UNSUPPORTED, false},
    };
    struct virtio_blk blk;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_EQ(open_device(&blk, GOOD, FLUSH), QY_OK);
        device.mischief = cases[i].mischief;
        unsigned resets = device.resets;
        CHECK_EQ(virtio_blk_request(&blk, VIRTIO_BLK_READ, 3, DATA, 1024), cases[i].error);
        CHECK_EQ(blk.open, !cases[i].closed);
        CHECK_EQ(device.resets, resets + cases[i].closed);
        CHECK_EQ(virtio_blk_request(&blk, VIRTIO_BLK_READ, 3, DATA, 1024),
                 cases[i].closed ? QY_DEAD : cases[i].error);
        CHECK_EQ(open_device(&blk, GOOD, FLUSH), QY_OK);
        CHECK_EQ(virtio_blk_request(&blk, VIRTIO_BLK_READ, 3, DATA, 1024), QY_OK);
    }
}

/* Whatever it says, the driver ends, and names no memory but its own. */
static void a_random_device_does_no_harm(void)
{
    struct virtio_blk blk;
    unsigned opened = 0, good = 0;
    memset(ram.fence, 0x5a, sizeof(ram.fence));
    for (unsigned round = 0; round < 20000 && !tap_failures; round++) {
        bool open = open_device(&blk, RANDOM, FLUSH) == QY_OK;
        opened += open;
        if (blk.sectors > SECTORS) /* it lied: the simulated disk is no larger */
            blk.sectors = SECTORS;
        for (unsigned i = 0; i < 8 && open; i++)
            good += virtio_blk_request(
                        &blk, random_below(&random_state, 2) ? VIRTIO_BLK_READ : VIRTIO_BLK_WRITE,
                        random_below(&random_state, SECTORS), DATA, VIRTIO_SECTOR) == QY_OK;
        CHECK(!open || !blk.open || queue_holds(&blk.queue));
    }
    CHECK(opened > 100 && good > 100);
    for (unsigned i = 0; i < sizeof(ram.fence); i++)
        CHECK_EQ(ram.fence[i], 0x5a);
}

/* ---- registers and buses ---- */

static uint8_t space[0x4000] __attribute__((aligned(8)));

static uint32_t word_at(unsigned offset, unsigned width)
{
    uint32_t value = 0;
    memcpy(&value, space + offset, width);
    return value;
}

static void registers_are_where_the_standard_says(void)
{
    static const struct {
        enum virtio_register name;
        uint32_t mmio, pci, pci_width;
    } some[] = {{VIRTIO_STATUS, 0x70, 0x14, 1},          {VIRTIO_QUEUE_SELECT, 0x30, 0x16, 2},
                {VIRTIO_QUEUE_SIZE, 0x38, 0x18, 2},      {VIRTIO_QUEUE_READY, 0x44, 0x1c, 2},
                {VIRTIO_QUEUE_DESC, 0x80, 0x20, 4},      {VIRTIO_QUEUE_USED_HIGH, 0xa4, 0x34, 4},
                {VIRTIO_QUEUE_AVAIL, 0x90, 0x28, 4},     {VIRTIO_QUEUE_NOTIFY, 0x50, 0x3008, 2},
                {VIRTIO_CAPACITY_HIGH, 0x104, 0x2004, 4}};
    struct virtio_access access;
    struct virtio_place place = {.bytes = 0x1000};
    CHECK_EQ(virtio_access_init(&access, &place, space), QY_OK);
    for (unsigned i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        memset(space, 0, sizeof(space));
        virtio_access_write(&access, some[i].name, 0x12345678);
        CHECK_EQ(word_at(some[i].mmio, 4), 0x12345678);
        CHECK_EQ(virtio_access_read(&access, some[i].name), 0x12345678);
    }
    place = (struct virtio_place){
        .pci = true, .bytes = 0x4000, .area = {0, 0x3000, 0x1000, 0x2000}, .notify_step = 4};
    memset(space, 0, sizeof(space));
    space[0x1e] = 2;
    CHECK_EQ(virtio_access_init(&access, &place, space), QY_OK);
    for (unsigned i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        uint32_t wanted =
            some[i].pci_width == 4 ? 0x12345678 : 0x12345678 & ((1u << 8 * some[i].pci_width) - 1);
        memset(space, 0, sizeof(space));
        virtio_access_write(&access, some[i].name, 0x12345678);
        CHECK_EQ(word_at(some[i].pci, 4), wanted);
        CHECK_EQ(virtio_access_read(&access, some[i].name), wanted);
    }
    memset(space, 0, sizeof(space));
    virtio_access_write(&access, VIRTIO_INTERRUPT_ACKNOWLEDGE, 3); /* reading is enough */
    CHECK_EQ(word_at(0x1000, 4), 0);
    space[0x1e] = space[0x1f] = 0xff;
    CHECK_EQ(virtio_access_init(&access, &place, space), QY_CORRUPT);
    place.notify_step = UINT32_MAX;
    CHECK_EQ(virtio_access_init(&access, &place, space), QY_CORRUPT);
    memset(space, 0, sizeof(space));
    memcpy(space, &(uint32_t[]){0x74726976, 2, 2}, 12);
    CHECK(virtio_mmio_find(space, 0x10001000, &place) && place.address == 0x10001000 &&
          place.stop_offset == 0x70);
    space[4] = 1;
    CHECK(!virtio_mmio_find(space, 0x10001000, &place)); /* before virtio 1 */
}

/* A bus of two functions with 256 bytes of configuration each, and one 64-bit BAR of 16 KiB as its fifth. */
static uint8_t config[2][256];

static uint32_t config_read(void *context, uint32_t at)
{
    uint32_t value = UINT32_MAX;
    (void)context;
    if ((at >> 8 == 2 << 3 || at >> 8 == 5 << 3) && (at & 3) == 0)
        memcpy(&value, &config[at >> 8 == 5 << 3][at & 0xfc], 4);
    return value;
}

static void config_write(void *context, uint32_t at, uint32_t value)
{
    (void)context;
    CHECK((at >> 8 == 2 << 3 || at >> 8 == 5 << 3) && (at & 3) == 0);
    if ((at & 0xff) == 0x20)
        value = (value & ~0x3fffu) | 0xc; /* 64 bits, prefetchable */
    if ((at & 0xff) == 4)                 /* the status stays */
        value = (value & 0xffff) | (config_read(NULL, at) & 0xffff0000);
    memcpy(&config[at >> 8 == 5 << 3][at & 0xfc], &value, 4);
}

static struct virtio_pci_bus bus_of(void)
{
    return (struct virtio_pci_bus){config_read, config_write, NULL, 0x40001000, 0x40100000, 32};
}

static void put(unsigned function, unsigned at, uint32_t value)
{
    memcpy(&config[function][at], &value, 4);
}

static void capability(unsigned function, unsigned at, unsigned next, unsigned type, unsigned bar,
                       uint32_t offset, uint32_t bytes)
{
    put(function, at, 9 | next << 8 | 20u << 16 | type << 24);
    put(function, at + 4, bar);
    put(function, at + 8, offset);
    put(function, at + 12, bytes);
    put(function, at + 16, 4);
}

static void make_function(unsigned function, uint64_t address)
{
    memset(config[function], 0, 256);
    put(function, 0, 0x10421af4);
    put(function, 4, 0x00100400); /* has capabilities; its line is off */
    put(function, 0x20, (uint32_t)address | 0xc);
    put(function, 0x24, (uint32_t)(address >> 32));
    put(function, 0x34, 0x40);
    put(function, 0x3c, 0x0100);
    put(function, 0x40, 0x11 | 0x54u << 8); /* MSI-X, which is not used */
    capability(function, 0x54, 0x68, 1, 4, 0, 0x1000);
    capability(function, 0x68, 0x7c, 3, 4, 0x1000, 0x1000);
    capability(function, 0x7c, 0x90, 4, 4, 0x2000, 0x1000);
    capability(function, 0x90, 0xa4, 2, 4, 0x3000, 0x1000);
    capability(function, 0xa4, 0, 5, 0, 0, 0); /* access by configuration, which is not used */
}

static void pci_tells_where_a_device_is(void)
{
    struct virtio_pci_bus bus = bus_of();
    struct virtio_place place;
    make_function(0, 0xfe000000);
    make_function(1, 0);
    CHECK_EQ(virtio_pci_find(&bus, 0, &place), QY_OK);
    CHECK_EQ(place.address, 0xfe000000);
    CHECK_EQ(place.bytes, 0x4000);
    CHECK(place.pci && place.area[VIRTIO_COMMON] == 0 && place.area[VIRTIO_NOTIFY] == 0x3000 &&
          place.area[VIRTIO_ISR] == 0x1000 && place.area[VIRTIO_CONFIG] == 0x2000 &&
          place.notify_step == 4);
    CHECK_EQ(place.line, 34);
    CHECK(place.stop_offset == 0x14 && place.stop_width == 1);
    CHECK_EQ(config_read(NULL, 2 << 11 | 0x20), 0xfe00000c); /* as it was */
    CHECK_EQ(config_read(NULL, 2 << 11 | 4) & 0xffff,
             6); /* it decodes, masters the bus, and its line is on */
    CHECK_EQ(virtio_pci_find(&bus, 1, &place), QY_OK);
    CHECK_EQ(place.address, 0x40004000); /* out of the window, aligned */
    CHECK_EQ(bus.window, 0x40008000);
    CHECK_EQ(place.line, 33);
    CHECK_EQ(virtio_pci_find(&bus, 1, &place), QY_OK);
    CHECK_EQ(place.address, 0x40004000);
    CHECK_EQ(virtio_pci_find(&bus, 2, &place), QY_NOT_FOUND);
    make_function(0, 0x4200000000);
    CHECK_EQ(virtio_pci_find(&bus, 0, &place), QY_OK);
    CHECK_EQ(place.address, 0x4200000000);
    make_function(0, 0);
    bus.window_end = 0x4000b000;
    CHECK_EQ(virtio_pci_find(&bus, 0, &place), QY_OUT_OF_MEMORY);
}

static void configuration_that_cannot_be_is_refused(void)
{
    struct virtio_pci_bus bus = bus_of();
    struct virtio_place place;
    static const struct {
        unsigned at;
        uint32_t value;
        enum qy_error error;
    } wrong[] = {
        {0x00, 0x10411af4, QY_NOT_FOUND}, /* a network device */
        {0x00, 0x10421af5, QY_NOT_FOUND}, /* somebody else's */
        {0x04, 0, QY_UNSUPPORTED},        /* no capabilities */
        {0x3c, 0, QY_UNSUPPORTED},        /* no pin */
        {0x3c, 0x0500, QY_UNSUPPORTED},
        {0x34, 0, QY_UNSUPPORTED},
        {0x40, 0x11 | 0x40 << 8, QY_UNSUPPORTED}, /* a circle */
        {0x54 + 4, 6, QY_UNSUPPORTED},            /* no such BAR */
        {0x68 + 4, 3, QY_UNSUPPORTED},            /* in two BARs */
        {0x54 + 8, 0x3fd0, QY_CORRUPT},           /* over the end of the BAR */
        {0x54 + 8, 0xfffffff0, QY_CORRUPT},
        {0x54 + 8, 2, QY_CORRUPT},     /* not aligned */
        {0x54 + 12, 0x20, QY_CORRUPT}, /* too short */
        {0x54 + 12, 0xffffffff, QY_CORRUPT},
        {0x20, 0xfe000001, QY_UNSUPPORTED}, /* I/O ports */
    };
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        make_function(0, 0xfe000000);
        memset(config[1], 0xff, 256);
        put(0, wrong[i].at, wrong[i].value);
        CHECK_EQ(virtio_pci_find(&bus, 0, &place), wrong[i].error);
    }
    for (unsigned round = 0; round < 200000 && !tap_failures; round++) {
        make_function(0, random_below(&random_state, 2) ? 0 : 0xfe000000);
        for (unsigned i = 0; i < 1 + random_below(&random_state, 6); i++)
            config[0][4 + random_below(&random_state, 252)] =
                (uint8_t)random_below(&random_state, 256);
        bus = bus_of();
        if (virtio_pci_find(&bus, 0, &place) != QY_OK)
            continue;
        CHECK(place.address % place.bytes == 0 && place.bytes >= 0x1000 && place.line - 32 < 4);
        CHECK(place.area[VIRTIO_COMMON] + 0x38u <= place.bytes &&
              place.area[VIRTIO_CONFIG] + 8u <= place.bytes &&
              place.area[VIRTIO_NOTIFY] + 2u <= place.bytes &&
              place.area[VIRTIO_ISR] + 1u <= place.bytes);
    }
}

static const struct test tests[] = {
    {"chains come back in any order", chains_come_back_in_any_order},
    {"a used ring that cannot be is refused", a_used_ring_that_cannot_be_is_refused},
    {"what is written is read", what_is_written_is_read},
    {"requests that cannot be do not reach the device",
     requests_that_cannot_be_do_not_reach_the_device},
    {"a device that cannot be opened says why", a_device_that_cannot_be_opened_says_why},
    {"a device that misbehaves is an error", a_device_that_misbehaves_is_an_error},
    {"a random device does no harm", a_random_device_does_no_harm},
    {"registers are where the standard says", registers_are_where_the_standard_says},
    {"PCI tells where a device is", pci_tells_where_a_device_is},
    {"configuration that cannot be is refused", configuration_that_cannot_be_is_refused},
};

TEST_MAIN(tests)
