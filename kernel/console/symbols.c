/*
 * Names of the kernel's functions, from the file kernel.symbols of the boot archive: sorted lines
 * "ADDRESS NAME".
 *
 * Only a panic reads it, once a line, so it is searched from the start; a broken file gives wrong
 * names, not faults.
 */
#include <kernel/layout.h>
#include <kernel/panic.h>
#include <lib/format.h>
#include <platform/parse.h>

static struct qy_bytes symbols;

void symbols_use(struct qy_bytes archive)
{
    struct qy_file file;
    if (qy_cpio_find(archive, "kernel.symbols", &file) == QY_OK)
        symbols = file.data;
}

static uint64_t parse_hex(const uint8_t *at, const uint8_t *end)
{
    uint64_t value = 0;
    for (; at < end && *at != ' '; at++)
        value = value << 4 | (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
    return value;
}

size_t symbol_describe(uint64_t address, char *text, size_t bytes)
{
    address -= kernel_base.image - KERNEL_IMAGE_BASE; /* where the linker put it */
    const uint8_t *end = symbols.at + symbols.count;
    const uint8_t *name = NULL;
    uint64_t start = 0;
    for (const uint8_t *line = symbols.at; line < end;) {
        uint64_t value = parse_hex(line, end);
        if (value > address)
            break;
        while (line < end && *line != ' ' && *line != '\n')
            line++;
        name = line + 1;
        start = value;
        while (line < end && *line != '\n')
            line++;
        line++;
    }
    if (!name)
        return format_to(text, bytes, "no symbols");
    int length = 0;
    while (name + length < end && name[length] != '\n')
        length++;
    return format_to(text, bytes, "%.*s+0x%llx", length, (const char *)name,
                     (unsigned long long)(address - start));
}
