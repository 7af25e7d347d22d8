/*
 * A pager: what a traditional kernel does for memory, as the policy of a program.
 *
 *     image (text, constants, data)   filled from its file as it is touched; one copy for all processes of it,
 *                                     data by copy on write
 *     heap                            zeroes as they are touched
 *     stack                           zeroes, and it grows: a touch a little below what it has makes it larger; one
 *                                     far below, or below its limit, is wild and ends the process
 *
 *     process --touch--> kernel --"page n of object o"--> pager: memory_supply(o, pages around n), reply
 *
 * The kernel knows objects and who is to be asked for their pages; which pages exist, what is in them, how many come at
 * a time, and who gets how many, is decided here. Pages of heaps and stacks come out of the pager's pool; each process
 * has a quota of them, and beside a budget of its own that pays for all else of it (tables, its objects, written data).
 *
 * Out of memory is a policy of each process: PAGER_KILLS ends it; PAGER_WAITS leaves it where it is until others end,
 * whose quota goes to those that wait. When all that are left wait, the one with most pages is ended, and the rest go
 * on. In no case does another process lose a page. A process waits as soon as one of its threads does.
 *
 * Invariants: PAGER-QUOTA (pages of a process <= its quota, sum of pages <= the pool's), PAGER-STACK (a stack has the
 * pages from `lowest` to its top, all of them). One thread serves; cost: one message a batch of pages. What a process
 * does wrong ends it; what runs out for the pager itself is an error of pager_admit.
 */
#ifndef PAGER_H
#define PAGER_H

#include <user/process.h>

#define PAGER_PROCESSES 8u
#define PAGER_IMAGES 2u
#define PAGER_SEGMENTS 4u
#define PAGER_PARKED 16u /* faults that wait for memory */
#define PAGER_BATCH 16u  /* pages around a fault */

/* Where a paged process has its heap, and how large it may become at most. */
#define PAGED_HEAP 0x0000200000000000ull
#define PAGED_HEAP_PAGES 4096u
#define PAGED_STACK_PAGES 256u
#define PAGED_STACK_REACH 16u /* pages below a stack where a touch still means the stack */

enum pager_policy { PAGER_KILLS, PAGER_WAITS };
enum pager_state { PAGED_NOT, PAGED_RUNS, PAGED_WAITS, PAGED_ENDED };
enum pager_end { PAGED_EXITED, PAGED_WILD, PAGED_OVER_QUOTA, PAGED_CHOSEN };

/* A memory object and how much of it is there. */
struct pager_area {
    qy_handle_t object;
    uint64_t pages;  /* it has at most */
    uint64_t lowest; /* of a stack: its lowest page that is there */
    bool grows;      /* a stack */
};

enum { AREA_HEAP, AREA_STACK, AREAS };

struct pager_process {
    enum pager_state state;
    enum pager_policy policy;
    struct process process;
    struct pager_area areas[AREAS];
    uint64_t quota, pages; /* it may have; it has */
    uint64_t faults;
    uint64_t beyond; /* times that it asked for more than its quota, and was not ended */
    uint64_t thread; /* number of its first thread */
    enum pager_end end;
    int code; /* EXITED */
};

/* A fault without an answer, until there is memory. */
struct pager_parked {
    struct pager_process *paged; /* null: none */
    unsigned area;
    uint64_t page;
    qy_handle_t reply;
};

struct pager_segment {
    qy_handle_t object;
    uint64_t address, pages, flags;
    struct file file; /* what it begins with; zeroes behind */
};

struct pager_image {
    struct file file;
    unsigned segments;
    struct pager_segment segment[PAGER_SEGMENTS];
};

struct pager {
    qy_handle_t pool, endpoint, reply; /* reply: a spare one, for the next message */
    struct pager_image images[PAGER_IMAGES];
    struct pager_process processes[PAGER_PROCESSES];
    struct pager_parked parked[PAGER_PARKED];
    uint64_t spare;                     /* quota of those that have ended, for those that wait */
    uint64_t image_faults, image_pages; /* of all images */
};

/* Everything comes out of `pool`. Errors: those of slot_make. */
enum qy_error pager_begin(struct pager *pager, qy_handle_t pool) CALL_MUST_USE;

/* How a process is to be served. */
struct pager_terms {
    const char *const *argv;
    uint64_t budget_pages, quota;
    enum pager_policy policy;
    uint64_t cpu;
};

/*
 * Start a program of the boot archive. *number finds it in processes[]. Errors: TOO_MANY (processes, images), and those
 * of process_create. Nothing of it is left then, but the objects of its image.
 */
enum qy_error pager_admit(struct pager *pager, const struct pager_terms *terms, unsigned *number,
                          const char **why) CALL_MUST_USE;

/* Serve until every process has ended. */
enum qy_error pager_serve(struct pager *pager) CALL_MUST_USE;

/* Give back what it made for itself. No process is left. */
void pager_end(struct pager *pager);

/* ---- parts (image.c) ---- */

/* The objects of an image, made when it is first seen. Errors: TOO_MANY, those of slot_make. */
enum qy_error pager_image_find(struct pager *pager, struct file file,
                         struct pager_image **out) CALL_MUST_USE;
/* Map them into a process. */
enum qy_error pager_image_map(const struct pager_image *image,
                        const struct process *process) CALL_MUST_USE;
/* Bring the pages around one that was touched. False: there is no memory for it. */
bool pager_image_supply(struct pager *pager, const struct pager_segment *segment,
                  uint64_t page) CALL_MUST_USE;

void pager_images_end(struct pager *pager);

/* Badges: of a process's own messages its number (from 1); of what is asked of objects this, and which. */
#define BADGE_AREA (1ull << 61)  /* | (process << 1) | area */
#define BADGE_IMAGE (1ull << 60) /* | image * PAGER_SEGMENTS + segment */

#endif
