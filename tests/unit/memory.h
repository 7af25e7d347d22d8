/*
 * Guest memory for tests of parsers: pieces at physical addresses, each in a heap block of exactly
 * its size, so that the address sanitizer sees every access outside. Also a random sequence, and
 * the ways to damage an input.
 */
#ifndef TESTS_UNIT_MEMORY_H
#define TESTS_UNIT_MEMORY_H

#include <lib/random.h>
#include <platform/parse.h>
#include <stdlib.h>
#include <string.h>

struct fragment {
    uint64_t base;
    const uint8_t *at;
    size_t count;
};

#define PIECES_MAX 16u

struct memory {
    struct {
        uint64_t base;
        uint8_t *at;
        size_t count;
    } pieces[PIECES_MAX];
    unsigned count;
};

static inline uint8_t *copy_of(const void *at, size_t count)
{
    uint8_t *copy = malloc(count ? count : 1);
    if (count)
        memcpy(copy, at, count);
    return copy;
}

static inline void memory_add(struct memory *memory, uint64_t base, const void *at, size_t count)
{
    if (memory->count == PIECES_MAX)
        abort();
    memory->pieces[memory->count].base = base;
    memory->pieces[memory->count].at = copy_of(at, count);
    memory->pieces[memory->count++].count = count;
}

static inline struct memory memory_of(const struct fragment *fragments, size_t count)
{
    struct memory memory = {.count = 0};
    for (size_t i = 0; i < count; i++)
        memory_add(&memory, fragments[i].base, fragments[i].at, fragments[i].count);
    return memory;
}
#define MEMORY_OF(fragments) memory_of(fragments, sizeof(fragments) / sizeof((fragments)[0]))

static inline void memory_free(struct memory *memory)
{
    for (unsigned i = 0; i < memory->count; i++)
        free(memory->pieces[i].at);
    memory->count = 0;
}

/* The bytes at an address, if one piece holds them all. */
static inline const void *memory_read(void *context, paddr_t address, uint64_t count)
{
    const struct memory *memory = context;
    for (unsigned i = 0; i < memory->count; i++) {
        uint64_t offset = address.raw - memory->pieces[i].base;
        if (address.raw >= memory->pieces[i].base && offset <= memory->pieces[i].count &&
            count <= memory->pieces[i].count - offset)
            return memory->pieces[i].at + offset;
    }
    return NULL;
}

static inline uint8_t *memory_at(struct memory *memory, uint64_t address, uint64_t count)
{
    for (unsigned i = 0; i < memory->count; i++) {
        uint64_t offset = address - memory->pieces[i].base;
        if (address >= memory->pieces[i].base && offset + count <= memory->pieces[i].count)
            return memory->pieces[i].at + offset;
    }
    abort();
}

static inline void store_le(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = i < 8 ? (uint8_t)(value >> (8 * i)) : 0;
}

static inline void store_be(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

/* What a byte becomes in the variants of an input: its extremes, one bit, the sign, anything. */
#define DAMAGES 6u
static inline uint8_t damaged(uint8_t byte, unsigned variant, uint64_t *random)
{
    switch (variant) {
    case 0:
        return 0;
    case 1:
        return 0xff;
    case 2:
        return byte ^ 1;
    case 3:
        return byte ^ 0x80;
    case 4:
        return (uint8_t)(byte + 1);
    default:
        return (uint8_t)random_next(random);
    }
}

/* Every prefix of an input, each in a block of its own; the whole input is the last. */
static inline void each_prefix(const uint8_t *at, size_t count, void (*run)(struct qy_bytes input))
{
    for (size_t length = 0; length <= count; length++) {
        uint8_t *copy = copy_of(at, length);
        run((struct qy_bytes){copy, length});
        free(copy);
    }
}

/* Every single-byte change of an input, in each variant, and some of two bytes at once. */
static inline void each_corruption(const uint8_t *at, size_t count,
                                   void (*run)(struct qy_bytes input))
{
    uint64_t random = 0x9e3779b97f4a7c15ull;
    uint8_t *copy = copy_of(at, count);
    for (size_t i = 0; i < count; i++) {
        for (unsigned variant = 0; variant < DAMAGES; variant++) {
            size_t second = random_next(&random) % count;
            copy[i] = damaged(at[i], variant, &random);
            run((struct qy_bytes){copy, count});
            copy[second] = damaged(at[second], 5, &random);
            run((struct qy_bytes){copy, count});
            copy[second] = at[second];
            copy[i] = at[i];
        }
    }
    free(copy);
}

/* The same for memory in pieces. */
static inline void each_memory_corruption(struct memory *memory, void (*run)(struct memory *memory))
{
    uint64_t random = 0x2545f4914f6cdd1dull;
    for (unsigned p = 0; p < memory->count; p++) {
        for (size_t i = 0; i < memory->pieces[p].count; i++) {
            uint8_t good = memory->pieces[p].at[i];
            for (unsigned variant = 0; variant < DAMAGES; variant++) {
                memory->pieces[p].at[i] = damaged(good, variant, &random);
                run(memory);
            }
            memory->pieces[p].at[i] = good;
        }
    }
}

/* Every shortening of every piece. */
static inline void each_memory_prefix(struct memory *memory, void (*run)(struct memory *memory))
{
    for (unsigned p = 0; p < memory->count; p++) {
        uint8_t *whole = memory->pieces[p].at;
        size_t count = memory->pieces[p].count;
        for (size_t length = 0; length < count; length++) {
            memory->pieces[p].at = copy_of(whole, length);
            memory->pieces[p].count = length;
            run(memory);
            free(memory->pieces[p].at);
        }
        memory->pieces[p].at = whole;
        memory->pieces[p].count = count;
    }
}

#endif
