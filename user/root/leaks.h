/*
 * Leaks and profile of the root task's prompt (leaks.c), and a leak on purpose (leak.c).
 */
#ifndef ROOT_LEAKS_H
#define ROOT_LEAKS_H

#include "root.h"
#include <quarry/records.h>
#include <quarry/tally.h>

/* What the allocations of a group have in common: the key of its row. */
enum leak_key { LEAK_UNTYPED, LEAK_THREAD, LEAK_CALL, LEAK_SITE, LEAK_TYPE };

/*
 * Group what lives and has a number above `since`, most memory first. The rows are shared: they stay until
 * the next call. False, and a line says why: the kernel keeps no records.
 */
bool leaks_collect(uint64_t since, struct qy_tally *out) CALL_MUST_USE;

/* The largest number of a live object: everything that is made later has a larger one. */
bool leaks_latest(uint64_t *out) CALL_MUST_USE;

/* Commands of the prompt. */
void show_leaks(struct root *root);
void mark_leaks(struct root *root);
void show_leaks_since(struct root *root);
void show_profile(struct root *root);
void show_profile_folded(struct root *root);
void plant_leak(struct root *root);

/* The word `leak`: plant one, find it, and unless it is to be kept take it back, and find nothing. */
void leak_run(struct root *root, bool keep);

#endif
