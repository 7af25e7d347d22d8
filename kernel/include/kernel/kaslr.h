/*
 * Kernel address space layout randomisation: where what stands in the kernel's windows begins (kernel/layout.h), chosen
 * at boot if the boot option kaslr asks for it.
 *
 *     kaslr=on      choose
 *     kaslr=show    choose, and print the places (for a debugger, and for tests)
 *     kaslr=off     as without the option: the same places at each boot
 *
 * Boot only, one CPU, no lock.
 */
#ifndef KERNEL_KASLR_H
#define KERNEL_KASLR_H

#include <kernel/print.h>
#include <platform/parse.h>
#include <platform/topology.h>
#include <qy/boot_info.h>
#include <qy/map.h>

#if QY_CONFIG_KASLR
/*
 * Move the image, before there is anything that points into it: called by the first C code, on the boot tables, as soon
 * as it has read what the boot loader passed. True: it has been moved, and is to be started over at once, from its first
 * instruction at virtual addresses, kernel_base.image - KERNEL_IMAGE_BASE further on. False if that is not wanted, has
 * been done, or cannot be done.
 */
bool kaslr_move_image(const struct qy_boot_info *info);

/* Why the image has not moved; null: it has. */
const char *kaslr_image_stays(void);

/*
 * Choose all other places, and print how many bits of chance each has. Without entropy nothing moves, and that is
 * printed, as it is if the image has not moved. Stops at a value that the option does not have.
 */
void kaslr_choose(const struct qy_boot_info *info, const struct qy_map *map, const struct qy_topology *topology);

/* The option asks for it. Stops at a value that it does not have. */
bool kaslr_is_wanted(const struct qy_boot_info *info);

/* A distance for an image of so many bytes, at least so far. */
uint64_t kaslr_choose_image(uint64_t least, uint64_t bytes);

/* The final tables are: RAM is seen where they have it. */
void kaslr_tables_are_loaded(void);

/* Has anything moved? Print by how much, for a report of a panic. */
void kaslr_print(void);
#else
static inline bool kaslr_move_image(const struct qy_boot_info *info)
{
    (void)info;
    return false;
}

static inline void kaslr_choose(const struct qy_boot_info *info, const struct qy_map *map,
                                const struct qy_topology *topology)
{
    (void)map, (void)topology;
    if (qy_option(info->command_line, "kaslr", NULL, 0))
        print("kaslr: this kernel was built without it: nothing is moved\n");
}

static inline void kaslr_tables_are_loaded(void)
{
}

static inline void kaslr_print(void)
{
}
#endif

#endif
