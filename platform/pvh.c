/*
 * Xen's PVH start info (xen/include/public/arch-x86/hvm/start_info.h describes it), as QEMU and
 * other monitors fill it.
 *
 *     start info --> command line (a string)
 *                --> module list --> module, its command line
 *                --> memory map (version 1 on)
 *
 * Every structure is read where it lies, through the caller's reader, and noted as reserved.
 */
#include "boot_info_impl.h"

#define MAGIC 0x336ec578u
#define START_INFO_0_BYTES 40u
#define START_INFO_1_BYTES 56u
#define MODULE_BYTES 32u
#define RANGE_BYTES 24u

struct pvh {
    struct qy_boot_parse parse;
    const struct qy_reader *reader;
};

static enum qy_error read_record(struct pvh *boot, uint64_t at, uint64_t count, const char *why,
                                 struct qy_bytes *out)
{
    *out = qy_read(boot->reader, paddr(at), count);
    if (!out->at)
        return qy_boot_fail(&boot->parse, QY_TRUNCATED, why);
    qy_boot_add_reserved(&boot->parse, at, count, QY_MEM_USABLE);
    return QY_OK;
}

/*
 * A string of unknown length: as much of it as a command line can have and one byte more, so
 * that the caller sees when it is longer. Read byte by byte, since the last may be the last
 * that can be reached.
 */
static enum qy_error read_text(struct pvh *boot, uint64_t at, const char *why, char *to,
                               size_t room)
{
    size_t length = 0;

    for (; length + 1 < room; length++) {
        struct qy_bytes byte = at + length < at ? (struct qy_bytes){NULL, 0}
                                                : qy_read(boot->reader, paddr(at + length), 1);
        if (!byte.at)
            return qy_boot_fail(&boot->parse, QY_TRUNCATED, why);
        to[length] = (char)byte.at[0];
        if (!to[length])
            break;
    }
    to[length] = '\0';
    qy_boot_add_reserved(&boot->parse, at, length + 1, QY_MEM_USABLE);
    return QY_OK;
}

static struct qy_bytes text_bytes(const char *text, size_t room)
{
    return (struct qy_bytes){(const uint8_t *)text, room};
}

static enum qy_error parse_command_line(struct pvh *boot, uint64_t at)
{
    char text[QY_BOOT_COMMAND_LINE + 1];

    if (!at)
        return QY_OK;
    enum qy_error error =
        read_text(boot, at, "PVH: command line without an end", text, sizeof(text));
    if (!error)
        qy_boot_set_command_line(&boot->parse, text_bytes(text, sizeof(text)));
    return error;
}

static enum qy_error parse_modules(struct pvh *boot, uint64_t at, uint32_t count)
{
    struct qy_bytes list;

    if (!count)
        return QY_OK;
    enum qy_error error = read_record(boot, at, (uint64_t)count * MODULE_BYTES,
                                      "PVH: module list out of reach", &list);
    for (uint32_t i = 0; !error && i < count; i++) {
        const uint8_t *module = list.at + (size_t)i * MODULE_BYTES;
        uint64_t base = qy_load_le64(module), bytes = qy_load_le64(module + 8);
        uint64_t name_at = qy_load_le64(module + 16);
        char name[sizeof(boot->parse.out->modules[0].name) + 1] = "";
        if (bytes && base + (bytes - 1) < base)
            return qy_boot_fail(&boot->parse, QY_CORRUPT, "PVH: module beyond the end of memory");
        if (name_at)
            error = read_text(boot, name_at, "PVH: module name without an end", name, sizeof(name));
        if (!error)
            qy_boot_add_module(&boot->parse, base, bytes, text_bytes(name, sizeof(name)));
    }
    return error;
}

static enum qy_error parse_memory_map(struct pvh *boot, uint64_t at, uint32_t count)
{
    struct qy_bytes list;

    if (!at || !count)
        return qy_boot_fail(&boot->parse, QY_NOT_FOUND, "PVH: the memory map is empty");
    enum qy_error error =
        read_record(boot, at, (uint64_t)count * RANGE_BYTES, "PVH: memory map out of reach", &list);
    for (uint32_t i = 0; !error && i < count; i++) {
        const uint8_t *range = list.at + (size_t)i * RANGE_BYTES;
        uint64_t base = qy_load_le64(range);
        uint32_t type = qy_load_le32(range + 16);
        qy_boot_add_range(&boot->parse, base, qy_range_end(base, qy_load_le64(range + 8)),
                          qy_e820_type(type), type);
    }
    return error;
}

static enum qy_error parse_start_info(struct pvh *boot, uint64_t at)
{
    struct qy_boot_info *out = boot->parse.out;
    struct qy_bytes info = qy_read(boot->reader, paddr(at), START_INFO_0_BYTES);

    if (!info.at)
        return qy_boot_fail(&boot->parse, QY_TRUNCATED, "PVH: start info out of reach");
    if (qy_load_le32(info.at) != MAGIC)
        return qy_boot_fail(&boot->parse, QY_CORRUPT, "PVH: start info without its magic number");
    if (qy_load_le32(info.at + 4) == 0)
        return qy_boot_fail(&boot->parse, QY_UNSUPPORTED,
                            "PVH: start info of version 0 has no memory map; a newer monitor is "
                            "needed");
    enum qy_error error =
        read_record(boot, at, START_INFO_1_BYTES, "PVH: start info out of reach", &info);
    if (!error)
        error = parse_command_line(boot, qy_load_le64(info.at + 24));
    if (!error)
        error = parse_modules(boot, qy_load_le64(info.at + 16), qy_load_le32(info.at + 12));
    if (!error)
        error = parse_memory_map(boot, qy_load_le64(info.at + 40), qy_load_le32(info.at + 48));
    if (!error && boot->parse.store)
        out->rsdp = paddr(qy_load_le64(info.at + 32));
    return error;
}

enum qy_error qy_parse_pvh(const struct qy_reader *reader, paddr_t start_info,
                           struct qy_boot_info *out)
{
    struct pvh boot = {{out, false}, reader};
    enum qy_error error = parse_start_info(&boot, start_info.raw);

    if (error)
        return error;
    out->version = QY_BOOT_INFO_VERSION;
    out->path = QY_BOOT_PVH;
    boot.parse.store = true;
    return parse_start_info(&boot, start_info.raw);
}
