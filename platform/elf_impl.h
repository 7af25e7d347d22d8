/*
 * What elf.c and elf_dynamic.c share.
 */
#ifndef PLATFORM_ELF_IMPL_H
#define PLATFORM_ELF_IMPL_H

#include "bytes_impl.h"

static inline enum qy_error qy_elf_fail(const char **why, enum qy_error error, const char *sentence)
{
    *why = sentence;
    return error;
}

/* The dynamic section at those bytes: relocations, symbols, libraries. elf->file and its segments have been checked. */
enum qy_error qy_elf_read_dynamic(struct qy_elf *elf, struct qy_bytes dynamic,
                                  const char **why) QY_MUST_USE;

#endif
