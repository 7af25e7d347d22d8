/*
 * Files for the memory-map laboratory. The first byte: the width of physical addresses. The rest: files, each two bytes
 * of length and contents; to a length's highest bit set belong the header and the sum of an ACPI table, so that the
 * fuzzer gets past the checksum. What is accepted is reported in both forms.
 */
#include "../../lab/lab.h"
#include "fuzz.h"

static void add_sum(uint8_t *table, size_t count)
{
    uint8_t sum = 0;
    if (count < 36)
        return;
    store_le(table + 4, count, 4);
    table[9] = 0;
    for (size_t i = 0; i < count; i++)
        sum = (uint8_t)(sum + table[i]);
    table[9] = (uint8_t)-sum;
}

static bool add_files(struct lab_input *input, const uint8_t *data, size_t count)
{
    bool good = true;
    for (unsigned files = 0; count >= 2 && files < 4 && good; files++) {
        size_t bytes = (size_t)(data[0] | (data[1] & 0x7f) << 8);
        bool table = data[1] & 0x80;
        if (bytes > count - 2)
            bytes = count - 2;
        uint8_t *copy = copy_of(data + 2, bytes);
        if (table)
            add_sum(copy, bytes);
        good = lab_input_add(input, "file", (struct qy_bytes){copy, bytes});
        free(copy);
        data += 2 + bytes;
        count -= 2 + bytes;
    }
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    struct lab_input input = {0};
    struct lab_machine machine;
    struct lab_question question = {0x100000};

    if (count < 1)
        return 0;
    if (add_files(&input, data + 1, count - 1) &&
        lab_machine_make(&machine, &input, 32 + data[0] % 11, data[0] & 64)) {
        char *text = NULL;
        size_t bytes = 0;
        uint64_t frames = 0;
        FILE *out = open_memstream(&text, &bytes);
        lab_report_text(out, &input, &machine, &question, 1);
        lab_report_json(out, &input, &machine, &question, 1);
        fclose(out);
        CHECK(bytes > 0);
        free(text);
        for (unsigned i = 0; i < machine.zone_count; i++)
            frames += machine.zones[i].frames;
        CHECK_EQ(frames, machine.usable_frames);
        CHECK(qy_map_check(&machine.map) == NULL);
        lab_machine_free(&machine);
    }
    lab_input_free(&input);
    return 0;
}
