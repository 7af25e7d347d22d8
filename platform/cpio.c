/*
 * Files of a cpio archive in the "newc" format, with or without checksums (cpio(5)).
 *
 *     "070701", 13 fields of 8 hex digits | name, 0, pad to 4 | data, pad to 4 | next header ... |
 * "TRAILER!!!"
 *
 * Only regular files are shown; directories and devices are passed over. A name that could reach
 * out of where it is unpacked (absolute, or with a part "..") is an error.
 */
#include "bytes_impl.h"
#include <lib/string.h>

#define HEADER_BYTES 110u
#define FIELD_MODE 1u
#define FIELD_BYTES 6u
#define FIELD_NAME_BYTES 11u
#define FIELD_SUM 12u

#define MODE_KIND 0170000u
#define MODE_REGULAR 0100000u

/* A field of the header. False if it is not made of hex digits. */
static bool field(const uint8_t *header, unsigned number, uint32_t *out)
{
    const uint8_t *at = header + 6 + 8 * number;

    *out = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint8_t c = at[i], letter = c | 0x20;
        if (c >= '0' && c <= '9')
            *out = *out << 4 | (uint32_t)(c - '0');
        else if (letter >= 'a' && letter <= 'f')
            *out = *out << 4 | (uint32_t)(letter - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* True if the name fills its bytes, and its terminator is the last of them. */
static bool name_ends_at(const char *name, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        if (!name[i])
            return i > 0 && i == bytes - 1;
    return false;
}

/* Relative, not empty, and without a part "..". */
static bool name_is_tame(const char *name)
{
    if (name[0] == '/' || name[0] == '\0')
        return false;
    for (const char *part = name; *part;) {
        size_t length = 0;
        while (part[length] && part[length] != '/')
            length++;
        if (length == 2 && part[0] == '.' && part[1] == '.')
            return false;
        part += length + (part[length] == '/');
    }
    return true;
}

static uint32_t sum_of(struct qy_bytes data)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < data.count; i++)
        sum += data.at[i];
    return sum;
}

/* What stands at an offset, and where the next header is. Errors: CORRUPT, TRUNCATED. */
static enum qy_error read_entry(struct qy_bytes archive, size_t offset, struct qy_file *out,
                                uint32_t *mode, size_t *next)
{
    uint32_t name_bytes, data_bytes, sum;

    if (!qy_bytes_hold(archive, offset, HEADER_BYTES))
        return QY_TRUNCATED;
    const uint8_t *header = archive.at + offset;
    bool summed = memcmp(header, "070702", 6) == 0;
    if (!summed && memcmp(header, "070701", 6) != 0)
        return QY_CORRUPT;
    if (!field(header, FIELD_MODE, mode) || !field(header, FIELD_BYTES, &data_bytes) ||
        !field(header, FIELD_NAME_BYTES, &name_bytes) || !field(header, FIELD_SUM, &sum))
        return QY_CORRUPT;

    offset += HEADER_BYTES;
    if (!qy_bytes_hold(archive, offset, name_bytes))
        return QY_TRUNCATED;
    out->name = (const char *)archive.at + offset;
    if (!name_ends_at(out->name, name_bytes))
        return QY_CORRUPT;
    offset += name_bytes;
    offset += -offset & 3;
    if (!qy_bytes_hold(archive, offset, data_bytes))
        return QY_TRUNCATED;
    out->data = qy_bytes_part(archive, offset, data_bytes);
    if (summed && sum_of(out->data) != sum)
        return QY_CORRUPT;
    offset += data_bytes;
    *next = offset + (-offset & 3);
    return QY_OK;
}

enum qy_error qy_cpio_next(struct qy_bytes archive, size_t *offset, struct qy_file *out)
{
    struct qy_file file;
    size_t at = *offset, next;
    uint32_t mode;

    for (;; at = next) {
        enum qy_error error = read_entry(archive, at, &file, &mode, &next);
        if (error)
            return error;
        if (strcmp(file.name, "TRAILER!!!") == 0)
            return QY_NOT_FOUND;
        if (!name_is_tame(file.name))
            return QY_CORRUPT;
        if ((mode & MODE_KIND) != MODE_REGULAR)
            continue;
        *offset = next;
        *out = file;
        return QY_OK;
    }
}

/* A name without any "./" before it. */
static const char *plain(const char *name)
{
    while (name[0] == '.' && name[1] == '/')
        name += 2;
    return name;
}

enum qy_error qy_cpio_find(struct qy_bytes archive, const char *name, struct qy_file *out)
{
    struct qy_file file;
    size_t offset = 0;
    enum qy_error error;

    while (!(error = qy_cpio_next(archive, &offset, &file))) {
        if (strcmp(plain(file.name), plain(name)) == 0) {
            *out = file;
            return QY_OK;
        }
    }
    return error;
}
