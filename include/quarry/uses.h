/*
 * What Quarry does with each byte of the firmware's usable memory, and what a frame is, written once: the boot table,
 * records and the root task's summary name uses and states with these words.
 */
#ifndef QUARRY_USES_H
#define QUARRY_USES_H

/* X(NAME, name, owner) */
#define QY_MEM_USES(X)                                                                             \
    X(FREE, "free", "-")                                                                           \
    X(NOT_RAM, "not RAM of ours", "firmware")                                                      \
    X(FRAME_ZERO, "frame 0, withheld", "nobody")                                                   \
    X(ROUNDED, "part of a page", "nobody")                                                         \
    X(BEYOND, "beyond the CPU's physical addresses", "nobody")                                     \
    X(HOTPLUG, "hot-pluggable, withheld", "nobody")                                                \
    X(KEPT, "kept for the firmware", "firmware")                                                   \
    X(TRAMPOLINE, "start of other CPUs", "kernel")                                                 \
    X(KERNEL_TEXT, "kernel text", "kernel")                                                        \
    X(KERNEL_RODATA, "kernel constants", "kernel")                                                 \
    X(KERNEL_DATA, "kernel data", "kernel")                                                        \
    X(BOOT_ARCHIVE, "boot archive", "kernel")                                                      \
    X(BOOT_DATA, "boot structures", "kernel")                                                      \
    X(PAGE_TABLES, "kernel page tables", "kernel")                                                 \
    X(FRAME_DB, "frame database", "kernel")                                                        \
    X(CPU_AREAS, "CPU areas and stacks", "kernel")                                                 \
    X(KERNEL_ARENA, "kernel arena", "kernel")                                                      \
    X(UNTYPED, "untyped", "root task")

enum qy_mem_use {
#define X(NAME, name, owner) QY_USE_##NAME,
    QY_MEM_USES(X)
#undef X
        QY_USE_COUNT
};

/* X(NAME, name): the states of a frame. CHILD only counts, in the parent: the frames have the child's states. */
#define QY_FRAME_STATES(X)                                                                         \
    X(RESERVED, "reserved")                                                                        \
    X(FREE, "free")                                                                                \
    X(OBJECT, "object")                                                                            \
    X(SLAB, "slab")                                                                                \
    X(TABLE, "table")                                                                              \
    X(USER, "user")                                                                                \
    X(DEVICE, "device")                                                                            \
    X(CHILD, "child arena")                                                                        \
    X(METADATA, "metadata")                                                                        \
    X(CACHED, "in a CPU's cache")

enum qy_frame_state {
#define X(NAME, name) QY_FRAME_##NAME,
    QY_FRAME_STATES(X)
#undef X
        QY_FRAME_STATE_COUNT
};

#endif
