/*
 * The kernel's half of every address space, written once: the constants, the compile-time checks, the picture in
 * docs/layout.md and the check of the live page tables at boot are all made from this table. The same on x86-64
 * (4 levels) and RISC-V (Sv48).
 */
#ifndef KERNEL_LAYOUT_H
#define KERNEL_LAYOUT_H

#include <qy/config.h>
#include <stdint.h>

/*
 * X(NAME, first byte, last byte, what stands there, flags that every mapping in it has at most)
 * flags: r w x as in a listing, u = uncached allowed
 */
#define KERNEL_LAYOUT(X)                                                                           \
    X(USER, 0x0000000000000000, 0x00007fffffffffff, "programs; page 0 is never mapped", "")        \
    X(DIRECT_MAP, 0xffff800000000000, 0xffffbfffffffffff, "all RAM at its physical address + base", "rw") \
    X(FRAME_DB, 0xffffc00000000000, 0xffffc07fffffffff, "frame database, where there is RAM", "rw") \
    X(HEAP, 0xffffd00000000000, 0xffffd07fffffffff, "stacks and guarded allocations, guard pages between", "rw") \
    X(CPU_AREAS, 0xffffff8000000000, 0xffffff81ffffffff, "per-CPU areas, 512 of 16 MiB", "rw")      \
    X(IMAGE, 0xffffffff80000000, 0xffffffff9fffffff, "kernel text, constants, data", "rwx")         \
    X(HOLE, 0xffffffffa0000000, 0xffffffffbfffffff, "nothing", "")                                  \
    X(DEVICES, 0xffffffffc0000000, 0xffffffffffffffff, "device registers, uncached", "rwu")

#define X(NAME, first, last, what, flags)                                                          \
    static const uint64_t KERNEL_##NAME##_BASE = first##ull;                                       \
    static const uint64_t KERNEL_##NAME##_LAST = last##ull;                                        \
    _Static_assert(first##ull < last##ull && first##ull % 4096 == 0 && last##ull % 4096 == 4095,   \
                   #NAME " is not whole pages");
KERNEL_LAYOUT(X)
#undef X

enum kernel_window {
#define X(NAME, first, last, what, flags) KERNEL_WINDOW_##NAME,
    KERNEL_LAYOUT(X)
#undef X
        KERNEL_WINDOW_COUNT /* what lies in none */
};

/* The window that an address lies in. Windows that overlap do not compile: they would be duplicate cases. */
static inline enum kernel_window kernel_window_of(uint64_t address)
{
    switch (address) {
#define X(NAME, first, last, what, flags)                                                          \
    case first##ull ... last##ull:                                                                 \
        return KERNEL_WINDOW_##NAME;
        KERNEL_LAYOUT(X)
#undef X
    default:
        return KERNEL_WINDOW_COUNT;
    }
}

static inline const char *kernel_window_what(enum kernel_window window)
{
    static const char *const what_of[] = {
#define X(NAME, first, last, what, flags) what,
        KERNEL_LAYOUT(X)
#undef X
        "no window of the kernel's layout"};
    return what_of[window];
}

/* The three tables of the frame database inside its window. */
#define KERNEL_FRAMES_BASE 0xffffc00000000000ull   /* 16 bytes a frame: 256 GiB for 64 TiB */
#define KERNEL_BLOCKS_BASE 0xffffc04000000000ull   /* up to 128 bytes a block: 4 GiB */
#define KERNEL_SECTIONS_BASE 0xffffc06000000000ull /* up to 64 bytes a section: 32 MiB */

#define KERNEL_CPU_AREA_BYTES 0x1000000ull /* 16 MiB */
#define KERNEL_CPUS_MAX ((unsigned)QY_CONFIG_MAX_CPUS) /* the windows have room for 512 */

/*
 * Stacks in the heap window: a slot of 64 KiB for each stack of each CPU, the stack at its top, all below it unmapped:
 *     | unmapped (guard) ......................... | stack, 16 KiB |
 */
#define KERNEL_STACK_SLOT_BYTES 0x10000ull
#define KERNEL_STACK_BYTES 0x4000ull
enum kernel_stack { KERNEL_STACK_MAIN, KERNEL_STACK_FAULT, KERNEL_STACK_KINDS };

static inline uint64_t kernel_stack_top(unsigned cpu, enum kernel_stack kind)
{
    return KERNEL_HEAP_BASE + ((uint64_t)cpu * KERNEL_STACK_KINDS + kind + 1) * KERNEL_STACK_SLOT_BYTES;
}

/* Guarded allocations in the heap window: slots of 32 KiB, an unmapped page before, between and after them. */
#define KERNEL_GUARD_OFFSET 0x40000000ull /* in the heap window, above the stacks of 512 CPUs */
#define KERNEL_GUARD_BASE (KERNEL_HEAP_BASE + KERNEL_GUARD_OFFSET)
#define KERNEL_GUARD_SLOTS 128u
#define KERNEL_GUARD_SLOT_PAGES 8u
#define KERNEL_GUARD_BYTES ((KERNEL_GUARD_SLOTS * (KERNEL_GUARD_SLOT_PAGES + 1ull) + 1) * 4096)
_Static_assert(KERNEL_GUARD_OFFSET >= 512 * KERNEL_STACK_KINDS * KERNEL_STACK_SLOT_BYTES,
               "guarded allocations begin where the stacks end");

/* Registers of programs' devices, one access at a time; under the table that the kernel's own registers have anyway. */
#define KERNEL_REGISTER_PAGE (KERNEL_DEVICES_BASE + 0x1ff000ull)

static inline uint64_t kernel_cpu_area(unsigned cpu)
{
    return KERNEL_CPU_AREAS_BASE + cpu * KERNEL_CPU_AREA_BYTES;
}

#endif
