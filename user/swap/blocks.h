/*
 * A driver's disk as the disk of a keep: blocks of 4 KiB behind its first one, which is left to whoever says what the disk is.
 */
#ifndef SWAP_BLOCKS_H
#define SWAP_BLOCKS_H

#include "keep.h"

#include <user/call.h>

struct blocks {
    qy_handle_t driver; /* 0: there is none */
    qy_handle_t frame;  /* of KEEP_CLUSTER pages, mapped at the disk's buffer */
    uint64_t failed;    /* transfers */
};

/* *disk: with as many blocks as there are, `most` at most; none without a driver, or if it can only be read. */
void blocks_begin(struct blocks *blocks, uint8_t *buffer, uint32_t most, struct keep_disk *disk);

#endif
