/*
 * One map of tests/data/maps: what the laboratory says of it, and what it does with damaged copies of it.
 *
 *     NAME/dmesg, iomem, kern.log     inputs as they are            NAME/arguments     options of the command line
 *     NAME/SRAT.hex, dtb.hex          inputs in hexadecimal         NAME/golden.txt, golden.json     the reports
 *
 * golden DIRECTORY tests; golden DIRECTORY update writes the reports anew. Beside the reports as a whole, the frames
 * that can be handed out are counted a second time here, from the ranges alone. It would miss an error that is in the
 * reading of a line and in the report that was looked at when it was written.
 */
#include "../../lab/lab.h"
#include "../tap.h"

#include <dirent.h>
#include <lib/random.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 8u

struct file {
    char name[64];
    uint8_t *bytes;
    size_t count;
};

static struct file files[FILES_MAX];
static unsigned file_count;
static const char *directory;
static bool updating;
static unsigned physical_bits = 46;
static struct lab_question questions[16];
static size_t question_count;

static char *slurp(const char *name, size_t *count)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    *count = 0;
    if (!file)
        return NULL;
    char *bytes = calloc(1, 1 << 20);
    *count = fread(bytes, 1, (1 << 20) - 1, file);
    fclose(file);
    return bytes;
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length > tail && strcmp(name + length - tail, end) == 0;
}

static size_t from_hex(char *text, size_t count)
{
    size_t bytes = 0;
    int high = -1;
    for (size_t i = 0; i < count; i++) {
        char two[2] = {text[i], 0}, *end;
        long digit = strtol(two, &end, 16);
        if (end == two)
            continue;
        if (high >= 0)
            text[bytes++] = (char)(high << 4 | digit);
        high = high >= 0 ? -1 : (int)digit;
    }
    return bytes;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static void read_inputs(void)
{
    DIR *dir = opendir(directory);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        const char *name = entry->d_name;
        if (name[0] == '.' || ends_with(name, ".dts") || strncmp(name, "golden.", 7) == 0 ||
            strcmp(name, "arguments") == 0)
            continue;
        struct file *file = &files[file_count++];
        snprintf(file->name, sizeof(file->name), "%.63s", name);
        char *bytes = slurp(name, &file->count);
        if (ends_with(name, ".hex")) {
            file->name[strlen(file->name) - 4] = '\0';
            file->count = from_hex(bytes, file->count);
        }
        file->bytes = (uint8_t *)bytes;
    }
    if (dir)
        closedir(dir);
    qsort(files, file_count, sizeof(files[0]), by_name);
}

static void read_arguments(void)
{
    size_t count;
    char *text = slurp("arguments", &count), *rest = text;
    for (char *word; text && (word = strsep(&rest, " \n"));) {
        if (strcmp(word, "--phys-bits") == 0)
            physical_bits = (unsigned)strtoul(strsep(&rest, " \n"), NULL, 10);
        if (strcmp(word, "--node-of") == 0)
            questions[question_count++].address = strtoull(strsep(&rest, " \n"), NULL, 16);
    }
    free(text);
}

static bool add(struct lab_input *input, const char *name, const uint8_t *bytes, size_t count)
{
    /* In a block of its own size, so that the address sanitizer sees every access outside. */
    uint8_t *copy = malloc(count ? count : 1);
    if (count)
        memcpy(copy, bytes, count);
    bool good = lab_input_add(input, name, (struct qy_bytes){copy, count});
    free(copy);
    return good;
}

static bool add_all(struct lab_input *input)
{
    for (unsigned i = 0; i < file_count; i++)
        if (!add(input, files[i].name, files[i].bytes, files[i].count))
            return false;
    return file_count > 0;
}

static void compare(const char *name, const char *got, size_t count)
{
    size_t expected_count;
    char path[4096], *expected = slurp(name, &expected_count);
    if (updating) {
        snprintf(path, sizeof(path), "%s/%s", directory, name);
        FILE *file = fopen(path, "wb");
        fwrite(got, 1, count, file);
        fclose(file);
        free(expected);
        return;
    }
    CHECK(expected && expected_count == count && memcmp(got, expected, count) == 0);
    for (size_t i = 0, line = 1; expected && i < count && i < expected_count; i++) {
        if (got[i] != expected[i]) {
            printf("# %s differs in line %zu: %.60s\n", name, line, got + i);
            break;
        }
        line += got[i] == '\n';
    }
    free(expected);
}

static void report(void (*print)(FILE *out, const struct lab_input *input,
                                 const struct lab_machine *machine,
                                 const struct lab_question *asked, size_t count),
                   const char *name)
{
    struct lab_input input = {0};
    struct lab_machine machine;
    char *text = NULL;
    size_t count = 0;

    CHECK(add_all(&input));
    bool made = lab_machine_make(&machine, &input, physical_bits, false);
    CHECK(made);
    if (made) {
        FILE *out = open_memstream(&text, &count);
        print(out, &input, &machine, questions, question_count);
        fclose(out);
        compare(name, text, count);
        free(text);
        lab_machine_free(&machine);
    } else {
        printf("# %s\n", input.error);
    }
    lab_input_free(&input);
}

static void text_as_expected(void)
{
    report(lab_report_text, "golden.txt");
}

static void json_as_expected(void)
{
    report(lab_report_json, "golden.json");
}

