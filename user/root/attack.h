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

/* Every invariant of the kernel holds; `when` (a static string) is said if not. */
void attack_all_holds(struct attack *attack, const char *when);

/* A CPU for the next child: they take turns. */
unsigned attack_cpu(const struct attack *attack);

/* A child thread with a budget of its own. Between begin and end the slots taken are given back in order. */
#define ATTACK_CHILD_PAGES 64u
#define ATTACK_STACK_PAGE (ROOT_CHILD_ADDRESS + 0x10000)
struct attack_child {
    struct root *root;
    uint32_t mark;
    qy_handle_t budget;
    struct child child; /* not started */
};
bool attack_child_begin(struct attack *attack, struct attack_child *out) CALL_MUST_USE;
/* It was started: its next message is a fault, it is killed for that, and is dead. */
bool attack_child_stopped(const struct attack_child *child, struct fault *fault) CALL_MUST_USE;
void attack_child_end(const struct attack_child *child);
/* A child of its own touches the address, faults, is killed for that, and is dead. */
bool attack_touch(struct attack *attack, uint64_t address, enum qy_access access,
                  struct fault *fault) CALL_MUST_USE;

void attack_handles(struct attack *attack);  /* handles, call numbers, rights (attack_caps.c) */
void attack_retype(struct attack *attack);   /* retype and its numbers (attack_caps.c) */
void attack_pointers(struct attack *attack); /* pointers (attack_memory.c) */
void attack_mappings(struct attack *attack); /* addresses and flags (attack_memory.c) */
void attack_regions(struct attack *attack);  /* calls on regions (attack_regions.c) */
void attack_lent(
    struct attack *attack); /* memory of regions, in threads and races (attack_lent.c) */
void attack_devices(struct attack *attack);   /* lines, ports, device memory (attack_devices.c) */
void attack_leftovers(struct attack *attack); /* memory of earlier owners (attack_leftovers.c) */
void attack_touches(
    struct attack *attack); /* loads, stores and jumps in child threads (attack_thread.c) */
void attack_instructions(
    struct attack *attack); /* what only a kernel may execute (attack_instruction.c) */
void attack_threads(struct attack *attack); /* bad starts, replies (attack_thread.c) */

#endif
