/*
 * The contract between the kernel and an architecture. The kernel owns it; each folder arch/<arch>/ implements all of
 * it, and supplies two headers: arch_types.h (struct arch_frame, struct arch_cpu, struct arch_space) and arch_cpu.h
 * (cpu_this and the small inline functions marked so below).
 *
 * How control flows
 *
 *   firmware -> arch entry (assembler) -> arch_boot: fills struct qy_boot_info -> kernel_main(info), on the boot stack
 *   user mode -> arch entry: saves registers in cpu->frame, loads cpu->stack_top -> entry_call / entry_fault /
 *   entry_exception / entry_timer / entry_ipi (kernel/entry.h) -> entry_exit() -> restores the frame it returns
 *   kernel mode: a fault inside a copy routine resumes at its fix-up; an interrupt is taken only in arch_idle and
 *   arch_take_interrupts; anything else is kernel_panic_trap.
 */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#include <kernel/cpu.h>
#include <qy/boot_info.h>
#include <qy/pt.h>

/* ---- boot ---- */

/* Start of the kernel image in physical memory, 2 MiB aligned; set before kernel_main. */
extern paddr_t arch_image_base;

/* Map the image, as the boot tables have it, at this page as well; not in the 2 MiB in which they have it. */
void arch_image_map(uint64_t at);

/* One past the highest physical address that the CPU can put on its bus, at most 64 TiB. */
uint64_t arch_physical_limit(void);

/* The largest level of a page that this CPU has: 3 with 1 GiB pages, else 2. */
unsigned arch_max_page_level(void);

/* Physical memory reachable through the boot tables' direct map: tables built before arch_mmu_load come from below. */
uint64_t arch_boot_window(void);

/* Null, or the name of a feature that the kernel cannot do without and this CPU lacks (with what to do). */
const char *arch_missing_feature(void);

/* Turn on, on this CPU, what protects the kernel: NX, SMEP, SMAP, UMIP, PGE / SUM off. Once per CPU. */
void arch_protect(void);

/* Names of the protections that are on, and of those that the CPU lacks, for the console ("NX SMEP ...; no PCID"). */
void arch_protection_names(char *buffer, size_t bytes);

/* Map the device registers that this architecture needs into the DEVICES window of the kernel's tables. */
struct qy_topology;
enum qy_error arch_map_devices(struct qy_pt *pt, const struct qy_topology *topology,
                               const struct qy_pt_tables *tables) QY_MUST_USE;

/* Load the kernel's final tables for the first time on the boot CPU; the boot tables' identity map is gone after it. */
void arch_mmu_load(paddr_t root);

/* Set this CPU up: descriptor tables, trap vectors, fault stack, cpu_this. cpu->index, hardware_id, stack_top are set. */
void arch_cpu_init(struct cpu *cpu);

/* Run function(argument) on another stack; never returns. */
_Noreturn void arch_switch_stack(uint64_t top, void (*function)(void *), void *argument);

/* CPUs, memory affinity and distances, from ACPI or the device tree. Errors: NOT_FOUND (one CPU is assumed). */
enum qy_error arch_topology(const struct qy_boot_info *info, struct qy_topology *out) QY_MUST_USE;

/* The largest address that memory for starting CPUs may have (x86-64: 1 MiB; 0: none is needed), and one page of it. */
uint64_t arch_trampoline_limit(void);

/* Start a CPU whose struct cpu and stacks exist; it runs cpu_main(cpu) on its kernel stack. Errors: UNSUPPORTED. */
enum qy_error arch_cpu_start(struct cpu *cpu, paddr_t trampoline, paddr_t root) QY_MUST_USE;

/* Before other CPUs start: every line of a device is off. Says on the console if the machine's controller is not driven. */
void arch_interrupts_init(const struct qy_topology *topology);

/* Start this CPU's periodic timer. */
void arch_timer_start(void);

/* ---- every day ---- */

/* inline, arch_cpu.h:
 *   struct cpu *cpu_this(void);
 *   void arch_relax(void);                 one turn of a spin loop
 *   uint64_t arch_clock(void);             the clock that programs can read too: TSC, rdinstret/rdtime
 *   bool arch_irq_enabled(void);
 *   arch_return_instruction[]              machine code of a return
 */
uint64_t arch_clock_hz(void); /* 0 if unknown */

/* Nanoseconds since some moment of the boot, the same on every CPU; 0 before the timer was started. */
uint64_t arch_time_ns(void);

/* A random number of the processor's; false if it has none to give. */
bool arch_random(uint64_t *out);

/* Wait for an interrupt with interrupts on, handle it, return with interrupts off. */
void arch_idle(void);

/* Handle the interrupts that are pending; likewise. No lock is held. */
void arch_take_interrupts(void);

/* Interrupt another CPU; it calls entry_ipi. */
void arch_ipi(struct cpu *cpu);

/*
 * Translations of this CPU. Tags tell spaces apart (PCID, ASID); each CPU's are its own. What is global, the kernel's
 * half, goes with every space, and only the last two functions forget it. The first four are struct qy_tlb_ops (qy/tlb.h).
 */

/* Tags that every CPU has beside 0, asked when all of them run; 0: none, and loading tables forgets what is not global. */
unsigned arch_tlb_tags(void);

