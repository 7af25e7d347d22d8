/*
 * Filling a boot information structure, in two passes of one function.
 *
 * A parser runs over its input twice. The first pass (store == false) checks everything and writes
 * nothing but out->why; the second stores. So a parser that fails has changed nothing else. What
 * does not fit is never dropped silently: out->truncated is set and says what.
 */
#ifndef PLATFORM_BOOT_INFO_IMPL_H
#define PLATFORM_BOOT_INFO_IMPL_H

#include "bytes_impl.h"

struct qy_boot_parse {
    struct qy_boot_info *out;
    bool store;
};

/* Note what was wrong, and return the error. */
enum qy_error qy_boot_fail(struct qy_boot_parse *parse, enum qy_error error, const char *why);

void qy_boot_add_range(struct qy_boot_parse *parse, uint64_t base, uint64_t end,
                       enum qy_mem_type type, uint32_t firmware_type);
/* type: USABLE for a structure that nobody needs after the boot, RESERVED for memory that somebody asks to leave alone. */
void qy_boot_add_reserved(struct qy_boot_parse *parse, uint64_t base, uint64_t bytes,
                          enum qy_mem_type type);

/* name: bytes of a string, up to a terminator if there is one; may be empty. */
void qy_boot_add_module(struct qy_boot_parse *parse, uint64_t base, uint64_t bytes,
                        struct qy_bytes name);

/* text: as for a module's name. */
void qy_boot_set_command_line(struct qy_boot_parse *parse, struct qy_bytes text);

/* Copy the string in `from` into an array, cut if longer. False if it was cut. */
bool qy_copy_text(char *to, size_t room, struct qy_bytes from);

/* The descriptors of a UEFI memory map; qy_parse_uefi_map is this, twice. */
enum qy_error qy_uefi_ranges(struct qy_boot_parse *parse, struct qy_bytes map,
                             uint64_t descriptor_bytes) QY_MUST_USE;

#endif
