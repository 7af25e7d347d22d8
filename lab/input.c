/*
 * What a file is, found out by its contents, and what the readers share; see lab.h.
 */
#include "lab.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void out_of_memory(void)
{
    fputs("quarry lab: out of memory\n", stderr);
    exit(1);
}

void *lab_allocate(size_t bytes)
{
    void *memory = calloc(1, bytes ? bytes : 1);
    if (!memory)
        out_of_memory();
    return memory;
}

void *lab_grow(void *array, size_t count, size_t *room, size_t element_bytes)
{
    if (count < *room)
        return array;
    *room = *room ? 2 * *room : 16;
    array = realloc(array, *room * element_bytes);
    if (!array)
        out_of_memory();
    return array;
}

const char *lab_place(const struct lab_file *file, char *buffer, size_t bytes)
{
    if (file->line)
        snprintf(buffer, bytes, "%s:%u", file->name, file->line);
    else
        snprintf(buffer, bytes, "%s", file->name);
    return buffer;
}

bool lab_fail(struct lab_file *file, const char *format, ...)
{
    char *error = file->input->error;
    size_t length = 0;
    va_list arguments;

    if (file->name[0]) {
        lab_place(file, error, LAB_ERROR_BYTES);
        length = strlen(error);
        snprintf(error + length, LAB_ERROR_BYTES - length, ": ");
        length = strlen(error);
    }
    va_start(arguments, format);
    vsnprintf(error + length, LAB_ERROR_BYTES - length, format, arguments);
    va_end(arguments);
    return false;
}

void lab_note(struct lab_input *input, const char *format, ...)
{
    char text[LAB_ERROR_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    input->notes = lab_grow(input->notes, input->note_count, &input->note_room, sizeof(char *));
    input->notes[input->note_count] = lab_allocate(strlen(text) + 1);
    memcpy(input->notes[input->note_count++], text, strlen(text) + 1);
}

bool lab_add_range(struct lab_file *file, uint64_t base, uint64_t end, enum qy_mem_type type)
{
    struct lab_input *input = file->input;

    if (base >= end)
        return true;
    if (input->range_count == LAB_RANGES_MAX)
        return lab_fail(file, "more than %u ranges of memory", LAB_RANGES_MAX);
    input->ranges =
        lab_grow(input->ranges, input->range_count, &input->range_room, sizeof(struct qy_range));
    input->ranges[input->range_count++] =
        (struct qy_range){.base = base, .end = end, .type = (uint32_t)type};
    return true;
}

static bool starts_with(struct qy_bytes bytes, const char *signature, size_t count)
{
    return bytes.count >= count && memcmp(bytes.at, signature, count) == 0;
}

/* An ACPI table of another kind: four capitals, and a length that could be one. */
static bool is_acpi(struct qy_bytes bytes)
{
    if (bytes.count < 36 || memchr(bytes.at, 0, bytes.count) == NULL)
        return false;
    for (unsigned i = 0; i < 4; i++)
        if ((bytes.at[i] < 'A' || bytes.at[i] > 'Z') && (bytes.at[i] < '0' || bytes.at[i] > '9'))
            return false;
    return true;
}

static bool read_by_contents(struct lab_file *file, struct qy_bytes bytes, const char **kind)
{
    if (starts_with(bytes, "\xd0\x0d\xfe\xed", 4)) {
        *kind = "device tree";
        return lab_read_tree(file, bytes);
    }
    if (starts_with(bytes, "SRAT", 4) || starts_with(bytes, "SLIT", 4)) {
        *kind = bytes.at[1] == 'R' ? "SRAT" : "SLIT";
        return lab_read_acpi(file, bytes);
    }
    if (bytes.count == 0)
        return lab_fail(file, "the file is empty");
    if (is_acpi(bytes))
        return lab_fail(file,
                        "an ACPI table of the kind %.4s: only SRAT and SLIT say where memory is",
                        (const char *)bytes.at);
    if (memchr(bytes.at, 0, bytes.count))
        return lab_fail(file,
                        "binary data of an unknown kind: neither SRAT nor SLIT nor device tree");
    if (lab_is_log(bytes)) {
        *kind = "boot log";
        return lab_read_log(file, bytes);
    }
    if (lab_is_iomem(bytes)) {
        *kind = "iomem";
        return lab_read_iomem(file, bytes);
    }
    return lab_fail(file,
                    "text of an unknown kind: neither a Linux boot log with the firmware's memory "
                    "map (BIOS-e820, efi: mem, SRAT: Node) nor /proc/iomem");
}

bool lab_input_add(struct lab_input *input, const char *name, struct qy_bytes bytes)
{
    struct lab_file file = {.input = input, .name = name};
    size_t ranges = input->range_count, affinities = input->affinity_count;
    const char *kind = NULL;

    if (!read_by_contents(&file, bytes, &kind))
        return false;
    input->sources = lab_grow(input->sources, input->source_count, &input->source_room,
                              sizeof(struct lab_source));
    struct lab_source *source = &input->sources[input->source_count++];
    *source = (struct lab_source){.name = lab_allocate(strlen(name) + 1),
                                  .kind = kind,
                                  .ranges = (uint32_t)(input->range_count - ranges),
                                  .affinities = (uint32_t)(input->affinity_count - affinities)};
    memcpy(source->name, name, strlen(name) + 1);
    return true;
}

void lab_input_free(struct lab_input *input)
{
    for (size_t i = 0; i < input->source_count; i++)
        free(input->sources[i].name);
    for (size_t i = 0; i < input->note_count; i++)
        free(input->notes[i]);
    free(input->sources);
    free(input->notes);
    free(input->ranges);
    free(input->affinities);
    free((void *)(uintptr_t)input->srat.at);
    free((void *)(uintptr_t)input->slit.at);
    free(input->tree);
    *input = (struct lab_input){0};
}
