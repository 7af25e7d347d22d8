/*
 * BLAKE2s as RFC 7693 has it, section by section. No table or branch depends on the data.
 */
#include <lib/blake2s.h>

#include <lib/string.h>

#define ROUNDS 10u

static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* Section 2.7. */
static const uint8_t sigma[ROUNDS][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word >> bits | word << (32 - bits);
}

static uint32_t word_at(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Section 3.1. */
static void mix(uint32_t v[16], unsigned a, unsigned b, unsigned c, unsigned d, uint32_t x,
                uint32_t y)
{
    v[a] += v[b] + x;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 12);
    v[a] += v[b] + y;
    v[d] = rotate(v[d] ^ v[a], 8);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 7);
}

/* Section 3.2: the block that is held; last: nothing follows. */
static void compress(struct blake2s *hash, uint32_t last)
{
    uint32_t v[16], m[16];

    for (unsigned i = 0; i < 16; i++)
        m[i] = word_at(hash->block + 4 * i);
    memcpy(v, hash->state, sizeof(hash->state));
    memcpy(v + 8, initial, sizeof(initial));
    v[12] ^= (uint32_t)hash->done;
    v[13] ^= (uint32_t)(hash->done >> 32);
    v[14] ^= last;
    for (unsigned r = 0; r < ROUNDS; r++)
        for (unsigned i = 0; i < 8; i++) {
            unsigned column = i % 4, turn = i / 4; /* four columns, then four diagonals */
            mix(v, column, 4 + (column + turn) % 4, 8 + (column + 2 * turn) % 4,
                12 + (column + 3 * turn) % 4, m[sigma[r][2 * i]], m[sigma[r][2 * i + 1]]);
        }
    for (unsigned i = 0; i < 8; i++)
        hash->state[i] ^= v[i] ^ v[i + 8];
    hash->held = 0;
}

void blake2s_begin(struct blake2s *hash, const void *key, size_t key_bytes)
{
    *hash = (struct blake2s){.done = 0};
    memcpy(hash->state, initial, sizeof(initial));
    hash->state[0] ^= 0x01010000 ^ (uint32_t)key_bytes << 8 ^ BLAKE2S_BYTES;
    if (key_bytes) {
        memcpy(hash->block, key, key_bytes);
        hash->held = BLAKE2S_BLOCK;
    }
}

void blake2s_add(struct blake2s *hash, const void *data, size_t bytes)
{
    const uint8_t *from = data;

    while (bytes) {
        if (hash->held == BLAKE2S_BLOCK) {
            hash->done += BLAKE2S_BLOCK;
            compress(hash, 0);
        }
        size_t part = BLAKE2S_BLOCK - hash->held;
        part = part < bytes ? part : bytes;
        memcpy(hash->block + hash->held, from, part);
        hash->held += part;
        from += part;
        bytes -= part;
    }
}

void blake2s_end(struct blake2s *hash, uint8_t out[BLAKE2S_BYTES])
{
    hash->done += hash->held;
    memset(hash->block + hash->held, 0, BLAKE2S_BLOCK - hash->held);
    compress(hash, UINT32_MAX);
    for (unsigned i = 0; i < BLAKE2S_BYTES; i++)
        out[i] = (uint8_t)(hash->state[i / 4] >> i % 4 * 8);
    for (volatile uint8_t *at = (volatile uint8_t *)hash; at < (volatile uint8_t *)(hash + 1); at++)
        *at = 0;
}
