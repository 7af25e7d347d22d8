/*
 * See kernel/entropy.h.
 */
#include <arch/arch.h>
#include <kernel/cpu.h>
#include <kernel/entropy.h>
#include <lib/secret.h>
#include <quarry/abi.h>

static struct secret secret;
static uint64_t sources;

void entropy_gather(const struct qy_boot_info *info)
{
    uint64_t words[5] = {arch_clock()};
    bool cpu = true;
    for (unsigned i = 1; i < 5; i++)
        cpu &= arch_random(&words[i]);
    sources |= (cpu ? QY_ENTROPY_CPU : 0) | (info->entropy_bytes ? QY_ENTROPY_FIRMWARE : 0);
    secret_add(&secret, words, sizeof(words));
    secret_add(&secret, info->entropy, info->entropy_bytes);
}

uint64_t entropy_sources(void)
{
    return sources;
}

const char *entropy_words(void)
{
    static const char *const words[] = {"nobody", "the processor", "firmware",
                                        "the processor and firmware"};
    return words[sources];
}

void entropy_draw(void *out, size_t bytes)
{
    secret_draw(&secret, out, bytes);
}

void entropy_end(void)
{
    for (size_t i = 0; i < sizeof(secret.key); i++)
        ((volatile uint8_t *)secret.key)[i] = 0;
}
