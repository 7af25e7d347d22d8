/*
 * Memory and string functions for freestanding programs.
 *
 * x86-64 moves and fills with `rep movsq` and `rep stosq`, one instruction a word; elsewhere words
 * are moved where both addresses share their alignment, bytes otherwise, since a misaligned access
 * may trap. A compiler that sees a loop that copies or fills likes to make it a call of memcpy or
 * memset, which here would be a call of the function itself: KEEP_LOOP hides the pointer from it.
 * Cost: O(bytes), no branch a word beyond the loop's.
 */
#include <lib/string.h>
#include <stdint.h>

/* The compiler must take the pointer for changed, so it cannot recognise what the loop does. */
#define KEEP_LOOP(pointer) __asm__("" : "+r"(pointer))

#define WORD sizeof(uint64_t)

/* A word at any address; one instruction where the machine can, bytes where it cannot. */
struct any_word {
    uint64_t value;
} __attribute__((packed, may_alias));

static inline uint64_t load(const unsigned char *at)
{
    return ((const struct any_word *)at)->value;
}

static inline void store(unsigned char *at, uint64_t value)
{
    ((struct any_word *)at)->value = value;
}

#if defined(__x86_64__)
#define ANY_ALIGNMENT 1

static inline void copy_words(unsigned char *to, const unsigned char *from, size_t words)
{
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
}

static inline void fill_words(unsigned char *at, uint64_t pattern, size_t words)
{
    __asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(pattern) : "memory");
}
#else
#define ANY_ALIGNMENT 0

static inline void copy_words(unsigned char *to, const unsigned char *from, size_t words)
{
    uint64_t *out = (uint64_t *)__builtin_assume_aligned(to, WORD);
    const uint64_t *in = (const uint64_t *)__builtin_assume_aligned(from, WORD);

    for (; words >= 4; words -= 4, out += 4, in += 4) {
        uint64_t a = in[0], b = in[1], c = in[2], d = in[3];
        out[0] = a;
        out[1] = b;
        out[2] = c;
        out[3] = d;
        KEEP_LOOP(out);
    }
    while (words--) {
        *out++ = *in++;
        KEEP_LOOP(out);
    }
}

static inline void fill_words(unsigned char *at, uint64_t pattern, size_t words)
{
    uint64_t *out = (uint64_t *)__builtin_assume_aligned(at, WORD);

    for (; words >= 4; words -= 4, out += 4) {
        out[0] = pattern;
        out[1] = pattern;
        out[2] = pattern;
        out[3] = pattern;
        KEEP_LOOP(out);
    }
    while (words--) {
        *out++ = pattern;
        KEEP_LOOP(out);
    }
}
#endif

static inline void copy_bytes(unsigned char *to, const unsigned char *from, size_t bytes)
{
    while (bytes--) {
        *to++ = *from++;
        KEEP_LOOP(to);
    }
}

static inline void fill_bytes(unsigned char *at, unsigned char value, size_t bytes)
{
    while (bytes--) {
        *at++ = value;
        KEEP_LOOP(at);
    }
}

/* True if words can be used once the first bytes up to a word's boundary are done. */
static inline int share_alignment(const void *a, const void *b)
{
    return ANY_ALIGNMENT || (((uintptr_t)a ^ (uintptr_t)b) & (WORD - 1)) == 0;
}

/* Bytes up to the next word's boundary, where the machine cares about it. */
static inline size_t bytes_to_boundary(const void *at)
{
    return ANY_ALIGNMENT ? 0 : -(uintptr_t)at & (WORD - 1);
}

/* Lowest address first: right whenever `to` does not lie inside what is still to be read. */
static inline void copy_upwards(unsigned char *to, const unsigned char *from, size_t bytes)
{
    if (bytes >= 2 * WORD && share_alignment(to, from)) {
        size_t head = bytes_to_boundary(to);
        copy_bytes(to, from, head);
        size_t words = (bytes - head) / WORD, done = head + words * WORD;
        copy_words(to + head, from + head, words);
        to += done, from += done, bytes -= done;
    }
    copy_bytes(to, from, bytes);
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    copy_upwards((unsigned char *)to, (const unsigned char *)from, bytes);
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    unsigned char *out = (unsigned char *)to;
    const unsigned char *in = (const unsigned char *)from;

    if ((uintptr_t)out - (uintptr_t)in >= bytes) { /* below the source, or wholly above it */
        copy_upwards(out, in, bytes);
        return to;
    }
    while (bytes >= WORD && ANY_ALIGNMENT) {
        bytes -= WORD;
        store(out + bytes, load(in + bytes));
        KEEP_LOOP(out);
    }
    while (bytes) {
        bytes--;
        out[bytes] = in[bytes];
        KEEP_LOOP(out);
    }
    return to;
}

void *memset(void *at, int value, size_t bytes)
{
    unsigned char *out = (unsigned char *)at;
    unsigned char byte = (unsigned char)value;

    if (bytes >= 2 * WORD) {
        size_t head = bytes_to_boundary(out);
        fill_bytes(out, byte, head);
        size_t words = (bytes - head) / WORD, done = head + words * WORD;
        fill_words(out + head, byte * 0x0101010101010101ull, words);
        out += done, bytes -= done;
    }
    fill_bytes(out, byte, bytes);
    return at;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;

    if (ANY_ALIGNMENT || (((uintptr_t)x | (uintptr_t)y) & (WORD - 1)) == 0)
        while (bytes >= WORD && load(x) == load(y))
            x += WORD, y += WORD, bytes -= WORD;
    for (; bytes; x++, y++, bytes--)
        if (*x != *y)
            return *x < *y ? -1 : 1;
    return 0;
}

size_t strlen(const char *text)
{
    const char *end = text;

    while (*end) {
        end++;
        KEEP_LOOP(end);
    }
    return (size_t)(end - text);
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t bytes)
{
    for (; bytes; a++, b++, bytes--)
        if (*a != *b || !*a)
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}
