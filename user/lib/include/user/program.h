/*
 * The start of a program: the assembler entry calls program_begin, which calls main.
 */
#ifndef USER_PROGRAM_H
#define USER_PROGRAM_H

#include <quarry/abi.h>

/* Every program defines it. The result is the code of thread_exit. */
int main(const struct qy_root_info *info);

_Noreturn void program_begin(const struct qy_root_info *info);

#endif
