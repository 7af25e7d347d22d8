/*
 * Traps in C: sorting what trap.S saved into the kernel's entries, and the registers of a thread.
 *
 * The kernel runs with interrupts off always; it takes them from user mode, or asks for them in
 * arch_idle.
 */
#include "riscv.h"

#include <arch/arch.h>
#include <kernel/entry.h>
#include <kernel/fault.h>
#include <kernel/guard.h>
#include <kernel/print.h>
#include <lib/string.h>

static const char *const exception_names[16] = {"misaligned instruction",
                                                "instruction access fault",
                                                "illegal instruction",
                                                "breakpoint",
                                                "misaligned load",
                                                "load access fault",
                                                "misaligned store",
                                                "store access fault",
                                                "environment call",
                                                "environment call",
                                                "reserved",
                                                "environment call",
                                                "instruction page fault",
                                                "load page fault",
                                                "reserved",
                                                "store page fault"};

static const char *exception_name(uint64_t cause)
{
    return cause < 16 ? exception_names[cause] : "unknown trap";
}

static void interrupt(struct cpu *cpu, uint64_t number)
{
    if (number == RISCV_INTERRUPT_TIMER) {
        riscv_timer_tick(cpu);
        entry_timer(cpu);
    } else if (number == RISCV_INTERRUPT_SOFTWARE) {
        riscv_clear_csr(sip, 1 << RISCV_INTERRUPT_SOFTWARE);
        entry_ipi(cpu);
    } else if (number == RISCV_INTERRUPT_EXTERNAL) {
        riscv_plic_interrupt(cpu);
    }
}

struct arch_frame *riscv_trap_user(struct cpu *cpu)
{
    uint64_t cause = riscv_read_csr(scause);
    struct arch_frame *frame = cpu->frame;
    if (cause == RISCV_CAUSE_CALL) {
        frame->sepc += 4;
        entry_call(cpu);
        return entry_exit(cpu);
    }
    uint64_t address = riscv_read_csr(stval);
    frame->scause = cause;
    frame->stval = address;
    if (cause >> RISCV_CAUSE_INTERRUPT_SHIFT)
        interrupt(cpu, cause & 0xff);
    else if (cause == RISCV_CAUSE_LOAD_PAGE)
        entry_fault(cpu, address, QY_ACCESS_READ);
    else if (cause == RISCV_CAUSE_STORE_PAGE)
        entry_fault(cpu, address, QY_ACCESS_WRITE);
    else if (cause == RISCV_CAUSE_EXEC_PAGE)
        entry_fault(cpu, address, QY_ACCESS_EXEC);
    else
        entry_exception(cpu, exception_name(cause), cause);
    return entry_exit(cpu);
}

static bool is_copy_fault(const struct arch_frame *frame)
{
    return frame->sepc >= (uint64_t)riscv_copy_start && frame->sepc < (uint64_t)riscv_copy_end &&
           frame->stval < KERNEL_DIRECT_MAP_BASE &&
           (frame->scause == RISCV_CAUSE_LOAD_PAGE || frame->scause == RISCV_CAUSE_STORE_PAGE ||
            frame->scause == RISCV_CAUSE_LOAD_ACCESS || frame->scause == RISCV_CAUSE_STORE_ACCESS);
}

/* The bus error of a register that no device answers for. */
static bool is_register_fault(const struct arch_frame *frame)
{
    return frame->sepc >= (uint64_t)riscv_register_start &&
           frame->sepc < (uint64_t)riscv_register_end &&
           (frame->scause == RISCV_CAUSE_LOAD_ACCESS || frame->scause == RISCV_CAUSE_STORE_ACCESS);
}

void riscv_trap_kernel(struct arch_frame *frame)
{
    if (is_register_fault(frame)) {
        frame->sepc = (uint64_t)riscv_register_failed;
        return;
    }
    if (is_copy_fault(frame)) {
        riscv_clear_csr(sstatus, RISCV_SSTATUS_SUM); /* back with the saved sstatus */
        bool write = frame->scause == RISCV_CAUSE_STORE_PAGE;
        bool page = write || frame->scause == RISCV_CAUSE_LOAD_PAGE;
        if (page && cpu_this() && /* mmu.c tries a page before there are CPUs */
            fault_of_copy(cpu_this(), frame->stval, write ? QY_ACCESS_WRITE : QY_ACCESS_READ))
            return;
        frame->sepc = (uint64_t)riscv_copy_failed;
        return;
    }
    if ((frame->scause == RISCV_CAUSE_LOAD_PAGE || frame->scause == RISCV_CAUSE_STORE_PAGE) &&
        guard_fault_is_stale(frame->stval))
        return;
    if (frame->scause >> RISCV_CAUSE_INTERRUPT_SHIFT)
        kernel_panic_trap("interrupt while they are off", frame->scause & 0xff, frame->stval,
                          frame);
    kernel_panic_trap(exception_name(frame->scause), frame->scause, frame->stval, frame);
}

bool arch_register_read(uint64_t address, unsigned width, uint32_t *value)
{
    return riscv_register_read(address, width, value);
}

bool arch_register_write(uint64_t address, unsigned width, uint32_t value)
{
    return riscv_register_write(address, width, value);
}

bool arch_copy_from_user(void *out, uint64_t user, size_t bytes)
{
    return riscv_copy(out, (const void *)user, bytes);
}

bool arch_copy_to_user(uint64_t user, const void *in, size_t bytes)
{
    return riscv_copy((void *)user, in, bytes);
}

/* What is pending is seen although sstatus.SIE is off, so the kernel needs no interrupt entry of its own. */
void arch_take_interrupts(void)
{
    struct cpu *cpu = cpu_this();
    uint64_t pending = riscv_read_csr(sip) & riscv_read_csr(sie);
    if (pending & 1 << RISCV_INTERRUPT_SOFTWARE)
        interrupt(cpu, RISCV_INTERRUPT_SOFTWARE);
    if (pending & 1 << RISCV_INTERRUPT_TIMER)
        interrupt(cpu, RISCV_INTERRUPT_TIMER);
    if (pending & 1 << RISCV_INTERRUPT_EXTERNAL)
        interrupt(cpu, RISCV_INTERRUPT_EXTERNAL);
}

/* wfi wakes for a pending interrupt that sie enables (3.3.3), so none is lost between looking and waiting. */
void arch_idle(void)
{
    __asm__ volatile("wfi" ::: "memory");
    arch_take_interrupts();
}

void arch_frame_init(struct arch_frame *frame, uint64_t instruction, uint64_t stack,
                     uint64_t argument)
{
    memset(frame, 0, sizeof(*frame));
    frame->sepc = instruction;
    frame->x[2] = stack;
    frame->x[10] = argument;
    frame->sstatus = (riscv_read_csr(sstatus) & RISCV_SSTATUS_UXL) | RISCV_SSTATUS_SPIE;
}

void arch_frame_print(const struct arch_frame *frame)
{
    static const char *const names[32] = {"pc", "ra", "sp",  "gp",  "tp", "t0", "t1", "t2",
                                          "fp", "s1", "a0",  "a1",  "a2", "a3", "a4", "a5",
                                          "a6", "a7", "s2",  "s3",  "s4", "s5", "s6", "s7",
                                          "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
    for (unsigned i = 0; i < 32; i++)
        print("%s%-3s %R%s", i % 4 == 0 ? "  " : " ", names[i], frame->x[i],
              i % 4 == 3 ? "\n" : "");
    print("  sstatus %llx  scause %llx  stval %R\n", (unsigned long long)frame->sstatus,
          (unsigned long long)frame->scause, frame->stval);
}
