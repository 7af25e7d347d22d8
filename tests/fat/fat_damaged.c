/*
 * Damaged disks: a good one with files, long names and directories, bytes of which are changed at random, given to the
 * fuzzer's check (tests/fuzz/fuzz_fat.c). Started with a file's name it writes the good disk there, to begin fuzzing with.
 */
#include "image.h"

#define DISKS 20000u
#define KIB 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

static struct image image;

static bool make(void)
{
    static const char *const files[] = {"A", "file with a long name.text", "directory/B.TXT",
                                        "directory/another file with a long name, and more of it",
                                        "directory/inside/c"};
    static uint8_t bytes[1500];

    if (!image_make(&image, KIB, 1) || image_mount(&image) != FILE_OK ||
        fat_make_directory(&image.fat, "directory") != FILE_OK ||
        fat_make_directory(&image.fat, "directory/inside") != FILE_OK)
        return false;
    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct fat_file *file;
        if (fat_open(&image.fat, files[i], true, &file) != FILE_OK ||
            fat_write(&image.fat, file, 0, bytes, 300 * i) != FILE_OK ||
            fat_close(&image.fat, file) != FILE_OK)
            return false;
    }
    return fat_unmount(&image.fat) == FILE_OK;
}

/* Bytes of the boot sector, the table, directories; of numbers, so that they stay near to what is right. */
static void damaged(void)
{
    uint64_t random = 12345;
    bool made = make();

    CHECK(made);
    uint8_t *bytes = made ? malloc(KIB * 1024) : NULL;
    for (unsigned i = 0; bytes && i < DISKS; i++) {
        memcpy(bytes, image.bytes, KIB * 1024);
        for (unsigned changes = 1 + random_next(&random) % 6; changes; changes--) {
            static const unsigned sectors[] = {0, 8, 9, 10, 11, 12, 13, 14, 15, 16};
            uint64_t at = sectors[random_next(&random) % 10] * FAT_SECTOR;
            at += random_next(&random) % (at >= 10 * FAT_SECTOR ? FAT_SECTOR : 128);
            uint64_t value = random_next(&random);
            bytes[at] = value & 1 ? (uint8_t)(value >> 8) : (uint8_t)(value >> 8 & 31);
        }
        if (i % 2)
            bytes[0x41] |= 1; /* as after a cut: it is put right when it is mounted */
        CHECK_EQ(LLVMFuzzerTestOneInput(bytes, KIB * 1024), 0);
    }
    free(bytes);
    image_free(&image);
}

static const struct test tests[] = {{"damaged disks", damaged}};

int main(int count, char *arguments[])
{
    if (count < 2)
        return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
    FILE *file = make() ? fopen(arguments[1], "wb") : NULL;
    bool written = file && fwrite(image.bytes, FAT_SECTOR, image.sectors, file) == image.sectors;
    if (file)
        written &= fclose(file) == 0;
    image_free(&image);
    return !written;
}
