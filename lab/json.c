/*
 * The report as one JSON object; docs/lab.md explains each key. Addresses are strings ("0x100000000"), since not every
 * reader of JSON keeps integers above 2^53; amounts are numbers.
 */
#include "lab.h"

#include <inttypes.h>
#include <string.h>

/* Bytes of the UTF-8 character at `at`, 0 if it is none (RFC 3629, section 4). */
static unsigned utf8_bytes(const unsigned char *at)
{
    unsigned count = at[0] < 0x80   ? 1
                     : at[0] < 0xc2 ? 0
                     : at[0] < 0xe0 ? 2
                     : at[0] < 0xf0 ? 3
                     : at[0] < 0xf5 ? 4
                                    : 0;

    for (unsigned i = 1; i < count; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] >= 0xa0) ||
        (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] >= 0x90))
        return 0;
    return count;
}

/* A string. Bytes that are no UTF-8 (a file's name may have any) become U+FFFD. */
static void put_string(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    fputc('"', out);
    while (*at) {
        unsigned count = utf8_bytes(at);
        if (count == 0)
            fprintf(out, "\\ufffd");
        else if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f)
            fprintf(out, "\\u%04x", *at);
        else
            fwrite(at, 1, count, out);
        at += count ? count : 1;
    }
    fputc('"', out);
}

/* "ACPI tables" as a key: acpi_tables. */
static void put_key(FILE *out, const char *name)
{
    fputc('"', out);
    for (; *name; name++)
        fputc(*name >= 'A' && *name <= 'Z'   ? *name - 'A' + 'a'
              : *name == ' ' || *name == '-' ? '_'
                                             : *name,
              out);
    fputc('"', out);
}

static void put_sources(FILE *out, const struct lab_input *input)
{
    fprintf(out, "  \"sources\": [");
    for (size_t i = 0; i < input->source_count; i++) {
        fprintf(out, "%s\n    {\"kind\": ", i ? "," : "");
        put_string(out, input->sources[i].kind);
        fprintf(out, ", \"file\": ");
        put_string(out, input->sources[i].name);
        fprintf(out, ", \"ranges\": %" PRIu32 "}", input->sources[i].ranges);
    }
    fprintf(out, "\n  ],\n  \"notes\": [");
    for (size_t i = 0; i < input->note_count; i++) {
        fprintf(out, "%s\n    ", i ? "," : "");
        put_string(out, input->notes[i]);
    }
    fprintf(out, "%s],\n", input->note_count ? "\n  " : "");
}

static void put_nodes(FILE *out, const struct lab_machine *machine)
{
    const struct qy_topology *t = &machine->topology;

    fprintf(out, "  \"nodes\": [");
    for (uint32_t a = 0; a < t->node_count; a++) {
        unsigned cpus = 0;
        uint64_t frames = 0;
        for (uint32_t i = 0; i < t->cpu_count; i++)
            cpus += t->cpus[i].node == a;
        for (unsigned i = 0; i < machine->zone_count; i++)
            frames += machine->zones[i].node == a ? machine->zones[i].frames : 0;
        fprintf(out,
                "%s\n    {\"node\": %" PRIu32 ", \"firmware_id\": %" PRIu32
                ", \"cpus\": %u, \"frames\": %" PRIu64 ", \"distances\": [",
                a ? "," : "", a, t->domain_of[a], cpus, frames);
        for (uint32_t b = 0; b < t->node_count; b++)
            fprintf(out, "%s%u", b ? ", " : "", t->distance[a][b]);
        fprintf(out, "]}");
    }
    fprintf(out, "\n  ],\n  \"distances_known\": %s,\n", t->distances_known ? "true" : "false");
}

static void put_zones(FILE *out, const struct lab_machine *machine)
{
    fprintf(out, "  \"zones\": [");
    for (unsigned i = 0; i < machine->zone_count; i++) {
        const struct lab_zone *zone = &machine->zones[i];
        fprintf(out, "%s\n    {\"node\": %u, \"zone\": ", i ? "," : "", zone->node);
        put_key(out, qy_zone_name(zone->zone));
        fprintf(out,
                ", \"frames\": %" PRIu64 ", \"base\": \"0x%" PRIx64 "\", \"end\": \"0x%" PRIx64
                "\", \"largest_order\": %d, \"largest_bytes\": %" PRIu64 ", \"free_blocks\": [",
                zone->frames, zone->base, zone->end, zone->largest_order,
                (uint64_t)(QY_PAGE_BYTES << zone->largest_order));
        for (unsigned order = 0; order < LAB_ORDERS; order++)
            fprintf(out, "%s%" PRIu64, order ? ", " : "", zone->blocks[order]);
        fprintf(out, "]}");
    }
    fprintf(out, "\n  ],\n");
}

