/*
 * What this machine has that is hard to guess: gathered at boot, and told to nobody but through a hash (lib/secret.h).
 *
 * Boot only, one CPU, no lock.
 */
#ifndef KERNEL_ENTROPY_H
#define KERNEL_ENTROPY_H

#include <qy/boot_info.h>
#include <stddef.h>
#include <stdint.h>

/* Gather it. May be called again: what was there stays as hard to guess as it was. */
void entropy_gather(const struct qy_boot_info *info);

/* Where it is from: QY_ENTROPY_*; 0: there is none, and what is drawn can be guessed. */
uint64_t entropy_sources(void);

/* The sources in words: "the processor and firmware". */
const char *entropy_words(void);

void entropy_draw(void *out, size_t bytes);

/* The last draw was made: forget it. */
void entropy_end(void);

#endif
