/* Block devices: one request at a time, of three parts: header, data, status. See virtio.h. */
#include "virtio.h"

#include <stddef.h>

enum { ACKNOWLEDGED = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, RUNNING = 15 };

#define FEATURE_READ_ONLY (1u << 5)
#define FEATURE_FLUSH (1u << 9)
#define FEATURE_VERSION_1 (1u << 0) /* in the second word */

#define RESET_LOOKS 100000u
#define CONFIG_LOOKS 16u
#define NO_STATUS 0xffu

#define QUEUE_PLACE(part) (blk->physical + offsetof(struct virtio_blk_memory, queue.part))

static uint32_t get(const struct virtio_blk *blk, enum virtio_register name)
{
    return blk->device->read(blk->device->context, name);
}

static void set(const struct virtio_blk *blk, enum virtio_register name, uint32_t value)
{
    blk->device->write(blk->device->context, name, value);
}

static void set_address(const struct virtio_blk *blk, enum virtio_register low, uint64_t address)
{
    set(blk, low, (uint32_t)address);
    set(blk, low + 1, (uint32_t)(address >> 32));
}

static enum qy_error blk_close(struct virtio_blk *blk, enum qy_error error)
{
    blk->open = false;
    set(blk, VIRTIO_STATUS, 0);
    for (unsigned i = 0; i < RESET_LOOKS; i++)
        if (get(blk, VIRTIO_STATUS) == 0)
            return error;
    return QY_DEAD;
}

/* What both sides can do (3.1.1, steps 3 to 6). */
static enum qy_error negotiate(struct virtio_blk *blk)
{
    set(blk, VIRTIO_STATUS, ACKNOWLEDGED);
    set(blk, VIRTIO_STATUS, ACKNOWLEDGED | DRIVER);
    set(blk, VIRTIO_DEVICE_FEATURES_SELECT, 0);
    uint32_t offered = get(blk, VIRTIO_DEVICE_FEATURES) & (FEATURE_READ_ONLY | FEATURE_FLUSH);
    set(blk, VIRTIO_DEVICE_FEATURES_SELECT, 1);
    if (!(get(blk, VIRTIO_DEVICE_FEATURES) & FEATURE_VERSION_1))
        return QY_UNSUPPORTED;
    set(blk, VIRTIO_DRIVER_FEATURES_SELECT, 0);
    set(blk, VIRTIO_DRIVER_FEATURES, offered);
    set(blk, VIRTIO_DRIVER_FEATURES_SELECT, 1);
    set(blk, VIRTIO_DRIVER_FEATURES, FEATURE_VERSION_1);
    set(blk, VIRTIO_STATUS, ACKNOWLEDGED | DRIVER | FEATURES_OK);
    blk->read_only = offered & FEATURE_READ_ONLY;
    blk->flushes = offered & FEATURE_FLUSH;
    return get(blk, VIRTIO_STATUS) == (ACKNOWLEDGED | DRIVER | FEATURES_OK) ? QY_OK
                                                                            : QY_UNSUPPORTED;
}

static enum qy_error set_up_queue(struct virtio_blk *blk)
{
    set(blk, VIRTIO_QUEUE_SELECT, 0);
    uint32_t size = get(blk, VIRTIO_QUEUE_MAX);
    if (size < 3)
        return QY_UNSUPPORTED;
    if (size > VIRTQ_SIZE)
        size = VIRTQ_SIZE;
    if (size & (size - 1))
        return QY_CORRUPT;
    virtq_init(&blk->queue, &blk->memory->queue, (uint16_t)size);
    set(blk, VIRTIO_QUEUE_SIZE, size);
    set_address(blk, VIRTIO_QUEUE_DESC, QUEUE_PLACE(desc));
    set_address(blk, VIRTIO_QUEUE_AVAIL, QUEUE_PLACE(avail));
    set_address(blk, VIRTIO_QUEUE_USED, QUEUE_PLACE(used));
    set(blk, VIRTIO_QUEUE_READY, 1);
    return QY_OK;
}

