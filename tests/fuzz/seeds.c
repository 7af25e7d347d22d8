/*
 * Write the captured inputs as files, to begin with: seeds DIRECTORY makes DIRECTORY/FUZZER/NAME.
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

/* The smallest executable that is accepted: one segment, which is the file itself. */
static void write_elf(const char *directory)
{
    uint8_t elf[128] = "\177ELF\2\1\1";
    store_le(elf + 16, 2, 2);
    store_le(elf + 18, 62, 2);
    store_le(elf + 20, 1, 4);
    store_le(elf + 24, 0x400078, 8);
    store_le(elf + 32, 64, 8);
    store_le(elf + 52, 64, 2);
    store_le(elf + 54, 56, 2);
    store_le(elf + 56, 1, 2);
    store_le(elf + 64, 1, 4);
    store_le(elf + 68, 5, 4);
    store_le(elf + 80, 0x400000, 8);
    store_le(elf + 96, sizeof(elf), 8);
    store_le(elf + 104, sizeof(elf), 8);
    write_one(directory, "fuzz_elf", "small", &(struct fragment){0, elf, sizeof(elf)});
}

static void write_cpio_entry(FILE *file, const char *name, const char *data)
{
    static const char four[] =
        "00000000000000000000000100000000"; /* fields that are not looked at */
    fprintf(file, "070701%08x%08x%s%08zx%s%08zx%08x%s", 1, 0100644, four, strlen(data), four,
            strlen(name) + 1, 0, name);
    for (size_t at = 110 + strlen(name); at % 4 || at == 110 + strlen(name); at++)
        fputc(0, file);
    fprintf(file, "%s", data);
}

static void write_cpio(const char *directory)
{
    FILE *file = create(directory, "fuzz_cpio", "small");
    write_cpio_entry(file, "bin/root", "data");
    write_cpio_entry(file, "TRAILER!!!", "");
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
    write_elf(arguments[1]);
    write_cpio(arguments[1]);
    write_acpi(arguments[1]);
    return 0;
}
