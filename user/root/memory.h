/*
 * Memory objects and their pagers, tested in the booted kernel (word `memory`): what the parts share.
 *
 *     root task                             child, a thread of the same space
 *     start it on a job                 ->  touches a byte, or makes a call
 *     hears faults, as pager or handler <-  faults, and waits
 *     answers                           ->  goes on, says what came of it, ends
 */
#ifndef ROOT_MEMORY_H
#define ROOT_MEMORY_H

#include "root.h"

#define MEMORY_AT (ROOT_CHILD_ADDRESS + 0x10000000)
#define MEMORY_RW (QY_MAP_READ | QY_MAP_WRITE)
/* Badges of what children say: by themselves, as the object's pager is told, as the space's handler is. */
#define MEMORY_BADGE 77u
#define MEMORY_BADGE_SPACE 78u

/* What a child does: a call, or with number MEMORY_TOUCH an access; argument[1] is what is written then. */
#define MEMORY_TOUCH QY_CALL_COUNT
struct job {
    uint64_t number, argument[6];
    bool write;
    qy_handle_t ear; /* the endpoint that hears the end */
};

struct memory_test {
    struct root *root;
    qy_handle_t budget, object;
    struct child child, other; /* their faults, and what the object's pager is told, come to the first one's endpoint */
    struct job job, other_job;
    unsigned done, held;
};

/* One line, "memory: ok NN what"; NOT OK makes the run fail. Formats as in lib/format.h. */
void memory_expect(struct memory_test *test, bool ok, const char *format, ...);

/* Start a child on its job; what it did before has ended. */
bool memory_start(struct memory_test *test, struct child *child, struct job *job);

/*
 * What children say next: a fault, or (label 0) the end: word 0 is the error of a call or the byte read, word 1 its
 * first result.
 */
struct message memory_hear(const struct memory_test *test);
bool memory_is_end(const struct message *message, uint64_t value);
/* A fault that says that, about a page of that number. */
bool memory_is_fault(const struct message *message, uint64_t badge, enum qy_fault_found found, uint64_t page);
/* Answer the fault that was heard last. */
enum qy_error memory_answer(const struct memory_test *test, uint64_t label);

/* Bytes [0, 4096) of a page of the program's own, all of one value. */
const void *memory_page(unsigned char value);

void memory_pointers(struct memory_test *test); /* pointers.c */
void memory_pagers(struct memory_test *test);   /* pagers.c */

#endif
