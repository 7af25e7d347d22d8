/*
 * BOOTRISCV64.EFI: boots Quarry from UEFI firmware that has a device tree (U-Boot; real boards boot
 * so).
 *
 * The file carries the kernel and the boot archive. It copies both to memory of their own, leaves
 * UEFI, and jumps to the kernel's second entry with a structure (handoff.h) that holds the memory
 * map. Whatever goes wrong before UEFI is left is said in one line, and the firmware goes on with
 * its next boot option; nothing can go wrong after it.
 */
#include "efi.h"

#include "../riscv.h"
#include "handoff.h"

#include <lib/string.h>

#define KERNEL_ALIGN 0x200000ull
/* ExitBootServices wants the key of the newest map; events may change it between the two calls. */
#define EXIT_TRIES 8
#define MAP_SLACK_BYTES 4096

/* payload.S */
extern const uint8_t payload_kernel[], payload_kernel_end[];
extern const uint8_t payload_archive[], payload_archive_end[];

static const struct efi_guid guid_fdt = {
    0xb1b621d5, 0xf19c, 0x41a5, {0x83, 0x0b, 0xd9, 0x15, 0x2c, 0x69, 0xaa, 0xe0}};
static const struct efi_guid guid_riscv_boot = {
    0xccd15fec, 0x6f73, 0x4eec, {0x83, 0x95, 0x3e, 0x69, 0xe4, 0xb9, 0x40, 0xbf}};
