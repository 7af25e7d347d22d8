/* Registers of a device by name. See virtio.h. */
#include "virtio.h"

#define MMIO_MAGIC 0x74726976u
#define MMIO_VERSION 2u
#define MMIO_BLOCK 2u
#define MMIO_BYTES 0x1000u

static const struct {
    uint8_t area, width;
    uint16_t offset;
} registers[2][VIRTIO_REGISTER_COUNT] = {
#define X(name, area, width, offset, area2, width2, offset2) {VIRTIO_##area2, width2, offset2},
    {VIRTIO_REGISTERS(X)},
#undef X
#define X(name, area, width, offset, area2, width2, offset2) {VIRTIO_##area, width, offset},
    {VIRTIO_REGISTERS(X)},
#undef X
};

enum qy_error virtio_access_init(struct virtio_access *access, const struct virtio_place *place,
                                 volatile uint8_t *at)
{
    *access = (struct virtio_access){.pci = place->pci};
    for (unsigned i = 0; i < VIRTIO_AREAS; i++)
        access->area[i] = at + place->area[i];
    if (!place->pci)
        return QY_OK;
    virtio_access_write(access, VIRTIO_QUEUE_SELECT, 0);
    uint64_t notify =
        place->area[VIRTIO_NOTIFY] +
        (uint64_t)virtio_access_read(access, VIRTIO_QUEUE_NOTIFY_PLACE) * place->notify_step;
    if (notify + 2 > place->bytes)
        return QY_CORRUPT;
    access->area[VIRTIO_NOTIFY] = at + notify;
    return QY_OK;
}

uint32_t virtio_access_read(void *context, enum virtio_register name)
{
    const struct virtio_access *access = context;
    volatile uint8_t *at =
        access->area[registers[access->pci][name].area] + registers[access->pci][name].offset;
    switch (registers[access->pci][name].width) {
    case 0:
        return 0;
    case 1:
        return *at;
    case 2:
        return *(volatile uint16_t *)at;
    default:
        return *(volatile uint32_t *)at;
    }
}

void virtio_access_write(void *context, enum virtio_register name, uint32_t value)
{
    const struct virtio_access *access = context;
    volatile uint8_t *at =
        access->area[registers[access->pci][name].area] + registers[access->pci][name].offset;
    switch (registers[access->pci][name].width) {
    case 0:
        return;
    case 1:
        *at = (uint8_t)value;
        return;
    case 2:
        *(volatile uint16_t *)at = (uint16_t)value;
        return;
    default:
        *(volatile uint32_t *)at = value;
    }
}

bool virtio_mmio_find(volatile uint8_t *at, uint64_t address, struct virtio_place *place)
{
    volatile const uint32_t *words = (volatile const uint32_t *)at;
    *place = (struct virtio_place){
        .address = address, .bytes = MMIO_BYTES, .stop_offset = 0x70, .stop_width = 4};
    return words[0] == MMIO_MAGIC && words[1] == MMIO_VERSION && words[2] == MMIO_BLOCK;
}
