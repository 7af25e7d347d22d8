/* Write the captured inputs as files, to begin with: seeds DIRECTORY makes DIRECTORY/FUZZER/NAME.
 */
#include "../data/acpi_numa.h"
#include "../data/fdt_numa.h"
#include "../data/fdt_plain.h"
#include "../data/multiboot2_bios.h"
#include "../data/multiboot2_uefi.h"
#include "../data/pvh_numa.h"
#include <stdio.h>
#include <sys/stat.h>

static FILE *create(const char *directory, const char *fuzzer, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", directory, fuzzer);
    mkdir(path, 0777);
    snprintf(path, sizeof(path), "%s/%s/%s", directory, fuzzer, name);
    FILE *file = fopen(path, "wb");
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static void write_one(const char *directory, const char *fuzzer, const char *name,
                      const struct fragment *fragment)
{
    FILE *file = create(directory, fuzzer, name);
    fwrite(fragment->at, 1, fragment->count, file);
    fclose(file);
}

/* Start info, then the memory map behind it, its pointers moved to where the fuzzer puts them. */
static void write_pvh(const char *directory)
{
    FILE *file = create(directory, "fuzz_pvh", "numa");
    uint8_t start[56];
    memcpy(start, pvh_numa[0].at, 56);
    store_le(start + 24, 0x1000 + 56, 8);
    store_le(start + 16, 0x1000 + 56 + pvh_numa[1].count, 8);
    store_le(start + 40, 0x1000 + 56 + pvh_numa[1].count + pvh_numa[2].count, 8);
    fwrite(start, 1, 56, file);
    for (unsigned i = 1; i < 4; i++)
        fwrite(pvh_numa[i].at, 1, pvh_numa[i].count, file);
    fclose(file);
}

static void write_acpi(const char *directory)
{
    static const char kinds[5][5] = {"APIC", "SRAT", "SLIT", "FACP", "DSDT"};
    FILE *file = create(directory, "fuzz_acpi", "numa");
    fputc(1, file);
    for (unsigned i = 1; i < sizeof(acpi_numa) / sizeof(acpi_numa[0]); i++) {
        for (int kind = 0; kind < 4; kind++) { /* the DSDT would drown the rest */
            const struct fragment *table = &acpi_numa[i];
            if (memcmp(table->at, kinds[kind], 4) != 0)
                continue;
            fputc(kind + 5 * table->at[8], file);
            fputc((int)((table->count - 36) & 255), file);
            fputc((int)((table->count - 36) >> 8), file);
            fwrite(table->at + 36, 1, table->count - 36, file);
        }
    }
    fclose(file);
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: seeds DIRECTORY\n");
        return 2;
    }
    mkdir(arguments[1], 0777);
    write_one(arguments[1], "fuzz_multiboot2", "bios", &multiboot2_bios[0]);
    write_one(arguments[1], "fuzz_multiboot2", "uefi", &multiboot2_uefi[0]);
    write_one(arguments[1], "fuzz_fdt", "plain", &fdt_plain[0]);
    write_one(arguments[1], "fuzz_fdt", "numa", &fdt_numa[0]);
    write_pvh(arguments[1]);
    write_acpi(arguments[1]);
    return 0;
}