/* Both halves of one value. */
static enum qy_error read_capacity(struct virtio_blk *blk)
{
    for (unsigned i = 0; i < CONFIG_LOOKS; i++) {
        uint32_t generation = get(blk, VIRTIO_GENERATION);
        blk->sectors = get(blk, VIRTIO_CAPACITY) | (uint64_t)get(blk, VIRTIO_CAPACITY_HIGH) << 32;
        if (get(blk, VIRTIO_GENERATION) == generation)
            return blk->sectors > UINT64_MAX / VIRTIO_SECTOR ? QY_CORRUPT : QY_OK;
    }
    return QY_CORRUPT;
}

enum qy_error virtio_blk_open(struct virtio_blk *blk, const struct virtio_device *device,
                              volatile struct virtio_blk_memory *memory, uint64_t physical)
{
    *blk = (struct virtio_blk){.device = device, .memory = memory, .physical = physical};
    enum qy_error error = blk_close(blk, QY_OK);
    if (error == QY_OK)
        error = negotiate(blk);
    if (error == QY_OK)
        error = set_up_queue(blk);
    if (error == QY_OK)
        error = read_capacity(blk);
    if (error != QY_OK)
        return blk_close(blk, error);
    set(blk, VIRTIO_STATUS, RUNNING);
    blk->open = true;
    return QY_OK;
}

bool virtio_blk_is_running(const struct virtio_blk *blk)
{
    return blk->open && get(blk, VIRTIO_STATUS) == RUNNING;
}

static enum qy_error request_check(const struct virtio_blk *blk, enum virtio_blk_type type,
                                   uint64_t sector, uint64_t bytes)
{
    if (!virtio_blk_is_running(blk))
        return QY_DEAD;
    if (type == VIRTIO_BLK_FLUSH)
        return blk->flushes ? QY_OK : QY_UNSUPPORTED;
    if (bytes == 0 || bytes % VIRTIO_SECTOR || bytes > UINT32_MAX - VIRTIO_SECTOR ||
        sector > blk->sectors || bytes / VIRTIO_SECTOR > blk->sectors - sector)
        return QY_INVALID_ARGUMENT;
    return type == VIRTIO_BLK_WRITE && blk->read_only ? QY_NO_RIGHTS : QY_OK;
}

/* Until the device has done it; *bytes is what it says that it wrote. Its interrupt is waited for before anything is looked at. */
static enum qy_error finish(struct virtio_blk *blk, uint32_t *bytes)
{
    uint16_t head;
    enum qy_error error = QY_WOULD_WAIT;
    for (bool first = true; error == QY_WOULD_WAIT; first = false) {
        bool waited = blk->device->wait(blk->device->context, first);
        bool running = virtio_blk_is_running(blk);
        error = virtq_take(&blk->queue, &head, bytes);
        if (error == QY_WOULD_WAIT && (!waited || !running))
            error = QY_DEAD;
    }
    return error;
}

enum qy_error virtio_blk_request(struct virtio_blk *blk, enum virtio_blk_type type, uint64_t sector,
                                 uint64_t physical, uint64_t bytes)
{
    enum qy_error error = request_check(blk, type, sector, bytes);
    if (error != QY_OK)
        return error;
    const uint64_t header = blk->physical + offsetof(struct virtio_blk_memory, header);
    const uint64_t status = blk->physical + offsetof(struct virtio_blk_memory, status);
    struct virtq_part parts[3] = {{header, sizeof(blk->memory->header), false},
                                  {physical, (uint32_t)bytes, type == VIRTIO_BLK_READ}};
    unsigned count = type == VIRTIO_BLK_FLUSH ? 1 : 2;
    uint16_t head;
    uint32_t written = 0;
    parts[count++] = (struct virtq_part){status, 1, true};
    blk->memory->header.type = type;
    blk->memory->header.reserved = 0;
    blk->memory->header.sector = type == VIRTIO_BLK_FLUSH ? 0 : sector;
    blk->memory->status = NO_STATUS;
    error = virtq_add(&blk->queue, parts, count, &head);
    if (error == QY_OK) {
        set(blk, VIRTIO_QUEUE_NOTIFY, 0);
        error = finish(blk, &written);
    }
    if (error != QY_OK)
        return blk_close(blk, error);
    switch (blk->memory->status) {
    case 0:
        return type == VIRTIO_BLK_READ && written != bytes + 1 ? QY_IO_ERROR : QY_OK;
    case 1:
        return QY_IO_ERROR;
    case 2:
        return QY_UNSUPPORTED;
    default:
        return blk_close(blk, QY_CORRUPT);
    }
}
