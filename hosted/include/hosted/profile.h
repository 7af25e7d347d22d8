/*
 * A heap's profile as a file that viewers read.
 */
#ifndef HOSTED_PROFILE_H
#define HOSTED_PROFILE_H

#include <qy/site.h>
#include <stdio.h>

/*
 * Write what lives in the heap as folded stacks, a line for each different one, most bytes first:
 *     payer 3;thread 5;call 1;server.c:120 session 4096
 * flamegraph.pl and speedscope read it. False: it could not be written, or memory ran out. Takes the heap's
 * lock meanwhile.
 */
bool hosted_profile_write(FILE *out, struct qy_heap *heap);

#endif
