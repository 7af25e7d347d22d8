/*
 * Registers, ports and bits of x86-64 (Intel SDM volume 3, chapters 2, 4, 6 and 10; volume 4 for
 * MSRs).
 */
#ifndef X86_H
#define X86_H

#define X86_KERNEL_CS 0x08
#define X86_KERNEL_SS 0x10
#define X86_USER_SS 0x23
#define X86_USER_CS 0x2b
#define X86_TSS 0x30

#define IMAGE_TABLES 2 /* of small pages, for a moved image of up to 2 MiB anywhere */

#define X86_CR0_PE (1 << 0)
#define X86_CR0_MP (1 << 1)
#define X86_CR0_EM (1 << 2)
#define X86_CR0_TS (1 << 3)
#define X86_CR0_NE (1 << 5)
#define X86_CR0_WP (1 << 16)
#define X86_CR0_AM (1 << 18)
#define X86_CR0_PG 0x80000000

#define X86_CR4_PAE (1 << 5)
#define X86_CR4_MCE (1 << 6)
#define X86_CR4_PGE (1 << 7)
#define X86_CR4_UMIP (1 << 11)
#define X86_CR4_PCIDE (1 << 17)
#define X86_CR4_SMEP (1 << 20)
#define X86_CR4_SMAP (1 << 21)

#define X86_MSR_APIC_BASE 0x1b
#define X86_MSR_EFER 0xc0000080
#define X86_MSR_STAR 0xc0000081
#define X86_MSR_LSTAR 0xc0000082
#define X86_MSR_FMASK 0xc0000084
#define X86_MSR_FS_BASE 0xc0000100
#define X86_MSR_GS_BASE 0xc0000101
#define X86_MSR_KERNEL_GS_BASE 0xc0000102

#define X86_EFER_SCE (1 << 0)
#define X86_EFER_LME (1 << 8)
#define X86_EFER_NXE (1 << 11)

/* Vectors: 0..31 are exceptions. */
#define X86_VECTOR_NMI 2
#define X86_VECTOR_DOUBLE_FAULT 8
#define X86_VECTOR_PAGE_FAULT 14
#define X86_VECTOR_MACHINE_CHECK 18
#define X86_VECTOR_TIMER 32
#define X86_VECTOR_IPI 33
#define X86_VECTOR_DEVICE 48 /* of line 0; ARCH_INTERRUPTS of them */
#define X86_VECTOR_SPURIOUS 255

/* Interrupt stack table entries of the task state segment. */
#define X86_IST_DOUBLE_FAULT 1
#define X86_IST_NMI 2

/* What a trampoline page holds for the CPU that starts there, from its offset on. */
#define X86_TRAMPOLINE_DATA 0xf00

/* Offsets into struct cpu (static asserts in offsets.c). */
#define CPU_FRAME 8
#define CPU_STACK_TOP 16
#define CPU_SCRATCH 24
#define FRAME_BYTES 176

#ifndef __ASSEMBLER__
#include <qy/pt.h>

static inline void x86_out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void x86_out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void x86_out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t x86_in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint16_t x86_in16(uint16_t port)
{
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint32_t x86_in32(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint64_t x86_read_msr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void x86_write_msr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

#define X86_CONTROL_REGISTER(name)                                                                 \
    static inline uint64_t x86_read_##name(void)                                                   \
    {                                                                                              \
        uint64_t value;                                                                            \
        __asm__ volatile("movq %%" #name ", %0" : "=r"(value));                                    \
        return value;                                                                              \
    }                                                                                              \
    static inline void x86_write_##name(uint64_t value)                                            \
    {                                                                                              \
        __asm__ volatile("movq %0, %%" #name : : "r"(value) : "memory");                           \
    }
X86_CONTROL_REGISTER(cr0)
X86_CONTROL_REGISTER(cr2)
X86_CONTROL_REGISTER(cr3)
X86_CONTROL_REGISTER(cr4)

struct x86_cpuid {
    uint32_t a, b, c, d;
};

static inline struct x86_cpuid x86_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct x86_cpuid r;
    __asm__("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
    return r;
}

/* What this CPU can do, read once on the boot CPU (features.c). */
struct x86_features {
    unsigned nx : 1, mce : 1, pge : 1, smep : 1, smap : 1, umip : 1, pcid : 1, invpcid : 1, page_1g : 1,
        syscall : 1, x2apic : 1;
    unsigned physical_bits;
};
extern struct x86_features x86_features;

/* Process-context identifiers are in use: an emulator may accept CR4.PCIDE although CPUID denies it. */
static inline bool x86_has_tags(void)
{
    return x86_features.pcid && x86_features.pge;
}

void x86_features_read(void);

/* The APIC id of this CPU, before its APIC is set up. */
uint32_t x86_initial_apic_id(void);

/* Faults are reported from here on, except on a broken stack. */
void x86_early_traps(void);

void x86_apic_init(uint32_t *id); /* on this CPU; boot's maps it first */
void x86_apic_end_of_interrupt(void);
uint32_t x86_apic_id(void);
void x86_apic_send(uint32_t id, uint32_t command);
void x86_pit_wait(unsigned microseconds); /* channel 2 of the PIT */

/* Map the I/O APICs behind the local APIC. */
struct qy_topology;
enum qy_error x86_ioapic_map(struct qy_pt *pt, const struct qy_topology *topology,
                             const struct qy_pt_tables *tables) QY_MUST_USE;

/* These ports, where the machine is switched off, are the kernel's. */
void x86_ports_keep(uint16_t first, uint16_t count);

/* The direct map of the boot tables or the final ones: the same offset. */
void *x86_ram(uint64_t physical);
#endif
#endif