static const struct efi_guid guid_loaded_image = {
    0x5b1b31a1, 0x9562, 0x11d2, {0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static const struct efi_guid guid_file_system = {
    0x964e5b22, 0x6459, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};

static struct efi_system_table *system_table;
static struct efi_boot_services *boot;

static void print_line(const char *text)
{
    uint16_t line[160];
    unsigned i = 0;
    while (text[i] && i < sizeof(line) / sizeof(line[0]) - 3) {
        line[i] = (uint8_t)text[i];
        i++;
    }
    line[i++] = '\r';
    line[i++] = '\n';
    line[i] = 0;
    system_table->out->output_string(system_table->out, line);
}

static efi_status_t fail(const char *text)
{
    print_line(text);
    return EFI_LOAD_ERROR;
}

/* UEFI's text as ASCII, other characters as '?'; cut to fit, terminated. count: of characters at
 * most. */
static void to_ascii(char *out, size_t bytes, const uint16_t *text, size_t count)
{
    size_t i = 0;
    while (i + 1 < bytes && i < count && text[i]) {
        out[i] = text[i] < 0x80 ? (char)text[i] : '?';
        i++;
    }
    out[i] = 0;
}

static const uint8_t *find_fdt(void)
{
    for (uint64_t i = 0; i < system_table->table_count; i++)
        if (memcmp(&system_table->tables[i].guid, &guid_fdt, sizeof(guid_fdt)) == 0)
            return system_table->tables[i].table;
    return NULL;
}

static bool find_boot_hart(const uint8_t *fdt, uint64_t *hart)
{
    void *found;
    if (boot->locate_protocol(&guid_riscv_boot, NULL, &found) == EFI_SUCCESS) {
        struct efi_riscv_boot *protocol = found;
        if (protocol->get_boot_hart(protocol, hart) == EFI_SUCCESS)
            return true;
    }
    return efi_fdt_boot_hart(fdt, hart);
}

/* Whole pages, zeroed; *out is their address. What is left of the alignment goes back. */
static bool allocate(uint64_t bytes, uint64_t align, uint64_t *out)
{
    uint64_t pages = (bytes + EFI_PAGE_BYTES - 1) / EFI_PAGE_BYTES;
    uint64_t slack = align / EFI_PAGE_BYTES - 1, base;
    if (boot->allocate_pages(EFI_ALLOCATE_ANY_PAGES, EFI_LOADER_DATA, pages + slack, &base) !=
        EFI_SUCCESS)
        return false;
    uint64_t aligned = (base + align - 1) & ~(align - 1);
    uint64_t below = (aligned - base) / EFI_PAGE_BYTES, above = slack - below;
    if ((below && boot->free_pages(base, below) != EFI_SUCCESS) ||
        (above && boot->free_pages(aligned + pages * EFI_PAGE_BYTES, above) != EFI_SUCCESS))
        return false;
    memset((void *)aligned, 0, pages * EFI_PAGE_BYTES);
    *out = aligned;
    return true;
}

/* The first line of the file \quarry.cmd beside the application; unchanged if there is none. */
static void read_command_file(efi_handle_t device, char *out, size_t bytes)
{
    void *found;
    struct efi_file *root, *file;
    if (boot->handle_protocol(device, &guid_file_system, &found) != EFI_SUCCESS)
        return;
    struct efi_file_system *system = found;
    if (system->open_volume(system, &root) != EFI_SUCCESS)
        return;
    if (root->open(root, &file, u"\\quarry.cmd", EFI_FILE_MODE_READ, 0) == EFI_SUCCESS) {
        uint64_t count = bytes - 1;
        if (file->read(file, &count, out) != EFI_SUCCESS || count >= bytes)
            count = 0;
        out[count] = 0;
        for (uint64_t i = 0; i < count; i++)
            if (out[i] == '\n' || out[i] == '\r')
                out[i] = 0;
        file->close(file);
    }
    root->close(root);
}

static void read_command_line(efi_handle_t image, char *out, size_t bytes)
{
    void *found;
    if (boot->handle_protocol(image, &guid_loaded_image, &found) != EFI_SUCCESS)
        return;
    const struct efi_loaded_image *loaded = found;
    if (loaded->options)
        to_ascii(out, bytes, loaded->options, loaded->options_bytes / sizeof(uint16_t));
    if (!out[0])
        read_command_file(loaded->device, out, bytes);
}

static bool load_kernel(uint64_t *entry)
{
    const uint64_t *header = (const uint64_t *)(payload_kernel + IMAGE_HEADER);
    uint64_t file_bytes = (uint64_t)(payload_kernel_end - payload_kernel), base;
    if (header[0] != IMAGE_MAGIC || header[2] < file_bytes ||
        !allocate(header[2], KERNEL_ALIGN, &base))
        return false;
    memcpy((void *)base, payload_kernel, file_bytes);
    *entry = base + header[1];
    return true;
}

static bool load_archive(struct riscv_handoff *handoff)
{
    handoff->archive_bytes = (uint64_t)(payload_archive_end - payload_archive);
    if (handoff->archive_bytes == 0)
        return true;
    if (!allocate(handoff->archive_bytes, EFI_PAGE_BYTES, &handoff->archive))
        return false;
    memcpy((void *)handoff->archive, payload_archive, handoff->archive_bytes);
    return true;
}

/* The structure with room for the memory map behind it; null if there is no memory for it. */
static struct riscv_handoff *make_handoff(uint64_t *room)
{
    uint64_t bytes = 0, key, descriptor, address;
    uint32_t version;
    if (boot->get_memory_map(&bytes, NULL, &key, &descriptor, &version) != EFI_BUFFER_TOO_SMALL ||
        !allocate(sizeof(struct riscv_handoff) + bytes + MAP_SLACK_BYTES, EFI_PAGE_BYTES, &address))
        return NULL;
    struct riscv_handoff *handoff = (struct riscv_handoff *)address;
    handoff->magic = RISCV_HANDOFF_MAGIC;
    handoff->version = RISCV_HANDOFF_VERSION;
    handoff->bytes = (uint32_t)(sizeof(*handoff) + bytes + MAP_SLACK_BYTES);
    handoff->map = (uint64_t)(handoff + 1);
    *room = bytes + MAP_SLACK_BYTES;
    return handoff;
}

/* Take the map and leave UEFI. False: the firmware refuses, and no service but GetMemoryMap may be
 * used. */
static bool leave(efi_handle_t image, struct riscv_handoff *handoff, uint64_t room)
{
    for (unsigned i = 0; i < EXIT_TRIES; i++) {
        uint64_t key;
        uint32_t version;
        handoff->map_bytes = room;
        if (boot->get_memory_map(&handoff->map_bytes, (void *)handoff->map, &key,
                                 &handoff->descriptor_bytes, &version) != EFI_SUCCESS)
            return false;
        if (boot->exit_boot_services(image, key) == EFI_SUCCESS)
            return true;
    }
    return false;
}

efi_status_t efi_main(efi_handle_t image, struct efi_system_table *system)
{
    uint64_t hart, entry, room;
    system_table = system;
    boot = system->boot;
    const uint8_t *fdt = find_fdt();
    if (!fdt)
        return fail("quarry: stop: UEFI passes no device tree; Quarry needs one on RISC-V");
    if (!find_boot_hart(fdt, &hart))
        return fail("quarry: stop: neither UEFI nor the device tree names the boot hart; update "
                    "the firmware");
    if (!load_kernel(&entry))
        return fail("quarry: stop: UEFI has no memory for the kernel; give the machine more");
    struct riscv_handoff *handoff = make_handoff(&room);
    if (!handoff || !load_archive(handoff))
        return fail("quarry: stop: UEFI has no memory for the boot archive; give the machine more");
    to_ascii(handoff->loader, sizeof(handoff->loader), system->vendor, sizeof(handoff->loader));
    handoff->entropy_bytes = efi_entropy(system, handoff->entropy, sizeof(handoff->entropy));
    read_command_line(image, handoff->command_line, sizeof(handoff->command_line));
    if (!leave(image, handoff, room))
        return fail("quarry: stop: UEFI does not let go of the machine; update the firmware");
    efi_jump(entry, hart, (uint64_t)fdt, (uint64_t)handoff);
}
