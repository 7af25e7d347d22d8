/*
 * A small executable that can be moved, for tests: text, constants, data with relocations of each kind, symbols, a library
 * that it needs, RELRO and thread-local storage.
 */
#ifndef TESTS_UNIT_ELF_FILE_H
#define TESTS_UNIT_ELF_FILE_H

#include "memory.h"

#define X86 62u
#define RISCV 243u
/* The file: headers, then at these offsets and addresses */
#define SYMBOLS 0x400u /* three, 24 bytes each */
#define STRINGS 0x500u /* 32 bytes */
#define HASH 0x540u    /* 8 bytes */
#define RELA 0x580u    /* four */
#define TEXT 0x1000u
#define DATA 0x2000u    /* 64 words */
#define DYNAMIC 0x2200u /* 16 entries */
#define DATA_BYTES 0x300u
#define FILE_BYTES 0x2300u

static inline void segment(uint8_t *of, unsigned i, uint32_t type, uint32_t flags, uint64_t at,
                           uint64_t bytes, uint64_t memory)
{
    uint8_t *to = of + 64 + 56 * i;
    store_le(to, type, 4);
    store_le(to + 4, flags, 4);
    store_le(to + 8, at, 8);
    store_le(to + 16, at, 8);
    store_le(to + 24, at, 8);
    store_le(to + 32, bytes, 8);
    store_le(to + 40, memory, 8);
    store_le(to + 48, 8, 8);
}

static inline void tag(uint8_t *of, unsigned i, uint64_t name, uint64_t value)
{
    store_le(of + DYNAMIC + 16 * i, name, 8);
    store_le(of + DYNAMIC + 16 * i + 8, value, 8);
}

static inline void symbol(uint8_t *of, unsigned i, uint32_t name, unsigned bind, uint16_t section,
                          uint64_t value)
{
    uint8_t *at = of + SYMBOLS + 24 * i;
    store_le(at, name, 4);
    at[4] = (uint8_t)(bind << 4 | 2);
    store_le(at + 6, section, 2);
    store_le(at + 8, value, 8);
}

static inline void relocation(uint8_t *of, unsigned i, uint64_t at, uint32_t type,
                              uint32_t of_symbol, uint64_t addend)
{
    uint8_t *to = of + RELA + 24 * i;
    store_le(to, at, 8);
    store_le(to + 8, type, 4);
    store_le(to + 12, of_symbol, 4);
    store_le(to + 16, addend, 8);
}

/* "here" is symbol 1 and its own, "there" symbol 2 and not. */
static inline void make(uint8_t *of, unsigned machine)
{
    memset(of, 0, FILE_BYTES);
    memcpy(of, "\177ELF\2\1\1", 7);
    store_le(of + 16, 3, 2);
    store_le(of + 18, machine, 2);
    store_le(of + 20, 1, 4);
    store_le(of + 24, TEXT + 16, 8);
    store_le(of + 32, 64, 8);
    store_le(of + 52, 64, 2);
    store_le(of + 54, 56, 2);
    store_le(of + 56, 6, 2);
    segment(of, 0, 1, 4, 0, 0x600, 0x600);
    segment(of, 1, 1, 5, TEXT, 64, 64);
    segment(of, 2, 1, 6, DATA, DATA_BYTES, 0x5000);
    segment(of, 3, 2, 6, DYNAMIC, 0x100, 0x100);
    segment(of, 4, 0x6474e552, 4, DATA, DATA_BYTES, 0x1000);
    segment(of, 5, 7, 4, DATA + 8, 16, 40);
    memcpy(of + STRINGS, "\0here\0there\0libone.so\0", 23);
    symbol(of, 1, 1, 1, 1, TEXT + 32);
    symbol(of, 2, 6, 1, 0, 0);
    store_le(of + HASH + 4, 3, 4);
    relocation(of, 0, DATA + 8, machine == X86 ? 8 : 3, 0, DATA + 5);
    relocation(of, 1, DATA + 16, machine == X86 ? 1 : 2, 1, 7);
    relocation(of, 2, DATA + 24, machine == X86 ? 7 : 5, 2, 0);
    relocation(of, 3, DATA + 504, machine == X86 ? 8 : 3, 0, 0);
    tag(of, 0, 5, STRINGS);
    tag(of, 1, 10, 32);
    tag(of, 2, 6, SYMBOLS);
    tag(of, 3, 11, 24);
    tag(of, 4, 4, HASH);
    tag(of, 5, 7, RELA);
    tag(of, 6, 8, 2 * 24);
    tag(of, 7, 9, 24);
    tag(of, 8, 23, RELA + 48);
    tag(of, 9, 2, 2 * 24);
    tag(of, 10, 20, 7);
    tag(of, 11, 1, 12);
}

#endif
