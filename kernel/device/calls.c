/*
 * The calls on devices: interrupts, I/O ports, device memory, pins.
 *
 * Who may bind a line, ports or a DMA device shows the capability of the system with WRITE; who holds what was bound
 * needs it no more.
 */
#include <arch/arch.h>
#include <kernel/call.h>
#include <kernel/device.h>
#include <kernel/dma.h>
#include <kernel/ipc.h>

/* The capability that x1 names must be the system's. */
static enum qy_error authority_check(struct call *call) QY_REQUIRES(qy_class_caps)
{
    struct slot *slot;
    return call_lookup(call, call->arguments[1], QY_OBJ_SYSTEM, QY_RIGHT_WRITE, &slot);
}

enum qy_error call_interrupt_bind(struct call *call)
{
    struct slot *slot;
    enum qy_error error = authority_check(call);
    if (error == QY_OK)
        error = call_lookup(call, call->arguments[3], QY_OBJ_NOTIFICATION, QY_RIGHT_WRITE, &slot);
    if (error != QY_OK)
        return error;
    return interrupt_bind(call->slot, call->arguments[2], slot);
}

enum qy_error call_interrupt_acknowledge(struct call *call)
{
    return interrupt_acknowledge((struct interrupt *)call->slot->object);
}

enum qy_error call_ports_bind(struct call *call)
{
    struct io_ports *ports = (struct io_ports *)call->slot->object;
    uint64_t first = call->arguments[2], count = call->arguments[3];
    enum qy_error error = authority_check(call);
    if (error != QY_OK)
        return error;
    if (count == 0 || first >= QY_PORTS || count > QY_PORTS - first)
        return QY_INVALID_ARGUMENT;
    if (ports->count)
        return QY_BUSY;
    error = arch_ports_take((uint32_t)first, (uint32_t)count);
    if (error != QY_OK)
        return error;
    ports->first = (uint32_t)first;
    ports->count = (uint32_t)count;
    return QY_OK;
}

void ports_release(struct io_ports *ports)
{
    if (ports->count)
        arch_ports_give(ports->first, ports->count);
    ports->count = 0;
}

/* Do the ports that an access touches belong to the range? */
static bool port_is_valid(const struct call *call)
{
    const struct io_ports *ports = (const struct io_ports *)call->slot->object;
    uint64_t port = call->arguments[1], width = call->arguments[2];
    return (width == 1 || width == 2 || width == 4) && port >= ports->first && port < QY_PORTS &&
           port + width <= ports->first + ports->count;
}

enum qy_error call_port_in(struct call *call)
{
    if (!port_is_valid(call))
        return QY_INVALID_ARGUMENT;
    call->values[0] = arch_port_in((uint16_t)call->arguments[1], (unsigned)call->arguments[2]);
    return QY_OK;
}

enum qy_error call_port_out(struct call *call)
{
    uint64_t value = call->arguments[3];
    if (!port_is_valid(call) || value >> 8 * call->arguments[2])
        return QY_INVALID_ARGUMENT;
    arch_port_out((uint16_t)call->arguments[1], (unsigned)call->arguments[2], (uint32_t)value);
    return QY_OK;
}

static enum qy_error device_frame(struct call *call, struct untyped **from)
    QY_REQUIRES(qy_class_caps)
{
    struct device_memory *device = (struct device_memory *)call->slot->object;
    uint64_t index = call->arguments[5];
    struct slot *payer, *slot;
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_UNTYPED, QY_RIGHT_WRITE, &payer);
    if (error == QY_OK)
        error = call_lookup(call, call->arguments[4], QY_OBJ_CAP_NODE, QY_RIGHT_WRITE, &slot);
    if (error != QY_OK)
        return error;
    const struct cap_node *node = (const struct cap_node *)slot->object;
    if (index == 0 || index >= node->count)
        return QY_INVALID_ARGUMENT;
    if (!slot_is_empty(&node->slots[index]))
        return QY_SLOT_OCCUPIED;
    if ((device->object.flags | payer->object->flags) & OBJECT_REVOKING)
        return QY_REVOKED;
    struct shortage shortage = {0, -1};
    *from = (struct untyped *)payer->object;
    error = device_frame_make(device, *from, call->arguments[2], call->arguments[3],
                              &node->slots[index], &shortage);
    if (error == QY_OK)
        call->values[0] = slot_handle(&node->slots[index], (uint32_t)index);
    if (error == QY_OUT_OF_MEMORY) {
        call->values[0] = shortage.pages;
        call->values[1] = (uint64_t)(int64_t)shortage.largest_order;
    }
    return error;
}

enum qy_error call_device_frame(struct call *call)
{
    struct untyped *from;
    enum qy_error error = device_frame(call, &from);
    if (error != QY_OUT_OF_MEMORY)
        return error;
    untyped_gather(from);
    error =
        call_lookup(call, call->arguments[0], QY_OBJ_DEVICE_MEMORY, QY_RIGHT_WRITE, &call->slot);
    return error == QY_OK ? device_frame(call, &from) : error;
}

enum qy_error call_device_info(struct call *call)
{
    const struct device_memory *device = (const struct device_memory *)call->slot->object;
    call->values[0] = pfn_to_paddr(device->first).raw;
    call->values[1] = device->pages * QY_PAGE_BYTES;
    call->values[2] = device->count;
    return QY_OK;
}

enum qy_error call_dma_bind(struct call *call)
{
    struct slot *slot;
    enum qy_error error = authority_check(call);
    if (error == QY_OK)
        error = call_lookup(call, call->arguments[2], QY_OBJ_FRAME, QY_RIGHT_WRITE, &slot);
    if (error != QY_OK)
        return error;
    return dma_bind((struct dma *)call->slot->object, (const struct frame *)slot->object,
                    call->arguments[3], call->arguments[4], call->arguments[5]);
}

enum qy_error call_frame_pin(struct call *call)
{
    struct slot *slot;
    paddr_t address = paddr(0);
    enum qy_error error = call_lookup(call, call->arguments[1], QY_OBJ_DMA, QY_RIGHT_WRITE, &slot);
    if (error == QY_OK)
        error = dma_pin((struct dma *)slot->object, call->slot, &address);
    if (error != QY_OK)
        return error;
    call->values[0] = address.raw;
    call->values[1] = QY_PAGE_BYTES << ((const struct frame *)call->slot->object)->order;
    return QY_OK;
}

enum qy_error call_frame_unpin(struct call *call)
{
    return dma_unpin(call->slot);
}
