/*
 * The driver of a disk: the program `disk` in a process of its own, with the device's registers and line, the right to have
 * it read and write memory, and a page, all made out of its budget: revoking that takes the driver away, and stops the
 * device first.
 */
#ifndef DRIVE_H
#define DRIVE_H

#include "../drivers/block.h"
#include "root.h"
#include <user/process.h>

/* What a disk is for, as its first sector says. */
enum disk_use { DISK_OTHER, DISK_TEST, DISK_SWAP, DISK_FILES, DISK_CUTS };
#define DISK_TEST_MAGIC "quarry test disk"
enum disk_use disk_use_of(const char sector[VIRTIO_SECTOR]);

struct drive {
    struct root *root;
    struct virtio_place place; /* bus_find's */
    qy_handle_t memory;        /* the starter's, for what it needs beside the budget */
    uint64_t registers;        /* where to map the device's here, too; 0: nowhere */
    struct process process;
    qy_handle_t given[BLOCK_GIVEN_COUNT]; /* to the driver */
};

/* Start it; what is not, with an error, goes with process_destroy. */
enum qy_error drive_start(struct drive *drive) CALL_MUST_USE;

/* A copy of a capability in a slot of its own. */
enum qy_error drive_copy(qy_handle_t source, uint64_t rights, uint64_t badge,
                         qy_handle_t *out) CALL_MUST_USE;

/* Map a frame to read and write; type: QY_MAP_UNCACHED, or 0. Tables come out of that memory. */
enum qy_error drive_map(qy_handle_t memory, qy_handle_t frame, uint64_t address,
                        uint64_t type) CALL_MUST_USE;

#endif
