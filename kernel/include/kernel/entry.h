/*
 * Where the architectures' entry code meets the kernel. Interrupts are off from entry to exit.
 *
 * Every entry gets a number, its cause: (CPU << 48) + the entry's count on that CPU. Trace records carry it.
 */
#ifndef KERNEL_ENTRY_H
#define KERNEL_ENTRY_H

#include <kernel/cpu.h>
#include <qy/boot_info.h>
#include <quarry/abi.h>

_Noreturn void kernel_main(struct qy_boot_info *info);

/* A further CPU has reached C on its own stack, with the final tables and arch_cpu_init done. */
_Noreturn void cpu_main(struct cpu *cpu);

/* The current thread made a call; its registers are in cpu->frame. */
void entry_call(struct cpu *cpu);

/* The current thread touched memory it may not. */
void entry_fault(struct cpu *cpu, uint64_t address, enum qy_access access);

/* The current thread did something else it may not (divide by zero, illegal instruction ...). name: static string. */
void entry_exception(struct cpu *cpu, const char *name, uint64_t number);

/* From user mode, arch_idle or arch_take_interrupts. */
void entry_timer(struct cpu *cpu);
void entry_ipi(struct cpu *cpu);

/* The same, a line of a device. */
void entry_interrupt(struct cpu *cpu, uint32_t number);

/* Choose what runs next, load its space, and return the registers to restore. Idles while there is nothing to run. */
struct arch_frame *entry_choose(struct cpu *cpu);

/* The end of an entry: the same, if anything has changed for this CPU. */
static inline struct arch_frame *entry_exit(struct cpu *cpu)
{
    if (cpu->frame && !atomic_load_explicit(&cpu->reschedule, memory_order_relaxed))
        return cpu->frame;
    return entry_choose(cpu);
}

/* A trap in kernel mode that nothing expects. Reports and stops the machine. */
_Noreturn void kernel_panic_trap(const char *name, uint64_t number, uint64_t address, const struct arch_frame *frame);

#endif
