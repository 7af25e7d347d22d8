/*
 * A window of virtual addresses onto a machine's simulated RAM, for guarded allocations (qy/guard.h).
 *
 *     RAM      | frame | frame | frame | ...      one shared file in memory, mapped as the machine's RAM
 *     window   | ..... | page  | ..... | ...      and page by page wherever the pool maps a frame
 *
 * So an object is reached through the window and through RAM alike, and everything else of the window is
 * inaccessible: a bug that the pool should catch is a SIGSEGV. Linux unmaps at once on all CPUs; with
 * `hold` set flushes are said to be under way, so that one sees what has to wait for them. Locking: none
 * needed, each page belongs to one object.
 */
#ifndef HOSTED_WINDOW_H
#define HOSTED_WINDOW_H

#include <hosted/hosted.h>
#include <qy/guard.h>

struct hosted_window {
    struct hosted_machine *machine;
    unsigned char *base;
    uint64_t pages;
    _Atomic uint64_t *frames; /* what each page is mapped to; 0: nothing */
    int file;
    atomic_bool hold;
    _Atomic uint64_t flushes;
};

/*
 * Give a machine that has no RAM yet RAM that can be mapped twice, and reserve a window of that many
 * bytes. False if Linux refuses. Destroy the window before the machine.
 */
bool hosted_window_make(struct hosted_window *window, struct hosted_machine *machine,
                        uint64_t bytes);
void hosted_window_destroy(struct hosted_window *window);

/* Their context is the window. */
extern const struct qy_guard_ops hosted_guard_ops;

/* GUARD-MAP, or null if it holds. */
const char *hosted_window_check(const struct hosted_window *window, const struct qy_guard *guard);

#endif
