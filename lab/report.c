/*
 * The report as tables to read. Sizes are rounded down to one decimal; --json has them exactly.
 */
#include "lab.h"

#include <inttypes.h>
#include <lib/format.h>

struct size {
    char text[24];
};

static struct size size_of(uint64_t bytes)
{
    struct size size;
    format_to(size.text, sizeof(size.text), "%S", bytes);
    return size;
}

static void print_sources(FILE *out, const struct lab_input *input)
{
    fprintf(out, "read from\n");
    for (size_t i = 0; i < input->source_count; i++) {
        const struct lab_source *source = &input->sources[i];
        fprintf(out, "  %-12s %s", source->kind, source->name);
        if (source->ranges)
            fprintf(out, "; ranges of memory: %" PRIu32, source->ranges);
        if (source->affinities)
            fprintf(out, "; lines about nodes: %" PRIu32, source->affinities);
        fprintf(out, "\n");
    }
    for (size_t i = 0; i < input->note_count; i++)
        fprintf(out, "  note: %s\n", input->notes[i]);
}

static void print_map(FILE *out, const struct lab_machine *machine)
{
    fprintf(out,
            "\nmemory: firmware's range                size  firmware says     Quarry's use\n");
    for (uint32_t i = 0; i < machine->map.count; i++) {
        const struct qy_segment *s = &machine->map.segments[i];
        bool usable = s->type == QY_MEM_USABLE;
        if (s->type == QY_MEM_MMIO)
            continue;
        fprintf(out, "  %012" PRIx64 "-%012" PRIx64 " %10s  %-16s  %s", s->base, s->end - 1,
                size_of(s->end - s->base).text, qy_mem_type_name((enum qy_mem_type)s->type),
                usable ? qy_mem_use_name((enum qy_mem_use)s->use) : "-");
        if (usable && s->use == QY_USE_UNTYPED && machine->topology.node_count > 1)
            fprintf(out, ", node %u", s->node);
        fprintf(out, "\n");
    }
}

static uint64_t frames_of_node(const struct lab_machine *machine, unsigned node)
{
    uint64_t frames = 0;
    for (unsigned i = 0; i < machine->zone_count; i++)
        frames += machine->zones[i].node == node ? machine->zones[i].frames : 0;
    return frames;
}

static void print_nodes(FILE *out, const struct lab_machine *machine)
{
    const struct qy_topology *t = &machine->topology;

    fprintf(out, "\nnodes       firmware's  CPUs      frames        size  distance to node");
    for (uint32_t a = 0; a < t->node_count; a++)
        fprintf(out, " %3u", a);
    fprintf(out, "\n");
    for (uint32_t a = 0; a < t->node_count; a++) {
        unsigned cpus = 0;
        for (uint32_t i = 0; i < t->cpu_count; i++)
            cpus += t->cpus[i].node == a;
        uint64_t frames = frames_of_node(machine, a);
        fprintf(out, "  %-9u %10" PRIu32 " %5u %11" PRIu64 " %11s                 ", a,
                t->domain_of[a], cpus, frames, size_of(frames * QY_PAGE_BYTES).text);
        for (uint32_t b = 0; b < t->node_count; b++)
            fprintf(out, " %3u", t->distance[a][b]);
        fprintf(out, "\n");
    }
    if (t->node_count > 1 && !t->distances_known)
        fprintf(out, "  the distances are assumed: no table gives them\n");
}

static void print_zones(FILE *out, const struct lab_machine *machine)
{
    fprintf(out,
            "\nzones             frames        size  largest block  how many  in 2 MiB or more "
            " between\n");
    for (unsigned i = 0; i < machine->zone_count; i++) {
        const struct lab_zone *zone = &machine->zones[i];
        uint64_t large = 0;
        for (unsigned order = QY_BLOCK_ORDER; order < LAB_ORDERS; order++)
            large += zone->blocks[order] << order;
        fprintf(out,
                "  %2u %-8s %11" PRIu64 " %11s  %13s  %8" PRIu64 "  %14" PRIu64 ".%u%%  %012" PRIx64
                "-%012" PRIx64 "\n",
                zone->node, qy_zone_name(zone->zone), zone->frames,
                size_of(zone->frames * QY_PAGE_BYTES).text,
                size_of(QY_PAGE_BYTES << zone->largest_order).text,
                zone->blocks[zone->largest_order], large * 100 / zone->frames,
                (unsigned)(large * 1000 / zone->frames % 10), zone->base, zone->end - 1);
    }
}

