/*
 * Disks: each is found, gets a driver of its own, and is used through the driver's endpoint.
 *
 * The driver is the program `disk` in a process of its own. All that it is given is made out of its budget: the device's
 * registers and line, the right to have it read and write memory, a page. Revoking the budget takes the driver away, and
 * stops the device first.
 *
 * A disk is written to only if its first sector begins with "quarry test disk": then all the others are filled with
 * numbered lines, which are read back, and which whoever made the disk may look at. If it begins with "quarry swap disk",
 * pages of a program go there (user/swap/swapping.c); a FAT32 with the label QUARRY FILE, or QUARRY CUTS, is the file
 * server's (user/files/filing.c, cutting.c).
 */
#include "../drivers/block.h"
#include "root.h"
#include <lib/string.h>
#include <user/process.h>
#include <user/slots.h>
#include <user/space.h>

#define BUFFER (ROOT_CHILD_ADDRESS + 0x10000000)
#define PAGE (BUFFER + BUFFER_BYTES)
#define REGISTERS (BUFFER + 0x400000)

#define DRIVERS 2u /* one after the other */
#define DRIVER_PAGES 512u
#define CLIENT_PAGES 64u
#define BUFFER_PAGES 16u
#define BUFFER_BYTES (BUFFER_PAGES * PAGE_BYTES)
#define SECTORS_A_TURN (BUFFER_BYTES / VIRTIO_SECTOR)
#define LINE_BYTES 16u /* "quarry 00000000\n" */
#define MAGIC "quarry test disk"
#define SWAP_MAGIC "quarry swap disk"
#define FILES_MAGIC "QUARRY FILEFAT32" /* label and kind of a FAT32, in its boot sector */
#define CUTS_MAGIC "QUARRY CUTSFAT32"
#define FILES_MAGIC_AT 71u
#define TEST_SECTORS_MAX 3000000ull /* numbers of lines have eight digits */

_Static_assert(sizeof(struct virtio_blk_memory) <= PAGE_BYTES,
               "what driver and device share fits a page");

static char *const buffer = (char *)BUFFER;

struct disk {
    struct root *root;
    struct virtio_place place;
    struct process driver;
    qy_handle_t given[BLOCK_GIVEN_COUNT]; /* to the driver */
    qy_handle_t memory, frame;            /* the client's; of the buffer */
    struct block_info info;
    bool used; /* by a program, over its first driver */
};

static enum qy_error map(qy_handle_t memory, qy_handle_t frame, uint64_t address, uint64_t type)
{
    struct tables made;
    return space_map_frame(memory, QY_SLOT_SPACE, frame, address, QY_MAP_READ | QY_MAP_WRITE | type,
                           &made);
}

/* A copy in a slot of its own. */
static enum qy_error copy(qy_handle_t source, uint64_t rights, uint64_t badge, qy_handle_t *out)
{
    struct call_result r = cap_copy(QY_SLOT_NODE, slot_take(), source, rights, badge);
    *out = r.value[1];
    return r.error;
}

/* The device's registers, its line, and what it may reach. */
static enum qy_error device_make(struct disk *disk)
{
    const struct virtio_place *place = &disk->place;
    qy_handle_t *given = disk->given, raised;
    struct call_result r =
        device_frame(device_memory_at(disk->root, place->address), disk->driver.budget,
                     place->address, place->bytes / PAGE_BYTES, QY_SLOT_NODE, slot_take());
    given[BLOCK_REGISTERS] = r.value[1];
    if (r.error == QY_OK) /* to look at the device's state; the driver maps its own copy */
        r.error = map(disk->memory, r.value[1], REGISTERS, QY_MAP_UNCACHED);
    if (r.error == QY_OK)
        r.error = dma_bind(given[BLOCK_DMA], QY_SLOT_SYSTEM, given[BLOCK_REGISTERS],
                           place->stop_offset, place->stop_width, 0);
    if (r.error == QY_OK)
        r.error = copy(given[BLOCK_NOTIFICATION], QY_RIGHT_WRITE, BLOCK_BADGE_INTERRUPT, &raised);
    if (r.error == QY_OK)
        r.error = interrupt_bind(given[BLOCK_INTERRUPT], QY_SLOT_SYSTEM, place->line, raised);
    if (r.error == QY_OK)
        r.error = copy(given[BLOCK_NOTIFICATION], QY_RIGHT_WRITE | QY_RIGHT_GRANT,
                       BLOCK_BADGE_TIMEOUT, &given[BLOCK_TIMEOUT]);
    return r.error;
}

