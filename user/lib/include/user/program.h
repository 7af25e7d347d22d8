/*
 * A program: how it starts, what it finds, how it ends.
 *
 *     _start (ARCH/start.S) -> program_begin -> main(argc, argv) -> program_exit
 *
 * A loader (user/process.h) leaves a page at PROGRAM_INFO_ADDRESS, whose address is the first argument of _start, and
 * these capabilities; their handles are the numbers of their slots:
 *
 *     QY_SLOT_NODE       its capability node            QY_SLOT_SPACE    its address space
 *     QY_SLOT_THREAD     its first thread               QY_SLOT_CONSOLE  the console, to write on
 *     PROGRAM_PARENT     to say something to its parent: an endpoint, its badge is the program's number
 *     QY_SLOT_UNTYPED    its budget: memory for whatever it makes; not to be revoked by it
 *     PROGRAM_GIVEN(i)   what its parent gives it beside
 *
 * The root task is started by the kernel and finds more: quarry/abi.h.
 */
#ifndef USER_PROGRAM_H
#define USER_PROGRAM_H

#include <quarry/abi.h>

#define PROGRAM_VERSION 1u
#define PROGRAM_INFO_ADDRESS QY_ROOT_INFO_ADDRESS
#define PROGRAM_STACK_TOP QY_ROOT_STACK_TOP
#define PROGRAM_PARENT 6u
#define PROGRAM_GIVEN_MAX 16u
#define PROGRAM_GIVEN(i) (16u + (i))

/* Labels of what a program tells its parent by itself. */
#define PROGRAM_SAYS_EXIT 0xe1u /* word0: the code */

struct program_info {
    uint32_t version; /* PROGRAM_VERSION */
    uint32_t bytes;   /* of all that stands in the page: this, the arguments, their text */
    uint32_t cpus;
    uint32_t node_slots; /* capacity of the capability node */
    uint32_t free_slot;  /* the first that is empty; so are all behind it */
    uint32_t argc;
    uint64_t clock_hz; /* of the user-readable clock; 0: unknown */
    uint64_t
        archive_bytes; /* of the boot archive at QY_ROOT_ARCHIVE_ADDRESS; 0: it was not given */
    uint64_t argv[];   /* argc + 1 addresses in this page; the last is null */
};

/* Every program that a loader starts defines it. Its result is the code of program_exit. */
int main(int argc, char *argv[]);

/* What the program found; null in the root task. */
extern const struct program_info *program;

/* Send what is to be printed, tell the parent the code, and end the calling thread; the others end with the process. */
_Noreturn void program_exit(int code);

_Noreturn void program_begin(const struct program_info *info);

#endif
