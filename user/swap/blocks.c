/*
 * Blocks of a driver's disk. See blocks.h.
 */
#include "blocks.h"

#include "../drivers/block.h"

#include <user/space.h>

#define SECTORS_A_BLOCK (PAGE_BYTES / 512)

static bool transfer(struct blocks *blocks, enum block_label label, uint32_t block, uint32_t count)
{
    enum qy_error error = block_call(blocks->driver, label, blocks->frame,
                                     (block + 1ull) * SECTORS_A_BLOCK, 0, count * PAGE_BYTES);
    blocks->failed += error != QY_OK;
    return error == QY_OK;
}

static bool blocks_read(void *context, uint32_t block, uint32_t count)
{
    return transfer(context, BLOCK_READ, block, count);
}

static bool blocks_write(void *context, uint32_t block, uint32_t count)
{
    return transfer(context, BLOCK_WRITE, block, count);
}

void blocks_begin(struct blocks *blocks, uint8_t *buffer, uint32_t most, struct keep_disk *disk)
{
    struct block_info info;
    *disk = (struct keep_disk){blocks_read, blocks_write, blocks, buffer, 0};
    if (!blocks->driver || block_info(blocks->driver, &info) != QY_OK || info.read_only)
        return;
    uint64_t there = info.sectors / SECTORS_A_BLOCK;
    disk->blocks = there < 2 ? 0 : there - 1 < most ? (uint32_t)there - 1 : most;
}
