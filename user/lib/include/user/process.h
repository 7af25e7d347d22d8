/*
 * Processes: programs out of an archive, each in an address space of its own and paid by a budget of its own.
 *
 *     untyped --> budget --> space, node, thread, page tables, image, stack, and whatever the program makes
 *
 *     image   text r-x, constants r--, data rw-, what is relocated r--; its libraries behind it; not in the file: zeroes
 *     heap    of malloc                                              rw-
 *     map     information, argument vector                           rw-     (user/program.h)
 *             the boot archive, shared with whoever has it           r--     if asked for
 *             what it maps anywhere: stacks of threads ...
 *     stack   pages on demand, down from its top                     rw-     a guard page below it
 *
 * Each of the four has a place of its own at each start, chosen at random (PROCESS_PLACES says from
 * where, and how many bits there are to guess). An image at fixed addresses lies there.
 *
 * All that a process has comes out of its budget, a child untyped, so one revoke takes all of it back: at its exit, at
 * a fault, or when it is killed. Slots of the caller's node that name its parts are given back then. What several
 * processes share of an image is paid by whoever has the table of images (user/image.h).
 *
 * Invariants
 *   WXOR    no page of an image is ever writable and executable: it is filled as a page of an object that nobody maps
 *   PAID    nothing is made out of any memory but the budget, and that of the images
 *   ATOMIC  a process that cannot be made has left nothing: no memory, no slot
 * Locking: one thread of a program makes processes at a time. Cost: O(bytes of the file), with shared images O(bytes of
 * its data); memory that the file does not hold costs nothing until it is touched. Failure: an error and a sentence.
 */
#ifndef USER_PROCESS_H
#define USER_PROCESS_H

#include <stdbool.h>
#include <user/fault.h>
#include <user/image.h>

/* The boot archive of the root task, or of a program that was given it. */
struct file boot_archive(uint64_t bytes);

/* Errors: NOT_FOUND, and CORRUPT or TRUNCATED (the archive). */
enum qy_error archive_find(struct file archive, const char *name, struct file *out) CALL_MUST_USE;

/* How a process is to be made. */
struct process_plan {
    struct file
        image; /* an ELF64 executable of this machine, at fixed addresses or movable (static-PIE) */
    struct file libraries;   /* an archive: of those that it needs, by name; 0 bytes: none */
    struct images *images;   /* what is not writable is shared through it; null: not shared */
    const char *const *argv; /* ends with null */
    const char *const *environment; /* ends with null; null: empty */
    bool fixed;                     /* the same addresses at each start */
    qy_handle_t untyped;            /* the budget is made out of it: needs WRITE */
    uint64_t budget_pages;
    uint64_t stack_bytes; /* at most; 0: PROCESS_STACK_BYTES */
    qy_handle_t endpoint; /* hears of its faults and of its exit: needs WRITE and GRANT */
    uint64_t number; /* badge of what it says there; of its faults: PROCESS_FAULTS beside. Not 0 */
    qy_handle_t console; /* it may write there; 0: nowhere */
    qy_handle_t archive; /* a memory object with the boot archive, to read; 0: none */
    uint64_t archive_bytes;
    uint64_t cpus, clock_hz; /* for its information */
    bool
        paged; /* pages come from whoever hears of its faults: nothing but its information is mapped */
};

/*
 * Where the parts of a process are put: base + n * unit, down: base - n * unit, n a random number of so many bits.
 * X(name, base, bits, unit, down)
 */
#define PROCESS_PLACES(X)                                                                          \
    X(image, 0x200000000000ull, 32, 0x1000, 0)                                                     \
    X(heap, 0x310000000000ull, 28, 0x10000, 0)                                                     \
    X(map, 0x420000000000ull, 32, 0x1000, 0)                                                       \
    X(stack, QY_ROOT_STACK_TOP, 30, 0x1000, 1)

#define PROCESS_FAULTS (1ull << 62)
#define PROCESS_STACK_BYTES 0x100000ull
#define PROCESS_NODE_PAGES 8u /* a capability node of 512 slots */

/* Where a process's parts lie: where each begins, of the stack its top. */
struct process_places {
#define X(name, base, bits, unit, down) uint64_t name;
    PROCESS_PLACES(X)
#undef X
    uint64_t image_end; /* of the libraries, where they lie behind it */
    uint64_t entry;     /* the first instruction */
};

struct process {
    qy_handle_t budget, space, node, thread; /* 0: there is none */
    uint64_t number;
    struct process_places places;
};

/*
 * Make a process that does not run yet. *why is a sentence for people, on an error. Errors: CORRUPT, TRUNCATED,
 * TOO_MANY (the image; or arguments that do not fit a page; or no slots), NOT_FOUND (a library, a symbol), OUT_OF_MEMORY
 * (the untyped, or the budget), and those of the calls that make it.
 */
enum qy_error process_create(const struct process_plan *plan, struct process *out,
                             const char **why) CALL_MUST_USE;

/*
 * The same, for a program that was given the boot archive: the program argv[0] of it, out of the caller's own budget,
 * which may write on the caller's console, and start others like it.
 */
enum qy_error process_spawn(const char *const *argv, uint64_t budget_pages, qy_handle_t endpoint,
                            uint64_t number, struct process *out, const char **why) CALL_MUST_USE;

/*
 * Fork: a process with a copy of all memory of this one, copied when either writes; who writes pays. Its one thread goes on
 * from here, with *is_child true and *child empty; in this process *child is the new one, which runs. Of the plan only
 * untyped, budget, endpoint, number and console are looked at. It has the capabilities that a process begins with, what this
 * one was given and may copy, and none of those that this one has made since: their slots are empty, so that a handle
 * which the child's memory holds is INVALID_HANDLE. A thread, a budget or a reply of the parent's in its hands would be
 * power over the parent, which nobody asked for. What the child is to have of them the parent copies into child->node.
 *
 * What both share stays charged to who had it: the child loses it with this process's budget, unless process_settle was
 * called in the child. Frames that were mapped by their capability are shared, not copied. Another thread that writes
 * meanwhile is seen before or after each of its writes. Errors: OUT_OF_MEMORY (the untyped, or the budget), and those of the
 * calls that make it: nothing has changed then.
 */
enum qy_error process_fork(const struct process_plan *plan, struct process *child,
                           bool *is_child) CALL_MUST_USE;

/*
 * Everything that this process shares by copy on write becomes its own, its image too, paid by its budget. Errors:
 * OUT_OF_MEMORY, with some done.
 */
enum qy_error process_settle(void) CALL_MUST_USE;

/* Give it a capability as PROGRAM_GIVEN(i), before it starts. Errors: those of cap_copy. */
enum qy_error process_give(const struct process *process, unsigned i, qy_handle_t source,
                           uint64_t rights, uint64_t badge) CALL_MUST_USE;

/* Where it finds an endpoint of a service, if there is one: PROGRAM_SWAP, PROGRAM_FILES. */
#define PROCESS_GIVEN_FILES 14u
#define PROCESS_GIVEN_SWAP 15u

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
