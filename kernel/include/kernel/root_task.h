/*
 * The root task: the first program, which is handed all memory that is left.
 */
#ifndef KERNEL_ROOT_TASK_H
#define KERNEL_ROOT_TASK_H

#include <platform/parse.h>
#include <qy/pt.h>

struct kernel_arenas;

/*
 * Load the program `root` of the boot archive and make it ready to run on CPU 0: its address space,
 * capability node, thread, image, stack, information page, the archive mapped read-only, and an
 * untyped capability for each root arena, largest first, and one for each stretch of device memory, lowest first. All
 * of it is paid by the kernel's arena. Boot only. Stops with one clear line if the archive, the program or the memory
 * is not good enough.
 */
void root_task_create(const struct qy_boot_info *info, struct qy_bytes archive,
                      const struct qy_pt *kernel_tables, const struct qy_topology *topology,
                      struct kernel_arenas *arenas);

#endif
