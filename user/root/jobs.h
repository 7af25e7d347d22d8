/*
 * Jobs: programs of the boot archive that run, each in a process with a budget of its own out of the root task's untyped.
 *
 *     jobs_start --> runs ... --> its end, a fault, or jobs_kill --> its budget is revoked
 *
 * The archive and what images share are in memory as long as a job runs; when the last one has ended, the untyped must be
 * what it was before the first, to the byte. Locking: one thread.
 */
#ifndef JOBS_H
#define JOBS_H

#include "services.h"
#include <user/image.h>
#include <user/process.h>

#define JOBS_MAX 12u

struct job {
    struct process process; /* without a budget: there is no job */
    char name[24];
};

/* Zeroed but for the root task: no job. */
struct jobs {
    struct root *root;
    unsigned running;
    struct untyped_state before; /* the untyped, when there was none */
    qy_handle_t endpoint, reply; /* what jobs say comes there */
    qy_handle_t archive;         /* the boot archive as a memory object */
    qy_handle_t given;           /* to each, as PROGRAM_GIVEN(0). 0: nothing */
    struct services *
        services; /* that they may use; null: none. Who has some, or gives something, hands out slots already */
    struct images images;
    struct job job[JOBS_MAX];
};

/*
 * Start argv[0] of the boot archive; pages 0: a budget of the usual size; resident: its pages stay in memory. Returns its
 * number, 0 if it said why not.
 */
unsigned jobs_start(struct jobs *jobs, const char *const *argv, uint64_t pages,
                    bool resident) CALL_MUST_USE;

/* Something came to the endpoint: the number of the job that has ended by that, which is said; 0: none has. */
unsigned jobs_hear(struct jobs *jobs, const struct message *message, bool *well) CALL_MUST_USE;

/* The job of that number; null: there is none. */
const struct job *jobs_find(const struct jobs *jobs, unsigned number);

/* End a job that runs. */
void jobs_kill(struct jobs *jobs, unsigned number);

void jobs_show(struct jobs *jobs);

/* The boot archive as a memory object, for programs: copied, out of the untyped. Errors: those of slot_make and memory_supply. */
enum qy_error jobs_archive(qy_handle_t untyped, struct file archive,
                           qy_handle_t *out) CALL_MUST_USE;

#endif
