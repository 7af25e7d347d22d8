/*
 * Random bytes out of a seed: extract, then expand (HKDF, RFC 5869, with keyed BLAKE2s as its PRF), and a key that is
 * replaced at each draw, so that who reads it later cannot tell what was drawn before (fast key erasure, D. J. Bernstein
 * 2017).
 *
 *     sources --secret_add--> key --secret_draw--> bytes
 *                              ^------------------'
 *
 * As good as the seed: 256 bits at most. Locking: the caller's.
 */
#ifndef LIB_SECRET_H
#define LIB_SECRET_H

#include <stddef.h>
#include <stdint.h>

#define SECRET_SEED_BYTES 32u

struct secret {
    uint8_t key[SECRET_SEED_BYTES]; /* all zero at first */
};

/* Mix bytes in. Whatever they are, what was in stays as hard to guess as it was. */
void secret_add(struct secret *secret, const void *data, size_t bytes);

void secret_draw(struct secret *secret, void *out, size_t bytes);

#endif