static void put_amounts(FILE *out, const struct lab_machine *machine)
{
    const uint64_t *use = machine->use_bytes;

    fprintf(out, "  \"firmware_bytes\": {");
    for (unsigned type = 0; type < QY_MEM_TYPE_COUNT; type++) {
        fprintf(out, "%s", type ? ", " : "");
        put_key(out, qy_mem_type_name((enum qy_mem_type)type));
        fprintf(out, ": %" PRIu64, machine->type_bytes[type]);
    }
    fprintf(out, "},\n  \"hot_pluggable_bytes\": %" PRIu64 ",\n", machine->pluggable_bytes);
    fprintf(out,
            "  \"lost\": {\"bytes\": %" PRIu64 ", \"frame_zero_bytes\": %" PRIu64
            ", \"rounded_bytes\": %" PRIu64 ", \"beyond_bytes\": %" PRIu64
            ", \"hot_pluggable_bytes\": %" PRIu64 ", \"holes\": %u, \"hole_bytes\": %" PRIu64
            ", \"largest_hole_bytes\": %" PRIu64 "},\n",
            use[QY_USE_FRAME_ZERO] + use[QY_USE_ROUNDED] + use[QY_USE_BEYOND] + use[QY_USE_HOTPLUG],
            use[QY_USE_FRAME_ZERO], use[QY_USE_ROUNDED], use[QY_USE_BEYOND], use[QY_USE_HOTPLUG],
            machine->holes, machine->hole_bytes, machine->hole_largest_bytes);
}

static void put_database(FILE *out, const struct lab_machine *machine)
{
    const uint64_t *bytes = machine->database_bytes;
    uint64_t total = bytes[0] + bytes[1] + bytes[2], share = lab_database_share(machine);

    fprintf(out,
            "  \"frame_database\": {\"bytes\": %" PRIu64 ", \"percent\": %" PRIu64 ".%03" PRIu64
            ", \"frames_bytes\": %" PRIu64 ", \"blocks_bytes\": %" PRIu64
            ", \"sections_bytes\": %" PRIu64 ", \"hole_bytes\": %" PRIu64 ", \"sections\": %" PRIu64
            ", \"sections_initialised\": %" PRIu64 "},\n",
            total, share / 1000, share % 1000, bytes[0], bytes[1], bytes[2],
            machine->database_spare_bytes, machine->sections, machine->sections_initialised);
}

static void put_segment(FILE *out, const struct qy_segment *s)
{
    fprintf(out, "\"type\": ");
    put_key(out, qy_mem_type_name((enum qy_mem_type)s->type));
    if (s->type != QY_MEM_USABLE)
        return;
    fprintf(out, ", \"use\": ");
    put_string(out, qy_mem_use_name((enum qy_mem_use)s->use));
    if (s->use == QY_USE_UNTYPED) {
        fprintf(out, ", \"node\": %u, \"zone\": ", s->node);
        put_key(out, qy_zone_name(qy_zone_of(s->base)));
    }
}

static void put_segments(FILE *out, const struct lab_machine *machine)
{
    fprintf(out, "  \"segments\": [");
    for (uint32_t i = 0; i < machine->map.count; i++) {
        const struct qy_segment *s = &machine->map.segments[i];
        fprintf(out, "%s\n    {\"base\": \"0x%" PRIx64 "\", \"end\": \"0x%" PRIx64 "\", ",
                i ? "," : "", s->base, s->end);
        if (s->type == QY_MEM_USABLE && s->use == QY_USE_UNTYPED && s->base < QY_DMA32_END &&
            s->end > QY_DMA32_END)
            fprintf(out, "\"type\": \"usable\", \"use\": \"%s\", \"node\": %u",
                    qy_mem_use_name(QY_USE_UNTYPED), s->node);
        else
            put_segment(out, s);
        fprintf(out, "}");
    }
    fprintf(out, "\n  ]");
}

static void put_answers(FILE *out, const struct lab_machine *machine,
                        const struct lab_question *questions, size_t count)
{
    fprintf(out, ",\n  \"addresses\": [");
    for (size_t i = 0; i < count; i++) {
        const struct qy_segment *found = qy_map_find(&machine->map, questions[i].address);
        fprintf(out, "%s\n    {\"address\": \"0x%" PRIx64 "\", ", i ? "," : "",
                questions[i].address);
        if (found) {
            struct qy_segment s = *found;
            s.base = questions[i].address; /* its zone, not that of the segment's begin */
            put_segment(out, &s);
        } else {
            fprintf(out, "\"type\": null");
        }
        fprintf(out, "}");
    }
    fprintf(out, "\n  ]");
}

void lab_report_json(FILE *out, const struct lab_input *input, const struct lab_machine *machine,
                     const struct lab_question *questions, size_t count)
{
    fprintf(out, "{\n");
    put_sources(out, input);
    fprintf(out,
            "  \"physical_bits\": %u,\n  \"usable_frames\": %" PRIu64
            ",\n  \"usable_bytes\": %" PRIu64 ",\n",
            machine->physical_bits, machine->usable_frames,
            (uint64_t)(machine->usable_frames * QY_PAGE_BYTES));
    put_nodes(out, machine);
    put_zones(out, machine);
    put_amounts(out, machine);
    put_database(out, machine);
    put_segments(out, machine);
    if (count)
        put_answers(out, machine, questions, count);
    fprintf(out, "\n}\n");
}