/* How many blocks of each order there are, when the largest are handed out first. */
static void print_blocks(FILE *out, const struct lab_machine *machine)
{
    fprintf(out, "\nfree blocks     ");
    for (unsigned order = 0; order < LAB_ORDERS; order++) {
        uint64_t kib = (QY_PAGE_BYTES << order) >> 10;
        unsigned step = kib >= 1u << 20 ? 2 : kib >= 1u << 10 ? 1 : 0;
        fprintf(out, " %4u%c", (unsigned)(kib >> 10 * step), "KMG"[step]);
    }
    fprintf(out, "\n");
    for (unsigned i = 0; i < machine->zone_count; i++) {
        const struct lab_zone *zone = &machine->zones[i];
        fprintf(out, "  %2u %-10s ", zone->node, qy_zone_name(zone->zone));
        for (unsigned order = 0; order < LAB_ORDERS; order++)
            fprintf(out, " %5" PRIu64, zone->blocks[order]);
        fprintf(out, "\n");
    }
}

static void print_amount(FILE *out, const char *what, uint64_t bytes)
{
    fprintf(out, "  %-46s %11s %20" PRIu64 " bytes\n", what, size_of(bytes).text, bytes);
}

static void print_totals(FILE *out, const struct lab_machine *machine)
{
    static const enum qy_mem_use lost[] = {QY_USE_FRAME_ZERO, QY_USE_ROUNDED, QY_USE_BEYOND,
                                           QY_USE_HOTPLUG};
    static const enum qy_mem_type never[] = {QY_MEM_PERSISTENT, QY_MEM_UNACCEPTED, QY_MEM_SPECIAL};

    fprintf(out, "\nwhat becomes of the memory\n");
    print_amount(out, "the firmware calls usable", machine->map.usable_bytes);
    for (unsigned i = 0; i < sizeof(lost) / sizeof(lost[0]); i++) {
        char what[64];
        snprintf(what, sizeof(what), "- %s", qy_mem_use_name(lost[i]));
        if (machine->use_bytes[lost[i]])
            print_amount(out, what, machine->use_bytes[lost[i]]);
    }
    print_amount(out, "= can be handed out", machine->usable_frames * QY_PAGE_BYTES);
    fprintf(out, "    in frames of 4 KiB, before the kernel's own use: %" PRIu64 "\n",
            machine->usable_frames);
    for (unsigned i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        char what[64];
        snprintf(what, sizeof(what), "never counted as RAM: %s", qy_mem_type_name(never[i]));
        if (machine->type_bytes[never[i]])
            print_amount(out, what, machine->type_bytes[never[i]]);
    }
    if (machine->pluggable_bytes)
        print_amount(out, "never counted as RAM: hot-pluggable ranges", machine->pluggable_bytes);
    fprintf(out, "  holes between the first and the last such frame: %u", machine->holes);
    if (machine->holes)
        fprintf(out, ", %s in all, the largest %s", size_of(machine->hole_bytes).text,
                size_of(machine->hole_largest_bytes).text);
    fprintf(out, "\n");
}

static void print_database(FILE *out, const struct lab_machine *machine)
{
    const uint64_t *bytes = machine->database_bytes;
    uint64_t total = bytes[0] + bytes[1] + bytes[2];
    uint64_t share = lab_database_share(machine);

    fprintf(out, "\nframe database\n");
    print_amount(out, "frame entries", bytes[0]);
    print_amount(out, "block descriptors", bytes[1]);
    print_amount(out, "section descriptors", bytes[2]);
    fprintf(out, "  %-46s %11s %20" PRIu64 " bytes, %" PRIu64 ".%03" PRIu64 "%% of usable memory\n",
            "together", size_of(total).text, total, share / 1000, share % 1000);
    print_amount(out, "of it for frames in holes", machine->database_spare_bytes);
    fprintf(out,
            "  sections of 128 MiB with RAM: %" PRIu64 "; initialised at boot: %" PRIu64
            "; end of RAM: %012" PRIx64 "\n",
            machine->sections, machine->sections_initialised, machine->ram_end);
}

static void print_answer(FILE *out, const struct lab_machine *machine, uint64_t address)
{
    const struct qy_segment *s = qy_map_find(&machine->map, address);

    fprintf(out, "  %012" PRIx64 "  ", address);
    if (!s)
        fprintf(out, "nothing that the firmware names\n");
    else if (s->type != QY_MEM_USABLE)
        fprintf(out, "%s\n", qy_mem_type_name((enum qy_mem_type)s->type));
    else if (s->use != QY_USE_UNTYPED)
        fprintf(out, "usable, but lost: %s\n", qy_mem_use_name((enum qy_mem_use)s->use));
    else
        fprintf(out, "usable: node %u, zone %s\n", s->node, qy_zone_name(qy_zone_of(address)));
}

void lab_report_text(FILE *out, const struct lab_input *input, const struct lab_machine *machine,
                     const struct lab_question *questions, size_t count)
{
    print_sources(out, input);
    print_map(out, machine);
    print_nodes(out, machine);
    print_zones(out, machine);
    print_blocks(out, machine);
    print_totals(out, machine);
    print_database(out, machine);
    if (count)
        fprintf(out, "\naddresses asked for\n");
    for (size_t i = 0; i < count; i++)
        print_answer(out, machine, questions[i].address);
}
