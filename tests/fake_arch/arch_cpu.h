/*
 * The inline functions of an architecture, on struct arch_frame as it stands.
 */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

#include <quarry/errors.h>

extern _Thread_local struct cpu *fake_cpu_current; /* the CPU that the test, or a thread of it, plays */

static inline struct cpu *cpu_this(void)
{
    return fake_cpu_current;
}

static inline uint64_t arch_clock(void)
{
    static uint64_t ticks;
    return ++ticks;
}

static inline void arch_pointer_switch(struct cpu *cpu, uint64_t pointer)
{
    (void)cpu, (void)pointer;
}

static inline void arch_pointer_set(struct cpu *cpu, struct arch_frame *frame, uint64_t pointer)
{
    (void)cpu, (void)frame, (void)pointer;
}

static inline uint64_t arch_call_number(const struct arch_frame *frame)
{
    return frame->number;
}

static inline uint64_t arch_call_argument(const struct arch_frame *frame, unsigned i)
{
    return frame->arguments[i];
}

static inline void arch_call_restart(struct arch_frame *frame)
{
    frame->instruction -= 1;
}

/* What a call returned, however it came about: tests/kernel/world.c. */
void fake_call_returned(uint64_t call, enum qy_error error);

static inline void arch_call_result(struct arch_frame *frame, enum qy_error error)
{
    fake_call_returned(frame->call, error);
    frame->number = (uint64_t)error;
}

static inline void arch_call_value(struct arch_frame *frame, unsigned i, uint64_t value)
{
    frame->arguments[i] = value;
}

static inline uint64_t arch_frame_instruction(const struct arch_frame *frame)
{
    return frame->instruction;
}

static inline uint64_t arch_frame_stack(const struct arch_frame *frame)
{
    return frame->stack;
}

#endif
