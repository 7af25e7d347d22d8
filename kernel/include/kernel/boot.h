/*
 * Steps of the boot that kernel_main calls, in this order: the final page tables, what they need once they are
 * loaded, their check against the layout, and the table of where the firmware's memory went.
 *
 * Boot only, one CPU, no lock.
 */
#ifndef KERNEL_BOOT_H
#define KERNEL_BOOT_H

#include <platform/topology.h>
#include <qy/map.h>
#include <qy/pt.h>

/* The start of each CPU's 16 MiB area has memory; the rest is room to grow. */
#define KERNEL_CPU_AREA_BACKED_BYTES 0x10000ull

/*
 * Build the kernel's final page tables, layout as in kernel/layout.h, into *pt: direct map, image, frame database, CPU
 * areas, stacks, devices, and a level-3 table for every root entry that any of the windows can ever need, so that
 * entries 256..511 of the root never change afterwards. Tables come from below arch_boot_window(), memory behind
 * the windows from the node it serves where that has any. What is behind the windows is not touched yet.
 * Errors: OUT_OF_MEMORY, TOO_MANY (the map's array is full), others only if the map or the topology is broken;
 * *what is a static string that says what did not fit. The boot stops then: what was taken is not given back.
 */
enum qy_error kernel_tables_build(struct qy_map *map, struct qy_pt *pt, const struct qy_topology *topology,
                                  const char **what) QY_MUST_USE;

/* Once these tables are loaded: RAM is seen where they have it. Zero the frame database's section table, the CPU areas and the stacks. */
void kernel_tables_finish(const struct qy_map *map);

#if QY_CONFIG_BOOT_REPORTS
/*
 * Walk the live tables and compare them with the layout: every page lies in a window and has at most its rights,
 * none is writable and executable, all are global and the kernel's only; the direct map is one; kernel text
 * and constants have no writable alias; stacks have their guard pages; nothing is mapped in the user half.
 * Prints how many pages of each size every window has. Null, or a sentence that says what is wrong (the address is
 * printed).
 */
const char *kernel_layout_check(const struct qy_pt *pt, const struct qy_topology *topology) QY_MUST_USE;

/* The same later, silently: guarded objects may have come, and gone. */
const char *kernel_layout_check_again(const struct qy_pt *pt) QY_MUST_USE;

/*
 * Print the table: firmware's range -> our use -> owner, then how the uses add up to what the firmware called usable.
 * Returns false if they do not.
 */
bool kernel_map_report(const struct qy_map *map);

/* The boot option crash=KIND: fault on purpose, so that the report of it can be tested. Returns if it is not there. */
struct kernel_arenas;
void kernel_crash_on_request(const char *command_line, const struct qy_pt *kernel_tables,
                             struct kernel_arenas *arenas);

/*
 * The boot option selftest: show from inside, as TAP, how memory is placed on this machine's nodes. Everything that is
 * taken for it goes back. Panics when a test fails; returns at once if the option is not there.
 */
void kernel_selftest_on_request(const char *command_line, const struct qy_topology *topology,
                                struct kernel_arenas *arenas);

/*
 * The boot option stress: all CPUs hammer the same object caches a million times, guarded objects among them if guard=N
 * is there too, and leave nothing. Panics if they do; returns at once if the option is not there.
 */
void kernel_stress_on_request(const char *command_line, struct kernel_arenas *arenas);

/*
 * The boot option translations: print every translation of the space that the CPU is about to run, and wait for the
 * end. Returns at once if the option is not there.
 */
struct cpu;
void kernel_translations_on_request(const char *command_line, const struct cpu *cpu);
/* translations=last: the same, of the space that runs, when the machine is to be switched off. */
void kernel_translations_at_last(const struct cpu *cpu);
#else
static inline const char *kernel_layout_check(const struct qy_pt *pt, const struct qy_topology *topology)
{
    (void)pt, (void)topology;
    return NULL;
}

static inline const char *kernel_layout_check_again(const struct qy_pt *pt)
{
    return qy_pt_check(pt);
}

static inline bool kernel_map_report(const struct qy_map *map)
{
    (void)map;
    return true;
}

struct kernel_arenas;
static inline void kernel_crash_on_request(const char *command_line, const struct qy_pt *kernel_tables,
                                           struct kernel_arenas *arenas)
{
    (void)command_line, (void)kernel_tables, (void)arenas;
}

static inline void kernel_selftest_on_request(const char *command_line, const struct qy_topology *topology,
                                              struct kernel_arenas *arenas)
{
    (void)command_line, (void)topology, (void)arenas;
}

static inline void kernel_stress_on_request(const char *command_line, struct kernel_arenas *arenas)
{
    (void)command_line, (void)arenas;
}

struct cpu;
static inline void kernel_translations_on_request(const char *command_line, const struct cpu *cpu)
{
    (void)command_line, (void)cpu;
}

static inline void kernel_translations_at_last(const struct cpu *cpu)
{
    (void)cpu;
}
#endif

#endif
