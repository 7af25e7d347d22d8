/*
 * Everything that the machine has, against every invariant: on demand (system_check), and whenever the machine is
 * switched off, so that no boot ends well whose kernel is not what it ought to be.
 *
 *     the firmware's map -> root arenas -> arenas of untypeds -> frames     CONSERVE, EXCLUSIVE
 *     capabilities -> objects, timers, threads                              each with its own invariants
 *     address spaces -> tables -> entries -> frames                         WXOR, VM-TREE, VM-RMAP
 *     frames -> reverse maps -> entries                                     VM-RMAP, VM-TREE
 *     the kernel's half, live                                               WXOR, ISOLATED
 *
 * Cost: O(pages of programs, tables, descriptors of the frame database that are in use).
 */
#ifndef KERNEL_CHECK_H
#define KERNEL_CHECK_H

#include <kernel/arenas.h>
#include <kernel/cap.h>
#include <qy/pt.h>

/* Once at boot: where everything is. */
void check_init(struct qy_map *map, const struct qy_pt *tables, struct kernel_arenas *arenas);

struct check_counts {
    uint64_t arenas, capabilities, spaces;
};

/* Null, or the name of the first invariant that does not hold. Nobody else changes anything meanwhile. */
const char *machine_check(struct check_counts *out) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/* One line: everything holds. */
void check_report(const struct check_counts *counts);

/* The machine is to be switched off: check, with all other CPUs waiting; panic if anything is wrong. */
_Noreturn void check_and_exit(unsigned code) QY_REQUIRES(qy_class_caps);

#if QY_CONFIG_BOOT_REPORTS
/*
 * The boot option plant=KIND: before the last check something is damaged that it has to find. check_plant does it, if
 * it was asked for.
 */
void check_plant_on_request(const char *command_line);
void check_plant(struct qy_map *map, const struct qy_pt *tables, struct kernel_arenas *arenas)
    QY_REQUIRES(qy_class_caps);
#else
static inline void check_plant_on_request(const char *command_line)
{
    (void)command_line;
}

static inline void check_plant(struct qy_map *map, const struct qy_pt *tables,
                               struct kernel_arenas *arenas)
{
    (void)map, (void)tables, (void)arenas;
}
#endif

#endif
