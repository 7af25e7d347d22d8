/*
 * What the readers of a boot log's lines share.
 */
#ifndef LAB_LOG_IMPL_H
#define LAB_LOG_IMPL_H

#include "lab.h"
#include "text.h"

struct lab_log {
    struct lab_file *file;
    unsigned lines_found; /* of maps, of the boot that is read */
    bool all_zero;        /* all of them are about address 0 */
    size_t first_range, first_affinity; /* of this file */
    unsigned boots_before;
};

/* Behind "[mem ": "0x...-0x...]", whose second number is the last byte. False: it is not that. */
bool lab_take_mem(struct lab_cursor *line, uint64_t *base, uint64_t *end);

void lab_log_affinity(struct lab_log *log, const struct lab_affinity *affinity);

/* A descriptor of a UEFI memory map, if the line is one (*taken). False: it is one, and broken. */
bool lab_log_efi(struct lab_log *log, struct lab_cursor line, bool *taken);

#endif