/* Load tables under a tag; keep: what the CPU has under it is good, else it is forgotten before it is used. */
void arch_tlb_load(paddr_t root, unsigned tag, bool keep);

/* Forget pages of one level of the space that is loaded under the tag; all of it, with tables on the way. */
void arch_tlb_flush_pages(unsigned tag, vaddr_t start, unsigned pages, unsigned level);
void arch_tlb_flush_tag(unsigned tag);

/* Forget that an address of the loaded space was not mapped, or mapped with fewer rights: page and tables on the way. */
void arch_flush_path(vaddr_t address);

/* Forget 4 KiB pages, whoever's; everything, of all tags. */
void arch_flush_range(vaddr_t address, uint64_t pages);
void arch_flush_everything(void);

/* Forget instructions that this CPU has fetched before they were written. Null: it does so by itself. */
extern void (*const arch_fence_code)(void);

/* The page-table format of this CPU. */
const struct qy_pt_format *arch_pt_format(void);

/* ---- devices ---- */

/* Lines of devices have numbers below ARCH_INTERRUPTS (arch_types.h): global system interrupts of ACPI, or sources of the
 * PLIC. When one is raised a CPU calls entry_interrupt. All of these under qy_class_caps. */

/* Let a line through to a CPU, or to CPU 0 if the controller cannot reach that one. *edge: it tells of changes, not of its
 * level. Errors: INVALID_ARGUMENT (the machine has no such line), UNSUPPORTED (or it is not for us to drive). */
enum qy_error arch_interrupt_enable(uint32_t number, struct cpu *cpu, bool *edge) QY_MUST_USE;

/* Hold a line that was raised back; let it through again. */
void arch_interrupt_hold(uint32_t number);
void arch_interrupt_let(uint32_t number);

/* The line is off, whatever state it was in. */
void arch_interrupt_disable(uint32_t number);

/* Give the ports [first, first + count) away, and take them back. Errors: UNSUPPORTED (there are no ports), BUSY (given
 * away already, or the kernel's own). */
enum qy_error arch_ports_take(uint32_t first, uint32_t count) QY_MUST_USE;
void arch_ports_give(uint32_t first, uint32_t count);

/* One access of 1, 2 or 4 bytes. */
uint32_t arch_port_in(uint16_t port, unsigned width);
void arch_port_out(uint16_t port, unsigned width, uint32_t value);

/* One access to a register at a kernel's address. False: no device answers (where the machine says so). */
bool arch_register_read(uint64_t address, unsigned width, uint32_t *value) QY_MUST_USE;
bool arch_register_write(uint64_t address, unsigned width, uint32_t value) QY_MUST_USE;

/* ---- threads ---- */

/* A new thread: user mode, interrupts on, all registers zero but these. */
void arch_frame_init(struct arch_frame *frame, uint64_t instruction, uint64_t stack, uint64_t argument);

/* The registers of a call: number, x0..x5 in; error, x1..x5 out. Inline in arch_cpu.h:
 *   uint64_t arch_call_number(const struct arch_frame *);
 *   uint64_t arch_call_argument(const struct arch_frame *, unsigned i);         i = 0..5
 *   void arch_call_restart(struct arch_frame *);   back to the instruction that made the call, whose registers stand
 *   void arch_call_result(struct arch_frame *, enum qy_error error);
 *   void arch_call_value(struct arch_frame *, unsigned i, uint64_t value);      i = 1..5
 *   uint64_t arch_frame_instruction(const struct arch_frame *);
 *   uint64_t arch_frame_stack(const struct arch_frame *);
 *   uint64_t arch_frame_base(const struct arch_frame *);                        frame pointer
 *   bool arch_frame_walk(uint64_t *frame_pointer, uint64_t *return_address);    one step up; false at the end
 */

/* The register by which a program finds what a thread has of its own (fs, tp). Inline in arch_cpu.h:
 *   void arch_pointer_switch(struct cpu *, uint64_t pointer);     another thread runs on this CPU, with that pointer
 *   void arch_pointer_set(struct cpu *, struct arch_frame *, uint64_t pointer);      that of the thread that runs
 */

/* Restore those registers and go on in user mode. The entry code does the same after entry_exit. */
_Noreturn void arch_resume(struct cpu *cpu, struct arch_frame *frame);

/* ---- user memory: the only code that touches it ---- */

/* Copy; recover from any fault. False: a fault that nobody resolved; *out may be partly written then. The range was
 * checked to lie in the user half. */
bool arch_copy_from_user(void *out, uint64_t user, size_t bytes) QY_MUST_USE;
bool arch_copy_to_user(uint64_t user, const void *in, size_t bytes) QY_MUST_USE;

/* ---- console and end ---- */

void arch_console_init(const struct qy_boot_info *info); /* works on the boot tables */
void arch_console_put(char c);
int arch_console_get(void); /* -1: nothing typed */

/* Switch the machine off. code 0 = all well; an emulator's exit status tells. Never returns. */
_Noreturn void arch_power_off(unsigned code);

/* The kernel's registers at a trap, for the panic's report. */
void arch_frame_print(const struct arch_frame *frame);

#endif
