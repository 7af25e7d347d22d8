/*
 * What holds of every file that qy_elf_read accepts, whatever bytes it was made of; for the unit tests and the fuzzer. It
 * would miss a wrong value at the right place, which tests/unit/elf_dynamic.c looks for.
 */
#ifndef TESTS_UNIT_ELF_PROMISES_H
#define TESTS_UNIT_ELF_PROMISES_H

#include <platform/parse.h>
#include <stdlib.h>
#include <string.h>

#define PROMISES_USER_END 0x800000000000ull

/* Relocate a copy of the segment's bytes, in a block of that size; nothing but writable segments may change. */
static inline void promises_relocate(const struct qy_elf_part *part, const struct qy_elf_segment *s)
{
    uint64_t from = s->address & ~7ull, skip = s->address - from;
    size_t bytes = (skip + s->data.count + 7) & ~(size_t)7;
    uint8_t *at = calloc(bytes ? bytes : 1, 1), *before = calloc(bytes ? bytes : 1, 1);

    memcpy(at + skip, s->data.at, s->data.count);
    memcpy(before, at, bytes);
    qy_elf_relocate(part, 1, 0, from, at, bytes);
    CHECK(s->flags & 2 || memcmp(at, before, bytes) == 0);
    free(before);
    free(at);
}

static inline enum qy_error promises_check(struct qy_bytes file, unsigned machine)
{
    struct qy_elf elf;
    const char *why = NULL;
    uint64_t end = 0;
    bool entry = false, relro = false;
    enum qy_error error = qy_elf_read(file, machine, PROMISES_USER_END, &elf, &why);

    CHECK_EQ(error != QY_OK, why != NULL);
    if (error)
        return error;
    struct qy_elf_part part = {&elf, 0x200000000000ull};
    CHECK(elf.segments > 0 && elf.start < elf.end && elf.end <= PROMISES_USER_END);
    for (unsigned i = 0; i < elf.segments; i++) {
        struct qy_elf_segment s = qy_elf_segment(file, i);
        CHECK(s.memory_bytes > 0 && s.memory_bytes >= s.data.count);
        CHECK(s.address >= elf.start && s.address >= end && s.address < elf.end);
        CHECK(elf.movable || s.address >= 4096);
        CHECK(s.memory_bytes <= elf.end - s.address);
        CHECK((s.flags & 6) != 6);
        CHECK(s.data.at >= file.at && s.data.at + s.data.count <= file.at + file.count);
        end = qy_align_up(s.address + s.memory_bytes, 4096);
        entry |= (s.flags & 4) && elf.entry >= s.address && elf.entry - s.address < s.memory_bytes;
        relro |= (s.flags & 2) && elf.relro.start >= qy_align_down(s.address, 4096) &&
                 elf.relro.end <= end;
        promises_relocate(&part, &s);
    }
    CHECK(entry || (elf.movable && !elf.entry));
    CHECK(relro || elf.relro.start == elf.relro.end);
    CHECK(elf.tls.bytes <= elf.tls.memory_bytes && elf.tls.align <= 4096);
    CHECK(elf.needed_count <= QY_ELF_NEEDED_MAX);
    for (unsigned i = 0; i < elf.needed_count; i++)
        CHECK(strlen(elf.needed[i]) < file.count);
    CHECK(qy_elf_link(&part, 1, &why) == QY_OK || why != NULL);
    return QY_OK;
}

#endif
