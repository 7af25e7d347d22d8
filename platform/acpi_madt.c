/*
 * MADT: which processors and interrupt lines there are (ACPI 6.5, section 5.2.12).
 *
 * Only processors that are enabled count: "online capable" ones are places for later. Their numbers
 * are local APIC ids, 8 bits in entries of type 0 and 32 bits in type 9.
 *
 * A line is told by an edge, active high, if its number is below 16 (the old bus), else by its level, active low;
 * overrides say where a line of the old bus is connected instead, and how.
 */
#include "acpi_impl.h"

#define MADT_BYTES 44u
#define ENABLED 1u

enum entry_type {
    LOCAL_APIC = 0,
    IO_APIC = 1,
    OVERRIDE = 2,
    NMI_SOURCE = 3,
    LOCAL_APIC_ADDRESS = 5,
    LOCAL_X2APIC = 9
};

/* Flags of a line, two bits each: 0 = as its bus has it. */
#define POLARITY(flags) ((flags)&3)
#define TRIGGER(flags) ((flags) >> 2 & 3)
enum line_flags { ACTIVE_LOW = 3, BY_LEVEL = 3 };

#define IO_APIC_BYTES 0x20u /* its two registers */

/* Bytes that an entry of that type has at least. */
static unsigned entry_bytes(uint8_t type)
{
    switch (type) {
    case LOCAL_APIC:
        return 8;
    case OVERRIDE:
        return 10;
    case NMI_SOURCE:
        return 8;
    case IO_APIC:
    case LOCAL_APIC_ADDRESS:
        return 12;
    case LOCAL_X2APIC:
        return 16;
    default:
        return 2;
    }
}

static void add_io_apic(uint64_t base, uint32_t first, struct qy_topology *out)
{
    if (!base || base & 15) {
        qy_topology_complain(out, "an I/O APIC at an address that cannot be its is not used");
        return;
    }
    qy_topology_keep(out, base, IO_APIC_BYTES);
    if (out->ioapic_count == QY_TOPOLOGY_IOAPICS) {
        qy_topology_complain(out, "more I/O APICs than there is room for: the others are not used");
        return;
    }
    out->ioapics[out->ioapic_count++] = (struct qy_topology_ioapic){paddr(base), first};
}

static void add_line(uint32_t number, unsigned flags, bool nmi, struct qy_topology *out)
{
    if (out->line_count == QY_TOPOLOGY_LINES) {
        qy_topology_complain(out, "more special interrupt lines than there is room for");
        return;
    }
    out->lines[out->line_count++] = (struct qy_topology_line){.number = number,
                                                              .level = TRIGGER(flags) == BY_LEVEL,
                                                              .low = POLARITY(flags) == ACTIVE_LOW,
                                                              .nmi = nmi};
}

static void read_entry(const uint8_t *at, struct qy_topology *out)
{
    switch (at[0]) {
    case LOCAL_APIC:
        if ((qy_load_le32(at + 4) & ENABLED) && at[3] != 0xff)
            qy_topology_add_cpu(out, at[3]);
        break;
    case IO_APIC:
        add_io_apic(qy_load_le32(at + 4), qy_load_le32(at + 8), out);
        break;
    case OVERRIDE:
        add_line(qy_load_le32(at + 4), qy_load_le16(at + 8), false, out);
        break;
    case NMI_SOURCE:
        add_line(qy_load_le32(at + 4), qy_load_le16(at + 2), true, out);
        break;
    case LOCAL_APIC_ADDRESS:
        out->local_apic = paddr(qy_load_le64(at + 4));
        break;
    case LOCAL_X2APIC:
        if ((qy_load_le32(at + 8) & ENABLED) && qy_load_le32(at + 4) != UINT32_MAX)
            qy_topology_add_cpu(out, qy_load_le32(at + 4));
        break;
    default:
        break;
    }
}

/* True if the entries fill the table exactly and each is as long as its type needs. */
static bool entries_sound(struct qy_bytes madt)
{
    size_t offset = MADT_BYTES;

    while (offset < madt.count) {
        if (!qy_bytes_hold(madt, offset, 2))
            return false;
        const uint8_t *at = madt.at + offset;
        if (at[1] < entry_bytes(at[0]) || !qy_bytes_hold(madt, offset, at[1]))
            return false;
        offset += at[1];
    }
    return true;
}

bool qy_acpi_madt(struct qy_bytes madt, struct qy_topology *out)
{
    if (madt.count < MADT_BYTES || !entries_sound(madt)) {
        qy_topology_complain(out, "the table of processors (MADT) has entries of wrong length");
        return false;
    }
    out->local_apic = paddr(qy_load_le32(madt.at + 36));
    for (size_t offset = MADT_BYTES; offset < madt.count; offset += madt.at[offset + 1])
        read_entry(madt.at + offset, out);
    qy_topology_keep_local_apic(out);
    return true;
}