/* The most restrictive type at an address, -1 if nothing is there. */
static int type_at(const struct lab_input *input, uint64_t address)
{
    int type = -1;
    for (size_t i = 0; i < input->range_count; i++)
        if (address >= input->ranges[i].base && address < input->ranges[i].end &&
            (int)input->ranges[i].type > type)
            type = (int)input->ranges[i].type;
    return type;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool pluggable(const struct lab_machine *machine, uint64_t address)
{
    for (uint32_t i = 0; i < machine->topology.range_count; i++) {
        const struct qy_topology_range *r = &machine->topology.ranges[i];
        if (r->hotplug && address >= r->base && address < r->end)
            return true;
    }
    return false;
}

/* Whole pages of usable bytes, below the limit, without page 0, without what can be unplugged. */
static uint64_t count_frames(const struct lab_input *input, const struct lab_machine *machine)
{
    size_t count = 0;
    uint64_t *cuts = calloc(2 * (input->range_count + machine->topology.range_count) + 2, 8);
    for (size_t i = 0; i < input->range_count; i++) {
        cuts[count++] = input->ranges[i].base;
        cuts[count++] = input->ranges[i].end;
    }
    for (uint32_t i = 0; i < machine->topology.range_count; i++) {
        cuts[count++] = machine->topology.ranges[i].base;
        cuts[count++] = machine->topology.ranges[i].end;
    }
    cuts[count++] = 1ull << physical_bits;
    cuts[count++] = 4096;
    qsort(cuts, count, sizeof(cuts[0]), by_value);
    uint64_t frames = 0, begin = 0, end = 0; /* a run of bytes that count */
    for (size_t i = 0; i < count; i++) {
        uint64_t from = cuts[i], to = i + 1 < count ? cuts[i + 1] : from;
        bool counts = from < to && from >= 4096 && from < 1ull << physical_bits &&
                      type_at(input, from) == QY_MEM_USABLE && !pluggable(machine, from);
        if (counts && from == end) {
            end = to;
            continue;
        }
        if (counts || i + 1 == count) {
            uint64_t first = (begin + 4095) / 4096, last = end / 4096;
            frames += last > first ? last - first : 0;
            begin = from;
            end = counts ? to : from;
        }
    }
    free(cuts);
    return frames;
}

static void frames_counted_twice(void)
{
    struct lab_input input = {0};
    struct lab_machine machine;
    uint64_t of_zones = 0;

    CHECK(add_all(&input));
    bool made = lab_machine_make(&machine, &input, physical_bits, false);
    CHECK(made);
    if (made) {
        CHECK_EQ(machine.usable_frames, count_frames(&input, &machine));
        for (unsigned i = 0; i < machine.zone_count; i++) {
            uint64_t of_blocks = 0;
            for (unsigned order = 0; order < LAB_ORDERS; order++)
                of_blocks += machine.zones[i].blocks[order] << order;
            CHECK_EQ(machine.zones[i].frames, of_blocks);
            of_zones += of_blocks;
        }
        CHECK_EQ(machine.usable_frames, of_zones);
        lab_machine_free(&machine);
    }
    lab_input_free(&input);
}

/* Read a damaged file alone, and make a machine of it if it is still good: an error has a sentence. */
static void survive(const struct file *file, const uint8_t *bytes, size_t count, bool make)
{
    struct lab_input input = {0};
    struct lab_machine machine;
    bool good = add(&input, file->name, bytes, count);

    if (!good)
        CHECK(strncmp(input.error, file->name, strlen(file->name)) == 0);
    if (good && make) {
        good = lab_machine_make(&machine, &input, physical_bits, false);
        if (good)
            lab_machine_free(&machine);
        else
            CHECK(input.error[0]);
    }
    lab_input_free(&input);
}

static void every_prefix(void)
{
    for (unsigned i = 0; i < file_count; i++)
        for (size_t count = 0; count < files[i].count; count++)
            survive(&files[i], files[i].bytes, count, count % 41 == 0);
}

static void random_damage(void)
{
    static const char special[] = "\0\n 0f-x[]()|:\xff"
                                  "9:,.\x1b";
    uint64_t random = 0;

    for (unsigned i = 0; i < file_count; i++) {
        uint8_t *copy = malloc(files[i].count);
        for (unsigned round = 0; round < 1500; round++) {
            memcpy(copy, files[i].bytes, files[i].count);
            for (unsigned hits = 0; hits <= round % 4; hits++) {
                size_t at = random_below(&random, files[i].count);
                unsigned how = (unsigned)random_below(&random, 64);
                copy[at] = how < sizeof(special) - 1 ? (uint8_t)special[how]
                                                     : copy[at] ^ (uint8_t)(1u << how % 8);
            }
            survive(&files[i], copy, files[i].count, true);
        }
        free(copy);
    }
}

static const struct test tests[] = {
    {"the report as text", text_as_expected},
    {"the report as JSON", json_as_expected},
    {"frames counted from the ranges alone", frames_counted_twice},
    {"every prefix of every file", every_prefix},
    {"random damage", random_damage},
};

int main(int count, char **arguments)
{
    if (count < 2)
        return 2;
    directory = arguments[1];
    updating = count > 2 && strcmp(arguments[2], "update") == 0;
    read_inputs();
    read_arguments();
    int code = tap_run(tests, updating ? 2 : sizeof(tests) / sizeof(tests[0]));
    for (unsigned i = 0; i < file_count; i++)
        free(files[i].bytes);
    return code;
}
