/*
 * A program: how it starts, what it finds, how it ends.
 *
 *     _start (ARCH/start.S) -> program_begin -> main(argc, argv) -> program_exit
 *
 * A loader (user/process.h) leaves a page of information, whose address is the first argument of _start:
 *
 *     struct program_info | argc + 1 addresses | addresses of the environment, 0 | the text of both
 *
 * and these capabilities; their handles are the numbers of their slots:
 *
 *     QY_SLOT_NODE       its capability node            QY_SLOT_SPACE    its address space
 *     QY_SLOT_THREAD     its first thread               QY_SLOT_CONSOLE  the console, to write on
 *     PROGRAM_PARENT     to say something to its parent: an endpoint, its badge is the program's number
 *     PROGRAM_ARCHIVE    the boot archive, a memory object, to read, if it was given it
 *     QY_SLOT_UNTYPED    its budget: memory for whatever it makes; not to be revoked by it
 *     PROGRAM_GIVEN(i)   what its parent gives it beside
 *
 * The root task is started by the kernel and finds more: quarry/abi.h.
 */
#ifndef USER_PROGRAM_H
#define USER_PROGRAM_H

#include <quarry/abi.h>

#define PROGRAM_VERSION 2u
#define PROGRAM_PARENT 6u
#define PROGRAM_ARCHIVE 7u
#define PROGRAM_GIVEN_MAX 16u
#define PROGRAM_GIVEN(i) (16u + (i))
/* Endpoints of services, if there are some: the swapper (swap/service.h), the file server (files/files.h). */
#define PROGRAM_SWAP PROGRAM_GIVEN(PROGRAM_GIVEN_MAX - 1)
#define PROGRAM_FILES PROGRAM_GIVEN(PROGRAM_GIVEN_MAX - 2)
/* Behind them the memory objects that it was loaded from, for the loader's use; then slots that are empty. */
#define PROGRAM_LOADED PROGRAM_GIVEN(PROGRAM_GIVEN_MAX)
#define PROGRAM_FREE (PROGRAM_LOADED + 8u)

/* Labels of what a program tells its parent by itself. */
#define PROGRAM_SAYS_EXIT 0xe1u /* word0: the code */

struct program_info {
    uint32_t version; /* PROGRAM_VERSION */
    uint32_t bytes;   /* of all that stands in the page: this, the addresses, their text */
    uint32_t cpus;
    uint32_t node_slots; /* capacity of the capability node */
    uint32_t free_slot;  /* the first that is empty; so are all behind it */
    uint32_t argc;
    uint32_t fixed;    /* 1: it is to start others at the same addresses each time, too */
    uint32_t reserved; /* 0 */
    uint64_t clock_hz; /* of the user-readable clock; 0: unknown */
    uint64_t archive, archive_bytes; /* where the boot archive is; 0: it was not given */
    uint64_t image, image_end;       /* all pages of its image, and of its libraries behind it */
    uint64_t heap;
    uint64_t tls, tls_bytes, tls_memory_bytes, tls_align; /* template of thread-local storage */
    uint8_t seed[32];                                     /* of its random numbers: its own */
    uint64_t environment; /* address of a list of addresses that ends with 0 */
    uint64_t argv[];      /* argc + 1 addresses in this page; the last is 0 */
};

/* Every program that a loader starts defines it. Its result is the code of program_exit. */
int main(int argc, char *argv[]);

/* What the program found; null in the root task. */
extern const struct program_info *program;

/* Words "NAME=value" that it was started with; the last is null. */
const char *const *program_environment(void);

/* The value of such a word; null: there is none. */
const char *program_variable(const char *name);

/* Send what is to be printed, tell the parent the code, and end the calling thread; the others end with the process. */
_Noreturn void program_exit(int code);

_Noreturn void program_begin(const struct program_info *info);

#endif
