/*
 * Addresses, frame numbers and sizes that cannot be mixed up, and the attributes used everywhere.
 */
#ifndef QY_TYPES_H
#define QY_TYPES_H

#include <quarry/errors.h>
#include <qy/config.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QY_MUST_USE __attribute__((warn_unused_result))
/* A function off a fast path: whoever calls it keeps its registers, as if it did not, where the compiler can do that. */
#if defined(__clang__) && defined(__x86_64__)
#define QY_RARE __attribute__((noinline, cold, preserve_most))
#else
#define QY_RARE __attribute__((noinline, cold))
#endif

#define QY_PAGE_SHIFT 12u
#define QY_PAGE_BYTES 4096ull
#define QY_PAGE_MASK (QY_PAGE_BYTES - 1)
/* A block is what the frame database describes by one bitmap; a section what it initialises at once. */
#define QY_BLOCK_ORDER 9u
#define QY_BLOCK_PAGES (1ull << QY_BLOCK_ORDER)
#define QY_SECTION_ORDER 15u
#define QY_SECTION_PAGES (1ull << QY_SECTION_ORDER)
/* The largest order of a buddy block; 18 = 1 GiB. */
#define QY_MAX_ORDER ((unsigned)QY_CONFIG_MAX_ORDER)

/* Count something that nothing but reports reads. */
#define QY_COUNT(counter, by) ((void)(QY_CONFIG_STATISTICS && ((counter) += (by))))

typedef struct {
    uint64_t raw;
} paddr_t; /* a physical address */
typedef struct {
    uint64_t raw;
} vaddr_t; /* a virtual address that the kernel made */
typedef struct {
    uint64_t raw;
} uptr_t; /* what a program says is an address of its own: an allegation */
typedef struct {
    uint64_t raw;
} pfn_t; /* a physical frame number: physical address / 4096 */

static inline paddr_t paddr(uint64_t raw)
{
    return (paddr_t){raw};
}

static inline vaddr_t vaddr(uint64_t raw)
{
    return (vaddr_t){raw};
}

static inline pfn_t pfn(uint64_t raw)
{
    return (pfn_t){raw};
}

static inline paddr_t pfn_to_paddr(pfn_t frame)
{
    return paddr(frame.raw << QY_PAGE_SHIFT);
}

static inline pfn_t paddr_to_pfn(paddr_t address)
{
    return pfn(address.raw >> QY_PAGE_SHIFT);
}

/* Bits 63..47 of a canonical address are equal (17 bits, on x86-64 with 4 levels and on Sv48 alike). */
static inline bool vaddr_is_canonical(uint64_t raw)
{
    uint64_t top = raw >> 47;
    return top == 0 || top == 0x1ffff;
}

static inline uint64_t qy_align_down(uint64_t value, uint64_t power_of_two)
{
    return value & ~(power_of_two - 1);
}

/* The caller sees to it that value + power_of_two - 1 does not wrap. */
static inline uint64_t qy_align_up(uint64_t value, uint64_t power_of_two)
{
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

/* The smallest order whose block holds that many pages; pages >= 1. */
static inline unsigned qy_order_of(uint64_t pages)
{
    return pages <= 1 ? 0 : 64u - (unsigned)__builtin_clzll(pages - 1);
}

#endif
