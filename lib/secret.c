/*
 * See lib/secret.h.
 */
#include <lib/blake2s.h>
#include <lib/secret.h>

#include <lib/string.h>

#define ADD 1u /* what a hash is for is its first byte */
#define DRAW 2u
#define NEXT 3u

/* out = PRF(key, what, counter, data) */
static void prf(const struct secret *secret, uint8_t what, uint64_t counter, const void *data,
                size_t bytes, uint8_t out[BLAKE2S_BYTES])
{
    struct blake2s hash;

    blake2s_begin(&hash, secret->key, sizeof(secret->key));
    blake2s_add(&hash, &what, 1);
    blake2s_add(&hash, &counter, sizeof(counter));
    blake2s_add(&hash, data, bytes);
    blake2s_end(&hash, out);
}

void secret_add(struct secret *secret, const void *data, size_t bytes)
{
    prf(secret, ADD, bytes, data, bytes, secret->key);
}

void secret_draw(struct secret *secret, void *out, size_t bytes)
{
    uint8_t block[BLAKE2S_BYTES], *to = out;

    for (uint64_t counter = 0; bytes; counter++) {
        size_t part = bytes < sizeof(block) ? bytes : sizeof(block);
        prf(secret, DRAW, counter, NULL, 0, block);
        memcpy(to, block, part);
        to += part;
        bytes -= part;
    }
    for (unsigned i = 0; i < sizeof(block); i++)
        ((volatile uint8_t *)block)[i] = 0;
    prf(secret, NEXT, 0, NULL, 0, secret->key);
}
