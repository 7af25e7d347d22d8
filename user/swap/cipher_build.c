/*
 * ChaCha20-Poly1305 out of mbed TLS's own source, as Debian has it (tools/debian_source.sh), built without a C library.
 */
#include <chacha20.c>
#include <chachapoly.c>
#include <poly1305.c>
