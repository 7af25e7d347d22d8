/*
 * Pins for DMA, and devices that are stopped. See kernel/dma.h.
 */
#include <kernel/device.h>
#include <kernel/dma.h>
#include <kernel/space.h>
#include <qy/framedb.h>
#include <qy/port.h>

/* Looks at a device that is to stop, before it is taken for one that does not. */
#define STOP_LOOKS 100000u

enum qy_error dma_bind(struct dma *dma, const struct frame *registers, uint64_t offset,
                       uint64_t width, uint64_t value)
{
    if (!(registers->object.flags & OBJECT_DEVICE) || (width != 1 && width != 2 && width != 4) ||
        offset % width || offset >= QY_PAGE_BYTES << registers->order || value >> 8 * width)
        return QY_INVALID_ARGUMENT;
    if (dma->width)
        return QY_BUSY;
    dma->address = paddr(pfn_to_paddr(registers->first).raw + offset);
    dma->width = (uint8_t)width;
    dma->value = (uint32_t)value;
    return QY_OK;
}

/* The place of a frame in the table; of null: an empty one. Null: there is none. */
static struct pin *pin_of(struct dma *dma, const struct frame *frame)
{
    for (unsigned i = 0; i < QY_DMA_PINS; i++)
        if (dma->pins[i].frame == frame)
            return &dma->pins[i];
    return NULL;
}

enum qy_error dma_pin(struct dma *dma, struct slot *slot, paddr_t *address)
{
    struct frame *frame = (struct frame *)slot->object;
    struct pin *pin = pin_of(dma, NULL);
    if (frame->object.flags & OBJECT_DEVICE)
        return QY_INVALID_ARGUMENT;
    if (!dma->width)
        return QY_NOT_FOUND;
    if (dma->refused)
        return QY_DEAD;
    if (dma->stops || frame->dma)
        return QY_BUSY;
    if (!pin)
        return QY_TOO_MANY;
    enum qy_error error = qy_frame_pin(kernel_vm.db, frame->first);
    if (error != QY_OK)
        return error;
    *pin = (struct pin){frame, slot};
    dma->count++;
    frame->dma = dma;
    slot->flags = (slot->flags | SLOT_PINNED) & 15u;
    *address = pfn_to_paddr(frame->first);
    return QY_OK;
}

static void pin_end(struct dma *dma, struct pin *pin) QY_REQUIRES(qy_class_caps)
{
    if (qy_frame_unpin(kernel_vm.db, pin->frame->first) != QY_OK)
        qy_port_broken("PINNED", "a pinned frame has no pin in the frame database",
                       pin->frame->first.raw);
    pin->frame->dma = NULL;
    if (pin->slot)
        pin->slot->flags &= ~(unsigned)SLOT_PINNED & 15;
    *pin = (struct pin){NULL, NULL};
    dma->count--;
}

enum qy_error dma_unpin(struct slot *slot)
{
    if (!(slot->flags & SLOT_PINNED))
        return QY_NOT_FOUND;
    struct frame *frame = (struct frame *)slot->object;
    pin_end(frame->dma, pin_of(frame->dma, frame));
    return QY_OK;
}

void dma_move_slot(struct slot *slot, const struct slot *source)
{
    const struct frame *frame = (const struct frame *)slot->object;
    struct pin *pin = pin_of(frame->dma, frame);
    if (pin->slot != source)
        qy_port_broken("PINNED", "a capability that moves is not the one that pinned frame",
                       frame->first.raw);
    pin->slot = slot;
}

struct dma *dma_forget_slot(struct slot *slot)
{
    struct frame *frame = (struct frame *)slot->object;
    pin_of(frame->dma, frame)->slot = NULL;
    slot->flags &= ~(unsigned)SLOT_PINNED & 15;
    return frame->dma;
}

/* One look; the pins end with the device's work. */
static bool is_stopped(struct dma *dma) QY_REQUIRES(qy_class_caps)
{
    uint32_t value;
    if (dma->count && (!register_read(dma->address, dma->width, &value) || value != dma->value))
        return false;
    for (unsigned i = 0; i < QY_DMA_PINS; i++)
        if (dma->pins[i].frame)
            pin_end(dma, &dma->pins[i]);
    return true;
}

void dma_stop(struct dma *dma)
{
    caps_acquire();
    unsigned looks = dma->refused ? 1 : STOP_LOOKS;
    dma->stops++;
    if (dma->count && !register_write(dma->address, dma->width, dma->value))
        looks = 1;
    while (!is_stopped(dma) && --looks) {
        caps_release();
        qy_port_relax();
        caps_acquire();
    }
    dma->refused = dma->count != 0;
    dma->stops--;
    caps_release();
}

enum dismantle dma_left(const struct dma *dma)
{
    return dma->refused ? DISMANTLE_STUCK : DISMANTLE_WAIT;
}

enum dismantle dma_dismantle(struct dma *dma, struct teardown *teardown)
{
    if (dma->count == 0)
        return DISMANTLE_DONE;
    if (!dma->refused)
        teardown_unmap(teardown, (struct unmap){.dma = dma});
    return dma_left(dma);
}

const char *dma_check(const struct dma *dma)
{
    unsigned count = 0;
    for (unsigned i = 0; i < QY_DMA_PINS; i++) {
        const struct frame *frame = dma->pins[i].frame;
        const struct slot *slot = dma->pins[i].slot;
        if (!frame)
            continue;
        if (frame->dma != dma || !qy_frame_is_pinned(kernel_vm.db, frame->first) ||
            (slot && (slot->object != &frame->object || !(slot->flags & SLOT_PINNED))))
            return "PINNED";
        count++;
    }
    return count == dma->count && (!count || dma->width) ? NULL : "PINNED";
}
