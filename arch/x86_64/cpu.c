/*
 * Descriptor tables of a CPU: segments, interrupts, and the stacks that the CPU switches to by
 * itself.
 *
 * GDT: 0x08 kernel code, 0x10 kernel data, 0x20 user data, 0x28 user code, 0x30 task state. syscall
 * and sysret derive their selectors from STAR (Intel SDM volume 2B, SYSRET), which fixes this
 * order.
 */
#include "x86.h"

#include <arch/arch.h>
#include <kernel/print.h>

_Static_assert(offsetof(struct cpu, frame) == CPU_FRAME, "entry.S");
_Static_assert(offsetof(struct cpu, stack_top) == CPU_STACK_TOP, "entry.S");
_Static_assert(offsetof(struct cpu, scratch) == CPU_SCRATCH, "entry.S");
_Static_assert(sizeof(struct arch_frame) == FRAME_BYTES, "entry.S");
_Static_assert(offsetof(struct arch_frame, vector) == 120, "entry.S");
_Static_assert(offsetof(struct arch_frame, cs) == 144, "entry.S");

struct x86_gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

struct x86_table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

struct arch_frame *x86_next_frame(struct cpu *cpu, struct arch_frame *frame);
_Noreturn void x86_restore_user(struct arch_frame *frame);
extern char x86_stubs[], x86_syscall[], boot_gdt[];

static struct x86_gate idt[256]; /* shared by all CPUs */

/* Load the interrupt table; on the boot CPU also before it has its descriptor tables, so that a
 * fault is reported. */
static void idt_load(void)
{
    struct x86_table_pointer pointer = {sizeof(idt) - 1, (uint64_t)idt};
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

void x86_early_traps(void)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        uint64_t stub = (uint64_t)x86_stubs + 16 * vector;
        uint8_t ist = 0;
        if (vector == X86_VECTOR_DOUBLE_FAULT)
            ist = X86_IST_DOUBLE_FAULT;
        else if (vector == X86_VECTOR_NMI || vector == X86_VECTOR_MACHINE_CHECK)
            ist = X86_IST_NMI;
        idt[vector] = (struct x86_gate){
            .offset_low = (uint16_t)stub,
            .selector = X86_KERNEL_CS,
            .ist = ist,
            .type = 0x8e, /* interrupt gate, not callable from user mode */
            .offset_middle = (uint16_t)(stub >> 16),
            .offset_high = (uint32_t)(stub >> 32),
        };
    }
    idt_load();
    /* The first descriptors, by an address that outlives the identity map. */
    struct x86_table_pointer pointer = {23, (uint64_t)x86_ram((uint64_t)boot_gdt)};
    __asm__ volatile("lgdt %0" : : "m"(pointer));
}

/*
 * The register of the local table has to be made null: after a reset it names one of 64 KiB at
 * address 0, in the user half, where a program could put call gates (Intel SDM volume 3A, table
 * 9-1).
 */
static void gdt_load(struct cpu *cpu)
{
    struct arch_cpu *arch = &cpu->arch;
    uint64_t tss = (uint64_t)&arch->tss;
    uint64_t limit = sizeof(arch->tss) - 1;
    arch->gdt[0] = 0;
    arch->gdt[1] = 0x00af9b000000ffff; /* kernel code, 64-bit */
    arch->gdt[2] = 0x00cf93000000ffff; /* kernel data */
    arch->gdt[3] = 0;
    arch->gdt[4] = 0x00cff3000000ffff; /* user data */
    arch->gdt[5] = 0x00affb000000ffff; /* user code, 64-bit */
    arch->gdt[6] = limit | (tss & 0xffffff) << 16 | 0x89ull << 40 | (tss >> 24 & 0xff) << 56;
    arch->gdt[7] = tss >> 32;
    struct x86_table_pointer pointer = {sizeof(arch->gdt) - 1, (uint64_t)arch->gdt};
    __asm__ volatile("lgdt %0\n"
                     "pushq %1\n"
                     "leaq 1f(%%rip), %%rax\n"
                     "pushq %%rax\n"
                     "lretq\n"
                     "1: movl %2, %%eax\n"
                     "movl %%eax, %%ss\n"
                     "ltr %w3\n"
                     "lldt %w4"
                     :
                     : "m"(pointer), "i"(X86_KERNEL_CS), "i"(X86_KERNEL_SS), "r"(X86_TSS), "r"(0)
                     : "rax", "memory");
}

/* The fault stack is halved: double faults above, NMI and machine checks below. */
void arch_cpu_init(struct cpu *cpu)
{
    uint64_t fault_top = kernel_stack_top(cpu->index, KERNEL_STACK_FAULT);
    cpu->self = cpu;
    cpu->arch.tss.ist[X86_IST_DOUBLE_FAULT - 1] = fault_top;
    cpu->arch.tss.ist[X86_IST_NMI - 1] = fault_top - KERNEL_STACK_BYTES / 2;
    cpu->arch.tss.io_map = sizeof(struct x86_tss);
    gdt_load(cpu);
    idt_load();
    x86_write_msr(X86_MSR_FS_BASE, 0);
    x86_write_msr(X86_MSR_GS_BASE, (uint64_t)cpu);
    x86_write_msr(X86_MSR_KERNEL_GS_BASE, 0);
    x86_write_msr(X86_MSR_STAR, (uint64_t)X86_KERNEL_CS << 32 | 0x1bull << 48);
    x86_write_msr(X86_MSR_LSTAR, (uint64_t)x86_syscall);
    x86_write_msr(X86_MSR_FMASK, 0x57700); /* TF IF DF IOPL NT RF AC off in the kernel */
    x86_apic_init(&cpu->hardware_id);
}

void arch_frame_init(struct arch_frame *frame, uint64_t instruction, uint64_t stack,
                     uint64_t argument)
{
    *frame = (struct arch_frame){
        .rip = instruction,
        .rsp = stack,
        .rdi = argument,
        .cs = X86_USER_CS,
        .ss = X86_USER_SS,
        .rflags = 0x202, /* interrupts on */
    };
}

/* Make a frame the one that this CPU restores now and saves to at its next entry, by call or by
 * interrupt. */
struct arch_frame *x86_next_frame(struct cpu *cpu, struct arch_frame *frame)
{
    cpu->frame = frame;
    cpu->arch.tss.rsp[0] = (uint64_t)(frame + 1);
    return frame;
}

_Noreturn void arch_resume(struct cpu *cpu, struct arch_frame *frame)
{
    x86_restore_user(x86_next_frame(cpu, frame));
}

void arch_frame_print(const struct arch_frame *f)
{
    print("  rip %R  rsp %R  flags %R  cs %x\n", f->rip, f->rsp, f->rflags, (unsigned)f->cs);
    print("  rax %R  rbx %R  rcx %R  rdx %R\n", f->rax, f->rbx, f->rcx, f->rdx);
    print("  rsi %R  rdi %R  rbp %R  r8  %R\n", f->rsi, f->rdi, f->rbp, f->r8);
    print("  r9  %R  r10 %R  r11 %R  r12 %R\n", f->r9, f->r10, f->r11, f->r12);
    print("  r13 %R  r14 %R  r15 %R  error %x\n", f->r13, f->r14, f->r15, (unsigned)f->error);
}
