/*
 * See user/secret.h.
 */
#include <user/lock.h>
#include <user/secret.h>

static struct spin_lock lock;
static struct secret state;

void secret_begin(const uint8_t seed[SECRET_SEED_BYTES])
{
    spin_acquire(&lock);
    state = (struct secret){.key = {0}};
    secret_add(&state, seed, SECRET_SEED_BYTES);
    spin_release(&lock);
}

void secret_bytes(void *out, size_t bytes)
{
    spin_acquire(&lock);
    secret_draw(&state, out, bytes);
    spin_release(&lock);
}

uint64_t secret_bits(unsigned bits)
{
    uint64_t word = 0;

    secret_bytes(&word, sizeof(word));
    return bits < 64 ? word & ((1ull << bits) - 1) : word;
}
