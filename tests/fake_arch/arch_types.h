/*
 * An architecture of nothing but registers, for running the kernel's objects inside a Linux
 * process.
 */
#ifndef ARCH_TYPES_H
#define ARCH_TYPES_H

#include <stdint.h>

struct arch_frame {
    uint64_t call; /* the last that was made */
    uint64_t number;       /* of the call; the error afterwards */
    uint64_t arguments[6]; /* x0..x5 */
    uint64_t instruction, stack, base;
} __attribute__((aligned(16)));

#define ARCH_INTERRUPTS 64

struct arch_cpu {
    unsigned interrupts; /* asked of this CPU by others */
};

#endif
