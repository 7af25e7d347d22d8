/*
 * Opening and walking a flattened device tree; see fdt_impl.h. Cost: O(bytes) for a whole walk,
 * O(properties of the node) for a property. No recursion: the path to the current node is an array
 * of 32 levels, deeper trees are refused.
 */
#include "fdt_impl.h"
#include <lib/string.h>

#define MAGIC 0xd00dfeedu
#define HEADER_BYTES 40u
#define RESERVATION_BYTES 16u

enum token { BEGIN_NODE = 1, END_NODE = 2, PROPERTY = 3, NOP = 4, END = 9 };

static enum qy_error fail(const char **why, enum qy_error error, const char *sentence)
{
    *why = sentence;
    return error;
}

/* Length of the terminated string at an offset; false if it does not end inside. */
static bool string_length(struct qy_bytes bytes, size_t offset, size_t *out)
{
    for (size_t i = offset; i < bytes.count; i++) {
        if (!bytes.at[i]) {
            *out = i - offset;
            return true;
        }
    }
    return false;
}

/* What stands at an offset of the structure block. */
struct item {
    uint32_t token;
    const char *name;
    struct qy_bytes data; /* of a property */
    size_t next;          /* offset of the item after it */
};

/* Read one item. Errors: CORRUPT, TRUNCATED. */
static enum qy_error read_item(const struct qy_fdt *fdt, size_t offset, struct item *out,
                               const char **why)
{
    struct qy_bytes s = fdt->structure;

    if (!qy_bytes_hold(s, offset, 4))
        return fail(why, QY_TRUNCATED, "device tree: structure without an end");
    *out = (struct item){.token = qy_load_be32(s.at + offset), .next = offset + 4};
    if (out->token == BEGIN_NODE) {
        size_t length;
        if (!string_length(s, out->next, &length))
            return fail(why, QY_TRUNCATED, "device tree: node name without an end");
        out->name = (const char *)s.at + out->next;
        out->next += length + 1;
    } else if (out->token == PROPERTY) {
        size_t length;
        if (!qy_bytes_hold(s, out->next, 8))
            return fail(why, QY_TRUNCATED, "device tree: structure ends inside a property");
        uint32_t bytes = qy_load_be32(s.at + out->next);
        uint32_t name = qy_load_be32(s.at + out->next + 4);
        out->next += 8;
        if (!qy_bytes_hold(s, out->next, bytes))
            return fail(why, QY_TRUNCATED, "device tree: property beyond the end");
        if (!string_length(fdt->strings, name, &length))
            return fail(why, QY_CORRUPT, "device tree: property name outside the strings");
        out->name = (const char *)fdt->strings.at + name;
        out->data = qy_bytes_part(s, out->next, bytes);
        out->next += bytes;
    } else if (out->token != END_NODE && out->token != NOP && out->token != END) {
        return fail(why, QY_CORRUPT, "device tree: unknown token");
    }
    out->next = (out->next + 3) & ~(size_t)3;
    return QY_OK;
}

/*
 * Properties come before child nodes; one root; every node ends; END follows, and nothing after it.
 */
static enum qy_error check_structure(struct qy_fdt *fdt, const char **why)
{
    unsigned depth = 0; /* of open nodes */
    bool had_root = false, had_child = false;
    size_t offset = 0;
    struct item item;

    for (;; offset = item.next) {
        enum qy_error error = read_item(fdt, offset, &item, why);
        if (error)
            return error;
        switch (item.token) {
        case BEGIN_NODE:
            if (depth == 0 && had_root)
                return fail(why, QY_CORRUPT, "device tree: two roots");
            if (depth == QY_FDT_DEPTH)
                return fail(why, QY_CORRUPT, "device tree: more than 32 levels of nodes");
            depth++;
            had_root = true;
            had_child = false;
            break;
        case END_NODE:
            if (depth == 0)
                return fail(why, QY_CORRUPT, "device tree: end of a node that never began");
            depth--;
            had_child = true;
            break;
        case PROPERTY:
            if (depth == 0 || had_child)
                return fail(why, QY_CORRUPT, "device tree: property outside its node's start");
            break;
        case END:
            if (depth != 0 || !had_root)
                return fail(why, QY_CORRUPT, "device tree: ends inside a node");
            fdt->structure.count = offset + 4;
            return QY_OK;
        default:
            break;
        }
    }
}

