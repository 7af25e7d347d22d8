/*
 * Lines of devices: the I/O APICs, which make messages to local APICs of them.
 *
 * Line n raises vector X86_VECTOR_DEVICE + n, on the CPU that it was enabled for; the numbers are ACPI's global system
 * interrupts. Which line belongs to which I/O APIC, and what differs from the buses' rules, is in the MADT.
 *
 * Locking: qy_class_caps, which keeps the two accesses that a register takes together. Reference: Intel 82093AA data
 * sheet, section 3.
 */
#include "x86.h"

#include <arch/arch.h>
#include <platform/topology.h>

#define IOAPIC_WINDOW 4 /* words after the register that selects */
#define IOAPIC_VERSION 1
#define IOAPIC_ENTRY 0x10 /* of line 0; two registers each */

#define ENTRY_LOW_ACTIVE (1u << 13)
#define ENTRY_LEVEL (1u << 15)
#define ENTRY_MASKED (1u << 16)

#define OLD_BUS_LINES 16u
#define DESTINATION_MAX 0xfeu /* ids are 8 bits wide, and all ones are everybody */

struct ioapic {
    volatile uint32_t *registers;
    uint32_t first, lines;
};

static struct ioapic ioapics[QY_TOPOLOGY_IOAPICS];
static unsigned ioapic_count;
static const struct qy_topology *topology;

static uint32_t reg_read(const struct ioapic *ioapic, uint32_t index)
{
    ioapic->registers[0] = index;
    return ioapic->registers[IOAPIC_WINDOW];
}

static void reg_write(const struct ioapic *ioapic, uint32_t index, uint32_t value)
{
    ioapic->registers[0] = index;
    ioapic->registers[IOAPIC_WINDOW] = value;
}

/* Each I/O APIC has a page behind the local APIC's. */
enum qy_error x86_ioapic_map(struct qy_pt *pt, const struct qy_topology *from,
                             const struct qy_pt_tables *tables)
{
    for (uint32_t i = 0; i < from->ioapic_count; i++) {
        uint64_t at = kernel_base.devices + (i + 1) * QY_PAGE_BYTES;
        uint64_t base = from->ioapics[i].base.raw, page = qy_align_down(base, QY_PAGE_BYTES);
        enum qy_error error =
            qy_pt_map_range(pt, vaddr(at), paddr(page), QY_PAGE_BYTES, 1,
                            QY_PT_READ | QY_PT_WRITE | QY_PT_UNCACHED | QY_PT_GLOBAL, tables);
        if (error != QY_OK)
            return error;
        ioapics[i].registers = (volatile uint32_t *)(at + (base - page));
        ioapics[i].first = from->ioapics[i].first;
    }
    return QY_OK;
}

void arch_interrupts_init(const struct qy_topology *from)
{
    topology = from;
    ioapic_count = from->ioapic_count;
    for (unsigned i = 0; i < ioapic_count; i++) {
        struct ioapic *ioapic = &ioapics[i];
        ioapic->lines = (reg_read(ioapic, IOAPIC_VERSION) >> 16 & 0xff) + 1;
        for (uint32_t line = 0; line < ioapic->lines; line++)
            reg_write(ioapic, IOAPIC_ENTRY + 2 * line, ENTRY_MASKED);
    }
}

/* The I/O APIC of a line and the register of its entry; null if there is none. */
static const struct ioapic *entry_of(uint32_t number, uint32_t *index)
{
    for (unsigned i = 0; i < ioapic_count; i++) {
        if (number - ioapics[i].first >= ioapics[i].lines)
            continue;
        *index = IOAPIC_ENTRY + 2 * (number - ioapics[i].first);
        return &ioapics[i];
    }
    return NULL;
}

static struct qy_topology_line line_of(uint32_t number)
{
    for (uint32_t i = 0; i < topology->line_count; i++)
        if (topology->lines[i].number == number)
            return topology->lines[i];
    bool old_bus = number < OLD_BUS_LINES;
    return (struct qy_topology_line){.number = number, .level = !old_bus, .low = !old_bus};
}

enum qy_error arch_interrupt_enable(uint32_t number, struct cpu *cpu, bool *edge)
{
    uint32_t index, id = cpu->hardware_id;
    const struct ioapic *ioapic = entry_of(number, &index);
    struct qy_topology_line line = line_of(number);
    if (!ioapic && ioapic_count)
        return QY_INVALID_ARGUMENT;
    if (id > DESTINATION_MAX)
        id = cpu_at(0)->hardware_id;
    if (!ioapic || line.nmi || id > DESTINATION_MAX)
        return QY_UNSUPPORTED;
    *edge = !line.level;
    reg_write(ioapic, index + 1, id << 24);
    reg_write(ioapic, index,
              (X86_VECTOR_DEVICE + number) | (line.low ? ENTRY_LOW_ACTIVE : 0) |
                  (line.level ? ENTRY_LEVEL : 0));
    return QY_OK;
}

void arch_interrupt_hold(uint32_t number)
{
    uint32_t index;
    const struct ioapic *ioapic = entry_of(number, &index);
    reg_write(ioapic, index, reg_read(ioapic, index) | ENTRY_MASKED);
}

void arch_interrupt_let(uint32_t number)
{
    uint32_t index;
    const struct ioapic *ioapic = entry_of(number, &index);
    reg_write(ioapic, index, reg_read(ioapic, index) & ~ENTRY_MASKED);
}

void arch_interrupt_disable(uint32_t number)
{
    uint32_t index;
    const struct ioapic *ioapic = entry_of(number, &index);
    if (ioapic) /* a vector may come for no line's sake */
        reg_write(ioapic, index, ENTRY_MASKED);
}
