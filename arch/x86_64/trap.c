/*
 * Exceptions and interrupts in C: sorting what the entry code saved into the kernel's entries.
 */
#include "x86.h"

#include <arch/arch.h>
#include <kernel/entry.h>
#include <kernel/fault.h>
#include <kernel/print.h>

struct arch_frame *x86_next_frame(struct cpu *cpu, struct arch_frame *frame);
struct arch_frame *x86_trap_user(struct arch_frame *frame, struct cpu *cpu);
struct arch_frame *x86_call(struct cpu *cpu);
void x86_trap_kernel(struct arch_frame *frame);
void x86_trap_own_stack(struct arch_frame *frame);
uint64_t x86_copy(void *to, const void *from, size_t bytes);
extern char x86_copy_start[], x86_copy_end[], x86_copy_failed[];

static const char *const exception_names[32] = {"divide error",
                                                "debug",
                                                "NMI",
                                                "breakpoint",
                                                "overflow",
                                                "bound range",
                                                "invalid opcode",
                                                "no coprocessor",
                                                "double fault",
                                                "coprocessor segment",
                                                "invalid TSS",
                                                "segment not present",
                                                "stack segment",
                                                "general protection",
                                                "page fault",
                                                "reserved",
                                                "floating point",
                                                "alignment check",
                                                "machine check",
                                                "SIMD floating point",
                                                "virtualisation",
                                                "control protection",
                                                "reserved",
                                                "reserved",
                                                "reserved",
                                                "reserved",
                                                "reserved",
                                                "reserved",
                                                "hypervisor injection",
                                                "VMM communication",
                                                "security",
                                                "reserved"};

static enum qy_access access_of(uint64_t error)
{
    if (error & 16)
        return QY_ACCESS_EXEC;
    return error & 2 ? QY_ACCESS_WRITE : QY_ACCESS_READ;
}

/* Interrupts of the local APIC; true if the vector is one. */
static bool interrupt(struct cpu *cpu, uint64_t vector)
{
    switch (vector) {
    case X86_VECTOR_TIMER:
        x86_apic_end_of_interrupt();
        entry_timer(cpu);
        return true;
    case X86_VECTOR_IPI:
        x86_apic_end_of_interrupt();
        entry_ipi(cpu);
        return true;
    default: /* spurious, or of a device */
        if (vector - X86_VECTOR_DEVICE < ARCH_INTERRUPTS)
            entry_interrupt(cpu, (uint32_t)(vector - X86_VECTOR_DEVICE));
        if (vector != X86_VECTOR_SPURIOUS && vector >= 32)
            x86_apic_end_of_interrupt();
        return vector >= 32;
    }
}

/*
 * What runs next. A call at the very end of the user half leaves a return address that is not
 * canonical: iret and sysret would fault on it in the kernel, so the thread takes the fault here.
 */
static struct arch_frame *leave(struct cpu *cpu)
{
    for (;;) {
        struct arch_frame *frame = x86_next_frame(cpu, entry_exit(cpu));
        if (__builtin_expect(frame->rip >> 47 == 0, 1))
            return frame;
        entry_exception(cpu, exception_names[13], 13);
    }
}

struct arch_frame *x86_trap_user(struct arch_frame *frame, struct cpu *cpu)
{
    uint64_t vector = frame->vector;
    if (vector == X86_VECTOR_PAGE_FAULT)
        entry_fault(cpu, x86_read_cr2(), access_of(frame->error));
    else if (!interrupt(cpu, vector))
        entry_exception(cpu, exception_names[vector & 31], vector);
    return leave(cpu);
}

struct arch_frame *x86_call(struct cpu *cpu)
{
    entry_call(cpu);
    return leave(cpu);
}

void x86_trap_kernel(struct arch_frame *frame)
{
    uint64_t vector = frame->vector;
    uint64_t address = vector == X86_VECTOR_PAGE_FAULT ? x86_read_cr2() : frame->rip;
    bool copying = frame->rip >= (uint64_t)x86_copy_start && frame->rip < (uint64_t)x86_copy_end;
    /* A non-canonical user address raises a general protection fault instead of a page fault. */
    if (copying && (vector == X86_VECTOR_PAGE_FAULT || vector == 13)) {
        if (x86_features.smap)
            __asm__ volatile("clac" ::: "memory"); /* iret sets it again */
        if (vector == X86_VECTOR_PAGE_FAULT &&
            fault_of_copy(cpu_this(), address, access_of(frame->error)))
            return;
        frame->rip = (uint64_t)x86_copy_failed;
        return;
    }
    if (vector < 32 || !interrupt(cpu_this(), vector))
        kernel_panic_trap(exception_names[vector & 31], vector, address, frame);
}

void x86_trap_own_stack(struct arch_frame *frame)
{
    if (frame->vector == X86_VECTOR_NMI) {
        QY_COUNT(cpu_this()->stats.interrupts, 1);
        return;
    }
    /* The CPU leaves in cr2 the address whose push raised the double fault: a guard page if a stack
     * overflowed. */
    kernel_panic_trap(exception_names[frame->vector & 31], frame->vector, x86_read_cr2(), frame);
}

/* EFLAGS.AC lets the kernel reach user pages under SMAP; set only here. */
static bool copy(void *to, const void *from, size_t bytes)
{
    if (x86_features.smap)
        __asm__ volatile("stac" ::: "memory");
    uint64_t left = x86_copy(to, from, bytes);
    if (x86_features.smap)
        __asm__ volatile("clac" ::: "memory");
    return left == 0;
}

bool arch_copy_from_user(void *out, uint64_t user, size_t bytes)
{
    return copy(out, (const void *)user, bytes);
}

bool arch_copy_to_user(uint64_t user, const void *in, size_t bytes)
{
    return copy((void *)user, in, bytes);
}

void arch_idle(void)
{
    /* sti takes effect after the next instruction, so no interrupt is lost between them. */
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}

void arch_take_interrupts(void)
{
    __asm__ volatile("sti; nop; cli" ::: "memory");
}
