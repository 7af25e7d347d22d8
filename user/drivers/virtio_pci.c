/* Block devices on bus 0 of PCI. See virtio.h. References: PCI Local Bus 3.0, chapter 6; virtio 1.1, section 4.1.4. */
#include "virtio.h"

#define VENDOR_VIRTIO 0x1af4u
#define DEVICE_BLOCK 0x1042u
#define DEVICE_BLOCK_OLD 0x1001u /* offers virtio 1 too, unless that is turned off */

enum { ID = 0, COMMAND = 4, HEADER = 0x0c, BAR = 0x10, CAPABILITIES = 0x34, INTERRUPT = 0x3c };

#define COMMAND_MEMORY 2u
#define COMMAND_MASTER 4u
#define COMMAND_NO_LINE (1u << 10)
#define STATUS_CAPABILITIES (1u << 20)
#define HEADER_FUNCTIONS (1u << 23)
#define CAPABILITY_VENDOR 9u
#define CAPABILITIES_MAX 48u

#define FUNCTIONS 256u /* of a bus */
#define BARS 6u
#define BAR_BYTES_MAX 0x200000u

static uint32_t get(const struct virtio_pci_bus *bus, uint32_t at)
{
    return bus->read(bus->context, at);
}

static void set(const struct virtio_pci_bus *bus, uint32_t at, uint32_t value)
{
    bus->write(bus->context, at, value);
}

/* Where the vendor's capabilities say that the areas are: all of them behind the same BAR, the first that is named. */
static enum qy_error areas_find(const struct virtio_pci_bus *bus, uint32_t function,
                                struct virtio_place *place, uint32_t *bar)
{
    static const uint32_t least[VIRTIO_AREAS] = {0x38, 2, 1, 8};
    uint32_t ends[VIRTIO_AREAS] = {0};
    uint32_t at =
        get(bus, function | COMMAND) & STATUS_CAPABILITIES ? get(bus, function | CAPABILITIES) : 0;
    *bar = BARS;
    for (unsigned i = 0; i < CAPABILITIES_MAX && (at &= 0xfc) != 0; i++) {
        uint32_t first = get(bus, function | at), type = (first >> 24) - 1;
        uint32_t which = get(bus, function | ((at + 4) & 0xfc)) & 0xff;
        uint32_t offset = get(bus, function | ((at + 8) & 0xfc));
        uint32_t bytes = get(bus, function | ((at + 12) & 0xfc));
        if ((first & 0xff) == CAPABILITY_VENDOR && type < VIRTIO_AREAS && which < BARS &&
            !ends[type] && (*bar == BARS || *bar == which)) {
            if (bytes < least[type] || offset > BAR_BYTES_MAX || bytes > BAR_BYTES_MAX ||
                offset % 4)
                return QY_CORRUPT;
            *bar = which;
            place->area[type] = offset;
            ends[type] = offset + bytes;
            if (type == VIRTIO_NOTIFY)
                place->notify_step = get(bus, function | ((at + 16) & 0xfc));
        }
        at = first >> 8;
    }
    for (unsigned i = 0; i < VIRTIO_AREAS; i++) {
        if (!ends[i])
            return QY_UNSUPPORTED;
        place->bytes = ends[i] > place->bytes ? ends[i] : place->bytes;
    }
    return QY_OK;
}

/* The BAR's address and size; it gets one from the window if firmware has given it none. Decoding is off. */
static enum qy_error bar_place(struct virtio_pci_bus *bus, uint32_t at, struct virtio_place *place)
{
    uint32_t low = get(bus, at), wide = (low & 6) == 4;
    if (low & 1)
        return QY_UNSUPPORTED;
    uint64_t address = (low & ~15u) | (wide ? (uint64_t)get(bus, at + 4) << 32 : 0);
    set(bus, at, ~0u);
    uint32_t bytes = ~(get(bus, at) & ~15u) + 1;
    if (bytes < place->bytes || bytes > BAR_BYTES_MAX || bytes & (bytes - 1)) {
        set(bus, at, low);
        return QY_CORRUPT;
    }
    place->bytes = bytes < 0x1000 ? 0x1000 : bytes;
    if (!address) {
        address = (bus->window + place->bytes - 1) & ~(place->bytes - 1);
        if (address + place->bytes > bus->window_end)
            return QY_OUT_OF_MEMORY;
        bus->window = address + place->bytes;
    }
    set(bus, at, (uint32_t)address);
    if (wide)
        set(bus, at + 4, (uint32_t)(address >> 32));
    place->address = address;
    return address % place->bytes ? QY_UNSUPPORTED : QY_OK;
}

static enum qy_error function_open(struct virtio_pci_bus *bus, uint32_t function,
                                   struct virtio_place *place)
{
    uint32_t bar, command = get(bus, function | COMMAND) & 0xffff;
    uint32_t pin = get(bus, function | INTERRUPT) >> 8 & 0xff;
    *place = (struct virtio_place){.pci = true, .stop_width = 1};
    enum qy_error error = areas_find(bus, function, place, &bar);
    if (error == QY_OK && (pin == 0 || pin > 4))
        error = QY_UNSUPPORTED;
    if (error != QY_OK)
        return error;
    place->line = bus->first_line + ((function >> 11) + pin - 1) % 4;
    place->stop_offset = place->area[VIRTIO_COMMON] + 0x14;
    set(bus, function | COMMAND, command & ~(COMMAND_MEMORY | COMMAND_MASTER));
    error = bar_place(bus, function | (BAR + 4 * bar), place);
    if (error == QY_OK)
        set(bus, function | COMMAND,
            (command | COMMAND_MEMORY | COMMAND_MASTER) & ~COMMAND_NO_LINE);
    return error;
}

enum qy_error virtio_pci_find(struct virtio_pci_bus *bus, unsigned n, struct virtio_place *place)
{
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        uint32_t function = i << 8, id = get(bus, function | ID);
        if (i % 8 && !(get(bus, (function & ~0x7ffu) | HEADER) & HEADER_FUNCTIONS))
            continue;
        if (((id >> 16) == DEVICE_BLOCK || (id >> 16) == DEVICE_BLOCK_OLD) &&
            (id & 0xffff) == VENDOR_VIRTIO && n-- == 0)
            return function_open(bus, function, place);
    }
    return QY_NOT_FOUND;
}
