/*
 * FADT and DSDT: how to switch the machine off (ACPI 6.5, sections 5.2.9, 4.8.3.2 and 7.4.2).
 *
 * To power off, write SLP_TYP of state S5 and SLP_EN to the PM1a control port. The port stands in
 * the FADT; SLP_TYP is the first element of the package _S5_ in the DSDT, which is found by its
 * bytes, since it is always a plain constant:
 *
 *     '_' 'S' '5' '_' | 12 package | length, 1 to 4 bytes | elements | 0a value, or 00, or 01 | ...
 */
#include "acpi_impl.h"
#include <lib/string.h>

#define FADT_1_BYTES 116u
#define HARDWARE_REDUCED (1u << 20)

#define IN_IO_SPACE 1u

enum aml { ZERO = 0x00, ONE = 0x01, BYTE_PREFIX = 0x0a, PACKAGE = 0x12 };

/* The port of the PM1a control block, 0 if there is none below 64 Ki. */
static uint16_t pm1a_port(struct qy_bytes fadt)
{
    uint64_t port = qy_load_le32(fadt.at + 64);

    if (qy_load_le32(fadt.at + 112) & HARDWARE_REDUCED)
        return 0;
    if (qy_bytes_hold(fadt, 172, 12) && qy_load_le64(fadt.at + 176) != 0)
        port = fadt.at[172] == IN_IO_SPACE ? qy_load_le64(fadt.at + 176) : 0;
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static uint64_t dsdt_address(struct qy_bytes fadt)
{
    if (qy_bytes_hold(fadt, 140, 8) && qy_load_le64(fadt.at + 140) != 0)
        return qy_load_le64(fadt.at + 140);
    return qy_load_le32(fadt.at + 40);
}

/*
 * The first element of the package that begins at an offset. False: there is no package of
 * constants.
 */
static bool first_element(struct qy_bytes aml, size_t offset, uint8_t *out)
{
    if (!qy_bytes_hold(aml, offset, 2) || aml.at[offset] != PACKAGE)
        return false;
    offset +=
        2 + (aml.at[offset + 1] >> 6); /* the two top bits: how many further bytes the length has */
    if (!qy_bytes_hold(aml, offset, 2) || aml.at[offset] == 0)
        return false;
    const uint8_t *element = aml.at + offset + 1;
    if (*element == ZERO || *element == ONE) {
        *out = *element;
        return true;
    }
    if (*element != BYTE_PREFIX || !qy_bytes_hold(aml, offset, 3))
        return false;
    *out = element[1];
    return true;
}

static bool find_s5(struct qy_bytes dsdt, uint8_t *out)
{
    for (size_t offset = QY_ACPI_HEADER_BYTES; qy_bytes_hold(dsdt, offset, 4); offset++)
        if (memcmp(dsdt.at + offset, "_S5_", 4) == 0 && first_element(dsdt, offset + 4, out) &&
            *out <= 7)
            return true;
    return false;
}

void qy_acpi_fadt(const struct qy_acpi *acpi, struct qy_bytes fadt, struct qy_topology *out)
{
    uint8_t type;

    if (!fadt.at || fadt.count < FADT_1_BYTES)
        return;
    struct qy_bytes dsdt = qy_acpi_table(acpi->reader, dsdt_address(fadt), "DSDT", out);
    uint16_t port = pm1a_port(fadt);
    if (!port || !dsdt.at || !find_s5(dsdt, &type))
        return;
    out->pm1a_control = port;
    out->sleep_type = type;
}
