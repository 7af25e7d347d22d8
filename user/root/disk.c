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
#include "drive.h"
#include <lib/string.h>
#include <user/slots.h>
#include <user/space.h>

#define BUFFER (ROOT_CHILD_ADDRESS + 0x10000000)

#define DRIVERS 2u /* one after the other */
#define CLIENT_PAGES 64u
#define BUFFER_PAGES 16u
#define BUFFER_BYTES (BUFFER_PAGES * PAGE_BYTES)
#define SECTORS_A_TURN (BUFFER_BYTES / VIRTIO_SECTOR)
#define LINE_BYTES 16u /* "quarry 00000000\n" */
#define REGISTERS (BUFFER + 0x400000)
#define TEST_SECTORS_MAX 3000000ull /* numbers of lines have eight digits */

static char *const buffer = (char *)BUFFER;

struct disk {
    struct drive drive;
    qy_handle_t frame; /* the client's buffer */
    struct block_info info;
    bool used; /* by a program, over its first driver */
};

static enum qy_error request(const struct disk *disk, enum block_label label, uint64_t sector,
                             uint64_t bytes)
{
    return block_call(disk->drive.given[BLOCK_ENDPOINT], label, disk->frame, sector, 0, bytes);
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
    struct root *root = disk->drive.root;
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
        refused &=
            block_call(disk->drive.given[BLOCK_ENDPOINT], BLOCK_READ, disk->frame, wrong[i].sector,
                       wrong[i].offset, wrong[i].bytes) == QY_INVALID_ARGUMENT;
    root_check(root, refused, "a request outside of disk or frame was not refused");
    qy_handle_t looker;
    enum qy_error error = drive_copy(disk->frame, QY_RIGHT_READ | QY_RIGHT_GRANT, 0, &looker);
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
        refused &= block_call(disk->drive.given[BLOCK_ENDPOINT], calls[i].label, calls[i].frame, 0,
                              0, 512) == calls[i].error;
    root_check(root, refused, "a request without the right to it was not refused");
}

/* The device's own word: 0 = it has been reset. */
static uint32_t status_of(const struct disk *disk)
{
    struct virtio_access access;
    if (virtio_access_init(&access, &disk->drive.place, (volatile uint8_t *)REGISTERS) != QY_OK)
        return UINT32_MAX;
    return virtio_access_read(&access, VIRTIO_STATUS);
}

/*
 * A client that has pinned its frame for the device takes it back: nothing it does leaves the device with memory that is
 * not its driver's, and the driver opens the device again for whoever comes next.
 */
static void try_pins(const struct disk *disk)
{
    struct root *root = disk->drive.root;
    const qy_handle_t dma = disk->drive.given[BLOCK_DMA];
    for (unsigned by_revoke = 0; by_revoke < 2; by_revoke++) {
        qy_handle_t lent;
        bool held = drive_copy(disk->frame, QY_RIGHT_READ | QY_RIGHT_WRITE, 0, &lent) == QY_OK &&
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

/* The program that tries a disk of a use; its first argument is null: none does. */
static const char *const *program_of(enum disk_use use)
{
    static const char *const swapping[] = {"swapping", "disk", NULL};
    static const char *const filing[] = {"filing", NULL};
    static const char *const cutting[] = {"cutting", NULL};
    static const char *const none[] = {NULL};
    return use == DISK_SWAP    ? swapping
           : use == DISK_FILES ? filing
           : use == DISK_CUTS  ? cutting
                               : none;
}

static void use(struct disk *disk)
{
    struct root *root = disk->drive.root;
    enum qy_error error = block_info(disk->drive.given[BLOCK_ENDPOINT], &disk->info);
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
    const char *const *program = program_of(error == QY_OK ? disk_use_of(buffer) : DISK_OTHER);
    if (program[0]) {
        if (disk->used)
            return;
        disk->used = true;
        root_check(root, run_given(root, program, disk->drive.given[BLOCK_ENDPOINT]),
                   "the program that uses the disk did not end well");
        return;
    }
    if (error != QY_OK || disk_use_of(buffer) != DISK_TEST ||
        disk->info.sectors > TEST_SECTORS_MAX * LINE_BYTES / VIRTIO_SECTOR) {
        print("disk: it does not begin with \"" DISK_TEST_MAGIC
              "\", so nothing is written to it\n");
        return;
    }
    buffer[VIRTIO_SECTOR - 1] = 0;
    print("disk: it says: %s", buffer);
    bool written = run_over(disk, BLOCK_WRITE);
    error = block_call(disk->drive.given[BLOCK_ENDPOINT], BLOCK_FLUSH, 0, 0, 0, 0);
    bool read = run_over(disk, BLOCK_READ);
    root_said(error, "flush what was written");
    root_check(root, written && error == QY_OK && read,
               "the disk does not hold what was written to it");
    bool told = block_info(disk->drive.given[BLOCK_ENDPOINT], &disk->info) == QY_OK &&
                disk->info.interrupts;
    root_check(root, told, "no interrupt of the disk came");
    print("disk: %llu sectors %s, %llu interrupts\n", (unsigned long long)disk->info.sectors - 1,
          written && read ? "written and read back" : "NOT written and read back",
          (unsigned long long)disk->info.interrupts);
}

/* The driver ends in the middle of its life: what it had is free, after the device has stopped. */
static void take_back(struct disk *disk)
{
    enum qy_error error = process_destroy(&disk->drive.process);
    root_said(error, "take its driver away, with all that it had");
    root_check(disk->drive.root, error == QY_OK, "the driver could not be taken back");
    root_check(disk->drive.root,
               block_info(disk->drive.given[BLOCK_ENDPOINT], &disk->info) == QY_INVALID_HANDLE,
               "the driver answers after its end");
}

/* A client's memory, which outlives drivers. */
static enum qy_error client_make(struct disk *disk)
{
    enum qy_error error =
        slot_make(disk->drive.root->untyped, QY_OBJ_UNTYPED, CLIENT_PAGES, &disk->drive.memory);
    if (error == QY_OK)
        error = slot_make(disk->drive.memory, QY_OBJ_FRAME, BUFFER_PAGES, &disk->frame);
    return error == QY_OK ? drive_map(disk->drive.memory, disk->frame, BUFFER, 0) : error;
}

static enum qy_error drive(struct disk *disk, unsigned n)
{
    struct root *root = disk->drive.root;
    enum qy_error error = client_make(disk);
    if (error == QY_OK)
        error = bus_find(root, disk->drive.memory, n, &disk->drive.place);
    if (error == QY_OK)
        print("disk: number %u, virtio by %s at %R, line %u\n", n,
              disk->drive.place.pci ? "PCI" : "registers", disk->drive.place.address,
              disk->drive.place.line);
    for (unsigned turn = 0; turn < DRIVERS && error == QY_OK; turn++) {
        error = drive_start(&disk->drive);
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
    disk = (struct disk){.drive = {.root = root, .registers = REGISTERS}};
    enum qy_error error = drive(&disk, n);
    bool found = error != QY_NOT_FOUND;
    root_check(root, !found || error == QY_OK, "a disk could not be driven");
    bool gone = cap_revoke(disk.drive.memory) == QY_OK && cap_delete(disk.drive.memory) == QY_OK;
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