/* All that the driver is given, out of its own budget; its page says where the device is. */
static enum qy_error given_make(struct disk *disk)
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
    qy_handle_t *given = disk->given;
    enum qy_error error = QY_OK;
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]) && error == QY_OK; i++)
        error = slot_make(disk->driver.budget, parts[i].type, 1, &given[parts[i].given]);
    if (error == QY_OK)
        error = map(disk->memory, given[BLOCK_PAGE], PAGE, 0);
    if (error == QY_OK) {
        *(struct virtio_place *)PAGE = disk->place;
        error = frame_unmap(given[BLOCK_PAGE], QY_SLOT_SPACE, PAGE);
    }
    if (error == QY_OK)
        error = device_make(disk);
    for (unsigned i = 0; i < BLOCK_GIVEN_COUNT && error == QY_OK; i++)
        error = process_give(&disk->driver, i, given[i], rights[i], 0);
    return error;
}

static enum qy_error driver_start(struct disk *disk)
{
    static const char *const argv[] = {"disk", NULL};
    const struct qy_root_info *info = disk->root->info;
    struct process_plan plan = {.argv = argv,
                                .untyped = disk->root->untyped,
                                .budget_pages = DRIVER_PAGES,
                                .number = 1,
                                .console = QY_SLOT_CONSOLE,
                                .cpus = info->cpus,
                                .clock_hz = info->clock_hz};
    const char *why = "it is not in the boot archive";
    enum qy_error error = slot_make(disk->memory, QY_OBJ_ENDPOINT, 1, &plan.endpoint);
    if (error == QY_OK)
        error = archive_find(boot_archive(info->archive_bytes), argv[0], &plan.image);
    if (error == QY_OK)
        error = process_create(&plan, &disk->driver, &why);
    if (error != QY_OK) {
        print("disk: the program \"disk\" cannot be loaded: %s\n", why);
        return error;
    }
    error = given_make(disk);
    return error == QY_OK ? process_start(&disk->driver, info->cpus > 1) : error;
}

static enum qy_error request(const struct disk *disk, enum block_label label, uint64_t sector,
                             uint64_t bytes)
{
    return block_call(disk->given[BLOCK_ENDPOINT], label, disk->frame, sector, 0, bytes);
}

/* Lines that number every 16 bytes of the disk. */
static void fill(char *at, uint64_t sector, uint64_t sectors)
{
    uint64_t number = sector * (VIRTIO_SECTOR / LINE_BYTES);
    for (char *end = at + sectors * VIRTIO_SECTOR; at < end; at += LINE_BYTES, number++) {
        uint64_t rest = number;
        memcpy(at, "quarry 00000000\n", LINE_BYTES);
        for (char *digit = at + LINE_BYTES - 2; rest; rest /= 10)
            *digit-- = (char)('0' + rest % 10);
    }
}

static bool is_filled(const char *at, uint64_t sector, uint64_t sectors)
{
    char wanted[VIRTIO_SECTOR];
    for (uint64_t i = 0; i < sectors; i++) {
        fill(wanted, sector + i, 1);
        if (memcmp(at + i * VIRTIO_SECTOR, wanted, VIRTIO_SECTOR) != 0)
            return false;
    }
    return true;
}

/* All sectors but the first; written, or read into a buffer full of something else and compared. */
static bool run_over(const struct disk *disk, enum block_label label)
{
    bool right = true;
    for (uint64_t sector = 1; sector < disk->info.sectors && right; sector += SECTORS_A_TURN) {
        uint64_t rest = disk->info.sectors - sector,
                 sectors = rest < SECTORS_A_TURN ? rest : SECTORS_A_TURN;
        if (label == BLOCK_WRITE)
            fill(buffer, sector, sectors);
        else
            memset(buffer, 0xa5, BUFFER_BYTES);
        right = request(disk, label, sector, sectors * VIRTIO_SECTOR) == QY_OK &&
                is_filled(buffer, sector, sectors);
    }
    return right;
}

