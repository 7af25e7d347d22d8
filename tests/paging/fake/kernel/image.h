/*
 * A kernel image that the linker never made, in the place of the real one: text and data each hold a whole 2 MiB page.
 */
#ifndef KERNEL_IMAGE_H
#define KERNEL_IMAGE_H

#define kernel_text_start ((char *)0xffffffff80000000)
#define kernel_text_end ((char *)0xffffffff80201000)
#define kernel_rodata_start ((char *)0xffffffff80201000)
#define kernel_rodata_end ((char *)0xffffffff80210000)
#define kernel_data_start ((char *)0xffffffff80210000)
#define kernel_data_end ((char *)0xffffffff80603000)

#endif
