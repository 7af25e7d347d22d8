/*
 * The small functions that every kernel entry uses, inline.
 */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

#include <quarry/errors.h>

/* In the kernel, tp holds this CPU's struct cpu; user mode's tp is in sscratch or in the thread's
 * frame. */
static inline struct cpu *cpu_this(void)
{
    struct cpu *cpu;
    __asm__("mv %0, tp" : "=r"(cpu));
    return cpu;
}

/* tp is one of the registers in a thread's frame. */
static inline void arch_pointer_switch(struct cpu *cpu, uint64_t pointer)
{
    (void)cpu, (void)pointer;
}

static inline void arch_pointer_set(struct cpu *cpu, struct arch_frame *frame, uint64_t pointer)
{
    (void)cpu;
    frame->x[4] = pointer;
}

/* Machine code of a return. */
static const unsigned char arch_return_instruction[] = {0x82, 0x80};

/* The hint `pause` (Zihintpause) in its encoding as a fence, which every CPU takes. */
static inline void arch_relax(void)
{
    __asm__ volatile(".4byte 0x0100000f" ::: "memory");
}

/* Instructions retired by this CPU, which programs can read too (exact under an emulator's
 * instruction clock). */
static inline uint64_t arch_clock(void)
{
    uint64_t value;
    __asm__ volatile("rdinstret %0" : "=r"(value));
    return value;
}

static inline bool arch_irq_enabled(void)
{
    uint64_t status;
    __asm__ volatile("csrr %0, sstatus" : "=r"(status));
    return status & 2;
}

static inline uint64_t arch_call_number(const struct arch_frame *frame)
{
    return frame->x[17];
}

static inline uint64_t arch_call_argument(const struct arch_frame *frame, unsigned i)
{
    return frame->x[10 + i];
}

static inline void arch_call_restart(struct arch_frame *frame)
{
    frame->sepc -= 4; /* ecall */
}

static inline void arch_call_result(struct arch_frame *frame, enum qy_error error)
{
    frame->x[10] = (uint64_t)error;
}

static inline void arch_call_value(struct arch_frame *frame, unsigned i, uint64_t value)
{
    frame->x[10 + i] = value;
}

static inline uint64_t arch_frame_instruction(const struct arch_frame *frame)
{
    return frame->sepc;
}

static inline uint64_t arch_frame_stack(const struct arch_frame *frame)
{
    return frame->x[2];
}

static inline uint64_t arch_frame_base(const struct arch_frame *frame)
{
    return frame->x[8];
}

/* A function keeps its caller's frame pointer at fp - 16 and its return address at fp - 8. */
static inline bool arch_frame_walk(uint64_t *frame_pointer, uint64_t *return_address)
{
    const uint64_t *frame = (const uint64_t *)*frame_pointer;
    *return_address = frame[-1];
    *frame_pointer = frame[-2];
    return *return_address != 0;
}

#endif
