/*
 * Binary tables: SRAT and SLIT as dumped from /sys/firmware/acpi/tables, and a device tree; and the topology that
 * they and a boot log's lines give.
 *
 * The log's lines are put into the form of an SRAT, so that they are judged by the code that judges a table.
 */
#include "lab.h"

#include <stdlib.h>
#include <string.h>

#define SRAT_HEADER_BYTES 48u
#define MEMORY_BYTES 40u
#define PROCESSOR_BYTES 24u

static struct qy_bytes copy_of(struct qy_bytes bytes)
{
    uint8_t *copy = lab_allocate(bytes.count);
    memcpy(copy, bytes.at, bytes.count);
    return (struct qy_bytes){copy, bytes.count};
}

bool lab_read_acpi(struct lab_file *file, struct qy_bytes table)
{
    bool distances = memcmp(table.at, "SLIT", 4) == 0;
    struct qy_bytes *place = distances ? &file->input->slit : &file->input->srat;
    const char *wrong = qy_acpi_dump_check(table, distances ? "SLIT" : "SRAT");

    if (wrong)
        return lab_fail(file, "%s", wrong);
    if (place->at)
        return lab_fail(file, "a second %s: give the files of one machine",
                        distances ? "SLIT" : "SRAT");
    *place = copy_of(table);
    return true;
}

bool lab_read_tree(struct lab_file *file, struct qy_bytes tree)
{
    struct lab_input *input = file->input;
    struct qy_boot_info *info = lab_allocate(sizeof(*info));
    enum qy_error error = qy_parse_fdt(tree, paddr(0), info);
    bool fits = true;

    if (error)
        fits = lab_fail(file, "%s", info->why ? info->why : qy_error_sentence(error));
    else if (info->truncated)
        fits = lab_fail(file, "more than Quarry takes: %s", info->truncated_what);
    else if (input->tree)
        fits = lab_fail(file, "a second device tree: give the files of one machine");
    for (uint32_t i = 0; i < info->range_count && fits; i++)
        fits = lab_add_range(file, info->ranges[i].base, info->ranges[i].end,
                             (enum qy_mem_type)info->ranges[i].type);
    /* The first one is the tree itself, whose address is not known; the others the tree says to keep off. */
    for (uint32_t i = 1; i < info->reserved_count && fits; i++)
        fits = lab_add_range(file, info->reserved[i].base, info->reserved[i].end, QY_MEM_RESERVED);
    free(info);
    if (!fits)
        return false;
    input->tree = lab_allocate(sizeof(*input->tree));
    error = qy_fdt_topology(tree, input->tree);
    return error == QY_OK || error == QY_NOT_FOUND ||
           lab_fail(file, "%s",
                    input->tree->complaint ? input->tree->complaint : qy_error_sentence(error));
}

static void store(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* The log's lines about nodes as an SRAT of revision 3 (ACPI 6.5, section 5.2.16). */
static struct qy_bytes srat_of(const struct lab_input *input)
{
    size_t bytes = SRAT_HEADER_BYTES;
    uint8_t sum = 0;

    for (size_t i = 0; i < input->affinity_count; i++)
        bytes += input->affinities[i].memory ? MEMORY_BYTES : PROCESSOR_BYTES;
    uint8_t *table = lab_allocate(bytes), *at = table + SRAT_HEADER_BYTES;
    memcpy(table, "SRAT", 4);
    store(table + 4, bytes, 4);
    table[8] = 3;
    for (size_t i = 0; i < input->affinity_count; i++) {
        const struct lab_affinity *a = &input->affinities[i];
        at[0] = a->memory ? 1 : 2;
        at[1] = a->memory ? MEMORY_BYTES : PROCESSOR_BYTES;
        if (a->memory) {
            store(at + 2, a->domain, 4);
            store(at + 8, a->base, 8);
            store(at + 16, a->end - a->base, 8);
            store(at + 28, 1u | (a->hotplug ? 2u : 0) | (a->non_volatile ? 4u : 0), 4);
        } else {
            store(at + 4, a->domain, 4);
            store(at + 8, a->apic_id, 4);
            store(at + 12, 1, 4);
        }
        at += at[1];
    }
    for (size_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + table[i]);
    table[9] = (uint8_t)-sum;
    return (struct qy_bytes){table, bytes};
}

bool lab_topology(struct lab_input *input, struct qy_topology *out)
{
    struct lab_file whole = {.input = input, .name = ""};

    if (input->tree && (input->srat.at || input->slit.at || input->affinity_count))
        return lab_fail(&whole,
                        "nodes from a device tree and from ACPI: give the files of one machine");
    if (input->tree) {
        *out = *input->tree;
    } else if (input->srat.at || !input->affinity_count) {
        if (input->affinity_count)
            lab_note(input, "the SRAT counts, not what a boot log says of it");
        qy_acpi_dump_topology(input->srat, input->slit, out);
    } else {
        struct qy_bytes made = srat_of(input);
        qy_acpi_dump_topology(made, input->slit, out);
        free((void *)(uintptr_t)made.at);
    }
    if (input->slit.at && !input->srat.at && !input->affinity_count)
        lab_note(input, "an SLIT without an SRAT says nothing: there is one node");
    if (out->complaint)
        lab_note(input, "topology: %s", out->complaint);
    return true;
}
