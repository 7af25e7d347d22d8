/*
 * The driver of a disk. See drive.h.
 */
#include "drive.h"

#include <lib/string.h>
#include <user/slots.h>
#include <user/space.h>

#define PAGE (ROOT_CHILD_ADDRESS + 0x10500000)
#define DRIVER_PAGES 512u
#define SWAP_MAGIC "quarry swap disk"
#define FILES_MAGIC "QUARRY FILEFAT32" /* label and kind of a FAT32, in its boot sector */
#define CUTS_MAGIC "QUARRY CUTSFAT32"
#define FILES_MAGIC_AT 71u

_Static_assert(sizeof(struct virtio_blk_memory) <= PAGE_BYTES,
               "what driver and device share fits a page");

enum disk_use disk_use_of(const char sector[VIRTIO_SECTOR])
{
    if (memcmp(sector, DISK_TEST_MAGIC, sizeof(DISK_TEST_MAGIC) - 1) == 0)
        return DISK_TEST;
    if (memcmp(sector, SWAP_MAGIC, sizeof(SWAP_MAGIC) - 1) == 0)
        return DISK_SWAP;
    if (memcmp(sector + FILES_MAGIC_AT, CUTS_MAGIC, sizeof(CUTS_MAGIC) - 1) == 0)
        return DISK_CUTS;
    return memcmp(sector + FILES_MAGIC_AT, FILES_MAGIC, sizeof(FILES_MAGIC) - 1) == 0 ? DISK_FILES
                                                                                      : DISK_OTHER;
}

enum qy_error drive_map(qy_handle_t memory, qy_handle_t frame, uint64_t address, uint64_t type)
{
    struct tables made;
    return space_map_frame(memory, QY_SLOT_SPACE, frame, address, QY_MAP_READ | QY_MAP_WRITE | type,
                           &made);
}

enum qy_error drive_copy(qy_handle_t source, uint64_t rights, uint64_t badge, qy_handle_t *out)
{
    struct call_result r = cap_copy(QY_SLOT_NODE, slot_take(), source, rights, badge);
    *out = r.value[1];
    return r.error;
}

/* The device's registers, its line, and what it may reach. */
static enum qy_error device_make(struct drive *drive)
{
    const struct virtio_place *place = &drive->place;
    qy_handle_t *given = drive->given, raised;
    struct call_result r =
        device_frame(device_memory_at(drive->root, place->address), drive->process.budget,
                     place->address, place->bytes / PAGE_BYTES, QY_SLOT_NODE, slot_take());
    given[BLOCK_REGISTERS] = r.value[1];
    if (r.error == QY_OK && drive->registers) /* the driver maps its own copy */
        r.error = drive_map(drive->memory, r.value[1], drive->registers, QY_MAP_UNCACHED);
    if (r.error == QY_OK)
        r.error = dma_bind(given[BLOCK_DMA], QY_SLOT_SYSTEM, given[BLOCK_REGISTERS],
                           place->stop_offset, place->stop_width, 0);
    if (r.error == QY_OK)
        r.error =
            drive_copy(given[BLOCK_NOTIFICATION], QY_RIGHT_WRITE, BLOCK_BADGE_INTERRUPT, &raised);
    if (r.error == QY_OK)
        r.error = interrupt_bind(given[BLOCK_INTERRUPT], QY_SLOT_SYSTEM, place->line, raised);
    if (r.error == QY_OK)
        r.error = drive_copy(given[BLOCK_NOTIFICATION], QY_RIGHT_WRITE | QY_RIGHT_GRANT,
                             BLOCK_BADGE_TIMEOUT, &given[BLOCK_TIMEOUT]);
    return r.error;
}

/* All that the driver is given, out of its own budget; its page says where the device is. */
static enum qy_error given_make(struct drive *drive)
{
    static const unsigned rights[BLOCK_GIVEN_COUNT] = {
#define X(name, rights) [BLOCK_##name] = (rights),
        BLOCK_GIVEN(X)
#undef X
    };
    static const struct {
        enum qy_object_type type;
        enum block_given given;
    } parts[] = {{QY_OBJ_ENDPOINT, BLOCK_ENDPOINT},
                 {QY_OBJ_FRAME, BLOCK_PAGE},
                 {QY_OBJ_DMA, BLOCK_DMA},
                 {QY_OBJ_INTERRUPT, BLOCK_INTERRUPT},
                 {QY_OBJ_NOTIFICATION, BLOCK_NOTIFICATION}};
    qy_handle_t *given = drive->given;
    enum qy_error error = QY_OK;
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]) && error == QY_OK; i++)
        error = slot_make(drive->process.budget, parts[i].type, 1, &given[parts[i].given]);
    if (error == QY_OK)
        error = drive_map(drive->memory, given[BLOCK_PAGE], PAGE, 0);
    if (error == QY_OK) {
        *(struct virtio_place *)PAGE = drive->place;
        error = frame_unmap(given[BLOCK_PAGE], QY_SLOT_SPACE, PAGE);
    }
    if (error == QY_OK)
        error = device_make(drive);
    for (unsigned i = 0; i < BLOCK_GIVEN_COUNT && error == QY_OK; i++)
        error = process_give(&drive->process, i, given[i], rights[i], 0);
    return error;
}

enum qy_error drive_start(struct drive *drive)
{
    static const char *const argv[] = {"disk", NULL};
    const struct qy_root_info *info = drive->root->info;
    struct process_plan plan = {.argv = argv,
                                .untyped = drive->root->untyped,
                                .budget_pages = DRIVER_PAGES,
                                .number = 1,
                                .console = QY_SLOT_CONSOLE,
                                .cpus = info->cpus,
                                .clock_hz = info->clock_hz};
    const char *why = "it is not in the boot archive";
    enum qy_error error = slot_make(drive->memory, QY_OBJ_ENDPOINT, 1, &plan.endpoint);
    if (error == QY_OK)
        error = archive_find(boot_archive(info->archive_bytes), argv[0], &plan.image);
    if (error == QY_OK)
        error = process_create(&plan, &drive->process, &why);
    if (error != QY_OK) {
        print("disk: the program \"disk\" cannot be loaded: %s\n", why);
        return error;
    }
    error = given_make(drive);
    return error == QY_OK ? process_start(&drive->process, info->cpus > 1) : error;
}
