/*
 * Processes: programs out of an archive, each in an address space of its own and paid by a budget of its own.
 *
 *     untyped --> budget --> space, node, thread, page tables, image, stack, and whatever the program makes
 *
 *     0x10000            information, argument vector    rw-     (user/program.h)
 *     as linked          image: text r-x, constants r--, data rw-; what the file does not hold is zero
 *     0x100000000        the boot archive, a copy        r--     if asked for
 *     0x10000000000      what it maps anywhere: heap, stacks of threads
 *     below the top      stack, pages on demand          rw-     a guard page below it
 *     0x7fffffff0000     top
 *
 * All that a process has comes out of its budget, a child untyped, so one revoke takes all of it back: at its exit, at
 * a fault, or when it is killed. Slots of the caller's node that name its parts are given back then.
 *
 * Invariants
 *   WXOR    no page of an image is ever writable and executable: it is filled through a mapping of the loader's own that
 *           is gone before the program gets it
 *   PAID    nothing is made out of any memory but the budget
 *   ATOMIC  a process that cannot be made has left nothing: no memory, no slot
 * Locking: one thread of a program makes processes at a time (they are filled through one window). Cost: O(bytes of the
 * file); memory that the file does not hold costs nothing until it is touched. Failure: an error and a sentence.
 */
#ifndef USER_PROCESS_H
#define USER_PROCESS_H

#include <stdbool.h>
#include <user/fault.h>

/* A file of an archive. It is only read. */
struct file {
    const unsigned char *at;
    size_t bytes;
};

/* The boot archive of the root task, or of a program that was given it. */
struct file boot_archive(uint64_t bytes);

/* Errors: NOT_FOUND, and CORRUPT or TRUNCATED (the archive). */
enum qy_error archive_find(struct file archive, const char *name, struct file *out) CALL_MUST_USE;

/* How a process is to be made. */
struct process_plan {
    struct file image;       /* a static ELF64 executable of this machine */
    const char *const *argv; /* ends with null */
    qy_handle_t untyped;     /* the budget is made out of it: needs WRITE */
    uint64_t budget_pages;
    uint64_t stack_bytes; /* at most; 0: PROCESS_STACK_BYTES */
    qy_handle_t endpoint; /* hears of its faults and of its exit: needs WRITE and GRANT */
    uint64_t number; /* badge of what it says there; of its faults: PROCESS_FAULTS beside. Not 0 */
    qy_handle_t console;     /* it may write there; 0: nowhere */
    struct file archive;     /* a copy of it to read; 0 bytes: none */
    uint64_t cpus, clock_hz; /* for its information */
    bool
        paged; /* pages come from whoever hears of its faults: nothing but its information is mapped */
};

#define PROCESS_FAULTS (1ull << 62)
#define PROCESS_STACK_BYTES 0x100000ull
#define PROCESS_NODE_PAGES 16u /* a capability node of 1024 slots */

struct process {
    qy_handle_t budget, space, node, thread; /* 0: there is none */
    uint64_t number, entry;
    uint32_t next_slot; /* of its node: for what the loader puts there */
};

/*
 * Make a process that does not run yet. *why is a sentence for people, on an error. Errors: CORRUPT, TRUNCATED,
 * TOO_MANY (the image; or arguments that do not fit a page; or no slots), OUT_OF_MEMORY (the untyped, or the budget),
 * and those of the calls that make it.
 */
enum qy_error process_create(const struct process_plan *plan, struct process *out,
                             const char **why) CALL_MUST_USE;

/*
 * The same, for a program that was given the boot archive: the program argv[0] of it, out of the caller's own budget,
 * which may write on the caller's console, and start others like it.
 */
enum qy_error process_spawn(const char *const *argv, uint64_t budget_pages, qy_handle_t endpoint,
                            uint64_t number, struct process *out, const char **why) CALL_MUST_USE;

/* Give it a capability as PROGRAM_GIVEN(i), before it starts. Errors: those of cap_copy. */
enum qy_error process_give(const struct process *process, unsigned i, qy_handle_t source,
                           uint64_t rights, uint64_t badge) CALL_MUST_USE;

/* Let it run on a CPU, or QY_CPU_ANY. */
enum qy_error process_start(const struct process *process, uint64_t cpu) CALL_MUST_USE;

/* End it, whatever it does, and take back all that it had. Nothing happens to one that was destroyed or never made. */
enum qy_error process_destroy(struct process *process) CALL_MUST_USE;

/* What was heard of a process at its plan's endpoint. */
enum process_news { PROCESS_EXITED, PROCESS_FAULTED, PROCESS_SAID };

struct process_event {
    enum process_news news;
    uint64_t number;        /* of the process */
    int code;               /* EXITED */
    struct fault fault;     /* FAULTED: it waits for an answer to the reply object */
    struct message message; /* SAID: something of its own; the reply object answers a call */
};

/* Wait for the next event of any process of that endpoint. Errors: those of endpoint_receive. */
enum qy_error process_wait(qy_handle_t endpoint, qy_handle_t reply,
                           struct process_event *out) CALL_MUST_USE;

/* The same event, from a message that came already. */
void process_event_from(const struct message *message, struct process_event *out);

#endif
