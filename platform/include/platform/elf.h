/*
 * ELF64 files: checked as a whole, then only looked up in. platform/elf.c, and platform/elf_dynamic.c for those that can
 * be moved.
 *
 *     qy_elf_read -> struct qy_elf -> qy_elf_segment(i)       what to put where
 *                                  -> qy_elf_link             is every symbol there? (with the libraries that it needs)
 *                                  -> qy_elf_relocate         bytes of a segment, as they are at the chosen address
 *
 * Nothing is allocated, and nothing but the file is read: all of it runs, and is fuzzed, on any host. The file has to
 * stay as it is.
 */
#ifndef PLATFORM_ELF_H
#define PLATFORM_ELF_H

#include <qy/boot_info.h>

/* Bytes of an input. */
struct qy_bytes {
    const uint8_t *at;
    size_t count;
};

/* A segment to load. */
struct qy_elf_segment {
    uint64_t address;      /* virtual, any alignment */
    uint64_t memory_bytes; /* >= data.count */
    struct qy_bytes data;
    unsigned flags; /* 1 = read, 2 = write, 4 = execute, as QY_MAP_* */
};

/* Libraries that a file can name. */
#define QY_ELF_NEEDED_MAX 4u

/* A checked file. Addresses are as linked; those of a movable one count from wherever it is put. */
struct qy_elf {
    struct qy_bytes file;
    unsigned machine;
    bool movable; /* position-independent: static-PIE, or a library */
    unsigned segments;
    uint64_t entry;      /* 0: none, a library */
    uint64_t start, end; /* whole pages; all segments lie between */
    struct {
        uint64_t start, end; /* whole pages of a writable segment, not to be written once it is relocated; or none */
    } relro;
    struct {
        uint64_t address, bytes, memory_bytes, align; /* the template of thread-local storage; memory_bytes 0: none */
    } tls;
    struct qy_bytes relocations[2]; /* 24 bytes each */
    struct qy_bytes symbols;        /* 24 bytes each */
    struct qy_bytes strings;        /* the last byte is 0 */
    unsigned needed_count;
    const char *needed[QY_ELF_NEEDED_MAX]; /* names of libraries */
};

/*
 * Check an ELF64 little-endian executable for that machine (62 = x86-64, 243 = RISC-V), or a library: segments inside
 * the file, inside [one page, user_end) (a movable one: [0, user_end)), not overlapping in pages, not writable and
 * executable; entry in an executable one; relocations of the kinds that qy_elf_relocate knows, of aligned words that
 * writable segments have in the file. Errors: CORRUPT, TRUNCATED, TOO_MANY (more than 256 program headers, 4 libraries);
 * *why is a static sentence, null on success.
 */
enum qy_error qy_elf_read(struct qy_bytes file, unsigned machine, uint64_t user_end, struct qy_elf *out,
                          const char **why) QY_MUST_USE;

/* The same, for one at fixed addresses that needs no relocation: what the kernel loads. */
enum qy_error qy_elf_check(struct qy_bytes file, unsigned machine, uint64_t user_end, uint64_t *entry,
                           unsigned *segments, const char **why) QY_MUST_USE;

/* The i-th loadable segment of a checked file. */
struct qy_elf_segment qy_elf_segment(struct qy_bytes file, unsigned i);

/* A file and where it is put: `bias` is added to every address of it. */
struct qy_elf_part {
    const struct qy_elf *elf;
    uint64_t bias;
};

/* Is every symbol that one of the parts needs in one of them? NOT_FOUND: *why is its name. */
enum qy_error qy_elf_link(const struct qy_elf_part *parts, unsigned count, const char **why) QY_MUST_USE;

/*
 * Give the words of part `which` that have relocations in [address, address + bytes), as linked, the values that they have
 * there; `at` holds those bytes. Both ends are multiples of 8. A symbol is the first part's that has it, 0 if none has.
 * Cost: O(relocations), and O(symbols) for each that has a symbol.
 */
void qy_elf_relocate(const struct qy_elf_part *parts, unsigned count, unsigned which, uint64_t address,
                     uint8_t *at, size_t bytes);

#endif
