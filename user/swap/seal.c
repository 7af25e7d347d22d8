/*
 * Sealing of pages. See seal.h.
 */
#include "seal.h"

#include <lib/string.h>

void seal_wipe(void *at, size_t bytes)
{
    memset(at, 0, bytes);
    __asm__ volatile("" : : "r"(at) : "memory");
}

/* mbed TLS asks its platform for it. */
void mbedtls_platform_zeroize(void *at, size_t bytes);
void mbedtls_platform_zeroize(void *at, size_t bytes)
{
    seal_wipe(at, bytes);
}

static void put64(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

struct names {
    uint8_t nonce[12], known[24];
};

static struct names names_of(uint64_t owner, uint32_t block, uint64_t counter)
{
    struct names names;
    for (unsigned i = 0; i < 4; i++)
        names.nonce[i] = (uint8_t)(block >> 8 * i);
    put64(names.nonce + 4, counter);
    put64(names.known, owner);
    put64(names.known + 8, block);
    put64(names.known + 16, counter);
    return names;
}

void seal_begin(struct seal *seal, uint8_t key[SEAL_KEY_BYTES])
{
    mbedtls_chachapoly_init(&seal->cipher);
    (void)mbedtls_chachapoly_setkey(&seal->cipher, key);
    seal->counter = 0;
    seal_wipe(key, SEAL_KEY_BYTES);
}

void seal_end(struct seal *seal)
{
    mbedtls_chachapoly_free(&seal->cipher);
    seal_wipe(seal, sizeof(*seal));
}

bool seal_close(struct seal *seal, uint64_t owner, uint32_t block, uint8_t page[SEAL_PAGE_BYTES],
                struct seal_mark *mark)
{
    if (seal->counter == UINT64_MAX)
        return false;
    mark->counter = ++seal->counter;
    struct names names = names_of(owner, block, mark->counter);
    return mbedtls_chachapoly_encrypt_and_tag(&seal->cipher, SEAL_PAGE_BYTES, names.nonce,
                                              names.known, sizeof(names.known), page, page,
                                              mark->tag) == 0;
}

bool seal_open(struct seal *seal, uint64_t owner, uint32_t block, uint8_t page[SEAL_PAGE_BYTES],
               const struct seal_mark *mark)
{
    struct names names = names_of(owner, block, mark->counter);
    bool same =
        mbedtls_chachapoly_auth_decrypt(&seal->cipher, SEAL_PAGE_BYTES, names.nonce, names.known,
                                        sizeof(names.known), mark->tag, page, page) == 0;
    if (!same)
        seal_wipe(page, SEAL_PAGE_BYTES);
    return same;
}
