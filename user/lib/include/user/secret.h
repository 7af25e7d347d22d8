/*
 * A program's random numbers: out of the seed that it was started with (lib/secret.h). Any thread may draw.
 */
#ifndef USER_SECRET_H
#define USER_SECRET_H

#include <lib/secret.h>

/* Begin with a seed: done for every program that a loader starts. */
void secret_begin(const uint8_t seed[SECRET_SEED_BYTES]);

void secret_bytes(void *out, size_t bytes);

/* The lowest `bits` bits are random, the others 0. */
uint64_t secret_bits(unsigned bits);

#endif
