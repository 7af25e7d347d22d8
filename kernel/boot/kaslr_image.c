/*
 * Moving the kernel's image: see docs/adr/0036.
 *
 *     first pass, at the linker's addresses          second pass, from the start, at the chosen ones
 *     read what the boot loader passed          .--> read it again
 *     choose a place, map the image there too   |    final tables, which have the image there only
 *     add the distance wherever the image ------'
 *     holds an address of its own
 *
 * Where that is, the linker told (--emit-relocs) and tools/relocations.sh wrote into the file kernel.relocations of the
 * boot archive: the kernel's build id, then a line "OFFSET BYTES" for each place. The code that adds the distance runs
 * in the image which it changes: at any moment an address that is used is an old one or a new one, and both are mapped
 * to the same memory. What the first pass computed is forgotten but for the choice and the entropy.
 *
 * Failures: anything that is not as it has to be is found before the first byte is changed, and the image stays.
 */
#include <arch/arch.h>
#include <kernel/entropy.h>
#include <kernel/image.h>
#include <kernel/kaslr.h>
#include <kernel/layout.h>
#include <lib/string.h>
#include <platform/parse.h>
#include <qy/port.h>

#define BUILD_ID_BYTES 20u
#define BUILD_ID_OFFSET 16u /* in its note: three words, "GNU" */
#define LARGE_PAGE 0x200000ull

static const char *why = "it was not asked to move";

const char *kaslr_image_stays(void)
{
    return why;
}

/* A hexadecimal number and the character behind it. */
static bool take_number(struct qy_bytes *text, char end, uint64_t *out)
{
    *out = 0;
    for (unsigned digits = 0; text->count > 0 && digits <= 16; digits++) {
        uint8_t c = *text->at;
        text->at++;
        text->count--;
        if (c == (uint8_t)end)
            return digits > 0;
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        *out = *out << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return false;
}

/* The table's first line is this kernel's build id; it is taken off. */
static bool take_build_id(struct qy_bytes *table)
{
    const uint8_t *id = (const uint8_t *)kernel_build_id + BUILD_ID_OFFSET;
    if ((uint64_t)kernel_build_id_end - (uint64_t)kernel_build_id <
            BUILD_ID_OFFSET + BUILD_ID_BYTES ||
        table->count < 2 * BUILD_ID_BYTES + 1 || table->at[2 * BUILD_ID_BYTES] != '\n')
        return false;
    for (unsigned i = 0; i < 2 * BUILD_ID_BYTES; i++)
        if (table->at[i] != (uint8_t) "0123456789abcdef"[id[i / 2] >> (i % 2 ? 0 : 4) & 15])
            return false;
    table->at += 2 * BUILD_ID_BYTES + 1;
    table->count -= 2 * BUILD_ID_BYTES + 1;
    return true;
}

/* Look at each place of the table; add the distance if it is not 0. False: something is wrong. The linker may have added
 * something to an address, so one in the window is good enough. */
static bool relocate(struct qy_bytes table, uint64_t bytes, uint64_t distance)
{
    uint64_t offset, width;
    while (table.count) {
        if (!take_number(&table, ' ', &offset) || !take_number(&table, '\n', &width) ||
            (width != 4 && width != 8) || bytes < width || offset > bytes - width)
            return false;
        unsigned char *place = qy_port_ram(paddr(arch_image_base.raw + offset));
        uint64_t held = 0;
        memcpy(&held, place, width);
        if (width == 4)
            held = (uint64_t)(int64_t)(int32_t)held;
        if (distance == 0 && kernel_window_of(held) != KERNEL_WINDOW_IMAGE)
            return false;
        held += distance;
        memcpy(place, &held, width);
    }
    return true;
}

/* The table of this kernel; count 0 and the reason if there is none that can be used. */
static struct qy_bytes find_table(const struct qy_boot_info *info)
{
    struct qy_bytes none = {NULL, 0};
    struct qy_file file;
    if (info->module_count == 0)
        return none;
    const struct qy_boot_module *module = &info->modules[0];
    uint64_t base = module->base.raw, window = arch_boot_window();
    bool in_ram = false;
    for (uint32_t i = 0; i < info->range_count; i++)
        in_ram |= info->ranges[i].type == QY_MEM_USABLE && info->ranges[i].base <= base &&
                  info->ranges[i].end > base && info->ranges[i].end - base >= module->bytes;
    why = "the boot archive cannot be read yet where it lies";
    if (!in_ram || base >= window || module->bytes > window - base)
        return none;
    struct qy_bytes archive = {qy_port_ram(module->base), module->bytes};
    why = "the boot archive has no kernel.relocations";
    if (qy_cpio_find(archive, "kernel.relocations", &file) != QY_OK)
        return none;
    why = "the boot archive's kernel.relocations is of another kernel";
    return take_build_id(&file.data) ? file.data : none;
}

bool kaslr_move_image(const struct qy_boot_info *info)
{
    static bool tried;
    if (tried || !kaslr_is_wanted(info))
        return false;
    tried = true;
    entropy_gather(info);
    if (!entropy_sources())
        return false;
    why = "there is no boot archive";
    struct qy_bytes table = find_table(info);
    if (!table.count)
        return false;
    const uint64_t bytes = (uint64_t)kernel_data_end - kernel_base.image;
    why = "the boot archive's kernel.relocations is damaged";
    if (!relocate(table, bytes, 0))
        return false;
    /* Not over the linker's place, in whole tables of pages: both are mapped for a while. */
    uint64_t distance = kaslr_choose_image(qy_align_up(bytes, LARGE_PAGE), bytes);
    arch_image_map(KERNEL_IMAGE_BASE + distance);
    bool moved = relocate(table, bytes, distance);
    kernel_base.image += distance;
    why = NULL;
    return moved;
}
