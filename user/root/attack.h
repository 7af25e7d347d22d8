/*
 * What a hostile program would try. Each attempt is one line, "attack: ok NN what -> error NAME";
 * one that the kernel did not refuse in the expected way says NOT OK, and makes the whole run fail.
 */
#ifndef ATTACK_H
#define ATTACK_H

#include "root.h"

#define ATTACK_ADDRESS (ROOT_CHILD_ADDRESS + 0x400000)

struct attack {
    struct root *root;
    unsigned attempts, refused;
    qy_handle_t budget;
    qy_handle_t object[QY_OBJ_COUNT]; /* one capability with all rights of each type, by type */
    qy_handle_t stale;                /* of a frame that was deleted; its slot is in use again */
    uint32_t
        empty_slot; /* the last of the node; it and the two before it are empty between attacks */
};

/* Count and print an attempt whose expected answer is `wanted`. Formats as in lib/format.h. */
void attack_expect(struct attack *attack, enum qy_error got, enum qy_error wanted,
                   const char *format, ...);

/* The same for an attempt that does not end in an error: `how` says what stopped it. */
void attack_stopped(struct attack *attack, bool stopped, const char *how, const char *format, ...);

void attack_handles(struct attack *attack);   /* handles, call numbers, rights (attack_caps.c) */
void attack_retype(struct attack *attack);    /* retype and its numbers (attack_caps.c) */
void attack_pointers(struct attack *attack);  /* pointers (attack_memory.c) */
void attack_mappings(struct attack *attack);  /* addresses and flags (attack_memory.c) */
void attack_devices(struct attack *attack);   /* lines, ports, device memory (attack_devices.c) */
void attack_leftovers(struct attack *attack); /* memory of earlier owners (attack_leftovers.c) */
void attack_touches(
    struct attack *attack); /* loads, stores and jumps in child threads (attack_thread.c) */
void attack_instructions(
    struct attack *attack); /* what only a kernel may execute (attack_instruction.c) */
void attack_threads(struct attack *attack); /* bad starts, replies (attack_thread.c) */

#endif
