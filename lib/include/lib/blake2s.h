/*
 * BLAKE2s: a hash of up to 32 bytes, with a key or without (RFC 7693). Kernel and programs mix what is random with it, and
 * draw from it (lib/random.h).
 */
#ifndef LIB_BLAKE2S_H
#define LIB_BLAKE2S_H

#include <stddef.h>
#include <stdint.h>

#define BLAKE2S_BYTES 32u
#define BLAKE2S_BLOCK 64u

struct blake2s {
    uint32_t state[8];
    uint64_t done; /* bytes compressed */
    uint8_t block[BLAKE2S_BLOCK];
    size_t held; /* bytes of the block that wait: the last block is compressed at the end only */
};

/* key_bytes <= 32; 0: no key. */
void blake2s_begin(struct blake2s *hash, const void *key, size_t key_bytes);
void blake2s_add(struct blake2s *hash, const void *data, size_t bytes);
/* The state is wiped. */
void blake2s_end(struct blake2s *hash, uint8_t out[BLAKE2S_BYTES]);

#endif
