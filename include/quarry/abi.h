/*
 * What the kernel and a program agree on beside the tables: handles, flags, labels, and the page that the
 * root task finds at its start.
 */
#ifndef QUARRY_ABI_H
#define QUARRY_ABI_H

#include <quarry/access.h>
#include <quarry/errors.h>
#include <quarry/invocations.h>
#include <quarry/objects.h>
#include <stdint.h>

#define QY_ABI_VERSION 1

/* A handle: index of a slot in the thread's capability node, and the slot's generation above bit 32. 0 is null. */
typedef uint64_t qy_handle_t;
#define QY_HANDLE_INDEX(handle) ((uint32_t)(handle))
#define QY_HANDLE_GENERATION(handle) ((uint32_t)((handle) >> 32))

/* Flags of a mapping. Device memory is mapped with one of the two memory types, RAM with neither. */
#define QY_MAP_READ 1u
#define QY_MAP_WRITE 2u
#define QY_MAP_EXEC 4u
#define QY_MAP_WRITE_THROUGH 8u
#define QY_MAP_UNCACHED 16u
#define QY_MAP_ALL 31u

/* Frames that one DMA device object can have pinned at a time. */
#define QY_DMA_PINS 32u

/* I/O ports of a machine that has them (x86-64). */
#define QY_PORTS 0x10000u

/*
 * What space_map_region is asked for: QY_MAP_* rights, what the region is for, and what is behind it: memory of zeroes,
 * or one of
 *   GUARD    no memory but a page that is not to be touched; touched nevertheless, it moves one page on (down from a
 *            STACK, up from the others), as often as x4 says, and memory takes its place
 *   OBJECT   the pages of the memory object x5 from number x4 on; PRIVATE: what is written is a copy, the region's own
 *   PAGER    each page is asked of the space's handler when it is touched, by its number, which counts from x4 on
 * Memory of zeroes comes in pages of 4 KiB, or
 *   GROW     each 2 MiB becomes one page where it lies when its last page has been touched, if the budget has a block for it
 *   PAGES_2M, PAGES_1G   pages of that size when they are touched; the region is whole ones. No such block: EXHAUSTED
 * and what is unmapped or protected in part, cloned, moved or evicted is divided where it lies.
 * Address 0 lets the kernel choose where: behind what it chose last. With ABOVE it chooses from that address on instead, this
 * time and later; so do the kernel's choices in clones.
 */
#define QY_REGION(kind) ((uint64_t)(kind) << 8)
#define QY_REGION_GUARD (1ull << 16)
#define QY_REGION_OBJECT (1ull << 17)
#define QY_REGION_PRIVATE (1ull << 18)
#define QY_REGION_PAGER (1ull << 19)
#define QY_REGION_ABOVE (1ull << 20)
#define QY_REGION_GROW (1ull << 21)
#define QY_REGION_PAGES_2M (1ull << 22)
#define QY_REGION_PAGES_1G (1ull << 23)
#define QY_REGION_PAGES (QY_REGION_GROW | QY_REGION_PAGES_2M | QY_REGION_PAGES_1G)
#define QY_REGION_BACKINGS (QY_REGION_GUARD | QY_REGION_OBJECT | QY_REGION_PAGER)
#define QY_REGION_FLAGS                                                                            \
    (QY_MAP_READ | QY_MAP_WRITE | QY_MAP_EXEC | QY_REGION(7) | QY_REGION_BACKINGS | QY_REGION_PRIVATE | \
     QY_REGION_ABOVE | QY_REGION_PAGES)

/* Pages that a memory object can have, and that memory_supply takes at a time. */
#define QY_MEMORY_PAGES_MAX (1ull << 34)
#define QY_SUPPLY_MAX 64u
#define QY_WRITTEN_MAX 64u

/* Slots that a memory object can have as a swap area, and pages that space_evict and memory_restore take at a time. */
#define QY_SLOTS_MAX (1ull << 25)
#define QY_EVICT_MAX 64u

/* What space_query says of a region: its rights, its kind, what is behind it, QY_REGION_PAGES, and the most rights that it may be given. */
#define QY_QUERY_KIND(flags) ((unsigned)((flags) >> 8) & 7)
#define QY_QUERY_BACKING(flags) ((unsigned)((flags) >> 16) & 15)
#define QY_QUERY_MAX(flags) ((unsigned)((flags) >> 24) & 7)
#define QY_QUERY_MORE (1ull << 27) /* the region goes on at its end: that was all that one call looks at */
enum qy_backing {
    QY_BACKED_NOT,
    QY_BACKED_ANONYMOUS,
    QY_BACKED_OBJECT,
    QY_BACKED_PAGER,
    QY_BACKED_SWAP,
    QY_BACKED_GUARD,
    QY_BACKED_REVOKED,
    QY_BACKED_FRAMES
};

/*
 * Labels of a fault message: bits 0..7 say that it is one, 8..15 the access (enum qy_access), 16..23 what stood at the address,
 * 24..57 the page's number if that was PAGER or BEHIND_END: in its memory object, or as the region counts. Its words are the address (exception: its number), the instruction and the thread's object.
 * X(NAME, words)
 */
