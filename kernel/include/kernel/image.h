/*
 * Where the linker put the kernel: its parts, all beginning and ending on page boundaries.
 *
 * An address of these is what the linker chose until the image is moved, and subtracts nothing but kernel_base.image: a
 * difference to a constant would be computed by the linker, and taken for an address (kernel/boot/kaslr_image.c).
 *
 * Physical address = virtual - kernel_base.image + arch_image_base.
 */
#ifndef KERNEL_IMAGE_H
#define KERNEL_IMAGE_H

extern char kernel_text_start[], kernel_text_end[];
extern char kernel_rodata_start[], kernel_rodata_end[];
extern char kernel_build_id[], kernel_build_id_end[]; /* a note of constants; empty without relocations */
extern char kernel_data_start[], kernel_data_end[]; /* with bss */

#endif
