/*
 * Disks as a service: what a program says to the endpoint of a disk's driver, and the driver's side of it.
 *
 *     client                          driver                      device
 *     endpoint_call(READ, sector,  -> frame_pin --address-->  -> writes the frame
 *       offset, bytes; frame)         frame_unpin, cap_delete  <- interrupt
 *                        answer    <-
 *
 * The frame comes with each request and is the driver's for that long only: nothing has to be set up or remembered,
 * and a client that revokes it, whenever it likes, has it back when the device has stopped (kernel/dma.h).
 *
 * One thread serves, one request at a time. A device that failed is reset and opened again by the next request.
 */
#ifndef DRIVERS_BLOCK_H
#define DRIVERS_BLOCK_H

#include "virtio.h"
#include <user/call.h>

/*
 * Labels. READ and WRITE: words sector, offset in the frame, bytes; with the frame, for which READ and WRITE are
 * needed. The answer's label is an error; INFO's words are the sectors, the bytes of one, and whether the disk can
 * only be read (bit 0) with the interrupts that its driver has served (above).
 */
enum block_label { BLOCK_INFO = 1, BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH };

/*
 * What whoever starts the program `disk` (disk.c) gives it, as PROGRAM_GIVEN(i). X(name, rights)
 * PAGE: a frame of its own, which begins with the device's struct virtio_place at first. INTERRUPT is bound to the
 * line and signals NOTIFICATION with the badge INTERRUPT; TIMEOUT is a copy of that one with the other badge.
 */
#define BLOCK_GIVEN(X)                                                                             \
    X(ENDPOINT, QY_RIGHT_READ)                                                                     \
    X(REGISTERS, QY_RIGHT_READ | QY_RIGHT_WRITE)                                                   \
    X(PAGE, QY_RIGHT_READ | QY_RIGHT_WRITE)                                                        \
    X(DMA, QY_RIGHT_WRITE)                                                                         \
    X(INTERRUPT, QY_RIGHT_WRITE)                                                                   \
    X(NOTIFICATION, QY_RIGHT_READ)                                                                 \
    X(TIMEOUT, QY_RIGHT_WRITE)

enum block_given {
#define X(name, rights) BLOCK_##name,
    BLOCK_GIVEN(X)
#undef X
        BLOCK_GIVEN_COUNT
};
#define BLOCK_BADGE_INTERRUPT 1u
#define BLOCK_BADGE_TIMEOUT 2u

/* The same in the program's hands, with what it makes itself. Slot `slot` of its node takes clients' frames. */
struct block_driver {
    struct virtio_place place;
    volatile uint8_t *registers;             /* mapped */
    volatile struct virtio_blk_memory *page; /* mapped */
    qy_handle_t given[BLOCK_GIVEN_COUNT];
    qy_handle_t reply, timer;
    uint32_t slot;
};

/* Serve until the endpoint is gone; why it ended. */
enum qy_error block_serve(const struct block_driver *driver);

/* The client's side: calls of the driver at an endpoint. Errors: virtio_blk_request's, and the call's own. */
static inline CALL_MUST_USE enum qy_error block_call(qy_handle_t endpoint, enum block_label label,
                                                     qy_handle_t frame, uint64_t sector, uint64_t offset,
                                                     uint64_t bytes)
{
    struct call_result r = qy_call(QY_CALL_endpoint_call, endpoint, label, sector, offset, bytes, frame);
    return r.error == QY_OK ? (enum qy_error)r.value[2] : r.error;
}

struct block_info {
    uint64_t sectors, sector_bytes, interrupts;
    bool read_only;
};

static inline CALL_MUST_USE enum qy_error block_info(qy_handle_t endpoint, struct block_info *out)
{
    struct message answer;
    enum qy_error error = endpoint_call(endpoint, BLOCK_INFO, 0, 0, 0, &answer);
    *out = (struct block_info){answer.word[0], answer.word[1], answer.word[2] >> 1, answer.word[2] & 1};
    return error == QY_OK ? (enum qy_error)answer.label : error;
}

#endif
