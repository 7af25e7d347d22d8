/*
 * Checking an ELF64 file before anything of it is loaded (System V ABI, gABI 4.1, chapters 4 and 5).
 *
 * A loader that trusts qy_elf_read can copy each segment without a check of its own: every segment
 * lies in the file and in the user half, no two touch the same page, and none is writable and
 * executable. Cost: O(program headers), at most 256 of them, and O(relocations * program headers).
 */
#include "elf_impl.h"
#include <lib/string.h>

#define HEADER_BYTES 64u
#define PROGRAM_HEADER_BYTES 56u
#define PROGRAM_HEADERS_MAX 256u

#define TLS_ALIGN_MAX 4096u

enum file_type { EXECUTABLE = 2, SHARED = 3 };
enum segment_type { LOAD = 1, DYNAMIC = 2, INTERPRETER = 3, TLS = 7, RELRO = 0x6474e552 };
enum segment_flag { EXECUTE = 1, WRITE = 2, READ = 4 };

struct program_header {
    uint32_t type, flags;
    uint64_t offset, address, file_bytes, memory_bytes, align;
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
        .align = qy_load_le64(at + 48),
    };
}

static unsigned program_headers(struct qy_bytes file)
{
    return qy_load_le16(file.at + 56);
}

static enum qy_error check_header(struct qy_bytes file, unsigned machine, const char **why)
{
    if (file.count < HEADER_BYTES)
        return qy_elf_fail(why, QY_TRUNCATED, "shorter than an ELF header");
    const uint8_t *at = file.at;
    if (memcmp(at, "\177ELF", 4) != 0)
        return qy_elf_fail(why, QY_CORRUPT, "not an ELF file");
    if (at[4] != 2 || at[5] != 1)
        return qy_elf_fail(why, QY_CORRUPT, "not a 64-bit little-endian ELF file");
    if (at[6] != 1 || qy_load_le32(at + 20) != 1)
        return qy_elf_fail(why, QY_CORRUPT, "not of ELF version 1");
    if (qy_load_le16(at + 16) != EXECUTABLE && qy_load_le16(at + 16) != SHARED)
        return qy_elf_fail(why, QY_CORRUPT, "neither an executable nor a library");
    if (qy_load_le16(at + 18) != machine)
        return qy_elf_fail(why, QY_CORRUPT, "made for another machine");
    if (qy_load_le16(at + 52) < HEADER_BYTES || qy_load_le16(at + 54) != PROGRAM_HEADER_BYTES)
        return qy_elf_fail(why, QY_CORRUPT, "header sizes are impossible");
    if (program_headers(file) > PROGRAM_HEADERS_MAX)
        return qy_elf_fail(why, QY_TOO_MANY, "more than 256 program headers");
    uint64_t offset = qy_load_le64(at + 32);
    if (offset > file.count ||
        !qy_bytes_hold(file, (size_t)offset,
                       (uint64_t)program_headers(file) * PROGRAM_HEADER_BYTES))
        return qy_elf_fail(why, QY_TRUNCATED, "program headers beyond the end of the file");
    return QY_OK;
}

/* One loadable segment; out->end is the first page that no segment before it has, and is moved beyond it. */
static enum qy_error check_segment(struct qy_elf *out, const struct program_header *header,
                                   uint64_t user_end, const char **why)
{
    if (header->file_bytes > header->memory_bytes)
        return qy_elf_fail(why, QY_CORRUPT, "a segment has more bytes in the file than in memory");
    if (header->offset > out->file.count ||
        !qy_bytes_hold(out->file, (size_t)header->offset, header->file_bytes))
        return qy_elf_fail(why, QY_TRUNCATED, "a segment beyond the end of the file");
    if (header->address < QY_PAGE_BYTES && !out->movable)
        return qy_elf_fail(why, QY_CORRUPT, "a segment in page 0");
    if (header->address >= user_end || header->memory_bytes > user_end - header->address)
        return qy_elf_fail(why, QY_CORRUPT, "a segment beyond the user half");
    if ((header->flags & WRITE) && (header->flags & EXECUTE))
        return qy_elf_fail(why, QY_CORRUPT, "a segment both writable and executable");
    if ((header->flags & WRITE) && !(header->flags & READ))
        return qy_elf_fail(why, QY_CORRUPT, "a segment writable but not readable");
    if (header->address < out->end)
        return qy_elf_fail(why, QY_CORRUPT, "segments out of order, or two in one page");
    if (!out->segments)
        out->start = qy_align_down(header->address, QY_PAGE_BYTES);
    out->end = qy_align_up(header->address + header->memory_bytes, QY_PAGE_BYTES);
    out->segments++;
    return QY_OK;
}

/* Loadable segments, in order; is the entry in one that may be executed? */
static enum qy_error read_segments(struct qy_elf *out, uint64_t user_end, const char **why)
{
    uint64_t entry = qy_load_le64(out->file.at + 24);

    for (unsigned i = 0; i < program_headers(out->file); i++) {
        struct program_header header = program_header(out->file, i);
        if (header.type != LOAD || !header.memory_bytes)
            continue;
        enum qy_error error = check_segment(out, &header, user_end, why);
        if (error != QY_OK)
            return error;
        if (header.flags & EXECUTE && entry >= header.address &&
            entry - header.address < header.memory_bytes)
            out->entry = entry;
    }
    if (!out->segments)
        return qy_elf_fail(why, QY_CORRUPT, "no segment to load");
    if (!out->entry && (entry || !out->movable))
        return qy_elf_fail(why, QY_CORRUPT, "the entry point is in no executable segment");
    return QY_OK;
}

