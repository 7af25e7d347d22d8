/*
 * quarry-lab map FILE...: how Quarry would use the machine that the files come from. ./quarry lab calls it.
 *
 * Standard output is the report, whole, or nothing. Exit codes: 0 reported; 1 the report could not be written, or
 * there was no memory for it; 2 wrong usage, or a file that cannot be used, which standard error names.
 */
#include "lab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (64u << 20)
#define PHYSICAL_BITS 46u

static const char usage[] =
    "usage: ./quarry lab map FILE... [OPTION...]\n"
    "\n"
    "FILE is, of one machine, any of these; what it is is found out by its contents; - is standard "
    "input:\n"
    "  a Linux boot log     dmesg, with the lines BIOS-e820, efi: mem (efi=debug), ACPI: SRAT\n"
    "  /proc/iomem          read as root: sudo cat /proc/iomem\n"
    "  SRAT, SLIT           from /sys/firmware/acpi/tables\n"
    "  a device tree        /sys/firmware/fdt, a .dtb file\n"
    "Several files are put together; where they differ about memory, the more restrictive one "
    "counts.\n"
    "\n"
    "  --json               the same as JSON (docs/lab.md says what the keys mean)\n"
    "  --node-of ADDRESS    say of that physical address what it is; may be given again\n"
    "  --use-hotplug        count what can be unplugged as RAM, as the boot option hotplug=use "
    "does\n"
    "  --phys-bits N        width of the CPU's physical addresses, 32 to 52 (default 46: 64 TiB)\n";

struct options {
    bool json, help, use_pluggable;
    unsigned physical_bits;
    struct lab_question *questions;
    size_t question_count, question_room;
    char **files;
    size_t file_count;
};

static bool wrong(const char *what, const char *value)
{
    fprintf(stderr, "quarry lab: %s%s%s%s\n", what, value ? " '" : "", value ? value : "",
            value ? "'" : "");
    return false;
}

static bool read_number(const char *text, int base, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, base);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

/* An option that takes a value. */
static bool read_option(struct options *options, const char *name, const char *value)
{
    uint64_t number;

    if (strcmp(name, "--phys-bits") == 0) {
        if (!read_number(value, 10, &number) || number < 32 || number > 52)
            return wrong("--phys-bits takes a number from 32 to 52, not", value);
        options->physical_bits = (unsigned)number;
        return true;
    }
    if (!read_number(value, 0, &number))
        return wrong("--node-of takes an address such as 0x100000000, not", value);
    options->questions = lab_grow(options->questions, options->question_count,
                                  &options->question_room, sizeof(struct lab_question));
    options->questions[options->question_count++].address = number;
    return true;
}

static bool takes_value(const char *name)
{
    return strcmp(name, "--phys-bits") == 0 || strcmp(name, "--node-of") == 0;
}

static bool parse_options(int count, char **arguments, struct options *options)
{
    *options = (struct options){.physical_bits = PHYSICAL_BITS};
    options->files = lab_allocate((size_t)count * sizeof(char *));
    for (int i = 2; i < count; i++) {
        char *argument = arguments[i], *equals = strchr(argument, '=');
        char *value = NULL;
        if (argument[0] != '-' || strcmp(argument, "-") == 0) {
            options->files[options->file_count++] = argument;
            continue;
        }
        if (strcmp(argument, "--json") == 0) {
            options->json = true;
            continue;
        }
        if (strcmp(argument, "--use-hotplug") == 0) {
            options->use_pluggable = true;
            continue;
        }
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            options->help = true;
            continue;
        }
        if (equals) {
            *equals = '\0';
            value = equals + 1;
        }
        if (!takes_value(argument))
            return wrong("there is no option", argument);
        if (!value && i + 1 == count)
            return wrong("a value is missing behind", argument);
        if (!read_option(options, argument, value ? value : arguments[++i]))
            return false;
    }
    return options->help || options->file_count || wrong("name at least one file", NULL);
}

/* All of a file. False, and said why: it cannot be read, or is longer than anything of that kind. */
static bool read_file(const char *name, uint8_t **out, size_t *bytes)
{
    bool standard = strcmp(name, "-") == 0;
    FILE *file = standard ? stdin : fopen(name, "rb");
    size_t room = 0;

    *out = NULL;
    *bytes = 0;
    while (file && !ferror(file) && !feof(file) && *bytes <= FILE_BYTES_MAX) {
        if (*bytes == room) {
            room = room ? 2 * room : 65536;
            uint8_t *larger = lab_allocate(room);
            if (*bytes)
                memcpy(larger, *out, *bytes);
            free(*out);
            *out = larger;
        }
        *bytes += fread(*out + *bytes, 1, room - *bytes, file);
    }
    bool failed = !file || ferror(file);
    int reason = errno;
    if (file && !standard)
        fclose(file);
    if (failed)
        fprintf(stderr, "quarry lab: %s: %s\n", name, strerror(reason));
    else if (*bytes > FILE_BYTES_MAX)
        fprintf(stderr, "quarry lab: %s: more than 64 MiB; that is none of the files wanted\n",
                name);
    else
        return true;
    free(*out);
    return false;
}

static bool read_files(struct lab_input *input, const struct options *options)
{
    for (size_t i = 0; i < options->file_count; i++) {
        struct qy_bytes bytes;
        uint8_t *at;
        if (!read_file(options->files[i], &at, &bytes.count))
            return false;
        bytes.at = at;
        bool good = lab_input_add(input, options->files[i], bytes);
        free(at);
        if (!good)
            return wrong(input->error, NULL);
    }
    return true;
}

static int map(const struct options *options)
{
    struct lab_input input = {0};
    struct lab_machine machine;
    int code = 2;

    if (read_files(&input, options)) {
        if (lab_machine_make(&machine, &input, options->physical_bits, options->use_pluggable)) {
            (options->json ? lab_report_json : lab_report_text)(
                stdout, &input, &machine, options->questions, options->question_count);
            code = 0;
            lab_machine_free(&machine);
        } else {
            wrong(input.error, NULL);
        }
    }
    lab_input_free(&input);
    if (code == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
        wrong("the report could not be written", NULL);
        code = 1;
    }
    return code;
}

int main(int count, char **arguments)
{
    struct options options;

    if (count < 2 || strcmp(arguments[1], "map") != 0) {
        bool help =
            count >= 2 && (strcmp(arguments[1], "--help") == 0 || strcmp(arguments[1], "-h") == 0);
        fputs(usage, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    int code = 2;
    if (parse_options(count, arguments, &options)) {
        if (options.help)
            fputs(usage, stdout);
        code = options.help ? 0 : map(&options);
    } else {
        fputs("quarry lab --help shows how it is used\n", stderr);
    }
    free(options.questions);
    free(options.files);
    return code;
}
