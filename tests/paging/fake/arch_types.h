/*
 * The little of an architecture that the kernel's structures need, for testing the boot's paging
 * inside a Linux process.
 */
#ifndef ARCH_TYPES_H
#define ARCH_TYPES_H

struct arch_frame {
    int nothing;
};

struct arch_cpu {
    int nothing;
};

#endif
