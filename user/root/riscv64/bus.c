/*
 * Where QEMU's virt machine has its disks: behind eight sets of registers in memory, with lines 1 to 8, or on bus 0 of
 * PCI, configured through memory (ECAM), which no firmware has given addresses; its interrupt pins go to lines 32 to 35.
 */
#include "../../drivers/virtio.h"
#include "../root.h"
#include <user/slots.h>
#include <user/space.h>

#define SLOTS 8u
#define SLOT_BASE 0x10001000ull
#define SLOT_BYTES 0x1000ull
#define SLOT_LINE 1u

#define ECAM_BASE 0x30000000ull
#define ECAM_BYTES 0x100000ull /* of bus 0 */
#define PCI_WINDOW 0x40000000ull
#define PCI_WINDOW_STEP 0x200000ull /* for each disk */
#define PCI_WINDOW_END 0x80000000ull
#define PCI_LINE 32u

#define LOOK_AT (ROOT_CHILD_ADDRESS + 0x20000000)

/* Map that device memory at LOOK_AT; slot_delete takes it away. */
static enum qy_error look_at(struct root *root, qy_handle_t budget, uint64_t address,
                             uint64_t bytes, qy_handle_t *frame)
{
    struct tables made;
    struct call_result r = device_frame(device_memory_at(root, address), budget, address,
                                        bytes / PAGE_BYTES, QY_SLOT_NODE, slot_take());
    *frame = r.value[1];
    return r.error == QY_OK ? space_map_frame(budget, QY_SLOT_SPACE, *frame, LOOK_AT,
                                              QY_MAP_READ | QY_MAP_WRITE | QY_MAP_UNCACHED, &made)
                            : r.error;
}

/* ECAM has 4 KiB of registers for each function, of which PCI knows the first 256 bytes. */
static volatile uint32_t *config_at(uint32_t at)
{
    return (volatile uint32_t *)(LOOK_AT + ((uint64_t)(at >> 8) << 12) + (at & 0xff));
}

static uint32_t config_read(void *context, uint32_t at)
{
    (void)context;
    return *config_at(at);
}

static void config_write(void *context, uint32_t at, uint32_t value)
{
    (void)context;
    *config_at(at) = value;
}

enum qy_error bus_find(struct root *root, qy_handle_t budget, unsigned n,
                       struct virtio_place *place)
{
    struct virtio_pci_bus bus = {.read = config_read,
                                 .write = config_write,
                                 .window = PCI_WINDOW + n * PCI_WINDOW_STEP,
                                 .window_end = PCI_WINDOW_END,
                                 .first_line = PCI_LINE};
    qy_handle_t frame;
    enum qy_error error = QY_OK;
    for (unsigned slot = 0; slot < SLOTS && error == QY_OK; slot++) {
        uint64_t address = SLOT_BASE + slot * SLOT_BYTES;
        error = look_at(root, budget, address, SLOT_BYTES, &frame);
        if (error != QY_OK)
            return error;
        bool found = virtio_mmio_find((volatile uint8_t *)LOOK_AT, address, place);
        slot_delete(frame);
        place->line = SLOT_LINE + slot;
        if (found && n-- == 0)
            return QY_OK;
    }
    error = look_at(root, budget, ECAM_BASE, ECAM_BYTES, &frame);
    if (error == QY_OK) {
        error = virtio_pci_find(&bus, n, place);
        slot_delete(frame);
    }
    return error;
}
