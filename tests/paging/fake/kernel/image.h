/*
 * A kernel image that the linker never made, in the place of the real one: text and data each hold a whole 2 MiB page.
 */
#ifndef KERNEL_IMAGE_H
#define KERNEL_IMAGE_H

#include <kernel/layout.h>

#define kernel_text_start ((char *)(kernel_base.image + 0x0))
#define kernel_text_end ((char *)(kernel_base.image + 0x201000))
#define kernel_rodata_start ((char *)(kernel_base.image + 0x201000))
#define kernel_rodata_end ((char *)(kernel_base.image + 0x210000))
#define kernel_data_start ((char *)(kernel_base.image + 0x210000))
#define kernel_data_end ((char *)(kernel_base.image + 0x603000))

#endif
