/*
 * Snapshots: all records of the machine as JSON on the console, for ./quarry view.
 *
 *     RS {"snapshot":1,"label":"start",...}
 *     RS {"record":"run","fields":["frame","pages",...]}
 *     RS [0,1,...]                                          a line for each record of that kind
 *     RS {"end":1,"rows":812}
 *
 * A JSON text sequence (RFC 7464): each text begins with the character RS (30) and ends with its line, so it is found
 * among whatever else the console says. A line is written by one call, so nothing comes in between. What numbers mean is told with the first. docs/view.md says
 * what the fields mean. A machine that works changes while it is read; what is read twice may have moved meanwhile.
 */
#ifndef ROOT_SNAPSHOT_H
#define ROOT_SNAPSHOT_H

#include "jobs.h"

/* jobs: programs whose names are known; may be null. label: what happened before it, printable and without quotes. */
void snapshot_write(struct root *root, const struct jobs *jobs, const char *label);

/* Tables of the same records; accounts.c. jobs: as above. */
void show_processes(struct root *root, const struct jobs *jobs);
void show_smaps(struct root *root, uint64_t space);

#endif
