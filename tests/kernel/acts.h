/*
 * What programs can do with capabilities, each done to the kernel and to its specification (tests/model/spec.h) at once,
 * and the two compared.
 *
 * Which act with which arguments is chosen by numbers: acts_choose(limit) gives one below the limit. Random numbers make
 * a random test (model.c), the bytes of an input a fuzzer (tests/fuzz/fuzz_caps.c), and an odometer every act from
 * every state (exhaustive.c).
 *
 * The world is a child untyped, whose capability stands in the first of the slots that acts use; two threads beside the
 * root task's, each alone on its CPU, send, receive and wait.
 */
#ifndef TESTS_KERNEL_ACTS_H
#define TESTS_KERNEL_ACTS_H

#include "scene.h"

#include <model/spec.h>

struct acts_scope {
    uint64_t pages; /* of the child untyped */
    const enum qy_object_type *types;
    unsigned type_count;
    const unsigned *rights; /* that copies have; null: any */
    unsigned rights_count;
    unsigned badges;
    unsigned objects, caps; /* that acts make, at most */
    bool
        small; /* slots are all alike, so the lowest is taken; and so are pages; and what is wrong is tried once */
};

struct act {
    const char *name;
    void (*run)(void);
};

extern const struct act acts_derive[], acts_bind[], acts_talk[], acts_memory[];
extern const unsigned acts_derive_count, acts_bind_count, acts_talk_count, acts_memory_count;

extern unsigned (*acts_choose)(unsigned limit);
extern struct spec acts_spec;
extern const char
    *acts_failure; /* null, or the first thing that differed, or the invariant that was broken */
extern bool
    acts_thorough; /* TLBs are filled and everything is checked around each call, as by CALL */
extern uint64_t acts_lacking; /* calls for which there was no memory */
extern uint64_t acts_done
    [QY_CALL_COUNT]; /* calls of each kind that did something: neither refused nor waiting */

extern bool acts_changed; /* set by an act that may have changed something */

/* What stays: once. */
void acts_make(void);
/* The child untyped; nothing else is there. */
void acts_begin(const struct acts_scope *scope);
/* Is there an untyped that can be retyped? */
bool acts_alive(void);
/* Threads whose wait is over go on, and what they get is compared; and all. */
void acts_settle(void);
void acts_compare(void);
/* Everything goes; the memory is back. */
void acts_end(void);

#endif
