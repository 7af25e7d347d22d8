/*
 * The part of UEFI that the application uses (UEFI Specification 2.10; the section stands at each
 * structure). Members that are not used are counted, not named.
 */
#ifndef RISCV_EFI_H
#define RISCV_EFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t efi_status_t;
typedef void *efi_handle_t;

#define EFI_SUCCESS 0ull
#define EFI_ERROR_BIT (1ull << 63)
#define EFI_LOAD_ERROR (EFI_ERROR_BIT | 1)
#define EFI_INVALID_PARAMETER (EFI_ERROR_BIT | 2)
#define EFI_BUFFER_TOO_SMALL (EFI_ERROR_BIT | 5)

#define EFI_ALLOCATE_ANY_PAGES 0
#define EFI_LOADER_DATA 2
#define EFI_PAGE_BYTES 4096ull
#define EFI_FILE_MODE_READ 1ull

struct efi_guid {
    uint32_t a;
    uint16_t b, c;
    uint8_t d[8];
};

/* 12.4 */
struct efi_text_output {
    void *reset;
    efi_status_t (*output_string)(struct efi_text_output *self, const uint16_t *text);
};

/* 4.4; 7.1 to 7.5 for the functions */
struct efi_boot_services {
    uint8_t header[24];
    void *task_priority[2];
    efi_status_t (*allocate_pages)(unsigned how, unsigned type, uint64_t pages, uint64_t *address);
    efi_status_t (*free_pages)(uint64_t address, uint64_t pages);
    efi_status_t (*get_memory_map)(uint64_t *bytes, void *map, uint64_t *key,
                                   uint64_t *descriptor_bytes, uint32_t *version);
    void *pool_events[8];
    void *install_protocol[3];
    efi_status_t (*handle_protocol)(efi_handle_t handle, const struct efi_guid *guid, void **out);
    void *protocols_images[9];
    efi_status_t (*exit_boot_services)(efi_handle_t image, uint64_t key);
    void *miscellaneous[10];
    efi_status_t (*locate_protocol)(const struct efi_guid *guid, void *registration, void **out);
};

/* 4.6 */
struct efi_configuration_table {
    struct efi_guid guid;
    void *table;
};

/* 4.3 */
struct efi_system_table {
    uint8_t header[24];
    const uint16_t *vendor;
    uint32_t revision;
    efi_handle_t in_handle;
    void *in;
    efi_handle_t out_handle;
    struct efi_text_output *out;
    efi_handle_t error_handle;
    void *error;
    void *runtime;
    struct efi_boot_services *boot;
    uint64_t table_count;
    const struct efi_configuration_table *tables;
};

/* 9.1 */
struct efi_loaded_image {
    uint32_t revision;
    efi_handle_t parent;
    struct efi_system_table *system;
    efi_handle_t device;
    void *file_path;
    void *reserved;
    uint32_t options_bytes;
    const uint16_t *options;
};

/* 13.4, 13.5 */
struct efi_file {
    uint64_t revision;
    efi_status_t (*open)(struct efi_file *self, struct efi_file **out, const uint16_t *name,
                         uint64_t mode, uint64_t attributes);
    efi_status_t (*close)(struct efi_file *self);
    void *remove;
    efi_status_t (*read)(struct efi_file *self, uint64_t *bytes, void *buffer);
};

struct efi_file_system {
    uint64_t revision;
    efi_status_t (*open_volume)(struct efi_file_system *self, struct efi_file **root);
};

/* 37.5 */
struct efi_rng {
    efi_status_t (*get_info)(struct efi_rng *self, uint64_t *bytes, void *algorithms);
    efi_status_t (*get_rng)(struct efi_rng *self, const struct efi_guid *algorithm, uint64_t bytes,
                            uint8_t *out);
};

/* What a loader before us left in the table of configuration: LINUX_EFI_RANDOM_SEED_TABLE_GUID, a count and the bytes. */
struct efi_random_seed {
    uint32_t bytes;
    uint8_t seed[];
};

/* RISC-V UEFI Protocol Specification 1.0, chapter 3 */
struct efi_riscv_boot {
    uint64_t revision;
    efi_status_t (*get_boot_hart)(struct efi_riscv_boot *self, uint64_t *hart);
};

_Static_assert(offsetof(struct efi_boot_services, handle_protocol) == 152, "UEFI 4.4");
_Static_assert(offsetof(struct efi_boot_services, exit_boot_services) == 232, "UEFI 4.4");
_Static_assert(offsetof(struct efi_boot_services, locate_protocol) == 320, "UEFI 4.4");
_Static_assert(offsetof(struct efi_system_table, tables) == 112, "UEFI 4.3");
_Static_assert(offsetof(struct efi_loaded_image, options) == 56, "UEFI 9.1");

efi_status_t efi_main(efi_handle_t image, struct efi_system_table *system);
_Noreturn void efi_jump(uint64_t entry, uint64_t hart, uint64_t fdt, uint64_t handoff);

/* Random numbers of the firmware's, at most `room` of them. Returns how many bytes there are; 0: it has none. */
uint64_t efi_entropy(const struct efi_system_table *system, uint8_t *out, uint64_t room);

/* The hart that a device tree's /chosen/boot-hartid names. False: the tree is broken or does not
 * say. */
bool efi_fdt_boot_hart(const uint8_t *fdt, uint64_t *hart);

#endif
