/*
 * Registers and bits of RISC-V's supervisor mode (Privileged Architecture 1.12, chapter 4), the
 * offsets that assembler uses, and what the files of this folder share. For assembler and C.
 */
#ifndef RISCV_H
#define RISCV_H

/* sstatus */
#define RISCV_SSTATUS_SIE 0x2
#define RISCV_SSTATUS_SPIE 0x20
#define RISCV_SSTATUS_SPP 0x100
#define RISCV_SSTATUS_VS 0x600
#define RISCV_SSTATUS_FS 0x6000
#define RISCV_SSTATUS_SUM 0x40000
#define RISCV_SSTATUS_MXR 0x80000
#define RISCV_SSTATUS_UXL 0x300000000

/* sie, sip */
#define RISCV_INTERRUPT_SOFTWARE 1
#define RISCV_INTERRUPT_TIMER 5
#define RISCV_INTERRUPT_EXTERNAL 9

/* scause */
#define RISCV_CAUSE_INTERRUPT_SHIFT 63
#define RISCV_CAUSE_EXEC_ACCESS 1
#define RISCV_CAUSE_LOAD_ACCESS 5
#define RISCV_CAUSE_STORE_ACCESS 7
#define RISCV_CAUSE_CALL 8
#define RISCV_CAUSE_EXEC_PAGE 12
#define RISCV_CAUSE_LOAD_PAGE 13
#define RISCV_CAUSE_STORE_PAGE 15

/* satp */
#define RISCV_SATP_MODE_SHIFT 60
#define RISCV_SATP_SV39 8
#define RISCV_SATP_SV48 9
#define RISCV_SATP_ASID_SHIFT 44
#define RISCV_SATP_ASID_BITS 16

/* Page-table entries that the start code writes itself: valid, accessed and dirty pages. */
#define RISCV_PTE_TABLE 0x01
#define RISCV_PTE_RW 0xc7
#define RISCV_PTE_RWX 0xcf
#define RISCV_PTE_TYPE_IO (2ull << 61) /* Svpbmt */

/* Offsets into struct cpu and struct arch_frame (static asserts in offsets.c). */
#define CPU_FRAME 8
#define CPU_STACK_TOP 16
#define CPU_SCRATCH 24
#define FRAME_SEPC 0
#define FRAME_X(n) (8 * (n))
#define FRAME_SSTATUS 256
#define FRAME_SCAUSE 264
#define FRAME_STVAL 272
#define FRAME_BYTES 288

/* Kernel stacks, as the trap entry checks them: bits 47..44 of the heap window's addresses, the 64
 * KiB slot whose top 16 KiB are the stack, and that the slot above a CPU's kernel stack holds its
 * fault stack. */
#define HEAP_NIBBLE 0xd
#define STACK_SLOT_SHIFT 16
#define STACK_SHIFT 14

/* Offsets into struct riscv_start. */
#define START_SATP 0
#define START_CPU 8
#define START_STACK 16
#define START_ENTRY 24
#define START_HART 32

#define IMAGE_TABLES 2 /* of small pages, for a moved image of up to 2 MiB anywhere */
#define BOOT_STACK_BYTES 0x8000
#define EMERGENCY_STACK_BYTES 0x2000

/* The kernel image's header, for the UEFI application: 8 bytes after the first instruction. */
#define IMAGE_MAGIC 0x31565952524155 /* "UARRYV1" and a zero, little-endian */
#define IMAGE_HEADER 8               /* offset of: magic, offset of the entry, bytes with bss */
#define IMAGE_UEFI_ENTRY 64

#ifndef __ASSEMBLER__
#include <qy/boot_info.h>

#define riscv_read_csr(name)                                                                       \
    ({                                                                                             \
        uint64_t value_;                                                                           \
        __asm__ volatile("csrr %0, " #name : "=r"(value_)::"memory");                              \
        value_;                                                                                    \
    })
#define riscv_write_csr(name, value)                                                               \
    __asm__ volatile("csrw " #name ", %0" ::"rK"((uint64_t)(value)) : "memory")
#define riscv_set_csr(name, bits)                                                                  \
    __asm__ volatile("csrs " #name ", %0" ::"rK"((uint64_t)(bits)) : "memory")
#define riscv_clear_csr(name, bits)                                                                \
    __asm__ volatile("csrc " #name ", %0" ::"rK"((uint64_t)(bits)) : "memory")

static inline uint64_t riscv_time(void)
{
    return riscv_read_csr(time);
}

struct cpu;
struct arch_frame;
struct qy_topology;

/* What a hart that starts finds at the physical address in riscv_start_now. */
struct riscv_start {
    uint64_t satp;      /* the kernel's tables */
    uint64_t cpu;       /* struct cpu *, virtual */
    uint64_t stack_top; /* virtual */
    uint64_t entry;     /* where to go on, virtual */
    uint64_t hart;      /* whom it is for: one that comes late finds another's and stops */
};

/* sbi.c: the calls of the supervisor binary interface that are used here. */
void riscv_sbi_init(void);
void riscv_sbi_name(char *buffer, size_t bytes); /* "OpenSBI 1.1" */
void riscv_sbi_put(char c);
int riscv_sbi_get(void);
void riscv_sbi_set_timer(uint64_t deadline);
void riscv_sbi_send_ipi(uint64_t hart);
bool riscv_sbi_hart_start(uint64_t hart, uint64_t entry, uint64_t argument) QY_MUST_USE;
void riscv_sbi_shutdown(bool failure); /* returns if the firmware cannot */

/* power.c: the test finisher, by which an emulator's exit status is set. */
void riscv_finisher_set(volatile uint32_t *registers);

/* timer.c */
void riscv_timer_set_frequency(uint64_t hz);
uint64_t riscv_timer_hz(void); /* of the register time */
void riscv_timer_tick(struct cpu *cpu);

/* plic.c */
struct qy_pt;
struct qy_pt_tables;
enum qy_error riscv_plic_map(struct qy_pt *pt, const struct qy_topology *topology, unsigned flags,
                             const struct qy_pt_tables *tables) QY_MUST_USE;
uint16_t riscv_plic_context(uint32_t hart);
void riscv_plic_open(const struct cpu *cpu); /* the firmware shuts it whenever it starts a hart */
void riscv_plic_interrupt(struct cpu *cpu); /* a line was raised for this CPU */

/* mmu.c */
void riscv_mmu_probe(void); /* once, on the boot tables */
void riscv_mmu_probe_hart(void); /* by each further hart */

/* trap.S, trap.c, entry.S */
extern volatile uint64_t riscv_start_now;
extern char riscv_trap_vector[], riscv_secondary_entry[], riscv_secondary_virtual[];
struct arch_frame *riscv_trap_user(struct cpu *cpu);
void riscv_trap_kernel(struct arch_frame *frame);
_Noreturn void riscv_secondary(struct cpu *cpu);
_Noreturn void riscv_boot(uint64_t hart, uint64_t fdt, uint64_t handoff, uint64_t image_base,
                          uint64_t paging_mode);

/* uaccess.S */
bool riscv_copy(void *to, const void *from, size_t bytes) QY_MUST_USE;
bool riscv_register_read(uint64_t address, unsigned width, uint32_t *value) QY_MUST_USE;
bool riscv_register_write(uint64_t address, unsigned width, uint32_t value) QY_MUST_USE;
extern char riscv_register_start[], riscv_register_end[], riscv_register_failed[];
extern char riscv_copy_start[], riscv_copy_end[], riscv_copy_failed[];
#endif
#endif