/* Does a readable segment have all of [address, address + bytes) from the file? */
static bool has_in_file(struct qy_bytes file, uint64_t address, uint64_t bytes)
{
    for (unsigned i = 0; i < program_headers(file); i++) {
        struct program_header header = program_header(file, i);
        if (header.type == LOAD && header.memory_bytes && header.flags & READ &&
            address >= header.address && address - header.address <= header.file_bytes &&
            bytes <= header.file_bytes - (address - header.address))
            return true;
    }
    return false;
}

static enum qy_error read_tls(struct qy_elf *out, const struct program_header *header,
                              uint64_t user_end, const char **why)
{
    if (header->file_bytes > header->memory_bytes || header->memory_bytes > user_end)
        return qy_elf_fail(why, QY_CORRUPT, "thread-local storage of impossible size");
    if (header->offset > out->file.count ||
        !qy_bytes_hold(out->file, (size_t)header->offset, header->file_bytes))
        return qy_elf_fail(why, QY_TRUNCATED, "thread-local storage beyond the end of the file");
    if (header->align > TLS_ALIGN_MAX || header->align & (header->align - 1))
        return qy_elf_fail(why, QY_CORRUPT, "thread-local storage of impossible alignment");
    if (header->file_bytes && !has_in_file(out->file, header->address, header->file_bytes))
        return qy_elf_fail(why, QY_CORRUPT, "thread-local storage that no segment holds");
    out->tls.address = header->address;
    out->tls.bytes = header->file_bytes;
    out->tls.memory_bytes = header->memory_bytes;
    out->tls.align = header->align ? header->align : 1;
    return QY_OK;
}

/* Do the pages of a writable segment hold all of [start, end)? */
static bool in_writable_pages(struct qy_bytes file, uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < program_headers(file); i++) {
        struct program_header header = program_header(file, i);
        if (header.type == LOAD && header.memory_bytes && header.flags & WRITE &&
            start >= qy_align_down(header.address, QY_PAGE_BYTES) &&
            end <= qy_align_up(header.address + header.memory_bytes, QY_PAGE_BYTES))
            return true;
    }
    return false;
}

/* From the beginning of its first page, before which the segment has nothing, to the end of its last whole one. */
static enum qy_error read_relro(struct qy_elf *out, const struct program_header *header,
                                const char **why)
{
    uint64_t start = header->address, end = start + header->memory_bytes;

    if (start == end)
        return QY_OK;
    if (end < start || !in_writable_pages(out->file, start, end))
        return qy_elf_fail(why, QY_CORRUPT, "data to protect in no writable segment");
    start = qy_align_down(start, QY_PAGE_BYTES);
    end = qy_align_down(end, QY_PAGE_BYTES);
    if (start < end)
        out->relro.start = start, out->relro.end = end;
    return QY_OK;
}

static enum qy_error read_dynamic(struct qy_elf *out, const struct program_header *header,
                                  const char **why)
{
    if (!out->movable)
        return qy_elf_fail(why, QY_CORRUPT, "not statically linked");
    if (header->offset > out->file.count ||
        !qy_bytes_hold(out->file, (size_t)header->offset, header->file_bytes))
        return qy_elf_fail(why, QY_TRUNCATED, "a dynamic section beyond the end of the file");
    return qy_elf_read_dynamic(
        out, qy_bytes_part(out->file, (size_t)header->offset, (size_t)header->file_bytes), why);
}

/* What is no segment of its own. */
static enum qy_error read_rest(struct qy_elf *out, uint64_t user_end, const char **why)
{
    enum qy_error error = QY_OK;

    for (unsigned i = 0; error == QY_OK && i < program_headers(out->file); i++) {
        struct program_header header = program_header(out->file, i);
        switch (header.type) {
        case INTERPRETER:
            return qy_elf_fail(why, QY_CORRUPT,
                               "not statically linked: it asks for a dynamic linker");
        case DYNAMIC:
            error = read_dynamic(out, &header, why);
            break;
        case TLS:
            error = read_tls(out, &header, user_end, why);
            break;
        case RELRO:
            error = read_relro(out, &header, why);
            break;
        default:
            break;
        }
    }
    return error;
}

enum qy_error qy_elf_read(struct qy_bytes file, unsigned machine, uint64_t user_end,
                          struct qy_elf *out, const char **why)
{
    struct qy_elf elf = {.file = file, .machine = machine};
    enum qy_error error = check_header(file, machine, why);

    if (error != QY_OK)
        return error;
    elf.movable = qy_load_le16(file.at + 16) == SHARED;
    error = read_segments(&elf, user_end, why);
    if (error == QY_OK)
        error = read_rest(&elf, user_end, why);
    if (error != QY_OK)
        return error;
    *out = elf;
    *why = NULL;
    return QY_OK;
}

enum qy_error qy_elf_check(struct qy_bytes file, unsigned machine, uint64_t user_end,
                           uint64_t *entry, unsigned *segments, const char **why)
{
    struct qy_elf elf;
    enum qy_error error = qy_elf_read(file, machine, user_end, &elf, why);

    if (error != QY_OK)
        return error;
    if (elf.movable)
        return qy_elf_fail(why, QY_CORRUPT, "not an executable at fixed addresses");
    *entry = elf.entry;
    *segments = elf.segments;
    return QY_OK;
}

struct qy_elf_segment qy_elf_segment(struct qy_bytes file, unsigned i)
{
    for (unsigned k = 0; k < program_headers(file); k++) {
        struct program_header header = program_header(file, k);
        if (header.type != LOAD || !header.memory_bytes || i-- > 0)
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
