/*
 * Where a PC of QEMU's type q35 has its disks: on bus 0 of PCI, configured through two ports. Its interrupt pins go, by
 * the number of the device, to the I/O APIC's inputs 20 to 23 (Intel ICH9 data sheet, 5.9.6 and 10.1.20: D..IR at reset).
 */
#include "../../drivers/virtio.h"
#include "../root.h"
#include <user/slots.h>

#define ADDRESS_PORT 0xcf8u
#define VALUE_PORT 0xcfcu
#define ENABLE 0x80000000u
#define FIRST_LINE 20u

/* What cannot be read is all ones, as on the bus. */
static uint32_t config_read(void *context, uint32_t at)
{
    const qy_handle_t *ports = context;
    if (port_out(*ports, ADDRESS_PORT, 4, ENABLE | at) != QY_OK)
        return ~0u;
    struct call_result r = port_in(*ports, VALUE_PORT, 4);
    return r.error == QY_OK ? (uint32_t)r.value[1] : ~0u;
}

static void config_write(void *context, uint32_t at, uint32_t value)
{
    const qy_handle_t *ports = context;
    if (port_out(*ports, ADDRESS_PORT, 4, ENABLE | at) != QY_OK ||
        port_out(*ports, VALUE_PORT, 4, value) != QY_OK)
        print("bus: PCI's register %x cannot be written\n", at);
}

enum qy_error bus_find(struct root *root, qy_handle_t budget, unsigned n,
                       struct virtio_place *place)
{
    qy_handle_t ports;
    (void)root;
    struct virtio_pci_bus bus = {
        .read = config_read, .write = config_write, .context = &ports, .first_line = FIRST_LINE};
    enum qy_error error = slot_make(budget, QY_OBJ_IO_PORTS, 1, &ports);
    if (error == QY_OK)
        error = ports_bind(ports, QY_SLOT_SYSTEM, ADDRESS_PORT, 8);
    if (error != QY_OK)
        return error;
    error = virtio_pci_find(&bus, n, place);
    slot_delete(ports);
    return error;
}
