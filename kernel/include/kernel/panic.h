/*
 * Inside of a panic: who may report, and what an address is called. The ways in are in print.h and entry.h.
 */
#ifndef KERNEL_PANIC_H
#define KERNEL_PANIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* cpu_this() works from here on. */
void panic_cpus_are_set_up(void);

/* A CPU reports the machine's end: every other one calls panic_halt. */
bool panic_in_progress(void);
_Noreturn void panic_halt(void);

/* What stands at a kernel address, in words ("the guard pages below CPU 1's kernel stack"). Returns the length. */
size_t address_describe(uint64_t address, char *text, size_t bytes);

/* The archive may hold kernel.symbols: from here on functions are named. It stays in memory. */
struct qy_bytes;
void symbols_use(struct qy_bytes archive);

/* "function+0x12", or "no symbols" if the archive has none. Returns the length. */
size_t symbol_describe(uint64_t address, char *text, size_t bytes);

#endif
