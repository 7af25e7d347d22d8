/*
 * Whose address space is measured. Each has one range, from an address of its own choice; a call that fails ends the program.
 */
#ifndef BENCH_VM_SUBJECT_H
#define BENCH_VM_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

struct subject {
    const char *name;
    void (*map)(uint64_t bytes); /* zeroes, to be read and written, when they are touched */
    void (*touch)(uint64_t offset);
    void (*protect)(uint64_t bytes, bool write);
    void (*unmap)(uint64_t bytes);
};

#define SUBJECTS 2u
extern const struct subject ours, linux_own;
static const struct subject *const subjects[SUBJECTS] = {&ours, &linux_own};

void ours_open(void);
/* Every page has come back, and the validators are content; otherwise a message and the end. */
void ours_close(void);
void linux_open(void);

#endif
