/*
 * Pages that leave RAM: encrypted, and known again.
 *
 *     nonce, 96 bits      | block (32) | write counter (64), little endian |       never twice under one key
 *     authenticated too   | owner (64) | block (64) | counter (64) |
 *
 * The key is of this boot and nowhere but here. Counter and tag of each block stay in RAM, with whoever owns the page, so
 * that what comes back is the last page that was written there by that owner, or an error: an older one, another block's,
 * another owner's, another boot's, or a damaged one has another tag.
 *
 * The cipher is ChaCha20-Poly1305 (RFC 8439) of mbed TLS. Locking: the caller's. Cost: O(bytes).
 */
#ifndef SWAP_SEAL_H
#define SWAP_SEAL_H

#include <mbedtls/chachapoly.h>
#include <stdbool.h>
#include <stdint.h>

#define SEAL_KEY_BYTES 32u
#define SEAL_TAG_BYTES 16u
#define SEAL_PAGE_BYTES 4096u

struct seal {
    mbedtls_chachapoly_context cipher;
    uint64_t counter; /* of the last write, of any block */
};

/* What has to be remembered of a sealed page. */
struct seal_mark {
    uint64_t counter;
    uint8_t tag[SEAL_TAG_BYTES];
};

/* The caller's copy of the key is wiped. */
void seal_begin(struct seal *seal, uint8_t key[SEAL_KEY_BYTES]);
void seal_end(struct seal *seal);

/* Seal a page in place, for a block; *mark is what opens it. False: the counter is used up. */
bool seal_close(struct seal *seal, uint64_t owner, uint32_t block, uint8_t page[SEAL_PAGE_BYTES],
                struct seal_mark *mark);

/* Open it in place. False: it is not what was sealed; the page is wiped. */
bool seal_open(struct seal *seal, uint64_t owner, uint32_t block, uint8_t page[SEAL_PAGE_BYTES],
               const struct seal_mark *mark);

/* Zeroes that the compiler does not leave out. */
void seal_wipe(void *at, size_t bytes);

#endif