static enum qy_error find_reservations(struct qy_bytes bytes, size_t offset, struct qy_fdt *out,
                                       const char **why)
{
    for (size_t end = offset; qy_bytes_hold(bytes, end, RESERVATION_BYTES);
         end += RESERVATION_BYTES) {
        if (!qy_load_be64(bytes.at + end) && !qy_load_be64(bytes.at + end + 8)) {
            out->reservations = qy_bytes_part(bytes, offset, end - offset);
            return QY_OK;
        }
    }
    return fail(why, QY_TRUNCATED, "device tree: memory reservations without an end");
}

size_t qy_fdt_bytes(const uint8_t header[8])
{
    return qy_load_be32(header) == MAGIC ? qy_load_be32(header + 4) : 0;
}

enum qy_error qy_fdt_open(struct qy_bytes bytes, struct qy_fdt *out, const char **why)
{
    *out = (struct qy_fdt){0};
    if (bytes.count < HEADER_BYTES)
        return fail(why, QY_TRUNCATED, "device tree: no header");
    size_t total = qy_fdt_bytes(bytes.at);
    if (qy_load_be32(bytes.at) != MAGIC)
        return fail(why, QY_CORRUPT, "device tree: no magic number");
    if (total < HEADER_BYTES)
        return fail(why, QY_CORRUPT, "device tree: impossible total size");
    if (total > bytes.count)
        return fail(why, QY_TRUNCATED, "device tree: total size beyond the end");
    bytes = qy_bytes_part(bytes, 0, total);

    uint32_t structure = qy_load_be32(bytes.at + 8), strings = qy_load_be32(bytes.at + 12);
    uint32_t reservations = qy_load_be32(bytes.at + 16), version = qy_load_be32(bytes.at + 20);
    uint32_t compatible = qy_load_be32(bytes.at + 24);
    uint32_t strings_bytes = qy_load_be32(bytes.at + 32);
    uint32_t structure_bytes = qy_load_be32(bytes.at + 36);
    if (version < 17 || compatible > 17)
        return fail(why, QY_CORRUPT, "device tree: not of version 17, nor compatible with it");
    if (structure % 4 || reservations % 8)
        return fail(why, QY_CORRUPT, "device tree: misaligned block");
    if (!qy_bytes_hold(bytes, structure, structure_bytes) ||
        !qy_bytes_hold(bytes, strings, strings_bytes))
        return fail(why, QY_CORRUPT, "device tree: block outside the tree");
    out->structure = qy_bytes_part(bytes, structure, structure_bytes);
    out->strings = qy_bytes_part(bytes, strings, strings_bytes);

    enum qy_error error = find_reservations(bytes, reservations, out, why);
    return error ? error : check_structure(out, why);
}

bool qy_fdt_next(const struct qy_fdt *fdt, struct qy_fdt_walk *walk)
{
    struct item item;
    const char *why;
    unsigned open = walk->started ? walk->depth + 1 : 0; /* nodes open at the offset */

    for (size_t offset = walk->offset; !read_item(fdt, offset, &item, &why); offset = item.next) {
        if (item.token == END || (item.token == END_NODE && !open))
            return false;
        if (item.token == END_NODE)
            open--;
        if (item.token != BEGIN_NODE)
            continue;
        if (open >= QY_FDT_DEPTH)
            return false;
        walk->started = true;
        walk->depth = open;
        walk->name[open] = item.name;
        walk->properties[open] = item.next;
        walk->offset = item.next;
        return true;
    }
    return false;
}

bool qy_fdt_property(const struct qy_fdt *fdt, const struct qy_fdt_walk *walk, unsigned level,
                     const char *name, struct qy_bytes *out)
{
    struct item item;
    const char *why;

    for (size_t offset = walk->properties[level]; !read_item(fdt, offset, &item, &why);
         offset = item.next) {
        if (item.token == NOP)
            continue;
        if (item.token != PROPERTY)
            return false;
        if (strcmp(item.name, name) == 0) {
            *out = item.data;
            return true;
        }
    }
    return false;
}
