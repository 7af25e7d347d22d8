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

/*
 * Where what stands in a window begins: with its first byte or, if the boot option kaslr asks for it, any number of
 * units behind that, as far as there is room (kernel/boot/kaslr.c). Chosen once, before the final tables are built.
 * X(name, window, unit in bytes, what)
 */
#define KERNEL_IMAGE_UNIT 0x1000ull
#define KERNEL_PLACES(X)                                                                           \
    X(direct_map, DIRECT_MAP, 0x40000000, "direct map")                                            \
    X(frame_db, FRAME_DB, 0x200000, "frame database")                                              \
    X(heap, HEAP, 0x10000, "stacks and guarded allocations")                                        \
    X(cpu_areas, CPU_AREAS, 0x1000, "per-CPU areas")                                               \
    X(image, IMAGE, KERNEL_IMAGE_UNIT, "kernel image")                                                        \
    X(devices, DEVICES, 0x200000, "device registers")

struct kernel_base {
#define X(name, window, unit, what) uint64_t name;
    KERNEL_PLACES(X)
#undef X
};

#define KERNEL_FIRST_BYTES                                                                         \
    {                                                                                              \
        KERNEL_PLACES(KERNEL_FIRST_BYTE)                                                           \
    }
#define KERNEL_FIRST_BYTE(name, window, unit, what) .name = KERNEL_##window##_BASE,

/* Where RAM is seen now: the first byte of its window until the final tables are loaded, then kernel_base.direct_map. */
#if QY_CONFIG_KASLR
extern struct kernel_base kernel_base;
extern uint64_t kernel_ram;
#else
static const struct kernel_base kernel_base = KERNEL_FIRST_BYTES;
static const uint64_t kernel_ram = KERNEL_DIRECT_MAP_BASE;
#endif

/* The three tables of the frame database: 16 bytes a frame, 256 GiB for 64 TiB; up to 128 a block, 4 GiB; and */
#define KERNEL_BLOCKS_OFFSET 0x4000000000ull
#define KERNEL_SECTIONS_OFFSET 0x6000000000ull /* up to 64 bytes a section: 32 MiB */
#define KERNEL_FRAME_DB_BYTES (KERNEL_SECTIONS_OFFSET + 0x2000000)

static inline uint64_t kernel_frames_base(void)
{
    return kernel_base.frame_db;
}

static inline uint64_t kernel_blocks_base(void)
{
    return kernel_base.frame_db + KERNEL_BLOCKS_OFFSET;
}

static inline uint64_t kernel_sections_base(void)
{
    return kernel_base.frame_db + KERNEL_SECTIONS_OFFSET;
}

#define KERNEL_CPU_AREA_BYTES 0x1000000ull /* 16 MiB */
#define KERNEL_CPUS_MAX ((unsigned)QY_CONFIG_MAX_CPUS) /* the windows have room for 512 */

/*
 * Stacks in the heap window: a slot of 64 KiB for each stack of each CPU, the stack at its top, all below it unmapped:
 *     | unmapped (guard) ......................... | stack, 16 KiB |
 */
#define KERNEL_STACK_SLOT_BYTES 0x10000ull
#define KERNEL_STACK_BYTES 0x4000ull
enum kernel_stack { KERNEL_STACK_MAIN, KERNEL_STACK_FAULT, KERNEL_STACK_KINDS };

/* RISC-V tells by an address alone that it lies below a stack (arch/riscv64/trap.S), so slots lie on their size. */
static inline uint64_t kernel_stack_top(unsigned cpu, enum kernel_stack kind)
{
    return kernel_base.heap + ((uint64_t)cpu * KERNEL_STACK_KINDS + kind + 1) * KERNEL_STACK_SLOT_BYTES;
}

/* Guarded allocations in the heap window: slots of 32 KiB, an unmapped page before, between and after them. */
#define KERNEL_GUARD_OFFSET 0x40000000ull /* above the stacks of 512 CPUs */
#define KERNEL_GUARD_SLOTS 128u
#define KERNEL_GUARD_SLOT_PAGES 8u
#define KERNEL_GUARD_BYTES ((KERNEL_GUARD_SLOTS * (KERNEL_GUARD_SLOT_PAGES + 1ull) + 1) * 4096)
_Static_assert(KERNEL_GUARD_OFFSET >= 512 * KERNEL_STACK_KINDS * KERNEL_STACK_SLOT_BYTES,
               "guarded allocations begin where the stacks end");

static inline uint64_t kernel_guard_base(void)
{
    return kernel_base.heap + KERNEL_GUARD_OFFSET;
}

/* What the architectures map of the window of device registers begins with kernel_base.devices and is no longer. */
#define KERNEL_DEVICES_BYTES 0x8000000ull /* 128 MiB */

/* Registers of programs' devices, one access at a time; under the table that the kernel's own registers have anyway. */
static inline uint64_t kernel_register_page(void)
{
    return kernel_base.devices + 0x1ff000;
}

static inline uint64_t kernel_cpu_area(unsigned cpu)
{
    return kernel_base.cpu_areas + cpu * KERNEL_CPU_AREA_BYTES;
}

#endif
