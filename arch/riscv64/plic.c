/*
 * Lines of devices: the platform-level interrupt controller.
 *
 * A CPU that is interrupted *claims* a source; until it is *completed* there, the controller's gateway lets no other
 * interrupt of it through. So a line that was raised holds itself back, and the acknowledgement completes it. Priority 0
 * turns a source off.
 *
 * Locking: qy_class_caps, but for the claim. Reference: RISC-V Platform-Level Interrupt Controller Specification 1.0.
 */
#include "riscv.h"

#include <arch/arch.h>
#include <kernel/entry.h>
#include <kernel/print.h>
#include <platform/topology.h>

/* Words of the registers. */
#define PRIORITY(source) (source)
#define ENABLE(context, word) (0x2000 / 4 + (context) * (0x80 / 4) + (word))
#define THRESHOLD(context) (0x200000 / 4 + (context) * (0x1000 / 4))
#define CLAIM(context) (THRESHOLD(context) + 1)
#define PLIC_BYTES_MAX 0x4000000ull

#define PLIC_ADDRESS (kernel_base.devices + 0x200000) /* behind the test finisher */

static volatile uint32_t *plic; /* null: there is none */
static uint64_t registers_bytes;
static uint32_t sources; /* their numbers are below */
static const struct qy_topology *harts;
static uint16_t context_of[ARCH_INTERRUPTS]; /* that a source was enabled for */

enum qy_error riscv_plic_map(struct qy_pt *pt, const struct qy_topology *topology, unsigned flags,
                             const struct qy_pt_tables *tables)
{
    uint64_t base = topology->plic.raw, bytes = qy_align_down(topology->plic_bytes, QY_PAGE_BYTES);
    if (bytes > PLIC_BYTES_MAX)
        bytes = PLIC_BYTES_MAX;
    if (!base || base > arch_physical_limit() - bytes)
        return QY_OK;
    harts = topology;
    registers_bytes = bytes;
    sources =
        topology->plic_sources < ARCH_INTERRUPTS ? topology->plic_sources + 1 : ARCH_INTERRUPTS;
    plic = (volatile uint32_t *)PLIC_ADDRESS;
    return qy_pt_map_range(pt, vaddr(PLIC_ADDRESS), paddr(base), bytes, 2, flags, tables);
}

uint16_t riscv_plic_context(uint32_t hart)
{
    for (uint32_t i = 0; harts && i < harts->cpu_count; i++) {
        uint16_t context = harts->cpus[i].plic_context;
        if (harts->cpus[i].hardware_id == hart && context != QY_TOPOLOGY_NO_CONTEXT &&
            (CLAIM(context) + 1) * 4ull <= registers_bytes)
            return context;
    }
    return QY_TOPOLOGY_NO_CONTEXT;
}

void arch_interrupts_init(const struct qy_topology *topology)
{
    if (!plic) {
        print("interrupts: none of devices, %s\n",
              topology->aplic ? "this machine's controller (APLIC) is not driven"
                              : "the device tree names no controller that can be used");
        return;
    }
    for (uint32_t source = 1; source < sources; source++)
        plic[PRIORITY(source)] = 0;
    for (uint32_t i = 0; i < topology->cpu_count; i++) {
        uint16_t context = riscv_plic_context(topology->cpus[i].hardware_id);
        if (context == QY_TOPOLOGY_NO_CONTEXT)
            continue;
        for (uint32_t word = 0; word < ARCH_INTERRUPTS / 32; word++)
            plic[ENABLE(context, word)] = 0;
    }
    riscv_plic_open(cpu_this());
}

void riscv_plic_open(const struct cpu *cpu)
{
    if (cpu->arch.plic_context != QY_TOPOLOGY_NO_CONTEXT)
        plic[THRESHOLD(cpu->arch.plic_context)] = 0;
}

/* The context of a CPU, or of the first that has one. */
static uint16_t context_for(const struct cpu *cpu)
{
    uint16_t context = cpu->arch.plic_context;
    for (unsigned i = 0; i < cpu_count && context == QY_TOPOLOGY_NO_CONTEXT; i++)
        context = cpu_at(i)->arch.plic_context;
    return context;
}

enum qy_error arch_interrupt_enable(uint32_t number, struct cpu *cpu, bool *edge)
{
    if (!plic)
        return QY_UNSUPPORTED;
    if (number == 0 || number >= sources)
        return QY_INVALID_ARGUMENT;
    uint16_t context = context_for(cpu);
    if (context == QY_TOPOLOGY_NO_CONTEXT)
        return QY_UNSUPPORTED;
    *edge = false; /* the gateway remembers an edge that comes while it is claimed */
    context_of[number] = context;
    plic[ENABLE(context, number / 32)] |= 1u << number % 32;
    plic[PRIORITY(number)] = 1;
    return QY_OK;
}

/* The claim has done it. */
void arch_interrupt_hold(uint32_t number)
{
    (void)number;
}

void arch_interrupt_let(uint32_t number)
{
    plic[CLAIM(context_of[number])] = number;
}

/* Completed while it is enabled: else the controller would not hear it. */
void arch_interrupt_disable(uint32_t number)
{
    plic[PRIORITY(number)] = 0;
    arch_interrupt_let(number);
    plic[ENABLE(context_of[number], number / 32)] &= ~(1u << number % 32);
}

void riscv_plic_interrupt(struct cpu *cpu)
{
    uint16_t context = cpu->arch.plic_context;
    uint32_t number = context == QY_TOPOLOGY_NO_CONTEXT ? 0 : plic[CLAIM(context)];
    if (number && number < sources) /* 0: another CPU was faster, or it was turned off */
        entry_interrupt(cpu, number);
}
