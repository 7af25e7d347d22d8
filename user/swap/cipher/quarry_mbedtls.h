/* What is built of mbed TLS: ChaCha20-Poly1305 (RFC 8439), and nothing else. */
#ifndef QUARRY_MBEDTLS_H
#define QUARRY_MBEDTLS_H
#define MBEDTLS_PLATFORM_NO_STD_FUNCTIONS
#define MBEDTLS_CHACHA20_C
#define MBEDTLS_POLY1305_C
#define MBEDTLS_CHACHAPOLY_C
#endif
