/*
 * What a loader left for this program. Apart from its start (begin.c), which the root task has not: there it stays null.
 */
#include <user/program.h>

const struct program_info *program;
