/*
 * The small functions that every kernel entry uses, inline.
 */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

#include <quarry/errors.h>

static inline struct cpu *cpu_this(void)
{
    struct cpu *cpu;
    __asm__("movq %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

/*
 * The base of fs. A program can make it 0 by itself, by loading the selector, so only two threads that both have none
 * need no writing.
 */
static inline void arch_pointer_switch(struct cpu *cpu, uint64_t pointer)
{
    if (cpu->arch.pointer | pointer) {
        __asm__ volatile("wrmsr" : : "c"(0xc0000100 /* FS_BASE */), "a"((uint32_t)pointer), "d"(pointer >> 32));
        cpu->arch.pointer = pointer;
    }
}

static inline void arch_pointer_set(struct cpu *cpu, struct arch_frame *frame, uint64_t pointer)
{
    (void)frame;
    arch_pointer_switch(cpu, pointer);
}

/* Machine code of a return. */
static const unsigned char arch_return_instruction[] = {0xc3};

static inline void arch_relax(void)
{
    __builtin_ia32_pause();
}

/* The time stamp counter, which programs can read too. */
static inline uint64_t arch_clock(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static inline bool arch_irq_enabled(void)
{
    uint64_t flags;
    __asm__ volatile("pushfq; popq %0" : "=r"(flags));
    return flags & 0x200;
}

static inline uint64_t arch_call_number(const struct arch_frame *frame)
{
    return frame->rax;
}

static inline uint64_t arch_call_argument(const struct arch_frame *frame, unsigned i)
{
    switch (i) {
    case 0:
        return frame->rdi;
    case 1:
        return frame->rsi;
    case 2:
        return frame->rdx;
    case 3:
        return frame->r10;
    case 4:
        return frame->r8;
    default:
        return frame->r9;
    }
}

static inline void arch_call_restart(struct arch_frame *frame)
{
    frame->rip -= 2; /* syscall */
}

static inline void arch_call_result(struct arch_frame *frame, enum qy_error error)
{
    frame->rax = (uint64_t)error;
}

static inline void arch_call_value(struct arch_frame *frame, unsigned i, uint64_t value)
{
    switch (i) {
    case 1:
        frame->rsi = value;
        break;
    case 2:
        frame->rdx = value;
        break;
    case 3:
        frame->r10 = value;
        break;
    case 4:
        frame->r8 = value;
        break;
    default:
        frame->r9 = value;
        break;
    }
}

static inline uint64_t arch_frame_instruction(const struct arch_frame *frame)
{
    return frame->rip;
}

static inline uint64_t arch_frame_stack(const struct arch_frame *frame)
{
    return frame->rsp;
}

static inline uint64_t arch_frame_base(const struct arch_frame *frame)
{
    return frame->rbp;
}

/* One step up the chain of frame pointers; false at its end. */
static inline bool arch_frame_walk(uint64_t *frame_pointer, uint64_t *return_address)
{
    const uint64_t *saved = (const uint64_t *)*frame_pointer;
    *return_address = saved[1];
    *frame_pointer = saved[0];
    return *frame_pointer != 0;
}

#endif
