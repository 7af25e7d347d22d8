/*
 * LZ4's own source, as Debian has it (tools/debian_source.sh), built without a C library.
 */
#include <lib/string.h>

#define LZ4_FREESTANDING 1
#define LZ4_HEAPMODE 0
#define LZ4_memcpy(to, from, bytes) memcpy(to, from, bytes)
#define LZ4_memset(at, value, bytes) memset(at, value, bytes)
#define LZ4_memmove(to, from, bytes) memmove(to, from, bytes)
#include <lz4.c>
