/*
 * The few memory and string functions that the kernel, the programs and the memory core use.
 *
 * Inside a hosted program they are the C library's; freestanding, lib/string.c defines them. They
 * mean what the C standard says; the compiler may call the first four in any program.
 */
#ifndef LIB_STRING_H
#define LIB_STRING_H

#include <stddef.h>

#if __STDC_HOSTED__
#include <string.h>
#else
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *at, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t bytes);
#endif

#endif
