/*
 * ACPI in two ways. The first byte even: the rest is memory with the root pointer at its start, as
 * it comes. Odd: the rest is tables, each a kind, two bytes of length and contents, to which
 * header, sum, XSDT and root pointer are made, so that the fuzzer gets past the checksums.
 */
#include "fuzz.h"

static uint8_t sum(const uint8_t *at, size_t count)
{
    uint8_t total = 0;
    for (size_t i = 0; i < count; i++)
        total = (uint8_t)(total + at[i]);
    return total;
}

static void add_table(struct memory *memory, uint64_t at, const char *signature, uint8_t revision,
                      const uint8_t *contents, size_t count)
{
    uint8_t *table = calloc(1, 36 + count);

    memcpy(table, signature, 4);
    store_le(table + 4, 36 + count, 4);
    table[8] = revision;
    memcpy(table + 36, contents, count);
    table[9] = (uint8_t)-sum(table, 36 + count);
    memory_add(memory, at, table, 36 + count);
    free(table);
}

static void add_tables(struct memory *memory, const uint8_t *data, size_t count)
{
    static const char kinds[5][5] = {"APIC", "SRAT", "SLIT", "FACP", "DSDT"};
    uint8_t list[8 * 8], root[36] = "RSD PTR ";
    unsigned tables = 0;

    while (count >= 3 && tables < 8) {
        size_t bytes = (size_t)(data[1] | data[2] << 8);
        if (bytes > count - 3)
            bytes = count - 3;
        uint64_t at = 0x100000ull * (tables + 2);
        add_table(memory, at, kinds[data[0] % 5], data[0] / 5 % 4, data + 3, bytes);
        store_le(list + 8 * tables++, at, 8);
        data += 3 + bytes;
        count -= 3 + bytes;
    }
    add_table(memory, 0x10000, "XSDT", 1, list, 8 * tables);
    root[15] = 2;
    store_le(root + 24, 0x10000, 8);
    root[8] = (uint8_t)-sum(root, 20);
    root[32] = (uint8_t)-sum(root, 36);
    memory_add(memory, 0x1000, root, 36);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static struct qy_topology topology;
    struct memory memory = {.count = 0};
    struct qy_reader reader = {memory_read, &memory};
    struct qy_bytes none = {NULL, 0};

    if (!count)
        return 0;
    if (data[0] & 1)
        add_tables(&memory, data + 1, count - 1);
    else
        memory_add(&memory, 0x1000, data + 1, count - 1);
    check_topology(qy_acpi_topology(&reader, paddr(0x1000), none, &topology), &topology);
    memory_free(&memory);
    return 0;
}
