/*
 * Devices of programs: interrupts, ranges of I/O ports, and frames of device memory.
 *
 *     device line --> controller --> entry_interrupt --> interrupt --> notification --> driver
 *                        ^ held back                                                      |
 *                        '------------------------- interrupt_acknowledge ----------------'
 *
 * Device memory is what no memory of the firmware's map covers; the root task gets an object for each stretch of it.
 * A frame of it has two origins: the device memory that it is made of, and the untyped that pays for its header.
 * Its capabilities hang from an anchor in the header, and both origins list the frame, so a revoke of either finds
 * them:
 *
 *     device memory --frames--> frame <--device_frames-- untyped
 *           '--tree--> by address  '-- anchor -- capabilities
 *
 * The tree is a digital search tree over page numbers: the path of a block meets every block that overlaps it.
 *
 * Invariants
 *   INT-BOUND   an interrupt that has a notification is the one that its number finds, and is in the notification's list
 *   DEV-FRAMES  frames of device memory are disjoint, and lie inside it; those that have a capability, and no others, are
 *               in the lists of both their origins
 * Locking: qy_class_caps. Cost: O(1); device_frame_make O(bits of an address).
 * Reference for the tree: E. G. Coffman, J. Eve, File Structures Using Hashing Functions (1970).
 */
#ifndef KERNEL_DEVICE_H
#define KERNEL_DEVICE_H

#include <kernel/teardown.h>
#include <platform/parse.h>

struct notification;

/* The line of a device. After a signal nothing is signalled until it is acknowledged. */
struct interrupt {
    struct object object;
    struct notification *notification; /* null = not bound to a number */
    struct interrupt *next, *prev;     /* of that notification */
    struct binding binding;            /* to that notification */
    uint64_t bits;                     /* to signal */
    uint32_t number;
    bool edge;  /* the line tells of changes: one that nobody sees is lost */
    bool taken; /* signalled, and not acknowledged */
    bool again; /* and came once more meanwhile */
};

/* I/O ports [first, first + count); count 0 = not bound. */
struct io_ports {
    struct object object;
    uint32_t first, count;
};

struct device_memory {
    struct object object;
    pfn_t first;
    uint64_t pages;
    uint64_t count;              /* frames that exist */
    struct device_frame *frames; /* that have a capability */
    struct device_frame *tree;   /* all, by address */
};

enum device_origin { DEVICE_PAYER, DEVICE_MEMORY, DEVICE_ORIGINS };

/* A frame object with OBJECT_DEVICE: no memory of its untyped but the header. */
struct device_frame {
    struct frame frame;
    struct slot anchor; /* parent of its capabilities */
    struct device_memory *device;
    struct device_frame *next[DEVICE_ORIGINS], **at[DEVICE_ORIGINS]; /* of each origin's list, and what points here */
    struct device_frame *below[2];                                   /* in the tree */
};

/*
 * Bind the interrupt that `by` names to the number of a line, which the CPU that asks will serve, and to the
 * notification of `to`, until either capability goes. Errors: INVALID_ARGUMENT, UNSUPPORTED, BUSY, REVOKED.
 */
enum qy_error interrupt_bind(struct slot *by, uint64_t number, struct slot *to) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* The next one may come. Errors: NOT_FOUND (none has been signalled). */
enum qy_error interrupt_acknowledge(struct interrupt *interrupt) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* Let go of its number, if it has one: the line is off. */
void interrupt_unbind(struct interrupt *interrupt) QY_REQUIRES(qy_class_caps);

/* A line has raised an interrupt. Called at a CPU's entry, without locks. */
void interrupt_raised(uint32_t number) QY_EXCLUDES(qy_class_caps);

/* Let go of its ports, if it has any. */
void ports_release(struct io_ports *ports) QY_REQUIRES(qy_class_caps);

/*
 * A frame of device memory, with its capability in an empty slot; pages is a power of two, and the address aligned to
 * it. Errors: INVALID_ARGUMENT (not aligned, outside, too large), BUSY (overlaps a frame that exists), OUT_OF_MEMORY.
 */
enum qy_error device_frame_make(struct device_memory *device, struct untyped *payer,
                                uint64_t address, uint64_t pages, struct slot *slot,
                                struct shortage *shortage) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/* Its last capability has gone: no origin finds it any more. */
void device_frame_doom(struct device_frame *frame) QY_REQUIRES(qy_class_caps);

/* No CPU translates to it any more: another frame may have its addresses. */
void device_frame_forget(struct device_frame *frame) QY_REQUIRES(qy_class_caps);

/*
 * Device memory [base, end), whole pages, with its header from an untyped and its capability in an empty slot. Boot.
 * Errors: OUT_OF_MEMORY.
 */
enum qy_error device_memory_make(struct untyped *from, uint64_t base, uint64_t end,
                                 struct slot *slot) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/* Null, or the id of the first invariant that does not hold. O(frames). */
const char *device_memory_check(const struct device_memory *device) QY_REQUIRES(qy_class_caps);
const char *interrupt_check(const struct interrupt *interrupt) QY_REQUIRES(qy_class_caps);

#endif
