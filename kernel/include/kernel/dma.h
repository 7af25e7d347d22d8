/*
 * Pins: memory that a device reads and writes by itself, and how it is stopped before anybody else gets that memory.
 *
 *     capability (SLOT_PINNED) --> frame --dma--> DMA device --register--> the device
 *             ^                      ^                |   a value that stops it is written there, and is read back
 *             '------- pins[] -------'----------------'   as soon as it has stopped
 *
 * A program learns where a frame lies only by pinning it, through a DMA device that somebody with the system's
 * capability has bound to one register of a device. The pin belongs to the capability that made it, as a mapping
 * does. It ends when the program says that the device does not use the frame any more (frame_unpin); in any other way
 * (the capability is deleted or revoked, the DMA device goes) the kernel stops the device first, which ends all of
 * its pins.
 *
 * A device that does not stop keeps what it has: the frame stays pinned, and is stuck once no capability names it
 * (kernel/teardown.h). What a machine without an IOMMU cannot keep a device from is in docs/adr/0022-pins.md.
 *
 * Invariants
 *   PINNED  a frame whose `dma` is set is in that device's table, once, and pinned in the frame database; the table's
 *           slot is the one capability that has SLOT_PINNED, or null if it has gone and the device has not stopped yet
 *
 * Locking: qy_class_caps. Cost: O(QY_DMA_PINS); stopping waits for the device without the lock.
 */
#ifndef KERNEL_DMA_H
#define KERNEL_DMA_H

#include <kernel/teardown.h>

struct pin {
    struct frame *frame; /* null: none */
    struct slot *slot;   /* whose capability made it; null: it has gone */
};

/* A device that reads and writes memory. width 0 = not bound to a register. */
struct dma {
    struct object object;
    paddr_t address; /* of the register */
    uint32_t value;  /* that stops it */
    uint8_t width;   /* of the register: 1, 2 or 4 bytes */
    bool refused;    /* it was told to stop and did not */
    uint16_t stops;  /* calls that wait for it to stop */
    unsigned count;  /* of pins */
    struct pin pins[QY_DMA_PINS];
};

/*
 * The register at an offset in a frame of device memory stops the device. Errors: INVALID_ARGUMENT (no such register in
 * it, a width that is none, a value that is wider, a frame of RAM), BUSY (bound already).
 */
enum qy_error dma_bind(struct dma *dma, const struct frame *registers, uint64_t offset,
                       uint64_t width, uint64_t value) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/*
 * Pin the frame that a slot names, by its capability; *address is where it lies. Errors: INVALID_ARGUMENT (a frame of
 * device memory), NOT_FOUND (the device is not bound), BUSY (the frame has a pin, or the device is being stopped),
 * DEAD (the device did not stop when it was told to), TOO_MANY.
 */
enum qy_error dma_pin(struct dma *dma, struct slot *slot, paddr_t *address) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* The device does not use the frame any more. Errors: NOT_FOUND (this capability has not pinned it). */
enum qy_error dma_unpin(struct slot *slot) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/* A slot with SLOT_PINNED has moved; is being emptied: the device that is to stop now. */
void dma_move_slot(struct slot *slot, const struct slot *source) QY_REQUIRES(qy_class_caps);
struct dma *dma_forget_slot(struct slot *slot) QY_REQUIRES(qy_class_caps);

/* Stop the device and end all its pins, or note that it did not stop. The object is pinned. */
void dma_stop(struct dma *dma) QY_EXCLUDES(qy_class_caps);

/* What keeps a frame that it has pinned from being freed: WAIT or STUCK. */
enum dismantle dma_left(const struct dma *dma) QY_REQUIRES(qy_class_caps);
enum dismantle dma_dismantle(struct dma *dma, struct teardown *teardown) QY_REQUIRES(qy_class_caps);

/* Null, or the id of the first invariant that does not hold. */
const char *dma_check(const struct dma *dma) QY_REQUIRES(qy_class_caps);

/*
 * One access to a register of a device, of 1, 2 or 4 bytes, through a page of the kernel's window (registers.c). The
 * address is aligned and device memory's. False: no device answers. registers_init: at boot, with the kernel's
 * tables.
 */
struct qy_pt;
void registers_init(const struct qy_pt *kernel_tables);
bool register_read(paddr_t address, unsigned width, uint32_t *value) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);
bool register_write(paddr_t address, unsigned width, uint32_t value) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

#endif