static void try_wrong_requests(const struct disk *disk)
{
    struct root *root = disk->root;
    const uint64_t sectors = disk->info.sectors;
    const struct {
        uint64_t sector, offset, bytes;
    } wrong[] = {{sectors, 0, 512},
                 {sectors - 1, 0, 1024},
                 {~0ull, 0, 512},
                 {0, 0, 0},
                 {0, 0, 511},
                 {0, BUFFER_BYTES, 512},
                 {0, BUFFER_BYTES - 511, 512},
                 {0, ~0ull, 512},
                 {0, 512, BUFFER_BYTES},
                 {0, 0, ~0ull << 9}};
    bool refused = true;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        refused &= block_call(disk->given[BLOCK_ENDPOINT], BLOCK_READ, disk->frame, wrong[i].sector,
                              wrong[i].offset, wrong[i].bytes) == QY_INVALID_ARGUMENT;
    root_check(root, refused, "a request outside of disk or frame was not refused");
    qy_handle_t looker;
    enum qy_error error = copy(disk->frame, QY_RIGHT_READ | QY_RIGHT_GRANT, 0, &looker);
    const struct {
        qy_handle_t frame;
        enum block_label label;
        enum qy_error error;
    } calls[] = {{looker, BLOCK_READ, QY_NO_RIGHTS},
                 {QY_SLOT_SYSTEM, BLOCK_READ, QY_WRONG_TYPE},
                 {0, BLOCK_READ, QY_INVALID_HANDLE},
                 {disk->frame, BLOCK_FLUSH + 1, QY_INVALID_ARGUMENT}};
    refused = error == QY_OK;
    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        refused &= block_call(disk->given[BLOCK_ENDPOINT], calls[i].label, calls[i].frame, 0, 0,
                              512) == calls[i].error;
    root_check(root, refused, "a request without the right to it was not refused");
}

/* The device's own word: 0 = it has been reset. */
static uint32_t status_of(const struct disk *disk)
{
    struct virtio_access access;
    if (virtio_access_init(&access, &disk->place, (volatile uint8_t *)REGISTERS) != QY_OK)
        return UINT32_MAX;
    return virtio_access_read(&access, VIRTIO_STATUS);
}

/*
 * A client that has pinned its frame for the device takes it back: nothing it does leaves the device with memory that is
 * not its driver's, and the driver opens the device again for whoever comes next.
 */
static void try_pins(const struct disk *disk)
{
    struct root *root = disk->root;
    const qy_handle_t dma = disk->given[BLOCK_DMA];
    for (unsigned by_revoke = 0; by_revoke < 2; by_revoke++) {
        qy_handle_t lent;
        bool held = copy(disk->frame, QY_RIGHT_READ | QY_RIGHT_WRITE, 0, &lent) == QY_OK &&
                    frame_pin(lent, dma).error == QY_OK;
        root_check(root, held, "a frame could not be pinned for the disk");
        held = frame_pin(disk->frame, dma).error == QY_BUSY &&
               frame_unpin(disk->frame) == QY_NOT_FOUND &&
               request(disk, BLOCK_READ, 0, VIRTIO_SECTOR) == QY_BUSY;
        root_check(root, held, "a frame has two pins");
        enum qy_error error = by_revoke ? cap_revoke(disk->frame) : cap_delete(lent);
        root_check(root, error == QY_OK && status_of(disk) == 0,
                   "a pinned frame was taken back, and the disk has not been stopped");
        held = frame_pin(disk->frame, dma).error == QY_OK && frame_unpin(disk->frame) == QY_OK;
        root_check(root, held, "a pin has outlived its capability");
        error = request(disk, BLOCK_READ, 0, VIRTIO_SECTOR);
        root_said(error, "%s a pinned frame, and read again",
                  by_revoke ? "revoke what was lent of" : "delete");
        root_check(root, error == QY_OK, "the disk is not opened again after it was stopped");
    }
}

/* Which program uses a disk with that first sector; its first argument is null: none. */
static const char *const *program_of(const char *sector)
{
    static const char *const swapping[] = {"swapping", "disk", NULL};
    static const char *const filing[] = {"filing", NULL};
    static const char *const cutting[] = {"cutting", NULL};
    static const char *const none[] = {NULL};
    if (memcmp(sector, SWAP_MAGIC, sizeof(SWAP_MAGIC) - 1) == 0)
        return swapping;
    if (memcmp(sector + FILES_MAGIC_AT, FILES_MAGIC, sizeof(FILES_MAGIC) - 1) == 0)
        return filing;
    return memcmp(sector + FILES_MAGIC_AT, CUTS_MAGIC, sizeof(CUTS_MAGIC) - 1) == 0 ? cutting
                                                                                    : none;
}

