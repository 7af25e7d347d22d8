/*
 * Services that the root task keeps for the programs that it starts: a swapper, and the file server of a disk.
 *
 *     services_begin --> a driver for each disk that says what it is for
 *                    --> `swapper`, with a disk for pages or without
 *                    --> `files`, if there is a FAT32 for it
 *     a job          --> services_join: its reserve, its space, its budget, endpoints          services_leave: nothing is left
 *
 * A job's reserve is an untyped beside its budget, made for it alone, and returned with it. Whoever gets none, because memory
 * is short, runs all the same: its pages stay where they are.
 *
 * The root task calls services and is called by none, so nobody waits in a circle. Locking: one thread. Failure: what does not
 * start is said, and the rest goes on without it.
 */
#ifndef SERVICES_H
#define SERVICES_H

#include "drive.h"
#include "root.h"

#define SERVICES_DISKS 4u

struct services {
    struct root *root;
    qy_handle_t memory; /* an untyped, for what is not a service's own; 0: there are no services */
    struct drive disks[SERVICES_DISKS];
    unsigned disk_count;
    struct process swapper, files;
    qy_handle_t ear; /* of the services' faults */
    qy_handle_t swap, manager,
        serving; /* endpoints: the swapper's, its manager's; the file server's. 0: no such service */
    qy_handle_t reserves[16]; /* of jobs by number; 0: none */
    struct untyped_state before; /* the root task's untyped, before there were any */
};

/* From here on slots are handed out (user/slots.h), for whatever else needs some, too. */
void services_begin(struct services *services, struct root *root);
void services_end(struct services *services);

/* A job's process that does not run yet; pages: of its budget; resident: its pages are not to go. */
void services_join(struct services *services, unsigned number, const struct process *process,
                   uint64_t pages, bool resident);
/* It has been destroyed. */
void services_leave(struct services *services, unsigned number);

/* A thread of a job has met an empty budget: false: nothing could be done about it. */
bool services_relieve(const struct services *services, unsigned number);

/* Bytes that the swapper has of a job: in memory, compressed or as one word, and on the disk. Zeroes: it has none. */
struct services_away {
    uint64_t compressed, on_disk;
};
struct services_away services_away(const struct services *services, unsigned number);

/* Print what the swapper has, for whom; name: of a job by its number, null: none. */
void services_show_swap(struct services *services,
                        const char *(*name)(void *context, unsigned number), void *context);

#endif
