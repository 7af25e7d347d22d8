/*
 * Where the linker put the kernel: its parts, all beginning and ending on page boundaries.
 *
 * Physical address = virtual - kernel_base.image + arch_image_base.
 */
#ifndef KERNEL_IMAGE_H
#define KERNEL_IMAGE_H

extern char kernel_text_start[], kernel_text_end[];
extern char kernel_rodata_start[], kernel_rodata_end[];
extern char kernel_data_start[], kernel_data_end[]; /* with bss */

#endif
