/*
 * What the kernel stores for this architecture: saved registers, and what a CPU needs beside them.
 */
#ifndef ARCH_TYPES_H
#define ARCH_TYPES_H

#include <stdint.h>

/* Registers of a thread (or of the kernel at a trap): x[i] is xi; the place of x0 is the program
 * counter's. */
struct arch_frame {
    union {
        uint64_t sepc;
        uint64_t x[32];
    };
    uint64_t sstatus;
    uint64_t scause; /* at the last trap that was no call */
    uint64_t stval;
    uint64_t reserved;
} __attribute__((aligned(16)));

#define ARCH_INTERRUPTS 1024 /* lines of devices: what a PLIC can have */

struct arch_cpu {
    uint64_t timer_next; /* time of the next tick */
    uint16_t plic_context; /* QY_TOPOLOGY_NO_CONTEXT: no device interrupts this hart */
    uint64_t start[5];   /* struct riscv_start: what the hart finds when it starts */
};

#endif
