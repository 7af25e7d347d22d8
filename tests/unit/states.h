/*
 * States of a small system, found breadth first: each is known by a key, and by the calls that lead to it from the
 * first one.
 *
 *     states_begin(key);
 *     for (s = 0; s < state_count; s++)
 *         for each call: go to s by states_path; call; check; states_note(the new key, s, call);
 */
#ifndef TESTS_UNIT_STATES_H
#define TESTS_UNIT_STATES_H

#include <stdint.h>
#include <string.h>
#include <tap.h>

#define STATES_MAX (1u << 17)
#define STATES_SLOTS (4u * STATES_MAX)
#define STATES_CALLS_MAX 250u /* on the way to one */

struct state {
    uint64_t key;
    uint32_t from;
    uint8_t call; /* that led here from there */
    uint8_t calls;
};

static struct state states[STATES_MAX];
static uint32_t states_slots[STATES_SLOTS]; /* number + 1, by key */
static unsigned state_count;

/* A state that one more call leads to. */
static inline void states_note(uint64_t key, unsigned from, unsigned call)
{
    uint32_t slot = (uint32_t)(key * 0x9e3779b97f4a7c15ull >> 32) % STATES_SLOTS;
    for (; states_slots[slot]; slot = (slot + 1) % STATES_SLOTS)
        if (states[states_slots[slot] - 1].key == key)
            return;
    uint8_t calls = state_count ? (uint8_t)(states[from].calls + 1) : 0;
    if (state_count == STATES_MAX || calls > STATES_CALLS_MAX) {
        CHECK_EQ(state_count, 0); /* too many */
        return;
    }
    states[state_count++] = (struct state){key, from, (uint8_t)call, calls};
    states_slots[slot] = state_count;
}

/* Forget all; the first one is that. */
static inline void states_begin(uint64_t key)
{
    state_count = 0;
    memset(states_slots, 0, sizeof(states_slots));
    states_note(key, 0, 0);
}

/* The calls that lead to a state, in order; how many. */
static inline unsigned states_path(unsigned state, uint8_t *path)
{
    unsigned count = states[state].calls;
    for (unsigned i = count; i > 0; i--) {
        path[i - 1] = states[state].call;
        state = states[state].from;
    }
    return count;
}

#endif
