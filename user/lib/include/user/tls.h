/*
 * Thread-local storage of a program that a loader started: for each thread a copy of the image's template, found by the
 * thread's pointer (System V ABI, "Thread-Local Storage" by U. Drepper, 2013, section 3; static model).
 *
 *     x86-64   | template, zeroes | pointer to itself |      fs: the pointer     (variant II)
 *     RISC-V   | template, zeroes |                          tp: its beginning   (variant I)
 */
#ifndef USER_TLS_H
#define USER_TLS_H

#include <user/call.h>

/* Bytes that a thread needs for it, above its stack; 0: the program has none. */
size_t tls_bytes(void);

/* Make a copy in `tls_bytes()` bytes at `at`, which are zero. Its thread's pointer is the result. */
uint64_t tls_make(unsigned char *at);

/* The first thread's. Errors: those of space_map_region. */
enum qy_error tls_begin(void) CALL_MUST_USE;

#endif
