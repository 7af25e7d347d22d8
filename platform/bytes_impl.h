/*
 * Reading numbers and strings out of untrusted bytes: bounds first, then byte by byte, so no
 * address is misaligned.
 */
#ifndef PLATFORM_BYTES_IMPL_H
#define PLATFORM_BYTES_IMPL_H

#include <platform/parse.h>

/* True if [offset, offset + count) lies inside. Neither sum nor difference wraps. */
static inline bool qy_bytes_hold(struct qy_bytes bytes, size_t offset, uint64_t count)
{
    return offset <= bytes.count && count <= bytes.count - offset;
}

/* The part [offset, offset + count), which lies inside. */
static inline struct qy_bytes qy_bytes_part(struct qy_bytes bytes, size_t offset, size_t count)
{
    return (struct qy_bytes){bytes.at + offset, count};
}

static inline uint16_t qy_load_le16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t qy_load_le32(const uint8_t *at)
{
    return qy_load_le16(at) | (uint32_t)qy_load_le16(at + 2) << 16;
}

static inline uint64_t qy_load_le64(const uint8_t *at)
{
    return qy_load_le32(at) | (uint64_t)qy_load_le32(at + 4) << 32;
}

static inline uint32_t qy_load_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint64_t qy_load_be64(const uint8_t *at)
{
    return (uint64_t)qy_load_be32(at) << 32 | qy_load_be32(at + 4);
}

/* True if the bytes hold a terminated string. */
static inline bool qy_bytes_terminated(struct qy_bytes bytes)
{
    for (size_t i = 0; i < bytes.count; i++)
        if (!bytes.at[i])
            return true;
    return false;
}

/*
 * The end of `length` bytes from base: 2^64 counts as its last byte; beyond it the result is below
 * base, which the memory map takes as a range that wraps.
 */
static inline uint64_t qy_range_end(uint64_t base, uint64_t length)
{
    uint64_t end = base + length;
    return base && !end ? UINT64_MAX : end;
}

/* A record of `count` bytes at a physical address; at == null if they cannot be reached. */
static inline struct qy_bytes qy_read(const struct qy_reader *reader, paddr_t address,
                                      uint64_t count)
{
    if (!count || count > SIZE_MAX || address.raw + (count - 1) < address.raw)
        return (struct qy_bytes){NULL, 0};
    const void *at = reader->read(reader->context, address, count);
    return (struct qy_bytes){(const uint8_t *)at, at ? (size_t)count : 0};
}

#endif
