/*
 * The memory-map laboratory: what people have at hand from a real machine, and how Quarry would use that machine.
 *
 *     boot log, /proc/iomem, SRAT, SLIT, device tree --> struct lab_input --> struct lab_machine --> text or JSON
 *
 * Reading: lab_input_add finds out by content what a file is, and gives each file's ranges and tables to one input.
 * Making: the memory core itself, on tables as sparse as the kernel's, does with them what it does at boot.
 * Nothing is printed before all of it has worked. One thread. Memory that cannot be had ends the program.
 */
#ifndef LAB_LAB_H
#define LAB_LAB_H

#include <platform/parse.h>
#include <qy/roots.h>
#include <stdio.h>

#define LAB_RANGES_MAX 8192u /* making the map is quadratic */
#define LAB_ERROR_BYTES 512u
#define LAB_ORDERS (QY_MAX_ORDER + 1u)

/* A line of a boot log about a processor or a range of memory, as it would stand in an SRAT. */
struct lab_affinity {
    bool memory;
    uint32_t domain;
    uint32_t apic_id; /* of a processor */
    uint64_t base, end;
    bool hotplug, non_volatile;
};

struct lab_source {
    char *name;
    const char *kind;
    uint32_t ranges;     /* of memory, that it added */
    uint32_t affinities; /* lines or tables about nodes */
};

struct lab_input {
    struct qy_range *ranges;
    size_t range_count, range_room;
    struct lab_affinity *affinities;
    size_t affinity_count, affinity_room;
    struct lab_source *sources;
    size_t source_count, source_room;
    char **notes; /* what the reader of the report should know */
    size_t note_count, note_room;
    struct qy_bytes srat, slit;    /* copies; at == null without */
    struct qy_topology *tree;      /* of a device tree, or null */
    char error[LAB_ERROR_BYTES]; /* after a failure: "FILE:LINE: what is wrong", or without the line */
};

/* A file being read. */
struct lab_file {
    struct lab_input *input;
    const char *name;
    unsigned line; /* of a text, from 1; 0 = none */
};

/* ---- input.c: what the readers share ---- */

void *lab_allocate(size_t bytes); /* zeroed; ends the program if there is none */
/* Room for one more element behind `count`. */
void *lab_grow(void *array, size_t count, size_t *room, size_t element_bytes);

/* Read a file by its contents. False: input->error says what is wrong with it; the input is of no more use. */
bool lab_input_add(struct lab_input *input, const char *name, struct qy_bytes bytes);
void lab_input_free(struct lab_input *input);

/* Say what is wrong, at the current line; returns false. */
bool lab_fail(struct lab_file *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
void lab_note(struct lab_input *input, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The file's name and the line that is read, "log:17", for a note. */
const char *lab_place(const struct lab_file *file, char *buffer, size_t bytes);

/* Add [base, end); an empty one is none. False: there are too many. */
bool lab_add_range(struct lab_file *file, uint64_t base, uint64_t end, enum qy_mem_type type);

/* ---- the readers; each adds what it finds, or fails ---- */

bool lab_read_log(struct lab_file *file, struct qy_bytes text);   /* log.c, log_efi.c */
bool lab_read_iomem(struct lab_file *file, struct qy_bytes text); /* iomem.c */
bool lab_read_acpi(struct lab_file *file, struct qy_bytes table); /* tables.c */
bool lab_read_tree(struct lab_file *file, struct qy_bytes tree);  /* tables.c */

/* True if there is a line that such a file begins with, or consists of. */
bool lab_is_log(struct qy_bytes text);
bool lab_is_iomem(struct qy_bytes text);

/* Nodes, distances and CPUs of everything that was read. False: input->error. */
bool lab_topology(struct lab_input *input, struct qy_topology *out);

/* ---- machine.c: what Quarry makes of it ---- */

struct lab_zone {
    uint16_t node;
    enum qy_zone zone;
    uint64_t frames;
    uint64_t base, end;           /* hull, in bytes */
    int largest_order;            /* of a free block */
    uint64_t blocks[LAB_ORDERS];  /* free blocks by order, as they can be allocated */
};

struct lab_machine {
    struct qy_map map;
    struct qy_topology topology;
    unsigned physical_bits;
    struct lab_zone *zones;
    unsigned zone_count;
    uint64_t usable_frames;
    uint64_t use_bytes[QY_USE_COUNT];       /* of what the firmware calls usable */
    uint64_t type_bytes[QY_MEM_TYPE_COUNT]; /* what the firmware says, overlaps resolved */
    uint64_t pluggable_bytes;               /* as SRAT or device tree say, present or not; none of it is counted */
    uint64_t ram_end;                       /* one past the last byte that can be handed out */
    unsigned holes;                         /* between the first and the last such byte */
    uint64_t hole_bytes, hole_largest_bytes;
    uint64_t database_bytes[3]; /* of frames, blocks, sections: memory behind the tables */
    uint64_t database_spare_bytes; /* of them for frames in holes */
    uint64_t sections, sections_initialised;
};

/* False: input->error; nothing has to be freed then. */
bool lab_machine_make(struct lab_machine *machine, struct lab_input *input, unsigned physical_bits,
                      bool use_pluggable);
void lab_machine_free(struct lab_machine *machine);

/* ---- report.c, json.c ---- */

/* Memory behind the frame database, in thousandths of a per cent of what the firmware calls usable. */
uint64_t lab_database_share(const struct lab_machine *machine);

struct lab_question {
    uint64_t address;
};

void lab_report_text(FILE *out, const struct lab_input *input, const struct lab_machine *machine,
                     const struct lab_question *questions, size_t count);
void lab_report_json(FILE *out, const struct lab_input *input, const struct lab_machine *machine,
                     const struct lab_question *questions, size_t count);

#endif
