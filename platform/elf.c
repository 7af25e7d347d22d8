/*
 * Checking a static ELF64 executable before anything of it is loaded (System V ABI, gABI 4.1,
 * chapters 4 and 5).
 *
 * A loader that trusts qy_elf_check can copy each segment without a check of its own: every segment
 * lies in the file and in the user half, no two touch the same page, and none is writable and
 * executable. Cost: O(program headers), at most 256 of them.
 */
#include "bytes_impl.h"
#include <lib/string.h>

#define HEADER_BYTES 64u
#define PROGRAM_HEADER_BYTES 56u
#define PROGRAM_HEADERS_MAX 256u

enum segment_type { LOAD = 1, DYNAMIC = 2, INTERPRETER = 3, TLS = 7 };
enum segment_flag { EXECUTE = 1, WRITE = 2, READ = 4 };

struct program_header {
    uint32_t type, flags;
    uint64_t offset, address, file_bytes, memory_bytes;
};

static struct program_header program_header(struct qy_bytes file, unsigned i)
{
    const uint8_t *at = file.at + qy_load_le64(file.at + 32) + (size_t)i * PROGRAM_HEADER_BYTES;

    return (struct program_header){
        .type = qy_load_le32(at),
        .flags = qy_load_le32(at + 4),
        .offset = qy_load_le64(at + 8),
        .address = qy_load_le64(at + 16),
        .file_bytes = qy_load_le64(at + 32),
        .memory_bytes = qy_load_le64(at + 40),
    };
}

static unsigned program_headers(struct qy_bytes file)
{
    return qy_load_le16(file.at + 56);
}

static bool loads(const struct program_header *header)
{
    return header->type == LOAD && header->memory_bytes != 0;
}

static enum qy_error fail(const char **why, enum qy_error error, const char *sentence)
{
    *why = sentence;
    return error;
}

static enum qy_error check_header(struct qy_bytes file, unsigned machine, const char **why)
{
    if (file.count < HEADER_BYTES)
        return fail(why, QY_TRUNCATED, "shorter than an ELF header");
    const uint8_t *at = file.at;
    if (memcmp(at, "\177ELF", 4) != 0)
        return fail(why, QY_CORRUPT, "not an ELF file");
    if (at[4] != 2 || at[5] != 1)
        return fail(why, QY_CORRUPT, "not a 64-bit little-endian ELF file");
    if (at[6] != 1 || qy_load_le32(at + 20) != 1)
        return fail(why, QY_CORRUPT, "not of ELF version 1");
    if (qy_load_le16(at + 16) != 2)
        return fail(why, QY_CORRUPT, "not an executable at fixed addresses");
    if (qy_load_le16(at + 18) != machine)
        return fail(why, QY_CORRUPT, "made for another machine");
    if (qy_load_le16(at + 52) < HEADER_BYTES || qy_load_le16(at + 54) != PROGRAM_HEADER_BYTES)
        return fail(why, QY_CORRUPT, "header sizes are impossible");
    if (program_headers(file) > PROGRAM_HEADERS_MAX)
        return fail(why, QY_TOO_MANY, "more than 256 program headers");
    uint64_t offset = qy_load_le64(at + 32);
    if (offset > file.count ||
        !qy_bytes_hold(file, (size_t)offset,
                       (uint64_t)program_headers(file) * PROGRAM_HEADER_BYTES))
        return fail(why, QY_TRUNCATED, "program headers beyond the end of the file");
    return QY_OK;
}

/*
 * One loadable segment; *free_from is the first page that no segment before it has, and is
 * moved beyond it.
 */
static enum qy_error check_segment(struct qy_bytes file, const struct program_header *header,
                                   uint64_t user_end, uint64_t *free_from, const char **why)
{
    if (header->file_bytes > header->memory_bytes)
        return fail(why, QY_CORRUPT, "a segment has more bytes in the file than in memory");
    if (header->offset > file.count ||
        !qy_bytes_hold(file, (size_t)header->offset, header->file_bytes))
        return fail(why, QY_TRUNCATED, "a segment beyond the end of the file");
    if (header->address < QY_PAGE_BYTES)
        return fail(why, QY_CORRUPT, "a segment in page 0");
    if (header->address >= user_end || header->memory_bytes > user_end - header->address)
        return fail(why, QY_CORRUPT, "a segment beyond the user half");
    if ((header->flags & WRITE) && (header->flags & EXECUTE))
        return fail(why, QY_CORRUPT, "a segment both writable and executable");
    if ((header->flags & WRITE) && !(header->flags & READ))
        return fail(why, QY_CORRUPT, "a segment writable but not readable");
    if (header->address < *free_from)
        return fail(why, QY_CORRUPT, "segments out of order, or two in one page");
    *free_from = qy_align_up(header->address + header->memory_bytes, QY_PAGE_BYTES);
    return QY_OK;
}

static enum qy_error check_program_header(struct qy_bytes file, const struct program_header *header,
                                          uint64_t user_end, uint64_t *free_from, const char **why)
{
    switch (header->type) {
    case LOAD:
        return loads(header) ? check_segment(file, header, user_end, free_from, why) : QY_OK;
    case DYNAMIC:
    case INTERPRETER:
        return fail(why, QY_CORRUPT, "not statically linked");
    case TLS:
        if (header->file_bytes > header->memory_bytes || header->memory_bytes > user_end)
            return fail(why, QY_CORRUPT, "thread-local storage of impossible size");
        if (header->offset > file.count ||
            !qy_bytes_hold(file, (size_t)header->offset, header->file_bytes))
            return fail(why, QY_TRUNCATED, "thread-local storage beyond the end of the file");
        return QY_OK;
    default:
        return QY_OK;
    }
}

enum qy_error qy_elf_check(struct qy_bytes file, unsigned machine, uint64_t user_end,
                           uint64_t *entry, unsigned *segments, const char **why)
{
    uint64_t free_from = 0, start;
    unsigned count = 0;
    bool entry_found = false;
    enum qy_error error = check_header(file, machine, why);

    if (error)
        return error;
    start = qy_load_le64(file.at + 24);
    for (unsigned i = 0; i < program_headers(file); i++) {
        struct program_header header = program_header(file, i);
        error = check_program_header(file, &header, user_end, &free_from, why);
        if (error)
            return error;
        if (!loads(&header))
            continue;
        count++;
        if ((header.flags & EXECUTE) && start >= header.address &&
            start - header.address < header.memory_bytes)
            entry_found = true;
    }
    if (!count)
        return fail(why, QY_CORRUPT, "no segment to load");
    if (!entry_found)
        return fail(why, QY_CORRUPT, "the entry point is in no executable segment");
    *entry = start;
    *segments = count;
    *why = NULL;
    return QY_OK;
}

struct qy_elf_segment qy_elf_segment(struct qy_bytes file, unsigned i)
{
    for (unsigned k = 0; k < program_headers(file); k++) {
        struct program_header header = program_header(file, k);
        if (!loads(&header) || i-- > 0)
            continue;
        return (struct qy_elf_segment){
            .address = header.address,
            .memory_bytes = header.memory_bytes,
            .data = qy_bytes_part(file, (size_t)header.offset, (size_t)header.file_bytes),
            .flags = (header.flags & READ ? 1u : 0u) | (header.flags & WRITE ? 2u : 0u) |
                     (header.flags & EXECUTE ? 4u : 0u),
        };
    }
    return (struct qy_elf_segment){0};
}
