/*
 * A driver of virtio block devices (virtio 1.x), behind PCI or registers in memory.
 *
 *     virtio_pci.c      where the device's registers are, and its line: bus 0 of PCI
 *     virtio_access.c   its registers by name, whichever way they are reached
 *     virtio_queue.c    the split virtqueue: requests to the device, and what it has done
 *     virtio_blk.c      read, write, flush, capacity; one request at a time
 *
 * Nothing that a device says is believed before it has been checked: what it may write is only read once, its indices
 * are compared with private ones, and chains of descriptors are remembered outside of the memory that it shares. A
 * device that breaks the rules, does not answer, has reset itself or vanished is reset and gives an error; it is used
 * again after virtio_blk_open.
 *
 * One thread, no locks; nothing is allocated. Cost: a handful of register accesses a request, whatever its size.
 * Reference: OASIS, Virtual I/O Device (VIRTIO) Version 1.1: 2.6 (split virtqueues), 3.1 (initialisation), 4.1, 4.2,
 * 5.2.
 */
#ifndef DRIVERS_VIRTIO_H
#define DRIVERS_VIRTIO_H

#include <quarry/errors.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Areas of registers, and X(name, by PCI: area, width, offset, by memory: area, width, offset). Width 0: there is
 * none.
 */
enum virtio_area { VIRTIO_COMMON, VIRTIO_NOTIFY, VIRTIO_ISR, VIRTIO_CONFIG, VIRTIO_AREAS };
#define VIRTIO_REGISTERS(X)                                                                        \
    X(DEVICE_FEATURES, COMMON, 4, 0x04, COMMON, 4, 0x010)                                          \
    X(DEVICE_FEATURES_SELECT, COMMON, 4, 0x00, COMMON, 4, 0x014)                                   \
    X(DRIVER_FEATURES, COMMON, 4, 0x0c, COMMON, 4, 0x020)                                          \
    X(DRIVER_FEATURES_SELECT, COMMON, 4, 0x08, COMMON, 4, 0x024)                                   \
    X(STATUS, COMMON, 1, 0x14, COMMON, 4, 0x070)                                                   \
    X(GENERATION, COMMON, 1, 0x15, COMMON, 4, 0x0fc)                                               \
    X(QUEUE_SELECT, COMMON, 2, 0x16, COMMON, 4, 0x030)                                             \
    X(QUEUE_MAX, COMMON, 2, 0x18, COMMON, 4, 0x034)                                                \
    X(QUEUE_SIZE, COMMON, 2, 0x18, COMMON, 4, 0x038)                                               \
    X(QUEUE_READY, COMMON, 2, 0x1c, COMMON, 4, 0x044)                                              \
    X(QUEUE_NOTIFY_PLACE, COMMON, 2, 0x1e, COMMON, 0, 0)                                           \
    X(QUEUE_DESC, COMMON, 4, 0x20, COMMON, 4, 0x080)                                               \
    X(QUEUE_DESC_HIGH, COMMON, 4, 0x24, COMMON, 4, 0x084)                                          \
    X(QUEUE_AVAIL, COMMON, 4, 0x28, COMMON, 4, 0x090)                                              \
    X(QUEUE_AVAIL_HIGH, COMMON, 4, 0x2c, COMMON, 4, 0x094)                                         \
    X(QUEUE_USED, COMMON, 4, 0x30, COMMON, 4, 0x0a0)                                               \
    X(QUEUE_USED_HIGH, COMMON, 4, 0x34, COMMON, 4, 0x0a4)                                          \
    X(QUEUE_NOTIFY, NOTIFY, 2, 0, COMMON, 4, 0x050)                                                \
    X(INTERRUPT_STATUS, ISR, 1, 0, COMMON, 4, 0x060)                                               \
    X(INTERRUPT_ACKNOWLEDGE, ISR, 0, 0, COMMON, 4, 0x064)                                          \
    X(CAPACITY, CONFIG, 4, 0, COMMON, 4, 0x100)                                                    \
    X(CAPACITY_HIGH, CONFIG, 4, 4, COMMON, 4, 0x104)

enum virtio_register {
#define X(name, area, width, offset, area2, width2, offset2) VIRTIO_##name,
    VIRTIO_REGISTERS(X)
#undef X
        VIRTIO_REGISTER_COUNT
};

/* Where a device is: its registers, its line, and the register that stops it when 0 is written to it (kernel/dma.h). */
struct virtio_place {
    uint64_t address, bytes; /* physical; a power of two, aligned to it */
    bool pci;
    uint32_t area[VIRTIO_AREAS]; /* offsets */
    uint32_t notify_step;        /* bytes from one queue's notification to the next one's */
    uint32_t line;
    uint32_t stop_offset, stop_width;
};

/* How the driver gets at a device. */
struct virtio_device {
    uint32_t (*read)(void *context, enum virtio_register name);
    void (*write)(void *context, enum virtio_register name, uint32_t value);
    /* Until it may have done something; first: of a new request. False: it has had all its time. */
    bool (*wait)(void *context, bool first);
    void *context;
};

