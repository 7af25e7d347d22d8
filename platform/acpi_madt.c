/*
 * MADT: which processors there are (ACPI 6.5, section 5.2.12).
 *
 * Only processors that are enabled count: "online capable" ones are places for later. Their numbers
 * are local APIC ids, 8 bits in entries of type 0 and 32 bits in type 9.
 */
#include "acpi_impl.h"

#define MADT_BYTES 44u
#define ENABLED 1u

enum entry_type { LOCAL_APIC = 0, LOCAL_APIC_ADDRESS = 5, LOCAL_X2APIC = 9 };

/* Bytes that an entry of that type has at least. */
static unsigned entry_bytes(uint8_t type)
{
    switch (type) {
    case LOCAL_APIC:
        return 8;
    case LOCAL_APIC_ADDRESS:
        return 12;
    case LOCAL_X2APIC:
        return 16;
    default:
        return 2;
    }
}

static void read_entry(const uint8_t *at, struct qy_topology *out)
{
    switch (at[0]) {
    case LOCAL_APIC:
        if ((qy_load_le32(at + 4) & ENABLED) && at[3] != 0xff)
            qy_topology_add_cpu(out, at[3]);
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
    return true;
}