static void use(struct disk *disk)
{
    struct root *root = disk->root;
    enum qy_error error = block_info(disk->given[BLOCK_ENDPOINT], &disk->info);
    root_said(error, "ask the driver for the disk's size");
    if (!root_check(
            root, error == QY_OK && disk->info.sectors && disk->info.sector_bytes == VIRTIO_SECTOR,
            "the disk's driver does not work"))
        return;
    error = request(disk, BLOCK_READ, 0, VIRTIO_SECTOR);
    root_said(error, "read the first of %llu sectors%s", (unsigned long long)disk->info.sectors,
              disk->info.read_only ? ", of a disk that can only be read" : "");
    root_check(root, error == QY_OK, "the disk cannot be read");
    try_wrong_requests(disk);
    try_pins(disk);
    if (disk->info.read_only) {
        root_check(root, request(disk, BLOCK_WRITE, 1, VIRTIO_SECTOR) == QY_NO_RIGHTS,
                   "a write to a disk that can only be read was not refused");
        return;
    }
    error = request(disk, BLOCK_READ, 0, VIRTIO_SECTOR);
    if (error == QY_OK && program_of(buffer)[0]) {
        if (disk->used)
            return;
        disk->used = true;
        root_check(root, run_given(root, program_of(buffer), disk->given[BLOCK_ENDPOINT]),
                   "the program that uses the disk did not end well");
        return;
    }
    if (error != QY_OK || memcmp(buffer, MAGIC, sizeof(MAGIC) - 1) != 0 ||
        disk->info.sectors > TEST_SECTORS_MAX * LINE_BYTES / VIRTIO_SECTOR) {
        print("disk: it does not begin with \"" MAGIC "\", so nothing is written to it\n");
        return;
    }
    buffer[VIRTIO_SECTOR - 1] = 0;
    print("disk: it says: %s", buffer);
    bool written = run_over(disk, BLOCK_WRITE);
    error = block_call(disk->given[BLOCK_ENDPOINT], BLOCK_FLUSH, 0, 0, 0, 0);
    bool read = run_over(disk, BLOCK_READ);
    root_said(error, "flush what was written");
    root_check(root, written && error == QY_OK && read,
               "the disk does not hold what was written to it");
    bool told =
        block_info(disk->given[BLOCK_ENDPOINT], &disk->info) == QY_OK && disk->info.interrupts;
    root_check(root, told, "no interrupt of the disk came");
    print("disk: %llu sectors %s, %llu interrupts\n", (unsigned long long)disk->info.sectors - 1,
          written && read ? "written and read back" : "NOT written and read back",
          (unsigned long long)disk->info.interrupts);
}

/* The driver ends in the middle of its life: what it had is free, after the device has stopped. */
static void take_back(struct disk *disk)
{
    enum qy_error error = process_destroy(&disk->driver);
    root_said(error, "take its driver away, with all that it had");
    root_check(disk->root, error == QY_OK, "the driver could not be taken back");
    root_check(disk->root,
               block_info(disk->given[BLOCK_ENDPOINT], &disk->info) == QY_INVALID_HANDLE,
               "the driver answers after its end");
}

/* A client's memory, which outlives drivers. */
static enum qy_error client_make(struct disk *disk)
{
    enum qy_error error =
        slot_make(disk->root->untyped, QY_OBJ_UNTYPED, CLIENT_PAGES, &disk->memory);
    if (error == QY_OK)
        error = slot_make(disk->memory, QY_OBJ_FRAME, BUFFER_PAGES, &disk->frame);
    return error == QY_OK ? map(disk->memory, disk->frame, BUFFER, 0) : error;
}

static enum qy_error drive(struct disk *disk, unsigned n)
{
    struct root *root = disk->root;
    enum qy_error error = client_make(disk);
    if (error == QY_OK)
        error = bus_find(root, disk->memory, n, &disk->place);
    if (error == QY_OK)
        print("disk: number %u, virtio by %s at %R, line %u\n", n,
              disk->place.pci ? "PCI" : "registers", disk->place.address, disk->place.line);
    for (unsigned turn = 0; turn < DRIVERS && error == QY_OK; turn++) {
        error = driver_start(disk);
        root_said(error, turn ? "start another driver" : "start its driver");
        if (error == QY_OK)
            use(disk);
        take_back(disk);
    }
    return error;
}

/* One disk, if there is an n-th. Every slot that it takes is empty afterwards. */
static bool run(struct root *root, unsigned n)
{
    static struct disk disk;
    slots_begin(root->next_slot, root->info->node_slots - root->next_slot);
    disk = (struct disk){.root = root};
    enum qy_error error = drive(&disk, n);
    bool found = error != QY_NOT_FOUND;
    root_check(root, !found || error == QY_OK, "a disk could not be driven");
    bool gone = cap_revoke(disk.memory) == QY_OK && cap_delete(disk.memory) == QY_OK;
    root_check(root, gone, "the memory of the disk's client could not be taken back");
    return found;
}

void disk_run(struct root *root)
{
    struct untyped_state before, now;
    unsigned count = 0;
    enum qy_error error = untyped_info(root->untyped, &before);
    while (run(root, count))
        count++;
    root_check(root, count != 0, "the machine has no virtio disk (./quarry run --disk FILE)");
    bool same = error == QY_OK && untyped_info(root->untyped, &now) == QY_OK &&
                now.free_bytes == before.free_bytes;
    root_check(root, same, "memory is missing after the disks");
    print("disk: %u driven, each by %u drivers; they are gone, with their memory\n", count,
          DRIVERS);
}
