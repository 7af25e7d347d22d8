/*
 * Guarded allocations in the kernel's heap window (qy/guard.h): the boot option guard=N guards about one in
 * N kernel objects.
 *
 *     KERNEL_HEAP window  | stacks, 64 MiB | unmapped ... | guard | 32 KiB | guard | 32 KiB | ... | guard | unmapped ...
 *                                                        kernel_guard_base()
 *
 * Their page tables and the table of slots come from the kernel's arena before the seal; afterwards the only
 * memory is the frames of objects, which the arena pays that pays for the object. These are the only
 * pages of the kernel's half that change after boot. Off unless asked for: an object of its own page costs
 * its untyped a page, and a program that has counted its pages must find them.
 */
#ifndef KERNEL_GUARD_H
#define KERNEL_GUARD_H

#include <kernel/arenas.h>
#include <qy/guard.h>
#include <qy/pt.h>
#include <qy/slab.h>

#if QY_CONFIG_GUARD
/* If the option is there, make the pool. Boot, before the seal; the tables are the live ones. */
void guard_init(const char *command_line, struct kernel_arenas *arenas, const struct qy_pt *tables);

/* The pool; null: there is none. guard_interval: the N of the option. */
struct qy_guard *guard_pool(void);
uint32_t guard_interval(void);

/* A heap whose objects are guarded as the option says; as qy_heap_init. */
void guard_heap_init(struct qy_heap *heap, struct qy_arena *arena, uint64_t secret);

/* Its live objects that are guarded: its caches do not count them. O(slots). */
uint64_t guard_live(const struct qy_heap *heap);

/* Whether the pool has frames of freed objects of that arena; give them back (without locks, waits). */
bool guard_holds_frames(const struct qy_arena *arena);
void guard_gather(const struct qy_arena *arena) QY_EXCLUDES(qy_class_caps, qy_class_guard);

/*
 * A fault in the kernel at an address where a page is mapped: this CPU only remembered that there
 * was none (RISC-V allows that). True: it has forgotten now, try again.
 */
bool guard_fault_is_stale(uint64_t address);

/* For a panic: print what a fault at that address means, if the pool knows. */
void guard_print_fault(uint64_t address);

/* Null, or the id of the first invariant that does not hold, GUARD-MAP included. Nobody uses the pool. */
const char *guard_check(void);
#else
#include <kernel/heap.h>

static inline void guard_init(const char *command_line, struct kernel_arenas *arenas,
                              const struct qy_pt *tables)
{
    (void)command_line, (void)arenas, (void)tables;
}

static inline struct qy_guard *guard_pool(void)
{
    return NULL;
}

static inline uint32_t guard_interval(void)
{
    return 0;
}

static inline void guard_heap_init(struct qy_heap *heap, struct qy_arena *arena, uint64_t secret)
{
    qy_heap_init(heap, arena, heap_tools(), secret);
}

static inline uint64_t guard_live(const struct qy_heap *heap)
{
    (void)heap;
    return 0;
}

static inline bool guard_holds_frames(const struct qy_arena *arena)
{
    (void)arena;
    return false;
}

static inline void guard_gather(const struct qy_arena *arena)
{
    (void)arena;
}

static inline bool guard_fault_is_stale(uint64_t address)
{
    (void)address;
    return false;
}

static inline void guard_print_fault(uint64_t address)
{
    (void)address;
}

static inline const char *guard_check(void)
{
    return NULL;
}
#endif

#endif