/* The registers of a place, mapped at an address. */
struct virtio_access {
    volatile uint8_t *area[VIRTIO_AREAS];
    bool pci;
};

/* Errors: CORRUPT (a register would lie outside of the place). */
enum qy_error virtio_access_init(struct virtio_access *access, const struct virtio_place *place,
                                 volatile uint8_t *registers);
uint32_t virtio_access_read(void *access, enum virtio_register name);
void virtio_access_write(void *access, enum virtio_register name, uint32_t value);

/* A page of registers in memory at an address: is it a block device? If so, *place is filled but for the line. */
bool virtio_mmio_find(volatile uint8_t *registers, uint64_t address, struct virtio_place *place);

/* PCI configuration space of bus 0: device << 11 | function << 8 | register. */
struct virtio_pci_bus {
    uint32_t (*read)(void *context, uint32_t at);
    void (*write)(void *context, uint32_t at, uint32_t value);
    void *context;
    uint64_t window, window_end; /* physical addresses for devices that firmware gave none */
    uint32_t first_line;         /* of four that pins of devices go to in turns */
};

/*
 * The n-th block device, made ready to be mapped. Errors: NOT_FOUND; UNSUPPORTED (no registers of virtio 1, not
 * behind one memory BAR, no line); OUT_OF_MEMORY (the window is too small); CORRUPT (capabilities outside of the
 * BAR).
 */
enum qy_error virtio_pci_find(struct virtio_pci_bus *bus, unsigned n, struct virtio_place *place);

#define VIRTQ_SIZE 16u

struct virtq_part {
    uint64_t address; /* physical */
    uint32_t bytes;
    bool device_writes;
};

/* What driver and device share, in one piece of physical memory. */
struct virtq_memory {
    struct {
        uint64_t address;
        uint32_t bytes;
        uint16_t flags, next;
    } desc[VIRTQ_SIZE];
    struct {
        uint16_t flags, index, ring[VIRTQ_SIZE], event;
    } avail;
    struct {
        uint16_t flags, index;
        struct {
            uint32_t id, bytes;
        } ring[VIRTQ_SIZE];
        uint16_t event;
    } used __attribute__((aligned(4)));
};

/* Invariant: each descriptor is in the free list or in one chain in flight; `chain` is not 0 at heads of those only. */
struct virtq {
    volatile struct virtq_memory *memory;
    uint16_t size, free, free_count, in_flight;
    uint16_t avail, used;          /* how many chains went to the device, and came back */
    uint16_t next[VIRTQ_SIZE];     /* of the free list and of chains */
    uint16_t chain[VIRTQ_SIZE];    /* parts of the chain that begins here */
    uint64_t writable[VIRTQ_SIZE]; /* bytes of it that the device may write */
};

/* Empty, with a size of at most VIRTQ_SIZE, a power of two. */
void virtq_init(struct virtq *queue, volatile struct virtq_memory *memory, uint16_t size);
/* Hand a chain to the device; *head names it. Errors: TOO_MANY. */
enum qy_error virtq_add(struct virtq *queue, const struct virtq_part *parts, unsigned count,
                        uint16_t *head);
/*
 * A chain that the device has done, and the bytes that it says it wrote. Errors: WOULD_WAIT; CORRUPT (it cannot be
 * so).
 */
enum qy_error virtq_take(struct virtq *queue, uint16_t *head, uint32_t *bytes);

/* All that the device and the driver share but the data: it fits one page. */
struct virtio_blk_memory {
    struct virtq_memory queue;
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header;
    uint8_t status;
};

#define VIRTIO_SECTOR 512u
enum virtio_blk_type { VIRTIO_BLK_READ = 0, VIRTIO_BLK_WRITE = 1, VIRTIO_BLK_FLUSH = 4 };

struct virtio_blk {
    const struct virtio_device *device;
    volatile struct virtio_blk_memory *memory;
    uint64_t physical; /* of the memory */
    struct virtq queue;
    uint64_t sectors;
    bool read_only, flushes, open;
};

/*
 * Reset the device and make it ready. Errors: DEAD (it does not reset), UNSUPPORTED (virtio 1 is not offered, or no
 * queue), CORRUPT.
 */
enum qy_error virtio_blk_open(struct virtio_blk *blk, const struct virtio_device *device,
                              volatile struct virtio_blk_memory *memory, uint64_t physical);

/* Is it open, and has nobody reset it since? */
bool virtio_blk_is_running(const struct virtio_blk *blk);

/*
 * Read or write whole sectors to or from one piece of physical memory, or flush what was written (no memory), and wait
 * for it. Errors: INVALID_ARGUMENT (no whole sectors, or not on the disk), NO_RIGHTS (a disk that can only be read),
 * IO_ERROR (the device says that it failed, or read too little), UNSUPPORTED; CORRUPT and DEAD close the device,
 * which may not have been stopped: it breaks the rules; does not answer, was reset, has vanished, or is not open.
 */
enum qy_error virtio_blk_request(struct virtio_blk *blk, enum virtio_blk_type type, uint64_t sector,
                                 uint64_t physical, uint64_t bytes);

#endif