#define QY_LABEL_FAULT 0xf1u
#define QY_FOUNDS(X)                                                                               \
    X(NOTHING, "nothing mapped")                                                                   \
    X(PROTECTED, "protected")                                                                      \
    X(EXCEPTION, "exception")                                                                      \
    X(REVOKED, "revoked")                                                                          \
    X(GUARD, "guard")                                                                              \
    X(EXHAUSTED, "no memory left in the budget")                                                   \
    X(PAGER, "left to a pager")                                                                    \
    X(BEHIND_END, "behind the end of its memory object")

enum qy_fault_found {
#define X(NAME, words) QY_FOUND_##NAME,
    QY_FOUNDS(X)
#undef X
        QY_FOUND_COUNT
};

static inline const char *qy_found_words(enum qy_fault_found found)
{
    static const char *const words[] = {
#define X(NAME, words) words,
        QY_FOUNDS(X)
#undef X
    };
    return (unsigned)found < QY_FOUND_COUNT ? words[found] : "?";
}

#define QY_FAULT_LABEL(access, found)                                                              \
    (QY_LABEL_FAULT | (uint64_t)(access) << 8 | (uint64_t)(found) << 16)
#define QY_FAULT_ACCESS(label) ((enum qy_access)((label) >> 8 & 0xff))
#define QY_FAULT_FOUND(label) ((enum qy_fault_found)((label) >> 16 & 0xff))
#define QY_FAULT_PAGE(label) ((label) >> 24 & ((1ull << 34) - 1))
/* Labels with which a handler answers a fault. */
#define QY_FAULT_RESUME 0u
#define QY_FAULT_KILL 1u

/*
 * The two highest bits of a label are the kernel's; who sends with them set gets INVALID_ARGUMENT. CAPABILITY: a
 * capability came with the message and stands in the receiver's slot. NOTIFIED: this is no message but the word of
 * the notification that is bound to the receiver, in place of the badge.
 */
#define QY_LABEL_CAPABILITY (1ull << 63)
#define QY_LABEL_NOTIFIED (1ull << 62)

/* What thread_info says that a thread is doing. X(NAME, value, name) */
#define QY_THREAD_STATES(X)                                                                        \
    X(NEW, 0, "not started")                                                                       \
    X(READY, 1, "ready")                                                                           \
    X(RUNNING, 2, "running")                                                                       \
    X(SENDING, 3, "waiting to send")                                                               \
    X(RECEIVING, 4, "waiting to receive")                                                          \
    X(CALLING, 5, "waiting for a reply")                                                           \
    X(FAULTED, 6, "waiting for its fault handler")                                                 \
    X(SUSPENDED, 7, "suspended")                                                                   \
    X(DEAD, 8, "dead")                                                                             \
    X(WAITING, 9, "waiting for a notification")

enum qy_thread_state {
#define X(NAME, value, name) QY_THREAD_##NAME = (value),
    QY_THREAD_STATES(X)
#undef X
};

/* Priorities of threads: higher runs first, equals take turns. */
#define QY_PRIORITIES 64u
#define QY_PRIORITY_DEFAULT 32u
/* In place of the number of a CPU: one of the node that the thread's memory is on. */
#define QY_CPU_ANY 0xffffu

/* Slots of the root task's capability node that are filled at boot; untypeds follow from QY_SLOT_UNTYPED, then device memory. */
enum qy_root_slot {
    QY_SLOT_NODE = 1,
    QY_SLOT_SPACE = 2,
    QY_SLOT_THREAD = 3,
    QY_SLOT_CONSOLE = 4,
    QY_SLOT_SYSTEM = 5,
    QY_SLOT_UNTYPED = 8,
};

/* Where the root task finds its information page (read-only) and the boot archive (read-only). */
#define QY_ROOT_INFO_ADDRESS 0x0000000000010000ull
#define QY_ROOT_ARCHIVE_ADDRESS 0x0000000100000000ull
#define QY_ROOT_STACK_TOP 0x00007fffffff0000ull

struct qy_root_info {
    uint32_t version; /* QY_ABI_VERSION */
    uint32_t bytes;   /* sizeof of this structure in the kernel */
    uint32_t cpus;
    uint32_t nodes;
    uint32_t untypeds;   /* their handles are QY_SLOT_UNTYPED + i, largest first */
    uint32_t node_slots; /* capacity of the capability node */
    uint32_t free_slot;  /* the first empty slot */
    uint32_t
        devices; /* device memory: handles are QY_SLOT_UNTYPED + untypeds + i, lowest address first */
    uint64_t clock_hz; /* ticks per second of the user-readable clock, 0 if unknown */
    uint64_t archive_bytes;
    char machine[48]; /* "x86_64" or "riscv64", then how it booted */
    char command_line[512];
    uint8_t seed[32];     /* nobody else has it: for what is to be hard to guess, such as addresses of programs */
    uint64_t entropy;     /* QY_ENTROPY_*: what is in it */
};

/* What the seed was made of, beside the time that booting took. None: it can be guessed. */
#define QY_ENTROPY_CPU 1u      /* the processor's generator */
#define QY_ENTROPY_FIRMWARE 2u /* the device tree's seeds, or UEFI's random numbers */

#endif
