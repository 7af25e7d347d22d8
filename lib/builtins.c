/*
 * Functions that gcc calls for bit counting and byte swapping where the CPU's base instruction set lacks them (clang
 * expands them in place). libgcc is not linked: it is built for another floating-point ABI than the kernel.
 */
#include <stdint.h>

int __clzdi2(uint64_t value);
int __ctzdi2(uint64_t value);
int __popcountdi2(uint64_t value);
uint32_t __bswapsi2(uint32_t value);
uint64_t __bswapdi2(uint64_t value);

/* value is not 0, as the builtin demands. */
int __clzdi2(uint64_t value)
{
    int zeros = 0;
    for (int half = 32; half; half /= 2)
        if (!(value >> (64 - half))) {
            zeros += half;
            value <<= half;
        }
    return zeros;
}

int __ctzdi2(uint64_t value)
{
    int zeros = 0;
    for (int half = 32; half; half /= 2)
        if (!(value << (64 - half))) {
            zeros += half;
            value >>= half;
        }
    return zeros;
}

int __popcountdi2(uint64_t value)
{
    value -= value >> 1 & 0x5555555555555555;
    value = (value & 0x3333333333333333) + (value >> 2 & 0x3333333333333333);
    value = (value + (value >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (int)(value * 0x0101010101010101 >> 56);
}

uint32_t __bswapsi2(uint32_t value)
{
    value = (value & 0x00ff00ff) << 8 | (value >> 8 & 0x00ff00ff);
    return value << 16 | value >> 16;
}

uint64_t __bswapdi2(uint64_t value)
{
    return (uint64_t)__bswapsi2((uint32_t)value) << 32 | __bswapsi2((uint32_t)(value >> 32));
}

#if defined(__riscv) && !defined(__clang__)
#include <stdatomic.h>
#include <stdbool.h>

bool __atomic_compare_exchange_1(volatile void *at, void *expected, unsigned char desired,
                                 bool weak, int success, int failure);

/* There are no atomic instructions on bytes: on the word around it, again if another byte of it changes meanwhile. */
bool __atomic_compare_exchange_1(volatile void *at, void *expected, unsigned char desired,
                                 bool weak, int success, int failure)
{
    volatile _Atomic uint32_t *word = (volatile _Atomic uint32_t *)((uintptr_t)at & ~(uintptr_t)3);
    unsigned shift = ((uintptr_t)at & 3) * 8;
    unsigned char *wanted = expected;
    uint32_t old = atomic_load(word);
    (void)weak, (void)success, (void)failure;
    while ((old >> shift & 0xff) == *wanted) {
        uint32_t changed = (old & ~(0xffu << shift)) | (uint32_t)desired << shift;
        if (atomic_compare_exchange_weak(word, &old, changed))
            return true;
    }
    *wanted = (unsigned char)(old >> shift);
    return false;
}
#endif
